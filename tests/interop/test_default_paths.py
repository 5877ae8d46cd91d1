# SPDX-License-Identifier: Apache-2.0
"""No option anywhere: warren-switchd at Open vSwitch's own paths, found by the tools, in a mount namespace with an empty /run."""
import pytest
from world import run


@pytest.fixture
def inside(cloud_factory):
    """Runs a command beside a switch that has /run and /var/lib to itself."""
    cloud = cloud_factory()
    # What is pinned goes with the namespace, too; where BPF is not allowed there is nothing to pin.
    script = ("mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && { mount -t bpf bpf /sys/fs/bpf || true; } && "
              'exec "$0" --schemadir "$1"')
    pid = cloud.world.spawn("switchd-default", ["unshare", "--mount", "--net", "sh", "-c", script, cloud.program("warren-switchd"),
                                                cloud.schemadir], ready="ready")
    yield lambda *argv, check=True: run("nsenter", "-t", pid, "-m", "-n", *argv, check=check).stdout
    assert cloud.world.kill("switchd-default") == 0


def test_the_tools_find_the_switch(inside):
    inside("ovs-vsctl", "--timeout=10", "add-br", "br0", "--", "set", "Bridge", "br0", "fail_mode=secure")
    assert "br0" in inside("ovs-vsctl", "show")
    inside("ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", "priority=7,actions=NORMAL")
    assert "priority=7 actions=NORMAL" in inside("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "br0")
    assert "br0" in inside("ip", "link", "show", "br0")
    assert "warren-switchd" in inside("ovs-appctl", "version")
    assert "conf.db" in inside("ls", "/var/lib/warren")
