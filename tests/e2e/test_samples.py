# SPDX-License-Identifier: Apache-2.0
"""Packets that megaflows handled are translated again and compared (other_config:fast-path-sample), whatever the datapath."""
import pytest
from echo import echo
from world import wait_for


@pytest.fixture(scope="module")
def cloud(cloud_factory, datapath):
    cloud = cloud_factory(datapath=datapath)
    cloud.switches_up("hv1")
    cloud.vsctl("hv1", "add-br", "br0")
    for k in (1, 2):
        ns = cloud.world.netns(f"vm{k}")
        cloud.world.veth(ns, "eth0", cloud.hv_ns("hv1"), f"tap{k}")
        cloud.world.ip(cloud.hv_ns("hv1"), "link", "set", f"tap{k}", "up")
        cloud.world.ip(ns, "link", "set", "eth0", "up")
        cloud.world.ip(ns, "addr", "add", f"10.8.0.{k}/24", "dev", "eth0")
        cloud.vsctl("hv1", "add-port", "br0", f"tap{k}")
    wait_for("the VMs to reach each other", lambda: ping(cloud, 1), 10)
    return cloud


def ping(cloud, count):
    return echo(f"{cloud.world.name}-vm1", "10.8.0.2", count, interval=0.02, wait=1 if count == 1 else 10)


def test_share(cloud):
    for share, at_least, at_most in ((0, 0, 0), (1, 100, 150), (10, 1, 40)):
        cloud.vsctl("hv1", "set", "Open_vSwitch", ".", f"other_config:fast-path-sample={share}")
        before = cloud.counter("hv1", "megaflow_sample")
        assert ping(cloud, 50) == 50
        assert at_least <= cloud.counter("hv1", "megaflow_sample") - before <= at_most, share
    assert cloud.counter("hv1", "megaflow_sample_mismatch") == 0
