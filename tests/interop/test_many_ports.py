# SPDX-License-Identifier: Apache-2.0
"""A few hundred ports of every kind: made in one transaction, changed one by one, there again after a restart, gone at
once. (Thousands are measured by hand: nothing here may grow with the square of their number.)"""
import json
import pathlib
import time

import pytest
from world import wait_for

N = 120  # of each kind


@pytest.fixture(scope="module")
def hv(cloud_factory):
    cloud = cloud_factory()
    cloud.hypervisors = ["hv1"]
    cloud.underlay_up(["hv1"])
    ns = cloud.hv_ns("hv1")
    cloud.world.sysctl(ns, net__ipv6__conf__default__disable_ipv6=1)
    cloud.world.sh(ns, "sh", "-c", f"for i in $(seq {N}); do echo link add s$i type veth peer name t$i; "
                   "echo link set s$i up; echo link set t$i up; done | ip -batch -")
    cloud.switchd_up("hv1")
    return cloud


def ports(hv):
    rows = json.loads(hv.vsctl("hv1", "--format=json", "--columns=name,ofport,error,link_state", "list", "Interface"))
    return {name: (ofport, error, link) for name, ofport, error, link in rows["data"]}


def test_made_in_one_transaction(hv):
    words = ["add-br", "br0", "--", "set-fail-mode", "br0", "secure"]
    for k in range(1, N + 1):
        words += ["--", "add-port", "br0", f"s{k}", "--", "add-port", "br0", f"i{k}", "--", "set", "Interface", f"i{k}",
                  "type=internal", "--", "add-port", "br0", f"p{k}", "--", "set", "Interface", f"p{k}", "type=patch",
                  f"options:peer=x{k}", "--", "add-port", "br0", f"v{k}", "--", "set", "Interface", f"v{k}", "type=vxlan",
                  f"options:remote_ip=10.77.{k // 250}.{k % 250 + 1}", "options:key=flow"]
    hv.vsctl("hv1", *words)
    shown = ports(hv)
    assert len(shown) == 4 * N + 1
    numbers = [ofport for name, (ofport, error, _) in shown.items() if error == ["set", []] and ofport > 0]
    assert len(set(numbers)) == 4 * N + 1, [item for item in shown.items() if not isinstance(item[1][0], int)]
    wait_for("all links to be up", lambda: all(link == "up" for name, (_, _, link) in ports(hv).items() if name[0] == "s"), 10)


@pytest.mark.alone
def test_a_change_costs_no_walk(hv):
    """Twenty changes, each waited for: a second is far more than they need, whatever else this machine does."""
    for attempt in range(3):
        start = time.monotonic()
        hv.vsctl("hv1", "--no-wait", "set", "Interface", "s1", f"external_ids:n={attempt}")
        idle = time.monotonic() - start
        start = time.monotonic()
        for k in range(20):
            hv.vsctl("hv1", "set", "Interface", "s7", f"ofport_request={5000 + k}")
        took = time.monotonic() - start
        if took < 20 * idle + 1:
            break
    else:
        pytest.fail(f"20 changes took {took:.2f} s, the client alone {20 * idle:.2f} s")
    assert ports(hv)["s7"][0] == 5019


def test_link_events_by_the_hundred(hv):
    ns = hv.hv_ns("hv1")
    toggle = lambda state: hv.world.sh(ns, "sh", "-c", f"for i in $(seq {N}); do echo link set t$i {state}; done "  # noqa: E731
                                       "| ip -batch -")
    for state in ("down", "up"):
        toggle(state)
        wait_for(f"all links {state}", lambda s=state: all(link == s for name, (_, _, link) in ports(hv).items()
                                                           if name[0] == "s"), 10)
    resets = json.loads(hv.vsctl("hv1", "--format=json", "--columns=name,link_resets", "list", "Interface"))["data"]
    assert all(n == 2 for name, n in resets if name[0] == "s"), resets


@pytest.mark.alone
def test_the_same_after_a_restart(hv):
    before = {name: ofport for name, (ofport, _, _) in ports(hv).items()}
    start = time.monotonic()
    hv.world.kill("switchd-hv1")
    left = time.monotonic() - start
    hv.switchd_up("hv1")
    assert {name: ofport for name, (ofport, _, _) in ports(hv).items()} == before
    assert left < 5  # ports leave together: one by one each would take a grace period of the kernel's
    hv.ofctl("hv1", "add-flow", "br0", "actions=normal")
    assert hv.appctl("hv1", "dpif/show").count("(system)") == N


def test_moved_in_one_transaction(hv):
    """Ports that leave one bridge and come to another have their names again, with new devices."""
    before = indexes(hv)
    words = ["add-br", "br1"]
    for k in range(1, N + 1):
        words += ["--", "del-port", "br0", f"i{k}", "--", "add-port", "br1", f"i{k}", "--", "set", "Interface", f"i{k}", "type=internal"]
    hv.vsctl("hv1", *words)
    shown = ports(hv)
    assert all(shown[name][0] > 0 for name in before)
    after = indexes(hv)
    assert set(after) == set(before) and not set(after.values()) & set(before.values())


def indexes(hv):
    """Of the INTERNAL ports' devices, by name."""
    links = json.loads(hv.world.ip(hv.hv_ns("hv1"), "-j", "link").stdout)
    return {link["ifname"]: link["ifindex"] for link in links if link["ifname"][0] == "i"}


def busy(pid):
    """Seconds for which a process's first thread ran, or was ready to."""
    ran, ready, _ = pathlib.Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()
    return (int(ran) + int(ready)) / 1e9


@pytest.mark.alone
def test_gone_at_once(hv):
    """Two bridges with all their ports: the switch waits much less than the kernel takes for as many devices one by one. (What it
    calculates, and waits for a processor, is another matter.)"""
    pid, start = hv.world.pid("switchd-hv1"), time.monotonic()
    before = busy(pid)
    hv.vsctl("hv1", "del-br", "br0", "--", "del-br", "br1")
    took = time.monotonic() - start - (busy(pid) - before)
    assert ports(hv) == {}
    links = hv.world.sh(hv.hv_ns("hv1"), "ip", "-o", "link").stdout
    assert not indexes(hv) and "wrp" not in links and f" s{N}@" in links
    start = time.monotonic()
    hv.world.sh(hv.hv_ns("hv1"), "sh", "-c", f"for i in $(seq {N}); do echo link del s$i; done | ip -batch -")
    kernel = time.monotonic() - start
    assert took < max(kernel / 2, 1), (took, kernel)
