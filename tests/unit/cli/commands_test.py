# SPDX-License-Identifier: Apache-2.0
"""The commands of `warren` that ask a controller, against a server that answers from a list and keeps every request.

usage: commands_test.py WARREN
"""
import http.server
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

NET = "11111111-1111-4111-8111-111111111111"
SUB = "22222222-2222-4222-8222-222222222222"
PORT = "33333333-3333-4333-8333-333333333333"
AGENT = "44444444-4444-4444-8444-444444444444"
UNKNOWN = "55555555-5555-4555-8555-555555555555"

network = {"id": NET, "name": "red", "provider:network_type": "vxlan", "provider:segmentation_id": 7, "mtu": 1450,
           "admin_state_up": True, "subnets": [SUB]}
subnet = {"id": SUB, "name": "s", "cidr": "10.0.0.0/24", "gateway_ip": None, "enable_dhcp": True, "network_id": NET,
          "allocation_pools": [{"start": "10.0.0.1", "end": "10.0.0.9"}, {"start": "10.0.0.20", "end": "10.0.0.29"}]}
port = {"id": PORT, "name": "p", "mac_address": "fa:16:3e:00:00:01", "binding:host_id": "hv1", "status": "ACTIVE",
        "network_id": NET, "fixed_ips": [{"subnet_id": SUB, "ip_address": "10.0.0.5"}, {"subnet_id": SUB, "ip_address": "10.0.0.6"}]}
agent = {"id": AGENT, "host": "hv1", "agent_type": "Open vSwitch agent", "alive": True, "admin_state_up": True,
         "heartbeat_timestamp": "2026-11-22 07:24:23",
         "configurations": {"tunneling_ip": "10.1.1.1", "tunnel_types": ["vxlan", "gre"]}}


def error(kind, message):
    return {"NeutronError": {"type": kind, "message": message, "detail": ""}}


REPLIES = {
    f"GET /v2.0/networks/{NET}": (200, {"network": network}),
    "GET /v2.0/networks?name=red": (200, {"networks": [network]}),
    "GET /v2.0/networks?name=twice": (200, {"networks": [network, network]}),
    "GET /v2.0/networks?name=none": (200, {"networks": []}),
    f"GET /v2.0/networks/{UNKNOWN}": (404, error("NetworkNotFound", "Network could not be found.")),
    f"GET /v2.0/networks?name={UNKNOWN}": (200, {"networks": [network]}),
    "GET /v2.0/networks?name=a%20%2F%26": (200, {"networks": [network]}),
    "GET /v2.0/networks?name=locked": (200, {"networks": [dict(network, id=UNKNOWN)]}),
    f"DELETE /v2.0/networks/{UNKNOWN}": (409, error("NetworkInUse", "Unable to complete operation on network: in use.\x1b[1m")),
    "GET /v2.0/networks": (200, {"networks": [network]}),
    "POST /v2.0/networks": (201, {"network": network}),
    f"DELETE /v2.0/networks/{NET}": (204, None),
    "GET /v2.0/subnets": (200, {"subnets": [subnet]}),
    f"GET /v2.0/subnets?network_id={NET}": (200, {"subnets": [subnet]}),
    f"GET /v2.0/subnets?name=s&network_id={NET}": (200, {"subnets": []}),
    "GET /v2.0/subnets?name=s": (200, {"subnets": [subnet]}),
    "POST /v2.0/subnets": (201, {"subnet": subnet}),
    f"DELETE /v2.0/subnets/{SUB}": (204, None),
    "GET /v2.0/ports": (200, {"ports": [port]}),
    f"GET /v2.0/ports?binding:host_id=hv1&network_id={NET}": (200, {"ports": [port]}),
    "GET /v2.0/ports?name=p": (200, {"ports": [port]}),
    f"GET /v2.0/ports/{PORT}": (200, {"port": port}),
    "POST /v2.0/ports": (201, {"port": port}),
    f"DELETE /v2.0/ports/{PORT}": (204, None),
    "GET /v2.0/agents": (200, {"agents": [agent]}),
    "GET /v2.0/agents?host=hv1": (200, {"agents": [agent]}),
    f"GET /v2.0/agents/{AGENT}": (200, {"agent": agent}),
    f"DELETE /v2.0/agents/{AGENT}": (204, None),
    # Servers that are not what they should be.
    "GET /v2.0/networks?name=html": (500, "<html>no</html>"),
    "GET /v2.0/networks?name=garbage": (200, "{nonsense"),
    "GET /v2.0/networks?name=other": (200, {"ports": []}),
    "GET /v2.0/networks?name=list": (200, []),
}

requests = []


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        key = f"{self.command} {self.path}"
        requests.append((key, json.loads(body) if body else None))
        status, reply = REPLIES.get(key, (418, {"NeutronError": {"message": f"the test knows no {key}"}}))
        text = b"" if reply is None else reply.encode() if isinstance(reply, str) else json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


def network_body(**more):
    return {"network": {"name": "red", "admin_state_up": True, **more}}


def port_body(**more):
    return {"port": {"name": "p", "network_id": NET, "admin_state_up": True, **more}}


def subnet_body(cidr, version, **more):
    return {"subnet": {"name": "s", "network_id": NET, "cidr": cidr, "ip_version": version, "enable_dhcp": True, **more}}


BY_NAME = ("GET /v2.0/networks?name=red", None)
# (words, the requests expected, how the output begins or what it contains)
GOOD = [
    ("network list", [("GET /v2.0/networks", None)],
     f"ID                                    NAME  TYPE   VNI  MTU   STATE  SUBNETS\n{NET}  red   vxlan  7    1450  up     {SUB}\n"),
    ("network list --name none", [("GET /v2.0/networks?name=none", None)], "ID  NAME  TYPE  VNI  MTU  STATE  SUBNETS\n"),
    ("network show red", [BY_NAME], "provider:segmentation_id  7\n"),
    (f"network show {NET}", [(f"GET /v2.0/networks/{NET}", None)], "name                      red\n"),
    (f"network show {UNKNOWN}", [(f"GET /v2.0/networks/{UNKNOWN}", None), (f"GET /v2.0/networks?name={UNKNOWN}", None)], "red"),
    (["network", "show", "a /&"], [("GET /v2.0/networks?name=a%20%2F%26", None)], "red"),
    ("network create red", [("POST /v2.0/networks", network_body())], NET),
    ("network create red --type gre --vni 4294967295 --mtu=1400 --shared --description d",
     [("POST /v2.0/networks", network_body(**{"provider:network_type": "gre", "provider:segmentation_id": 4294967295, "mtu": 1400,
                                              "shared": True, "description": "d"}))], NET),
    ("network create red --enable --provider-network-type geneve --provider-segment 9",
     [("POST /v2.0/networks", network_body(**{"provider:network_type": "geneve", "provider:segmentation_id": 9}))], NET),
    ("network create red --segment 9", [("POST /v2.0/networks", network_body(**{"provider:segmentation_id": 9}))], NET),
    ("network create red --share", [("POST /v2.0/networks", network_body(shared=True))], NET),
    ("network create red --disable", [("POST /v2.0/networks", network_body(admin_state_up=False))], NET),
    ("network delete red", [BY_NAME, (f"DELETE /v2.0/networks/{NET}", None)], ""),
    ("subnet list --network red", [BY_NAME, (f"GET /v2.0/subnets?network_id={NET}", None)], "10.0.0.1-10.0.0.9, 10.0.0.20-10.0.0.29"),
    ("subnet list --name s --network red", [BY_NAME, (f"GET /v2.0/subnets?name=s&network_id={NET}", None)], "ID  NAME  CIDR"),
    ("subnet show s", [("GET /v2.0/subnets?name=s", None)], "gateway_ip\n"),
    ("subnet create s --network red --cidr 10.0.0.0/24", [BY_NAME, ("POST /v2.0/subnets", subnet_body("10.0.0.0/24", 4))], SUB),
    ("subnet create s --network red --cidr fd00::/64 --gateway none --no-dhcp --dns ::1 --dns ::2 --pool fd00::2-fd00::9 "
     "--description d",
     [BY_NAME, ("POST /v2.0/subnets", subnet_body(
         "fd00::/64", 6, enable_dhcp=False, gateway_ip=None, dns_nameservers=["::1", "::2"],
         allocation_pools=[{"start": "fd00::2", "end": "fd00::9"}], description="d"))], SUB),
    ("subnet create s --network red --cidr 10.0.0.0/24 --gateway 10.0.0.254",
     [BY_NAME, ("POST /v2.0/subnets", subnet_body("10.0.0.0/24", 4, gateway_ip="10.0.0.254"))], SUB),
    ("subnet create s --network red --subnet-range 10.0.0.0/24 --dhcp --dns-nameserver 10.0.0.2 --allocation-pool 10.0.0.1,10.0.0.9 "
     "--allocation-pool start=10.0.0.20,end=10.0.0.29 --allocation-pool 10.0.0.30-10.0.0.39",
     [BY_NAME, ("POST /v2.0/subnets", subnet_body("10.0.0.0/24", 4, dns_nameservers=["10.0.0.2"], allocation_pools=[
         {"start": "10.0.0.1", "end": "10.0.0.9"}, {"start": "10.0.0.20", "end": "10.0.0.29"},
         {"start": "10.0.0.30", "end": "10.0.0.39"}]))], SUB),
    ("subnet delete s", [("GET /v2.0/subnets?name=s", None), (f"DELETE /v2.0/subnets/{SUB}", None)], ""),
    ("port list", [("GET /v2.0/ports", None)], "10.0.0.5, 10.0.0.6  hv1   ACTIVE"),
    ("port list --host hv1 --network red", [BY_NAME, (f"GET /v2.0/ports?binding:host_id=hv1&network_id={NET}", None)], PORT),
    ("port show p", [("GET /v2.0/ports?name=p", None)], "binding:host_id  hv1\n"),
    ("port create p --network red", [BY_NAME, ("POST /v2.0/ports", port_body())], PORT),
    ("port create p --network red --host hv1 --mac fa:16:3e:00:00:01 --device-id vm1 --device-owner compute:nova --disable "
     "--description d --fixed-ip 10.0.0.5 --fixed-ip subnet=s,ip=10.0.0.6 --fixed-ip subnet=s",
     [BY_NAME, ("GET /v2.0/subnets?name=s", None), ("GET /v2.0/subnets?name=s", None),
      ("POST /v2.0/ports", port_body(**{
          "binding:host_id": "hv1", "mac_address": "fa:16:3e:00:00:01", "device_id": "vm1", "device_owner": "compute:nova",
          "admin_state_up": False, "description": "d",
          "fixed_ips": [{"ip_address": "10.0.0.5"}, {"subnet_id": SUB, "ip_address": "10.0.0.6"}, {"subnet_id": SUB}]}))], PORT),
    ("port create p --network red --enable --mac-address fa:16:3e:00:00:01 --device vm1 --fixed-ip subnet=s,ip-address=10.0.0.6",
     [BY_NAME, ("GET /v2.0/subnets?name=s", None), ("POST /v2.0/ports", port_body(
         mac_address="fa:16:3e:00:00:01", device_id="vm1", fixed_ips=[{"subnet_id": SUB, "ip_address": "10.0.0.6"}]))], PORT),
    ("port create p --network red --no-fixed-ip", [BY_NAME, ("POST /v2.0/ports", port_body(fixed_ips=[]))], PORT),
    (f"port delete p {PORT}", [("GET /v2.0/ports?name=p", None), (f"DELETE /v2.0/ports/{PORT}", None),
                               (f"GET /v2.0/ports/{PORT}", None), (f"DELETE /v2.0/ports/{PORT}", None)], ""),
    ("agent list", [("GET /v2.0/agents", None)], "Open vSwitch agent  yes    up     10.1.1.1        vxlan, gre    2026-11-22 07:24:23\n"),
    ("agent list --host hv1", [("GET /v2.0/agents?host=hv1", None)], "hv1"),
    ("agent show hv1", [("GET /v2.0/agents?host=hv1", None)], AGENT),
    (f"agent show {AGENT}", [(f"GET /v2.0/agents/{AGENT}", None)], "hv1"),
    ("agent delete hv1", [("GET /v2.0/agents?host=hv1", None), (f"DELETE /v2.0/agents/{AGENT}", None)], ""),
]
# (words, exit status, what stderr says)
BAD = [
    ("network show none", 1, "warren: no network is called none\n"),
    ("network show twice", 1, "warren: several networks are called twice: say which by its id\n"),
    ("agent show", 2, "warren: agent show needs: warren agent show HOST|ID\n"),
    ("network list extra", 2, "one argument too many: \"extra\""),
    ("network create x --vni abc", 2, "--segment abc: not a number from 0 to 4294967295"),
    ("network create x --segment 1 --provider-segment 2", 2, "--segment is given twice"),
    ("network create x --enable --disable", 2, "--enable and --disable contradict each other"),
    ("port create p --network red --enable --disable", 2, "--enable and --disable contradict each other"),
    ("subnet create s --network red --cidr 10.0.0.0/24 --dhcp --no-dhcp", 2, "--dhcp and --no-dhcp contradict each other"),
    ("network create x --mtu -1", 2, "--mtu -1: not a number"),
    ("network create x --colour red", 2, "network create: unknown option --colour"),
    ("network delete locked", 1, "Unable to complete operation on network: in use.\\x1b[1m\n"),
    ("network show html", 1, "answered with HTTP status 500"),
    ("network show garbage", 1, "the reply is not JSON"),
    ("network show other", 1, "the controller's reply has no \"networks\""),
    ("network show list", 1, "the controller's reply has no \"networks\""),
    ("subnet create s --cidr 10.0.0.0/24", 2, "subnet create needs --network"),
    ("subnet create s --network red", 2, "subnet create needs --cidr"),
    ("subnet create s --network red --cidr 10.0.0.0/24 --pool 10.0.0.1", 2, "--allocation-pool 10.0.0.1: not FIRST,LAST"),
    *((f"subnet create s --network red --cidr 10.0.0.0/24 --allocation-pool {pool}", 2, f"--allocation-pool {pool}: not FIRST,LAST")
      for pool in ("10.0.0.1,", ",10.0.0.1", "start=,end=10.0.0.1", "start=10.0.0.1,end=", "end=10.0.0.1,start=10.0.0.2", "a,b,c")),
    ("port create p", 2, "port create needs --network"),
    ("port create p --network red --fixed-ip host=x", 2, "--fixed-ip host=x: not ADDRESS or subnet=SUBNET[,ip-address=ADDRESS]"),
    ("port create p --network red --fixed-ip 10.0.0.1 --no-fixed-ip", 2, "contradict each other"),
    ("agent create hv1", 2, "agent: unknown command \"create\"; there are\n  warren agent list"),
    ("network list --timeout 0", 2, "--timeout 0: not a number from 1 to 3600"),
    ("network list --endpoint 127.0.0.1:1", 2, "not http://HOST:PORT"),
    ("network list --endpoint http://", 2, "endpoint \"http://\": not http://HOST:PORT"),
    ("network list --endpoint http:///x", 2, "endpoint \"http:///x\": not http://HOST:PORT"),
    ("network delete a b --endpoint x", 2, "endpoint \"x\": not http://HOST:PORT"),
    ("show --endpoint x", 2, "endpoint \"x\": not http://HOST:PORT"),
    ("show --db x:/y", 2, "remote \"x:/y\": must begin with unix:"),
    ("show --db=", 2, "no database remote is given"),
    ("show --db punix:/y", 2, "is for listening"),
    ("show --db unix:/nothing/there", 1, "No such file or directory"),
    ("dump-flows a/b", 2, "a/b: a bridge's name has no slash"),
    ("dump-flows br0 nonsense=1 --rundir /nothing", 2, "nonsense"),
    ("dump-flows br0 priority=7 --rundir /nothing", 2, "flows are selected by"),
    ("dump-flows br0 in_port=any --rundir /nothing", 1, "br0.mgmt: No such file or directory"),
    ("--help colour", 2, "unknown command \"colour\""),
    ("network list --endpoint http://127.0.0.1:1", 1, "no reply from the controller at http://127.0.0.1:1"),
    ([b"network", b"show", b"\xff"], 2, "argument 3 is not UTF-8"),
]


def warren(words, environment):
    words = words.split() if isinstance(words, str) else words
    requests.clear()
    return subprocess.run([sys.argv[1], *words], capture_output=True, text=True, timeout=20, env=environment)


def check(problems, words, done, **expected):
    for what, (got, fits) in expected.items():
        if not fits:
            problems.append(f"{words}: {what}: {got!r} (exit {done.returncode}, stderr {done.stderr!r})")


def closed_descriptors(problems):
    """A command that was started without them must not take a connection of its own for its output or its errors."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        child = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.argv[1], "network", "show", "none", "--endpoint",
                                  f"http://127.0.0.1:{listener.getsockname()[1]}"])
        connection = listener.accept()[0]
        with connection:
            connection.recv(65536)
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"networks":[]}')
            more = connection.recv(65536)  # nothing comes until the command ends
    status = child.wait(timeout=20)
    if more or status != 1:
        problems.append(f"closed descriptors: the controller was sent {more}, exit {status}")


def proxies(problems, environment):
    """What the environment exempts from its proxy, by either name of the variable; and \"*\" is everything."""
    asked = ["network", "list", "--endpoint", "http://127.9.9.9:1"]  # no loopback that is exempted anyway; nothing listens
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.1)
        for exempted in ({}, {"no_proxy": "127.9.9.9"}, {"NO_PROXY": "127.9.9.9"}, {"no_proxy": "*"}, {"NO_PROXY": "*"},
                         {"no_proxy": "x", "NO_PROXY": "127.9.9.9"}):
            here = {key: value for key, value in environment.items() if key.lower() not in ("no_proxy", "all_proxy")}
            child = subprocess.Popen([sys.argv[1], *asked], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                     env={**here, "http_proxy": f"http://127.0.0.1:{proxy.getsockname()[1]}", **exempted})
            came = False
            while child.poll() is None and not came:
                try:
                    proxy.accept()[0].close()
                    came = True
                except TimeoutError:
                    pass
            errors = child.communicate(timeout=20)[1]
            if came != (exempted in ({}, {"no_proxy": "x", "NO_PROXY": "127.9.9.9"})):
                problems.append(f"{exempted}: {'came' if came else 'did not come'} to the proxy: {errors}")


def openflow_message(kind, xid, body=b""):
    return struct.pack("!BBHI", 4, kind, 8 + len(body), xid) + body


def flow_entry(priority, match, instructions):
    """An entry of OpenFlow 1.3's flow statistics: table 7, cookie 5, 3 packets of 300 bytes."""
    body = bytes.fromhex(match + instructions)
    return struct.pack("!HBxIIHHHH4xQQQ", 48 + len(body), 7, 1, 0, priority, 0, 0, 0, 5, 3, 300) + body


def serve_bridge(listener, flows):
    connection = listener.accept()[0]
    with connection, connection.makefile("rb") as stream:
        connection.sendall(openflow_message(0, 0))
        while header := stream.read(8):
            _, kind, length, xid = struct.unpack("!BBHI", header)
            body = stream.read(length - 8)
            if kind == 5:  # FEATURES_REQUEST
                connection.sendall(openflow_message(6, xid, bytes(24)))
            elif kind == 18:  # MULTIPART_REQUEST: no ports, or FLOWS
                connection.sendall(openflow_message(19, xid, body[:2] + bytes(6) + (flows if body[:2] == b"\0\1" else b"")))


def unreadable_flows(problems, environment):
    """What one flow says that is unknown here hides neither the rest of it nor the others."""
    all_packets, goto_5 = "0001000400000000", "0001000805000000"
    flows = (flow_entry(3, all_packets, goto_5) + flow_entry(2, all_packets, "0004001800000000" "ffff00100000232000ff000000000000")
             + flow_entry(1, "0001000c0001fe0400000001" "00000000", goto_5) + flow_entry(32768, "0001000c0001fe0400000001" "00000000", "00c8000800000000"))
    places = [" cookie=0x5, table=7, ", " cookie=0x5, duration=1s, table=7, n_packets=3, n_bytes=300, "]
    ends = ["match=unreadable(OFPBMC_BAD_FIELD) actions=unreadable(OFPBIC_UNKNOWN_INST)", "priority=3 actions=goto_table:5",
            "priority=2 actions=unreadable(OFPBAC_BAD_EXP_TYPE)", "priority=1 match=unreadable(OFPBMC_BAD_FIELD) actions=goto_table:5"]
    with tempfile.TemporaryDirectory() as rundir, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{rundir}/br0.mgmt")
        listener.listen()
        for options in ([], ["--no-stats"], ["--json"]):
            threading.Thread(target=serve_bridge, args=(listener, flows), daemon=True).start()
            done = warren(["dump-flows", "br0", "--rundir", rundir, *options], environment)
            check(problems, f"unreadable flows {options}", done, status=(done.returncode, done.returncode == 1),
                  errors=(done.stderr, done.stderr == "warren: br0: 3 of 4 flows cannot be read whole\n"))
            if "--json" in options:
                got = [(flow["priority"], flow["cookie"], flow["match"], flow["actions"], flow.get("error")) for flow in json.loads(done.stdout)]
                expected = [(32768, "0x5", None, None, "OFPBMC_BAD_FIELD"), (3, "0x5", "", "goto_table:5", None),
                            (2, "0x5", "", None, "OFPBAC_BAD_EXP_TYPE"), (1, "0x5", None, "goto_table:5", "OFPBMC_BAD_FIELD")]
            else:
                got, expected = done.stdout.splitlines(), [places[not options] + end for end in ends]
            check(problems, f"unreadable flows {options}", done, flows=(got, got == expected))


def help_of(problems, environment):
    for words in (["--help", "network"], ["network", "--help"]):
        done = warren(words, environment)
        check(problems, words, done, status=(done.returncode, done.returncode == 0), errors=(done.stderr, not done.stderr),
              output=(done.stdout, "  warren network create NAME " in done.stdout))


def gone_reader(problems, environment):
    """Whoever reads only the beginning ends a command, without a word; where SIGPIPE is ignored it is an error like others."""
    for preexec, status, text in ((lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL), -signal.SIGPIPE, ""),
                                  (lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN), 1, "writing the output: Broken pipe")):
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "w") as gone:
            done = subprocess.run([sys.argv[1], "network", "list"], stdout=gone, stderr=subprocess.PIPE, text=True, timeout=20,
                                  env=environment, preexec_fn=preexec, restore_signals=False)
        check(problems, "a reader that is gone", done, status=(done.returncode, done.returncode == status),
              errors=(done.stderr, text in done.stderr if text else not done.stderr))


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # A proxy in the environment must not come between: nothing listens there.
    environment = dict(os.environ, WARREN_ENDPOINT=f"http://127.0.0.1:{server.server_port}/", http_proxy="http://127.0.0.1:1")
    problems = []
    for words, asked, output in GOOD:
        done = warren(words, environment)
        check(problems, words, done, status=(done.returncode, done.returncode == 0), requests=(list(requests), requests == asked),
              output=(done.stdout, output in done.stdout if output else done.stdout == ""), errors=(done.stderr, not done.stderr))
        done = warren([*(words.split() if isinstance(words, str) else words), "--json"], environment)
        try:
            parsed = json.loads(done.stdout)
        except ValueError:
            parsed = None
        check(problems, f"{words} --json", done, status=(done.returncode, done.returncode == 0),
              json=(done.stdout, isinstance(parsed, list if " list" in str(words) else dict)))
    for words, status, text in BAD:
        done = warren(words, environment)
        check(problems, words, done, status=(done.returncode, done.returncode == status), errors=(done.stderr, text in done.stderr),
              output=(done.stdout, done.stdout == ""),
              writes=(list(requests), status == 1 or not any(key.startswith("POST") for key, _ in requests)))
    # One failure does not keep the others from being deleted.
    done = warren(["network", "delete", "none", "red", "--json"], environment)
    check(problems, "delete of several", done, status=(done.returncode, done.returncode == 1),
          output=(done.stdout, json.loads(done.stdout) == {"deleted": [NET]}))
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            status = subprocess.run([sys.argv[1], "network", "list"], stdout=full, stderr=subprocess.DEVNULL, env=environment).returncode
        if status != 1:
            problems.append(f"a full disk: exit {status}")
    closed_descriptors(problems)
    gone_reader(problems, environment)
    proxies(problems, environment)
    help_of(problems, environment)
    unreadable_flows(problems, environment)
    print("\n".join(problems) or f"{len(GOOD)} commands, {len(BAD)} refusals: ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
