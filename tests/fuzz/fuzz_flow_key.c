/* SPDX-License-Identifier: Apache-2.0 */
/* A frame, as a port hands it over, becomes a flow key. */
#include "fuzz.h"
#include "packet/packet.h"

static bool key_equal(const struct flow_key *a, const struct flow_key *b)
{
    return !memcmp(a, b, sizeof *a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct packet p = {
        .base = (uint8_t *)(uintptr_t)data, .allocated = size, .data = (uint8_t *)(uintptr_t)data, .len = size};
    struct flow_key key, again;

    memset(&key, 0xa5, sizeof key);
    memset(&again, 0x5a, sizeof again);
    flow_key_extract(&p, &key);
    FUZZ_CHECK(p.l2_5_ofs <= size && p.l3_ofs <= size && p.l4_ofs <= size);
    FUZZ_CHECK(!p.l4_ofs || (p.l3_ofs && p.l3_ofs < p.l4_ofs));
    FUZZ_CHECK(!key.pad0 && !key.pad1 && !key.tunnel.opts_id);
    FUZZ_CHECK(key.vlan[0].tci || (!key.vlan[0].tpid && !key.vlan[1].tci));
    /* Every byte of the key is written, whatever was there before, and layer offsets left over do no harm. */
    flow_key_extract(&p, &again);
    FUZZ_CHECK(key_equal(&key, &again));
    FUZZ_CHECK(flow_key_hash5(&key) == key.dp_hash);
    return 0;
}
