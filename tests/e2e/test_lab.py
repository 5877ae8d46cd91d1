# SPDX-License-Identifier: Apache-2.0
"""The whole of it: three hypervisors, two tenants with the same addresses, on every tunnel type and both underlays."""
import itertools

import pytest

from cloud import Cloud
from world import wait_for


def tenants_up(cloud: Cloud, kind, cidr="10.0.0.0/24", agent_args=()):
    """Three hypervisors; red and blue with the same addresses; blue5 and red4 have addresses of their own."""
    cloud.up(port=cloud.api_port, agent_args=agent_args)
    base = cidr.rsplit("/", 1)[0].rstrip("0")
    nets = {tenant: cloud.network(tenant, kind, cidr) for tenant in ("red", "blue")}
    for name, tenant, hv, host in (("red1", "red", "hv1", 11), ("red2", "red", "hv2", 12), ("red3", "red", "hv3", 13),
                                   ("red4", "red", "hv1", 14), ("blue1", "blue", "hv1", 11), ("blue2", "blue", "hv2", 12),
                                   ("blue5", "blue", "hv2", 15)):
        cloud.vm(name, nets[tenant], hv, f"{base}{host}")
    wait_connected(cloud)
    return cloud


def pairs(cloud):
    """Of VMs of one tenant: both ways."""
    return [(a, b, vm_b) for (a, vm_a), (b, vm_b) in itertools.permutations(cloud.vms.items(), 2)
            if vm_a["network"]["id"] == vm_b["network"]["id"]]


def wait_connected(cloud):
    """A port is ACTIVE when its own host is ready for it; the others hear of it a moment later."""
    cloud.wait_active()
    cloud.wait_mesh()
    for a, b, vm in pairs(cloud):
        wait_for(f"{b} to answer {a}", lambda a=a, vm=vm: cloud.ping(a, vm["ip"], count=1, wait=1), 10)


def assert_connected(cloud):
    for a, b, vm in pairs(cloud):
        assert cloud.ping(a, vm["ip"], count=2) == 2, f"{a} -> {b}"
        assert cloud.neighbour_mac(a, vm["ip"]) == vm["mac"], f"{a} resolved {b}"


# Everything on the default datapath; on the other each type and each underlay once.
TENANTS = [("ebpf", kind, underlay) for kind in ("vxlan", "gre", "geneve") for underlay in ("4", "6")]
TENANTS += [("userspace", "vxlan", "4"), ("userspace", "gre", "4"), ("userspace", "geneve", "6")]


@pytest.mark.parametrize("datapath,kind,underlay", TENANTS, indirect=["datapath"])
def test_tenants(cloud_factory, datapath, kind, underlay):
    cloud = tenants_up(cloud_factory(underlay, datapath), kind)
    assert_connected(cloud)
    assert cloud.ping("red1", cloud.vms["blue5"]["ip"], count=2, wait=1) == 0
    assert cloud.ping("blue1", cloud.vms["red4"]["ip"], count=2, wait=1) == 0
    # A full-sized frame of the network's MTU fits through the tunnel unfragmented, one byte more does not.
    size = cloud.vms["red1"]["network"]["mtu"] - 28
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=2, size=size) == 2


@pytest.mark.parametrize("l2pop,arp", [("no", "no"), ("yes", "no"), ("no", "yes")])
def test_without_l2_population_or_arp_responder(cloud_factory, l2pop, arp):
    cloud = tenants_up(cloud_factory(), "vxlan", agent_args=("--l2-population", l2pop, "--arp-responder", arp))
    assert_connected(cloud)
    assert cloud.ping("red1", cloud.vms["blue5"]["ip"], count=2, wait=1) == 0
    flows = cloud.ofctl("hv1", "dump-flows", "br-tun")
    # The responder needs l2-population to know the addresses, as Neutron's does.
    assert ("arp_tpa=" in flows) == (l2pop == "yes" and arp == "yes")
    if l2pop == "no":
        # Who red1 talked to was learned from the tunnel into table 20.
        assert any("table=20" in line and cloud.vms["red2"]["mac"] in line for line in flows.splitlines()), flows


def test_ipv6_tenants(cloud_factory, datapath):
    cloud = tenants_up(cloud_factory(datapath=datapath), "vxlan", cidr="fd00:1::/64")
    assert_connected(cloud)
    assert cloud.ping("red1", cloud.vms["blue5"]["ip"], count=2, wait=1) == 0
