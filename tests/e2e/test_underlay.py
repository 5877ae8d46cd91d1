# SPDX-License-Identifier: Apache-2.0
"""Underlays of other shapes than one routed device: a Linux bridge, the switch's own bridge, two uplinks with equal routes.
Each carries tunnels by the fast path (where there is one), and the host's own traffic as before."""
import json
import re
import signal

import pytest
from cloud import UNDERLAY_MTU
from echo import echo
from transfer import ask_from, serve_in
from world import wait_for

FAR = "10.201.2.2"


def linux_bridge(cloud):
    """hv1's address is on a bridge, of which the device to the router is a port."""
    w, ns = cloud.world, cloud.hv_ns("hv1")
    w.ip(ns, "addr", "flush", "dev", "und0")
    w.ip(ns, "link", "add", "br0", "type", "bridge")
    w.ip(ns, "link", "set", "und0", "master", "br0")
    own_address(cloud, "br0")


def own_bridge(cloud):
    """hv1's address is on the local port of a bridge of the switch, as br-ex is."""
    cloud.world.ip(cloud.hv_ns("hv1"), "addr", "flush", "dev", "und0")
    cloud.vsctl("hv1", "add-br", "br-ex", "--", "add-port", "br-ex", "und0")
    own_address(cloud, "br-ex")


def own_address(cloud, link):
    w, ns = cloud.world, cloud.hv_ns("hv1")
    w.ip(ns, "link", "set", link, "mtu", UNDERLAY_MTU, "up")
    w.ip(ns, "addr", "add", "10.201.1.2/24", "dev", link)
    w.ip(ns, "addr", "add", "fd00:201:1::2/64", "dev", link, "nodad")
    w.ip(ns, "route", "replace", "default", "via", "10.201.1.1")
    w.ip(ns, "-6", "route", "replace", "default", "via", "fd00:201:1::1")


def equal_routes(cloud):
    cloud.world.ip(cloud.hv_ns("hv1"), "route", "replace", "default", "src", "10.201.1.2", "nexthop", "via", "10.202.0.1",
                   "nexthop", "via", "10.202.1.1")


def two_uplinks(cloud):
    """hv1 has its address on the loopback device, and two ways to the router that cost the same."""
    w, ns, router = cloud.world, cloud.hv_ns("hv1"), f"{cloud.world.name}-rt"
    w.ip(ns, "addr", "flush", "dev", "und0")
    w.ip(router, "addr", "flush", "dev", "u1")
    w.veth(ns, "und1", router, "u1b")
    for n, (near, far) in enumerate((("und0", "u1"), ("und1", "u1b"))):
        for where, link, host in ((ns, near, 2), (router, far, 1)):
            w.ip(where, "link", "set", link, "mtu", UNDERLAY_MTU, "up")
            w.ip(where, "addr", "add", f"10.202.{n}.{host}/24", "dev", link)
    w.ip(ns, "addr", "add", "10.201.1.2/32", "dev", "lo")
    w.sysctl(ns, net__ipv4__fib_multipath_hash_policy=1)
    w.sysctl(router, net__ipv4__fib_multipath_hash_policy=1)
    equal_routes(cloud)
    w.ip(router, "route", "add", "10.201.1.2", "nexthop", "via", "10.202.0.2", "nexthop", "via", "10.202.1.2")


SHAPES = {"linux_bridge": linux_bridge, "own_bridge": own_bridge, "two_uplinks": two_uplinks}


@pytest.fixture(scope="module", params=SHAPES)
def cloud(request, cloud_factory, datapath):
    cloud = cloud_factory(datapath=datapath)
    cloud.shape = request.param
    cloud.up(("hv1", "hv2"), port=cloud.api_port)
    SHAPES[request.param](cloud)
    network = cloud.network("net", "vxlan")
    for n in (1, 2):
        cloud.vm(f"vm{n}", network, f"hv{n}", f"10.0.0.{n}", port_security_enabled=False)
    cloud.wait_active()
    cloud.wait_mesh()
    wait_for("vm2 to answer", lambda: cloud.ping("vm1", "10.0.0.2", count=1, wait=1) == 1, 20)
    yield cloud
    cloud_factory.remove(cloud)


def is_fast(cloud):
    """Flows of the fast path are there."""
    return "dp:ebpf" in cloud.appctl("hv1", "dpctl/dump-flows", "-m")


def userspace_packets(cloud):
    """How many packets of flows between the VMs user space ran, and how many there were."""
    packets = [("dp:ebpf" in line, int(re.search(r"packets:(\d+)", line)[1]))
               for line in cloud.appctl("hv1", "dpctl/dump-flows", "-m").splitlines() if "packets:" in line]
    return sum(n for fast, n in packets if not fast), sum(n for _, n in packets)


def transfer(cloud, connections):
    """One after another, each with 400 kB both ways, which must come back as they were."""
    world = cloud.world
    serve_in(world, "far", cloud.vms["vm2"]["ns"])
    wrong = ask_from(world, cloud.vms["vm1"]["ns"], "ask-tcp", *["10.0.0.2"] * connections)
    world.kill("far")
    assert wrong == ""


def test_tunnels_pass(cloud):
    assert cloud.ping("vm1", "10.0.0.2", count=10, interval=0.01) == 10
    assert cloud.ping("vm1", "10.0.0.2", count=3, size=1400) == 3
    transfer(cloud, 16)
    if is_fast(cloud):
        slow, packets = userspace_packets(cloud)
        assert packets > 100 and slow < packets / 10, (slow, packets)


def test_the_host_is_served(cloud):
    """What is not a tunnel's goes to the host and comes from it."""
    assert echo(cloud.hv_ns("hv1"), FAR, count=5) == 5


def sent_bytes(cloud, link):
    return json.loads(cloud.world.ip(cloud.hv_ns("hv1"), "-s", "-j", "link", "show", link).stdout)[0]["stats64"]["tx"]["bytes"]


def test_two_uplinks_share(cloud):
    if cloud.shape != "two_uplinks" or not is_fast(cloud):
        pytest.skip("one uplink, or user space: the kernel sees no ports of what raw sockets send")
    before = [sent_bytes(cloud, link) for link in ("und0", "und1")]
    transfer(cloud, 40)
    sent = [sent_bytes(cloud, link) - old for link, old in zip(("und0", "und1"), before)]
    assert min(sent) > sum(sent) / 20, sent


def test_an_uplink_goes(cloud):
    """Its routes go with it, and tunnel packets take the other way at once."""
    if cloud.shape != "two_uplinks":
        pytest.skip("one uplink")
    w, ns, router = cloud.world, cloud.hv_ns("hv1"), f"{cloud.world.name}-rt"

    def carrier(where, link):  # the kernel sees to it in its own time, and until then nothing leaves by the device
        return json.loads(w.ip(where, "-j", "link", "show", link).stdout)[0]["operstate"]
    for n, (link, far) in enumerate((("und0", "u1"), ("und1", "u1b"))):
        w.ip(router, "route", "replace", "10.201.1.2", "via", f"10.202.{1 - n}.2")
        w.ip(ns, "link", "set", link, "down")
        assert cloud.ping("vm1", "10.0.0.2", count=10, interval=0.01) == 10, link
        w.ip(ns, "link", "set", link, "up")
        wait_for(f"{link} to be up", lambda a=link, b=far: carrier(ns, a) == carrier(router, b) == "UP")
        equal_routes(cloud)


@pytest.mark.alone
def test_the_switch_is_killed(cloud):
    """Also where the switch is its own underlay."""
    if not is_fast(cloud):
        pytest.skip("the userspace datapath ends with its process")
    cloud.allowed_warnings += ["connection", "connect", "lost", "closed", "reset by peer", "refused", "No such file"]
    cloud.ping("vm1", "10.0.0.2", count=3)
    cloud.world.kill("switchd-hv1", signal.SIGKILL)
    assert cloud.ping("vm1", "10.0.0.2", count=50, interval=0.01) == 50
    cloud.switches_again("hv1")
    assert cloud.ping("vm1", "10.0.0.2", count=50, interval=0.01) == 50
