# SPDX-License-Identifier: Apache-2.0
"""Every reason for a drop that can be provoked from outside is counted where it happens, and under its own name."""
import ipaddress
import struct

import pytest
from world import LabError, wait_for

BR = "br0"


@pytest.fixture(scope="module")
def hv(cloud_factory):
    cloud = cloud_factory()
    cloud.allowed_warnings += ["no member is up"]
    cloud.switches_up("hv1")
    ns = cloud.hv_ns("hv1")
    cloud.world.ip(ns, "route", "add", "unreachable", "192.0.2.66")
    cloud.world.ip(ns, "route", "add", "prohibit", "192.0.2.67")
    for k in range(1, 8):
        cloud.world.veth(ns, f"p{k}", ns, f"h{k}")
        for name in (f"p{k}", f"h{k}"):
            cloud.world.ip(ns, "link", "set", name, "up")
    tunnel = lambda name, remote, *more: ("--", "add-port", BR, name, "--", "set", "Interface", name,  # noqa: E731
                                          "type=vxlan", f"options:remote_ip={remote}", *more)
    cloud.vsctl("hv1", "add-br", BR, "--", "set-fail-mode", BR, "secure", "--", "set", "Bridge", BR,
                "protocols=OpenFlow10,OpenFlow13,OpenFlow14", *[
                    word for k in range(1, 8)
                    for word in ("--", "add-port", BR, f"p{k}", "--", "set", "Interface", f"p{k}", f"ofport_request={k}")],
                "--", "add-port", BR, "pa", "--", "set", "Interface", "pa", "type=patch", "options:peer=nobody",
                "ofport_request=20", *tunnel("vx1", "192.0.2.66", "ofport_request=21"),
                *tunnel("vx2", "192.0.2.67", "ofport_request=22"), *tunnel("vx3", "10.201.1.1", "ofport_request=23"),
                *tunnel("vx4", cloud.local_ip("hv1"), "ofport_request=24", "options:key=5"))
    cloud.ofctl("hv1", "add-flows", BR, "-", stdin="""\
table=0,priority=0,actions=NORMAL
table=11,actions=drop
table=12,actions=output:99
table=13,actions=output:3
table=14,actions=resubmit(,14)
table=15,actions=output:20
table=16,ip,actions=dec_ttl,output:2
table=18,actions=output:1
table=19,actions=output:21
table=20,actions=output:22
table=21,actions=output:23
table=22,actions=controller
table=23,actions=output:2
""")
    cloud.ofctl("hv1", "mod-port", BR, "p3", "no-forward")
    return cloud


def count(hv, reason):
    return hv.counter("hv1", f"drop_{reason}")


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_frame(payload=b"", ttl=64, frag=0, proto=17, dst="10.9.0.2", eth_dst="020000000002"):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, frag, ttl, proto, 0,
                       ipaddress.ip_address("10.9.0.1").packed, ipaddress.ip_address(dst).packed)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return bytes.fromhex(eth_dst + "020000000001" + "0800") + head + payload


PLAIN = bytes.fromhex("020000000002" + "020000000001" + "88b5") + bytes(50)
UDP = struct.pack("!HHHH", 1000, 2000, 16, 0) + bytes(8)


def provoke(hv, reason, act, at_least=1):
    before = count(hv, reason)
    act()
    wait_for(lambda: f"a drop for {reason}; there were {before}:\n{hv.appctl('hv1', 'coverage/show')}",
             lambda: count(hv, reason) >= before + at_least, 5)


def packet_out(hv, frame, actions, in_port="1"):
    hv.ofctl("hv1", "packet-out", BR, f"in_port={in_port} packet={frame.hex()} actions={actions}")


def send(hv, device, *frames):
    """From the host's side of a port."""
    hv.world.sh(hv.hv_ns("hv1"), "python3", "-c", "import socket, sys\n"
                "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n"
                f"s.bind(({device!r}, 0))\n"
                "for frame in sys.argv[1:]:\n"
                "    s.send(bytes.fromhex(frame))\n", *[f.hex() for f in frames])


@pytest.mark.parametrize("reason,table,frame", [
    ("table_miss", 10, PLAIN),
    ("action", 11, PLAIN),
    ("no_port", 12, PLAIN),
    ("port_down", 13, PLAIN),
    ("patch_no_peer", 15, PLAIN),
    ("ttl", 16, ip_frame(UDP, ttl=1)),
    ("normal_self", 18, PLAIN),
    ("tunnel_no_route", 19, PLAIN),
    ("tunnel_tx", 20, PLAIN),
    ("tunnel_too_big", 21, PLAIN + bytes(1420)),
    ("controller_none", 22, PLAIN),
    ("port_tx", 23, PLAIN + bytes(1600)),
], ids=lambda v: v if isinstance(v, str) else "")
def test_of_pipeline_and_outputs(hv, reason, table, frame):
    provoke(hv, reason, lambda: packet_out(hv, frame, f"resubmit(,{table})"))


def test_of_a_walk_without_end(hv):
    """Whose packet_out is answered by an error, as by ovs-vswitchd."""
    def refused():
        with pytest.raises(LabError, match="OFPFMFC_UNKNOWN"):
            packet_out(hv, PLAIN, "resubmit(,14)")
    provoke(hv, "resubmit_depth", refused)


def test_of_normal(hv):
    provoke(hv, "reserved_dst", lambda: send(hv, "h1", bytes.fromhex("0180c2000000") + PLAIN[6:]))
    hv.vsctl("hv1", "set", "Port", "p1", "tag=5")
    provoke(hv, "vlan_ingress", lambda: send(hv, "h1", PLAIN[:12] + bytes.fromhex("81000007") + PLAIN[12:]))
    hv.vsctl("hv1", "clear", "Port", "p1", "tag", "--", "set", "Port", "p1", "protected=true", "--", "set", "Port", "p2",
             "protected=true")
    hv.appctl("hv1", "fdb/add", BR, "p2", "0", "02:00:00:00:00:02")
    provoke(hv, "protected", lambda: send(hv, "h1", PLAIN))
    hv.appctl("hv1", "fdb/del", BR, "0", "02:00:00:00:00:02")
    hv.vsctl("hv1", "set", "Port", "p1", "protected=false", "--", "set", "Port", "p2", "protected=false")
    hv.vsctl("hv1", "set", "Bridge", BR, "mcast_snooping_enable=true",
             "other_config:mcast-snooping-disable-flood-unregistered=true")
    provoke(hv, "mcast_nobody", lambda: send(hv, "h1", ip_frame(UDP, dst="239.1.1.1", eth_dst="01005e010101")))
    hv.vsctl("hv1", "set", "Bridge", BR, "mcast_snooping_enable=false")
    hv.vsctl("hv1", "--", "--id=@p", "get", "Port", "p7", "--", "--id=@m", "create", "Mirror", "name=m",
             "select_all=true", "output_port=@p", "--", "set", "Bridge", BR, "mirrors=@m")
    provoke(hv, "mirror", lambda: send(hv, "h7", PLAIN))
    hv.vsctl("hv1", "clear", "Bridge", BR, "mirrors")


def test_of_fragments_meters_and_policing(hv):
    hv.ofctl("hv1", "set-frags", BR, "drop")
    provoke(hv, "fragment", lambda: send(hv, "h1", ip_frame(UDP, frag=0x2000)))
    hv.ofctl("hv1", "set-frags", BR, "normal")
    hv.ofctl("hv1", "add-meter", BR, "meter=3,pktps,burst,band=type=drop,rate=1,burst_size=1")
    hv.ofctl("hv1", "add-flow", BR, "table=24,actions=meter:3,output:2")
    hv.ofctl("hv1", "add-flow", BR, "priority=9,in_port=1,actions=resubmit(,24)")
    provoke(hv, "meter", lambda: send(hv, "h1", *[PLAIN] * 20), 10)
    hv.ofctl("hv1", "add-group", BR, "group_id=4,type=ff,bucket=watch_port:4,output:4")
    hv.world.ip(hv.hv_ns("hv1"), "link", "set", "h4", "down")
    hv.ofctl("hv1", "add-flow", BR, "priority=9,in_port=1,actions=group:4")
    wait_for("the link to be down", lambda: "down" in hv.vsctl("hv1", "get", "Interface", "p4", "link_state"), 5)
    provoke(hv, "group", lambda: send(hv, "h1", PLAIN))
    hv.ofctl("hv1", "--strict", "del-flows", BR, "priority=9,in_port=1")
    hv.ofctl("hv1", "del-flows", BR, "table=24")
    hv.vsctl("hv1", "set", "Interface", "p1", "ingress_policing_rate=1", "ingress_policing_burst=1")
    provoke(hv, "policing", lambda: send(hv, "h1", *[PLAIN] * 20), 10)
    hv.vsctl("hv1", "set", "Interface", "p1", "ingress_policing_rate=0")


def test_of_bonds(hv):
    hv.world.ip(hv.hv_ns("hv1"), "link", "set", "h4", "up")
    hv.vsctl("hv1", "del-port", "p4", "--", "del-port", "p5", "--", "add-bond", BR, "bond0", "p4", "p5",
             "bond_mode=active-backup")
    wait_for("an active member", lambda: "active member\n" in hv.appctl("hv1", "bond/show", "bond0"), 5)
    hv.appctl("hv1", "bond/set-active-member", "bond0", "p4")
    provoke(hv, "bond_inactive", lambda: send(hv, "h5", PLAIN))
    hv.appctl("hv1", "fdb/add", BR, "p4", "0", "02:00:00:00:00:02")
    for member in ("p4", "p5"):
        hv.world.ip(hv.hv_ns("hv1"), "link", "set", f"h{member[1:]}", "down")
    wait_for("no member to be enabled", lambda: "enabled" not in hv.appctl("hv1", "bond/show", "bond0"), 5)
    provoke(hv, "bond_no_member", lambda: send(hv, "h1", PLAIN))
    hv.appctl("hv1", "fdb/del", BR, "0", "02:00:00:00:00:02")
    hv.vsctl("hv1", "del-port", "bond0")


def test_of_received_tunnels(hv):
    """From this host to itself: the address of the tunnel's other end is ours."""
    ours = hv.local_ip("hv1")
    vxlan = lambda vni, flags=8: struct.pack("!BBHI", flags, 0, 0, vni << 8)  # noqa: E731

    def datagram(payload, source=ours):
        hv.world.sh(hv.hv_ns("hv1"), "python3", "-c", "import socket, sys\n"
                    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                    f"s.bind(({source!r}, 0))\n"
                    f"s.sendto(bytes.fromhex(sys.argv[1]), ({ours!r}, 4789))\n", payload.hex())
    hv.world.ip(hv.hv_ns("hv1"), "addr", "add", "10.201.1.77/32", "dev", "lo")
    provoke(hv, "tunnel_unknown_key", lambda: datagram(vxlan(6) + PLAIN))
    provoke(hv, "tunnel_unknown_remote", lambda: datagram(vxlan(5) + PLAIN, "10.201.1.77"))
    provoke(hv, "tunnel_bad_header", lambda: datagram(vxlan(5, 0) + PLAIN))
    provoke(hv, "tunnel_truncated", lambda: datagram(vxlan(5)[:6]))
    provoke(hv, "tunnel_truncated", lambda: datagram(vxlan(5) + PLAIN[:8]))


def test_of_flow_restore_wait(hv):
    """Restarted with it, the switch forwards nothing new until it is cleared; flows come in meanwhile."""
    hv.vsctl("hv1", "set", "Open_vSwitch", ".", "other_config:flow-restore-wait=true")
    flows = hv.ofctl("hv1", "--no-stats", "dump-flows", BR)
    lines = [line.strip().replace(" actions=", ",actions=") for line in flows.splitlines() if "actions=" in line]
    hv.world.kill("switchd-hv1")
    hv.switchd_up("hv1")
    hv.ofctl("hv1", "replace-flows", BR, "-", stdin="".join(f"{line}\n" for line in lines))
    assert sorted(hv.ofctl("hv1", "--no-stats", "dump-flows", BR).splitlines()[1:]) == sorted(flows.splitlines()[1:])
    provoke(hv, "restore_wait", lambda: send(hv, "h1", PLAIN))
    assert "megaflow" not in hv.appctl("hv1", "dpctl/dump-flows") and not hv.appctl("hv1", "dpctl/dump-flows").strip()
    hv.vsctl("hv1", "remove", "Open_vSwitch", ".", "other_config", "flow-restore-wait")
    before = count(hv, "restore_wait")
    send(hv, "h1", PLAIN)
    wait_for("a megaflow", lambda: "in_port" in hv.appctl("hv1", "dpctl/dump-flows"), 5)
    assert count(hv, "restore_wait") == before
