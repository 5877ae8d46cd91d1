# SPDX-License-Identifier: Apache-2.0
"""The overlay between two hypervisors over one veth (MTU 9000 outside, 1450 inside): Warren with the agent's pipeline
against the bare veth, the kernel's bridge + vxlan, and ovs-vswitchd's userspace datapath under the same agent.

All setups stand at the same time and are measured in turns of a tenth of a second, in an order that is drawn anew each time
(bench/turns.h), so that a machine that drifts within seconds moves all of them; a figure is the mean of its turns without
the tenth that was fastest and the tenth that was slowest.
"""
import os
import sys

from peers import TREE, generator_pairs, mean, run, wait_for

sys.path.insert(0, str(TREE / "lab"))
from cloud import Cloud  # noqa: E402

MTU = 1450
# Who runs where. A stream's two ends work side by side, as on two hypervisors. Requests and their answers never do: their
# ends share a processor, so that what is measured is the way and not how an idle processor of this machine is woken.
APART = {"client_cpu": 0, "server_cpu": 1}
TOGETHER = {"client_cpu": 0, "server_cpu": 0}


class Pair:
    """Two ends A and B, namespaces with an address each, connected somehow."""

    def __init__(self, a, b, address_b, mac_a=None, mac_b=None):
        self.a, self.b, self.address_b, self.mac_a, self.mac_b = a, b, address_b, mac_a, mac_b


class DirectCloud(Cloud):
    """A cloud of two hypervisors with one veth between them and no router."""

    def underlay_up(self, hypervisors):
        w = self.world
        for hv in hypervisors:
            ns = w.netns(hv)
            w.sysctl(ns, net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_dad=0)
        w.veth(self.hv_ns("hv1"), "und0", self.hv_ns("hv2"), "und0")
        for hv in hypervisors:
            k = hv.removeprefix("hv")
            w.ip(self.hv_ns(hv), "link", "set", "und0", "mtu", "9000", "up")
            w.ip(self.hv_ns(hv), "addr", "add", f"10.201.{k}.2/16", "dev", "und0")
            w.ip(self.hv_ns(hv), "addr", "add", f"fd00:201:{k}::2/32", "dev", "und0", "nodad")


def bare(cloud):
    return Pair(cloud.hv_ns("hv1"), cloud.hv_ns("hv2"), cloud.local_ip("hv2"))


def underlay_mac(n):
    return f"02:00:00:02:00:0{n}"


def hosts_by_hand(world, tag):
    """Two hypervisors with a VM behind each one's vm0, nothing between vm0 and und0 yet: [(hypervisor's namespace, VM's), ...]."""
    pairs = [(world.netns(f"{tag}{n}"), world.netns(f"{tag}v{n}")) for n in (1, 2)]
    world.veth(pairs[0][0], "und0", pairs[1][0], "und0")
    for n, (hv, vm) in enumerate(pairs, 1):
        world.veth(hv, "vm0", vm, "eth0")
        world.ip(hv, "link", "set", "und0", "address", underlay_mac(n), "mtu", "9000", "up")
        world.ip(hv, "link", "set", "vm0", "up")
        world.ip(vm, "link", "set", "eth0", "address", f"02:00:00:01:00:0{n}", "mtu", str(MTU), "up")
        world.ip(vm, "addr", "add", f"10.0.0.{n}/24", "dev", "eth0")
    return pairs


def pair_by_hand(hosts):
    return Pair(hosts[0][1], hosts[1][1], "10.0.0.2", "02:00:00:01:00:01", "02:00:00:01:00:02")


def kernel(world):
    """Linux's own bridge and vxlan device, the address of the other end known to it."""
    hosts = hosts_by_hand(world, "k")
    for n, (hv, _) in enumerate(hosts, 1):
        world.ip(hv, "addr", "add", f"10.202.0.{n}/24", "dev", "und0")
        world.ip(hv, "link", "add", "vx", "type", "vxlan", "id", "42", "remote", f"10.202.0.{3 - n}", "local", f"10.202.0.{n}",
                 "dstport", "4789")
        world.ip(hv, "link", "add", "kbr", "type", "bridge")
        for link in ("vx", "vm0"):
            world.ip(hv, "link", "set", link, "master", "kbr")
        for link in ("vx", "kbr"):
            world.ip(hv, "link", "set", link, "up")
    return pair_by_hand(hosts)


def redirects(world, build, tunnel=False):
    """The same devices as Warren's, and programs that send each frame on and do nothing else, or put it into VXLAN and out again."""
    hosts = hosts_by_hand(world, "t" if tunnel else "r")
    pair = pair_by_hand(hosts)
    ends = [f"{underlay_mac(n)},10.202.0.{n}" for n in (1, 2)]
    vms = [pair.mac_a, pair.mac_b]
    for n, (hv, _) in enumerate(hosts):
        ways = [f"local={ends[n]}", f"remote={ends[1 - n]}", f"near={vms[n]}", f"far={vms[1 - n]}"] if tunnel else []
        run(build / "bench" / "bench_redirects", f"ns={hv}", "port=vm0", "uplink=und0", *ways)
    return pair


def cloud_pair(cloud, kind="vxlan", switch_up=None):
    cloud.hypervisors = ["hv1", "hv2"]
    if switch_up is None:
        cloud.underlay_up(cloud.hypervisors)
        cloud.controller_up(cloud.api_port)
        for hv in cloud.hypervisors:
            cloud.switchd_up(hv, "--datapath", cloud.datapath)
            cloud.agent_up(hv)
    else:
        switch_up(cloud)
    network = cloud.network("net", kind, mtu=MTU)
    vms = [cloud.vm(f"vm{n}", network, f"hv{n}", f"10.0.0.{n}") for n in (1, 2)]
    cloud.wait_active()
    cloud.wait_mesh()
    cloud.ping("vm1", "10.0.0.2", count=2)
    if cloud.ping("vm1", "10.0.0.2", count=2) != 2:
        raise AssertionError(f"{cloud.world.name}: no ping through {kind}")
    return Pair(vms[0]["ns"], vms[1]["ns"], "10.0.0.2", vms[0]["mac"], vms[1]["mac"])


def ovs_switches_up(cloud):
    """ovs-vswitchd's userspace datapath routes tunnels through a bridge of its own."""
    cloud.underlay_up(cloud.hypervisors)
    cloud.controller_up(cloud.api_port)
    for hv in cloud.hypervisors:
        w, ns, rundir, k = cloud.world, cloud.hv_ns(hv), cloud.rundir(hv), hv.removeprefix("hv")
        rundir.mkdir(parents=True)
        run("ovsdb-tool", "create", rundir / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
        env = {"OVS_RUNDIR": str(rundir), "OVS_LOGDIR": str(rundir), "OVS_DBDIR": str(rundir)}
        w.spawn(f"ovsdb-{hv}", ["ovsdb-server", rundir / "conf.db", f"--remote=punix:{rundir}/db.sock",
                                f"--unixctl={rundir}/ovsdb.ctl"], netns=ns, env=env)
        cloud.vsctl(hv, "--retry", "--no-wait", "init")
        w.spawn(f"ovs-{hv}", ["ovs-vswitchd", f"unix:{rundir}/db.sock", f"--pidfile={rundir}/ovs-vswitchd.pid"], netns=ns, env=env)
        cloud.vsctl(hv, "add-br", "br-phy", "--", "set", "Bridge", "br-phy", "datapath_type=netdev", "--", "add-port", "br-phy", "und0")
        w.ip(ns, "addr", "flush", "dev", "und0")
        w.ip(ns, "link", "set", "br-phy", "mtu", "9000", "up")
        w.ip(ns, "addr", "add", f"10.201.{k}.2/16", "dev", "br-phy")
        for bridge in ("br-int", "br-tun"):
            cloud.vsctl(hv, "add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=netdev", "fail_mode=secure")
    for hv in cloud.hypervisors:
        cloud.agent_up(hv)


def no_checksum_offload(world, pair):
    """ovs-vswitchd's AF_PACKET ports pass unfinished checksums on as they are."""
    for ns in (pair.a, pair.b):
        world.sh(ns, "ethtool", "-K", "eth0", "tx", "off")


def afxdp(cloud):
    """All ports become AF_XDP's, with a processor for each switch's polling thread. These never sleep, so nobody else can be
    measured from here on."""
    for cpu, hv in enumerate(cloud.hypervisors):
        cloud.vsctl(hv, "set", "Open_vSwitch", ".", f"other_config:pmd-cpu-mask={1 << cpu}")
        for port in ["und0", *(vm["tap"] for vm in cloud.vms.values() if vm["hv"] == hv)]:
            cloud.vsctl(hv, "set", "Interface", port, "type=afxdp")
    wait_for("the way over AF_XDP", lambda: cloud.ping("vm1", "10.0.0.2", count=2) == 2, 20)


class Bench:
    def __init__(self, world, build, rounds, say):
        self.world, self.build, self.rounds, self.say = world, build, rounds, say
        self.values = {}
        self.clouds = []

    def cloud(self, tag, datapath):
        cloud = DirectCloud(f"{self.world.name}{tag}", str(self.build))
        cloud.datapath = datapath
        cloud.api_port = 21000 + os.getpid() % 5000 + len(self.clouds)
        self.clouds.append(cloud)
        return cloud

    def streams(self, what, pairs, turns=20, cpus=APART, **args):
        """A round of bench_streams between PAIRS, a dict: WHAT is what add() and row() know the figures by."""
        ways = [f"{pair.a},{pair.b},{pair.address_b}" for pair in pairs.values()]
        self.add(what, pairs, generator_pairs(self.build, "bench_streams", ways, turns=turns, **cpus, **args))

    def frames(self, what, pairs, turns=10, **args):
        ways = [f"{pair.a},eth0,{pair.b},eth0,{pair.mac_a},{pair.mac_b}" for pair in pairs.values()]
        self.add(what, pairs, generator_pairs(self.build, "bench_frames", ways, turns=turns, tx_cpu=0, rx_cpu=1, **args))

    def add(self, what, who, rates):
        for key, values in zip(who, rates):
            self.values.setdefault((what, key), []).extend(values)

    def value(self, what, who):
        return mean(self.values[what, who]) if (what, who) in self.values else None

    def row(self, name, unit, what, ours, peer, peer_name, wanted):
        mine, theirs = self.value(what, ours), self.value(what, peer)
        return {"name": name, "unit": unit, "ours": mine, "peer": theirs, "peer_name": peer_name,
                "ratio": mine / theirs if mine and theirs else None, "wanted": wanted}

    def down(self):
        for cloud in self.clouds:
            cloud.down()


def with_bench(part):
    """PART gets a Bench instead of what bench.py hands over, and its clouds are taken down in the end."""
    def measured(world, build, rounds, say, datapath="ebpf"):
        bench = Bench(world, build, rounds, say)
        try:
            return part(bench, datapath)
        finally:
            bench.down()
    measured.__name__ = part.__name__
    return measured


def connection_settings(world, pairs):
    """Nothing is carried over from one connection to the next, and there are ports for as many as are made in a turn."""
    for ns in {ns for pair in pairs.values() for ns in (pair.a, pair.b)}:
        world.sysctl(ns, net__ipv4__tcp_no_metrics_save=1, net__ipv4__tcp_tw_reuse=1)
        world.sh(ns, "sysctl", "-qw", "net.ipv4.ip_local_port_range=10240 65535")


@with_bench
def overlay(bench, datapath):
    vxlan = bench.cloud("v", datapath)
    pairs = {"vxlan": cloud_pair(vxlan), "kernel": kernel(bench.world)}
    pairs["redirects"], pairs["bare"] = redirects(bench.world, bench.build), bare(vxlan)
    pairs["least"] = redirects(bench.world, bench.build, tunnel=True)
    for kind in ("gre", "geneve"):
        pairs[kind] = cloud_pair(bench.cloud(kind[:2], datapath), kind)
    six = bench.cloud("6", datapath)
    six.underlay = "6"
    pairs["vxlan6"] = cloud_pair(six)
    ovs_cloud = bench.cloud("o", None)
    ovs = {"ovs": cloud_pair(ovs_cloud, switch_up=ovs_switches_up)}
    no_checksum_offload(bench.world, ovs["ovs"])
    connection_settings(bench.world, {**pairs, **ovs})

    def some(*who):
        return {key: pairs[key] for key in who}
    ways = some("vxlan", "kernel", "redirects", "least", "bare")
    for n in range(bench.rounds):
        bench.streams("stream", pairs, turns=30)
        bench.streams("stream_ovs", {**ovs, "vxlan": pairs["vxlan"]}, turns=8)
        bench.streams("streams4", some("vxlan", "kernel"), streams=4)
        for mode in ("rr", "udp_rr", "crr"):
            bench.streams(mode, ways, turns=12, cpus=TOGETHER, mode=mode)
        bench.frames("pps1", some("vxlan", "kernel"))
        bench.frames("pps10k", some("vxlan", "kernel"), sports=10000)
        bench.say(f"overlay, round {n + 1} of {bench.rounds}")
    afxdp(ovs_cloud)
    bench.streams("stream_ovs", {"ovs_afxdp": ovs["ovs"]}, turns=8 * bench.rounds)
    row = bench.row
    return [
        row("TCP, 1 stream, VXLAN", "Gb/s", "stream", "vxlan", "bare", "bare veth", 0.95),
        row("TCP, 1 stream, VXLAN", "Gb/s", "stream", "vxlan", "kernel", "kernel bridge + vxlan", 1.5),
        row("TCP, 4 streams, VXLAN", "Gb/s", "streams4", "vxlan", "kernel", "kernel bridge + vxlan", 1.5),
        row("   for comparison: the bare veth", "Gb/s", "stream", "bare", "kernel", "kernel bridge + vxlan", None),
        row("   for comparison: redirects alone", "Gb/s", "stream", "redirects", "bare", "bare veth", None),
        row("   for comparison: the least that VXLAN takes", "Gb/s", "stream", "least", "bare", "bare veth", None),
        row("TCP, 1 stream, GRE", "Gb/s", "stream", "gre", "vxlan", "our VXLAN", 0.95),
        row("TCP, 1 stream, Geneve", "Gb/s", "stream", "geneve", "vxlan", "our VXLAN", 0.95),
        row("TCP, 1 stream, VXLAN over IPv6", "Gb/s", "stream", "vxlan6", "vxlan", "our VXLAN", 0.95),
        row("TCP, 1 stream, VXLAN", "Gb/s", "stream_ovs", "vxlan", "ovs", "ovs-vswitchd userspace", 25),
        row("TCP, 1 stream, VXLAN", "Gb/s", "stream_ovs", "vxlan", "ovs_afxdp", "ovs-vswitchd, AF_XDP ports", None),
        row("TCP request/response", "1/s", "rr", "vxlan", "kernel", "kernel bridge + vxlan", 1.2),
        row("TCP request/response", "1/s", "rr", "vxlan", "bare", "bare veth", 0.9),
        row("   for comparison: redirects alone", "1/s", "rr", "redirects", "bare", "bare veth", None),
        row("   for comparison: the least that VXLAN takes", "1/s", "rr", "least", "bare", "bare veth", None),
        row("   for comparison: the bare veth", "1/s", "rr", "bare", "kernel", "kernel bridge + vxlan", None),
        row("UDP request/response", "1/s", "udp_rr", "vxlan", "kernel", "kernel bridge + vxlan", 1.2),
        row("UDP request/response", "1/s", "udp_rr", "vxlan", "bare", "bare veth", 0.9),
        row("   for comparison: redirects alone", "1/s", "udp_rr", "redirects", "bare", "bare veth", None),
        row("   for comparison: the least that VXLAN takes", "1/s", "udp_rr", "least", "bare", "bare veth", None),
        row("64-byte UDP, 1 flow", "1/s", "pps1", "vxlan", "kernel", "kernel bridge + vxlan", 1.5),
        row("64-byte UDP, 10,000 flows", "1/s", "pps10k", "vxlan", "kernel", "kernel bridge + vxlan", 1.5),
        row("connections a second", "1/s", "crr", "vxlan", "kernel", "kernel bridge + vxlan", 1.2),
    ]


PARTS = [overlay]
