#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the binary seeds of tests/fuzz/corpus: frames by scapy, OpenFlow messages as Debian's ovs-ofctl sends them.

Run it again after adding a seed below; it overwrites only files that it names. Seeds that are text, and inputs that once crashed
something, are kept by hand.
"""
import pathlib
import re
import socket
import struct
import subprocess
import tempfile
import threading

from scapy.all import (ARP, Dot1AD, Dot1Q, Ether, GRE, ICMP, IP, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
                       IPv6ExtHdrRouting, IPOption_RR, LLC, Raw, SCTP, SNAP, TCP, UDP, ICMPv6EchoRequest, ICMPv6ND_NA,
                       ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, raw)
from scapy.contrib.geneve import GENEVE
from scapy.contrib.mpls import MPLS
from scapy.layers.vxlan import VXLAN

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
ETH = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
V4 = IP(src="10.0.0.1", dst="10.0.0.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2", fl=0x12345)
LL = IPv6(src="fe80::1", dst="ff02::1:ff00:2", hlim=255)

FRAMES = {
    "arp": ETH / ARP(op=2, psrc="10.0.0.1", pdst="10.0.0.2"),
    "ipv4-tcp": ETH / V4 / TCP(sport=1234, dport=80, flags="SA") / b"payload",
    "ipv4-udp": ETH / V4 / UDP(sport=68, dport=67) / b"payload",
    "ipv4-udp-no-csum": ETH / V4 / UDP(sport=1, dport=2, chksum=0) / b"payload",
    "ipv4-icmp": ETH / V4 / ICMP() / b"payload",
    "ipv4-sctp": ETH / V4 / SCTP(sport=5, dport=6) / b"payload",
    "ipv4-options": ETH / IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_RR(length=11, routers=["1.1.1.1", "2.2.2.2"])]) / UDP(),
    "ipv4-first-fragment": ETH / IP(src="10.0.0.1", dst="10.0.0.2", flags="MF") / UDP() / b"payload!",
    "ipv4-later-fragment": ETH / IP(src="10.0.0.1", dst="10.0.0.2", frag=8, proto=17) / b"payload!",
    "ipv4-padded": raw(ETH / V4 / UDP(sport=1, dport=2)) + bytes(18),
    "ipv4-total-length-too-big": ETH / IP(src="10.0.0.1", dst="10.0.0.2", len=1500) / UDP(),
    "ipv4-header-length-too-small": ETH / IP(src="10.0.0.1", dst="10.0.0.2", ihl=4) / UDP(),
    "ipv6-tcp": ETH / V6 / TCP(sport=1234, dport=80) / b"payload",
    "ipv6-udp": ETH / V6 / UDP(sport=1234, dport=53) / b"payload",
    "ipv6-ping": ETH / V6 / ICMPv6EchoRequest(data=b"payload"),
    "ipv6-extensions": ETH / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(addresses=["2001:db8::3"]) / UDP(),
    "ipv6-first-fragment": ETH / V6 / IPv6ExtHdrFragment(m=1, id=7) / UDP() / b"payload!",
    "ipv6-later-fragment": ETH / V6 / IPv6ExtHdrFragment(offset=3, id=7, nh=17) / b"payload!",
    "ipv6-no-next-header": ETH / IPv6(src="2001:db8::1", dst="2001:db8::2", nh=59) / b"x",
    "nd-solicit": ETH / LL / ICMPv6ND_NS(tgt="fe80::2") / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01"),
    "nd-advert": ETH / LL / ICMPv6ND_NA(tgt="fe80::2") / ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:02"),
    "nd-option-of-no-length": raw(ETH / LL / ICMPv6ND_NS(tgt="fe80::2")) + bytes.fromhex("0100000000000000"),
    "vlan": ETH / Dot1Q(vlan=100, prio=3) / V4 / UDP(),
    "vlan-only": raw(ETH / Dot1Q(vlan=100))[:18],
    "qinq": ETH / Dot1AD(vlan=10) / Dot1Q(vlan=20) / V4 / TCP(),
    "three-tags": ETH / Dot1AD(vlan=10) / Dot1Q(vlan=20) / Dot1Q(vlan=30) / V4 / TCP(),
    "mpls": ETH / MPLS(label=100, s=1, ttl=9) / V4 / UDP(),
    "mpls-stack-of-three": ETH / MPLS(label=1, s=0) / MPLS(label=2, s=0) / MPLS(label=3, s=1) / V4 / UDP(),
    "llc-snap": Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01", type=28) / LLC(dsap=0xaa, ssap=0xaa, ctrl=3) / SNAP(code=0x800) / V4,
    "llc": Ether(dst="01:80:c2:00:00:00", src="02:00:00:00:00:01", type=38) / LLC(dsap=0x42, ssap=0x42, ctrl=3) / Raw(bytes(35)),
    "ethernet-only": raw(ETH)[:12] + b"\x88\xb5",
}

INNER = ETH / V4 / UDP(sport=1, dport=2) / b"inner"
OUTER6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
GENEVE_OPTION = bytes.fromhex("0102030100000001")
# name: (kind, outer header included, bytes)
TUNNELS = {
    "vxlan": (0, True, V4 / UDP(sport=40000, dport=4789, chksum=0) / VXLAN(vni=5, flags=8) / INNER),
    "vxlan-csum": (0, True, V4 / UDP(sport=40000, dport=4789) / VXLAN(vni=5, flags=8) / INNER),
    "vxlan-ipv6": (0, True, OUTER6 / UDP(sport=40000, dport=4789) / VXLAN(vni=5, flags=8) / INNER),
    "vxlan-fragment": (0, True, IP(src="10.0.0.1", dst="10.0.0.2", flags="MF") / UDP(sport=4, dport=4789) / VXLAN(vni=5, flags=8) / INNER),
    "vxlan-payload": (0, False, VXLAN(vni=0xffffff, flags=8) / INNER),
    "vxlan-no-vni": (0, False, bytes(8) + raw(INNER)),
    "gre": (1, True, V4 / GRE(proto=0x6558, key_present=1, key=7) / INNER),
    "gre-csum": (1, True, V4 / GRE(proto=0x6558, chksum_present=1, key_present=1, key=7) / INNER),
    "gre-no-key": (1, True, V4 / GRE(proto=0x6558) / INNER),
    "gre-sequence": (1, True, V4 / GRE(proto=0x6558, seqnum_present=1, sequence_number=9) / INNER),
    "gre-ipv6": (1, True, IPv6(src="2001:db8::1", dst="2001:db8::2", nh=47) / GRE(proto=0x6558, key_present=1, key=7) / INNER),
    "gre-payload": (1, False, GRE(proto=0x6558, key_present=1, key=0xffffffff) / INNER),
    "gre-of-ip": (1, False, GRE(proto=0x800) / V4),
    "geneve-payload": (2, False, GENEVE(vni=5, proto=0x6558) / INNER),
    "geneve-option": (2, False, struct.pack("!BBHI", 2, 0, 0x6558, 5 << 8) + GENEVE_OPTION + raw(INNER)),
    "geneve-critical-option": (2, False, struct.pack("!BBHI", 2, 0x40, 0x6558, 5 << 8) + b"\x01\x02\x83\x01" + bytes(4) + raw(INNER)),
    "geneve-oam": (2, False, struct.pack("!BBHI", 0, 0x80, 0x6558, 5 << 8) + raw(INNER)),
    "geneve-options-beyond-the-end": (2, False, struct.pack("!BBHI", 63, 0, 0x6558, 5 << 8) + GENEVE_OPTION),
}

OFFLOAD_NONE = struct.pack("=BBHHHH", 0, 0, 0, 0, 0, 0)
BIG = bytes(range(256)) * 2
# name: (offload, edits, frame)
EDITS = {
    "all-edits": (OFFLOAD_NONE, bytes(range(8)), FRAMES["vlan"]),
    "ipv6-edits": (OFFLOAD_NONE, bytes([0x18, 0x19, 0x1a, 0x1b]), FRAMES["ipv6-tcp"]),
    "nd-edits": (OFFLOAD_NONE, bytes([0x1b, 0x13]), FRAMES["nd-solicit"]),
    "arp-edits": (OFFLOAD_NONE, bytes([0x1b, 0x14, 0x25, 0x35]), FRAMES["arp"]),
    "mpls-edits": (OFFLOAD_NONE, bytes([0x06, 0x16, 0x07, 0x17, 0x17]), FRAMES["mpls"]),
    "tso": (struct.pack("=BBHHHH", 1, 1, 54, 100, 34, 16), b"\x04\x01\x02", ETH / V4 / TCP(sport=1, dport=2, flags="PA") / BIG),
    "tso-ipv6": (struct.pack("=BBHHHH", 1, 4, 74, 100, 54, 16), b"\x02", ETH / V6 / TCP(sport=1, dport=2, flags="FPAC") / BIG),
    "uso": (struct.pack("=BBHHHH", 1, 5, 42, 100, 34, 6), b"\x02\x05", ETH / V4 / UDP(sport=1, dport=2) / BIG),
    "csum-outside": (struct.pack("=BBHHHH", 1, 0, 0, 0, 60000, 6), b"", FRAMES["ipv4-udp"]),
    "gso-of-arp": (struct.pack("=BBHHHH", 1, 1, 54, 100, 34, 16), b"", FRAMES["arp"]),
    "gso-size-0": (struct.pack("=BBHHHH", 1, 1, 54, 0, 34, 16), b"", ETH / V4 / TCP() / BIG),
}

FLOWS = {
    "l2": "table=3,priority=5,in_port=1,dl_src=02:00:00:00:00:01,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=2,LOCAL,NORMAL",
    "vlan": "dl_vlan=5,dl_vlan_pcp=3,actions=strip_vlan,mod_vlan_vid:7,mod_vlan_pcp:1,push_vlan:0x8100,set_field:4102->vlan_vid,FLOOD",
    "untagged": "vlan_tci=0,actions=ALL",
    "ipv4": "tcp,nw_src=10.0.0.0/8,nw_dst=10.1.2.3,nw_tos=32,nw_ttl=64,tp_dst=80,tcp_flags=+syn-ack,actions=dec_ttl,mod_nw_src:1.2.3.4,mod_tp_dst:81,IN_PORT",
    "ipv6": "udp6,ipv6_src=2001:db8::/32,ipv6_dst=2001:db8::1,ipv6_label=0x12345,tp_src=0x1000/0xf000,actions=mod_dl_dst:02:00:00:00:00:09,output:3",
    "nd": "icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::1,nd_sll=02:00:00:00:00:01,actions=CONTROLLER:128",
    "arp-responder": "arp,arp_op=1,arp_tpa=10.0.0.1,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],mod_dl_src:02:00:00:00:00:02,"
                     "load:0x2->NXM_OF_ARP_OP[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],"
                     "load:0x020000000002->NXM_NX_ARP_SHA[],load:0x0a000001->NXM_OF_ARP_SPA[],IN_PORT",
    "learn": "table=10,priority=1,cookie=0xabc,actions=learn(table=20,cookie=0xabc,priority=1,hard_timeout=300,NXM_OF_VLAN_TCI[0..11],"
             "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[]),output:1",
    "tunnel": "tun_id=0x5/0xff,tun_src=10.0.0.1,tun_dst=10.0.0.2,actions=set_tunnel:7,set_tunnel64:0x123456789,set_field:10.0.0.9->tun_dst,4",
    "registers": "reg0=1,reg15=0x5/0xf,metadata=0x10/0xf0,xreg1=0x100000000,pkt_mark=3,actions=load:5->NXM_NX_REG1[0..15],"
                 "set_field:0x7->reg3,resubmit(,20),resubmit(2,),resubmit:5,write_metadata:0x1/0xf,goto_table:30",
    "write-actions": "actions=clear_actions,write_actions(output:1,set_field:1->reg0),goto_table:9",
    "mpls": "mpls,mpls_label=5,mpls_tc=2,mpls_bos=1,actions=pop_mpls:0x0800,output:1",
    "nicira": "ip,actions=note:01.02.03,clone(mod_dl_src:02:00:00:00:00:01,output:2),output:NXM_NX_REG0[],exit",
    "timeouts": "idle_timeout=10,hard_timeout=20,send_flow_rem,check_overlap,reset_counts,priority=0,actions=drop",
    "controller": "actions=controller(max_len=100,reason=no_match,id=5)",
    "conj": "conj_id=7,actions=1",
    "clauses": "ip,actions=conjunction(1,1/2),conjunction(2,3/64),note:01.02",
    "picks": "actions=multipath(symmetric_l3l4+udp,1024,iter_hash,4,3,NXM_NX_REG0[0..5]),bundle(eth_src,0,hrw,ofport,members:1,2,LOCAL),"
             "bundle_load(nw_dst,60,active_backup,ofport,NXM_NX_REG0[16..31],members:1,2)",
    "stack": "actions=push:NXM_NX_REG0[3..18],pop:OXM_OF_METADATA[0..15],check_pkt_larger(1500)->NXM_NX_REG0[3],output(port=1,max_len=100)",
    "learn2": "actions=learn(table=1,limit=7,result_dst=reg0[8],delete_learned,fin_idle_timeout=2,send_flow_rem,eth_type=0x800,"
              "nw_src=1.2.3.4,load:0x55->NXM_NX_XXREG0[],output:NXM_NX_REG2[0..15])",
    "labels": "ip,actions=push_mpls:0x8847,set_mpls_label:5,set_mpls_tc:1,set_mpls_ttl:9,dec_mpls_ttl,pop_mpls:0x0800,mod_nw_ttl:7,dec_ttl(1,2)",
    "groups": "actions=group:5,set_queue:3,enqueue:1:5,pop_queue,controller(userdata=0a.0b,meter_id=7,max_len=99,id=3,reason=group)",
    "metered": "actions=meter:4,output:1,write_actions(group:7,output:2,set_queue:1)",
    "arp-proxy-any": "arp,arp_spa=10.0.0.0/24,arp_sha=02:00:00:00:00:01,arp_tha=02:00:00:00:00:02,actions=",
}



def mcast(*messages):
    """Input of fuzz_mcast: (flags, port, vlan, seconds, message) each."""
    return b"".join(bytes([flags, port, vlan, seconds, len(m)]) + m for flags, port, vlan, seconds, m in messages)


def igmp(kind, group):
    return struct.pack("!BBH4s", kind, 0, 0, socket.inet_aton(group))


def mld(kind, group):
    return struct.pack("!BBHHH16s", kind, 0, 0, 0, 0, socket.inet_pton(socket.AF_INET6, group))


def records(kind, family, *entries):
    """IGMPv3 (0x22) or MLDv2 (143) report: (type, group, number of sources) each."""
    return struct.pack("!BBHHH", kind, 0, 0, 0, len(entries)) + b"".join(
        struct.pack("!BBH", how, 0, n) + socket.inet_pton(family, group) * (1 + n) for how, group, n in entries)


MCAST = {
    "igmp": mcast((0, 1, 0, 0, igmp(0x16, "239.1.1.1")), (0, 2, 0, 1, igmp(0x12, "239.1.1.1")), (0, 1, 0, 1, igmp(0x17, "239.1.1.1"))),
    "igmp-query": mcast((0, 3, 1, 0, igmp(0x11, "0.0.0.0")), (2, 4, 1, 0, igmp(0x11, "0.0.0.0")), (0, 3, 1, 255, igmp(0x16, "224.0.0.251"))),
    "igmpv3": mcast((0, 1, 0, 0, records(0x22, socket.AF_INET, (4, "239.1.1.1", 0), (1, "239.1.1.2", 2), (6, "239.1.1.3", 1))),
                    (0, 1, 0, 5, records(0x22, socket.AF_INET, (3, "239.1.1.1", 0), (1, "239.1.1.2", 0)))),
    "mld": mcast((1, 1, 0, 0, mld(131, "ff05::1:3")), (1, 2, 0, 0, mld(130, "::")), (1, 1, 0, 0, mld(132, "ff05::1:3"))),
    "mldv2": mcast((1, 1, 2, 0, records(143, socket.AF_INET6, (4, "ff08::1", 0), (2, "ff08::2", 3))), (5, 1, 2, 70, b"")),
    "full": mcast(*[(0, n % 3, 0, 1, igmp(0x16, f"239.2.0.{n}")) for n in range(12)]),
}


def put(target, name, data):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


class Recorder:
    """A switch that says HELLO, answers barriers and echoes, and keeps what it is sent."""

    def __init__(self, path):
        self.messages = []
        self.version = 4
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.talk, args=(conn,), daemon=True).start()

    def talk(self, conn):
        conn.sendall(struct.pack("!BBHI", self.version, 0, 8, 1))
        buf = b""
        while chunk := conn.recv(65536):
            buf += chunk
            while len(buf) >= 8 and len(buf) >= (length := struct.unpack_from("!H", buf, 2)[0]):
                msg, buf = buf[:length], buf[length:]
                self.messages.append(msg)
                self.answer(conn, msg)

    def answer(self, conn, msg):
        version, kind, _, xid = struct.unpack_from("!BBHI", msg)
        if version == 1:
            self.answer_10(conn, msg)
            return
        reply = {20: 21, 2: 3}.get(kind)
        if reply:
            conn.sendall(struct.pack("!BBHI", version, reply, len(msg), xid) + msg[8:])
        elif kind == 5:  # features
            conn.sendall(struct.pack("!BBHIQIBBHII", version, 6, 32, xid, 1, 0, 254, 0, 0, 0x4f, 0))
        elif kind == 7:  # switch configuration
            conn.sendall(struct.pack("!BBHIHH", version, 8, 12, xid, 0, 0))
        elif kind == 24:  # role
            conn.sendall(struct.pack("!BBHI", version, 25, len(msg), xid) + msg[8:])
        elif kind == 4 and struct.unpack_from("!II", msg, 8) == (0x4f4e4600, 2300):  # bundle control: the same plus one
            bundle, ctrl, flags = struct.unpack_from("!IHH", msg, 16)
            conn.sendall(struct.pack("!BBHIIIIHH", version, 4, 24, xid, 0x4f4e4600, 2300, bundle, ctrl + 1, flags))
        elif kind == 18:  # statistics: none
            conn.sendall(struct.pack("!BBHI", version, 19, 16, xid) + msg[8:10] + bytes(6))


    def answer_10(self, conn, msg):
        kind, xid = msg[1], struct.unpack_from("!I", msg, 4)[0]
        if kind in (2, 18):  # echo, barrier
            conn.sendall(struct.pack("!BBHI", 1, kind + 1, len(msg), xid) + msg[8:])
        elif kind == 5:  # features, with the one port 1
            port = struct.pack("!H6s16s6I", 1, bytes.fromhex("020000000001"), b"p1", 0, 0, 0, 0, 0, 0)
            conn.sendall(struct.pack("!BBHIQIB3xII", 1, 6, 32 + len(port), xid, 1, 0, 254, 0xc7, 0xfff) + port)
        elif kind == 7:
            conn.sendall(struct.pack("!BBHIHH", 1, 8, 12, xid, 0, 0))
        elif kind == 16:  # statistics: none
            vendor = struct.unpack_from("!H", msg, 8)[0] == 0xffff
            body = msg[8:10] + bytes(2) + (msg[12:24] if vendor else b"")
            conn.sendall(struct.pack("!BBHI", 1, 17, 8 + len(body), xid) + body)


VERSIONS = {1: "OpenFlow10", 4: "OpenFlow13", 5: "OpenFlow14", 6: "OpenFlow15"}


def ovs_ofctl(path, *args, recorder, version=4):
    """What ovs-ofctl sends for ARGS: options, the command, its arguments without the switch."""
    recorder.version = version
    options = [a for a in args if a.startswith("--")]
    command, *rest = [a for a in args if not a.startswith("--")]
    recorder.messages.clear()
    try:
        subprocess.run(["ovs-ofctl", "-O", VERSIONS[version], "--no-names", *options, command, f"unix:{path}", *rest], timeout=2,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired:
        pass  # it waits for more than the recorder says
    return [m for m in recorder.messages if m[1] not in (0, 18 if version == 1 else 20)]


def split_flow_mod(msg):
    """The TLVs of the match, and the instructions."""
    length = struct.unpack_from("!H", msg, 50)[0]
    return msg[52:48 + length], msg[48 + (length + 7) // 8 * 8:]


def actions_of(instructions):
    kind, length = struct.unpack_from("!HH", instructions) if instructions else (0, 0)
    return instructions[8:length] if kind == 4 else None


COMMANDS = {
    "dump-flows": ["dump-flows", "table=1,out_port=2,ip"], "dump-ports": ["dump-ports"], "dump-tables": ["dump-tables"],
    "aggregate": ["dump-aggregate", "cookie=1/1"], "table-features": ["dump-table-features"], "ports-desc": ["dump-ports-desc"],
    "desc": ["dump-desc"], "packet-out": ["packet-out", "in_port=1 packet=" + raw(FRAMES["ipv4-udp"]).hex() + " actions=2,NORMAL"],
    "delete": ["del-flows", "table=3,cookie=5/-1"], "delete-strict": ["--strict", "del-flows", "priority=7,ip"],
    "bundle": ["--bundle", "add-flow", "ip,actions=1"],
    "port-mod": ["mod-port", "1", "down"], "group": ["add-group", "group_id=1,type=all,bucket=output:1"], "probe": ["probe"],
    "meters": ["dump-meters"], "group-failover": ["add-group", "group_id=2,type=ff,bucket=watch_port:1,actions=1,bucket=watch_group:1,actions=2"],
    "group-chain": ["add-group", "group_id=3,type=select,bucket=weight:5,actions=group:1,bucket=actions=group:2"],
    "group-modify": ["mod-group", "group_id=1,type=all,bucket=actions=1,bucket=actions=group:3"],
    "flow-mod-to-group": ["add-flow", "in_port=1,actions=group:1"], "flow-mod-to-group-set": ["add-flow", "in_port=2,actions=write_actions(group:3)"],
    "flow-mod-to-meter": ["add-flow", "in_port=3,actions=meter:1,goto_table:2"],
    "groups": ["dump-groups"], "group-stats": ["dump-group-stats"], "group-delete": ["del-groups"], "group-features": ["dump-group-features"],
    "meter": ["add-meter", "meter=1,pktps,burst,stats,band=type=drop,rate=100,burst_size=50"],
    "meter-modify": ["mod-meter", "meter=1,kbps,band=type=drop,rate=5"], "meter-delete": ["del-meter", "meter=1"],
    "meter-stats": ["meter-stats"], "meter-features": ["meter-features"], "queues": ["queue-stats"],
}


# Of the other versions: what differs on the wire there.
OTHER_COMMANDS = {
    (1, "nxst-flow"): ["dump-flows", "table=1,out_port=2,reg0=1,cookie=5/7"], (1, "aggregate"): ["dump-aggregate", "ip"],
    (1, "ports"): ["dump-ports", "1"], (1, "tables"): ["dump-tables"], (1, "queues"): ["queue-stats"],
    (1, "queue-config"): ["queue-get-config", "1"], (1, "port-mod"): ["mod-port", "1", "no-flood"],
    (1, "packet-out"): ["packet-out", "in_port=1 packet=" + raw(FRAMES["ipv4-udp"]).hex() + " actions=2,NORMAL"],
    (1, "flow-mod"): ["add-flow", "ip,nw_src=10.0.0.0/8,actions=mod_nw_tos:4,output:2"],
    (1, "flow-mod-table"): ["add-flow", "table=3,cookie=7,dl_vlan=5,actions=strip_vlan,enqueue:1:2"],
    (1, "nxt-flow-mod"): ["add-flow", "table=3,cookie=7,tun_id=5,reg1=6,actions=load:5->NXM_NX_REG2[],resubmit(,4)"],
    (1, "nxt-delete"): ["del-flows", "cookie=7/-1,reg1=6"], (1, "tlv-map"): ["add-tlv-map", "{class=0x102,type=3,len=8}->tun_metadata5"],
    (1, "tlv-delete"): ["del-tlv-map"], (1, "monitor"): ["monitor", "65534", "watch:!initial,table=3,out_port=2,ip"],
    (4, "monitor"): ["monitor", "65534", "watch:out_group=4"],
    (5, "flow-mod"): ["add-flow", "table=3,importance=7,tcp,tcp_flags=+syn,reg1=6,actions=output:1,goto_table:7"],
    (5, "monitor"): ["monitor", "65534", "watch:out_port=2,ip"], (5, "port-mod"): ["mod-port", "1", "down"],
    (5, "table-mod"): ["mod-table", "3", "evict"], (5, "table-vacancy"): ["mod-table", "3", "vacancy:20,30"],
    (5, "table-desc"): ["dump-table-desc"], (5, "queue-config"): ["queue-get-config", "1"],
    (5, "bundle"): ["--bundle", "add-flow", "ip,actions=1"],
    (6, "flow-mod"): ["add-flow", "table=3,importance=7,tcp,tcp_flags=+syn,reg1=6,actions=move:NXM_NX_REG1[]->NXM_NX_REG2[],goto_table:7"],
    (6, "dump-flows"): ["dump-flows", "table=1,reg1=5"], (6, "ports-desc"): ["dump-ports-desc", "1"],
    (6, "packet-out"): ["packet-out", "in_port=1 packet=" + raw(FRAMES["ipv4-udp"]).hex() + " actions=2,NORMAL"],
}


# Actions that 1.0 and 1.5 write in their own ways; the first byte of fuzz_actions.c says which version.
OTHER_ACTIONS = {
    (1, "legacy"): "tcp,actions=mod_vlan_vid:5,mod_vlan_pcp:1,strip_vlan,mod_dl_src:02:00:00:00:00:01,mod_dl_dst:02:00:00:00:00:02,"
                   "mod_nw_src:1.2.3.4,mod_nw_dst:1.2.3.4,mod_nw_tos:32,mod_tp_src:80,mod_tp_dst:81,enqueue:1:5,output:2",
    (1, "nicira"): "tcp,actions=set_queue:3,pop_queue,dec_ttl,group:5,set_tunnel:5,push_mpls:0x8847,set_mpls_label:5,set_mpls_tc:1,"
                   "set_mpls_ttl:9,dec_mpls_ttl,pop_mpls:0x0800,load:5->NXM_NX_REG0[0..7],write_metadata:0x5/0xff",
    (6, "fields"): "tcp,actions=set_field:5/0xf->reg0,set_field:1.2.0.0/16->ip_src,move:NXM_NX_TCP_FLAGS[]->NXM_NX_REG0[0..11],"
                   "load:5->NXM_NX_REG0[3..7],output:1",
    (6, "meter"): "actions=meter:1,output:1,write_actions(group:5)",
}


def other_actions(path, recorder):
    """Of a NXT_FLOW_MOD the actions stand behind the match, of OpenFlow 1.0's own at the end of its fixed part."""
    for (version, name), flow in OTHER_ACTIONS.items():
        for msg in ovs_ofctl(path, "add-flow", flow, recorder=recorder, version=version):
            if version == 6 and msg[1] == 14:
                put("actions", f"of15-{name}", b"\x05" + split_flow_mod(msg)[1])
            elif version == 1 and msg[1] == 14:
                put("actions", f"of10-{name}", b"\x02" + msg[72:])
            elif version == 1 and msg[1] == 4 and struct.unpack_from("!I", msg, 12)[0] == 13:
                put("actions", f"of10-{name}", b"\x02" + msg[48 + (struct.unpack_from("!H", msg, 40)[0] + 7) // 8 * 8:])


def other_versions(path, recorder):
    for (version, name), args in OTHER_COMMANDS.items():
        messages = [m for m in ovs_ofctl(path, *args, recorder=recorder, version=version) if m[1] not in (2, 5, 7)]
        if not messages:
            print(f"{name} of version {version}: ovs-ofctl sent nothing")
        for i, msg in enumerate(messages[:4]):
            put("openflow_msg", f"{VERSIONS[version]}-{name}-{i}", msg)


def openflow():
    with tempfile.TemporaryDirectory() as tmp:
        path = f"{tmp}/br.mgmt"
        recorder = Recorder(path)
        for name, flow in FLOWS.items():
            put("flow_text", name, flow.encode())
            for msg in ovs_ofctl(path, "add-flow", flow, recorder=recorder):
                if msg[1] != 14:
                    continue
                match, instructions = split_flow_mod(msg)
                put("openflow_msg", f"flow-mod-{name}", msg)
                put("match", name, match)
                put("actions", name, b"\x01" + instructions)
                if actions_of(instructions):
                    put("actions", f"{name}-apply", b"\x00" + actions_of(instructions))
        for name, args in COMMANDS.items():
            messages = ovs_ofctl(path, *args, recorder=recorder)[:3]
            if not messages:
                print(f"{name}: ovs-ofctl sent nothing")
            for i, msg in enumerate(messages):
                put("openflow_msg", f"{name}-{i}" if len(messages) > 1 else name, msg)
        other_versions(path, recorder)
        other_actions(path, recorder)


def flow_stats():
    """A reply of flow statistics made of the flow_mods."""
    body = b""
    for path in sorted((CORPUS / "openflow_msg").glob("flow-mod-*"))[:5]:
        msg = path.read_bytes()
        match, instructions = split_flow_mod(msg)
        rest = msg[48:]
        entry = struct.pack("!BBIIHHHHIQQQ", msg[24], 0, 1, 2, 32768, 0, 0, 0, 0, 5, 6, 7) + rest
        body += struct.pack("!H", len(entry) + 2) + entry
    put("openflow_msg", "flow-stats", struct.pack("!BBHIHHI", 4, 19, 16 + len(body), 1, 1, 0, 0) + body)
    put("openflow_msg", "hello-bitmap", bytes.fromhex("0400001000000001000100080000001a"))
    put("openflow_msg", "hello-element-of-no-length", bytes.fromhex("040000100000000100010000ffffffff"))
    put("openflow_msg", "error-bundle", bytes.fromhex("0401001800000001ffff08fd4f4e460000000000000000aa"))
    put("openflow_msg", "error", bytes.fromhex("0401001400000001000400090400000800000002"))


XID = 7  # of fuzz_ofserver's messages


def ofserver():
    """What the client said, as one stream and as the list of messages that fuzz_ofserver.c describes."""
    directory = CORPUS / "openflow_msg"
    messages = {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if not path.name.startswith("OpenFlow")}
    hello = struct.pack("!BBHI", 4, 0, 8, XID)

    def listed(*msgs):
        return b"\x01" + b"".join(struct.pack("!BH", m[1], len(m) - 8) + m[8:] for m in msgs)

    def bundle(*msgs, commit=True):
        control = [struct.pack("!BBHIIIIHH", 4, 4, 24, XID, 0x4f4e4600, 2300, 1, kind, 3) for kind in (0, 2, 4)]
        adds = [struct.pack("!BBHIIIIHH", 4, 4, 24 + len(m), XID, 0x4f4e4600, 2301, 1, 0, 3) + m[:4] + struct.pack("!I", XID) + m[8:]
                for m in msgs]
        return [control[0], *adds, *control[1:]] if commit else [control[0], *adds]

    for name, msg in messages.items():
        if msg[1] != 19:
            put("ofserver", name, listed(msg))
    flow_mods = [m for n, m in messages.items() if n.startswith("flow-mod-")]
    put("ofserver", "all-flows", listed(*flow_mods, messages["dump-flows"], messages["delete"]))
    everything = ["group", "group-failover", "group-chain", "meter", "flow-mod-to-group", "flow-mod-to-group-set", "flow-mod-to-meter",
                  "packet-out", "group-modify", "meter-modify", "groups", "group-stats", "meter-stats", "meters", "meter-delete", "group-delete"]
    put("ofserver", "groups-and-meters", listed(*[messages[n] for n in everything if n in messages]))
    put("ofserver", "bundle-of-groups", listed(*bundle(messages["group"], messages["flow-mod-to-group"], messages["group-delete"])))
    put("ofserver", "bundle-committed", listed(*bundle(*flow_mods), messages["dump-flows"]))
    put("ofserver", "bundle-left-open", listed(*bundle(*flow_mods[:2], commit=False)))
    put("ofserver", "stream", b"\x00" + hello + b"".join(messages[n] for n in ("flow-mod-l2", "dump-flows", "dump-tables")))
    put("ofserver", "stream-without-hello", b"\x00" + messages["flow-mod-l2"])
    put("ofserver", "stream-of-version-1", b"\x00" + struct.pack("!BBHI", 1, 0, 8, 1))
    put("ofserver", "stream-of-length-3", b"\x00" + hello + struct.pack("!BBHI", 4, 5, 3, 1))
    put("ofserver", "other-version-later", b"\x00" + hello + struct.pack("!BBHI", 1, 5, 8, 1))
    async_all = struct.pack("!BBHI6I", 4, 28, 32, XID, *[0xffffffff] * 6)
    to_controller = next(m for n, m in messages.items() if n == "flow-mod-controller")
    put("ofserver", "packet-ins", listed(struct.pack("!BBHIHH", 4, 9, 12, XID, 0, 128), async_all, to_controller))
    for role in (1, 2, 3, 4):
        put("ofserver", f"role-{role}", listed(struct.pack("!BBHIIIQ", 4, 24, 24, XID, role, 0, 5), messages["flow-mod-l2"],
                                               struct.pack("!BBHIIIQ", 4, 24, 24, XID, 2, 0, 4)))
    ofserver_versions()


def ofserver_versions():
    """Requests that only 1.0 (with Nicira's), 1.4 or 1.5 has; the first byte says which (fuzz_ofserver.c)."""
    def listed(first, *msgs):
        return bytes([first]) + b"".join(struct.pack("!BH", kind, len(body)) + body for kind, body in msgs)

    nx = lambda subtype, body=b"": (4, struct.pack("!II", 0x2320, subtype) + body)  # noqa: E731
    flow10 = struct.pack("!IH34x", 0x3ffffe, 2) + struct.pack("!QHHHHIHH", 5, 0, 0, 0, 9, 0xffffffff, 0xffff, 1)
    nx_flow = nx(13, struct.pack("!QHHHHIHHH6x", 5, 3 << 8, 0, 0, 9, 0xffffffff, 0xffff, 1, 8) + bytes.fromhex("0001420400000007"))
    put("ofserver", "1.0-requests", listed(3, (5, b""), (7, b""), (9, b"\0\0\0\x80"), (14, flow10), (16, bytes.fromhex("00010000") + flow10[:40] +
        b"\xff\0\xff\xff"), (16, b"\0\3\0\0"), (16, b"\0\4\0\0\xff\xff" + bytes(6)), (20, b"\0\1\0\0"), (18, b"")))
    put("ofserver", "1.0-nicira", listed(3, nx(10, struct.pack("!I", 1)), nx(12, struct.pack("!I", 2)), nx(15, b"\1" + bytes(7)), nx_flow,
        nx(16, struct.pack("!I", 2)), nx(19, struct.pack("!6I", 7, 0, 7, 7, 15, 0)), nx(20, bytes(8)), nx(25),
        (16, struct.pack("!HHII4xHHB3x", 0xffff, 0, 0x2320, 0, 0xffff, 0, 255)),
        (16, struct.pack("!HHII4xIHHHB5x", 0xffff, 0, 0x2320, 2, 1, 0x1f, 0xffff, 0, 255)), (14, flow10), nx(21, struct.pack("!I", 1))))
    monitor = struct.pack("!HH4xIIIHBBHH4x", 16, 0, 1, 0xffffffff, 0xffffffff, 0x1f, 255, 0, 1, 4)
    flow14 = struct.pack("!QQBBHHHIIIHHHH4x", 1, 0, 3, 0, 0, 0, 5, 0xffffffff, 0xffffffff, 0xffffffff, 1, 9, 1, 4)
    inner = struct.pack("!BBHI", 5, 14, 8 + len(flow14), XID) + flow14
    put("ofserver", "1.4-requests", listed(5, (24, struct.pack("!I4xQ", 2, 5)), (28, struct.pack("!HHIHHI", 0, 8, 1, 1, 8, 7)), (26, b""),
        (18, monitor), (14, flow14), (17, struct.pack("!B3xIHHBBBx", 3, 8, 3, 8, 20, 80, 0)), (18, b"\0\x0e" + bytes(6)),
        (18, struct.pack("!HH4xII", 15, 0, 0xffffffff, 0xffffffff)), (33, struct.pack("!IHH", 1, 0, 3)), (34, struct.pack("!I2xH", 1, 3) + inner),
        (33, struct.pack("!IHH", 1, 4, 3)), (18, struct.pack("!HH4xB3xII4xQQHH4x", 1, 0, 255, 0xffffffff, 0xffffffff, 0, 0, 1, 4))))
    put("ofserver", "1.5-requests", listed(7, (14, flow14), (18, struct.pack("!HH4xB3xII4xQQHH4x", 1, 0, 255, 0xffffffff, 0xffffffff, 0, 0, 1, 4)),
        (18, struct.pack("!HH4xI4x", 13, 0, 1)), (13, struct.pack("!IHHHH", 0xffffffff, 0, 0, 1, 24) + bytes.fromhex("80000004fffffffd8000040800000000000000050000")),
        (18, b"\0\x0c" + bytes(6))))


# name: (version's index, which body, the body)
GROUPS = {
    "select-10": (0, 1, "0000 01 00 00000005 0030 0000 ffffffff 0018 0008 00000003 00000008 0001 0000 0000 0008 0007 0000"
                  "0018 0008 00000001 00000008 0002 0000 0000 0008 0001 0000 ffff 0036 0000154d 00000001 00000000"
                  "68617368000000000000000000000000 0000000000000000 00000e04 ffffff00 00001402 ffff 0000"),
    "select-15": (3, 0, "0000 01 00 00000005 0020 0000 ffffffff 0020 0010 00000003 00000010 00000001 0000 000000000000 0000 0008 0007 0000"
                  "ffff 0036 0000154d 00000001 00000000 68617368000000000000000000000000 0000000000000009 80001604 ffffff00 80001c02 ffff 0000"),
    "add-13": (1, 0, "0000 01 00 00000005 0020 0007 ffffffff ffffffff 00000000 00000010 00000001 0000 000000000000"),
    "add-nx-13": (1, 1, "8000 03 00 00000005 0028 0000 ffffffff 0028 0010 00000000 00000010 00000001 0000 000000000000"
                  "0001 0008 00000001 0002 0008 00000002"),
    "insert-15": (3, 0, "0003 00 00 00000005 0018 0000 fffffffe 0018 0010 00000008 00000010 00000001 0000 000000000000"),
    "remove-15": (3, 0, "0005 00 00 00000005 0000 0000 ffffffff"),
    "delete-13": (1, 0, "0002 00 00 fffffffc"),
    "desc-13": (1, 2, "0028 01 00 00000005 0020 0007 ffffffff ffffffff 00000000 00000010 00000001 0000 000000000000"),
    "desc-15": (3, 2, "0028 01 00 00000005 0018 000000000000 0018 0010 00000008 00000010 00000001 0000 000000000000"),
    "stats": (1, 3, "0038 0000 00000005 00000001 00000000 0000000000000002 0000000000000080 00000001 00000002"
              "0000000000000002 0000000000000080"),
    "meter": (1, 4, "0000 000d 00000001 0001 0010 00000064 00000032 00000000 0002 0010 00000064 00000032 01000000"),
    "meter-delete": (1, 4, "0002 0000 ffffffff"),
    "meter-config": (1, 5, "0018 000d 00000001 0001 0010 00000064 00000032 00000000"),
    "meter-stats": (1, 6, "00000001 0038 000000000000 00000002 0000000000000003 0000000000000004 00000005 00000006"
                    "0000000000000007 0000000000000008"),
    "request": (3, 7, "00000005 00000000"),
    "features": (3, 7, "0000000f 00000007 " + "ffffff00" * 4 + "03ff8001" * 4),
}


def groups():
    for name, (version, what, body) in GROUPS.items():
        put("group_meter", name, bytes([version, what]) + bytes.fromhex(body.replace(" ", "")))


def main():
    for name, data in MCAST.items():
        put("mcast", name, data)
    for name, frame in FRAMES.items():
        put("flow_key", name, raw(frame))
    for name, (kind, with_ip, data) in TUNNELS.items():
        put("tunnel", name, bytes([kind | (4 if with_ip else 0)]) + raw(data))
    for name, (offload, edits, frame) in EDITS.items():
        put("packet_edit", name, offload + bytes([len(edits)]) + edits + raw(frame))
    groups()
    openflow()
    flow_stats()
    ofserver()


if __name__ == "__main__":
    main()
