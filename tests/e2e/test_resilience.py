# SPDX-License-Identifier: Apache-2.0
"""A killed program comes back without anyone's help to the others, and traffic goes on meanwhile."""
import os
import pathlib
import re
import signal
import threading
import time

import pytest
from echo import lost_by
from test_lab import assert_connected, tenants_up, wait_connected
from world import run, start_time, wait_for


class Probe:
    """A ping every 10 ms from one VM to another; stop() tells how many were lost."""

    def __init__(self, cloud, source, target):
        self.world = cloud.world
        self.tag = f"probe-{source}-{target}"
        (self.world.dir / f"{self.tag}.log").unlink(missing_ok=True)  # of the one before
        self.world.spawn(self.tag, ["ping", "-n", "-i", "0.01", "-W", "1", cloud.vms[target]["ip"]],
                         netns=cloud.vms[source]["ns"])
        wait_for("the probe's first reply", lambda: "bytes from" in self.world.log(self.tag), 5)

    def replies(self):
        return self.world.log(self.tag).count("bytes from")

    def stop(self, more=50):
        """How many were lost, after MORE further replies: what was lost during the event shows, and that it goes on."""
        want = self.replies() + more
        wait_for(lambda: f"{more} more replies, {self.replies()} of {want} so far", lambda: self.replies() >= want)
        self.world.kill(self.tag, signal.SIGINT)
        return lost_by(self.world.log(self.tag))


@pytest.fixture(scope="module")
def cloud(cloud_factory):
    cloud = tenants_up(cloud_factory(), "vxlan")
    # Losing a peer is worth a warning; these are about the programs that this test kills.
    cloud.allowed_warnings += ["connection", "connect", "lost", "closed", "reset by peer", "ovsdb-server", "refused", "No such file"]
    return cloud


def children(pid, name):
    """Pids of the children of PID whose command is NAME."""
    found = run("ps", "-o", "pid=,comm=", "--ppid", pid, check=False).stdout.split("\n")
    return [int(line.split()[0]) for line in found if line.split()[1:] == [name]]


def flow_ages(cloud, hv, bridge):
    """Age in seconds by flow, learned flows left out."""
    ages = {}
    for line in cloud.ofctl(hv, "dump-flows", bridge).splitlines():
        found = re.search(r"duration=([\d.]+)s", line)
        if found and "hard_timeout=300" not in line:
            ages[re.sub(r"duration=[^,]*, |n_packets=\d+, |n_bytes=\d+, ", "", line)] = float(found[1])
    return ages


def test_agent_killed(cloud):
    before = {bridge: flow_ages(cloud, "hv1", bridge) for bridge in ("br-int", "br-tun")}
    assert all(before.values())
    probe = Probe(cloud, "red1", "red2")
    cloud.world.kill("agent-hv1", signal.SIGKILL)
    started = next(a["started_at"] for a in cloud.api("GET", "/v2.0/agents")["agents"] if a["host"] == "hv1")
    time.sleep(1.1)  # started_at counts whole seconds
    cloud.agent_up("hv1")
    wait_for("the agent to have registered anew", lambda: all(
        a["alive"] and a["started_at"] != started for a in cloud.api("GET", "/v2.0/agents")["agents"] if a["host"] == "hv1"))
    assert probe.stop() == 0
    # Nothing changed, so not one flow was touched: each is there and has grown older.
    for bridge, ages in before.items():
        now = flow_ages(cloud, "hv1", bridge)
        assert now.keys() == ages.keys()
        assert all(now[flow] > age for flow, age in ages.items())


def test_controller_killed(cloud):
    probe = Probe(cloud, "red1", "red3")
    cloud.world.kill("controller", signal.SIGKILL)
    assert probe.stop() == 0
    probe = Probe(cloud, "red1", "red3")
    cloud.controller_up(cloud.port)
    # The agents find it again and wire new ports, with nobody's help.
    network = cloud.vms["red1"]["network"]
    name = f"red{90 + len(cloud.vms)}"
    vm = cloud.vm(name, network, "hv3")
    cloud.wait_active(40)
    assert cloud.ping("red1", vm["ip"], count=2) == 2
    assert probe.stop() == 0


def test_ovsdb_server_of_a_hypervisor_killed(cloud):
    switchd = cloud.world.pid("switchd-hv2")
    server = children(switchd, "ovsdb-server")
    assert len(server) == 1
    probe = Probe(cloud, "red1", "red2")
    os.kill(server[0], signal.SIGKILL)
    wait_for("the database to be gone", lambda: start_time(server[0]) is None)
    wait_for("a new ovsdb-server", lambda: children(switchd, "ovsdb-server"))
    wait_for("ovs-vsctl to work", lambda: "br-int" in cloud.vsctl("hv2", "list-br", check=False), 30)
    # The switch writes its columns anew, and takes new configuration.
    cloud.vsctl("hv2", "add-br", "br-new")
    assert re.search(r"[0-9a-f]{16}", cloud.vsctl("hv2", "get", "Bridge", "br-int", "datapath_id"))
    cloud.vsctl("hv2", "del-br", "br-new")
    assert probe.stop() == 0


def test_ovsdb_server_of_the_overlay_killed(cloud):
    controller = cloud.world.pid("controller")
    server = children(controller, "ovsdb-server")
    assert len(server) == 1
    probe = Probe(cloud, "red1", "red2")
    os.kill(server[0], signal.SIGKILL)
    wait_for("a new ovsdb-server", lambda: children(controller, "ovsdb-server") not in ([], server))
    wait_for("the API to answer again", lambda: cloud.request("GET", "/v2.0/networks")[0] == 200, 20)
    vm = cloud.vm("red80", cloud.vms["red1"]["network"], "hv2")
    cloud.wait_active(40)
    assert cloud.ping("red1", vm["ip"], count=2) == 2
    assert probe.stop() == 0


@pytest.fixture(scope="module")
def two(cloud_factory, datapath):
    cloud = cloud_factory(datapath=datapath)
    cloud.allowed_warnings += ["connection", "connect", "lost", "closed", "reset by peer", "refused", "No such file"]
    cloud.up(("hv1", "hv2"), port=cloud.api_port)
    network = cloud.network("red", "geneve")
    for name, hv, host in (("red1", "hv1", 11), ("red2", "hv2", 12), ("red3", "hv2", 13)):
        cloud.vm(name, network, hv, f"10.0.0.{host}")
    wait_connected(cloud)
    assert_connected(cloud)
    return cloud


def test_switch_killed(two, datapath):
    """All is programmed again, by itself. The userspace datapath stops with its process meanwhile, the eBPF one does not."""
    probe = Probe(two, "red1", "red2") if datapath == "ebpf" else None
    two.world.kill("switchd-hv2", signal.SIGKILL)
    if probe:
        there = probe.replies()
        wait_for("replies while the switch is away", lambda: probe.replies() >= there + 50, 5)
    else:
        assert two.ping("red1", two.vms["red2"]["ip"], count=2, wait=1) == 0
    two.switchd_up("hv2")
    assert len(list(two.rundir("hv2").glob("ovs-vswitchd.*.ctl"))) == 1  # not the killed one's
    wait_for("red2 to be reached again", lambda: two.ping("red1", two.vms["red2"]["ip"], count=1, wait=1) == 1, 40)
    wait_for("a flow that nobody has had before", lambda: two.ping("red3", two.vms["red1"]["ip"], count=1, wait=1) == 1, 40)
    assert_connected(two)
    if probe:
        assert probe.stop() == 0


def test_started_while_the_former_server_ends(two):
    """The database's server ends a moment after its switch: who comes between does not take it for one that stays."""
    server = children(two.world.pid("switchd-hv2"), "ovsdb-server")[0]
    os.kill(server, signal.SIGSTOP)
    two.world.kill("switchd-hv2", signal.SIGKILL)
    later = threading.Timer(0.5, os.kill, (server, signal.SIGCONT))
    later.start()
    two.switchd_up("hv2")
    later.join()
    wait_for("it to have ended", lambda: start_time(server) is None, 5)  # its socket goes first
    assert "br-int" in two.vsctl("hv2", "list-br")
    wait_for("red2 to be reached again", lambda: two.ping("red1", two.vms["red2"]["ip"], count=1) == 1, 40)


def test_terms_leave_status_0(cloud):
    for tag in ("agent-hv3", "switchd-hv3"):
        assert cloud.world.kill(tag) == 0, cloud.world.log(tag)[-500:]
    assert not pathlib.Path(cloud.rundir("hv3"), "ovs-vswitchd.pid").exists()
    cloud.switchd_up("hv3")
    cloud.agent_up("hv3")
    wait_connected(cloud)
