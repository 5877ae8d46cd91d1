/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_TEXT_H
#define WARREN_OPENFLOW_TEXT_H
/*
 * Flows in ovs-ofctl's syntax, read as `ovs-ofctl add-flow` reads them and written as `ovs-ofctl dump-flows` writes
 * them. text_match.c has the match fields, text_action.c and text_learn.c the actions, text_flow.c the whole line.
 *
 * Left out: what the actions of action.h leave out (conntrack, ...); parsing refuses it by name. text_group.h has
 * groups and meters.
 */
#include "openflow/action.h"
#include "openflow/match.h"

#define FLOW_DEFAULT_PRIORITY 32768
/* OFPFF_* of OpenFlow 1.3. */
#define FLOW_F_SEND_FLOW_REM 1
#define FLOW_F_CHECK_OVERLAP 2
#define FLOW_F_RESET_COUNTS 4
#define FLOW_F_NO_PACKET_COUNTS 8
#define FLOW_F_NO_BYTE_COUNTS 16

struct flow_spec {
    struct match match;
    table_id_t table; /* TABLE_ID_ALL: not said */
    uint16_t priority;
    uint16_t idle_timeout, hard_timeout, flags;
    uint16_t importance; /* OpenFlow 1.4 */
    __be64 cookie;
    __be64 cookie_mask;  /* zero: `cookie` is the new flow's; else a condition on flows ("cookie=1/-1") */
    ofp_port_t out_port; /* OFPP_ANY: not said */
    uint32_t out_group;  /* OF_GROUP_ANY: not said */
    bool has_actions;    /* "actions=" was there */
    struct ofpacts acts;
};

void flow_spec_done(struct flow_spec *spec);
#define _cleanup_flow_spec_ _cleanup_(flow_spec_done)
/* "table=20,priority=2,dl_vlan=1,actions=pop_vlan,output:3". Table, priority, cookie and so on have their defaults when
 * not said (TABLE_ID_ALL, 32768, 0). "actions=" or "actions=drop" give an empty list. Checks prerequisites of match and
 * actions. On failure -EINVAL, and *RET_ERROR names the culprit, the caller's to free; *RET_SPEC untouched. NAMES may
 * be NULL: numbers only. */
int flow_parse(const char *text, const struct name_map *names, struct flow_spec *ret_spec, char **ret_error);
/* What `ovs-ofctl dump-flows` selects by: table, cookie with a mask, out_port, out_group and match fields. Whatever
 * else can be said of a flow is refused, and a cookie without a mask. On failure as flow_parse(). */
struct of_flow_request;
int flow_request_parse(const char *text, const struct name_map *names, struct of_flow_request *ret, char **ret_error);
/* " cookie=0x1, table=20, hard_timeout=300, priority=2,dl_vlan=1 actions=drop" without the leading blank: what
 * dump-flows
 * --no-stats prints. Zero cookie is printed, as there. */
void flow_format(const struct flow_spec *spec, const struct name_map *names, struct strbuf *b);
/* What a switch counted of a flow. hard_age: seconds since it was changed; 0: never since it came. */
struct flow_counts {
    uint32_t duration_sec, duration_nsec;
    uint64_t packets, bytes;
    uint32_t hard_age;
};
/* As flow_format(), with duration=, n_packets= and n_bytes= at their places, hard_age= if it is not zero, and the table
 * always: dump-flows without --no-stats. */
void flow_format_counts(const struct flow_spec *spec, const struct flow_counts *counts, const struct name_map *names,
                        struct strbuf *b);
/* What that wrote of a flow that stood in a switch, counts included. Such a flow may have come by OpenFlow 1.0, whose
 * actions need not fit the match. */
int flow_parse_counts(const char *text, struct flow_spec *ret_spec, struct flow_counts *ret_counts, char **ret_error);
/* "send_flow_rem"; NULL for a bit that has no name. */
const char *flow_flag_name(uint16_t flag);
/* The match part alone: "arp,in_port=1,dl_vlan=2". */
int match_parse(const char *text, const struct name_map *names, struct match *ret_match, char **ret_error);

#endif
