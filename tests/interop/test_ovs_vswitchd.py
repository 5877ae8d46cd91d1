# SPDX-License-Identifier: Apache-2.0
"""The real ovs-vswitchd as one hypervisor of the cloud: our agent drives it, and its tunnels meet ours.

Its userspace datapath routes tunnels through a bridge of its own, so hv2's underlay address sits on br-phy.
"""
import pytest
from transfer import ask_from, serve_in
from world import run


def ovs_up(cloud, hv):
    w, ns, rundir = cloud.world, cloud.hv_ns(hv), cloud.rundir(hv)
    rundir.mkdir(parents=True)
    run("ovsdb-tool", "create", rundir / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
    env = {"OVS_RUNDIR": str(rundir), "OVS_LOGDIR": str(rundir), "OVS_DBDIR": str(rundir)}
    w.spawn(f"ovsdb-{hv}", ["ovsdb-server", rundir / "conf.db", f"--remote=punix:{rundir}/db.sock",
                            "--remote=db:Open_vSwitch,Open_vSwitch,manager_options", f"--unixctl={rundir}/ovsdb.ctl"], netns=ns, env=env)
    cloud.vsctl(hv, "--retry", "--no-wait", "init")
    w.spawn(f"ovs-{hv}", ["ovs-vswitchd", f"unix:{rundir}/db.sock", f"--pidfile={rundir}/ovs-vswitchd.pid"], netns=ns, env=env)
    cloud.vsctl(hv, "add-br", "br-phy", "--", "set", "Bridge", "br-phy", "datapath_type=netdev", "--", "add-port", "br-phy", "und0")
    k = hv.removeprefix("hv")
    w.ip(ns, "addr", "flush", "dev", "und0")
    w.ip(ns, "link", "set", "br-phy", "up")
    w.ip(ns, "addr", "add", f"10.201.{k}.2/24", "dev", "br-phy")
    w.ip(ns, "route", "add", "default", "via", f"10.201.{k}.1")
    for bridge in ("br-int", "br-tun"):
        cloud.vsctl(hv, "add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=netdev", "fail_mode=secure")


@pytest.mark.parametrize("kind", ["vxlan", "gre", "geneve"])
def test_our_agent_drives_ovs_vswitchd(cloud_factory, datapath, kind):
    cloud = cloud_factory(datapath=datapath)
    cloud.hypervisors = ["hv1", "hv2"]
    cloud.underlay_up(cloud.hypervisors)
    cloud.controller_up(cloud.api_port)
    cloud.switchd_up("hv1")
    ovs_up(cloud, "hv2")
    for hv in cloud.hypervisors:
        cloud.agent_up(hv)
    network = cloud.network("red", kind)
    cloud.vm("red1", network, "hv1", "10.0.0.11")
    cloud.vm("red2", network, "hv2", "10.0.0.12")
    # ovs-vswitchd's AF_PACKET ports leave partial checksums as they are: the VM behind it fills them in itself.
    cloud.world.sh(cloud.vms["red2"]["ns"], "ethtool", "-K", "eth0", "tx", "off")
    cloud.wait_active()
    cloud.wait_mesh()
    cloud.ping("red1", "10.0.0.12", count=1)
    assert cloud.ping("red1", "10.0.0.12") == 3
    assert cloud.ping("red2", "10.0.0.11") == 3
    assert cloud.ping("red2", "10.0.0.11", count=2, size=1400) == 2
    # Its ports take no super-packets and no unfinished checksums: as in hardware, the device between the hosts deals with them.
    features = [f"tx-{name}-segmentation" for name in ("gre", "gre-csum", "udp_tnl", "udp_tnl-csum")]
    cloud.world.sh(f"{cloud.world.name}-rt", "ethtool", "-K", "u2", "tx", "off", *[w for name in features for w in (name, "off")])
    serve_in(cloud.world, "far", cloud.vms["red2"]["ns"])
    assert ask_from(cloud.world, cloud.vms["red1"]["ns"], "ask", "10.0.0.12") == ""


def test_our_client_reads_ovs_vswitchd(cloud_factory):
    cloud = cloud_factory()
    cloud.underlay_up(["hv2"])
    ovs_up(cloud, "hv2")
    bridge = f"{cloud.rundir('hv2')}/br-tun.mgmt"
    cloud.vsctl("hv2", "add-port", "br-tun", "vx", "--", "set", "Interface", "vx", "type=vxlan", "options:remote_ip=10.201.1.2",
                "options:key=flow", "ofport_request=5")
    cloud.ofctl("hv2", "add-flows", bridge, "-", stdin="table=4,priority=1,tun_id=0x2a,actions=mod_vlan_vid:7,resubmit(,10)\n"
                "table=10,priority=1,actions=learn(table=20,hard_timeout=300,priority=1,NXM_OF_VLAN_TCI[0..11],"
                "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],output:OXM_OF_IN_PORT[]),output:5\n")

    def warren(*words):
        return run(cloud.program("warren"), *words, "--rundir", cloud.rundir("hv2")).stdout

    def flows(text):
        return sorted(line.strip() for line in text.splitlines() if "cookie=" in line or "actions=" in line)

    def ofctl_flows(*words):
        return flows(cloud.ofctl("hv2", "dump-flows", bridge, *words))

    # ovs-ofctl leaves the cookie out with --no-stats when it is zero.
    ours = [line.replace("cookie=0x0, ", "") for line in flows(warren("dump-flows", "br-tun", "--no-stats"))]
    theirs = [line.replace("cookie=0x0, ", "") for line in ofctl_flows("--no-stats")]
    assert ours == theirs and len(ours) == 2
    (tunnel,) = [line for line in warren("show").split("Tunnels\n")[1].splitlines() if " vx " in line]
    assert tunnel.split()[:6] == ["br-tun", "vx", "5", "vxlan", "10.201.1.2", "flow"]
