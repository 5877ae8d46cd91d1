# SPDX-License-Identifier: Apache-2.0
"""The controller's API: driven by the real `openstack` client, by raw HTTP with what no client should send, by two controllers at
once, and without its database."""
import calendar
import collections
import concurrent.futures
import contextlib
import http.client
import importlib.util
import ipaddress
import itertools
import json
import os
import signal
import socket
import time
import urllib.parse

import pytest

from cloud import Cloud
from conftest import free_port
from openstack_client import OpenstackClient
from relay import Relay
from world import wait_for, run

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def cloud(cloud_factory):
    cloud = cloud_factory()
    cloud.controller_up(cloud.api_port)
    return cloud


@pytest.fixture(autouse=True)
def emptied(cloud):
    """What a test made is not there for the next."""
    yield
    for kind in ("ports", "networks"):
        for thing in cloud.api("GET", f"/v2.0/{kind}")[kind]:
            cloud.api("DELETE", f"/v2.0/{kind}/{thing['id']}")


@pytest.fixture
def network(cloud):
    """A network with an IPv4 subnet that goes away with its ports."""
    made = cloud.api("POST", "/v2.0/networks", {"network": {"name": "net"}})["network"]
    made["subnet"] = cloud.api("POST", "/v2.0/subnets", {"subnet": {"network_id": made["id"], "cidr": "10.0.0.0/24", "ip_version": 4}})[
        "subnet"]
    yield made
    for port in cloud.api("GET", f"/v2.0/ports?network_id={made['id']}")["ports"]:
        cloud.request("DELETE", f"/v2.0/ports/{port['id']}")
    cloud.request("DELETE", f"/v2.0/networks/{made['id']}")


def refused(cloud, method, path, body, status, kind, *texts):
    got, reply = cloud.request(method, path, body)
    assert (got, reply["NeutronError"]["type"]) == (status, kind), reply
    for text in texts:
        assert text in reply["NeutronError"]["message"], reply
    assert set(reply["NeutronError"]) == {"type", "message", "detail"}


# ---- the openstack client

@pytest.fixture(scope="module")
def openstack(cloud):
    if not importlib.util.find_spec("openstackclient"):
        pytest.skip("the openstack client is not installed")
    client = OpenstackClient("--os-auth-type", "none", "--os-endpoint", f"http://127.0.0.1:{cloud.port}")

    def call(*args, check=True):
        done = client(*args)
        if not check:
            return done
        assert done.returncode == 0, f"{' '.join(args)}: {done.stderr}"
        return done.stdout

    def shown(*args):
        return json.loads(call(*args, "-f", "json"))

    call.json = shown
    return call


def test_openstack_client(cloud, openstack):
    made = openstack.json("network", "create", "tn1", "--provider-network-type", "gre", "--mtu", "1400", "--description", "a gre net")
    assert (made["name"], made["provider:network_type"], made["mtu"], made["status"]) == ("tn1", "gre", 1400, "ACTIVE")
    assert openstack.json("network", "show", "tn1") == made
    assert [n["Name"] for n in openstack.json("network", "list", "--name", "tn1")] == ["tn1"]

    subnet = openstack.json("subnet", "create", "--network", "tn1", "--subnet-range", "10.20.0.0/24", "--gateway", "10.20.0.254",
                            "--allocation-pool", "start=10.20.0.10,end=10.20.0.100", "--dns-nameserver", "10.20.0.54",
                            "--dns-nameserver", "10.20.0.53", "--host-route", "destination=10.9.0.0/16,gateway=10.20.0.3", "ts1")
    assert subnet["gateway_ip"] == "10.20.0.254" and subnet["dns_nameservers"] == ["10.20.0.54", "10.20.0.53"]
    assert subnet["allocation_pools"] == [{"start": "10.20.0.10", "end": "10.20.0.100"}]
    slaac = openstack.json("subnet", "create", "--network", "tn1", "--subnet-range", "fd20::/64", "--ip-version", "6", "--ipv6-ra-mode",
                           "slaac", "--ipv6-address-mode", "slaac", "ts6")
    assert {s["Name"] for s in openstack.json("subnet", "list", "--network", "tn1")} == {"ts1", "ts6"}

    port = openstack.json("port", "create", "--network", "tn1", "--fixed-ip", "subnet=ts1,ip-address=10.20.0.50", "--mac-address",
                          "fa:16:3e:00:11:22", "--host", "hv1", "--device", "dev-1", "--device-owner", "compute:nova", "tp1")
    assert {f["ip_address"] for f in port["fixed_ips"]} == {"10.20.0.50", "fd20::f816:3eff:fe00:1122"}
    assert (port["binding_host_id"], port["binding_vif_type"], port["status"]) == ("hv1", "ovs", "DOWN")
    assert [p["Name"] for p in openstack.json("port", "list", "--network", "tn1")] == ["tp1"]
    openstack("port", "set", "--name", "tp1b", "--host", "hv2", "tp1")
    assert openstack.json("port", "show", "tp1b")["binding_host_id"] == "hv2"

    openstack("network", "set", "--name", "tn1b", "--tag", "blue", "tn1")
    after = openstack.json("network", "show", "tn1b")
    assert after["tags"] == ["blue"] and set(after["subnets"]) == {subnet["id"], slaac["id"]} and after["revision_number"] > 1
    openstack("subnet", "set", "--name", "ts1b", "--no-dns-nameservers", "ts1")
    assert openstack.json("subnet", "show", "ts1b")["dns_nameservers"] == []
    assert "in use" in openstack("network", "delete", "tn1b", check=False).stderr
    for kind, name in (("port", "tp1b"), ("subnet", "ts6"), ("network", "tn1b")):
        openstack(kind, "delete", name)
    assert openstack.json("network", "list") == openstack.json("subnet", "list") == openstack.json("port", "list") == []
    assert openstack("network", "show", "nosuch", check=False).returncode != 0
    assert openstack.json("network", "agent", "list") == []
    assert "provider" in {e["Alias"] for e in openstack.json("extension", "list")}


# ---- what is answered

def test_discovery(cloud):
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=10)
    connection.request("GET", "/", headers={"Host": "api.example.org:99"})
    links = json.loads(connection.getresponse().read())["versions"][0]["links"]
    assert links == [{"rel": "self", "href": "http://api.example.org:99/v2.0/"}]
    connection.close()
    assert {r["collection"] for r in cloud.api("GET", "/v2.0/")["resources"]} >= {"networks", "subnets", "ports", "agents"}
    assert cloud.api("GET", "/v2.0/extensions/provider")["extension"]["alias"] == "provider"
    assert cloud.request("GET", "/v2.0/extensions/tag-ports-during-bulk-creation")[0] == 404
    # Nova asks for them before it makes a server's ports: no limits.
    for path in (UNKNOWN, f"{UNKNOWN}/default"):
        assert cloud.api("GET", f"/v2.0/quotas/{path}") == {"quota": {"network": -1, "subnet": -1, "port": -1}}
    assert cloud.api("GET", "/v2.0/quotas") == {"quotas": []}
    assert cloud.request("PUT", f"/v2.0/quotas/{UNKNOWN}", {"quota": {"port": 5}})[0] == 405
    assert cloud.api("GET", "/healthz") == {"status": "ok"}
    status, metrics = cloud.request("GET", "/metrics")
    assert status == 200 and "warren_database_up 1" in metrics["text"]


@pytest.mark.parametrize("kind,mtu,max_vni", [("vxlan", 1450, 2**24 - 1), ("gre", 1458, 2**32 - 1), ("geneve", 1450, 2**24 - 1)])
def test_network_types(cloud, kind, mtu, max_vni):
    def create(**extra):
        return cloud.request("POST", "/v2.0/networks", {"network": {"provider:network_type": kind, **extra}})

    status, made = create(**{"provider:segmentation_id": str(max_vni)})
    assert (status, made["network"]["mtu"], made["network"]["provider:segmentation_id"]) == (201, mtu, max_vni)
    assert create(**{"provider:segmentation_id": max_vni})[1]["NeutronError"]["type"] == "TunnelIdInUse"
    assert create(**{"provider:segmentation_id": max_vni + 1})[0] == 400
    assert create(mtu=mtu + 1)[0] == 400 and create(mtu=67)[0] == 400
    assert cloud.request("DELETE", f"/v2.0/networks/{made['network']['id']}")[0] == 204
    assert cloud.request("GET", f"/v2.0/networks/{made['network']['id']}")[0] == 404


def test_filters_fields_order(cloud, network):
    made = cloud.api("POST", "/v2.0/ports", {"ports": [{"network_id": network["id"], "name": f"p{i}", "binding:host_id": f"hv{i % 2}"}
                                                       for i in range(6)]})["ports"]
    ip = made[3]["fixed_ips"][0]["ip_address"]

    def names(query):
        return [p["name"] for p in cloud.api("GET", f"/v2.0/ports?sort_key=name&{query}")["ports"]]

    assert names("") == [f"p{i}" for i in range(6)]
    assert names("name=p1&name=p4") == ["p1", "p4"]
    assert names("binding:host_id=hv1&name=p1&name=p2") == ["p1"]
    assert names("fixed_ips=" + urllib.parse.quote(f"ip_address={ip}")) == ["p3"]
    # Members of one address must all match; of one member, any of its values.
    subnet = urllib.parse.quote(f"subnet_id={network['subnet']['id']}")
    one, two = (urllib.parse.quote(f"ip_address={p['fixed_ips'][0]['ip_address']}") for p in (made[3], made[4]))
    assert names(f"fixed_ips={subnet}") == [f"p{i}" for i in range(6)]
    assert names(f"fixed_ips={one}&fixed_ips={subnet}") == ["p3"] and names(f"fixed_ips={one}&fixed_ips={two}") == ["p3", "p4"]
    assert names(f"fixed_ips={one}&fixed_ips=subnet_id%3D{UNKNOWN}") == names("fixed_ips=nosuch") == []
    assert names("admin_state_up=False") == []
    assert names("sort_dir=desc&limit=2") == ["p5", "p4"]
    assert names(f"limit=2&marker={made[1]['id']}") == ["p2", "p3"]
    assert cloud.api("GET", "/v2.0/ports?name=p2&fields=id&fields=nosuch")["ports"] == [{"id": made[2]["id"]}]
    assert cloud.api("GET", f"/v2.0/ports/{made[2]['id']}?fields=name")["port"] == {"name": "p2"}
    cloud.api("PUT", f"/v2.0/ports/{made[0]['id']}/tags", {"tags": ["red", "x"]})
    cloud.api("PUT", f"/v2.0/ports/{made[1]['id']}/tags", {"tags": ["red"]})
    assert names("tags=red") == ["p0", "p1"] and names("tags=red,x") == ["p0"]
    assert names("tags-any=x,y") == ["p0"] and names("not-tags=red") == ["p2", "p3", "p4", "p5"]
    assert cloud.request("PUT", f"/v2.0/ports/{made[1]['id']}/tags/green")[0] == 201
    assert cloud.request("GET", f"/v2.0/ports/{made[1]['id']}/tags/green")[0] == 204
    assert cloud.request("DELETE", f"/v2.0/ports/{made[1]['id']}/tags/green")[0] == 204
    refused(cloud, "DELETE", f"/v2.0/ports/{made[1]['id']}/tags/green", None, 404, "TagNotFound")
    refused(cloud, "GET", "/v2.0/ports?nosuch=1", None, 400, "HTTPBadRequest", "nosuch")
    refused(cloud, "GET", "/v2.0/ports?admin_state_up=maybe", None, 400, "HTTPBadRequest", "admin_state_up")
    refused(cloud, "GET", "/v2.0/ports?limit=x", None, 400, "HTTPBadRequest", "x")
    refused(cloud, "GET", "/v2.0/ports?sort_key=nosuch", None, 400, "HTTPBadRequest", "nosuch")
    refused(cloud, "GET", "/v2.0/ports?name=%ff", None, 400, "HTTPBadRequest", "UTF-8")


def test_pages(cloud, network):
    """Pages forward and back, by markers and by the links between them, in the order that was asked for."""
    made = cloud.api("POST", "/v2.0/ports", {"ports": [{"network_id": network["id"], "name": f"p {i}", "fixed_ips": []} for i in range(5)]})["ports"]
    marker = {p["name"]: p["id"] for p in made}

    def page(query):
        status, reply = cloud.request("GET", query if query.startswith("/") else f"/v2.0/ports?sort_key=name&{query}")
        assert status == 200 and set(reply) <= {"ports", "ports_links"}, reply
        links = {link["rel"]: link["href"] for link in reply.get("ports_links", [])}
        for href in links.values():
            assert href.startswith(f"http://127.0.0.1:{cloud.port}/v2.0/ports?"), href
        return [p["name"] for p in reply["ports"]], {rel: href.partition(str(cloud.port))[2] for rel, href in links.items()}

    names = [f"p {i}" for i in range(5)]
    assert page("") == page("page_reverse=False") == page("limit=0&page_reverse=True") == (names, {})
    for direction, order in (("asc", names), ("desc", names[::-1])):
        back = f"sort_dir={direction}&page_reverse=True"
        assert page(f"{back}&limit=2&marker={marker[order[3]]}")[0] == order[1:3]
        assert page(f"{back}&limit=3&marker={marker[order[2]]}")[0] == order[:2]
        assert page(f"{back}&limit=2")[0] == order[3:]  # from the end
        # A marker that matches the filters no more has its place all the same.
        only = f"sort_dir={direction}&name={order[1]}&name={order[3]}&limit=5".replace(" ", "%20")
        assert page(f"{only}&marker={marker[order[2]]}")[0] == order[3:4]
        assert page(f"{only}&page_reverse=True&marker={marker[order[2]]}")[0] == order[1:2]
        refused(cloud, "GET", f"/v2.0/ports?limit=2&marker={UNKNOWN}", None, 404, "PortNotFound", UNKNOWN)
        # As Neutron: without a limit there are no pages, and a marker means nothing.
        for limit in ("", "&limit=0"):
            assert page(f"sort_dir={direction}{limit}&marker={marker[order[2]]}") == (order, {})
            assert page(f"{back}{limit}&marker={UNKNOWN}") == (order, {})
        # By links to the end and back again.
        seen, links = page(f"sort_dir={direction}&limit=2&fields=name&name=p%200&" + "&".join(f"name=p%20{i}" for i in range(1, 5)))
        while "next" in links:
            more, links = page(links["next"])
            seen += more
        assert seen == order and "previous" in links
        assert page(links["previous"])[0] == order[2:4]
        seen = order[4:]
        while "previous" in links:
            more, links = page(links["previous"])
            seen = more + seen
        assert seen == order and "next" in links
    # As Neutron: where a page is not full there is no further one, and a full one may be followed by an empty one.
    assert set(page("limit=5")[1]) == {"next", "previous"} and set(page("limit=6")[1]) == {"previous"}
    assert set(page("limit=6&page_reverse=true")[1]) == {"next"}
    if importlib.util.find_spec("openstack"):
        import openstack
        sdk = openstack.connect(auth_type="none", endpoint=f"http://127.0.0.1:{cloud.port}")
        assert sorted(p.name for p in sdk.network.ports(limit=2)) == names


def test_order_with_nulls(cloud):
    """What has no value comes first, and the rest is in order all the same."""
    network = cloud.api("POST", "/v2.0/networks", {"network": {}})["network"]
    gateways = ["10.0.3.1", None, "10.0.1.1", None, "10.0.2.1", None, "10.0.4.1"]
    for n, gateway in enumerate(gateways):
        cidr = gateway.rpartition(".")[0] + ".0/24" if gateway else f"10.9.{n}.0/24"
        cloud.api("POST", "/v2.0/subnets",
                  {"subnet": {"network_id": network["id"], "cidr": cidr, "ip_version": 4, "gateway_ip": gateway}})
    for direction in ("asc", "desc"):
        found = cloud.api("GET", f"/v2.0/subnets?sort_key=gateway_ip&sort_dir={direction}")["subnets"]
        assert [s["gateway_ip"] for s in found] == sorted(gateways, key=lambda g: g or "", reverse=direction == "desc")


def test_port_updates(cloud, network):
    early = cloud.api("POST", "/v2.0/ports", {"port": {"network_id": network["id"], "mac_address": "fa:16:3e:00:00:09"}})["port"]
    asked = {"network_id": network["id"], "cidr": "fd00::/64", "ip_version": 6, "ipv6_address_mode": "slaac"}
    for again in (True, False):
        made = cloud.api("POST", "/v2.0/subnets", {"subnet": asked})["subnet"]
        # Ports that were there get their address in it; it does not keep the subnet.
        fixed = cloud.api("GET", f"/v2.0/ports/{early['id']}")["port"]["fixed_ips"]
        assert {"subnet_id": made["id"], "ip_address": "fd00::f816:3eff:fe00:9"} in fixed and len(fixed) == 2
        if again:
            cloud.api("DELETE", f"/v2.0/subnets/{made['id']}")
            assert cloud.api("GET", f"/v2.0/ports/{early['id']}")["port"]["fixed_ips"] == early["fixed_ips"]
    cloud.api("DELETE", f"/v2.0/ports/{early['id']}")  # its address is drawn: it may be one of those below
    refused(cloud, "PUT", f"/v2.0/networks/{network['id']}", {"network": {"mtu": 1279}}, 400, "InvalidInput", "mtu")
    port = cloud.api("POST", "/v2.0/ports", {"port": {"network_id": network["id"], "mac_address": "fa:16:3e:00:00:01"}})["port"]
    kept = next(f["ip_address"] for f in port["fixed_ips"] if "." in f["ip_address"])

    def put(**values):
        return cloud.api("PUT", f"/v2.0/ports/{port['id']}", {"port": values})["port"]

    def addresses(shown):
        return {f["ip_address"] for f in shown["fixed_ips"]}

    assert addresses(put(mac_address="fa:16:3e:00:00:02")) == {kept, "fd00::f816:3eff:fe00:2"}
    assert addresses(put(fixed_ips=[{"subnet_id": network["subnet"]["id"]}])) == {kept, "fd00::f816:3eff:fe00:2"}
    changed = put(fixed_ips=[{"ip_address": "10.0.0.77"}, {"ip_address": "10.0.0.78"}], name="x")
    assert addresses(changed) == {"10.0.0.77", "10.0.0.78", "fd00::f816:3eff:fe00:2"} and changed["name"] == "x"
    assert addresses(put(fixed_ips=[])) == set()
    assert changed["revision_number"] == port["revision_number"] + 3
    for form in ("fa163e000002", "FA16.3E00.0002", "fa-16-3e-0-0-2"):  # as Neutron takes them
        assert put(mac_address=form)["mac_address"] == "fa:16:3e:00:00:02"
    assert put(**{"binding:profile": {"a": 1}, "allowed_address_pairs": [{"ip_address": "10.9.0.0/16"}]})["allowed_address_pairs"] == [
        {"ip_address": "10.9.0.0/16", "mac_address": "fa:16:3e:00:00:02"}]
    # The same pair twice, in the second place by the port's own MAC.
    twice = [{"ip_address": "10.9.0.1", "mac_address": "fa:16:3e:00:00:02"}, {"ip_address": "10.9.0.1"}]
    refused(cloud, "PUT", f"/v2.0/ports/{port['id']}", {"port": {"allowed_address_pairs": twice}}, 400, "DuplicateAddressPairInRequest",
            "10.9.0.1")
    refused(cloud, "POST", "/v2.0/ports", {"port": {"network_id": network["id"], "allowed_address_pairs": twice[1:] * 2}}, 400,
            "DuplicateAddressPairInRequest", "10.9.0.1")
    # Its old addresses are free again.
    other = cloud.api("POST", "/v2.0/ports", {"port": {"network_id": network["id"], "fixed_ips": [{"ip_address": "10.0.0.77"}]}})["port"]
    refused(cloud, "PUT", f"/v2.0/ports/{port['id']}", {"port": {"fixed_ips": [{"ip_address": "10.0.0.77"}]}}, 409,
            "IpAddressAlreadyAllocated", "10.0.0.77")
    refused(cloud, "PUT", f"/v2.0/ports/{port['id']}", {"port": {"mac_address": other["mac_address"]}}, 409, "MacAddressInUse")


def test_router_ports_in_slaac_subnets(cloud):
    """A router does not form its address from what routers announce: it has the one it is given, as the gateway's, or none."""
    net = cloud.api("POST", "/v2.0/networks", {"network": {}})["network"]
    asked = {"network_id": net["id"], "cidr": "fd01::/64", "ip_version": 6, "ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"}
    subnet = cloud.api("POST", "/v2.0/subnets", {"subnet": asked})["subnet"]
    gateway = [{"subnet_id": subnet["id"], "ip_address": "fd01::1"}]

    def make(owner, **values):
        return cloud.api("POST", "/v2.0/ports", {"port": {"network_id": net["id"], "device_owner": owner, **values}})["port"]

    router = make("network:router_interface", fixed_ips=gateway)
    assert router["fixed_ips"] == gateway
    assert cloud.api("PUT", f"/v2.0/ports/{router['id']}", {"port": {"fixed_ips": gateway, "name": "x"}})["port"]["fixed_ips"] == gateway
    mac = "fa:16:3e:00:00:31"
    assert cloud.api("PUT", f"/v2.0/ports/{router['id']}", {"port": {"mac_address": mac}})["port"]["fixed_ips"] == gateway
    assert make("network:router_interface")["fixed_ips"] == []
    assert [f["ip_address"] for f in make("compute:nova", mac_address="fa:16:3e:00:00:32")["fixed_ips"]] == ["fd01::f816:3eff:fe00:32"]
    refused(cloud, "POST", "/v2.0/ports", {"port": {"network_id": net["id"], "fixed_ips": [{"ip_address": "fd01::2"}]}}, 400,
            "AllocationOnAutoAddressSubnet", "fd01::2")
    # Its address keeps the subnet: nobody else would give it back.
    refused(cloud, "DELETE", f"/v2.0/subnets/{subnet['id']}", None, 409, "SubnetInUse")


def test_addresses_run_out(cloud):
    net = cloud.api("POST", "/v2.0/networks", {"network": {}})["network"]
    sub = cloud.api("POST", "/v2.0/subnets", {"subnet": {"network_id": net["id"], "cidr": "10.3.0.0/29", "ip_version": 4}})["subnet"]
    many = {"ports": [{"network_id": net["id"]} for _ in range(5)]}
    made = cloud.api("POST", "/v2.0/ports", many)["ports"]
    assert {p["fixed_ips"][0]["ip_address"] for p in made} == {f"10.3.0.{i}" for i in range(2, 7)}
    refused(cloud, "POST", "/v2.0/ports", {"port": {"network_id": net["id"]}}, 409, "IpAddressGenerationFailure", net["id"])
    refused(cloud, "DELETE", f"/v2.0/subnets/{sub['id']}", None, 409, "SubnetInUse", sub["id"])
    refused(cloud, "DELETE", f"/v2.0/networks/{net['id']}", None, 409, "NetworkInUse", made[0]["id"])
    cloud.api("DELETE", f"/v2.0/ports/{made[0]['id']}")
    # A bulk is made whole or not at all.
    refused(cloud, "POST", "/v2.0/ports", {"ports": [{"network_id": net["id"]}] * 2}, 409, "IpAddressGenerationFailure")
    assert len(cloud.api("GET", f"/v2.0/ports?network_id={net['id']}")["ports"]) == 4
    for port in made[1:]:
        cloud.api("DELETE", f"/v2.0/ports/{port['id']}")
    cloud.api("DELETE", f"/v2.0/networks/{net['id']}")
    assert cloud.request("GET", f"/v2.0/subnets/{sub['id']}")[0] == 404


# ---- what is refused

def test_ports_of_dhcp_servers_keep_nothing(cloud):
    """They are made for the network, and go with it, as in Neutron; with a subnet goes their address in it."""
    net = cloud.api("POST", "/v2.0/networks", {"network": {}})["network"]["id"]
    subnets = [cloud.api("POST", "/v2.0/subnets", {"subnet": {"network_id": net, "cidr": f"10.{i}.0.0/24", "ip_version": 4}})["subnet"]["id"]
               for i in (1, 2)]
    fixed = [{"subnet_id": s} for s in subnets]
    dhcp, vm = (cloud.api("POST", "/v2.0/ports", {"port": {"network_id": net, "device_owner": owner, "fixed_ips": ips}})["port"]["id"]
                for owner, ips in (("network:dhcp", fixed), ("compute:nova", fixed[:1])))
    refused(cloud, "DELETE", f"/v2.0/subnets/{subnets[0]}", None, 409, "SubnetInUse")
    assert cloud.request("DELETE", f"/v2.0/subnets/{subnets[1]}")[0] == 204
    assert [f["subnet_id"] for f in cloud.api("GET", f"/v2.0/ports/{dhcp}")["port"]["fixed_ips"]] == subnets[:1]
    kept = cloud.request("DELETE", f"/v2.0/networks/{net}")
    assert kept[0] == 409 and vm in str(kept) and dhcp not in str(kept)
    cloud.api("DELETE", f"/v2.0/ports/{vm}")
    assert cloud.request("DELETE", f"/v2.0/networks/{net}")[0] == 204
    assert cloud.request("GET", f"/v2.0/ports/{dhcp}")[0] == 404
    assert net not in run("ovsdb-client", "dump", cloud.overlay, "Address", "network_id").stdout


def test_bad_bodies(cloud):
    for body in (b"", b"{", b"[]", b"nonsense", b"\xff\xfe", b'{"network": {}} x', b'{"a": "\\u0000"}', b"[" * 100000):
        refused(cloud, "POST", "/v2.0/networks", body, 400, "MalformedRequestBody", "Malformed request body")
    for body in ({}, {"network": []}, {"networks": []}, {"networks": {}}, {"net": {}}, {"network": {}, "x": 1}, {"networks": [5]}):
        refused(cloud, "POST", "/v2.0/networks", body, 400, "HTTPBadRequest")
    refused(cloud, "POST", "/v2.0/networks", b'{"network": {"name": "' + b"x" * (1 << 20) + b'"}}', 413, "HTTPRequestEntityTooLarge")
    for path in ("/nope", "/v2.0/nope", "/v2.0x", "/v3", "/v2.0/networks/a/b/c/d/e/f", "/v2.0/security-groups"):
        refused(cloud, "GET", path, None, 404, "HTTPNotFound")
    for method, path in (("PATCH", "/v2.0/networks"), ("POST", f"/v2.0/networks/{UNKNOWN}"), ("POST", "/v2.0/agents"), ("DELETE", "/"),
                         ("PUT", "/v2.0/ports"), ("POST", "/metrics")):
        refused(cloud, method, path, b"{}", 405, "HTTPMethodNotAllowed", method)
    for kind in ("network", "subnet", "port", "agent"):
        refused(cloud, "GET", f"/v2.0/{kind}s/{UNKNOWN}", None, 404, f"{kind.capitalize()}NotFound", UNKNOWN)
        refused(cloud, "DELETE", f"/v2.0/{kind}s/{UNKNOWN}", None, 404, f"{kind.capitalize()}NotFound")
        refused(cloud, "PUT", f"/v2.0/{kind}s/{UNKNOWN}", {kind: {}}, 404, f"{kind.capitalize()}NotFound")
    assert cloud.api("GET", "/v2.0/networks")["networks"] == []


def test_bad_values(cloud, network):
    nid, sid = network["id"], network["subnet"]["id"]

    def bad(kind, values, status, error, *texts):
        refused(cloud, "POST", f"/v2.0/{kind}s", {kind: values}, status, error, *texts)

    bad("network", {"nmae": "x"}, 400, "HTTPBadRequest", "Unrecognized attribute(s) 'nmae'")
    bad("network", {"mtu": "big"}, 400, "HTTPBadRequest", "mtu", "'big'")
    bad("network", {"provider:network_type": "vlan"}, 400, "HTTPBadRequest", "provider:network_type", "'vlan'")
    bad("network", {"provider:network_type": "vxlan", "provider:segmentation_id": 1 << 24}, 400, "InvalidInput", "segmentation_id")
    bad("subnet", {"network_id": nid, "cidr": "10.0.0.300/24", "ip_version": 4}, 400, "HTTPBadRequest", "10.0.0.300/24")
    bad("subnet", {"network_id": nid, "cidr": "10.0.0.128/25", "ip_version": 4}, 400, "InvalidInput", "overlaps")
    bad("subnet", {"network_id": UNKNOWN, "cidr": "10.5.0.0/24", "ip_version": 4}, 404, "NetworkNotFound", UNKNOWN)
    bad("subnet", {"network_id": nid, "cidr": "10.5.0.0/24"}, 400, "HTTPBadRequest", "ip_version")
    bad("subnet", {"network_id": nid, "cidr": "10.5.0.0/24", "ip_version": 5}, 400, "InvalidInput", "ip_version")
    bad("port", {"name": "x"}, 400, "HTTPBadRequest", "network_id")
    bad("port", {"network_id": "x"}, 400, "HTTPBadRequest", "network_id", "'x'")
    bad("port", {"network_id": UNKNOWN}, 404, "NetworkNotFound", UNKNOWN)
    bad("port", {"network_id": nid, "fixed_ips": [{"ip_address": "10.99.0.1"}]}, 400, "InvalidIpForNetwork", "10.99.0.1")
    bad("port", {"network_id": nid, "fixed_ips": [{"ip_address": "10.0.0.255"}]}, 400, "InvalidIpForSubnet", "10.0.0.255")
    bad("port", {"network_id": nid, "fixed_ips": [{"ip_address": "10.9.0.1", "subnet_id": sid}]}, 400, "InvalidIpForSubnet", "10.9.0.1")
    bad("port", {"network_id": nid, "fixed_ips": [{"subnet_id": UNKNOWN}]}, 404, "SubnetNotFound", UNKNOWN)
    bad("port", {"network_id": nid, "fixed_ips": [{"ip_address": "10.0.0.9"}] * 2}, 409, "IpAddressAlreadyAllocated", "10.0.0.9")
    bad("port", {"network_id": nid, "security_groups": [UNKNOWN]}, 404, "SecurityGroupNotFound", UNKNOWN)
    bad("port", {"network_id": nid, "mac_address": "33:33:00:00:00:01"}, 400, "HTTPBadRequest", "mac_address")
    assert cloud.api("GET", f"/v2.0/ports?network_id={nid}")["ports"] == []
    refused(cloud, "PUT", f"/v2.0/subnets/{sid}", {"subnet": {"gateway_ip": "10.0.0.9"}}, 409, "GatewayConflictWithAllocationPools")
    refused(cloud, "PUT", f"/v2.0/networks/{nid}", {"network": {"provider:segmentation_id": 5}}, 400, "HTTPBadRequest", "segmentation_id")


def test_texts_that_are_not_ascii(cloud, network):
    """Limits count characters, and an error that quotes a text quotes whole ones; of one that was cut each byte is a question mark."""
    name = "ä" * 255
    made = cloud.api("POST", "/v2.0/networks", {"network": {"name": name}})["network"]
    assert made["name"] == name and cloud.api("GET", "/v2.0/networks?name=" + urllib.parse.quote(name))["networks"] == [made]
    assert cloud.api("PUT", f"/v2.0/networks/{made['id']}/tags", {"tags": ["水" * 60]}) == {"tags": ["水" * 60]}
    for front in ("", "x", "xx", "xxx"):
        for text in (front + "ä" * 300, front + "水" * 300, front + "🐇" * 300):
            refused(cloud, "POST", "/v2.0/networks", {"network": {"name": text}}, 400, "HTTPBadRequest", "255", text[:20])
            refused(cloud, "POST", "/v2.0/networks", {"network": {text: 1}}, 400, "HTTPBadRequest", text[:20])
            quoted = urllib.parse.quote(text)
            cut = text.encode()[:200]
            cut = cut.decode(errors="ignore") + "?" * (200 - len(cut.decode(errors="ignore").encode()))
            refused(cloud, "GET", f"/v2.0/networks/{quoted}", None, 404, "NetworkNotFound", f"Network {cut} could")
            refused(cloud, "GET", f"/v2.0/networks?{quoted}=1", None, 400, "HTTPBadRequest", text[:20])


def test_broken_clients(cloud):
    """Half requests, garbage and clients that leave: the controller answers the next one."""
    for sent in (b"", b"GET", b"\0" * 5000, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000, b"POST /v2.0/networks HTTP/1.1\r\nHost: x\r\n"
                 b"Content-Length: 99\r\n\r\n{", b"POST /v2.0/networks HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{\"network\": {}}"):
        with socket.create_connection(("127.0.0.1", cloud.port), timeout=5) as client:
            try:
                client.sendall(sent)
            except ConnectionError:
                pass  # refused in the middle: as good an answer as any
    assert cloud.api("GET", "/healthz") == {"status": "ok"}
    wait_for("the last one's network", lambda: cloud.api("GET", "/v2.0/networks")["networks"])  # a whole request


# ---- what others write

def test_agents_and_port_status(cloud, network):
    port = cloud.api("POST", "/v2.0/ports", {"port": {"network_id": network["id"], "binding:host_id": "hv1"}})["port"]

    def transact(*ops):
        reply = run("ovsdb-client", "transact", cloud.overlay, json.dumps(["Warren", *ops])).stdout
        assert "error" not in reply, reply

    def state():
        return cloud.api("GET", f"/v2.0/ports/{port['id']}")["port"]["status"]

    def words(table, column):
        return set(run("ovsdb-client", "--format=csv", "--no-headings", "dump", cloud.overlay, table, column).stdout.split())

    aid, now = "11111111-2222-4333-8444-555555555555", int(time.time())
    transact({"op": "insert", "table": "Agent", "row": {"id": aid, "host": "hv1", "agent_type": "Open vSwitch agent", "binary": "warren-agent",
                                                        "admin_state_up": True, "started_at": now, "created_at": now,
                                                        "configurations": '{"tunneling_ip": "192.0.2.1"}'}},
             {"op": "insert", "table": "Heartbeat", "row": {"agent_id": aid, "at": now}},
             {"op": "insert", "table": "Endpoint", "row": {"host": "hv1", "ip": "192.0.2.1"}},
             {"op": "insert", "table": "Port_Status", "row": {"port_id": port["id"], "host": "hv2", "up": True}})
    # The controller hears of what others write a moment later.
    wait_for("the agent", lambda: cloud.request("GET", f"/v2.0/agents/{aid}")[0] == 200, 10)
    agent = cloud.api("GET", f"/v2.0/agents/{aid}")["agent"]
    assert agent["alive"] is True and agent["configurations"] == {"tunneling_ip": "192.0.2.1"} and agent["description"] is None
    assert time.strptime(agent["heartbeat_timestamp"], "%Y-%m-%d %H:%M:%S")
    assert state() == "DOWN"  # it is up at a host that it is not bound to
    transact({"op": "insert", "table": "Port_Status", "row": {"port_id": port["id"], "host": "hv1", "up": True}})
    wait_for("the port to be active", lambda: state() == "ACTIVE", 10)
    assert cloud.api("PUT", f"/v2.0/ports/{port['id']}", {"port": {"binding:host_id": "hv3"}})["port"]["status"] == "DOWN"
    # What an agent said that was away since: back there, the port is not up before the agent says so again.
    assert cloud.api("PUT", f"/v2.0/ports/{port['id']}", {"port": {"binding:host_id": "hv1"}})["port"]["status"] == "DOWN"
    transact({"op": "insert", "table": "Port_Status", "row": {"port_id": port["id"], "host": "hv1", "up": True}})
    wait_for("the port to be active", lambda: state() == "ACTIVE", 10)
    assert cloud.api("PUT", f"/v2.0/ports/{port['id']}", {"port": {"binding:host_id": "hv1", "name": "x"}})["port"]["status"] == "ACTIVE"
    assert cloud.api("PUT", f"/v2.0/agents/{aid}", {"agent": {"admin_state_up": False}})["agent"]["admin_state_up"] is False
    assert cloud.request("DELETE", f"/v2.0/agents/{aid}")[0] == 204
    assert cloud.api("GET", "/v2.0/agents")["agents"] == []
    # With the agent goes what it said of its host, and no other's.
    assert not {"hv1"} & words("Endpoint", "host") and words("Port_Status", "host") & {"hv1", "hv2"} == {"hv2"}
    cloud.api("DELETE", f"/v2.0/ports/{port['id']}")
    left = run("ovsdb-client", "dump", cloud.overlay, "Port_Status", "port_id").stdout
    assert port["id"] not in left


def test_agents_whose_clock_is_off(cloud):
    """A heartbeat counts when it comes; later controllers learn from the database what clock it is by."""
    wall = int(time.time())

    def transact(*ops):
        return json.loads(run("ovsdb-client", "transact", cloud.overlay, json.dumps(["Warren", *ops])).stdout)

    def offsets():
        rows, = transact({"op": "select", "table": "Heartbeat", "where": [], "columns": ["agent_id", "clock_offset"]})
        return {row["agent_id"][:2]: row["clock_offset"] for row in rows["rows"]}

    def agents(port):
        return {a["host"]: a["alive"] for a in at(cloud, port, "GET", "/v2.0/agents")[1].get("agents", [])}

    off = {"behind": -3600, "right": 2, "ahead": 3600}
    ids = {host: f"{i}{i}111111-2222-4333-8444-555555555555" for i, host in enumerate(off, 1)}
    transact(*({"op": "insert", "table": "Agent", "row": {"id": ids[host], "host": host, "agent_type": "Open vSwitch agent",
                                                          "created_at": wall + off[host], "started_at": wall + off[host]}} for host in off),
             *({"op": "insert", "table": "Heartbeat", "row": {"agent_id": ids[host], "at": wall + off[host]}} for host in off))
    alive = dict.fromkeys(off, True)
    wait_for("all to be alive", lambda: agents(cloud.port) == alive, 5)

    def wrong_times(port):
        """What is not shown by the controller's clock."""
        return [(a["host"], name) for a in at(cloud, port, "GET", "/v2.0/agents")[1]["agents"]
                for name in ("heartbeat_timestamp", "started_at", "created_at")
                if abs(calendar.timegm(time.strptime(a[name], "%Y-%m-%d %H:%M:%S")) - wall) >= 15]

    wait_for(lambda: f"all times: {wrong_times(cloud.port)}", lambda: not wrong_times(cloud.port), 5)
    wait_for("the offsets", lambda: all(abs(offsets()[i] - o) < 15 for i, o in (("11", 3600), ("22", 0), ("33", -3600))), 5)
    assert offsets()["22"] == 0  # not worth a transaction
    with second(cloud, cloud.overlay) as port:
        wait_for("the second controller", lambda: agents(port) == alive, 5)
        assert not wrong_times(port)
    # Silent since 80 s before a controller starts, whatever the clock.
    transact(*({"op": "mutate", "table": "Heartbeat", "where": [["agent_id", "==", ids[host]]], "mutations": [["clock_offset", "-=", 80]]}
               for host in off))
    with second(cloud, cloud.overlay) as port:
        wait_for("the third controller", lambda: agents(port) == dict.fromkeys(off, False), 5)
        assert agents(cloud.port) == alive  # it heard them itself
        transact({"op": "mutate", "table": "Heartbeat", "where": [], "mutations": [["at", "+=", 10]]})
        wait_for("the next heartbeat", lambda: agents(port) == alive, 5)
    for i in ids.values():
        cloud.api("DELETE", f"/v2.0/agents/{i}")
    assert offsets() == {}


def test_times_that_no_clock_says(cloud, network):
    """The database takes any number. What is beyond the calendar is shown as its end."""
    most, least, last = (1 << 63) - 1, -1 << 63, "9999-12-31"

    def transact(*ops):
        reply = run("ovsdb-client", "transact", cloud.overlay, json.dumps(["Warren", *ops])).stdout
        assert "error" not in reply, reply

    def agents():
        return {a["host"]: a for a in cloud.api("GET", "/v2.0/agents")["agents"]}

    for n, (started, beat, offset) in enumerate(itertools.product((most, least), repeat=3)):
        aid = f"{n}1111111-2222-4333-8444-555555555555"
        transact({"op": "insert", "table": "Agent", "row": {"id": aid, "host": aid, "created_at": started, "started_at": started}},
                 {"op": "insert", "table": "Heartbeat", "row": {"agent_id": aid, "at": beat, "clock_offset": offset}})
    wait_for("the agents", lambda: len(agents()) == 8, 5)
    for beat in (least, most):
        transact({"op": "update", "table": "Heartbeat", "where": [], "row": {"at": beat, "clock_offset": beat}})
        with second(cloud, cloud.overlay) as port:  # which learns from the database alone
            wait_for("the second controller", lambda: len(at(cloud, port, "GET", "/v2.0/agents")[1]["agents"]) == 8)
    transact({"op": "update", "table": "Network", "where": [], "row": {"created_at": most, "updated_at": least}})
    wait_for("the network's time", lambda: cloud.api("GET", "/v2.0/networks")["networks"][0]["created_at"].startswith(last), 5)
    transact({"op": "update", "table": "Agent", "where": [], "row": {"created_at": most, "started_at": least}})
    wait_for("the agents' time", lambda: all(a["created_at"].startswith(last) for a in agents().values()), 5)
    for aid in agents():
        cloud.api("DELETE", f"/v2.0/agents/{aid}")


def make_old_database(cloud):
    schema = json.loads((cloud.schemadir / "warren.ovsschema").read_text())
    del schema["tables"]["Heartbeat"]["columns"]["clock_offset"]
    (cloud.dir / "controller").mkdir(parents=True)
    (cloud.dir / "old.ovsschema").write_text(json.dumps({**schema, "version": "1.0.0"}))
    run("ovsdb-tool", "create", cloud.dir / "controller/warren.db", cloud.dir / "old.ovsschema")
    return cloud.dir / "controller/warren.db"


def test_the_database_is_upgraded(cloud_factory):
    """The database that the controller itself runs gets the new columns at its start, and keeps what it had."""
    cloud = cloud_factory()
    cloud.allowed_warnings = ["overlay.sock"]
    file = make_old_database(cloud)
    row = {"id": UNKNOWN, "name": "from before", "type": "vxlan", "vni": 77, "mtu": 1450, "admin_state_up": True, "revision": 1}
    run("ovsdb-tool", "transact", file, json.dumps(["Warren", {"op": "insert", "table": "Network", "row": row},
                                                    {"op": "insert", "table": "Heartbeat", "row": {"agent_id": UNKNOWN, "at": 1}}]))
    cloud.controller_up(cloud.api_port)
    assert [n["name"] for n in cloud.api("GET", "/v2.0/networks")["networks"]] == ["from before"]
    shown = run("ovsdb-client", "--format=csv", "--no-headings", "dump", cloud.overlay, "Heartbeat", "at", "clock_offset").stdout
    assert shown.split()[-1] == "1,0"
    assert run("ovsdb-tool", "db-version", f"{file}.backup-1.0.0").stdout.strip() == "1.0.0"


def test_a_database_of_an_older_version(cloud_factory):
    """Without the offset's column each controller goes by what it hears; converted under way, the database has it from then on."""
    cloud = cloud_factory()
    cloud.allowed_warnings = ["overlay.sock"]
    file = make_old_database(cloud)
    cloud.world.spawn("overlay", ["ovsdb-server", "-vconsole:off", "-vsyslog:off", "--unixctl=none", f"--remote=p{cloud.overlay}", file])
    wait_for("the database", lambda: run("ovsdb-client", "list-dbs", cloud.overlay, check=False).returncode == 0)
    cloud.controller_up(cloud.api_port)

    def beat(at):
        row = {"agent_id": UNKNOWN, "at": at}
        reply = run("ovsdb-client", "transact", cloud.overlay, json.dumps([
            "Warren", {"op": "insert", "table": "Agent", "row": {"id": UNKNOWN, "host": "hv1"}} if at == 1000 else {"op": "comment", "comment": ""},
            {"op": "delete", "table": "Heartbeat", "where": []}, {"op": "insert", "table": "Heartbeat", "row": row}])).stdout
        assert "error" not in reply, reply

    def alive():
        return [a["alive"] for a in cloud.request("GET", "/v2.0/agents")[1].get("agents", [])] == [True]

    beat(1000)
    wait_for("the agent", alive, 5)
    run("ovsdb-client", "convert", cloud.overlay, cloud.schemadir / "warren.ovsschema")
    wait_for("the controller to come back", lambda: cloud.request("GET", "/healthz")[0] == 200)
    times = itertools.count(1010)  # more than one: what /healthz said may have been of the time before

    def beats():
        beat(next(times))
        return alive()

    wait_for("the agent", beats, 5)
    wait_for("the offset", lambda: run("ovsdb-client", "--format=csv", "--no-headings", "dump", cloud.overlay, "Heartbeat", "clock_offset"
                                       ).stdout.split()[-1] > "1000000000", 5)


# ---- two controllers, no database

@contextlib.contextmanager
def second(cloud, database):
    """The port of one more controller."""
    port = cloud.api_port + 1
    cloud.world.spawn("controller-2", [cloud.program("warren-controller"), "--overlay-db", database, "--listen", f"127.0.0.1:{port}"],
                      ready="ready")
    yield port
    assert cloud.world.kill("controller-2") == 0


def at(cloud: Cloud, port, method, path, body=None):
    other = Cloud.__new__(Cloud)
    other.port = port
    return other.request(method, path, body)


def test_two_controllers_never_collide(cloud):
    with second(cloud, cloud.overlay) as other:
        never_collide(cloud, other)


def never_collide(cloud, other):
    net = cloud.api("POST", "/v2.0/networks", {"network": {"name": "race"}})["network"]
    cloud.api("POST", "/v2.0/subnets", {"subnet": {"network_id": net["id"], "cidr": "10.1.0.0/26", "ip_version": 4}})

    def everywhere(path, body, times):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda i: at(cloud, (cloud.port, other)[i & 1], "POST", path, body), range(times)))

    # 61 addresses for 70 who ask: all are handed out, each once.
    got = everywhere("/v2.0/ports", {"port": {"network_id": net["id"]}}, 70)
    assert collections.Counter(status for status, _ in got) == {201: 61, 409: 9}
    assert len({b["port"]["fixed_ips"][0]["ip_address"] for status, b in got if status == 201}) == 61
    for path, body in (("networks", {"network": {"provider:segmentation_id": 777}}),
                       ("subnets", {"subnet": {"network_id": net["id"], "cidr": "10.2.0.0/24", "ip_version": 4}}),
                       ("ports", {"port": {"network_id": net["id"], "fixed_ips": [{"ip_address": "10.2.0.7"}]}}),
                       ("ports", {"port": {"network_id": net["id"], "fixed_ips": [], "mac_address": "fa:16:3e:00:00:01"}})):
        got = collections.Counter(status for status, _ in everywhere(f"/v2.0/{path}", body, 8))
        assert got[201] == 1 and set(got) <= {201, 400, 409}, (path, got)
    # Overlapping subnets, not equal ones: no index refuses these.
    got = [at(cloud, other, "POST", "/v2.0/subnets", {"subnet": {"network_id": net["id"], "cidr": c, "ip_version": 4}})[0]
           for c in ("10.7.0.0/16", "10.7.1.0/24")]
    assert got == [201, 400]


def eui64(prefix, mac):
    b = bytes.fromhex(mac.replace(":", ""))
    return str(ipaddress.IPv6Address(ipaddress.ip_network(prefix).network_address + int.from_bytes(
        bytes([b[0] ^ 2]) + b[1:3] + b"\xff\xfe" + b[3:], "big")))


@pytest.fixture
def late(cloud):
    """Calls to a second controller that has not heard yet what was done at the first: late(FIRST, METHOD, PATH, BODY)."""
    relay = Relay(cloud.dir / "relay.sock", cloud.overlay.removeprefix("unix:"))

    def call(first, method, path, body, wanted=None):
        settled = cloud.api("POST", "/v2.0/networks", {"network": {}})["network"]["id"]
        wait_for("the second controller", lambda: at(cloud, port, "GET", f"/v2.0/networks/{settled}")[0] == 200)
        relay.asked.clear()
        relay.hearing.clear()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            cloud.api(*first)
            answer = pool.submit(at, cloud, port, method, path, body)
            assert relay.asked.wait(10)
            relay.hearing.set()
            status, reply = answer.result(20)
        assert status == wanted if wanted else status in (200, 201, 204), reply
        return reply

    with second(cloud, f"unix:{cloud.dir}/relay.sock") as port:
        yield call
    relay.close()


def test_an_address_that_begins_like_one_that_was_taken(cloud, late):
    """The other controller took 10.0.0.20, which was given out here: not 10.0.0.2, which the client named."""
    net = cloud.api("POST", "/v2.0/networks", {"network": {}})["network"]["id"]
    subnet = cloud.api("POST", "/v2.0/subnets", {"subnet": {
        "network_id": net, "cidr": "10.0.0.0/24", "ip_version": 4, "allocation_pools": [{"start": "10.0.0.20", "end": "10.0.0.20"}]}})["subnet"]
    asked = {"port": {"network_id": net, "fixed_ips": [{"ip_address": "10.0.0.2"}, {"subnet_id": subnet["id"]}]}}
    reply = late(("POST", "/v2.0/ports", {"port": {"network_id": net}}), "POST", "/v2.0/ports", asked, 409)
    assert reply["NeutronError"]["type"] == "IpAddressGenerationFailure", reply


def test_a_port_and_a_slaac_subnet_at_once(cloud, late):
    """Whichever of two controllers is first: each port has its address in each subnet where it forms one."""
    net = cloud.api("POST", "/v2.0/networks", {"network": {}})["network"]["id"]
    prefixes = [f"fd0{i}::/64" for i in range(6)]

    def subnet(i):
        return {"subnet": {"network_id": net, "cidr": prefixes[i], "ip_version": 6, "ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"}}

    def port(**values):
        return {"port": {"network_id": net, **values}}

    def odd(n):
        return [p for p in cloud.api("GET", f"/v2.0/ports?network_id={net}")["ports"]
                if {f["ip_address"] for f in p["fixed_ips"]} != {eui64(prefix, p["mac_address"]) for prefix in prefixes[:n]}]

    def whole(n):
        """As the first controller has it, which hears of what the second one wrote a moment later."""
        wait_for(lambda: f"addresses in {n} subnets: {odd(n)}", lambda: not odd(n), 10)

    one = late(("POST", "/v2.0/subnets", subnet(0)), "POST", "/v2.0/ports", port())["port"]
    whole(1)
    late(("POST", "/v2.0/ports", port()), "POST", "/v2.0/subnets", subnet(1))
    whole(2)
    mac = {"port": {"mac_address": "fa:16:3e:00:00:21"}}
    late(("POST", "/v2.0/subnets", subnet(2)), "PUT", f"/v2.0/ports/{one['id']}", mac)
    whole(3)
    mac = {"port": {"mac_address": "fa:16:3e:00:00:22"}}
    late(("PUT", f"/v2.0/ports/{one['id']}", mac), "POST", "/v2.0/subnets", subnet(3))
    whole(4)
    fixed = [{"subnet_id": f["subnet_id"]} for f in one["fixed_ips"]]
    late(("POST", "/v2.0/subnets", subnet(4)), "PUT", f"/v2.0/ports/{one['id']}", {"port": {"fixed_ips": fixed}})
    whole(5)
    # A port that goes in that moment leaves nothing behind.
    two = cloud.api("POST", "/v2.0/ports", port())["port"]["id"]
    late(("DELETE", f"/v2.0/ports/{two}"), "POST", "/v2.0/subnets", subnet(5))
    whole(6)


def test_a_subnet_goes_while_a_router_comes(cloud, late):
    """What ports formed by themselves goes with the subnet; a router's address, which was given to it, keeps it."""
    net = cloud.api("POST", "/v2.0/networks", {"network": {}})["network"]["id"]
    slaac = cloud.api("POST", "/v2.0/subnets", {"subnet": {"network_id": net, "cidr": "fd00::/64", "ip_version": 6, "ipv6_address_mode": "slaac",
                                                           "ipv6_ra_mode": "slaac"}})["subnet"]["id"]
    router = {"port": {"network_id": net, "device_owner": "network:router_interface",
                       "fixed_ips": [{"subnet_id": slaac, "ip_address": "fd00::1"}]}}
    late(("POST", "/v2.0/ports", router), "DELETE", f"/v2.0/subnets/{slaac}", None, wanted=409)
    assert [f["ip_address"] for f in cloud.api("GET", f"/v2.0/ports?network_id={net}")["ports"][0]["fixed_ips"]] == ["fd00::1"]
    cloud.api("DELETE", "/v2.0/ports/" + cloud.api("GET", "/v2.0/ports")["ports"][0]["id"])
    late(("POST", "/v2.0/ports", {"port": {"network_id": net}}), "DELETE", f"/v2.0/subnets/{slaac}", None)
    wait_for("the first controller", lambda: cloud.api("GET", f"/v2.0/ports?network_id={net}")["ports"][0]["fixed_ips"] == [], 10)


def test_database_away(cloud_factory):
    cloud = cloud_factory()
    cloud.allowed_warnings = ["overlay.sock"]
    rundir = cloud.dir / "controller"
    rundir.mkdir(parents=True)
    run("ovsdb-tool", "create", rundir / "warren.db", cloud.schemadir / "warren.ovsschema")
    server = ["ovsdb-server", "-vconsole:warn", "-vsyslog:off", f"--remote=punix:{rundir}/overlay.sock", "--unixctl=none",
              rundir / "warren.db"]
    cloud.world.spawn("database", server)
    wait_for("the database", (rundir / "overlay.sock").exists)
    cloud.port = cloud.api_port
    cloud.world.spawn("controller", [cloud.program("warren-controller"), "--overlay-db", cloud.overlay, "--listen",
                                     f"127.0.0.1:{cloud.port}"], ready="ready")
    made = cloud.api("POST", "/v2.0/networks", {"network": {"name": "before"}})["network"]
    cloud.world.kill("database", signal.SIGKILL)
    wait_for("the controller to notice", lambda: cloud.request("GET", "/healthz")[0] == 503)
    refused(cloud, "GET", "/v2.0/networks", None, 503, "ServiceUnavailable", "database is away")
    refused(cloud, "POST", "/v2.0/networks", {"network": {}}, 503, "ServiceUnavailable")
    refused(cloud, "POST", "/v2.0/networks", {"network": {"mtu": "x"}}, 400, "HTTPBadRequest")
    (rundir / "overlay.sock").unlink()
    cloud.world.spawn("database", server)
    wait_for("the controller to come back", lambda: cloud.request("GET", "/healthz")[0] == 200)
    assert [n["id"] for n in cloud.api("GET", "/v2.0/networks")["networks"]] == [made["id"]]

    # A database that stands still: the call waits, is answered when the connection is given up, and nothing blocks meanwhile.
    pid = cloud.world.pid("database")
    os.kill(pid, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cloud.request, "POST", "/v2.0/networks", {"network": {"name": "late"}})
        assert cloud.request("GET", "/")[0] == 200
        assert waiting.result(30)[0] == 503
    os.kill(pid, signal.SIGCONT)
    wait_for("the controller to come back", lambda: cloud.request("GET", "/healthz")[0] == 200)
    # Ended in the middle of a call: the client is answered, the status is 0.
    os.kill(pid, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cloud.request, "POST", "/v2.0/networks", {"network": {"name": "later"}})
        wait_for("the database to be asked", lambda: any(
            int(line.split()[2]) for line in run("ss", "-xnH").stdout.splitlines() if str(rundir / "overlay.sock") in line))
        status = cloud.world.kill("controller")
        os.kill(pid, signal.SIGCONT)
        assert status == 0 and waiting.result(30)[0] == 503


def test_options(cloud):
    def fails(*args):
        done = run(cloud.program("warren-controller"), "--rundir", cloud.dir / "options", "--schemadir", cloud.schemadir, *args, check=False,
                   timeout=20)
        assert done.returncode == 1
        return done.stderr

    assert "--vni-ranges: vlan" in fails("--vni-ranges", "vlan:1-2")
    assert "nosuch" in fails("--nosuch")
    assert "--listen" in fails("--listen", "127.0.0.1:x")
    assert f"127.0.0.1:{cloud.port}" in fails("--listen", f"127.0.0.1:{cloud.port}")
    assert "--db-file" in fails("--overlay-db", "unix:/x", "--db-file", "/x")
    assert "global-physnet-mtu" in fails("--global-physnet-mtu", "5")
    assert "overlay-db" in fails("--overlay-db", "bogus:1", "--listen", f"127.0.0.1:{cloud.api_port + 2}")
    here = ["--listen", f"127.0.0.1:{cloud.api_port + 2}", "--overlay-listen"]
    assert "--overlay-listen: remote \"bogus\"" in fails(*here, "bogus")
    assert "--overlay-listen: remote \"ptcp:127.0.0.1:6650\"" in fails(*here, "ptcp:127.0.0.1:6650")  # the port comes first
    assert "--overlay-listen: tcp:127.0.0.1:6650 does not listen" in fails(*here, "tcp:127.0.0.1:6650")
    assert "--overlay-listen: pssl: needs --private-key, --certificate and --ca-cert" in fails(*here, "pssl:6650:127.0.0.1")


def test_overlay_listen_on_an_address_to_come(cloud_factory):
    """At boot the controller may be there before its address: it says so, and is ready when agents can reach the database."""
    cloud = cloud_factory()
    cloud.port = cloud.api_port
    cloud.allowed_warnings += ["--overlay-listen: nothing listens at ptcp:6650:192.0.2.1 yet", "Cannot assign requested address"]
    netns, rundir = cloud.world.netns("c"), cloud.rundir("controller")
    rundir.mkdir(parents=True)
    cloud.world.ip(netns, "link", "set", "lo", "up")
    argv = [cloud.program("warren-controller"), "--rundir", rundir, "--schemadir", cloud.schemadir, "--listen", "127.0.0.1:9696",
            "--overlay-listen", "ptcp:6650:192.0.2.1"]
    cloud.world.spawn("controller", argv, netns=netns, 
                      ready="WARN controller: --overlay-listen: nothing listens at ptcp:6650:192.0.2.1 yet: Cannot assign requested address")
    wait_for("the API", lambda: run("ip", "netns", "exec", netns, "curl", "-sf", "http://127.0.0.1:9696/healthz", check=False).returncode == 0)
    time.sleep(1.5)
    log = cloud.world.log("controller")
    assert "\nready\n" not in log and log.count("nothing listens at") == 1, log
    cloud.world.ip(netns, "addr", "add", "192.0.2.1/24", "dev", "lo")
    wait_for("readiness", lambda: "\nready\n" in cloud.world.log("controller"))
    assert run("ip", "netns", "exec", netns, "ovsdb-client", "--timeout=5", "list-dbs", "tcp:192.0.2.1:6650").stdout.split() == ["Warren", "_Server"]


def test_overlay_listen_where_another_listens(cloud_factory):
    cloud = cloud_factory()
    cloud.allowed_warnings.append("database: ptcp:")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run(cloud.program("warren-controller"), "--rundir", cloud.rundir("controller"), "--schemadir", cloud.schemadir, "--listen",
                   f"127.0.0.1:{cloud.api_port}", "--overlay-listen", f"ptcp:{port}:127.0.0.1", check=False, timeout=20)
    assert done.returncode == 1 and f"database: ptcp:{port}:127.0.0.1: Address already in use" in done.stderr, done


def test_agents_of_other_machines(cloud_factory, tmp_path):
    """The controller's own database by TCP, and by TLS: who has no certificate of its CA is not let in."""
    key, certificate, other = tmp_path / "key.pem", tmp_path / "certificate.pem", tmp_path / "other.pem"
    for name, made in (("warren", certificate), ("other", other)):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", key if made == certificate else tmp_path / "other-key.pem", "-out", made)
    files = ["--private-key", key, "--certificate", certificate, "--ca-cert", certificate]
    for scheme, ours in (("tcp", []), ("ssl", files)):
        cloud = cloud_factory()
        cloud.allowed_warnings.append("db.sock: No such file")  # no switch runs here
        cloud.port, db_port = cloud.api_port, free_port(cloud.api_port + 1)
        cloud.rundir("controller").mkdir(parents=True)
        cloud.world.spawn("controller", [cloud.program("warren-controller"), "--rundir", cloud.rundir("controller"), "--schemadir",
                                         cloud.schemadir, "--listen", f"127.0.0.1:{cloud.port}", "--overlay-listen",
                                         f"p{scheme}:{db_port}:127.0.0.1", *ours], ready="ready")
        cloud.rundir("hv1").mkdir()
        cloud.world.spawn("agent-hv1", [cloud.program("warren-agent"), "--host", "hv1", "--local-ip", "10.1.1.1", "--overlay-db",
                                        f"{scheme}:127.0.0.1:{db_port}", "--rundir", cloud.rundir("hv1"), *ours])
        wait_for("the agent", lambda: [a["host"] for a in cloud.api("GET", "/v2.0/agents")["agents"]] == ["hv1"])
    strange = [f"--private-key={tmp_path / 'other-key.pem'}", f"--certificate={other}", f"--ca-cert={certificate}"]
    done = run("ovsdb-client", "--timeout=5", *strange, "list-dbs", f"ssl:127.0.0.1:{db_port}", check=False)
    assert done.returncode and "Warren" not in done.stdout, done
