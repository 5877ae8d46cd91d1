# SPDX-License-Identifier: Apache-2.0
"""A small cloud in one machine: hypervisors joined by a routed underlay, a controller, and VMs.

            hv1                    rt (routes)                   hv2 ... hvN
        ┌──────────┐   veth    ┌────────────────┐    veth    ┌──────────┐
        │ switchd  ├und0───u1──┤ 10.201.1.1/24  ├──u2───und0─┤ switchd  │     hypervisor K is 10.201.K.2 (fd00:201:K::2):
        │ agent    │           │ 10.201.2.1/24  │            │ agent    │     every one in a subnet of its own
        └─┬──────┬─┘           └────────────────┘            └─┬──────┬─┘
       tap…    tap…                                          tap…   tap…
        vm      vm                                            vm     vm       each VM a namespace with one eth0

The controller runs in the host's own namespace, so that the CLI and `openstack` reach it; agents reach the overlay database by
its unix socket. Every address lives inside these namespaces only.
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import urllib.error
import urllib.request

from echo import echo
from world import PATIENCE, PINS, LabError, World, pin_name, run, wait_for

OVERHEAD = {"4": 50, "6": 70}  # outer Ethernet-to-VXLAN bytes; GRE and Geneve without options need no more
UNDERLAY_MTU = 1500
DATAPATH = os.environ.get("WARREN_DATAPATH")  # what warren-switchd runs with where a cloud has no datapath of its own


class Cloud:
    def __init__(self, name="lab", build="build", underlay="4", root="/run"):
        tree = pathlib.Path(__file__).resolve().parent.parent
        build = pathlib.Path(build)
        self.build = build if build.is_absolute() else tree / build
        self.schemadir = tree / "schema"
        self.underlay = underlay
        self.datapath = None  # what its switches run with where nothing else is said
        self.world = World(name, root)
        self.dir = self.world.dir
        self.port = None
        self.overlay = f"unix:{self.dir}/controller/overlay.sock"
        self.vms = {}

    # ---- programs

    def program(self, name):
        sub = {"warren-switchd": "switch", "warren-agent": "agent", "warren-controller": "controller", "warren": "cli"}
        return self.build / "src" / sub[name] / name

    def rundir(self, hv):
        return self.dir / hv

    def pins(self, hv):
        """Where the programs and maps of HV's switch are pinned."""
        return PINS / pin_name(self.rundir(hv))

    def hv_ns(self, hv):
        return f"{self.world.name}-{hv}"

    def local_ip(self, hv, family=None):
        """HV's address on the underlay, of the cloud's own version unless FAMILY ("4", "6") says which."""
        k = hv.removeprefix("hv")
        return f"10.201.{k}.2" if (family or self.underlay) == "4" else f"fd00:201:{k}::2"

    # ---- building it

    def underlay_up(self, hypervisors):
        w = self.world
        router = w.netns("rt")
        w.sysctl(router, net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        for hv in hypervisors:
            k = hv.removeprefix("hv")
            ns = w.netns(hv)
            w.veth(ns, "und0", router, f"u{k}")
            for where, link, host in ((ns, "und0", 2), (router, f"u{k}", 1)):
                w.ip(where, "link", "set", link, "mtu", UNDERLAY_MTU, "up")
                w.ip(where, "addr", "add", f"10.201.{k}.{host}/24", "dev", link)
                w.ip(where, "addr", "add", f"fd00:201:{k}::{host}/64", "dev", link, "nodad")
            w.ip(ns, "route", "add", "default", "via", f"10.201.{k}.1")
            w.ip(ns, "-6", "route", "add", "default", "via", f"fd00:201:{k}::1")

    def controller_up(self, port=9696):
        self.port = port
        rundir = self.dir / "controller"
        rundir.mkdir(parents=True, exist_ok=True)
        self.world.spawn("controller", [self.program("warren-controller"), "--rundir", rundir, "--schemadir", self.schemadir,
                                        "--listen", f"127.0.0.1:{port}"], ready="ready")

    def switchd_up(self, hv, *extra):
        self.rundir(hv).mkdir(parents=True, exist_ok=True)
        datapath = self.datapath or DATAPATH
        if datapath and not any(str(option).startswith("--datapath") for option in extra):
            extra = (*extra, f"--datapath={datapath}")
        self.world.spawn(f"switchd-{hv}", [self.program("warren-switchd"), "--rundir", self.rundir(hv), "--schemadir",
                                           self.schemadir, "--db-file", self.rundir(hv) / "conf.db", *extra],
                         netns=self.hv_ns(hv), ready="ready")

    def agent_up(self, hv, *extra):
        self.world.spawn(f"agent-{hv}", [self.program("warren-agent"), "--host", hv, "--local-ip", self.local_ip(hv),
                                         "--overlay-db", self.overlay, "--rundir", self.rundir(hv), *extra],
                         netns=self.hv_ns(hv), ready="ready")

    def up(self, hypervisors=("hv1", "hv2", "hv3"), port=9696, agent_args=(), switchd_args=()):
        self.hypervisors = list(hypervisors)
        self.underlay_up(hypervisors)
        with self.world.together():
            self.controller_up(port)
            for hv in hypervisors:
                self.switchd_up(hv, *switchd_args)
        with self.world.together():
            for hv in hypervisors:
                self.agent_up(hv, *agent_args)

    def switches_up(self, *hypervisors):
        """Switches alone, which nobody programs but the caller."""
        self.hypervisors = list(hypervisors)
        self.underlay_up(hypervisors)
        with self.world.together():
            for hv in hypervisors:
                self.switchd_up(hv)

    @contextlib.contextmanager
    def switches_frozen(self):
        """They do nothing meanwhile: only the fast path forwards."""
        pids = [self.world.pid(f"switchd-{hv}") for hv in self.hypervisors]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def switches_again(self, *hypervisors):
        """Starts switches that have ended, and waits until they have taken over what was left."""
        def settled(hv):
            return self.world.log(f"switchd-{hv}").count("is settled")
        before = {hv: settled(hv) for hv in hypervisors}
        with self.world.together():
            for hv in hypervisors:
                self.switchd_up(hv)
        for hv in hypervisors:
            wait_for(f"the flows of {hv} to be settled", lambda hv=hv: settled(hv) > before[hv], 60)

    # ---- the API

    def request(self, method, path, body=None):
        """One API call; returns (status, decoded reply or None)."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method=method,
                                       headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=20) as reply:
                text, status = reply.read(), reply.status
        except urllib.error.HTTPError as refused:
            text, status = refused.read(), refused.code
        try:
            return status, json.loads(text) if text else None
        except ValueError:
            return status, {"text": text.decode(errors="replace")}

    def api(self, method, path, body=None):
        status, reply = self.request(method, path, body)
        if status >= 300:
            raise LabError(f"{method} {path}: HTTP {status}: {reply}")
        return reply

    def network(self, name, kind="vxlan", cidr="10.0.0.0/24", **extra):
        """Makes a network with one subnet; returns the network as the API shows it."""
        asked = {"name": name, "provider:network_type": kind, "mtu": UNDERLAY_MTU - OVERHEAD[self.underlay], **extra}
        made = self.api("POST", "/v2.0/networks", {"network": asked})["network"]
        self.api("POST", "/v2.0/subnets", {"subnet": {"network_id": made["id"], "cidr": cidr, "name": f"{name}-net",
                                                      "ip_version": 6 if ":" in cidr else 4}})
        return made

    # ---- VMs

    def new_port(self, asked, network):
        """Makes a port as ASKED, in the API's words; returns it as the API shows it."""
        return self.api("POST", "/v2.0/ports", {"port": asked})["port"]

    def vm(self, name, network, hv, ip=None, **extra):
        """A VM (namespace) on HV with a port of NETWORK (EXTRA: more of the port), plugged as libvirt would. Returns its record."""
        w = self.world
        asked = {"network_id": network["id"], "name": name, "binding:host_id": hv, "device_owner": "compute:nova"}
        if ip:
            asked["fixed_ips"] = [{"ip_address": ip}]
        port = self.new_port({**asked, **extra}, network)
        ns = w.netns(name)
        tap = "tap" + port["id"][:11]
        w.veth(ns, "eth0", self.hv_ns(hv), tap)
        w.sysctl(ns, net__ipv6__conf__eth0__accept_dad=0)
        w.ip(ns, "link", "set", "eth0", "address", port["mac_address"], "mtu", network["mtu"], "up")
        for fixed in port["fixed_ips"]:
            nodad = ["nodad"] if ":" in fixed["ip_address"] else []
            length = 64 if ":" in fixed["ip_address"] else 24
            w.ip(ns, "addr", "add", f"{fixed['ip_address']}/{length}", "dev", "eth0", *nodad)
        # As Nova does: the hypervisor itself does not speak on its VMs' taps.
        w.sysctl(self.hv_ns(hv), **{f"net__ipv6__conf__{tap}__disable_ipv6": 1})
        w.ip(self.hv_ns(hv), "link", "set", tap, "up")
        self.vsctl(hv, "add-port", "br-int", tap, "--", "set", "Interface", tap, f"external_ids:iface-id={port['id']}",
                   f'external_ids:attached-mac="{port["mac_address"]}"', "external_ids:iface-status=active")
        vm = {"name": name, "ns": ns, "hv": hv, "tap": tap, "port": port, "network": network,
              "ip": port["fixed_ips"][0]["ip_address"], "mac": port["mac_address"]}
        self.vms[name] = vm
        return vm

    def wait_active(self, timeout=20):
        def all_active():
            ports = self.api("GET", "/v2.0/ports")["ports"]
            waiting = [p["name"] for p in ports if p["status"] != "ACTIVE" and p["name"] in self.vms]
            all_active.waiting = waiting
            return not waiting
        wait_for(lambda: f"ports to become ACTIVE: {all_active.waiting}", all_active, timeout)

    def ping(self, source, address, count=3, interval=0.05, wait=10, size=56):
        """Number of replies that SOURCE (a VM's name) gets from ADDRESS, the last within WAIT seconds."""
        return echo(self.vms[source]["ns"], address, count, interval, wait, size)

    def neighbour_mac(self, source, address):
        """The MAC that SOURCE has resolved ADDRESS to, or None."""
        shown = self.world.ip(self.vms[source]["ns"], "-j", "neigh", "show", "to", address).stdout
        for entry in json.loads(shown or "[]"):
            if entry.get("lladdr"):
                return entry["lladdr"]
        return None

    # ---- the ovs tools, as an operator runs them

    def tunnel_port(self, hv, bridge, name, kind, key, other, family=None):
        """What tells ovs-vsctl to give HV's BRIDGE a tunnel port that leads to OTHER, over IP version FAMILY (see local_ip())."""
        return ["--", "add-port", bridge, name, "--", "set", "Interface", name, f"type={kind}", f"options:key={key}",
                f'options:remote_ip="{self.local_ip(other, family)}"', f'options:local_ip="{self.local_ip(hv, family)}"']

    def tool(self, hv, *argv, check=True, timeout=30, stdin=None):
        env = ["env", f"OVS_RUNDIR={self.rundir(hv)}"]
        return run("ip", "netns", "exec", self.hv_ns(hv), *env, *argv, check=check, timeout=timeout, stdin=stdin)

    def vsctl(self, hv, *args, check=True):
        patience, db = f"--timeout={10 * PATIENCE:.0f}", f"--db=unix:{self.rundir(hv)}/db.sock"
        return self.tool(hv, "ovs-vsctl", patience, db, *args, check=check).stdout

    def ofctl(self, hv, *args, check=True, stdin=None):
        return self.tool(hv, "ovs-ofctl", "-O", "OpenFlow13", *args, check=check, stdin=stdin).stdout

    def appctl(self, hv, *args, check=True):
        return self.tool(hv, "ovs-appctl", *args, check=check).stdout

    def counter(self, hv, event):
        """How often EVENT has happened so far; one that there is not is an error."""
        return int(self.appctl(hv, "coverage/read-counter", event))

    def drops(self, hv):
        """What was dropped so far, by reason."""
        shown = re.findall(r"^drop_(\w+) .*total: ([1-9]\d*)", self.appctl(hv, "coverage/show"), re.M)
        return {reason: int(total) for reason, total in shown}

    def tunnel_remotes(self, hv):
        """The remote ends that HV has a tunnel port to."""
        rows = json.loads(self.vsctl(hv, "--format=json", "--columns=type,options,ofport", "list", "Interface"))["data"]
        return {dict(options[1])["remote_ip"] for kind, options, ofport in rows
                if kind in ("vxlan", "gre", "geneve") and isinstance(ofport, int) and ofport > 0}

    def wait_mesh(self, timeout=20):
        for hv in self.hypervisors:
            want = {self.local_ip(other) for other in self.hypervisors if other != hv}
            wait_for(lambda: f"{hv} to have tunnels to {want}, has {self.tunnel_remotes(hv)}",
                     lambda: self.tunnel_remotes(hv) >= want, timeout)

    def warnings(self):
        """Lines of our daemons' logs at WARN or ERR."""
        return [f"{log.stem}: {line}" for log in sorted(self.dir.glob("*.log"))
                if log.stem.split("-")[0] in ("controller", "switchd", "agent")
                for line in log.read_text(errors="replace").splitlines() if line.startswith(("WARN ", "ERR "))
                or "runtime error" in line or "Sanitizer" in line]

    def down(self):
        return self.world.destroy()


def require_root():
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and needs root")
