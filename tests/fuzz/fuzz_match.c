/* SPDX-License-Identifier: Apache-2.0 */
/* OXM and NXM TLVs become a match, which survives the wire (in both families) and the text syntax. */
#include "fuzz.h"

#include <endian.h>

#include "base/strbuf.h"
#include "openflow/error.h"
#include "openflow/text.h"

#define PRESENT htobe16(FLOW_VLAN_PRESENT)
#define PRIORITY htobe16(0xe000)

/* OXM has no vlan_tci, and the text follows it: "no tag" is said by vlan_vid alone, and the priority, which is zero
 * then, is no longer matched. */
static struct match canonical(const struct match *m)
{
    struct match o = *m;

    if ((o.mask.key.vlan[0].tci & PRESENT) && !o.value.key.vlan[0].tci) {
        o.mask.key.vlan[0].tci &= (__be16)~PRIORITY;
    }
    return o;
}

static void check_wire(const struct match *m, uint8_t version)
{
    struct match want = version > 1 ? canonical(m) : *m, again;
    struct writer w = {0};

    match_encode(m, version, &w);
    FUZZ_CHECK(!w.error);
    struct reader r = reader_of(w.data, w.len);
    FUZZ_CHECK(!match_decode(&r, &again, NULL, NULL));
    FUZZ_CHECK(match_equal(&want, &again));
    writer_done(&w);
}

static void check_text(const struct match *m)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    _cleanup_free_ char *error = NULL;
    struct match want = canonical(m), again;

    match_format(m, NULL, &b);
    int r = match_parse(strbuf_str(&b), NULL, &again, &error);
    if (r || !match_equal(&want, &again)) {
        fprintf(stderr, "text: %s: %s\n", strbuf_str(&b), error ? error : "another match");
    }
    FUZZ_CHECK(!r && match_equal(&want, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct match m;
    __be64 cookie = 0, cookie_mask = 0;
    struct reader r = reader_of(data, size);
    int error = match_decode(&r, &m, &cookie, &cookie_mask);

    FUZZ_CHECK(!error || oferr_is(error));
    FUZZ_CHECK(!(cookie & ~cookie_mask));
    if (!error) {
        FUZZ_CHECK(match_covers(&m, &m) && match_overlaps(&m, &m) && match_hits(&m, &m.value));
        check_wire(&m, 1);
        check_wire(&m, 4);
        check_wire(&m, 6);
        check_text(&m);
    }
    return 0;
}
