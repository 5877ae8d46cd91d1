# SPDX-License-Identifier: Apache-2.0
"""A bridge that no controller programs has its flows, groups, meters and mapped options again after a restart, however the
process ended, and traffic that was forwarded goes on: without a gap on the eBPF datapath. What was deleted stays so, and
no other bridge gets what is not its own."""
import re
import shlex
import signal

import pytest
from echo import echo, lost_by
from world import LabError, run, start_time, wait_for

BR = "br0"
FLOWS = """\
table=0,priority=1,in_port=1,actions=resubmit(,7)
table=0,priority=1,in_port=2,actions=meter:1,output:1
table=7,cookie=0x77,priority=5,ip,nw_dst=10.9.0.0/24,actions=load:0x5->NXM_NX_REG3[0..15],group:1
table=7,priority=4,arp,actions=output:2
table=7,priority=3,hard_timeout=3600,idle_timeout=1800,importance=7,send_flow_rem,ipv6,actions=drop
table=8,priority=1,tun_metadata0=0x1234,actions=learn(table=9,idle_timeout=10,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])
"""


@pytest.fixture(scope="module")
def hv(cloud_factory, datapath):
    cloud = cloud_factory(datapath=datapath)
    cloud.allowed_warnings += ["lost the database"]
    cloud.switches_up("hv1")
    ns = cloud.hv_ns("hv1")
    for k in (1, 2):
        vm = cloud.world.netns(f"v{k}")
        cloud.world.veth(ns, f"p{k}", vm, "eth0")
        cloud.world.ip(ns, "link", "set", f"p{k}", "up")
        cloud.world.ip(vm, "link", "set", "eth0", "up")
        cloud.world.ip(vm, "addr", "add", f"10.9.0.{k}/24", "dev", "eth0")
    cloud.vsctl("hv1", "add-br", BR, "--", "set-fail-mode", BR, "secure", "--", "set", "Bridge", BR,
                "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15",
                *[word for k in (1, 2) for word in ("--", "add-port", BR, f"p{k}", "--", "set", "Interface", f"p{k}",
                                                    f"ofport_request={k}")])
    return cloud


def program(hv):
    hv.ofctl("hv1", "del-flows", BR)
    for what in ("groups", "meters"):
        hv.ofctl("hv1", "-OOpenFlow13", f"del-{what}", BR)
    hv.ofctl("hv1", "del-tlv-map", BR)
    hv.ofctl("hv1", "add-tlv-map", BR, "{class=0xffff,type=0,len=4}->tun_metadata0")
    hv.ofctl("hv1", "-OOpenFlow13", "add-meter", BR, "meter=1 pktps bands=type=drop rate=1000000")
    hv.ofctl("hv1", "-OOpenFlow15", "add-group", BR,
             "group_id=1,type=select,selection_method=hash,fields(ip_src,ip_dst),bucket=bucket_id:3,weight:2,actions=output:2")
    hv.ofctl("hv1", "-OOpenFlow14", "add-flows", BR, "-", stdin=FLOWS)


def state(hv):
    flows = hv.ofctl("hv1", "-OOpenFlow14", "--no-stats", "dump-flows", BR).splitlines()
    rest = [hv.ofctl("hv1", "-OOpenFlow15", what, BR) for what in ("dump-groups", "dump-meters", "dump-tlv-map")]
    return sorted(line for line in flows if "actions=" in line), [re.sub(r"xid=\S+", "", text) for text in rest]


def flows(hv):
    return [line for line in hv.ofctl("hv1", "--no-stats", "dump-flows", BR).splitlines() if "actions=" in line]


def restart(hv, sig=signal.SIGKILL, meanwhile=lambda: None):
    status = hv.world.kill("switchd-hv1", sig)
    meanwhile()
    (hv.world.dir / "switchd-hv1.log").write_text("")
    hv.switchd_up("hv1")
    return status


def ping(hv, count=1):
    return echo(hv.world.name + "-v1", "10.9.0.2", count, interval=0.2, wait=1 if count == 1 else 10) == count


@pytest.mark.alone
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_the_same_after_a_restart(hv, datapath, sig):
    program(hv)
    before = state(hv)
    assert len(before[0]) == 6 and all("1" in text for text in before[1])
    wait_for("traffic", lambda: ping(hv))
    (hv.world.dir / "probe.log").unlink(missing_ok=True)
    hv.world.spawn("probe", ["ping", "-n", "-i", "0.001", "-W", "1", "10.9.0.2"], netns=hv.world.name + "-v1")

    def goes_on():
        want = hv.world.log("probe").count("bytes from") + 200
        wait_for("200 more replies", lambda: hv.world.log("probe").count("bytes from") >= want)
    goes_on()
    status = restart(hv, sig, goes_on if datapath == "ebpf" else lambda: None)
    assert status == (0 if sig == signal.SIGTERM else -signal.SIGKILL)
    assert "6 flows are back" in hv.world.log("switchd-hv1")
    assert state(hv) == before
    if datapath == "ebpf":
        wait_for("the flows to be settled", lambda: "is settled" in hv.world.log("switchd-hv1"), 60)
    else:
        wait_for("traffic", lambda: ping(hv))
    goes_on()
    hv.world.kill("probe", signal.SIGINT)
    assert datapath != "ebpf" or lost_by(hv.world.log("probe")) == 0
    assert state(hv) == before and ping(hv, 3)


def test_counters_and_ages_go_on(hv):
    program(hv)

    def packets_and_age():
        line = hv.ofctl("hv1", "dump-flows", BR, "cookie=0x77/-1")
        return int(re.search(r"n_packets=(\d+)", line)[1]), float(re.search(r"duration=([\d.]+)", line)[1])
    # As long as the tables of the process before are not settled, what crosses the fast path's flows may count for nobody.
    wait_for("counters", lambda: ping(hv, 3) and packets_and_age()[0] >= 3, 60)
    packets, age = packets_and_age()
    restart(hv, signal.SIGTERM)
    after = packets_and_age()
    assert after[0] >= packets and after[1] > age, (packets, age, after)


def counted(hv, what):
    """Packets of group or meter 1, seconds that it is there, and packets of its first bucket or band."""
    text = hv.ofctl("hv1", "-OOpenFlow15", "dump-group-stats" if what == "group" else "meter-stats", BR)
    total = re.search(r"packet_count=(\d+)|packet_in_count:(\d+)", text)
    parts = re.findall(r"bucket0:packet_count=(\d+)|^0: packet_count:(\d+)", text, re.M)
    return int(total[1] or total[2]), float(re.search(r"duration[=:]([\d.]+)", text)[1]), int("".join(parts[0]))


def test_counters_of_groups_and_meters_go_on(hv):
    def counts_after(*ping):
        hv.world.sh(hv.world.name + "-v1", "ping", "-n", "-q", *ping, "-W", "1", "10.9.0.2", check=False)
        return {what: counted(hv, what) for what in ("group", "meter")}

    program(hv)
    hv.ofctl("hv1", "-OOpenFlow13", "mod-meter", BR, "meter=1 pktps burst stats bands=type=drop rate=1 burst_size=2")
    wait_for("counters", lambda: all(n >= 3 and part >= 1 for n, _, part in counts_after("-c8", "-i0.002").values()))
    before = counts_after("-c1")
    assert before["group"][2] == before["group"][0]
    restart(hv, signal.SIGTERM)
    after = {what: counted(hv, what) for what in before}
    for what, (packets, seconds, part) in before.items():
        assert packets <= after[what][0] < 2 * packets and after[what][1] > seconds and after[what][2] >= part, (before, after)
    hv.ofctl("hv1", "-OOpenFlow13", "mod-meter", BR, "meter=1 pktps stats bands=type=drop rate=1000000")
    assert counted(hv, "meter")[2] == 0  # OpenFlow 1.3, 5.7: a changed meter's bands begin anew, the meter does not
    wait_for("counters", lambda: all(n > before[what][0] for what, (n, _, _) in counts_after("-c3", "-i0.1").items()))
    restart(hv, signal.SIGKILL)
    assert counted(hv, "meter")[0] >= before["meter"][0] and counted(hv, "meter")[2] == 0


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_settings_of_ports_and_tables(hv, sig):
    """mod-port, mod-table and set-frags; also a second time, when they are as in a new bridge again."""
    def ports():
        text = hv.ofctl("hv1", "-OOpenFlow10", "dump-ports-desc", BR)
        return {port: config for port, config in re.findall(r"^ *\w+\(([\w-]+)\): .*\n +config: +(.+)", text, re.M)}

    def tables():
        text = hv.ofctl("hv1", "-OOpenFlow14", "dump-table-desc", BR)
        return dict(re.findall(r"^ +table (\d+).*:\n +(eviction=.*(?:\n +vacancy=.*)?)", text, re.M))

    def fragments():
        return hv.ofctl("hv1", "get-frags", BR).strip()

    program(hv)
    if "pt" not in ports():
        hv.vsctl("hv1", "add-port", BR, "pt", "--", "set", "Interface", "pt", "type=patch", "options:peer=nowhere")
    fresh = ports(), tables(), fragments()
    assert fresh[0]["p1"] == "0"
    for port, action in (("p1", "no-flood"), ("p1", "no-packet-in"), ("p2", "down"), ("pt", "down"), ("pt", "no-forward")):
        hv.ofctl("hv1", "-OOpenFlow10", "mod-port", BR, port, action)
    hv.ofctl("hv1", "-OOpenFlow14", "mod-table", BR, "7", "evict")
    hv.ofctl("hv1", "-OOpenFlow14", "mod-table", BR, "8", "vacancy:20,80")
    hv.ofctl("hv1", "set-frags", BR, "nx-match")
    hv.ofctl("hv1", "add-flow", BR, "table=9,actions=drop")  # its barrier is the one that counts
    wait_for("the netdev", lambda: "PORT_DOWN" in ports()["p2"])
    before = ports(), tables(), fragments()
    assert before[0]["p1"] == "NO_FLOOD NO_PACKET_IN" and before[0]["pt"] == "PORT_DOWN NO_FWD", before
    assert "eviction=on" in before[1]["7"] and "vacancy=on" in before[1]["8"] and "nx-match" in before[2], before
    restart(hv, sig)
    assert (ports(), tables(), fragments()) == before
    for port, action in (("p1", "flood"), ("p1", "packet-in"), ("p2", "up"), ("pt", "up"), ("pt", "forward")):
        hv.ofctl("hv1", "-OOpenFlow10", "mod-port", BR, port, action)
    hv.ofctl("hv1", "-OOpenFlow14", "mod-table", BR, "7", "noevict")
    hv.ofctl("hv1", "-OOpenFlow14", "mod-table", BR, "8", "novacancy")
    hv.ofctl("hv1", "set-frags", BR, "normal")
    hv.ofctl("hv1", "del-flows", BR, "table=9")
    wait_for("the netdev", lambda: ports()["p2"] == "0")
    assert (ports(), tables(), fragments()) == fresh
    restart(hv, sig)
    assert (ports(), tables(), fragments()) == fresh


def test_what_was_deleted_does_not_come_back(hv):
    """The reply to ovs-ofctl's barrier was the last thing that the process did."""
    program(hv)
    hv.ofctl("hv1", "del-flows", BR, "table=7")
    hv.ofctl("hv1", "--strict", "mod-flows", BR, "table=0,priority=1,in_port=2,actions=drop")
    before = state(hv)
    assert len(before[0]) == 3
    restart(hv)
    assert state(hv) == before
    hv.ofctl("hv1", "del-flows", BR)
    restart(hv)
    assert flows(hv) == []
    hv.ofctl("hv1", "--bundle", "add-flows", BR, "-", stdin="priority=3,actions=output:1\n")
    restart(hv)
    assert len(flows(hv)) == 1


def test_many_flows(hv):
    """More than are noted one by one: written anew soon, and when the process ends in order."""
    program(hv)
    path = hv.rundir("hv1") / f"{BR}.flows"
    hv.ofctl("hv1", "add-flows", BR, "-", stdin="".join(
        f"table=20,priority=5,ip,nw_dst=10.{i >> 8 & 255}.{i & 255}.{i >> 16},actions=output:{1 + i % 2}\n"
        for i in range(20000)))
    wait_for("the file", lambda: path.exists() and path.read_text().count("flow add") >= 20006, 20)
    before = state(hv)
    assert len(before[0]) == 20006
    restart(hv)
    assert state(hv) == before
    hv.ofctl("hv1", "del-flows", BR, "table=20,ip,nw_dst=10.0.0.0/9")
    before = state(hv)
    restart(hv, signal.SIGTERM)
    assert state(hv) == before
    hv.ofctl("hv1", "del-flows", BR, "table=20")


def test_of_whom_it_is(hv):
    """A new bridge of that name, another fail_mode, a controller, flow-restore-wait: nothing is restored."""
    def vsctl_away(*words):
        socket, db = hv.rundir("hv1") / "away.sock", hv.rundir("hv1") / "conf.db"
        command = shlex.join(["ovs-vsctl", "--no-wait", f"--db=unix:{socket}", *words])
        argv = ["ovsdb-server", "--unixctl=none", f"--remote=punix:{socket}", f"--run={command}", db]
        # The server of the switch that was killed has the database for another moment.
        return lambda: wait_for("the database", lambda: run(*argv, check=False).returncode == 0)

    program(hv)
    restart(hv, meanwhile=vsctl_away("set-fail-mode", BR, "standalone"))
    assert ["NORMAL" in line for line in flows(hv)] == [True]
    program(hv)  # without the NORMAL flow, which does not come back either
    restart(hv, meanwhile=vsctl_away("set-controller", BR, f"unix:{hv.rundir('hv1')}/nobody"))
    assert flows(hv) == []
    hv.vsctl("hv1", "del-controller", BR)
    wait_for("the NORMAL flow", lambda: ["NORMAL" in line for line in flows(hv)] == [True])
    program(hv)
    restart(hv, meanwhile=vsctl_away("set", "Open_vSwitch", ".", "other_config:flow-restore-wait=true"))
    assert ["NORMAL" in line for line in flows(hv)] == [True]
    hv.vsctl("hv1", "remove", "Open_vSwitch", ".", "other_config", "flow-restore-wait")
    program(hv)
    ports = [word for k in (1, 2) for word in ("--", "add-port", BR, f"p{k}", "--", "set", "Interface", f"p{k}",
                                               f"ofport_request={k}")]
    restart(hv, meanwhile=vsctl_away("del-br", BR, "--", "add-br", BR, "--", "set-fail-mode", BR, "secure", "--", "set",
                                     "Bridge", BR, "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15", *ports))
    assert flows(hv) == []
    path = hv.rundir("hv1") / f"{BR}.flows"
    assert path.exists()
    hv.vsctl("hv1", "del-br", BR)
    assert not path.exists()
    hv.vsctl("hv1", "add-br", BR, "--", "set-fail-mode", BR, "secure", "--", "set", "Bridge", BR,
             "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15", *ports)


def test_damaged(hv):
    program(hv)
    path = hv.rundir("hv1") / f"{BR}.flows"

    def damage():
        lines = path.read_text().splitlines(keepends=True)
        lines[5] = lines[5][:len(lines[5]) // 2] + "\n"
        path.write_text("".join(lines))

    restart(hv, signal.SIGTERM, damage)
    hv.allowed_warnings.append("starts without the flows that it had")
    warnings = [line for line in hv.world.log("switchd-hv1").splitlines() if line.startswith("WARN")]
    assert len(warnings) == 1 and f"{path}, line 6: " in warnings[0], warnings
    assert flows(hv) == []
    assert path.with_name(path.name + ".damaged").exists()
    program(hv)
    before = state(hv)
    restart(hv)
    assert state(hv) == before


@pytest.fixture
def small(cloud_factory):
    """A switch whose run directory has room for 1 MB."""
    cloud = cloud_factory()
    rundir = cloud.rundir("hv1")
    rundir.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", "size=1m", "none", rundir)
    cloud.switches_up("hv1")
    cloud.vsctl("hv1", "add-br", BR, "--", "set-fail-mode", BR, "secure")
    yield cloud
    cloud.world.kill("switchd-hv1")
    run("umount", "--lazy", rundir)


def test_full_run_directory(small):
    """Changes go on to be saved for a while. A start says what is wrong; what cannot be saved any more is told, and saved later."""
    log, filler = small.world.dir / "switchd-hv1.log", small.rundir("hv1") / "filler"

    def fill():
        with open(filler, "ab", buffering=0) as f, pytest.raises(OSError, match="No space"):
            while True:
                f.write(bytes(4096))

    def add(table, n):
        small.ofctl("hv1", "--bundle", "add-flows", BR, "-", stdin="".join(
            f"table={table},priority=1,ip,nw_dst=10.0.{i >> 8}.{i & 255},actions=drop\n" for i in range(n)))
    add(0, 100)
    fill()
    for table in range(1, 30):
        add(table, 10)
    small.ofctl("hv1", "del-flows", BR, "table=7")
    server = int((small.rundir("hv1") / "ovsdb-server.pid").read_text())
    small.world.kill("switchd-hv1", signal.SIGKILL)
    # It removes its pid file first, but has it open, and with it the room, until it is gone.
    wait_for("the database server to end", lambda: start_time(server) is None)
    fill()
    log.write_text("")
    with pytest.raises(LabError):
        small.switchd_up("hv1")
    assert re.search(r"ERR switchd: .*No space left on device", log.read_text())
    log.write_text("")
    filler.unlink()
    small.switchd_up("hv1")
    assert len(flows(small)) == 100 + 28 * 10
    fill()
    add(7, 3000)
    wait_for("a warning", lambda: f"WARN flow_save: {small.rundir('hv1')}/{BR}.flows cannot be written: No space" in log.read_text(), 10)
    filler.unlink()
    wait_for("the file", lambda: "is written again" in log.read_text(), 20)
    small.allowed_warnings += [f"{BR}.flows cannot be written: No space left"]
    restart(small)
    assert len(flows(small)) == 100 + 28 * 10 + 3000
