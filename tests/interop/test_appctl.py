# SPDX-License-Identifier: Apache-2.0
"""ovs-appctl(8), ovs-vswitchd(8): each control command once, its form, and how wrong use is refused."""
import os
import re

import pytest
from world import wait_for


@pytest.fixture(scope="module")
def hv(cloud_factory):
    cloud = cloud_factory()
    cloud.switches_up("hv1")
    ns, w = cloud.hv_ns("hv1"), cloud.world
    for k in (1, 2):
        host = w.netns(f"h{k}")
        w.sysctl(host, net__ipv6__conf__all__disable_ipv6=1, net__ipv6__conf__default__disable_ipv6=1)
        w.veth(ns, f"p{k}", host, "eth0")
        w.ip(ns, "link", "set", f"p{k}", "up")
        w.ip(host, "link", "set", "eth0", "address", f"02:00:00:00:00:0{k}", "up")
        w.ip(host, "addr", "add", f"10.7.0.{k}/24", "dev", "eth0")
    for k in (3, 4):
        w.veth(ns, f"p{k}", ns, f"h{k}")
        for name in (f"p{k}", f"h{k}"):
            w.ip(ns, "link", "set", name, "up")
    cloud.vsctl("hv1", "add-br", "br0", "--", "add-port", "br0", "p1", "--", "add-port", "br0", "p2", "--",
                "add-port", "br0", "vx", "--", "set", "Interface", "vx", "type=vxlan", "options:remote_ip=10.201.1.1",
                "options:key=7", "--", "add-br", "br1", "--", "set-fail-mode", "br1", "secure", "--",
                "add-bond", "br1", "bond0", "p3", "p4", "bond_mode=balance-slb")
    return cloud


@pytest.fixture
def ask(hv):
    return lambda *words: hv.appctl("hv1", *words)


@pytest.fixture
def refuse(hv):
    def refused(text, *words):
        done = hv.tool("hv1", "ovs-appctl", *words, check=False)
        assert done.returncode == 2 and text in done.stderr, (words, done)
    return refused


def ping(hv):
    assert hv.world.sh(f"{hv.world.name}-h1", "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "10.7.0.2",
                       check=False).returncode == 0


def test_commands_and_arguments(hv, ask, refuse):
    shown = ask("list-commands")
    assert shown.startswith("The available commands are:\n")
    names = {line.split()[0] for line in shown.splitlines()[1:]}
    assert {"version", "list-commands", "exit", "fdb/show", "fdb/flush", "fdb/add", "fdb/del", "fdb/stats-show",
            "fdb/stats-clear", "mdb/show", "mdb/flush", "ofproto/list", "ofproto/trace", "ofproto/list-tunnels",
            "dpctl/show", "dpctl/dump-dps", "dpctl/dump-flows", "dpctl/del-flows", "dpctl/get-flow", "dpif/show",
            "dpif/dump-flows", "dpif/dump-dps", "dpif/show-dp-features", "coverage/show", "coverage/read-counter",
            "vlog/list", "vlog/set", "vlog/list-pattern", "vlog/reopen", "memory/show", "upcall/show",
            "upcall/set-flow-limit", "upcall/enable-megaflows", "upcall/disable-megaflows", "revalidator/purge",
            "revalidator/wait", "revalidator/sweep", "tnl/ports/show", "tnl/arp/show", "tnl/neigh/show",
            "ovs/route/show", "bridge/dump-flows", "bridge/reconnect", "qos/show", "qos/show-types", "bond/show",
            "bond/list", "lacp/show"} <= names
    assert re.search(r" \d+\.\d+\.\d+$", ask("version").splitlines()[0])
    refuse('"nosuch" is not a valid command (use "list-commands" to see a list of valid commands)', "nosuch")
    refuse('"fdb/show" command requires at least 1 arguments', "fdb/show")
    refuse('"fdb/show" command takes at most 1 arguments', "fdb/show", "a", "b")
    for command in ("fdb/show", "fdb/flush", "fdb/stats-show", "fdb/stats-clear", "mdb/show", "bridge/dump-flows",
                    "dpif/dump-flows", "dpif/show-dp-features"):
        refuse("no such bridge", command, "nobridge")
    refuse("unknown bridge", "bridge/reconnect", "nobridge")
    refuse("no such interface", "qos/show", "nothing")
    refuse("no such bond", "bond/show", "nothing")
    refuse("No such counter", "coverage/read-counter", "nothing")
    refuse("multicast snooping is disabled", "mdb/show", "br0")


def test_fdb(hv, ask, refuse):
    assert ask("fdb/flush", "br0") == "table successfully flushed\n"
    assert ask("fdb/show", "br0") == " port  VLAN  MAC                Age\n"
    ping(hv)
    lines = ask("fdb/show", "br0").splitlines()
    assert re.fullmatch(r"    1     0  02:00:00:00:00:01  +\d", lines[1]), lines
    assert re.fullmatch(r"    2     0  02:00:00:00:00:02  +\d", lines[2]), lines
    assert re.search("Total number of learned MAC entries     : [2-9]", ask("fdb/stats-show", "br0"))
    assert ask("fdb/stats-clear", "br0") == "statistics successfully cleared\n"
    stats = ask("fdb/stats-show", "br0")
    assert "Total number of learned MAC entries     : 0" in stats and "MAC entries in the table: 2/8192" in stats
    ask("fdb/add", "br0", "p2", "10", "00:11:22:33:44:55")
    assert "    2    10  00:11:22:33:44:55  static\n" in ask("fdb/show", "br0")
    assert "static MAC entries in the table : 1" in ask("fdb/stats-show", "br0")
    refuse("no such port", "fdb/add", "br0", "p9", "10", "00:11:22:33:44:55")
    refuse("bad VLAN", "fdb/add", "br0", "p2", "5000", "00:11:22:33:44:55")
    refuse("bad MAC address", "fdb/add", "br0", "p2", "5", "00:11:22:33:44")
    refuse("no unicast", "fdb/add", "br0", "p2", "5", "01:11:22:33:44:55")
    refuse("could not find static mac entry", "fdb/del", "br0", "0", "02:00:00:00:00:01")
    ask("fdb/del", "br0", "10", "00:11:22:33:44:55")
    assert "static" not in ask("fdb/show", "br0")


def test_datapath(hv, ask, refuse):
    ask("dpctl/del-flows")
    ping(hv)
    dps = ask("dpctl/dump-dps")
    assert dps and dps == ask("dpif/dump-dps")
    shown = ask("dpctl/show")
    assert re.search(r"^  lookups: hit:\d+ missed:\d+ lost:0\n  flows: \d+\n  port \d+: ", shown, re.M), shown
    assert re.search(r"  port \d+: p1\n", shown) and re.search(r"  port \d+: br0 \(internal\)\n", shown)
    assert re.search(r"  port \d+: vxlan_sys_4789 \(vxlan\)\n", shown) and "RX" not in shown
    assert re.search(r"port \d+: p1\n    RX packets:\d+ errors:0 dropped:0 overruns:0 frame:0\n"
                     r"    TX packets:\d+ errors:0 dropped:0 aborted:0 carrier:0\n    collisions:0\n"
                     r"    RX bytes:\d+  TX bytes:\d+\n", ask("dpctl/show", "-s", dps.strip()))
    names = ask("dpctl/dump-flows", "--names")
    assert re.search(r"in_port\(p1\),.*eth_type\(0x0800\).* packets:\d+, bytes:\d+, used:[\d.]+s, actions:p2\n", names), names
    number = re.search(r"port (\d+): p1\n", shown).group(1)
    plain = ask("dpctl/dump-flows")
    assert f"in_port({number})" in plain and "ufid:" not in plain
    more = ask("dpctl/dump-flows", "-m", "--names")
    ufid = re.search(r"^(ufid:\S+), .*in_port\(p1\).*eth_type\(0x0800\).* dp:\w+, actions:", more, re.M).group(1)
    one = ask("dpctl/get-flow", ufid)
    assert one.count("\n") == 1 and f"in_port({number})" in one
    refuse("getting flow", "dpctl/get-flow", "ufid:00000000-0000-0000-0000-00000000ffff")
    refuse("parsing flow ufid", "dpctl/get-flow", "zz")
    # What a filter contradicts is left out.
    assert "in_port(p1)" in ask("dpctl/dump-flows", "--names", "filter=in_port=p1")
    assert "in_port(p2)" not in ask("dpctl/dump-flows", "--names", "filter=in_port=p1")
    assert "arp" not in ask("dpctl/dump-flows", "filter=icmp") and "0x0800" in ask("dpctl/dump-flows", "filter=icmp")
    assert ask("dpctl/dump-flows", "filter=in_port=p1,dl_src=02:00:00:00:00:77") == ""
    refuse("Failed to parse filter", "dpctl/dump-flows", "filter=zz")
    # Hosts speak IPv6 when they like: only the ping's flows are sure to be the same in both.
    assert ask("dpctl/dump-flows", "type=ovs").count("eth_type(0x0800)") == plain.count("eth_type(0x0800)") > 0
    assert ask("dpctl/dump-flows", "type=offloaded") == ""
    refuse("Failed to parse type (zz)", "dpctl/dump-flows", "type=zz")
    refuse("Unrecognized option -q", "dpctl/dump-flows", "-q")
    refuse("opening datapath zz failed", "dpctl/show", "zz")
    assert "in_port(p1)" in ask("dpif/dump-flows", "--names", "br0") and "in_port(p1)" not in ask("dpif/dump-flows", "--names", "br1")
    features = ask("dpif/show-dp-features", "br0")
    assert "Explicit Drop action: Yes\n" in features and "CT state: No\n" in features
    assert ask("dpif/set-dp-features", "br0") == features
    assert ask("dpif/set-dp-features", "br0", "tnl_push_pop", "false") == ""
    refuse("cannot be changed", "dpif/set-dp-features", "br0", "tnl_push_pop", "true")
    refuse("unknown feature", "dpif/set-dp-features", "br0", "zz")
    ask("dpctl/del-flows", dps.strip())
    assert "in_port(p1)" not in ask("dpctl/dump-flows", "--names", "filter=icmp")


def test_dpif_and_tunnels(hv, ask, refuse):
    shown = ask("dpif/show")
    assert re.match(r"\S+: hit:\d+ missed:\d+\n  br0:\n    br0 65534/\d+: \(internal\)\n    p1 1/\d+: \(system\)\n", shown)
    assert re.search(r"    vx 3/\d+: \(vxlan: key=7, remote_ip=10.201.1.1\)\n", shown), shown
    assert ask("ofproto/list") == "br0\nbr1\n"
    assert re.fullmatch(r"port \d+: vx \(vxlan: ::->10.201.1.1, key=0x7, legacy_l2, dp port=\d+, ttl=64\)\n",
                        ask("ofproto/list-tunnels"))
    hv.vsctl("hv1", "set", "Interface", "vx", "options:in_key=8", "options:tos=inherit", "options:ttl=9",
             "options:csum=true", "options:df_default=false", f"options:local_ip={hv.local_ip('hv1')}")
    options = f"csum=true, df_default=false, in_key=8, local_ip={hv.local_ip('hv1')}, out_key=7, remote_ip=10.201.1.1, " \
              "tos=inherit, ttl=9"
    assert f"(vxlan: {options})" in ask("dpif/show")
    assert f"vx (bridge br0): {options}\n" in ask("tnl/ports/show", "-v")
    hv.vsctl("hv1", "clear", "Interface", "vx", "options", "--", "set", "Interface", "vx",
             "options:remote_ip=10.201.1.1", "options:key=7")
    assert re.fullmatch(r"Listening ports:\nvxlan_sys_4789 \(\d+\) ref_cnt=1\n", ask("tnl/ports/show"))
    hv.world.sh(hv.hv_ns("hv1"), "ping", "-n", "-c", "1", "-W", "1", "10.201.1.1")
    for command in ("tnl/neigh/show", "tnl/arp/show"):
        assert re.search(r"^10\.201\.1\.1 +([0-9a-f]{2}:){5}[0-9a-f]{2} +und0$", ask(command), re.M)
    routes = ask("ovs/route/show")
    assert routes.startswith("Route Table:\n") and "Cached: 10.201.1.0/24 dev und0 SRC 10.201.1.2\n" in routes
    assert "Cached: 0.0.0.0/0 dev und0 GW 10.201.1.1\n" in routes and " local\n" in routes
    assert "dev und0" in ask("ovs/route/lookup", "192.0.2.1")
    refuse("Invalid 'ip' parameter", "ovs/route/lookup", "x")
    # A device's name is any bytes; JSON takes UTF-8 only.
    ns, latin1 = hv.hv_ns("hv1"), os.fsdecode(b"wan\xe9")
    hv.world.sh(ns, "ip", "link", "add", latin1, "type", "veth", "peer", "name", "wanp")
    hv.world.sh(ns, "ip", "link", "set", latin1, "up")
    hv.world.sh(ns, "ip", "route", "add", "203.0.113.0/24", "dev", latin1)
    assert "Cached: 203.0.113.0/24 dev wan?" in ask("ovs/route/show")
    hv.world.sh(ns, "ip", "link", "del", latin1)


def test_counters_and_sizes(hv, ask, refuse):
    before = int(ask("coverage/read-counter", "flow_mod_add"))
    hv.ofctl("hv1", "add-flow", "br1", "table=3,actions=drop")
    assert int(ask("coverage/read-counter", "flow_mod_add")) == before + 1
    ask("revalidator/purge")
    misses = int(ask("coverage/read-counter", "upcall_miss"))
    ping(hv)
    assert int(ask("coverage/read-counter", "upcall_miss")) > misses
    shown = ask("coverage/show")
    assert shown.startswith("Event coverage, avg rate over last: 5 seconds, last minute, last hour:\n")
    line = r"^{} +[\d.]+/sec +[\d.]+/sec +[\d.]+/sec +total: \d+"
    for name in ("upcall_miss", "megaflow_add", "flow_mod_add", "datapath_hit", "packet_out", "drop_table_miss"):
        assert re.search(line.format(name), shown, re.M), (name, shown)
    assert re.search(r"^\d+ events never hit$", shown, re.M)
    assert re.search(r"ports:\d+ rules:\d+", ask("memory/show"))
    assert re.search(r"  flows         : \(current \d+\) \(avg \d+\) \(max [1-9]\d*\) \(limit 200000\)\n"
                     r"  dump duration : \d+ms\n  ufid enabled : true\n", ask("upcall/show"))
    assert ask("upcall/set-flow-limit", "1000") == "set flow_limit to 1000\n"
    assert "(limit 1000)" in ask("upcall/show")
    refuse("is no number of flows", "upcall/set-flow-limit", "many")
    hv.vsctl("hv1", "set", "Open_vSwitch", ".", "other_config:flow-limit=5000")
    assert "(limit 5000)" in ask("upcall/show")
    hv.vsctl("hv1", "remove", "Open_vSwitch", ".", "other_config", "flow-limit")
    assert ask("upcall/enable-megaflows") == "megaflows enabled\n"
    refuse("not supported", "upcall/disable-megaflows")
    for command in ("revalidator/wait", "revalidator/sweep", "revalidator/purge"):
        assert ask(command) == ""
    assert "table_id=3, duration=" in ask("bridge/dump-flows", "br1")
    assert "actions=drop" in ask("bridge/dump-flows", "--offload-stats", "br1")
    refuse("Unrecognized option", "bridge/dump-flows", "--zz", "br1")


def test_vlog(hv, ask, refuse):
    assert re.search(r"^ofserver +INFO +OFF +OFF$", ask("vlog/list"), re.M)
    ask("vlog/set", "ofserver:console:dbg")
    assert re.search(r"^ofserver +DBG +OFF +OFF$", ask("vlog/list"), re.M)
    assert re.search(r"^megaflow +INFO ", ask("vlog/list"), re.M)
    ask("vlog/set", "ANY:console:info", "megaflow:off")
    assert re.search(r"^megaflow +OFF ", ask("vlog/list"), re.M)
    ask("vlog/set", "info")
    refuse('no destination, level, or module "zz"', "vlog/set", "zz:dbg")
    refuse("not supported", "vlog/set", "ANY:file:dbg")
    refuse("not supported", "vlog/set", "PATTERN:console:%m")
    assert "CONSOLE" in ask("vlog/list-pattern")
    assert ask("vlog/reopen") == ""


def test_bonds(hv, ask, refuse):
    assert re.search(r"^bond0\tbalance-slb\t0\tp[34], p[34]$", ask("bond/list"), re.M)
    shown = ask("bond/show", "bond0")
    assert re.sub("rebalance.*", "", shown) == re.sub("rebalance.*", "", ask("bond/show"))
    assert shown.startswith("---- bond0 ----\nbond_mode: balance-slb\n") and "lacp_status: off\n" in shown
    assert shown.count(": enabled\n") == 2 and shown.count("  active member\n") == 1
    other = "p3" if "member p4: enabled\n  active member" in shown else "p4"
    assert ask("bond/set-active-member", "bond0", other) == "done\n"
    assert ask("bond/set-active-member", "bond0", other) == "no change\n"
    assert ask("bond/disable-member", "bond0", other) == "disabled\n"
    assert f"member {other}: disabled" in ask("bond/show", "bond0")
    refuse("cannot make disabled member active", "bond/set-active-member", "bond0", other)
    assert ask("bond/enable-member", "bond0", other) == "enabled\n"
    assert ask("bond/migrate", "bond0", "7", other) == "migrated\n"
    refuse("no such member", "bond/migrate", "bond0", "7", "p1")
    assert 0 <= int(ask("bond/hash", "02:00:00:00:00:01", "5")) < 256
    assert ask("lacp/show") == ""


def test_mdb_and_tables(hv, ask, refuse):
    hv.vsctl("hv1", "set", "Bridge", "br1", "mcast_snooping_enable=true", "--",
             "set", "Bridge", "br1", "flow_tables:5=@t", "flow_tables:6=@u", "--",
             "--id=@t", "create", "Flow_Table", "name=limited", "flow_limit=2", "--",
             "--id=@u", "create", "Flow_Table", "flow_limit=2", "overflow_policy=evict", 'groups="NXM_OF_IN_PORT[]"')
    assert ask("mdb/show", "br1") == " port  VLAN  GROUP                Age\n"
    assert ask("mdb/flush", "br1") == "table successfully flushed\n"
    assert 'table 5 ("limited")' in hv.ofctl("hv1", "dump-table-features", "br1")
    for k in (1, 2):
        hv.ofctl("hv1", "add-flow", "br1", f"table=5,in_port={k},actions=drop")
    done = hv.tool(
        "hv1", "ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br1", "table=5,in_port=3,actions=drop", check=False)
    assert done.returncode and "TABLE_FULL" in done.stderr, done
    for k in (1, 2, 3):
        hv.ofctl("hv1", "add-flow", "br1", f"table=6,in_port={k},idle_timeout=100,actions=drop")
    assert hv.ofctl("hv1", "dump-flows", "br1", "table=6").count("actions=") == 2
    hv.vsctl("hv1", "clear", "Bridge", "br1", "flow_tables")
    hv.ofctl("hv1", "add-flow", "br1", "table=5,in_port=3,actions=drop")
    assert "limited" not in hv.ofctl("hv1", "dump-table-features", "br1")


def test_exit(hv, ask, refuse):
    ns = hv.hv_ns("hv1")
    hv.vsctl("hv1", "set", "Port", "p2", "qos=@q", "--", "--id=@q", "create", "QoS", "type=linux-htb")
    assert "htb" in hv.world.sh(ns, "tc", "qdisc", "show", "dev", "p2").stdout
    refuse("unknown option --zz", "exit", "--zz")
    ask("exit", "--cleanup")
    wait_for("the switch to leave", lambda: not (hv.rundir("hv1") / "ovs-vswitchd.pid").exists(), 10)
    assert "htb" not in hv.world.sh(ns, "tc", "qdisc", "show", "dev", "p2").stdout
    assert "br0" not in hv.world.sh(ns, "ip", "link").stdout
