/* SPDX-License-Identifier: Apache-2.0 */
/* Actions in each version of OpenFlow, against what ovs-vswitchd sends and ovs-ofctl prints for the same flows. */
#include "action_vectors.h"

#include "base/strbuf.h"
#include "hex.h"
#include "openflow/text.h"

static const char *wire_of(const struct vector *v, uint8_t version)
{
    return version == 1 ? v->of10 : version == 6 && v->of15 ? v->of15 : v->of13;
}

static const char *text_of(const struct vector *v, uint8_t version)
{
    return version == 1 ? v->text10 : version == 6 && v->text15 ? v->text15 : v->text13;
}

static void decode(const struct vector *v, uint8_t version, struct ofpacts *acts)
{
    _cleanup_free_ char *flow = xmalloc(strlen(v->match) + 20);
    _cleanup_flow_spec_ struct flow_spec spec = {0};
    uint8_t bytes[1024];
    struct reader r = reader_of(bytes, from_hex(wire_of(v, version), bytes, sizeof bytes));
    int error = ofpacts_decode_instructions(&r, version, acts);

    if (error) {
        fail_msg("%s in version %u: error %x", v->given, version, -error);
    }
    sprintf(flow, "%s%sactions=drop", v->match, *v->match ? "," : "");
    assert_int_equal(flow_parse(flow, NULL, &spec, NULL), 0);
    ofpacts_note_vlan(acts, &spec.match);
    error = version == 1 ? ofpacts_check_of10(acts->data, acts->len, &spec.match, TABLE_ID_ALL)
                         : ofpacts_check(acts->data, acts->len, &spec.match, TABLE_ID_ALL);
    if (error && version == v->version) {
        fail_msg("%s in version %u: check says %x", v->given, version, -error);
    }
}

static void expect_wire(const struct vector *v, const struct ofpacts *acts, uint8_t from, uint8_t version)
{
    struct writer w = {0};
    _cleanup_free_ char *got = NULL;

    ofpacts_encode_instructions(acts->data, acts->len, version, &w);
    got = to_hex(w.data, w.len);
    if (strcmp(got, wire_of(v, version))) {
        fail_msg("%s %s from version %u in version %u:\n%s, not\n%s", v->match, v->given, from, version, got,
                 wire_of(v, version));
    }
    writer_done(&w);
}

/* The form in which a flow came, in every other version. */
static void sent_and_dumped(void **state WR_UNUSED)
{
    static const uint8_t versions[] = {1, 4, 5, 6};

    for (const struct vector *v = vectors; v < vectors + ARRAY_SIZE(vectors); v++) {
        struct ofpacts acts = {0};

        decode(v, v->version, &acts);
        for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
            expect_wire(v, &acts, v->version, versions[i]);
        }
        ofpacts_done(&acts);
    }
}

/* Each version's bytes stay as they are, and are printed as ovs-ofctl does. */
static void dumped_and_read(void **state WR_UNUSED)
{
    static const uint8_t versions[] = {1, 4, 6};

    for (const struct vector *v = vectors; v < vectors + ARRAY_SIZE(vectors); v++) {
        for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
            struct ofpacts acts = {0};
            _cleanup_strbuf_ struct strbuf b = {0};

            if (!strcmp(text_of(v, versions[i]), "?")) {
                continue;
            }
            decode(v, versions[i], &acts);
            expect_wire(v, &acts, versions[i], versions[i]);
            ofpacts_format(acts.data, acts.len, NULL, &b);
            assert_string_equal(strbuf_str(&b), text_of(v, versions[i]));
            ofpacts_done(&acts);
        }
    }
}

/* Our own parser says what ovs-ofctl's says. */
static void parsed(void **state WR_UNUSED)
{
    for (const struct vector *v = vectors; v < vectors + ARRAY_SIZE(vectors); v++) {
        _cleanup_free_ char *flow = xmalloc(strlen(v->match) + strlen(v->given) + 20), *error = NULL;
        _cleanup_flow_spec_ struct flow_spec spec = {0};

        if (v->version != 4) {
            continue;
        }
        sprintf(flow, "%s%sactions=%s", v->match, *v->match ? "," : "", v->given);
        if (flow_parse(flow, NULL, &spec, &error)) {
            fail_msg("%s: %s", flow, error);
        }
        expect_wire(v, &spec.acts, 0, 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sent_and_dumped),
        cmocka_unit_test(dumped_and_read),
        cmocka_unit_test(parsed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
