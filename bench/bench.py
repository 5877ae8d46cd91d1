#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: measures the switch against its peers in the same run, and writes bench/results/. Never a test: it judges
nothing but prints which ratio was wanted."""
import argparse
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import overlay_bench  # noqa: E402
import overlay_load  # noqa: E402
import report  # noqa: E402
import switch_bench  # noqa: E402
from peers import TREE, World  # noqa: E402

SUITES = {
    "switch": ("The switch, userspace datapath, against ovs-vswitchd's", switch_bench.PARTS),
    "overlay": ("The overlay between two hypervisors", overlay_bench.PARTS + overlay_load.PARTS),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--suite", choices=sorted(SUITES), help="only this one")
    parser.add_argument("--only", help="only the parts whose names contain this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--datapath", default="ebpf", help="of the overlay suite: ebpf or userspace")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root, for network namespaces")
    for name, (title, parts) in SUITES.items():
        if args.suite and args.suite != name:
            continue
        results = []
        for part in parts:
            if args.only and args.only not in part.__name__:
                continue
            world = World(f"bench{os.getpid()}")
            try:
                extra = {"datapath": args.datapath} if name == "overlay" else {}
                results += part(world, args.build.resolve(), args.rounds, lambda text: print(f"  {text}", flush=True), **extra)
            finally:
                world.destroy()
        print("\n" + report.table(title, results))
        if not args.only:
            report.write(TREE / "bench" / "results", name, title, results)


if __name__ == "__main__":
    main()
