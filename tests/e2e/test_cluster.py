# SPDX-License-Identifier: Apache-2.0
"""The Warren database as a Raft cluster of three members, of which one is cut off from the others."""
import json
import signal

import pytest

from world import wait_for, run

SOCKETS = ("a.sock", "b.sock", "c.sock")


@pytest.fixture
def cluster(cloud_factory):
    """Member a lives in a network namespace of its own; its clients reach it all the same, by its Unix socket."""
    cloud = cloud_factory()
    world, directory = cloud.world, cloud.dir
    cloud.allowed_warnings = [*SOCKETS, "overlay", "raft"]
    cloud.spaces = world.netns("alone"), world.netns("others")
    world.veth(cloud.spaces[0], "raft0", cloud.spaces[1], "raft0")
    for last, space in enumerate(cloud.spaces, 1):
        world.ip(space, "addr", "add", f"10.99.0.{last}/24", "dev", "raft0")
        world.ip(space, "link", "set", "raft0", "up")
    first = "tcp:10.99.0.1:6644"
    run("ovsdb-tool", "create-cluster", directory / "a.db", cloud.schemadir / "warren.ovsschema", first)
    run("ovsdb-tool", "join-cluster", directory / "b.db", "Warren", "tcp:10.99.0.2:6644", first)
    run("ovsdb-tool", "join-cluster", directory / "c.db", "Warren", "tcp:10.99.0.2:6645", first)
    for name in "abc":
        world.spawn(f"member-{name}", ["ovsdb-server", "-vconsole:off", "-vsyslog:off", f"--remote=punix:{directory}/{name}.sock", "--unixctl=none",
                                       directory / f"{name}.db"], netns=cloud.spaces[name != "a"])
        wait_for("the member", lambda name=name: connected(cloud, name))
    cloud.port = cloud.api_port
    world.spawn("controller", [cloud.program("warren-controller"), "--overlay-db", ",".join(f"unix:{directory}/{s}" for s in SOCKETS),
                               "--listen", f"127.0.0.1:{cloud.port}"], ready="ready")
    yield cloud
    world.kill("controller")


def connected(cloud, name):
    """Is the member one of a majority?"""
    asked = ["_Server", {"op": "select", "table": "Database", "where": [["name", "==", "Warren"], ["connected", "==", True]], "columns": ["name"]}]
    shown = run("ovsdb-client", "transact", f"unix:{cloud.dir}/{name}.sock", json.dumps(asked), check=False).stdout
    return "Warren" in shown


def names(cloud):
    return {n["name"] for n in cloud.request("GET", "/v2.0/networks")[1].get("networks", [])}


def test_a_member_that_is_cut_off_is_left(cluster):
    cluster.api("POST", "/v2.0/networks", {"network": {"name": "before"}})
    cluster.world.ip(cluster.spaces[0], "link", "set", "raft0", "down")
    wait_for("the member to notice", lambda: not connected(cluster, "a"), 20)
    wait_for("a network to be made", lambda: cluster.request("POST", "/v2.0/networks", {"network": {"name": "after"}})[0] == 201, 20)
    assert names(cluster) == {"before", "after"}
    cluster.world.ip(cluster.spaces[0], "link", "set", "raft0", "up")
    wait_for("the member to be back", lambda: connected(cluster, "a"), 20)
    cluster.world.kill("member-b", signal.SIGKILL)
    wait_for("a network to be made", lambda: cluster.request("POST", "/v2.0/networks", {"network": {"name": "last"}})[0] == 201, 20)
    assert names(cluster) == {"before", "after", "last"}
