# SPDX-License-Identifier: Apache-2.0
"""`super_stream.py FROM_NS FROM_TAP TO_NS TO KIND...`: writes super-packets into one tap, each KIND (taps.py) in turn, and counts
what arrives at another: TO is a tap, or `-`: a UDP socket of that namespace, which gets the segments. Says `ready` when each kind
has arrived whole once; from then on writes one every few milliseconds until SIGINT. Prints a JSON object: by kind [how many were
sent, arrived whole, how many other packets arrived]."""
import json
import os
import select
import signal
import socket
import sys
import time

from taps import FROM, MSS, PATIENCE, PAYLOAD, PORT, SEGMENTS, TO, announce, enter, open_tap, super_packet

SO_RCVBUFFORCE = 33
EVERY, LAST = 0.004, 0.5  # seconds
LATEST = 5  # seconds that what is missing is waited for after that


class Tap:
    def __init__(self, ns, name):
        self.fd = open_tap(ns, name)
        os.set_blocking(self.fd, False)
        announce(self.fd)

    def read(self):
        """Counts what is there: by kind [whole, other]."""
        seen = {}
        while True:
            try:
                data = os.read(self.fd, 70000)
            except BlockingIOError:
                return seen
            frame = data[10:]
            if frame[:12] != TO + FROM or frame[14] >> 4 not in (4, 6):
                continue
            version = frame[14] >> 4
            proto = frame[23 if version == 4 else 20]
            size = len(frame) - (34 if version == 4 else 54) - (20 if proto == 6 else 8)
            seen.setdefault(f"{'tcp' if proto == 6 else 'udp'}{version}", [0, 0])[size != len(PAYLOAD)] += 1


class Socket:
    """What arrives is whole if all of its segments do."""

    def __init__(self, ns):
        enter(ns)
        self.fd = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.fd.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self.fd.bind(("::", PORT))
        self.fd.setblocking(False)
        self.segments = {}

    def read(self):
        seen = {}
        while True:
            try:
                data, address = self.fd.recvfrom(70000)
            except BlockingIOError:
                return seen
            kind = "udp4" if address[0].startswith("::ffff:") else "udp6"
            counted = seen.setdefault(kind, [0, 0])
            if len(data) != MSS:
                counted[1] += 1
                continue
            self.segments[kind] = self.segments.get(kind, 0) + 1
            if self.segments[kind] == SEGMENTS:
                self.segments[kind] = 0
                counted[0] += 1


class Stream:
    def __init__(self, source, target, kinds):
        self.source, self.target = source, target
        self.packets = {kind: super_packet(kind) for kind in kinds}
        self.counts = {kind: [0, 0, 0] for kind in kinds}
        self.stopped = False

    def stop(self, *_):
        self.stopped = True

    def hear(self, seconds):
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.target.fd], [], [], left)[0]:
                return
            for kind, (whole, other) in self.target.read().items():
                if kind in self.counts:
                    self.counts[kind][1] += whole
                    self.counts[kind][2] += other

    def warm_up(self):
        for kind, packet in self.packets.items():
            while not self.counts[kind][1] and not self.stopped:
                os.write(self.source, packet)
                self.hear(0.3 * PATIENCE)
        self.hear(LAST * PATIENCE)
        self.counts = {kind: [0, 0, 0] for kind in self.packets}
        if isinstance(self.target, Socket):
            self.target.segments = {}

    def run(self):
        while not self.stopped:
            for kind, packet in self.packets.items():
                os.write(self.source, packet)
                self.counts[kind][0] += 1
                self.hear(EVERY * PATIENCE)
        self.hear(LAST * PATIENCE)
        end = time.monotonic() + LATEST * PATIENCE
        while any(whole < sent for sent, whole, _ in self.counts.values()) and time.monotonic() < end:
            self.hear(0.1)


def main(from_ns, from_tap, to_ns, to, *kinds):
    target = Socket(to_ns) if to == "-" else Tap(to_ns, to)
    stream = Stream(open_tap(from_ns, from_tap), target, kinds)
    signal.signal(signal.SIGINT, stream.stop)
    stream.warm_up()
    print("ready", flush=True)
    stream.run()
    print(json.dumps(stream.counts), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
