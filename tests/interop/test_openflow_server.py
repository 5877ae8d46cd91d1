# SPDX-License-Identifier: Apache-2.0
"""The OpenFlow server byte by byte: negotiation, errors, roles, asynchronous messages, controllers and fail modes."""
import struct
import subprocess
import time

import ofclient as of
import pytest
from world import wait_for


@pytest.fixture(scope="module")
def hv(cloud_factory):
    cloud = cloud_factory()
    cloud.switches_up("hv1")
    cloud.allowed_warnings += ["switching by itself", "controller:", "refused: only punix"]
    return cloud


@pytest.fixture
def br(hv):
    hv.vsctl("hv1", "add-br", "br0", "--", "set-fail-mode", "br0", "secure")
    yield hv.rundir("hv1") / "br0.mgmt"
    hv.vsctl("hv1", "del-br", "br0")


@pytest.fixture
def controller(hv, br, tmp_path):
    c = of.Controller(tmp_path / "ctl")
    yield c
    c.down()


def set_controller(hv, *controllers, **columns):
    hv.vsctl("hv1", "set-controller", "br0", *[c.target for c in controllers])
    if columns:
        for uuid in hv.vsctl("hv1", "--bare", "--columns=_uuid", "list", "Controller").split():
            hv.vsctl("hv1", "set", "Controller", uuid, *[f"{k}={v}" for k, v in columns.items()])


def status(hv, column):
    return hv.vsctl("hv1", "--bare", f"--columns={column}", "list", "Controller").strip()


# ---- negotiation ----

def test_hello(hv, br):
    with of.Conn.to_unix(br, 4) as c:  # no bitmap: everything up to its version
        assert c.peer_hello.body[:2] == b"\0\1"
        assert c.request(of.ECHO_REQUEST, b"abc")[0][1:] == (of.ECHO_REPLY, c.xid - 1, b"abc")
    with of.Conn.to_unix(br, 9) as c:  # a version that nobody knows yet, with a bitmap that has 1.3 only
        pass
    with of.Conn.to_unix(br, 4, hello=False) as c:
        c.send_raw(of.pack(9, of.HELLO, 1, of.hello_bitmap(4, 9)))
        assert c.recv().type == of.HELLO
        assert c.request(of.FEATURES_REQUEST)[0].version == 4


def test_hello_without_common_version(hv, br):
    hv.vsctl("hv1", "set", "Bridge", "br0", "protocols=OpenFlow13")
    for hello in (of.pack(1, of.HELLO, 7), of.pack(6, of.HELLO, 7, of.hello_bitmap(1, 6))):
        with of.Conn.to_unix(br, 1, hello=False) as c:
            c.send_raw(hello)
            assert c.recv().type == of.HELLO
            error = c.recv()
            assert (error.type, error.xid, error.body[:4]) == (of.ERROR, 7, b"\0\0\0\0"), error
            assert c.closed()


def test_garbage_instead_of_hello(hv, br):
    for garbage in (of.pack(4, of.FEATURES_REQUEST, 1), b"\4\0\0\7\0\0\0\1"):
        with of.Conn.to_unix(br, 4, hello=False) as c:
            c.send_raw(garbage)
            assert c.closed()


# ---- errors ----

def test_request_errors(hv, br):
    with of.Conn.to_unix(br, 4) as c:
        assert c.error(99) == (1, 1)  # BAD_TYPE
        assert c.error(of.FEATURES_REQUEST, b"12345678") == (1, 6)  # BAD_LEN
        assert c.error(7, b"x") == (1, 6)
        assert c.error(9, b"x") == (1, 6)
        assert c.error(9, struct.pack("!HH", 4, 128)) == (10, 0)  # OFPSCFC_BAD_FLAGS: a bit of 1.2's
        assert c.error(9, struct.pack("!HH", 2, 0)) is None and c.request(8 - 1)[0].body[:2] == b"\0\0"  # no reassembly
        assert c.multipart(99) == (1, 2)  # BAD_MULTIPART
        assert c.multipart(0, b"x") == (1, 6)
        assert c.error(of.EXPERIMENTER, struct.pack("!II", 0x123456, 1)) == (1, 3)
        assert c.error(of.EXPERIMENTER, struct.pack("!II", of.NX, 9999)) == (1, 4)
        assert c.error(13, struct.pack("!IIH6x", 5, 0xfffffffd, 0)) == (1, 8)  # BUFFER_UNKNOWN
        assert c.error(14, of.flow_mod13(buffer_id=7)) == (1, 8)
        assert c.error(14, of.flow_mod13(command=9)) == (5, 6)  # BAD_COMMAND
        assert c.error(14, of.flow_mod13(table=255)) == (5, 2)  # BAD_TABLE_ID
        assert c.error(16, struct.pack("!I4x6s2xIII4x", 77, b"", 0, 0, 0)) == (7, 0)  # port_mod: BAD_PORT
        assert c.error(17, struct.pack("!B3xI", 254, 0)) == (8, 2)  # table_mod: EPERM, the switch's own table
        assert c.error(14, of.flow_mod13(table=254)) == (1, 5)
        assert c.multipart(4, struct.pack("!I4x", 77)) == b""  # nothing to tell of a port that is not there
        xid = c.send(of.FEATURES_REQUEST, version=3)
        error = c.recv()
        assert (error.type, error.xid, error.body[:4]) == (of.ERROR, xid, struct.pack("!HH", 1, 0))  # BAD_VERSION
        long = c.request(14, of.flow_mod13(command=9) + b"\0" * 400)[0]
        assert len(long.body) >= 4 + 64 and long.body[4:68] == of.pack(4, 14, long.xid, of.flow_mod13(command=9))[:2] + (
            struct.pack("!H", 8 + 48 + 400)) + of.pack(4, 14, long.xid, of.flow_mod13(command=9) + b"\0" * 8)[4:64]


def test_replies_come_in_order_before_the_barriers(hv, br):
    with of.Conn.to_unix(br, 4) as c:
        sent = []
        for n in range(300):
            sent.append((c.send(of.FEATURES_REQUEST), of.FEATURES_REPLY))
            sent.append((c.send(99), of.ERROR))
            sent.append((c.send(20), 21))
            c.send(14, of.flow_mod13(priority=n))
        assert [(m.xid, m.type) for m in c.sync()] == sent
        assert struct.unpack("!QQI4x", c.multipart(2, struct.pack("!B3xII4xQQ", 255, 0xffffffff, 0xffffffff, 0, 0) +
                                                   of.match13()))[2] == 300


# ---- roles ----

def role(c, value, generation):
    answers = c.request(24, struct.pack("!I4xQ", value, generation))
    if answers[0].type == of.ERROR:
        return struct.unpack("!HH", answers[0].body[:4])
    return struct.unpack("!I4xQ", answers[0].body)


def test_roles(hv, br):
    with of.Conn.to_unix(br, 4) as a, of.Conn.to_unix(br, 4) as b:
        assert role(a, 0, 0)[0] == 1  # equal
        assert role(a, 2, 5) == (2, 5)
        assert role(b, 2, 4) == (11, 0)  # stale
        assert role(b, 9, 6) == (11, 2)  # BAD_ROLE
        assert role(b, 2, 6) == (2, 6)
        assert role(a, 0, 0)[0] == 3  # demoted
        for kind, body in ((14, of.flow_mod13()), (16, struct.pack("!I4x6s2xIII4x", 1, b"", 0, 0, 0)),
                           (13, struct.pack("!IIH6x", 0xffffffff, 0xfffffffd, 0)), (17, struct.pack("!B3xI", 0, 0))):
            assert a.error(kind, body) == (1, 10), kind  # IS_SLAVE
        assert a.request(of.FEATURES_REQUEST)[0].type == of.FEATURES_REPLY
        assert role(a, 1, 0)[0] == 1  # to equal: no generation is looked at
        assert a.error(14, of.flow_mod13()) is None
        assert role(a, 3, 0x8000000000000007) == (11, 0)  # behind, circularly
        assert role(a, 3, 6) == (3, 6)


# ---- asynchronous messages ----

SENDER = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
s.send(bytes.fromhex(sys.argv[2]))
"""
PACKET = bytes.fromhex("ffffffffffff0200000000aa88b5") + b"\x5a" * 86


def packet_out13(*actions, in_port=0xfffffffd, packet=PACKET):
    body = b"".join(actions)
    return struct.pack("!IIH6x", 0xffffffff, in_port, len(body)) + body + packet


def test_packet_in_wants_and_reasons(hv, br):
    with of.Conn.to_unix(br, 4) as c:
        def send(*actions):
            """Packet-ins of that packet; int0 below speaks IPv6 of its own."""
            return [m for m in c.request(13, packet_out13(*actions), xid=0) if m.type == 10 and m.body.endswith(PACKET)]

        assert send(of.output13(0xfffffffd)) == []  # a management connection is told nothing until it asks
        assert c.request(9, struct.pack("!HH", 0, 128)) == []
        pin, = send(of.output13(0xfffffffd, 32))
        buffer_id, total, reason, table, cookie = struct.unpack("!IHBBQ", pin.body[:16])
        assert (buffer_id, total, reason, cookie) == (0xffffffff, len(PACKET), 1, 0xffffffffffffffff)
        assert pin.body.endswith(PACKET)  # nothing is buffered, so all of it comes
        assert send(of.output13(0xfffffff9)) == []  # table 0 has nothing: dropped
        assert c.error(14, of.flow_mod13(priority=0, cookie=9, instructions=of.apply13(of.output13(0xfffffffd)))) is None
        pin, = send(of.output13(0xfffffff9))
        assert struct.unpack("!BBQ", pin.body[6:16]) == (1, 0, 9)
        hv.vsctl("hv1", "add-port", "br0", "int0", "--", "set", "Interface", "int0", "type=internal", "ofport_request=5")
        hv.tool("hv1", "ip", "link", "set", "int0", "up")
        hv.tool("hv1", "/usr/bin/python3", "-c", SENDER, "int0", PACKET.hex())
        pin = c.wait(lambda m: m.type == 10 and m.body.endswith(PACKET))
        assert struct.unpack("!BBQ", pin.body[6:16]) == (0, 0, 9)  # a packet of the table-miss flow: NO_MATCH
        c.request(28, struct.pack("!6I", 1, 0, 0, 0, 0, 0))  # NO_MATCH only
        assert send(of.output13(0xfffffffd)) == []
        asked, = c.request(26)
        assert (asked.type, asked.body) == (27, struct.pack("!6I", 1, 0, 0, 0, 0, 0))


def test_flow_removed_and_port_status(hv, br):
    with of.Conn.to_unix(br, 4) as c:
        c.request(9, struct.pack("!HH", 0, 128))
        c.request(14, of.flow_mod13(cookie=3, flags=1, idle=7))
        c.request(14, of.flow_mod13(cookie=4, priority=9))
        c.send(14, of.flow_mod13(command=3, table=255))
        removed, = [m for m in c.sync() if m.type == 11]
        cookie, priority, reason, table, _, _, idle, hard = struct.unpack("!QHBBIIHH", removed.body[:24])
        assert (cookie, priority, reason, table, idle, hard) == (3, 0x8000, 2, 0, 7, 0)
        hv.vsctl("hv1", "add-port", "br0", "int0", "--", "set", "Interface", "int0", "type=internal", "ofport_request=5")
        added = c.wait(lambda m: m.type == 12 and m.body[0] == 0)
        assert struct.unpack("!I", added.body[8:12]) == (5,) and added.body[24:28] == b"int0"
        assert added.body[16:22] != bytes(6)  # told when its address is known
        hv.vsctl("hv1", "del-port", "br0", "int0")
        c.wait(lambda m: m.type == 12 and m.body[0] == 1)


def test_eviction_before_1_4(hv, br):
    """As Open vSwitch tells it: by 1.4's number, to those whose masks ask for it, and to nobody else."""
    hv.vsctl("hv1", "--", "--id=@t", "create", "Flow_Table", "flow_limit=1", "overflow_policy=evict", "--", "set", "Bridge", "br0",
             "flow_tables:9=@t")

    def evict(c):
        """What C is told of it."""
        with of.Conn.to_unix(br, 5) as other:
            for port in (1, 2):
                assert other.error(14, of.flow_mod13(of.match13(of.oxm(0, struct.pack("!I", port))), table=9, flags=1, idle=100)) is None
        return [m.body[10] for m in c.sync() if m.type == 11]

    with of.Conn.to_unix(br, 4) as c:
        c.request(9, struct.pack("!HH", 0, 128))
        asked, = c.request(26)
        assert struct.unpack("!6I", asked.body)[4] == 0xf
        assert evict(c) == []
        for mask, told in ((0xf, []), (0x3f, [5, 5]), (0x20, [5, 5]), (0, [])):
            assert c.error(28, struct.pack("!6I", 1, 0, 7, 7, mask, 0)) is None
            asked, = c.request(26)
            assert struct.unpack("!6I", asked.body)[4] == mask
            assert evict(c) == told, mask
    with of.Conn.to_unix(br, 5) as c:
        c.request(9, struct.pack("!HH", 0, 128))
        assert evict(c) == [5, 5]
    with of.Conn.to_unix(br, 1) as c:
        c.request(9, struct.pack("!HH", 0, 128))
        assert evict(c) == []


def test_packet_out_actions_fit_the_packet(hv, br):
    """As a flow's must fit its match; 1.0's own actions do nothing where there is nothing to do."""
    other = bytes(12) + b"\x12\x34" + bytes(46)
    udp = bytes(12) + b"\x08\0" + bytes.fromhex("4500001c0000000040110000" "0a0000010a000002" "0001000200080000") + bytes(18)
    set_ip_src = bytes.fromhex("00190010" "800016040a000009" "00000000")
    set_tcp_src = bytes.fromhex("00190010" "80001a020050" "000000000000")
    conjunction = bytes.fromhex("ffff0010000023200022000200000001") + of.output13(1)
    with of.Conn.to_unix(br, 4) as c:
        for actions, frame, error in ((set_ip_src, other, (2, 10)), (set_ip_src, udp, None), (set_tcp_src, udp, (2, 10)),
                                      (bytes.fromhex("0018000800000000"), other, (2, 10)),  # dec_nw_ttl
                                      (bytes.fromhex("0018000800000000"), udp, None),
                                      (bytes.fromhex("0012000800000000"), udp, (2, 10)),  # pop_vlan
                                      (conjunction, udp, (0xffff, 15))):
            assert c.error(13, packet_out13(actions, packet=frame)) == error, (actions.hex(), frame.hex())
    with of.Conn.to_unix(br, 1) as c:
        set_nw_src = bytes.fromhex("000600080a000009")
        assert c.error(13, struct.pack("!IHH", 0xffffffff, 0xfffd, len(set_nw_src)) + set_nw_src + other) is None


def test_port_status_of_a_port_mod(hv, br):
    """Up to 1.4 whoever made a port_mod is not told of it, so that it cannot answer itself for ever; the others are."""
    for version in (4, 6):
        with of.Conn.to_unix(br, version) as actor, of.Conn.to_unix(br, version) as other:
            for c in (actor, other):
                c.request(9, struct.pack("!HH", 0, 128))
            port = actor.multipart(13, struct.pack("!I4x", 0xfffffffe) if version == 6 else b"")
            hw_addr = port[8:14]
            for config in (0x20, 0):
                actor.send(16, struct.pack("!I4x6s2xII", 0xfffffffe, hw_addr, config, 0x20) + (b"" if version == 6 else bytes(8)))
                told = [m.type for m in actor.sync()]
                assert told == ([12] if version == 6 else []), (version, config, told)
                other.wait(lambda m: m.type == 12 and m.body[0] == 2)


# ---- controllers ----

def test_controller_status_and_probe(hv, br, controller):
    set_controller(hv, controller, inactivity_probe=1000)
    c = controller.accept()
    wait_for("is_connected", lambda: status(hv, "is_connected") == "true", 5)
    assert status(hv, "role") == "other"
    assert "state=ACTIVE" in status(hv, "status") and "sec_since_connect=" in status(hv, "status")
    echo = of.Message(*struct.unpack("!BBxxI", c.sock.recv(8)), b"")
    assert echo.type == of.ECHO_REQUEST
    assert c.closed(5)  # no answer: given up
    again = controller.accept()
    wait_for("the status", lambda: "last_error=" in status(hv, "status"), 8)
    again.close()


def test_protocols_change_drops_connections(hv, br, controller):
    set_controller(hv, controller)
    c, m = controller.accept(), of.Conn.to_unix(br, 4)
    hv.vsctl("hv1", "set", "Bridge", "br0", "protocols=OpenFlow13")
    assert c.closed() and m.closed()
    controller.accept().close()


def test_rate_limit(hv, br, controller):
    set_controller(hv, controller, controller_rate_limit=100, controller_burst_limit=25)
    c = controller.accept()
    with of.Conn.to_unix(br, 4) as m:
        for _ in range(200):
            m.send(13, packet_out13(of.output13(0xfffffffd)))
        m.sync()
    got = [x for x in c.sync() if x.type == 10]
    assert 25 <= len(got) < 100, len(got)
    shown = hv.appctl("hv1", "coverage/show")
    assert any("controller_rate" in line for line in shown.splitlines()), shown
    time.sleep(0.1)  # ten tokens later
    with of.Conn.to_unix(br, 4) as m:
        m.request(13, packet_out13(of.output13(0xfffffffd)))
    c.wait(lambda x: x.type == 10)


def test_limits_that_are_none(hv, br, controller):
    """The largest numbers that the columns take: nothing is limited, and nothing happens sooner than soon."""
    most = (1 << 63) - 1
    set_controller(hv, controller, inactivity_probe=most, max_backoff=most, controller_rate_limit=most, controller_burst_limit=most)
    c = controller.accept()
    with of.Conn.to_unix(br, 4) as m:
        for _ in range(2):
            m.request(13, packet_out13(of.output13(0xfffffffd)))
            c.wait(lambda x: x.type == 10)
            time.sleep(0.01)  # the bucket is filled again


def test_snoop(hv, br, controller):
    set_controller(hv, controller)
    c = controller.accept()
    snoop = subprocess.Popen(["ip", "netns", "exec", hv.hv_ns("hv1"), "env", f"OVS_RUNDIR={hv.rundir('hv1')}",
                              "ovs-ofctl", "snoop", "br0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        seen = ""
        deadline = time.monotonic() + 10
        while "OFPT_FEATURES_REPLY" not in seen and time.monotonic() < deadline:
            c.request(of.FEATURES_REQUEST)  # more than one: the client may come after the first
            c.sock.settimeout(5)
            seen += snoop.stdout.readline()
        assert "OFPT_FEATURES_REPLY" in seen or "OFPT_FEATURES_REQUEST" in seen, seen
    finally:
        snoop.terminate()
        snoop.wait()


def test_fail_modes(hv, br, controller):
    flows = lambda: hv.ofctl("hv1", "--no-stats", "dump-flows", "br0").count("actions=")  # noqa: E731
    hv.vsctl("hv1", "set-fail-mode", "br0", "standalone")
    assert flows() == 1  # NORMAL
    set_controller(hv, controller, inactivity_probe=1000, max_backoff=1000)
    c = controller.accept()
    wait_for("the flush", lambda: flows() == 0, 5)
    assert c.error(14, of.flow_mod13(instructions=of.apply13(of.output13(1)))) is None
    assert flows() == 1
    controller.down()
    c.close()
    wait_for("the flows to go", lambda: flows() == 0, 10)
    assert "NORMAL" in hv.appctl("hv1", "bridge/dump-flows", "br0")  # the hidden rule
    controller.up()
    c = controller.accept()
    wait_for("control given back", lambda: "NORMAL" not in hv.appctl("hv1", "bridge/dump-flows", "br0"), 5)
    c.close()
    hv.vsctl("hv1", "set-fail-mode", "br0", "secure")
    hv.vsctl("hv1", "del-controller", "br0")
    assert flows() == 0


def test_listener(hv, br):
    path = hv.rundir("hv1") / "br0.listener"
    hv.vsctl("hv1", "set-controller", "br0", f"punix:{path}")
    wait_for("the listener", path.exists, 5)
    with of.Conn.to_unix(path, 4) as c:
        assert c.request(of.FEATURES_REQUEST)[0].type == of.FEATURES_REPLY
    hv.vsctl("hv1", "set-controller", "br0", "punix:/tmp/elsewhere.sock")
    wait_for("the listener's end", lambda: not path.exists(), 5)


# ---- bundles (1.3: ONF extension) ----

def bundle_ctrl(c, bundle, kind, flags=3):
    answers = c.request(of.EXPERIMENTER, struct.pack("!IIIHH", of.ONF, 2300, bundle, kind, flags))
    assert len(answers) == 1, answers
    if answers[0].type == of.ERROR:
        kind, code, vendor = struct.unpack("!HHI", answers[0].body[:8])
        assert (kind, vendor) == (0xffff, of.ONF)
        return -code
    return struct.unpack("!IIIHH", answers[0].body)[2:]


def bundle_add(c, bundle, kind, body, flags=3, inner_xid=None):
    """None, or the errors."""
    c.xid += 1
    inner = of.pack(c.version, kind, c.xid if inner_xid is None else inner_xid, body)
    answers = c.request(of.EXPERIMENTER, struct.pack("!IIIHH", of.ONF, 2301, bundle, 0, flags) + inner, xid=c.xid)
    return [struct.unpack("!HH", m.body[:4]) for m in answers] or None


def count_flows(c):
    aggregate = c.multipart(2, struct.pack("!B3xII4xQQ", 255, 0xffffffff, 0xffffffff, 0, 0) + of.match13())
    return struct.unpack("!QQI4x", aggregate)[2]


def test_bundle_times_out(hv, br):
    hv.vsctl("hv1", "set", "Open_vSwitch", ".", "other_config:bundle-idle-timeout=1")
    with of.Conn.to_unix(br, 4) as c:
        xid = c.send(of.EXPERIMENTER, struct.pack("!IIIHH", of.ONF, 2300, 1, 0, 3))
        assert c.recv().type == of.EXPERIMENTER
        error = c.wait(lambda m: m.type == of.ERROR)
        assert (error.xid, error.body[:4]) == (xid, struct.pack("!HH", 0xffff, 2314)), error  # OFPBFC_TIMEOUT
        assert error.body[8:20] == struct.pack("!BBHI", 4, of.EXPERIMENTER, 24, xid) + struct.pack("!I", of.ONF)
        assert bundle_ctrl(c, 1, 4) == -2302
    hv.vsctl("hv1", "remove", "Open_vSwitch", ".", "other_config", "bundle-idle-timeout")


def test_bundles(hv, br):
    with of.Conn.to_unix(br, 4) as c:
        assert bundle_ctrl(c, 1, 0) == (1, 1, 0)
        assert bundle_add(c, 1, 14, of.flow_mod13(priority=1)) is None
        assert bundle_add(c, 1, 14, of.flow_mod13(priority=2)) is None
        assert count_flows(c) == 0
        assert bundle_ctrl(c, 1, 2) == (1, 3, 0)  # closed
        assert bundle_ctrl(c, 1, 4) == (1, 5, 0)  # committed
        assert count_flows(c) == 2
        assert bundle_ctrl(c, 1, 4) == -2302  # BAD_ID: gone
        # Discarded; adding opens by itself.
        assert bundle_add(c, 2, 14, of.flow_mod13(command=3, table=255)) is None
        assert bundle_ctrl(c, 2, 6) == (2, 7, 0)
        assert count_flows(c) == 2
        # One that fails takes back all: the error about the message, with its xid, then that about the commit.
        assert bundle_add(c, 3, 14, of.flow_mod13(command=3, table=255)) is None
        assert bundle_add(c, 3, 14, of.flow_mod13(priority=7)) is None
        overlapping = of.flow_mod13(of.match13(of.oxm(0, struct.pack("!I", 1))), priority=7, flags=2)
        assert bundle_add(c, 3, 14, overlapping) is None
        bad = c.xid - 1  # the barrier took the last
        xid = c.send(of.EXPERIMENTER, struct.pack("!IIIHH", of.ONF, 2300, 3, 4, 3))
        first, second = c.sync()
        assert (first.type, first.xid, first.body[:4]) == (of.ERROR, bad, struct.pack("!HH", 5, 3))
        assert first.body[4:12] == of.pack(4, 14, bad, overlapping)[:8]
        assert (second.type, second.xid, second.body[:4]) == (of.ERROR, xid, struct.pack("!HH", 0xffff, 2313))
        assert count_flows(c) == 2
        # What is refused.
        assert bundle_ctrl(c, 4, 9) == -2306  # BAD_TYPE
        assert bundle_ctrl(c, 4, 0, flags=8) == -2307
        assert bundle_ctrl(c, 4, 0) == (4, 1, 0)
        assert bundle_ctrl(c, 4, 0) == -2302
        assert bundle_ctrl(c, 4, 0) == (4, 1, 0)
        assert bundle_add(c, 4, 14, of.flow_mod13(), inner_xid=77) == [(0xffff, 2309)]
        assert bundle_add(c, 4, of.FEATURES_REQUEST, b"") == [(0xffff, 2310)]
        assert bundle_add(c, 4, 14, of.flow_mod13(command=9)) == [(5, 6)]
        assert bundle_add(c, 4, 14, of.flow_mod13(), flags=1) == [(0xffff, 2307)]  # and the bundle is gone
        assert bundle_ctrl(c, 4, 4) == -2302
        # port_mod and packet_out wait for the commit.
        c.request(9, struct.pack("!HH", 0, 128))
        assert bundle_add(c, 5, 16, struct.pack("!I4x6s2xIII4x", 9, b"", 0, 0, 0)) is None
        assert bundle_ctrl(c, 5, 4) == -2313
        assert bundle_add(c, 5, 13, packet_out13(of.output13(0xfffffffd))) is None
        assert bundle_ctrl(c, 5, 4)[0] == 5
        # A packet_out sees the flows as they are at its place, and nothing of a bundle that fails.
        to_controller = of.flow_mod13(priority=9, instructions=of.apply13(of.output13(0xfffffffd)))
        for failing in (True, False):
            assert bundle_add(c, 7, 14, to_controller) is None
            assert bundle_add(c, 7, 13, packet_out13(of.output13(0xfffffff9))) is None
            assert bundle_add(c, 7, 14, of.flow_mod13(command=3, table=255)) is None
            if failing:
                assert bundle_add(c, 7, 16, struct.pack("!I4x6s2xIII4x", 9, b"", 0, 0, 0)) is None
            c.send(of.EXPERIMENTER, struct.pack("!IIIHH", of.ONF, 2300, 7, 4, 3))
            assert len([m for m in c.sync() if m.type == 10]) == (0 if failing else 1)
        # A slave may not.
        assert role(c, 3, 1) == (3, 1)
        assert c.error(of.EXPERIMENTER, struct.pack("!IIIHH", of.ONF, 2300, 6, 0, 3)) == (1, 10)


def test_packet_ins_of_a_bundle_are_bounded(hv, br):
    """What the packet_outs of a bundle send to controllers waits until all of it stands: but no more than a connection may have unread."""
    large = PACKET + bytes(30000)
    with of.Conn.to_unix(br, 4) as c:
        c.request(9, struct.pack("!HH", 0, 128))
        before = hv.drops("hv1").get("controller_rate", 0)
        assert bundle_ctrl(c, 1, 0) == (1, 1, 0)
        for _ in range(100):
            assert bundle_add(c, 1, 13, packet_out13(of.output13(0xfffffffd), packet=large)) is None
        c.send(of.EXPERIMENTER, struct.pack("!IIIHH", of.ONF, 2300, 1, 4, 3))
        delivered = len([m for m in c.sync() if m.type == 10])
        assert 30 <= delivered <= 40, delivered  # 1 MiB
        assert hv.drops("hv1").get("controller_rate", 0) - before == 100 - delivered
        # Afterwards there is room again.
        assert bundle_add(c, 2, 13, packet_out13(of.output13(0xfffffffd))) is None
        c.send(of.EXPERIMENTER, struct.pack("!IIIHH", of.ONF, 2300, 2, 4, 3))
        assert len([m for m in c.sync() if m.type == 10]) == 1


# ---- 1.0 and Nicira's messages ----

def test_features_and_ports_of_1_0(hv, br):
    hv.vsctl("hv1", "add-port", "br0", "int0", "--", "set", "Interface", "int0", "type=internal", "ofport_request=5")
    with of.Conn.to_unix(br, 1) as c:
        reply, = c.request(of.FEATURES_REQUEST)
        dpid, buffers, tables, capabilities, actions = struct.unpack("!QIB3xII", reply.body[:24])
        assert f"{dpid:016x}" in hv.vsctl("hv1", "get", "Bridge", "br0", "datapath_id")
        assert (buffers, tables, capabilities, actions) == (0, 254, 0xc7, 0xfff)
        ports = {struct.unpack("!H", reply.body[at:at + 2])[0]: reply.body[at + 8:at + 24].rstrip(b"\0")
                 for at in range(24, len(reply.body), 48)}
        assert ports == {5: b"int0", 0xfffe: b"br0"}
        c.request(9, struct.pack("!HH", 0, 128))
        hv.vsctl("hv1", "del-port", "br0", "int0")
        gone = c.wait(lambda m: m.type == 12 and m.body[0] == 1)
        assert len(gone.body) == 8 + 48 and gone.body[8:10] == b"\0\5"


def test_nicira_requests(hv, br):
    with of.Conn.to_unix(br, 1) as c, of.Conn.to_unix(br, 1) as other:
        role = lambda conn, value: struct.unpack("!III", conn.nx(10, struct.pack("!I", value))[0].body)  # noqa: E731
        assert role(c, 1) == (of.NX, 11, 1)  # master
        assert role(other, 1) == (of.NX, 11, 1)
        refused = c.error(14, of.flow_mod10())
        assert refused is not None
        assert role(c, 0) == (of.NX, 11, 0)
        assert c.error(14, of.flow_mod10()) is None
        assert c.nx_error(12, struct.pack("!I", 1)) == (1, 5)  # EPERM: no such flow format
        assert c.nx(12, struct.pack("!I", 2)) == []
        assert c.nx_error(16, struct.pack("!I", 3)) == (1, 5)
        assert c.nx_error(9999) == (1, 4) and c.nx_error(15, b"") == (1, 6)
        # Flows in Nicira's form, the table in the command.
        assert c.nx(15, b"\1" + bytes(7)) == []
        nx_match = struct.pack("!I", 0x00010000 | 33 << 9 | 4) + struct.pack("!I", 7)  # NXM_NX_PKT_MARK
        body = struct.pack("!QHHHHIHHH6x", 5, 3 << 8, 0, 0, 9, 0xffffffff, 0xffff, 1, len(nx_match)) + nx_match
        assert c.nx(13, body) == []
        stats = c.multipart(0xffff, struct.pack("!II4xHHB3x", of.NX, 0, 0xffff, 0, 255))
        assert struct.pack("!Q", 5) in stats and nx_match in stats, stats
        c.request(9, struct.pack("!HH", 0, 128))
        c.send(of.EXPERIMENTER, struct.pack("!II", of.NX, 13) +
               struct.pack("!QHHHHIHHH6x", 5, 255 << 8 | 3, 0, 0, 9, 0xffffffff, 0xffff, 0, 0))
        removed = c.wait(lambda m: m.type == of.EXPERIMENTER and m.body[:8] == struct.pack("!II", of.NX, 14))
        assert nx_match in removed.body
        assert c.nx(12, struct.pack("!I", 0)) == []
        c.request(14, of.flow_mod10(flags=1, cookie=8))
        c.send(14, of.flow_mod10(command=3))
        removed = c.wait(lambda m: m.type == 11)
        assert len(removed.body) == 80 and removed.body[40:48] == struct.pack("!Q", 8)


def test_nicira_async_and_controller_ids(hv, br):
    with of.Conn.to_unix(br, 1) as c:
        # Nothing, then only what masks ask for: packet_in, port_status, flow_removed for master and equal, for slaves.
        assert c.nx(19, struct.pack("!6I", 0, 0, 0, 0, 4, 0)) == []
        c.request(14, of.flow_mod10(flags=1))
        c.send(14, of.flow_mod10(command=3))
        assert [m.type for m in c.sync()] == [11]
        assert c.nx(19, struct.pack("!6I", 0, 0, 0, 0, 3, 0)) == []
        c.request(14, of.flow_mod10(flags=1))
        c.send(14, of.flow_mod10(command=3))
        assert c.sync() == []
        assert c.nx(20, struct.pack("!6xH", 7)) == []


# ---- 1.4 ----

def test_role_status_and_async_properties_of_1_4(hv, br):
    with of.Conn.to_unix(br, 5) as a, of.Conn.to_unix(br, 5) as b:
        a.request(9, struct.pack("!HH", 0, 128))
        assert role(a, 2, 10) == (2, 10)
        assert role(b, 2, 11) == (2, 11)
        told = a.wait(lambda m: m.type == 30)
        assert struct.unpack("!IB3xQ", told.body[:16]) == (3, 0, 11)  # slave, by MASTER_REQUEST
        assert a.error(28, struct.pack("!HHI", 0, 8, 1) + struct.pack("!HHI", 1, 8, 0)) is None  # packet_in slave, master
        reply, = a.request(26)
        properties = {}
        at = 0
        while at < len(reply.body):
            kind, length, mask = struct.unpack("!HHI", reply.body[at:at + 8])
            properties[kind] = mask
            at += length
        assert properties[0] == 1 and properties[1] == 0 and properties[2] == 7 and set(properties) >= set(range(10))
        assert a.error(28, struct.pack("!HHI", 77, 8, 1)) == (15, 1)  # UNSUPPORTED


def test_vacancy_events_of_1_4(hv, br):
    hv.vsctl("hv1", "--", "--id=@t", "create", "Flow_Table", "flow_limit=10", "--", "set", "Bridge", "br0", "flow_tables:3=@t")
    with of.Conn.to_unix(br, 5) as c:
        c.request(9, struct.pack("!HH", 0, 128))
        assert c.error(17, struct.pack("!B3xIHHBBBx", 3, 8, 3, 8, 30, 60, 0)) is None
        add = lambda first, n: [c.request(14, of.flow_mod13(table=3, priority=k)) for k in range(first, first + n)]  # noqa: E731
        add(1, 7)
        assert [m.type for m in c.sync()] == []
        c.send(14, of.flow_mod13(table=3, priority=8))
        down = c.wait(lambda m: m.type == 31)
        assert down.body[0] == 3 and down.body[8 + 2] == 3
        c.send(14, of.flow_mod13(table=3, priority=9))
        assert [m for m in c.sync() if m.type == 31] == []  # told once
        c.send(14, of.flow_mod13(table=3, command=3))
        assert c.wait(lambda m: m.type == 31).body[0] == 4


def test_vacancy_events_begin_with_the_upper_threshold(hv, br):
    """Enabled below vacancy_up, it is VACANCY_UP that is awaited (OpenFlow 1.4); what is said again leaves that."""
    hv.vsctl("hv1", "--", "--id=@t", "create", "Flow_Table", "flow_limit=10", "--", "set", "Bridge", "br0", "flow_tables:3=@t")
    with of.Conn.to_unix(br, 5) as c:
        c.request(9, struct.pack("!HH", 0, 128))
        for k in range(5):
            c.request(14, of.flow_mod13(table=3, priority=k))
        for _ in range(2):
            assert c.error(17, struct.pack("!B3xIHHBBBx", 3, 8, 3, 8, 30, 60, 0)) is None
        c.send(14, of.flow_mod13(table=3, priority=1, command=4))
        assert [m.body[0] for m in c.sync() if m.type == 31] == []  # 60 per cent free: not above
        c.send(14, of.flow_mod13(table=3, priority=2, command=4))
        assert [m.body[0] for m in c.sync() if m.type == 31] == [4]
        c.send(17, struct.pack("!B3xIHHBBBx", 3, 8, 3, 8, 80, 90, 0))
        assert [m.body[0] for m in c.sync() if m.type == 31] == [3]  # awaited since


def test_table_features_in_parts(hv, br):
    with of.Conn.to_unix(br, 4) as c:
        features = c.multipart(12)
        length = struct.unpack("!H", features[:2])[0]
        entry = bytearray(features[:length])
        entry[8:40] = b"first".ljust(32, b"\0")
        c.send(18, struct.pack("!HH4x", 12, 1) + bytes(entry), xid=4242)
        entry[2], entry[8:40] = 1, b"second".ljust(32, b"\0")
        answers = c.request(18, struct.pack("!HH4x", 12, 0) + bytes(entry), xid=4242)
        assert b"first" in answers[0].body and b"second" in answers[0].body
        c.send(18, struct.pack("!HH4x", 12, 1) + bytes(entry), xid=4243)
        assert c.multipart(0) == (1, 13)  # something else in between
        entry[2] = 254
        assert c.multipart(12, bytes(entry)) == (13, 0)
        entry[2], entry[60:64] = 1, b"\0\0\0\7"
        assert c.multipart(12, bytes(entry)) == (13, 5)


def test_bundle_messages_of_1_4(hv, br):
    with of.Conn.to_unix(br, 5) as c:
        ctrl = lambda bundle, kind, flags=3: c.request(33, struct.pack("!IHH", bundle, kind, flags))[0]  # noqa: E731
        assert ctrl(1, 0).type == 33
        xid = c.send(34, struct.pack("!IHH", 1, 0, 3) + of.pack(5, 14, 900, of.flow_mod13()), xid=900)
        assert xid == 900 and c.sync() == []
        assert struct.unpack("!IHH", ctrl(1, 4).body[:8])[:2] == (1, 5)
        assert count_flows(c) == 1
        assert ctrl(9, 4).body[:4] == struct.pack("!HH", 17, 2)


# ---- flow monitors ----

def monitor_request(ident, flags, table=255, command=0):
    return struct.pack("!III", ident, 0xffffffff, 0xffffffff) + struct.pack("!HBB", flags, table, command) + of.match13()


def updates(messages):
    """(event, xid or cookie) of each update of 1.4's form in MESSAGES."""
    found = []
    for m in messages:
        at = 8
        while m.type == 19 and at < len(m.body):
            length, event = struct.unpack("!HH", m.body[at:at + 4])
            found.append((event, struct.unpack("!I", m.body[at + 4:at + 8])[0] if event >= 4
                          else struct.unpack("!Q", m.body[at + 16:at + 24])[0]))
            at += length
    return found


def test_flow_monitor(hv, br):
    with of.Conn.to_unix(br, 5) as c, of.Conn.to_unix(br, 4) as other:
        other.request(14, of.flow_mod13(cookie=1, priority=1))
        first = c.request(18, struct.pack("!HH4x", 16, 0) + monitor_request(1, 0x1f))
        assert updates(first) == [(0, 1)]
        other.request(14, of.flow_mod13(cookie=2, priority=2))
        for _ in range(2):  # the second changes nothing
            other.request(14, of.flow_mod13(command=1, instructions=of.apply13(of.output13(1))))
        other.request(14, of.flow_mod13(command=3, cookie=2, cookie_mask=0xffffffffffffffff))
        assert sorted(updates(c.sync())) == [(1, 2), (2, 2), (3, 1), (3, 2)]
        # Own changes are told by their xid, once a message, and before the barrier's reply.
        xid = c.send(14, of.flow_mod13(command=3, table=255))
        assert updates(c.sync()) == [(4, xid)]
        assert c.multipart(16, monitor_request(1, 0x1f)) == (16, 1)  # MONITOR_EXISTS
        assert c.multipart(16, monitor_request(2, 0)) == (16, 5)  # BAD_FLAGS
        assert c.multipart(16, monitor_request(2, 0x1f, table=254)) == (16, 6)
        assert c.multipart(16, monitor_request(2, 0x1f, command=3)) == (16, 4)
        assert c.multipart(16, monitor_request(1, 4, command=1)) == b""  # modified: deletions only
        other.request(14, of.flow_mod13(cookie=3))
        other.request(14, of.flow_mod13(command=3))
        assert updates(c.sync()) == [(2, 3)]
        assert c.multipart(16, monitor_request(1, 0, command=2)) == b""
        assert c.multipart(16, monitor_request(1, 0, command=2)) == (16, 3)  # UNKNOWN_MONITOR
        other.request(14, of.flow_mod13(cookie=3))
        assert c.sync() == []


def learn13(cookie, table, flags=0):
    """Into TABLE: dl_dst = the packet's dl_src."""
    body = struct.pack("!IHHHHQHBxHH", of.NX, 16, 0, 0, 77, cookie, flags, table, 0, 0) + struct.pack("!HIHIH", 48, 0x406, 0, 0x206, 0)
    return struct.pack("!HH", 0xffff, len(body) + 6) + body + b"\0\0"


def test_flow_monitor_abbreviates_flow_mods_only(hv, br):
    """What a connection's own message brought about without saying it flow by flow, it hears in full."""
    with of.Conn.to_unix(br, 5) as c, of.Conn.to_unix(br, 5) as other:
        c.request(18, struct.pack("!HH4x", 16, 0) + monitor_request(1, 0x1e))
        c.send(15, struct.pack("!HBxI", 0, 0, 7))
        c.send(29, struct.pack("!HHI", 0, 1, 9) + struct.pack("!HHII4x", 1, 16, 1000, 0))
        own = c.send(14, of.flow_mod13(cookie=5, priority=5, instructions=of.apply13(struct.pack("!HHI", 22, 8, 7))))
        assert updates(c.sync()) == [(4, own)]
        c.send(15, struct.pack("!HBxI", 2, 0, 7))
        assert updates(c.sync()) == [(2, 5)]  # with its group
        c.request(14, of.flow_mod13(cookie=6, priority=6, instructions=struct.pack("!HHI", 6, 8, 9)))
        c.send(29, struct.pack("!HHI", 2, 0, 9))
        assert updates(c.sync()) == [(2, 6)]  # with its meter
        c.send(13, packet_out13(learn13(0x55, 3)))
        assert updates(c.sync()) == [(1, 0x55)]
        own = c.send(14, of.flow_mod13(cookie=1, instructions=of.apply13(learn13(0x56, 4, flags=2))))
        other.request(14, of.flow_mod13(cookie=0x56, table=4))
        assert updates(c.sync()) == [(4, own), (1, 0x56)]
        own = c.send(14, of.flow_mod13(command=3))
        assert updates(c.sync()) == [(4, own), (2, 0x56)]  # delete_learned
        # Of a bundle it is the flow_mod's xid, once.
        c.request(33, struct.pack("!IHH", 1, 0, 3))
        for xid in (901, 902):
            c.send(34, struct.pack("!IHH", 1, 0, 3) + of.pack(5, 14, xid, of.flow_mod13(priority=xid)), xid=xid)
        c.send(33, struct.pack("!IHH", 1, 4, 3))
        assert updates(c.sync()) == [(4, 901)]


def test_flow_monitor_pauses_for_a_slow_reader(hv, br):
    with of.Conn.to_unix(br, 5) as c, of.Conn.to_unix(br, 4) as other:
        assert c.multipart(16, monitor_request(1, 0x1e)) == b""
        other.request(14, of.flow_mod13(table=8))
        for round_ in range(40):  # far more than the socket takes
            for k in range(500):
                other.send(14, of.flow_mod13(cookie=round_ << 16 | k, priority=k))
            other.sync()
        other.request(14, of.flow_mod13(cookie=0xfff, priority=999, table=9))
        # Replaced while paused, flows that it was told of go: that it hears, or it would know them for ever.
        other.request(14, of.flow_mod13(cookie=0xf001, priority=0))
        other.request(14, of.flow_mod13(command=4, priority=0))
        # Replaced by an ADD, in the end, it is told as added.
        other.request(14, of.flow_mod13(command=2, table=8, instructions=of.apply13(of.output13(1))))
        other.request(14, of.flow_mod13(cookie=0xf004, table=8))
        # What came and went meanwhile it never knew.
        other.request(14, of.flow_mod13(cookie=0xf002, priority=998, table=9))
        other.request(14, of.flow_mod13(cookie=0xf003, priority=998, table=9))
        other.request(14, of.flow_mod13(command=4, priority=998, table=9))
        seen = []
        deadline = time.monotonic() + 20
        while (6, 0) not in seen:
            assert time.monotonic() < deadline, seen[-5:]
            message = c.recv()
            seen += updates([message])
        paused, resumed = seen.index((5, 0)), seen.index((6, 0))
        assert paused < resumed and (1, 0xfff) in seen[paused:resumed]  # what was added meanwhile is told before RESUMED
        assert [u for u in seen if u[1] >> 4 == 0xf00] == [(2, 0xf001), (1, 0xf004)]
        other.request(14, of.flow_mod13(cookie=0x1000, priority=1000, table=9))
        assert (1, 0x1000) in updates(c.sync())


def test_flow_statistics_of_15(hv, br):
    """1.5 tells what a flow counted without saying what it is; descriptions carry the same list."""
    request = struct.pack("!B3xII4xQQ", 0xff, 0xffffffff, 0xffffffff, 0, 0) + of.match13()
    match = of.match13(of.oxm(0, struct.pack("!I", 1)))
    with of.Conn.to_unix(br, 6) as c:
        c.send(14, of.flow_mod13(match, table=3, priority=9, cookie=7, flags=8))  # no packet counts
        body = c.multipart(17, request)
        length, table, reason, priority = struct.unpack_from("!H2xBBH", body)
        assert (length, table, reason, priority) == (len(body), 3, 0, 9) and body[8:24] == match
        _, stats_len = struct.unpack_from("!HH", body, 24)
        fields, at = {}, 28
        while at < 24 + stats_len:
            cls, field, size = struct.unpack_from("!HBB", body, at)
            assert cls == 0x8002 and size == 8
            fields[field >> 1] = struct.unpack_from("!II", body, at + 4)
            at += 4 + size
        assert set(fields) == {0, 1, 5} and fields[5] == (0, 0)  # duration, idle time, bytes
        assert len(body) == 24 + (stats_len + 7) // 8 * 8
        assert stats_len == struct.unpack_from("!H", c.multipart(1, request), 24 + 16 + 2)[0]
        assert c.multipart(17, request[:-8]) == (4, 1)  # OFPBMC_BAD_LEN
    with of.Conn.to_unix(br, 5) as c:
        assert c.multipart(17, request) == (1, 2)


def test_more_queues_than_a_message_holds(hv, br):
    """QUEUE_GET_CONFIG's reply is one message (up to 1.3): it has as many as fit, and there is one. 1.4 has parts."""
    ns = hv.hv_ns("hv1")
    hv.world.sh(ns, "ip", "link", "add", "q1", "type", "veth", "peer", "name", "q1p")
    hv.world.sh(ns, "ip", "link", "set", "q1p", "up")
    hv.world.sh(ns, "ip", "link", "set", "q1", "up")
    many = range(1, 1500)
    hv.vsctl("hv1", "add-port", "br0", "q1", "--", "set", "Interface", "q1", "ofport_request=1", "--",
             "set", "Port", "q1", "qos=@q", "--", "--id=@q", "create", "QoS", "type=linux-htb",
             "queues=" + ",".join(f"{n}=@n{n}" for n in many),
             *[word for n in many for word in ("--", f"--id=@n{n}", "create", "Queue", "other-config:min-rate=1000000",
                                               "other-config:max-rate=2000000")])
    with of.Conn.to_unix(br, 5) as c:
        assert len(c.multipart(15, struct.pack("!II", 1, 0xffffffff))) == 1500 * 32
    with of.Conn.to_unix(br, 4) as c:
        for port in (1, 0xffffffff):
            reply, = c.request(22, struct.pack("!I4x", port))
            assert reply.type == 23 and 60000 < 8 + len(reply.body) <= 65535, len(reply.body)
            assert struct.unpack("!II", reply.body[8:16]) == (0, 1)
    hv.vsctl("hv1", "clear", "Port", "q1", "qos", "--", "--all", "destroy", "QoS", "--", "--all", "destroy", "Queue")
    hv.vsctl("hv1", "del-port", "br0", "q1")
    hv.world.sh(ns, "ip", "link", "del", "q1")
