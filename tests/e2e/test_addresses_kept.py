# SPDX-License-Identifier: Apache-2.0
"""What bridges have learned outlives the switch as far as its megaflows do: unicast between stations that it knew is flooded to
nobody else while it is away, while it comes back and afterwards, whoever of them speaks first. Stations a, b and c are on one
hypervisor, d behind a tunnel."""
import json
import signal

import pytest
from test_hitless import STREAMS
from world import wait_for

HOSTS = {"a": "hv1", "b": "hv1", "c": "hv1", "d": "hv2"}
NORMAL = "priority=0,actions=NORMAL\n"
LEARN = ("table=0,actions=learn(table=1,hard_timeout=300,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,1)\n"
         "table=1,priority=0,actions=flood\n")


def address(station):
    return f"10.9.0.{ord(station)}"


@pytest.fixture(scope="module")
def cloud(cloud_factory, datapath):
    cloud = cloud_factory(datapath=datapath)
    cloud.allowed_warnings += ["No such file"]
    cloud.switches_up("hv1", "hv2")
    for station, hv in HOSTS.items():
        ns, vm = cloud.hv_ns(hv), cloud.world.netns(station)
        cloud.world.veth(vm, "eth0", ns, f"p{station}")
        cloud.world.sysctl(ns, **{f"net__ipv6__conf__p{station}__disable_ipv6": 1})
        cloud.world.sysctl(vm, net__ipv6__conf__eth0__disable_ipv6=1)
        cloud.world.ip(vm, "link", "set", "eth0", "address", f"02:00:00:00:00:{ord(station):02x}", "mtu", "1400", "up")
        cloud.world.ip(vm, "addr", "add", f"{address(station)}/24", "dev", "eth0")
        for other in HOSTS:
            if other != station:
                cloud.world.ip(vm, "neigh", "add", address(other), "lladdr", f"02:00:00:00:00:{ord(other):02x}", "dev", "eth0",
                               "nud", "permanent")
        cloud.world.ip(ns, "link", "set", f"p{station}", "up")
    for hv, other in (("hv1", "hv2"), ("hv2", "hv1")):
        ports = [f"p{station}" for station, host in HOSTS.items() if host == hv]
        cloud.vsctl(hv, "add-br", "br0", *[word for port in ports for word in ("--", "add-port", "br0", port)], "--", "add-port", "br0",
                    "tun", "--", "set", "Interface", "tun", "type=vxlan", "options:key=9", f"options:remote_ip={cloud.local_ip(other)}")
        cloud.vsctl(hv, "set-fail-mode", "br0", "secure", "--", "set-controller", "br0", f"unix:{cloud.rundir(hv)}/nobody")
    return cloud


def speak(cloud, station):
    """One datagram to a."""
    to = "b" if station == "a" else "a"
    cloud.world.sh(f"{cloud.world.name}-{station}", "bash", "-c", f"echo > /dev/udp/{address(to)}/9", check=False)


def heard(cloud, station):
    """Frames that came to a station."""
    shown = cloud.world.ip(f"{cloud.world.name}-{station}", "-s", "-j", "link", "show", "eth0").stdout
    return json.loads(shown)[0]["stats64"]["rx"]["packets"]


def goes_quiet(cloud):
    """Nothing comes to the third station while its neighbours hear a lot."""
    before = {station: heard(cloud, station) for station in "bc"}
    wait_for("a stream", lambda: heard(cloud, "b") > before["b"] + 200, 5)
    return heard(cloud, "c") == before["c"]


@pytest.fixture
def streams(cloud):
    """A function that begins streams between pairs of stations, and returns one that ends them and tells what became of them."""
    def end():
        assert cloud.world.kill("streams", signal.SIGINT) == 0, cloud.world.log("streams")
        return json.loads(cloud.world.log("streams").splitlines()[-1])

    def begin(rate, *pairs):
        (cloud.world.dir / "streams.log").unlink(missing_ok=True)
        pairs = [f"{cloud.world.name}-{source},{cloud.world.name}-{target},{address(target)}" for source, target in pairs]
        cloud.world.spawn("streams", ["/usr/bin/python3", "-B", STREAMS, rate, 2, *pairs], ready="ready")
        return end
    yield begin
    cloud.world.kill("streams", signal.SIGINT)  # after a failure


def program(cloud, flows):
    """The test is the bridges' controller."""
    for hv in ("hv1", "hv2"):
        cloud.ofctl(hv, "del-flows", "br0")
        cloud.ofctl(hv, "add-flows", "br0", "-", stdin=flows)


def restart(cloud, sig):
    for hv in ("hv1", "hv2"):
        cloud.world.kill(f"switchd-{hv}", sig)
    for hv in ("hv1", "hv2"):
        (cloud.world.dir / f"switchd-{hv}.log").write_text("")
        cloud.switchd_up(hv)


@pytest.mark.alone
@pytest.mark.parametrize("flows,sig", [(NORMAL, signal.SIGKILL), (LEARN, signal.SIGTERM)], ids=["normal", "learn"])
def test_nobody_else_hears(cloud, datapath, streams, flows, sig):
    """The receivers have spoken before, and do not any more. The userspace datapath has lost its megaflows with its process: it
    floods until they speak again, and not any longer."""
    program(cloud, flows)
    for station in "bcda":
        speak(cloud, station)
    end = streams(1000, ("a", "b"), ("a", "d"))
    wait_for("all stations to be known", lambda: goes_quiet(cloud), 10)
    before = heard(cloud, "c")
    restart(cloud, sig)
    program(cloud, flows)
    if datapath == "ebpf":
        for hv in ("hv1", "hv2"):
            wait_for("the flows to be settled", lambda hv=hv: "is settled" in cloud.world.log(f"switchd-{hv}"), 60)
        assert goes_quiet(cloud) and heard(cloud, "c") == before
    else:
        wait_for("a flood", lambda: heard(cloud, "c") > before, 20)
    for station in "bd":
        speak(cloud, station)
    wait_for("the switch to know both", lambda: goes_quiet(cloud), 10)
    report = end()
    assert datapath != "ebpf" or all(not seen["lost"] and not seen["twice"] for seen in report.values()), report


@pytest.mark.alone
@pytest.mark.parametrize("datapath", ["ebpf"], indirect=True)
def test_nobody_else_hears_another_layout(cloud, streams):
    """Megaflows of another version cannot be read: packets teach, and both ends of a conversation do before it has a flow."""
    program(cloud, NORMAL)
    end = streams(20000, ("a", "b"), ("b", "a"))
    wait_for("all stations to be known", lambda: goes_quiet(cloud), 10)
    before = heard(cloud, "c")
    cloud.world.kill("switchd-hv1", signal.SIGKILL)
    pins = cloud.pins("hv1")
    next(pins.iterdir()).rename(pins / "layout0")
    (cloud.world.dir / "switchd-hv1.log").write_text("")
    cloud.switchd_up("hv1")
    program(cloud, NORMAL)
    wait_for("the programs to be replaced", lambda: "of another version are replaced" in cloud.world.log("switchd-hv1"), 60)
    assert goes_quiet(cloud) and heard(cloud, "c") == before
    end()
