/* SPDX-License-Identifier: Apache-2.0 */
/* What stations ask each other is foreseen from one packet, just as they send it; a pair is seen to once in a while,
 * and not too many at a time. */
#include <arpa/inet.h>
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "packet/drop.h"
#include "packet/packet.h"
#include "switch/neighbour.h"

/* 02:00:00:00:00:01 (10.0.0.1, fd00::1) to 02:00:00:00:00:02 (10.0.0.2, fd00::1234:5678), as Linux sends it. */
static const uint8_t udp4[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00,
    0x45, 0x00, 0x00, 0x1c, 0x00, 0x01, 0x40, 0x00, 0x40, 0x11, 0x26, 0xce, 0x0a, 0x00,
    0x00, 0x01, 0x0a, 0x00, 0x00, 0x02, 0x03, 0xe8, 0x07, 0xd0, 0x00, 0x08, 0x00, 0x00,
};
static const uint8_t arp_reply[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06,
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x0a, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x0a, 0x00, 0x00, 0x02,
};
static const uint8_t arp_request[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06,
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x0a, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x02,
};
static const uint8_t arp_request_to_all[] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06,
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x0a, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x02,
};
static const uint8_t udp6[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xdd, 0x60, 0x00,
    0x00, 0x00, 0x00, 0x08, 0x11, 0x40, 0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x12, 0x34, 0x56, 0x78, 0x03, 0xe8, 0x07, 0xd0, 0x00, 0x08, 0x91, 0x77,
};
static const uint8_t advert[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xdd, 0x60, 0x00,
    0x00, 0x00, 0x00, 0x18, 0x3a, 0xff, 0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x12, 0x34, 0x56, 0x78, 0x88, 0x00, 0xb7, 0xfb, 0x60, 0x00, 0x00, 0x00, 0xfd, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
};
static const uint8_t solicit[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xdd, 0x60, 0x00, 0x00, 0x00,
    0x00, 0x20, 0x3a, 0xff, 0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x01, 0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x12, 0x34, 0x56, 0x78,
    0x87, 0x00, 0xad, 0x46, 0x00, 0x00, 0x00, 0x00, 0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x12, 0x34, 0x56, 0x78, 0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01,
};
static const uint8_t solicit_to_all[] = {
    0x33, 0x33, 0xff, 0x34, 0x56, 0x78, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xdd, 0x60, 0x00, 0x00, 0x00,
    0x00, 0x20, 0x3a, 0xff, 0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x01, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0xff, 0x34, 0x56, 0x78,
    0x87, 0x00, 0xbe, 0x42, 0x00, 0x00, 0x00, 0x00, 0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x12, 0x34, 0x56, 0x78, 0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01,
};

struct frame {
    const uint8_t *data;
    size_t len;
};
#define FRAME(f)                                                                                                       \
    {                                                                                                                  \
        f, sizeof f                                                                                                    \
    }

static struct flow_key key_of(struct frame f)
{
    struct packet *p = packet_new(f.data, f.len);
    struct flow_key key;

    p->in_port = dp_port(7);
    flow_key_extract(p, &key);
    packet_free(p);
    return key;
}

static void test_keys(void **state WR_UNUSED)
{
    static const struct {
        struct frame first, then[NEIGHBOUR_KEYS];
    } cases[] = {{FRAME(udp4), {FRAME(arp_reply), FRAME(arp_request), FRAME(arp_request_to_all)}},
                 {FRAME(udp6), {FRAME(advert), FRAME(solicit), FRAME(solicit_to_all)}}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct flow_key key = key_of(cases[i].first), keys[NEIGHBOUR_KEYS];

        assert_int_equal(neighbour_keys(&key, keys), NEIGHBOUR_KEYS);
        for (size_t j = 0; j < NEIGHBOUR_KEYS; j++) {
            struct flow_key want = key_of(cases[i].then[j]);

            assert_memory_equal(&keys[j], &want, sizeof want);
        }
    }
}

/* Tags and tunnels are those of the packet. */
static void test_where(void **state WR_UNUSED)
{
    struct flow_key key = key_of((struct frame)FRAME(udp4)), keys[NEIGHBOUR_KEYS];

    key.vlan[0] = (struct flow_vlan){.tpid = htons(0x8100), .tci = htons(0x1005)};
    key.tunnel.id = htobe64(1234);
    key.tunnel.src.be32[3] = key.tunnel.dst.be32[3] = htonl(5678);
    assert_int_equal(neighbour_keys(&key, keys), NEIGHBOUR_KEYS);
    for (size_t i = 0; i < NEIGHBOUR_KEYS; i++) {
        assert_memory_equal(keys[i].vlan, key.vlan, sizeof key.vlan);
        assert_memory_equal(&keys[i].tunnel, &key.tunnel, sizeof key.tunnel);
    }
}

/* From 02:00:00:00:00:02 (10.0.0.2), as Linux answers a question to it alone. */
static const uint8_t arp_answer[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x08, 0x06,
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02,
    0x0a, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x01,
};
#define OUT(p)                                                                                                         \
    {                                                                                                                  \
        DP_ACTION_OUTPUT, sizeof(struct dp_action), p                                                                  \
    }

/* It comes from where the packet goes, with the tags that it has there. */
static void test_answer(void **state WR_UNUSED)
{
    static const struct dp_action out = OUT(9);
    static const struct {
        struct dp_action pop;
        struct dp_action_vlan push;
        struct dp_action out;
    } retagged = {{DP_ACTION_POP_VLAN, sizeof(struct dp_action), 0},
                  {{DP_ACTION_PUSH_VLAN, sizeof(struct dp_action_vlan), 0}, {0x0081, 0x0600}, 0},
                  OUT(9)};
    struct flow_key key = key_of((struct frame)FRAME(udp4)), want = key_of((struct frame)FRAME(arp_answer)), is;

    want.in_port = dp_port(9);
    assert_true(neighbour_answer(&key, &out, sizeof out, &is));
    assert_memory_equal(&is, &want, sizeof want);
    key.pkt_mark = 4;
    key.tunnel = (struct flow_tunnel){.id = 1, .src.b = {1}, .dst.b = {2}};
    key.vlan[0] = (struct flow_vlan){.tpid = htons(0x8100), .tci = htons(0x1005)};
    want.vlan[0] = (struct flow_vlan){.tpid = htons(0x8100), .tci = htons(0x1006)};
    assert_true(neighbour_answer(&key, &retagged, sizeof retagged, &is));
    assert_memory_equal(&is, &want, sizeof want);
    key = key_of((struct frame)FRAME(udp6));
    assert_true(neighbour_answer(&key, &out, sizeof out, &is));
    assert_int_equal(is.tp_src, htons(136));
    assert_memory_equal(&is.nd_target, &key.ip_dst, sizeof is.nd_target);
    assert_memory_equal(&is.ip_dst, &key.ip_src, sizeof is.ip_dst);
    assert_memory_equal(&is.eth_src, &key.eth_dst, sizeof is.eth_src);
}

static void test_answer_by_tunnel(void **state WR_UNUSED)
{
    struct {
        struct dp_action_tunnel tunnel;
        struct dp_action out;
    } a = {{{DP_ACTION_SET_TUNNEL, sizeof a.tunnel, 0},
            {.id = htobe64(77), .src.b = {1}, .dst.b = {2}, .flags = FLOW_TNL_KEY | FLOW_TNL_DF, .ttl = 64}},
           OUT(9)};
    struct flow_key key = key_of((struct frame)FRAME(udp4)), want = key_of((struct frame)FRAME(arp_answer)), is;

    want.in_port = dp_port(9);
    want.tunnel = (struct flow_tunnel){.id = htobe64(77), .src.b = {2}, .dst.b = {1}, .flags = FLOW_TNL_KEY};
    assert_true(neighbour_answer(&key, &a, sizeof a, &is));
    assert_memory_equal(&is, &want, sizeof want);
    memset(&a.tunnel.tunnel.src, 0, sizeof a.tunnel.tunnel.src); /* the route's choice */
    assert_false(neighbour_answer(&key, &a, sizeof a, &is));
}

static void test_no_answer(void **state WR_UNUSED)
{
    const struct dp_action flood[] = {OUT(9), OUT(8)}, drop = {DP_ACTION_DROP, sizeof drop, DROP_ACTION};
    const struct {
        struct dp_action_set set;
        struct dp_action out;
    } route = {{.h = {DP_ACTION_SET, sizeof route.set, DP_SET_ETH}}, OUT(9)};
    struct flow_key key = key_of((struct frame)FRAME(udp4)), arp = key_of((struct frame)FRAME(arp_request)), is;

    assert_false(neighbour_answer(&key, flood, sizeof flood, &is));
    assert_false(neighbour_answer(&key, &drop, sizeof drop, &is));
    assert_false(neighbour_answer(&key, &route, sizeof route, &is));
    assert_false(neighbour_answer(&arp, flood, sizeof flood[0], &is));
}

static void test_nothing_to_ask(void **state WR_UNUSED)
{
    static const struct frame frames[] = {FRAME(arp_request), FRAME(arp_request_to_all), FRAME(solicit), FRAME(advert)};
    struct flow_key keys[NEIGHBOUR_KEYS], to_all = key_of((struct frame)FRAME(udp4));

    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        struct flow_key key = key_of(frames[i]);

        assert_int_equal(neighbour_keys(&key, keys), 0);
    }
    to_all.eth_dst.a[0] |= 1;
    assert_int_equal(neighbour_keys(&to_all, keys), 0);
}

static void test_once_in_a_while(void **state WR_UNUSED)
{
    struct neighbours *n = xcalloc(1, sizeof *n);
    struct flow_key key = key_of((struct frame)FRAME(udp4)), other = key;

    assert_true(neighbours_ask(n, &key, 1000));
    key.tp_dst = htons(4711); /* another connection of the two */
    assert_false(neighbours_ask(n, &key, 1000 + NEIGHBOUR_AGAIN_MS - 1));
    assert_true(neighbours_ask(n, &key, 1000 + NEIGHBOUR_AGAIN_MS));
    other.in_port = dp_port(8);
    assert_true(neighbours_ask(n, &other, 1000 + NEIGHBOUR_AGAIN_MS));
    free(n);
}

static void test_not_too_many(void **state WR_UNUSED)
{
    struct neighbours *n = xcalloc(1, sizeof *n);
    struct flow_key key = key_of((struct frame)FRAME(udp4));
    unsigned int asked = 0;

    for (unsigned int i = 0; i < 3 * NEIGHBOUR_PAIRS; i++) {
        key.eth_src.a[5] = (uint8_t)i;
        asked += neighbours_ask(n, &key, 1000 + i % NEIGHBOUR_WINDOW_MS);
    }
    assert_int_equal(asked, NEIGHBOUR_PAIRS);
    key.eth_src.a[4] = 1;
    assert_true(neighbours_ask(n, &key, 1000 + NEIGHBOUR_WINDOW_MS));
    free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys),
                                       cmocka_unit_test(test_where),
                                       cmocka_unit_test(test_answer),
                                       cmocka_unit_test(test_answer_by_tunnel),
                                       cmocka_unit_test(test_no_answer),
                                       cmocka_unit_test(test_nothing_to_ask),
                                       cmocka_unit_test(test_once_in_a_while),
                                       cmocka_unit_test(test_not_too_many)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
