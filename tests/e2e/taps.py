# SPDX-License-Identifier: Apache-2.0
"""`taps.py FROM TO... KIND[@VLAN[.VLAN]]...`: sends a super-packet of each KIND, in that VLAN, from one VM, and reads what
arrives at others. FROM and TO are tap:NAMESPACE:NAME, a VM behind that tap (of the hypervisor's), or veth:NAMESPACE:NAME, a VM's own
device. Prints a JSON object: by TO and kind a list of what was read until all of the payload was there, or nothing came any more:
[virtio's gso_type, gso_size (null, null from a veth), bytes of payload, VLAN or null (two: a list of them)], or a text of what was
wrong."""
import ctypes
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

TUNSETIFF, TUNSETOFFLOAD = 0x400454ca, 0x400454d0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 2, 0x1000, 0x4000
CSUM, TSO4, TSO6, USO4, USO6 = 1, 2, 4, 0x20, 0x40
ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, UDP_SEGMENT = 3, 263, 8, 103
TP_STATUS_CSUMNOTREADY, TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 8, 0x10, 0x40
NEEDS_CSUM, TCPV4, TCPV6, UDP_L4 = 1, 1, 4, 5
MSS, SEGMENTS, PORT, PATIENCE = 1000, 20, 5004, float(os.environ.get("WARREN_PATIENCE", "1"))
ENDS = {4: (bytes([10, 9, 0, 1]), bytes([10, 9, 0, 2])), 6: (bytes(14) + b"\xfd\x01", bytes(14) + b"\xfd\x02")}
FROM, TO = bytes.fromhex("0200000000a1"), bytes.fromhex("0200000000a2")
ANNOUNCEMENT = FROM + TO + b"\x88\xb5" + bytes(46)
PAYLOAD = bytes(range(250)) * (MSS * SEGMENTS // 250)


def enter(ns):
    with open(f"/run/netns/{ns}", "rb") as netns:
        if ctypes.CDLL(None).setns(netns.fileno(), 0):
            raise OSError(f"namespace {ns}")


def open_tap(ns, name):
    enter(ns)
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    try:
        fcntl.ioctl(fd, TUNSETOFFLOAD, CSUM | TSO4 | TSO6 | USO4 | USO6)
    except OSError:  # Linux before 6.2
        fcntl.ioctl(fd, TUNSETOFFLOAD, CSUM | TSO4 | TSO6)
    wait_up(name)
    return fd


def add_up(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def split(kind):
    """(whether it is TCP, IP version, VLANs)."""
    kind, _, vlans = kind.partition("@")
    return kind.startswith("tcp"), int(kind[-1]), [int(vlan) for vlan in vlans.split(".") if vlan]


def super_packet(kind):
    """tcp4, tcp6, udp4 or udp6, with virtio's header."""
    tcp, version, vlans = split(kind)
    tags = b"".join(struct.pack("!HH", 0x8100, vlan) for vlan in vlans)
    source, target = ENDS[version]
    proto, l4_len = (6, 20) if tcp else (17, 8)
    length = l4_len + len(PAYLOAD)
    partial = add_up(source + target + struct.pack("!HH", proto, length))
    l4 = (struct.pack("!HHIIBBHHH", PORT, PORT, 1, 1, 0x50, 0x10, 0xffff, partial, 0) if tcp else
          struct.pack("!HHHH", PORT, PORT, length, partial))
    if version == 4:
        l3 = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, proto, 0) + source + target
        l3 = l3[:10] + struct.pack("!H", ~add_up(l3) & 0xffff) + l3[12:]
    else:
        l3 = struct.pack("!IHBB", 6 << 28, length, proto, 64) + source + target
    gso = UDP_L4 if not tcp else TCPV4 if version == 4 else TCPV6
    start = 14 + len(tags) + len(l3)
    vnet = struct.pack("<BBHHHH", NEEDS_CSUM, gso, start + l4_len, MSS, start, 16 if tcp else 6)
    return vnet + TO + FROM + tags + struct.pack("!H", 0x0800 if version == 4 else 0x86dd) + l3 + l4 + PAYLOAD


def is_whole(frame, version, proto):
    """The packet's length and checksums are right."""
    ip = frame[14:]
    length = struct.unpack("!H", ip[2:4] if version == 4 else ip[4:6])[0] + (0 if version == 4 else 40)
    l4 = ip[20 if version == 4 else 40:]
    pseudo = struct.pack("!HH", proto, len(l4)) + (ip[12:20] if version == 4 else ip[8:40])
    return length == len(ip) and add_up(pseudo + l4) == 0xffff and (version == 6 or add_up(ip[:20]) == 0xffff)


def wait_up(name):
    """What is sent to a tap that was just opened is dropped until the kernel's linkwatch has been there."""
    end = time.monotonic() + 5 * PATIENCE
    while json.loads(subprocess.run(["ip", "-j", "link", "show", name], stdout=subprocess.PIPE, check=True).stdout)[0]["operstate"] != "UP":
        if time.monotonic() > end:
            raise OSError(f"{name} does not come up")
        time.sleep(0.005)


def announce(fd):
    """From where it is read, so that the switches know who is where."""
    os.write(fd, bytes(10) + ANNOUNCEMENT)


class Tap:
    """A VM behind a tap, as its virtio device."""

    def __init__(self, ns, name):
        self.fd = open_tap(ns, name)

    def fileno(self):
        return self.fd

    def announce(self):
        announce(self.fd)

    def send(self, kind):
        os.write(self.fd, super_packet(kind))

    def receive(self):
        """The next frame; virtio's gso_type and gso_size; where a checksum is left to a device, None: it is there."""
        data = os.read(self.fd, 70000)
        flags, gso, _, size, start, _ = struct.unpack("<BBHHHH", data[:10])
        return data[10:], gso, size, start if flags & NEEDS_CSUM else None


class Veth:
    """A VM's own device, behind a veth. It sends by sockets: those of packets know no super-packets of UDP before Linux 6.2, as
    little as taps do, and so they read without virtio's header."""

    def __init__(self, ns, name):
        enter(ns)
        self.ns, self.name = ns, name
        self.packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.packets.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.packets.bind((name, ETH_P_ALL))

    def fileno(self):
        return self.packets.fileno()

    def announce(self):
        self.packets.send(ANNOUNCEMENT)

    def send(self, kind):
        """By the device of the VLANs, which has the kind's address (add_sender() in super_packets.py)."""
        tcp, version, vlans = split(kind)
        if tcp:
            raise ValueError(f"{kind}: a socket sends such a thing only in a connection")
        enter(self.ns)
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, ".".join(map(str, (self.name, *vlans))).encode())
            s.bind(("", PORT))
            s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, MSS)
            s.sendto(PAYLOAD, (socket.inet_ntop(family, ENDS[version][1]), PORT))

    def receive(self):
        """As Tap.receive(), but nobody knows the type, the segments' size and where the checksum begins."""
        frame, control, _, address = self.packets.recvmsg(70000, 100)
        status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", control[0][2])
        if address[2] == socket.PACKET_OUTGOING:
            frame = b""
        elif status & TP_STATUS_VLAN_VALID:
            frame = frame[:12] + struct.pack("!HH", tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100, tci) + frame[12:]
        return frame, None, None, 0 if status & TP_STATUS_CSUMNOTREADY else None


def judge(kind, frame, gso, size, csum_start):
    """[gso_type, gso_size, bytes, VLAN] of a received packet of KIND, None: it is not, a text of what is wrong with it."""
    tcp, version, _ = split(kind)
    vlans = []
    while frame[12:14] == b"\x81\x00":
        vlans.append(struct.unpack("!H", frame[14:16])[0])
        frame = frame[:12] + frame[16:]
    if frame[:12] != TO + FROM or frame[14] >> 4 != version or frame[23 if version == 4 else 20] != (6 if tcp else 17):
        return None
    l4 = 34 if version == 4 else 54
    if csum_start and csum_start != l4 + 4 * len(vlans):
        return f"the checksum is said to begin at {csum_start}"
    if csum_start is None and not is_whole(frame, version, 6 if tcp else 17):
        return "a length or checksum is wrong"
    payload = frame[l4 + (20 if tcp else 8):]
    if len(payload) % 250 or payload != PAYLOAD[:len(payload)]:
        return f"{len(payload)} other bytes"
    return [gso, size, len(payload), vlans if len(vlans) > 1 else vlans[0] if vlans else None]


def pass_on(source, targets, kind):
    """What each of TARGETS, {name: end}, reads."""
    seen, waiting = {name: [] for name in targets}, dict(targets)
    source.send(kind)
    while waiting and (ready := select.select(waiting.values(), [], [], 0.5 * PATIENCE)[0]):
        for name in [name for name, end in waiting.items() if end in ready]:
            read = judge(kind, *waiting[name].receive())
            if read:
                seen[name] = read if isinstance(read, str) else [*seen[name], read]
            if isinstance(seen[name], str) or sum(read[2] for read in seen[name]) >= len(PAYLOAD):
                del waiting[name]
    return seen


def open_end(text):
    kind, ns, name = text.split(":")
    return {"tap": Tap, "veth": Veth}[kind](ns, name)


def main(source, *words):
    targets = {word: open_end(word) for word in words if ":" in word}
    source = open_end(source)
    for target in targets.values():
        target.announce()
    seen = {kind: pass_on(source, targets, kind) for kind in words if ":" not in kind}
    print(json.dumps({target: {kind: seen[kind][target] for kind in seen} for target in targets}))


if __name__ == "__main__":
    main(*sys.argv[1:])
