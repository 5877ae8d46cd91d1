# SPDX-License-Identifier: Apache-2.0
"""NORMAL against ovs-vswitchd's: ports of random VLAN settings, protection and mirrors, the same packets traced through both.
What comes out where, with which tags, has to be the same."""
import random
import re
import struct

import pytest
from test_ovs_vswitchd import ovs_up
from world import wait_for

N_PORTS = 5
SEEDS = range(1, 9)


@pytest.fixture(scope="module")
def pair(cloud_factory):
    cloud = cloud_factory()
    cloud.hypervisors = ["hv1", "hv2"]
    cloud.allowed_warnings += ["mirror"]
    cloud.underlay_up(cloud.hypervisors)
    cloud.switchd_up("hv1")
    ovs_up(cloud, "hv2")
    for hv in cloud.hypervisors:
        for k in range(1, N_PORTS + 1):
            cloud.world.veth(cloud.hv_ns(hv), f"p{k}", cloud.hv_ns(hv), f"p{k}x")
            cloud.world.ip(cloud.hv_ns(hv), "link", "set", f"p{k}", "up")
            cloud.world.ip(cloud.hv_ns(hv), "link", "set", f"p{k}x", "up")
    return cloud


def port_settings(r, protect, dot1q):
    vids = lambda n: ",".join(str(v) for v in sorted(r.sample([0, 1, 10, 20, 30], n)))  # noqa: E731
    mode = r.choice(["", "trunk", "access", "native-tagged", "native-untagged"] + ["dot1q-tunnel"] * 3 * dot1q)
    out = [f"vlan_mode={mode}"] if mode else []
    if mode not in ("", "trunk"):
        out.append(f"tag={r.choice([1, 10, 10, 20])}")
    if mode not in ("access", "dot1q-tunnel") and r.random() < 0.5:
        out.append(f"trunks={vids(r.randint(1, 3))}")
    if mode == "dot1q-tunnel" and r.random() < 0.5:
        out.append(f"cvlans={vids(r.randint(1, 3))}")
    if r.random() < 0.4:
        out.append(f"other_config:qinq-ethtype={r.choice(['802.1q', '802.1ad'])}")
    if r.random() < 0.6 and not dot1q:  # ovs-vswitchd would give a service tag the customer's priority
        always = ["always"] * (mode in ("", "trunk"))  # elsewhere it takes it for if-nonzero
        out.append(f"other_config:priority-tags={r.choice(['never', 'if-nonzero', *always])}")
    if protect and r.random() < 0.5:
        out.append("protected=true")
    return out


def mirror_command(r, number):
    """Words that make a random mirror of br0."""
    port = lambda: f"p{r.randint(1, N_PORTS)}"  # noqa: E731
    words = ["--", "--id=@a", "get", "Port", port(), "--", "--id=@b", "get", "Port", port(), "--", "--id=@out", "get", "Port", "p5",
             "--", "--id=@m", "create", "Mirror", f"name=m{number}"]
    words += r.choice([["select_all=true"], ["select_src_port=@a"], ["select_dst_port=@a"],
                       ["select_src_port=@a", "select_dst_port=@b"]])
    if r.random() < 0.3:
        words.append(f"select_vlan={r.choice([0, 10, 20])}")
    words.append(r.choice(["output_port=@out", "output_port=@out", "output_vlan=30"]))
    if r.random() < 0.3:
        words.append("snaplen=40")
    return words + ["--", "add", "Bridge", "br0", "mirrors", "@m"]


def packets(r, zero, double):
    """ZERO: with priority tags too, whose empty ones ovs-vswitchd takes away within a service VLAN. DOUBLE: with two tags, of
    which it overwrites the inner one's priority where priority tags are on."""
    tag = lambda tpid, vids: tpid + struct.pack("!H", r.choice(vids) | r.choice([0, 0, 3]) << 13).hex()  # noqa: E731
    for _ in range(10):
        dst = r.choice(["ffffffffffff", "020000000099", "0180c200000e", "01000ccccccd", "01005e010203"])
        tags = r.choice([lambda: "", lambda: tag("8100", [0, 0, 1, 10, 20, 30] if zero else [20]), lambda: tag("8100", [1, 10, 10, 20, 30]),
                         lambda: tag(r.choice(["8100", "88a8"]), [1, 10, 20]) + tag("8100", [1, 10, 20, 30]) * double])()
        yield f"p{r.randint(1, N_PORTS)}", dst + "020000000001" + tags + "88b5" + "00" * 60


def outputs(shown, names, packet):
    """The set of (port, tags, length limit) that the datapath actions of a trace come to."""
    actions = re.findall(r"^Datapath actions: (.*)$", shown, re.M)[-1]
    at, tags, trunc, out = 24, [], 0, []
    while packet[at:at + 4] in ("8100", "88a8"):
        tags.append((packet[at:at + 4], int(packet[at + 4:at + 8], 16) & 0xfff, int(packet[at + 4:at + 8], 16) >> 13))
        at += 8
    for word in re.findall(r"[a-z0-9_]+(?:\((?:[^()]|\([^()]*\))*\))?", actions):
        value = dict(re.findall(r"(vid|pcp|tpid)=(\w+)", word))
        if word.isdigit():
            out.append((names[word], tuple(tags), trunc))
            trunc = 0
        elif word == "pop_vlan":
            tags = tags[1:]
        elif word.startswith("push_vlan"):
            tags = [(value.get("tpid", "0x8100")[2:], int(value["vid"]), int(value["pcp"]))] + tags
        elif word.startswith("set(vlan"):
            tags = [(tags[0][0], int(value["vid"]), int(value["pcp"]))] + tags[1:]
        elif word.startswith("trunc"):
            trunc = int(re.search(r"\d+", word).group())
        else:
            assert word.startswith("drop"), actions
    return sorted(out)


def trace(cloud, hv, port, packet):
    names = {dp: name for name, dp in re.findall(r"(\w+) \d+/(\d+): ", cloud.appctl(hv, "dpif/show"))}
    shown = cloud.appctl(hv, "ofproto/trace", "br0", f"in_port={port}", packet)
    return outputs(shown, names, packet), shown


@pytest.mark.parametrize("seed", SEEDS)
def test_same(pair, seed):
    r = random.Random(seed)
    words = ["--", "set", "Open_vSwitch", ".", f"other_config:vlan-limit={r.choice([1, 2, 0])}", "--", "add-br", "br0", "--", "set",
             "Bridge", "br0", "datapath_type=netdev", "other_config:hwaddr=02:00:00:00:00:77",
             f"other_config:forward-bpdu={r.choice(['true', 'false'])}"]
    n_mirrors = r.choice([0, 0, 1, 2])  # with protected ports they differ: ovs-vswitchd drops copies between those
    shows_priority = set()
    for k in range(1, N_PORTS + 1):
        words += ["--", "add-port", "br0", f"p{k}", "--", "set", "Interface", f"p{k}", f"ofport_request={k}"]
        settings = port_settings(r, not n_mirrors, seed % 2)
        if any("if-nonzero" in word or "always" in word for word in settings):
            shows_priority.add(f"p{k}")
        if settings:
            words += ["--", "set", "Port", f"p{k}", *settings]
    commands = [words[1:]] + [mirror_command(r, n)[1:] for n in range(n_mirrors)]
    try:
        for hv in pair.hypervisors:
            for command in commands:
                pair.vsctl(hv, *command)
            pair.world.ip(pair.hv_ns(hv), "link", "set", "br0", "up")
        wait_for("br0 to be up", lambda: pair.vsctl("hv1", "get", "Interface", "br0", "admin_state").strip() == "up", 5)
        for port, packet in packets(r, seed % 2 == 0, not shows_priority):
            (ours, shown), (theirs, their_shown) = (trace(pair, hv, port, packet) for hv in pair.hypervisors)
            # A priority tag with a priority leaves ovs-vswitchd's trunks whatever priority-tags says. Its manual knows better.
            theirs = sorted((name, tags if name in shows_priority or len(tags) != 1 or tags[0][1] else (), cut)
                            for name, tags, cut in theirs)
            if any(len(tags) > 2 for _, tags, _ in ours):
                continue  # ovs-vswitchd knows two tags and loses the third
            assert ours == theirs, f"{commands}\n{port} {packet}\nours   {ours}\ntheirs {theirs}\n{shown}\n{their_shown}"
    finally:
        for hv in pair.hypervisors:
            pair.vsctl(hv, "--if-exists", "del-br", "br0", "--", "--all", "destroy", "Mirror")
