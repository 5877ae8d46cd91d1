# SPDX-License-Identifier: Apache-2.0
"""Super-packets from tap to tap through every kind of tunnel arrive whole, by the fast path alone; the detour on which they lose
the kernel's mark outlives its process, and a stream of them notices neither its end nor the next one's beginning."""
import json
import os
import pathlib
import signal

import pytest
from datapaths import need_bpf
from super_packets import (TAGS, TAP_LAST, TUNNEL_LAST, TUNNELS, WHOLE, Bridges, assert_reads, pass_on, pieces, taps_up,
                           tunnels_in_a_row, tunnels_of_all_forms, wait_for_reads)
from world import pin_name, run, wait_for

STREAM = pathlib.Path(__file__).with_name("super_stream.py")
each_tunnel = pytest.mark.parametrize("n", range(len(TUNNELS)), ids=["-".join(tunnel) for tunnel in TUNNELS])


def switch_up(cloud, hv, other):
    """A bridge with a tap for each tunnel."""
    taps_up(cloud, hv, [f"tap{n}" for n in range(len(TUNNELS))])
    commands = []
    for n, (kind, family) in enumerate(TUNNELS):
        commands += ["--", "add-br", f"br{n}", "--", "add-port", f"br{n}", f"tap{n}",
                     *cloud.tunnel_port(hv, f"br{n}", f"tun{n}", kind, 70 + n, other, family)]
    cloud.vsctl(hv, *commands[1:])


@pytest.fixture(scope="module")
def cloud(cloud_factory):
    need_bpf()
    cloud = cloud_factory(datapath="ebpf")
    cloud.switches_up("hv1", "hv2")
    for hv, other in (("hv1", "hv2"), ("hv2", "hv1")):
        switch_up(cloud, hv, other)
    return cloud


def through(n, reads):
    """From hv1's tap of tunnel N to hv2's."""
    return ("hv1", f"tap{n}"), {("hv2", f"tap{n}"): reads}


@each_tunnel
def test_whole(cloud, n):
    """Also in VLANs of the VM's own, whose tags go through the tunnel."""
    assert_reads(cloud, *through(n, TAGS))


def test_whole_with_a_tag(cloud):
    """Which the port adds to what came out of the tunnel."""
    cloud.vsctl("hv2", "set", "port", "tun0", "tag=5")
    assert_reads(cloud, *through(0, {kind: [[*reads[0][:3], 5]] for kind, reads in WHOLE.items()}))
    cloud.vsctl("hv2", "clear", "port", "tun0", "tag")


@each_tunnel
def test_cut_by_the_device(cloud, n):
    """An underlay without offloads has the kernel cut what was put into the tunnel: each piece is right, in VLANs as well."""
    cloud.world.sh(cloud.hv_ns("hv1"), "ethtool", "-K", "und0", "tx", "off")
    try:
        assert_reads(cloud, *through(n, {kind: pieces(kind) for kind in TAGS}))
    finally:
        cloud.world.sh(cloud.hv_ns("hv1"), "ethtool", "-K", "und0", "tx", "on")


# --- several outputs

PAIRS = [(n, (n + more) % len(TUNNELS)) for n in range(len(TUNNELS)) for more in range(3)]


@pytest.mark.parametrize("n,m", PAIRS, ids=["-".join((*TUNNELS[n], "to", *TUNNELS[m])) for n, m in PAIRS])
def test_out_of_one_tunnel_into_another(cloud, n, m):
    """hv2 hands on what comes from hv1 to hv1."""
    leads = {"hv1": {"from": "t0", "t1": "back", "back": "t1", "t0": "from"}, "hv2": {"t0": "t1", "t1": "t0"}}
    with Bridges(cloud, {"hv1": ["back"]}, [n, m], leads) as bridges:
        bridges.assert_whole()


@each_tunnel
def test_out_of_a_tunnel_to_several(cloud, n):
    """hv2 hands on what comes from hv1 to taps and through two tunnels of other forms to hv1."""
    leads = {"hv1": {"from": "t0", "t0": "from", "t1": "one", "one": "t1", "t2": "other", "other": "t2"},
             "hv2": {"t0": "t1 side t2 last", "t1": "t0", "t2": "t0"}}
    with Bridges(cloud, {"hv1": ["one", "other"], "hv2": ["side", "last"]}, [n, (n + 1) % 6, (n + 2) % 6], leads) as bridges:
        bridges.assert_whole()


@each_tunnel
def test_tunnel_and_taps(cloud, n):
    """A tunnel output leaves nothing on the super-packet that would harm those behind it."""
    leads = {"hv1": {"from": "t0 side last", "t0": "from"}, "hv2": {"t0": "far", "far": "t0"}}
    with Bridges(cloud, {"hv1": ["side", "last"], "hv2": ["far"]}, [n], leads) as bridges:
        bridges.assert_whole()


@pytest.mark.parametrize("source", ["from", "sender"])
@pytest.mark.parametrize("order", [TAP_LAST, TUNNEL_LAST], ids=["tap last", "tunnel last"])
def test_tunnels_of_all_forms(cloud, order, source):
    """And taps and veths before, between and behind them: each gets it whole."""
    with tunnels_of_all_forms(cloud, order) as bridges:
        bridges.assert_whole(source)


@pytest.mark.parametrize("source", ["from", "sender"])
def test_tunnels_in_a_row(cloud, source):
    with tunnels_in_a_row(cloud) as bridges:
        bridges.assert_whole(source)


# --- the detour outlives its process

STREAMS = {  # name: (VNI, device, what is sent, from where, by which IP version); a UDP socket gets segments
    "tap": (90, "tap6", tuple(WHOLE), "hv1", "4"),
    "vm": (91, "veth6", tuple(kind for kind in WHOLE if kind.startswith("udp")), "hv1", "4"),
    "back": (92, "tap7", tuple(WHOLE), "hv2", "6"),  # nothing comes from there: what was known of it must stay known
}
STREAMS = {name: stream for name, stream in STREAMS.items() if stream[2]}


def direct(cloud, hv, other, name):
    """A bridge whose flows lead from the tunnel to the device and back; it has them again by itself after a restart."""
    vni, link, _, _, family = STREAMS[name]
    bridge, tunnel = f"br-{name}", f"tun-{name}"
    if hv == "hv2" and name == "vm":
        vm = cloud.world.netns("vm")
        cloud.world.veth(vm, "eth0", cloud.hv_ns(hv), link)
        cloud.world.sysctl(vm, net__ipv6__conf__eth0__accept_dad=0)
        cloud.world.ip(vm, "link", "set", "eth0", "address", "02:00:00:00:00:a2", "mtu", "1400", "up")
        for own in ("10.9.0.2/24", "::fd02/120"):
            cloud.world.ip(vm, "addr", "add", own, "dev", "eth0")
        cloud.world.ip(cloud.hv_ns(hv), "link", "set", link, "mtu", "1400", "up")
    else:
        taps_up(cloud, hv, [link])
    cloud.vsctl(hv, "add-br", bridge, "--", "set-fail-mode", bridge, "secure", "--", "add-port", bridge, link, "--", "add-port",
                bridge, tunnel, "--", "set", "Interface", tunnel, "type=vxlan", f"options:key={vni}",
                f'options:remote_ip="{cloud.local_ip(other, family)}"')
    direct_flows(cloud, hv, name)


def direct_flows(cloud, hv, name):
    link, tunnel = STREAMS[name][1], f"tun-{name}"
    for source, target in ((link, tunnel), (tunnel, link)):
        cloud.ofctl(hv, "add-flow", f"br-{name}", f"in_port={source},actions=output:{target}")


@pytest.fixture(scope="module")
def direct_bridges(cloud):
    for name in STREAMS:
        for hv, other in (("hv1", "hv2"), ("hv2", "hv1")):
            direct(cloud, hv, other, name)
    return cloud


class Stream:
    """Super-packets on and on through VXLAN between devices of hv1 and hv2."""

    def __init__(self, cloud, name):
        self.cloud, self.world, self.tag = cloud, cloud.world, f"stream-{name}"
        _, link, kinds, sender, _ = STREAMS[name]
        source, target = (cloud.hv_ns(hv) for hv in (sender, "hv1" if sender == "hv2" else "hv2"))
        to = (f"{cloud.world.name}-vm", "-") if name == "vm" else (target, link)
        (self.world.dir / f"{self.tag}.log").unlink(missing_ok=True)
        self.world.spawn(self.tag, ["/usr/bin/python3", "-B", STREAM, source, link, *to, *kinds], ready="ready")

    def stop(self):
        """By kind [sent, arrived whole, other packets that arrived]."""
        assert self.world.kill(self.tag, signal.SIGINT) == 0, self.world.log(self.tag)
        return json.loads(self.world.log(self.tag).splitlines()[-1])


@pytest.fixture
def streams(direct_bridges):
    try:
        yield {name: Stream(direct_bridges, name) for name in STREAMS}
    finally:
        for name in STREAMS:
            direct_bridges.world.kill(f"stream-{name}", signal.SIGINT)  # after a failure


def assert_untouched(streams):
    """Whatever happened since they began: all arrived, and whole."""
    for name, stream in streams.items():
        for kind, (sent, whole, other) in stream.stop().items():
            # What the switches dropped tells a loss of theirs from one of the machine's or the test's.
            assert sent > 100 and whole == sent and not other, (
                name, kind, sent, whole, other, {hv: stream.cloud.drops(hv) for hv in stream.cloud.hypervisors})


def detours(cloud, hv):
    """Of hypervisor HV (ifindex, device, namespace's inode)."""
    links = json.loads(cloud.world.ip(cloud.hv_ns(hv), "-j", "link").stdout)
    return [(link["ifindex"], link["ifname"], [os.stat(path).st_ino for path in namespaces(cloud, hv)]) for link in links
            if link["ifname"].startswith("wr-detour")]


def namespaces(cloud, hv):
    return sorted(pathlib.Path("/run/netns").glob(f"wr-detour*-{pin_name(cloud.rundir(hv))}"))


@pytest.mark.alone
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_without_the_switch(direct_bridges, streams, end):
    """Not one super-packet is lost or cut while the switch ends, is away, and comes again; it adopts the detour."""
    cloud = direct_bridges
    for n in (0, 2):
        wait_for_reads(cloud, *through(n, WHOLE))
    before = detours(cloud, "hv2")
    assert len(before) == 1 and len(before[0][2]) == 1
    cloud.world.kill("switchd-hv2", end)
    for n in (0, 2):  # known flows go on, by the fast path alone
        source, want = through(n, WHOLE)
        assert pass_on(cloud, source, want, WHOLE) == want
    assert detours(cloud, "hv2") == before
    cloud.switches_again("hv2")
    assert detours(cloud, "hv2") == before
    assert_untouched(streams)
    wait_for_reads(cloud, *through(0, WHOLE))


def test_wrong_detour_is_replaced(direct_bridges):
    """One that somebody broke is not adopted."""
    cloud = direct_bridges
    before = detours(cloud, "hv2")
    cloud.world.kill("switchd-hv2", signal.SIGKILL)
    cloud.world.ip(namespaces(cloud, "hv2")[0].name, "-6", "route", "del", "fd00::2")
    cloud.switches_again("hv2")
    after = detours(cloud, "hv2")
    assert len(after) == 1 and len(after[0][2]) == 1 and after[0][0] != before[0][0]
    wait_for_reads(cloud, *through(0, WHOLE))


@pytest.mark.alone
def test_replaced_without_loss(direct_bridges, streams):
    """By an upgrade that would make it in another way (here: one of its settings is another): the old one serves until the
    programs that use it are replaced."""
    cloud = direct_bridges
    before = detours(cloud, "hv2")
    cloud.world.kill("switchd-hv2", signal.SIGKILL)
    cloud.world.ip(namespaces(cloud, "hv2")[0].name, "link", "set", "out", "mtu", "65000")
    cloud.switches_again("hv2")
    after = detours(cloud, "hv2")
    assert len(after) == 1 and len(after[0][2]) == 1 and after[0][0] != before[0][0]
    assert_untouched(streams)


@pytest.mark.alone
def test_other_layout_without_loss(direct_bridges, streams):
    """Programs of another layout keep their detour while they serve; then it goes with them."""
    cloud = direct_bridges
    before = detours(cloud, "hv2")
    cloud.world.kill("switchd-hv2", signal.SIGKILL)
    pins = cloud.pins("hv2")
    next(pins.iterdir()).rename(pins / "layout0")
    cloud.switchd_up("hv2")
    assert len(detours(cloud, "hv2")) == 2  # the process is ready, but not settled
    wait_for("the programs to be replaced",
             lambda: "programs and maps of another version are replaced" in cloud.world.log("switchd-hv2"), 60)
    after = detours(cloud, "hv2")
    assert len(after) == 1 and len(after[0][2]) == 1 and after[0][0] != before[0][0]
    assert_untouched(streams)


def mounts(cloud, hv):
    paths = {str(path) for path in namespaces(cloud, hv)}
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if line.split()[4] in paths]


def test_nothing_is_left(direct_bridges):
    """By --detach-datapath after a kill, and by exit --cleanup."""
    cloud = direct_bridges
    for how in ("detach", "cleanup"):
        held = namespaces(cloud, "hv2")
        assert len(detours(cloud, "hv2")) == len(held) == len(mounts(cloud, "hv2")) == 1
        if how == "detach":
            cloud.world.kill("switchd-hv2", signal.SIGKILL)
            run("nsenter", f"--net=/run/netns/{cloud.hv_ns('hv2')}", cloud.program("warren-switchd"), "--rundir",
                cloud.rundir("hv2"), "--detach-datapath")
        else:
            pid = cloud.world.pid("switchd-hv2")
            cloud.appctl("hv2", "exit", "--cleanup")
            wait_for("the switch to end", lambda: cloud.world.pid("switchd-hv2") != pid, 10)
        assert not detours(cloud, "hv2") and not namespaces(cloud, "hv2")
        assert str(held[0]) not in pathlib.Path("/proc/self/mountinfo").read_text()
        cloud.switchd_up("hv2")
        wait_for("the detour", lambda: detours(cloud, "hv2"))
        for name in STREAMS:  # they went with the rest
            direct_flows(cloud, "hv2", name)
