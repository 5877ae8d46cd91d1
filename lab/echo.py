# SPDX-License-Identifier: Apache-2.0
"""Echo requests from inside a network namespace. Not by ping(8): once it has an answer it waits for the others no longer than two
round trips, or INTERVAL, and counts as lost what a busy machine only delays, or what is on its way when it is ended."""
import ctypes
import itertools
import os
import re
import socket
import struct
import time

CLONE_NEWNET = 0x40000000
REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
_libc = ctypes.CDLL(None, use_errno=True)
_idents = itertools.count(os.getpid())


def _enter(namespace):
    if _libc.setns(namespace.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"{namespace.name}: setns")


def socket_in(netns, *kind):
    """A socket that stays in NETNS, unlike the thread that asks for it."""
    with open("/proc/thread-self/ns/net", "rb") as ours, open(f"/run/netns/{netns}", "rb") as theirs:
        _enter(theirs)
        try:
            return socket.socket(*kind)
        finally:
            _enter(ours)


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[:len(data) & ~1])) + (data[-1] << 8 if len(data) & 1 else 0)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def _request(family, ident, number, payload):
    packet = struct.pack("!BBHHH", REQUEST[family], 0, 0, ident, number) + payload
    if family == socket.AF_INET:  # the kernel does it for ICMPv6
        packet = packet[:2] + struct.pack("!H", _checksum(packet)) + packet[4:]
    return packet


def echo(netns, address, count=1, interval=0.05, wait=10.0, size=56):
    """How many of COUNT requests with SIZE bytes are answered with the same; the last has WAIT seconds for that. One goes every INTERVAL
    seconds. Returns as soon as all are answered."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    ident, payload = next(_idents) & 0xffff, bytes(n & 0xff for n in range(size))
    missing, sent = set(range(count)), 0
    with socket_in(netns, family, socket.SOCK_RAW, PROTOCOL[family]) as s:
        start = last = time.monotonic()
        while missing:
            now = time.monotonic()
            if sent < count and now >= start + sent * interval:
                s.sendto(_request(family, ident, sent, payload), (address, 0))
                sent, last = sent + 1, time.monotonic()
                continue
            until = start + sent * interval if sent < count else last + wait
            if now >= until:
                break
            s.settimeout(until - now)
            try:
                got = s.recv(65536)
            except TimeoutError:
                continue
            got = got[(got[0] & 15) * 4 if family == socket.AF_INET else 0:]
            kind, _, _, whose, number = struct.unpack_from("!BBHHH", got)
            if kind == REPLY[family] and whose == ident and got[8:] == payload:
                missing.discard(number)
    return count - len(missing)


def lost_by(log):
    """How many requests of ping(8), as LOG tells, were not answered while a later one was."""
    answered = [int(n) for n in re.findall(r"bytes from .*icmp_seq=(\d+)", log)]
    return sum((after - before - 1) & 0xffff for before, after in zip([0, *answered], answered))
