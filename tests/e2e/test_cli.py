# SPDX-License-Identifier: Apache-2.0
"""`warren` on a real switch and a real controller: what it shows is what the others' tools show."""
import json
import re

import pytest

from world import run, wait_for

GROUP = "group_id=7,type=all,bucket=actions=output:2"
FLOWS = """\
table=3,priority=5,actions=group:7
table=0,priority=1,in_port=1,actions=resubmit(,2)
table=0,cookie=0x8000000000000001,actions=NORMAL
table=2,priority=7,idle_timeout=600,send_flow_rem,in_port=1,dl_vlan=5,actions=strip_vlan,output:2
table=20,priority=2,hard_timeout=300,dl_vlan=5,dl_dst=fa:16:3e:00:00:01,actions=strip_vlan,set_tunnel:0x2a,output:1
table=20,priority=9,arp,arp_tpa=10.0.0.1,actions=drop
"""


def warren(cloud, *words, check=True, hv="hv1"):
    return run(cloud.program("warren"), *words, "--rundir", cloud.rundir(hv), check=check)


def as_json(cloud, *words, **more):
    return json.loads(warren(cloud, *words, "--json", **more).stdout)


@pytest.fixture(scope="module")
def switch(cloud_factory):
    cloud = cloud_factory()
    cloud.allowed_warnings += ["nosuch0", "no reply"]
    cloud.switches_up("hv1")
    cloud.vsctl("hv1", "add-br", "br0", "--", "set", "bridge", "br0", "fail_mode=secure",
                "--", "add-port", "br0", "vx1", "--", "set", "interface", "vx1", "type=vxlan", "options:remote_ip=10.201.1.9",
                "options:local_ip=10.201.1.2", "options:key=flow", "ofport_request=1",
                "--", "add-port", "br0", "p1", "tag=5", "--", "set", "interface", "p1", "type=internal", "external_ids:iface-id=abc",
                "ofport_request=2")
    cloud.ofctl("hv1", "add-group", f"{cloud.rundir('hv1')}/br0.mgmt", GROUP)
    cloud.ofctl("hv1", "add-flows", f"{cloud.rundir('hv1')}/br0.mgmt", "-", stdin=FLOWS)
    return cloud


def without_ages(text):
    """Lines of dump-flows, sorted, without what goes on counting between two dumps."""
    return sorted(re.sub(r"duration=[\d.]+s, ", "", line) for line in text.splitlines() if "cookie=" in line)


def test_dump_flows_as_ovs_ofctl(switch):
    bridge = f"{switch.rundir('hv1')}/br0.mgmt"
    for selection in ([], ["table=20"], ["dl_vlan=5"], ["cookie=0x8000000000000001/-1"], ["table=20,arp"], ["out_port=2"], ["out_group=7"]):
        theirs = switch.ofctl("hv1", "dump-flows", bridge, *selection)
        ours = warren(switch, "dump-flows", "br0", *selection).stdout
        assert without_ages(ours) == without_ages(theirs)
        assert without_ages(ours), selection
    none = warren(switch, "dump-flows", "br0", "table=99")
    assert none.stdout == none.stderr == "" and as_json(switch, "dump-flows", "br0", "table=99") == []
    # They read each other's text.
    switch.ofctl("hv1", "replace-flows", bridge, "-", stdin=warren(switch, "dump-flows", "br0", "--no-stats").stdout)
    assert len(warren(switch, "dump-flows", "br0").stdout.splitlines()) == len(FLOWS.splitlines())


def test_dump_flows_is_sorted_and_names_ports(switch):
    flows = as_json(switch, "dump-flows", "br0")
    order = [(flow["table"], -flow["priority"]) for flow in flows]
    assert order == sorted(order)
    by_place = {(flow["table"], flow["priority"]): flow for flow in flows}
    assert by_place[0, 32768]["cookie"] == "0x8000000000000001"
    assert by_place[20, 9]["match"] == "arp,arp_tpa=10.0.0.1" and by_place[20, 9]["actions"] == "drop"
    assert by_place[2, 7]["idle_timeout"] == 600 and by_place[2, 7]["flags"] == ["send_flow_rem"]
    assert by_place[20, 2]["hard_timeout"] == 300 and by_place[20, 2]["packets"] == 0
    (bare,) = as_json(switch, "dump-flows", "br0", "table=20,arp", "--no-stats")
    assert bare.keys() == by_place[20, 9].keys() - {"duration", "packets", "bytes"}
    named = warren(switch, "dump-flows", "br0", "in_port=vx1,table=2", "--names").stdout
    assert "in_port=vx1" in named and "output:p1" in named, named


@pytest.mark.parametrize("status,words,text", [
    (2, ["br0", "nonsense=1"], "nonsense"),
    (2, ["br0", "table=1,actions=drop"], "flows are selected by"),
    (2, ["br0", "priority=7"], "flows are selected by"),
    (2, ["br0", "priority=32768"], "flows are selected by"),
    (2, ["br0", "cookie=5"], "cookie=5/-1"),
    (1, ["br0", "in_port=nosuch"], "nosuch: unknown port"),
    (1, ["br9"], "br9.mgmt: No such file or directory"),
    (2, ["a/b"], "no slash"),
])
def test_dump_flows_refuses(switch, status, words, text):
    done = warren(switch, "dump-flows", *words, check=False)
    assert done.returncode == status and text in done.stderr and not done.stdout


def test_dump_flows_of_one_version_only(switch):
    try:
        switch.vsctl("hv1", "set", "bridge", "br0", "protocols=OpenFlow10")
        done = warren(switch, "dump-flows", "br0", check=False)
    finally:
        switch.vsctl("hv1", "clear", "bridge", "br0", "protocols")
    assert done.returncode == 1 and "OpenFlow 1.3" in done.stderr and not done.stdout, done


def test_reader_of_the_beginning(switch):
    """`| head` is told nothing, although the connection to the switch must not end the command by SIGPIPE."""
    flows = "".join(f"table=9,priority={n},actions=drop\n" for n in range(5000))
    bridge = f"{switch.rundir('hv1')}/br0.mgmt"
    switch.ofctl("hv1", "--bundle", "add-flows", bridge, "-", stdin=flows)
    for words in ("dump-flows br0", "dump-flows br0 --json"):
        command = f"{switch.program('warren')} {words} --rundir {switch.rundir('hv1')}"
        done = run("python3", "-c", "import os, signal, sys; signal.signal(signal.SIGPIPE, signal.SIG_DFL); os.execvp('sh', sys.argv[1:])",
                   "sh", "-c", f"{{ {command}; echo $? >&2; }} | head -n 1")
        assert len(done.stdout.splitlines()) == 1 and done.stderr == "141\n", done
    switch.ofctl("hv1", "del-flows", bridge, "table=9")


def test_show(switch):
    (bridge,) = as_json(switch, "show")["bridges"]
    assert bridge["name"] == "br0" and bridge["fail_mode"] == "secure"
    assert bridge["datapath_id"] == json.loads(switch.vsctl("hv1", "get", "bridge", "br0", "datapath_id"))
    ports = {port["name"]: port for port in bridge["ports"]}
    assert sorted(ports) == ["br0", "p1", "vx1"] and ports["p1"]["tag"] == 5
    (tunnel,) = ports["vx1"]["interfaces"]
    assert tunnel["ofport"] == int(switch.vsctl("hv1", "get", "interface", "vx1", "ofport"))
    assert tunnel["options"] == {"remote_ip": "10.201.1.9", "local_ip": "10.201.1.2", "key": "flow"}
    assert ports["p1"]["interfaces"][0]["external_ids"] == {"iface-id": "abc"}
    text = warren(switch, "show").stdout
    assert re.search(r"^br0 +vx1 +\d+ +vxlan +10\.201\.1\.2 +10\.201\.1\.9 +flow +up", text.split("Tunnels\n")[1], re.M), text
    assert re.search(r"^br0 +p1 +\d+ +internal +5 .* abc$", text, re.M), text


def test_show_tells_errors(switch):
    switch.vsctl("hv1", "--no-wait", "add-port", "br0", "nosuch0")
    wait_for("the error", lambda: "No such device" in warren(switch, "show").stdout)
    switch.vsctl("hv1", "del-port", "br0", "nosuch0")
    wait_for("the port to go", lambda: "nosuch0" not in warren(switch, "show").stdout)


def test_show_of_another_database(switch, tmp_path):
    here = as_json(switch, "show")
    there = json.loads(run(switch.program("warren"), "show", "--json", "--rundir", tmp_path,
                           f"--db=unix:{switch.rundir('hv1')}/db.sock").stdout)
    assert [bridge["name"] for bridge in there["bridges"]] == [bridge["name"] for bridge in here["bridges"]] == ["br0"]
    done = run(switch.program("warren"), "show", "--db", "unit:/nothing", check=False)
    assert done.returncode == 2 and "unit:/nothing" in done.stderr and not done.stdout, done


def test_show_by_tls(switch, tmp_path):
    key, certificate, db = tmp_path / "key.pem", tmp_path / "certificate.pem", tmp_path / "conf.db"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=warren", "-keyout", key, "-out", certificate)
    run("ovsdb-tool", "create", db, switch.schemadir / "open_vswitch.ovsschema")
    switch.world.ip(switch.hv_ns("hv1"), "link", "set", "lo", "up")
    files = ["--private-key", key, "--certificate", certificate, "--ca-cert", certificate]
    switch.world.spawn("tls-db", ["ovsdb-server", "--remote=pssl:6640:127.0.0.1", f"--unixctl={tmp_path}/ctl", *files, db],
                       netns=switch.hv_ns("hv1"))
    show = [switch.program("warren"), "show", "--db", "ssl:127.0.0.1:6640"]
    wait_for("the database to listen", lambda: switch.tool("hv1", *show, *files, check=False).returncode == 0)
    assert switch.tool("hv1", *show, *files).stdout == "no bridges\n"
    for given, status, text in (([], 1, "needs --private-key"), (files[:2], 2, "need each other"),
                                (["--ca-cert", tmp_path / "none.pem"], 1, "none.pem")):
        done = switch.tool("hv1", *show, *given, check=False)
        assert done.returncode == status and text in done.stderr and not done.stdout, done


def test_no_switch(switch, tmp_path):
    done = run(switch.program("warren"), "show", "--rundir", tmp_path, check=False)
    assert done.returncode == 1 and f"unix:{tmp_path}/db.sock: No such file or directory" in done.stderr


# ---- the controller


def test_life_of_a_network(cloud_factory):
    cloud = cloud_factory()
    cloud.controller_up(cloud.api_port)
    endpoint = ["--endpoint", f"http://127.0.0.1:{cloud.api_port}"]

    def make(*words):
        return as_json(cloud, *words, *endpoint)

    def refused(*words):
        done = warren(cloud, *words, *endpoint, check=False)
        assert done.returncode == 1 and done.stderr.startswith("warren: ") and done.stderr.count("\n") == 1, done
        return done.stderr

    net = make("network", "create", "red", "--type", "geneve", "--segment", "4242", "--mtu", "1400", "--description", "d")
    assert net["provider:segmentation_id"] == 4242 and net["provider:network_type"] == "geneve" and net["mtu"] == 1400
    sub = make("subnet", "create", "s", "--network", "red", "--cidr", "10.9.0.0/24", "--gateway", "none", "--allocation-pool",
               "10.9.0.20,10.9.0.29", "--dns", "10.9.0.53")
    assert sub["network_id"] == net["id"] and sub["gateway_ip"] is None and sub["dns_nameservers"] == ["10.9.0.53"]
    a = make("port", "create", "a", "--network", "red", "--host", "hv1", "--device-owner", "compute:nova")
    b = make("port", "create", "b", "--network", net["id"], "--mac", "fa:16:3e:00:00:99", "--fixed-ip", "subnet=s,ip=10.9.0.77")
    assert a["fixed_ips"][0]["ip_address"].startswith("10.9.0.2") and a["binding:host_id"] == "hv1"
    assert b["mac_address"] == "fa:16:3e:00:00:99" and b["fixed_ips"] == [{"subnet_id": sub["id"], "ip_address": "10.9.0.77"}]
    assert [port["id"] for port in make("port", "list", "--host", "hv1")] == [a["id"]]
    assert make("network", "show", "red")["subnets"] == [sub["id"]]
    assert b["id"] in warren(cloud, "port", "list", "--network", "red", *endpoint).stdout
    assert make("agent", "list") == []

    assert "4242" in refused("network", "create", "blue", "--type", "geneve", "--segment", "4242")
    assert "10.9.0.77" in refused("port", "create", "c", "--network", "red", "--fixed-ip", "10.9.0.77")
    refused("network", "delete", "red")
    refused("network", "create", "blue", "--type", "tokenring")
    assert refused("network", "show", "blue") == "warren: no network is called blue\n"

    assert make("port", "delete", "a", "b") == {"deleted": [a["id"], b["id"]]}
    assert make("subnet", "delete", "s") and make("network", "delete", "red")
    assert make("network", "list") == make("subnet", "list") == make("port", "list") == []


def test_agents_of_a_running_cloud(cloud_factory):
    cloud = cloud_factory()
    cloud.up(("hv1", "hv2"), port=cloud.api_port)
    endpoint = ["--endpoint", f"http://127.0.0.1:{cloud.api_port}"]
    wait_for("both agents", lambda: len(as_json(cloud, "agent", "list", *endpoint)) == 2)
    shown = as_json(cloud, "agent", "show", "hv2", *endpoint)
    assert shown["host"] == "hv2" and shown["alive"] and shown["configurations"]["tunneling_ip"] == "10.201.2.2"
    assert as_json(cloud, "agent", "show", shown["id"], *endpoint)["host"] == "hv2"
    assert re.search(r"^\S+ +hv1 .* yes +up +10\.201\.1\.2 ", warren(cloud, "agent", "list", *endpoint).stdout, re.M)
    wait_for("the tunnel", lambda: "10.201.2.2" in warren(cloud, "show").stdout)
    done = warren(cloud, "agent", "show", "hv3", *endpoint, check=False)
    assert done.returncode == 1 and done.stderr == "warren: no agent is called hv3\n"
