# SPDX-License-Identifier: Apache-2.0
"""Bridges of two hypervisors, hv1 and hv2, with VMs and tunnels of every kind, and what is read at some VMs when another one sends
super-packets (taps.py). Of the end-to-end tests and of the check of a kernel (tests/vm/guest.py), which has other VMs, too:
before Linux 6.2 a tap knows no super-packets of UDP."""
import json
import pathlib

from datapaths import kernel_since
from taps import MSS, SEGMENTS, TCPV4, TCPV6, UDP_L4, split
from world import LabError, run, wait_for

TAPS = pathlib.Path(__file__).with_name("taps.py")
TUNNELS = [(kind, family) for kind in ("vxlan", "gre", "geneve") for family in "46"]
TAPS_KNOW_UDP = kernel_since(6, 2)
VLANS = ("", "@7", "@7.8")  # of the VM: none, one tag, two
VMS = "vms"  # the namespace of the VMs' own devices


def pieces(kind, end="tap"):
    """What END reads where KIND's super-packet was cut on the way."""
    return [[*([0, 0] if end == "tap" else [None, None]), MSS, tags(kind)]] * SEGMENTS


def tags(kind):
    vlans = split(kind)[2]
    return vlans if len(vlans) > 1 else vlans[0] if vlans else None


def whole(kind, end="tap"):
    """What END reads where KIND's super-packet was not cut on the way."""
    tcp, version, _ = split(kind)
    if end == "veth":
        return [[None, None, MSS * SEGMENTS, tags(kind)]]
    if not tcp and not TAPS_KNOW_UDP:
        return pieces(kind)
    return [[UDP_L4 if not tcp else TCPV4 if version == 4 else TCPV6, MSS, MSS * SEGMENTS, tags(kind)]]


# What a tap may send, as it is read at another one.
WHOLE = {kind: whole(kind) for kind in ("tcp4", "tcp6", *(("udp4", "udp6") if TAPS_KNOW_UDP else ()))}
TAGS = {f"{kind}{vlans}": whole(kind + vlans) for vlans in VLANS for kind in WHOLE}
# What a VM's own device may.
DATAGRAMS = [f"{kind}{vlans}" for vlans in VLANS for kind in ("udp4", "udp6")]


def taps_up(cloud, hv, names):
    cloud.world.ip_batch(cloud.hv_ns(hv), [f"tuntap add dev {name} mode tap vnet_hdr" for name in names])
    links_up(cloud, cloud.hv_ns(hv), names)


def links_up(cloud, ns, names):
    """They are others' ends: the namespace itself does not speak there."""
    cloud.world.sysctl(ns, **{f"net__ipv6__conf__{name}__disable_ipv6": 1 for name in names})
    cloud.world.ip_batch(ns, [f"link set {name} mtu 1400 up" for name in names])


def veths_up(cloud, hv, names):
    """The VMs' ends, which have the same names, do not speak by themselves either."""
    vms = f"{cloud.world.name}-{VMS}"
    if vms not in cloud.world.state["netns"]:
        cloud.world.netns(VMS)
    cloud.world.ip_batch(cloud.hv_ns(hv), [f"link add {name} type veth peer name {name} netns {vms}" for name in names])
    for ns in (cloud.hv_ns(hv), vms):
        links_up(cloud, ns, names)


def sender_up(cloud, name):
    """The VM's device NAME gets what its sockets need to send DATAGRAMS as taps.py wants it: a device for each of VLANS, and the addresses
    on it. Returns those kinds that it can send: not every kernel is built with VLAN devices."""
    world, vms, links, kinds = cloud.world, f"{cloud.world.name}-{VMS}", [name], DATAGRAMS
    try:
        world.ip_batch(vms, [f"link set {name} address 02:00:00:00:00:a1", f"link add link {name} name {name}.7 type vlan id 7",
                             f"link add link {name}.7 name {name}.7.8 type vlan id 8"])
        links += [f"{name}.7", f"{name}.7.8"]
    except LabError as error:
        if "Unknown device type" not in str(error):
            raise
        kinds = [kind for kind in DATAGRAMS if "@" not in kind]
    world.sh(vms, "sysctl", "-qw", *[f"net/ipv6/conf/{link}/{key}" for link in links
                                     for key in ("router_solicitations=0", "disable_ipv6=0")])
    world.ip_batch(vms, [command for link in links for command in (
        f"link set {link} up", f"addr add 10.9.0.1/24 dev {link}", f"addr add ::fd01/120 dev {link} nodad",
        f"neigh add 10.9.0.2 lladdr 02:00:00:00:00:a2 dev {link} nud permanent",
        f"neigh add ::fd02 lladdr 02:00:00:00:00:a2 dev {link} nud permanent")])
    return kinds


def end_of(cloud, where, name):
    return f"{'veth' if where == VMS else 'tap'}:{cloud.world.name}-{where}:{name}"


def pass_on(cloud, source, targets, kinds):
    """By target and kind what is read there. SOURCE and each of TARGETS: (hypervisor, tap), or (VMS, device)."""
    ends = {end_of(cloud, *target): target for target in targets}
    done = run("/usr/bin/python3", "-B", TAPS, end_of(cloud, *source), *ends, *kinds, timeout=60)
    return {ends[end]: read for end, read in json.loads(done.stdout).items()}


def difference(got, want):
    """As a text; equal packets are counted."""
    def counted(reads):
        if isinstance(reads, str):
            return reads
        texts = [str(read) for read in reads]
        return ", ".join(f"{texts.count(text)} times {text}" for text in dict.fromkeys(texts)) or "nothing"
    return "; ".join(f"{kind} at {' '.join(target)}: {counted(got[target][kind])}, not {counted(reads)}"
                     for target, kinds in want.items() for kind, reads in kinds.items() if got[target][kind] != reads)


def wait_for_reads(cloud, source, want, timeout=20):
    """WANT: by target and kind. They come when flows and neighbours are known."""
    kinds, got = next(iter(want.values())), {}

    wait_for(lambda: f"super-packets from {source}: {difference(got, want)}",
             lambda: got.update(pass_on(cloud, source, list(want), kinds)) or got == want, timeout)


def assert_reads(cloud, source, want):
    """Also by the fast path alone."""
    wait_for_reads(cloud, source, want)
    with cloud.switches_frozen():
        got = pass_on(cloud, source, list(want), next(iter(want.values())))
    assert got == want, difference(got, want)


class Bridges:
    """A bridge on each of hv1 and hv2 with the taps "from" (hv1's) and TAPS (by hypervisor), tunnels of kind and family TUNNELS[n]
    called t0, t1 and so on for each N of TUNNELS, and flows: LEADS says by hypervisor and port what is done with what comes from there. There
    must be a way back, too: over IPv6 a tunnel's end is known to take super-packets (without checksums) when it has sent something.
    With VETHS, also by hypervisor, there is "sender" on hv1, too, which has the flows of "from"."""

    def __init__(self, cloud, taps, tunnels, leads, veths=None):
        self.cloud, self.tunnels, self.leads, self.kinds = cloud, tunnels, leads, {"from": list(TAGS)}
        self.taps = {**taps, "hv1": ["from", *taps.get("hv1", [])]}
        self.veths = {**veths, "hv1": ["sender", *veths.get("hv1", [])]} if veths else {}

    def __enter__(self):
        for hv, other in (("hv1", "hv2"), ("hv2", "hv1")):
            if hv in self.taps:
                taps_up(self.cloud, hv, self.taps[hv])
            if hv in self.veths:
                veths_up(self.cloud, hv, self.veths[hv])
            tunnels = [self.cloud.tunnel_port(hv, "more", f"t{i}", TUNNELS[n][0], 100 + i, other, TUNNELS[n][1])
                       for i, n in enumerate(self.tunnels)]
            self.cloud.vsctl(hv, "add-br", "more", "--", "set-fail-mode", "more", "secure", *(word for words in tunnels for word in words),
                             *(word for name in self.devices(hv) for word in ("--", "add-port", "more", name)))
            self.lead(hv, self.leads[hv])
        if self.veths:
            self.kinds["sender"] = sender_up(self.cloud, "sender")
        return self

    def __exit__(self, *_):
        for hv in self.cloud.hypervisors:
            self.cloud.vsctl(hv, "del-br", "more")
            self.cloud.world.ip_batch(self.cloud.hv_ns(hv), [f"link del {name}" for name in self.devices(hv)])

    def devices(self, hv):
        return [*self.taps.get(hv, []), *self.veths.get(hv, [])]

    def lead(self, hv, leads):
        flows = ""
        for port, outputs in leads.items():
            # The marks keep the fast path from changing the order.
            actions = ",".join(f"load:{i}->NXM_NX_PKT_MARK[],output:{output}" for i, output in enumerate(outputs.split()))
            flows += "".join(f"in_port={name},actions={actions}\n"
                             for name in ([port, "sender"] if port == "from" and self.veths else [port]))
        self.cloud.ofctl(hv, "add-flows", "more", "-", stdin=flows)

    def targets(self):
        """(Where, name, what kind of end) of all but "from" and "sender"."""
        yield from ((hv, name, "tap") for hv, names in self.taps.items() for name in names if name != "from")
        yield from ((VMS, name, "veth") for names in self.veths.values() for name in names if name != "sender")

    def assert_whole(self, source="from", cut=()):
        """At every target, each of the kinds that SOURCE can send, by the fast path alone; those targets named in CUT get pieces."""
        want = {(where, name): {kind: (pieces if name in cut else whole)(kind, end) for kind in self.kinds[source]}
                for where, name, end in self.targets()}
        assert_reads(self.cloud, ("hv1", "from") if source == "from" else (VMS, "sender"), want)
        return want


def tunnels_in_a_row(cloud):
    """Out of one into the next, of all forms, to and fro between the hypervisors; at each end another port gets it, too, before the next
    tunnel or behind it."""
    last = len(TUNNELS) - 1
    taps, veths, leads = {"hv1": ["last"], "hv2": []}, {"hv1": [], "hv2": []}, {"hv1": {"from": "t0", "t0": "from"}, "hv2": {}}
    for i in range(last):
        hv, other = ("hv2", "hv1") if i % 2 == 0 else ("hv1", "hv2")
        (taps if i % 3 else veths)[hv].append(f"side{i}")
        leads[hv][f"t{i}"] = f"t{i + 1} side{i}" if i % 4 < 2 else f"side{i} t{i + 1}"
        leads[hv][f"t{i + 1}"] = f"t{i}"  # the way back
    leads["hv1"].update({f"t{last}": "last", "last": f"t{last}"})
    return Bridges(cloud, taps, range(len(TUNNELS)), leads, veths)


TAP_LAST, TUNNEL_LAST = "t0 t1 t2 side t3 t4 t5 last", "last t5 side t4 t3 t2 t1 t0"


def tunnels_of_all_forms(cloud, order):
    """From one packet, and ports before, between and behind them."""
    numbers = range(len(TUNNELS))
    taps = {"hv1": ["side"], "hv2": [f"far{n}" for n in (0, 3, 4)]}
    veths = {"hv1": ["last"], "hv2": [f"far{n}" for n in (1, 2, 5)]}
    leads = {"hv1": {"from": order, **{f"t{n}": "from" for n in numbers}},
             "hv2": {**{f"t{n}": f"far{n}" for n in numbers}, **{f"far{n}": f"t{n}" for n in numbers}}}
    return Bridges(cloud, taps, numbers, leads, veths)
