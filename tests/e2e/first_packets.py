# SPDX-License-Identifier: Apache-2.0
"""`first_packets.py RATE FROM_NS,TO_NS,FROM,TO...`: sends RATE datagrams a second from one namespace and IPv4 address to another, each
from a source port that was not used before: the first packet of a flow, if flows are told apart by it. Says `ready` when something
arrived in each pair, and goes on until SIGINT. Prints a JSON object: by pair how many were `sent`; those that were `lost` as [[first's
second, last's second, how many], ...]; those that arrived more than LATE seconds after they were sent, as [[first's second, last's
second, how many, seconds of the latest], ...] (`late`); how many came `twice`; and the longest `pause` of the sender, which a busy
machine does not let run. With seconds is meant monotonic time, which all processes share."""
import json
import os
import signal
import socket
import struct
import sys
import time

from taps import enter

PORT = 20000 + os.getpid() % 10000  # so flows are new ones also to a switch that saw this before, if it looks at both ports
FIRST_SOURCE, SOURCES = 1024, 64000
LATE = 0.05
TURN, BURST = 0.001, 2  # seconds between two bursts, and how many there are in one at most
SO_RCVBUFFORCE, BUFFER = 33, 1 << 24


def runs(numbers):
    """[first, last] of each run of NUMBERS, which are sorted."""
    found = []
    for n in numbers:
        if found and found[-1][1] == n - 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return found


class Pair:
    def __init__(self, name):
        self.name = name
        source, target, self.own, self.address = name.split(",")
        enter(target)
        self.target = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.target.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self.target.bind((self.address, PORT))
        self.target.setblocking(False)
        enter(source)
        self.source = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        self.source.bind((self.own, 0))
        self.source.connect((self.address, 0))
        self.base, self.times, self.heard, self.twice = 0, [], {}, 0

    def reset(self):
        self.base, self.times, self.heard, self.twice = self.base + len(self.times), [], {}, 0

    def send(self, n):
        for _ in range(n):
            number = self.base + len(self.times)
            if number >= SOURCES:
                raise SystemExit("no source port is left that was not used")
            self.source.send(struct.pack("!HHHHI", FIRST_SOURCE + number, PORT, 12, 0, number))
            self.times.append(time.monotonic())

    def hear(self):
        while True:
            try:
                data = self.target.recv(200)
            except BlockingIOError:
                return
            number = struct.unpack_from("!I", data)[0] - self.base
            self.twice += number in self.heard
            if number >= 0:
                self.heard.setdefault(number, time.monotonic())

    def report(self):
        lost = [n for n in range(len(self.times)) if n not in self.heard]
        late = {n: self.heard[n] - self.times[n] for n in sorted(self.heard) if self.heard[n] - self.times[n] > LATE}

        def span(first, last):
            return [round(self.times[first], 3), round(self.times[last], 3), last - first + 1]
        return {"sent": len(self.times), "lost": [span(*run) for run in runs(lost)],
                "late": [[*span(*run), round(max(late[n] for n in range(run[0], run[1] + 1)), 3)] for run in runs(late)],
                "twice": self.twice, "pause": round(max(b - a for a, b in zip(self.times, self.times[1:])), 3)}


def main(rate, *names):
    stopped = []
    signal.signal(signal.SIGINT, lambda *_: stopped.append(True))
    pairs = [Pair(name) for name in names]
    while not stopped and not all(pair.heard for pair in pairs):
        for pair in pairs:
            pair.send(1)
        time.sleep(0.1)
        for pair in pairs:
            pair.hear()
    for pair in pairs:
        pair.reset()
    print("ready", flush=True)
    start = time.monotonic()
    while not stopped or len(pairs[-1].times) < 2:
        due = int((time.monotonic() - start) * float(rate))
        for pair in pairs:
            pair.send(min(due - len(pair.times), BURST))
            pair.hear()
        time.sleep(TURN)
    end = time.monotonic() + float(os.environ.get("WARREN_PATIENCE", "1"))
    while time.monotonic() < end:
        for pair in pairs:
            pair.hear()
        time.sleep(TURN)
    print(json.dumps({pair.name: pair.report() for pair in pairs}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
