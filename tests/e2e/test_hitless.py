# SPDX-License-Identifier: Apache-2.0
"""Known flows at thousands of packets a second, through VXLAN and GRE and both ways, lose nothing: while a new version with another
layout of the maps takes over, and while ports, tunnels, bridges and flows that are not theirs change, or their next hop does. First
packets of flows that nobody knows may be late then, and when the switch is started again, but none is lost."""
import ipaddress
import json
import os
import pathlib
import re
import signal
import socket
import threading
import time

import pytest
from datapaths import need_bpf
from echo import echo, socket_in
from world import PATIENCE, netns_list, run, wait_for

STREAMS = pathlib.Path(__file__).with_name("udp_streams.py")
FIRST = pathlib.Path(__file__).with_name("first_packets.py")
FIRST_RATE = 200
KINDS = ("vxlan", "gre")
RATE, FLOWS = 2000, 4
UDP_SEGMENT = 103  # <linux/udp.h>
PRIORITY, FORMER_PRIORITY = 53248, 49152  # of our filters


def vm_up(cloud, hv, n):
    """A VM of bridge N that knows its neighbours."""
    ns, vm, host = cloud.hv_ns(hv), f"{cloud.world.name}-vm{n}{hv}", hv[2:]
    if vm not in netns_list():
        cloud.world.netns(f"vm{n}{hv}")
    cloud.world.veth(vm, "eth0", ns, f"tap{n}")
    cloud.world.sysctl(ns, **{f"net__ipv6__conf__tap{n}__disable_ipv6": 1})
    cloud.world.sysctl(vm, net__ipv6__conf__eth0__disable_ipv6=1)
    cloud.world.ip(vm, "link", "set", "eth0", "address", f"02:00:00:00:0{n}:0{host}", "mtu", "1400", "up")
    cloud.world.ip(vm, "addr", "add", f"10.9.{n}.{host}/24", "dev", "eth0")
    for other in {"1", "2"} - {host}:
        cloud.world.ip(vm, "neigh", "add", f"10.9.{n}.{other}", "lladdr", f"02:00:00:00:0{n}:0{other}", "dev", "eth0", "nud", "permanent")
    cloud.world.ip(ns, "link", "set", f"tap{n}", "up")


def add_flows(cloud, hv, n):
    ports = ((f"tap{n}", f"tun{n}"), (f"tun{n}", f"tap{n}"))
    flows = [f"in_port={source},actions=output:{target}" for source, target in ports]
    # Of first_packets.py: each has a megaflow of its own.
    flows += [f"priority=40000,in_port={source},udp,tp_dst=0x4000/0xc000,actions=move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15],"
              f"move:NXM_OF_UDP_DST[]->NXM_NX_REG0[16..31],output:{target}" for source, target in ports]
    cloud.ofctl(hv, "--bundle", "add-flows", f"br{n}", "-", stdin="\n".join(flows))


def bridge_up(cloud, hv, other, n):
    """A bridge whose flows lead from the VM to the tunnel and back; it has them again by itself after a restart."""
    vm_up(cloud, hv, n)
    cloud.vsctl(hv, "add-br", f"br{n}", "--", "set-fail-mode", f"br{n}", "secure", "--", "add-port", f"br{n}", f"tap{n}", "--", "add-port",
                f"br{n}", f"tun{n}", "--", "set", "Interface", f"tun{n}", f"type={KINDS[n]}", f"options:key={90 + n}",
                f'options:remote_ip="{cloud.local_ip(other)}"')
    add_flows(cloud, hv, n)


@pytest.fixture(scope="module")
def cloud(cloud_factory):
    need_bpf()
    cloud = cloud_factory(datapath="ebpf")
    cloud.switches_up("hv1", "hv2")
    cloud.vsctl("hv2", "add-br", "gone")
    for hv, other in (("hv1", "hv2"), ("hv2", "hv1")):
        for n in range(len(KINDS)):
            bridge_up(cloud, hv, other, n)
    cloud.vsctl("hv2", "del-br", "gone")  # so the datapath's ports have other numbers than they would get anew
    # What was an uplink, until the switch is away.
    cloud.world.ip(cloud.hv_ns("hv2"), "link", "add", "spare", "type", "veth", "peer", "name", "sparep")
    cloud.world.ip(cloud.hv_ns("hv2"), "addr", "add", "10.99.0.1/24", "dev", "spare")
    cloud.world.ip(cloud.hv_ns("hv2"), "link", "set", "spare", "up")
    return cloud


@pytest.fixture
def first_packets(cloud):
    """A function that ends first_packets.py and fails if any was lost; it returns the seconds of the latest."""
    name = cloud.world.name
    pairs = [f"{name}-vm{n}{source},{name}-vm{n}{target},10.9.{n}.{source[2:]},10.9.{n}.{target[2:]}" for n in range(len(KINDS))
             for source, target in (("hv1", "hv2"), ("hv2", "hv1"))]
    (cloud.world.dir / "first.log").unlink(missing_ok=True)
    cloud.world.spawn("first", ["/usr/bin/python3", "-B", FIRST, FIRST_RATE, *pairs], ready="ready")

    def assert_none_lost():
        assert cloud.world.kill("first", signal.SIGINT) == 0, cloud.world.log("first")
        report = json.loads(cloud.world.log("first").splitlines()[-1])
        assert all(seen["sent"] > 100 and not seen["lost"] for seen in report.values()), (
            report, {hv: cloud.drops(hv) for hv in cloud.hypervisors})
        return max([0, *(late[-1] for seen in report.values() for late in seen["late"])])
    yield assert_none_lost
    cloud.world.kill("first", signal.SIGINT)  # after a failure


@pytest.fixture
def streams(cloud):
    """A function that ends the streams and fails if they were touched; it returns their longest pause."""
    pairs = [f"{cloud.world.name}-vm{n}{source},{cloud.world.name}-vm{n}{target},10.9.{n}.{target[2:]}" for n in range(len(KINDS))
             for source, target in (("hv1", "hv2"), ("hv2", "hv1"))]
    (cloud.world.dir / "streams.log").unlink(missing_ok=True)
    cloud.world.spawn("streams", ["/usr/bin/python3", "-B", STREAMS, RATE, FLOWS, *pairs], ready="ready")

    def assert_untouched(order=True):
        assert cloud.world.kill("streams", signal.SIGINT) == 0, cloud.world.log("streams")
        report = json.loads(cloud.world.log("streams").splitlines()[-1])
        touched = {pair: seen for pair, seen in report.items() if seen["sent"] < 100 or seen["lost"] or seen["twice"] or
                   (order and seen["late"])}
        assert not touched, (touched, {hv: cloud.drops(hv) for hv in cloud.hypervisors})
        return max(seen["pause"] for seen in report.values())
    yield assert_untouched
    cloud.world.kill("streams", signal.SIGINT)  # after a failure


def test_unrelated_changes(cloud, streams):
    world, ns = cloud.world, cloud.hv_ns("hv2")
    world.ip(ns, "link", "add", "other", "type", "veth", "peer", "name", "otherp")
    world.ip(ns, "link", "set", "other", "up")
    for _ in range(2):
        for link, kind in (("other", ""), ("inner", "internal"), ("tun8", "vxlan"), ("tun8", "gre"), ("tun8", "geneve")):
            options = ["options:key=98", "options:remote_ip=10.201.1.77"] if link == "tun8" else []
            cloud.vsctl("hv2", "add-port", "br0", link, "--", "set", "Interface", link, f'type="{kind}"', *options)
            cloud.vsctl("hv2", "del-port", "br0", link)
        cloud.vsctl("hv2", "add-br", "br8", "--", "add-port", "br8", "other")
        cloud.ofctl("hv2", "add-flow", "br8", "priority=9,udp,actions=drop")
        cloud.vsctl("hv2", "del-br", "br8")
    world.ip(ns, "link", "del", "other")
    streams()


def test_other_next_hop(cloud, streams):
    world, ns = cloud.world, cloud.hv_ns("hv2")
    router = json.loads(world.ip(f"{world.name}-rt", "-j", "link", "show", "u2").stdout)[0]["address"]
    for _ in range(2):
        world.ip(ns, "neigh", "replace", "10.201.2.9", "lladdr", router, "dev", "und0", "nud", "permanent")
        world.ip(ns, "route", "add", "10.201.1.2", "via", "10.201.2.9")
        world.ip(ns, "addr", "add", "10.201.2.44/24", "dev", "und0")
        time.sleep(0.15)  # as long as the programs believe what they know, and longer
        world.ip(ns, "addr", "del", "10.201.2.44/24", "dev", "und0")
        world.ip(ns, "route", "del", "10.201.1.2")
        world.ip(ns, "neigh", "del", "10.201.2.9", "dev", "und0")
    streams(order=False)  # the kernel keeps packets until it has asked a neighbour


def filters(cloud, hv, link):
    """(priority, kind or program's name) of each filter at its ingress, anybody's."""
    shown = json.loads(cloud.world.sh(cloud.hv_ns(hv), "tc", "-j", "filter", "show", "dev", link, "ingress").stdout or "[]")
    return [(filter["pref"], filter["options"].get("prog", {}).get("name", filter["kind"])) for filter in shown
            if "options" in filter]


def test_filters_of_others(cloud):
    """Who adds a filter with no priority gets one from the kernel, and it stays his."""
    world, ns = cloud.world, cloud.hv_ns("hv2")
    kinds = {"u32": ["match", "u32", "0", "0xffffffff", "at", "0"], "bpf": ["bytecode", "1,6 0 0 0"]}
    for kind, words in kinds.items():
        for datapath_type, program in (("system", "port_ingress"), ("netdev", "warren_guard_in")):
            link = f"{kind}-{datapath_type}"
            world.ip(ns, "link", "add", link, "type", "veth", "peer", "name", f"{link}p")
            world.sysctl(ns, **{f"net__ipv6__conf__{link}__disable_ipv6": 1})
            world.sh(ns, "tc", "qdisc", "add", "dev", link, "clsact")
            world.sh(ns, "tc", "filter", "add", "dev", link, "ingress", "protocol", "all", kind, *words, "classid", "1:1")
            theirs = filters(cloud, "hv2", link)
            assert theirs
            cloud.vsctl("hv2", "add-br", "br8", "--", "set", "Bridge", "br8", f"datapath_type={datapath_type}", "--",
                        "add-port", "br8", link)
            assert "[]" in cloud.vsctl("hv2", "--columns=error", "list", "Interface", link)
            both = filters(cloud, "hv2", link)
            assert program in [name for _, name in both] and all(filter in both for filter in theirs), (link, both)
            cloud.vsctl("hv2", "del-br", "br8")
            assert filters(cloud, "hv2", link) == theirs, link
            world.ip(ns, "link", "del", link)


def test_promiscuity_is_taken_back(cloud):
    """What a port needs of its device goes with it, unless it was there before."""
    world, ns = cloud.world, cloud.hv_ns("hv2")

    def promiscuous():
        return [link["ifname"] for link in json.loads(world.ip(ns, "-j", "link").stdout)
                if link["ifname"] in ("theirs", "ours") and "PROMISC" in link["flags"]]
    for link, words in (("ours", []), ("theirs", ["promisc", "on"])):
        world.ip(ns, "link", "add", link, "type", "veth", "peer", "name", f"{link}p")
        world.ip(ns, "link", "set", link, *words, "up")
    cloud.vsctl("hv2", "add-br", "br8", "--", "add-port", "br8", "ours", "--", "add-port", "br8", "theirs")
    assert sorted(promiscuous()) == ["ours", "theirs"]
    cloud.world.kill("switchd-hv2", signal.SIGKILL)
    cloud.switchd_up("hv2")  # another process knows, too
    cloud.vsctl("hv2", "del-br", "br8")
    assert promiscuous() == ["theirs"]
    for link in ("ours", "theirs"):
        world.ip(ns, "link", "del", link)


@pytest.mark.parametrize("ended_by,away", [(signal.SIGTERM, 0), (signal.SIGKILL, 1)])
def test_first_packets_wait_for_a_restart(cloud, first_packets, ended_by, away):
    (cloud.world.dir / "switchd-hv2.log").write_text("")
    began = time.monotonic()
    cloud.world.kill("switchd-hv2", ended_by)
    time.sleep(away)
    cloud.switchd_up("hv2")
    took = time.monotonic() - began
    wait_for("the rest to be settled", lambda: "is settled" in cloud.world.log("switchd-hv2"), 60)
    latest = first_packets()
    assert away < latest < took + PATIENCE  # from the ring, not much later than the switch could


@pytest.fixture
def controlled(cloud):
    """hv2's bridges have a controller, which does not come, so that nothing but this test gives them flows again."""
    def change(*command):
        for n in range(len(KINDS)):
            cloud.vsctl("hv2", command[0], f"br{n}", *command[1:])
            add_flows(cloud, "hv2", n)
    change("set-controller", "tcp:127.0.0.1:1")
    yield
    change("del-controller")


def test_first_packets_wait_for_flows(cloud, controlled, first_packets):
    (cloud.world.dir / "switchd-hv2.log").write_text("")
    cloud.world.kill("switchd-hv2", signal.SIGKILL)
    cloud.switchd_up("hv2")
    assert not cloud.ofctl("hv2", "dump-flows", "br1").count("actions")
    for n in range(len(KINDS)):
        add_flows(cloud, "hv2", n)
    wait_for("the rest to be settled", lambda: "is settled" in cloud.world.log("switchd-hv2"), 60)
    first_packets()


class Slowed:
    """The process runs a quarter of the time, in pieces, so that nothing that it does is done at once."""

    def __init__(self, pid):
        self.pid, self.ended = pid, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ended.wait(0.01):
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(0.03)
            os.kill(self.pid, signal.SIGCONT)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def programs(cloud, hv, link):
    shown = json.loads(cloud.world.sh(cloud.hv_ns(hv), "tc", "-j", "filter", "show", "dev", link, "ingress").stdout or "[]")
    return [filter["options"]["prog"]["id"] for filter in shown if "prog" in filter.get("options", {})]


@pytest.mark.parametrize("pins", ["port_stats", "*"])
def test_pins_are_taken_away(cloud, streams, pins):
    """The maps live by the programs, which forward on until the next process has learned their flows from them; what of the
    maps is still pinned is of no use without the rest."""
    cloud.allowed_warnings += ["are pinned there: they are made anew"]
    cloud.world.ip(cloud.hv_ns("hv2"), "addr", "replace", "10.99.0.1/24", "dev", "spare")
    wait_for("all to have their programs", lambda: all(len(programs(cloud, "hv2", link)) == 1 for link in ("tap0", "tap1", "und0", "spare")))
    cloud.world.kill("switchd-hv2", signal.SIGKILL)
    gone = list(cloud.pins("hv2").glob(f"layout*/{pins}"))
    assert gone
    for path in gone:
        path.unlink()
    before = programs(cloud, "hv2", "tap0")
    (cloud.world.dir / "switchd-hv2.log").write_text("")
    cloud.switchd_up("hv2")
    assert programs(cloud, "hv2", "tap0")[-1:] == before
    wait_for("the rest to be settled", lambda: "is settled" in cloud.world.log("switchd-hv2"), 60)
    after = {link: programs(cloud, "hv2", link) for link in ("tap0", "tap1", "und0", "spare")}
    assert all(len(ids) == 1 and ids != before for ids in after.values())
    streams()


def test_filters_are_removed(cloud):
    """By somebody, of a port and of an uplink: they are there again at once, and after a start, too."""
    cloud.allowed_warnings += ["somebody removed our filter"]
    world, ns, vm = cloud.world, cloud.hv_ns("hv2"), f"{cloud.world.name}-vm0hv1"
    for away in (False, True):
        if away:
            world.kill("switchd-hv2", signal.SIGKILL)
        for link in ("tap0", "und0"):
            world.sh(ns, "tc", "qdisc", "del", "dev", link, "clsact")
        if away:
            cloud.switchd_up("hv2")
        wait_for("the programs", lambda: all(programs(cloud, "hv2", link) for link in ("tap0", "und0")))
        assert echo(vm, "10.9.0.2") == 1


def super_packets_arrive(cloud):
    """Do all of five of UDP's, from hv1 to hv2, which take the detour there?"""
    source, target = (f"{cloud.world.name}-vm0hv{n}" for n in (1, 2))
    with socket_in(source, socket.AF_INET, socket.SOCK_DGRAM) as s, socket_in(target, socket.AF_INET, socket.SOCK_DGRAM) as r:
        r.bind(("10.9.0.2", 7777))
        r.settimeout(0.5)
        s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
        for _ in range(5):
            s.sendto(bytes(20000), ("10.9.0.2", 7777))
            try:
                for _ in range(20):
                    r.recv(2000)
            except TimeoutError:
                return False
    return True


@pytest.mark.parametrize("change", ["tc qdisc del dev {} clsact", "ip link set {} down", "ip link del {}"])
def test_detour_is_changed(cloud, change):
    """By somebody: it is made anew, and serves again also while the switch does nothing."""
    cloud.allowed_warnings += ["somebody changed the device of the detour"]
    world, ns = cloud.world, cloud.hv_ns("hv2")

    def detour():
        return {link["ifname"]: link["ifindex"] for link in json.loads(world.ip(ns, "-j", "link").stdout) if link["ifname"].startswith("wr-detour")}
    before = detour()
    wait_for("a first one to be forwarded", lambda: super_packets_arrive(cloud), 20)  # a start may be so recent that packets wait
    world.sh(ns, *change.format(*before).split())
    wait_for("another one", lambda: detour() and not set(detour().values()) & set(before.values()), 5)
    wait_for("it to be whole", lambda: super_packets_arrive(cloud), 5)  # it is there before its route and its program
    with cloud.switches_frozen():
        assert super_packets_arrive(cloud)


def test_what_happens_while_events_are_lost(cloud):
    """More than the socket has room for while the switch does not run, and then a device goes and filters are removed."""
    cloud.allowed_warnings += ["somebody removed our filter"]
    world, ns, vm = cloud.world, cloud.hv_ns("hv2"), f"{cloud.world.name}-vm0hv1"
    world.veth(ns, "noisy", ns, "noisyp")
    pid = world.pid("switchd-hv2")
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(8):
            world.ip_batch(ns, [f"link set noisy mtu {mtu}" for mtu in range(1000, 1500)])
        world.ip(ns, "link", "del", "noisy")
        for link in ("tap0", "und0"):
            world.sh(ns, "tc", "qdisc", "del", "dev", link, "clsact")
        sockets = [line.split() for line in world.sh(ns, "cat", "/proc/net/netlink").stdout.splitlines()[1:]]
        assert any(int(drops) for *_, drops, _ in sockets)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for("the programs", lambda: all(programs(cloud, "hv2", link) for link in ("tap0", "und0")), 5)
    assert echo(vm, "10.9.0.2") == 1


def test_start_without_enough_descriptors(cloud, streams):
    """Wherever it fails for want of them, what forwards is left as it is, and the log says why it ends."""
    world = cloud.world
    cloud.allowed_warnings += ["Too many open files"]

    def indexes():
        return {link["ifname"]: link["ifindex"] for link in json.loads(world.ip(cloud.hv_ns("hv2"), "-j", "link").stdout)}
    devices, pins = indexes(), sorted(cloud.pins("hv2").rglob("*"))
    for limit in (25, *range(34, 44), 46, 50, 54, 57, 60):
        world.kill("switchd-hv2", signal.SIGKILL)
        before = {link: programs(cloud, "hv2", link) for link in ("tap0", "und0")}
        (world.dir / "switchd-hv2.log").write_text("")
        world.spawn("switchd-hv2", ["prlimit", f"--nofile={limit}:{limit}", cloud.program("warren-switchd"), "--rundir", cloud.rundir("hv2"),
                                    "--schemadir", cloud.schemadir, "--datapath=auto"], netns=cloud.hv_ns("hv2"))
        wait_for("it to end, to have all, or to go on asking for its database", lambda: world.pid("switchd-hv2") is None
                 or any(text in world.log("switchd-hv2") for text in ("is settled", "Too many open files; trying again")), 30)
        said = world.log("switchd-hv2")
        assert "is settled" in said or re.search("^(ERR|WARN ovsdb:) .*: (Too many open files|ovsdb-server ended at once)", said, re.M), said
        assert limit > 25 or {link: programs(cloud, "hv2", link) for link in ("tap0", "und0")} == before
        assert indexes() == devices and sorted(cloud.pins("hv2").rglob("*")) == pins, limit
    world.kill("switchd-hv2", signal.SIGKILL)
    cloud.switches_again("hv2")
    assert indexes() == devices
    streams()


def test_userspace_alone_if_asked_for(cloud):
    """Of the fast path nothing is left then, which would go on with what nobody knows."""
    world, ns = cloud.world, cloud.hv_ns("hv2")

    def answers():
        return all(echo(f"{world.name}-vm0{hv}", f"10.9.0.{other}", wait=1) for hv, other in (("hv1", "2"), ("hv2", "1")))
    for _ in range(2):
        world.kill("switchd-hv2", signal.SIGKILL)
        cloud.switchd_up("hv2", "--datapath=userspace")
        assert filters(cloud, "hv2", "tap0") == [(PRIORITY, "warren_guard")] and not filters(cloud, "hv2", "und0")
        links = [link["ifname"] for link in json.loads(world.ip(ns, "-j", "link").stdout)]
        assert not [link for link in links if link.startswith("wr")] and not cloud.pins("hv2").exists()
        wait_for("an answer", answers, 10)
        world.kill("switchd-hv2", signal.SIGKILL)
        cloud.switchd_up("hv2")
        wait_for("an answer", answers, 10)
        assert [len(programs(cloud, "hv2", link)) for link in ("tap0", "und0")] == [1, 1]


def test_slow_flows_become_fast_when_there_is_room(cloud):
    """The fast path knows 256 masks, and each of these flows has another one."""
    vm, cookie, sent = f"{cloud.world.name}-vm0hv2", 0x4d, range(320)
    flows = [f"cookie={cookie},priority=50000,in_port=tap0,udp,tp_dst={2000 + n},actions=move:NXM_OF_IP_SRC[0..{n % 32}]->"
             f"NXM_NX_REG0[0..{n % 32}],move:NXM_OF_UDP_SRC[0..{n // 32}]->NXM_NX_REG1[0..{n // 32}],output:tun0" for n in sent]
    cloud.ofctl("hv2", "--bundle", "add-flows", "br0", "-", stdin="\n".join(flows))

    def slow():
        shown = cloud.appctl("hv2", "dpctl/dump-flows", "-m").splitlines()
        return [int(port) for line in shown if "dp:userspace" in line for port in re.findall(r"udp\(src=[^,]*,dst=(2[0-9]{3})\)", line)]

    with socket_in(vm, socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(3):
            for n in sent:
                s.sendto(b"x", ("10.9.0.1", 2000 + n))
                time.sleep(0.0005)
        assert slow()
        kept = slow()[0]
        cloud.vsctl("hv2", "set", "Open_vSwitch", ".", "other_config:max-idle=1000")

        def fast():
            s.sendto(b"x", ("10.9.0.1", kept))
            return kept not in slow()
        try:
            wait_for("it to be fast", fast, 20)
        finally:
            cloud.vsctl("hv2", "remove", "Open_vSwitch", ".", "other_config", "max-idle")
            cloud.ofctl("hv2", "del-flows", "br0", f"cookie={cookie}/-1")


def local_addresses(cloud, hv):
    """To which tunnel packets are taken for ours."""
    path = next(cloud.pins(hv).rglob("local_addrs"))
    keys = [bytes(int(byte, 16) for byte in entry["key"]) for entry in json.loads(run("bpftool", "-j", "map", "dump", "pinned", path).stdout)]
    return {str(ipaddress.IPv6Address(key).ipv4_mapped or ipaddress.IPv6Address(key)) for key in keys}


def test_address_goes_while_nobody_looks(cloud):
    world, ns = cloud.world, cloud.hv_ns("hv2")
    world.ip(ns, "addr", "add", "10.99.7.7/24", "dev", "und0")
    wait_for("the address to be known", lambda: "10.99.7.7" in local_addresses(cloud, "hv2"), 5)
    world.kill("switchd-hv2", signal.SIGKILL)
    world.ip(ns, "addr", "del", "10.99.7.7/24", "dev", "und0")
    cloud.switchd_up("hv2")
    found = {a["local"] for link in json.loads(world.ip(ns, "-j", "addr").stdout) for a in link["addr_info"]}
    assert local_addresses(cloud, "hv2") == found


def test_address_gets_another_mask(cloud):
    """The new one comes before the old one goes, and the address is there all the time."""
    world, ns = cloud.world, cloud.hv_ns("hv2")

    def known():
        return "10.99.7.7" in local_addresses(cloud, "hv2")
    for length in (24, 25):
        world.ip(ns, "addr", "add", f"10.99.7.7/{length}", "dev", "und0")
    wait_for("the address to be known", known, 5)
    world.ip(ns, "addr", "del", "10.99.7.7/24", "dev", "und0")
    world.ip(ns, "addr", "add", "10.99.8.8/32", "dev", "und0")
    wait_for("what came then to be known", lambda: "10.99.8.8" in local_addresses(cloud, "hv2"), 5)
    assert known()
    for address in ("10.99.7.7/25", "10.99.8.8/32"):
        world.ip(ns, "addr", "del", address, "dev", "und0")
    wait_for("the address to be forgotten", lambda: not known(), 5)


def test_routes_are_looked_up_whatever_somebody_does(cloud):
    """Who turns the host's forwarding off has the programs' device for it not forward either; others remove the device."""
    cloud.allowed_warnings += ["somebody removed the device wr-routes"]
    world, ns, vm = cloud.world, cloud.hv_ns("hv2"), f"{cloud.world.name}-vm0hv2"
    before = cloud.drops("hv2")

    def forwards(family="ipv4"):
        return world.sh(ns, "sysctl", "-n", f"net.{family}.conf.wr-routes.forwarding", check=False).stdout == "1\n"
    for value in (1, 0):
        world.sysctl(ns, net__ipv4__ip_forward=value, net__ipv6__conf__all__forwarding=value)
    assert echo(vm, "10.9.0.1", count=5) == 5
    wait_for("it to forward again", lambda: forwards() and forwards("ipv6"), 5)
    for link in ("wr-routes", "wr-routesp"):
        world.ip(ns, "link", "del", link)
        assert echo(vm, "10.9.0.1", count=5) == 5
        wait_for("the device", forwards, 5)
        with cloud.switches_frozen():
            assert echo(vm, "10.9.0.1", count=5) == 5
    assert cloud.drops("hv2") == before


def test_policing_ends_while_nobody_looks(cloud):
    world, vm = cloud.world, f"{cloud.world.name}-vm0hv2"

    def police(kpkts, *options):
        cloud.vsctl("hv2", *options, "set", "Interface", "tap0", f"ingress_policing_kpkts_rate={kpkts}", f"ingress_policing_kpkts_burst={kpkts}")

    def policed():
        before = cloud.drops("hv2").get("policing", 0)
        echo(vm, "10.9.0.1", count=3000, interval=0.0002, wait=1)
        return cloud.drops("hv2").get("policing", 0) > before
    police(1)
    assert policed()
    os.kill(world.pid("switchd-hv2"), signal.SIGSTOP)
    police(0, "--no-wait")
    world.kill("switchd-hv2", signal.SIGKILL)
    cloud.switches_again("hv2")
    assert not policed()


def test_others_devices_of_like_names_stay(cloud):
    """The other ends of internal ports are wrp and eight digits; what is called wrp otherwise is no device of the switch's to remove."""
    world, ns = cloud.world, cloud.hv_ns("hv2")
    world.veth(ns, "wrp0", ns, "wrp0p")
    cloud.vsctl("hv2", "add-port", "br0", "wrp0")
    os.kill(world.pid("switchd-hv2"), signal.SIGSTOP)
    cloud.vsctl("hv2", "--no-wait", "del-port", "br0", "wrp0")
    world.kill("switchd-hv2", signal.SIGKILL)
    cloud.switches_again("hv2")
    assert not programs(cloud, "hv2", "wrp0")
    world.ip(ns, "link", "del", "wrp0")


def test_port_is_made_again_while_nobody_looks(cloud):
    """What another device of that name is to have, it has at once, and not only when all is settled."""
    world, vm = cloud.world, f"{cloud.world.name}-vm0hv1"
    assert echo(vm, "10.9.0.2") == 1
    cloud.world.kill("switchd-hv2", signal.SIGKILL)
    world.ip(cloud.hv_ns("hv2"), "link", "del", "tap0")
    vm_up(cloud, "hv2", 0)
    (cloud.world.dir / "switchd-hv2.log").write_text("")
    cloud.switchd_up("hv2")
    assert echo(vm, "10.9.0.2") == 1
    assert "is settled" not in cloud.world.log("switchd-hv2")
    wait_for("the rest to be settled", lambda: "is settled" in cloud.world.log("switchd-hv2"), 60)


def to_former_priority(cloud, hv, both):
    """The programs are where versions before had them, in front of where they are now; BOTH: and there, too, as if such a version
    had come after one of now."""
    ns, pin = cloud.hv_ns(hv), pathlib.Path(f"/sys/fs/bpf/{cloud.world.name}-moved")
    for link in json.loads(cloud.world.ip(ns, "-j", "link").stdout):
        for program in programs(cloud, hv, link["ifname"]):
            run("bpftool", "prog", "pin", "id", program, pin)
            place = ["dev", link["ifname"], "ingress", "protocol", "all"]
            changes = [["add", *place, "pref", FORMER_PRIORITY, "handle", 1, "bpf", "direct-action", "object-pinned", pin],
                       ["del", *place, "pref", PRIORITY, "handle", 1, "bpf"]]
            for change in changes[:1] if both else changes:
                run("nsenter", f"--net=/run/netns/{ns}", "tc", "filter", *change)
            pin.unlink()


def replace_by_another_layout(cloud, places="now"):
    """The new version is killed while it learns the flows, and the next goes on; of the old one nothing is left."""
    links = ("tap0", "tap1", "und0")
    before = {link: programs(cloud, "hv2", link) for link in links}
    assert all(len(ids) == 1 for ids in before.values())
    cloud.world.ip(cloud.hv_ns("hv2"), "addr", "replace", "10.99.0.1/24", "dev", "spare")
    wait_for("an uplink that is to be none", lambda: len(programs(cloud, "hv2", "spare")) == 1)
    cloud.world.kill("switchd-hv2", signal.SIGKILL)
    pins = cloud.pins("hv2")
    next(pins.iterdir()).rename(pins / "layout0")
    if places != "now":
        to_former_priority(cloud, "hv2", places == "both")
    cloud.world.ip(cloud.hv_ns("hv2"), "addr", "flush", "dev", "spare")
    for event in ("flows of programs of another version are learned", "programs and maps of another version are replaced"):
        (cloud.world.dir / "switchd-hv2.log").write_text("")
        cloud.switchd_up("hv2")
        assert {link: programs(cloud, "hv2", link)[-1:] for link in links} == before  # not before the tables are complete
        with Slowed(cloud.world.pid("switchd-hv2")):
            wait_for(event, lambda e=event: e in cloud.world.log("switchd-hv2"), 60)
        if "learned" in event:
            cloud.world.kill("switchd-hv2", signal.SIGKILL)
            assert all(len(programs(cloud, "hv2", link)) == 2 + (places == "both") for link in links)
    wait_for("the rest to be settled", lambda: "is settled" in cloud.world.log("switchd-hv2"), 20)
    after = {link: programs(cloud, "hv2", link) for link in links}
    assert all(len(after[link]) == 1 and after[link] != before[link] for link in links) and not programs(cloud, "hv2", "spare")
    assert {pref for link in links for pref, _ in filters(cloud, "hv2", link)} == {PRIORITY}
    assert [path.name for path in pins.iterdir()] != ["layout0"] and len(list(pins.iterdir())) == 1


@pytest.mark.parametrize("places", ["now", "former", "both"])
def test_other_layout(cloud, streams, places):
    replace_by_another_layout(cloud, places)
    pause = streams()
    shown = cloud.appctl("hv2", "dpctl/show")
    assert "missed:0" in shown or pause > 0.5, (pause, shown)  # what was seen in a second was learned, and did not come up


def test_first_packets_come_by_the_ring_of_the_other_layout(cloud, first_packets):
    replace_by_another_layout(cloud)
    first_packets()
