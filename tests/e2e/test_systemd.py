# SPDX-License-Identifier: Apache-2.0
"""The units of packaging/systemd under a systemd of their own, in a container whose root is this machine's with an overlay on it:
what `make install` brings starts, is started again, and forwards while it is not there."""
import pytest
from conftest import BUILD, TREE, need_bpf
from container import Container
from world import run, wait_for

OPTIONS = {"warren-controller": "--listen 127.0.0.1:9696", "warren-agent": "--local-ip 192.0.2.1"}


def install(upper):
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", upper)


@pytest.fixture(scope="module")
def container(tmp_path_factory):
    need_bpf()
    container = Container(tmp_path_factory.mktemp("systemd"), install)
    try:
        container.up()
        for unit, options in OPTIONS.items():
            container.options(unit, options)
        yield container
    finally:
        problems = container.down()
    assert not problems, "\n".join(problems)


def test_units_are_well_formed(container):
    said = container.sh("systemd-analyze", "verify", "--man=no", *(
        f"/usr/local/lib/systemd/system/{path.name.removesuffix('.in')}" for path in (TREE / "packaging/systemd").iterdir()))
    assert "warren" not in said.stdout + said.stderr


@pytest.mark.alone
def test_forwards_while_it_is_away(container):
    """A 1 kHz probe between two stations, over a kill, a restart, and two seconds without a switch."""
    container.sh("systemctl", "start", "warren-switchd")
    container.stations()
    container.go_on()
    container.kill("warren-switchd")
    container.go_on()
    container.sh("systemctl", "restart", "warren-switchd")
    container.go_on()
    container.sh("systemctl", "stop", "warren-switchd")
    assert container.show("warren-switchd", "Result") == "success"
    container.go_on()
    container.sh("systemctl", "start", "warren-switchd")
    container.wait_settled()
    container.go_on()
    assert container.end_probe() == 0
    assert container.complaints("warren-switchd") == []


def test_the_controller_keeps_its_networks(container):
    def networks():
        return container.sh("curl", "-s", "http://127.0.0.1:9696/v2.0/networks").stdout

    container.sh("systemctl", "start", "warren-controller", "warren-agent")
    container.sh("curl", "-sf", "-d", '{"network": {"name": "red"}}', "http://127.0.0.1:9696/v2.0/networks")
    wait_for("the agent", lambda: '"alive": true' in container.sh("curl", "-s", "http://127.0.0.1:9696/v2.0/agents").stdout)
    container.kill("warren-controller")
    assert '"red"' in networks()
    container.sh("systemctl", "stop", "warren-controller")  # its directory in /run goes
    container.sh("systemctl", "start", "warren-controller")
    assert '"red"' in networks()
    container.kill("warren-agent")
    for unit in ("warren-agent", "warren-controller"):
        container.sh("systemctl", "stop", unit)
        assert container.show(unit, "Result") == "success"


def test_nothing_stays(container):
    container.sh("systemctl", "stop", "warren-switchd")
    said = container.sh("/usr/local/sbin/warren-switchd", "--detach-datapath")
    assert said.stdout + said.stderr == ""
    assert "warren" not in container.sh("ls", "/sys/fs/bpf").stdout
    assert "wr" not in container.sh("ip", "netns").stdout + container.sh("ip", "-br", "link").stdout
