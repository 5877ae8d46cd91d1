# SPDX-License-Identifier: Apache-2.0
"""Two tenants, same addresses, both loaded: no frame of one on a port of the other."""
import concurrent.futures

from captures import Capture
from scapy.all import Ether
from test_lab import tenants_up


def test_no_frame_of_another_tenant(cloud_factory, datapath):
    cloud = tenants_up(cloud_factory(datapath=datapath), "vxlan")
    taps = {name: Capture(cloud.world, cloud.hv_ns(vm["hv"]), vm["tap"]) for name, vm in cloud.vms.items()}
    # Load: every VM floods broadcasts (ARP for a stranger), pings its tenant, and pings addresses that nobody has, all at once.

    def load(vm):
        for other in cloud.vms.values():
            if other["ip"] != vm["ip"] and other["network"] == vm["network"]:
                cloud.world.sh(vm["ns"], "ping", "-n", "-q", "-c", "20", "-i", "0.01", "-W", "1", other["ip"], check=False)
        cloud.world.sh(vm["ns"], "ping", "-n", "-q", "-c", "2", "-i", "0.2", "-W", "1", "10.0.0.200", check=False)
    with concurrent.futures.ThreadPoolExecutor(len(cloud.vms)) as pool:
        list(pool.map(load, cloud.vms.values()))
    tenant_of = {vm["mac"]: vm["network"]["id"] for vm in cloud.vms.values()}
    own_frames = 0
    for name, capture in taps.items():
        for packet in capture.stop().packets():
            sender = packet[Ether].src
            assert sender in tenant_of, f"{name} saw a frame of a stranger: {packet.summary()}"
            assert tenant_of[sender] == cloud.vms[name]["network"]["id"], f"{name} saw {packet.summary()}"
            own_frames += 1
    # The captures saw the load at all: about 20 request/reply pairs per neighbour.
    assert own_frames > 20 * len(cloud.vms)
