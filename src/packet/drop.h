/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_DROP_H
#define WARREN_PACKET_DROP_H
/*
 * Every reason for which Warren drops a packet, from one list: each is a counter (`coverage/show`), a text and, in the
 * datapaths, the argument of a drop action. Add new ones at the end: the numbers travel between BPF and user space.
 */
#define DROP_REASONS(X)                                                                                                \
    X(NONE, "none", "not dropped")                                                                                     \
    X(TABLE_MISS, "table_miss", "no flow of the table matched")                                                        \
    X(ACTION, "action", "a flow says drop, or has no output")                                                          \
    X(NO_PORT, "no_port", "output to a port that does not exist")                                                      \
    X(PORT_DOWN, "port_down", "the port is down or says no receive or no forward")                                     \
    X(PORT_TX, "port_tx", "the kernel refused the frame on the output port")                                           \
    X(VLAN_INGRESS, "vlan_ingress", "the VLAN is not allowed on the input port")                                       \
    X(NORMAL_SELF, "normal_self", "NORMAL would send it back where it came from")                                      \
    X(RESUBMIT_DEPTH, "resubmit_depth", "too many nested or total resubmits")                                          \
    X(PATCH_NO_PEER, "patch_no_peer", "the patch port has no peer")                                                    \
    X(TUNNEL_UNKNOWN_REMOTE, "tunnel_unknown_remote", "tunnel packet from no configured remote")                       \
    X(TUNNEL_UNKNOWN_KEY, "tunnel_unknown_key", "tunnel packet with a key that no port takes")                         \
    X(TUNNEL_TRUNCATED, "tunnel_truncated", "tunnel packet ends inside a header")                                      \
    X(TUNNEL_BAD_HEADER, "tunnel_bad_header", "tunnel header with wrong flags, version or protocol")                   \
    X(TUNNEL_BAD_CHECKSUM, "tunnel_bad_checksum", "tunnel packet with a wrong outer checksum")                         \
    X(TUNNEL_NO_ROUTE, "tunnel_no_route", "no route to the tunnel's remote end")                                       \
    X(TUNNEL_TOO_BIG, "tunnel_too_big", "encapsulated frame is larger than the path's MTU")                            \
    X(TUNNEL_TX, "tunnel_tx", "the kernel refused the encapsulated packet")                                            \
    X(TRUNCATED, "truncated", "frame ends inside its Ethernet header")                                                 \
    X(TTL, "ttl", "TTL or hop limit ran out")                                                                          \
    X(CONTROLLER_RATE, "controller_rate", "packet-in over the controller's rate")                                      \
    X(CONTROLLER_NONE, "controller_none", "for the controller, and none is connected")                                 \
    X(UPCALL_QUEUE, "upcall_queue", "too many packets wait for the slow path")                                         \
    X(SEGMENT, "segment", "a super-packet could not be cut, or only into thousands of pieces")                         \
    X(BAD_ACTION, "bad_action", "an action does not fit the packet")                                                   \
    X(METER, "meter", "over a meter's rate")                                                                           \
    X(FRAGMENT, "fragment", "fragments are dropped by the switch configuration")                                       \
    X(MIRROR, "mirror", "arrived on a mirror's output port")                                                           \
    X(RESERVED_DST, "reserved_dst", "reserved multicast address (01:80:c2:00:00:0x)")                                  \
    X(POLICING, "policing", "over the interface's ingress_policing_rate")                                              \
    X(RESTORE_WAIT, "restore_wait", "flows are being restored (other_config:flow-restore-wait)")                       \
    X(TUNNEL_OPTIONS, "tunnel_options",                                                                                \
      "Geneve options that must be understood and are not, or too many kinds of them")                                 \
    X(BOND_INACTIVE, "bond_inactive", "arrived on a bond's member that is not the active one")                         \
    X(BOND_MOVED, "bond_moved", "came back by a bond from a host that is elsewhere")                                   \
    X(BOND_NO_MEMBER, "bond_no_member", "no member of the bond is up")                                                 \
    X(PROTECTED, "protected", "from one protected port to another")                                                    \
    X(MCAST_NOBODY, "mcast_nobody", "no port wants the multicast group")                                               \
    X(GROUP, "group", "the group is not there, or no bucket of it is live")                                            \
    X(BUNDLE, "bundle", "no member of the bundle action is up")                                                        \
    X(STACK, "stack", "too many values were pushed on the stack")                                                      \
    X(MPLS, "mpls", "more MPLS labels than are kept track of, or one that is not there")                               \
    X(RX_OFFLOAD, "rx_offload", "the kernel cannot hand up such a super-packet (SCTP's; UDP's before Linux 6.2)")      \
    X(TUNNEL_IPSEC, "tunnel_ipsec", "an IPsec policy for tunnels selects by what raw sockets do not show it")          \
    X(TUNNEL_ECN, "tunnel_ecn", "tunnel packet met congestion, and who sent what is in it cannot be told (RFC 6040)")

enum drop_reason {
#define X(id, name, text) DROP_##id,
    DROP_REASONS(X)
#undef X
        DROP_MAX,
};

#endif
