# SPDX-License-Identifier: Apache-2.0
"""Captures on links of the lab, written by tcpdump and judged by scapy and tshark."""
import itertools
import json
import logging
import pathlib
import signal

from world import LabError, run, wait_for

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import rdpcap  # noqa: E402

_numbers = itertools.count(1)


class Capture:
    """tcpdump on LINK inside NETNS, from the constructor's return until stop()."""

    def __init__(self, world, netns, link, expression=""):
        self.world = world
        self.tag = f"tcpdump-{next(_numbers)}-{netns}-{link}"  # another one may have been there before
        self.file = world.dir / f"{self.tag}.pcap"
        argv = ["tcpdump", "--immediate-mode", "-U", "-Z", "root", "-i", link, "-w", str(self.file), "-s", "0"]
        self.pid = world.spawn(self.tag, argv + ([expression] if expression else []), netns=netns)
        wait_for(lambda: f"tcpdump on {link}: {world.log(self.tag)}", lambda: "listening on" in world.log(self.tag), 10)

    def stop(self):
        """What has come by so far is in the file: tcpdump sleeps when it has read everything."""
        stat = pathlib.Path(f"/proc/{self.pid}/stat")
        wait_for("tcpdump to have read all", lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", 10)
        self.world.kill(self.tag, signal.SIGINT)
        return self

    def wait_for_frame_of(self, mac):
        """What came before it has come by, too."""
        needle = bytes.fromhex(mac.replace(":", ""))
        wait_for(f"a frame of {mac}", lambda: needle in self.file.read_bytes())

    def packets(self):
        return rdpcap(str(self.file))

    def tshark(self, *fields, display=""):
        """A list of {field: [values]} of each packet that the display filter lets through, checksums verified."""
        argv = ["tshark", "-r", self.file, "-T", "json", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
                "-o", "tcp.check_checksum:TRUE"]
        if display:
            argv += ["-Y", display]
        for field in fields:
            argv += ["-e", field]
        done = run(*argv, check=False)
        if done.returncode and not done.stdout:
            raise LabError(f"tshark: {done.stderr}")
        return [packet["_source"].get("layers", {}) for packet in json.loads(done.stdout or "[]")]
