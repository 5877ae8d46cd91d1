/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies about groups and meters. First byte: the version; second: which body; then the body. What was read is written
 * and read again, and must then be written in the same bytes. */
#include "fuzz.h"
#include "openflow/error.h"
#include "openflow/msg_group.h"
#include "openflow/msg_meter.h"

static void check_error(int error)
{
    FUZZ_CHECK(!error || oferr_is(error));
}

static void same(struct writer *a, struct writer *b)
{
    FUZZ_CHECK(a->error || (!b->error && a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len))));
    writer_done(a);
    writer_done(b);
}

static void group_mod(struct reader r, uint8_t version, bool nx)
{
    struct of_group_mod gm, again;
    struct writer w = {0}, w2 = {0};
    int error = of_group_mod_decode(&r, version, nx, &gm);

    check_error(error);
    if (error) {
        return;
    }
    FUZZ_CHECK(gm.group.type <= OF_GROUP_TYPE_FAILOVER && gm.group.n_fields <= OF_SELECTION_FIELDS_MAX);
    of_group_mod_encode(&w, version, nx, &gm, 1);
    of_group_mod_done(&gm);
    if (!w.error) {
        size_t head = nx ? OF_HEADER_LEN + 8 : OF_HEADER_LEN;

        r = reader_of(w.data + head, w.len - head);
        /* Actions may be longer in the form that they are written in: too long for the buckets' length. */
        if (!of_group_mod_decode(&r, version, nx, &again)) {
            of_group_mod_encode(&w2, version, nx, &again, 1);
            of_group_mod_done(&again);
            same(&w, &w2);
            return;
        }
        FUZZ_CHECK(w.len > UINT16_MAX / 2);
    }
    writer_done(&w);
}

static void group_desc(struct reader r, uint8_t version, bool nx)
{
    struct of_group g;

    while (r.left) {
        struct writer w = {0};
        int error = of_group_desc_decode(&r, version, nx, &g);

        check_error(error);
        if (error) {
            return;
        }
        of_group_desc_put(&w, OF_VERSION_13, false, &g);
        of_group_desc_put(&w, OF_VERSION_15, false, &g);
        of_group_desc_put(&w, OF_VERSION_10, true, &g);
        writer_done(&w);
        of_group_done(&g);
    }
}

static void group_stats(struct reader r)
{
    struct of_group_stats gs, again;

    while (r.left && !of_group_stats_decode(&r, &gs)) {
        struct writer w = {0}, w2 = {0};

        of_group_stats_put(&w, &gs);
        struct reader r2 = reader_of(w.data, w.len);
        FUZZ_CHECK(!of_group_stats_decode(&r2, &again));
        of_group_stats_put(&w2, &again);
        same(&w, &w2);
        free(again.decoded);
        free(gs.decoded);
    }
}

static void meter_mod(struct reader r)
{
    struct of_meter_mod mm, again;
    struct writer w = {0}, w2 = {0};
    int error = of_meter_mod_decode(&r, &mm);

    check_error(error);
    if (error) {
        return;
    }
    of_meter_mod_encode(&w, OF_VERSION_13, &mm, 1);
    of_meter_mod_done(&mm);
    r = reader_of(w.data + OF_HEADER_LEN, w.len - OF_HEADER_LEN);
    FUZZ_CHECK(!of_meter_mod_decode(&r, &again));
    of_meter_mod_encode(&w2, OF_VERSION_13, &again, 1);
    of_meter_mod_done(&again);
    same(&w, &w2);
}

static void meter_config(struct reader r)
{
    struct of_meter m, again;

    while (r.left && !of_meter_config_decode(&r, &m)) {
        struct writer w = {0}, w2 = {0};

        of_meter_config_put(&w, &m);
        struct reader r2 = reader_of(w.data, w.len);
        FUZZ_CHECK(!of_meter_config_decode(&r2, &again));
        of_meter_config_put(&w2, &again);
        same(&w, &w2);
        of_meter_done(&again);
        of_meter_done(&m);
    }
}

static void meter_stats(struct reader r)
{
    struct of_meter_stats ms;

    while (r.left && !of_meter_stats_decode(&r, &ms)) {
        struct writer w = {0};

        of_meter_stats_put(&w, &ms);
        FUZZ_CHECK(!w.error && w.len == 40 + 16 * ms.n_bands);
        writer_done(&w);
        free(ms.decoded);
    }
}

static void small(struct reader r, uint8_t version)
{
    struct of_group_features gf;
    struct of_meter_features mf;
    struct reader copy = r;
    uint32_t id;

    check_error(of_group_features_decode(&copy, &gf));
    copy = r;
    check_error(of_meter_features_decode(&copy, &mf));
    copy = r;
    check_error(of_meter_request_decode(&copy, &id));
    copy = r;
    check_error(of_group_request_decode(&copy, version, false, OFMP_GROUP, &id));
    copy = r;
    check_error(of_group_request_decode(&copy, version, false, OFMP_GROUP_DESC, &id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t versions[] = {OF_VERSION_10, OF_VERSION_13, OF_VERSION_14, OF_VERSION_15};
    struct reader r = reader_of(data, size);
    uint8_t version = versions[reader_u8(&r) % ARRAY_SIZE(versions)], what = reader_u8(&r) % 8;

    if (r.error) {
        return 0;
    }
    switch (what) {
    case 0:
    case 1:
        group_mod(r, version, what == 1 || version == OF_VERSION_10);
        break;
    case 2:
        group_desc(r, version, false);
        group_desc(r, version, true);
        break;
    case 3:
        group_stats(r);
        break;
    case 4:
        meter_mod(r);
        break;
    case 5:
        meter_config(r);
        break;
    case 6:
        meter_stats(r);
        break;
    default:
        small(r, version);
    }
    return 0;
}
