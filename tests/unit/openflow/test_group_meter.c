/* SPDX-License-Identifier: Apache-2.0 */
/* Groups and meters on the wire: requests as Debian's ovs-ofctl sends them, errors by the standard, and replies as
 * `ovs-ofctl ofp-print` reads them. */
#include <endian.h>
#include <unistd.h>

#include "hex.h"
#include "openflow/error.h"
#include "openflow/msg_group.h"
#include "openflow/msg_meter.h"
#include "openflow/text.h"
#include "openflow/text_group.h"

/* ---- requests ---- */

struct vector {
    uint8_t version;
    bool nx;
    const char *body;
};

static const struct vector group_mods[] = {
    /* select, hash by nw_src/24 and tcp_dst, buckets 3 and 1 */
    {1, true,
     "0000 01 00 00000005 0030 0000 ffffffff 0018 0008 00000003 00000008 0001 0000 0000 0008 0007 0000"
     "0018 0008 00000001 00000008 0002 0000 0000 0008 0001 0000"
     "ffff 0036 0000154d 00000001 00000000 68617368000000000000000000000000 0000000000000000 00000e04 ffffff00"
     "00001402 ffff 0000"},
    {6, false,
     "0000 01 00 00000005 0040 0000 ffffffff 0020 0010 00000003 00000010 00000001 0000 000000000000 0000 0008 0007 0000"
     "0020 0010 00000001 00000010 00000002 0000 000000000000 0000 0008 0001 0000"
     "ffff 0036 0000154d 00000001 00000000 68617368000000000000000000000000 0000000000000009 80001604 ffffff00"
     "80001c02 ffff 0000"},
    {6, false,
     "0000 01 00 00000005 0020 0000 ffffffff 0020 0010 00000000 00000010 00000001 0000 000000000000 0000 0008 0007 0000"
     "ffff 0028 0000154d 00000001 00000000 64705f68617368000000000000000000 0000000000000000"},
    {4, false, "0000 01 00 00000005 0020 0007 ffffffff ffffffff 00000000 00000010 00000001 0000 000000000000"},
    {5, false, "8000 03 00 00000005 0020 0000 00000001 00000002 00000000 00000010 00000001 0000 000000000000"},
    {6, false,
     "8000 03 00 00000005 0028 0000 ffffffff 0028 0010 00000000 00000010 00000001 0000 000000000000 0001 0008 00000001"
     "0002 0008 00000002"},
    {6, false, "0003 00 00 00000005 0018 0000 fffffffe 0018 0010 00000008 00000010 00000001 0000 000000000000"},
    {4, true, "0005 00 00 00000005 0000 0000 fffffffd"},
    {6, false, "0005 00 00 00000005 0000 0000 ffffffff"},
    {4, false, "0002 00 00 fffffffc"},
    {6, false, "0002 00 00 00000007 0000 0000 ffffffff"},
};

static void test_group_mods(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(group_mods); i++) {
        const struct vector *v = &group_mods[i];
        uint8_t bytes[512];
        size_t n = from_hex(v->body, bytes, sizeof bytes), head = v->nx ? 16 : 8;
        struct reader r = reader_of(bytes, n);
        struct of_group_mod gm;
        struct writer w = {0};

        assert_int_equal(of_group_mod_decode(&r, v->version, v->nx, &gm), 0);
        of_group_mod_encode(&w, v->version, v->nx, &gm, 1);
        _cleanup_free_ char *got = to_hex(w.data + head, w.len - head), *want = to_hex(bytes, n);
        assert_string_equal(got, want);
        writer_done(&w);
        of_group_mod_done(&gm);
        for (size_t cut = 0; cut < n; cut++) {
            _cleanup_free_ uint8_t *part = xmemdup(bytes, cut + 1); /* of its own: sanitizers see reads beyond */

            r = reader_of(part, cut);
            int error = of_group_mod_decode(&r, v->version, v->nx, &gm);
            assert_true(cut < 8 ? error == OFERR_BAD_LEN : !error || oferr_is(error));
            if (!error) {
                of_group_mod_done(&gm);
            }
        }
    }
}

static const struct {
    struct vector v;
    int error;
} bad_group_mods[] = {
    {{4, false, "0000 00 00 ffffff01"}, OFERR_GROUP_INVALID},
    {{4, false, "0000 00 00 fffffffc"}, OFERR_GROUP_INVALID},
    {{4, false, "0002 00 00 ffffffff"}, OFERR_GROUP_INVALID},
    {{4, false, "0000 04 00 00000001"}, OFERR_GROUP_BAD_TYPE},
    {{4, false, "0003 00 00 00000001"}, OFERR_GROUP_BAD_COMMAND},
    {{6, false, "0004 00 00 00000001 0000 0000 ffffffff"}, OFERR_GROUP_BAD_COMMAND},
    {{4, false, "0000 00 00 00000001 0008 0000 00000000"}, OFERR_GROUP_BAD_BUCKET},
    {{4, false, "0000 00 00 00000001 0012 0000 ffffffff ffffffff 00000000 0000"}, OFERR_GROUP_BAD_BUCKET},
    {{4, false, "0000 00 00 00000001 0010 0000 ffffff80 ffffffff 00000000"}, OFERR_GROUP_BAD_WATCH},
    {{4, false, "0000 00 00 00000001 0010 0000 ffffffff fffffffc 00000000"}, OFERR_GROUP_BAD_WATCH},
    {{4, false, "0000 00 00 00000001 0018 0000 ffffffff ffffffff 00000000 00630008 00000000"}, OFERR_ACTION_BAD_TYPE},
    {{6, false, "0000 00 00 00000001 0008 0000 ffffffff 0008 0000 ffffff01"}, OFERR_GROUP_BAD_BUCKET},
    {{6, false, "0000 00 00 00000001 0008 0000 ffffffff 0008 0008 00000001"}, OFERR_GROUP_BAD_BUCKET},
    {{6, false, "0000 00 00 00000001 0010 0000 ffffffff 0008 0000 00000001 0008 0000 00000001"},
     OFERR_GROUP_BUCKET_EXISTS},
    {{6, false, "0000 00 00 00000001 0018 0000 ffffffff 0008 0000 00000001"}, OFERR_BAD_LEN},
    {{6, false, "0003 00 00 00000001 0000 0000 ffffffff"}, OFERR_GROUP_BAD_BUCKET},
    {{6, false, "0005 00 00 00000001 0000 0000 ffffff01"}, OFERR_GROUP_BAD_BUCKET},
    {{6, false, "0005 00 00 00000001 0008 0000 00000001 0008 0000 00000001"}, OFERR_GROUP_BAD_BUCKET},
    {{6, false, "0000 01 00 00000001 0010 0000 ffffffff 0010 0000 00000001 0003 0008 00000000"},
     OFERR_PROPERTY_BAD_TYPE},
    {{6, false, "0000 01 00 00000001 0010 0000 ffffffff 0010 0000 00000001 0001 0006 00000000"},
     OFERR_PROPERTY_BAD_LEN},
    {{6, false, "0000 01 00 00000001 0010 0000 ffffffff 0010 0000 00000001 ffff 0008 00000000"},
     OFERR_PROPERTY_BAD_EXPERIMENTER},
    {{6, false, "0000 01 00 00000001 0000 0000 ffffffff 0001 0008 00000000"}, OFERR_PROPERTY_BAD_TYPE},
    {{6, false, "0000 01 00 00000001 0000 0000 ffffffff ffff 000c 00002320 00000001 00000000"},
     OFERR_PROPERTY_BAD_EXPERIMENTER},
    {{6, false, "0000 01 00 00000001 0000 0000 ffffffff ffff 000c 0000154d 00000002 00000000"},
     OFERR_PROPERTY_BAD_EXP_TYPE},
    {{6, false, "0000 01 00 00000001 0000 0000 ffffffff ffff 000c 0000154d 00000001 00000000"}, OFERR_PROPERTY_BAD_LEN},
    /* the method of a group that is no select group; one that nobody knows; a field that nobody knows; one twice */
    {{6, false,
      "0000 00 00 00000001 0000 0000 ffffffff"
      "ffff 0028 0000154d 00000001 00000000 68617368000000000000000000000000 0000000000000000"},
     OFERR_PROPERTY_BAD_VALUE},
    {{6, false,
      "0000 01 00 00000001 0000 0000 ffffffff"
      "ffff 0028 0000154d 00000001 00000000 68617300000000000000000000000000 0000000000000000"},
     OFERR_PROPERTY_BAD_VALUE},
    {{6, false,
      "0000 01 00 00000001 0000 0000 ffffffff"
      "ffff 0030 0000154d 00000001 00000000 68617368000000000000000000000000 0000000000000000 8000fe04 ffffffff"},
     OFERR_MATCH_BAD_FIELD},
    {{6, false,
      "0000 01 00 00000001 0000 0000 ffffffff"
      "ffff 0038 0000154d 00000001 00000000 68617368000000000000000000000000 0000000000000000 80001604 ffffffff"
      "80001604 ffffffff"},
     OFERR_MATCH_DUP_FIELD},
};

static void test_bad_group_mods(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad_group_mods); i++) {
        const struct vector *v = &bad_group_mods[i].v;
        uint8_t bytes[256];
        struct reader r = reader_of(bytes, from_hex(v->body, bytes, sizeof bytes));
        struct of_group_mod gm = {.command_bucket = 77};
        int error = of_group_mod_decode(&r, v->version, v->nx, &gm);

        if (error != bad_group_mods[i].error) {
            fail_msg("%s: %s instead of %s", v->body, oferr_name(error), oferr_name(bad_group_mods[i].error));
        }
        assert_int_equal(gm.command_bucket, 77); /* untouched */
    }
}

static const struct {
    const char *body;
    int error; /* 0: the same bytes when written again */
} meter_mods[] = {
    {"0000 000d 00000001 0001 0010 00000064 00000032 00000000", 0},
    {"0000 0002 fffffffe 0001 0010 00000064 00000000 00000000", 0},
    {"0001 0001 fffffffd 0001 0010 00000009 00000000 00000000 0002 0010 00000009 00000000 02 000000", 0},
    {"0000 0001 00000001", 0},
    {"0002 0000 00000003", 0},
    {"0002 0000 ffffffff", 0},
    {"0003 0001 00000001", OFERR_METER_BAD_COMMAND},
    {"0000 0003 00000001", OFERR_METER_BAD_FLAGS},
    {"0000 0010 00000001", OFERR_METER_BAD_FLAGS},
    {"0000 0001 00000000", OFERR_METER_MOD_INVALID_METER},
    {"0000 0001 ffff0001", OFERR_METER_MOD_INVALID_METER},
    {"0000 0001 ffffffff", OFERR_METER_MOD_INVALID_METER},
    {"0000 0001 00000001 0001 0010 00000000 00000000 00000000", OFERR_METER_BAD_RATE},
    {"0000 0001 00000001 0003 0010 00000001 00000000 00000000", OFERR_METER_BAD_BAND},
    {"0000 0001 00000001 ffff 0014 00000001 00000000 00002320 00000000", OFERR_METER_BAD_BAND},
    {"0000 0001 00000001 0001 000c 00000001 00000000", OFERR_BAD_LEN},
    {"0000 0001 00000001 0001 0010 00000001", OFERR_BAD_LEN},
    {"0000 0001 0000", OFERR_BAD_LEN},
};

static void test_meter_mods(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(meter_mods); i++) {
        uint8_t bytes[128];
        size_t n = from_hex(meter_mods[i].body, bytes, sizeof bytes);
        struct reader r = reader_of(bytes, n);
        struct of_meter_mod mm;
        struct writer w = {0};
        int error = of_meter_mod_decode(&r, &mm);

        if (error != meter_mods[i].error) {
            fail_msg("%s: %s", meter_mods[i].body, oferr_name(error));
        }
        if (!error) {
            of_meter_mod_encode(&w, OF_VERSION_13, &mm, 1);
            _cleanup_free_ char *got = to_hex(w.data + 8, w.len - 8), *want = to_hex(bytes, n);
            assert_string_equal(got, want);
            of_meter_mod_done(&mm);
            writer_done(&w);
        }
    }
}

/* Neither kbps nor pktps means kbps. */
static void test_meter_default_flag(void **state WR_UNUSED)
{
    static const uint8_t body[] = {0, 0, 0, 0, 0, 0, 0, 1};
    struct reader r = reader_of(body, sizeof body);
    struct of_meter_mod mm;

    assert_int_equal(of_meter_mod_decode(&r, &mm), 0);
    assert_int_equal(mm.meter.flags, OF_METER_KBPS);
}

static void test_request_bodies(void **state WR_UNUSED)
{
    static const uint8_t body[] = {0, 0, 0, 5, 0, 0, 0, 0};
    struct reader r = reader_of(body, 8), none = reader_of(body, 0), part = reader_of(body, 4);
    uint32_t id = 0;

    assert_int_equal(of_group_request_decode(&r, OF_VERSION_13, false, OFMP_GROUP, &id), 0);
    assert_int_equal(id, 5);
    assert_int_equal(of_group_request_decode(&none, OF_VERSION_13, false, OFMP_GROUP_DESC, &id), 0);
    assert_int_equal(id, OF_GROUP_ALL);
    r = reader_of(body, 8);
    assert_int_equal(of_group_request_decode(&r, OF_VERSION_13, true, OFMP_GROUP_DESC, &id), 0);
    assert_int_equal(id, 5);
    r = reader_of(body, 8);
    assert_int_equal(of_group_request_decode(&r, OF_VERSION_13, false, OFMP_GROUP_DESC, &id), OFERR_BAD_LEN);
    assert_int_equal(of_group_request_decode(&part, OF_VERSION_15, false, OFMP_GROUP_DESC, &id), OFERR_BAD_LEN);
    r = reader_of(body, 8);
    assert_int_equal(of_meter_request_decode(&r, &id), 0);
    assert_int_equal(id, 5);
}

/* ---- replies ---- */

static struct of_group example_group(void)
{
    static const char *const acts[] = {"set_field:02:00:00:00:00:09->eth_dst,output:2", "group:7"};
    struct of_group g = {.id = 9,
                         .type = OF_GROUP_TYPE_SELECT,
                         .n_buckets = 2,
                         .method = OF_SELECT_HASH,
                         .method_param = 7,
                         .n_fields = 1};

    g.buckets = xcalloc(2, sizeof *g.buckets);
    for (size_t i = 0; i < 2; i++) {
        _cleanup_free_ char *error = NULL;

        g.buckets[i] = (struct of_bucket){.id = (uint32_t)(4 + i),
                                          .weight = (uint16_t)(2 * i),
                                          .watch_port = i ? ofp_port(3) : OFPP_ANY,
                                          .watch_group = i ? 8 : OF_GROUP_ANY};
        assert_int_equal(ofpacts_parse(acts[i], NULL, &g.buckets[i].acts, &error), 0);
    }
    g.fields = xcalloc(1, sizeof *g.fields);
    g.fields[0] = (struct of_selection_field){.field = field_get(FIELD_IPV4_SRC), .mask = {.b = {255, 255, 0, 0}}};
    return g;
}

static void put_desc(struct writer *w, uint8_t version, bool nx)
{
    struct of_group g = example_group(), again;
    size_t start = w->len;

    of_group_desc_put(w, version, nx, &g);
    struct reader r = reader_of(w->data + start, w->len - start);
    assert_int_equal(of_group_desc_decode(&r, version, nx, &again), 0);
    assert_int_equal(again.n_buckets, 2);
    assert_int_equal(again.n_fields, nx || version == OF_VERSION_15 ? 1 : 0);
    of_group_done(&again);
    of_group_done(&g);
}

static void put_stats(struct writer *w, uint8_t version WR_UNUSED, bool nx WR_UNUSED)
{
    static const uint64_t counts[] = {1, 100, 2, 200};
    const struct of_group_stats gs = {.id = 9,
                                      .ref_count = 3,
                                      .packets = 3,
                                      .bytes = 300,
                                      .duration_sec = 5,
                                      .duration_nsec = 250000000,
                                      .bucket_counts = counts,
                                      .n_buckets = 2};
    struct of_group_stats again;
    size_t start = w->len;

    of_group_stats_put(w, &gs);
    struct reader r = reader_of(w->data + start, w->len - start);
    assert_int_equal(of_group_stats_decode(&r, &again), 0);
    assert_memory_equal(again.decoded, counts, sizeof counts);
    free(again.decoded);
}

static void put_features(struct writer *w, uint8_t version WR_UNUSED, bool nx WR_UNUSED)
{
    const struct of_group_features gf = {15, 15, {1, 2, 3, 4}, {1, 1, 1, 0x400001}};
    struct of_group_features again;
    size_t start = w->len;

    of_group_features_put(w, &gf);
    struct reader r = reader_of(w->data + start, w->len - start);
    assert_int_equal(of_group_features_decode(&r, &again), 0);
    assert_memory_equal(&again, &gf, sizeof gf);
}

static void put_meter_config(struct writer *w, uint8_t version WR_UNUSED, bool nx WR_UNUSED)
{
    struct of_meter_band bands[] = {{OF_BAND_DROP, 100, 50, 0}, {OF_BAND_DSCP_REMARK, 200, 60, 1}};
    const struct of_meter m = {7, OF_METER_PKTPS | OF_METER_BURST, bands, 2};
    struct of_meter again;
    size_t start = w->len;

    of_meter_config_put(w, &m);
    struct reader r = reader_of(w->data + start, w->len - start);
    assert_int_equal(of_meter_config_decode(&r, &again), 0);
    assert_int_equal(again.bands[1].prec_level, 1);
    of_meter_done(&again);
}

static void put_meter_stats(struct writer *w, uint8_t version WR_UNUSED, bool nx WR_UNUSED)
{
    static const uint64_t counts[] = {1, 100};
    const struct of_meter_stats ms = {7, 2, 3, 300, 5, 250000000, counts, 1, NULL};
    struct of_meter_stats again;
    size_t start = w->len;

    of_meter_stats_put(w, &ms);
    struct reader r = reader_of(w->data + start, w->len - start);
    assert_int_equal(of_meter_stats_decode(&r, &again), 0);
    assert_memory_equal(again.decoded, counts, sizeof counts);
    free(again.decoded);
}

static void put_meter_features(struct writer *w, uint8_t version WR_UNUSED, bool nx WR_UNUSED)
{
    const struct of_meter_features mf = {1000, 1u << OF_BAND_DROP, 15, 8, 0};
    struct of_meter_features again;
    size_t start = w->len;

    of_meter_features_put(w, &mf);
    struct reader r = reader_of(w->data + start, w->len - start);
    assert_int_equal(of_meter_features_decode(&r, &again), 0);
    assert_int_equal(again.max_meter, 1000);
    assert_int_equal(again.max_bands, 8);
}

#define STANDARD(type)                                                                                                 \
    {                                                                                                                  \
        type, 0, 0                                                                                                     \
    }
#define NICIRA(subtype)                                                                                                \
    {                                                                                                                  \
        OFMP_EXPERIMENTER, OF_EXPERIMENTER_NX, subtype                                                                 \
    }
static const struct {
    uint8_t version;
    struct of_mp_kind kind;
    void (*put)(struct writer *w, uint8_t version, bool nx);
    const char *wanted[3]; /* parts of what Open vSwitch reads */
} replies[] = {
    {4,
     STANDARD(OFMP_GROUP_DESC),
     put_desc,
     {"group_id=9,type=select,bucket=weight:0,actions=set_field:02:00:00:00:00:09->eth_dst,output:2,"
      "bucket=weight:2,watch_port:3,watch_group:8,actions=group:7\n"}},
    {6,
     STANDARD(OFMP_GROUP_DESC),
     put_desc,
     {"group_id=9,type=select,selection_method=hash,selection_method_param=7,fields=ip_src=255.255.0.0,"
      "bucket=bucket_id:4,weight:0,actions=set_field:02:00:00:00:00:09->eth_dst,output:2,"
      "bucket=bucket_id:5,weight:2,watch_port:3,watch_group:8,actions=group:7\n"}},
    {1,
     NICIRA(8),
     put_desc,
     {"group_id=9,type=select,selection_method=hash,selection_method_param=7,fields=ip_src=255.255.0.0,"
      "bucket=bucket_id:4,weight:0,actions=mod_dl_dst:02:00:00:00:00:09,output:2,"
      "bucket=bucket_id:5,weight:2,watch_port:3,watch_group:8,actions=group:7\n"}},
    {4,
     STANDARD(OFMP_GROUP),
     put_stats,
     {"group_id=9,duration=5.250s,ref_count=3,packet_count=3,byte_count=300,bucket0:packet_count=1,byte_count=100,"
      "bucket1:packet_count=2,byte_count=200\n"}},
    {1, NICIRA(7), put_stats, {"bucket1:packet_count=2,byte_count=200\n"}},
    {6,
     STANDARD(OFMP_GROUP_FEATURES),
     put_features,
     {"Types:  0xf", "Capabilities:  0xf", "max_groups=0x4\n       actions: output group\n"}},
    {1, NICIRA(9), put_features, {"Capabilities:  0xf"}},
    {4,
     STANDARD(OFMP_METER_CONFIG),
     put_meter_config,
     {"meter=7 pktps burst bands=\ntype=drop rate=100 burst_size=50\n",
      "type=dscp_remark rate=200 burst_size=60 prec_level=1\n"}},
    {6,
     STANDARD(OFMP_METER),
     put_meter_stats,
     {"meter:7 flow_count:2 packet_in_count:3 byte_in_count:300 duration:5.250s bands:\n",
      "0: packet_count:1 byte_count:100\n"}},
    {4,
     STANDARD(OFMP_METER_FEATURES),
     put_meter_features,
     {"max_meter:1000 max_bands:8 max_color:0\n", "band_types: drop", "capabilities: kbps pktps burst stats"}},
    {6, STANDARD(OFMP_METER_FEATURES), put_meter_features, {"max_meter:1000 max_bands:8 max_color:0\n"}},
};

static char *ofp_print(const struct writer *w)
{
    _cleanup_free_ char *hex = to_hex(w->data, w->len);
    _cleanup_free_ char *command = xasprintf("exec ovs-ofctl ofp-print %s 2>&1", hex);
    FILE *f = popen(command, "r");
    char *text = xcalloc(1, 65536);

    assert_non_null(f);
    text[fread(text, 1, 65535, f)] = '\0';
    assert_int_equal(pclose(f), 0);
    return text;
}

static void test_replies(void **state WR_UNUSED)
{
    bool print = !access("/usr/bin/ovs-ofctl", X_OK);

    for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
        struct writer w = {0};
        struct of_mp mp;

        of_mp_begin_kind(&mp, &w, replies[i].version, &replies[i].kind, 1);
        of_mp_entry(&mp);
        replies[i].put(&w, replies[i].version, replies[i].kind.type == OFMP_EXPERIMENTER);
        of_mp_entry_done(&mp);
        of_mp_end(&mp);
        assert_int_equal(w.error, 0);
        _cleanup_free_ char *text = print ? ofp_print(&w) : NULL;
        for (size_t j = 0; print && j < ARRAY_SIZE(replies[i].wanted) && replies[i].wanted[j]; j++) {
            if (!strstr(text, replies[i].wanted[j])) {
                fail_msg("reply %zu:\n%s\nlacks\n%s", i, text, replies[i].wanted[j]);
            }
        }
        writer_done(&w);
    }
}

/* ---- text ---- */

/* What a message said, written, read and encoded again. */
static void test_groups_as_text(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(group_mods); i++) {
        const struct vector *v = &group_mods[i];
        uint8_t bytes[512];
        size_t n = from_hex(v->body, bytes, sizeof bytes);
        struct reader r = reader_of(bytes, n);
        struct of_group_mod gm;
        struct writer was = {0}, is = {0};
        _cleanup_strbuf_ struct strbuf b = {0};
        _cleanup_free_ char *error = NULL;

        assert_int_equal(of_group_mod_decode(&r, v->version, v->nx, &gm), 0);
        of_group_mod_encode(&was, v->version, v->nx, &gm, 1);
        if (gm.command == OF_GROUP_DELETE || gm.command == OF_GROUP_REMOVE_BUCKET) {
            of_group_mod_done(&gm);
            writer_done(&was);
            continue;
        }
        group_format(&gm.group, 0, &b);
        of_group_done(&gm.group);
        if (group_parse(strbuf_str(&b), NULL, &gm.group, &error)) {
            fail_msg("%s: %s", strbuf_str(&b), error);
        }
        of_group_mod_encode(&is, v->version, v->nx, &gm, 1);
        assert_int_equal(was.len, is.len);
        assert_memory_equal(was.data, is.data, is.len);
        of_group_mod_done(&gm);
        writer_done(&was);
        writer_done(&is);
    }
}

static const struct {
    const char *text, *canonical; /* NULL: the same */
} group_texts[] = {
    {"group_id=1,type=all", NULL},
    {"group_id=2,type=select,selection_method=hash,selection_method_param=7,fields(ip_src=0xffffff00,tcp_dst),"
     "bucket=bucket_id:3,weight:2,actions=output:7,bucket=bucket_id:1,weight:1,actions=drop",
     NULL},
    {"group_id=3,type=ff,bucket=watch_port:1,watch_group:9,actions=mod_dl_dst:02:00:00:00:00:01,output:1",
     "group_id=3,type=ff,bucket=bucket_id:0,watch_port:1,watch_group:9,actions=set_field:02:00:00:00:00:01->eth_dst,"
     "output:1"},
    {"group_id=4,type=indirect,bucket=bucket_id:0,watch_port:LOCAL,actions=clone(output:1,output:2),group:3", NULL},
};

static void test_group_texts(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(group_texts); i++) {
        const char *want = group_texts[i].canonical ? group_texts[i].canonical : group_texts[i].text;
        _cleanup_strbuf_ struct strbuf b = {0};
        _cleanup_free_ char *error = NULL;
        struct of_group g;

        if (group_parse(group_texts[i].text, NULL, &g, &error)) {
            fail_msg("%s: %s", group_texts[i].text, error);
        }
        group_format(&g, 0, &b);
        assert_string_equal(strbuf_str(&b), want);
        of_group_done(&g);
    }
}

static void test_bad_group_texts(void **state WR_UNUSED)
{
    static const char *const texts[] = {
        "",
        "type=all",
        "group_id=0xffffff01",
        "group_id=1,type=some",
        "group_id=1,selection_method=luck",
        "group_id=1,fields(no_such)",
        "group_id=1,fields(tcp_dst,tcp_dst)",
        "group_id=1,fields(ip_dscp=0xff)",
        "group_id=1,fields(tcp_dst=x)",
        "group_id=1,color=red",
        "group_id=1,command_bucket_id=first",
        "group_id=1,bucket=weight:1",
        "group_id=1,bucket=weight:65536,actions=drop",
        "group_id=1,bucket=size:1,actions=drop",
        "group_id=1,bucket=watch_port:vm1,actions=drop",
        "group_id=1,bucket=actions=no_such",
        "group_id=1,bucket=bucket_id:1,actions=drop,bucket=bucket_id:1,actions=drop",
        "group_id=1,(",
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        _cleanup_free_ char *error = NULL;
        struct of_group g;

        if (group_parse(texts[i], NULL, &g, &error) != -EINVAL) {
            fail_msg("%s: taken", texts[i]);
        }
        assert_non_null(error);
    }
}

static void test_command_bucket(void **state WR_UNUSED)
{
    static const struct {
        const char *text;
        uint32_t id;
    } cases[] = {{"first", OF_BUCKET_FIRST}, {"last", OF_BUCKET_LAST}, {"all", OF_BUCKET_ALL}, {"5", 5}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *text = xasprintf("group_id=1,command_bucket_id=%s", cases[i].text), *error = NULL;
        struct of_group g;
        uint32_t id = 77;

        assert_int_equal(group_parse(text, &id, &g, &error), 0);
        assert_int_equal(id, cases[i].id);
        of_group_done(&g);
    }
}

static void test_meter_texts(void **state WR_UNUSED)
{
    static const struct {
        const char *text, *canonical; /* NULL: refused */
    } cases[] = {
        {"meter=1 kbps bands= type=drop rate=1000", "meter=1 kbps bands= type=drop rate=1000"},
        {"meter=2,pktps,burst,stats,bands= type=drop,rate=5,burst_size=9,type=dscp_remark rate=6 prec_level=2",
         "meter=2 pktps burst stats bands= type=drop rate=5 burst_size=9 type=dscp_remark rate=6 burst_size=0 "
         "prec_level=2"},
        {"meter=controller bands= type=drop rate=1", "meter=controller kbps bands= type=drop rate=1"},
        {"meter=slowpath pktps", "meter=slowpath pktps bands="},
        {"meter=0 kbps", NULL},
        {"kbps", NULL},
        {"meter=1 kbps pktps", NULL},
        {"meter=1 bands=type=drop", NULL},
        {"meter=1 bands= type=drop", NULL},
        {"meter=1 bands= rate=1", NULL},
        {"meter=1 bands= type=paint rate=1", NULL},
        {"meter=1 bands= type=drop rate=1 color=2", NULL},
        {"meter=1 rate=4294967296", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_strbuf_ struct strbuf b = {0};
        _cleanup_free_ char *error = NULL;
        struct of_meter m;

        if (meter_parse(cases[i].text, &m, &error)) {
            assert_null(cases[i].canonical);
            assert_non_null(error);
            continue;
        }
        meter_format(&m, &b);
        assert_string_equal(strbuf_str(&b), cases[i].canonical ? cases[i].canonical : "");
        of_meter_done(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_mods),      cmocka_unit_test(test_bad_group_mods),
        cmocka_unit_test(test_meter_mods),      cmocka_unit_test(test_meter_default_flag),
        cmocka_unit_test(test_request_bodies),  cmocka_unit_test(test_replies),
        cmocka_unit_test(test_groups_as_text),  cmocka_unit_test(test_group_texts),
        cmocka_unit_test(test_bad_group_texts), cmocka_unit_test(test_command_bucket),
        cmocka_unit_test(test_meter_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
