# SPDX-License-Identifier: Apache-2.0
"""Rows of the overlay's table that need setups of their own: a lot in the tables, where a packet's time goes, tap ports, a
port that is scanned, and a switch that has nothing to do."""
import pathlib
import time

import program_time
from overlay_bench import cloud_pair, connection_settings, with_bench
from peers import Switch, generator, generator_pairs, mean, run, status_kib, switch_pid, wait_for

RULES, TABLES, TUNNELS = 100_000, 40, 300
MEGAFLOWS = 10_000
PLAIN = {"peer": None, "peer_name": None, "ratio": None, "wanted": None}
# Every frame with another UDP port or another address is a flow of its own.
PER_FLOW = "udp,actions=move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15],move:NXM_OF_IP_DST[]->NXM_NX_REG1[],output:"


def load(cloud, hv):
    """Rules in the very tables that the traffic passes, none of which it matches, and tunnels to nobody. These are on a bridge
    of their own, since the agent would remove them from br-tun; packets meet the tunnels of all bridges."""
    flows = "".join(f"table={i % TABLES},priority={200 + i % 7},ip,nw_dst=172.{16 + (i >> 16)}.{i >> 8 & 255}.{i & 255},"
                    "actions=drop\n" for i in range(RULES))
    cloud.tool(hv, "ovs-ofctl", "-O", "OpenFlow13", "--bundle", "add-flows", "br-int", "-", stdin=flows, timeout=120)
    cloud.vsctl(hv, "add-br", "br-load", "--", "set", "Bridge", "br-load", "fail_mode=secure")
    for first in range(0, TUNNELS, 100):
        words = []
        for i in range(first, first + 100):
            words += ["--", "add-port", "br-load", f"load{i}", "--", "set", "Interface", f"load{i}", "type=vxlan",
                      f"options:remote_ip=10.250.{i >> 8}.{i & 255}", "options:key=flow"]
        cloud.vsctl(hv, *words[1:])


def loaded_with(cloud, hv):
    """How many rules and tunnel ports are there."""
    rules = int(cloud.ofctl(hv, "dump-aggregate", "br-int").rpartition("flow_count=")[2])
    return rules, len(cloud.vsctl(hv, "list-ports", "br-load").split())


@with_bench
def loaded(bench, datapath):
    small, big = bench.cloud("s", datapath), bench.cloud("l", datapath)
    pairs = {"small": cloud_pair(small), "big": cloud_pair(big)}
    connection_settings(bench.world, pairs)
    for hv in big.hypervisors:
        load(big, hv)
    for n in range(bench.rounds):
        bench.streams("stream", pairs, turns=30)
        bench.frames("pps", pairs, turns=20)
        bench.say(f"loaded tables, round {n + 1} of {bench.rounds}")
    for hv in big.hypervisors:
        rules, tunnels = loaded_with(big, hv)
        if rules < RULES or tunnels < TUNNELS:
            raise AssertionError(f"{hv} has {rules} rules and {tunnels} tunnels")
    text = f"{RULES:,} rules, {TABLES} tables, {TUNNELS} tunnels"
    results = [bench.row(f"TCP, 1 stream, {text}", "Gb/s", "stream", "big", "small", "the small pipeline", 0.97),
               bench.row(f"64-byte UDP, {text}", "1/s", "pps", "big", "small", "the small pipeline", 0.97)]
    if datapath == "ebpf":
        results += program_time.rows(bench, pairs["small"])
    return results


def tap_vm(cloud, name, network, hv):
    """As Cloud.vm(), but the port is a tap with virtio headers; nobody is behind it until a generator is."""
    port = cloud.new_port({"network_id": network["id"], "name": name, "binding:host_id": hv, "device_owner": "compute:nova"}, network)
    tap = "tap" + port["id"][:11]
    cloud.world.ip(cloud.hv_ns(hv), "tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr")
    cloud.world.sysctl(cloud.hv_ns(hv), **{f"net__ipv6__conf__{tap}__disable_ipv6": 1})
    cloud.world.ip(cloud.hv_ns(hv), "link", "set", tap, "mtu", network["mtu"], "up")
    cloud.vsctl(hv, "add-port", "br-int", tap, "--", "set", "Interface", tap, f"external_ids:iface-id={port['id']}",
                f'external_ids:attached-mac="{port["mac_address"]}"', "external_ids:iface-status=active")
    cloud.vms[name] = {"name": name, "ns": cloud.hv_ns(hv), "hv": hv, "tap": tap, "port": port, "network": network,
                       "mac": port["mac_address"]}
    return cloud.vms[name]


@with_bench
def taps(bench, datapath):
    """From vm1 to vm2 by the tunnel, from vm1 to vm3 by the switch alone, and the same between taps."""
    cloud = bench.cloud("t", datapath)
    cloud_pair(cloud)
    network = cloud.vms["vm1"]["network"]
    veths = [cloud.vms["vm1"], cloud.vms["vm2"], cloud.vm("vm3", network, "hv1", "10.0.0.3")]
    tapped = [tap_vm(cloud, f"tap{n}", network, hv) for n, hv in enumerate(("hv1", "hv2", "hv1"), 1)]
    cloud.wait_active()

    def way(kind, a, b, key):
        return f"{kind},{a['ns']},{a[key]},{b['ns']},{b[key]},{a['mac']},{b['mac']}"
    for vm in veths:
        vm["eth"] = "eth0"
    ways = {"tap tunnel": way("tap", tapped[0], tapped[1], "tap"), "veth tunnel": way("veth", veths[0], veths[1], "eth"),
            "tap": way("tap", tapped[0], tapped[2], "tap"), "veth": way("veth", veths[0], veths[2], "eth")}
    for n in range(bench.rounds):
        for kind in (" tunnel", ""):  # a tap can be opened once
            keys = [f"tap{kind}", f"veth{kind}"]
            rates = generator_pairs(bench.build, "bench_super", [ways[key] for key in keys], turns=20, tx_cpu=0, rx_cpu=1)
            bench.add("super", keys, rates)
        bench.say(f"taps, round {n + 1} of {bench.rounds}")
    return [bench.row("64 KB super-packets, 1 stream, taps, VXLAN", "Gb/s", "super", "tap tunnel", "veth tunnel", "veths", 0.9),
            bench.row("64 KB super-packets, 1 stream, taps, one host", "Gb/s", "super", "tap", "veth", "veths", 0.9)]


def port_switch(world, build, datapath, name, ports):
    """A switch by itself with so many hosts at it; returns both."""
    switch = Switch(world, build, f"warren-{datapath}", name)
    switch.add_bridge("br0")
    hosts = [switch.add_host(f"h{n}", f"p{n}") for n in range(1, ports + 1)]
    for n in range(1, ports + 1):
        switch.add_port("br0", f"p{n}", n)
    return switch, hosts


def scanned(world, build, rounds, say, datapath="ebpf"):
    """First packets from port 1 to port 2, while new flows come in by port 3 and go out by port 4."""
    switch, hosts = port_switch(world, build, datapath, "scan", 4)
    switch.ofctl("-O", "OpenFlow13", "add-flows", "br0", "-", stdin=f"in_port=1,{PER_FLOW}2\nin_port=3,{PER_FLOW}4\n")
    probe = {"tx_ns": hosts[0], "tx_if": "eth0", "rx_ns": hosts[1], "rx_if": "eth0", "probe_cpu": 0, "probes": 1000}
    scan = {"scan_ns": hosts[2], "scan_if": "eth0", "scan_rate": 100_000, "scan_cpu": 1}
    quiet, busy = [], []
    for n in range(rounds):
        quiet.append(generator(build, "bench_first", **probe))
        busy.append(generator(build, "bench_first", **probe, **scan))
        say(f"first packets, round {n + 1} of {rounds}: {busy[-1]['scanned']:.0f} new flows a second on the other port, "
            f"{busy[-1]['lost']} of 1000 first packets lost")
    switch.stop()

    def row(name, key):
        ours, peer = mean([r[key] for r in busy]), mean([r[key] for r in quiet])
        return {"name": name, "unit": "us", "ours": ours, "peer": peer, "peer_name": "without the scan", "ratio": peer / ours,
                "wanted": None}
    rate = mean([r["scanned"] for r in busy])
    return [row(f"a new flow's first packet, p99, {rate / 1000:.0f},000 new flows/s on another port", "p99"),
            row("the same, median", "p50"),
            {"name": "the same, first packets lost", "unit": "", **PLAIN, "ours": float(sum(r["lost"] for r in busy))}]


def cpu_seconds(world, tag):
    """To the nanosecond: the kernel's other account counts ticks of a hundredth of a second."""
    threads = pathlib.Path(f"/proc/{switch_pid(world, tag)}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def idle(world, build, rounds, say, datapath="ebpf"):
    """10,000 megaflows are made; then nothing is sent any more. The switch is to keep them meanwhile (max-idle)."""
    switch, hosts = port_switch(world, build, datapath, "idle", 2)
    switch.vsctl("set", "Open_vSwitch", ".", "other_config:max-idle=600000")
    empty = status_kib(world, "idle", "VmRSS") / 1024
    switch.ofctl("-O", "OpenFlow13", "add-flow", "br0", f"in_port=1,{PER_FLOW}2")

    def megaflows():
        return len(switch.tool("ovs-appctl", "dpctl/dump-flows").stdout.splitlines())

    def fill():
        generator(build, "bench_frames", tx_ns=hosts[0], tx_if="eth0", rx_ns=hosts[1], rx_if="eth0", count=MEGAFLOWS, window=64,
                  sports=MEGAFLOWS)
        return megaflows() >= MEGAFLOWS
    wait_for(f"{MEGAFLOWS} megaflows", fill, 60)
    resident = status_kib(world, "idle", "VmRSS") / 1024
    shares = []
    for n in range(rounds):
        before, begin = cpu_seconds(world, "idle"), time.monotonic()
        time.sleep(10)  # a measurement of doing nothing
        shares.append(100 * (cpu_seconds(world, "idle") - before) / (time.monotonic() - begin))
        say(f"idle, round {n + 1} of {rounds}")
    if megaflows() < MEGAFLOWS:
        raise AssertionError(f"{megaflows()} megaflows are left")
    switch.stop()
    share = max(mean(shares), 0.001)
    return [{"name": f"idle CPU of switchd, {MEGAFLOWS:,} megaflows", "unit": "%", "ours": share, "peer": 0.5, "peer_name":
             "at most", "ratio": 0.5 / share, "wanted": 1},
            {"name": f"resident memory of switchd, {MEGAFLOWS:,} megaflows", "unit": "MiB", **PLAIN, "ours": resident,
             "peer": empty, "peer_name": "before them"}]


PARTS = [loaded, taps, scanned, idle]
