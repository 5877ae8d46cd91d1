# SPDX-License-Identifier: Apache-2.0
"""The switch against ovs-vswitchd's userspace datapath: flow tables, the slow path, frames from port to port.

Each row is measured several times, the two switches in turn, so that a machine that drifts moves both; the figure is the
median, and the ratio is ours to theirs, turned so that more is better.
"""
import statistics
import time

from peers import Switch, generator, generator_pairs, mean

FLOWS = 100_000


class Row:
    def __init__(self, name, unit, wanted, higher_is_better=True):
        self.name, self.unit, self.wanted, self.higher_is_better = name, unit, wanted, higher_is_better
        self.values = {"warren": [], "ovs": []}

    def add(self, kind, value):
        self.values[kind].append(value)

    def result(self):
        ours, theirs = (statistics.median(self.values[k]) if self.values[k] else None for k in ("warren", "ovs"))
        ratio = None
        if ours and theirs:
            ratio = ours / theirs if self.higher_is_better else theirs / ours
        return {"name": self.name, "unit": self.unit, "ours": ours, "peer": theirs, "peer_name": "ovs-vswitchd",
                "ratio": ratio, "wanted": self.wanted}


def flows_text(count):
    return "".join(f"table=1,cookie={1 + i % 2},priority={100 + i % 7},ip,in_port={1 + i % 4},nw_dst=10.{i >> 16 & 255}."
                   f"{i >> 8 & 255}.{i & 255},actions=set_field:{i % 4094 + 4097}->vlan_vid,output:2\n"
                   .replace("set_field", "push_vlan:0x8100,set_field") for i in range(count))


def timed(function, *args, **keywords):
    begin = time.monotonic()
    function(*args, **keywords)
    return time.monotonic() - begin


def flow_tables(world, build, rounds, say):
    rows = {
        "load": Row("load 100,000 flows, add-flows", "s", 1, False),
        "bundle": Row("load 100,000 flows, --bundle", "s", 1, False),
        "dump": Row("dump 100,000 flows", "s", 1, False),
        "delete": Row("delete half of them by cookie/mask", "s", 1, False),
        "memory": Row("resident memory a flow", "bytes", 1, False),
    }
    text = flows_text(FLOWS)
    for n in range(rounds):
        for kind in ("warren", "ovs"):
            switch = Switch(world, build, kind, f"t{n}{kind}")
            switch.add_bridge("br0")
            switch.stay_on(0)
            ofctl = lambda *args, s=switch, **kw: s.ofctl("-O", "OpenFlow13", *args, **kw)  # noqa: E731
            before = switch.resident_kib()
            rows["load"].add(kind, timed(ofctl, "add-flows", "br0", "-", stdin=text))
            rows["memory"].add(kind, (switch.resident_kib() - before) * 1024 / FLOWS)
            rows["dump"].add(kind, timed(ofctl, "dump-flows", "br0"))
            rows["delete"].add(kind, timed(ofctl, "del-flows", "br0", "cookie=1/-1"))
            ofctl("del-flows", "br0")
            rows["bundle"].add(kind, timed(ofctl, "--bundle", "add-flows", "br0", "-", stdin=text))
            switch.stop()
        say(f"flow tables, round {n + 1} of {rounds}")
    return [row.result() for row in rows.values()]


def neutron(switch, locals_, remotes):
    """br-int and br-tun as the Neutron agent programs them with l2population: VM port 1 on br-int in VLAN 1, REMOTES known
    addresses behind a tunnel."""
    switch.add_bridge("br-int")
    switch.add_bridge("br-tun")
    switch.vsctl("add-port", "br-int", "patch-tun", "--", "set", "Interface", "patch-tun", "type=patch",
                 "options:peer=patch-int", "ofport_request=10", "--", "add-port", "br-tun", "patch-int", "--", "set", "Interface",
                 "patch-int", "type=patch", "options:peer=patch-tun", "ofport_request=1")
    switch.ofctl("-O", "OpenFlow13", "add-flows", "br-int", "-", stdin="""\
table=23,priority=0,actions=drop
table=0,priority=0,actions=goto_table:59
table=59,priority=0,actions=goto_table:60
table=60,priority=3,actions=NORMAL
table=24,priority=0,actions=drop
table=0,priority=65535,vlan_tci=0x0fff/0x1fff,actions=drop
table=62,priority=3,actions=NORMAL
table=0,priority=10,icmp6,in_port=1,icmp_type=136,actions=goto_table:24
table=0,priority=10,arp,in_port=1,actions=goto_table:24
table=0,priority=9,in_port=1,actions=goto_table:25
table=30,priority=0,actions=goto_table:59
table=31,priority=0,actions=goto_table:60
""" + "".join(f"table=25,priority=2,in_port=1,dl_src={mac('02:00:00:01', i)},actions=goto_table:30\n" for i in range(locals_)))
    switch.ofctl("-O", "OpenFlow13", "add-flows", "br-tun", "-", stdin="""\
priority=1,in_port=1,actions=goto_table:2
priority=1,in_port=2,actions=goto_table:4
priority=0,actions=drop
table=2,priority=1,arp,dl_dst=ff:ff:ff:ff:ff:ff,actions=goto_table:21
table=2,priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00,actions=goto_table:20
table=2,priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=goto_table:22
table=3,priority=0,actions=drop
table=4,priority=1,tun_id=0x913,actions=push_vlan:0x8100,set_field:4097->vlan_vid,goto_table:10
table=4,priority=0,actions=drop
table=6,priority=0,actions=drop
table=10,priority=1,actions=learn(table=20,hard_timeout=300,priority=1,cookie=0x5,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[]),output:1
table=20,priority=0,actions=goto_table:22
table=21,priority=0,actions=goto_table:22
table=22,priority=1,dl_vlan=1,actions=pop_vlan,set_field:0x913->tun_id,output:2
table=22,priority=0,actions=drop
""" + "".join(f"table=20,priority=2,dl_vlan=1,dl_dst={mac('02:00:00:02', i)},actions=pop_vlan,set_field:0x913->tun_id,output:2\n"
              for i in range(remotes)))


def mac(prefix, n):
    return f"{prefix}:{n >> 8:02x}:{n & 255:02x}"


def slow_path(world, build, rounds, say):
    """Every frame has a new pair of addresses, so every frame is a miss; br-tun's port 2 is a veth here, so that what is
    measured is the pipeline and not an encapsulation."""
    row = Row("new flows through the slow path, Neutron's pipeline", "1/s", 2)
    for n in range(rounds):
        for kind in ("warren", "ovs"):
            switch = Switch(world, build, kind, f"s{n}{kind}")
            vm, far = switch.add_host("vm", "vm0"), switch.add_host("far", "tun0")
            neutron(switch, 100, 400)
            switch.add_port("br-int", "vm0", 1, "--", "set", "Port", "vm0", "tag=1")
            switch.add_port("br-tun", "tun0", 2)
            done = generator(build, "bench_frames", tx_ns=vm, tx_if="eth0", rx_ns=far, rx_if="eth0", count=20000, window=64,
                             smacs=100, dmacs=400)
            row.add(kind, done["rate"])
            switch.stop()
        say(f"slow path, round {n + 1} of {rounds}")
    return [row.result()]


def big_table(world, build, rounds, say):
    """Misses a second with many rules in many masks; every frame goes to an address of its own."""
    small, big = (Row(f"misses with {n} rules in 64 masks", "1/s", None) for n in ("100", "100,000"))
    for n in range(rounds):
        for row, rules in ((small, 100), (big, 100_000)):
            switch = Switch(world, build, "warren", f"b{n}{rules}")
            tx, rx = switch.add_host("tx", "p1"), switch.add_host("rx", "p2")
            switch.add_bridge("br0")
            switch.add_port("br0", "p1", 1)
            switch.add_port("br0", "p2", 2)
            switch.ofctl("-O", "OpenFlow13", "--bundle", "add-flows", "br0", "-", stdin=masked_rules(rules) +
                         "priority=1,udp,actions=output:2\n")
            done = generator(build, "bench_frames", tx_ns=tx, tx_if="eth0", rx_ns=rx, rx_if="eth0", count=20000, window=64,
                             dmacs=20000)
            row.add("warren", done["rate"])
            switch.stop()
        say(f"big tables, round {n + 1} of {rounds}")
    results = [small.result(), big.result()]
    results.append({"name": "the same, 100,000 rules to 100", "unit": "ratio", "ours": results[1]["ours"], "peer":
                    results[0]["ours"], "peer_name": "ours with 100", "ratio": results[1]["ours"] / results[0]["ours"],
                    "wanted": 0.5})
    return results


def masked_rules(count):
    """COUNT rules in 64 masks that no frame of the test matches, but under each of which it must be looked up: together the
    masks cover the whole destination address, so every address is a megaflow of its own."""
    lines = []
    for i in range(count):
        value, hidden = i // 64, i % 64
        lines.append(f"priority={1000 + i % 100},udp,dl_dst=0a:{(value & 255) & ~hidden:02x}:00:{value >> 8:02x}:00:01/"
                     f"ff:{0xff & ~hidden:02x}:ff:ff:ff:ff,actions=drop\n")
    return "".join(lines)


def port_to_port(world, build, rounds, say):
    row = Row("64-byte frames, one megaflow, veth to veth", "1/s", 1)
    pairs = []
    for kind in ("warren", "ovs"):
        switch = Switch(world, build, kind, f"p{kind}")
        tx, rx = switch.add_host("tx", "p1"), switch.add_host("rx", "p2")
        switch.add_bridge("br0")
        switch.add_port("br0", "p1", 1)
        switch.add_port("br0", "p2", 2)
        switch.ofctl("-O", "OpenFlow13", "add-flow", "br0", "in_port=1,actions=output:2")
        pairs.append(f"{tx},eth0,{rx},eth0,02:00:00:01:00:00,02:00:00:02:00:00")
    for n in range(rounds):
        for kind, rates in zip(("warren", "ovs"), generator_pairs(build, "bench_frames", pairs, turns=20)):
            row.add(kind, mean(rates))
        say(f"port to port, round {n + 1} of {rounds}")
    for kind in ("warren", "ovs"):
        world.kill(f"p{kind}")
    return [row.result()]


def start_up(world, build, rounds, say):
    """A switch with 2,000 ports starts again, and 50,000 flows are put back."""
    switch = Switch(world, build, "warren", "start")
    switch.add_bridge("br0")
    batch = "".join(f"link add v{i} type veth peer name w{i}\nlink set v{i} up\n" for i in range(2000))
    switch.tool("ip", "-batch", "-", stdin=batch)
    for first in range(0, 2000, 200):
        words = []
        for i in range(first, first + 200):
            words += ["--", "add-port", "br0", f"v{i}"]
        switch.vsctl(*words)
    switch.stop()
    seconds = switch.start()
    text = flows_text(50_000)
    flows = timed(switch.ofctl, "-O", "OpenFlow13", "--bundle", "add-flows", "br0", "-", stdin=text)
    switch.stop()
    say("start")
    plain = {"peer": None, "peer_name": None, "ratio": None, "wanted": None, "unit": "s"}
    return [{"name": "start to ready with 2,000 ports", "ours": seconds, **plain},
            {"name": "50,000 flows put back in a bundle", "ours": flows, **plain}]


PARTS = [flow_tables, slow_path, big_table, port_to_port, start_up]
