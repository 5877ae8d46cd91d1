# SPDX-License-Identifier: Apache-2.0
"""How wide the megaflows are: the Neutron agent's tables in our switch and in ovs-vswitchd, the same packets traced through
both. A megaflow of ours looks at no header bit that ovs-vswitchd's does not."""
import ipaddress
import re

import pytest
from test_ovs_vswitchd import ovs_up

VM1, VM2, FAR, GONE = "fa:16:3e:8d:58:c0", "fa:16:3e:69:41:2d", "fa:16:3e:9c:e2:aa", "fa:16:3e:00:00:99"

INT = """\
priority=65535,dl_vlan=4095,actions=drop
priority=10,icmp6,in_port=tap1,icmp_type=136,actions=goto_table:24
priority=10,icmp6,in_port=tap2,icmp_type=136,actions=goto_table:24
priority=10,arp,in_port=tap1,actions=goto_table:24
priority=10,arp,in_port=tap2,actions=goto_table:24
priority=9,in_port=tap1,actions=goto_table:25
priority=9,in_port=tap2,actions=goto_table:25
priority=0,actions=goto_table:59
table=23,priority=0,actions=drop
table=24,priority=2,icmp6,in_port=tap1,icmp_type=136,nd_target=fe80::f816:3eff:fe8d:58c0,actions=goto_table:59
table=24,priority=2,icmp6,in_port=tap2,icmp_type=136,nd_target=fe80::f816:3eff:fe69:412d,actions=goto_table:59
table=24,priority=2,arp,in_port=tap1,arp_spa=10.78.0.159,actions=goto_table:25
table=24,priority=2,arp,in_port=tap2,arp_spa=10.78.0.143,actions=goto_table:25
table=24,priority=0,actions=drop
table=25,priority=2,in_port=tap1,dl_src=fa:16:3e:8d:58:c0,actions=goto_table:30
table=25,priority=2,in_port=tap2,dl_src=fa:16:3e:69:41:2d,actions=goto_table:30
table=30,priority=0,actions=goto_table:59
table=31,priority=0,actions=goto_table:59
table=59,priority=0,actions=goto_table:60
table=60,priority=3,actions=NORMAL
table=62,priority=3,actions=NORMAL
"""
TUN = """\
priority=1,in_port=patch-int,actions=goto_table:2
priority=1,in_port=vx,actions=goto_table:4
priority=0,actions=drop
table=2,priority=1,arp,dl_dst=ff:ff:ff:ff:ff:ff,actions=goto_table:21
table=2,priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00,actions=goto_table:20
table=2,priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=goto_table:22
table=3,priority=0,actions=drop
table=4,priority=1,tun_id=0x913,actions=push_vlan:0x8100,set_field:4097->vlan_vid,goto_table:10
table=4,priority=0,actions=drop
table=6,priority=0,actions=drop
table=10,priority=1,actions=learn(table=20,hard_timeout=300,priority=1,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],\
load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[]),output:patch-int
table=20,priority=2,dl_vlan=1,dl_dst=fa:16:3e:9c:e2:aa,actions=pop_vlan,set_field:0x913->tun_id,output:vx
table=20,priority=0,actions=goto_table:22
table=21,priority=1,arp,dl_vlan=1,arp_tpa=10.78.0.111,actions=set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],\
move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],set_field:fa:16:3e:9c:e2:aa->arp_sha,set_field:10.78.0.111->arp_spa,\
move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:fa:16:3e:9c:e2:aa->eth_src,IN_PORT
table=21,priority=0,actions=goto_table:22
table=22,priority=1,dl_vlan=1,actions=pop_vlan,set_field:0x913->tun_id,output:vx
table=22,priority=0,actions=drop
"""
# A table of its own on a bridge of its own: prefixes, ports, conjunctions.
ACL = """\
priority=50,ip,nw_dst=10.1.0.0/16,actions=output:p2
priority=50,ip,nw_dst=10.1.2.0/24,nw_src=192.168.0.0/16,actions=output:p2
priority=49,tcp,tp_dst=80,actions=output:p2
priority=49,tcp,tp_dst=0x1000/0xf000,actions=output:p2
priority=48,icmp6,icmp_type=135,actions=output:p2
priority=47,icmp6,nw_ttl=255,icmp_type=136,nd_target=1000::1,actions=output:p2
priority=40,ip,nw_src=172.16.0.0/12,actions=conjunction(7,1/2)
priority=40,ip,nw_dst=172.16.9.0/24,actions=conjunction(7,2/2)
priority=40,conj_id=7,ip,actions=output:p2
priority=40,ip,nw_dst=172.16.10.0/24,actions=conjunction(7,2/2),conjunction(8,2/2)
priority=30,udp,nw_src=172.17.3.4,actions=conjunction(9,1/3)
priority=30,udp,nw_dst=172.16.0.0/16,actions=conjunction(9,2/3)
priority=30,udp,tp_dst=9,actions=conjunction(9,3/3)
priority=20,conj_id=9,udp,actions=output:p2
priority=1,actions=drop
"""

ip = f"in_port=tap1,dl_src={VM1},dl_dst={{}},nw_src=10.78.0.159,nw_dst=10.78.0.111"
ip6 = f"in_port=tap1,dl_src={VM1},dl_dst={FAR},ipv6_src=fe80::f816:3eff:fe8d:58c0,ipv6_dst=fe80::1"
arp = f"arp,in_port=tap1,dl_src={VM1},dl_dst=ff:ff:ff:ff:ff:ff,arp_spa=10.78.0.159,arp_tpa={{}},arp_op=1,arp_sha={VM1}"
PACKETS = [
    ("br-int", "tcp," + ip.format(FAR) + ",tp_src=4000,tp_dst=80"),
    ("br-int", "udp," + ip.format(FAR) + ",udp_src=136,udp_dst=53"),
    ("br-int", "icmp," + ip.format(FAR) + ",icmp_type=8"),
    ("br-int", "tcp," + ip.format(GONE) + ",tp_src=4000,tp_dst=80"),
    ("br-int", "tcp6," + ip6 + ",tcp_src=4000,tcp_dst=80"),
    ("br-int", "icmp6," + ip6 + ",icmpv6_type=128"),
    ("br-int", "icmp6," + ip6 + ",icmpv6_type=136,nd_target=fe80::f816:3eff:fe8d:58c0"),
    ("br-int", arp.format("10.78.0.111")),
    ("br-int", arp.format("10.78.0.7")),
    ("br-int", f"tcp,in_port=tap2,dl_src={VM1},dl_dst={FAR},nw_src=10.78.0.159,nw_dst=1.1.1.1"),
    ("br-tun", f"tcp,in_port=vx,tun_id=0x913,tun_src=10.201.9.2,tun_dst=10.201.1.2,dl_src={FAR},dl_dst={VM1},nw_src=10.78.0.111,"
               "nw_dst=10.78.0.159,tp_src=80,tp_dst=4000"),
    ("br-tun", f"tcp,in_port=vx,tun_id=0x914,tun_src=10.201.9.2,tun_dst=10.201.1.2,dl_src={FAR},dl_dst={VM1}"),
    ("br-acl", "tcp,in_port=p1,nw_src=1.2.3.4,nw_dst=10.1.2.3,tp_src=1,tp_dst=80"),
    ("br-acl", "tcp,in_port=p1,nw_src=1.2.3.4,nw_dst=10.9.2.3,tp_src=1,tp_dst=80"),
    ("br-acl", "tcp,in_port=p1,nw_src=1.2.3.4,nw_dst=192.9.2.3,tp_src=135,tp_dst=4097"),
    ("br-acl", "tcp,in_port=p1,nw_src=172.17.3.4,nw_dst=172.16.9.3,tp_src=135,tp_dst=9"),
    ("br-acl", "udp,in_port=p1,nw_src=172.17.3.4,nw_dst=172.16.10.3,udp_src=135,udp_dst=9"),
    ("br-acl", "udp,in_port=p1,nw_src=172.17.3.4,nw_dst=172.16.11.3,udp_src=135,udp_dst=9"),
    ("br-acl", "udp,in_port=p1,nw_src=172.17.3.4,nw_dst=172.16.11.3,udp_src=135,udp_dst=10"),
    ("br-acl", "udp,in_port=p1,nw_src=173.17.3.4,nw_dst=172.16.9.3,udp_src=135,udp_dst=9"),
    ("br-acl", "udp,in_port=p1,nw_src=200.17.3.4,nw_dst=201.16.9.3,udp_src=135,udp_dst=9"),
    ("br-acl", "tcp6,in_port=p1,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::2,tcp_src=135,tcp_dst=9"),
    ("br-acl", "icmp6,in_port=p1,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::2,icmpv6_type=135"),
    ("br-acl", "icmp6,in_port=p1,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::2,icmpv6_type=128"),
]


def bridges(cloud, hv):
    ns, w = cloud.hv_ns(hv), cloud.world
    for name in ("tap1", "tap2", "p1", "p2"):
        w.ip(ns, "link", "add", name, "type", "veth", "peer", "name", f"{name}x")
        w.ip(ns, "link", "set", name, "up")
        w.ip(ns, "link", "set", f"{name}x", "up")
    cloud.vsctl(hv, *"""--may-exist add-br br-int -- set-fail-mode br-int secure -- --may-exist add-br br-tun
        -- set-fail-mode br-tun secure -- --may-exist add-br br-acl -- set-fail-mode br-acl secure
        -- set Bridge br-acl datapath_type=netdev -- set Bridge br-int datapath_type=netdev
        -- set Bridge br-tun datapath_type=netdev
        -- add-port br-int tap1 tag=1 -- add-port br-int tap2 tag=1
        -- add-port br-int patch-tun -- set Interface patch-tun type=patch options:peer=patch-int
        -- add-port br-tun patch-int -- set Interface patch-int type=patch options:peer=patch-tun
        -- add-port br-tun vx -- set Interface vx type=vxlan options:remote_ip=10.201.9.2 options:in_key=flow
        options:out_key=flow options:local_ip=10.201.1.2
        -- add-port br-acl p1 -- add-port br-acl p2""".split())
    for bridge, flows in (("br-int", INT), ("br-tun", TUN), ("br-acl", ACL)):
        cloud.ofctl(hv, "add-flows", bridge, "-", stdin=flows)


def megaflow(cloud, hv, bridge, packet):
    shown = cloud.appctl(hv, "ofproto/trace", bridge, packet)
    return re.search("^Megaflow: (.*)$", shown, re.M).group(1), shown


@pytest.fixture(scope="module")
def pair(cloud_factory):
    cloud = cloud_factory()
    cloud.hypervisors = ["hv1", "hv2"]
    cloud.underlay_up(cloud.hypervisors)
    cloud.switchd_up("hv1")
    ovs_up(cloud, "hv2")
    for hv in cloud.hypervisors:
        bridges(cloud, hv)
    return cloud


def looked_at(text):
    """{field: mask bits} of a megaflow as ofproto/trace prints it; names of protocols stand for what they match."""
    bits = {}
    for word in text.split(","):
        name, _, value = word.partition("=")
        value, _, mask = value.partition("/")
        if name in ("in_port", "recirc_id", "eth", "vlan_tci", "nw_frag") or (not value and name in ("ip", "ipv6", "arp")):
            continue  # both always look at these: the port, the EtherType, the tag, whether it is a fragment
        if not value:
            bits["nw_proto"] = 0xff
        elif not mask:
            bits[name] = (1 << 128) - 1
        elif re.fullmatch("[0-9]+", mask):
            bits[name] = int("1" * int(mask) + "0" * ((128 if ":" in value else 32) - int(mask)), 2)
        elif mask.startswith("0x"):
            bits[name] = int(mask, 16)
        else:
            bits[name] = int(ipaddress.ip_address(mask)) if "." in mask else int(mask.replace(":", ""), 16)
    return bits


def leaves(shown):
    """Does the packet leave by some port? (How differs: ovs-vswitchd shows a tunnel's headers.)"""
    return "Datapath actions: drop" not in shown


def test_masks(pair):
    width = {"icmp_type": 0xff, "nw_ecn": 3, "nw_tos": 0xfc, "tp_src": 0xffff, "tp_dst": 0xffff, "nw_src": 0xffffffff,
             "nw_dst": 0xffffffff, "arp_spa": 0xffffffff, "arp_tpa": 0xffffffff}
    wider = []
    for bridge, packet in PACKETS:
        (ours, shown), (theirs, there) = (megaflow(pair, hv, bridge, packet) for hv in pair.hypervisors)
        assert leaves(shown) == leaves(there), f"{packet}\n{shown}\n{there}"
        have, want = looked_at(ours), looked_at(theirs)
        for name, bits in have.items():
            if bits & width.get(name, bits) & ~want.get(name, 0):
                wider.append(f"{packet}: {name}\n    ours   {ours}\n    theirs {theirs}")
    assert not wider, "\n".join(wider)
