# SPDX-License-Identifier: Apache-2.0
"""`tun_pair.py NETNS NAME NETNS NAME`: two TUN devices, which have no Ethernet headers; what goes into one comes out of the other."""
import fcntl
import os
import select
import struct
import sys

from taps import IFF_NO_PI, TUNSETIFF, enter

IFF_TUN, BURST = 1, 64


def tun(netns, name):
    enter(netns)
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def main():
    ends = [tun(*sys.argv[1:3]), tun(*sys.argv[3:5])]
    other = dict(zip(ends, reversed(ends)))
    ready = select.poll()
    for fd in ends:
        ready.register(fd, select.POLLIN)
    print("ready", flush=True)
    while True:
        for fd, _ in ready.poll():
            for _ in range(BURST):
                try:
                    packet = os.read(fd, 65536)
                except BlockingIOError:
                    break
                try:
                    os.write(other[fd], packet)
                except OSError:  # it is down
                    pass


if __name__ == "__main__":
    main()
