/* SPDX-License-Identifier: Apache-2.0 */
/* What single actions make of a packet, and which bits of it the megaflow then depends on. */
#include "env.h"

#include <arpa/inet.h>
#include <stdio.h>

struct seen {
    int n;
    uint16_t controller_id, max_len;
    enum packet_in_reason reason;
};

static void on_packet_in(void *aux, struct bridge *br WR_UNUSED, const struct packet_in_info *info)
{
    struct seen *s = aux;

    s->n++;
    s->controller_id = info->controller_id;
    s->max_len = info->max_len;
    s->reason = info->reason;
}

static int setup(void **state)
{
    env_setup(state, 3);
    return 0;
}

#define FLOWS(...) ((const char *const[]){__VA_ARGS__, NULL})
static const char *run(struct env *e, const char *const *flows)
{
    for (; *flows; flows++) {
        env_flow(e->br, *flows);
    }
    megaflow_revalidate_all(e->sw);
    return env_in(e, 1, env_udp(2, 1, 0));
}

static void assert_mask(struct env *e, const char *expect)
{
    char *text = env_megaflow(e);

    assert_string_equal(text, expect);
    free(text);
}

/* Each set of flows is alone on the bridge. */
static void table(void **state)
{
    static const struct {
        const char *flows[4];
        const char *executed;
    } cases[] = {
        /* stack: values survive resubmits, widths differ, an empty stack gives nothing */
        {{"actions=load:2->reg0[],push:reg0[],load:9->reg0[],resubmit(,1)", "table=1,actions=pop:reg1[],output:reg1[]"},
         "2"},
        {{"actions=load:0x30002->reg0[],push:reg0[],pop:reg1[0..15],output:reg1[]"}, "2"},
        {{"actions=load:2->reg1[],pop:reg1[],output:reg1[]"}, "2"},
        {{"actions=load:2->reg0[],push:reg0[],load:3->reg0[],push:reg0[],pop:reg1[],pop:reg2[],output:reg1[],"
          "output:reg2[]"},
         "3,2"},
        /* what a clone pushes or pops is gone behind it */
        {{"actions=load:2->reg0[],push:reg0[],clone(pop:reg1[],push:reg1[],push:reg1[]),load:3->reg0[],pop:reg0[],"
          "output:reg0[],load:3->reg0[],pop:reg0[],output:reg0[]"},
         "2,3"},
        /* bundle: the members of a bridge whose ports are all up */
        {{"actions=bundle(eth_src,0,active_backup,ofport,members:2,3)"}, "2"},
        {{"actions=bundle(eth_src,0,active_backup,ofport,members:7,3,2)"}, "3"},
        {{"actions=bundle(eth_src,0,active_backup,ofport,members:7,8)"}, "drop(bundle)"},
        {{"actions=bundle_load(eth_src,0,active_backup,ofport,NXM_NX_REG0[],members:3,2),output:reg0[]"}, "3"},
        {{"actions=bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG0[],members:7),resubmit(,1)",
          "table=1,reg0=0xffff,actions=output:2"},
         "2"},
        {{"actions=multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[]),resubmit(,1)", "table=1,reg0=0,actions=output:2"},
         "2"},
        /* output with a limit, and a queue for one output */
        {{"actions=output(port=2,max_len=100),output:3"}, "trunc(100),2,3"},
        {{"actions=output(port=1,max_len=100)"}, "drop(normal_self)"},
        {{"actions=output(port=IN_PORT,max_len=100)"}, "trunc(100),1"},
        /* reserved ports in a field of 16 bits, and of more */
        {{"actions=load:0xfff8->reg0[],output:reg0[0..15]"}, "1"},
        {{"actions=load:0xfff8->reg0[],output:reg0[]"}, "1"},
        /* TTL: the list ends, its caller goes on */
        {{"udp,actions=mod_nw_ttl:1,resubmit(,1),output:3", "table=1,udp,actions=dec_ttl,output:2"},
         "set(ipv4(ttl=1)),3"},
        {{"udp,actions=mod_nw_ttl:5,dec_ttl(1,2),output:2"}, "set(ipv4(ttl=4)),2"},
        {{"udp,actions=mod_tp_dst:99,output:2"}, "set(tp(dst=99)),2"},
        /* a tag that a load made is one */
        {{"actions=load:0x1005->NXM_OF_VLAN_TCI[],set_field:4099->vlan_vid,set_field:2->vlan_pcp,output:2"},
         "push_vlan(vid=3,pcp=2),2"},
        {{"actions=load:1->NXM_OF_VLAN_TCI[12],pop_vlan,output:2"}, "2"},
        /* action set: the order of OpenFlow 1.5, one of a kind, and nothing without an output */
        {{"actions=write_actions(output:2,set_field:02:00:00:00:00:77->eth_dst,push_vlan:0x8100,"
          "set_field:4101->vlan_vid)"},
         "set(eth(dst=02:00:00:00:00:77)),push_vlan(vid=5,pcp=0),2"},
        {{"actions=write_actions(output:2),goto_table:1", "table=1,actions=write_actions(output:3)"}, "3"},
        {{"actions=write_actions(output:2),goto_table:1", "table=1,actions=clear_actions,write_actions(set_queue:1)"},
         "drop(action)"},
        {{"actions=write_actions(resubmit(,5)),goto_table:1", "table=1,actions=write_actions(output:3)",
          "table=5,actions=output:2"},
         "3"},
        {{"actions=write_actions(resubmit(,5))", "table=5,actions=output:2"}, "2"},
        {{"udp,actions=mod_nw_ttl:1,write_actions(dec_ttl,output:2)"}, "drop(ttl)"},
        /* a clone has a copy of the set, which is carried out when it ends */
        {{"actions=clone(resubmit(,1)),output:3", "table=1,actions=write_actions(output:2)"}, "2,3"},
        {{"actions=write_actions(output:2),goto_table:1", "table=1,actions=clone(output:3),output:3"}, "3,2,3,2"},
        {{"actions=write_actions(output:2),goto_table:1", "table=1,actions=clone(resubmit(,2)),output:3",
          "table=2,actions=clear_actions"},
         "3,2"},
        /* exit ends the whole walk, wherever it stands, but for a bucket's (ovs-actions(7)); sets are carried out */
        {{"actions=output:2,clone(exit,output:3),output:3"}, "2"},
        {{"actions=resubmit(,1),output:3", "table=1,actions=output:2,clone(clone(exit)),output:3"}, "2"},
        {{"actions=clone(resubmit(,1)),output:3", "table=1,actions=resubmit(,2),exit,output:3",
          "table=2,actions=write_actions(output:2)"},
         "2"},
        {{"actions=write_actions(output:2),goto_table:1", "table=1,actions=clone(output:3,exit),output:3"}, "3,2,2"},
        /* the set's output can be matched */
        {{"actions=write_actions(output:2),goto_table:1", "table=1,actset_output=2,actions=output:3"}, "3,2"},
        {{"actions=check_pkt_larger(59)->reg0[0],resubmit(,1)", "table=1,reg0=1,actions=output:2",
          "table=1,reg0=0,actions=output:3"},
         "2"},
        {{"actions=check_pkt_larger(60)->reg0[0],resubmit(,1)", "table=1,reg0=1,actions=output:2",
          "table=1,reg0=0,actions=output:3"},
         "3"},
        {{"actions=check_pkt_larger(60)->reg0[0]"}, "drop(action)"},
        {{"actions=push_vlan:0x8100,check_pkt_larger(63)->reg0[0],resubmit(,1)", "table=1,reg0=1,actions=output:2"},
         "push_vlan(vid=0,pcp=0),2"},
    };
    struct env *e = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *got;

        env_del(e->br, "");
        got = run(e, cases[i].flows);
        if (strcmp(got, cases[i].executed)) {
            fail_msg("%s: %s, not %s", cases[i].flows[0], got, cases[i].executed);
        }
    }
}

/* The packet of env_udp() behind labels 100, 101, ... (the innermost last), then through FLOWS. */
static const char *in_mpls(struct env *e, unsigned int n_labels)
{
    struct packet *p = env_udp(2, 1, 0);
    uint8_t *b = packet_push(p, 4 * n_labels);

    memmove(b, b + 4 * n_labels, 14);
    if (n_labels) {
        b[12] = 0x88;
        b[13] = 0x47;
    }
    for (unsigned int i = 0; i < n_labels; i++) {
        uint32_t lse = htonl((100 + i) << 12 | (i == n_labels - 1) << 8 | 64);

        memcpy(b + 14 + 4 * i, &lse, 4);
    }
    megaflow_revalidate_all(e->sw);
    return env_in(e, 1, p);
}

static void mpls(void **state)
{
    static const struct {
        unsigned int labels;
        const char *flows[4];
        const char *executed;
    } cases[] = {
        {0, {"ip,actions=push_mpls:0x8847,output:2"}, "push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),2"},
        {0,
         {"ip,actions=push_mpls:0x8847,set_field:7->mpls_label,set_field:3->mpls_tc,dec_mpls_ttl,output:2"},
         "push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),set(mpls(label=7,tc=3,bos=1,ttl=63)),2"},
        /* pushed thrice, and seen as such */
        {0,
         {"ip,actions=push_mpls:0x8847,set_mpls_label:7,push_mpls:0x8848,push_mpls:0x8847,resubmit(,1)",
          "table=1,mpls,mpls_label=7,mpls_bos=0,actions=output:2"},
         "push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),set(mpls(label=7,tc=0,bos=1,ttl=64)),"
         "push_mpls(label=7,tc=0,ttl=64,bos=0,eth_type=0x8848),push_mpls(label=7,tc=0,ttl=64,bos=0,eth_type=0x8847),2"},
        {0,
         {"ip,actions=push_mpls:0x8847,resubmit(,1)", "table=1,actions=push_mpls:0x8847,push_mpls:0x8847,resubmit(,2)",
          "table=2,actions=push_mpls:0x8847,output:2"},
         "drop(mpls)"},
        {3, {"mpls,actions=push_mpls:0x8847,output:2"}, "drop(mpls)"},
        {1, {"mpls,mpls_label=100,actions=pop_mpls:0x0800,output:2"}, "pop_mpls(eth_type=0x0800),2"},
        /* the second label comes into sight, and then the third, which no key tells */
        {2,
         {"mpls,mpls_label=100,actions=pop_mpls:0x8847,resubmit(,1)", "table=1,mpls,mpls_label=101,actions=output:2"},
         "pop_mpls(eth_type=0x8847),2"},
        {3,
         {"mpls,actions=pop_mpls:0x8847,pop_mpls:0x8847,resubmit(,1)",
          "table=1,mpls,mpls_label=102,mpls_bos=1,actions=output:2"},
         "pop_mpls(eth_type=0x8847),pop_mpls(eth_type=0x8847),2"},
        /* what is behind the last label is asked for */
        {1,
         {"mpls,actions=pop_mpls:0x0800,resubmit(,1)", "table=1,udp,nw_src=10.0.0.1,actions=dec_ttl,output:2"},
         "pop_mpls(eth_type=0x0800),set(ipv4(ttl=63)),2"},
        {1,
         {"mpls,actions=pop_mpls:0x0800,dec_ttl,push_mpls:0x8847,output:2"},
         "pop_mpls(eth_type=0x0800),set(ipv4(ttl=63)),push_mpls(label=0,tc=0,ttl=63,bos=1,eth_type=0x8847),2"},
        {0,
         {"ip,actions=push_mpls:0x8847,pop_mpls:0x0800,resubmit(,1)", "table=1,udp,tp_dst=2000,actions=output:2"},
         "push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x0800),2"},
        /* what a clone does to the labels stays in it */
        {1, {"mpls,actions=clone(pop_mpls:0x0800,output:2),output:3"}, "clone(pop_mpls(eth_type=0x0800),2),3"},
        /* what a clone asks about the inside is known in it only */
        {1,
         {"mpls,actions=pop_mpls:0x0800,clone(resubmit(,1)),output:3", "table=1,ip,actions=mod_nw_ttl:9,output:2"},
         "pop_mpls(eth_type=0x0800),clone(set(ipv4(ttl=9)),2),3"},
        {0,
         {"ip,actions=clone(push_mpls:0x8847,output:2),mod_nw_ttl:9,output:3"},
         "clone(push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),2),set(ipv4(ttl=9)),3"},
        {1, {"mpls,actions=set_mpls_ttl:1,dec_mpls_ttl,output:2"}, "drop(ttl)"},
        {1, {"mpls,actions=set_mpls_label:7,output:2"}, "set(mpls(label=7)),2"},
        {0,
         {"ip,actions=write_actions(output:2,push_mpls:0x8847,set_field:7->mpls_label,mod_nw_ttl:9)"},
         "push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),set(mpls(label=7,tc=0,bos=1,ttl=64)),2"},
    };
    struct env *e = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *got;

        env_del(e->br, "");
        for (const char *const *f = cases[i].flows; *f; f++) {
            env_flow(e->br, *f);
        }
        got = in_mpls(e, cases[i].labels);
        if (strcmp(got, cases[i].executed)) {
            fail_msg("%s (%u labels): %s, not %s", cases[i].flows[0], cases[i].labels, got, cases[i].executed);
        }
    }
}

/* Rules that only the inside led to count each packet, and the megaflow stands when tables change. */
static void mpls_counts(void **state)
{
    struct env *e = *state;
    const struct rule *rule;

    env_flow(e->br, "mpls,actions=pop_mpls:0x0800,resubmit(,1)");
    env_flow(e->br, "table=1,udp,nw_src=10.0.0.1,actions=output:2");
    env_flow(e->br, "table=1,priority=1,actions=drop");
    for (unsigned int i = 0; i < 3; i++) {
        in_mpls(e, 1);
        env_flow(e->br, i % 2 ? "table=1,priority=2,tcp,actions=drop" : "table=1,priority=2,arp,actions=drop");
        assert_int_equal(megaflow_count(e->sw), 1);
    }
    rule = env_rule(e->br, "table=1,udp,nw_src=10.0.0.1,actions=drop");
    megaflow_sync_stats(e->sw);
    assert_int_equal(rule->packets, 3);
    assert_int_equal(rule->bytes, 3 * 64);
    assert_int_equal(env_rule(e->br, "table=1,priority=1,actions=drop")->packets, 0);
    assert_int_equal(env_rule(e->br, "mpls,actions=drop")->packets, 3);
}

static void stack_bomb(void **state)
{
    struct env *e = *state;
    char flow[100];

    for (int i = 0; i < 20; i++) {
        snprintf(flow, sizeof flow, "table=%d,actions=push:reg0[],resubmit(,%d),resubmit(,%d)", i, i + 1, i + 1);
        env_flow(e->br, flow);
    }
    env_flow(e->br, "table=20,actions=push:reg0[],push:reg0[],push:reg0[],push:reg0[]");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "drop(stack)");
}

/* A hash narrows the megaflow to what it is over, and picks every link for some packet. */
static void hash_fields(void **state)
{
    static const struct {
        const char *fields, *mask;
    } cases[] = {
        {"eth_src", "recirc_id(0),in_port(1),eth(src=02:00:00:00:00:01),vlan(none),eth_type(0x0800),ipv4(frag=no)"},
        {"symmetric_l4", "recirc_id(0),in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),vlan(none),"
                         "eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,frag=no)"},
        {"symmetric_l3l4", "recirc_id(0),in_port(1),vlan(none),eth_type(0x0800),"
                           "ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,frag=no)"},
        {"symmetric_l3l4+udp", "recirc_id(0),in_port(1),vlan(none),eth_type(0x0800),"
                               "ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,frag=no),udp(src=1000,dst=2000)"},
        {"nw_src", "recirc_id(0),in_port(1),vlan(none),eth_type(0x0800),ipv4(src=10.0.0.1,frag=no)"},
        {"nw_dst", "recirc_id(0),in_port(1),vlan(none),eth_type(0x0800),ipv4(dst=10.0.0.2,frag=no)"},
        {"symmetric_l3", "recirc_id(0),in_port(1),vlan(none),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,frag=no)"},
    };
    struct env *e = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char flow[120];

        env_del(e->br, "");
        snprintf(flow, sizeof flow, "actions=multipath(%s,7,hrw,1,0,NXM_NX_REG0[]),output:2", cases[i].fields);
        run(e, FLOWS(flow));
        assert_mask(e, cases[i].mask);
        env_teardown(state);
        setup(state);
        e = *state;
    }
}

static void every_link(void **state)
{
    static const char *const algorithms[] = {"modulo_n", "hash_threshold", "hrw", "iter_hash"};
    struct env *e = *state;

    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        unsigned int seen[3] = {0};
        char flow[120];

        env_del(e->br, "");
        snprintf(flow, sizeof flow, "actions=multipath(eth_src,7,%s,3,1,NXM_NX_REG0[]),load:1->reg1[],resubmit(,1)",
                 algorithms[i]);
        env_flow(e->br, flow);
        env_flow(e->br, "table=1,reg0=0,actions=output:IN_PORT");
        env_flow(e->br, "table=1,reg0=1,actions=output:2");
        env_flow(e->br, "table=1,reg0=2,actions=output:3");
        megaflow_revalidate_all(e->sw);
        for (unsigned int src = 1; src <= 120; src++) {
            const char *got = env_in(e, 1, env_udp(2, src, 0));

            assert_true(got[0] >= '1' && got[0] <= '3' && !got[1]);
            seen[got[0] - '1']++;
        }
        for (size_t k = 0; k < ARRAY_SIZE(seen); k++) {
            assert_in_range(seen[k], 20, 60);
        }
    }
}

/* Both directions of a connection take the same way. */
static void symmetric(void **state)
{
    struct env *e = *state;
    char there[32];

    env_flow(e->br, "actions=bundle(symmetric_l4,0,hrw,ofport,members:2,3)");
    for (unsigned int k = 3; k < 40; k++) {
        snprintf(there, sizeof there, "%s", env_in(e, 1, env_udp(k, 1, 0)));
        assert_string_equal(env_in(e, 1, env_udp(1, k, 0)), there);
    }
}

/* When a member goes down, its flows move and no others. */
static void bundle_members(void **state)
{
    struct env *e = *state;
    struct port *p2 = bridge_port_by_ofp(e->br, ofp_port(2));
    char before[40][8];
    unsigned int on_2 = 0;

    env_flow(e->br, "actions=bundle(eth_src,0,hrw,ofport,members:2,3,4)");
    env_port(e->br, "p4", 4);
    for (unsigned int k = 0; k < 40; k++) {
        snprintf(before[k], sizeof before[k], "%s", env_in(e, 1, env_udp(2, k + 1, 0)));
        on_2 += !strcmp(before[k], "2");
    }
    assert_in_range(on_2, 4, 25);
    bridge_port_set_link(p2, p2->mac, false, true, 0, 0);
    megaflow_revalidate_all(e->sw);
    for (unsigned int k = 0; k < 40; k++) {
        const char *after = env_in(e, 1, env_udp(2, k + 1, 0));

        assert_string_not_equal(after, "2");
        if (strcmp(before[k], "2")) {
            assert_string_equal(after, before[k]);
        }
    }
    env_del(e->br, "");
    env_flow(e->br, "actions=bundle(eth_src,0,active_backup,ofport,members:2,3)");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "3");
    bridge_port_set_link(p2, p2->mac, false, false, 0, 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
}

static void controllers(void **state)
{
    struct env *e = *state;
    struct seen seen = {0};
    const struct bridge_hooks hooks = {.packet_in = on_packet_in, .aux = &seen};

    bridge_set_hooks(e->br, &hooks);
    run(e, FLOWS("actions=controller:77"));
    assert_int_equal(seen.max_len, 77);
    assert_int_equal(seen.reason, PACKET_IN_ACTION);
    env_del(e->br, "");
    run(e, FLOWS("udp,actions=mod_nw_ttl:1,dec_ttl(5,6)"));
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.controller_id, 6);
    assert_int_equal(seen.reason, PACKET_IN_INVALID_TTL);
    env_del(e->br, "");
    run(e, FLOWS("udp,actions=load:0xfffd->reg0[],output:reg0[]"));
    assert_int_equal(seen.n, 4);
    assert_int_equal(seen.max_len, UINT16_MAX);
}

/* A limit keeps new flows out and refreshes those that are there; the result says which. */
static void learn_limit(void **state)
{
    struct env *e = *state;
    static const char flow[] =
        "actions=learn(table=1,cookie=7,limit=2,result_dst=reg0[0],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
        "output:NXM_OF_IN_PORT[]),resubmit(,2)";

    env_flow(e->br, flow);
    env_flow(e->br, "table=2,reg0=1,actions=output:2");
    env_flow(e->br, "table=2,reg0=0,actions=output:3");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    assert_string_equal(env_in(e, 1, env_udp(2, 2, 0)), "2");
    assert_string_equal(env_in(e, 1, env_udp(2, 3, 0)), "3");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 2, 0)), "2");
    assert_string_equal(env_in(e, 1, env_udp(2, 3, 0)), "3");
    assert_non_null(env_rule(e->br, "table=1,dl_dst=02:00:00:00:00:01,actions=drop"));
    assert_null(env_rule(e->br, "table=1,dl_dst=02:00:00:00:00:03,actions=drop"));
    /* Room again: the megaflows hear of it. */
    env_del(e->br, "table=1,dl_dst=02:00:00:00:00:01");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 3, 0)), "2");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, env_teardown)
    const struct CMUnitTest tests[] = {
        T(mpls),       T(mpls_counts), T(table),          T(stack_bomb),  T(hash_fields),
        T(every_link), T(symmetric),   T(bundle_members), T(controllers), T(learn_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
