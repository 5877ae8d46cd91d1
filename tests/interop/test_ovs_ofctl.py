# SPDX-License-Identifier: Apache-2.0
"""Every command of Debian's ovs-ofctl, in its default version (1.0 with Nicira extensions) and in 1.0, 1.3, 1.4 and 1.5, against one
switch with one bridge. Groups and meters have a file of their own."""
import os
import re
import select
import subprocess
import time

import pytest
from world import wait_for

VERSIONS = [None, "OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"]


@pytest.fixture(scope="module")
def hv(cloud_factory):
    cloud = cloud_factory()
    cloud.switches_up("hv1")
    cloud.vsctl("hv1", "add-br", "br0", "--", "set", "Bridge", "br0", "fail_mode=secure",
                "other_config:datapath-id=fedcba9876543210",
                "--", "add-port", "br0", "p1", "--", "set", "Interface", "p1", "type=internal", "ofport_request=1",
                "--", "add-port", "br0", "p2", "--", "set", "Interface", "p2", "type=internal", "ofport_request=2")
    return cloud


class Ofctl:
    def __init__(self, hv, version):
        self.hv, self.version = hv, version
        self.options = ["-O", version] if version else []
        self.number = int((version or "OpenFlow10")[-2:])

    def run(self, *args, stdin=None, timeout=30):
        return self.hv.tool("hv1", "ovs-ofctl", *self.options, *args, check=False, stdin=stdin, timeout=timeout)

    def __call__(self, *args, stdin=None):
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout

    def fails(self, *args, stdin=None):
        done = self.run(*args, stdin=stdin)
        assert done.returncode != 0, (args, done.stdout)
        return done.stderr

    def flows(self, *args):
        text = self("--no-stats", "dump-flows", "br0", *args)
        return [line.strip() for line in text.splitlines() if "actions=" in line]

    def popen(self, *args):
        env = ["ip", "netns", "exec", self.hv.hv_ns("hv1"), "env", f"OVS_RUNDIR={self.hv.rundir('hv1')}"]
        return subprocess.Popen([*env, "ovs-ofctl", *self.options, *args], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)


@pytest.fixture(params=VERSIONS, ids=lambda v: v or "default")
def of(hv, request):
    o = Ofctl(hv, request.param)
    o("del-flows", "br0")
    return o


class Watch:
    """What a command that goes on prints."""

    def __init__(self, process):
        self.process, self.text = process, ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()

    def has(self, wanted, timeout=1):
        """Is the pattern WANTED in the output soon?"""
        deadline = time.monotonic() + timeout
        while not re.search(wanted, self.text, re.S):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return False
            self.text += os.read(self.process.stdout.fileno(), 65536).decode()
        return True

    def until(self, wanted, timeout=10):
        """All output so far, once the pattern WANTED is in it."""
        deadline = time.monotonic() + timeout
        while not re.search(wanted, self.text, re.S):
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.process.stdout], [], [], left)[0], (wanted, self.text)
            data = os.read(self.process.stdout.fileno(), 65536).decode()
            assert data, (wanted, self.text)
            self.text += data
        return self.text

    def forget(self):
        self.text = ""


# ---- the switch ----

def test_show(of):
    shown = of("show", "br0")
    assert "dpid:fedcba9876543210" in shown and "n_tables:254, n_buffers:0" in shown
    capabilities = re.search(r"capabilities: (.*)", shown).group(1).split()
    wanted = {10: "FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP",
              13: "FLOW_STATS TABLE_STATS PORT_STATS GROUP_STATS QUEUE_STATS"}
    assert capabilities == (wanted[min(of.number, 13)] + (" BUNDLES" if of.number >= 14 else "")).split()
    if of.number == 10:
        assert ("actions: output enqueue set_vlan_vid set_vlan_pcp strip_vlan mod_dl_src mod_dl_dst mod_nw_src "
                "mod_nw_dst mod_nw_tos mod_tp_src mod_tp_dst") in shown
    for port in (" 1(p1): addr:", " 2(p2): addr:", " LOCAL(br0): addr:"):
        assert port in shown
    assert "frags=normal miss_send_len=0" in shown


def test_desc(of):
    desc = of("dump-desc", "br0")
    assert "Manufacturer: Nicira, Inc." in desc and "Hardware: Open vSwitch" in desc and "DP Description: " in desc


def test_probe_ping_benchmark(of):
    assert of("probe", "br0") == ""
    assert of("ping", "br0", "100").count("100 bytes from br0") == 10
    assert re.search(r"Finished\. .*packets per second|[\d.]+ (packets|transactions)", of("benchmark", "br0", "10", "100"))


def test_frags(of):
    assert of("get-frags", "br0").strip() == "normal"
    for mode in ("nx-match", "drop", "normal"):
        of("set-frags", "br0", mode)
        assert of("get-frags", "br0").strip() == mode
    assert "probably doesn't support mode" in of.fails("set-frags", "br0", "reassemble")


# ---- tables ----

def test_tables(of):
    of("add-flow", "br0", "table=3,actions=drop")
    shown = of("dump-tables", "br0")
    assert re.search(r"table 3.*:\n +active=1, lookup=0, matched=0", shown), shown
    if of.number == 10:
        assert "max_entries=1000000" in shown
        assert "dump-table-features needs" in of.fails("dump-table-features", "br0")
        return
    features = of("dump-table-features", "br0")
    assert "next tables: 1-253" in features and "max_entries=1000000" in features
    assert re.search(r"instructions: .*apply_actions clear_actions write_actions write_metadata goto_table", features)
    assert "exact match or wildcard: " in features and "arbitrary mask: " in features
    if of.number >= 14:
        desc = of("dump-table-desc", "br0")
        assert "eviction=off eviction_flags=OTHER|IMPORTANCE|LIFETIME" in desc and "vacancy=off" in desc


def test_mod_table(of):
    if of.number < 13:
        assert "requires one of" in of.fails("mod-table", "br0", "3", "name:hello")
        return
    of("mod-table", "br0", "3", "name:hello")
    of("add-flow", "br0", "table=hello,actions=drop")
    assert "table=hello" in of("--names", "dump-flows", "br0")
    of("mod-table", "br0", "3", "name:")
    assert "hello" not in of("--names", "dump-flows", "br0")
    if of.number < 14:
        return
    for setting, text in (("evict", "eviction=on"), ("noevict", "eviction=off"), ("vacancy:20,80", "vacancy=on"),
                          ("novacancy", "vacancy=off")):
        of("mod-table", "br0", "3", setting)
        desc = of("dump-table-desc", "br0").split("table 3:\n")[1].split("table 4:")[0]
        assert text in desc, (setting, desc)
    of("mod-table", "br0", "all", "evict")
    assert of("dump-table-desc", "br0").count("eviction=on") >= 254
    of("mod-table", "br0", "all", "noevict")


def test_table_names_from_the_database(hv, of):
    hv.vsctl("hv1", "--", "--id=@t", "create", "Flow_Table", "name=main", "--", "set", "Bridge", "br0", "flow_tables:7=@t")
    try:
        of("add-flow", "br0", "table=7,actions=drop")
        assert "table=main" in of("--names", "--no-stats", "dump-flows", "br0")
        assert of.flows("table=main") == ["table=7, actions=drop"]
        if of.number >= 13:
            of("mod-table", "br0", "7", "name:main")
            assert "OFPTFFC_EPERM" in of.fails("mod-table", "br0", "7", "name:other")
    finally:
        hv.vsctl("hv1", "clear", "Bridge", "br0", "flow_tables")


# ---- flows ----

FLOWS = """\
table=0,priority=100,in_port=1,dl_vlan=5,actions=strip_vlan,resubmit(,3)
table=0,priority=90,arp,arp_tpa=10.0.0.1,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],IN_PORT
table=3,cookie=0x77,priority=7,tcp,nw_dst=10.0.0.0/8,tp_dst=80,actions=output:2
table=3,cookie=0x78,priority=7,ipv6,ipv6_dst=fd00::/16,idle_timeout=60,actions=output:1
table=10,cookie=0x77,priority=1,reg0=1,actions=drop
"""


def test_flows(of):
    of("add-flows", "br0", "-", stdin=FLOWS)
    assert len(of.flows()) == 5
    shown = of("dump-flows", "br0")
    assert re.search(r"cookie=0x77, duration=[\d.]+s, table=3, n_packets=0, n_bytes=0,.* priority=7,tcp,nw_dst=10.0.0.0/8,tp_dst=80 "
                     r"actions=output:2", shown), shown
    assert 'in_port=p1' in of("--names", "dump-flows", "br0") and 'output:p2' in of("--names", "dump-flows", "br0")
    assert len(of.flows("table=3")) == 2
    assert len(of.flows("cookie=0x77/-1")) == 2
    assert len(of.flows("out_port=2")) == 1
    assert len(of.flows("table=3,tcp")) == 1
    assert len(of.flows("ip")) == 1
    assert len(of.flows("tcp,nw_dst=10.1.0.0/16")) == 0
    by_priority = of("--sort", "--no-stats", "dump-flows", "br0")
    assert [int(x) for x in re.findall(r"priority=(\d+)", by_priority)] == [1, 7, 7, 90, 100]
    assert "packet_count=0 byte_count=0 flow_count=2" in of("dump-aggregate", "br0", "table=3")
    assert "flow_count=1" in of("dump-aggregate", "br0", "cookie=0x78/-1")
    assert "flow_count=1" in of("dump-aggregate", "br0", "out_port=1")


def test_mod_and_del(of):
    of("add-flows", "br0", "-", stdin=FLOWS)
    of("mod-flows", "br0", "table=3,tcp,tp_dst=80,actions=output:1")
    assert any("tp_dst=80 actions=output:1" in f for f in of.flows("table=3"))
    of("--strict", "mod-flows", "br0", "table=3,priority=7,tcp,nw_dst=10.0.0.0/8,tp_dst=80,actions=drop")
    assert any("tp_dst=80 actions=drop" in f for f in of.flows("table=3"))
    of("mod-flows", "br0", "table=5,udp,actions=drop")  # nothing there
    assert len(of.flows("table=5")) == (1 if of.number == 10 else 0)
    of("mod-flows", "br0", "table=3,cookie=0x78/-1,actions=drop")
    assert len([f for f in of.flows("table=3") if f.endswith("actions=drop")]) == 2
    of("--strict", "del-flows", "br0", "table=0,priority=100,in_port=1,dl_vlan=5")
    of("--strict", "del-flows", "br0", "table=0,priority=91,arp,arp_tpa=10.0.0.1")
    assert len(of.flows("table=0")) == 1
    of("del-flows", "br0", "cookie=0x77/-1")
    assert len(of.flows("cookie=0x77/-1")) == 0
    of("del-flows", "br0", "out_port=IN_PORT")
    of("del-flows", "br0")
    assert of.flows() == []


def test_replace_and_diff(of, tmp_path):
    flows = "".join(line + "\n" for line in FLOWS.splitlines() if "idle_timeout" not in line)
    table = "table=9,priority=1,"
    if of.number == 10:  # ovs-ofctl does not replace flows of several tables by 1.0
        flows = re.sub(r"table=\d+,", "", flows)
        table = "priority=1,"
    else:
        flows = flows.replace("strip_vlan", "pop_vlan")  # diff-flows takes each action at its word
    (tmp_path / "flows").write_text(flows)
    of("add-flow", "br0", f"{table}in_port=2,actions=output:1")
    of("replace-flows", "br0", str(tmp_path / "flows"))
    assert len(of.flows()) == 4
    assert of("diff-flows", "br0", str(tmp_path / "flows")) == ""
    of("add-flow", "br0", f"{table}in_port=2,actions=output:1")
    done = of.run("diff-flows", "br0", str(tmp_path / "flows"))
    assert done.returncode == 2 and re.search(r"^-.*in_port=p?2 actions=output:p?1$", done.stdout.strip()), done.stdout
    if of.version != "OpenFlow10":
        of("--bundle", "replace-flows", "br0", str(tmp_path / "flows"))
        assert len(of.flows()) == 4


def test_bundles(of):
    if of.number == 10 and of.version:
        return  # ovs-ofctl refuses
    of("--bundle", "add-flows", "br0", "-", stdin=FLOWS)
    assert len(of.flows()) == 5
    refused = of.fails("--bundle", "add-flows", "br0", "-",
                       stdin="delete\ntable=1,actions=drop\ntable=1,check_overlap,in_port=1,actions=drop\n")
    assert "OFPFMFC_OVERLAP" in refused, refused
    assert len(of.flows()) == 5
    of("--bundle", "add-flows", "br0", "-", stdin="delete table=3\nmodify table=0,arp,actions=drop\nadd table=4,actions=NORMAL\n")
    assert len(of.flows("table=3")) == 0 and len(of.flows("table=4")) == 1
    of("--bundle", "del-flows", "br0", "-", stdin="table=4\n")
    assert len(of.flows("table=4")) == 0


def test_bundle_from_a_file(of):
    if of.number < 14:
        return
    of("bundle", "br0", "-", stdin="flow add table=1,actions=drop\nflow add table=2,actions=output:1\nflow delete table=1\n"
                                   "packet-out in_port=controller,packet=ffffffffffff0200000000aa88b50000,actions=1\n")
    assert len(of.flows()) == 1


def test_timeouts_and_flags(of):
    of("add-flow", "br0", "idle_timeout=50,hard_timeout=70,send_flow_rem,check_overlap,priority=3,actions=drop")
    flags = "send_flow_rem check_overlap " if of.number > 10 else ""  # 1.0 does not tell
    assert of.flows() == [f"idle_timeout=50, hard_timeout=70, {flags}priority=3 actions=drop"]
    assert "OFPFMFC_OVERLAP" in of.fails("add-flow", "br0", "check_overlap,in_port=1,priority=3,actions=drop")
    if of.number >= 13:
        of("add-flow", "br0", "table=1,no_packet_counts,no_byte_counts,reset_counts,actions=drop")
        assert "no_packet_counts no_byte_counts" in of.flows("table=1")[0]
    if of.number >= 14:
        of("add-flow", "br0", "table=2,importance=9,actions=drop")
        assert "importance=9" in of.flows("table=2")[0]


def test_errors(of):
    assert "OFPBRC_EPERM" in of.fails("add-flow", "br0", "table=254,actions=drop")


# ---- ports and queues ----

def test_ports(of):
    stats = of("dump-ports", "br0")
    assert "reply" in stats and "3 ports" in stats
    assert re.search(r"port +(1|\"?p1\"?): rx pkts=", stats) and "port LOCAL" in stats
    assert ("duration=" in stats) == (of.number >= 13)
    one = of("dump-ports", "br0", "p1")
    assert "1 ports" in one
    desc = of("dump-ports-desc", "br0")
    assert " 1(p1): addr:" in desc and " LOCAL(br0): addr:" in desc
    if of.number >= 15:
        assert "p2" not in of("dump-ports-desc", "br0", "p1")


def test_mod_port(of):
    for setting, config in (("no-flood", "NO_FLOOD"), ("no-packet-in", "NO_PACKET_IN"), ("no-receive", "NO_RECV"),
                            ("no-forward", "NO_FWD")):
        if setting == "no-flood" and of.number > 10:
            continue
        of("mod-port", "br0", "p1", setting)
        assert re.search(rf"1\(p1\).*\n +config: +.*{config}", of("dump-ports-desc", "br0")), setting
        of("mod-port", "br0", "p1", setting[3:])
        assert config not in of("dump-ports-desc", "br0")
    of("mod-port", "br0", "p1", "down")
    assert "PORT_DOWN" in of("dump-ports-desc", "br0")
    of("mod-port", "br0", "p1", "up")
    wait_for("up", lambda: not re.search(r"1\(p1\).*\n +config: +PORT_DOWN", of("dump-ports-desc", "br0")), 5)


def test_queues(of):
    assert "reply" in of("queue-stats", "br0")
    assert "reply" in of("queue-stats", "br0", "1")
    assert "reply" in of("queue-get-config", "br0", "1").lower()
    assert "OFPQOFC_BAD_PORT" in of("--no-names", "queue-stats", "br0", "99")


# ---- packets ----

FRAME = "ffffffffffff0200000000aa88b5" + "5a" * 46


def test_packet_out_and_monitor(of):
    for form, name in (("standard", "OFPT_PACKET_IN"), ("nxt_packet_in", "NXT_PACKET_IN"), ("nxt_packet_in2", "NXT_PACKET_IN2")):
        with Watch(of.popen("-P", form, "monitor", "br0", "65534")) as m:
            of("add-flow", "br0", "cookie=0x5,priority=7,dl_type=0x88b5,actions=load:0x1->NXM_NX_REG1[],controller")
            # The monitor is there once its packets come.
            wait_for("packet-ins", lambda: of("packet-out", "br0", f"in_port=2,packet={FRAME},actions=table") or
                     m.has("dl_type=0x88b5"), 10)
            via = "packet_out" if of.number >= 14 else "action"
            text = m.until(rf"{name}.*total_len=60.*\(via {via}\) data_len=60 \(unbuffered\)")
            assert "dl_type=0x88b5" in m.until("dl_type=0x88b5")
            if form != "standard" or of.number >= 13:
                assert "in_port=2" in text and "cookie=0x5" in text and "reg1=0x1" in text, text


def test_flow_monitor(of):
    of("add-flow", "br0", "cookie=1,priority=1,actions=drop")
    with Watch(of.popen("monitor", "br0", "watch:")) as m:
        m.until("event=(ADDED|INITIAL) .*cookie=0x1")
        m.forget()
        of("add-flow", "br0", "cookie=2,priority=2,in_port=1,actions=output:2")
        m.until("event=ADDED table=0 cookie=0x2 .*in_port=1 actions=output:2")
        of("mod-flows", "br0", "in_port=1,actions=output:1")
        # A modification by 1.0 sets the cookie too.
        m.until(f"event=MODIFIED table=0 cookie={'0' if of.number == 10 else '0x2'} .*in_port=1")
        of("del-flows", "br0", "in_port=1")
        m.until("event=DELETED reason=delete .*in_port=1")
        of("add-flow", "br0", "hard_timeout=1,cookie=3,priority=3,actions=drop")
        m.until("event=ADDED.*cookie=0x3.*event=DELETED reason=hard.*cookie=0x3")


def test_flow_monitor_selection(of):
    with Watch(of.popen("monitor", "br0", "watch:!initial,!delete,table=4,out_port=2")) as m:
        m.until("FLOW_MONITOR reply")
        m.forget()
        of("add-flow", "br0", "table=4,cookie=1,actions=output:1")
        of("add-flow", "br0", "table=5,cookie=2,actions=output:2")
        of("add-flow", "br0", "table=4,cookie=3,priority=3,actions=output:2")
        of("del-flows", "br0", "table=4")
        of("add-flow", "br0", "table=4,cookie=4,priority=4,actions=output:2")
        text = m.until("cookie=0x4")
        assert "cookie=0x3" in text and "cookie=0x1" not in text and "cookie=0x2" not in text and "DELETED" not in text
