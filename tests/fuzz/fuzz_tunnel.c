/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives from the underlay: the first byte picks the tunnel and whether the outer IP header is there. */
#include "fuzz.h"
#include "packet/tunnel.h"

#define UDP_DST 4789

static void check_inner(const uint8_t *data, size_t size, size_t hdr_len)
{
    FUZZ_CHECK(hdr_len <= size);
    struct packet *p = packet_new(data + hdr_len, size - hdr_len);
    struct flow_key key;

    flow_key_extract(p, &key);
    packet_free(p);
}

/* What was parsed can be sent again, and is then the same tunnel. */
static void check_again(enum tunnel_type kind, const struct flow_tunnel *t, const uint8_t *inner, size_t size)
{
    struct packet *p = packet_new(inner, size);
    struct flow_tunnel again = {0};
    size_t hdr_len = 0, want = tunnel_hdr_len(kind, t, true);

    tunnel_push(p, kind, t, 40000, UDP_DST, true);
    FUZZ_CHECK(p->len == size + want);
    enum drop_reason reason = tunnel_parse(kind, p->data, p->len, UDP_DST, &again, &hdr_len);
    FUZZ_CHECK(reason == DROP_NONE && hdr_len == want);
    FUZZ_CHECK(again.id == t->id && !memcmp(&again.src, &t->src, 16) && !memcmp(&again.dst, &t->dst, 16));
    packet_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct flow_tunnel t = {0}, untouched = {0};
    size_t hdr_len = SIZE_MAX;
    enum drop_reason reason;

    if (!size) {
        return 0;
    }
    enum tunnel_type kind = (enum tunnel_type)(data[0] % 3);
    bool with_ip = data[0] & 4;
    data++;
    size--;
    reason = with_ip ? tunnel_parse(kind, data, size, UDP_DST, &t, &hdr_len)
                     : tunnel_parse_payload(kind, data, size, &t, &hdr_len);
    if (reason != DROP_NONE) {
        FUZZ_CHECK(hdr_len == SIZE_MAX && !memcmp(&t, &untouched, sizeof t));
        return 0;
    }
    check_inner(data, size, hdr_len);
    if (with_ip && size < 60000) {
        check_again(kind, &t, data + hdr_len, size - hdr_len);
    }
    return 0;
}
