# SPDX-License-Identifier: Apache-2.0
"""`udp_streams.py RATE FLOWS FROM_NS,TO_NS,ADDRESS...`: sends RATE datagrams a second from one namespace to another, by FLOWS
source ports in turn, in each of these pairs. Says `ready` when something arrived of each flow, and counts from then on until
SIGINT, or until LEAST were sent. Prints a JSON object: by pair how many were `sent`; those that were `lost` as [[first's second,
last's second, how many], ...]; how many came `twice` or `late` (behind a later one of their flow); how many the receiver's own
buffer dropped (`overflown`); and the longest `pause` of a flow in seconds (a busy machine does not let this process run)."""
import json
import os
import signal
import socket
import struct
import sys
import time

from taps import enter

PATIENCE = float(os.environ.get("WARREN_PATIENCE", "1"))
PORT, PAYLOAD = 5005, bytes(100)
SO_RCVBUFFORCE, SO_RXQ_OVFL = 33, 40
BUFFER = 1 << 26  # for what comes while this process does not run
TURN, BURST = 0.001, 100  # seconds between two bursts, and how many there are in one at most
LATEST = 5  # seconds that what is missing is waited for
LEAST = 100  # are sent, on a busy machine in more time


class Pair:
    def __init__(self, name, flows):
        self.name = name
        source, target, address = name.split(",")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        enter(target)
        self.target = socket.socket(family, socket.SOCK_DGRAM)
        self.target.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self.target.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        self.target.bind((address, PORT))
        self.target.setblocking(False)
        enter(source)
        self.sources = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(flows)]
        for source in self.sources:
            source.connect((address, PORT))
        self.reset()

    def reset(self):
        self.times = [[] for _ in self.sources]  # by flow, of each datagram
        self.seen = [bytearray() for _ in self.sources]
        self.newest = [-1] * len(self.sources)
        self.late = self.overflown = self.sent = 0

    def send(self, n):
        for _ in range(n):
            flow = self.sent % len(self.sources)
            times = self.times[flow]
            self.sources[flow].send(struct.pack("!II", flow, len(times)) + PAYLOAD)
            times.append(time.monotonic())
            self.seen[flow].append(0)
            self.sent += 1

    def hear(self):
        while True:
            try:
                data, control, _, _ = self.target.recvmsg(200, 64)
            except BlockingIOError:
                return
            for level, kind, value in control:
                if level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                    self.overflown = struct.unpack("I", value)[0]
            flow, number = struct.unpack_from("!II", data)
            if number >= len(self.seen[flow]):
                continue  # of before reset()
            self.seen[flow][number] = min(self.seen[flow][number] + 1, 255)
            self.late += number < self.newest[flow]
            self.newest[flow] = max(self.newest[flow], number)

    def all_heard(self):
        return all(any(seen) for seen in self.seen)

    def nothing_is_missing(self):
        return all(all(seen) for seen in self.seen)

    def report(self, start):
        lost, twice, pause = [], 0, 0
        for times, seen in zip(self.times, self.seen):
            pause = max([pause, *(after - before for before, after in zip(times, times[1:]))])
            at = 0
            while at < len(seen):
                end = at
                while end < len(seen) and not seen[end]:
                    end += 1
                if end > at:
                    lost.append([round(times[at] - start, 4), round(times[end - 1] - start, 4), end - at])
                at = max(end, at + 1)
            twice += sum(n - 1 for n in seen if n > 1)
        return {"sent": self.sent, "lost": lost, "twice": twice, "late": self.late, "overflown": self.overflown,
                "pause": round(pause, 3)}


def hear_for(pairs, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for pair in pairs:
            pair.hear()
        time.sleep(0.01)


def main(rate, flows, *names):
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])  # one processor's queues keep the order
    stopped = []
    pairs = [Pair(name, int(flows)) for name in names]
    signal.signal(signal.SIGINT, lambda *_: stopped.append(True))
    while not stopped and not all(pair.all_heard() for pair in pairs):
        for pair in pairs:
            pair.send(len(pair.sources))
        hear_for(pairs, 0.2 * PATIENCE)
    hear_for(pairs, 0.3 * PATIENCE)
    for pair in pairs:
        pair.reset()
    print("ready", flush=True)
    start = time.monotonic()
    while not stopped or pairs[-1].sent < LEAST:
        due = int((time.monotonic() - start) * float(rate) / PATIENCE)
        for pair in pairs:
            pair.send(min(due - pair.sent, BURST))
            pair.hear()
        time.sleep(TURN)
    hear_for(pairs, 0.5 * PATIENCE)
    end = time.monotonic() + LATEST * PATIENCE
    while not all(pair.nothing_is_missing() for pair in pairs) and time.monotonic() < end:
        hear_for(pairs, 0.1)
    print(json.dumps({pair.name: pair.report(start) for pair in pairs}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
