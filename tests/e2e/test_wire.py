# SPDX-License-Identifier: Apache-2.0
"""The underlay as tshark sees it: the encapsulation is what it claims to be, the inner frame intact, checksums right."""
import pytest
from captures import Capture
from world import wait_for

PROTOCOL = {"vxlan": "vxlan", "gre": "gre", "geneve": "geneve"}
KEY_FIELD = {"vxlan": "vxlan.vni", "gre": "gre.key", "geneve": "geneve.vni"}


@pytest.fixture(scope="module", params=["4", "6"])
def cloud(cloud_factory, datapath, request):
    """Two hypervisors, a network of each type with a VM on each."""
    cloud = cloud_factory(request.param, datapath)
    cloud.up(("hv1", "hv2"), port=cloud.api_port)
    for kind in PROTOCOL:
        network = cloud.network(kind, kind)
        for n in (1, 2):
            cloud.vm(f"{kind}{n}", network, f"hv{n}", f"10.0.0.1{n}")
    cloud.wait_active()
    cloud.wait_mesh()
    yield cloud
    cloud_factory.remove(cloud)


@pytest.mark.parametrize("kind", list(PROTOCOL))
def test_tshark_agrees(cloud, kind):
    vms = [cloud.vms[f"{kind}{n}"] for n in (1, 2)]
    wait_for("the first answer", lambda: cloud.ping(vms[0]["name"], vms[1]["ip"], count=1, wait=1))
    capture = Capture(cloud.world, cloud.hv_ns("hv1"), "und0")
    assert cloud.ping(vms[0]["name"], vms[1]["ip"], count=3, size=1000) == 3
    capture.stop()
    vni = vms[0]["network"]["provider:segmentation_id"]
    fields = ("frame.protocols", KEY_FIELD[kind], "icmp.type", "icmp.checksum.status", "ip.checksum.status",
              "udp.checksum.status", "eth.src", "ip.len", "_ws.malformed", "udp.srcport")
    seen = [packet for packet in capture.tshark(*fields, display="icmp.type") if PROTOCOL[kind] in packet["frame.protocols"][0]]
    assert len(seen) == 6, seen
    assert sorted(packet["icmp.type"][0] for packet in seen) == ["0"] * 3 + ["8"] * 3
    for packet in seen:
        assert int(packet[KEY_FIELD[kind]][0], 0) == vni
        assert "_ws.malformed" not in packet
        assert packet["ip.len"][-1] == "1028"  # the inner packet, whole: 20 + 8 + 1000
        # 1: good, 2: unverified (an outer IPv4 UDP checksum of zero), 0: bad
        for field in ("icmp.checksum.status", "ip.checksum.status", "udp.checksum.status"):
            assert "0" not in packet.get(field, []), packet
        assert packet["icmp.checksum.status"] == ["1"]
        assert packet["eth.src"][-1] in [vm["mac"] for vm in vms]
        if kind != "gre":
            assert 32768 <= int(packet["udp.srcport"][0]) <= 61000
