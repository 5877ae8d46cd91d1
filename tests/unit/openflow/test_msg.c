/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: what is encoded decodes to the same, every cut and every wrong value is the OpenFlow error that the
 * standard names. */
#include <endian.h>

#include "hex.h"
#include "openflow/action_codec.h"
#include "openflow/match_legacy.h"
#include "openflow/msg_table.h"
#include "openflow/text.h"

#define V OF_VERSION_13

static struct of_flow_mod flow_mod_of(const char *text)
{
    struct flow_spec s;
    char *error = NULL;

    if (flow_parse(text, NULL, &s, &error)) {
        fail_msg("%s: %s", text, error);
    }
    return (struct of_flow_mod){
        .command = OF_FLOW_ADD,
        .table = s.table == TABLE_ID_ALL ? 0 : s.table,
        .priority = s.priority,
        .idle_timeout = s.idle_timeout,
        .hard_timeout = s.hard_timeout,
        .flags = s.flags,
        .cookie = s.cookie,
        .buffer_id = OF_NO_BUFFER,
        .out_group = OF_GROUP_ANY,
        .out_port = OFPP_ANY,
        .match = s.match,
        .acts = s.acts,
    };
}

/* The body of W's only message, whose header is checked. */
static struct reader body_of(const struct writer *w, enum of_type type, uint32_t xid)
{
    struct of_header h;

    assert_int_equal(w->error, 0);
    assert_int_equal(of_header_decode(w->data, w->len, &h), 0);
    assert_int_equal(h.version, V);
    assert_int_equal(h.type, type);
    assert_int_equal(h.length, w->len);
    assert_int_equal(h.xid, xid);
    return reader_of(w->data + OF_HEADER_LEN, w->len - OF_HEADER_LEN);
}

/* ---- flow_mod ---- */

static const char *const flows[] = {
    "table=3,priority=5,cookie=0x123456789,idle_timeout=1,hard_timeout=2,send_flow_rem,in_port=1,tcp,tp_dst=80,actions="
    "output:2,NORMAL",
    "priority=0,actions=drop",
    "table=10,actions=learn(table=20,hard_timeout=300,priority=1,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_"
    "SRC[],"
    "load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[]),output:1",
    "dl_vlan=5,actions=pop_vlan,set_field:7->tun_id,goto_table:9",
};

static void test_flow_mod(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        struct of_flow_mod fm = flow_mod_of(flows[i]), again;
        struct writer w = {0};

        of_flow_mod_encode(&w, V, &fm, 77);
        struct reader r = body_of(&w, OFT_FLOW_MOD, 77);
        assert_int_equal(of_flow_mod_decode(&r, &(struct of_flow_format){.version = V}, &again), 0);
        assert_true(match_equal(&fm.match, &again.match));
        assert_true(ofpacts_equal(fm.acts.data, fm.acts.len, again.acts.data, again.acts.len));
        assert_int_equal(again.cookie, fm.cookie);
        assert_int_equal(again.table, fm.table);
        assert_int_equal(again.priority, fm.priority);
        assert_int_equal(again.flags, fm.flags);
        assert_int_equal(again.idle_timeout, fm.idle_timeout);
        assert_int_equal(again.hard_timeout, fm.hard_timeout);
        of_flow_mod_done(&again);
        for (size_t cut = 0; cut < w.len - OF_HEADER_LEN; cut++) {
            uint8_t *part = xmemdup(w.data + OF_HEADER_LEN, cut);

            r = reader_of(part, cut);
            memset(&again, 0x5a, sizeof again);
            int error = of_flow_mod_decode(&r, &(struct of_flow_format){.version = V}, &again);
            if (!error) { /* the cut was between two instructions */
                of_flow_mod_done(&again);
            } else {
                assert_true(oferr_is(error));
                assert_int_equal(again.priority, 0x5a5a); /* untouched */
            }
            if (cut < 40) {
                assert_int_equal(error, OFERR_BAD_LEN);
            }
            free(part);
        }
        of_flow_mod_done(&fm);
        writer_done(&w);
    }
}

/* Offsets are those of the message. */
static const struct {
    const char *what;
    size_t at;
    uint8_t value;
    int error;
} bad_flow_mods[] = {
    {"table 254", 24, 254, OFERR_EPERM},
    {"all tables in an add", 24, 255, OFERR_FLOW_MOD_BAD_TABLE_ID},
    {"command 5", 25, 5, OFERR_FLOW_MOD_BAD_COMMAND},
    {"a buffer", 35, 0, OFERR_BUFFER_UNKNOWN},
    {"flag 32", 45, 32, OFERR_FLOW_MOD_BAD_FLAGS},
    {"match type 0", 49, 0, OFERR_MATCH_BAD_TYPE},
    {"match length 3", 51, 3, OFERR_MATCH_BAD_LEN},
    {"match longer than the message", 50, 0x7f, OFERR_MATCH_BAD_LEN},
    {"field of no class", 52, 0x12, OFERR_MATCH_BAD_FIELD},
    {"length of in_port", 55, 3, OFERR_MATCH_BAD_LEN},
    {"instruction 9", 65, 9, OFERR_INST_UNKNOWN},
    {"instruction of length 0", 67, 0, OFERR_INST_BAD_LEN},
    {"action 99", 73, 99, OFERR_ACTION_BAD_TYPE},
    {"output of length 8", 75, 8, OFERR_ACTION_BAD_LEN},
    {"output to OFPP_ANY", 79, 0xff, OFERR_ACTION_BAD_OUT_PORT},
};

static void test_bad_flow_mod(void **state WR_UNUSED)
{
    struct of_flow_mod fm = flow_mod_of("in_port=1,actions=output:0xfffffffe"), again;
    struct writer w = {0};

    of_flow_mod_encode(&w, V, &fm, 1);
    for (size_t i = 0; i < ARRAY_SIZE(bad_flow_mods); i++) {
        uint8_t *msg = xmemdup(w.data, w.len);

        msg[bad_flow_mods[i].at] = bad_flow_mods[i].value;
        struct reader r = reader_of(msg + OF_HEADER_LEN, w.len - OF_HEADER_LEN);
        int error = of_flow_mod_decode(&r, &(struct of_flow_format){.version = V}, &again);
        if (error != bad_flow_mods[i].error) {
            fail_msg("%s: %s, not %s", bad_flow_mods[i].what, oferr_name(error), oferr_name(bad_flow_mods[i].error));
        }
        free(msg);
    }
    of_flow_mod_done(&fm);
    writer_done(&w);
}

/* A flow_mod may be as long as a message; what no reply could tell of is refused when it comes. */
static void test_longest_flow(void **state WR_UNUSED)
{
    for (size_t n = 3900; n <= 4088; n += 188) {
        struct of_flow_mod fm = flow_mod_of("ip,actions=drop"), again;
        struct writer w = {0};

        for (size_t i = 0; i < n; i++) {
            ((struct ofpact_output *)ofpact_put(&fm.acts, OFPACT_OUTPUT, sizeof(struct ofpact_output)))->port =
                ofp_port(1);
        }
        of_flow_mod_encode(&w, V, &fm, 1);
        struct reader r = body_of(&w, OFT_FLOW_MOD, 1);
        int error = of_flow_mod_decode(&r, &(struct of_flow_format){.version = V}, &again);
        assert_int_equal(error, n == 3900 ? 0 : OFERR_ACTION_TOO_MANY);
        if (!error) {
            of_flow_mod_done(&again);
        }
        of_flow_mod_done(&fm);
        writer_done(&w);
    }
}

/* A message of VERSION that adds a flow with N times ACTS. */
static void put_long_flow(struct writer *w, uint8_t version, size_t n, const struct ofpacts *acts)
{
    size_t start = of_begin(w, version, OFT_FLOW_MOD, 1), instruction;
    struct match match;

    match_init(&match);
    if (version == OF_VERSION_10) {
        match_encode_10(&match, w);
        writer_zeros(w, 8 + 8); /* cookie, command to priority */
        writer_u32(w, OF_NO_BUFFER);
        writer_zeros(w, 4);
    } else {
        writer_zeros(w, 8 + 8 + 8);
        writer_u32(w, OF_NO_BUFFER);
        writer_zeros(w, 4 + 4 + 4);
        of_match_encode(w, version, &match);
    }
    instruction = w->len;
    if (version != OF_VERSION_10) {
        writer_u16(w, 4); /* apply_actions */
        writer_zeros(w, 6);
    }
    for (size_t i = 0; i < n; i++) {
        ofpacts_encode_actions(acts->data, acts->len, version, w);
    }
    if (version != OF_VERSION_10) {
        writer_patch_u16(w, instruction + 2, (uint16_t)(w->len - instruction));
    }
    of_end(w, start);
    assert_false(w->error);
}

/* Actions that are short in one version may be long in another: a dump by any version must be able to tell of the flow
 * as long as it is there, or nobody gets an answer. */
#define STRIPES "0x55555555555555555555555555555555"

static void test_longest_flow_of_others(void **state WR_UNUSED)
{
    static const struct {
        uint8_t version;
        const char *action;
        size_t n;
        int error;
    } cases[] = {
        {OF_VERSION_10, "enqueue(1,2)", 1500, 0}, /* 16 bytes each here, 40 in 1.3 */
        {OF_VERSION_10, "enqueue(1,2)", 2000, OFERR_ACTION_TOO_MANY},
        {OF_VERSION_10, "mod_vlan_vid:5", 3000, 0}, /* 8, 16 */
        {OF_VERSION_10, "mod_vlan_vid:5", 5000, OFERR_ACTION_TOO_MANY},
        {OF_VERSION_13, "set_field:7.0.0.1->tun_src", 2400, 0}, /* 16, 24 in 1.0 */
        {OF_VERSION_13, "set_field:7.0.0.1->tun_src", 3000, OFERR_ACTION_TOO_MANY},
        {OF_VERSION_15, "set_field:" STRIPES "/" STRIPES "->xxreg0", 41, 0}, /* 40, 64 times 24 before 1.5 */
        {OF_VERSION_15, "set_field:" STRIPES "/" STRIPES "->xxreg0", 42, OFERR_ACTION_TOO_MANY},
    };
    static const struct of_flow_format formats[] = {{OF_VERSION_10, false, false}, {OF_VERSION_10, true, false},
                                                    {OF_VERSION_13, false, false}, {OF_VERSION_13, true, false},
                                                    {OF_VERSION_14, false, false}, {OF_VERSION_15, false, false}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *text = xasprintf("actions=%s", cases[i].action);
        struct of_flow_mod one = flow_mod_of(text), fm;
        struct writer w = {0};

        put_long_flow(&w, cases[i].version, cases[i].n, &one.acts);
        struct reader r = reader_of(w.data + OF_HEADER_LEN, w.len - OF_HEADER_LEN);
        int error = of_flow_mod_decode(&r, &(struct of_flow_format){.version = cases[i].version}, &fm);
        if (error != cases[i].error) {
            fail_msg("%zu %s: %s", cases[i].n, cases[i].action, error ? oferr_name(error) : "taken");
        }
        for (size_t j = 0; j < ARRAY_SIZE(formats) && !error; j++) {
            struct of_flow_stats fs = {.match = fm.match, .acts = fm.acts.data, .acts_len = fm.acts.len};
            struct writer entry = {0};

            of_flow_stats_encode(&entry, &formats[j], &fs);
            assert_false(entry.error);
            assert_in_range(entry.len, 1, OF_MAX_LEN - OF_HEADER_LEN - 16);
            writer_done(&entry);
        }
        if (!error) {
            of_flow_mod_done(&fm);
        }
        of_flow_mod_done(&one);
        writer_done(&w);
    }
}

/* ---- hello and errors ---- */

static uint32_t hello(const char *hex)
{
    uint8_t b[64];
    size_t n = from_hex(hex, b, sizeof b);
    struct of_header h;

    assert_int_equal(of_header_decode(b, n, &h), 0);
    return of_hello_decode(&h, b + OF_HEADER_LEN, n - OF_HEADER_LEN);
}

static void test_hello(void **state WR_UNUSED)
{
    assert_int_equal(hello("04000010 00000001 0001 0008 00000012"), 0x12);
    assert_int_equal(hello("04000008 00000001"), 0x1e);
    assert_int_equal(hello("01000008 00000001"), 0x02);
    assert_int_equal(hello("04000018 00000001 0007 0006 01020000 0001 0008 00000010"), 0x10);
    assert_int_equal(hello("0400000c 00000001 0001 0008"), 0x1e); /* an element that is cut off says nothing */
    assert_int_equal(hello("0400000c 00000001 0001 0000"), 0x1e); /* and one of no length neither */
    assert_int_equal(hello("ff000008 00000001"), 0xfffffffe);
    struct writer w = {0};
    of_hello_encode(&w, 1u << 4 | 1u << 6, 5);
    char *s = to_hex(w.data, w.len);
    assert_string_equal(s, "06000010000000050001000800000050");
    free(s);
    writer_done(&w);
}

static void test_header(void **state WR_UNUSED)
{
    struct of_header h = {.xid = 9};

    assert_int_equal(of_header_decode("\4\0\0\7\0\0\0\1", 8, &h), -EBADMSG);
    assert_int_equal(of_header_decode("\4\0\0\10\0\0\0\1", 7, &h), -EBADMSG);
    assert_int_equal(h.xid, 9);
}

static void test_errors(void **state WR_UNUSED)
{
    static const int errors[] = {OFERR_BAD_LEN, OFERR_MATCH_BAD_PREREQ, OFERR_BUNDLE_BAD_ID, OFERR_ROLE_STALE,
                                 OFERR_TLV_DUP_ENTRY};
    uint8_t request[3000];

    memset(request, 7, sizeof request);
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        for (size_t len = 8; len <= sizeof request; len += 56) {
            struct writer w = {0};

            of_error_encode(&w, V, errors[i], request, len, 3);
            struct reader r = body_of(&w, OFT_ERROR, 3);
            assert_int_equal(of_error_decode(r.data, r.left, V), errors[i]);
            size_t head = oferr_type(errors[i]) >= 17 ? 8 : 4; /* an experimenter's */
            assert_true(r.left - head >= MIN(len, 64u));       /* OpenFlow 1.3, 7.4.4 */
            assert_memory_equal(r.data + head, request, MIN(len, 64u));
            writer_done(&w);
        }
    }
    assert_int_equal(of_error_decode("\0\1\0", 3, V), -EBADMSG);
}

/* One error, told in each version's way. */
static const struct {
    int error;
    uint8_t version;
    const char *hex;
} told[] = {
    {OFERR_FLOW_MOD_OVERLAP, 1, "0003 0001"},
    {OFERR_FLOW_MOD_OVERLAP, 4, "0005 0003"},
    {OFERR_MATCH_BAD_PREREQ, 1, "b0c2 0000 00002320 0001 0104"},
    {OFERR_MATCH_BAD_PREREQ, 5, "0004 0009"},
    {OFERR_TLV_DUP_ENTRY, 1, "b0c2 0000 00002320 0001 0214"},
    {OFERR_TLV_DUP_ENTRY, 4, "ffff 0015 00002320"},
    {OFERR_BUNDLE_BAD_ID, 4, "ffff 08fe 4f4e4600"},
    {OFERR_BUNDLE_BAD_ID, 5, "0011 0002"},
    {OFERR_PROPERTY_BAD_LEN, 4, "000d 0003"},
    {OFERR_PROPERTY_BAD_LEN, 5, "000e 0001"},
    {OFERR_INST_DUP, 4, "ffff 0a28 4f4e4600"},
    {OFERR_INST_DUP, 5, "0003 0009"},
    {OFERR_ACTION_BAD_SET_MASK, 4, "ffff 109a 4f4e4600"},
    {OFERR_ACTION_BAD_SET_MASK, 5, "ffff 109a 4f4e4600"},
    {OFERR_ACTION_BAD_SET_MASK, 6, "0002 0010"},
    {OFERR_PROPERTY_DUP_TYPE, 4, "ffff 115c 4f4e4600"},
    {OFERR_ASYNC_EPERM, 4, "ffff 0944 4f4e4600"},
    {OFERR_METER_EXISTS, 1, "b0c2 0000 00002320 0001 0209"}, /* 1.0 has no word for it */
    {-ENOMEM, 1, "0003 0000"},
};

static void test_errors_by_version(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
        struct writer w = {0};
        uint8_t want[32];
        size_t n = from_hex(told[i].hex, want, sizeof want);

        of_error_encode(&w, told[i].version, told[i].error, "12345678", 8, 3);
        print_message("%s in %u\n", oferr_name(told[i].error), told[i].version);
        assert_int_equal(w.len, 8 + n + 8);
        assert_memory_equal(w.data + 8, want, n);
        writer_done(&w);
    }
}

/* ---- packets, ports ---- */

static int packet_out(const char *hex)
{
    uint8_t b[128];
    size_t n = from_hex(hex, b, sizeof b);
    struct reader r = reader_of(b, n);
    struct of_packet_out po;
    int error = of_packet_out_decode(&r, V, &po);

    if (!error) {
        ofpacts_done(&po.acts);
    }
    return error;
}

static void test_packet_out(void **state WR_UNUSED)
{
#define OUTPUT_2 "00000010 00000002 0000 000000000000"
    assert_int_equal(packet_out("ffffffff 00000001 0010 000000000000" OUTPUT_2 "0102"), 0);
    assert_int_equal(packet_out("ffffffff fffffffd 0000 000000000000"), 0);
    assert_int_equal(packet_out("ffffffff 00000001 0018 000000000000" OUTPUT_2), OFERR_BAD_LEN);
    assert_int_equal(packet_out("ffffffff 00000001 0010 0000000000"), OFERR_BAD_LEN);
    assert_int_equal(packet_out("00000005 00000001 0000 000000000000"), OFERR_BUFFER_UNKNOWN);
    assert_int_equal(packet_out("ffffffff fffffffa 0000 000000000000"), OFERR_BAD_PORT);
    assert_int_equal(packet_out("ffffffff 00000001 0008 000000000000 0000 0010 00000002"), OFERR_ACTION_BAD_LEN);

    struct of_packet_out po = {
        .buffer_id = OF_NO_BUFFER, .in_port = ofp_port(7), .data = (const uint8_t *)"\1\2", .data_len = 2};
    struct writer w = {0};
    uint8_t wanted[128];
    struct ofpact_output *output = ofpact_put(&po.acts, OFPACT_OUTPUT, sizeof *output);
    output->port = OFPP_NORMAL;
    of_packet_out_encode(&w, V, &po, 9);
    size_t n =
        from_hex("040d002a 00000009 ffffffff 00000007 0010 000000000000 00000010 fffffffa 0000 000000000000 0102",
                 wanted, sizeof wanted);
    assert_int_equal(w.len, n);
    assert_memory_equal(w.data, wanted, n);
    writer_done(&w);
    ofpacts_done(&po.acts);
}

static void test_ports(void **state WR_UNUSED)
{
    struct of_port port = {.port_no = OFPP_LOCAL,
                           .hw_addr = {{2, 0, 0, 0, 0, 1}},
                           .name = "br-int",
                           .config = 1,
                           .state = 4,
                           .curr = 0x840,
                           .curr_speed_kbps = 10000000,
                           .max_speed_kbps = 5},
                   again;
    struct of_port_mod pm;
    struct writer w = {0};
    uint8_t mod[32] = {0};

    of_port_encode(&w, V, &port);
    assert_int_equal(w.len, 64);
    struct reader r = reader_of(w.data, w.len);
    assert_int_equal(of_port_decode(&r, V, &again), 0);
    assert_memory_equal(&port, &again, sizeof port);
    r = reader_of(w.data, 63);
    assert_int_equal(of_port_decode(&r, V, &again), OFERR_BAD_LEN);
    writer_done(&w);
    for (size_t n = 0; n <= sizeof mod; n++) { /* a port_mod's body has 32 bytes, no more and no less */
        r = reader_of(mod, n);
        assert_int_equal(of_port_mod_decode(&r, V, &pm), n == 32 ? 0 : OFERR_BAD_LEN);
    }
}

/* ---- multipart ---- */

/* Entries of many flows go into several messages of the same xid, all but the last with MORE, and all come out again,
 * also when what is full is TAKEN while the rest is still being written. */
static void check_split(bool taken)
{
    struct of_flow_mod fm = flow_mod_of(flows[2]);
    struct of_flow_stats fs = {.match = fm.match, .acts = fm.acts.data, .acts_len = fm.acts.len}, again;
    struct writer w = {0}, before = {0};
    unsigned int found = 0, messages = 0, n_taken = 0;
    struct of_mp mp;
    size_t at = 0;

    of_mp_begin(&mp, &w, V, OFMP_FLOW, 9);
    for (unsigned int i = 0; i < 3000; i++) {
        of_mp_entry(&mp);
        fs.priority = (uint16_t)i;
        of_flow_stats_encode(&w, &(struct of_flow_format){.version = V}, &fs);
        of_mp_entry_done(&mp);
        if (taken && mp.start) {
            struct writer done;

            of_mp_take_done(&mp, &done);
            assert_int_equal(mp.start, 0);
            writer_bytes(&before, done.data, done.len);
            writer_done(&done);
            n_taken++;
        }
    }
    of_mp_end(&mp);
    assert_int_equal(w.error, 0);
    writer_bytes(&before, w.data, w.len);
    writer_done(&w);
    w = before;
    while (at < w.len) {
        struct of_header h;

        assert_int_equal(of_header_decode(w.data + at, w.len - at, &h), 0);
        assert_int_equal(h.xid, 9);
        struct reader r = reader_of(w.data + at + OF_HEADER_LEN, h.length - OF_HEADER_LEN);
        at += h.length;
        messages++;
        assert_int_equal(reader_u16(&r), OFMP_FLOW);
        assert_int_equal(reader_u16(&r), at < w.len ? OFMP_F_MORE : 0);
        reader_skip(&r, 4);
        while (r.left) {
            assert_int_equal(of_flow_stats_decode(&r, V, &again), 0);
            assert_true(!again.match_error && !again.actions_error);
            assert_int_equal(again.priority, found++);
            assert_true(ofpacts_equal(fm.acts.data, fm.acts.len, again.decoded.data, again.decoded.len));
            ofpacts_done(&again.decoded);
        }
    }
    assert_int_equal(found, 3000);
    assert_true(messages > 5);
    assert_int_equal(n_taken, taken ? messages - 1 : 0);
    of_flow_mod_done(&fm);
    writer_done(&w);
}

static void test_split(void **state WR_UNUSED)
{
    check_split(false);
    check_split(true);
}

/* What we have no word for makes one flow unreadable, as far as it goes, and none of the others. */
static void test_unreadable_flow(void **state WR_UNUSED)
{
    static const struct {
        const char *match, *instructions; /* hex */
        int error, match_error, actions_error;
        size_t acts_len;
    } cases[] = {
        {"0001 0004 00000000", "", 0, 0, 0, 0},
        /* Open vSwitch's action 46, which is not written */
        {"0001 000c 80000004 00000001 00000000", "0004 0018 00000000 ffff0010 00002320 002e 000000000000", 0, 0,
         OFERR_ACTION_BAD_EXP_TYPE, 0},
        /* a field of class 1 that there is not, and an instruction that we do know */
        {"0001 000c 0001fe04 00000001 00000000", "0001 0008 05000000", 0, OFERR_MATCH_BAD_FIELD, 0, 8},
        {"0000 0004 00000000", "0001 0008 05000000", 0, OFERR_MATCH_BAD_TYPE, OFERR_MATCH_BAD_TYPE, 0},
        {"0001 0080 00000000", "", 0, OFERR_MATCH_BAD_LEN, OFERR_MATCH_BAD_LEN, 0},
        {"0001 0004 00000000", "00c8 0008 00000000", 0, 0, OFERR_INST_UNKNOWN, 0},
        {"", "", OFERR_BAD_LEN, 0, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t body[64];
        size_t len = from_hex(cases[i].match, body, sizeof body);
        struct writer w = {0};
        struct of_flow_stats fs;

        len += from_hex(cases[i].instructions, body + len, sizeof body - len);
        writer_u16(&w, (uint16_t)(*cases[i].match ? 48 + len : 40));
        writer_u8(&w, 7);
        writer_zeros(&w, 9);
        writer_u16(&w, 99);
        writer_zeros(&w, 10);
        writer_u64(&w, 5);
        writer_zeros(&w, *cases[i].match ? 16 : 8);
        writer_bytes(&w, body, len);
        struct reader r = reader_of(w.data, w.len);
        assert_int_equal(of_flow_stats_decode(&r, V, &fs), cases[i].error);
        if (!cases[i].error) {
            assert_int_equal(r.left, 0);
            assert_int_equal(fs.table, 7);
            assert_int_equal(fs.priority, 99);
            assert_int_equal(fs.cookie, htobe64(5));
            assert_int_equal(fs.match_error, cases[i].match_error);
            assert_int_equal(fs.actions_error, cases[i].actions_error);
            assert_true((fs.decoded.len > 0) == (cases[i].acts_len > 0));
            ofpacts_done(&fs.decoded);
        }
        writer_done(&w);
    }
}

static void test_flow_request(void **state WR_UNUSED)
{
    struct of_flow_request fr = {.table = 3,
                                 .out_port = ofp_port(2),
                                 .out_group = OF_GROUP_ANY,
                                 .cookie = htobe64(5),
                                 .cookie_mask = htobe64(7)},
                           again;
    struct writer w = {0};

    of_flow_request_encode(&w, V, &fr, 1);
    struct reader r = body_of(&w, OFT_MULTIPART_REQUEST, 1);
    reader_skip(&r, 8);
    struct reader whole = r;
    assert_int_equal(of_flow_request_decode(&r, &(struct of_flow_format){.version = V}, &again), 0);
    assert_memory_equal(&fr, &again, sizeof fr);
    for (size_t cut = 0; cut < whole.left; cut++) {
        r = reader_of(whole.data, cut);
        assert_int_equal(of_flow_request_decode(&r, &(struct of_flow_format){.version = V}, &again),
                         cut < 32 ? OFERR_BAD_LEN : OFERR_MATCH_BAD_LEN);
    }
    writer_done(&w);
}

/* Entries are as long as they say, and every table has the eight properties that OpenFlow 1.3 requires. */
static void test_table_features(void **state WR_UNUSED)
{
    for (unsigned int table = 0; table < N_TABLES; table++) {
        struct writer w = {0};
        unsigned int seen = 0;

        of_table_features_put(&w, V, (table_id_t)table, NULL, 100);
        struct reader r = reader_of(w.data, w.len);
        assert_int_equal(reader_u16(&r), w.len);
        assert_int_equal(reader_u8(&r), table);
        reader_skip(&r, 61);
        while (r.left) {
            uint16_t type = reader_u16(&r), len = reader_u16(&r);

            assert_true(type < 16 && len >= 4);
            seen |= 1u << type;
            reader_skip(&r, ROUND_UP(len, 8u) - 4);
            assert_int_equal(r.error, 0);
        }
        assert_int_equal(seen & 0x5555,
                         0x5555); /* 0, 2, 4, ... 14; the miss forms, with odd numbers, may be left out */
        writer_done(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flow_mod),       cmocka_unit_test(test_bad_flow_mod),
        cmocka_unit_test(test_longest_flow),   cmocka_unit_test(test_longest_flow_of_others),
        cmocka_unit_test(test_hello),          cmocka_unit_test(test_header),
        cmocka_unit_test(test_errors),         cmocka_unit_test(test_errors_by_version),
        cmocka_unit_test(test_packet_out),     cmocka_unit_test(test_ports),
        cmocka_unit_test(test_split),          cmocka_unit_test(test_flow_request),
        cmocka_unit_test(test_table_features), cmocka_unit_test(test_unreadable_flow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
