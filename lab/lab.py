# SPDX-License-Identifier: Apache-2.0
"""`make run` and `make stop`: three hypervisors, two tenants with the same addresses, checked and left up to play with.

    lab.py [--build DIR] run [--type vxlan|gre|geneve] [--underlay 4|6]
    lab.py [--build DIR] check        the checks again
    lab.py stop                       removes every trace
    lab.py exec VM COMMAND...         runs a command inside a VM
"""
import argparse
import json
import os
import shutil
import sys

from cloud import Cloud, require_root
from world import LabError, wait_for

NAME = "wlab"
# VM, tenant, hypervisor, address. Both tenants use 10.0.0.0/24, and the same addresses in it.
VMS = [
    ("red1", "red", "hv1", "10.0.0.11"),
    ("red2", "red", "hv2", "10.0.0.12"),
    ("red3", "red", "hv3", "10.0.0.13"),
    ("red4", "red", "hv1", "10.0.0.14"),
    ("blue1", "blue", "hv1", "10.0.0.11"),
    ("blue2", "blue", "hv2", "10.0.0.12"),
    ("blue3", "blue", "hv3", "10.0.0.13"),
    ("blue5", "blue", "hv2", "10.0.0.15"),
]


class Checks:
    """Runs checks one by one, prints a line each, remembers whether all held."""

    def __init__(self):
        self.failed = 0

    def __call__(self, text, holds, detail=""):
        print(f"  {'ok  ' if holds else 'FAIL'} {text}{'' if holds or not detail else ': ' + str(detail)}", flush=True)
        self.failed += not holds


def check(cloud):
    say = Checks()
    vms = cloud.vms
    print("\nTunnels (the mesh forms by itself):")
    for hv in cloud.hypervisors:
        remotes = cloud.tunnel_remotes(hv)
        want = {cloud.local_ip(other) for other in cloud.hypervisors if other != hv}
        say(f"{hv} has tunnels to {', '.join(sorted(remotes))}", remotes == want, f"wanted {sorted(want)}")

    print("\nPings inside each tenant:")
    for a, vm_a in vms.items():
        for b, vm_b in vms.items():
            if a != b and vm_a["network"]["id"] == vm_b["network"]["id"]:
                where = "same host" if vm_a["hv"] == vm_b["hv"] else f"{vm_a['hv']} to {vm_b['hv']}"
                got = cloud.ping(a, vm_b["ip"], count=2)
                seen = cloud.neighbour_mac(a, vm_b["ip"])
                say(f"{a} -> {b} {vm_b['ip']} ({where})", got == 2 and seen == vm_b["mac"], f"{got} of 2 replies, from {seen}")

    print("\nNothing across tenants (addresses that only the other tenant has):")
    for source, target in (("red1", "blue5"), ("red2", "blue5"), ("blue1", "red4"), ("blue3", "red4")):
        got = cloud.ping(source, vms[target]["ip"], count=2, wait=1)
        say(f"{source} does not reach {target} {vms[target]['ip']}", got == 0, f"{got} replies")
    return say.failed


def iperf(cloud, server="red2", client="red1", seconds=3):
    """Bits per second of one TCP stream between two VMs."""
    vm, world = cloud.vms[server], cloud.world
    tag = f"iperf-{server}"
    world.spawn(tag, ["iperf3", "-s", "-1"], netns=vm["ns"])
    try:
        wait_for("iperf3 to listen", lambda: ":5201" in world.sh(vm["ns"], "ss", "-ltnH").stdout, 5)
        done = world.sh(cloud.vms[client]["ns"], "iperf3", "-J", "-c", vm["ip"], "-t", seconds, check=False, timeout=30)
    finally:
        world.kill(tag)
    report = json.loads(done.stdout or "{}")
    if "end" not in report or "error" in report:
        raise LabError(f"iperf3 from {client} to {server}: {report.get('error') or done.stderr}")
    return report["end"]["sum_received"]["bits_per_second"]


def show(cloud, hv="hv1"):
    print(f"\n{hv}$ ovs-vsctl show")
    print(cloud.vsctl(hv, "show"))
    print(f"{hv}$ ovs-ofctl -O OpenFlow13 dump-flows br-tun")
    print(cloud.ofctl(hv, "dump-flows", "br-tun"))


def try_next(cloud):
    warren = cloud.program("warren")
    # `make run` does not install these two.
    openstack = f"\n  openstack --os-auth-type none --os-endpoint http://127.0.0.1:{cloud.port} network list"
    openstack = openstack if shutil.which("openstack") else ""
    tcpdump = f"\n  ip netns exec {cloud.hv_ns('hv1')} tcpdump -ni und0" if shutil.which("tcpdump") else ""
    print(f"""The lab is up. Try:

  {warren} network list
  {warren} port list
  {warren} agent list{openstack}
  ip netns exec {cloud.hv_ns('hv1')} env OVS_RUNDIR={cloud.rundir('hv1')} ovs-ofctl -O OpenFlow13 dump-flows br-int
  {warren} show --rundir {cloud.rundir('hv1')}
  ip netns exec {NAME}-red1 ping 10.0.0.13{tcpdump}

Logs are in {cloud.dir}. `make stop` removes everything.""")


def save(cloud):
    keep = {"hypervisors": cloud.hypervisors, "underlay": cloud.underlay, "port": cloud.port, "vms": cloud.vms}
    (cloud.dir / "cloud.json").write_text(json.dumps(keep))


def load(build):
    cloud = Cloud(NAME, build)
    path = cloud.dir / "cloud.json"
    if not path.exists():
        raise LabError("the lab is not up: `make run` starts it")
    vars(cloud).update(json.loads(path.read_text()))
    return cloud


def command_run(args):
    cloud = Cloud(NAME, args.build)
    missing = [program for program in ("warren-switchd", "warren-agent", "warren-controller") if not cloud.program(program).exists()]
    if missing:
        raise LabError(f"{args.build} has no {', '.join(missing)}: `make build` makes them, `--build DIR` says where they are")
    if cloud.dir.exists():
        print("removing what is left of an earlier lab")
        stop()
    cloud = Cloud(NAME, args.build, args.underlay)  # anew: the first has read what an earlier lab left
    try:
        print(f"starting three hypervisors over an IPv{args.underlay} underlay, and the controller", flush=True)
        cloud.up()
        networks = {tenant: cloud.network(tenant, args.type) for tenant in ("red", "blue")}
        for tenant, network in networks.items():
            print(f"network {tenant}: {args.type}, id {network['provider:segmentation_id']} on the wire, 10.0.0.0/24")
        for name, tenant, hv, ip in VMS:
            cloud.vm(name, networks[tenant], hv, ip)
        save(cloud)
        cloud.wait_active()
        cloud.wait_mesh()
        failed = check(cloud)
        print("\nThroughput, one TCP stream, red1 (hv1) to red2 (hv2):")
        print(f"  {iperf(cloud) / 1e9:.2f} Gb/s")
        show(cloud)
    except LabError as error:
        print(f"\nFAIL {error}", file=sys.stderr)
        for line in cloud.warnings():
            print(f"  {line}", file=sys.stderr)
        print("The lab is left as it is, for a look; `make stop` removes it.", file=sys.stderr)
        return 1
    try_next(cloud)
    if failed:
        print(f"\n{failed} checks FAILED", file=sys.stderr)
    return 1 if failed else 0


def stop():
    cloud = Cloud(NAME)
    for problem in cloud.down():
        print(problem)
    left = cloud.world.leftovers()
    for thing in left:
        print(f"still there: {thing}", file=sys.stderr)
    return 1 if left else 0


def main():
    parser = argparse.ArgumentParser(description="Warren's lab")
    parser.add_argument("--build", default="build", help="where meson built the programs")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("run")
    up.add_argument("--type", choices=("vxlan", "gre", "geneve"), default="vxlan")
    up.add_argument("--underlay", choices=("4", "6"), default="4")
    commands.add_parser("check")
    commands.add_parser("stop")
    inside = commands.add_parser("exec", help="run a command inside a VM")
    inside.add_argument("vm")
    inside.add_argument("argv", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    try:
        require_root()
        if args.command == "run":
            return command_run(args)
        if args.command == "stop":
            return stop()
        cloud = load(args.build)
        if args.command == "check":
            return 1 if check(cloud) else 0
        if args.vm not in cloud.vms or not args.argv:
            raise LabError(f"usage: lab.py exec VM COMMAND...; VMs are {', '.join(cloud.vms)}")
        os.execvp("ip", ["ip", "netns", "exec", cloud.vms[args.vm]["ns"], *args.argv])
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
