# SPDX-License-Identifier: Apache-2.0
"""The kernel's own vxlan device at the other end, and hostile packets from the underlay."""
import json
import socket

import pytest
from world import wait_for

NET = 77


@pytest.fixture(scope="module", params=["4", "6"])
def peer(cloud_factory, datapath, request):
    """hv1 runs our switch with a VM behind br0; hv2 is a plain kernel with vx0 (10.6.0.2)."""
    cloud = cloud_factory(request.param, datapath)
    cloud.hypervisors = ["hv1"]
    cloud.underlay_up(["hv1", "hv2"])
    cloud.switchd_up("hv1")
    w = cloud.world
    vm, hv1, hv2 = w.netns("vm"), cloud.hv_ns("hv1"), cloud.hv_ns("hv2")
    w.veth(hv1, "tap0", vm, "eth0")
    w.ip(hv1, "link", "set", "tap0", "up")
    w.ip(vm, "link", "set", "eth0", "mtu", "1400", "up")
    w.ip(vm, "addr", "add", "10.6.0.1/24", "dev", "eth0")
    cloud.vsctl("hv1", "add-br", "br0", "--", "add-port", "br0", "tap0", "--", "add-port", "br0", "vx", "--", "set", "Interface",
                "vx", "type=vxlan", f'options:remote_ip="{cloud.local_ip("hv2")}"', f"options:key={NET}")
    w.ip(hv2, "link", "add", "vx0", "type", "vxlan", "id", NET, "local", cloud.local_ip("hv2"), "remote", cloud.local_ip("hv1"),
         "dstport", "4789")
    w.ip(hv2, "link", "set", "vx0", "mtu", "1400", "up")
    w.ip(hv2, "addr", "add", "10.6.0.2/24", "dev", "vx0")
    cloud.vm_ns = vm
    return cloud


SEND_ECN = """
import socket, struct, sys
family, target, vni = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for n in range(16):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.setsockopt(*((socket.IPPROTO_IP, socket.IP_TOS) if family == socket.AF_INET else (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)), n % 4)
        ip = struct.pack("!BBHHHBBH", 0x45, n // 4, 29, n, 0, 64, 17, 0) + socket.inet_aton("10.6.0.2") + socket.inet_aton("10.6.0.1")
        total = sum(struct.unpack("!10H", ip))
        ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + ip[12:]
        s.sendto(struct.pack("!II", 0x08000000, vni << 8) + bytes.fromhex(sys.argv[4]) + bytes.fromhex("0200000000020800") + ip
                 + struct.pack("!HHHHB", 7, 7007, 9, 0, n), (target, 4789))
"""
RECEIVE_ECN = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
s.bind(("", 7007))
s.settimeout(1)
print("ready", flush=True)
while True:
    try:
        data, ancillary, _, _ = s.recvmsg(9, 64)
        print("got", data[0], ancillary[0][2][0], flush=True)
    except TimeoutError:
        pass
"""


def test_congestion_on_the_way(peer):
    """Packet N has the ECN bits N / 4 inside and N % 4 outside: the VM is told what RFC 6040, 4.2, says, as the kernel's tunnels do."""
    w = peer.world
    mac = json.loads(w.ip(peer.vm_ns, "-j", "link", "show", "eth0").stdout)[0]["address"].replace(":", "")
    w.spawn("ecn", ["/usr/bin/python3", "-c", RECEIVE_ECN], netns=peer.vm_ns, ready="ready")
    family = socket.AF_INET if peer.underlay == "4" else socket.AF_INET6
    want = [[n, tos] for n, tos in enumerate((0, 0, 0, None, 1, 1, 1, 3, 2, 1, 2, 3, 3, 3, 3, 3)) if tos is not None] * 2
    before = drops(peer, "tunnel_ecn")
    for _ in range(2):  # megaflows' first packets, and others
        w.sh(peer.hv_ns("hv2"), "/usr/bin/python3", "-c", SEND_ECN, int(family), peer.local_ip("hv1"), NET, mac)
    wait_for(lambda: f"{len(want)} packets: {w.log('ecn')}", lambda: w.log("ecn").count("got") >= len(want), 10)
    w.kill("ecn")
    assert sorted([int(n) for n in line.split()[1:]] for line in w.log("ecn").splitlines() if line.startswith("got")) == sorted(want)
    assert drops(peer, "tunnel_ecn") == before + 2


def drops(cloud, reason):
    return cloud.counter("hv1", f"drop_{reason}")


def test_ping_and_tcp(peer):
    w, hv2 = peer.world, peer.hv_ns("hv2")
    assert w.sh(peer.vm_ns, "ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "10.6.0.2", check=False).returncode == 0
    assert w.sh(hv2, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-s", "1372", "10.6.0.1", check=False).returncode == 0
    for client, server, address in ((peer.vm_ns, hv2, "10.6.0.2"), (hv2, peer.vm_ns, "10.6.0.1")):
        w.spawn("iperf", ["iperf3", "-s", "-1"], netns=server)
        wait_for("iperf3 to listen", lambda s=server: ":5201" in w.sh(s, "ss", "-ltnH").stdout, 5)
        done = w.sh(client, "iperf3", "-c", address, "-n", "4M", check=False, timeout=30)
        w.kill("iperf")
        assert done.returncode == 0, done.stdout + done.stderr


def test_hostile_packets_are_counted_by_reason(peer):
    """From the configured remote: truncated headers, wrong flags, unknown VNI. From elsewhere: an unknown remote."""
    w = peer.world

    def send(payload, netns, source=None):
        family = socket.AF_INET if peer.underlay == "4" else socket.AF_INET6
        code = (f"import socket; s=socket.socket({int(family)}, socket.SOCK_DGRAM); "
                + (f"s.bind(({source!r}, 0)); " if source else "")
                + f"s.sendto(bytes.fromhex({payload.hex()!r}), ({peer.local_ip('hv1')!r}, 4789))")
        w.sh(netns, "/usr/bin/python3", "-c", code)

    header = bytes.fromhex("08000000") + NET.to_bytes(3, "big") + b"\0"
    frame = b"\xff" * 6 + b"\x02" + b"\0" * 5 + b"\x88\xb5" + b"\0" * 46
    hv2, router = peer.hv_ns("hv2"), f"{w.name}-rt"
    cases = [
        ("tunnel_truncated", header[:5], hv2),
        ("tunnel_bad_header", b"\0" + header[1:] + frame, hv2),
        ("tunnel_unknown_key", header[:4] + (NET + 1).to_bytes(3, "big") + b"\0" + frame, hv2),
        ("tunnel_unknown_remote", header + frame, router),
        ("tunnel_truncated", header + frame[:9], hv2),
    ]
    for reason, payload, netns in cases:
        before = drops(peer, reason)
        send(payload, netns)
        wait_for(lambda r=reason: f"a drop for {r}: {peer.appctl('hv1', 'coverage/show')}",
                 lambda r=reason, b=before: drops(peer, r) > b, 5)
    assert w.sh(peer.vm_ns, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "10.6.0.2", check=False).returncode == 0
