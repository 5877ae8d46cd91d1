# SPDX-License-Identifier: Apache-2.0
"""Underlays whose devices, routes and addresses are others than a network card with a default route, and those that change under
traffic. Tunnels of each kind over IPv4 and IPv6 pass, on the fast path where nothing else is said, and nothing is lost silently."""
import contextlib
import itertools
import json
import pathlib
import re
import signal

import pytest
from captures import Capture
from echo import echo
from super_packets import TUNNELS
from transfer import ask_from, serve_in
from world import LabError, run, wait_for

RELAY = pathlib.Path(__file__).with_name("tun_pair.py")
OTHER = {"hv1": "hv2", "hv2": "hv1"}
MTU = 1300
SIZES = (0, 56, 1000, MTU - 28, 4000)


@pytest.fixture(scope="module")
def cloud(cloud_factory, datapath):
    """A VM of each hypervisor has a device in each of six bridges, which are joined by a tunnel each."""
    cloud = cloud_factory(datapath=datapath)
    cloud.switches_up("hv1", "hv2")
    cloud.vm_ns = {hv: bridges_up(cloud, hv) for hv in cloud.hypervisors}
    assert_tunnels(cloud)
    return cloud


def bridges_up(cloud, hv):
    host, ns, vm, commands = hv[2:], cloud.hv_ns(hv), cloud.world.netns(f"vm{hv}"), []
    for n, (kind, family) in enumerate(TUNNELS):
        cloud.world.veth(ns, f"tap{n}", vm, f"eth{n}")
        cloud.world.sysctl(ns, **{f"net__ipv6__conf__tap{n}__disable_ipv6": 1})
        cloud.world.ip(ns, "link", "set", f"tap{n}", "mtu", MTU, "up")
        cloud.world.ip_batch(vm, [f"link set eth{n} mtu {MTU} up", f"addr add 10.6.{n}.{host}/24 dev eth{n}"])
        commands += ["--", "add-br", f"br{n}", "--", "add-port", f"br{n}", f"tap{n}",
                     *cloud.tunnel_port(hv, f"br{n}", f"tun{n}", kind, 70 + n, OTHER[hv], family)]
    cloud.vsctl(hv, *commands[1:])
    serve_in(cloud.world, f"serve-{hv}", vm)
    return vm


def answers(ns, target, count=1, size=56):
    """All at once."""
    return echo(ns, target, count, interval=0, wait=1, size=size)


def is_fast(cloud):
    return "dp:ebpf" in cloud.appctl("hv1", "dpctl/dump-flows", "-m")


def assert_tunnels(cloud, fast=True, numbers=range(len(TUNNELS))):
    """What VMs send arrives, of all sizes. FAST: and without the switches' help, where there is a fast path."""
    vm = cloud.vm_ns["hv1"]
    for n in numbers:
        kind = "{} over IPv{}".format(*TUNNELS[n])
        wait_for(lambda k=kind: f"{k}: an answer; dropped: {[cloud.drops(hv) for hv in cloud.hypervisors]}",
                 lambda n=n: answers(vm, f"10.6.{n}.2"), 20)
        for size in SIZES:
            assert answers(vm, f"10.6.{n}.2", 5, size) == 5, (kind, size)
        assert ask_from(cloud.world, vm, "ask-tcp", f"10.6.{n}.2") == "", kind
    if fast and is_fast(cloud):
        with cloud.switches_frozen():
            got = {TUNNELS[n]: answers(vm, f"10.6.{n}.2", 5) for n in numbers}
        assert set(got.values()) == {5}, got


def ip(cloud, ns, commands):
    """COMMANDS of ip, some of which may begin with -6, which no batch takes."""
    for six, group in itertools.groupby(commands, lambda command: command.startswith("-6")):
        if six:
            for command in group:
                cloud.world.ip(ns, *command.split())
        else:
            cloud.world.ip_batch(ns, group)


@contextlib.contextmanager
def changed(cloud, undo, *commands, hv="hv1"):
    """COMMANDS of ip are carried out in HV's namespace, and UNDO afterwards."""
    ip(cloud, cloud.hv_ns(hv), commands)
    try:
        yield
    finally:
        ip(cloud, cloud.hv_ns(hv), undo)


# ---- devices

def lead(cloud, hv, link, how="replace"):
    """The other hypervisor's addresses are reached by LINK; those of both stay where they are."""
    other = OTHER[hv]
    ip(cloud, cloud.hv_ns(hv), [
        f"route {how} {cloud.local_ip(other, '4')}/32 dev {link} src {cloud.local_ip(hv, '4')}",
        f"-6 route {how} {cloud.local_ip(other, '6')}/128 dev {link} src {cloud.local_ip(hv, '6')}"])


def link_up(cloud, link, mtu=1500):
    for hv in cloud.hypervisors:
        ns, host = cloud.hv_ns(hv), hv[2:]
        ip(cloud, ns, [f"link set {link} mtu {mtu} up", f"addr add 10.203.0.{host}/24 dev {link}",
                                  f"addr add fd00:203::{host}/64 dev {link} nodad"])
        lead(cloud, hv, link)


@pytest.fixture
def bare(cloud):
    """The name of devices without Ethernet headers by which the hypervisors reach each other."""
    cloud.world.spawn("relay", ["/usr/bin/python3", "-B", RELAY, cloud.hv_ns("hv1"), "l3", cloud.hv_ns("hv2"), "l3"], ready="ready")
    link_up(cloud, "l3")
    yield "l3"
    cloud.world.kill("relay")  # and its devices, and their routes, with it
    assert_tunnels(cloud)


def test_devices_without_ethernet_headers(cloud, bare):
    """Sent and received; in the middle the route changes to an Ethernet device and back."""
    capture = Capture(cloud.world, cloud.hv_ns("hv2"), bare)
    assert_tunnels(cloud)
    packets = capture.stop().tshark("ip.checksum.status", "udp.checksum.status", "udp.dstport", "_ws.malformed")
    assert not [p for p in packets if "0" in p.get("ip.checksum.status", []) + p.get("udp.checksum.status", []) or "_ws.malformed" in p]
    assert len([p for p in packets if "4789" in p.get("udp.dstport", [])]) > 50
    assert answers(cloud.hv_ns("hv1"), cloud.local_ip("hv2", "4"), 3) == 3, "the host's own traffic"
    for how in ("del", "add"):
        for hv in cloud.hypervisors:
            lead(cloud, hv, bare, how)
        assert answers(cloud.vm_ns["hv1"], "10.6.0.2", 10) == 10, how
    assert_tunnels(cloud)


@pytest.mark.alone
def test_the_switch_goes_from_there(cloud, bare):
    """Killed, it goes on forwarding; detached, nothing of it is left at the device."""
    if not is_fast(cloud):
        pytest.skip("the userspace datapath ends with its process")
    assert_tunnels(cloud)
    cloud.allowed_warnings += ["connection", "connect", "lost", "closed", "reset by peer", "refused", "No such file"]
    cloud.world.kill("switchd-hv1", signal.SIGKILL)
    assert answers(cloud.vm_ns["hv1"], "10.6.0.2", 10) == 10
    cloud.switches_again("hv1")
    assert_tunnels(cloud)
    assert "uplink_ingress" in filters(cloud, bare)
    cloud.world.kill("switchd-hv1")
    run("nsenter", f"--net=/run/netns/{cloud.hv_ns('hv1')}", cloud.program("warren-switchd"), "--rundir", cloud.rundir("hv1"),
        "--detach-datapath")
    assert not filters(cloud, bare)
    assert "clsact" not in cloud.world.sh(cloud.hv_ns("hv1"), "tc", "qdisc", "show").stdout
    cloud.switchd_up("hv1")


def filters(cloud, link):
    return cloud.world.sh(cloud.hv_ns("hv1"), "tc", "filter", "show", "dev", link, "ingress").stdout


def make_or_skip(cloud, hv, command):
    try:
        cloud.world.ip(cloud.hv_ns(hv), *command.split())
    except LabError as error:
        if re.search("Unknown device type|not supported", str(error)):
            pytest.skip("the kernel knows no such devices")
        raise


def ends(cloud, hv, near, far):
    """Where HV's tunnel of number 0 begins and ends."""
    cloud.vsctl(hv, "set", "Interface", "tun0", f"options:local_ip={near}", f"options:remote_ip={far}")


@pytest.mark.parametrize("form", ["gre", "gre to many", "sit"])
def test_tunnels_of_the_kernel(cloud, form):
    """The kernel's own IP tunnels as underlay; of those with many other ends the neighbour says which is meant."""
    many = "many" in form
    with contextlib.ExitStack() as undo:
        for hv, other in OTHER.items():
            end = "key 9" if many else f"remote {cloud.local_ip(other, '4')}"
            make_or_skip(cloud, hv, f"link add l3 type {form.split()[0]} local {cloud.local_ip(hv, '4')} {end}")
            undo.callback(cloud.world.ip, cloud.hv_ns(hv), "link", "del", "l3")
            ip(cloud, cloud.hv_ns(hv), ["link set l3 mtu 1400 up", f"addr add 10.203.0.{hv[2:]}/24 dev l3"])
            if many:
                ip(cloud, cloud.hv_ns(hv), [f"neigh replace 10.203.0.{other[2:]} lladdr {cloud.local_ip(other, '4')} dev l3 nud permanent"])
            ends(cloud, hv, f"10.203.0.{hv[2:]}", f"10.203.0.{other[2:]}")
            undo.callback(ends, cloud, hv, cloud.local_ip(hv, "4"), cloud.local_ip(other, "4"))
        assert_tunnels(cloud, False, [0])
    assert_tunnels(cloud)


def test_addresses_in_a_vrf(cloud):
    """Rules must lead the tunnels' packets there, and sockets must be open to it, for what user space does."""
    ns, back = cloud.hv_ns("hv1"), ["route replace default via 10.201.1.1", "-6 route replace default via fd00:201:1::1"]
    make_or_skip(cloud, "hv1", "link add blue type vrf table 10")
    with contextlib.ExitStack() as undo:
        undo.callback(ip, cloud, ns, ["link del blue", "-6 addr replace fd00:201:1::2/64 dev und0 nodad", *back])
        cloud.world.sysctl(ns, net__ipv4__udp_l3mdev_accept=1, net__ipv4__raw_l3mdev_accept=1)
        ip(cloud, ns, ["link set blue up", "link set und0 master blue", "-6 addr replace fd00:201:1::2/64 dev und0 nodad",
                       *(f"{line} table 10" for line in back)])
        for family, address in (("-4", "10.201.1.2"), ("-6", "fd00:201:1::2")):
            cloud.world.ip(ns, family, "rule", "add", "from", address, "lookup", "10", "pref", "500")
            undo.callback(cloud.world.ip, ns, family, "rule", "del", "pref", "500")
        assert_tunnels(cloud)
    assert_tunnels(cloud)


# ---- routes

def test_rules_for_what_the_host_sends(cloud):
    """`iif lo` means packets of this host, among which a lookup for another device is none: by user space."""
    commands = ["route add blackhole default metric 1", "route add default via 10.201.1.1 table 100",
                "-6 route add blackhole default metric 1", "-6 route add default via fd00:201:1::1 table 100",
                "rule add iif lo lookup 100 pref 100", "-6 rule add iif lo lookup 100 pref 100"]
    undo = ["rule del pref 100", "-6 rule del pref 100", "route del blackhole default metric 1", "-6 route del blackhole default metric 1",
            "route flush table 100", "-6 route flush table 100"]
    with changed(cloud, undo, *commands):
        assert_tunnels(cloud, fast=False)
    assert_tunnels(cloud)


def test_a_route_with_an_encapsulation(cloud):
    """As of SRv6, MPLS or another tunnel's: by user space."""
    for link in ("all", "und0"):
        cloud.world.sysctl(cloud.hv_ns("hv2"), **{f"net__ipv6__conf__{link}__seg6_enabled": 1})
    far = cloud.local_ip("hv2", "6")
    route = f"-6 route add {far}/128 encap seg6 mode encap segs fd00:201:2::99 via fd00:201:1::1"
    with changed(cloud, ["addr del fd00:201:2::99/64 dev und0"], "addr add fd00:201:2::99/64 dev und0 nodad", hv="hv2"):
        with changed(cloud, [f"-6 route del {far}/128"], route):
            capture = Capture(cloud.world, cloud.hv_ns("hv1"), "und0", "ip6 and dst fd00:201:2::99")
            assert_tunnels(cloud, fast=False)
            assert len(capture.stop().packets()) > 50
    assert_tunnels(cloud)


def test_the_remote_is_on_this_host(cloud):
    """Two bridges of one switch, with tunnels between two addresses of the host."""
    w, ns = cloud.world, cloud.hv_ns("hv1")
    addresses = {"4": ("10.201.1.2", "10.201.1.3"), "6": ("fd00:201:1::2", "fd00:201:1::3")}
    ip(cloud, ns, [f"addr add {addresses['4'][1]}/24 dev und0", f"addr add {addresses['6'][1]}/64 dev und0 nodad"])
    for end in (0, 1):
        vm = w.netns(f"same{end}")
        for n, (kind, family) in enumerate(TUNNELS):
            near, far = addresses[family][end], addresses[family][1 - end]
            w.veth(ns, f"s{end}p{n}", vm, f"eth{n}")
            ip(cloud, ns, [f"link set s{end}p{n} up"])
            w.ip_batch(vm, [f"link set eth{n} mtu {MTU} up", f"addr add 10.7.{n}.{end + 1}/24 dev eth{n}"])
            cloud.vsctl("hv1", "add-br", f"s{end}br{n}", "--", "add-port", f"s{end}br{n}", f"s{end}p{n}", "--", "add-port", f"s{end}br{n}",
                        f"s{end}tun{n}", "--", "set", "Interface", f"s{end}tun{n}", f"type={kind}", f"options:key={170 + n}",
                        f'options:remote_ip="{far}"', f'options:local_ip="{near}"')
    for n, kind in enumerate(TUNNELS):
        wait_for(lambda k=kind: f"{k}: an answer; dropped: {cloud.drops('hv1')}",
                 lambda n=n: answers(f"{w.name}-same0", f"10.7.{n}.2"), 20)
        for size in SIZES:
            assert answers(f"{w.name}-same0", f"10.7.{n}.2", 5, size) == 5, (kind, size)
    for end in (0, 1):
        for n in range(len(TUNNELS)):
            cloud.vsctl("hv1", "del-br", f"s{end}br{n}")
            w.ip(ns, "link", "del", f"s{end}p{n}")
    ip(cloud, ns, [f"addr del {addresses['4'][1]}/24 dev und0", f"addr del {addresses['6'][1]}/64 dev und0"])


def test_each_copy_fits_its_path(cloud):
    """A packet goes to two remotes, of which the second one's path is narrower: its copy is cut, and the first one's is not."""
    w, ns, vm = cloud.world, cloud.hv_ns("hv1"), cloud.vm_ns["hv1"]
    w.ip(cloud.hv_ns("hv2"), "addr", "add", "10.201.2.3/24", "dev", "und0")
    with changed(cloud, ["route del 10.201.2.3"], "route add 10.201.2.3 via 10.201.1.1 mtu 1200"):
        cloud.vsctl("hv1", "add-port", "br0", "narrow", "--", "set", "Interface", "narrow", "type=vxlan", "options:key=99",
                    "options:remote_ip=10.201.2.3", "options:df_default=false")
        cloud.ofctl("hv1", "add-flow", "br0", "in_port=tap0,icmp,actions=output:tun0,output:narrow")
        assert answers(vm, "10.6.0.2", 3, 1200) == 3
        capture = Capture(w, ns, "und0", "src 10.201.1.2 and udp")
        assert answers(vm, "10.6.0.2", 10, 1200) == 10
        sizes = {}
        for packet in capture.stop().packets():
            sizes.setdefault(packet["IP"].dst, []).append(packet["IP"].len)
    assert max(sizes["10.201.2.2"]) > 1200 >= max(sizes["10.201.2.3"]), {dst: max(n) for dst, n in sizes.items()}
    cloud.ofctl("hv1", "del-flows", "br0", "icmp")
    cloud.vsctl("hv1", "del-port", "br0", "narrow")
    w.ip(cloud.hv_ns("hv2"), "addr", "del", "10.201.2.3/24", "dev", "und0")


# ---- IPsec

SPIS = {"hv1": "0x101", "hv2": "0x102"}


def policy(cloud, how, hv, direction, select=""):
    near, far = cloud.local_ip(hv, "4"), cloud.local_ip(OTHER[hv], "4")
    src, dst = (near, far) if direction == "out" else (far, near)
    ending = f"tmpl src {src} dst {dst} proto esp mode transport" if how == "add" else ""
    cloud.world.ip(cloud.hv_ns(hv), *f"xfrm policy {how} src {src} dst {dst} {select} dir {direction} {ending}".split())


@pytest.mark.parametrize("select", ["", "proto udp dport 4789"], ids=["addresses", "ports"])
def test_nothing_leaves_in_the_clear(cloud, select):
    """An IPsec policy for what is sent, and no association yet: nothing leaves, until there is no policy any more. What selects by
    ports is told, because user space's packets do not show theirs."""
    vm, heard = cloud.vm_ns["hv1"], f"src {cloud.local_ip('hv1', '4')} and dst {cloud.local_ip('hv2', '4')} and udp port 4789"
    if select:
        cloud.allowed_warnings.append("selects by more than addresses")
    before = cloud.drops("hv1").get("tunnel_ipsec", 0)
    with contextlib.ExitStack() as undo:
        policy(cloud, "add", "hv1", "out", select)
        undo.callback(policy, cloud, "delete", "hv1", "out", select)
        wait_for("no answers", lambda: not answers(vm, "10.6.0.2"))
        capture = Capture(cloud.world, cloud.hv_ns("hv2"), "und0", heard)
        assert answers(vm, "10.6.0.2", 5) == 0
        assert answers(vm, "10.6.1.2", 5) == 5, "by IPv6, for which no policy is"
        assert not capture.stop().packets()
        assert bool(select) == (cloud.drops("hv1").get("tunnel_ipsec", 0) > before)
    assert_tunnels(cloud)


def test_nothing_is_taken_in_the_clear(cloud):
    """An IPsec policy for what is received."""
    with contextlib.ExitStack() as undo:
        policy(cloud, "add", "hv1", "in")
        undo.callback(policy, cloud, "delete", "hv1", "in")
        wait_for("no answers", lambda: not answers(cloud.vm_ns["hv1"], "10.6.0.2"))
        for n in (0, 2, 4):  # IPv4's
            assert answers(cloud.vm_ns["hv1"], f"10.6.{n}.2", 5) == 0, TUNNELS[n]
    assert_tunnels(cloud)


def test_ipsec_carries_tunnels(cloud):
    """With associations all passes, and nothing but ESP is seen."""
    state = "proto esp mode transport auth hmac(sha256) 0x{key} enc ecb(cipher_null) 0x".format(key="17" * 32)
    try:
        for hv in cloud.hypervisors:
            for owner in cloud.hypervisors:
                src, dst = cloud.local_ip(owner, "4"), cloud.local_ip(OTHER[owner], "4")
                cloud.world.ip(cloud.hv_ns(hv), *f"xfrm state add src {src} dst {dst} spi {SPIS[owner]} {state}".split()[:-1], "")
    except LabError as error:
        if re.search("not supported|type not found", str(error)):
            pytest.skip("the kernel knows no ESP")
        raise
    for hv in cloud.hypervisors:
        for direction in ("out", "in"):
            policy(cloud, "add", hv, direction)
    wait_for("the policies to be known", lambda: not is_fast(cloud) or all(
        "because of IPsec policies" in cloud.world.log(f"switchd-{hv}") for hv in cloud.hypervisors))
    capture = Capture(cloud.world, f"{cloud.world.name}-rt", "u1", "ip and not icmp")
    assert_tunnels(cloud, False, [0, 2, 4])
    assert {packet["IP"].proto for packet in capture.stop().packets()} == {50}
    for hv in cloud.hypervisors:
        ip(cloud, cloud.hv_ns(hv), ["xfrm policy flush", "xfrm state flush"])
    assert_tunnels(cloud)


# ---- changes under traffic

ADDRESSES = ["addr replace 10.201.1.2/24 dev und0", "-6 addr replace fd00:201:1::2/64 dev und0 nodad",
             "route replace default via 10.201.1.1", "-6 route replace default via fd00:201:1::1"]


def down_and_up(cloud):
    ip(cloud, cloud.hv_ns("hv1"), ["link set und0 down", "link set und0 up", *ADDRESSES])


def carrier(cloud):
    for state in ("down", "up"):
        cloud.world.ip(f"{cloud.world.name}-rt", "link", "set", "u1", state)
    cloud.world.ip(f"{cloud.world.name}-rt", "-6", "addr", "replace", "fd00:201:1::1/64", "dev", "u1", "nodad")


def addresses(cloud):
    ip(cloud, cloud.hv_ns("hv1"), ["addr flush dev und0", "link set und0 down", "link set und0 up", *ADDRESSES])


def renamed(cloud):
    for old, new in (("und0", "other"), ("other", "und0")):
        ip(cloud, cloud.hv_ns("hv1"), [f"link set {old} down", f"link set {old} name {new}", f"link set {new} up",
                                                  *(line.replace("und0", new) for line in ADDRESSES)])
        wait_for(f"an answer by {new}", lambda: answers(cloud.vm_ns["hv1"], "10.6.0.2"), 10)


def elsewhere(cloud):
    here, there = cloud.hv_ns("hv1"), f"{cloud.world.name}-rt"
    cloud.world.ip(here, "link", "set", "und0", "netns", there)
    cloud.world.ip(there, "link", "set", "und0", "netns", here)
    ip(cloud, here, ["link set und0 up", *ADDRESSES])


def made_anew(cloud):
    here, there = cloud.hv_ns("hv1"), f"{cloud.world.name}-rt"
    cloud.world.ip(here, "link", "del", "und0")
    cloud.world.veth(here, "und0", there, "u1")
    ip(cloud, there, ["link set u1 up", "addr add 10.201.1.1/24 dev u1", "-6 addr add fd00:201:1::1/64 dev u1 nodad"])
    ip(cloud, here, ["link set und0 up", *ADDRESSES])


@pytest.mark.parametrize("change", [down_and_up, carrier, addresses, renamed, elsewhere, made_anew], ids=lambda f: f.__name__)
def test_the_uplink_comes_back(cloud, change):
    """What happens to it under traffic costs what passes meanwhile, and no more."""
    probe = ["ping", "-q", "-n", "-i", "0.01", "-W", "1", "10.6.0.2"]
    cloud.world.spawn("probe", probe, netns=cloud.vm_ns["hv1"])
    change(cloud)
    assert_tunnels(cloud)
    cloud.world.kill("probe")
    links = json.loads(cloud.world.ip(cloud.hv_ns("hv1"), "-j", "link").stdout)
    assert "und0" in [link["ifname"] for link in links]
