# SPDX-License-Identifier: Apache-2.0
"""datapath_type=netdev on one bridge of a switch that forwards by BPF: its ports are user space's, whatever the others are,
and everything else is as before: one pipeline, patch ports between the two kinds, one tunnel endpoint, true counters.

        hv1   a ── br-sys ══ patch ══ br-net ── b, c, br-net (10.7.0.9)        hv2   br-phy (netdev) ── und0
                   (BPF)              (netdev)  └─ vxlan to hv2                      br-far ── far; vxlan by br-phy's address
"""
import itertools
import json
import re
import signal

import pytest
from datapaths import need_bpf
from echo import echo
from transfer import ask_from, serve_in
from world import run, wait_for

ADDRESS = {"a": "10.7.0.1", "b": "10.7.0.2", "c": "10.7.0.3", "far": "10.7.0.4", "br-net": "10.7.0.9"}
MTU = 1400


def plug(cloud, hv, bridge, name):
    ns = cloud.world.netns(name)
    cloud.world.veth(ns, "eth0", cloud.hv_ns(hv), f"tap-{name}")
    cloud.world.sysctl(cloud.hv_ns(hv), **{f"net__ipv6__conf__tap-{name}__disable_ipv6": 1})
    cloud.world.ip(cloud.hv_ns(hv), "link", "set", f"tap-{name}", "up")
    cloud.world.sysctl(ns, net__ipv6__conf__eth0__disable_ipv6=1)  # who speaks is to be known
    cloud.world.ip(ns, "link", "set", "eth0", "mtu", MTU, "up")
    cloud.world.ip(ns, "addr", "add", f"{ADDRESS[name]}/24", "dev", "eth0")
    cloud.vsctl(hv, "add-port", bridge, f"tap-{name}")
    serve_in(cloud.world, f"serve-{name}", ns)
    cloud.ns[name] = ns


def local_address(cloud):
    """A netdev bridge's own device is a TAP: it goes with the process, as everywhere."""
    ns = cloud.hv_ns("hv1")
    wait_for("br-net", lambda: "br-net" in cloud.world.ip(ns, "-br", "link").stdout, 5)
    cloud.world.sysctl(ns, **{"net__ipv6__conf__br-net__disable_ipv6": 1})
    cloud.world.ip(ns, "addr", "replace", f"{ADDRESS['br-net']}/24", "dev", "br-net")
    cloud.world.ip(ns, "link", "set", "br-net", "mtu", MTU, "up")


@pytest.fixture(scope="module")
def cloud(cloud_factory):
    need_bpf()
    cloud = cloud_factory(datapath="ebpf")
    cloud.switches_up("hv1", "hv2")
    cloud.ns = {"br-net": cloud.hv_ns("hv1")}
    vxlan = ["type=vxlan", "options:key=7"]
    cloud.vsctl("hv1", "add-br", "br-sys", "--", "add-br", "br-net", "--", "set", "Bridge", "br-net", "datapath_type=netdev",
                "--", "add-port", "br-sys", "p-net", "--", "set", "Interface", "p-net", "type=patch", "options:peer=p-sys",
                "--", "add-port", "br-net", "p-sys", "--", "set", "Interface", "p-sys", "type=patch", "options:peer=p-net",
                "--", "add-port", "br-net", "vx", "--", "set", "Interface", "vx", *vxlan, "options:remote_ip=10.201.2.2")
    cloud.vsctl("hv2", "add-br", "br-far", "--", "add-br", "br-phy", "--", "set", "Bridge", "br-phy", "datapath_type=netdev",
                "--", "add-port", "br-phy", "und0",
                "--", "add-port", "br-far", "vx", "--", "set", "Interface", "vx", *vxlan, "options:remote_ip=10.201.1.2")
    underlay(cloud)
    # A socket cannot be told of a super-packet inside a tunnel; where und0 is a wire's end there are none, and this device is it.
    features = [f"tx-{name}-segmentation" for name in ("udp_tnl", "udp_tnl-csum")]
    cloud.world.sh(f"{cloud.world.name}-rt", "ethtool", "-K", "u2", "tx", "off", *[w for name in features for w in (name, "off")])
    for bridge, name in (("br-sys", "a"), ("br-net", "b"), ("br-net", "c")):
        plug(cloud, "hv1", bridge, name)
    plug(cloud, "hv2", "br-far", "far")
    local_address(cloud)
    return cloud


def underlay(cloud):
    """hv2's address moves from und0 to br-phy, which has und0 as a port."""
    ns = cloud.hv_ns("hv2")
    wait_for("br-phy", lambda: "br-phy" in cloud.world.ip(ns, "-br", "link").stdout, 5)
    cloud.world.ip(ns, "addr", "flush", "dev", "und0")
    cloud.world.ip(ns, "link", "set", "br-phy", "up")
    cloud.world.ip(ns, "addr", "replace", "10.201.2.2/24", "dev", "br-phy")
    cloud.world.ip(ns, "route", "replace", "default", "via", "10.201.2.1")


def ping(cloud, source, target, count=1, wait=10):
    return echo(cloud.ns[source], ADDRESS[target], count, wait=wait)


def until_all_reach_all(cloud):
    for source, target in itertools.permutations(ADDRESS, 2):
        wait_for(f"{target} to answer {source}", lambda s=source, t=target: ping(cloud, s, t, wait=1), 20)


def filters(cloud, hv, device):
    """Names of the BPF programs at DEVICE's ingress."""
    shown = cloud.world.sh(cloud.hv_ns(hv), "tc", "filter", "show", "dev", device, "ingress", check=False).stdout
    return re.findall(r"handle 0x\S+ (\w+)", shown)


def column(cloud, hv, *what):
    return cloud.vsctl(hv, "get", *what).strip().strip('"')


def test_super_packets_between_all(cloud):
    until_all_reach_all(cloud)
    for source in ("a", "b", "far", "br-net"):
        targets = [ADDRESS[name] for name in ("a", "b", "c", "far") if name != source]
        assert ask_from(cloud.world, cloud.ns[source], "ask", *targets) == "", source
    for name, ns in cloud.ns.items():
        shown = json.loads(cloud.world.sh(ns, "nstat", "-asz", "--json").stdout)["kernel"]
        assert not {key: n for key, n in shown.items() if key.endswith("InCsumErrors") and n}, name


def test_no_program_on_its_ports(cloud):
    until_all_reach_all(cloud)
    assert filters(cloud, "hv1", "tap-a") == ["port_ingress"]
    assert filters(cloud, "hv1", "und0") == ["uplink_ingress"]
    for hv, device in (("hv1", "tap-b"), ("hv1", "tap-c"), ("hv2", "und0")):
        assert filters(cloud, hv, device) == ["warren_guard_in"], device  # keeps the host's own stack off
    for hv, device in (("hv1", "br-net"), ("hv2", "br-phy")):
        assert filters(cloud, hv, device) == []
        assert "tun" in cloud.world.ip(cloud.hv_ns(hv), "-d", "link", "show", device).stdout
    attached = run("nsenter", f"--net=/run/netns/{cloud.hv_ns('hv1')}", "bpftool", "-j", "net", "show").stdout
    programs = {(entry["devname"], entry["name"].split(":")[0]) for entry in json.loads(attached)[0]["tc"]}
    assert {name for device, name in programs if device in ("tap-b", "tap-c", "br-net")} == {"warren_guard_in"}


def test_what_is_shown(cloud):
    until_all_reach_all(cloud)
    version = column(cloud, "hv1", "Bridge", "br-sys", "datapath_version")
    assert re.fullmatch(r"warren \S+ \(ebpf\)", version)
    assert column(cloud, "hv1", "Bridge", "br-net", "datapath_version") == version.replace("ebpf", "userspace")
    assert column(cloud, "hv1", "Open_vSwitch", ".", "datapath_types") == "[netdev, system]"
    assert column(cloud, "hv1", "Bridge", "br-net", "status") == "{}"
    assert "datapath_type" not in cloud.world.log("switchd-hv1")
    shown = cloud.appctl("hv1", "dpif/show")
    kinds = {name: kind for name, kind in re.findall(r"^    (\S+) \S+: \((.*)\)$", shown, re.M)}
    assert kinds["tap-a"] == "system" and kinds["br-sys"] == "internal"
    assert kinds["tap-b"] == "system, userspace" and kinds["br-net"] == "internal, userspace"
    assert kinds["vx"] == "vxlan: key=7, remote_ip=10.201.2.2"
    assert kinds["p-sys"] == "patch: peer=p-net"
    shown = cloud.appctl("hv1", "dpctl/show")
    assert re.search(r"port \d+: tap-a$", shown, re.M) and re.search(r"port \d+: tap-b \(userspace\)$", shown, re.M)
    assert re.search(r"port \d+: br-net \(internal, userspace\)$", shown, re.M)
    flows = cloud.appctl("hv1", "dpctl/dump-flows", "--names")
    mixed = [line for line in flows.splitlines() if re.search(r"in_port\((tap-b|tap-c|br-net)\)|actions:.*(tap-b|tap-c)", line)]
    assert len(mixed) > 5 and all("dp:userspace" in line for line in mixed), flows


def port_stats(cloud, name):
    shown = cloud.ofctl("hv1", "dump-ports", *name)
    return tuple(int(n) for n in re.findall(r"pkts=(\d+)", shown))


def megaflow_packets(cloud, source, destination):
    shown = cloud.appctl("hv1", "dpctl/dump-flows", "--names")
    return sum(int(re.search(r"packets:(\d+)", line)[1]) for line in shown.splitlines()
               if f"in_port({source})" in line and "0x0800" in line and re.search(rf"actions:{destination}\b", line))


def test_counters(cloud):
    """Each packet is counted once: by its ports, its megaflow and its OpenFlow flow, whoever carried it."""
    until_all_reach_all(cloud)
    bridge = cloud.rundir("hv1") / "br-net.mgmt"
    cloud.ofctl("hv1", "add-flow", bridge, "priority=9,icmp,nw_src=10.7.0.1,nw_dst=10.7.0.2,actions=normal")
    assert ping(cloud, "a", "b", 2) == 2
    a, b = ("br-sys", "tap-a"), ("br-net", "tap-b")
    before = port_stats(cloud, a), port_stats(cloud, b), megaflow_packets(cloud, "tap-a", "tap-b"), megaflow_packets(
        cloud, "tap-b", "tap-a")
    assert ping(cloud, "a", "b", 20) == 20
    after = port_stats(cloud, a), port_stats(cloud, b)
    for now, then in zip(after, before):
        assert all(20 <= n - t <= 26 for n, t in zip(now, then)), (before, after)  # and some ARP
    assert megaflow_packets(cloud, "tap-a", "tap-b") - before[2] == 20
    assert megaflow_packets(cloud, "tap-b", "tap-a") - before[3] == 20
    wait_for("the flow's counter", lambda: "n_packets=22," in cloud.ofctl("hv1", "dump-flows", bridge, "icmp"), 10)
    cloud.ofctl("hv1", "del-flows", bridge, "icmp")


def drops(cloud, reason):
    return cloud.counter("hv1", f"drop_{reason}")


def test_samples_agree(cloud):
    """Every packet translated again, of both kinds of port: whatever was done was right."""
    until_all_reach_all(cloud)
    cloud.vsctl("hv1", "set", "Open_vSwitch", ".", "other_config:fast-path-sample=1")
    before = cloud.counter("hv1", "megaflow_sample")
    assert ping(cloud, "b", "c", 20) == 20
    assert cloud.counter("hv1", "megaflow_sample") - before >= 40
    until_all_reach_all(cloud)
    assert cloud.counter("hv1", "megaflow_sample_mismatch") == 0
    cloud.vsctl("hv1", "remove", "Open_vSwitch", ".", "other_config", "fast-path-sample")


@pytest.mark.alone
def test_policing_and_meters(cloud):
    until_all_reach_all(cloud)
    before = drops(cloud, "policing")
    cloud.vsctl("hv1", "set", "Interface", "tap-b", "ingress_policing_kpkts_rate=1", "ingress_policing_kpkts_burst=1")
    flood = ["ping", "-q", "-n", "-l", "3000", "-c3000", "-w2", "-s", "8", ADDRESS["a"]]
    wait_for("frames to be policed", lambda: cloud.world.sh(cloud.ns["b"], *flood, check=False) and
             drops(cloud, "policing") > before, 30)
    bridge = cloud.rundir("hv1") / "br-net.mgmt"
    policed = int(re.search(r"drop=(\d+)", cloud.ofctl("hv1", "dump-ports", bridge, "tap-b"))[1])
    assert policed == drops(cloud, "policing") - before
    cloud.vsctl("hv1", "set", "Interface", "tap-b", "ingress_policing_kpkts_rate=0", "ingress_policing_kpkts_burst=0")
    cloud.ofctl("hv1", "add-meter", bridge, "meter=1,pktps,burst,stats,band=type=drop,rate=1,burst_size=1")
    cloud.ofctl("hv1", "add-flow", bridge, "priority=9,icmp,nw_src=10.7.0.2,actions=meter:1,normal")
    before = drops(cloud, "meter")
    passed = ping(cloud, "b", "a", 10, wait=1)
    assert 1 <= passed < 10 and drops(cloud, "meter") - before == 10 - passed
    cloud.ofctl("hv1", "del-flows", bridge, "icmp")
    cloud.ofctl("hv1", "del-meters", bridge)


def numbers(cloud):
    return {name: column(cloud, "hv1", "Interface", name, "ofport") for name in ("tap-b", "tap-c", "br-net", "vx", "p-sys")}


def test_type_changes_live(cloud):
    """Its ports move from one side to the other and back; numbers, counters and settings are kept."""
    until_all_reach_all(cloud)
    bridge = cloud.rundir("hv1") / "br-net.mgmt"
    cloud.ofctl("hv1", "mod-port", bridge, "tap-c", "no-packet-in")
    before, counted = numbers(cloud), port_stats(cloud, ("br-net", "tap-b"))
    for kind, program in (("system", "port_ingress"), ("netdev", "warren_guard_in")) * 2:
        cloud.vsctl("hv1", "set", "Bridge", "br-net", f"datapath_type={kind}")
        assert filters(cloud, "hv1", "tap-b") == filters(cloud, "hv1", "tap-c") == [program]
        local_address(cloud)
        assert "tun" in cloud.world.ip(cloud.hv_ns("hv1"), "-d", "link", "show", "br-net").stdout or kind == "system"
        until_all_reach_all(cloud)
        assert numbers(cloud) == before
        assert "NO_PACKET_IN" in re.search(r"\(tap-c\).*?config: +(\S*)", cloud.ofctl("hv1", "show", bridge), re.S)[1]
        now = port_stats(cloud, ("br-net", "tap-b"))
        assert all(n > c for n, c in zip(now, counted)), (counted, now)
        counted = now
        runners = cloud.appctl("hv1", "dpctl/show").count("userspace")
        assert runners == (0 if kind == "system" else 3)
    cloud.ofctl("hv1", "mod-port", bridge, "tap-c", "packet-in")
    flag = column(cloud, "hv1", "Bridge", "br-net", "datapath_version")
    assert flag.endswith("(userspace)")


def test_internal_device_keeps_what_it_can(cloud):
    """The device is another one: up, with the same address and MTU; what was configured on it by others is gone."""
    ns = cloud.hv_ns("hv1")

    def device():
        link = json.loads(cloud.world.ip(ns, "-j", "-d", "link", "show", "br-net").stdout)[0]
        return link["address"], link["mtu"], "UP" in link["flags"], link["linkinfo"]["info_kind"]
    before = device()
    assert before[1:] == (MTU, True, "tun")
    cloud.vsctl("hv1", "set", "Bridge", "br-net", "datapath_type=system")
    assert device() == (*before[:3], "veth")
    cloud.vsctl("hv1", "set", "Bridge", "br-net", "datapath_type=netdev")
    assert device() == before
    local_address(cloud)
    until_all_reach_all(cloud)


def test_device_goes_and_comes(cloud):
    cloud.allowed_warnings += ["could not open network device tap-c"]
    ns = cloud.hv_ns("hv1")
    mac = json.loads(cloud.world.ip(cloud.ns["c"], "-j", "link", "show", "eth0").stdout)[0]["address"]
    cloud.world.ip(ns, "link", "del", "tap-c")
    wait_for("the port to be missed", lambda: column(cloud, "hv1", "Interface", "tap-c", "ofport") == "-1", 10)
    cloud.world.veth(cloud.ns["c"], "eth0", ns, "tap-c")
    cloud.world.sysctl(ns, **{"net__ipv6__conf__tap-c__disable_ipv6": 1})
    cloud.world.sysctl(cloud.ns["c"], net__ipv6__conf__eth0__disable_ipv6=1)
    cloud.world.ip(ns, "link", "set", "tap-c", "up")
    cloud.world.ip(cloud.ns["c"], "link", "set", "eth0", "address", mac, "mtu", MTU, "up")
    cloud.world.ip(cloud.ns["c"], "addr", "add", f"{ADDRESS['c']}/24", "dev", "eth0")
    until_all_reach_all(cloud)
    assert filters(cloud, "hv1", "tap-c") == ["warren_guard_in"]


def switch_again(cloud, hv, how, change=None):
    """Ends hv's switch, changes its database meanwhile and starts it."""
    cloud.world.kill(f"switchd-{hv}", how)
    if change:
        change_database(cloud, hv, *change)
    (cloud.world.dir / f"switchd-{hv}.log").write_text("")
    cloud.switchd_up(hv)


def change_database(cloud, hv, *change):
    """While no switch runs: its ovsdb-server ends a moment after a killed one."""
    def changed():
        done = run("ovsdb-tool", "transact", cloud.rundir(hv) / "conf.db", json.dumps(["Open_vSwitch", *change]), check=False)
        assert done.returncode == 0 or "already locked" in done.stderr, done
        return done.returncode == 0
    wait_for("the database's server to end", changed, 10)


def kind_of(name, kind):
    return [{"op": "update", "table": "Bridge", "where": [["name", "==", name]], "row": {"datapath_type": kind}}]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_restart(cloud, how):
    """What is fast goes on meanwhile; what is user space's begins anew, and the host's own stack never saw its frames."""
    until_all_reach_all(cloud)
    cloud.world.kill("switchd-hv1", how)
    assert filters(cloud, "hv1", "tap-b") == ["warren_guard_in"]
    (cloud.world.dir / "switchd-hv1.log").write_text("")
    cloud.switchd_up("hv1")
    local_address(cloud)
    until_all_reach_all(cloud)
    assert filters(cloud, "hv1", "tap-b") == filters(cloud, "hv1", "tap-c") == ["warren_guard_in"]
    assert filters(cloud, "hv1", "tap-a") == ["port_ingress"]
    until_all_reach_all(cloud)


def test_type_changes_over_a_restart(cloud):
    """A port that was the fast path's and is user space's now, and the other way round."""
    switch_again(cloud, "hv1", signal.SIGKILL, kind_of("br-net", "system") + kind_of("br-sys", "netdev"))
    wait_for("br-sys to be taken", lambda: filters(cloud, "hv1", "tap-a") == ["warren_guard_in"], 10)
    local_address(cloud)
    until_all_reach_all(cloud)
    assert filters(cloud, "hv1", "tap-b") == filters(cloud, "hv1", "tap-c") == ["port_ingress"]
    assert filters(cloud, "hv1", "tap-a") == ["warren_guard_in"]
    assert "tun" in cloud.world.ip(cloud.hv_ns("hv1"), "-d", "link", "show", "br-sys").stdout
    until_all_reach_all(cloud)
    switch_again(cloud, "hv1", signal.SIGTERM, kind_of("br-net", "netdev") + kind_of("br-sys", "system"))
    local_address(cloud)
    until_all_reach_all(cloud)
    assert filters(cloud, "hv1", "tap-b") == ["warren_guard_in"] and filters(cloud, "hv1", "tap-a") == ["port_ingress"]


def test_port_removed_while_away(cloud):
    """Its guard goes when the new process has settled: the device is the host's again."""
    cloud.world.kill("switchd-hv1", signal.SIGKILL)
    change_database(cloud, "hv1", *kind_of("br-net", "netdev"), {
        "op": "mutate", "table": "Bridge", "where": [["name", "==", "br-net"]], "mutations": [
            ["ports", "delete", ["uuid", port_uuid(cloud, "tap-c")]]]})
    (cloud.world.dir / "switchd-hv1.log").write_text("")
    cloud.switchd_up("hv1")
    wait_for("the guard to go", lambda: filters(cloud, "hv1", "tap-c") == [], 15)  # nobody programs these bridges: all is as it was
    assert filters(cloud, "hv1", "tap-b") == ["warren_guard_in"]
    cloud.vsctl("hv1", "add-port", "br-net", "tap-c")
    local_address(cloud)
    until_all_reach_all(cloud)


def port_uuid(cloud, name):
    shown = run("ovsdb-tool", "query", cloud.rundir("hv1") / "conf.db", json.dumps(["Open_vSwitch", {
        "op": "select", "table": "Port", "where": [["name", "==", name]], "columns": ["_uuid"]}])).stdout
    return json.loads(shown)[0]["rows"][0]["_uuid"][1]


def test_detach(cloud):
    """Also what a killed process left on ports of user space."""
    ns = cloud.hv_ns("hv1")
    until_all_reach_all(cloud)
    cloud.world.kill("switchd-hv1", signal.SIGKILL)
    run("nsenter", f"--net=/run/netns/{ns}", cloud.program("warren-switchd"), "--rundir", cloud.rundir("hv1"), "--detach-datapath")
    assert "clsact" not in cloud.world.sh(ns, "tc", "qdisc", "show").stdout
    cloud.switchd_up("hv1")
    local_address(cloud)
    until_all_reach_all(cloud)
    cloud.appctl("hv1", "exit", "--cleanup")
    wait_for("switchd to end", lambda: cloud.world.pid("switchd-hv1") is None)
    assert "clsact" not in cloud.world.sh(ns, "tc", "qdisc", "show").stdout
    cloud.switchd_up("hv1")
    local_address(cloud)
