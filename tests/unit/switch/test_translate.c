/* SPDX-License-Identifier: Apache-2.0 */
/* OpenFlow flows and a packet → datapath actions and the megaflow's mask. */
#include "env.h"

#include <stdio.h>

static int setup(void **state)
{
    env_setup(state, 3);
    return 0;
}

/* Flows (NULL-terminated), then a packet from port 1 to 02::2; what is executed. */
#define FLOWS(...) ((const char *const[]){__VA_ARGS__, NULL})
static const char *run(struct env *e, const char *const *flows)
{
    for (; *flows; flows++) {
        env_flow(e->br, *flows);
    }
    return env_in(e, 1, env_udp(2, 1, 0));
}

static void assert_mask(struct env *e, const char *expect)
{
    char *text = env_megaflow(e);

    assert_string_equal(text, expect);
    free(text);
}

static void test_outputs(void **state)
{
    struct env *e = *state;

    assert_string_equal(run(e, FLOWS("actions=output:2,output:3")), "2,3");
    assert_mask(e, "recirc_id(0),in_port(1),vlan(none),eth_type(0x0800),ipv4(frag=no)");
    assert_string_equal(run(e, FLOWS("actions=in_port")), "2,3"); /* the megaflow still stands ... */
    megaflow_revalidate_all(e->sw);
    assert_string_equal(run(e, FLOWS("actions=in_port")), "1"); /* ... until it is revalidated */
}

static void test_own_port(void **state)
{
    assert_string_equal(run(*state, FLOWS("actions=output:1")), "drop(normal_self)");
}

static void test_all(void **state)
{
    assert_string_equal(run(*state, FLOWS("actions=all")), "2,3");
}

static void test_miss_and_drop(void **state)
{
    struct env *e = *state;
    uint64_t drops[DROP_MAX];

    assert_string_equal(run(e, FLOWS("in_port=2,actions=output:1")), "drop(table_miss)");
    env_flow(e->br, "in_port=1,actions=drop");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "drop(action)");
    env_flow(e->br, "in_port=1,actions=output:99");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "drop(no_port)");
    switch_drops(e->sw, drops);
    assert_int_equal(drops[DROP_TABLE_MISS], 1);
    assert_int_equal(drops[DROP_ACTION], 1);
    assert_int_equal(drops[DROP_NO_PORT], 1);
}

static void test_resubmit(void **state)
{
    assert_string_equal(run(*state, FLOWS("actions=resubmit(,1),resubmit(3,2)", "table=1,in_port=1,actions=output:2",
                                          "table=2,in_port=3,actions=output:3", "table=2,in_port=1,actions=output:2")),
                        "2,3");
}

/* There is no table 254, but resubmit may name it; it must not be counted in either. */
static void test_resubmit_to_no_table(void **state)
{
    struct env *e = *state;

    assert_string_equal(run(e, FLOWS("actions=resubmit(,254),output:2")), "2");
    env_in(e, 1, env_udp(2, 1, 0));
    megaflow_sync_stats(e->sw);
    env_flow(e->br, "actions=resubmit(,254)");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "drop(table_miss)");
}

static void test_resubmit_loop(void **state)
{
    assert_string_equal(run(*state, FLOWS("actions=resubmit(,0)")), "drop(resubmit_depth)");
}

/* What resubmit nests counts only where it goes back: pipelines that resubmit from each table to the next are long. */
static void test_resubmit_chain(void **state)
{
    struct env *e = *state;
    char flow[100];

    for (int i = 0; i < 200; i++) {
        snprintf(flow, sizeof flow,
                 i % 2 ? "table=%d,actions=resubmit(,%d)" : "table=%d,actions=clone(clone(clone(resubmit(,%d))))", i,
                 i + 1);
        env_flow(e->br, flow);
    }
    env_flow(e->br, "table=200,actions=output:2");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    env_flow(e->br, "table=200,actions=output:2,resubmit(,0)");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "drop(resubmit_depth)");
}

static void test_resubmit_bomb(void **state)
{
    /* Two resubmits a table, 40 deep: 2^40 without the limit. */
    struct env *e = *state;
    char flow[100];

    for (int i = 0; i < 40; i++) {
        snprintf(flow, sizeof flow, "table=%d,actions=resubmit(,%d),resubmit(,%d)", i, i + 1, i + 1);
        env_flow(e->br, flow);
    }
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "drop(resubmit_depth)");
}

static void test_each_output_sees_its_packet(void **state)
{
    assert_string_equal(run(*state, FLOWS("actions=output:2,mod_dl_dst:02:00:00:00:00:77,output:3,push_vlan:0x8100,"
                                          "set_field:4101->vlan_vid,output:2,pop_vlan,output:3")),
                        "2,set(eth(dst=02:00:00:00:00:77)),3,push_vlan(vid=5,pcp=0),2,pop_vlan,3");
}

/* A field that was set is not the packet's any more: matching it later must not narrow the megaflow. */
static void test_set_then_match(void **state)
{
    struct env *e = *state;

    assert_string_equal(run(e, FLOWS("actions=mod_dl_dst:02:00:00:00:00:77,resubmit(,1)",
                                     "table=1,dl_dst=02:00:00:00:00:77,actions=output:2")),
                        "set(eth(dst=02:00:00:00:00:77)),2");
    assert_mask(e, "recirc_id(0),in_port(1),vlan(none),eth_type(0x0800),ipv4(frag=no)");
    /* And so it serves another destination too, even one that needs no change. */
    assert_string_equal(env_in(e, 1, env_udp(0x77, 1, 0)), "set(eth(dst=02:00:00:00:00:77)),2");
}

/* A clone's change must be taken back for what comes after it: then the original value is looked at. */
static void test_clone_restores(void **state)
{
    struct env *e = *state;

    assert_string_equal(run(e, FLOWS("actions=clone(mod_dl_dst:02:00:00:00:00:77,output:2),output:3")),
                        "set(eth(dst=02:00:00:00:00:77)),2,set(eth(dst=02:00:00:00:00:02)),3");
    assert_mask(e, "recirc_id(0),in_port(1),eth(dst=02:00:00:00:00:02),vlan(none),eth_type(0x0800),ipv4(frag=no)");
}

static void test_registers(void **state)
{
    struct env *e = *state;

    assert_string_equal(
        run(e, FLOWS("ip,actions=load:5->NXM_NX_REG0[],move:NXM_OF_IP_SRC[0..7]->NXM_NX_REG1[8..15],resubmit(,1)",
                     "table=1,reg0=5,reg1=0x100/0xff00,actions=output:NXM_NX_REG0[0..1]",
                     "table=1,priority=1,actions=output:3")),
        "drop(normal_self)"); /* reg0[0..1] is 1 */
    assert_mask(e, "recirc_id(0),in_port(1),vlan(none),eth_type(0x0800),ipv4(src=0.0.0.1/0.0.0.255,frag=no)");
}

static void test_dec_ttl(void **state)
{
    struct env *e = *state;

    assert_string_equal(run(e, FLOWS("ip,actions=dec_ttl,output:2")), "set(ipv4(ttl=63)),2");
    assert_mask(e, "recirc_id(0),in_port(1),vlan(none),eth_type(0x0800),ipv4(ttl=64,frag=no)");
    assert_string_equal(env_in(e, 1, env_arp(1, 2, 0)), "drop(table_miss)");
}

static void test_goto_and_action_set(void **state)
{
    assert_string_equal(
        run(*state, FLOWS("actions=write_actions(output:2),goto_table:1",
                          "table=1,actions=write_actions(set_field:02:00:00:00:00:66->eth_src,output:3),"
                          "goto_table:2",
                          "table=2,actions=output:2")),
        "2,set(eth(src=02:00:00:00:00:66)),3");
}

static void test_vlan_rewrite(void **state)
{
    struct env *e = *state;

    env_flow(e->br, "dl_vlan=5,actions=mod_vlan_vid:7,output:2,strip_vlan,output:3");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 5)), "set(vlan(vid=7,pcp=0)),2,pop_vlan,3");
}

/* Neutron's way to strip a tag in learned flows. */
static void test_load_zero_tci(void **state)
{
    struct env *e = *state;

    env_flow(e->br, "actions=load:0->NXM_OF_VLAN_TCI[],output:2");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 5)), "pop_vlan,2");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
}

static void test_port_down(void **state)
{
    struct env *e = *state;

    bridge_port_set_config(bridge_port_by_ofp(e->br, ofp_port(2)), PORT_CONFIG_NO_FWD, PORT_CONFIG_NO_FWD);
    assert_string_equal(run(e, FLOWS("actions=output:2")), "drop(port_down)");
    bridge_port_set_config(bridge_port_by_ofp(e->br, ofp_port(2)), 0, PORT_CONFIG_NO_FWD);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    bridge_port_set_config(bridge_port_by_ofp(e->br, ofp_port(1)), PORT_CONFIG_NO_RECV, PORT_CONFIG_NO_RECV);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "drop(port_down)");
}

static void test_patch(void **state)
{
    struct env *e = *state;
    struct bridge *br1;

    assert_int_equal(bridge_create(e->sw, "br1", &br1), 0);
    env_patch(e->br, "to1", 10, "to0");
    assert_string_equal(
        run(e,
            FLOWS("actions=set_field:9->reg3,set_field:0x7->tun_id,mod_dl_src:02:00:00:00:00:99,output:10,output:2")),
        "set(eth(src=02:00:00:00:00:99)),2");
    env_patch(br1, "to0", 20, "to1");
    env_port(br1, "q", 21);
    env_flow(br1, "in_port=20,reg3=0,tun_id=0,dl_src=02:00:00:00:00:99,actions=mod_dl_src:02:00:00:00:00:98,output:21");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)),
                        "set(eth(src=02:00:00:00:00:98)),4,set(eth(src=02:00:00:00:00:99)),2");
    assert_mask(e, "recirc_id(0),in_port(1),vlan(none),eth_type(0x0800),ipv4(frag=no)");
    env_in(e, 1, env_udp(2, 1, 0));
    megaflow_sync_stats(e->sw);
    {
        struct dp_port_stats s;

        bridge_port_get_stats(bridge_port_by_name(br1, "to0"), &s);
        assert_int_equal(s.rx_packets, 2);
        bridge_port_get_stats(bridge_port_by_name(e->br, "to1"), &s);
        assert_int_equal(s.tx_packets, 2);
    }
    bridge_destroy(br1);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "set(eth(src=02:00:00:00:00:99)),2");
}

/* The stack is a bridge's own. */
static void test_patch_stack(void **state)
{
    struct env *e = *state;
    struct bridge *br1;

    assert_int_equal(bridge_create(e->sw, "br1", &br1), 0);
    env_patch(e->br, "to1", 10, "to0");
    env_patch(br1, "to0", 20, "to1");
    env_port(br1, "q", 21);
    env_flow(br1, "actions=pop:reg3[],push:reg3[],push:reg3[],resubmit(,1)");
    env_flow(br1, "table=1,reg3=0,actions=output:21");
    env_flow(e->br, "table=1,reg3=2,actions=output:2");
    assert_string_equal(run(e, FLOWS("actions=load:2->reg0[],push:reg0[],output:10,pop:reg3[],resubmit(,1)")), "4,2");
}

struct seen {
    unsigned int n;
    uint8_t dst5;
    enum packet_in_reason reason;
    uint32_t in_port;
    table_id_t table;
    __be64 cookie;
};

static void on_packet_in(void *aux, struct bridge *br WR_UNUSED, const struct packet_in_info *info)
{
    struct seen *s = aux;

    s->n++;
    s->dst5 = info->packet->data[5];
    s->reason = info->reason;
    s->in_port = ofp_port_u32(info->flow->in_port);
    s->table = info->table;
    s->cookie = info->cookie;
}

static void test_controller(void **state)
{
    struct env *e = *state;
    struct seen seen = {0};
    const struct bridge_hooks hooks = {.packet_in = on_packet_in, .aux = &seen};

    assert_string_equal(run(e, FLOWS("actions=mod_dl_dst:02:00:00:00:00:55,controller,output:2")),
                        "set(eth(dst=02:00:00:00:00:55)),2");
    bridge_set_hooks(e->br, &hooks);
    megaflow_revalidate_all(e->sw);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "set(eth(dst=02:00:00:00:00:55)),2");
    }
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.dst5, 0x55);
    assert_int_equal(seen.reason, PACKET_IN_ACTION);
    assert_int_equal(seen.in_port, 1);
    megaflow_sync_stats(e->sw);
    assert_int_equal(env_rule(e->br, "actions=drop")->packets, 4);
}

static void test_packet_out(void **state)
{
    struct env *e = *state;
    struct packet *p = env_udp(2, 1, 0);
    const struct ofpact_output table = {.h = {OFPACT_OUTPUT, sizeof table}, .port = OFPP_TABLE};

    env_flow(e->br, "in_port=2,actions=output:3");
    assert_int_equal(bridge_packet_out(e->br, p, ofp_port(2), NULL, &table, sizeof table), 0);
    assert_string_equal(fake_take_executed(e->sw), "3");
    packet_free(p);
}

/* Nothing of a walk that hits a limit is carried out: no controller sees what was sent to it before. */
static void test_limit_takes_packet_ins_back(void **state)
{
    struct env *e = *state;
    struct seen seen = {0};
    const struct bridge_hooks hooks = {.packet_in = on_packet_in, .aux = &seen};

    bridge_set_hooks(e->br, &hooks);
    env_flow(e->br, "table=1,actions=output:2,controller,resubmit(,1)");
    assert_string_equal(run(e, FLOWS("actions=controller,output:3,resubmit(,1)")), "drop(resubmit_depth)");
    assert_int_equal(seen.n, 0);
    env_flow(e->br, "table=1,actions=output:2,controller");
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "3,2");
    assert_int_equal(seen.n, 2);
}

static void resubmit_list(struct ofpacts *list, table_id_t table)
{
    struct ofpact_resubmit *r = ofpact_put(list, OFPACT_RESUBMIT, sizeof *r);

    r->in_port = OFPP_IN_PORT;
    r->table = table;
}

/* Who sends such a packet hears that it went nowhere. */
static void test_packet_out_to_the_limit(void **state)
{
    struct env *e = *state;
    struct packet *p = env_udp(2, 1, 0);
    struct seen seen = {0};
    const struct bridge_hooks hooks = {.packet_in = on_packet_in, .aux = &seen};
    struct ofpacts list = {0};

    bridge_set_hooks(e->br, &hooks);
    resubmit_list(&list, 1);
    env_flow(e->br, "table=1,actions=output:2,controller,resubmit(,1)");
    assert_int_equal(bridge_packet_out(e->br, p, ofp_port(2), NULL, list.data, list.len), OFERR_FLOW_MOD_UNKNOWN);
    assert_string_equal(fake_take_executed(e->sw), "");
    assert_int_equal(seen.n, 0);
    assert_int_equal(e->sw->drops[DROP_RESUBMIT_DEPTH], 1);
    assert_int_equal(env_rule(e->br, "table=1,actions=drop")->packets, 0);
    ofpacts_done(&list);
    packet_free(p);
}

/* One that a bundle takes back was never there. */
static void test_packet_out_taken_back(void **state)
{
    struct env *e = *state;
    struct packet *p = env_udp(2, 1, 0);
    struct seen seen = {0};
    const struct bridge_hooks hooks = {.packet_in = on_packet_in, .aux = &seen};
    struct ofpacts list = {0};
    struct packet_out *po;

    bridge_set_hooks(e->br, &hooks);
    resubmit_list(&list, 1);
    env_flow(e->br, "table=1,actions=controller");
    for (unsigned int send = 0; send < 2; send++) {
        assert_int_equal(bridge_packet_out_begin(e->br, p->data, p->len, ofp_port(2), NULL, list.data, list.len, &po),
                         0);
        assert_int_equal(seen.n, 0);
        assert_int_equal(bridge_packet_out_end(po, send), 0);
        assert_int_equal(seen.n, send);
    }
    ofpacts_done(&list);
    packet_free(p);
}

/* A packet_out's actions stand before all tables, and so does the set that they leave (as Open vSwitch tells it). */
static void test_packet_out_action_set(void **state)
{
    struct env *e = *state;
    struct packet *p = env_udp(2, 1, 0);
    struct seen seen = {.table = 9};
    const struct bridge_hooks hooks = {.packet_in = on_packet_in, .aux = &seen};
    struct ofpacts list = {0};

    bridge_set_hooks(e->br, &hooks);
    resubmit_list(&list, 5);
    env_flow(e->br, "table=5,cookie=5,actions=write_actions(output:CONTROLLER)");
    assert_int_equal(bridge_packet_out(e->br, p, ofp_port(2), NULL, list.data, list.len), 0);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.reason, PACKET_IN_PACKET_OUT);
    assert_int_equal(seen.table, 0);
    assert_true(seen.cookie == UINT64_MAX);
    ofpacts_done(&list);
    packet_free(p);
}

/* It is dropped, and no table hears of it. */
static void test_packet_out_of_no_actions(void **state)
{
    struct env *e = *state;
    struct packet *p = env_udp(2, 1, 0);

    env_flow(e->br, "in_port=2,actions=output:3");
    assert_int_equal(bridge_packet_out(e->br, p, ofp_port(2), NULL, NULL, 0), 0);
    assert_string_equal(fake_take_executed(e->sw), "drop(action)");
    assert_int_equal(env_rule(e->br, "in_port=2,actions=drop")->packets, 0);
    packet_free(p);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, env_teardown)
    const struct CMUnitTest tests[] = {
        T(test_outputs),
        T(test_own_port),
        T(test_all),
        T(test_miss_and_drop),
        T(test_resubmit),
        T(test_resubmit_to_no_table),
        T(test_resubmit_loop),
        T(test_resubmit_chain),
        T(test_resubmit_bomb),
        T(test_each_output_sees_its_packet),
        T(test_set_then_match),
        T(test_clone_restores),
        T(test_registers),
        T(test_dec_ttl),
        T(test_goto_and_action_set),
        T(test_vlan_rewrite),
        T(test_load_zero_tci),
        T(test_port_down),
        T(test_patch),
        T(test_patch_stack),
        T(test_controller),
        T(test_packet_out),
        T(test_packet_out_of_no_actions),
        T(test_limit_takes_packet_ins_back),
        T(test_packet_out_to_the_limit),
        T(test_packet_out_taken_back),
        T(test_packet_out_action_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
