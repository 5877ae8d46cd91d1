/* SPDX-License-Identifier: Apache-2.0 */
/* The text syntax: parsed and printed again, also through the wire, and refused with a message that names the culprit.
 */
#include "hex.h"

#include <endian.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "openflow/error.h"
#include "openflow/msg.h"
#include "openflow/msg_multipart.h"
#include "openflow/text.h"

static const char *const port_names[] = {"patch-int", "vxlan-ac1ffa02", "tap1cf3a494-b2", "vm1"};

static int port_by_name(void *aux WR_UNUSED, const char *name, ofp_port_t *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(port_names); i++) {
        if (!strcmp(port_names[i], name)) {
            *ret = ofp_port((uint32_t)i + 1);
            return 0;
        }
    }
    return -ENOENT;
}

static const char *port_name(void *aux WR_UNUSED, ofp_port_t port)
{
    uint32_t n = ofp_port_u32(port);

    return n && n <= ARRAY_SIZE(port_names) ? port_names[n - 1] : NULL;
}

static const struct name_map names = {port_by_name, port_name, NULL};

/* As a tunnel agent's bridges look when dumped. */
static const char *const dumped[] = {
    "cookie=0x53707b42b2325cf9, priority=1,in_port=\"patch-int\" actions=goto_table:2",
    "cookie=0x53707b42b2325cf9, priority=1,in_port=\"vxlan-ac1ffa02\" actions=goto_table:4",
    "cookie=0x53707b42b2325cf9, priority=0 actions=drop",
    "cookie=0x1, table=2, priority=1,arp,dl_dst=ff:ff:ff:ff:ff:ff actions=goto_table:21",
    "cookie=0x1, table=2, priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00 actions=goto_table:20",
    "cookie=0x1, table=2, priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=goto_table:22",
    "cookie=0x1, table=4, priority=1,tun_id=0x4f0 actions=push_vlan:0x8100,set_field:4097->vlan_vid,goto_table:10",
    "cookie=0x1, table=10, priority=1 actions=learn(table=20,hard_timeout=300,priority=1,cookie=0x258e1194d526fd3d,"
    "NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],"
    "load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[]),output:\"patch-int\"",
    "cookie=0x1, table=20, hard_timeout=300, priority=1,vlan_tci=0x0001/0x0fff,dl_dst=fa:16:3e:00:00:01 "
    "actions=load:0->NXM_OF_VLAN_TCI[],load:0x4f0->NXM_NX_TUN_ID[],output:\"vxlan-ac1ffa02\"",
    "cookie=0x1, table=20, priority=2,dl_vlan=1,dl_dst=fa:16:3e:00:00:01 "
    "actions=pop_vlan,set_field:0x4f0->tun_id,output:\"vxlan-ac1ffa02\"",
    "cookie=0x1, table=21, priority=1,arp,dl_vlan=1,arp_tpa=10.78.0.100 actions=set_field:2->arp_op,"
    "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],set_field:fa:16:3e:00:00:01->arp_"
    "sha,"
    "set_field:10.78.0.100->arp_spa,move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:fa:16:3e:00:00:01->eth_src,IN_"
    "PORT",
    "cookie=0x1, table=22, priority=1,dl_vlan=1 "
    "actions=pop_vlan,set_field:0x4f0->tun_id,output:\"vxlan-ac1ffa02\",output:vm1",
    "cookie=0x1, priority=65535,dl_vlan=4095 actions=drop",
    "cookie=0x1, priority=10,icmp6,in_port=\"tap1cf3a494-b2\",icmp_type=136 actions=goto_table:24",
    "cookie=0x1, table=24, priority=2,icmp6,in_port=\"tap1cf3a494-b2\",icmp_type=136,nd_target=fe80::f816:3eff:fe00:1 "
    "actions=goto_table:59",
    "cookie=0x1, table=24, priority=2,arp,in_port=\"tap1cf3a494-b2\",arp_spa=10.78.0.249 actions=goto_table:25",
    "cookie=0x1, table=60, priority=3 actions=NORMAL",
    "cookie=0x1, table=60, priority=90,dl_vlan=1,dl_dst=fa:16:3e:00:00:01 "
    "actions=set_field:0x2->reg5,set_field:0x1->reg6,pop_vlan,resubmit(,81)",
    "cookie=0x1, table=71, "
    "priority=80,udp,reg5=0x2,in_port=vm1,dl_src=fa:16:3e:00:00:01,nw_src=0.0.0.0,tp_src=68,tp_dst=67 "
    "actions=resubmit(,73)",
    "cookie=0x1, table=71, priority=70,udp6,reg5=0x2,in_port=vm1,tp_src=547,tp_dst=546 actions=resubmit(,93)",
    "cookie=0x0, idle_timeout=5, send_flow_rem actions=CONTROLLER:65535",
    "cookie=0x0, hard_timeout=5, importance=7, priority=1,arp actions=drop",
};

static void flows_round_trip(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(dumped); i++) {
        _cleanup_flow_spec_ struct flow_spec s = {0};
        _cleanup_strbuf_ struct strbuf b = {0};
        _cleanup_free_ char *error = NULL;

        if (flow_parse(dumped[i], &names, &s, &error)) {
            fail_msg("%s: %s", dumped[i], error);
        }
        flow_format(&s, &names, &b);
        assert_string_equal(strbuf_str(&b), dumped[i]);
    }
}

static void counters(void **state WR_UNUSED)
{
    static const char *const bad_counts[] = {"duration=1,actions=drop", "duration=s,actions=drop",
                                             "duration=1.5sec,actions=drop", "n_packets=x,actions=drop",
                                             "hard_age=4294967296,actions=drop"};
    static const struct {
        const char *flow;
        struct flow_counts counts;
        const char *text;
    } cases[] = {
        {"actions=drop", {0, 0, 0, 0, 0}, "cookie=0x0, duration=0s, table=0, n_packets=0, n_bytes=0, actions=drop"},
        {"table=20,idle_timeout=9,priority=1,arp,actions=drop",
         {12, 50000000, 1, UINT64_MAX, 0},
         "cookie=0x0, duration=12.05s, table=20, n_packets=1, n_bytes=18446744073709551615, idle_timeout=9, "
         "priority=1,arp actions=drop"},
        {"send_flow_rem,actions=NORMAL",
         {1, 1, 2, 3, 0},
         "cookie=0x0, duration=1.000000001s, table=0, n_packets=2, n_bytes=3, send_flow_rem actions=NORMAL"},
        {"hard_timeout=60,importance=3,priority=2,actions=drop",
         {10, 0, 2, 3, 9},
         "cookie=0x0, duration=10s, table=0, n_packets=2, n_bytes=3, hard_timeout=60, importance=3, hard_age=9, "
         "priority=2 actions=drop"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_flow_spec_ struct flow_spec s = {0};
        _cleanup_strbuf_ struct strbuf b = {0};

        assert_int_equal(flow_parse(cases[i].flow, NULL, &s, NULL), 0);
        s.table = s.table == TABLE_ID_ALL ? 0 : s.table;
        flow_format_counts(&s, &cases[i].counts, NULL, &b);
        assert_string_equal(strbuf_str(&b), cases[i].text);

        _cleanup_flow_spec_ struct flow_spec back = {0};
        struct flow_counts counts = {0};
        assert_int_equal(flow_parse_counts(cases[i].text, &back, &counts, NULL), 0);
        assert_memory_equal(&counts, &cases[i].counts, sizeof counts);
        assert_true(match_equal(&back.match, &s.match));
        assert_int_equal(back.importance, s.importance);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad_counts); i++) {
        _cleanup_free_ char *error = NULL;
        struct flow_counts counts;
        struct flow_spec s;

        assert_int_equal(flow_parse_counts(bad_counts[i], &s, &counts, &error), -EINVAL);
        assert_non_null(error);
    }
    /* OpenFlow 1.0 lets through what the match does not warrant, and so does what it left in a switch. */
    _cleanup_flow_spec_ struct flow_spec lax = {0};
    struct flow_counts counts;
    assert_int_equal(flow_parse("actions=dec_ttl", NULL, &lax, NULL), -EINVAL);
    assert_int_equal(flow_parse_counts("actions=dec_ttl", &lax, &counts, NULL), 0);
    assert_string_equal(flow_flag_name(FLOW_F_SEND_FLOW_REM), "send_flow_rem");
    assert_null(flow_flag_name(0x8000));
}

/* To OpenFlow 1.3 and back. */
static void through_wire(const struct flow_spec *s, struct flow_spec *ret)
{
    struct writer w = {0}, again = {0};
    struct reader r;

    memset(ret, 0, sizeof *ret);
    ret->priority = s->priority;
    match_encode(&s->match, 4, &w);
    r = reader_of(w.data, w.len);
    assert_int_equal(match_decode(&r, &ret->match, NULL, NULL), 0);
    assert_true(match_equal(&s->match, &ret->match));
    match_encode(&ret->match, 4, &again);
    assert_int_equal(w.len, again.len);
    writer_done(&w);
    writer_done(&again);

    ofpacts_encode_instructions(s->acts.data, s->acts.len, 4, &w);
    r = reader_of(w.data, w.len);
    assert_int_equal(ofpacts_decode_instructions(&r, 4, &ret->acts), 0);
    ofpacts_encode_instructions(ret->acts.data, ret->acts.len, 4, &again);
    assert_int_equal(w.len, again.len);
    if (w.len) {
        assert_memory_equal(w.data, again.data, w.len);
    }
    assert_true(ofpacts_equal(s->acts.data, s->acts.len, ret->acts.data, ret->acts.len));
    writer_done(&w);
    writer_done(&again);
}

/* What comes back from a switch (NULL: the same text), as ovs-ofctl 3.1 prints it. */
static const struct {
    const char *in, *out;
} sent[] = {
    {"tcp,tun_ipv6_src=fe80::/64,tp_src=8/0xff8,tcp_flags=+syn-ack actions=set_field:1/3->reg0,dec_ttl,mod_nw_tos:4",
     "tcp,tun_ipv6_src=fe80::/64,tp_src=0x8/0xff8,tcp_flags=+syn-ack "
     "actions=load:0x1->NXM_NX_REG0[0..1],dec_ttl,set_field:1->ip_dscp"},
    {"tcp actions=fin_timeout(idle_timeout=3),set_queue:3,pop_queue,mod_nw_src:1.2.3.4,mod_tp_dst:3,set_tunnel:3",
     "tcp actions=fin_timeout(idle_timeout=3),set_queue:3,pop_queue,set_field:1.2.3.4->ip_src,set_field:3->tcp_dst,"
     "set_field:0x3->tun_id"},
    {"ip "
     "actions=learn(table=2,priority=3,idle_timeout=3,eth_type=0x800,NXM_OF_IP_PROTO[]=6,ip_dst=nw_src,reg0[0..3]=0x3,"
     "load:3->reg1[],output:in_port,delete_learned,send_flow_rem,cookie=3)",
     "ip "
     "actions=learn(table=2,idle_timeout=3,priority=3,send_flow_rem,delete_learned,cookie=0x3,eth_type=0x800,nw_proto="
     "6,"
     "NXM_OF_IP_DST[]=NXM_OF_IP_SRC[],NXM_NX_REG0[0..3]=0x3,load:0x3->NXM_NX_REG1[],output:NXM_OF_IN_PORT[])"},
    {"actions=enqueue:1:2,resubmit:3,resubmit(4,),resubmit(,3),resubmit(4,5),in_port,LOCAL,CONTROLLER:30,ALL,FLOOD,"
     "TABLE,normal",
     "actions=set_queue:2,output:1,pop_queue,resubmit:3,resubmit:4,resubmit(,3),resubmit(4,5),IN_PORT,LOCAL,CONTROLLER:"
     "30,ALL,"
     "FLOOD,TABLE,NORMAL"},
    {"dl_vlan=5,dl_vlan_pcp=3 actions=mod_vlan_vid:7", "dl_vlan=5,dl_vlan_pcp=3 actions=set_field:4103->vlan_vid"},
    {"actions=mod_vlan_vid:7,mod_vlan_pcp:3",
     "actions=push_vlan:0x8100,set_field:4103->vlan_vid,set_field:3->vlan_pcp"},
    {"dl_vlan=0xffff actions=drop", "vlan_tci=0x0000/0x1fff actions=drop"},
    {"vlan_tci=0 actions=drop", "vlan_tci=0x0000/0x1fff actions=drop"},
    {"vlan_tci=0x1005 actions=drop", "dl_vlan=5,dl_vlan_pcp=0 actions=drop"},
    {"vlan_tci=0x1000/0x1000 actions=strip_vlan", "vlan_tci=0x1000/0x1000 actions=pop_vlan"},
    {"arp,nw_src=1.2.3.4,nw_proto=1 actions=drop", "arp,arp_spa=1.2.3.4,arp_op=1 actions=drop"},
    {"tp_dst=68/0xfffe,tp_src=67,udp6,ipv6_dst=ff02::/16 actions=mod_tp_src:5",
     "udp6,ipv6_dst=ff02::/16,tp_src=67,tp_dst=0x44/0xfffe actions=set_field:5->udp_src"},
    {"ip,nw_src=10.1.2.3/8 actions=drop", "ip,nw_src=10.0.0.0/8 actions=drop"},
    {"ip,nw_src=10.0.0.0/255.0.255.0 actions=drop", NULL},
    {"tun_id=0x5/0xff,tun_src=1.2.3.0/24,tun_dst=1.1.1.1 actions=drop", NULL},
    {"reg0=0x5,reg15=0x3/0xffff,metadata=0x5/0xf actions=load:0xffffffff->NXM_NX_REG0[],load:0x1->NXM_NX_REG1[3],"
     "set_field:0x5->xreg1,set_field:0x112233445566778899->xxreg1",
     NULL},
    {"actions=meter:5,output:1,clear_actions,write_actions(output:2),write_metadata:0x3/0xf,goto_table:4", NULL},
    {"actions=output:NXM_NX_REG0[0..15],move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],note:01.02.03.04.00.00,clone(output:1,"
     "exit)",
     NULL},
    {"actions=controller(id=7,userdata=01.02.03),controller(reason=invalid_ttl),controller(max_len=5)",
     "actions=controller(id=7,userdata=01.02.03),controller(reason=invalid_ttl),CONTROLLER:5"},
    {"tun_flags=oam actions=drop", "tun_flags=+oam actions=drop"},
    {"tcp,tcp_flags=syn|ack,nw_frag=not_later actions=drop", "tcp,nw_frag=not_later,tcp_flags=syn|ack actions=drop"},
    {"icmp6,icmp_type=135,nd_target=::1,nd_sll=01:02:03:04:05:06 actions=drop", NULL},
    {"mpls,mpls_label=5,mpls_tc=2,mpls_bos=1 actions=pop_mpls:0x0800,dec_ttl", NULL},
    {"in_port=65534 actions=output:65533", "in_port=LOCAL actions=CONTROLLER:65535"},
    {"actions=", "actions=drop"},
};

static void flows_through_wire(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(sent); i++) {
        _cleanup_flow_spec_ struct flow_spec s = {0}, back = {0};
        _cleanup_strbuf_ struct strbuf b = {0};
        _cleanup_free_ char *error = NULL, *want = NULL;

        if (flow_parse(sent[i].in, NULL, &s, &error)) {
            fail_msg("%s: %s", sent[i].in, error);
        }
        through_wire(&s, &back);
        flow_format(&back, NULL, &b);
        want = xasprintf("cookie=0x0, %s", sent[i].out ? sent[i].out : sent[i].in);
        assert_string_equal(strbuf_str(&b), want);
    }
}

static void errors_name_the_culprit(void **state WR_UNUSED)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"frobnicate=1 actions=drop", "frobnicate"},
        {"in_port=nosuch actions=drop", "nosuch"},
        {"dl_vlan=4096 actions=drop", "4096"},
        {"dl_src=1:2:3:4:5 actions=drop", "1:2:3:4:5"},
        {"nw_src=10.0.0.1 actions=drop", "nw_src=10.0.0.1"},
        {"ip,nw_src=10.0.0.256 actions=drop", "10.0.0.256"},
        {"tp_src=80 actions=drop", "tp_src=80"},
        {"priority=65536 actions=drop", "priority=65536"},
        {"table=256 actions=drop", "table=256"},
        {"in_port actions=drop", "in_port"},
        {"eth_type=0x800/0xff actions=drop", "eth_type"},
        {"actions=output:nosuch", "nosuch"},
        {"actions=nosuch", "nosuch"},
        {"actions=drop,output:1", "drop"},
        {"actions=resubmit(,", "resubmit"},
        {"actions=resubmit()", "resubmit"},
        {"actions=load:0x10->NXM_NX_REG0[0..3]", "0x10"},
        {"actions=load:1->NXM_NX_REG0[30..32]", "NXM_NX_REG0[30..32]"},
        {"actions=move:reg0[]->reg1[0..3]", "32 bits"},
        {"actions=set_field:1->eth_type", "read-only"},
        {"actions=set_field:1", "->"},
        {"actions=set_field:1.2.3.4->ip_src", "ip_src"},
        {"actions=pop_vlan", "pop_vlan"},
        {"actions=push_vlan:0x1234", "0x1234"},
        {"table=5 actions=goto_table:5", "goto_table:5"},
        {"actions=goto_table:5,output:1", "order"},
        {"actions=clone(goto_table:5)", "instructions"},
        {"actions=ct(commit)", "ct"},
        {"actions=group:x", "group"},
        {"actions=conjunction(1,1/2),output:1", "conjunction"},
        {"actions=conjunction(1,3/2)", "1,3/2"},
        {"actions=conjunction(1,1/65)", "1,1/65"},
        {"actions=output(port=CONTROLLER,max_len=100)", "max_len"},
        {"actions=output(port=1,max_len=13)", "max_len"},
        {"actions=controller(pause)", "pause"},
        {"actions=write_actions(exit)", "exit"},
        {"actions=check_pkt_larger(1500)->reg0[0..1]", "reg0[0..1]"},
        {"actions=multipath(eth_src,50,modulo_n,1025,0,NXM_NX_REG0[0..3])", "1025"},
        {"actions=multipath(eth_src,50,modulo,1,0,NXM_NX_REG0[])", "modulo"},
        {"actions=multipath(eth_src,50,modulo_n,1,0)", "multipath"},
        {"actions=bundle(eth_src,0,hrw,ofport,members:nosuch)", "nosuch"},
        {"actions=bundle(eth_src,0,hrw,ofport)", "members"},
        {"actions=bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG0[0..14],members:1)", "NXM_NX_REG0[0..14]"},
        {"actions=push:eth_type[],pop:eth_type[]", "eth_type[]"},
        {"actions=dec_mpls_ttl", "dec_mpls_ttl"},
        {"mpls,actions=set_mpls_tc:8", "8"},
        {"actions=learn(table=1,reg0[]=reg1[0..3])", "bit widths"},
        {"actions=learn(table=1,limit=x)", "limit"},
        {"actions=learn(table=1,result_dst=reg0[0..1])", "result_dst"},
        {"actions=learn(table=1,ip_dst=1.2.3.4)", "learn"},
        {"actions=mod_vlan_vid:4096", "4096"},
        {"actions=output:\"unterminated", "unterminated"},
        {"cookie=x actions=drop", "cookie=x"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct flow_spec s = {.priority = 42};
        _cleanup_free_ char *error = NULL;

        if (flow_parse(cases[i].text, &names, &s, &error) != -EINVAL) {
            fail_msg("%s was taken", cases[i].text);
        }
        assert_non_null(error);
        if (!strstr(error, cases[i].part)) {
            fail_msg("%s: the message \"%s\" does not say %s", cases[i].text, error, cases[i].part);
        }
        assert_int_equal(s.priority, 42);
    }
}

/* What names no condition on flows must not be passed over: everything would be selected. */
static void selections(void **state WR_UNUSED)
{
    static const struct {
        const char *text, *part;
    } refused[] = {
        {"cookie=5", "cookie=5/-1"},
        {"table=1,priority=32768", "priority: flows are selected by"},
        {"idle_timeout=0", "idle_timeout: flows are selected by"},
        {"importance=0,arp", "importance: flows are selected by"},
        {"check_overlap", "check_overlap: flows are selected by"},
        {"n_packets=0", "n_packets: flows are selected by"},
        {"duration=1s", "duration: flows are selected by"},
        {"table=1,actions=drop", "actions: flows are selected by"},
        {"out_group=x", "out_group=x: not a number"},
        {"table=300", "table=300"},
        {"nonsense=1", "nonsense"},
        {"reg0(", "reg0"},
    };
    _cleanup_strbuf_ struct strbuf match = {0};
    struct of_flow_request r;

    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        _cleanup_free_ char *error = NULL;

        r.table = 42;
        assert_int_equal(flow_request_parse(refused[i].text, &names, &r, &error), -EINVAL);
        if (!error || !strstr(error, refused[i].part)) {
            fail_msg("%s: the message \"%s\" does not say %s", refused[i].text, error, refused[i].part);
        }
        assert_int_equal(r.table, 42);
    }
    assert_int_equal(flow_request_parse("", &names, &r, NULL), 0);
    assert_int_equal(r.table, TABLE_ID_ALL);
    assert_int_equal(ofp_port_u32(r.out_port), ofp_port_u32(OFPP_ANY));
    assert_int_equal(r.out_group, OF_GROUP_ANY);
    assert_int_equal(r.cookie_mask, 0);
    assert_int_equal(flow_request_parse("table=3,cookie=5/-1,out_port=7,out_group=8,arp", &names, &r, NULL), 0);
    assert_int_equal(r.table, 3);
    assert_int_equal(ofp_port_u32(r.out_port), 7);
    assert_int_equal(r.out_group, 8);
    assert_int_equal(r.cookie, htobe64(5));
    assert_int_equal(r.cookie_mask, UINT64_MAX);
    match_format(&r.match, NULL, &match);
    assert_string_equal(strbuf_str(&match), "arp");
}

/* A text cut anywhere is parsed or refused, with a message. */
static void cut_text(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(dumped); i++) {
        for (size_t n = 0; n < strlen(dumped[i]); n++) {
            char *part = strndup(dumped[i], n), *error = NULL;
            struct flow_spec s;

            if (flow_parse(part, &names, &s, &error)) {
                assert_non_null(error);
                free(error);
            } else {
                flow_spec_done(&s);
            }
            free(part);
        }
    }
}

static unsigned int seed = 1;

static unsigned int any(unsigned int n)
{
    return (unsigned int)rand_r(&seed) % n;
}

static void add_random_fields(struct match *m)
{
    static const char *const protocols[] = {"",     "ip",   "ipv6",           "arp",
                                            "tcp",  "udp6", "icmp",           "icmp6,icmp_type=135,icmp_code=0",
                                            "sctp", "mpls", "dl_vlan=5,tcp6", "icmp6,icmp_type=136,icmp_code=0"};

    assert_int_equal(match_parse(protocols[any(ARRAY_SIZE(protocols))], NULL, m, NULL), 0);
    for (unsigned int n = any(8); n--;) {
        const struct field *f = field_get((enum field_id)any(FIELD_MAX));
        union field_value v, mask = field_ones(f), zero = {0}, have;
        bool partial = f->maskable && any(2);

        field_get_bits(f, &m->mask, &have);
        if (!field_prereq_ok(f, &m->value) || memcmp(&have, &zero, sizeof zero) || f->id == FIELD_IN_PORT ||
            f->id == FIELD_IN_PORT_OXM || f->place == field_get(FIELD_VLAN_TCI)->place || f->id == FIELD_ARP_OP ||
            f->id == FIELD_IP_FRAG || f->id == FIELD_ACTSET_OUTPUT || !f->n_bytes) {
            continue;
        }
        for (size_t i = 0; i < f->n_bytes; i++) {
            if (partial) {
                mask.b[i] &= (uint8_t)any(256);
            }
            v.b[i] = (uint8_t)any(256) & mask.b[i];
        }
        memset(v.b + f->n_bytes, 0, sizeof v.b - f->n_bytes);
        assert_int_equal(match_set_field(m, f, &v, &mask), 0);
    }
}

static void random_matches(void **state WR_UNUSED)
{
    assert_int_equal(field_map_tun_metadata(0, 4), 0);
    assert_int_equal(field_map_tun_metadata(7, 16), 0);
    assert_int_equal(field_map_tun_metadata(63, 8), 0);
    for (unsigned int i = 0; i < 20000; i++) {
        struct match m, back;
        struct writer w = {0};
        struct reader r;
        _cleanup_strbuf_ struct strbuf b = {0};
        _cleanup_free_ char *error = NULL;

        match_init(&m);
        add_random_fields(&m);
        for (int oxm = 0; oxm < 2; oxm++) {
            w.len = 0;
            match_encode(&m, oxm ? 4 : 1, &w);
            r = reader_of(w.data, w.len);
            match_format(&m, NULL, &b);
            if (match_decode(&r, &back, NULL, NULL) || !match_equal(&m, &back)) {
                fail_msg("%s of seed %u does not survive the wire", strbuf_str(&b), seed);
            }
            b.len = 0;
        }
        match_format(&m, NULL, &b);
        if (match_parse(strbuf_str(&b), NULL, &back, &error) || !match_equal(&m, &back)) {
            fail_msg("%s does not survive the text: %s", strbuf_str(&b), error ? error : "differs");
        }
        writer_done(&w);
    }
}

/* Random bytes in valid messages: no crash, and what decodes also encodes to something that decodes to the same. */
static void damaged_actions(void **state WR_UNUSED)
{
    for (unsigned int i = 0; i < 20000; i++) {
        _cleanup_flow_spec_ struct flow_spec s = {0};
        struct ofpacts acts = {0}, again = {0};
        struct writer w = {0}, w2 = {0};
        struct reader r;

        assert_int_equal(flow_parse(sent[any(ARRAY_SIZE(sent))].in, NULL, &s, NULL), 0);
        ofpacts_encode_instructions(s.acts.data, s.acts.len, 4, &w);
        for (unsigned int n = any(4); w.len && n--;) {
            w.data[any((unsigned int)w.len)] = (uint8_t)any(256);
        }
        r = reader_of(w.data, w.len);
        if (!ofpacts_decode_instructions(&r, 4, &acts)) {
            _cleanup_strbuf_ struct strbuf b = {0};

            ofpacts_format(acts.data, acts.len, NULL, &b);
            ofpacts_encode_instructions(acts.data, acts.len, 4, &w2);
            r = reader_of(w2.data, w2.len);
            if (ofpacts_decode_instructions(&r, 4, &again) ||
                !ofpacts_equal(acts.data, acts.len, again.data, again.len)) {
                fail_msg("%s is not the same when decoded again", strbuf_str(&b));
            }
        }
        ofpacts_done(&acts);
        ofpacts_done(&again);
        writer_done(&w);
        writer_done(&w2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flows_round_trip),   cmocka_unit_test(counters),
        cmocka_unit_test(flows_through_wire), cmocka_unit_test(errors_name_the_culprit),
        cmocka_unit_test(selections),         cmocka_unit_test(cut_text),
        cmocka_unit_test(random_matches),     cmocka_unit_test(damaged_actions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
