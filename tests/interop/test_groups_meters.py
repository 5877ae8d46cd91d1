# SPDX-License-Identifier: Apache-2.0
"""Groups and meters by Debian's ovs-ofctl in every version that has them (groups in 1.0 by Nicira's messages), and what they do to
real traffic, on one switch with one bridge."""
import re
import struct
import time

import ofclient
import pytest
from datapaths import one_datapath
from test_normal_modes import Wire, frame, mac
from world import wait_for

GROUP_VERSIONS = [None, "OpenFlow13", "OpenFlow14", "OpenFlow15"]
METER_VERSIONS = ["OpenFlow13", "OpenFlow14", "OpenFlow15"]


@pytest.fixture(scope="module")
def hv(cloud_factory, datapath):
    cloud = cloud_factory(datapath=datapath)
    cloud.switches_up("hv1")
    ns, far = cloud.hv_ns("hv1"), cloud.world.netns("w")
    for where in (ns, far):
        cloud.world.sysctl(where, net__ipv6__conf__default__disable_ipv6=1)
    args = ["add-br", "br0", "--", "set", "Bridge", "br0", "fail_mode=secure"]
    for k in range(1, 7):
        cloud.world.veth(ns, f"p{k}", far, f"e{k}")
        cloud.world.ip(ns, "link", "set", f"p{k}", "up")
        cloud.world.ip(far, "link", "set", f"e{k}", "up", "promisc", "on")
        args += ["--", "add-port", "br0", f"p{k}", "--", "set", "Interface", f"p{k}", f"ofport_request={k}"]
    cloud.vsctl("hv1", *args)
    cloud.far, cloud.wire = far, Wire(far)
    yield cloud
    cloud.wire.close()


class Ofctl:
    def __init__(self, hv, version):
        self.hv, self.version = hv, version
        self.number = int((version or "OpenFlow10")[-2:])

    def run(self, *args):
        options = ["-O", self.version] if self.version else []
        return self.hv.tool("hv1", "ovs-ofctl", *options, *args, check=False)

    def __call__(self, *args):
        done = self.run(*args)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout

    def fails(self, error, *args):
        done = self.run(*args)
        assert done.returncode != 0 and error in done.stdout + done.stderr, (args, done.stdout, done.stderr)

    def lines(self, *args):
        return [line.strip() for line in self(*args).splitlines()[1:] if line.strip()]


@pytest.fixture
def clean(hv):
    def flush():
        of = Ofctl(hv, "OpenFlow13")
        for command in ("del-flows", "del-groups", "del-meters"):
            of(command, "br0")

    flush()
    yield
    flush()


@pytest.fixture(params=GROUP_VERSIONS, ids=lambda v: v or "default")
def of(hv, clean, request):
    return Ofctl(hv, request.param)


@pytest.fixture(params=METER_VERSIONS)
def ofm(hv, clean, request):
    return Ofctl(hv, request.param)


@pytest.fixture
def of15(hv, clean):
    return Ofctl(hv, "OpenFlow15")


def udp(source_port, dst=mac(2), src=mac(1), size=18):
    payload = bytes(size)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    total = sum(struct.unpack("!10H", ip))
    total = (total & 0xffff) + (total >> 16)
    ip = ip[:10] + struct.pack("!H", 0xffff ^ (total + (total >> 16)) & 0xffff) + ip[12:]
    return frame(dst, src, ethertype=0x0800, payload=ip + struct.pack("!HHHH", source_port, 9, 8 + len(payload), 0) + payload)


def send(hv, frames, wanted, port=1):
    """Sends FRAMES into PORT and returns how many of them came out where, when WANTED altogether did."""
    sent = {f[-50:] for f in frames}
    total = dict.fromkeys(hv.wire.sockets, 0)

    def take(got):
        for k, received in got.items():
            total[k] += sum(f[-50:] in sent for f in received)

    hv.appctl("hv1", "revalidator/wait")  # a megaflow of the test before, made a drop by its end, may still be on its way here
    hv.wire.drain(0)
    for at in range(0, len(frames), 50):  # what a socket's buffer holds
        for f in frames[at:at + 50]:
            hv.wire.sockets[port].send(f)
        take(hv.wire.drain(0.02))
    deadline = time.monotonic() + 3
    while sum(total.values()) < wanted and time.monotonic() < deadline:
        take(hv.wire.drain(0.02))
    take(hv.wire.drain(0.15))
    return {k: n for k, n in total.items() if n}


# ---- groups: commands

@one_datapath
def test_add_modify_dump_delete(of):
    of("add-group", "br0", "group_id=1,type=all,bucket=actions=output:2,bucket=actions=set_field:02:00:00:00:00:09->eth_dst,output:3")
    of("add-group", "br0", "group_id=2,type=select,bucket=weight:3,actions=output:2,bucket=weight:0,actions=output:3")
    of("add-group", "br0", "group_id=3,type=indirect,bucket=actions=group:1")
    of("add-group", "br0", "group_id=4294967040,type=ff,bucket=watch_port:2,actions=output:2,bucket=watch_group:1,actions=output:3")
    ids = of.number in (10, 15)
    b = lambda n: f"bucket=bucket_id:{n}," if ids else "bucket="  # noqa: E731
    set_eth = "mod_dl_dst:02:00:00:00:00:09" if of.number == 10 else "set_field:02:00:00:00:00:09->eth_dst"
    assert of.lines("--no-names", "dump-groups", "br0") == [
        f"group_id=1,type=all,{b(0)}actions=output:2,{b(1)}actions={set_eth},output:3",
        f"group_id=2,type=select,{b(0)}weight:3,actions=output:2,{b(1)}weight:0,actions=output:3",
        f"group_id=3,type=indirect,{b(0)}actions=group:1",
        f"group_id=4294967040,type=ff,{b(0)}watch_port:2,actions=output:2,{b(1)}watch_group:1,actions=output:3"]
    of.fails("OFPGMFC_GROUP_EXISTS", "add-group", "br0", "group_id=1,type=all,bucket=actions=output:2")
    of.fails("OFPGMFC_UNKNOWN_GROUP", "mod-group", "br0", "group_id=9,type=all,bucket=actions=output:2")
    of("--may-create", "mod-group", "br0", "group_id=9,type=all,bucket=actions=output:2")
    of("mod-group", "br0", "group_id=9,type=all,bucket=actions=output:5")
    of("add-group", "br0", "group_id=10,type=all,bucket=actions=group:11")  # that comes later, or
    of.fails("OFPGMFC_LOOP", "add-group", "br0", "group_id=11,type=all,bucket=actions=group:10")
    of.fails("OFPGMFC_LOOP", "add-group", "br0", "group_id=12,type=all,bucket=actions=group:12")
    of("del-groups", "br0", "group_id=10")
    of.fails("OFPGMFC_LOOP", "mod-group", "br0", "group_id=1,type=all,bucket=actions=group:3")
    of.fails("OFPGMFC_CHAINED_GROUP", "del-groups", "br0", "group_id=1")
    of("del-groups", "br0", "group_id=3")
    of("del-groups", "br0", "group_id=1")
    of("del-groups", "br0", "group_id=77")
    assert len(of.lines("dump-groups", "br0")) == 3
    of("del-groups", "br0")
    assert of.lines("dump-groups", "br0") == []


@one_datapath
def test_features(of):
    text = of("dump-group-features", "br0")
    assert "Types:  0xf" in text and "Capabilities:  0xf" in text
    assert text.count("max_groups=0xffffff00") == 4
    assert "output" in text and ("group" in text or of.number == 10)


@one_datapath
def test_flows_go_with_their_group(of):
    of("add-group", "br0", "group_id=5,type=all,bucket=actions=output:2")
    of.fails("OFPBAC_BAD_OUT_GROUP", "add-flow", "br0", "actions=group:6")
    of("add-flow", "br0", "priority=1,actions=group:5")
    of("add-flow", "br0", "priority=2,actions=output:4")
    if of.number != 10:
        of("add-flow", "br0", "priority=3,actions=write_actions(group:5)")
    assert "ref_count=2" in of("dump-group-stats", "br0") or of.number == 10
    of("del-groups", "br0", "group_id=5")
    flows = [line for line in of.lines("dump-flows", "br0") if "actions=" in line]
    assert len(flows) == 1 and "output:" in flows[0]


@one_datapath
def test_buckets_and_selection(hv, clean):
    of = Ofctl(hv, "OpenFlow15")
    of("add-group", "br0", "group_id=1,type=select,selection_method=hash,selection_method_param=7,fields(ip_src=255.255.255.0,ip_dst),"
       "bucket=bucket_id:5,weight:1,actions=output:2")
    of("insert-buckets", "br0", "group_id=1,command_bucket_id=first,bucket=bucket_id:1,weight:2,actions=output:3")
    of("insert-buckets", "br0", "group_id=1,command_bucket_id=last,bucket=bucket_id:9,weight:2,actions=output:4")
    of("insert-buckets", "br0", "group_id=1,command_bucket_id=1,bucket=bucket_id:3,weight:2,actions=output:5,bucket=bucket_id:4,weight:2,actions=output:6")
    shown = of.lines("--no-names", "dump-groups", "br0")[0]
    assert re.findall(r"bucket_id:(\d+)", shown) == ["1", "3", "4", "5", "9"]
    assert "selection_method=hash,selection_method_param=7,fields(ip_src=255.255.255.0,ip_dst)" in shown
    of.fails("OFPGMFC_BUCKET_EXISTS", "insert-buckets", "br0", "group_id=1,command_bucket_id=last,bucket=bucket_id:4,weight:1,actions=output:2")
    of.fails("OFPGMFC_UNKNOWN_BUCKET", "insert-buckets", "br0", "group_id=1,command_bucket_id=77,bucket=bucket_id:6,weight:1,actions=output:2")
    of.fails("OFPGMFC_UNKNOWN_BUCKET", "remove-buckets", "br0", "group_id=1,command_bucket_id=77")
    of("remove-buckets", "br0", "group_id=1,command_bucket_id=4")
    of("remove-buckets", "br0", "group_id=1,command_bucket_id=first")
    of("remove-buckets", "br0", "group_id=1,command_bucket_id=last")
    # The other versions: Nicira's form tells as much, the standard's of 1.3 and 1.4 no ids and no method.
    nx = Ofctl(hv, None).lines("--no-names", "dump-groups", "br0")
    assert re.findall(r"bucket_id:(\d+)", nx[0]) == ["3", "5"] and "fields(ip_src=255.255.255.0,ip_dst)" in nx[0]
    for version in ("OpenFlow13", "OpenFlow14"):
        assert Ofctl(hv, version).lines("--no-names", "dump-groups", "br0") == [
            "group_id=1,type=select,bucket=weight:2,actions=output:5,bucket=actions=output:2"]
    of("remove-buckets", "br0", "group_id=1,command_bucket_id=all")
    assert "bucket=" not in of.lines("dump-groups", "br0")[0]


@one_datapath
def test_bundle(of15, tmp_path):
    """Groups and flows as one, or none of them."""
    text = tmp_path / "bundle"
    text.write_text("group add group_id=1,type=all,bucket=actions=output:2\nflow add priority=1,actions=group:1\n"
                    "group add group_id=2,type=indirect,bucket=actions=group:1\n")
    of15("--bundle", "bundle", "br0", str(text))
    assert len(of15.lines("dump-groups", "br0")) == 2
    text.write_text("group modify group_id=2,type=all,bucket=actions=output:5\ngroup delete group_id=1\n"
                    "flow add priority=2,actions=group:1\n")
    of15.fails("OFPBAC_BAD_OUT_GROUP", "--bundle", "bundle", "br0", str(text))
    groups = of15.lines("--no-names", "dump-groups", "br0")
    assert len(groups) == 2 and groups[1].endswith("actions=group:1")
    assert any("group:1" in flow for flow in of15.lines("dump-flows", "br0"))


@one_datapath
def test_requestforward(hv, clean):
    """The other controllers that want it are told of changes, each in its version; who made them is not."""
    path = f"{hv.rundir('hv1')}/br0.mgmt"
    both = struct.pack("!HHI", 11, 8, 3)  # OFPACPT_REQUESTFORWARD_MASTER: group_mod and meter_mod
    with ofclient.Conn.to_unix(path, 5) as other, ofclient.Conn.to_unix(path, 6) as newer, ofclient.Conn.to_unix(path, 5) as acting:
        for conn in (other, newer, acting):
            conn.send(28, both)
            conn.sync()
        bucket = struct.pack("!HHIII", 32, 1, 0xffffffff, 0xffffffff, 0) + struct.pack("!HHIH6x", 0, 16, 2, 0)
        acting.send(15, struct.pack("!HBxI", 0, 1, 5) + bucket, xid=77)
        acting.send(29, struct.pack("!HHI", 0, 2, 3) + struct.pack("!HHII4x", 1, 16, 10, 0), xid=78)
        acting.send(15, struct.pack("!HBxI", 0, 1, 5) + bucket)  # refused: not told
        assert [m.type for m in acting.sync()] == [1]
        for conn, group_len in ((other, 48), (newer, 56)):
            told = [m for m in conn.sync() if m.type == 32]
            assert [struct.unpack("!BBHI", m.body[:8]) for m in told] == [(conn.version, 15, group_len, 77), (conn.version, 29, 32, 78)]


# ---- groups: traffic

def test_all_on_copies(hv, of):
    of("add-group", "br0", "group_id=1,type=all,bucket=actions=set_field:02:00:00:00:00:09->eth_dst,output:2,bucket=actions=output:3")
    of("add-flow", "br0", "in_port=1,actions=group:1,output:4")
    frames = [udp(1000), udp(1001)]
    assert send(hv, frames, 6) == {2: 2, 3: 2, 4: 2}
    hv.wire.drain(0)
    hv.wire.sockets[1].send(frames[0])
    got = hv.wire.drain(3, lambda got: all(got[k] for k in (2, 3, 4)))
    assert [got[k][0][:6].hex() for k in (2, 3, 4)] == ["020000000009", mac(2), mac(2)]
    stats = of("dump-group-stats", "br0")
    n = 3 * len(frames[0])
    assert f"packet_count=3,byte_count={n},bucket0:packet_count=3,byte_count={n},bucket1:packet_count=3,byte_count={n}" in stats
    assert "ref_count=1" in stats


def test_select_spreads_by_weight(hv, of15):
    """3 : 1 over connections, and a connection stays where it is."""
    of15("add-group", "br0", "group_id=1,type=select,bucket=weight:3,actions=output:2,bucket=weight:1,actions=output:3,"
         "bucket=weight:0,actions=output:4")
    of15("add-flow", "br0", "in_port=1,actions=group:1")
    connections = [udp(2000 + k) for k in range(400)]
    first = send(hv, connections, 400)
    assert set(first) == {2, 3} and sum(first.values()) == 400
    assert 250 < first[2] < 350
    assert send(hv, connections, 400) == first
    # Connections of one hash share a megaflow, so no number of them fills the datapath.
    assert sum(send(hv, [udp(10000 + k) for k in range(2000)], 2000).values()) == 2000
    flows = [f for f in hv.appctl("hv1", "dpctl/dump-flows").splitlines() if re.search(r"dp_hash\(0x[0-9a-f]+/0x3ff\)|dp_hash\(0/", f)]
    assert 500 < len(flows) <= 1024 and not any("udp(" in f for f in flows)
    # By one field only that is looked at: the addresses are the same, so is the bucket.
    of15("mod-group", "br0", "group_id=1,type=select,selection_method=hash,fields=ip_src,bucket=actions=output:2,bucket=actions=output:3")
    assert sorted(send(hv, [udp(5000 + k) for k in range(100)], 100).values()) == [100]
    flows = [f for f in hv.appctl("hv1", "dpctl/dump-flows").splitlines() if "src=10.0.0.1" in f and "udp(" not in f]
    assert len(flows) == 1 and "dst=10.0.0.2" not in flows[0]


def test_failover(hv, of15):
    """Packets follow the links, without a word from anyone."""
    of15("add-group", "br0", "group_id=1,type=ff,bucket=watch_port:2,actions=output:2,bucket=watch_port:3,actions=output:3,"
         "bucket=watch_group:2,actions=output:4")
    of15("add-group", "br0", "group_id=2,type=all,bucket=actions=output:4")
    of15("add-flow", "br0", "in_port=1,actions=group:1")

    def leaves_by(port):
        def look():
            hv.wire.drain(0)
            hv.wire.sockets[1].send(udp(3000))
            got = hv.wire.drain(0.3, lambda got: got[port])
            return [k for k in (2, 3, 4) if got[k]] == [port]
        wait_for(f"port {port}", look)

    leaves_by(2)
    hv.world.ip(hv.far, "link", "set", "e2", "down")
    leaves_by(3)
    of15("mod-port", "br0", "p3", "down")
    leaves_by(4)
    hv.world.ip(hv.far, "link", "set", "e2", "up")
    leaves_by(2)
    of15("mod-port", "br0", "p3", "up")


# ---- meters

@one_datapath
def test_meter_commands(ofm):
    of = ofm
    of("add-meter", "br0", "meter=1,kbps,burst,stats,band=type=drop,rate=1000,burst_size=500")
    of("add-meter", "br0", "meter=2,pktps,bands=type=drop,rate=50,type=drop,rate=100")
    of("add-meter", "br0", "meter=controller,pktps,band=type=drop,rate=1000")
    wanted = ["meter=1 kbps burst stats bands=", "type=drop rate=1000 burst_size=500",
              "meter=2 pktps bands=", "type=drop rate=50", "type=drop rate=100",
              "meter=controller pktps bands=", "type=drop rate=1000"]
    assert of.lines("dump-meters", "br0") == wanted
    assert of.lines("dump-meter", "br0", "meter=1") == wanted[:2]
    of.fails("OFPMMFC_METER_EXISTS", "add-meter", "br0", "meter=1,kbps,band=type=drop,rate=9")
    of.fails("OFPMMFC_UNKNOWN_METER", "mod-meter", "br0", "meter=3,kbps,band=type=drop,rate=9")
    of.fails("OFPMMFC_BAD_BAND", "add-meter", "br0", "meter=3,kbps,band=type=dscp_remark,rate=9,prec_level=1")
    of.fails("OFPMMFC_OUT_OF_BANDS", "add-meter", "br0", "meter=3,kbps,bands=" + ",".join(["type=drop,rate=9"] * 9))
    of("mod-meter", "br0", "meter=1,kbps,band=type=drop,rate=9")
    assert of.lines("dump-meter", "br0", "meter=1") == ["meter=1 kbps bands=", "type=drop rate=9"]
    of.fails("OFPMMFC_INVALID_METER", "add-flow", "br0", "actions=meter:3,output:2")
    of("add-flow", "br0", "priority=1,actions=meter:2,output:2")
    of("add-flow", "br0", "priority=2,actions=output:2")
    assert re.search(r"meter:2 flow_count:1 packet_in_count:0 byte_in_count:0 duration:[\d.]+s bands:\s*"
                     r"0: packet_count:0 byte_count:0\s*1: packet_count:0 byte_count:0", of("meter-stats", "br0", "meter=2"))
    of("del-meter", "br0", "meter=2")
    assert of("--no-stats", "dump-flows", "br0").count("actions=") == 1
    of("del-meter", "br0", "meter=2")
    assert "OFPMMFC_UNKNOWN_METER" in of("meter-stats", "br0", "meter=2")
    of("del-meters", "br0")
    assert of.lines("dump-meters", "br0") == []


@one_datapath
def test_meter_features(ofm):
    text = ofm("meter-features", "br0")
    assert "max_meter:65535 max_bands:8 max_color:0" in text and "band_types: drop" in text
    assert "capabilities: kbps pktps burst stats" in text


@pytest.mark.alone
def test_meter_drops(hv, ofm):
    """What Neutron's packet rate limit does: a meter, then the rest of the pipeline."""
    ofm("add-meter", "br0", "meter=1,pktps,burst,stats,band=type=drop,rate=1,burst_size=20")
    ofm("add-flow", "br0", "in_port=1,actions=meter:1,goto_table:1")
    ofm("add-flow", "br0", "in_port=2,actions=output:4")
    ofm("add-flow", "br0", "table=1,actions=output:3")
    frames = [udp(4000)] * 200
    began = time.monotonic()
    got = send(hv, frames, 20)
    stats = wait_for("all to be counted", lambda: (lambda text: "packet_in_count:200 " in text and text)(
        ofm("meter-stats", "br0", "meter=1")))
    passed = got.pop(3)
    assert not got and 20 <= passed <= 21 + (time.monotonic() - began)
    n = len(frames[0])
    assert f"flow_count:1 packet_in_count:200 byte_in_count:{200 * n}" in stats
    assert f"packet_count:{200 - passed} byte_count:{(200 - passed) * n}" in stats
    assert "meter(" in hv.appctl("hv1", "dpctl/dump-flows")
    assert send(hv, frames[:50], 50, port=2) == {4: 50}
    # A wider meter, at once.
    ofm("mod-meter", "br0", "meter=1,pktps,burst,stats,band=type=drop,rate=1000,burst_size=1000")
    assert send(hv, frames, 200) == {3: 200}
    assert "packet_in_count:400 " in ofm("meter-stats", "br0", "meter=1")


@pytest.mark.alone
def test_meter_ends_its_copy_only(hv, of15):
    of15("add-meter", "br0", "meter=1,pktps,burst,band=type=drop,rate=1,burst_size=5")
    of15("add-group", "br0", "group_id=1,type=all,bucket=actions=meter:1,output:2,bucket=actions=output:3")
    of15("add-flow", "br0", "in_port=1,actions=group:1,output:4")
    got = send(hv, [udp(5000)] * 50, 105)
    assert got[3] == got[4] == 50 and 5 <= got[2] <= 9


@pytest.mark.alone
def test_controller_meter(hv, of15):
    """Limits what goes to the controllers, and by an action's own meter."""
    of15("add-meter", "br0", "meter=controller,pktps,burst,band=type=drop,rate=1,burst_size=10")
    of15("add-flow", "br0", "in_port=1,actions=controller")
    monitor = hv.world.spawn("monitor", ["env", f"OVS_RUNDIR={hv.rundir('hv1')}", "ovs-ofctl", "-O", "OpenFlow13", "monitor", "br0", "65534"],
                             netns=hv.hv_ns("hv1"))
    try:
        wait_for("packets to the controller", lambda: (hv.wire.sockets[1].send(udp(6000)), "PACKET_IN" in hv.world.log("monitor"))[1])
        for _ in range(200):
            hv.wire.sockets[1].send(udp(6000))
        wait_for("all of them counted", lambda: int(re.search(r"packet_in_count:(\d+)", of15("meter-stats", "br0", "meter=controller")).group(1)) >= 200)
        assert hv.world.log("monitor").count("PACKET_IN") < 30
    finally:
        hv.world.kill("monitor")
    assert monitor
