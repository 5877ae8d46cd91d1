#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every kind of ovs-vsctl command against a real ovsdb-server that serves our schema (no switch: --no-wait).
# usage: schema_test.sh SCHEMA
set -eu
schema=$1
for tool in ovsdb-tool ovsdb-server ovs-vsctl; do
    command -v $tool >/dev/null || { echo "no $tool here: skipped"; exit 77; }
done
dir=$(mktemp -d)
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; fi; rm -rf "$dir"' EXIT
ovsdb-tool create "$dir/conf.db" "$schema"
ovsdb-server --remote="punix:$dir/db.sock" --remote=db:Open_vSwitch,Open_vSwitch,manager_options --no-chdir \
    --unixctl="$dir/ctl" -vconsole:off "$dir/conf.db" &
pid=$!
for _ in $(seq 100); do if [ -S "$dir/db.sock" ]; then break; fi; sleep 0.05; done
v() { ovs-vsctl --db="unix:$dir/db.sock" --no-wait --timeout=10 "$@"; }
want() { expected=$1; shift; got=$(v "$@"); [ "$got" = "$expected" ] || { echo "$*: got '$got', want '$expected'"; exit 1; }; }
v init
v --may-exist add-br br0 -- set Bridge br0 fail_mode=secure protocols=OpenFlow10,OpenFlow13,OpenFlow14 datapath_type=system
v add-port br0 tap1 tag=5 vlan_mode=access -- set Interface tap1 ofport_request=7 external_ids:iface-id=x mtu_request=1400
v add-port br0 trunk1 trunks=1,2,4095 other_config:net_uuid=1
v add-port br0 vx -- set Interface vx type=vxlan options:remote_ip=10.0.0.1 options:key=flow options:df_default=false
v add-port br0 p -- set Interface p type=patch options:peer=q
v add-bond br0 bond0 e0 e1 bond_mode=active-backup lacp=off
want '[1, 2, 4095]' get Port trunk1 trunks
want 5 get Port tap1 tag
want flow get Interface vx options:key
want 'bond0
p
tap1
trunk1
vx' list-ports br0
want br0 port-to-br vx
v set-controller br0 tcp:127.0.0.1:6633 -- set Controller br0 connection_mode=out-of-band inactivity_probe=10000
v set-controller br0 tcp:127.0.0.1:6633 ptcp:6634
want 'ptcp:6634
tcp:127.0.0.1:6633' get-controller br0
v del-controller br0
v set-fail-mode br0 standalone
want standalone get-fail-mode br0
v set-ssl /a /b /c
v get-ssl >/dev/null
v del-ssl
v set-manager "punix:$dir/manager.sock"
want "punix:$dir/manager.sock" get-manager
v -- --id=@m create Mirror name=m0 select-all=true -- add Bridge br0 mirrors @m -- --id=@o get Port tap1 -- set Mirror m0 output_port=@o
v clear Bridge br0 mirrors
v -- set Port tap1 qos=@q -- --id=@q create QoS type=linux-htb other-config:max-rate=1000 queues:0=@u -- --id=@u create Queue other-config:min-rate=1
v -- --id=@n create NetFlow targets=\"10.0.0.1:5566\" -- set Bridge br0 netflow=@n
v -- --id=@s create sFlow targets=\"10.0.0.1:6343\" sampling=64 -- set Bridge br0 sflow=@s
v -- --id=@i create IPFIX targets=\"10.0.0.1:4739\" -- set Bridge br0 ipfix=@i
v -- --id=@f create Flow_Table name=t -- set Bridge br0 flow_tables:1=@f
v add-br fake br0 100
want 100 br-to-vlan fake
want br0 br-to-parent fake
v del-br fake
v br-set-external-id br0 bridge-id br0
v add-zone-tp system zone=1 tcp_syn_sent=1 2>/dev/null || true # wants a Datapath row, which only conntrack makes
v set Open_vSwitch . external_ids:system-id=a other_config:hw-offload=false
for table in Open_vSwitch Bridge Port Interface Flow_Table QoS Queue Mirror Controller Manager NetFlow sFlow IPFIX \
    Flow_Sample_Collector_Set SSL AutoAttach Datapath CT_Zone CT_Timeout_Policy; do
    v --format=json list $table >/dev/null
done
v show >/dev/null
if v set Interface tap1 ofport_request=65280 2>/dev/null; then echo "ofport_request=65280 taken"; exit 1; fi
if v set Port tap1 tag=4096 2>/dev/null; then echo "tag=4096 taken"; exit 1; fi
v del-port tap1
v --if-exists del-port tap1
v del-br br0
v emer-reset
