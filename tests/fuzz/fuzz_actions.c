/* SPDX-License-Identifier: Apache-2.0 */
/* Actions (first byte even) or instructions of OpenFlow 1.3, 1.0, 1.5 or 1.4 (the next two bits) become a list, which
 * survives the wire and the text. */
#include "base/strbuf.h"
#include "fuzz.h"
#include "openflow/error.h"
#include "openflow/text.h"

static int decode(const uint8_t *data, size_t size, bool instructions, uint8_t version, struct ofpacts *acts)
{
    struct reader r = reader_of(data, size);

    return instructions ? ofpacts_decode_instructions(&r, version, acts) : ofpacts_decode_actions(&r, version, acts);
}

static void check_list(const struct ofpacts *acts)
{
    size_t sum = 0;

    OFPACT_FOR_EACH(a, acts->data, acts->len) {
        FUZZ_CHECK(a->type && a->len >= sizeof *a && a->len % 8 == 0 && a->len <= acts->len - sum);
        sum += a->len;
    }
    FUZZ_CHECK(sum == acts->len);
}

static void encode(const struct ofpacts *acts, bool instructions, uint8_t version, struct writer *w)
{
    if (instructions) {
        ofpacts_encode_instructions(acts->data, acts->len, version, w);
    } else {
        ofpacts_encode_actions(acts->data, acts->len, version, w);
    }
}

static void check_wire(const struct ofpacts *acts, bool instructions, uint8_t version)
{
    struct ofpacts again = {0};
    struct writer w = {0}, w2 = {0};

    encode(acts, instructions, version, &w);
    FUZZ_CHECK(w.len % 8 == 0);
    if (!w.error && w.len <= UINT16_MAX) {
        FUZZ_CHECK(!decode(w.data, w.len, instructions, version, &again));
        encode(&again, instructions, version, &w2);
        FUZZ_CHECK(w2.len == w.len && (!w.len || !memcmp(w2.data, w.data, w.len)));
        /* Nicira's move becomes copy_field in 1.5, which 1.3 then has as ONF's. */
        FUZZ_CHECK(version == 6 || ofpacts_equal(acts->data, acts->len, again.data, again.len));
    }
    ofpacts_done(&again);
    writer_done(&w);
    writer_done(&w2);
}

/* What is printed is read as what prints the same. Of OpenFlow 1.0 that is so from the second time on: the parser of
 * text writes its mod_dl_src and the like as set_field. */
static void check_text(const struct ofpacts *acts, bool settled)
{
    _cleanup_strbuf_ struct strbuf b = {0}, c = {0};
    _cleanup_free_ char *error = NULL;
    struct ofpacts again = {0};

    ofpacts_format(acts->data, acts->len, NULL, &b);
    if (!ofpacts_parse(strbuf_str(&b), NULL, &again, &error)) {
        ofpacts_format(again.data, again.len, NULL, &c);
        if (settled && strcmp(strbuf_str(&b), strbuf_str(&c))) {
            fprintf(stderr, "%s\nbecame\n%s\n", strbuf_str(&b), strbuf_str(&c));
        }
        FUZZ_CHECK(!settled || !strcmp(strbuf_str(&b), strbuf_str(&c)));
        if (!settled) {
            check_text(&again, true);
        }
    } else {
        FUZZ_CHECK(error && error[0]);
    }
    ofpacts_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ofpacts acts = {0};
    struct match any = {0};

    if (!size) {
        return 0;
    }
    bool instructions = data[0] & 1;
    uint8_t version = (const uint8_t[]){4, 1, 6, 5}[data[0] >> 1 & 3];
    if (instructions && version == 1) {
        return 0; /* OpenFlow 1.0 has none */
    }
    int error = decode(data + 1, size - 1, instructions, version, &acts);
    FUZZ_CHECK(!error || oferr_is(error));
    if (!error) {
        check_list(&acts);
        error = ofpacts_check(acts.data, acts.len, &any, 0);
        FUZZ_CHECK(!error || oferr_is(error));
        ofpacts_output_to(acts.data, acts.len, OFPP_LOCAL);
        check_wire(&acts, instructions, version);
        check_text(&acts, version > 1);
    }
    ofpacts_done(&acts);
    return 0;
}
