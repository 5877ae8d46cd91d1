# SPDX-License-Identifier: Apache-2.0
"""The packages that `make deb` left in build-deb/ (or $WARREN_DEB), in a container with a systemd of its own: installed, upgraded while
packets pass, removed and purged. The tests are one story, in this order."""
import os
import pathlib
import shutil

import pytest
from conftest import TREE, need_bpf
from container import Container
from world import run, wait_for

DEB = pathlib.Path(os.environ.get("WARREN_DEB", TREE / "build-deb"))
PACKAGES = ("warren-switch", "warren-agent", "warren-controller", "warren-cli")
DAEMONS = ("warren-switchd", "warren-agent", "warren-controller")
# What dpkg and systemd write about whatever they do, and Open vSwitch about itself.
NOT_OURS = ("var/lib/dpkg/", "var/log/", "var/cache/", "var/lib/systemd/timers", "etc/openvswitch/", "var/lib/openvswitch/", "var/tmp/")


def deb(name):
    found, = DEB.glob(f"{name}_*.deb")
    return found


class Machine(Container):
    def __init__(self, directory):
        super().__init__(directory, self.copy_packages)

    def copy_packages(self, upper):
        (upper / "packages").mkdir(parents=True)
        for name in PACKAGES:
            shutil.copy(deb(name), upper / "packages")

    def up(self):
        super().up()
        self.sh("rm", "-f", "/usr/sbin/policy-rc.d")

    def install(self, *names, check=True):
        return self.sh("dpkg", "-i", *(f"/packages/{deb(name).name}" for name in names), check=check, timeout=300)

    def files(self):
        """What this machine does not have or has otherwise, and what is in /run."""
        upper = self.world.dir / "layers/upper"
        paths = {str(path.relative_to(upper)) for path in upper.rglob("*")}
        paths = {path for path in paths if not os.path.isdir(f"/{path}")}
        run_files = self.sh("find", "/run/openvswitch", "/run/warren", "/run/systemd/system", check=False).stdout.splitlines()
        return {path for path in paths if not f"{path}/".startswith(NOT_OURS)} | set(run_files)

    def active(self, unit):
        return self.show(unit, "ActiveState") == "active"

    def get(self, path):
        return self.sh("curl", "-s", f"http://127.0.0.1:9696/v2.0/{path}").stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    need_bpf()
    machine = Machine(tmp_path_factory.mktemp("packages"))
    try:
        machine.up()
        yield machine
    finally:
        problems = machine.down()
    assert not problems, "\n".join(problems)


@pytest.fixture(scope="module")
def before(machine):
    return machine.files()


def test_lintian():
    changes, = DEB.glob("*.changes")
    run("lintian", "--fail-on", "error", changes, timeout=300)


def test_open_vswitch_in_use_is_left_alone(machine):
    # Of ovs-vswitchd only that it runs: there need not be a kernel module for it.
    machine.sh("sh", "-ec", """
        mkdir -p /run/systemd/system/ovs-vswitchd.service.d
        printf '[Service]\nType=exec\nExecStart=\nExecStart=sleep infinity\nExecStop=\n' \
            >/run/systemd/system/ovs-vswitchd.service.d/test.conf
        systemctl daemon-reload
        systemctl start openvswitch-switch
        ovs-vsctl --no-wait add-br br-ex""")
    refused = machine.install("warren-switch", check=False)
    assert refused.returncode and "has bridges: br-ex" in refused.stderr
    assert machine.active("openvswitch-switch") and machine.active("ovs-vswitchd")
    machine.sh("test", "!", "-e", "/etc/systemd/system/openvswitch-switch.service")
    machine.sh("ovs-vsctl", "--no-wait", "del-br", "br-ex")


def test_install(machine, before):
    said = machine.install(*PACKAGES)
    assert machine.active("warren-switchd") and machine.active("warren-controller")
    assert not machine.active("openvswitch-switch") and not machine.active("ovs-vswitchd")
    assert "Bridge" not in machine.sh("ovs-vsctl", "show").stdout
    assert not machine.active("warren-agent"), said.stderr  # it has no default for --local-ip
    machine.options("warren-agent", "--local-ip 192.0.2.1")
    machine.sh("systemctl", "start", "warren-agent")
    machine.sh("warren", "network", "create", "red", "--type", "vxlan")
    wait_for("the agent", lambda: '"alive": true' in machine.get("agents"))
    wait_for("its bridges", lambda: "br-tun" in machine.sh("warren", "show").stdout)
    for unit in DAEMONS:
        assert machine.sh("systemctl", "is-enabled", unit).stdout == "enabled\n"


def test_upgrade_loses_nothing(machine):
    machine.stations()
    machine.go_on()
    pids = {unit: machine.pid(unit) for unit in DAEMONS}
    machine.install(*PACKAGES)
    for unit in DAEMONS:
        assert machine.active(unit) and machine.pid(unit) != pids[unit]
    machine.wait_settled()
    machine.go_on()
    pid = machine.pid("warren-switchd")
    machine.sh("/var/lib/dpkg/info/openvswitch-switch.postinst", "configure", "3.1.0-1")  # as its own upgrade does
    assert machine.pid("warren-switchd") == pid and not machine.active("ovs-vswitchd")
    machine.go_on()
    assert machine.end_probe() == 0
    assert '"red"' in machine.get("networks")
    assert machine.complaints("warren-switchd") == []


def test_boot_starts_the_right_switch(machine):
    machine.sh("systemctl", "stop", "warren-switchd")
    machine.sh("tee", "/run/systemd/system/test.target", stdin="[Unit]\nWants=openvswitch-switch.service ovs-record-hostname.service "
               "warren-switchd.service\n")
    machine.sh("systemctl", "daemon-reload")
    machine.sh("systemctl", "start", "test.target")
    wait_for("the switch", lambda: machine.active("warren-switchd"))
    assert not machine.active("ovs-vswitchd") and not machine.active("openvswitch-switch")
    machine.sh("systemctl", "stop", "test.target")
    machine.sh("rm", "/run/systemd/system/test.target")


def test_remove_keeps_state(machine):
    machine.sh("dpkg", "-r", *PACKAGES, timeout=300)
    assert "warren" not in machine.sh("ls", "/sys/fs/bpf").stdout
    assert "wr" not in machine.sh("ip", "netns").stdout + machine.sh("ip", "-br", "link").stdout
    assert "bpf" not in machine.sh("tc", "filter", "show", "dev", "p1", "ingress").stdout
    machine.sh("ls", "/var/lib/warren/conf.db", "/var/lib/warren/warren.db", "/etc/default/warren-agent")
    machine.install(*PACKAGES)
    assert '"red"' in machine.get("networks")
    assert "br0" in machine.sh("ovs-vsctl", "list-br").stdout


def test_purge_leaves_nothing(machine, before):
    machine.sh("systemctl", "stop", "warren-switchd")  # its fast path stays, and goes by the removal
    assert "warren" in machine.sh("ls", "/sys/fs/bpf").stdout
    machine.sh("dpkg", "-P", *PACKAGES, timeout=300)
    assert "warren" not in machine.sh("ls", "/sys/fs/bpf").stdout
    assert "wr" not in machine.sh("ip", "netns").stdout + machine.sh("ip", "-br", "link").stdout
    assert "warren" not in machine.sh("systemctl", "list-units", "--all", "--plain", "--no-legend").stdout
    assert sorted(machine.files() - before) == []
