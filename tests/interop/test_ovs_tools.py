# SPDX-License-Identifier: Apache-2.0
"""Debian's ovs-vsctl, ovs-ofctl and ovs-appctl, unmodified, against warren-switchd: one switch, no agent, no controller."""
import re

import pytest
from datapaths import one_datapath
from world import run, wait_for


@pytest.fixture(scope="module")
def hv(cloud_factory, datapath):
    cloud = cloud_factory(datapath=datapath)
    cloud.switches_up("hv1")
    cloud.allowed_warnings += ["interface bad:", "interface late0:"]
    return cloud


@pytest.fixture
def bridge(hv):
    """br0 with three veth ports p1..p3 whose other ends are eth0 in namespaces; fail_mode secure, so no flows."""
    ns = hv.hv_ns("hv1")
    hv.vsctl("hv1", "add-br", "br0", "--", "set-fail-mode", "br0", "secure")
    hosts = {}
    for k in (1, 2, 3):
        hosts[k] = f"{hv.world.name}-h{k}"
        if not any(name == hosts[k] for name in hv.world.state["netns"]):
            hv.world.netns(f"h{k}")
        hv.world.veth(ns, f"p{k}", hosts[k], "eth0")
        hv.world.ip(ns, "link", "set", f"p{k}", "up")
        hv.world.ip(hosts[k], "link", "set", "eth0", "up")
        hv.world.ip(hosts[k], "addr", "add", f"10.5.0.{k}/24", "dev", "eth0")
        hv.vsctl("hv1", "add-port", "br0", f"p{k}", "--", "set", "Interface", f"p{k}", f"ofport_request={k}")
    yield hosts
    hv.vsctl("hv1", "del-br", "br0")
    for k in hosts:
        hv.world.ip(ns, "link", "del", f"p{k}")


def pings(hv, source, address):
    return hv.world.sh(source, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", address, check=False).returncode == 0


@one_datapath
def test_show(hv, bridge):
    assert hv.vsctl("hv1", "list-br").split() == ["br0"]
    assert set(hv.vsctl("hv1", "list-ports", "br0").split()) == {"p1", "p2", "p3"}
    for k in (1, 2, 3):
        assert hv.vsctl("hv1", "get", "Interface", f"p{k}", "ofport").strip() == str(k)
    shown = hv.ofctl("hv1", "show", "br0")
    for text in ("OFPT_FEATURES_REPLY (OF1.3)", "n_tables:254", " 1(p1)", " 2(p2)", " LOCAL(br0)"):
        assert text in shown, shown
    dpid = hv.vsctl("hv1", "get", "Bridge", "br0", "datapath_id").strip().strip('"')
    assert f"dpid:{dpid}" in shown
    assert " 3(p3)" in hv.ofctl("hv1", "dump-ports-desc", "br0")
    assert "port  \"p1\"" in hv.ofctl("hv1", "dump-ports", "br0").replace("port p1", 'port  "p1"') or hv.ofctl(
        "hv1", "dump-ports", "br0").count("rx pkts=") == 4
    assert hv.ofctl("hv1", "dump-tables", "br0").count("table ") >= 1


def test_secure_bridge_drops_until_flows_come(hv, bridge):
    assert not pings(hv, bridge[1], "10.5.0.2")
    hv.ofctl("hv1", "add-flow", "br0", "priority=0,actions=NORMAL")
    assert pings(hv, bridge[1], "10.5.0.2")
    hv.ofctl("hv1", "add-flow", "br0", "priority=10,in_port=p1,icmp,actions=drop")
    assert not pings(hv, bridge[1], "10.5.0.2")
    assert pings(hv, bridge[2], "10.5.0.3")
    hv.ofctl("hv1", "--strict", "del-flows", "br0", "priority=10,in_port=p1,icmp")
    assert pings(hv, bridge[1], "10.5.0.2")


@one_datapath
def test_flow_commands(hv, bridge, tmp_path):
    dump = lambda *match: hv.ofctl("hv1", "--no-stats", "dump-flows", "br0", *match)  # noqa: E731
    flows = """\
table=0,priority=100,in_port=1,dl_vlan=5,actions=strip_vlan,resubmit(,3)
table=0,priority=90,arp,arp_tpa=10.0.0.1,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],IN_PORT
table=3,priority=7,tcp,nw_dst=10.0.0.0/8,tp_dst=80,actions=mod_nw_dst:10.1.1.1,output:2
table=3,priority=7,ipv6,ipv6_dst=fd00::/16,actions=output:3
table=10,cookie=0x77/-1,priority=1,actions=drop
""".replace("/-1", "")
    hv.ofctl("hv1", "add-flows", "br0", "-", stdin=flows)
    shown = dump()
    assert shown.count("actions=") == 5, shown
    assert "arp,arp_tpa=10.0.0.1 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],IN_PORT" in shown
    hv.ofctl("hv1", "mod-flows", "br0", "table=3,tcp,tp_dst=80,actions=output:1")
    assert 'tp_dst=80 actions=output:1' in dump("table=3")
    hv.ofctl("hv1", "del-flows", "br0", "cookie=0x77/-1")
    assert dump("table=10").count("actions=") == 0
    hv.ofctl("hv1", "del-flows", "br0", "table=3")
    assert dump().count("actions=") == 2
    hv.ofctl("hv1", "del-flows", "br0")
    assert dump().count("actions=") == 0
    hv.ofctl("hv1", "replace-flows", "br0", "-", stdin=flows)
    # OpenFlow 1.3 carries the older actions as these, and diff-flows takes each at its word.
    modern = flows.replace("strip_vlan", "pop_vlan").replace("mod_nw_dst:10.1.1.1", "set_field:10.1.1.1->ip_dst")
    (tmp_path / "flows").write_text(modern)
    hv.ofctl("hv1", "diff-flows", "br0", str(tmp_path / "flows"))
    hv.ofctl("hv1", "--bundle", "replace-flows", "br0", "-", stdin="actions=NORMAL\n")
    assert dump().count("actions=") == 1


@one_datapath
def test_bundle_is_all_or_nothing(hv, bridge):
    done = hv.tool("hv1", "ovs-ofctl", "-O", "OpenFlow13", "--bundle", "add-flows", "br0", "-", check=False,
                   stdin="priority=1,actions=NORMAL\ntable=1,priority=1,actions=drop\n"
                         "check_overlap,priority=1,in_port=1,actions=drop\n")
    assert done.returncode != 0
    assert "OFPFMFC_OVERLAP" in done.stderr, done.stderr
    assert hv.ofctl("hv1", "--no-stats", "dump-flows", "br0").count("actions=") == 0


def test_timeouts_and_counters(hv, bridge):
    hv.ofctl("hv1", "add-flow", "br0", "priority=0,actions=NORMAL")
    hv.ofctl("hv1", "add-flow", "br0", "priority=5,icmp,in_port=1,idle_timeout=2,actions=output:2")
    hv.ofctl("hv1", "add-flow", "br0", "table=9,hard_timeout=1,actions=drop")
    assert pings(hv, bridge[1], "10.5.0.2")
    flow = hv.ofctl("hv1", "dump-flows", "br0", "icmp,in_port=1")
    wait_for(lambda: f"two packets in {hv.ofctl('hv1', 'dump-flows', 'br0', 'icmp,in_port=1')}",
             lambda: "n_packets=2," in hv.ofctl("hv1", "dump-flows", "br0", "icmp,in_port=1"), 5)
    assert "idle_timeout=2" in flow
    wait_for("both flows to time out", lambda: hv.ofctl("hv1", "--no-stats", "dump-flows", "br0").count("actions=") == 1, 10)


def test_vlans(hv, bridge):
    hv.ofctl("hv1", "add-flow", "br0", "actions=NORMAL")
    hv.vsctl("hv1", "set", "Port", "p1", "tag=10", "--", "set", "Port", "p2", "tag=10", "--", "set", "Port", "p3", "tag=20")
    assert pings(hv, bridge[1], "10.5.0.2")
    assert not pings(hv, bridge[1], "10.5.0.3")
    assert re.search(r"\b10\b.*\b(?:[0-9a-f]{2}:){5}", hv.appctl("hv1", "fdb/show", "br0"))


def test_packet_out(hv, bridge):
    from captures import Capture
    capture = Capture(hv.world, bridge[2], "eth0")
    frame = "ffffffffffff" + "0200000000aa" + "88b5" + "ab" * 46
    hv.ofctl("hv1", "packet-out", "br0", f"in_port=controller packet={frame} actions=output:2")
    wait_for("the frame", lambda: capture.file.stat().st_size > 24 + 60, 5)
    assert any(bytes(packet).hex() == frame for packet in capture.stop().packets())


@one_datapath
def test_malformed_openflow_gets_an_error_and_the_connection_lives(hv, bridge):
    import socket
    import struct
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(hv.rundir("hv1") / "br0.mgmt"))
        s.settimeout(5)

        def message():
            head = b""
            while len(head) < 8:
                head += s.recv(8 - len(head))
            body = b""
            while len(body) < struct.unpack("!H", head[2:4])[0] - 8:
                body += s.recv(struct.unpack("!H", head[2:4])[0] - 8 - len(body))
            return head[1], struct.unpack("!I", head[4:8])[0], body

        s.sendall(struct.pack("!BBHI", 4, 0, 8, 1))
        assert message()[0] == 0  # HELLO
        cases = [
            (99, b"", (1, 1)),                                   # unknown type
            (14, b"\0" * 4, (1, 6)),                             # a flow_mod that is too short
            (18, struct.pack("!HHI", 77, 0, 0), (1, 2)),         # unknown multipart
            (4, struct.pack("!II", 0x12345678, 1), (1, 3)),      # unknown experimenter
            (4, struct.pack("!II", 0x2320, 9999), (1, 4)),       # unknown Nicira message
        ]
        for number, (kind, body, want) in enumerate(cases, 100):
            s.sendall(struct.pack("!BBHI", 4, kind, 8 + len(body), number) + body)
            got_type, xid, reply = message()
            assert (got_type, xid, struct.unpack("!HH", reply[:4])) == (1, number, want), (kind, reply)
        s.sendall(struct.pack("!BBHI", 4, 2, 8, 7))
        assert message()[:2] == (3, 7)  # still there: ECHO


@pytest.mark.parametrize("options,word", [
    (("type=vxlan",), "remote_ip"),
    (("type=vxlan", "options:remote_ip=not-an-ip"), "remote_ip"),
    (("type=vxlan", "options:remote_ip=192.0.2.1", "options:key=99999999"), "key"),
    (("type=vxlan", "options:remote_ip=192.0.2.1", "options:dst_port=70000"), "dst_port"),
    (("type=vxlan", "options:remote_ip=192.0.2.1", "options:local_ip=fd00::1"), "local_ip"),
    (("type=gre", "options:remote_ip=192.0.2.1", "options:ttl=300"), "ttl"),
    (("type=patch",), "peer"),
    (("type=patch", "options:peer=bad"), "peer"),
    (("type=nonsense",), "nonsense"),
])
@one_datapath
def test_bad_interface_options_are_named_in_the_error_column(hv, bridge, options, word):
    hv.vsctl("hv1", "add-port", "br0", "bad", "--", "set", "Interface", "bad", *options)
    try:
        assert hv.vsctl("hv1", "get", "Interface", "bad", "ofport").strip() == "-1"
        assert word in hv.vsctl("hv1", "get", "Interface", "bad", "error")
        assert hv.vsctl("hv1", "get", "Interface", "p1", "ofport").strip() == "1"
    finally:
        hv.vsctl("hv1", "del-port", "br0", "bad")


def test_a_netdev_that_comes_later_and_goes(hv, bridge):
    ns = hv.hv_ns("hv1")
    ofport = lambda: hv.vsctl("hv1", "get", "Interface", "late0", "ofport").strip()  # noqa: E731
    hv.vsctl("hv1", "add-port", "br0", "late0")
    assert ofport() == "-1"
    assert "No such device" in hv.vsctl("hv1", "get", "Interface", "late0", "error")
    hv.world.veth(ns, "late0", ns, "late1")
    wait_for("late0 to get its port", lambda: ofport() not in ("-1", "[]"), 10)
    hv.world.ip(ns, "link", "del", "late0")
    wait_for("late0 to lose its port", lambda: ofport() == "-1", 10)
    hv.vsctl("hv1", "del-port", "br0", "late0")


def test_internal_port(hv, bridge):
    ns = hv.hv_ns("hv1")
    hv.ofctl("hv1", "add-flow", "br0", "actions=NORMAL")
    hv.vsctl("hv1", "add-port", "br0", "int0", "--", "set", "Interface", "int0", "type=internal")
    hv.world.ip(ns, "link", "set", "int0", "up")
    hv.world.ip(ns, "addr", "add", "10.5.0.9/24", "dev", "int0")
    assert pings(hv, bridge[1], "10.5.0.9")
    hv.vsctl("hv1", "del-port", "br0", "int0")
    assert "int0" not in hv.world.ip(ns, "link").stdout


@one_datapath
def test_default_paths(hv, bridge):
    """With RUNDIR as the tools' own run directory no option is needed (the lab's tool() sets OVS_RUNDIR only)."""
    assert "br0" in hv.tool("hv1", "ovs-vsctl", "--timeout=10", "show").stdout
    assert "warren" in hv.appctl("hv1", "version").lower()
    assert "tunnel_unknown_key" in hv.appctl("hv1", "coverage/show")


def test_a_port_is_shut_to_the_hosts_own_stack(hv, bridge):
    """What comes in by a port is the switch's alone: the hypervisor's own addresses do not answer on it, until it is no port any more."""
    hv.world.ip(hv.hv_ns("hv1"), "addr", "add", "10.5.0.77/24", "dev", "p1")
    assert not pings(hv, bridge[1], "10.5.0.77")
    hv.vsctl("hv1", "del-port", "br0", "p1")
    assert pings(hv, bridge[1], "10.5.0.77")


@one_datapath
def test_ssl_manager(hv, tmp_path):
    """`ovs-vsctl set-ssl` and `set-manager pssl:`: the switch's own database serves TLS with the keys of the SSL row."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=hv1")
    hv.vsctl("hv1", "set-ssl", key, certificate, certificate)
    hv.vsctl("hv1", "set-manager", "pssl:6640:127.0.0.1")
    show = ["ovs-vsctl", "--timeout=5", "--db=ssl:127.0.0.1:6640", "-p", key, "-c", certificate, "-C", certificate, "show"]
    wait_for("the database to answer over TLS", lambda: hv.tool("hv1", *show, check=False).returncode == 0, 10)
    hv.vsctl("hv1", "del-manager", "--", "del-ssl")
