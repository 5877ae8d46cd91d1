/* SPDX-License-Identifier: Apache-2.0 */
/* What ofproto/trace is told: a datapath flow, or a packet in hex. A frame made from a flow is the same flow from then
 * on: once normalised by a frame, a key survives any number of them. */
#include "fuzz.h"
#include "packet/compose.h"
#include "switch/trace_ctl.h"

static struct flow_key through_frame(const struct flow_key *key)
{
    struct packet *p = packet_compose(key);
    struct flow_key again;

    flow_key_extract(p, &again);
    packet_free(p);
    return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = xcalloc(1, size + 1);
    _cleanup_free_ char *error = NULL;
    struct packet *packet = NULL;
    struct flow flow;

    memcpy(text, data, size);
    if (!dp_flow_parse(text, &flow, &error)) {
        struct flow_key once = through_frame(&flow.key), twice = through_frame(&once);

        FUZZ_CHECK(!memcmp(&once, &twice, sizeof once));
    } else {
        FUZZ_CHECK(error);
    }
    if (!packet_parse(text, &packet)) {
        FUZZ_CHECK(packet->len && packet->len <= size / 2);
        packet_free(packet);
    }
    return 0;
}
