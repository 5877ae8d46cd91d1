# SPDX-License-Identifier: Apache-2.0
"""Where the time of the BPF programs goes, while 64-byte frames pass.

The kernel itself counts what a run takes (kernel.bpf_stats_enabled); a profiler that looks at the processors ten thousand
times a second says how that divides: of each sample that has one of our programs in its call chain, the innermost address in
it is looked up in the program's line table (bench_program_lines). So a helper of the kernel counts for the part that
called it, and what stands in one source file is one part.
"""
import bisect
import json
import pathlib
import shutil
import subprocess

from peers import run

STATS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
PROGRAMS = {"port_ingress": "VM port to tunnel", "uplink_ingress": "tunnel to VM port"}
# By source file; what is in none of them is counters, the scratch and what holds the parts together.
PARTS = {"decap.bpf.h": "outer headers, decapsulation", "parse.bpf.h": "parse", "lookup.bpf.h": "lookup", "shared.h": "lookup",
         "actions.bpf.h": "actions, redirect", "set.bpf.h": "actions, redirect", "encap.bpf.h": "encapsulation",
         "csum.bpf.h": "checksums", "upcall.bpf.h": "to user space", "exact.bpf.h": "exact-match cache",
         "exact_run.bpf.h": "exact-match cache"}
REST = "counters and the rest"


def program_ns():
    """The kernel's account of our programs: by name, nanoseconds and runs."""
    total = {}
    for program in json.loads(run("bpftool", "-j", "prog", "show").stdout):
        if program.get("name") in PROGRAMS and program.get("run_cnt"):
            ns, runs = total.get(program["name"], (0, 0))
            total[program["name"]] = ns + program["run_time_ns"], runs + program["run_cnt"]
    return total


def account(bench, pair):
    """Adds nanoseconds a packet of each program to the figures of BENCH."""
    before, old = program_ns(), STATS.read_text()
    STATS.write_text("1")
    try:
        bench.frames("counted", {"vxlan": pair}, turns=10)
        after = program_ns()
    finally:
        STATS.write_text(old)
    for name, (ns, runs) in after.items():
        ns0, runs0 = before.get(name, (0, 0))
        if runs - runs0 > 1000:
            bench.add("ns", [name], [[(ns - ns0) / (runs - runs0)]])


class Lines:
    def __init__(self, build):
        pairs = sorted((int(line.split()[0], 16), line.split()[1])
                       for line in run(build / "bench" / "bench_program_lines").stdout.splitlines())
        self.addresses, self.files = [p[0] for p in pairs], [p[1] for p in pairs]

    def file(self, address):
        at = bisect.bisect_right(self.addresses, address) - 1
        return self.files[at] if at >= 0 else "?"


def samples(text):
    """Call chains, innermost first: lists of (address, symbol)."""
    chain = []
    for line in text.splitlines() + [""]:
        words = line.split(None, 1)
        if words:
            chain.append((int(words[0], 16), words[1] if len(words) > 1 else ""))
        elif chain:
            yield chain
            chain = []


def classify(text, lines, counts):
    for chain in samples(text):
        ours = [i for i, (_, symbol) in enumerate(chain) if symbol.startswith("bpf_prog_")]
        names = {name for name in PROGRAMS if any(chain[i][1].strip().endswith(f"_{name}") for i in ours)}
        if not ours or len(names) != 1:
            continue
        # A return address may be the next line's already.
        address = chain[ours[0]][0] - (1 if ours[0] else 0)
        part = PARTS.get(lines.file(address), REST)
        per = counts.setdefault(names.pop(), {})
        per[part] = per.get(part, 0) + 1


def profile(bench, pair, counts):
    """Adds to COUNTS, by program and part, the samples of a second and a half of frames."""
    data = bench.world.dir / "perf.data"
    data.parent.mkdir(parents=True, exist_ok=True)
    recorder = subprocess.Popen(["perf", "record", "-q", "-a", "-g", "-e", "cpu-clock", "-F", "9999", "-o", str(data)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        bench.frames("profiled", {"vxlan": pair}, turns=15)
    finally:
        recorder.terminate()
        recorder.wait()
    classify(run("perf", "script", "-i", data, "-F", "ip,sym", timeout=300).stdout, Lines(bench.build), counts)
    data.unlink()


def gathered(seen):
    """Parts of less than a fiftieth belong to the rest."""
    least = sum(seen.values()) / 50
    large = {part: number for part, number in seen.items() if number >= least and part != REST}
    return {**large, REST: sum(seen.values()) - sum(large.values())}


def rows(bench, pair):
    if not shutil.which("perf"):
        raise SystemExit("bench: perf is needed (package linux-perf)")
    counts = {}
    for n in range(bench.rounds):
        account(bench, pair)
        profile(bench, pair, counts)
        bench.say(f"time in the BPF programs, round {n + 1} of {bench.rounds}")
    plain = {"unit": "ns", "peer": None, "peer_name": None, "ratio": None, "wanted": None}
    results = []
    for name, text in PROGRAMS.items():
        total = bench.value("ns", name)
        results.append({**plain, "name": f"BPF time a packet, {text}", "ours": total})
        seen = gathered(counts.get(name, {}))
        for part, number in sorted(seen.items(), key=lambda item: -item[1]):
            share = number / sum(seen.values())
            results.append({**plain, "name": f"   of it {part}: {100 * share:.0f} %", "ours": share * total})
    return results
