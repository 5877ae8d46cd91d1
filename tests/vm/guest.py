# SPDX-License-Identifier: Apache-2.0
"""Inside the virtual machine of kernel.py: whether the eBPF fast path works under its kernel. One line for each check."""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time
import traceback

os.environ.setdefault("WARREN_PATIENCE", "10")  # all is slow where the processor is made of software
TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / "lab"), str(TREE / "tests/e2e")]
from cloud import Cloud  # noqa: E402
from datapaths import bpf_refusal, kernel_since  # noqa: E402
from super_packets import (DATAGRAMS, TAP_LAST, TUNNEL_LAST, TUNNELS, links_up, tunnels_in_a_row,  # noqa: E402
                           tunnels_of_all_forms)
from transfer import SEGMENT, SEGMENTS, TCP_SIZE, ask_from, serve_in  # noqa: E402
from world import LabError, run, wait_for  # noqa: E402

VERIFIER_PATIENCE = 300  # seconds
MTU = 1400
VLAN = 7  # of the VMs' own


def tail(text, lines):
    return "\n".join(text.splitlines()[-lines:])


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, name, check, *args):
        """Calls CHECK; a text that it returns is shown. True if it raised nothing."""
        start = time.monotonic()
        try:
            said = check(*args)
        except Exception as error:  # whatever it is: this check failed, and the others are still wanted
            self.failed += 1
            text = str(error) if isinstance(error, (LabError, AssertionError)) and str(error) else traceback.format_exc()
            print(f"FAIL {name}: {text}", flush=True)
            return False
        self.passed += 1
        print(f"PASS {name}{f': {said}' if said else ''} ({time.monotonic() - start:.0f} s)", flush=True)
        return True


def kernel_is(version):
    assert platform.release().startswith(version + "."), platform.release()
    refusal = bpf_refusal()
    assert not refusal, refusal
    return platform.release()


# ---- the verifier

def verifier_log(build):
    """Why the programs are refused, at length: as the kernel tells bpftool. The switch's log has the last line of it."""
    with tempfile.TemporaryDirectory(dir="/sys/fs/bpf") as directory:
        argv = ["bpftool", "prog", "loadall", str(build / "src/datapath/ebpf/ebpf.bpf.o"), f"{directory}/p"]
        try:
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=VERIFIER_PATIENCE)
        except subprocess.TimeoutExpired as error:
            said = (error.stdout or b"").decode(errors="replace")
            return tail(said, 60) + f"\n(bpftool had not ended after {VERIFIER_PATIENCE} s)"
    return tail(done.stdout, 60)


def verified(pid):
    """How many instructions the verifier looked at, by program of the process PID."""
    shown = {}
    for path in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = path.read_text()
        except FileNotFoundError:
            continue  # it was closed meanwhile: no program's
        number, looked = re.search(r"^prog_id:\t(\d+)", text, re.M), re.search(r"^verified_insns:\t(\d+)", text, re.M)
        if number and looked:
            name = json.loads(run("bpftool", "-j", "prog", "show", "id", number[1]).stdout)["name"]
            shown[name] = int(looked[1])
    return shown


def switches_up(cloud):
    """Both have --datapath ebpf, which ends a switch that it cannot be had for."""
    cloud.hypervisors = ["hv1", "hv2"]
    cloud.underlay_up([*cloud.hypervisors, "hv3"])
    for hv in cloud.hypervisors:
        try:
            cloud.switchd_up(hv)
        except LabError as error:
            raise LabError(f"{error}\n{verifier_log(cloud.build)}") from error
    looked = verified(cloud.world.pid("switchd-hv1"))
    assert {"port_ingress", "uplink_ingress"} <= set(looked), looked
    return ", ".join(f"{name} {count} instructions looked at" for name, count in sorted(looked.items()))


# ---- unit tests

def includes(path, seen):
    """The headers that PATH includes, as they are written, those of the test directories followed."""
    for header in re.findall(r'^#include "([^"]+)"', path.read_text(), re.M):
        yield header
        beside = (path.parent / header).resolve()
        if beside not in seen and beside.exists():
            seen.add(beside)
            yield from includes(beside, seen)


def unit_tests(build):
    """Those of the programs themselves, (name, executable): whatever includes a header of theirs, be it by another one."""
    for target in json.loads((build / "meson-info/intro-targets.json").read_text()):
        sources = [pathlib.Path(path) for group in target["target_sources"] for path in group.get("sources", ())]
        if target["type"] == "executable" and any(
                header.startswith("datapath/ebpf/")
                for path in sources if TREE / "tests/unit" in path.parents for header in includes(path, set())):
            yield target["name"], target["filename"][0]


# Tests that skip before the version that brought what they need.
SINCE = {"test_merged_tunnel_packets": (6, 2)}


def unit_test(program):
    done = run(program, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 0, tail(text, 40)
    passed = len(re.findall(r"^\[       OK \]", text, re.M))
    release = tuple(int(n) for n in platform.release().split(".")[:2])
    skipped = {test for test in re.findall(r"^\[  SKIPPED \] (\w+)$", text, re.M) if release >= SINCE.get(test, (0, 0))}
    assert passed and not skipped, text[-2000:]
    return f"{passed} tests"


# ---- traffic

OTHER = {"hv1": "hv2", "hv2": "hv1"}


def bridges_up(cloud, hv):
    """A bridge for each tunnel, all with one VM that has a device in each, and on that one in a VLAN."""
    host, ns, vm, commands, links, addresses = hv[2:], cloud.hv_ns(hv), cloud.world.netns(f"vm{hv}"), [], [], []
    for n, (kind, family) in enumerate(TUNNELS):
        links += [f"link add tap{n} type veth peer name eth{n} netns {vm}"]
        addresses += [f"link set eth{n} mtu {MTU} up", f"addr add 10.6.{n}.{host}/24 dev eth{n}",
                      f"addr add fd06:{n}::{host}/64 dev eth{n} nodad", f"link add link eth{n} name vlan{n} type vlan id {VLAN}",
                      f"link set vlan{n} up", f"addr add 10.7.{n}.{host}/24 dev vlan{n}"]
        commands += ["--", "add-br", f"br{n}", "--", "add-port", f"br{n}", f"tap{n}",
                     *cloud.tunnel_port(hv, f"br{n}", f"tun{n}", kind, 70 + n, OTHER[hv], family)]
    cloud.world.ip_batch(ns, links)
    links_up(cloud, ns, [f"tap{n}" for n in range(len(TUNNELS))])
    cloud.world.ip_batch(vm, addresses)
    cloud.vsctl(hv, *commands[1:])
    serve_in(cloud.world, f"serve-{hv}", vm)
    return vm


def traffic_up(cloud):
    cloud.vm_ns = {hv: bridges_up(cloud, hv) for hv in cloud.hypervisors}


def answers(cloud, vm, target):
    wait_for(f"{target} to answer", lambda: cloud.world.sh(vm, "ping", "-n", "-c3", "-i0.3", "-W2", target,
                                                           check=False).returncode == 0, 20)


def fast_bytes(cloud, hv, n):
    """Bytes that the programs themselves (no part of user space) sent out of (the VM's device, the tunnel) N so far."""
    shown = cloud.appctl(hv, "dpctl/show")
    pins, sent = next(pathlib.Path("/sys/fs/bpf/warren").glob(f"*{hv}/layout*/port_stats")), []
    for kind in (rf"tap{n}\b", rf"\S+ \({TUNNELS[n][0]}\b"):
        number = int(re.search(rf"port (\d+): {kind}", shown)[1])
        key = [str(byte) for byte in number.to_bytes(4, "little")]
        each = json.loads(run("bpftool", "-j", "map", "lookup", "pinned", pins, "key", *key).stdout)["formatted"]["values"]
        sent.append(sum(cpu["value"]["tx_bytes"] for cpu in each))
    return sent


def dropped_by_device(cloud, hv, n):
    shown = json.loads(cloud.world.ip(cloud.hv_ns(hv), "-j", "-s", "link", "show", f"tap{n}").stdout)
    return shown[0]["stats64"]["tx"]["dropped"]


def transfer(cloud, n, protocol, hv, target):
    """A VM of HV sends super-packets and gets an answer (TCP: in super-packets, too), of which the VMs' devices drop none. On HV
    the fast path carries all of it. (At the other end UDP's super-packets go up behind a UDP tunnel.)"""
    other = OTHER[hv]
    size = TCP_SIZE if protocol == "tcp" else SEGMENT * SEGMENTS
    before = [fast_bytes(cloud, hv, n), [dropped_by_device(cloud, end, n) for end in (hv, other)]]
    wrong = ask_from(cloud.world, cloud.vm_ns[hv], f"ask-{protocol}", target)
    assert wrong == "", wrong
    after = [fast_bytes(cloud, hv, n), [dropped_by_device(cloud, end, n) for end in (hv, other)]]
    assert after[1] == before[1], f"the VMs' devices dropped {before[1]}, now {after[1]}"
    out_of, into = (b - a for a, b in zip(before[0], after[0]))
    assert into > size, f"the fast path sent {into} of {size} bytes into the tunnel"
    assert out_of > size, f"the fast path took {out_of} of {size} bytes out of the tunnel"
    return f"fast path: {into} bytes in, {out_of} out"


def traffic(check, cloud, n):
    kind, family = TUNNELS[n]
    for target, other, tagged in ((f"10.6.{n}.2", f"10.6.{n}.1", ""), (f"fd06:{n}::2", f"fd06:{n}::1", ""),
                                  (f"10.7.{n}.2", f"10.7.{n}.1", " in a VLAN")):
        if check(f"{kind} over IPv{family}: ICMP to {target}{tagged}", answers, cloud, cloud.vm_ns["hv1"], target):
            check(f"{kind} over IPv{family}: TCP to {target}{tagged}", transfer, cloud, n, "tcp", "hv1", target)
            check(f"{kind} over IPv{family}: UDP to {other}{tagged}", transfer, cloud, n, "udp", "hv2", other)


# ---- super-packets, counted where they arrive

def enter(stack, bridges):
    stack.enter_context(bridges)
    assert bridges.kinds["sender"] == DATAGRAMS, "no VLAN devices"


def whole(bridges, source, cut=()):
    want = bridges.assert_whole(source, cut)
    return f"{len(bridges.kinds[source])} of them at {len(want)} VMs"


def cut_by_device(cloud, bridges, source):
    """What the underlay's device cannot do the kernel does, and each piece is right."""
    cloud.world.sh(cloud.hv_ns("hv1"), "ethtool", "-K", "und0", "tx", "off")
    try:
        return whole(bridges, source, [name for _, name, _ in bridges.targets() if name.startswith("far")])
    finally:
        cloud.world.sh(cloud.hv_ns("hv1"), "ethtool", "-K", "und0", "tx", "on")


def super_packets(check, cloud):
    """On every way where the kernel's mark is met, TCP's from a tap, UDP's from sockets behind a veth (since Linux 6.2 from the tap, too)."""
    sources = {"from": "super-packets of a tap", "sender": "UDP's of sockets"}
    with contextlib.ExitStack() as stack:
        row = tunnels_in_a_row(cloud)
        if check("tunnels in a row come up", enter, stack, row):
            for source, name in sources.items():
                check(f"out of a tunnel into the next and to a port, {len(TUNNELS)} in a row: {name}", whole, row, source)
    with contextlib.ExitStack() as stack:
        forms = tunnels_of_all_forms(cloud, TAP_LAST)
        if check("tunnels of all forms come up", enter, stack, forms):
            for source, name in sources.items():
                check(f"into tunnels of all forms, then to a port: {name}", whole, forms, source)
            forms.lead("hv1", {"from": TUNNEL_LAST})
            for source, name in sources.items():
                check(f"to ports and into tunnels of all forms, a tunnel last: {name}", whole, forms, source)
                check(f"the same over a device without offloads: {name}", cut_by_device, cloud, forms, source)


# ---- the userspace datapath

def coverage(cloud, hv, event):
    found = re.search(rf"^{event} .*total: (\d+)", cloud.appctl(hv, "coverage/show"), re.M)
    return int(found[1]) if found else 0


def userspace_up(cloud):
    """Two VMs of a host without the fast path."""
    cloud.switchd_up("hv3", "--datapath=userspace")
    ns, cloud.local_vms = cloud.hv_ns("hv3"), []
    for host in (1, 2):
        cloud.local_vms.append(cloud.world.netns(f"local{host}"))
        cloud.world.veth(ns, f"tap{host}", cloud.local_vms[-1], "eth0")
        cloud.world.sysctl(ns, **{f"net__ipv6__conf__tap{host}__disable_ipv6": 1})
        cloud.world.ip(ns, "link", "set", f"tap{host}", "up")
        cloud.world.ip(cloud.local_vms[-1], "link", "set", "eth0", "up")
        cloud.world.ip(cloud.local_vms[-1], "addr", "add", f"10.8.0.{host}/24", "dev", "eth0")
    cloud.vsctl("hv3", "add-br", "br0", "--", "add-port", "br0", "tap1", "--", "add-port", "br0", "tap2")
    serve_in(cloud.world, "serve-local", cloud.local_vms[1])
    answers(cloud, cloud.local_vms[0], "10.8.0.2")


def ask_local(cloud, protocol):
    """(What was wrong, how many super-packets the kernel could not hand up)."""
    before = coverage(cloud, "hv3", "drop_rx_offload")
    wrong = ask_from(cloud.world, cloud.local_vms[0], f"ask-{protocol}", "10.8.0.2", timeout=60)
    return wrong, coverage(cloud, "hv3", "drop_rx_offload") - before


def userspace_transfer(cloud, protocol):
    """UDP's super-packets a packet socket is told since Linux 6.2; before, their loss is counted, and the VM's device may cut
    them."""
    said = ""
    if protocol == "udp" and not kernel_since(6, 2):
        wrong, lost = ask_local(cloud, protocol)
        assert wrong == f"udp 10.8.0.2: 0 of {SEGMENTS} datagrams\n" and lost == 1, f"{lost} lost: {wrong}"
        cloud.world.sh(cloud.local_vms[0], "ethtool", "-K", "eth0", "tx-udp-segmentation", "off")
        said = "super-packet lost and counted, as before Linux 6.2; all arrives with tx-udp-segmentation off"
    wrong, lost = ask_local(cloud, protocol)
    assert not wrong and not lost, f"{lost} lost: {wrong}"
    return said


def no_warnings(cloud):
    found = cloud.warnings()
    assert not found, "\n".join(found)


def pytest(build, tests):
    print(f"     pytest {' '.join(tests)}", flush=True)
    done = subprocess.run(["/usr/bin/python3", "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", *tests], cwd=TREE,
                          env={**os.environ, "WARREN_BUILD": str(build)})
    assert done.returncode == 0, f"exit {done.returncode}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()
    check = Checks()
    run("ip", "link", "set", "lo", "up")
    run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf", check=False)
    run("modprobe", "tun", check=False)  # a host's udev makes the device that loads it
    check(f"the kernel is {args.kernel} and takes BPF programs", kernel_is, args.kernel)
    cloud = Cloud("vm", args.build)
    cloud.datapath = "ebpf"
    try:
        if check("warren-switchd --datapath ebpf: the verifier accepts the programs", switches_up, cloud):
            if check("bridges, VMs and tunnels come up", traffic_up, cloud):
                for n in range(len(TUNNELS)):
                    traffic(check, cloud, n)
                super_packets(check, cloud)
            if check("warren-switchd --datapath userspace serves", userspace_up, cloud):
                for protocol in ("tcp", "udp"):
                    check(f"userspace datapath: {protocol.upper()} from veth to veth", userspace_transfer, cloud, protocol)
            check("no warnings in the switches' logs", no_warnings, cloud)
    finally:
        cloud.down()
    programs = list(unit_tests(args.build))
    assert programs, "no unit tests of the programs in this build"
    for name, program in programs:
        check(f"unit test {name}", unit_test, program)
    if args.tests:
        check("pytest", pytest, args.build, args.tests)
    print(f"{platform.release()}: {check.passed} checks passed, {check.failed} failed", flush=True)
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
