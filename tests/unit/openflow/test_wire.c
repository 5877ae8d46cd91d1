/* SPDX-License-Identifier: Apache-2.0 */
/* Wire vectors as real clients send them: decoding and encoding again gives the same bytes, and every cut is an error.
 */
#include "hex.h"
#include "openflow/action.h"
#include "openflow/error.h"
#include "openflow/match.h"

static const char *const action_vectors[] = {
    "ffff0010 00002320 000e 0007 1f000000",                    /* resubmit(7,31) */
    "ffff0010 00002320 000e fff8 3c000000",                    /* resubmit(,60) */
    "ffff0010 00002320 000e 0007 ff000000",                    /* resubmit:7 */
    "ffff0018 00002320 0006 0030 0000 0000 00012206 00012406", /* move:arp_sha->arp_tha */
    "00000010 00000007 ffff 000000000000",                     /* output:7 */
    "00000010 fffffffa 0000 000000000000",                     /* NORMAL */
    "00110008 8100 0000",                                      /* push_vlan */
    "00120008 00000000",                                       /* pop_vlan */
    "00190010 80000c02 1005 000000000000",                     /* set_field:4101->vlan_vid */
    "00190010 80004c08 0000000000000100",                      /* set_field:0x100->tun_id */
    "00190010 80002a02 0002 000000000000",                     /* set_field:2->arp_op */
    "00190010 00010c04 00000005 00000000",                     /* set_field:5->reg6 */
    "00190010 80000806 0a0b0c0d0e0f 0000",                     /* set_field->eth_src */
    "00150008 00000003",                                       /* set_queue:3 */
    "00180008 00000000",                                       /* dec_ttl */
    "ffff0018 00002320 0007 001f 00010604 0000000000000001",   /* load:1->reg3 */
    "ffff0010 00002320 0008 010203040506",                     /* note */
    "ffff0010 00002320 0011 000000000000",                     /* exit */
    "ffff0010 00002320 0013 0003 0004 0000",                   /* fin_timeout */
    "ffff0010 00002320 0014 0080 0003 00 00",                  /* controller(...) */
    "ffff0018 00002320 000f 001f 00010004 ffff 000000000000",  /* output:reg0 */
    "ffff0020 00002320 002a 000000000000 00000010 00000001 0000 000000000000",
    "ffff0060 00002320 0010 0000 012c 0001 1122334455667788 0000 14 00 0000 0000"
    "000c 00000802 0000 00000802 0000 0030 00000406 0000 00000206 0000 2810 0000 00000802 0000"
    "0840 00012008 0000 00012008 0000 1020 80000004 0000 00000000",
};

static void decode_all(const uint8_t *bytes, size_t n)
{
    struct ofpacts acts = {0};
    struct writer w = {0};
    struct reader r = reader_of(bytes, n);
    char *want = to_hex(bytes, n), *got;

    if (ofpacts_decode_actions(&r, 4, &acts)) {
        fail_msg("%s", want);
    }
    ofpacts_encode_actions(acts.data, acts.len, 4, &w);
    got = to_hex(w.data, w.len);
    assert_string_equal(got, want);
    for (size_t cut = 1; cut < n; cut++) {
        uint8_t *part = xmemdup(bytes, cut); /* of its own, so that the sanitizer sees reads beyond */

        r = reader_of(part, cut);
        acts.len = 0;
        assert_true(oferr_is(ofpacts_decode_actions(&r, 4, &acts)));
        assert_int_equal(acts.len, 0);
        free(part);
    }
    ofpacts_done(&acts);
    writer_done(&w);
    free(want);
    free(got);
}

static void actions_round_trip(void **state WR_UNUSED)
{
    uint8_t bytes[256];

    for (size_t i = 0; i < ARRAY_SIZE(action_vectors); i++) {
        decode_all(bytes, from_hex(action_vectors[i], bytes, sizeof bytes));
    }
}

static void instructions_round_trip(void **state WR_UNUSED)
{
    static const char *const vectors[] = {
        "0006 0008 00000001 0004 0010 00000000 0012 0008 00000000 0005 0008 00000000"
        "0003 0018 00000000 0000 0010 00000001 ffff 000000000000"
        "0002 0018 00000000 0000000000000003 000000000000000f 0001 0008 3b 000000",
        "0001 0008 02 000000",
    };
    uint8_t bytes[256];

    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        size_t n = from_hex(vectors[i], bytes, sizeof bytes);
        struct reader r = reader_of(bytes, n);
        struct ofpacts acts = {0};
        struct writer w = {0};

        assert_int_equal(ofpacts_decode_instructions(&r, 4, &acts), 0);
        ofpacts_encode_instructions(acts.data, acts.len, 4, &w);
        assert_int_equal(w.len, n);
        assert_memory_equal(w.data, bytes, n);
        for (size_t cut = 1; cut < n; cut++) {
            r = reader_of(bytes, cut);
            acts.len = 0;
            if (ofpacts_decode_instructions(&r, 4, &acts)) {
                assert_int_equal(acts.len, 0);
            } else {
                /* only between two instructions */
                w.len = 0;
                ofpacts_encode_instructions(acts.data, acts.len, 4, &w);
                assert_int_equal(w.len, cut);
            }
        }
        ofpacts_done(&acts);
        writer_done(&w);
    }
}

static int decode_actions(const char *hex)
{
    uint8_t bytes[256];
    struct reader r = reader_of(bytes, from_hex(hex, bytes, sizeof bytes));
    struct ofpacts acts = {0};
    int error = ofpacts_decode_actions(&r, 4, &acts);

    ofpacts_done(&acts);
    return error;
}

static void action_errors(void **state WR_UNUSED)
{
    static const struct {
        const char *hex;
        int error;
    } cases[] = {
        {"00000010 ffffffff ffff 000000000000", OFERR_ACTION_BAD_OUT_PORT},
        {"00000010 0000ff05 ffff 000000000000", OFERR_ACTION_BAD_OUT_PORT},
        {"00000008 00000001", OFERR_ACTION_BAD_LEN},
        {"00010008 00000001", OFERR_ACTION_BAD_TYPE},
        {"001d0008 00000001", OFERR_ACTION_BAD_TYPE}, /* meter: from 1.5 on */
        {"001c0018 0020 0000 0000 0000 00010004 00010204 00000000", OFERR_ACTION_BAD_TYPE},
        {"00110008 0800 0000", OFERR_ACTION_BAD_ARGUMENT},
        {"00190010 80000c02 0005 000000000000", OFERR_ACTION_BAD_SET_ARGUMENT}, /* without the present bit */
        {"00190010 80000a02 0800 000000000000", OFERR_ACTION_BAD_SET_ARGUMENT}, /* eth_type is read-only */
        {"00190010 80007f02 0800 000000000000", OFERR_ACTION_BAD_SET_TYPE},
        {"00190010 80000c03 0800 000000000000", OFERR_ACTION_BAD_SET_LEN},
        {"ffff0010 00001234 0001 000000000000", OFERR_ACTION_BAD_EXPERIMENTER},
        {"ffff0010 00002320 1234 000000000000", OFERR_ACTION_BAD_EXP_TYPE},
        {"ffff0018 00002320 0006 0031 0000 0000 80003006 80003206", OFERR_ACTION_BAD_SET_LEN},
        {"ffff0018 00002320 0007 0003 00010604 0000000000000010", OFERR_ACTION_BAD_ARGUMENT},
        {"ffff0010 00002320 0022 00 01 00000001", OFERR_NXBAC_BAD_CONJUNCTION},
        {"ffff0010 00002320 0022 02 02 00000001", OFERR_NXBAC_BAD_CONJUNCTION},
        {"ffff0010 00002320 0027 0001 0000000d", OFERR_ACTION_BAD_ARGUMENT},
        {"ffff0010 00002320 0027 fffd 00000064", OFERR_ACTION_BAD_OUT_PORT},
        {"ffff0010 00002320 0023 000000000000", OFERR_ACTION_BAD_EXP_TYPE},
        {"ffff0010 00002320 002b 000000000000", OFERR_ACTION_BAD_EXP_TYPE},
        {"ffff0018 00002320 0025 000000000000 0004 0004 00000000", OFERR_ACTION_BAD_ARGUMENT}, /* pause */
        {"ffff0020 00002320 0016 000000000000 0000000000000005 ffffffffffffffff", OFERR_ACTION_BAD_EXP_TYPE},
        {"ffff0018 00002320 001b 0000 0001 0004 0021 000000000000", OFERR_ACTION_BAD_SET_LEN},
        {"ffff0018 00002320 001c 0000 8000 0a02 0010 000000000000", OFERR_ACTION_BAD_SET_ARGUMENT},
        {"ffff0020 00002320 000a 0007 0032 0000 0000 0000 00000000 0000 001f 00010004", OFERR_ACTION_BAD_ARGUMENT},
        {"ffff0020 00002320 000a 0000 0032 0000 0004 0000 00000000 0000 001f 00010004", OFERR_ACTION_BAD_ARGUMENT},
        {"ffff0020 00002320 000a 0000 0032 0000 0000 0400 00000000 0000 0003 00010004", OFERR_ACTION_BAD_ARGUMENT},
        {"ffff0028 00002320 000c 0001 0000 0000 00000002 0001 0000 00000000 00000000 fffd 000000000000",
         OFERR_ACTION_BAD_OUT_PORT},
        {"ffff0028 00002320 000d 0001 0000 0000 00000002 0001 000e 00010004 00000000 0001 000000000000",
         OFERR_ACTION_BAD_ARGUMENT},
        {"ffff0020 00002320 000c 0001 0000 0000 00000002 0001 0000 00000000 00000000", OFERR_ACTION_BAD_LEN},
        {"ffff0010 00002320 0015 0002 00000000", OFERR_ACTION_BAD_LEN},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_string_equal(oferr_name(decode_actions(cases[i].hex)), oferr_name(cases[i].error));
    }
}

/* Geneve options as fields: whoever sets one need not know how long it is, but it must be mapped. */
static void option_lengths(void **state WR_UNUSED)
{
    static const struct {
        const char *hex;
        int error;
    } cases[] = {
        {"00190010 00015004 00001234 00000000", 0},
        {"00190010 00015002 1234 000000000000", 0},
        {"00190010 00015008 0000000000001234", 0},
        {"00190010 00015008 0000000100001234", OFERR_ACTION_BAD_SET_LEN},
        {"00190010 00015204 00001234 00000000", OFERR_TLV_INVALID_FIELD},
        {"ffff0018 00002320 0007 001f 00015204 0000000000001234", OFERR_TLV_INVALID_FIELD},
        {"ffff0018 00002320 0007 001f 0001507c 0000000000001234", 0}, /* the longest, when nothing is known */
    };

    assert_int_equal(field_map_tun_metadata(0, 4), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t bytes[64];
        struct reader r = reader_of(bytes, from_hex(cases[i].hex, bytes, sizeof bytes));
        struct ofpacts acts = {0};
        struct writer w = {0};
        char *hex;

        assert_string_equal(oferr_name(ofpacts_decode_actions(&r, 4, &acts)), oferr_name(cases[i].error));
        if (!cases[i].error) {
            ofpacts_encode_actions(acts.data, acts.len, 4, &w);
            hex = to_hex(w.data, w.len);
            assert_non_null(strstr(hex, "00015004"));
            assert_non_null(strstr(hex, "00001234"));
            free(hex);
        }
        writer_done(&w);
        ofpacts_done(&acts);
    }
    field_unmap_tun_metadata(0);
}

static void deep_clone_is_refused(void **state WR_UNUSED)
{
    uint8_t bytes[16 * 1024] = {0};
    struct reader r = reader_of(bytes, sizeof bytes);
    struct ofpacts acts = {0};

    for (size_t i = 0; i < sizeof bytes; i += 16) {
        size_t len = sizeof bytes - i;
        uint8_t head[] = {0xff, 0xff, (uint8_t)(len >> 8), (uint8_t)len, 0, 0, 0x23, 0x20, 0, 42};

        memcpy(bytes + i, head, sizeof head);
    }
    assert_int_equal(ofpacts_decode_actions(&r, 4, &acts), OFERR_ACTION_TOO_MANY);
    ofpacts_done(&acts);
}

static int decode_match(const char *hex, struct match *m)
{
    uint8_t bytes[256];
    struct reader r = reader_of(bytes, from_hex(hex, bytes, sizeof bytes));
    __be64 cookie = 0, mask = 0;

    return match_decode(&r, m, &cookie, &mask);
}

static void match_vectors(void **state WR_UNUSED)
{
    static const struct {
        const char *in, *out; /* NULL: the same */
    } cases[] = {
        {"80000c02 0000", NULL},
        {"80000004 00000001 80000a02 0806 80000c02 1001 80002c04 0a4e0064", NULL},
        {"80000a02 0806 80002d08 0a4e0064 ffffffff", "80000a02 0806 80002c04 0a4e0064"},
        {"00010404 00000001 80000004 00000005", "80000004 00000005 00010404 00000001"},
        {"00000002 fffe", "80000004 fffffffe"},
        {"80000c02 1000", NULL},
        {"80000d04 1000 1000", NULL},
        {"00000904 0001 0fff", "80000d04 0001 0fff"},
        {"00000802 1005 ", "80000c02 1005 80000e01 00"},
        {"80000a02 86dd 80001401 3a 80003a01 88 80003f20 fe80000000000000 0000000000000000 ffffffffffffffff "
         "0000000000000000",
         NULL},
        {"80010408 0000000100000002", "00010804 00000001 00010a04 00000002"}, /* xreg2 */
        {"00013f08 0a000000 ff000000", NULL},                                 /* tun_src masked */
        {"00013e04 0a000001", NULL},
        {"0001da10 fe800000000000000000000000000001", NULL},
        {"80000a02 0800 80001401 06 ffff5406 4f4e4600 0012", NULL},
        {"80000a02 0800 80001401 06 00014402 0012", "80000a02 0800 80001401 06 ffff5406 4f4e4600 0012"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct match m;
        struct writer w = {0};
        uint8_t bytes[256];
        size_t n = from_hex(cases[i].out ? cases[i].out : cases[i].in, bytes, sizeof bytes);
        char *want = to_hex(bytes, n), *got;

        assert_int_equal(decode_match(cases[i].in, &m), 0);
        match_encode(&m, 4, &w);
        got = to_hex(w.data, w.len);
        assert_string_equal(got, want);
        free(want);
        free(got);
        writer_done(&w);
    }
}

static void match_errors(void **state WR_UNUSED)
{
    static const struct {
        const char *hex;
        int error;
    } cases[] = {
        {"80002c04 0a4e0064", OFERR_MATCH_BAD_PREREQ},
        {"80000a02 0806 80000a02 0806", OFERR_MATCH_DUP_FIELD},
        {"80010408 0000000100000002 00010804 00000001", OFERR_MATCH_DUP_FIELD},
        {"00000802 1005 80000c02 1005", OFERR_MATCH_DUP_FIELD},
        {"80007e02 0806", OFERR_MATCH_BAD_FIELD},
        {"80000a04 08060000", OFERR_MATCH_BAD_LEN},
        {"80000a02 08", OFERR_MATCH_BAD_LEN},
        {"8000", OFERR_MATCH_BAD_LEN},
        {"80000b04 0806 ff00", OFERR_MATCH_BAD_WILDCARDS},
        {"80000b04 0800 ff00", OFERR_MATCH_BAD_MASK},
        {"80000c02 2001", OFERR_MATCH_BAD_VALUE},
        {"80000004 0000ff05", OFERR_MATCH_BAD_VALUE},
    };
    struct match m;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_string_equal(oferr_name(decode_match(cases[i].hex, &m)), oferr_name(cases[i].error));
    }
}

static void match_cookie(void **state WR_UNUSED)
{
    uint8_t bytes[64];
    struct reader r = reader_of(bytes, from_hex("00013d10 0000000000000005 00000000000000ff", bytes, sizeof bytes));
    struct match m;
    __be64 cookie = 0, mask = 0;
    static const uint8_t want[8] = {[7] = 5}, want_mask[8] = {[7] = 0xff};

    assert_int_equal(match_decode(&r, &m, &cookie, &mask), 0);
    assert_memory_equal(&cookie, want, 8);
    assert_memory_equal(&mask, want_mask, 8);
    r = reader_of(bytes, 20);
    assert_int_equal(match_decode(&r, &m, NULL, NULL), OFERR_MATCH_BAD_FIELD);
}

static void covers_and_overlaps(void **state WR_UNUSED)
{
    struct match any, arp, arp_from, ip;

    match_init(&any);
    assert_int_equal(decode_match("80000a02 0806", &arp), 0);
    assert_int_equal(decode_match("80000a02 0806 80002c04 0a4e0064", &arp_from), 0);
    assert_int_equal(decode_match("80000a02 0800", &ip), 0);
    assert_true(match_covers(&any, &arp));
    assert_true(match_covers(&arp, &arp_from));
    assert_false(match_covers(&arp_from, &arp));
    assert_false(match_covers(&ip, &arp));
    assert_true(match_overlaps(&arp, &arp_from));
    assert_false(match_overlaps(&arp, &ip));
    assert_true(match_equal(&arp, &arp));
    assert_false(match_equal(&arp, &ip));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_round_trip),  cmocka_unit_test(instructions_round_trip),
        cmocka_unit_test(action_errors),       cmocka_unit_test(deep_clone_is_refused),
        cmocka_unit_test(option_lengths),      cmocka_unit_test(match_vectors),
        cmocka_unit_test(match_errors),        cmocka_unit_test(match_cookie),
        cmocka_unit_test(covers_and_overlaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
