/* SPDX-License-Identifier: Apache-2.0 */
/* Groups and meters of a bridge: what changes them, what refers to them, and what packets get. */
#include "env.h"
#include "switch/action_refs.h"
#include "switch/group_table.h"
#include "switch/meter_table.h"

static int setup(void **state)
{
    env_setup(state, 5);
    return 0;
}

/* A bucket of TEXT: "[weight=N,][port=N,][group=N,]ACTIONS", with a number from 0. */
static void add_bucket(struct of_group *g, const char *text)
{
    static const struct {
        const char *name;
        int which;
    } keys[] = {{"weight=", 0}, {"port=", 1}, {"watch=", 2}, {"id=", 3}};
    _cleanup_free_ char *error = NULL;
    struct of_bucket b = {.id = (uint32_t)g->n_buckets, .watch_port = OFPP_ANY, .watch_group = OF_GROUP_ANY};

    b.weight = g->type == OF_GROUP_TYPE_SELECT;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!strncmp(text, keys[i].name, strlen(keys[i].name))) {
            unsigned long v = strtoul(text + strlen(keys[i].name), (char **)&text, 10);

            switch (keys[i].which) {
            case 0:
                b.weight = (uint16_t)v;
                break;
            case 1:
                b.watch_port = ofp_port((uint32_t)v);
                break;
            case 2:
                b.watch_group = (uint32_t)v;
                break;
            default:
                b.id = (uint32_t)v;
            }
            text++;
            i = SIZE_MAX; /* from the first key again */
        }
    }
    if (ofpacts_parse(text, NULL, &b.acts, &error)) {
        fail_msg("%s: %s", text, error);
    }
    g->buckets = xrealloc(g->buckets, (g->n_buckets + 1) * sizeof *g->buckets);
    g->buckets[g->n_buckets++] = b;
}

/* Buckets end with NULL. */
static struct of_group_mod make(enum of_group_command command, uint32_t id, enum of_group_type type,
                                const char *const *buckets)
{
    struct of_group_mod gm = {.command = command, .command_bucket = OF_BUCKET_ALL, .group = {.id = id, .type = type}};

    for (size_t i = 0; buckets && buckets[i]; i++) {
        add_bucket(&gm.group, buckets[i]);
    }
    return gm;
}

static int apply(struct bridge *br, struct of_group_mod gm)
{
    int error = group_mod_apply(br, &gm, time_mono_ms());

    of_group_mod_done(&gm);
    return error;
}

#define MOD(command, id, type, ...)                                                                                    \
    make(OF_GROUP_##command, id, OF_GROUP_TYPE_##type, (const char *const[]){__VA_ARGS__, NULL})
#define ADD(br, id, type, ...) apply(br, MOD(ADD, id, type, __VA_ARGS__))
#define MODIFY(br, id, type, ...) apply(br, MOD(MODIFY, id, type, __VA_ARGS__))

static int delete (struct bridge *br, uint32_t id)
{
    return apply(br, make(OF_GROUP_DELETE, id, OF_GROUP_TYPE_ALL, NULL));
}

static int insert(struct bridge *br, uint32_t id, uint32_t where, const char *bucket)
{
    struct of_group_mod gm = make(OF_GROUP_INSERT_BUCKET, id, OF_GROUP_TYPE_ALL, (const char *const[]){bucket, NULL});

    gm.command_bucket = where;
    return apply(br, gm);
}

static int remove_bucket(struct bridge *br, uint32_t id, uint32_t which)
{
    struct of_group_mod gm = make(OF_GROUP_REMOVE_BUCKET, id, OF_GROUP_TYPE_ALL, NULL);

    gm.command_bucket = which;
    return apply(br, gm);
}

static int add_meter(struct bridge *br, enum of_meter_command command, uint32_t id, uint16_t flags, uint32_t rate,
                     uint32_t burst)
{
    struct of_meter_mod mm = {.command = command, .meter = {.id = id, .flags = flags, .n_bands = 1}};

    mm.meter.bands = xcalloc(1, sizeof *mm.meter.bands);
    mm.meter.bands[0] = (struct of_meter_band){.type = OF_BAND_DROP, .rate = rate, .burst = burst};
    int error = meter_mod_apply(br, &mm, time_mono_ms());
    of_meter_mod_done(&mm);
    return error;
}

/* ---- the table ---- */

static void test_refused(void **state)
{
    struct env *e = *state;
    struct bridge *br = e->br;

    assert_int_equal(ADD(br, 1, ALL, "output:1"), 0);
    assert_int_equal(ADD(br, 1, ALL, "output:1"), OFERR_GROUP_EXISTS);
    assert_int_equal(MODIFY(br, 2, ALL, "output:1"), OFERR_GROUP_UNKNOWN);
    assert_int_equal(insert(br, 2, OF_BUCKET_LAST, "output:1"), OFERR_GROUP_UNKNOWN);
    assert_int_equal(remove_bucket(br, 2, OF_BUCKET_ALL), OFERR_GROUP_UNKNOWN);
    assert_int_equal(ADD(br, 2, ALL, "weight=1,output:1"), OFERR_GROUP_INVALID);
    assert_int_equal(ADD(br, 2, ALL, "port=1,output:1"), OFERR_GROUP_WATCH_UNSUPPORTED);
    assert_int_equal(ADD(br, 2, INDIRECT, "output:1", "output:2"), OFERR_GROUP_INVALID);
    assert_int_equal(ADD(br, 2, FAILOVER, "output:1"), OFERR_GROUP_INVALID);
    assert_int_equal(ADD(br, 2, ALL, "meter:9,output:1"), OFERR_METER_MOD_INVALID_METER);
    /* Loops, through others and through what comes later. */
    assert_int_equal(ADD(br, 2, ALL, "group:2"), OFERR_GROUP_LOOP);
    assert_int_equal(ADD(br, 2, ALL, "output:1", "group:1"), 0);
    assert_int_equal(ADD(br, 3, INDIRECT, "group:2"), 0);
    assert_int_equal(MODIFY(br, 1, ALL, "output:1", "group:3"), OFERR_GROUP_LOOP);
    assert_int_equal(insert(br, 1, OF_BUCKET_LAST, "id=7,group:3"), OFERR_GROUP_LOOP);
    assert_int_equal(ADD(br, 4, INDIRECT, "group:5"), 0);
    assert_int_equal(ADD(br, 5, INDIRECT, "group:4"), OFERR_GROUP_LOOP);
    assert_int_equal(delete (br, 1), OFERR_GROUP_CHAINED_GROUP);
    assert_int_equal(group_find(br, 1)->n_buckets, 1);
    assert_int_equal(delete (br, OF_GROUP_ALL), 0);
    assert_null(group_find(br, 1));
    assert_int_equal(delete (br, 1), 0);
}

static void check_ids(const struct bridge *br, uint32_t id, const char *want)
{
    const struct group *g = group_find(br, id);
    char text[64] = "";

    for (size_t i = 0; i < g->n_buckets; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "%u ", g->buckets[i]->config.id);
    }
    assert_string_equal(text, want);
}

static void test_buckets(void **state)
{
    struct env *e = *state;
    struct bridge *br = e->br;

    assert_int_equal(ADD(br, 1, ALL, "id=5,output:1"), 0);
    assert_int_equal(insert(br, 1, OF_BUCKET_FIRST, "id=1,output:2"), 0);
    assert_int_equal(insert(br, 1, OF_BUCKET_LAST, "id=9,output:3"), 0);
    assert_int_equal(insert(br, 1, 1, "id=2,output:4"), 0);
    check_ids(br, 1, "1 2 5 9 ");
    assert_int_equal(insert(br, 1, 3, "id=3,output:4"), OFERR_GROUP_UNKNOWN_BUCKET);
    assert_int_equal(insert(br, 1, OF_BUCKET_LAST, "id=2,output:4"), OFERR_GROUP_BUCKET_EXISTS);
    assert_int_equal(remove_bucket(br, 1, 3), OFERR_GROUP_UNKNOWN_BUCKET);
    assert_int_equal(remove_bucket(br, 1, 5), 0);
    check_ids(br, 1, "1 2 9 ");
    assert_int_equal(remove_bucket(br, 1, OF_BUCKET_FIRST), 0);
    assert_int_equal(remove_bucket(br, 1, OF_BUCKET_LAST), 0);
    check_ids(br, 1, "2 ");
    assert_int_equal(remove_bucket(br, 1, OF_BUCKET_ALL), 0);
    assert_int_equal(remove_bucket(br, 1, OF_BUCKET_LAST), 0);
    check_ids(br, 1, "");
}

/* Few bytes in 1.5, many in a description by other versions: a set_field whose mask is stripes takes 64 reg_loads. */
static void test_too_long_a_bucket(void **state)
{
    struct env *e = *state;
    struct of_group_mod gm =
        MOD(ADD, 1, ALL, "set_field:0x55555555555555555555555555555555/0x55555555555555555555555555555555->xxreg0");
    struct ofpacts *acts = &gm.group.buckets[0].acts;
    size_t len = acts->len;
    _cleanup_free_ uint8_t *one = xmemdup(acts->data, len);

    for (int i = 0; i < 60; i++) {
        memcpy(ofpact_put(acts, OFPACT_SET_FIELD, len), one, len);
    }
    assert_int_equal(apply(e->br, gm), OFERR_GROUP_OUT_OF_BUCKETS);
}

/* More buckets than a description can hold, one mod after the other. */
static void test_too_many_buckets(void **state)
{
    struct env *e = *state;
    int error = 0;
    unsigned int i;

    assert_int_equal(ADD(e->br, 1, ALL, "id=0,output:1"), 0);
    for (i = 1; i < 10000 && !error; i++) {
        _cleanup_free_ char *bucket = xasprintf("id=%u,load:0x1122334455667788->NXM_NX_TUN_ID[],output:1", i);

        error = insert(e->br, 1, OF_BUCKET_LAST, bucket);
    }
    assert_int_equal(error, OFERR_GROUP_OUT_OF_BUCKETS);
    assert_int_equal(group_find(e->br, 1)->n_buckets, i - 1);

    struct of_group desc;
    struct writer w = {0};
    group_describe(group_find(e->br, 1), &desc);
    of_group_desc_put(&w, OF_VERSION_13, false, &desc);
    assert_int_equal(w.error, 0);
    writer_done(&w);
    free(desc.buckets);
}

struct removed {
    unsigned int n;
    enum flow_removed_reason reason;
};

static void on_removed(void *aux, struct bridge *br WR_UNUSED, const struct rule *rule WR_UNUSED,
                       enum flow_removed_reason reason)
{
    struct removed *r = aux;

    r->n++;
    r->reason = reason;
}

static void test_references(void **state)
{
    struct env *e = *state;
    struct bridge *br = e->br;
    struct removed removed = {0};
    const struct bridge_hooks hooks = {.flow_removed = on_removed, .aux = &removed};

    bridge_set_hooks(br, &hooks);
    assert_int_equal(env_apply(br, "actions=group:1", FLOW_MOD_ADD), OFERR_ACTION_BAD_OUT_GROUP);
    assert_int_equal(ADD(br, 1, ALL, "output:1"), 0);
    assert_int_equal(ADD(br, 2, ALL, "group:1"), 0);
    env_flow(br, "priority=1,send_flow_rem,actions=group:1");
    env_flow(br, "priority=2,send_flow_rem,actions=write_actions(group:2)");
    env_flow(br, "priority=3,actions=output:2");
    assert_int_equal(group_ref_count(br, 1), 2);
    assert_int_equal(group_ref_count(br, 2), 1);
    /* A flow that changes refers to something else. */
    assert_int_equal(env_apply(br, "priority=1,actions=group:2", FLOW_MOD_MODIFY_STRICT), 0);
    assert_int_equal(group_ref_count(br, 1), 1);
    assert_int_equal(group_ref_count(br, 2), 2);
    assert_int_equal(delete (br, 2), 0);
    assert_int_equal(removed.n, 2);
    assert_int_equal(removed.reason, FLOW_REMOVED_GROUP);
    assert_null(env_rule(br, "priority=1"));
    assert_non_null(env_rule(br, "priority=3"));
    assert_int_equal(group_ref_count(br, 1), 0);
    bridge_set_hooks(br, NULL);
}

/* A bucket whose meter was deleted stays (it drops), and is in nobody's way who changes the others. */
static void test_bucket_without_its_meter(void **state)
{
    struct env *e = *state;
    struct bridge *br = e->br;

    assert_int_equal(add_meter(br, OF_METER_ADD, 1, OF_METER_KBPS, 1000, 0), 0);
    assert_int_equal(ADD(br, 1, ALL, "id=1,meter:1,output:2", "id=2,output:2", "id=3,output:1"), 0);
    assert_int_equal(add_meter(br, OF_METER_DELETE, 1, 0, 0, 0), 0);
    assert_int_equal(remove_bucket(br, 1, 2), 0);
    assert_int_equal(insert(br, 1, OF_BUCKET_LAST, "id=4,output:2"), 0);
    assert_int_equal(insert(br, 1, OF_BUCKET_LAST, "id=5,meter:1,output:2"), OFERR_METER_MOD_INVALID_METER);
    assert_int_equal(group_find(br, 1)->n_buckets, 3);
}

/* What a transaction did to groups goes back with it, counters and references too. */
static void test_transaction(void **state)
{
    struct env *e = *state;
    struct bridge *br = e->br;
    struct flow_txn *txn;
    struct of_group_mod gm;

    assert_int_equal(ADD(br, 1, ALL, "output:2"), 0);
    env_flow(br, "actions=group:1");
    env_in(e, 1, env_udp(2, 1, 0));
    txn = flow_txn_begin(br, time_mono_ms());
    gm = MOD(MODIFY, 1, ALL, "output:3", "output:4");
    assert_int_equal(flow_txn_apply_group(txn, &gm), 0);
    of_group_mod_done(&gm);
    gm = MOD(ADD, 2, ALL, "group:1");
    assert_int_equal(flow_txn_apply_group(txn, &gm), 0);
    of_group_mod_done(&gm);
    gm = make(OF_GROUP_DELETE, OF_GROUP_ALL, OF_GROUP_TYPE_ALL, NULL);
    assert_int_equal(flow_txn_apply_group(txn, &gm), 0);
    assert_null(group_find(br, 1));
    assert_null(env_rule(br, ""));
    flow_txn_abort(txn);
    assert_null(group_find(br, 2));
    assert_non_null(env_rule(br, ""));
    assert_int_equal(group_ref_count(br, 1), 1);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    megaflow_sync_stats(e->sw);
    assert_int_equal(group_find(br, 1)->counters->packets, 2);
    assert_int_equal(group_find(br, 1)->buckets[0]->packets, 2);
}

/* ---- packets ---- */

static void test_all(void **state)
{
    struct env *e = *state;
    struct bridge *br = e->br;

    assert_int_equal(ADD(br, 1, ALL, "mod_dl_dst:02:00:00:00:00:09,output:2", "output:3", "output:1"), 0);
    env_flow(br, "in_port=1,actions=group:1,output:4");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)),
                        "set(eth(dst=02:00:00:00:00:09)),2,set(eth(dst=02:00:00:00:00:02)),3,4");
    /* Modified: the megaflow is mended; the group's counters go on, the buckets' begin. */
    env_in(e, 1, env_udp(2, 1, 0));
    assert_int_equal(MODIFY(br, 1, ALL, "output:5"), 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "5,4");
    megaflow_sync_stats(e->sw);
    assert_int_equal(group_find(br, 1)->counters->packets, 3);
    assert_int_equal(group_find(br, 1)->buckets[0]->packets, 1);
    assert_int_equal(insert(br, 1, OF_BUCKET_LAST, "id=1,output:2"), 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "5,2,4");
    megaflow_sync_stats(e->sw);
    assert_int_equal(group_find(br, 1)->buckets[0]->packets, 2); /* it stayed */
    assert_int_equal(group_find(br, 1)->buckets[1]->packets, 1);
}

/* What a table that a bucket leads to writes is for the packet's own set, which is carried out at the end. */
static void test_written_in_bucket(void **state)
{
    struct env *e = *state;

    env_flow(e->br, "table=1,actions=write_actions(output:2)");
    assert_int_equal(ADD(e->br, 1, ALL, "mod_dl_dst:02:00:00:00:00:09,resubmit(,1)", "output:3"), 0);
    env_flow(e->br, "actions=group:1,output:4");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "3,4,2");
}

/* A bucket is an action set; a group in one beats the output. */
static void test_action_sets(void **state)
{
    struct env *e = *state;
    struct bridge *br = e->br;

    assert_int_equal(ADD(br, 1, ALL, "output:2,mod_dl_dst:02:00:00:00:00:09"), 0);
    assert_int_equal(ADD(br, 2, INDIRECT, "group:1,output:3"), 0);
    env_flow(br, "in_port=1,actions=write_actions(output:4,group:2)");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "set(eth(dst=02:00:00:00:00:09)),2");
    /* To a group that never came. */
    assert_int_equal(ADD(br, 3, ALL, "output:2", "group:77"), 0);
    env_flow(br, "in_port=2,actions=group:3");
    assert_string_equal(env_in(e, 2, env_udp(2, 1, 0)), "drop(group)");
}

static void test_failover(void **state)
{
    struct env *e = *state;
    struct bridge *br = e->br;
    struct port *p2 = bridge_port_by_ofp(br, ofp_port(2)), *p3 = bridge_port_by_ofp(br, ofp_port(3));

    assert_int_equal(ADD(br, 2, FAILOVER, "port=3,output:3"), 0);
    assert_int_equal(ADD(br, 1, FAILOVER, "port=2,output:2", "watch=2,group:2", "watch=9,output:5"), 0);
    env_flow(br, "in_port=1,actions=group:1");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    bridge_port_set_link(p2, p2->mac, false, true, 0, 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "3");
    bridge_port_set_config(p3, PORT_CONFIG_DOWN, PORT_CONFIG_DOWN);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "drop(group)");
    bridge_port_set_link(p2, p2->mac, false, false, 0, 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "2");
    bridge_port_del(p2);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "drop(group)");
    /* Groups that watch each other in a circle are not live by that. */
    assert_int_equal(MODIFY(br, 2, FAILOVER, "watch=1,output:4"), 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "drop(group)");
}

/* Which of ports 2 to 5 N connections (by source address) leave by. */
static void spread(struct env *e, unsigned int n, unsigned int *ret)
{
    memset(ret, 0, 6 * sizeof *ret);
    for (unsigned int i = 0; i < n; i++) {
        struct packet *p = env_udp(2, 1, 0);

        p->data[26] = (uint8_t)(i >> 8);
        p->data[27] = (uint8_t)i;
        const char *out = env_in(e, 1, p);
        if (out[0] >= '2' && out[0] <= '5' && !out[1]) {
            ret[out[0] - '0']++;
        }
        megaflow_flush(e->sw);
    }
}

static void test_select(void **state)
{
    struct env *e = *state;
    struct bridge *br = e->br;
    struct port *p3 = bridge_port_by_ofp(br, ofp_port(3));
    unsigned int before[6], after[6];

    assert_int_equal(
        ADD(br, 1, SELECT, "weight=1,output:2", "weight=2,port=3,output:3", "weight=5,output:4", "weight=0,output:5"),
        0);
    env_flow(br, "in_port=1,actions=group:1");
    spread(e, 4000, before);
    assert_int_equal(before[2] + before[3] + before[4], 4000);
    assert_in_range(before[2], 420, 580);
    assert_in_range(before[3], 900, 1100);
    /* One goes: what was elsewhere stays. */
    bridge_port_set_link(p3, p3->mac, false, true, 0, 0);
    spread(e, 4000, after);
    assert_int_equal(after[3], 0);
    assert_true(after[2] >= before[2] && after[4] >= before[4]);
    assert_int_equal(after[2] + after[4], 4000);
    assert_in_range(after[2], 580, 760);
}

static void test_select_looks(void **state)
{
    struct env *e = *state;
    struct of_group_mod gm;

    assert_int_equal(ADD(e->br, 1, SELECT, "output:2", "output:3"), 0);
    env_flow(e->br, "in_port=1,actions=group:1");
    env_in(e, 1, env_udp(2, 1, 0));
    _cleanup_free_ char *connection = env_megaflow(e);
    assert_string_equal(connection,
                        "recirc_id(0),dp_hash(0x39d/0x3ff),in_port(1),vlan(none),eth_type(0x0800),ipv4(frag=no)");
    megaflow_flush(e->sw);
    env_in(e, 1, env_arp(1, 2, 0));
    _cleanup_free_ char *other = env_megaflow(e);
    assert_string_equal(other, "recirc_id(0),dp_hash(0xee/0x3ff),in_port(1),vlan(none),eth_type(0x0806)");
    megaflow_flush(e->sw);
    gm = MOD(MODIFY, 1, SELECT, "output:2", "output:3");
    gm.group.method = OF_SELECT_HASH;
    gm.group.n_fields = 2;
    gm.group.fields = xcalloc(2, sizeof *gm.group.fields);
    gm.group.fields[0] = (struct of_selection_field){field_get(FIELD_IPV4_SRC), {.b = {255, 255, 255, 0}}};
    gm.group.fields[1] = (struct of_selection_field){field_get(FIELD_TCP_DST), {.b = {255, 255}}};
    assert_int_equal(apply(e->br, gm), 0);
    env_in(e, 1, env_udp(2, 1, 0));
    _cleanup_free_ char *fields = env_megaflow(e);
    assert_string_equal(fields, "recirc_id(0),in_port(1),vlan(none),eth_type(0x0800),"
                                "ipv4(src=10.0.0.0/255.255.255.0,proto=17,frag=no)");
}

/* How much of a connection's hash is looked at. */
static void test_select_share(void **state)
{
    struct env *e = *state;
    static const struct {
        enum of_selection_method method;
        const char *bucket, *mask;
    } cases[] = {
        {OF_SELECT_DEFAULT, "weight=1,output:2", "/0x3ff)"},
        {OF_SELECT_DP_HASH, "weight=1,output:2", "/0x3ff)"},
        {OF_SELECT_DEFAULT, "weight=7,output:2", "/0x3ff)"},
        {OF_SELECT_HASH, "weight=1,output:2", "/0xffffffff)"}, /* exact shares cost a megaflow a connection */
    };

    assert_int_equal(ADD(e->br, 1, SELECT, "output:2"), 0);
    env_flow(e->br, "in_port=1,actions=group:1");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct of_group_mod gm = MOD(MODIFY, 1, SELECT, cases[i].bucket, "weight=1,output:3");

        gm.group.method = cases[i].method;
        assert_int_equal(apply(e->br, gm), 0);
        megaflow_flush(e->sw);
        env_in(e, 1, env_udp(2, 1, 0));
        _cleanup_free_ char *key = env_megaflow(e);
        assert_non_null(strstr(key, cases[i].mask));
    }
    /* As much as the least weight needs. */
    assert_int_equal(MODIFY(e->br, 1, SELECT, "weight=1,output:2", "weight=31,output:3"), 0);
    megaflow_flush(e->sw);
    env_in(e, 1, env_udp(2, 1, 0));
    _cleanup_free_ char *uneven = env_megaflow(e);
    assert_non_null(strstr(uneven, "/0xfff)"));
    assert_int_equal(MODIFY(e->br, 1, SELECT, "weight=1,output:2", "weight=65535,output:3", "weight=0,output:4"), 0);
    megaflow_flush(e->sw);
    env_in(e, 1, env_udp(2, 1, 0));
    _cleanup_free_ char *most = env_megaflow(e);
    assert_non_null(strstr(most, "/0xffff)"));
}

/* The bucket is that of the packet as it came, so that what is written on its way moves no connection. */
static void test_select_behind_writes(void **state)
{
    struct env *e = *state;
    char bucket[2] = {0};

    assert_int_equal(ADD(e->br, 1, SELECT, "output:2", "output:3"), 0);
    for (unsigned int i = 0; i < 32; i++) {
        struct packet *p = env_udp(2, 1, 0);
        char flow[80];

        p->data[27] = (uint8_t)i;
        env_flow(e->br, "ip,in_port=1,actions=group:1");
        bucket[0] = env_in(e, 1, packet_clone(p))[0];
        snprintf(flow, sizeof flow, "ip,in_port=1,actions=mod_nw_src:9.9.9.%u,group:1", i);
        env_flow(e->br, flow);
        megaflow_revalidate_all(e->sw);
        assert_non_null(strstr(env_in(e, 1, p), bucket));
    }
}

/* All fragments of a packet have one bucket. */
static void test_select_fragments(void **state)
{
    struct env *e = *state;

    assert_int_equal(ADD(e->br, 1, SELECT, "output:2", "output:3"), 0);
    env_flow(e->br, "in_port=1,actions=group:1");
    for (unsigned int i = 0; i < 32; i++) {
        struct packet *first = env_udp(2, 1, 0), *later = env_udp(2, 1, 0);
        char bucket;

        first->data[20] = 0x20;
        later->data[21] = 2;
        first->data[27] = later->data[27] = (uint8_t)i;
        first->data[34] = (uint8_t)i; /* the source port, which is no port in the later one */
        bucket = env_in(e, 1, first)[0];
        assert_int_equal(env_in(e, 1, later)[0], bucket);
    }
}

/* ---- meters ---- */

static void test_meter_table(void **state)
{
    struct env *e = *state;
    struct bridge *br = e->br;
    struct removed removed = {0};
    const struct bridge_hooks hooks = {.flow_removed = on_removed, .aux = &removed};
    struct of_meter_mod mm = {.command = OF_METER_DELETE, .meter = {.id = OF_METER_ALL}};

    bridge_set_hooks(br, &hooks);
    assert_int_equal(env_apply(br, "actions=meter:1,output:2", FLOW_MOD_ADD), OFERR_METER_MOD_INVALID_METER);
    assert_int_equal(add_meter(br, OF_METER_MODIFY, 1, OF_METER_KBPS, 1, 0), OFERR_METER_UNKNOWN);
    assert_int_equal(add_meter(br, OF_METER_ADD, 1, OF_METER_KBPS, 1, 0), 0);
    assert_int_equal(add_meter(br, OF_METER_ADD, 1, OF_METER_KBPS, 1, 0), OFERR_METER_EXISTS);
    assert_int_equal(add_meter(br, OF_METER_ADD, OF_METER_CONTROLLER, OF_METER_PKTPS, 1, 0), 0);
    env_flow(br, "priority=1,send_flow_rem,actions=meter:1,output:2");
    assert_int_equal(env_apply(br, "actions=meter:4294967294,output:2", FLOW_MOD_ADD), OFERR_METER_MOD_INVALID_METER);
    assert_int_equal(meter_flow_count(br, 1), 1);
    assert_int_equal(meter_mod_apply(br, &mm, 0), 0);
    assert_int_equal(removed.n, 1);
    assert_int_equal(removed.reason, FLOW_REMOVED_METER);
    assert_null(meter_find(br, 1));
    assert_null(meter_find(br, OF_METER_CONTROLLER));
    bridge_set_hooks(br, NULL);
}

static void test_meter_actions(void **state)
{
    struct env *e = *state;
    struct bridge *br = e->br;

    assert_int_equal(add_meter(br, OF_METER_ADD, 7, OF_METER_PKTPS, 1, 0), 0);
    assert_int_equal(add_meter(br, OF_METER_ADD, 8, OF_METER_PKTPS, 1, 0), 0);
    env_flow(br, "in_port=1,actions=meter:8,output:2");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "meter(2),2");
    /* Counted even if it goes nowhere. */
    env_flow(br, "in_port=2,actions=meter:7");
    assert_string_equal(env_in(e, 2, env_udp(2, 1, 0)), "meter(1),drop(action)");
    /* A bucket's meter ends no more than the bucket, and header changes in it end with it. */
    assert_int_equal(ADD(br, 1, ALL, "meter:7,mod_dl_dst:02:00:00:00:00:09,output:2", "output:3"), 0);
    env_flow(br, "in_port=3,actions=mod_dl_src:02:00:00:00:00:08,output:5,group:1,output:4");
    assert_string_equal(env_in(e, 3, env_udp(2, 1, 0)),
                        "set(eth(src=02:00:00:00:00:08)),5,clone(meter(1),set(eth(dst=02:00:00:00:00:09)),2),4");
}

/* So does what another bridge does behind a patch port. */
static void test_meter_behind_patch(void **state)
{
    struct env *e = *state;
    struct bridge *other;

    assert_int_equal(bridge_create(e->sw, "br1", &other), 0);
    env_patch(e->br, "to1", 10, "to0");
    env_patch(other, "to0", 10, "to1");
    env_port(other, "q1", 1);
    assert_int_equal(add_meter(other, OF_METER_ADD, 1, OF_METER_PKTPS, 1, 0), 0);
    env_flow(e->br, "in_port=1,actions=output:10,output:2");
    env_flow(other, "actions=meter:1,output:1");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "clone(meter(1),6),2");
}

static void on_packet_in(void *aux, struct bridge *br WR_UNUSED, const struct packet_in_info *info)
{
    struct removed *r = aux;

    r->n++;
    r->reason = (enum flow_removed_reason)info->reason;
}

/* What goes to the controller from a bucket says so; and a meter before it stands before the detour. */
static void test_to_controller(void **state)
{
    struct env *e = *state;
    struct removed seen = {0};
    const struct bridge_hooks hooks = {.packet_in = on_packet_in, .aux = &seen};

    bridge_set_hooks(e->br, &hooks);
    assert_int_equal(add_meter(e->br, OF_METER_ADD, 7, OF_METER_PKTPS, 1, 0), 0);
    assert_int_equal(ADD(e->br, 1, ALL, "output:CONTROLLER"), 0);
    env_flow(e->br, "in_port=1,actions=meter:7,group:1");
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "meter(1)"); /* the first one: counted behind it */
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.reason, PACKET_IN_GROUP);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "meter(1)"); /* before it came up, and not again */
    assert_int_equal(seen.n, 2);
    assert_int_equal(add_meter(e->br, OF_METER_ADD, OF_METER_SLOWPATH, OF_METER_PKTPS, 1, 0), 0);
    megaflow_revalidate_all(e->sw);
    assert_string_equal(env_in(e, 1, env_udp(2, 1, 0)), "meter(2),meter(1)");
    bridge_set_hooks(e->br, NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, env_teardown)
    const struct CMUnitTest tests[] = {
        T(test_refused),
        T(test_buckets),
        T(test_too_long_a_bucket),
        T(test_too_many_buckets),
        T(test_references),
        T(test_bucket_without_its_meter),
        T(test_transaction),
        T(test_all),
        T(test_written_in_bucket),
        T(test_action_sets),
        T(test_failover),
        T(test_select),
        T(test_select_looks),
        T(test_select_fragments),
        T(test_select_share),
        T(test_select_behind_writes),
        T(test_meter_table),
        T(test_meter_actions),
        T(test_meter_behind_patch),
        T(test_to_controller),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
