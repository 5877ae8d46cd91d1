# SPDX-License-Identifier: Apache-2.0
"""warren-agent at its contracts: the rows it writes, the bridges, tunnels and VLANs it makes, and its flows, one by one."""
import ipaddress
import itertools
import json
import os
import re

import pytest
from cloud import Cloud
from overlay import HandFilledCloud
from world import run, wait_for

TABLE = {"gre": 3, "vxlan": 4, "geneve": 6}


@pytest.fixture
def make_cloud(cloud_factory):
    """cloud_factory's clouds, without a controller."""
    def make(underlay="4"):
        cloud = cloud_factory(underlay)
        cloud.__class__ = HandFilledCloud
        return cloud
    return make


def tunnel_name(kind, ip):
    return f"{kind}-{int(ipaddress.IPv4Address(ip)):08x}"


# ---- flows


def flow(table, priority, match, actions):
    """A flow as ovs-ofctl prints it: table 0 and empty matches are not shown."""
    head = (f"table={table}, " if table else "") + f"priority={priority}"
    return f"{head}{',' if match else ''}{match} actions={actions}"


def expected_br_tun(kind, l2pop, arp, network, vlan, remotes, mesh):
    """br-tun for one network. REMOTES: [(tunnel port, [(mac, [ipv4])])] in order of flooding; MESH: all tunnel ports by type."""
    responder = l2pop and arp
    vni = f"{network['vni']:#x}"
    to_net = f"pop_vlan,set_field:{vni}->tun_id"
    flows = [
        flow(0, 1, "in_port=patch-int", "goto_table:2"),
        flow(0, 0, "", "drop"),
        flow(2, 0, "dl_dst=00:00:00:00:00:00/01:00:00:00:00:00", "goto_table:20"),
        flow(2, 0, "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "goto_table:22"),
        *(flow(table, 0, "", "drop") for table in (3, 4, 6, 22)),
        flow(20, 0, "", "goto_table:22"),
        flow(TABLE[kind], 1, f"tun_id={vni}", f"push_vlan:0x8100,set_field:{4096 + vlan}->vlan_vid,goto_table:10"),
        flow(22, 1, f"dl_vlan={vlan}", ",".join([to_net, *(f"output:{port}" for port, _ in remotes)])),
    ]
    flows += [flow(0, 1, f"in_port={port}", f"goto_table:{TABLE[port.split('-')[0]]}") for port in mesh]
    if responder:
        flows += [flow(2, 1, "arp,dl_dst=ff:ff:ff:ff:ff:ff", "goto_table:21"), flow(21, 0, "", "goto_table:22")]
    for port, addresses in remotes if l2pop else ():
        for mac, ips in addresses:
            flows.append(flow(20, 2, f"dl_vlan={vlan},dl_dst={mac}", f"{to_net},output:{port}"))
            flows += [flow(21, 1, f"arp,dl_vlan={vlan},arp_tpa={ip}",
                           "set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],"
                           f"set_field:{mac}->arp_sha,set_field:{ip}->arp_spa,move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],"
                           f"set_field:{mac}->eth_src,IN_PORT") for ip in ips if responder]
    return sorted(flows)


@pytest.mark.parametrize("l2pop,arp", [("yes", "yes"), ("yes", "no"), ("no", "yes")])
@pytest.mark.parametrize("kind", ["vxlan", "gre", "geneve"])
def test_pipeline(make_cloud, kind, l2pop, arp):
    """Neutron's layout, every flow of br-tun, on each tunnel type with each option; and only what is needed."""
    cloud = make_cloud()
    cloud.up(("hv1", "hv2", "hv3"), agent_args=("--l2-population", l2pop, "--arp-responder", arp))
    network = cloud.network("red", kind)
    here = cloud.vm("red1", network, "hv1")
    there = cloud.vm("red2", network, "hv2")
    cloud.wait_active()
    to2, to3 = (tunnel_name(kind, cloud.local_ip(hv)) for hv in ("hv2", "hv3"))
    mesh = [to2, to3] + [tunnel_name("vxlan", cloud.local_ip(hv)) for hv in ("hv2", "hv3") if kind != "vxlan"]
    known = [(there["mac"], [there["ip"]])]
    remotes = [(to2, known)] if l2pop == "yes" else [(to2, known), (to3, [])]
    want = [expected_br_tun(kind, l2pop == "yes", arp == "yes", network, cloud.tag(here), order, mesh)
            for order in (remotes, remotes[::-1])]  # the order of outputs says nothing

    def have():
        have.flows = [line for line in cloud.flows("hv1", "br-tun") if "learn(" not in line]
        return have.flows in want
    wait_for(lambda: "br-tun's flows: missing " + str(sorted(set(want[0]) - set(have.flows))) + ", too many "
             + str(sorted(set(have.flows) - set(want[0]))), have, 10)
    learn = cloud.flows("hv1", "br-tun", "table=10")
    assert len(learn) == 1 and "learn(table=20,hard_timeout=300,priority=1" in learn[0] and learn[0].endswith("output:patch-int")
    assert cloud.ping("red1", there["ip"], count=2) == 2
    # Unicast from hv2 came in, so its sender was learned too, as Neutron does with either option.
    shown = cloud.ofctl("hv1", "--no-stats", "dump-flows", "br-tun", "table=20")
    assert any("hard_timeout=300" in line and there["mac"] in line for line in shown.splitlines()), shown


def test_port_security(make_cloud):
    """A VM speaks as itself only; with port security off it may speak as anyone."""
    cloud = make_cloud()
    cloud.up(("hv1", "hv2"))
    network = cloud.network("red")
    vm = cloud.vm("red1", network, "hv1")
    free = cloud.vm("red9", network, "hv1", port_security_enabled=False)
    peer = cloud.vm("red2", network, "hv2")
    cloud.wait_active()
    tap = vm["tap"]
    local = ipaddress.IPv6Address(int.from_bytes(bytes.fromhex("fe80" + "0" * 12), "big") << 64
                                  | int.from_bytes(bytes([int(vm["mac"][:2], 16) ^ 2]) + bytes.fromhex(vm["mac"].replace(":", "")[2:6])
                                                   + b"\xff\xfe" + bytes.fromhex(vm["mac"].replace(":", "")[6:]), "big"))
    assert [line for line in cloud.flows("hv1", "br-int") if tap in line] == sorted([
        flow(0, 10, f"arp,in_port={tap}", "goto_table:24"),
        flow(0, 10, f"icmp6,in_port={tap},icmp_type=136", "goto_table:24"),
        flow(0, 9, f"in_port={tap}", "goto_table:25"),
        flow(24, 2, f"arp,in_port={tap},arp_spa={vm['ip']}", "goto_table:25"),
        flow(24, 2, f"icmp6,in_port={tap},icmp_type=136,nd_target={local}", "goto_table:25"),
        flow(25, 2, f"in_port={tap},dl_src={vm['mac']}", "goto_table:60"),
    ])
    # Without port security: straight to NORMAL.
    assert [line for line in cloud.flows("hv1", "br-int") if free["tap"] in line] == [
        flow(0, 9, f"in_port={free['tap']}", "goto_table:60")]
    assert cloud.ping("red1", peer["ip"], count=2) == 2
    # Another IPv4 address: its ARP is not believed, so nobody is found.
    stranger = "10.0.0.77"
    for name, want in (("red1", 0), ("red9", 2)):
        ns = cloud.vms[name]["ns"]
        cloud.world.ip(ns, "addr", "add", f"{stranger}/24", "dev", "eth0")
        cloud.world.ip(ns, "neigh", "flush", "all")
        cloud.world.ip(cloud.vms["red2"]["ns"], "neigh", "flush", "all")
        done = cloud.world.sh(ns, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-I", stranger, peer["ip"], check=False)
        got = int(re.search(r"(\d+) received", done.stdout)[1])
        assert got == want, f"{name} as {stranger}: {done.stdout}"
        cloud.world.ip(ns, "addr", "del", f"{stranger}/24", "dev", "eth0")
    # Another MAC: nothing passes, not even to a neighbour on the same host. (The responder of another host would go on telling the
    # MAC that the database has.)
    peer = cloud.vm("red8", network, "hv1")
    cloud.wait_active()
    for name, want in (("red1", 0), ("red9", 2)):
        cloud.world.ip(cloud.vms[name]["ns"], "link", "set", "eth0", "address", "02:00:00:00:00:99")
        assert cloud.ping(name, peer["ip"], count=2, wait=10 if want else 1) == want, name


def test_floods_reach_eligible_hosts_only(make_cloud):
    from captures import Capture
    for l2pop, reaches in (("yes", False), ("no", True)):
        cloud = make_cloud()
        cloud.up(("hv1", "hv2", "hv3"), agent_args=("--l2-population", l2pop))
        network = cloud.network("red")
        cloud.vm("red1", network, "hv1")
        cloud.vm("red2", network, "hv2")
        cloud.wait_active()
        cloud.wait_mesh()
        captures = {hv: Capture(cloud.world, cloud.hv_ns(hv), "und0", "udp port 4789") for hv in ("hv2", "hv3")}
        cloud.ping("red1", "10.0.0.200", count=2, wait=1)  # nobody: an ARP request for all
        saw = {hv: len(capture.stop().packets()) for hv, capture in captures.items()}
        assert saw["hv2"] > 0 and (saw["hv3"] > 0) == reaches, (l2pop, saw)


# ---- rows, bridges, tunnels, VLANs


@pytest.fixture(scope="module")
def cloud(cloud_factory):
    cloud = cloud_factory()
    cloud.__class__ = HandFilledCloud
    cloud.up(("hv1", "hv2"), agent_args=("--heartbeat-interval", "1"))
    cloud.red = cloud.network("red")
    cloud.vm("red1", cloud.red, "hv1")
    cloud.vm("red2", cloud.red, "hv2")
    cloud.wait_active()
    cloud.wait_mesh()
    return cloud


def test_the_agents_own_rows(cloud):
    agents = {row["host"]: row for row in cloud.rows("Agent")}
    assert set(agents) == {"hv1", "hv2"}
    agent = agents["hv1"]
    assert (agent["binary"], agent["agent_type"], agent["admin_state_up"]) == ("warren-agent", "Open vSwitch agent", True)
    said = json.loads(agent["configurations"])
    assert said["tunneling_ip"] == cloud.local_ip("hv1") and said["l2_population"] is True
    assert sorted(said["tunnel_types"]) == ["geneve", "gre", "vxlan"]
    endpoint = cloud.rows("Endpoint", host="hv1")[0]
    assert endpoint["ip"] == cloud.local_ip("hv1") and sorted(endpoint["tunnel_types"]) == ["geneve", "gre", "vxlan"]

    def beat():
        return cloud.rows("Heartbeat", agent_id=agent["id"])[0]["at"]
    first = beat()
    wait_for("the next heartbeat", lambda: beat() > first, 5)


def test_rows_that_somebody_removed_come_back(cloud):
    cloud.transact(*({"op": "delete", "table": table, "where": [["host", "==", "hv2"]]} for table in ("Endpoint", "Agent")),
                   {"op": "delete", "table": "Heartbeat", "where": []})
    wait_for("hv2 to register again", lambda: cloud.rows("Endpoint", host="hv2") and cloud.rows("Agent", host="hv2")
             and len(cloud.rows("Heartbeat")) == 2, 10)
    wait_for("the tunnel to hv2", lambda: cloud.local_ip("hv2") in cloud.tunnel_remotes("hv1"), 10)
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=2) == 2


def test_bridges_and_tunnels(cloud):
    for bridge, patch, peer in (("br-int", "patch-tun", "patch-int"), ("br-tun", "patch-int", "patch-tun")):
        assert cloud.ovs("hv1", "Bridge", bridge, "fail_mode") == "secure"
        assert cloud.ovs("hv1", "Interface", patch, "type") == "patch"
        assert cloud.ovs("hv1", "Interface", patch, "options") == {"peer": peer}
        assert patch in cloud.vsctl("hv1", "list-ports", bridge).split()
    name = tunnel_name("vxlan", cloud.local_ip("hv2"))
    assert set(cloud.vsctl("hv1", "list-ports", "br-tun").split()) == {"patch-int", name}
    assert cloud.ovs("hv1", "Interface", name, "type") == "vxlan"
    assert cloud.ovs("hv1", "Interface", name, "options") == {
        "remote_ip": cloud.local_ip("hv2"), "local_ip": cloud.local_ip("hv1"), "in_key": "flow", "out_key": "flow", "df_default": "true"}


def test_a_host_that_comes_moves_and_goes(cloud):
    """Tunnels follow the Endpoint rows; flows to a host go with it."""
    def ports():
        return set(cloud.vsctl("hv1", "list-ports", "br-tun").split()) - {"patch-int", tunnel_name("vxlan", cloud.local_ip("hv2"))}
    where = [["host", "==", "hv9"]]
    cloud.transact({"op": "insert", "table": "Endpoint",
                    "row": {"host": "hv9", "ip": "10.201.9.2", "tunnel_types": ["set", ["vxlan", "gre"]]}})
    wait_for(lambda: f"a tunnel to hv9, has {ports()}", lambda: ports() == {"vxlan-0ac90902"}, 5)
    port = cloud.new_port({"name": "red9", "binding:host_id": "hv9"}, cloud.red)
    wait_for("a unicast flow to hv9's port", lambda: any(port["mac"] in f and "output:vxlan-0ac90902" in f
                                                        for f in cloud.flows("hv1", "br-tun", "table=20")), 5)
    cloud.transact({"op": "update", "table": "Endpoint", "where": where, "row": {"ip": "10.201.8.2"}})
    wait_for(lambda: f"the tunnel to move, has {ports()}", lambda: ports() == {"vxlan-0ac90802"}, 5)
    wait_for("the flow to move", lambda: any(port["mac"] in f and "output:vxlan-0ac90802" in f
                                            for f in cloud.flows("hv1", "br-tun", "table=20")), 5)
    cloud.transact({"op": "delete", "table": "Endpoint", "where": where})
    wait_for(lambda: f"the tunnel to go, has {ports()}", lambda: not ports(), 5)
    wait_for("the flows to go", lambda: not any(port["mac"] in f for f in cloud.flows("hv1", "br-tun")), 5)
    cloud.delete_port(port["id"])
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=2) == 2


def test_tunnels_of_a_type_that_a_network_uses(cloud):
    """Beside the mesh there is a tunnel of another type exactly while a network here uses it."""
    name = tunnel_name("geneve", cloud.local_ip("hv2"))
    network = cloud.network("green", "geneve", "10.9.0.0/24")
    port = cloud.new_port({"name": "green1", "binding:host_id": "hv1"}, network)
    wait_for("the Geneve tunnel", lambda: name in cloud.vsctl("hv1", "list-ports", "br-tun").split(), 5)
    cloud.delete_port(port["id"])
    wait_for("the Geneve tunnel to go", lambda: name not in cloud.vsctl("hv1", "list-ports", "br-tun").split(), 5)


def test_port_status(cloud):
    """ACTIVE once wired, DOWN while unplugged or switched off; the report goes with the port."""
    vm = cloud.vm("red3", cloud.red, "hv1")
    port_id, tap = vm["port"]["id"], vm["tap"]
    cloud.wait_active()
    assert cloud.ping("red3", cloud.vms["red2"]["ip"], count=2) == 2
    cloud.vsctl("hv1", "del-port", "br-int", tap)
    wait_for("DOWN after unplugging", lambda: cloud.port_up(port_id) is False, 5)
    cloud.vsctl("hv1", "add-port", "br-int", tap, "--", "set", "Interface", tap, f"external_ids:iface-id={port_id}")
    wait_for("ACTIVE after plugging", lambda: cloud.port_up(port_id) is True, 5)
    cloud.update("Port", port_id, admin_state_up=False)
    wait_for("DOWN after admin_state_up=False", lambda: cloud.port_up(port_id) is False, 5)
    assert cloud.ping("red3", cloud.vms["red2"]["ip"], count=2, wait=1) == 0
    cloud.update("Port", port_id, admin_state_up=True)
    wait_for("ACTIVE again", lambda: cloud.port_up(port_id) is True, 5)
    assert cloud.ping("red3", cloud.vms["red2"]["ip"], count=2) == 2
    cloud.delete_port(port_id)
    wait_for("the report to go", lambda: cloud.port_up(port_id) is None, 5)
    wait_for("the dead VLAN", lambda: cloud.tag(vm) == 4095, 5)
    assert cloud.ping("red3", cloud.vms["red2"]["ip"], count=2, wait=1) == 0
    assert not any(port_id in json.dumps(row) for row in cloud.rows("Port_Status"))
    del cloud.vms["red3"]


def test_an_interface_nobody_knows_is_connected_to_nothing(cloud):
    """... until its port appears."""
    port, operations = cloud.port_operations({"name": "later", "binding:host_id": "hv1"}, cloud.red)
    w, ns, tap = cloud.world, cloud.world.netns("later"), "tap" + port["id"][:11]
    w.veth(ns, "eth0", cloud.hv_ns("hv1"), tap)
    w.ip(ns, "link", "set", "eth0", "address", port["mac"], "mtu", cloud.red["mtu"], "up")
    w.ip(ns, "addr", "add", f"{port['fixed_ips'][0]['ip_address']}/24", "dev", "eth0")
    w.ip(cloud.hv_ns("hv1"), "link", "set", tap, "up")
    cloud.vsctl("hv1", "add-port", "br-int", tap, "--", "set", "Interface", tap, f"external_ids:iface-id={port['id']}")
    vm = cloud.vms["later"] = {"name": "later", "ns": ns, "hv": "hv1", "tap": tap, "port": port, "network": cloud.red, "mac": port["mac"],
                               "ip": port["fixed_ips"][0]["ip_address"]}
    wait_for("the dead VLAN", lambda: cloud.tag(vm) == 4095, 5)
    assert cloud.ping("later", cloud.vms["red1"]["ip"], count=2, wait=1) == 0
    cloud.transact(*operations)
    cloud.wait_active()
    assert cloud.ping("later", cloud.vms["red1"]["ip"], count=2) == 2
    # Other interfaces, without an iface-id, are the operator's: not touched.
    cloud.vsctl("hv1", "add-port", "br-int", "op0", "--", "set", "Interface", "op0", "type=internal")
    cloud.vm("red4", cloud.red, "hv1")
    cloud.wait_active()
    assert cloud.ovs("hv1", "Port", "op0", "tag") == []
    cloud.vsctl("hv1", "del-port", "br-int", "op0")


def test_local_vlans_survive_a_restart(make_cloud):
    """Also when numbering anew would give others: the network with the lowest VLAN is gone when the agent starts."""
    cloud = make_cloud()
    cloud.up(("hv1", "hv2"))
    nets = {name: cloud.network(name) for name in ("red", "blue", "green")}
    vms = {}
    for name in nets:
        vms[name] = cloud.vm(f"{name}1", nets[name], "hv1")
        cloud.wait_active()
    cloud.vm("blue2", nets["blue"], "hv2")
    cloud.wait_active()
    vlans = {name: cloud.tag(vm) for name, vm in vms.items()}
    assert len(set(vlans.values())) == 3 and set(vlans.values()) <= set(range(1, 4095))
    assert cloud.ovs("hv1", "Port", vms["blue"]["tap"], "other_config") == {
        "net_uuid": nets["blue"]["id"], "network_type": "vxlan", "segmentation_id": str(nets["blue"]["vni"]), "tag": str(vlans["blue"])}
    cloud.world.kill("agent-hv1")
    gone = min(vlans, key=vlans.get)
    cloud.delete_port(vms[gone]["port"]["id"])
    cloud.vsctl("hv1", "del-port", "br-int", vms[gone]["tap"])
    del cloud.vms[f"{gone}1"]
    stays = {name: vlan for name, vlan in vlans.items() if name != gone}
    cloud.agent_up("hv1")
    wait_for("the gone network's flows to go", lambda: not any(
        f"tun_id={nets[gone]['vni']:#x} " in flow for flow in cloud.flows("hv1", "br-tun", "table=4")), 10)
    assert {name: cloud.tag(vms[name]) for name in stays} == stays
    new = cloud.vm("new1", cloud.network("new"), "hv1")
    cloud.wait_active()
    assert {name: cloud.tag(vms[name]) for name in stays} == stays and cloud.tag(new) not in stays.values()
    if "blue" in stays:
        assert cloud.ping("blue1", cloud.vms["blue2"]["ip"], count=2) == 2


# ---- restarts: nothing that is right is touched


def assert_untouched(before, after):
    young = [text for text, age in before.items() if after.get(text, -1) < age]
    assert not young, f"added anew: {young}"


def test_a_restart_with_nothing_changed_sends_no_flow_mod(cloud):
    before = {bridge: cloud.ages("hv1", bridge) for bridge in ("br-int", "br-tun")}
    agent = cloud.rows("Agent", host="hv1")[0]["id"]
    beats = {row["agent_id"]: row for row in cloud.rows("Heartbeat")}
    cloud.transact({"op": "update", "table": "Heartbeat", "where": [["agent_id", "==", agent]], "row": {"clock_offset": 77}})
    cloud.world.kill("agent-hv1")
    cloud.agent_up("hv1", "--heartbeat-interval", "1")
    wait_for("a heartbeat", lambda: cloud.rows("Heartbeat", agent_id=agent)[0]["at"] > beats[agent]["at"])
    assert cloud.rows("Heartbeat", agent_id=agent)[0]["clock_offset"] == 77  # what controllers know of its clock stays
    for _ in range(10):  # as it reads both databases, not only when it is done
        for bridge, flows in before.items():
            after = cloud.ages("hv1", bridge)
            assert set(after) == set(flows)
            assert_untouched(flows, after)
        wait_for("a moment", itertools.chain([False] * 4, itertools.repeat(True)).__next__)


def test_only_what_differs_is_mended(cloud):
    """Flows that were removed or changed by hand come back, ours that should not be there go, foreign ones stay."""
    bridge, mac = "br-tun", cloud.vms["red2"]["mac"]
    before = cloud.ages("hv1", bridge)
    unicast = next(text for text in before if mac in text and "priority=2" in text)
    responder = next(text for text in before if mac in text and "arp_tpa=" in text)
    cookie = re.search(r"cookie=(0x[0-9a-f]+)", unicast)[1]
    vlan = cloud.tag(cloud.vms["red1"])
    cloud.world.kill("agent-hv1")
    cloud.ofctl("hv1", "--strict", "del-flows", bridge, f"table=20,priority=2,dl_vlan={vlan},dl_dst={mac}")
    cloud.ofctl("hv1", "mod-flows", bridge, f"table=21,arp,arp_tpa={cloud.vms['red2']['ip']},actions=drop")
    cloud.ofctl("hv1", "add-flow", bridge, f"cookie={cookie},table=4,priority=1,tun_id=0xdead,actions=drop")
    cloud.ofctl("hv1", "add-flow", bridge, "cookie=0x77,table=4,priority=1,tun_id=0xbeef,actions=drop")
    cloud.agent_up("hv1", "--heartbeat-interval", "1")
    foreign = " cookie=0x77, table=4, priority=1,tun_id=0xbeef actions=drop".strip()
    wait_for(lambda: f"the flows of before and {foreign}: {set(cloud.ages('hv1', bridge)) ^ set(before)}",
             lambda: set(cloud.ages("hv1", bridge)) == set(before) | {foreign}, 10)
    assert_untouched({text: age for text, age in before.items() if text not in (unicast, responder)}, cloud.ages("hv1", bridge))
    cloud.ofctl("hv1", "del-flows", bridge, "cookie=0x77/-1")
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=2) == 2


def test_without_the_overlay_database(cloud):
    """The last state stands, also through a restart of the switch; what was missed meanwhile is done afterwards."""
    cloud.allowed_warnings += ["connect", "lost", "closed", "reset by peer", "refused", "No such file"]
    gone = cloud.vm("red5", cloud.red, "hv1")
    cloud.wait_active()
    unplugged, operations = cloud.port_operations({"name": "red6", "binding:host_id": "hv1"}, cloud.red)
    cloud.transact(*operations)
    cloud.world.kill("overlay")
    (cloud.dir / "controller/overlay.sock").unlink(missing_ok=True)
    want = {bridge: cloud.flows("hv1", bridge) for bridge in ("br-int", "br-tun")}
    cloud.world.kill("switchd-hv1")
    cloud.switchd_up("hv1")
    wait_for(lambda: f"the flows to come back, differ in {set(cloud.flows('hv1', 'br-tun')) ^ set(want['br-tun'])}",
             lambda: {bridge: cloud.flows("hv1", bridge) for bridge in want} == want, 30)
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=2) == 2
    cloud.controller_up()
    cloud.delete_port(gone["port"]["id"])
    del cloud.vms["red5"]
    wait_for("the removed port's dead VLAN", lambda: cloud.tag(gone) == 4095, 20)
    wait_for("its report to go", lambda: cloud.port_up(gone["port"]["id"]) is None, 20)
    assert cloud.port_up(unplugged["id"]) in (None, False)
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=2) == 2


# ---- what cannot be done is said


def agent(*args):
    program = Cloud("unused", os.environ.get("WARREN_BUILD", "build")).program("warren-agent")
    return run("timeout", "10", program, *args, check=False)


@pytest.mark.parametrize("args,words", [
    ((), ("host",)),
    (("--host", "hv1"), ("local-ip",)),
    (("--host", "", "--local-ip", "10.0.0.1"), ("host",)),
    (("--host", "hv\udcff", "--local-ip", "10.0.0.1"), ("host", "UTF-8")),  # the byte 255
    (("--host", "hv1", "--local-ip", "10.0.0"), ("local-ip", "10.0.0")),
    (("--host", "hv1", "--local-ip", "10.0.0.1", "--mechanism", "linuxbridge"), ("mechanism", "linuxbridge")),
    (("--host", "hv1", "--local-ip", "10.0.0.1", "--l2-population=maybe"), ("l2-population", "maybe")),
    (("--host", "hv1", "--local-ip", "10.0.0.1", "--tunnel-types", "vxlan,stt"), ("tunnel-types", "stt")),
    (("--host", "hv1", "--local-ip", "10.0.0.1", "--tunnel-types", ","), ("tunnel-types",)),
    (("--host", "hv1", "--local-ip", "10.0.0.1", "--overlay-db", "nonsense"), ("nonsense",)),
    (("--host", "hv1", "--local-ip", "10.0.0.1", "--heartbeat-interval", "0"), ("heartbeat-interval",)),
    (("--host", "hv1", "--local-ip", "10.0.0.1", "--resync-interval", "0"), ("resync-interval", "1 to 3600")),
    (("--host", "hv1", "--local-ip", "10.0.0.1", "--resync-interval", "often"), ("resync-interval", "often")),
    (("--host", "hv1", "--local-ip", "10.0.0.1", "--no-such-thing", "1"), ("no-such-thing",)),
])
def test_bad_options(args, words):
    done = agent(*args)
    assert done.returncode == 1, done
    assert all(word in done.stderr for word in words), done.stderr
    assert "ready" not in done.stdout


def test_a_network_of_a_type_that_the_host_does_not_take(make_cloud):
    cloud = make_cloud()
    cloud.allowed_warnings += ["type gre"]
    cloud.up(("hv1", "hv2"), agent_args=("--tunnel-types", "vxlan"))
    good, bad = cloud.network("red", "vxlan"), cloud.network("blue", "gre")
    cloud.vm("red1", good, "hv1")
    cloud.vm("red2", good, "hv2")
    lost = cloud.vms.pop(cloud.vm("blue1", bad, "hv1")["name"])
    cloud.wait_active()
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=2) == 2
    assert cloud.port_up(lost["port"]["id"]) in (None, False)
    assert cloud.tag(lost) == 4095
    assert "gre" in cloud.world.log("agent-hv1")
    assert {port.split("-")[0] for port in cloud.vsctl("hv1", "list-ports", "br-tun").split()} == {"patch", "vxlan"}


def test_an_address_that_another_host_has(make_cloud):
    """The second host is refused, says so, and goes on trying; the first is not disturbed."""
    cloud = make_cloud()
    cloud.allowed_warnings += ["refused", "is none, or our own"]
    cloud.hypervisors = ["hv1"]
    cloud.underlay_up(["hv1", "hv2"])
    cloud.controller_up()
    cloud.transact({"op": "insert", "table": "Endpoint", "row": {"host": "hv9", "ip": cloud.local_ip("hv1"),
                                                                "tunnel_types": "vxlan"}})
    cloud.switchd_up("hv1")
    cloud.agent_up("hv1", "--heartbeat-interval", "1")
    wait_for("the refusal in the log", lambda: "refused" in cloud.world.log("agent-hv1"), 10)
    assert cloud.local_ip("hv1") in cloud.world.log("agent-hv1")
    assert cloud.rows("Endpoint", ip=cloud.local_ip("hv1"))[0]["host"] == "hv9"
    cloud.transact({"op": "delete", "table": "Endpoint", "where": [["host", "==", "hv9"]]})
    wait_for("hv1 to register", lambda: cloud.rows("Endpoint", host="hv1"), 10)
