# SPDX-License-Identifier: Apache-2.0
"""Super-packets from tap to tap through every kind of tunnel arrive whole, by the fast path alone; without the detour on which
they lose the kernel's mark they still arrive."""
import json
import os
import pathlib
import platform
import re
import signal

import pytest
from datapaths import bpf_refusal
from world import run, wait_for

TAPS = pathlib.Path(__file__).with_name("taps.py")
TUNNELS = [(kind, family) for kind in ("vxlan", "gre", "geneve") for family in "46"]
ALL = 20000  # bytes, in segments of 1000
WHOLE = {"tcp4": [[1, 1000, ALL, None]], "tcp6": [[4, 1000, ALL, None]], "udp4": [[5, 1000, ALL, None]],
         "udp6": [[5, 1000, ALL, None]]}
if tuple(int(n) for n in re.findall(r"\d+", platform.release())[:2]) < (6, 2):
    WHOLE = {kind: reads for kind, reads in WHOLE.items() if kind.startswith("tcp")}  # virtio-net headers knew no other


def address(hv, family):
    k = hv.removeprefix("hv")
    return f"10.201.{k}.2" if family == "4" else f"fd00:201:{k}::2"


def tap_up(cloud, hv, name):
    cloud.world.ip(cloud.hv_ns(hv), "tuntap", "add", "dev", name, "mode", "tap", "vnet_hdr")
    cloud.world.sysctl(cloud.hv_ns(hv), **{f"net__ipv6__conf__{name}__disable_ipv6": 1})
    cloud.world.ip(cloud.hv_ns(hv), "link", "set", name, "mtu", "1400", "up")


def switch_up(cloud, hv, other):
    """A bridge with a tap for each tunnel."""
    cloud.switchd_up(hv)
    commands = []
    for n, (kind, family) in enumerate(TUNNELS):
        tap_up(cloud, hv, f"tap{n}")
        commands += ["--", "add-br", f"br{n}", "--", "add-port", f"br{n}", f"tap{n}", "--", "add-port", f"br{n}", f"tun{n}",
                     "--", "set", "Interface", f"tun{n}", f"type={kind}", f"options:key={70 + n}",
                     f'options:remote_ip="{address(other, family)}"', f'options:local_ip="{address(hv, family)}"']
    cloud.vsctl(hv, *commands[1:])


@pytest.fixture(scope="module")
def cloud(cloud_factory):
    if bpf_refusal():
        pytest.skip(bpf_refusal())
    cloud = cloud_factory(datapath="ebpf")
    cloud.hypervisors = ["hv1", "hv2"]
    cloud.underlay_up(cloud.hypervisors)
    for hv, other in (("hv1", "hv2"), ("hv2", "hv1")):
        switch_up(cloud, hv, other)
    return cloud


def pass_on(cloud, n, kinds=tuple(WHOLE)):
    """What is read at hv2's tap N when hv1's is written into."""
    done = run("/usr/bin/python3", "-B", TAPS, cloud.hv_ns("hv1"), f"tap{n}", cloud.hv_ns("hv2"), f"tap{n}", *kinds, timeout=60)
    return json.loads(done.stdout)


def wait_whole(cloud, n, whole, timeout=20):
    """Until flows and neighbours are known."""
    wait_for(lambda: f"super-packets through {TUNNELS[n]}: {wait_whole.last}",
             lambda: setattr(wait_whole, "last", pass_on(cloud, n)) or wait_whole.last == whole, timeout)


class Frozen:
    """The switches do nothing meanwhile: only the fast path forwards."""

    def __init__(self, cloud):
        self.pids = [cloud.world.pid(f"switchd-{hv}") for hv in cloud.hypervisors]

    def __enter__(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)

    def __exit__(self, *_):
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("n", range(len(TUNNELS)), ids=["-".join(tunnel) for tunnel in TUNNELS])
def test_whole(cloud, n):
    wait_whole(cloud, n, WHOLE)
    with Frozen(cloud):
        assert pass_on(cloud, n) == WHOLE


def test_whole_with_a_tag(cloud):
    """Which the port adds to what came out of the tunnel."""
    tagged = {kind: [[*reads[0][:3], 5]] for kind, reads in WHOLE.items()}
    cloud.vsctl("hv2", "set", "port", "tun0", "tag=5")
    wait_whole(cloud, 0, tagged)
    with Frozen(cloud):
        assert pass_on(cloud, 0) == tagged
    cloud.vsctl("hv2", "clear", "port", "tun0", "tag")


def has_detour(cloud, hv):
    links = json.loads(cloud.world.ip(cloud.hv_ns(hv), "-j", "link").stdout)
    return "wr-detour" in [link["ifname"] for link in links]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_without_the_switch(cloud, end):
    """The detour goes with its process, and comes back with the next."""
    wait_whole(cloud, 0, WHOLE)
    assert has_detour(cloud, "hv2")
    cloud.world.kill("switchd-hv2", end)
    wait_for("the detour to go", lambda: not has_detour(cloud, "hv2"), 10)
    pieces = {kind: [[0, 0, 1000, None]] * 20 for kind in ("tcp4", "tcp6")}  # UDP would need the switch
    # Where it was killed, the kernel may still be about to take the device away.
    wait_for("what is sent to arrive in pieces", lambda: pass_on(cloud, 0, tuple(pieces)) == pieces, 5)
    cloud.switchd_up("hv2")
    wait_whole(cloud, 0, WHOLE)
