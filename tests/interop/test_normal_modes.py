# SPDX-License-Identifier: Apache-2.0
"""NORMAL with real traffic, configured by Debian's ovs-vsctl on one switch: VLAN modes, mirrors, snooping, bonds."""
import errno
import re
import select
import socket
import struct
import time

import pytest
from echo import socket_in
from world import wait_for

PORTS = [f"p{k}" for k in range(1, 7)]
SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 0x10
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
        self.sockets = {k: socket_in(namespace, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) for k in range(1, 7)}
        for k, s in self.sockets.items():
            s.bind((f"e{k}", 3))
            s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            s.setblocking(False)

    def close(self):
        for s in self.sockets.values():
            s.close()

    @staticmethod
    def receive(s):
        """One frame as it was on the wire, or None for what this host sent, or when the link went down."""
        try:
            data, aux, _, (_, _, kind, _, _) = s.recvmsg(65536, 512)
        except OSError as error:
            if error.errno != errno.ENETDOWN:
                raise
            return None
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
        same = lambda f: f[:12] == data[:12] and f[-20:] in data  # noqa: E731
        mine = lambda got: {k: [tags_of(f) for f in frames if same(f)] for k, frames in got.items() if any(map(same, frames))}  # noqa: E731
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
def hv(cloud_factory, datapath):
    cloud = cloud_factory(datapath=datapath)
    cloud.switches_up("hv1")
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
        hv.appctl("hv1", "revalidator/wait")
        return hv.wire.expect

    yield make
    hv.vsctl("hv1", "--if-exists", "del-br", "br0", "--", "--all", "destroy", "Mirror")


def vset(hv, *args):
    hv.vsctl("hv1", "set", *args)
    hv.appctl("hv1", "revalidator/wait")  # megaflows follow a change soon, not at once


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
    flood(4, {})  # VLAN 0
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


def test_forgets_under_traffic(hv, br):
    """What was learned of a port goes with its VLAN and with its link, also while it speaks."""
    send = br(p1="tag=10", p2="tag=10", p3="tag=10", p4="tag=20")
    far, wire = f"{hv.world.name}-w", hv.wire

    def speak(change):  # p1's host does before, meanwhile and after
        for _ in range(40):
            wire.sockets[1].send(frame(mac(2), mac(1)))
            time.sleep(0.001)
        change()

    send(1, frame(BROADCAST, mac(1)), {2: [""], 3: [""]})
    send(2, frame(mac(1), mac(2)), {1: [""]})
    speak(lambda: vset(hv, "Port", "p1", "tag=20"))
    send(2, frame(mac(1), mac(2)), {3: [""]})
    speak(lambda: vset(hv, "Port", "p1", "tag=10"))
    send(4, frame(mac(1), mac(4)), {})
    send(1, frame(BROADCAST, mac(1)), {2: [""], 3: [""]})
    wait_for("p1's host to be known again", lambda: re.search(r"1 +10 +02:00:00:00:00:01", hv.appctl("hv1", "fdb/show", "br0")))
    hv.appctl("hv1", "revalidator/wait")
    send(2, frame(mac(1), mac(2)), {1: [""]})
    speak(lambda: hv.world.ip(far, "link", "set", "e1", "down"))
    try:
        wait_for("p1's link to be down", lambda: get(hv, "Interface", "p1", "link_state") == "down")
        hv.appctl("hv1", "revalidator/wait")
        send(2, frame(mac(1), mac(2)), {3: [""]})
    finally:
        hv.world.ip(far, "link", "set", "e1", "up")
        wait_for("p1's link to be up", lambda: get(hv, "Interface", "p1", "link_state") == "up")


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


# ---- multicast snooping

def ones_sum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_frame(src, source, group, proto, payload, *tags):
    """An IPv4 multicast frame, with its group's MAC."""
    g = socket.inet_aton(group)
    head = bytearray(struct.pack("!BBHHHBBH4s4s", 0x46, 0, 24 + len(payload), 0, 0, 1, proto, 0, socket.inet_aton(source), g)
                     + b"\x94\x04\0\0")  # router alert
    struct.pack_into("!H", head, 10, ones_sum(bytes(head)))
    dst = "01005e" + f"{g[1] & 0x7f:02x}{g[2]:02x}{g[3]:02x}"
    return frame(dst, src, *tags, ethertype=0x0800, payload=bytes(head) + payload + b"\0" * 20)


def igmp(src, kind, group, source="10.0.0.1"):
    body = bytearray(struct.pack("!BBH4s", kind, 0, 0, socket.inet_aton(group)))
    if kind == 0x22:  # version 3: one record, to exclude nobody
        body = bytearray(struct.pack("!BBHHHBBH4s", 0x22, 0, 0, 0, 1, 4, 0, 0, socket.inet_aton(group)))
    struct.pack_into("!H", body, 2, ones_sum(bytes(body)))
    to = {0x11: "224.0.0.1", 0x22: "224.0.0.22"}.get(kind, group)
    return ip_frame(src, source, to, 2, bytes(body))


def data(src, group):
    return ip_frame(src, "10.0.0.9", group, 17, b"\x10\0\x20\0\0\x0c\0\0warr")


def test_multicast_snooping(hv, br):
    send = br(p1="", p2="", p3="", p4="", p5="tag=7", p6="tag=7")
    send(1, data(mac(1), "239.1.1.1"), {2: [""], 3: [""], 4: [""]})
    vset(hv, "Bridge", "br0", "mcast_snooping_enable=true")
    send(2, igmp(mac(2), 0x16, "239.1.1.1"), {})
    send(1, data(mac(1), "239.1.1.1"), {2: [""]})
    send(1, data(mac(1), "239.1.1.2"), {2: [""], 3: [""], 4: [""]})
    send(4, igmp(mac(4), 0x11, "0.0.0.0"), {1: [""], 2: [""], 3: [""]})
    send(3, igmp(mac(3), 0x22, "239.1.1.1"), {4: [""]})
    send(1, data(mac(1), "239.1.1.1"), {2: [""], 3: [""], 4: [""]})
    send(2, igmp(mac(2), 0x17, "239.1.1.1"), {4: [""]})
    send(1, data(mac(1), "239.1.1.1"), {3: [""], 4: [""]})
    table = [line.split()[:3] for line in hv.appctl("hv1", "mdb/show", "br0").splitlines()[1:]]
    assert sorted(table) == [["3", "0", "239.1.1.1"], ["4", "0", "querier"]]
    # Another VLAN is another world.
    send(5, data(mac(5), "239.1.1.1"), {6: [""], 1: ["7"], 2: ["7"], 3: ["7"], 4: ["7"]})
    vset(hv, "Bridge", "br0", "other_config:mcast-snooping-disable-flood-unregistered=true")
    send(1, data(mac(1), "239.1.1.2"), {4: [""]})
    send(1, data(mac(1), "224.0.0.5"), {2: [""], 3: [""], 4: [""]})
    vset(hv, "Port", "p2", "other_config:mcast-snooping-flood=True", "other_config:mcast-snooping-flood-reports=True")
    send(1, data(mac(1), "239.1.1.2"), {2: [""], 4: [""]})
    send(3, igmp(mac(3), 0x12, "239.1.1.9"), {2: [""], 4: [""]})
    # The port of the only member dies.
    hv.world.ip(hv.hv_ns("hv1"), "link", "set", "p3", "down")
    wait_for("the group without p3", lambda: get(hv, "Interface", "p3", "admin_state") == "down", 5)
    send(1, data(mac(1), "239.1.1.1"), {2: [""], 4: [""]})
    hv.world.ip(hv.hv_ns("hv1"), "link", "set", "p3", "up")
    vset(hv, "Bridge", "br0", "mcast_snooping_enable=false")
    send(2, data(mac(2), "239.1.1.1"), {1: [""], 3: [""], 4: [""]})


# ---- bonds

def bond(hv, *settings):
    hv.vsctl("hv1", "add-bond", "br0", "bond0", "p3", "p4", *settings, "--", "set", "Interface", "p3", "ofport_request=3", "--",
             "set", "Interface", "p4", "ofport_request=4")


def active(hv):
    """The member whose MAC stands in bond_active_slave."""
    address = get(hv, "Port", "bond0", "bond_active_slave")
    return next((p for p in ("p3", "p4") if get(hv, "Interface", p, "mac_in_use") == address), None)


def test_active_backup(hv, br):
    send = br(p1="tag=10", p2="tag=10")
    bond(hv, "bond_mode=active-backup", "other_config:bond-primary=p3")
    assert active(hv) == "p3"
    send(1, frame(BROADCAST, mac(1)), {2: [""], 3: ["10"]})
    send(4, frame(BROADCAST, mac(1), 10), {})  # its reflection
    send(3, frame(mac(1), mac(3), 10), {1: [""]})
    send(1, frame(mac(3), mac(1)), {3: ["10"]})
    hv.wire.drain(0)
    hv.world.ip(f"{hv.world.name}-w", "link", "set", "e3", "down")
    announced = hv.wire.drain(3, lambda got: any(f[16:18] == b"\x80\x35" for f in got[4]))[4]
    assert [tags_of(f) for f in announced if f[16:18] == b"\x80\x35" and f[6:12].hex() == mac(1)] == ["10"]
    wait_for("p4 as the active member", lambda: active(hv) == "p4", 5)
    send(1, frame(mac(3), mac(1)), {4: ["10"]})
    send(4, frame(mac(1), mac(3), 10), {1: [""]})
    hv.world.ip(f"{hv.world.name}-w", "link", "set", "e3", "up")
    wait_for("the primary again", lambda: active(hv) == "p3", 5)
    send(1, frame(mac(3), mac(1)), {3: ["10"]})
    vset(hv, "Port", "bond0", "tag=10")
    send(1, frame(BROADCAST, mac(1)), {2: [""], 3: [""]})
    # A delay is a delay, and ends.
    vset(hv, "Port", "bond0", "bond_downdelay=700", "other_config:bond-primary=p4")
    wait_for("the new primary", lambda: active(hv) == "p4", 5)
    start = time.monotonic()
    hv.world.ip(f"{hv.world.name}-w", "link", "set", "e4", "down")
    wait_for("p3 as the active member", lambda: active(hv) == "p3", 5)
    assert time.monotonic() - start >= 0.7
    hv.world.ip(f"{hv.world.name}-w", "link", "set", "e4", "up")


def test_balance_slb(hv, br):
    send = br(p1="", p2="")
    bond(hv, "bond_mode=balance-slb")
    out = {}
    for host in range(0x20, 0x40):
        by = lambda got: [k for k in (3, 4) for f in got[k] if f[6:12].hex() == mac(host)]  # noqa: B023,E731
        hv.wire.drain(0)
        hv.wire.sockets[1].send(frame(BROADCAST, mac(host)))
        out[host] = by(hv.wire.drain(3, by)) + by(hv.wire.drain(0.02))
    assert all(len(members) == 1 for members in out.values()), out
    assert {members[0] for members in out.values()} == {3, 4}
    on3 = next(host for host, members in out.items() if members == [3])
    send(1, frame(BROADCAST, mac(on3)), {2: [""], 3: [""]})
    # What comes back from the switch upstream by the other member, and does not move the host.
    send(4, frame(BROADCAST, mac(on3)), {})
    send(3, frame(mac(2), mac(on3)), {})
    send(2, frame(mac(on3), mac(2)), {1: [""]})
    hv.world.ip(f"{hv.world.name}-w", "link", "set", "e3", "down")
    wait_for("p4 alone", lambda: get(hv, "Interface", "p3", "link_state") == "down" and active(hv) == "p4", 5)
    send(1, frame(BROADCAST, mac(on3)), {2: [""], 4: [""]})
    hv.world.ip(f"{hv.world.name}-w", "link", "set", "e3", "up")


def test_what_is_lacking_is_said(hv, br):
    br(p1="", p2="")
    bond(hv, "bond_mode=balance-tcp", "lacp=active")
    for p in ("p3", "p4"):
        assert get(hv, "Interface", p, "ofport") == "-1"
        assert "LACP" in get(hv, "Interface", p, "error")
    assert "lacp" in get(hv, "Port", "bond0", "status:unsupported")
    vset(hv, "Port", "bond0", "other_config:lacp-fallback-ab=true")
    assert get(hv, "Interface", "p3", "ofport") == "3"
    assert active(hv) in ("p3", "p4")
    vset(hv, "Bridge", "br0", "rstp_enable=true", "stp_enable=true")
    assert get(hv, "Bridge", "br0", "status:unsupported") == "stp_enable rstp_enable"
    vset(hv, "Port", "p1", "lacp=passive")
    assert get(hv, "Port", "p1", "status:unsupported") == "lacp"
    vset(hv, "Port", "p1", "lacp=off")
    assert hv.vsctl("hv1", "get", "Port", "p1", "status").strip() == "{}"
    hv.vsctl("hv1", "del-port", "br0", "bond0")
