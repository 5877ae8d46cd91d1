/* SPDX-License-Identifier: Apache-2.0 */
/* A flow in ovs-ofctl's syntax, as people and the agent write it. What was read is written so that it reads the same.
 */
#include "base/strbuf.h"
#include "fuzz.h"
#include "openflow/text.h"

static void check_again(const struct flow_spec *spec)
{
    _cleanup_strbuf_ struct strbuf b = {0};
    _cleanup_free_ char *error = NULL;
    struct flow_spec again;

    flow_format(spec, NULL, &b);
    int r = flow_parse(strbuf_str(&b), NULL, &again, &error);
    if (r) {
        fprintf(stderr, "%s: %s\n", strbuf_str(&b), error);
    }
    FUZZ_CHECK(!r);
    if (!match_equal(&spec->match, &again.match) ||
        !ofpacts_equal(spec->acts.data, spec->acts.len, again.acts.data, again.acts.len)) {
        fprintf(stderr, "%s: not what was read\n", strbuf_str(&b));
    }
    FUZZ_CHECK(match_equal(&spec->match, &again.match));
    FUZZ_CHECK(ofpacts_equal(spec->acts.data, spec->acts.len, again.acts.data, again.acts.len));
    FUZZ_CHECK(spec->priority == again.priority && spec->cookie == again.cookie && spec->flags == again.flags);
    FUZZ_CHECK(spec->idle_timeout == again.idle_timeout && spec->hard_timeout == again.hard_timeout);
    FUZZ_CHECK(spec->importance == again.importance);
    flow_spec_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = xmalloc(size + 1), *error = NULL;
    struct flow_spec spec;

    memcpy(text, data, size);
    text[size] = '\0';
    if (flow_parse(text, NULL, &spec, &error)) {
        FUZZ_CHECK(error && error[0]);
        return 0;
    }
    FUZZ_CHECK(!error);
    check_again(&spec);
    flow_spec_done(&spec);
    return 0;
}
