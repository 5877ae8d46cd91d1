# SPDX-License-Identifier: Apache-2.0
"""What ovs-vswitchd.conf.db(5) says of columns: set and read back with ovs-vsctl on one switch."""
import json
import os
import re
import signal

import pytest
from world import run, wait_for


@pytest.fixture(scope="module")
def hv(cloud_factory):
    cloud = cloud_factory()
    cloud.switches_up("hv1")
    cloud.allowed_warnings += ["interface bad", "not supported and without effect", "MTU 9000000 refused", "port s1:",
                               "port vx:", "datapath-id=zz"]
    ns = cloud.hv_ns("hv1")
    for k in (1, 2, 3):
        cloud.world.veth(ns, f"s{k}", ns, f"t{k}")
        cloud.world.ip(ns, "link", "set", f"s{k}", "up")
        cloud.world.ip(ns, "link", "set", f"t{k}", "up")
    cloud.vsctl("hv1", "add-br", "br0", "--", "set-fail-mode", "br0", "secure", *[
        word for k in (1, 2, 3) for word in ("--", "add-port", "br0", f"s{k}")])
    return cloud


def get(hv, table, row, column):
    return json_of(hv, table, row, column)[0]


def json_of(hv, table, row, *columns):
    """Values as Python sees them: sets as lists, maps as dicts."""
    shown = json.loads(hv.vsctl("hv1", "--format=json", f"--columns={','.join(columns)}", "list", table, row))

    def value(v):
        if isinstance(v, list) and len(v) == 2 and v[0] == "set":
            return v[1]
        if isinstance(v, list) and len(v) == 2 and v[0] == "map":
            return dict(v[1])
        return v
    return [value(v) for v in shown["data"][0]]


def until(hv, want, *where):
    last = []

    def same():
        last[:] = [get(hv, *where)]
        return want(last[0]) if callable(want) else last[0] == want
    wait_for(lambda: f"{where} to be {want}, it is {last}", same, 10)


def test_root(hv):
    root = lambda column: get(hv, "Open_vSwitch", ".", column)  # noqa: E731
    assert root("cur_cfg") == root("next_cfg") > 0
    assert set(root("datapath_types")) == {"netdev", "system"}
    assert {"system", "internal", "patch", "vxlan", "gre", "ip6gre", "geneve"} <= set(root("iface_types"))
    assert not any("dpdk" in kind for kind in root("iface_types"))
    assert root("dpdk_initialized") is False
    assert re.match(r"\d", root("ovs_version")) and root("db_version") == "8.3.1"
    assert root("system_type") and root("system_version")
    assert root("statistics") == {}
    hv.vsctl("hv1", "set", "Open_vSwitch", ".", "other_config:enable-statistics=true", "external_ids:mine=1")
    wait_for("statistics", lambda: root("statistics"), 10)
    shown = root("statistics")
    assert int(shown["cpu"]) >= 1 and len(shown["load_average"].split(",")) == 3
    assert [int(n) > 0 for n in shown["memory"].split(",")[:2]] == [True, True]
    process = [int(n) for n in shown["process_ovs-vswitchd"].split(",")]
    assert len(process) == 6 and process[0] > process[1] > 1000 and process[3] == 0
    hv.vsctl("hv1", "remove", "Open_vSwitch", ".", "other_config", "enable-statistics")
    until(hv, {}, "Open_vSwitch", ".", "statistics")
    assert root("external_ids")["mine"] == "1"


def test_interface_status(hv):
    ns = hv.hv_ns("hv1")
    mac = json.loads(hv.world.ip(ns, "-j", "link", "show", "s1").stdout)[0]
    columns = ("ofport", "admin_state", "link_state", "mac_in_use", "mtu", "ifindex", "error", "duplex", "link_speed")
    assert json_of(hv, "Interface", "s1", *columns) == [
        1, "up", "up", mac["address"], 1500, mac["ifindex"], [], "full", 10_000_000_000]
    status = get(hv, "Interface", "s1", "status")
    assert status["driver_name"] == "veth" and status["driver_version"]
    resets = get(hv, "Interface", "s1", "link_resets")
    hv.world.ip(ns, "link", "set", "t1", "down")
    until(hv, "down", "Interface", "s1", "link_state")
    assert get(hv, "Interface", "s1", "admin_state") == "up"
    assert get(hv, "Interface", "s1", "link_resets") == resets + 1
    hv.world.ip(ns, "link", "set", "s1", "down")
    until(hv, "down", "Interface", "s1", "admin_state")
    hv.world.ip(ns, "link", "set", "s1", "up")
    hv.world.ip(ns, "link", "set", "t1", "up")
    until(hv, "up", "Interface", "s1", "link_state")
    assert get(hv, "Interface", "br0", "ofport") == 65534
    assert get(hv, "Interface", "br0", "status")["driver_name"] == "openvswitch"


def test_ofport_request(hv):
    ofports = lambda: [get(hv, "Interface", f"s{k}", "ofport") for k in (1, 2, 3)]  # noqa: E731
    assert ofports() == [1, 2, 3]
    hv.vsctl("hv1", "set", "Interface", "s1", "ofport_request=40")
    assert ofports() == [40, 2, 3]
    # Whoever asks for a number gets it from whoever only has it; between two who ask, the holder keeps it.
    hv.vsctl("hv1", "set", "Interface", "s2", "ofport_request=3")
    one, two, three = ofports()
    assert (one, two) == (40, 3) and three not in (3, 40)
    hv.vsctl("hv1", "set", "Interface", "s3", "ofport_request=40")
    one, two, other = ofports()
    assert (one, two) == (40, 3) and other not in (3, 40)
    # Two that ask for each other's.
    hv.vsctl("hv1", "set", "Interface", "s1", "ofport_request=3", "--", "set", "Interface", "s2", "ofport_request=40",
             "--", "clear", "Interface", "s3", "ofport_request")
    assert ofports()[:2] == [3, 40]
    hv.vsctl("hv1", "set", "Interface", "s1", "ofport_request=1", "--", "set", "Interface", "s2", "ofport_request=2")
    assert ofports()[:2] == [1, 2]
    shown = hv.ofctl("hv1", "show", "br0")
    assert " 1(s1)" in shown and " 2(s2)" in shown


def test_mac_and_mtu(hv):
    ns = hv.hv_ns("hv1")
    link = lambda name: json.loads(hv.world.ip(ns, "-j", "link", "show", name).stdout)[0]  # noqa: E731
    hv.vsctl("hv1", "add-port", "br0", "int0", "--", "set", "Interface", "int0", "type=internal",
             'mac="02:00:00:00:77:01"', "mtu_request=1400")
    until(hv, "02:00:00:00:77:01", "Interface", "int0", "mac_in_use")
    until(hv, 1400, "Interface", "int0", "mtu")
    assert (link("int0")["address"], link("int0")["mtu"]) == ("02:00:00:00:77:01", 1400)
    hv.vsctl("hv1", "set", "Interface", "int0", 'mac="02:00:00:00:77:02"', "mtu_request=1300")
    until(hv, "02:00:00:00:77:02", "Interface", "int0", "mac_in_use")
    until(hv, 1300, "Interface", "int0", "mtu")
    hv.vsctl("hv1", "set", "Interface", "s3", 'mac="02:00:00:00:77:03"', "mtu_request=1450")
    until(hv, "02:00:00:00:77:03", "Interface", "s3", "mac_in_use")
    until(hv, 1450, "Interface", "s3", "mtu")
    hv.vsctl("hv1", "set", "Interface", "s3", "mtu_request=65000")
    until(hv, 65000, "Interface", "s3", "mtu")
    hv.vsctl("hv1", "set", "Bridge", "br0", 'other_config:hwaddr="02:00:00:00:77:04"')
    until(hv, "02:00:00:00:77:04", "Interface", "br0", "mac_in_use")
    assert get(hv, "Bridge", "br0", "datapath_id") == "0000020000007704"
    hv.vsctl("hv1", "set", "Bridge", "br0", "other_config:datapath-id=00000000000abcde")
    assert get(hv, "Bridge", "br0", "datapath_id") == "00000000000abcde"
    hv.vsctl("hv1", "set", "Bridge", "br0", "other_config:datapath-id=0x123")
    assert get(hv, "Bridge", "br0", "datapath_id") == "0000000000000123"
    hv.vsctl("hv1", "set", "Bridge", "br0", "other_config:datapath-id=zz")
    assert get(hv, "Bridge", "br0", "datapath_id") == "0000020000007704"
    hv.vsctl("hv1", "remove", "Bridge", "br0", "other_config", "datapath-id", "--", "del-port", "br0", "int0")
    assert get(hv, "Bridge", "br0", "datapath_version")


def test_statistics(hv):
    keys = {"collisions", "rx_bytes", "rx_crc_err", "rx_dropped", "rx_errors", "rx_frame_err", "rx_missed_errors",
            "rx_multicast_packets", "rx_over_err", "rx_packets", "tx_bytes", "tx_dropped", "tx_errors", "tx_packets"}
    until(hv, lambda s: keys <= set(s), "Interface", "s1", "statistics")
    before = get(hv, "Interface", "s2", "statistics")["tx_packets"]
    for _ in range(3):
        hv.ofctl("hv1", "packet-out", "br0", "in_port=controller packet=" + "02" * 12 + "88b5" + "00" * 50
                 + " actions=output:2")
    until(hv, lambda s: s["tx_packets"] == before + 3, "Interface", "s2", "statistics")


def test_tunnels_and_patches(hv):
    hv.vsctl("hv1", "add-port", "br0", "vx", "--", "set", "Interface", "vx", "type=vxlan",
             "options:remote_ip=192.0.2.1", "options:key=flow", "options:tos=inherit", "options:df_default=false",
             "options:csum=true", "options:egress_pkt_mark=0")
    assert get(hv, "Interface", "vx", "error") == [] and get(hv, "Interface", "vx", "ofport") > 0
    hv.vsctl("hv1", "set", "Interface", "vx", f"options:remote_ip={hv.local_ip('hv1')[:-1]}9")
    until(hv, lambda s: s.get("tunnel_egress_iface_carrier") == "up", "Interface", "vx", "status")
    assert json_of(hv, "Interface", "vx", "admin_state", "link_state", "ifindex") == ["up", "up", 0]
    until(hv, lambda s: set(s) == {"rx_bytes", "rx_packets", "tx_bytes", "tx_packets"}, "Interface", "vx",
          "statistics")
    hv.vsctl("hv1", "add-port", "br0", "bad1", "--", "set", "Interface", "bad1", "type=vxlan",
             f"options:remote_ip={hv.local_ip('hv1')[:-1]}9", "options:key=flow")
    ofport, error = json_of(hv, "Interface", "bad1", "ofport", "error")
    assert ofport == -1 and "vx" in error, error
    hv.vsctl("hv1", "del-port", "vx")
    until(hv, lambda n: n > 0, "Interface", "bad1", "ofport")  # retried as soon as the other one is gone
    assert get(hv, "Interface", "bad1", "error") == []
    hv.vsctl("hv1", "del-port", "bad1")


def test_policing(hv):
    def reset(word):
        return int(hv.appctl("hv1", "coverage/read-counter", word))
    ns = hv.hv_ns("hv1")
    hv.vsctl("hv1", "set", "Interface", "s1", "ingress_policing_rate=100", "ingress_policing_burst=10")
    before = reset("drop_policing")
    hv.world.sh(ns, "python3", "-c", """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("t1", 0))
for i in range(50):
    s.send(b"\\x02" * 12 + b"\\x88\\xb5" + bytes(600))
""")
    wait_for("drops", lambda: reset("drop_policing") - before >= 45, 5)
    assert reset("drop_policing") - before <= 49
    until(hv, lambda s: s["rx_dropped"] >= 45, "Interface", "s1", "statistics")
    hv.vsctl("hv1", "set", "Interface", "s1", "ingress_policing_rate=0", "ingress_policing_kpkts_rate=1",
             "ingress_policing_kpkts_burst=1")
    assert get(hv, "Interface", "s1", "error") == []
    hv.vsctl("hv1", "set", "Interface", "s1", "ingress_policing_kpkts_rate=0")


def test_qos(hv):
    ns = hv.hv_ns("hv1")
    tc = lambda what, dev: hv.world.sh(ns, "tc", what, "show", "dev", dev).stdout  # noqa: E731
    hv.vsctl("hv1", "set", "Port", "s2", "qos=@q", "--", "--id=@q", "create", "QoS", "type=linux-htb",
             "other_config:max-rate=1000000", "queues:1=@q1", "queues:5=@q5",
             "--", "--id=@q1", "create", "Queue", "other_config:min-rate=100000", "other_config:priority=3",
             "dscp=11",
             "--", "--id=@q5", "create", "Queue", "other_config:max-rate=200000", "other_config:burst=100000")
    assert "qdisc htb 1: root" in tc("qdisc", "s2") and "default 0x1" in tc("qdisc", "s2")
    classes = tc("class", "s2")
    for text in ("class htb 1:fffe root rate 1Mbit ceil 1Mbit", "class htb 1:1 parent 1:fffe prio 0 rate 12Kbit ceil 1Mbit",
                 "class htb 1:2 parent 1:fffe prio 3 rate 100Kbit ceil 1Mbit",
                 "class htb 1:6 parent 1:fffe prio 0 rate 12Kbit ceil 200Kbit"):
        assert text in classes, classes
    shown = hv.appctl("hv1", "qos/show", "s2")
    assert shown.startswith("QoS: s2 linux-htb\nmax-rate: 1000000\n") and "\nDefault:\n" in shown
    assert re.search(r"\nQueue 5:\n  burst: 100000\n  min-rate: 12000\n  max-rate: 200000\n  tx_packets: 0\n", shown), shown
    assert "QoS type: linux-htb" in hv.appctl("hv1", "qos/show-types", "s2")
    # A packet that was put in the queue is counted there.
    hv.ofctl("hv1", "packet-out", "br0", "in_port=controller packet=" + "02" * 12 + "88b5" + "00" * 50
             + " actions=set_queue:5,output:2")
    wait_for(lambda: hv.appctl("hv1", "qos/show", "s2"),
             lambda: re.search(r"Queue 5:(\n  .*)*tx_packets: 1\n", hv.appctl("hv1", "qos/show", "s2")), 5)
    for version in ("OpenFlow10", "OpenFlow13", "OpenFlow14"):
        queues = hv.tool("hv1", "ovs-ofctl", "-O", version, "queue-stats", "br0", "2").stdout
        assert re.search(r"queue 5: bytes=\d+, pkts=1, errors=0", queues) and "queue 1:" in queues, queues
        config = hv.tool("hv1", "ovs-ofctl", "-O", version, "queue-get-config", "br0", "2").stdout
        assert "queue 0:" in config and "queue 1:" in config and "queue 5:" in config, config
    hv.ofctl("hv1", "add-flow", "br0", "in_port=1,actions=set_queue:1,output:2,set_queue:5,output:2")
    actions = hv.appctl("hv1", "ofproto/trace", "br0", "in_port=1,tcp,nw_tos=8").splitlines()[-1]
    assert re.fullmatch(r"Datapath actions: set\(ipv4\(tos=0x2c/0xfc\)\),set\(skb_priority\(0x10002\)\),(\d+),"
                        r"set\(ipv4\(tos=0x8/0xfc\)\),set\(skb_priority\(0x10006\)\),\1", actions), actions
    # Changed in place; a queue goes.
    hv.vsctl("hv1", "set", "QoS", get(hv, "Port", "s2", "qos")[1], "other_config:max-rate=2000000", "--",
             "remove", "QoS", get(hv, "Port", "s2", "qos")[1], "queues", "1")
    classes = tc("class", "s2")
    assert "1:fffe root rate 2Mbit" in classes and "1:2 " not in classes and "1:6 " in classes, classes
    assert re.search(r"Queue 5:(\n  .*)*tx_packets: 1\n", hv.appctl("hv1", "qos/show", "s2"))
    hv.vsctl("hv1", "clear", "Port", "s2", "qos")
    assert "htb" not in tc("qdisc", "s2")
    assert hv.appctl("hv1", "qos/show", "s2") == "QoS not configured on s2\n"
    for kind, text in (("linux-noop", None), ("linux-sfq", "linux-sfq"), ("egress-policer", "egress-policer")):
        hv.vsctl("hv1", "set", "Port", "s1", "qos=@q", "--", "--id=@q", "create", "QoS", f"type={kind}")
        status = get(hv, "Port", "s1", "status")
        assert (text in status["qos_error"]) if text else status == {}, status
    hv.vsctl("hv1", "clear", "Port", "s1", "qos")
    assert get(hv, "Port", "s1", "status") == {}


def test_what_is_not_supported_is_said(hv):
    hv.vsctl("hv1", "set", "Interface", "s1", "bfd:enable=true", "cfm_mpid=7", "lldp:enable=true")
    assert get(hv, "Interface", "s1", "status")["unsupported"] == "lldp bfd cfm"
    assert get(hv, "Interface", "s1", "bfd_status")["state"] == "admin_down"
    hv.vsctl("hv1", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true", "other_config:n-handler-threads=2")
    log = (hv.dir / "switchd-hv1.log").read_text()
    assert "WARN configurator: table Open_vSwitch: not supported and without effect: other_config:dpdk-init " \
           "other_config:n-handler-threads" in log
    assert get(hv, "Open_vSwitch", ".", "dpdk_initialized") is False
    hv.vsctl("hv1", "remove", "Open_vSwitch", ".", "other_config", "dpdk-init", "--", "remove", "Open_vSwitch", ".",
             "other_config", "n-handler-threads", "--", "clear", "Interface", "s1", "bfd", "cfm_mpid", "lldp")
    assert "unsupported" not in get(hv, "Interface", "s1", "status")
    assert get(hv, "Interface", "s1", "bfd_status") == {}


def test_descriptions(hv):
    assert "Serial Num: None\nDP Description: None\n" in hv.ofctl("hv1", "dump-desc", "br0")
    hv.vsctl("hv1", "set", "Bridge", "br0", "other_config:dp-desc=the lab's", "other_config:dp-sn=42")
    assert "Serial Num: 42\nDP Description: the lab's\n" in hv.ofctl("hv1", "dump-desc", "br0")
    hv.vsctl("hv1", "remove", "Bridge", "br0", "other_config", "dp-desc", "--", "remove", "Bridge", "br0",
             "other_config", "dp-sn")


def test_unknown_keys_and_others_columns_stay(hv):
    hv.vsctl("hv1", "set", "Interface", "s1", "other_config:mine=1", "external_ids:iface-id=abc", "--",
             "set", "Bridge", "br0", "other_config:mine=2", "external_ids:bridge-id=x", "--",
             "set", "Port", "s1", "other_config:net_uuid=y", "external_ids:z=1")
    assert get(hv, "Interface", "s1", "other_config") == {"mine": "1"}
    assert get(hv, "Interface", "s1", "external_ids") == {"iface-id": "abc"}
    assert get(hv, "Bridge", "br0", "other_config")["mine"] == "2"
    assert get(hv, "Port", "s1", "other_config") == {"net_uuid": "y"}


def test_ephemeral_columns_are_as_the_schema_says(hv):
    """A wrong type or a read-only column would be refused; here each output column is written by hand and comes back."""
    for column, value in (("ofport", "77"), ("mtu", "9"), ("link_state", "down"), ("admin_state", "down"),
                          ("mac_in_use", '"02:00:00:00:00:99"'), ("ifindex", "999"), ("error", "x")):
        want = get(hv, "Interface", "s1", column)
        hv.vsctl("hv1", "set", "Interface", "s1", f"{column}={value}")
        until(hv, want, "Interface", "s1", column)


def test_datapath_type(hv):
    """netdev is user space, whatever the switch's datapath is (test_netdev_bridge.py); a type that there is not is told."""
    runner = "userspace" if hv.datapath == "userspace" else "ebpf"  # the default, where BPF is permitted

    def told(want):
        return lambda status: status.get("unsupported") == want

    def runs(want):
        return lambda version: version.endswith(f"({want})")

    until(hv, runs(runner), "Bridge", "br0", "datapath_version")
    hv.vsctl("hv1", "set", "Bridge", "br0", "datapath_type=netdev")
    until(hv, runs("userspace"), "Bridge", "br0", "datapath_version")
    assert told(None)(get(hv, "Bridge", "br0", "status"))
    hv.vsctl("hv1", "set", "Bridge", "br0", "datapath_type=dpdk")
    until(hv, told("datapath_type=dpdk"), "Bridge", "br0", "status")
    until(hv, runs(runner), "Bridge", "br0", "datapath_version")
    hv.vsctl("hv1", "set", "Bridge", "br0", "datapath_type=system")
    until(hv, told(None), "Bridge", "br0", "status")
    hv.vsctl("hv1", "set", "Bridge", "br0", 'datapath_type=""')


@pytest.fixture
def bond(hv):
    """A bond, its member m1 and the other end of that."""
    ns = hv.hv_ns("hv1")
    for k in ("m1", "m2"):
        hv.world.veth(ns, k, ns, f"{k}p")
        hv.world.ip(ns, "link", "set", k, "up")
        hv.world.ip(ns, "link", "set", f"{k}p", "up")
    hv.vsctl("hv1", "add-bond", "br0", "bond0", "m1", "m2", "bond_mode=balance-slb")
    until(hv, "up", "Interface", "m1", "link_state")
    yield "bond0"
    hv.vsctl("hv1", "del-port", "bond0")
    for k in ("m1", "m2"):
        hv.world.ip(ns, "link", "del", k)


@pytest.mark.parametrize("n", [(1 << 63) - 1, -1 << 63])
def test_the_longest_times(hv, bond, n):
    """Who wants something never to happen writes the largest number there is; a time before now is none."""
    ns, forever = hv.hv_ns("hv1"), n > 0
    times = {"Open_vSwitch .": ("max-idle", "bundle-idle-timeout", "stats-update-interval"),
             "Bridge br0": ("mac-aging-time", "mcast-snooping-aging-time"), f"Port {bond}": ("bond-rebalance-interval",)}
    for row, keys in times.items():
        hv.vsctl("hv1", "set", *row.split(), *[f"other_config:{key}={n}" for key in keys])
    hv.vsctl("hv1", "set", "Port", bond, f"bond_updelay={n}", f"bond_downdelay={n}")
    hv.ofctl("hv1", "--bundle", "add-flow", "br0", "table=9,actions=drop")
    hv.ofctl("hv1", "--bundle", "del-flows", "br0", "table=9")

    def enabled():
        return "member m1: enabled" in hv.appctl("hv1", "bond/show", bond)

    assert enabled()
    hv.world.ip(ns, "link", "set", "m1p", "down")
    until(hv, "down", "Interface", "m1", "link_state")
    assert enabled() is forever
    hv.world.ip(ns, "link", "set", "m1p", "up")
    until(hv, "up", "Interface", "m1", "link_state")
    assert enabled()
    for row, keys in times.items():
        hv.vsctl("hv1", "remove", *row.split(), "other_config", *keys)


def test_more_link_events_than_fit(hv):
    """What a socket holds when it overflows is older than what is read anew then: the last state counts."""
    ns, (switchd, times) = hv.hv_ns("hv1"), (hv.world.pid("switchd-hv1"), 20000)
    hv.world.ip(ns, "link", "set", "s2", "down")
    until(hv, "down", "Interface", "s2", "admin_state")
    before = hv.world.log("switchd-hv1").count("too many link events")
    os.kill(switchd, signal.SIGSTOP)
    try:
        batch = "".join(f"link set s2 mtu {1400 + i % 2}\n" for i in range(times)) + "link set s2 mtu 1450 up\n"
        run("ip", "-n", ns, "-batch", "-", stdin=batch)
    finally:
        os.kill(switchd, signal.SIGCONT)
    wait_for("the overflow", lambda: hv.world.log("switchd-hv1").count("too many link events") > before, 10)
    until(hv, "up", "Interface", "s2", "admin_state")
    until(hv, 1450, "Interface", "s2", "mtu")
    hv.world.ip(ns, "link", "set", "s2", "mtu", "1500")
    until(hv, 1500, "Interface", "s2", "mtu")
