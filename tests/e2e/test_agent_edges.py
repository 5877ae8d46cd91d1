# SPDX-License-Identifier: Apache-2.0
"""warren-agent where it is easy to go wrong: VLANs that are used again, moves, rows and settings that nobody should have made."""
import contextlib
import json
import pathlib
import re
import signal
import time

import pytest
from captures import Capture
from overlay import HandFilledCloud
from relay import Relay
from scapy.all import Ether
from world import LabError, run, wait_for


@pytest.fixture
def make_cloud(cloud_factory):
    def make(hypervisors=("hv1", "hv2"), agent_args=()):
        cloud = cloud_factory()
        cloud.__class__ = HandFilledCloud
        cloud.up(hypervisors, agent_args=agent_args)
        return cloud
    return make


SEND = """
import pathlib, socket, sys
sent = pathlib.Path("/sys/class/net/eth0/statistics/tx_packets")
before = int(sent.read_text())
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
    s.bind(("eth0", 0))
    for frame in sys.argv[1:]:
        s.send(bytes.fromhex(frame))
assert int(sent.read_text()) >= before + len(sys.argv[1:])
"""


def send_broadcasts(cloud, ns, mac, vlans=(None,), count=3):
    """Frames of EtherType 0x88b5 from inside NS, tagged or not."""
    tags = ["" if vlan is None else f"8100{vlan:04x}" for vlan in vlans]
    frames = ["ff" * 6 + mac.replace(":", "") + tag + "88b5" + "77" * 46 for tag in tags]
    cloud.world.sh(ns, "/usr/bin/python3", "-c", SEND, *frames * count)


def plug(cloud, hv, name, port_id, extra=()):
    """A namespace NAME behind a tap on br-int whose iface-id is PORT_ID. Returns (namespace, tap)."""
    w, ns, tap = cloud.world, cloud.world.netns(name), f"tap{name}"
    w.veth(ns, "eth0", cloud.hv_ns(hv), tap)
    w.ip(ns, "link", "set", "eth0", "up")
    w.ip(cloud.hv_ns(hv), "link", "set", tap, "up")
    cloud.vsctl(hv, "add-port", "br-int", tap, *extra, "--", "set", "Interface", tap, f"external_ids:iface-id={port_id}")
    return ns, tap


def test_a_vlan_that_is_being_written_goes_to_no_other_network(make_cloud):
    """Which VLANs are taken is known again when the switch's database has the last ones; until then no network gets one."""
    cloud = make_cloud(("hv1",))
    red, green, blue = (cloud.network(name) for name in ("red", "green", "blue"))
    red1, green1 = (cloud.new_port({"name": n["name"], "binding:host_id": "hv1"}, n) for n in (red, green))
    cloud.delete_port(green1["id"])  # for now
    _, red_tap = plug(cloud, "hv1", "r1", red1["id"])
    wait_for("red1's port", lambda: cloud.port_up(red1["id"]) is True, 10)
    red_vlan = cloud.ovs("hv1", "Port", red_tap, "tag")
    relay = Relay(cloud.rundir("hv1") / "relay.sock", cloud.rundir("hv1") / "db.sock")
    cloud.world.kill("agent-hv1")
    cloud.agent_up("hv1", "--db", f"unix:{cloud.rundir('hv1')}/relay.sock")
    green1 = cloud.new_port({"name": "g1", "binding:host_id": "hv1"}, green)
    vlan_of = lambda n: [int(v, 0) & 0xfff for flow in cloud.flows("hv1", "br-tun", "table=4") if f"tun_id={n['vni']:#x} " in flow  # noqa: E731
                         for v in re.findall(r"set_field:(\d+)->vlan_vid", flow)]
    wait_for("green's flows", lambda: vlan_of(green), 10)

    # Green's VLAN is on its way into the database when red's becomes free, and blue comes.
    relay.asked.clear()
    relay.speaking.clear()
    _, green_tap = plug(cloud, "hv1", "g1", green1["id"])
    assert relay.asked.wait(10)
    (green_vlan,) = vlan_of(green)
    assert green_vlan != red_vlan
    cloud.vsctl("hv1", "del-port", red_tap)
    blue_operations = cloud.port_operations({"name": "b1", "binding:host_id": "hv1"}, blue)[1]
    cloud.transact(*cloud.delete_port_operations(red1["id"]), *blue_operations)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        assert vlan_of(blue) != [green_vlan], cloud.flows("hv1", "br-tun", "table=4")
        time.sleep(0.05)
    relay.speaking.set()
    wait_for("blue's flows", lambda: vlan_of(blue) not in ([], [green_vlan]), 10)
    assert cloud.ovs("hv1", "Port", green_tap, "tag") == green_vlan and vlan_of(green) == [green_vlan]
    wait_for("green1's port", lambda: cloud.port_up(green1["id"]) is True, 10)
    relay.close()


def test_changes_that_do_not_end_keep_no_flow_back(make_cloud):
    """More ports come while the agent reads what a slow switch has, each time: those that came before have their flows, and are up, all the same."""
    cloud = make_cloud()
    red = cloud.network("red", cidr="10.0.0.0/16")
    cloud.new_port({"name": "r1", "binding:host_id": "hv1"}, red)
    cloud.wait_mesh()
    slow = cloud.dir / "slow"
    slow.mkdir()
    (slow / "br-int.mgmt").symlink_to(cloud.rundir("hv1") / "br-int.mgmt")
    relay = Relay(slow / "br-tun.mgmt", cloud.rundir("hv1") / "br-tun.mgmt", latency=0.3)
    cloud.world.kill("agent-hv1")
    cloud.agent_up("hv1", "--rundir", slow, "--db", f"unix:{cloud.rundir('hv1')}/db.sock")
    there = lambda port: any(port["mac"] in flow for flow in cloud.flows("hv1", "br-tun", "table=20"))  # noqa: E731
    known = cloud.new_port({"name": "r2", "binding:host_id": "hv2"}, red)
    wait_for("the agent to program the switch", lambda: there(known), 20)

    first, here = (cloud.new_port({"name": hv, "binding:host_id": hv}, red) for hv in ("hv2", "hv1"))
    plug(cloud, "hv1", "r3", here["id"])
    end = time.monotonic() + 15
    while not (there(first) and cloud.port_up(here["id"])):
        assert time.monotonic() < end, (cloud.port_up(here["id"]), cloud.flows("hv1", "br-tun", "table=20"))
        for _ in range(3):
            cloud.new_port({"name": "more", "binding:host_id": "hv2"}, red)
            time.sleep(0.05)
    relay.close()


def test_a_vlan_that_is_used_again_inherits_nothing(make_cloud):
    """What was learned for one network must not lead frames of the next one on the same VLAN into the first."""
    cloud = make_cloud(agent_args=("--l2-population", "no"))
    red, blue = cloud.network("red"), cloud.network("blue")
    red1 = cloud.vm("red1", red, "hv1")
    red2 = cloud.vm("red2", red, "hv2")
    cloud.wait_active()
    assert cloud.ping("red1", red2["ip"], count=2) == 2
    vlan, vni = cloud.tag(red1), f"{red['vni']:#x}->NXM_NX_TUN_ID"
    learned = lambda: [f for f in cloud.ofctl("hv1", "dump-flows", "br-tun", "table=20").splitlines() if vni in f]  # noqa: E731
    assert learned()
    # Red's last port here goes in the same moment in which blue's first comes.
    port, operations = cloud.port_operations({"name": "blue1", "binding:host_id": "hv1"}, blue)
    cloud.transact(*cloud.delete_port_operations(red1["port"]["id"]), *operations)
    del cloud.vms["red1"]
    plug(cloud, "hv1", "b1", port["id"])
    wait_for("blue1's port", lambda: cloud.port_up(port["id"]) is True, 10)
    if cloud.ovs("hv1", "Port", "tapb1", "tag") == vlan:
        wait_for(lambda: f"red's learned flows to go: {learned()}", lambda: not learned(), 5)


def test_a_port_plugged_while_the_agent_is_away_cannot_speak(make_cloud):
    """Nothing has given it a VLAN yet: with a tag of its own choice it must not get into a tenant's. (It does hear what NORMAL floods to
    trunks. No flow can hinder that, only who plugs it: next test.)"""
    cloud = make_cloud()
    network = cloud.network("red")
    red1, red2 = (cloud.vm(name, network, "hv1") for name in ("red1", "red2"))
    cloud.wait_active()
    cloud.world.kill("agent-hv1", signal.SIGKILL)
    ns, tap = plug(cloud, "hv1", "new", "00000000-0000-4000-8000-000000000000")
    wait_for("its OpenFlow port", lambda: isinstance(cloud.ofport("hv1", tap), int))
    said = Capture(cloud.world, cloud.hv_ns("hv1"), red1["tap"], "ether proto 0x88b5")
    send_broadcasts(cloud, ns, "02:00:00:00:00:77", vlans=(None, cloud.tag(red1)))
    send_broadcasts(cloud, red2["ns"], red2["mac"])  # who may speak is heard
    said.wait_for_frame_of(red2["mac"])
    assert not [p.summary() for p in said.stop().packets() if p[Ether].src == "02:00:00:00:00:77"]


def test_a_port_plugged_into_the_dead_vlan_while_the_agent_is_away(make_cloud):
    """... reaches nobody, and is wired when the agent is back."""
    cloud = make_cloud()
    network = cloud.network("red")
    red1, red2 = (cloud.vm(name, network, "hv1") for name in ("red1", "red2"))
    cloud.wait_active()
    cloud.world.kill("agent-hv1", signal.SIGKILL)
    port = cloud.new_port({"name": "new", "binding:host_id": "hv1"}, network)
    ns, tap = plug(cloud, "hv1", "new", port["id"], extra=("tag=4095",))
    wait_for("its OpenFlow port", lambda: isinstance(cloud.ofport("hv1", tap), int))
    heard = Capture(cloud.world, cloud.hv_ns("hv1"), tap, "ether proto 0x88b5 or vlan")
    said = Capture(cloud.world, cloud.hv_ns("hv1"), red1["tap"], "ether proto 0x88b5")
    others = Capture(cloud.world, cloud.hv_ns("hv1"), red2["tap"], "ether proto 0x88b5")
    send_broadcasts(cloud, red1["ns"], red1["mac"])
    send_broadcasts(cloud, ns, "02:00:00:00:00:77", vlans=(None, cloud.tag(red1)))
    send_broadcasts(cloud, red2["ns"], red2["mac"])
    for capture, mac in ((others, red1["mac"]), (heard, "02:00:00:00:00:77"), (said, red2["mac"])):  # all that may be is heard
        capture.wait_for_frame_of(mac)
    foreign = [p.summary() for p in heard.stop().packets() if p[Ether].src == red1["mac"]]
    spoken = [p.summary() for p in said.stop().packets() if p[Ether].src == "02:00:00:00:00:77"]
    assert not foreign and not spoken, (foreign, spoken)
    cloud.agent_up("hv1")
    wait_for("ACTIVE", lambda: cloud.port_up(port["id"]) is True, 10)
    assert cloud.ovs("hv1", "Port", tap, "tag") == cloud.tag(red1)


def assert_new_ports_are_wired(cloud, network):
    """After a senseless row: both hosts still take new ports, and have a unicast flow to the other's."""
    new = cloud.vm("red3", network, "hv1"), cloud.vm("red4", network, "hv2")
    cloud.wait_active(8)
    for vm, hv in zip(new, ("hv2", "hv1")):
        wait_for(f"a flow of {hv} to {vm['name']}", lambda v=vm, h=hv: any(
            v["mac"] in flow and "priority=2" in flow for flow in cloud.flows(h, "br-tun", "table=20")), 5)
    assert cloud.ping("red3", new[1]["ip"], count=2) == 2


def two_vms(cloud):
    network = cloud.network("red")
    cloud.vm("red1", network, "hv1")
    cloud.vm("red2", network, "hv2")
    cloud.wait_active()
    return network


@pytest.mark.parametrize("mac", ["not-a-mac", "fa:16:3e:00:00:01,actions=NORMAL"])
def test_a_mac_that_makes_no_sense_harms_only_its_port(make_cloud, mac):
    cloud = make_cloud()
    cloud.allowed_warnings += [mac]
    network = two_vms(cloud)
    port = cloud.new_port({"name": "bad", "binding:host_id": "hv1", "mac_address": mac}, network)
    plug(cloud, "hv1", "bad", port["id"])
    assert_new_ports_are_wired(cloud, network)
    assert cloud.port_up(port["id"]) is not True


def test_a_mac_cannot_bring_a_flow_of_its_own(make_cloud):
    cloud = make_cloud()
    cloud.allowed_warnings += ["mac", "MAC", "priority=65535"]
    network = two_vms(cloud)
    mac = "fa:16:3e:00:00:01,actions=drop\npriority=65535"
    port = cloud.new_port({"name": "bad", "binding:host_id": "hv1", "mac_address": mac}, network)
    plug(cloud, "hv1", "bad", port["id"])
    assert_new_ports_are_wired(cloud, network)  # the agent has been through it all
    brought = [f for hv in cloud.hypervisors for b in ("br-int", "br-tun") for f in cloud.flows(hv, b)
               if "priority=65535" in f and "dl_vlan=4095" not in f]
    assert not brought


def test_an_address_that_makes_no_sense_harms_only_its_port(make_cloud):
    cloud = make_cloud()
    cloud.allowed_warnings += ["10.0.0.999"]
    network = two_vms(cloud)
    cloud.new_port({"name": "bad", "binding:host_id": "hv1", "fixed_ips": [{"ip_address": "10.0.0.999"}]}, network)
    assert_new_ports_are_wired(cloud, network)


def test_an_endpoint_row_that_makes_no_sense_harms_only_itself(make_cloud):
    cloud = make_cloud()
    cloud.allowed_warnings += ["remote_ip", "endpoint", "address"]
    cloud.transact(*({"op": "insert", "table": "Endpoint", "row": {"host": f"bad{n}", "ip": ip, "tunnel_types": "vxlan"}}
                     for n, ip in enumerate(("nowhere", "10.1.1.1,actions=NORMAL", "", cloud.local_ip("hv1") + " "))))
    network = cloud.network("red")
    cloud.vm("red1", network, "hv1")
    cloud.vm("red2", network, "hv2")
    cloud.wait_active(10)
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=2) == 2


def test_bridges_that_were_there_become_secure(cloud_factory):
    """Somebody made br-int and br-tun by hand, in the default (standalone) mode: with no flows they would switch anything."""
    cloud = cloud_factory()
    cloud.__class__ = HandFilledCloud
    cloud.hypervisors = ["hv1"]
    cloud.underlay_up(["hv1"])
    cloud.controller_up()
    cloud.switchd_up("hv1")
    cloud.vsctl("hv1", "add-br", "br-int", "--", "add-br", "br-tun")
    cloud.agent_up("hv1")
    for bridge in ("br-int", "br-tun"):
        wait_for(f"{bridge} to be secure", lambda b=bridge: cloud.ovs("hv1", "Bridge", b, "fail_mode") == "secure", 5)


def test_tunnels_whose_names_would_be_the_same(cloud_factory):
    """The name of a tunnel over IPv6 has a hash of the address, and these two have the same: each host has its tunnel all the same."""
    cloud = cloud_factory(underlay="6")
    cloud.__class__ = HandFilledCloud
    cloud.up(("hv1", "hv2"))
    twins = "fd00:201:87::2f9", "fd00:201:cb::746"
    cloud.transact(*({"op": "insert", "table": "Endpoint", "row": {"host": f"twin{n}", "ip": ip, "tunnel_types": "vxlan"}}
                     for n, ip in enumerate(twins)))
    network = cloud.network("red", cidr="10.0.0.0/24")
    cloud.vm("red1", network, "hv1")
    ports = [cloud.new_port({"name": f"t{n}", "binding:host_id": f"twin{n}"}, network) for n in range(2)]
    cloud.wait_active(10)
    wait_for("the tunnels", lambda: cloud.tunnel_remotes("hv1") >= {*twins, cloud.local_ip("hv2")}, 10)

    def remotes():
        """Of the tunnels that the ports' frames leave by."""
        flows = cloud.flows("hv1", "br-tun", "table=20")
        names = [re.search(r"output:(\S+)", flow)[1] for port in ports for flow in flows if port["mac"] in flow]
        return [cloud.ovs("hv1", "Interface", name, "options")["remote_ip"] for name in names]

    wait_for(lambda: f"a way to each: {remotes()}", lambda: remotes() == list(twins), 10)


def test_a_new_local_ip_is_used_by_the_tunnels_that_are_there(make_cloud):
    cloud = make_cloud()
    network = cloud.network("red")
    cloud.vm("red1", network, "hv1")
    cloud.vm("red2", network, "hv2")
    cloud.wait_active()
    cloud.world.kill("agent-hv1")
    cloud.world.ip(cloud.hv_ns("hv1"), "addr", "add", "10.201.1.7/24", "dev", "und0")
    cloud.world.spawn("agent-hv1", [cloud.program("warren-agent"), "--host", "hv1", "--local-ip", "10.201.1.7", "--overlay-db",
                                    cloud.overlay, "--rundir", cloud.rundir("hv1")], netns=cloud.hv_ns("hv1"), ready="ready")
    wait_for("hv2's tunnel to the new address", lambda: "10.201.1.7" in cloud.tunnel_remotes("hv2"), 10)
    wait_for("hv1's tunnel from the new address", lambda: cloud.ovs("hv1", "Interface", "vxlan-0ac90202", "options")["local_ip"]
             == "10.201.1.7", 5)
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=2) == 2


def test_what_was_learned_of_a_tunnel_goes_with_it(make_cloud):
    """A host comes back with another address: who was learned behind its old tunnel is found at once behind the new one."""
    cloud = make_cloud(agent_args=("--l2-population", "no"))
    network = cloud.network("red")
    cloud.vm("red1", network, "hv1")
    red2 = cloud.vm("red2", network, "hv2")
    cloud.wait_active()
    assert cloud.ping("red1", red2["ip"], count=2) == 2
    cloud.world.ip(cloud.hv_ns("hv2"), "addr", "add", "10.201.2.3/24", "dev", "und0")
    cloud.world.kill("agent-hv2")
    cloud.agent_up("hv2", "--l2-population", "no", "--local-ip", "10.201.2.3")
    wait_for("its flows", lambda: [f for f in cloud.flows("hv1", "br-tun", "table=22") if "vxlan-0ac90203" in f], 10)
    # Not more than the round in which they were seen: the VMs do not ask for each other again meanwhile.
    assert cloud.ping("red1", red2["ip"], count=2, wait=3) == 2


def test_a_second_interface_with_the_same_iface_id_does_not_escape_port_security(make_cloud):
    cloud = make_cloud()
    network = cloud.network("red")
    red1 = cloud.vm("red1", network, "hv1")
    red2 = cloud.vm("red2", network, "hv1")
    cloud.wait_active()
    ns, _ = plug(cloud, "hv1", "twin", red1["port"]["id"])
    red3 = cloud.vm("red3", network, "hv1")
    cloud.wait_active()  # the agent has seen what came before it, too
    capture = Capture(cloud.world, cloud.hv_ns("hv1"), red2["tap"], "ether proto 0x88b5")
    for where in (ns, red1["ns"]):
        send_broadcasts(cloud, where, "02:00:00:00:00:66")
    send_broadcasts(cloud, red3["ns"], red3["mac"])
    capture.wait_for_frame_of(red3["mac"])
    assert {p[Ether].src for p in capture.stop().packets()} == {red3["mac"]}


@pytest.mark.parametrize("l2pop", ["yes", "no"])
def test_a_silent_vm_that_moves(make_cloud, l2pop):
    """What it says where it arrives is said before its port is bound there, and nobody hears it: the agent says it again."""
    cloud = make_cloud(("hv1", "hv2", "hv3"), ("--l2-population", l2pop))
    w, network = cloud.world, cloud.network("red")
    red1, vm, red3 = (cloud.vm(f"red{i}", network, f"hv{i}") for i in (1, 2, 3))
    for one in (red1, vm, red3):
        w.sysctl(one["ns"], net__ipv6__conf__eth0__disable_ipv6=1)
        for other in (red1, vm, red3):
            if other is not one:
                w.ip(one["ns"], "neigh", "replace", other["ip"], "lladdr", other["mac"], "dev", "eth0", "nud", "permanent")
    cloud.wait_active()
    assert cloud.ping("red1", vm["ip"]) == cloud.ping("red3", vm["ip"]) == 3
    cloud.vsctl("hv2", "del-port", "br-int", vm["tap"])
    w.ip(cloud.hv_ns("hv2"), "link", "set", vm["tap"], "netns", cloud.hv_ns("hv3"))
    w.ip(cloud.hv_ns("hv3"), "link", "set", vm["tap"], "up")
    port_id = vm["port"]["id"]
    cloud.vsctl("hv3", "add-port", "br-int", vm["tap"], "--", "set", "Interface", vm["tap"], f"external_ids:iface-id={port_id}")
    send_broadcasts(cloud, vm["ns"], vm["mac"])  # too early
    cloud.update("Port", port_id, host="hv3")
    vm["hv"] = "hv3"
    wait_for("hv3 to report it", lambda: [r["host"] for r in cloud.rows("Port_Status", port_id=port_id) if r["up"]] == ["hv3"], 10)
    for source in ("red1", "red3"):
        wait_for(f"{source} to reach it there", lambda source=source: cloud.ping(source, vm["ip"], count=1, wait=1) == 1, 3)


@pytest.mark.parametrize("l2pop", ["yes", "no"])
def test_a_vm_that_moves(make_cloud, l2pop):
    """The port's host changes (live migration): all hosts send to the new one at once."""
    cloud = make_cloud(("hv1", "hv2", "hv3"), ("--l2-population", l2pop))
    network = cloud.network("red")
    cloud.vm("red1", network, "hv1")
    vm = cloud.vm("red2", network, "hv2")
    cloud.wait_active()
    assert cloud.ping("red1", vm["ip"], count=2) == 2
    w, port_id = cloud.world, vm["port"]["id"]
    cloud.vsctl("hv2", "del-port", "br-int", vm["tap"])
    w.ip(cloud.hv_ns("hv2"), "link", "set", vm["tap"], "netns", cloud.hv_ns("hv3"))
    w.ip(cloud.hv_ns("hv3"), "link", "set", vm["tap"], "up")
    cloud.update("Port", port_id, host="hv3")
    cloud.vsctl("hv3", "add-port", "br-int", vm["tap"], "--", "set", "Interface", vm["tap"], f"external_ids:iface-id={port_id}")
    vm["hv"] = "hv3"
    wait_for("hv3 to report it", lambda: [r["host"] for r in cloud.rows("Port_Status", port_id=port_id) if r["up"]] == ["hv3"], 10)
    w.sh(vm["ns"], "ping", "-n", "-c", "1", "-W", "1", cloud.vms["red1"]["ip"], check=False)  # it speaks, as a moved guest does
    wait_for("red1 to reach it there", lambda: cloud.ping("red1", vm["ip"], count=1, wait=1) == 1, 5)


def test_allowed_address_pairs(make_cloud):
    """A VM may also speak as its port's pairs say, as VRRP does, and as nobody else. A pair that makes no sense harms nobody."""
    cloud = make_cloud()
    network = cloud.network("red")
    vm = cloud.vm("red1", network, "hv1")
    peer = cloud.vm("red2", network, "hv2")
    cloud.wait_active()
    ns, mac = cloud.vms["red1"]["ns"], "00:00:5e:00:01:07"
    cloud.world.ip(ns, "link", "add", "vrrp", "link", "eth0", "address", mac, "type", "macvlan", "mode", "bridge")
    cloud.world.ip(ns, "link", "set", "vrrp", "up")
    cloud.world.sh(ns, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.vrrp.rp_filter=0", "net.ipv4.conf.all.arp_filter=1")

    def answers(address, device):
        """Do hosts elsewhere reach red1 at ADDRESS, which DEVICE has?"""
        cloud.world.ip(ns, "addr", "add", f"{address}/32", "dev", device)
        cloud.world.sh(ns, "arping", "-q", "-A", "-c", "1", "-I", device, address, check=False)
        count = cloud.ping("red2", address, count=2, wait=1)
        cloud.world.ip(ns, "addr", "del", f"{address}/32", "dev", device)
        cloud.world.ip(cloud.vms["red2"]["ns"], "neigh", "flush", "all")
        return count == 2

    pairs = [f"{vm['mac']},10.0.0.77", f"{mac},10.0.0.80/30", "fa:16:3e:00:00:99,fd00::/64", "01:00:5e:00:00:01,10.0.0.1", "x,y"]
    cloud.allowed_warnings.append("allowed address pair")
    assert not answers("10.0.0.77", "eth0")
    cloud.update("Port", vm["port"]["id"], allowed_address_pairs=["set", pairs])
    wait_for("the pairs' flows", lambda: [f for f in cloud.flows("hv1", "br-int") if "10.0.0.77" in f], 10)
    assert answers("10.0.0.77", "eth0") and not answers("10.0.0.78", "eth0")
    flows = "\n".join(cloud.flows("hv1", "br-int"))
    for text in (f"dl_src={mac}", "arp_spa=10.0.0.80/30", "nd_target=fd00::/64", "nd_target=fe80::f816:3eff:fe00:99"):
        assert text in flows
    assert "01:00:5e" not in flows
    send_broadcasts(cloud, ns, mac)  # and the other MAC passes at all
    cloud.update("Port", vm["port"]["id"], allowed_address_pairs=["set", []])
    wait_for("them to go", lambda: not [f for f in cloud.flows("hv1", "br-int") if "10.0.0.77" in f or mac in f], 10)
    assert cloud.ping("red1", peer["ip"], count=2) == 2


@pytest.fixture
def small_disk(tmp_path):
    """A directory on a disk of its own that can be filled up, and emptied again."""
    class Disk:
        path = tmp_path / "disk"

        def fill(self, write):
            """Fills it; WRITE(n), called again and again, writes a little into what is left of the database's last page."""
            with open(self.path / "filler", "wb", buffering=0) as f, contextlib.suppress(OSError):
                while f.write(b"x" * 512):
                    pass
            with pytest.raises(LabError):
                for n in range(1000):
                    write(n)

        def empty(self):
            (self.path / "filler").unlink()

    Disk.path.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=256k", "warren-test", Disk.path)
    yield Disk()
    run("umount", "-l", Disk.path)


def with_switch_database_on(disk, cloud, *hypervisors):
    """CLOUD, filled by hand, is up with HYPERVISORS; the first one's switch has its database on DISK."""
    cloud.__class__ = HandFilledCloud
    cloud.allowed_warnings += ["refused", "No space left", "I/O error"]
    rundir = cloud.rundir(hypervisors[0])
    rundir.mkdir(parents=True)
    run("ovsdb-tool", "create", disk.path / "conf.db", cloud.schemadir / "open_vswitch.ovsschema")
    (rundir / "conf.db").symlink_to(disk.path / "conf.db")
    cloud.up(hypervisors)
    return cloud


def smallest_write(cloud, hv):
    """A write to HV's switch's database of fewer bytes than any of the agent's, which could find room where it does not."""
    def write(n):
        row = {"system_type": str(n % 10)}
        text = json.dumps(["Open_vSwitch", {"op": "update", "table": "Open_vSwitch", "where": [], "row": row}])
        done = run("ovsdb-client", "transact", f"unix:{cloud.rundir(hv)}/db.sock", text)
        if "error" in done.stdout:
            raise LabError(done.stdout)
    return write


def turns(cloud, program, seconds=2):
    """How often PROGRAM's loop turned around in SECONDS, by its waits."""
    status = pathlib.Path(f"/proc/{cloud.world.pid(program)}/status")
    count = lambda: int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read_text(), re.M)[1])  # noqa: E731
    before = count()
    time.sleep(seconds)
    return count() - before


def test_a_full_overlay_database(cloud_factory, small_disk):
    """What cannot be reported is reported later; nobody is stormed with it meanwhile."""
    cloud = cloud_factory()
    cloud.__class__ = HandFilledCloud
    cloud.allowed_warnings += ["was refused", "No space left"]
    (cloud.dir / "controller").mkdir(parents=True)
    run("ovsdb-tool", "create", small_disk.path / "warren.db", cloud.schemadir / "warren.ovsschema")
    (cloud.dir / "controller/warren.db").symlink_to(small_disk.path / "warren.db")
    cloud.up(("hv1",))
    vm = cloud.vm("red1", cloud.network("red"), "hv1")
    cloud.wait_active()
    small_disk.fill(lambda n: cloud.transact({"op": "update", "table": "Heartbeat", "where": [], "row": {"at": n}}))
    cloud.vsctl("hv1", "del-port", vm["tap"])
    time.sleep(1)
    assert cloud.port_up(vm["port"]["id"]) is True
    assert turns(cloud, "agent-hv1") < 50
    small_disk.empty()
    wait_for("the report", lambda: cloud.port_up(vm["port"]["id"]) is False, 10)


def test_a_full_database_of_the_switch(cloud_factory, small_disk):
    """What the switch's database could not take is written when it can."""
    cloud = with_switch_database_on(small_disk, cloud_factory(), "hv1")
    vm = cloud.vm("red1", cloud.network("red"), "hv1")
    cloud.wait_active()
    small_disk.fill(smallest_write(cloud, "hv1"))
    cloud.delete_port(vm["port"]["id"])
    time.sleep(1)
    assert cloud.tag(vm) != 4095
    assert turns(cloud, "agent-hv1") < 50
    small_disk.empty()
    wait_for("the dead VLAN", lambda: cloud.tag(vm) == 4095, 10)


def test_a_vlan_is_not_used_again_while_a_port_is_in_it(cloud_factory, small_disk):
    """A port that is no one's any more hears nothing of the next network, even while the switch's database takes no change."""
    cloud = with_switch_database_on(small_disk, cloud_factory(), "hv1", "hv2")
    red, blue = cloud.network("red"), cloud.network("blue")
    red1, blue2 = cloud.vm("red1", red, "hv1"), cloud.vm("blue2", blue, "hv2")
    cloud.wait_active()
    port, operations = cloud.port_operations({"name": "blue1", "binding:host_id": "hv1"}, blue)
    plug(cloud, "hv1", "b1", port["id"])
    wait_for("blue1's dead VLAN", lambda: cloud.ovs("hv1", "Port", "tapb1", "tag") == 4095, 10)
    small_disk.fill(smallest_write(cloud, "hv1"))
    cloud.transact(*cloud.delete_port_operations(red1["port"]["id"]), *operations)
    wait_for("blue's flows", lambda: [f for f in cloud.flows("hv1", "br-tun", "table=4") if f"tun_id={blue['vni']:#x}" in f], 10)
    wait_for("blue2's way here", lambda: [f for f in cloud.flows("hv2", "br-tun", "table=22") if "output" in f], 10)
    heard = Capture(cloud.world, cloud.hv_ns("hv1"), red1["tap"], "ether proto 0x88b5")
    came = Capture(cloud.world, cloud.hv_ns("hv1"), "und0", "udp port 4789")
    send_broadcasts(cloud, blue2["ns"], blue2["mac"])
    came.wait_for_frame_of(blue2["mac"])
    came.stop()
    time.sleep(1)
    assert not heard.stop().packets()
    small_disk.empty()
    wait_for("blue1 to be wired", lambda: cloud.port_up(port["id"]) is True, 10)
    assert cloud.tag(red1) == 4095


def test_a_port_without_its_tag_cannot_speak(cloud_factory, small_disk):
    """Plugged while the agent was away, and now the switch's database takes no tag: the port is a trunk of all networks' VLANs."""
    cloud = with_switch_database_on(small_disk, cloud_factory(), "hv1")
    red, blue = cloud.network("red"), cloud.network("blue")
    red1, red2 = cloud.vm("red1", red, "hv1"), cloud.vm("red2", red, "hv1")
    cloud.wait_active()
    cloud.world.kill("agent-hv1")
    port = cloud.new_port({"name": "blue1", "binding:host_id": "hv1"}, blue)
    ns, _ = plug(cloud, "hv1", "b1", port["id"])
    small_disk.fill(smallest_write(cloud, "hv1"))
    cloud.agent_up("hv1")
    wait_for("the agent to try", lambda: "refused a change" in cloud.world.log("agent-hv1"), 10)
    wait_for("flows of blue", lambda: [f for f in cloud.flows("hv1", "br-tun") if f"tun_id={blue['vni']:#x}" in f], 10)
    heard = Capture(cloud.world, cloud.hv_ns("hv1"), red1["tap"], "ether proto 0x88b5")
    send_broadcasts(cloud, ns, port["mac"], vlans=(None, cloud.tag(red1)))
    send_broadcasts(cloud, red2["ns"], red2["mac"])
    heard.wait_for_frame_of(red2["mac"])
    assert {p[Ether].src for p in heard.stop().packets()} == {red2["mac"]}
    small_disk.empty()
    wait_for("blue1 to be wired", lambda: cloud.port_up(port["id"]) is True, 10)
    assert not [f for f in cloud.flows("hv1", "br-int") if "tapb1" in f and "drop" in f]


def test_a_vm_that_is_plugged_again_under_another_name(make_cloud):
    """A hypervisor lost power: the row of the VM's old device is still there, the VM is started again behind a new one."""
    cloud = make_cloud()
    cloud.allowed_warnings += ["No such device", "could not open"]
    network = cloud.network("red")
    red1 = cloud.vm("red1", network, "hv1")
    red2 = cloud.vm("red2", network, "hv2")
    cloud.wait_active()
    cloud.world.ip(cloud.hv_ns("hv1"), "link", "del", red1["tap"])
    wait_for("the port to be down", lambda: cloud.port_up(red1["port"]["id"]) is False, 10)
    ns, tap = plug(cloud, "hv1", "again", red1["port"]["id"])
    wait_for("the port to be up again", lambda: cloud.port_up(red1["port"]["id"]) is True, 10)
    cloud.world.ip(ns, "link", "set", "eth0", "address", red1["mac"])
    cloud.world.ip(ns, "addr", "add", f"{red1['ip']}/24", "dev", "eth0")
    cloud.world.sh(ns, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "5", red2["ip"])
    assert cloud.ovs("hv1", "Port", tap, "tag") != 4095


def test_port_settings_changed_by_hand_are_mended(make_cloud):
    """Another tag, trunk mode, no marks: a VM's port is the agent's. (Which VLAN the network then has is not asked.)"""
    cloud = make_cloud()
    network = two_vms(cloud)
    vm, other = cloud.vms["red1"], cloud.vm("red3", network, "hv1")
    cloud.wait_active()

    def settings(v):
        row = {column: cloud.ovs("hv1", "Port", v["tap"], column) for column in ("tag", "vlan_mode", "other_config")}
        return {**row, "other_config": row["other_config"] or {}}

    def mended():
        a, b = settings(vm), settings(other)
        return a == b and a["vlan_mode"] == [] and a["other_config"].get("net_uuid") == network["id"] \
            and a["tag"] in range(1, 4095) and a["other_config"]["tag"] == str(a["tag"])
    for change in (("tag=77",), ("vlan_mode=trunk",), ("other_config={}",), ("tag=[]",)):
        cloud.vsctl("hv1", "set", "Port", vm["tap"], *change)
        wait_for(lambda c=change: f"{c} to be mended: {settings(vm)}, {settings(other)}", mended, 5)
        wait_for("the VMs to be connected", lambda: cloud.ping("red1", cloud.vms["red2"]["ip"], count=1, wait=1)
                 and cloud.ping("red1", other["ip"], count=1, wait=1), 5)


def test_flows_removed_by_hand_come_back_by_themselves(make_cloud):
    """With nobody touching agent or databases: the agent looks after the flows every so often."""
    cloud = make_cloud(agent_args=("--resync-interval", "2"))
    network = cloud.network("red")
    cloud.vm("red1", network, "hv1")
    cloud.vm("red2", network, "hv2")
    cloud.wait_active()
    want = {bridge: cloud.flows("hv1", bridge) for bridge in ("br-int", "br-tun")}
    for bridge in want:
        cloud.ofctl("hv1", "del-flows", bridge)
    wait_for("the flows", lambda: {bridge: cloud.flows("hv1", bridge) for bridge in want} == want, 20)
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=2) == 2


def test_many_changes_at_once(make_cloud):
    """200 ports on the other host in one transaction, their removal in another: all flows, then none; what was there is not touched."""
    cloud = make_cloud()
    network = cloud.network("red", cidr="10.0.0.0/16")
    cloud.vm("red1", network, "hv1", "10.0.0.11")
    cloud.vm("red2", network, "hv2", "10.0.0.12")
    cloud.wait_active()
    before = cloud.ages("hv1", "br-tun")
    made = []
    for n in range(200):
        port, operations = cloud.port_operations({"name": f"p{n}", "binding:host_id": "hv2",
                                                  "fixed_ips": [{"ip_address": f"10.0.{1 + n // 100}.{1 + n % 100}"}]}, network)
        for operation in operations:  # every named uuid once a transaction
            operation["uuid-name"] = f"u{len(made)}"
            if "port" in operation["row"]:
                operation["row"]["port"] = ["named-uuid", f"u{len(made) - 1}"]
            made.append(operation)
    cloud.transact(*made)
    wait_for("200 unicast flows", lambda: len(cloud.flows("hv1", "br-tun", "table=20")) == 2 + 200, 15, 0.3)
    assert len(cloud.flows("hv1", "br-tun", "table=21")) == 2 + 200
    ids = [o["row"]["id"] for o in made if o["table"] == "Port"]
    cloud.transact(*(operation for port_id in ids for operation in cloud.delete_port_operations(port_id)))
    wait_for("them to go", lambda: len(cloud.flows("hv1", "br-tun", "table=20")) == 2, 15, 0.3)
    after = cloud.ages("hv1", "br-tun")
    assert not [text for text, age in before.items() if after.get(text, -1) < age]
    assert cloud.ping("red1", "10.0.0.12", count=2) == 2
