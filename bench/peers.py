# SPDX-License-Identifier: Apache-2.0
"""Switches to measure: ours and Debian's ovs-vswitchd, each in a network namespace of its own, driven by the same ovs tools."""
import json
import os
import pathlib
import statistics
import sys
import time

TREE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TREE / "lab"))
from world import World, run, wait_for  # noqa: E402


class Switch:
    """A running switch NAME in namespace `ns`. `rundir` is where its sockets are."""

    def __init__(self, world, build, kind, name):
        self.world, self.build, self.kind, self.name = world, pathlib.Path(build), kind, name
        self.ns = world.netns(name)
        self.rundir = world.dir / name
        self.rundir.mkdir(parents=True, exist_ok=True)
        self.on_cpu = []
        self.env = {"OVS_RUNDIR": str(self.rundir), "OVS_LOGDIR": str(self.rundir), "OVS_DBDIR": str(self.rundir)}
        self.bridge_columns = ["datapath_type=netdev"] if kind == "ovs" else []
        if kind == "ovs":
            run("ovsdb-tool", "create", self.rundir / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
            world.spawn(f"{name}-ovsdb", ["ovsdb-server", self.rundir / "conf.db", f"--remote=punix:{self.rundir}/db.sock",
                                          f"--unixctl={self.rundir}/ovsdb.ctl"], netns=self.ns, env=self.env)
            self.vsctl("--retry", "--no-wait", "init")
        self.start()

    def start(self):
        """Starts the switch itself; returns when it serves, with the seconds that took."""
        begin = time.monotonic()
        if self.kind == "ovs":
            self.world.spawn(self.name, ["ovs-vswitchd", f"unix:{self.rundir}/db.sock",
                                         f"--pidfile={self.rundir}/ovs-vswitchd.pid"], netns=self.ns, env=self.env)
            self.vsctl("--timeout=60", "set", "Open_vSwitch", ".", "external_ids:started=1")  # waits until it is configured
        else:
            datapath = self.kind.partition("-")[2] or "userspace"
            self.world.spawn(self.name, [self.build / "src/switch/warren-switchd", "--rundir", self.rundir, "--schemadir",
                                         TREE / "schema", "--db-file", self.rundir / "conf.db", "--datapath", datapath],
                             netns=self.ns, ready="ready", timeout=60)
        return time.monotonic() - begin

    def stay_on(self, cpu):
        """The switch and the tools that speak to it share processor CPU from now on."""
        self.on_cpu = ["taskset", "-c", str(cpu)]
        for task in pathlib.Path(f"/proc/{switch_pid(self.world, self.name)}/task").iterdir():
            os.sched_setaffinity(int(task.name), {cpu})

    def stop(self):
        self.world.kill(self.name)

    def tool(self, program, *args, stdin=None, timeout=300, check=True):
        env = [f"{key}={value}" for key, value in self.env.items()]
        return run("ip", "netns", "exec", self.ns, "env", *env, *self.on_cpu, program, *args, stdin=stdin, timeout=timeout, check=check)

    def vsctl(self, *args):
        return self.tool("ovs-vsctl", f"--db=unix:{self.rundir}/db.sock", *args).stdout

    def ofctl(self, *args, stdin=None):
        return self.tool("ovs-ofctl", *args, stdin=stdin).stdout

    def add_bridge(self, name):
        self.vsctl("add-br", name, "--", "set", "Bridge", name, "fail_mode=secure", *self.bridge_columns)

    def add_port(self, bridge, port, number, *columns):
        self.vsctl("add-port", bridge, port, "--", "set", "Interface", port, f"ofport_request={number}", *columns)

    def add_host(self, host, port):
        """A namespace HOST whose eth0 is the other end of the switch's PORT."""
        ns = self.world.netns(f"{self.name}-{host}")
        self.world.veth(self.ns, port, ns, "eth0")
        for where, link in ((self.ns, port), (ns, "eth0")):
            self.world.sysctl(where, **{f"net__ipv6__conf__{link}__disable_ipv6": 1})
            self.world.ip(where, "link", "set", link, "up")
        return ns

    def resident_kib(self):
        return status_kib(self.world, self.name, "VmRSS")


def status_kib(world, tag, key):
    pid = switch_pid(world, tag)
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise AssertionError(f"{tag}: no {key}")


def switch_pid(world, tag):
    """The process itself: ip netns exec replaces itself by it."""
    return world.pid(tag)


def generator(build, program, **args):
    done = run(pathlib.Path(build) / "bench" / program, *(f"{key}={value}" for key, value in args.items()), timeout=600)
    return json.loads(done.stdout)


def generator_pairs(build, program, pairs, **args):
    """The rates of each of PAIRS, texts that PROGRAM knows, in each of their turns."""
    done = run(pathlib.Path(build) / "bench" / program, *(f"pair={pair}" for pair in pairs),
               *(f"{key}={value}" for key, value in args.items()), timeout=600)
    return json.loads(done.stdout)["rates"]


def mean(values):
    """Without the tenth that is smallest and the tenth that is largest."""
    values = sorted(values)
    off = len(values) // 10
    return statistics.mean(values[off:len(values) - off])


__all__ = ["Switch", "World", "generator", "generator_pairs", "mean", "run", "wait_for", "TREE"]
