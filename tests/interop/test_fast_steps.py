# SPDX-License-Identifier: Apache-2.0
"""Rarer actions on real frames, on each datapath: cut outputs, ports of SCTP, neighbour discovery, MPLS, Geneve options. On the eBPF
datapath the frames go through once more while the switches are stopped: nobody but the fast path can have passed them on."""
import struct
import time

import pytest
from captures import rdpcap  # noqa: F401  (scapy, its warnings silenced)
from scapy.all import (ARP, ICMP, TCP, UDP, Dot1Q, Ether, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, IP, IPv6, Raw,
                       SCTP, SCTPChunkData, raw)
from scapy.contrib.mpls import MPLS
from test_normal_modes import Wire
from world import wait_for

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
V4 = Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2")
V6 = Ether(src=A, dst=B) / IPv6(src="fd00::1", dst="fd00::2", hlim=255)
PAYLOAD = bytes(range(200))
SECRET = 0x1234567890abcdef
ROUTED = "set_field:02:00:00:00:00:0f->eth_src,set_field:02:00:00:00:00:0e->eth_dst,dec_ttl"


def solicitation(target, address):
    return V6 / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=address)


def sctp(port):
    return V4 / SCTP(sport=7, dport=port, tag=9) / SCTPChunkData(data=PAYLOAD)


def udp(size=200, **ports):
    return V4 / UDP(**ports) / Raw(PAYLOAD[:size])


# Flows of hv1 (whose ports 1 to 3 are e1 to e3) for what comes in by port 1, and of hv2 (4 to 6), whom port 9 leads to.
FLOWS = {
    "hv1": ["sctp,sctp_dst=80,actions=set_field:8080->sctp_dst,output:2",
            "icmp6,icmp_type=135,icmp_code=0,actions=set_field:fd00::99->nd_target,set_field:02:00:00:00:00:77->nd_sll,output:2",
            "udp,udp_dst=1,actions=output(port=2,max_len=50),output:3",
            "udp,udp_dst=2,actions=output(port=2,max_len=60),output(port=3,max_len=60)",
            "udp,udp_dst=4,actions=push_mpls:0x8847,set_field:77->mpls_label,output:2",
            "mpls,mpls_label=5,mpls_bos=1,actions=pop_mpls:0x0800,output:2",
            "mpls,mpls_label=6,actions=dec_mpls_ttl,output:2",
            "arp,arp_tpa=10.0.0.1,actions=set_field:%d->tun_metadata0,set_field:5->tun_metadata1,output:9" % SECRET,
            "arp,arp_tpa=10.0.0.2,actions=set_field:%d->tun_metadata0,output:9" % (SECRET + 1),
            "arp,arp_tpa=10.0.0.3,actions=output:9,output:2",
            "tcp,nw_dst=10.0.0.7,actions=output:9",
            "tcp,nw_dst=10.0.0.8,actions=%s,set_field:10.1.0.8->nw_dst,set_field:10.2.0.1->nw_src,set_field:99->tcp_dst,output:9" % ROUTED,
            "tcp6,ipv6_dst=fd00::8,actions=%s,set_field:fd02::1->ipv6_src,set_field:5->tcp_src,output:9" % ROUTED,
            "tcp,dl_vlan=5,actions=strip_vlan,%s,output:9" % ROUTED,
            "dl_vlan=6,actions=strip_vlan,output:9",
            "tcp,nw_dst=10.0.0.9,actions=mod_vlan_vid:7,output:9",
            "tcp,tcp_src=70,actions=output:9", "tcp6,tcp_src=70,actions=output:9"],
    "hv2": ["tun_metadata0=%d,tun_metadata1=5,actions=output:4" % SECRET,
            "tun_metadata0=%d,actions=output:5" % (SECRET + 1),
            "priority=1,actions=output:6"],
}


def arp(last):
    return Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(pdst=f"10.0.0.{last}") / Raw(bytes(18))


def labelled(label, ttl, packet):
    return Ether(src=A, dst=B, type=0x8847) / MPLS(label=label, s=1, ttl=ttl) / packet[IP]


# What goes in by port 1, and what comes out where.
FRAMES = {
    "SCTP port": (sctp(80), {2: sctp(8080)}),
    "ND": (solicitation("fd00::1", A), {2: solicitation("fd00::99", "02:00:00:00:00:77")}),
    "cut and whole": (udp(dport=1), {2: raw(udp(dport=1))[:50], 3: udp(dport=1)}),
    "nothing to cut": (udp(4, dport=1), {2: udp(4, dport=1), 3: udp(4, dport=1)}),
    "a label on": (udp(dport=4), {2: labelled(77, 64, udp(dport=4))}),
    "a label off": (labelled(5, 9, udp(dport=5)), {2: udp(dport=5)}),
    "a label changed": (labelled(6, 9, udp(dport=6)), {2: labelled(6, 8, udp(dport=6))}),
    "options": (arp(1), {4: arp(1)}),
    "other options": (arp(2), {5: arp(2)}),
    "no options": (arp(3), {2: arp(3), 6: arp(3)}),
}


@pytest.fixture(scope="module")
def hvs(cloud_factory, datapath):
    cloud = cloud_factory(datapath=datapath)
    cloud.switches_up("hv1", "hv2")
    far = cloud.world.netns("w")
    cloud.world.sysctl(far, net__ipv6__conf__default__disable_ipv6=1)
    for hv, first, other in (("hv1", 1, 2), ("hv2", 4, 1)):
        ns = cloud.hv_ns(hv)
        cloud.world.sysctl(ns, net__ipv6__conf__default__disable_ipv6=1)
        args = ["add-br", "br0", "--", "set", "Bridge", "br0", "fail_mode=secure", "--", "add-port", "br0", "tun", "--", "set",
                "Interface", "tun", "type=geneve", f"options:remote_ip=10.201.{other}.2", "options:key=5", "ofport_request=9"]
        for k in range(first, first + 3):
            cloud.world.veth(ns, f"p{k}", far, f"e{k}")
            cloud.world.ip(ns, "link", "set", f"p{k}", "up")
            cloud.world.ip(far, "link", "set", f"e{k}", "up", "promisc", "on")
            args += ["--", "add-port", "br0", f"p{k}", "--", "set", "Interface", f"p{k}", f"ofport_request={k}"]
        cloud.vsctl(hv, *args)
        cloud.tool(hv, "ovs-ofctl", "add-tlv-map", "br0",
                   "{class=0x102,type=1,len=8}->tun_metadata0,{class=0x103,type=2,len=4}->tun_metadata1")
        for flow in FLOWS[hv]:
            cloud.tool(hv, "ovs-ofctl", "add-flow", "br0", f"in_port={1 if hv == 'hv1' else 9},{flow}")
    cloud.wire = Wire(far)
    yield cloud
    cloud.wire.close()


def passed_on(cloud, frame, want):
    """What came out of the ports, when it is WANT or nothing more comes."""
    cloud.wire.drain(0)
    cloud.wire.sockets[1].send(frame)
    shown = lambda got: {k: frames for k, frames in got.items() if frames}  # noqa: E731
    return shown(cloud.wire.drain(2, lambda got: shown(got) == want))


@pytest.mark.parametrize("name", FRAMES)
def test_frame(hvs, datapath, name):
    sent, want = FRAMES[name]
    sent, want = raw(sent), {k: [raw(f)] for k, f in want.items()}
    wait_for(f"{name}: {want}", lambda: passed_on(hvs, sent, want) == want, 10)
    if datapath == "ebpf":
        with hvs.switches_frozen():
            for _ in range(3):
                assert passed_on(hvs, sent, want) == want
        for hv in hvs.hypervisors:
            assert "dp:userspace" not in hvs.appctl(hv, "dpctl/dump-flows")


# --- too big for the tunnel

ROOM = 1500 - 20 - 8 - 8 - 14  # of an IP packet without tags in Geneve over IPv4


def big(last, *tags):
    frame = Ether(src=A, dst=B)
    for tag in tags:
        frame /= Dot1Q(vlan=tag)
    return frame / IP(src="10.0.0.1", dst=f"10.0.0.{last}", flags="DF", tos=8) / TCP(sport=7, dport=80) / Raw(bytes(1440))


def big6(last):
    return Ether(src=A, dst=B) / IPv6(src="fd00::1", dst=f"fd00::{last}", fl=5) / TCP(sport=7, dport=80) / Raw(bytes(1420))


def too_big(mtu, sent, *tags):
    """What a router would say of SENT to its sender, who knows the packet as it has sent it."""
    frame = Ether(src=B, dst=A)
    for tag in tags:
        frame /= Dot1Q(vlan=tag)
    if IP in sent:
        answer = IP(src=sent[IP].dst, dst=sent[IP].src, tos=0xc0, id=0) / ICMP(type=3, code=4, nexthopmtu=mtu)
        return frame / answer / Raw(raw(sent[IP])[:576 - 28])
    answer = IPv6(src=sent[IPv6].dst, dst=sent[IPv6].src) / ICMPv6PacketTooBig(mtu=mtu)
    return frame / answer / Raw(raw(sent[IPv6])[:1280 - 48])


TOO_BIG = {
    "as it is": (big(7), too_big(ROOM, big(7))),
    "translated": (big(8), too_big(ROOM, big(8))),
    "translated, IPv6": (big6(8), too_big(ROOM, big6(8))),
    "a tag off": (big(10, 5), too_big(ROOM, big(10), 5)),
    "one of two tags off": (big(10, 6, 5), too_big(ROOM - 4, big(10), 6, 5)),
    "a tag on": (big(9), too_big(ROOM - 4, big(9))),
}


@pytest.mark.parametrize("name", TOO_BIG)
def test_too_big_is_told(hvs, name):
    """Whatever the flow makes of the packet; also by the flow that its first packet has brought, and without a neighbour."""
    sent, want = TOO_BIG[name]
    sent, want = raw(sent), {1: [raw(want)]}
    hvs.world.ip(hvs.hv_ns("hv1"), "neigh", "flush", "dev", "und0")
    for _ in range(3):
        assert passed_on(hvs, sent, want) == want


def not_told(packet, **addresses):
    layer = packet[1]
    for name, value in addresses.items():
        setattr(layer, name, value)
    packet[TCP].sport = 70
    return packet


NOT_TOLD = {
    "to a multicast address": not_told(big(1), dst="239.1.1.1"),
    "to all": not_told(big(1), dst="255.255.255.255"),
    "from a multicast address": not_told(big(1), src="239.1.1.1"),
    "from loopback": not_told(big(1), src="127.0.0.1"),
    "to a multicast address, IPv6": not_told(big6(1), dst="ff1e::1"),
    "from a multicast address, IPv6": not_told(big6(1), src="ff1e::1"),
}


@pytest.mark.parametrize("name", NOT_TOLD)
def test_too_big_is_not_told(hvs, name):
    """In the name of one who is not a single host, or to such a one; whoever is behind is."""
    want = {1: [raw(too_big(ROOM, big(7)))]}
    for _ in range(3):
        hvs.wire.drain(0)
        hvs.wire.sockets[1].send(raw(NOT_TOLD[name]))
        assert passed_on(hvs, raw(big(7)), want) == want


def test_too_big_is_told_so_often(hvs):
    """A thousand times at once and a second."""
    sender, frame, told, start = hvs.wire.sockets[1], raw(big(7)), 0, time.monotonic()
    for _ in range(100):
        for _ in range(40):
            sender.send(frame)
        told += len(hvs.wire.drain(0.01)[1])
    passed = time.monotonic() - start
    told += len(hvs.wire.drain(0.5)[1])
    assert told <= 1000 + 1000 * (passed + 0.1), passed
    wait_for("another one to be told", lambda: passed_on(hvs, frame, {1: [raw(too_big(ROOM, big(7)))]}), 5)


RULES = {"mark": (("fwmark", "5"), "egress_pkt_mark=5"), "source": (("from", "10.201.1.2"), "local_ip=10.201.1.2")}


@pytest.mark.parametrize("name", RULES)
def test_routing_rules(hvs, name):
    """The host's rules choose the route of tunnel packets, whoever sends them."""
    selector, option = RULES[name]
    ns, (sent, want) = hvs.hv_ns("hv1"), FRAMES["no options"]
    sent, want = raw(sent), {k: [raw(f)] for k, f in want.items()}
    commands = (("route", "add", "default", "via", "10.201.1.1", "table", "100"), ("rule", "add", *selector, "lookup", "100"),
                ("route", "add", "blackhole", "10.201.2.0/24"))
    wait_for("the frame to pass", lambda: passed_on(hvs, sent, want) == want, 10)
    for command in commands:
        hvs.world.ip(ns, *command)
    try:
        hvs.vsctl("hv1", "set", "Interface", "tun", f"options:{option}")
        wait_for("the frame to pass", lambda: passed_on(hvs, sent, want) == want, 10)
        for _ in range(5):
            assert passed_on(hvs, sent, want) == want
    finally:
        hvs.vsctl("hv1", "remove", "Interface", "tun", "options", option.partition("=")[0])
        for what, _, *words in reversed(commands):
            hvs.world.ip(ns, what, "del", *words)


def test_mtu_of_the_route(hvs, datapath):
    """An MTU that somebody gave the route is as good as the device's, from a second later on, also when user space has
    just asked for the route."""
    sent = Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.7", flags="DF") / TCP(dport=80) / Raw(bytes(ROOM - 90))
    for command, want in 4 * (("add", {1: [raw(too_big(ROOM - 100, sent))]}), ("del", {6: [raw(sent)]})):
        hvs.world.ip(hvs.hv_ns("hv1"), "route", command, "10.201.2.2", "via", "10.201.1.1", "mtu", "1400")
        wait_for(f"{want}", lambda w=want: passed_on(hvs, raw(sent), w) == w, 10)
        for _ in range(3):
            assert passed_on(hvs, raw(sent), want) == want
        if command == "del" and datapath == "ebpf":
            def by_itself(want=want):
                with hvs.switches_frozen():
                    return passed_on(hvs, raw(sent), want) == want
            wait_for("the fast path to do it", by_itself, 10)


def test_source_of_the_route(hvs):
    """Flows that leave the outer source address to the route follow it, whatever is looked at meanwhile."""
    frames = {name: ({k: [raw(f)] for k, f in want.items()}, raw(sent)) for name, (sent, want) in FRAMES.items() if "options" in name}
    ns, route = hvs.hv_ns("hv1"), ("route", "replace", "default", "via", "10.201.1.1", "src")
    hvs.vsctl("hv1", "set", "Open_vSwitch", ".", "other_config:fast-path-sample=1")
    hvs.world.ip(ns, "addr", "add", "10.201.1.3/24", "dev", "und0")
    try:
        for source in ("10.201.1.3", "10.201.1.2"):
            for want, frame in frames.values():
                wait_for(f"{want}", lambda w=want, f=frame: passed_on(hvs, f, w) == w, 10)
            hvs.world.ip(ns, *route, source)
            hvs.vsctl("hv2", "set", "Interface", "tun", f"options:remote_ip={source}")
            end = time.monotonic() + 2
            while time.monotonic() < end:
                hvs.wire.sockets[1].send(frames["options"][1])
                time.sleep(0.002)
            for want, frame in frames.values():
                wait_for(f"{want} from {source}", lambda w=want, f=frame: passed_on(hvs, f, w) == w, 10)
        assert hvs.counter("hv1", "megaflow_sample_mismatch") == 0
    finally:
        hvs.vsctl("hv1", "remove", "Open_vSwitch", ".", "other_config", "fast-path-sample")
        hvs.world.ip(ns, *route, "10.201.1.2")
        hvs.world.ip(ns, "addr", "del", "10.201.1.3/24", "dev", "und0")
        hvs.vsctl("hv2", "set", "Interface", "tun", "options:remote_ip=10.201.1.2")
