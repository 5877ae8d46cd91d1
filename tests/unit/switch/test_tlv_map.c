/* SPDX-License-Identifier: Apache-2.0 */
/* Mapping Geneve options to fields: what is refused, places that do not collide, options → fields → options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "openflow/error.h"
#include "openflow/text.h"
#include "switch/tlv_map.h"

static const struct {
    const char *name;
    struct tlv_mapping m;
    int error;
} adds[] = {
    {"4 bytes", {0xffff, 0, 4, 0}, 0},
    {"16 bytes", {0xffff, 1, 16, 63}, 0},
    {"no contents", {1, 9, 0, 9}, 0},
    {"not of words", {1, 1, 6, 5}, OFERR_TLV_BAD_OPT_LEN},
    {"too long", {1, 1, 20, 5}, OFERR_TLV_BAD_OPT_LEN},
    {"no such field", {1, 1, 4, 64}, OFERR_TLV_BAD_FIELD_IDX},
    {"the field is taken", {1, 1, 4, 63}, OFERR_TLV_ALREADY_MAPPED},
    {"the option is taken", {0xffff, 1, 4, 5}, OFERR_TLV_DUP_ENTRY},
};

static void test_add(void **state)
{
    struct tlv_map map = {.n = 0}, other = {.n = 0};
    const struct tlv_mapping longer = {7, 7, 8, 0}, same = {7, 7, 4, 0}, two[] = {{9, 1, 4, 10}, {9, 2, 4, 10}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(adds); i++) {
        print_message("%s\n", adds[i].name);
        assert_int_equal(tlv_map_add(&map, &adds[i].m, 1), adds[i].error);
    }
    assert_int_equal(map.n, 3);
    assert_int_equal(tlv_map_add(&map, two, 2), OFERR_TLV_ALREADY_MAPPED); /* none of both */
    assert_int_equal(map.n, 3);
    assert_null(tlv_map_find(&map, 9, 1));
    /* Another bridge may map the field too, to an option as long. */
    assert_int_equal(tlv_map_add(&other, &longer, 1), OFERR_TLV_BAD_OPT_LEN);
    assert_int_equal(tlv_map_add(&other, &same, 1), 0);
    tlv_map_clear(&map);
    assert_int_equal(field_get(FIELD_TUN_METADATA0)->n_bytes, 4);
    tlv_map_del(&other, &same, 1);
    assert_null(field_by_name("tun_metadata0", 13));
}

static void test_room(void **state)
{
    struct tlv_map map = {.n = 0};
    struct tlv_mapping m = {1, 0, 16, 0};

    (void)state;
    for (; m.index < FLOW_TUN_METADATA_LEN / 16; m.index++, m.opt_type++) {
        assert_int_equal(tlv_map_add(&map, &m, 1), 0);
    }
    assert_int_equal(tlv_map_add(&map, &m, 1), OFERR_TLV_TABLE_FULL);
    tlv_map_del(&map, &map.entries[3], 1);
    assert_int_equal(tlv_map_add(&map, &m, 1), 0);
    tlv_map_clear(&map);
}

static void test_both_ways(void **state)
{
    static const struct tlv_mapping mappings[] = {{0x102, 0x80, 4, 1}, {0x102, 1, 8, 0}, {5, 5, 4, 2}};
    static const uint8_t in[] = {0x01, 0x02, 0x80, 1, 1, 2, 3, 4, /* mapped, critical */
                                 0x00, 0x09, 0x01, 0,             /* not mapped */
                                 0x01, 0x02, 0x01, 2, 9, 8, 7, 6, 5, 4, 3, 2,
                                 0x00, 0x05, 0x05, 2, 0, 0, 0, 0, 0, 0, 0, 0}; /* of another length */
    static const uint8_t want[] = {0x01, 0x02, 0x01, 2, 9, 8, 7, 6, 5, 4, 3, 2, 0x01, 0x02, 0x80, 1, 1, 2, 3, 4};
    static const uint8_t unknown[] = {0x00, 0x09, 0x81, 0};
    struct tlv_map map = {.n = 0};
    struct flow flow = {0};
    struct match match;
    struct strbuf b = {0};
    uint8_t out[256];
    char *error = NULL;

    (void)state;
    assert_int_equal(tlv_map_add(&map, mappings, ARRAY_SIZE(mappings)), 0);
    assert_true(tlv_map_read(&map, in, sizeof in, &flow.tun_metadata));
    assert_int_equal(flow.tun_metadata.present, 3);
    assert_int_equal(tlv_map_write(&map, &flow, out), sizeof want);
    assert_memory_equal(out, want, sizeof want);
    assert_false(tlv_map_read(&map, unknown, sizeof unknown, &flow.tun_metadata));
    assert_int_equal(
        match_parse("tun_metadata0=0x908070605040302,tun_metadata1=0x1020304/0xff00ffff", NULL, &match, &error), 0);
    assert_true(match_hits(&match, &flow));
    match_format(&match, NULL, &b);
    assert_string_equal(strbuf_str(&b), "tun_metadata0=0x908070605040302,tun_metadata1=0x1000304/0xff00ffff");
    strbuf_done(&b);
    assert_int_equal(match_parse("tun_metadata2", NULL, &match, &error), 0);
    assert_false(match_hits(&match, &flow)); /* the option was not there */
    assert_int_equal(match_parse("tun_metadata1", NULL, &match, &error), 0);
    assert_true(match_hits(&match, &flow));
    tlv_map_clear(&map);
    assert_int_equal(match_parse("tun_metadata1", NULL, &match, &error), -EINVAL);
    free(error);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
