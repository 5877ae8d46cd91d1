# SPDX-License-Identifier: Apache-2.0
"""`transfer.py serve` echoes what it is sent; `transfer.py ask ADDRESS...` sends by TCP, and by UDP in super-packets that the
kernel or a device must cut, to each and compares what returns (`ask-tcp`, `ask-udp`: by that alone). One line for each that is
wrong. Tests import what has it run in a namespace."""
import os
import pathlib
import selectors
import socket
import sys

ITSELF = ["/usr/bin/python3", "-B", pathlib.Path(__file__)]
PORT, UDP_SEGMENT = 7777, 103
SEGMENT, SEGMENTS = 1000, 20
TCP_SIZE = 400000
PATIENCE = 30  # seconds without a byte: other work may keep the processor


def serve_in(world, tag, netns):
    """Until the process TAG is ended."""
    world.spawn(tag, [*ITSELF, "serve"], netns=netns, ready="ready")


def ask_from(world, netns, how, *addresses, timeout=300):
    """HOW: "ask", "ask-tcp" or "ask-udp". What was wrong, "" if nothing."""
    done = world.sh(netns, *ITSELF, how, *addresses, check=False, timeout=timeout)
    return done.stdout + done.stderr if done.returncode or done.stdout else ""


def serve():
    listener = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", PORT))
    ready = selectors.DefaultSelector()
    for s in (listener, udp):
        ready.register(s, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in ready.select():
            if key.fileobj is udp:
                data, address = udp.recvfrom(65536)
                udp.sendto(data, address)
                continue
            connection, _ = listener.accept()
            with connection:
                received = bytearray()
                while data := connection.recv(1 << 18):
                    received += data
                connection.sendall(received)


def ask_tcp(address, size=TCP_SIZE):
    sent, got = os.urandom(size), bytearray()
    with socket.create_connection((address, PORT), timeout=PATIENCE) as s:
        s.sendall(sent)
        s.shutdown(socket.SHUT_WR)
        while data := s.recv(1 << 18):
            got += data
    return "" if got == sent else f"{len(got)} of {size} bytes" if len(got) != size else "other bytes"


def ask_udp(address):
    sent = [os.urandom(SEGMENT) for _ in range(SEGMENTS)]
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        s.connect((address, PORT))
        s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT)
        s.send(b"".join(sent))
        got = []
        try:
            while len(got) < SEGMENTS:
                got.append(s.recv(65536))
        except TimeoutError:
            return f"{len(got)} of {SEGMENTS} datagrams"
    return "" if sorted(got) == sorted(sent) else "other datagrams"


def ask(addresses, protocols=("tcp", "udp")):
    for address in addresses:
        for name in protocols:
            try:
                wrong = {"tcp": ask_tcp, "udp": ask_udp}[name](address)
            except OSError as error:
                wrong = str(error)
            if wrong:
                print(f"{name} {address}: {wrong}")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        ask(sys.argv[2:], sys.argv[1].split("-")[1:] or ("tcp", "udp"))
