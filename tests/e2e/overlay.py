# SPDX-License-Identifier: Apache-2.0
"""A cloud without a controller: the tests themselves write the Warren database, and read what the agents write into it.

So a failure here is the agent's (or the switch's), and rows that no controller would write can be tried too.
"""
import ipaddress
import itertools
import json
import re
import socket
import uuid

from cloud import OVERHEAD, UNDERLAY_MTU, Cloud
from world import LabError, run, wait_for

_vnis = itertools.count(0x1234)
COOKIE = re.compile(r"cookie=0x[0-9a-f]+,? ?")


def plain(value):
    """An OVSDB value of the wire as a Python one: sets as lists, maps as dicts, uuids as texts."""
    if isinstance(value, list) and len(value) == 2 and value[0] in ("set", "map", "uuid"):
        kind, inner = value
        return inner if kind == "uuid" else [plain(v) for v in inner] if kind == "set" else {plain(k): plain(v) for k, v in inner}
    return value


class HandFilledCloud(Cloud):
    """`controller_up` runs ovsdb-server alone; networks and ports are rows."""

    def controller_up(self, port=None):
        rundir = self.dir / "controller"
        rundir.mkdir(parents=True, exist_ok=True)
        if not (rundir / "warren.db").exists():
            run("ovsdb-tool", "create", rundir / "warren.db", self.schemadir / "warren.ovsschema")
        self.world.spawn("overlay", ["ovsdb-server", rundir / "warren.db", f"--remote=p{self.overlay}", "--no-chdir",
                                     f"--unixctl={rundir}/warren.ctl"])
        wait_for("the overlay database", lambda: run("ovsdb-client", "list-dbs", self.overlay, check=False).returncode == 0)

    # ---- rows

    def transact(self, *operations):
        """All or nothing; returns the results. (Not by ovsdb-client: its command line is too short for large ones.)"""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.overlay.removeprefix("unix:"))
            s.sendall(json.dumps({"method": "transact", "params": ["Warren", *operations], "id": 1}).encode())
            text = b""
            while True:
                text += s.recv(1 << 16) or self._closed()
                try:
                    reply = json.loads(text)["result"]
                    break
                except ValueError:
                    continue  # not all of it yet
        for result in reply:
            if result and result.get("error"):
                raise LabError(f"transaction: {result}")
        return reply

    def _closed(self):
        raise LabError("the overlay database closed the connection")

    def rows(self, table, **equal):
        """The rows of TABLE with these column values, as dicts."""
        where = [[column, "==", value] for column, value in equal.items()]
        found = self.transact({"op": "select", "table": table, "where": where})[0]["rows"]
        return [{column: plain(value) for column, value in row.items()} for row in found]

    def update(self, table, row_id, **values):
        done = self.transact({"op": "update", "table": table, "where": [["id", "==", row_id]], "row": values})
        assert done[0]["count"] == 1

    def network(self, name, kind="vxlan", cidr="10.0.0.0/24", **extra):
        network = {"id": str(uuid.uuid4()), "name": name, "type": kind, "vni": next(_vnis), "admin_state_up": True,
                   "port_security_enabled": True, "mtu": UNDERLAY_MTU - OVERHEAD[self.underlay], **extra}
        subnet = {"id": str(uuid.uuid4()), "name": name, "network": ["named-uuid", "n"], "network_id": network["id"], "cidr": cidr,
                  "ip_version": 6 if ":" in cidr else 4}
        self.transact({"op": "insert", "table": "Network", "row": network, "uuid-name": "n"},
                      {"op": "insert", "table": "Subnet", "row": subnet})
        return {**network, "subnet": subnet, "next": 11}

    def port_operations(self, asked, network):
        """The port as the API would show it, and the operations that insert its rows."""
        port_id = str(uuid.uuid4())
        network_uuid = self.rows("Network", id=network["id"])[0]["_uuid"]
        subnet_uuid = self.rows("Subnet", id=network["subnet"]["id"])[0]["_uuid"]
        fixed = asked.get("fixed_ips")
        if not fixed:
            base = ipaddress.ip_network(network["subnet"]["cidr"]).network_address
            fixed = [{"ip_address": str(base + network["next"])}]
            network["next"] += 1
        port = {"id": port_id, "name": asked["name"], "network_id": network["id"], "host": asked["binding:host_id"],
                "mac": asked.get("mac_address") or "fa:16:3e:" + ":".join(port_id[i:i + 2] for i in (0, 2, 4)),
                "admin_state_up": asked.get("admin_state_up", True),
                "port_security_enabled": asked.get("port_security_enabled", True)}
        operations = [{"op": "insert", "table": "Port", "row": {**port, "network": ["uuid", network_uuid]}, "uuid-name": "p"}]
        operations += [{"op": "insert", "table": "Address", "row": {
            "subnet": ["uuid", subnet_uuid], "subnet_id": network["subnet"]["id"], "port": ["named-uuid", "p"], "port_id": port_id,
            "network_id": network["id"], "ip": ip["ip_address"]}} for ip in fixed]
        return {**port, "mac_address": port["mac"], "fixed_ips": fixed}, operations

    def new_port(self, asked, network):
        port, operations = self.port_operations(asked, network)
        self.transact(*operations)
        return port

    def delete_port_operations(self, port_id):
        return [{"op": "delete", "table": "Address", "where": [["port_id", "==", port_id]]},
                {"op": "delete", "table": "Port", "where": [["id", "==", port_id]]}]

    def delete_port(self, port_id):
        self.transact(*self.delete_port_operations(port_id))

    # ---- what the agents say

    def port_up(self, port_id):
        """True or False as Port_Status says, None if it says nothing."""
        rows = self.rows("Port_Status", port_id=port_id)
        return rows[0]["up"] if rows else None

    def wait_active(self, timeout=20):
        def waiting():
            return [name for name, vm in self.vms.items() if self.port_up(vm["port"]["id"]) is not True]
        wait_for(lambda: f"ports to become ACTIVE: {waiting()}", lambda: not waiting(), timeout)

    # ---- what is in the switch

    def ovs(self, hv, table, record, column):
        """One column of one row of the switch's database."""
        shown = json.loads(self.vsctl(hv, "--format=json", f"--columns={column}", "list", table, record))
        return plain(shown["data"][0][0])

    def tag(self, vm):
        return self.ovs(vm["hv"], "Port", vm["tap"], "tag")

    def ofport(self, hv, interface):
        return self.ovs(hv, "Interface", interface, "ofport")

    def flows(self, hv, bridge, *match):
        """The flows as a sorted list of texts: no cookie, port numbers as names, nothing that was learned."""
        shown = self.ofctl(hv, "--no-stats", "--names", "dump-flows", bridge, *match)
        lines = (COOKIE.sub("", line).strip().replace('"', "") for line in shown.splitlines() if "actions=" in line)
        return sorted(line for line in lines if "hard_timeout=300, priority=1" not in line)

    def ages(self, hv, bridge):
        """{flow: its age in seconds}: adding a flow anew makes it young again, so this shows what was touched."""
        found = {}
        for line in self.ofctl(hv, "--names", "dump-flows", bridge).splitlines():
            if "actions=" in line and "hard_timeout" not in line.split("actions=")[0]:
                text = re.sub(r" duration=[^,]*,| n_packets=[^,]*,| n_bytes=[^,]*,| idle_age=[^,]*,| hard_age=[^,]*,", "", line).strip()
                found[text] = float(re.search(r"duration=([0-9.]+)s", line)[1])
        return found
