/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matches on the wire of every version. The vectors are what ovs-vswitchd 3.1 says of a flow with the match in TEXT,
 * which was put in by ovs-ofctl: in OpenFlow 1.0's own form, in NXM, in OXM of 1.3 (1.4 has the same) and of 1.5.
 */
#include "hex.h"
#include "openflow/error.h"
#include "openflow/match_legacy.h"
#include "openflow/text.h"

struct vector {
    const char *text, *of10, *nxm, *oxm, *oxm15;
};
static const struct vector vectors[] = {
#include "match_vectors.inc"
};

static struct match parse(const char *text)
{
    _cleanup_free_ char *error = NULL;
    struct match m;

    if (match_parse(text, NULL, &m, &error)) {
        fail_msg("%s: %s", text, error);
    }
    return m;
}

static void check_written(const char *text, const char *form, const struct writer *w, const char *want)
{
    char hex[2 * 512 + 1] = "";

    for (size_t i = 0; i < w->len && i < 512; i++) {
        snprintf(hex + 2 * i, 3, "%02x", w->data[i]);
    }
    if (strcmp(hex, want)) {
        fail_msg("%s in %s:\n%s, wanted\n%s", text, form, hex, want);
    }
}

static void test_written(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        const struct vector *v = &vectors[i];
        const struct match m = parse(v->text);
        struct writer w = {0};

        match_encode_10(&m, &w);
        check_written(v->text, "1.0", &w, v->of10);
        w.len = 0;
        match_encode(&m, 1, &w);
        check_written(v->text, "NXM", &w, v->nxm);
        w.len = 0;
        match_encode(&m, 4, &w);
        check_written(v->text, "OXM of 1.3", &w, v->oxm);
        w.len = 0;
        match_encode(&m, 5, &w);
        check_written(v->text, "OXM of 1.4", &w, v->oxm);
        w.len = 0;
        match_encode(&m, 6, &w);
        check_written(v->text, "OXM of 1.5", &w, v->oxm15);
        writer_done(&w);
    }
}

static void check_read(const char *text, const char *hex, const struct match *want)
{
    uint8_t bytes[512];
    size_t n = from_hex(hex, bytes, sizeof bytes);
    struct reader r = reader_of(bytes, n);
    struct match m;
    int error = match_decode(&r, &m, NULL, NULL);

    if (error || !match_equal(&m, want)) {
        fail_msg("%s: %s is read as %s", text, hex, error ? oferr_name(error) : "another match");
    }
}

static void test_read(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        const struct match m = parse(vectors[i].text);

        check_read(vectors[i].text, vectors[i].nxm, &m);
        check_read(vectors[i].text, vectors[i].oxm, &m);
        check_read(vectors[i].text, vectors[i].oxm15, &m);
    }
}

/* 1.0 has no mask for most fields (what is matched in part goes out whole), and says "untagged" its own way. */
static bool said_in_part(const char *text)
{
    return strchr(text, '/') || !strcmp(text, "vlan_tci=0");
}

/* What 1.0 can say, it reads back; of the others only those fields are left. */
static void test_read_10(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        const struct match m = parse(vectors[i].text);
        uint8_t bytes[OF10_MATCH_LEN];
        struct match back, again;
        struct writer w = {0};
        bool exact;

        assert_int_equal(from_hex(vectors[i].of10, bytes, sizeof bytes), OF10_MATCH_LEN);
        struct reader r = reader_of(bytes, sizeof bytes);
        assert_int_equal(match_decode_10(&r, &back, &exact), 0);
        assert_false(exact && strcmp(vectors[i].text + strlen(vectors[i].text) - 14, ",dl_vlan_pcp=2"));
        assert_true(match_covers(&back, &m) || said_in_part(vectors[i].text));
        match_encode_10(&back, &w);
        r = reader_of(w.data, w.len);
        assert_int_equal(match_decode_10(&r, &again, &exact), 0);
        assert_true(match_equal(&back, &again));
        writer_done(&w);
        r = reader_of(bytes, sizeof bytes - 1);
        assert_int_not_equal(match_decode_10(&r, &back, &exact), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_10),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
