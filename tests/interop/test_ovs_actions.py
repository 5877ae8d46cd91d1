# SPDX-License-Identifier: Apache-2.0
"""Every action through every version of OpenFlow, on warren-switchd and on ovs-vswitchd: put in by ovs-ofctl in one version, dumped in
each; and what both refuse, with the same error."""
import pathlib
import struct

import ofclient as of
import pytest
from world import run, wait_for

WIRE = {"OpenFlow10": 1, "OpenFlow13": 4, "OpenFlow14": 5, "OpenFlow15": 6}

# What stands before "actions=", then lists of actions. A list that begins with "10:" is for OpenFlow 1.0 only, "13:" for the others.
ACTIONS = {
    "": """
output:1
CONTROLLER
controller(reason=no_match,max_len=128,id=5)
controller(userdata=01.02.03)
controller(max_len=99,id=3,reason=invalid_ttl,userdata=0a.0b,meter_id=7)
enqueue:1:5
set_queue:3,output:1,pop_queue
output(port=1,max_len=100)
output:NXM_NX_REG0[]
output:reg1[0..15]
output:NORMAL,FLOOD,ALL,LOCAL,IN_PORT,TABLE
mod_vlan_vid:5
mod_vlan_pcp:3
10:strip_vlan
10:mod_dl_src:00:11:22:33:44:55,mod_vlan_vid:5,strip_vlan,output:1
13:push_vlan:0x8100
13:push_vlan:0x88a8,set_field:4097->vlan_vid,output:1
13:clone(push_vlan:0x8100,set_field:4097->vlan_vid,output:1),output:2
mod_dl_src:00:11:22:33:44:55,mod_dl_dst:00:11:22:33:44:55
set_field:00:11:22:33:44:55->eth_src
load:0x1->NXM_NX_REG3[0..7],load:0x112233445566->NXM_OF_ETH_DST[]
load:5->NXM_NX_REG0[3..7]
set_field:5->reg0,set_field:5/0xf->reg9
set_field:0x55->xreg1,set_field:0x55->xxreg1,set_field:0x55->metadata
set_field:0x55->tun_id,set_field:1.2.3.4->tun_dst,set_field:fe80::1->tun_ipv6_src,set_field:1->pkt_mark
set_tunnel:5,set_tunnel64:5,set_tunnel:0x500000000
13:move:NXM_NX_REG0[0..15]->NXM_OF_VLAN_TCI[],move:OXM_OF_METADATA[]->NXM_NX_TUN_ID[]
10:move:NXM_NX_REG0[0..15]->NXM_OF_VLAN_TCI[],move:OXM_OF_METADATA[]->NXM_NX_TUN_ID[]
push:NXM_NX_REG0[0..15],pop:NXM_NX_REG1[3..18],push:OXM_OF_METADATA[]
multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[])
multipath(symmetric_l4,1024,hrw,4,0,NXM_NX_REG0[0..5])
multipath(symmetric_l3l4+udp,1024,iter_hash,4,3,NXM_NX_REG0[0..5])
multipath(nw_src,1024,hash_threshold,65536,3,NXM_NX_REG0[0..15])
bundle(symmetric_l3,60,active_backup,ofport,members:1,2,LOCAL)
bundle(nw_dst,0,hrw,ofport,slaves:1)
bundle(eth_src,0,hrw,ofport,members:)
bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG0[16..31],members:1,2,3)
learn(table=1,idle_timeout=10,hard_timeout=20,fin_idle_timeout=2,fin_hard_timeout=4,priority=10,send_flow_rem,cookie=0xfedcba9876543210,\
NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])
learn(table=1,delete_learned,in_port=1,load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15])
learn(table=1,limit=4096,eth_type=0x800,nw_src=1.2.3.4,load:5->NXM_NX_REG1[])
learn(table=1,limit=1,result_dst=reg0[8],send_flow_rem,delete_learned,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:OXM_OF_IN_PORT[])
learn(table=2,reg0=5,reg1[0..7]=3,load:reg2->reg3,load:0x55->NXM_NX_XXREG0[])
conjunction(1,1/2),conjunction(2,64/64),note:01.02
note:01.02.03.04.05.06.07
clone(clone(mod_dl_src:00:11:22:33:44:55,output:1),output:2),output:3,exit
resubmit:1,resubmit(,5),resubmit(1,5)
check_pkt_larger(1500)->NXM_NX_REG0[3]
clear_actions,goto_table:5
write_actions(output:1),goto_table:5
write_actions(set_field:1->reg0,set_queue:3,resubmit(,3),group:5)
13:write_metadata:5,goto_table:5
write_metadata:0x5/0xff
13:meter:4,output:1
group:5
goto_table:5
drop
set_field:2->in_port,load:1->NXM_OF_IN_PORT[]
""",
    "tcp,": """
dec_ttl,dec_ttl(1,2)
mod_nw_ttl:5
set_field:5->nw_ttl
mod_nw_tos:32,set_field:8->ip_dscp,set_field:32->nw_tos
mod_nw_src:1.2.3.4,mod_nw_dst:1.2.3.4
mod_tp_src:80,mod_tp_dst:80
set_field:80->tcp_src,load:80->NXM_OF_TCP_DST[]
10:load:0x5->NXM_OF_IP_SRC[3..9],load:1->NXM_NX_IP_ECN[]
fin_timeout(idle_timeout=5,hard_timeout=6)
push_mpls:0x8847,set_field:5->mpls_label,set_field:1->mpls_tc,set_field:9->mpls_ttl
push_mpls:0x8848,set_mpls_label:5,set_mpls_tc:1,set_mpls_ttl:9,dec_mpls_ttl,pop_mpls:0x0800
move:NXM_NX_TCP_FLAGS[]->NXM_NX_REG0[0..11],output:tcp_flags[]
""",
    "sctp,": "mod_tp_dst:53\nset_field:80->sctp_src",
    "arp,": "set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],set_field:1.2.3.4->arp_spa,IN_PORT",
    "dl_vlan=5,": "mod_vlan_vid:9\nset_field:4105->vlan_vid,set_field:2->vlan_pcp\npop_vlan,output:1",
    "ipv6,": "set_field:fe80::1->ipv6_src,set_field:5->ipv6_label,dec_ttl",
    "mpls,": "set_mpls_label:5,set_mpls_tc:3,dec_mpls_ttl,pop_mpls:0x0800,dec_ttl",
}

# Version 1.3: the match's TLVs, then apply_actions, all in hex.
REFUSED = [
    ("", "00000010 ffffffff 0000 000000000000"),                            # output to ANY
    ("", "00000010 0000ff10 0000 000000000000"),
    ("", "00000008 00000001"),
    ("", "001c0018 0020 0000 0000 0000 00010004 00010204 00000000"),        # copy_field of 1.5
    ("", "00110008 0800 0000"),
    ("", "00120008 00000000"),                                              # pop_vlan without a tag
    ("", "00180008 00000000"),                                              # dec_ttl without IP
    ("", "00140008 08000000"),
    ("", "00160008 00000009"),                                              # no such group
    ("", "00190010 80000c02 0005 000000000000"),                            # vlan_vid without the present bit
    ("", "00190010 80000a02 0800 000000000000"),                            # read-only
    ("", "00190010 80001604 01020304 00000000"),                            # ip_src without IP
    ("", "ffff0010 00001234 0001 000000000000"),
    ("", "ffff0010 00002320 1234 000000000000"),
    ("", "ffff0018 00002320 0006 0031 0000 0000 00010004 00010204"),        # move of 49 bits
    ("", "ffff0018 00002320 0006 0010 0000 0000 00000e04 00010204"),        # move from ip_src without IP
    ("", "ffff0018 00002320 0007 0003 00010604 0000000000000010"),          # load of 5 bits into 4
    ("", "ffff0018 00002320 0007 001f 80000a02 0000000000000010"),
    ("", "ffff0010 00002320 0022 00 01 00000001"),                          # conjunction of one clause
    ("", "ffff0010 00002320 0022 02 02 00000001"),
    ("", "ffff0010 00002320 0022 00 02 00000001 00000010 00000001 0000 000000000000"),
    ("", "ffff0010 00002320 0027 0001 0000000d"),                           # max_len under 14
    ("", "ffff0018 00002320 001b 0000 00010004 0021 000000000000"),         # push of 33 bits
    ("", "ffff0018 00002320 001c 0000 80000a02 0010 000000000000"),
    ("", "ffff0020 00002320 000a 0007 0032 0000 0000 0000 00000000 0000 001f 00010004"),
    ("", "ffff0020 00002320 000a 0000 0032 0000 0004 0000 00000000 0000 001f 00010004"),
    ("", "ffff0020 00002320 000a 0000 0032 0000 0000 0400 00000000 0000 0003 00010004"),
    ("", "ffff0028 00002320 000c 0001 0000 0000 00000002 0001 0000 00000000 00000000 fffd 000000000000"),
    ("", "ffff0028 00002320 000d 0001 0000 0000 00000002 0001 000e 00010004 00000000 0001 000000000000"),
    ("", "ffff0010 00002320 0013 0005 0006 0000"),                          # fin_timeout without TCP
    ("", "ffff0020 00002320 0010 0000 0000 8000 0000000000000000 0000 ff 00 0000 0000"),  # learn into table 255
    ("", "ffff0028 00002320 0010 0000 0000 8000 0000000000000000 0000 01 00 0000 0000 2020 01020304 00000e04 0000 00000000"),
    ("80000a02 0800", "00120008 00000000"),
    ("80000a02 0800", "ffff0010 00002320 0013 0005 0006 0000"),
    ("80000a02 8847", "00180008 00000000"),
]
INSTRUCTIONS = [
    "0001 0008 00 000000",                                            # goto_table:0
    "0006 0008 00000009",                                             # no such meter
    "0007 0008 00000000",
    "0005 0010 00000000 0000000000000000",
    "0003 0018 00000000 ffff0010 00002320 0011 000000000000",         # exit in the action set
    "0003 0028 00000000 ffff0020 00002320 002a 000000000000 00000010 00000001 0000 000000000000",
]


@pytest.fixture(scope="module")
def hv(cloud_factory):
    cloud = cloud_factory()
    cloud.switches_up("hv1")
    protocols = "protocols=" + ",".join(WIRE)
    cloud.vsctl("hv1", "add-br", "br0", "--", "set", "Bridge", "br0", "fail_mode=secure", protocols)
    ovs_dummy_up(cloud, protocols)
    for switch in (ours(cloud), theirs(cloud)):
        ofctl(switch, "OpenFlow13", "add-group", switch, "group_id=5,type=all,bucket=output:2")
        ofctl(switch, "OpenFlow13", "add-meter", switch, "meter=4,kbps,band=type=drop,rate=1000")
    return cloud


def ovs_dummy_up(cloud, protocols):
    """The original, with no datapath: its tables only."""
    rundir = pathlib.Path(theirs(cloud)).parent
    rundir.mkdir(parents=True)
    env = {"OVS_RUNDIR": str(rundir), "OVS_LOGDIR": str(rundir), "OVS_DBDIR": str(rundir)}
    db = f"--db=unix:{rundir}/db.sock"
    run("ovsdb-tool", "create", rundir / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
    cloud.world.spawn("ovsdb-theirs", ["ovsdb-server", rundir / "conf.db", f"--remote=punix:{rundir}/db.sock",
                                       f"--unixctl={rundir}/ovsdb.ctl"], env=env)
    run("ovs-vsctl", db, "--retry", "--no-wait", "init")
    cloud.world.spawn("ovs-theirs", ["ovs-vswitchd", f"unix:{rundir}/db.sock", "--enable-dummy=override", "--disable-system",
                                     f"--unixctl={rundir}/vswitchd.ctl", f"--pidfile={rundir}/vswitchd.pid"], env=env)
    run("ovs-vsctl", db, "add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=dummy", "fail_mode=secure", protocols)
    wait_for("the dummy bridge", lambda: pathlib.Path(theirs(cloud)).exists())


def ours(cloud):
    return f"{cloud.rundir('hv1')}/br0.mgmt"


def theirs(cloud):
    return f"{cloud.rundir('hv1')}/theirs/br0.mgmt"


def ofctl(switch, version, *args, stdin=None):
    return run("ovs-ofctl", "-O", version, *args, stdin=stdin).stdout


def flows_for(version):
    lines = []
    for match, actions in ACTIONS.items():
        for text in actions.strip().replace("\\\n", "").splitlines():
            only, _, rest = text.rpartition("13:") if text.startswith("13:") else text.rpartition("10:") if text.startswith("10:") else ("", "", text)
            if text.startswith(("10:", "13:")) and (version == "OpenFlow10") != text.startswith("10:"):
                continue
            lines.append(f"priority={len(lines) + 1},{match}actions={rest}")
    return lines


def dump(switch, version):
    """By priority; what ovs-ofctl cannot read of a switch is shown as its error."""
    done = run("ovs-ofctl", "-O", version, "--no-names", "--no-stats", "--sort", "dump-flows", switch, check=False)
    return [line.strip() for line in done.stdout.splitlines() if "actions=" in line] or done.stderr.splitlines()[-1:]


@pytest.mark.parametrize("sent", WIRE)
def test_same_in_every_version(hv, sent):
    flows = flows_for(sent)
    for switch in (ours(hv), theirs(hv)):
        ofctl(switch, "OpenFlow13", "del-flows", switch)
        ofctl(switch, sent, "add-flows", switch, "-", stdin="\n".join(flows) + "\n")
    for version in reversed(WIRE):
        if version == "OpenFlow10":  # metadata and then a table: a list that ovs-ofctl refuses to read in 1.0
            for flow in [flow for flow in flows if "write_metadata:5,goto" in flow]:
                for switch in (ours(hv), theirs(hv)):
                    ofctl(switch, "OpenFlow13", "--strict", "del-flows", switch, flow.split(",actions=")[0])
        mine, other = dump(ours(hv), version), dump(theirs(hv), version)
        assert len(other) >= len(flows) - 1
        assert mine == other, (sent, version)


def flow_mod(match, instructions):
    match = bytes.fromhex(match.replace(" ", ""))
    head = struct.pack("!HH", 1, 4 + len(match)) + match
    head += bytes(-len(head) % 8)
    return struct.pack("!QQBBHHHIIIHH", 0, 0, 0, 0, 0, 0, 1, 0xffffffff, 0xffffffff, 0xffffffff, 0, 0) + head + instructions


def test_same_errors(hv):
    messages = []
    for match, actions in REFUSED:
        body = bytes.fromhex(actions.replace(" ", ""))
        messages.append((actions, flow_mod(match, struct.pack("!HHI", 4, 8 + len(body), 0) + body)))
    messages += [(i, flow_mod("", bytes.fromhex(i.replace(" ", "")))) for i in INSTRUCTIONS]
    with of.Conn.to_unix(ours(hv), 4) as mine, of.Conn.to_unix(theirs(hv), 4, bitmap=[4]) as other:
        answers = [(what, mine.error(14, message), other.error(14, message)) for what, message in messages]
    different = [answer for answer in answers if answer[1] != answer[2] or answer[1] is None]
    assert not different, "\n".join(map(str, different))


# Flows of br1, ports 1 and 2, then what goes in and what comes out, behind the Ethernet addresses, in hex.
UDP = "4500001e000040004011266b0a0000010a000002" + "03e807d0000a0000" + "6869"  # 10.0.0.1:1000 to 10.0.0.2:2000, TTL 64, no checksum
LESS = UDP.replace("40112", "3f112").replace("266b", "276b")                    # TTL 63
LATER6 = "6000000000102c40" + "fd" + 29 * "0" + "1" + "fd" + 29 * "0" + "2" + "1100000800000001" + "6869" * 4  # of UDP, not the first
ON_WIRE = [
    ("ip,actions=push_mpls:0x8847,set_mpls_label:7,output:2", "0800" + UDP, "8847" "00007140" + UDP),
    ("ip,actions=push_mpls:0x8847,set_mpls_label:7,push_mpls:0x8848,set_mpls_label:8,push_vlan:0x8100,set_field:4101->vlan_vid,output:2",
     "0800" + UDP, "8100" "0005" "8848" "00008040" "00007140" + UDP),
    ("mpls,actions=pop_mpls:0x0800,output:2", "8847" "00007140" + UDP, "0800" + UDP),
    ("mpls,actions=pop_mpls:0x0800,dec_ttl,output:2", "8847" "00007140" + UDP, "0800" + LESS),
    ("mpls,actions=pop_mpls:0x8847,dec_mpls_ttl,output:2", "8847" "00008040" "00007120" + UDP, "8847" "0000711f" + UDP),
    ("mpls,actions=clone(pop_mpls:0x0800,output:2),output:2", "8847" "00007140" + UDP, "0800" + UDP + " 8847" "00007140" + UDP),
    ("ip,actions=output(port=2,max_len=20)", "0800" + UDP, "0800" + UDP[:12]),
    ("actions=check_pkt_larger(60)->reg0[0],resubmit(,1)", "0800" + UDP, "0800" + UDP),
    ("actions=check_pkt_larger(40)->reg0[0],resubmit(,1)", "0800" + UDP, "88a80003" "0800" + UDP),
    ("ip,actions=push:NXM_OF_IP_SRC[],push:NXM_OF_IP_DST[],pop:NXM_OF_IP_SRC[],pop:NXM_OF_IP_DST[],output:2", "0800" + UDP,
     "0800" + UDP.replace("0a0000010a000002", "0a0000020a000001")),
    ("ip,actions=bundle(nw_src,0,active_backup,ofport,members:9,2)", "0800" + UDP, "0800" + UDP),
    ("ip,actions=write_actions(dec_ttl,output:2,push_vlan:0x88a8)", "0800" + UDP, "88a80000" "0800" + LESS),
    ("ipv6,nw_proto=44,nw_frag=later,actions=output:2", "86dd" + LATER6, "86dd" + LATER6),  # not 17: ovs-fields(7)
]
SEND = """
import select, socket, sys
s, r = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) for _ in range(2))
r.setsockopt(263, 8, 1)  # PACKET_AUXDATA: the kernel puts tags aside
s.bind(("q1x", 0)); r.bind(("q2x", 0))
s.send(bytes.fromhex(sys.argv[1]))
got = []
while len(got) < int(sys.argv[2]) and select.select([r], [], [], 5)[0]:
    data, aux, _, address = r.recvmsg(2000, 200)
    if address[2] != 4 and data[:5] == b"\\2\\0\\0\\0\\0":
        for _, _, a in aux:
            if a[0] & 0x10:
                data = data[:12] + (a[18:20] if a[0] & 0x40 else b"\\0\\x81")[::-1] + a[16:18][::-1] + data[12:]
        got.append(data[12:].hex())
print(" ".join(got))
"""


def test_on_the_wire(hv):
    ns, bridge = hv.hv_ns("hv1"), f"{hv.rundir('hv1')}/br1.mgmt"
    for port in ("q1", "q2"):
        hv.world.ip(ns, "link", "add", port, "type", "veth", "peer", "name", f"{port}x")
        hv.world.ip(ns, "link", "set", port, "up")
        hv.world.ip(ns, "link", "set", f"{port}x", "up")
    hv.vsctl("hv1", *"""add-br br1 -- set-fail-mode br1 secure -- add-port br1 q1 -- set Interface q1 ofport_request=1
                        -- add-port br1 q2 -- set Interface q2 ofport_request=2""".split())
    for flow, sent, expected in ON_WIRE:
        ofctl(bridge, "OpenFlow13", "del-flows", bridge)
        ofctl(bridge, "OpenFlow13", "add-flows", bridge, "-", stdin=f"table=0,priority=5,in_port=1,{flow}\n"
              "table=1,reg0=0,actions=output:2\ntable=1,reg0=1,actions=push_vlan:0x88a8,set_field:4099->vlan_vid,output:2\n")
        got = hv.world.sh(ns, "/usr/bin/python3", "-c", SEND, "020000000002020000000001" + sent, len(expected.split())).stdout.split()
        assert got == expected.split(), flow


def packet_in_reason(c, reason):
    """Of a packet that controller(reason=REASON) sends up; None when nothing comes."""
    frame = b"\2" * 12 + b"\x88\xb5" + b"\0" * 46
    action = struct.pack("!HHIHHHBx", 0xffff, 16, of.NX, 20, 0xffff, 0, reason)
    head = (struct.pack("!IHH", 0xffffffff, 0xfffd, len(action)) if c.version == 1
            else struct.pack("!IIH6x", 0xffffffff, 0xfffffffd, len(action)))
    c.send(13, head + action + frame)
    pin = c.wait(lambda m: m.type == 10 and m.body.endswith(frame))
    return pin.body[8 if c.version == 1 else 6]


@pytest.mark.parametrize("version", [1, 4, 5])
def test_reason_that_controller_is_told(hv, version):
    """ovs-actions(7): the action says for which reason a packet goes up; who looks at it or filters by it must find that."""
    def reasons(switch):
        with of.Conn.to_unix(switch, version, bitmap=[version]) as c:
            c.request(9, struct.pack("!HH", 0, 128))
            c.nx(19, struct.pack("!6I", 0x3f, 0x3f, 0, 0, 0, 0))  # NXT_SET_ASYNC_CONFIG: also INVALID_TTL
            return [packet_in_reason(c, reason) for reason in range(6)]

    assert reasons(ours(hv)) == reasons(theirs(hv))
