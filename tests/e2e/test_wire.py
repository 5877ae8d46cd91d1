# SPDX-License-Identifier: Apache-2.0
"""The underlay as tshark sees it: the encapsulation is what it claims to be, the inner frame intact, checksums right."""
import pytest
from captures import Capture
from test_lab import tenants_up

PROTOCOL = {"vxlan": "vxlan", "gre": "gre", "geneve": "geneve"}
KEY_FIELD = {"vxlan": "vxlan.vni", "gre": "gre.key", "geneve": "geneve.vni"}


@pytest.mark.parametrize("underlay", ["4", "6"])
@pytest.mark.parametrize("kind", ["vxlan", "gre", "geneve"])
def test_tshark_agrees(cloud_factory, datapath, kind, underlay):
    cloud = tenants_up(cloud_factory(underlay, datapath), kind)
    cloud.ping("red1", cloud.vms["red2"]["ip"], count=1)
    capture = Capture(cloud.world, cloud.hv_ns("hv1"), "und0")
    assert cloud.ping("red1", cloud.vms["red2"]["ip"], count=3, size=1000) == 3
    capture.stop()
    vni = cloud.vms["red1"]["network"]["provider:segmentation_id"]
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
        assert packet["eth.src"][-1] in (cloud.vms["red1"]["mac"], cloud.vms["red2"]["mac"])
        if kind != "gre":
            assert 32768 <= int(packet["udp.srcport"][0]) <= 61000
