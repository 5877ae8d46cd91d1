# SPDX-License-Identifier: Apache-2.0
"""Queues of a VM's port hold up what the VM receives, wherever that comes from: Neutron's bandwidth limits towards VMs are
such queues. The fast path's shortcut to the other end of a veth would pass them by. Policing limits what it sends."""
import contextlib
import re
import socket
import time

import pytest
from echo import echo, socket_in
from transfer import ask_from, serve_in
from world import wait_for

RATE = 2_000_000  # bit/s
SIZE = 400_000  # bytes that transfer.py sends, and gets back


@pytest.fixture(scope="module")
def cloud(cloud_factory, datapath):
    """vm1 and vm3 on hv1, vm2 on hv2: one network by VXLAN."""
    cloud = cloud_factory(datapath=datapath)
    cloud.switches_up("hv1", "hv2")
    w = cloud.world
    for hv, other, names in (("hv1", "hv2", (1, 3)), ("hv2", "hv1", (2,))):
        ports = []
        for n in names:
            ns = w.netns(f"vm{n}")
            w.veth(ns, "eth0", cloud.hv_ns(hv), f"tap{n}")
            w.sysctl(cloud.hv_ns(hv), **{f"net__ipv6__conf__tap{n}__disable_ipv6": 1})
            w.ip(cloud.hv_ns(hv), "link", "set", f"tap{n}", "up")
            w.ip_batch(ns, ["link set eth0 mtu 1400 up", f"addr add 10.0.0.{n}/24 dev eth0"])
            ports += ["--", "add-port", "br0", f"tap{n}"]
        cloud.vsctl(hv, "add-br", "br0", *ports, *cloud.tunnel_port(hv, "br0", "tun", "vxlan", 7, other))
    cloud.vm1, cloud.vm2, cloud.vm3 = (f"{w.name}-vm{n}" for n in (1, 2, 3))
    serve_in(w, "serve", cloud.vm1)
    for vm in (cloud.vm2, cloud.vm3):
        wait_for(f"vm1 to answer {vm}", lambda vm=vm: echo(vm, "10.0.0.1", wait=1))
    return cloud


def seconds(cloud, vm):
    """That vm1 takes to receive (and send back) SIZE bytes of VM."""
    start = time.monotonic()
    assert ask_from(cloud.world, vm, "ask-tcp", "10.0.0.1") == ""
    return time.monotonic() - start


def queued(cloud):
    shown = cloud.appctl("hv1", "qos/show", "tap1")
    return int(re.search(r"Default:\n(?:  .*\n)*?  tx_bytes: (\d+)", shown)[1])


def is_held_up(cloud, vm):
    """The bucket of a queue lets the first few packets pass at once."""
    before = queued(cloud)
    took = seconds(cloud, vm)
    assert queued(cloud) - before > SIZE
    assert took > 0.8 * SIZE * 8 / RATE


@pytest.mark.parametrize("by", ["switch", "hand"])
def test_what_a_vm_receives(cloud, by):
    """BY hand: whoever gives the device a queueing discipline."""
    ns = cloud.hv_ns("hv1")
    for vm in (cloud.vm2, cloud.vm3):
        seconds(cloud, vm)  # the flows are there
    if by == "switch":
        cloud.vsctl("hv1", "set", "Port", "tap1", "qos=@q", "--", "--id=@q", "create", "QoS", "type=linux-htb",
                    f"other_config:max-rate={RATE}")
        for vm in (cloud.vm2, cloud.vm3):
            is_held_up(cloud, vm)
        cloud.vsctl("hv1", "clear", "Port", "tap1", "qos")
    else:
        cloud.world.sh(ns, "tc", "qdisc", "add", "dev", "tap1", "root", "tbf", "rate", f"{RATE}bit", "burst", "5kb", "latency", "100ms")
        for vm in (cloud.vm2, cloud.vm3):
            assert seconds(cloud, vm) > 0.8 * SIZE * 8 / RATE
        cloud.world.sh(ns, "tc", "qdisc", "del", "dev", "tap1", "root")
    # The shortcut is back: the device itself sends nothing.
    time.sleep(0.2)
    for vm in (cloud.vm2, cloud.vm3):
        assert seconds(cloud, vm) < 0.5 * SIZE * 8 / RATE


def test_policing_while_others_change(cloud):
    """Whatever else of the port is set, or told by the switch itself (its counters), the policer's bucket is full but once."""
    kbps, burst, seconds = 1000, 400, 2.5
    cloud.vsctl("hv1", "set", "Interface", "tap1", f"ingress_policing_rate={kbps}", f"ingress_policing_burst={burst}")
    with socket_in(cloud.vm1, socket.AF_INET, socket.SOCK_DGRAM) as source, \
            socket_in(cloud.vm2, socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("10.0.0.2", 9))
        target.setblocking(False)
        bits, changes, start = 0, 0, time.monotonic()
        while (passed := time.monotonic() - start) < seconds:
            if passed > changes / 4:
                changes += 1
                cloud.vsctl("hv1", "set", "Port", "tap1", f"other_config:change={changes}")
            for _ in range(8):
                source.sendto(bytes(1000), ("10.0.0.2", 9))
            time.sleep(0.005)
            with contextlib.suppress(BlockingIOError):
                while True:
                    bits += (len(target.recv(2000)) + 42) * 8
    cloud.vsctl("hv1", "set", "Interface", "tap1", "ingress_policing_rate=0", "ingress_policing_burst=0")
    share = bits / (burst + passed * kbps) / 1000
    assert 0.2 < share < 1.1  # less where this process was not let run
