/* SPDX-License-Identifier: Apache-2.0 */
/* Action lists: what is refused, and what runs, seen through the upcall of DP_ACTION_SLOW. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>

#include "datapath/userspace/userspace.h"

struct fixture {
    struct event_base *base;
    struct datapath *dp;
    unsigned int upcalls;
    struct flow_key seen; /* of the last packet that came up */
    uint32_t slow_reason;
    unsigned int samples, unfaithful;
    dp_flow_id sampled;
    bool delete_sampled;
};

static void on_sample(void *aux, const struct flow_key *key, const struct dp_flow *flow, bool faithful)
{
    struct fixture *f = aux;

    f->samples++;
    f->unfaithful += !faithful || memcmp(&key->in_port, &flow->key->in_port, sizeof(key->in_port)) != 0;
    f->sampled = flow->id;
    if (f->delete_sampled) {
        assert_int_equal(dp_flow_del(f->dp, flow->id, NULL), 0);
    }
}

static void on_upcall(void *aux, const struct dp_upcall *u)
{
    struct fixture *f = aux;

    f->upcalls++;
    f->slow_reason = u->slow_reason;
    flow_key_extract(u->packet, &f->seen);
}

static struct packet *frame(void)
{
    static const uint8_t bytes[60] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

    return packet_new(bytes, sizeof(bytes));
}

/* A list under construction. */
struct list {
    uint64_t data[256];
    size_t len;
};

static void *add(struct list *l, enum dp_action_type type, size_t len, uint32_t arg)
{
    struct dp_action *a = (struct dp_action *)(void *)((char *)l->data + l->len);

    memset(a, 0, len);
    a->type = (uint16_t)type;
    a->len = (uint16_t)len;
    a->arg = arg;
    l->len += len;
    return a;
}

static int run(struct fixture *f, const struct list *l)
{
    struct packet *p = frame();
    int error = dp_execute(f->dp, p, (const struct dp_action *)(const void *)l->data, l->len);

    packet_free(p);
    return error;
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    struct list l = {.len = 0};
    struct dp_action *a;

    a = add(&l, DP_ACTION_SET, 8, 0); /* its body is not there */
    assert_int_equal(run(f, &l), -EINVAL);
    a->type = 99;
    assert_int_equal(run(f, &l), -EINVAL);
    a->type = DP_ACTION_POP_VLAN;
    a->len = 12;
    assert_int_equal(run(f, &l), -EINVAL);
    a->len = 16; /* beyond the end */
    assert_int_equal(run(f, &l), -EINVAL);
    a->len = 0;
    assert_int_equal(run(f, &l), -EINVAL);
    a->len = 8;
    l.len = 4;
    assert_int_equal(run(f, &l), -EINVAL);
    l.len = 0;
    for (unsigned int i = 0; i < 20; i++) { /* clones nested too deep */
        a = add(&l, DP_ACTION_CLONE, 8, 0);
        a->len = (uint16_t)(8 * (20 - i));
    }
    assert_int_equal(run(f, &l), -EINVAL);
    l.len = 0;
    add(&l, DP_ACTION_DROP, 8, DROP_MAX);
    assert_int_equal(run(f, &l), -EINVAL);
}

static void test_clone_and_vlan(void **state)
{
    struct fixture *f = *state;
    struct list l = {.len = 0};
    struct dp_action *clone;
    struct dp_action_vlan *vlan;

    clone = add(&l, DP_ACTION_CLONE, 8, 0);
    vlan = add(&l, DP_ACTION_PUSH_VLAN, sizeof(*vlan), 0);
    vlan->vlan = (struct flow_vlan){htobe16(0x8100), htobe16(5)};
    add(&l, DP_ACTION_SLOW, 8, DP_SLOW_CONTROLLER);
    clone->len = (uint16_t)l.len;
    assert_int_equal(run(f, &l), 0);
    assert_int_equal(f->upcalls, 1);
    assert_int_equal(f->slow_reason, DP_SLOW_CONTROLLER);
    assert_int_equal(f->seen.vlan[0].tci, htobe16(0x1005));
    add(&l, DP_ACTION_SLOW, 8, DP_SLOW_ACTION); /* the packet itself has no tag */
    assert_int_equal(run(f, &l), 0);
    assert_int_equal(f->upcalls, 3);
    assert_int_equal(f->slow_reason, DP_SLOW_ACTION);
    assert_int_equal(f->seen.vlan[0].tci, 0);
}

static void test_set_and_drop(void **state)
{
    struct fixture *f = *state;
    const uint64_t *drops = dp_drops(f->dp);
    struct list l = {.len = 0};
    struct dp_action_set *set = add(&l, DP_ACTION_SET, sizeof(*set), DP_SET_ETH | DP_SET_MARK);

    set->key.eth_dst.a[0] = 0x0a;
    set->mask.eth_dst.a[0] = 0xff;
    set->key.pkt_mark = 0x12;
    set->mask.pkt_mark = 0xff;
    add(&l, DP_ACTION_SLOW, 8, DP_SLOW_ACTION);
    add(&l, DP_ACTION_DROP, 8, DROP_ACTION);
    add(&l, DP_ACTION_SLOW, 8, DP_SLOW_ACTION); /* not reached */
    assert_int_equal(run(f, &l), 0);
    assert_int_equal(f->upcalls, 1);
    assert_int_equal(f->seen.eth_dst.a[0], 0x0a);
    assert_int_equal(f->seen.eth_dst.a[5], 2);
    assert_int_equal(f->seen.pkt_mark, 0x12);
    assert_int_equal(drops[DROP_ACTION], 1);
    set->h.arg = DP_SET_IPV4; /* there is no IPv4 header */
    assert_int_equal(run(f, &l), 0);
    assert_int_equal(drops[DROP_BAD_ACTION], 1);
    assert_int_equal(f->upcalls, 1);
    l.len = 0;
    add(&l, DP_ACTION_OUTPUT, 8, 77);
    assert_int_equal(run(f, &l), 0);
    assert_int_equal(drops[DROP_NO_PORT], 1);
}

/* A meter that is not there lets pass; one that is drops what comes after it, in its own clone only. */
static void test_meter(void **state)
{
    struct fixture *f = *state;
    const struct dp_meter_config one_packet = {.pktps = 1, .n_bands = 1, .bands = {{.rate = 1, .burst = 1}}};
    const struct dp_meter_config no_rate = {.n_bands = 1};
    struct dp_meter_stats stats;
    struct list l = {.len = 0};
    struct dp_action *clone;

    clone = add(&l, DP_ACTION_CLONE, 8, 0);
    add(&l, DP_ACTION_METER, 8, 7);
    add(&l, DP_ACTION_SLOW, 8, DP_SLOW_ACTION);
    clone->len = 24;
    add(&l, DP_ACTION_SLOW, 8, DP_SLOW_ACTION);
    assert_int_equal(run(f, &l), 0);
    assert_int_equal(f->upcalls, 2);

    assert_int_equal(dp_meter_set(f->dp, 0, &one_packet), -EINVAL);
    assert_int_equal(dp_meter_set(f->dp, DP_METER_ID_MAX + 1, &one_packet), -EINVAL);
    assert_int_equal(dp_meter_set(f->dp, 7, &no_rate), -EINVAL);
    assert_int_equal(dp_meter_get_stats(f->dp, 7, &stats), -ENOENT);
    assert_int_equal(dp_meter_set(f->dp, 7, &one_packet), 0);
    assert_int_equal(run(f, &l), 0);
    assert_int_equal(f->upcalls, 4);
    assert_int_equal(run(f, &l), 0);
    assert_int_equal(f->upcalls, 5);
    assert_int_equal(dp_drops(f->dp)[DROP_METER], 1);
    assert_int_equal(dp_meter_ask(f->dp, 7, 100, 1), -EBUSY);
    assert_int_equal(dp_meter_get_stats(f->dp, 7, &stats), 0);
    assert_int_equal(stats.in.packets, 3);
    assert_int_equal(stats.in.bytes, 220);
    assert_int_equal(stats.bands[0].packets, 2);
    assert_int_equal(stats.bands[0].bytes, 160);

    /* Modified: the bucket is full again, the band counts from zero. */
    assert_int_equal(dp_meter_set(f->dp, 7, &one_packet), 0);
    assert_int_equal(dp_meter_ask(f->dp, 7, 100, 1), 0);
    assert_int_equal(dp_meter_get_stats(f->dp, 7, &stats), 0);
    assert_int_equal(stats.in.packets, 4);
    assert_int_equal(stats.bands[0].packets, 0);
    assert_int_equal(dp_meter_del(f->dp, 7), 0);
    assert_int_equal(dp_meter_del(f->dp, 7), -ENOENT);
    assert_int_equal(dp_meter_ask(f->dp, 7, 100, 1), -ENOENT);
}

/* What is below a label cannot be left to a device: a TCP super-packet becomes frames before. */
static void test_mpls_super_packet(void **state)
{
    static const uint8_t headers[54] = {
        2,    0, 0, 0, 0, 2, 2,    0, 0,  0, 0, 1, 0x08, 0x00, /* IPv4, total length below */
        0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10,   0,    0, 1, 10, 0, 0, 2,
        0,    1, 0, 2, 0, 0, 0,    1, 0,  0, 0, 1, 0x50, 0x10, 1, 0, 0,  0, 0, 0};
    struct fixture *f = *state;
    struct packet *p = packet_new(NULL, sizeof(headers) + 2500);
    struct list l = {.len = 0};
    struct dp_action_mpls *push = add(&l, DP_ACTION_PUSH_MPLS, sizeof(*push), 0);
    struct flow_key scratch;
    __be16 len = htobe16(40 + 2500);

    push->lse = htobe32(7 << 12 | 0x100 | 64);
    push->eth_type = htobe16(0x8847);
    add(&l, DP_ACTION_SLOW, sizeof(struct dp_action), DP_SLOW_ACTION);
    memset(p->data, 0, p->len);
    memcpy(p->data, headers, sizeof(headers));
    memcpy(p->data + 16, &len, sizeof(len));
    p->offload = (struct packet_offload){
        .flags = 1, .gso_type = 1, .hdr_len = 54, .gso_size = 1000, .csum_start = 34, .csum_offset = 16};
    flow_key_extract(p, &scratch);
    assert_int_equal(dp_execute(f->dp, p, (const struct dp_action *)(const void *)l.data, l.len), 0);
    assert_int_equal(f->upcalls, 3);
    assert_int_equal(f->seen.eth_type, htobe16(0x8847));
    assert_int_equal(f->seen.mpls_lse[0], push->lse);
    packet_free(p);
}

/* Packets of a known flow are drawn for the handler, which may delete the flow: this packet is handled all the same. */
static void test_samples(void **state)
{
    struct fixture *f = *state;
    struct flow_key mask = {.in_port = DP_PORT_NONE}, key = {.in_port = dp_port(7)}, whole;
    struct dp_action slow = {DP_ACTION_SLOW, sizeof(slow), 3};
    struct dp_flow flow = {.id = 5, .key = &key, .mask = &mask, .actions = &slow, .actions_len = sizeof(slow)};
    struct us_datapath *us = us_datapath_of(f->dp);
    struct packet *p = frame();

    p->in_port = dp_port(7);
    flow_key_extract(p, &whole);
    assert_int_equal(dp_flow_put(f->dp, &flow), 0);
    for (int i = 0; i < 1000; i++) {
        us_process(us, p, &whole);
    }
    assert_int_equal(f->samples, 0); /* nobody asked for any */
    dp_set_sample(f->dp, 10);
    for (int i = 0; i < 10000; i++) {
        us_process(us, p, &whole);
    }
    assert_in_range(f->samples, 900, 1100);
    assert_int_equal(f->unfaithful, 0);
    assert_int_equal(f->sampled, 5);
    megaflows_find(&us->flows, 5)->key.eth_type = htobe16(1); /* a planted fault */
    megaflows_find(&us->flows, 5)->subtable->mask.eth_type = htobe16(0xffff);
    f->samples = f->upcalls = 0;
    f->delete_sampled = true;
    dp_set_sample(f->dp, 1);
    us_process(us, p, &whole);
    assert_int_equal(f->samples, 1);
    assert_int_equal(f->unfaithful, 1);
    assert_int_equal(f->upcalls, 1);
    assert_int_equal(f->slow_reason, 3);
    assert_null(megaflows_find(&us->flows, 5));
    packet_free(p);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct dp_callbacks cb = {.upcall = on_upcall, .sample = on_sample, .aux = f};

    f->base = event_base_new();
    *state = f;
    assert_null(dp_class_find("none"));
    return dp_open("userspace", f->base, &cb, &f->dp);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    dp_close(f->dp);
    dp_close(NULL);
    event_base_free(f->base);
    free(f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clone_and_vlan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_set_and_drop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_meter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mpls_super_packet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_samples, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
