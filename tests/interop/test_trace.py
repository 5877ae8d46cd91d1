# SPDX-License-Identifier: Apache-2.0
"""ofproto/trace, asked by Debian's ovs-appctl: the walk over two bridges, side effects only with a packet, bad input."""
import pytest


@pytest.fixture(scope="module")
def hv(cloud_factory):
    cloud = cloud_factory()
    cloud.switches_up("hv1")
    ns = cloud.hv_ns("hv1")
    for port in ("p1", "p2", "p3"):
        cloud.world.ip(ns, "link", "add", port, "type", "veth", "peer", "name", f"{port}x")
        cloud.world.ip(ns, "link", "set", port, "up")
    cloud.vsctl("hv1", *"""add-br br0 -- set-fail-mode br0 secure -- add-br br1 -- set-fail-mode br1 secure
        -- add-port br0 p1 -- set Interface p1 ofport_request=1 -- add-port br0 p2 -- set Interface p2 ofport_request=2
        -- add-port br0 pa -- set Interface pa type=patch options:peer=pb ofport_request=10
        -- add-port br1 pb -- set Interface pb type=patch options:peer=pa ofport_request=11
        -- add-port br1 p3 -- set Interface p3 ofport_request=3""".split())
    cloud.ofctl("hv1", "add-flows", "br0", "-", stdin="""\
table=0,in_port=1,cookie=0x5,actions=load:5->NXM_NX_REG0[],resubmit(,10),goto_table:20
table=10,priority=3,ip,nw_dst=10.0.0.0/8,actions=mod_nw_ttl:3,output:2,resubmit(,11)
table=20,priority=3,actions=push_vlan:0x8100,set_field:4103->vlan_vid,output:10
table=0,in_port=2,actions=NORMAL
""")
    cloud.ofctl("hv1", "add-flow", "br1", "table=0,tcp,actions=learn(table=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
                                          "output:NXM_OF_IN_PORT[]),output:3")
    return cloud


def trace(hv, *args):
    return hv.appctl("hv1", "ofproto/trace", *args)


def has_in_order(text, *pieces):
    at = 0
    for piece in pieces:
        found = text.find(piece, at)
        assert found >= 0, f"{piece!r} is not in its place in\n{text}"
        at = found + len(piece)


def test_walk_over_two_bridges(hv):
    flow = "in_port=1,tcp,nw_src=1.2.3.4,nw_dst=10.1.1.1,tcp_dst=80"
    has_in_order(trace(hv, "br0", flow), "Flow: tcp,in_port=", 'bridge("br0")\n-------------\n 0. in_port=',
                 "priority 32768, cookie 0x5\n    load:0x5->NXM_NX_REG0[]\n    resubmit(,10)\n    10. ip,nw_dst=10.0.0.0/8,"
                 " priority 3\n", "output:", "resubmit(,11)\n        11. No match.\n", "drop (table_miss)",
                 "\n20. priority 3\n", 'bridge("br1")', " 0. tcp, priority", "learn(", "Final flow: tcp,reg0=0x5,",
                 "dl_vlan=7", "Megaflow: recirc_id=0,eth,tcp,", "nw_dst=10.0.0.0/8", "Datapath actions: set(ipv4(ttl=3)),")
    assert "table=5" not in hv.ofctl("hv1", "dump-flows", "br1", "table=5")
    trace(hv, "br0", flow, "-generate")
    learned = hv.ofctl("hv1", "dump-flows", "br1", "table=5")
    assert "table=5" in learned and "actions=output:11" in learned, learned
    hits = [line for line in hv.ofctl("hv1", "dump-flows", "br0").splitlines() if "n_packets=" in line]
    assert len(hits) == 4 and all("n_packets=0," in line for line in hits)  # nothing was counted


def test_packet_in_hex(hv):
    shown = trace(hv, "br0", "in_port=1", "50540000000950540000000a08004500001c000000004011b7e80a0000010a000002"
                                          "00080007000800000000")
    has_in_order(shown, "Flow: udp,", "dl_src=50:54:00:00:00:0a", "nw_ttl=64", "tp_src=8,tp_dst=7")


def test_datapath_flow(hv):
    number = next(word.split("/")[1].rstrip(":") for line in hv.appctl("hv1", "dpif/show").splitlines()
                  if " p2 " in line for word in line.split() if word.startswith("2/"))
    shown = trace(hv, f"in_port({number}),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),"
                      "ipv4(src=192.168.0.1,dst=192.168.0.2,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)")
    has_in_order(shown, "Flow: icmp,in_port=", 'bridge("br0")', "NORMAL", "Datapath actions: ")


@pytest.mark.parametrize("args, message", [
    (["nosuch", "in_port=1"], "nosuch: unknown bridge"),
    (["br0", "in_port=1,foo=bar"], "foo"),
    (["br0", "in_port=1,udp", "zz"], "Trailing garbage in packet data"),
    (["in_port(x)"], "in_port(x)"),
    ([], "requires at least 1 argument"),
])
def test_bad_input(hv, args, message):
    done = hv.tool("hv1", "ovs-appctl", "ofproto/trace", *args, check=False)
    assert done.returncode == 2 and message in done.stderr, done.stderr


def test_packet_out(hv):
    shown = hv.appctl("hv1", "ofproto/trace-packet-out", "br0", "in_port=controller,arp", "output:1,resubmit(,20)")
    has_in_order(shown, 'bridge("br0")', "output:", "20. priority 3", 'bridge("br1")', "Datapath actions: ")
