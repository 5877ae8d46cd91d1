# SPDX-License-Identifier: Apache-2.0
"""Inside the virtual machine of kernel.py: whether the eBPF fast path works under its kernel. One line for each check."""
import argparse
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
from datapaths import bpf_refusal  # noqa: E402
from world import LabError, run, wait_for  # noqa: E402

TRANSFER = TREE / "tests/interop/transfer.py"
TUNNELS = [(kind, family) for kind in ("vxlan", "gre", "geneve") for family in "46"]
MTU = 1400


class Checks:
    def __init__(self):
        self.failed = 0

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
        print(f"PASS {name}{f': {said}' if said else ''} ({time.monotonic() - start:.0f} s)", flush=True)
        return True


def kernel_is(version):
    assert platform.release().startswith(version + "."), platform.release()
    refusal = bpf_refusal()
    assert not refusal, refusal
    return platform.release()


# ---- the verifier

def verifier_log(build):
    """Why the programs are refused, at length: as the kernel tells bpftool."""
    with tempfile.TemporaryDirectory(dir="/sys/fs/bpf") as directory:
        done = run("bpftool", "prog", "loadall", build / "src/datapath/ebpf/ebpf.bpf.o", f"{directory}/p", check=False)
    return "\n".join((done.stdout + done.stderr).splitlines()[-60:])


def verified(pid):
    """How many instructions the verifier looked at, by program of the process PID."""
    shown = {}
    for path in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        text = path.read_text()
        number, looked = re.search(r"^prog_id:\t(\d+)", text, re.M), re.search(r"^verified_insns:\t(\d+)", text, re.M)
        if number and looked:
            name = json.loads(run("bpftool", "-j", "prog", "show", "id", number[1]).stdout)["name"]
            shown[name] = int(looked[1])
    return shown


def switches_up(cloud):
    """Both have --datapath ebpf, which ends a switch that it cannot be had for."""
    cloud.hypervisors = ["hv1", "hv2"]
    cloud.underlay_up(cloud.hypervisors)
    for hv in cloud.hypervisors:
        try:
            cloud.switchd_up(hv)
        except LabError as error:
            raise LabError(f"{error}\n{verifier_log(cloud.build)}") from error
    looked = verified(cloud.world.pid("switchd-hv1"))
    assert {"port_ingress", "uplink_ingress"} <= set(looked), looked
    return ", ".join(f"{name} {count} instructions looked at" for name, count in sorted(looked.items()))


# ---- unit tests

def unit_tests(build):
    """Those of the programs themselves, (name, executable): whatever includes a header of theirs."""
    for target in json.loads((build / "meson-info/intro-targets.json").read_text()):
        sources = [pathlib.Path(path) for group in target["target_sources"] for path in group.get("sources", ())]
        if target["type"] == "executable" and any(TREE / "tests/unit" in path.parents and '#include "datapath/ebpf/' in
                                                  path.read_text() for path in sources):
            yield target["name"], target["filename"][0]


def unit_test(program):
    done = run(program, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 0, "\n".join(text.splitlines()[-40:])
    passed = len(re.findall(r"^\[       OK \]", text, re.M))
    assert passed and "SKIPPED" not in text, text[-2000:]
    return f"{passed} tests"


# ---- traffic

def far_end(hv, family):
    return {"hv1": "hv2", "hv2": "hv1"}[hv], f"10.201.{hv[2:]}.2" if family == "4" else f"fd00:201:{hv[2:]}::2"


def bridges_up(cloud, hv):
    """A bridge for each tunnel, all with one VM that has a device in each."""
    host, ns, vm, commands = hv[2:], cloud.hv_ns(hv), cloud.world.netns(f"vm{hv}"), []
    for n, (kind, family) in enumerate(TUNNELS):
        other, mine = far_end(hv, family)
        cloud.world.veth(ns, f"tap{n}", vm, f"eth{n}")
        cloud.world.sysctl(ns, **{f"net__ipv6__conf__tap{n}__disable_ipv6": 1})
        cloud.world.ip(ns, "link", "set", f"tap{n}", "up")
        cloud.world.ip(vm, "link", "set", f"eth{n}", "mtu", MTU, "up")
        cloud.world.ip(vm, "addr", "add", f"10.6.{n}.{host}/24", "dev", f"eth{n}")
        cloud.world.ip(vm, "addr", "add", f"fd06:{n}::{host}/64", "dev", f"eth{n}", "nodad")
        commands += ["--", "add-br", f"br{n}", "--", "add-port", f"br{n}", f"tap{n}", "--", "add-port", f"br{n}", f"tun{n}",
                     "--", "set", "Interface", f"tun{n}", f"type={kind}", f"options:key={70 + n}",
                     f'options:remote_ip="{far_end(other, family)[1]}"', f'options:local_ip="{mine}"']
    cloud.vsctl(hv, *commands[1:])
    cloud.world.spawn(f"serve-{hv}", ["/usr/bin/python3", "-B", TRANSFER, "serve"], netns=vm, ready="ready")
    return vm


def traffic_up(cloud):
    cloud.vm_ns = {hv: bridges_up(cloud, hv) for hv in cloud.hypervisors}


def fast_packets(cloud, hv, n):
    """Packets that the kernel's programs took (in, out of) the tunnel N, of megaflows that BPF runs."""
    received = sent = 0
    for line in cloud.appctl(hv, "dpctl/dump-flows", "-m", "--names").splitlines():
        packets, (key, _, actions) = int(re.search(r"packets:(\d+)", line)[1]), line.partition("actions:")
        if ", dp:ebpf" not in line:
            continue
        received += packets if re.search(rf"\b(tun_id|tun_key|tunnel\(tun_id)=0x{70 + n:x}\b", key) else 0
        sent += packets if re.search(rf"in_port\(tap{n}\)", key) and "tunnel" in actions else 0
    return received, sent


def traffic(cloud, n):
    """ICMP, TCP and UDP with super-packets in both directions, inside IPv4 and IPv6, and the fast path carried it."""
    for target in (f"10.6.{n}.2", f"fd06:{n}::2"):
        wait_for(f"{target} to answer", lambda t=target: cloud.world.sh(
            cloud.vm_ns["hv1"], "ping", "-n", "-c3", "-i0.3", "-W2", t, check=False).returncode == 0, 20)
    before = fast_packets(cloud, "hv1", n)
    for hv, host in (("hv1", 2), ("hv2", 1)):
        done = cloud.world.sh(cloud.vm_ns[hv], "/usr/bin/python3", "-B", TRANSFER, "ask", f"10.6.{n}.{host}", f"fd06:{n}::{host}",
                              check=False, timeout=120)
        assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr
    after = fast_packets(cloud, "hv1", n)
    received, sent = (b - a for a, b in zip(before, after))
    assert received > 20 and sent > 20, f"the fast path took {received} in and {sent} out\n" + cloud.appctl(
        "hv1", "dpctl/dump-flows", "-m", "--names")
    return f"the fast path took {received} packets in and {sent} out"


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
    check(f"the kernel is {args.kernel} and takes BPF programs", kernel_is, args.kernel)
    cloud = Cloud("vm", args.build)
    cloud.datapath = "ebpf"
    try:
        if check("warren-switchd --datapath ebpf: the verifier accepts the programs", switches_up, cloud):
            if check("bridges, VMs and tunnels come up", traffic_up, cloud):
                for n, (kind, family) in enumerate(TUNNELS):
                    check(f"{kind} over IPv{family}", traffic, cloud, n)
            check("no warnings in the switches' logs", no_warnings, cloud)
    finally:
        cloud.down()
    programs = list(unit_tests(args.build))
    assert programs, "no unit tests of the programs in this build"
    for name, program in programs:
        check(f"unit test {name}", unit_test, program)
    if args.tests:
        check("pytest", pytest, args.build, args.tests)
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
