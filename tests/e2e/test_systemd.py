# SPDX-License-Identifier: Apache-2.0
"""The units of packaging/systemd under a systemd of their own, in a container whose root is this machine's with an overlay on it:
what `make install` brings starts, is started again, and forwards while it is not there."""
import contextlib
import os
import pathlib
import re
import signal

import pytest
from conftest import BUILD, TREE, need_bpf
from echo import lost_by
from world import World, run, start_time, wait_for

CGROUPS = pathlib.Path("/sys/fs/cgroup")
OPTIONS = {"warren-controller": "--listen 127.0.0.1:9696", "warren-agent": "--local-ip 192.0.2.1"}


def payloads():
    return {path for name in ("payload", "supervisor") for path in CGROUPS.rglob(name)}


class Container:
    def __init__(self, directory):
        self.world = World(f"we{os.getpid() % 10000}systemd", root=directory)
        self.cgroups = payloads()
        self.mounts = contextlib.ExitStack()
        self.leader = None

    def mount(self, kind, where, options="rw"):
        where.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", kind, "-o", options, kind, where)
        self.mounts.callback(run, "umount", where)

    def up(self):
        layers, root, bpf = (self.world.dir / name for name in ("layers", "root", "bpf"))
        self.mount("tmpfs", layers)
        upper, work = layers / "upper", layers / "work"
        work.mkdir()
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", upper)
        self.mount("overlay", root, f"lowerdir=/,upperdir={upper},workdir={work}")
        self.mount("bpf", bpf)
        # Not multi-user.target: nothing that is set up on this machine is to be started.
        nspawn = self.world.spawn("container", [
            "systemd-nspawn", "--register=no", "--keep-unit", f"--machine={self.world.name}", "--link-journal=no", "-D", root,
            "--private-network", "--capability=all", "--system-call-filter=bpf", f"--bind={bpf}:/sys/fs/bpf", "--console=pipe",
            "--boot", "systemd.unit=basic.target"], env={"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"})
        wait_for("the container's first process", lambda: self.find_leader(nspawn))
        wait_for("its systemd", lambda: self.sh("systemctl", "is-active", "basic.target", check=False).stdout == "active\n")
        for unit, options in OPTIONS.items():
            self.sh("tee", f"/etc/default/{unit}", stdin=f'OPTIONS="{options}"\n')

    def find_leader(self, nspawn):
        found = run("ps", "-o", "pid=", "--ppid", nspawn, check=False).stdout.split()
        self.leader = next((pid for pid in found if re.search(rf"NSpid:\s+{pid}\s+1\n", pathlib.Path(f"/proc/{pid}/status").read_text())),
                           None)
        return self.leader

    def inside(self, *argv):
        return ["nsenter", "-t", self.leader, "--all", *argv]

    def sh(self, *argv, **options):
        return run(*self.inside(*argv), **options)

    def show(self, unit, what):
        return self.sh("systemctl", "show", "-P", what, unit).stdout.strip()

    def pid(self, unit):
        return self.show(unit, "MainPID")

    def kill(self, unit):
        """systemd starts it again."""
        before = self.pid(unit)
        self.sh("systemctl", "kill", "-s", "KILL", "--kill-whom=main", unit)
        wait_for(f"{unit} to be back", lambda: self.pid(unit) not in ("0", before) and self.show(unit, "ActiveState") == "active")

    def complaints(self, unit):
        lines = self.sh("journalctl", "-b", "--no-pager", "-o", "cat", "-u", unit).stdout.splitlines()
        return [line for line in lines if re.match("WARN |ERR |.*(WARN|ERR|EMER)\\|", line) or "Sanitizer" in line]

    def down(self):
        """Returns what is left."""
        problems = []
        nspawn = self.world.pid("container")
        if nspawn:
            os.kill(nspawn, signal.SIGTERM)
            wait_for("the container to end", lambda: start_time(nspawn) is None, 60)
        self.mounts.close()
        problems += self.world.destroy() + self.world.leftovers()
        for path in sorted(payloads() - self.cgroups, reverse=True):
            for below in sorted((entry for entry in path.rglob("*") if entry.is_dir()), reverse=True):
                below.rmdir()
            path.rmdir()
        return problems


@pytest.fixture(scope="module")
def container(tmp_path_factory):
    need_bpf()
    container = Container(tmp_path_factory.mktemp("systemd"))
    try:
        container.up()
        yield container
    finally:
        problems = container.down()
    assert not problems, "\n".join(problems)


def test_units_are_well_formed(container):
    said = container.sh("systemd-analyze", "verify", "--man=no", *(
        f"/usr/local/lib/systemd/system/{path.name.removesuffix('.in')}" for path in (TREE / "packaging/systemd").iterdir()))
    assert "warren" not in said.stdout + said.stderr


@pytest.mark.alone
def test_forwards_while_it_is_away(container):
    """A 1 kHz probe between two stations, over a kill, a restart, and two seconds without a switch."""
    container.sh("systemctl", "start", "warren-switchd")
    container.sh("ovs-vsctl", "add-br", "br0")
    for n in "12":
        container.sh("sh", "-ec", f"""
            ip netns add n{n}
            ip link add p{n} type veth peer name e0 netns n{n}
            ip link set p{n} up
            ip -n n{n} link set e0 up
            ip -n n{n} addr add 10.0.0.{n}/24 dev e0
            ovs-vsctl add-port br0 p{n}""")
    container.world.spawn("probe", container.inside("nsenter", "--net=/run/netns/n1", "ping", "-n", "-i", "0.001", "-W", "1", "10.0.0.2"))

    def replies():
        return container.world.log("probe").count("bytes from")

    def go_on():
        want = replies() + 2000
        wait_for("2000 more replies", lambda: replies() >= want, 60)

    wait_for("a reply", replies)
    go_on()
    container.kill("warren-switchd")
    go_on()
    container.sh("systemctl", "restart", "warren-switchd")
    go_on()
    container.sh("systemctl", "stop", "warren-switchd")
    assert container.show("warren-switchd", "Result") == "success"
    go_on()
    container.sh("systemctl", "start", "warren-switchd")
    wait_for("the switch to have settled", lambda: "is settled" in container.sh(
        "journalctl", "-b", "-o", "cat", f"_PID={container.pid('warren-switchd')}").stdout)
    go_on()
    container.sh("pkill", "-INT", "ping")
    wait_for("the probe's end", lambda: "packets transmitted" in container.world.log("probe"))
    assert lost_by(container.world.log("probe")) == 0
    assert container.complaints("warren-switchd") == []


def test_the_controller_keeps_its_networks(container):
    def networks():
        return container.sh("curl", "-s", "http://127.0.0.1:9696/v2.0/networks").stdout

    container.sh("systemctl", "start", "warren-controller", "warren-agent")
    container.sh("curl", "-sf", "-d", '{"network": {"name": "red"}}', "http://127.0.0.1:9696/v2.0/networks")
    wait_for("the agent", lambda: '"alive": true' in container.sh("curl", "-s", "http://127.0.0.1:9696/v2.0/agents").stdout)
    container.kill("warren-controller")
    assert '"red"' in networks()
    container.sh("systemctl", "stop", "warren-controller")  # its directory in /run goes
    container.sh("systemctl", "start", "warren-controller")
    assert '"red"' in networks()
    container.kill("warren-agent")
    for unit in ("warren-agent", "warren-controller"):
        container.sh("systemctl", "stop", unit)
        assert container.show(unit, "Result") == "success"


def test_nothing_stays(container):
    container.sh("systemctl", "stop", "warren-switchd")
    said = container.sh("/usr/local/sbin/warren-switchd", "--detach-datapath")
    assert said.stdout + said.stderr == ""
    assert "warren" not in container.sh("ls", "/sys/fs/bpf").stdout
    assert "wr" not in container.sh("ip", "netns").stdout + container.sh("ip", "-br", "link").stdout
