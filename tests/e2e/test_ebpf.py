# SPDX-License-Identifier: Apache-2.0
"""The eBPF datapath outlives its process: killed at random moments under probes of 1 kHz no packet is lost, a new process
takes ports and flows over, and --detach-datapath removes every trace."""
import json
import random
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_hitless import STREAMS
from transfer import ask_from, serve_in
from world import LabError, run, wait_for


@pytest.fixture(scope="module")
def cloud(cloud_factory):
    cloud = cloud_factory(datapath="ebpf")
    cloud.allowed_warnings += ["connection", "connect", "lost", "closed", "reset by peer", "refused", "No such file"]
    try:
        cloud.up(("hv1", "hv2"), port=cloud.api_port)
    except LabError as error:
        if re.search("BPF programs cannot be loaded .*(CAP_BPF|has no BPF)", str(error)):
            pytest.skip("BPF is not permitted here")
        raise
    network = cloud.network("red", "vxlan")
    cloud.vm("red1", network, "hv1", "10.0.0.11", port_security_enabled=False)
    cloud.vm("red2", network, "hv2", "10.0.0.12", port_security_enabled=False)
    cloud.vm("red3", network, "hv1", "10.0.0.13", port_security_enabled=False)
    cloud.wait_active()
    cloud.wait_mesh()
    for target in ("red2", "red3"):
        wait_for(f"{target} to answer", lambda t=target: cloud.ping("red1", cloud.vms[t]["ip"], count=1, wait=1) == 1)
    return cloud


def vm_sh(cloud, vm, *argv):
    done = cloud.world.sh(cloud.vms[vm]["ns"], *argv, check=False)
    return done.returncode, done.stdout + done.stderr


def test_too_big_is_told(cloud):
    """VMs that believe in 1500 bytes over an underlay of 1500: the sender is told what fits, as its network would tell; what
    may be cut is delivered; TCP finds its way."""
    for name, host in (("red1", 1), ("red2", 2)):
        vm = cloud.vms[name]
        cloud.world.ip(vm["ns"], "link", "set", "eth0", "mtu", "1500")
        cloud.world.ip(vm["ns"], "addr", "add", f"fd77::{host}/64", "dev", "eth0", "nodad")
        cloud.world.ip(cloud.hv_ns(vm["hv"]), "link", "set", vm["tap"], "mtu", "1500")
    target = cloud.vms["red2"]["ip"]
    wait_for("red2 to answer over IPv6", lambda: vm_sh(cloud, "red1", "ping", "-6", "-n", "-c1", "-W1", "fd77::2")[0] == 0, 10)
    status, text = vm_sh(cloud, "red1", "ping", "-n", "-c2", "-i0.2", "-W1", "-M", "dont", "-s", "1472", target)
    assert status == 0, text
    status, text = vm_sh(cloud, "red1", "ping", "-n", "-c2", "-i0.2", "-W1", "-M", "do", "-s", "1472", target)
    assert status and re.search(rf"From {target} icmp_seq=1 Frag needed and DF set \(mtu = 1450\)", text), text
    status, text = vm_sh(cloud, "red1", "ping", "-6", "-n", "-c2", "-i0.2", "-W1", "-M", "do", "-s", "1452", "fd77::2")
    assert status and re.search(r"From fd77::2 icmp_seq=1 Packet too big: mtu=1450", text), text
    serve_in(cloud.world, "far", cloud.vms["red2"]["ns"])
    for address in (target, "fd77::2"):
        vm_sh(cloud, "red1", "ip", "route", "flush", "cache")
        assert ask_from(cloud.world, cloud.vms["red1"]["ns"], "ask-tcp", address) == ""
    cloud.world.kill("far")


@pytest.fixture
def hops(cloud):
    """hv1's namespace. What the test said of next hops is taken back, also after a failure."""
    ns = cloud.hv_ns("hv1")
    yield ns
    for words in (("route", "del", "10.201.2.2"), *(("neigh", "del", f"10.201.1.{n}", "dev", "und0") for n in (1, 9))):
        cloud.world.sh(ns, "ip", *words, check=False)
    reach(cloud, [("red1", cloud.vms["red2"]["ip"])])


def test_next_hops_are_followed_at_once(cloud, hops):
    """What the programs remember of routes and neighbours is good for 100 ms, but not a moment longer than it is true."""
    world, ns = cloud.world, hops

    def answered(wait=10):
        return cloud.ping("red1", cloud.vms["red2"]["ip"], count=20, interval=0.002, wait=wait)
    router = json.loads(world.ip(f"{world.name}-rt", "-j", "link", "show", "u1").stdout)[0]["address"]
    assert answered() == 20
    world.ip(ns, "neigh", "replace", "10.201.1.9", "lladdr", router, "dev", "und0", "nud", "permanent")
    world.ip(ns, "neigh", "replace", "10.201.1.1", "lladdr", "02:00:00:00:00:99", "dev", "und0", "nud", "permanent")
    assert answered(1) == 0
    world.ip(ns, "route", "add", "10.201.2.2", "via", "10.201.1.9")
    assert answered() == 20
    world.ip(ns, "neigh", "del", "10.201.1.1", "dev", "und0")
    world.ip(ns, "route", "del", "10.201.2.2")
    assert answered() == 20


@pytest.fixture(autouse=True)
def all_run_again(cloud):
    """Also after a failure: nothing of a test stays, and the switches are there."""
    yield
    cloud.world.kill("probe", signal.SIGKILL)
    away = [hv for hv in cloud.hypervisors if cloud.world.pid(f"switchd-{hv}") is None]
    if away:
        cloud.switches_again(*away)
        reach(cloud, [("red1", cloud.vms["red2"]["ip"])])


class Probe:
    """A datagram every millisecond on each of WAYS ((source, target), ...: no target twice) from now on."""

    def __init__(self, cloud, *ways):
        self.cloud, self.targets = cloud, [target for _, target in ways]
        (cloud.world.dir / "probe.log").unlink(missing_ok=True)
        names = [f"{cloud.vms[source]['ns']},{cloud.vms[target]['ns']},{cloud.vms[target]['ip']}" for source, target in ways]
        cloud.world.spawn("probe", ["/usr/bin/python3", "-B", STREAMS, 1000, 1, *names], ready="ready")

    def heard(self, target):
        shown = self.cloud.world.ip(self.cloud.vms[target]["ns"], "-s", "-j", "link", "show", "eth0").stdout
        return json.loads(shown)[0]["stats64"]["rx"]["packets"]

    def goes_on(self):
        """Everywhere there come some hundred more."""
        for target in self.targets:
            before = self.heard(target)
            wait_for(f"more to come to {target}", lambda t=target, n=before: self.heard(t) > n + 300, 20)

    def lost(self):
        """Ends it, and tells what became of those that were lost."""
        assert self.cloud.world.kill("probe", signal.SIGINT) == 0, self.cloud.world.log("probe")
        report = json.loads(self.cloud.world.log("probe").splitlines()[-1])
        return {way: seen for way, seen in report.items() if seen["lost"] or seen["sent"] < 300}


def fast_flows(cloud, hv):
    """Packets by flow."""
    return {line.split(", packets:")[0]: int(re.search(r"packets:(\d+)", line)[1])
            for line in cloud.appctl(hv, "dpctl/dump-flows").splitlines() if "packets:" in line}


def switches_killed(cloud):
    for hv in ("hv1", "hv2"):
        cloud.world.kill(f"switchd-{hv}", signal.SIGKILL)


@pytest.mark.alone
def test_killed_and_started_again(cloud):
    probe = Probe(cloud, ("red1", "red2"), ("red2", "red3"), ("red3", "red1"))
    for _ in range(2):
        time.sleep(random.uniform(0, 0.3))
        cloud.world.kill("switchd-hv1", signal.SIGKILL)
        time.sleep(random.uniform(0.2, 1))
        cloud.switches_again("hv1")
    probe.goes_on()
    assert not probe.lost()


def neighbours_believed_for(cloud, vm, seconds):
    """Until the VM asks its neighbours again whether they are still there."""
    for family in ("ipv4", "ipv6"):
        neigh = f"net.{family}.neigh.eth0"
        cloud.world.sh(cloud.vms[vm]["ns"], "sysctl", "-qw", f"{neigh}.base_reachable_time_ms={500 * seconds}",
                       f"{neigh}.delay_first_probe_time={seconds}", f"{neigh}.retrans_time_ms=200")


@pytest.fixture(scope="module")
def curious(cloud):
    """The VMs ask each other every second whether they are still there; their addresses of both families."""
    ends = {name: (cloud.vms[name]["ip"], f"fd78::{name[-1]}") for name in ("red1", "red2", "red3")}
    for name, (_, address) in ends.items():
        ns = cloud.vms[name]["ns"]
        cloud.world.ip(ns, "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
        neighbours_believed_for(cloud, name, 1)
        cloud.world.ip(ns, "neigh", "flush", "all")
    return ends


def reach(cloud, ways):
    for source, target in ways:
        wait_for(f"{source} to reach {target}",
                 lambda s=source, t=target: cloud.ping(s, t, count=1, wait=1) == 1, 20)


@pytest.mark.alone
@pytest.mark.parametrize("layout", ["the same", "another"])
def test_neighbours_are_kept_while_it_is_away(cloud, curious, layout):
    """Stations that have just begun to talk ask each other soon after whether they are still there, every second here; no
    switch saw that before it went away. Nor does another process between lose what nobody has asked yet, or one of another
    version, which learns from what is said."""
    for name in curious:
        neighbours_believed_for(cloud, name, 1 if layout == "the same" else 60)
    for hv in ("hv1", "hv2"):
        cloud.appctl(hv, "revalidator/purge")
    ways = [(a, target) for a, b in (("red1", "red2"), ("red3", "red1"), ("red2", "red3")) for target in curious[b]]
    reach(cloud, ways)
    switches_killed(cloud)
    if layout == "another":
        for hv in ("hv1", "hv2"):
            next(cloud.pins(hv).iterdir()).rename(cloud.pins(hv) / "layout0")
        for n, (source, target) in enumerate(ways):
            cloud.world.spawn(f"learned{n}", ["ping", "-q", "-n", "-i", "0.05", target], netns=cloud.vms[source]["ns"])
    cloud.switches_again("hv1", "hv2")
    switches_killed(cloud)
    for n in range(len(ways)):
        cloud.world.kill(f"learned{n}")
    for name in curious:
        neighbours_believed_for(cloud, name, 1)
    with ThreadPoolExecutor(len(ways)) as pool:
        kept = list(pool.map(lambda way: cloud.ping(*way, count=100), ways))
    assert kept == [100] * len(ways), list(zip(ways, kept))
    cloud.switches_again("hv1", "hv2")


@pytest.mark.alone
def test_silent_receivers_answer_while_it_is_away(cloud, curious):
    """They were known when the streams began, and never send anything but that they are still there."""
    pairs = [(a, b, target) for a, b in (("red1", "red2"), ("red3", "red1")) for target in curious[b]]
    reach(cloud, [(a, target) for a, _, target in pairs])
    for name in curious:  # nobody else has a question
        cloud.world.ip(cloud.vms[name]["ns"], "neigh", "flush", "all")
    for hv in ("hv1", "hv2"):
        cloud.appctl(hv, "revalidator/purge")
    for a, b, target in pairs:
        cloud.world.ip(cloud.vms[a]["ns"], "neigh", "replace", target, "lladdr", cloud.vms[b]["mac"], "dev", "eth0", "nud", "stale")
    names = [f"{cloud.vms[a]['ns']},{cloud.vms[b]['ns']},{target}" for a, b, target in pairs]
    cloud.world.spawn("oneway", ["/usr/bin/python3", "-B", STREAMS, 50, 1, *names], ready="ready")
    switches_killed(cloud)
    time.sleep(4)  # as long as a neighbour is asked before it is given up, and longer
    assert cloud.world.kill("oneway", signal.SIGINT) == 0, cloud.world.log("oneway")
    report = json.loads(cloud.world.log("oneway").splitlines()[-1])
    cloud.switches_again("hv1", "hv2")
    assert not {name: seen["lost"] for name, seen in report.items() if seen["lost"] or seen["sent"] < 100}


def test_taken_over_flows_count(cloud):
    """After all that the flows are the new process's: their packets are counted by OpenFlow flows."""
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=3) == 3
    before = sum(fast_flows(cloud, "hv1").values())
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=3) == 3
    assert sum(fast_flows(cloud, "hv1").values()) >= before + 6


@pytest.mark.alone
def test_other_layout_is_replaced(cloud):
    """An upgrade with another map layout: the old programs serve until the new tables are complete. What they send up is of no form
    that the new version knows."""
    old = cloud.pins("hv1") / "layout0"
    probe = Probe(cloud, ("red1", "red2"), ("red2", "red1"))
    cloud.world.kill("switchd-hv1", signal.SIGKILL)
    next(cloud.pins("hv1").iterdir()).rename(old)
    next(old.glob("ring_form*")).unlink()
    (cloud.world.dir / "switchd-hv1.log").write_text("")
    cloud.switchd_up("hv1")
    wait_for("the programs to be replaced",
             lambda: "programs and maps of another version are replaced" in cloud.world.log("switchd-hv1"), 60)
    probe.goes_on()
    assert not probe.lost()
    assert not old.exists()


def test_samples_agree(cloud):
    """Every packet of the fast path translated again: whatever it did was right."""
    cloud.vsctl("hv1", "set", "Open_vSwitch", ".", "other_config:fast-path-sample=1")
    wait_for("samples", lambda: cloud.ping("red1", cloud.vms["red2"]["ip"], count=3, wait=1) == 3
             and cloud.counter("hv1", "megaflow_sample") > 20, 10)
    assert cloud.ping("red1", cloud.vms["red3"]["ip"], count=3) == 3
    assert cloud.counter("hv1", "megaflow_sample_mismatch") == 0
    cloud.vsctl("hv1", "remove", "Open_vSwitch", ".", "other_config", "fast-path-sample")


def bpf_ids(kind, ids):
    """Those of IDS that the kernel still has."""
    return ids & {thing["id"] for thing in json.loads(run("bpftool", "-j", kind, "show").stdout)}


def test_ends_and_is_detached(cloud):
    assert cloud.pins("hv1").is_dir()
    run_ids = {"map": {json.loads(run("bpftool", "-j", "map", "show", "pinned", path).stdout)["id"]
                       for path in cloud.pins("hv1").rglob("*") if path.is_file() and "link" not in path.name},
               "prog": {int(n) for line in json.loads(cloud.world.ip(cloud.hv_ns("hv1"), "-j", "link").stdout)
                        for n in re.findall(r"\bid (\d+)", cloud.world.sh(cloud.hv_ns("hv1"), "tc", "filter", "show", "dev",
                                                                        line["ifname"], "ingress", check=False).stdout)}}
    assert len(run_ids["map"]) > 5 and len(run_ids["prog"]) >= 2, run_ids
    probe = Probe(cloud, ("red1", "red2"), ("red2", "red1"))
    assert cloud.world.kill("switchd-hv1") == 0
    probe.goes_on()
    assert not probe.lost()
    ns = cloud.hv_ns("hv1")
    cloud.world.veth(ns, "wrp0", ns, "wrp-other")  # somebody else's
    cloud.world.spawn("monitor", ["stdbuf", "-oL", "tc", "monitor"], netns=ns)
    wait_for("the monitor", lambda: (cloud.world.sh(ns, "tc", "qdisc", "replace", "dev", "lo", "root", "pfifo"),
                                     cloud.world.log("monitor"))[1], 5)
    run("nsenter", f"--net=/run/netns/{ns}", cloud.program("warren-switchd"), "--rundir", cloud.rundir("hv1"),
        "--detach-datapath")
    wait_for("the uplink's clsact to go", lambda: "deleted qdisc clsact ffff: dev und0" in cloud.world.log("monitor"), 5)
    # With the filter in it: of a process that is killed between two steps something would be left.
    assert "deleted filter" not in cloud.world.log("monitor")
    cloud.world.kill("monitor")
    cloud.world.sh(ns, "tc", "qdisc", "del", "dev", "lo", "root")
    assert not cloud.pins("hv1").exists()
    links = json.loads(cloud.world.ip(ns, "-j", "link").stdout)
    assert {link["ifname"] for link in links if link["ifname"].startswith("wr") or "PROMISC" in link["flags"]} == {"wrp0", "wrp-other"}
    cloud.world.ip(ns, "link", "del", "wrp0")
    filters = [cloud.world.sh(ns, "tc", "filter", "show", "dev", link["ifname"], "ingress", check=False).stdout
               for link in links]
    assert not [text for text in filters if "bpf" in text]
    assert "clsact" not in cloud.world.sh(ns, "tc", "qdisc", "show").stdout
    for kind, ids in run_ids.items():
        wait_for(lambda k=kind, i=ids: f"{k}s {bpf_ids(k, i)} to be freed", lambda k=kind, i=ids: not bpf_ids(k, i), 30)
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=1, wait=1) == 0
    cloud.switchd_up("hv1")
    wait_for("all to be programmed again", lambda: cloud.ping("red1", cloud.vms["red2"]["ip"], count=1, wait=1) == 1, 60)
