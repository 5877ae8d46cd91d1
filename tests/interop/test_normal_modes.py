# SPDX-License-Identifier: Apache-2.0
"""NORMAL with real traffic, configured by Debian's ovs-vsctl on one switch: VLAN modes, mirrors, snooping, bonds."""
import ctypes
import os
import select
import socket
import struct
import time

import pytest
from world import wait_for

PORTS = [f"p{k}" for k in range(1, 7)]
SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID, CLONE_NEWNET = 263, 8, 0x10, 0x40000000
BROADCAST = "ffffffffffff"
ETHERTYPE = 0x88b5  # local experiments: nobody else speaks it


def mac(n):
    return f"02000000{n:04x}"


def frame(dst, src, *tags, ethertype=ETHERTYPE, payload=b"warren" * 10):
    """TAGS, outermost first: a VID, or (tpid, tci)."""
    out = bytes.fromhex(dst + src)
    for tag in tags:
        tpid, tci = tag if isinstance(tag, tuple) else (0x8100, tag)
        out += struct.pack("!HH", tpid, tci)
    return out + struct.pack("!H", ethertype) + payload


class Wire:
    """The far ends of the switch's ports, e1 to e6 in a namespace of their own, as packet sockets."""

    def __init__(self, namespace):
        libc = ctypes.CDLL(None, use_errno=True)
        home, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        self.sockets = {}
        try:
            assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            for k in range(1, 7):
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
                s.bind((f"e{k}", 3))
                s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
                s.setblocking(False)
                self.sockets[k] = s
        finally:
            assert libc.setns(home, CLONE_NEWNET) == 0
            os.close(home)
            os.close(there)

    def close(self):
        for s in self.sockets.values():
            s.close()

    @staticmethod
    def receive(s):
        """One frame as it was on the wire, or None for what this host sent."""
        data, aux, _, (_, _, kind, _, _) = s.recvmsg(65536, 512)
        if kind == 4:
            return None
        for level, what, value in aux:
            if (level, what) == (SOL_PACKET, PACKET_AUXDATA):
                status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", value[:20])
                if status & TP_STATUS_VLAN_VALID:
                    data = data[:12] + struct.pack("!HH", tpid or 0x8100, tci) + data[12:]
        return data

    def drain(self, seconds, enough=lambda got: False):
        """{port: [frames]} of what comes until SECONDS pass in silence, or ENOUGH says so."""
        got = {k: [] for k in self.sockets}
        end = time.monotonic() + seconds
        while time.monotonic() < end and not enough(got):
            ready, _, _ = select.select(self.sockets.values(), [], [], max(0, end - time.monotonic()))
            for k, s in self.sockets.items():
                if s in ready:
                    data = self.receive(s)
                    if data is not None:
                        got[k].append(data)
        return got

    def expect(self, port, data, want):
        """Sends a frame into PORT and asserts what comes out: {port: [texts of tags]}, e.g. {2: ["10"], 3: [""]}."""
        self.drain(0)
        self.sockets[port].send(data)
        mine = lambda got: {k: [tags_of(f) for f in frames if f[:12] == data[:12]] for k, frames in got.items()  # noqa: E731
                            if any(f[:12] == data[:12] for f in frames)}
        got = self.drain(3, lambda got: mine(got) == want)
        for k, more in self.drain(0.15).items():
            got[k] += more
        assert mine(got) == want


def tags_of(data):
    """"" for none, "10" for VID 10, "p3.0" for a priority, "88a8:100 5" for two."""
    words, at = [], 12
    while struct.unpack_from("!H", data, at)[0] in (0x8100, 0x88a8):
        tpid, tci = struct.unpack_from("!HH", data, at)
        words.append(("88a8:" if tpid == 0x88a8 else "") + (f"p{tci >> 13}." if tci >> 13 else "") + str(tci & 0xfff))
        at += 4
    return " ".join(words)


@pytest.fixture(scope="module")
def hv(cloud_factory):
    cloud = cloud_factory()
    cloud.hypervisors = ["hv1"]
    cloud.underlay_up(["hv1"])
    cloud.switchd_up("hv1")
    cloud.allowed_warnings += ["not supported and without effect", "LACP is not spoken", "no member is up", "mirror", "qinq-ethtype"]
    ns, far = cloud.hv_ns("hv1"), cloud.world.netns("w")
    for where in (ns, far):
        cloud.world.sysctl(where, net__ipv6__conf__default__disable_ipv6=1)
    for k in range(1, 7):
        cloud.world.veth(ns, f"p{k}", far, f"e{k}")
        cloud.world.ip(ns, "link", "set", f"p{k}", "up")
        cloud.world.ip(far, "link", "set", f"e{k}", "up", "promisc", "on")
    cloud.wire = Wire(far)
    yield cloud
    cloud.wire.close()


@pytest.fixture
def br(hv):
    """A function that makes br0 of the given Port settings, {"p1": "tag=10", …}; the bridge goes at the end."""
    def make(**ports):
        args = ["add-br", "br0"]
        for name, settings in ports.items():
            args += ["--", "add-port", "br0", name, "--", "set", "Interface", name, f"ofport_request={name[1:]}"]
            if settings:
                args += ["--", "set", "Port", name, *settings.split()]
        hv.vsctl("hv1", *args)
        return hv.wire.expect

    yield make
    hv.vsctl("hv1", "--if-exists", "del-br", "br0", "--", "--all", "destroy", "Mirror")


def vset(hv, *args):
    hv.vsctl("hv1", "set", *args)


def get(hv, *args):
    return hv.vsctl("hv1", "--if-exists", "get", *args).strip().strip('"')


# ---- VLAN modes

def test_access_trunk_native(hv, br):
    send = br(p1="tag=10", p2="tag=10", p3="tag=20", p4="", p5="tag=10 vlan_mode=native-tagged",
              p6="tag=10 vlan_mode=native-untagged trunks=20")
    def flood(port, *tags_and_want):
        send(port, frame(BROADCAST, mac(port), *tags_and_want[:-1]), tags_and_want[-1])

    flood(1, {2: [""], 4: ["10"], 5: ["10"], 6: [""]})
    flood(1, 10, {})
    flood(3, {4: ["20"], 5: ["20"], 6: ["20"]})
    flood(4, 10, {1: [""], 2: [""], 5: ["10"], 6: [""]})
    flood(4, 30, {5: ["30"]})
    flood(4, {5: [""]})
    flood(5, {1: [""], 2: [""], 4: ["10"], 6: [""]})
    flood(6, {1: [""], 2: [""], 4: ["10"], 5: ["10"]})
    flood(6, 20, {3: [""], 4: ["20"], 5: ["20"]})
    flood(6, 30, {})
    # Learned: unicast goes to one port, in its form, and back nowhere else.
    send(2, frame(mac(1), mac(2)), {1: [""]})
    send(1, frame(mac(4), mac(1)), {4: ["10"]})
    # Other settings, under the same flows.
    vset(hv, "Port", "p1", "tag=20")
    flood(1, {3: [""], 4: ["20"], 5: ["20"], 6: ["20"]})
    vset(hv, "Port", "p4", "trunks=20,30")
    flood(2, {5: ["10"], 6: [""]})
    flood(4, 10, {})


def test_output_of_openflow_knows_no_vlan_settings(hv, br):
    send = br(p1="tag=10", p2="tag=20")
    hv.ofctl("hv1", "add-flow", "br0", "priority=9,in_port=1,actions=output:2")
    send(1, frame(BROADCAST, mac(1)), {2: [""]})
    send(1, frame(BROADCAST, mac(1), 30), {2: ["30"]})


def test_dot1q_tunnel(hv, br):
    send = br(p1="tag=100 vlan_mode=dot1q-tunnel", p2="tag=100 vlan_mode=dot1q-tunnel cvlans=5,0", p3="", p4="tag=100")
    vset(hv, "Open_vSwitch", ".", "other_config:vlan-limit=2")
    send(1, frame(BROADCAST, mac(1), 5), {2: ["5"], 3: ["88a8:100 5"]})
    send(1, frame(BROADCAST, mac(1), 6), {3: ["88a8:100 6"]})
    send(1, frame(BROADCAST, mac(1)), {2: [""], 3: ["88a8:100"], 4: [""]})
    send(2, frame(BROADCAST, mac(2), 6), {})
    send(3, frame(BROADCAST, mac(3), (0x88a8, 100), 5), {1: ["5"], 2: ["5"]})
    vset(hv, "Port", "p1", "other_config:qinq-ethtype=802.1q")
    send(1, frame(BROADCAST, mac(1), 6), {3: ["100 6"]})
    hv.vsctl("hv1", "remove", "Open_vSwitch", ".", "other_config", "vlan-limit")
    send(3, frame(BROADCAST, mac(3), (0x88a8, 100), 6), {1: ["6"], 2: ["6"], 4: ["6"]})


def test_priority_tags(hv, br):
    send = br(p1="", p2="", p3="other_config:priority-tags=if-nonzero", p4="other_config:priority-tags=always", p5="tag=10",
              p6="tag=10")
    send(1, frame(BROADCAST, mac(1), (0x8100, 0xa000)), {2: [""], 3: ["p5.0"], 4: ["p5.0"]})
    send(1, frame(BROADCAST, mac(1), (0x8100, 0)), {2: [""], 3: [""], 4: ["0"]})
    # A priority tag is no VLAN, so an access port takes it, and the trunk shows both.
    send(5, frame(BROADCAST, mac(5), (0x8100, 0x6000)), {6: [""], 1: ["p3.10"], 2: ["p3.10"], 3: ["p3.10"], 4: ["p3.10"]})
    vset(hv, "Port", "p6", "other_config:priority-tags=if-nonzero")
    send(5, frame(BROADCAST, mac(5), (0x8100, 0x6000)), {6: ["p3.0"], 1: ["p3.10"], 2: ["p3.10"], 3: ["p3.10"], 4: ["p3.10"]})


def test_protected_flood_vlans_and_reserved(hv, br):
    send = br(p1="", p2="", p3="")
    send(2, frame(BROADCAST, mac(2)), {1: [""], 3: [""]})
    send(1, frame(mac(2), mac(1)), {2: [""]})
    vset(hv, "Port", "p1", "protected=true", "--", "set", "Port", "p2", "protected=true")
    send(1, frame(mac(2), mac(1)), {})
    send(1, frame(BROADCAST, mac(1)), {3: [""]})
    send(3, frame(mac(2), mac(3)), {2: [""]})
    vset(hv, "Port", "p1", "protected=false")
    send(1, frame(mac(2), mac(1)), {2: [""]})
    vset(hv, "Bridge", "br0", "flood_vlans=0")
    send(1, frame(mac(2), mac(1)), {2: [""], 3: [""]})
    assert mac(1)[-4:] not in hv.appctl("hv1", "fdb/show", "br0").replace(":", "")
    for reserved in ("0180c200000e", "01000ccccccc", "00e02b000004"):
        send(1, frame(reserved, mac(1)), {})
    vset(hv, "Bridge", "br0", "other_config:forward-bpdu=true")
    send(1, frame("0180c200000e", mac(1)), {2: [""], 3: [""]})


# ---- mirrors

def mirror(hv, name, *settings, **ports):
    """MIRROR of br0; PORTS: id of a Port row in a setting, as {"@x": "p1"} without the @."""
    ids = [word for key, port in ports.items() for word in ("--", f"--id=@{key}", "get", "Port", port)]
    hv.vsctl("hv1", *ids[1:], *(["--"] if ids else []), "--id=@m", "create", "Mirror", f"name={name}", *settings, "--", "add",
             "Bridge", "br0", "mirrors", "@m")


def test_mirrors(hv, br):
    send = br(p1="tag=10", p2="tag=10", p3="tag=20", p4="", p5="", p6="")
    send(2, frame(BROADCAST, mac(2)), {1: [""], 4: ["10"], 5: ["10"], 6: ["10"]})
    send(1, frame(mac(2), mac(1)), {2: [""]})
    mirror(hv, "m1", "select_src_port=@a", "output_port=@out", a="p1", out="p5")
    send(1, frame(mac(2), mac(1)), {2: [""], 5: ["10"]})
    send(2, frame(mac(1), mac(2)), {1: [""]})
    # A second one with the same destination makes no second copy; one with another destination does.
    mirror(hv, "m2", "select_dst_port=@a", "output_port=@out", a="p2", out="p5")
    mirror(hv, "m3", "select_all=true", "select_vlan=10", "output_port=@out", "snaplen=40", out="p6")
    send(1, frame(mac(2), mac(1)), {2: [""], 5: ["10"], 6: ["10"]})
    hv.wire.sockets[1].send(frame(mac(2), mac(1)))
    lengths = [len(f) for f in hv.wire.drain(1, lambda got: got[6] and got[2])[6]]
    assert lengths == [40]
    send(3, frame(BROADCAST, mac(3)), {4: ["20"]})
    # The output ports are the mirrors' own.
    send(5, frame(BROADCAST, mac(5), 10), {})
    send(4, frame(BROADCAST, mac(4), 20), {3: [""]})
    assert "mirror" in hv.appctl("hv1", "coverage/show")
    vset(hv, "Open_vSwitch", ".", "other_config:stats-update-interval=1000")
    wait_for("statistics of the mirrors", lambda: get(hv, "Mirror", "m3", "statistics:tx_packets") >= "2", 12)
    assert int(get(hv, "Mirror", "m1", "statistics:tx_packets")) >= 2
    assert int(get(hv, "Mirror", "m3", "statistics:tx_bytes")) == 40 * int(get(hv, "Mirror", "m3", "statistics:tx_packets"))
    hv.vsctl("hv1", "clear", "Bridge", "br0", "mirrors")
    send(1, frame(mac(2), mac(1)), {2: [""]})


def test_mirror_to_a_vlan(hv, br):
    send = br(p1="tag=10", p2="tag=10", p3="tag=99", p4="trunks=99")
    send(2, frame(BROADCAST, mac(2)), {1: [""]})
    mirror(hv, "r", "select_src_port=@a", "output_vlan=99", a="p1")
    send(1, frame(mac(2), mac(1)), {2: [""], 3: [""], 4: ["99"]})
    vset(hv, "Mirror", "r", "output_vlan=98")
    send(1, frame(mac(2), mac(1)), {2: [""]})
