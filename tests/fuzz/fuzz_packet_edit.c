/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame with a device's offload state is changed as actions do, cut into segments, and its checksum completed. The
 * first 10 bytes are the virtio-net header, the next one counts edits, each one byte: which, and the value written in
 * its upper half.
 */
#include "fuzz.h"
#include "packet/edit.h"
#include "packet/segment.h"

static void edit(struct packet *p, uint8_t op)
{
    struct flow_key key, mask;
    struct flow_vlan vlan = {.tpid = (__be16)0x0081, .tci = op};

    memset(&key, op >> 4, sizeof key);
    memset(&mask, op & 8 ? 0xff : 0x0f, sizeof mask);
    switch (op & 7) {
    case 0:
        packet_set_eth(p, &key, &mask);
        packet_set_vlan(p, &key, &mask);
        packet_set_mpls(p, &key, &mask);
        break;
    case 1:
        packet_set_ipv4(p, &key, &mask);
        packet_set_ipv6(p, &key, &mask);
        break;
    case 2:
        packet_set_tp(p, &key, &mask);
        break;
    case 3:
        packet_set_arp(p, &key, &mask);
        packet_set_nd(p, &key, &mask);
        break;
    case 4:
        packet_push_vlan(p, vlan);
        break;
    case 5:
        packet_pop_vlan(p);
        break;
    case 6:
        packet_push_mpls(p, (__be32)op, (__be16)0x4788);
        break;
    default:
        packet_pop_mpls(p, op & 16 ? (__be16)0x0008 : (__be16)0x4788);
        flow_key_extract(p, &key);
    }
}

/* Each segment is no longer than what GSO asked for, and is complete. */
static void cut(const struct packet *p)
{
    struct packet *seg = packet_new(NULL, 0);
    struct segmenter s;
    size_t total = 0;

    if (!segmenter_init(&s, p)) {
        while (segmenter_next(&s, seg)) {
            FUZZ_CHECK(seg->len <= s.hdr_len + p->offload.gso_size);
            FUZZ_CHECK(!(seg->offload.flags & 1) && !seg->offload.gso_type);
            total += seg->len - s.hdr_len;
        }
        FUZZ_CHECK(total == p->len - s.hdr_len);
    }
    packet_free(seg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct flow_key key, fresh;

    if (size < 11 || (size_t)data[10] % 16 > size - 11) {
        return 0;
    }
    size_t n = data[10] % 16;
    struct packet *p = packet_new(data + 11 + n, size - 11 - n);
    p->offload = (struct packet_offload){.flags = data[0], .gso_type = data[1]};
    memcpy(&p->offload.hdr_len, data + 2, 8);
    flow_key_extract(p, &key);
    for (size_t i = 0; i < n; i++) {
        edit(p, data[11 + i]);
    }
    /* The offsets that edits kept up are those of the packet as it is now. */
    struct packet *copy = packet_clone(p);
    flow_key_extract(copy, &fresh);
    FUZZ_CHECK(copy->len == p->len && copy->l3_ofs <= copy->len && copy->l4_ofs <= copy->len);
    packet_free(copy);
    if (packet_is_gso(p)) {
        cut(p);
    }
    if (!packet_complete_csum(p)) {
        FUZZ_CHECK(!(p->offload.flags & 1));
    }
    packet_free(p);
    return 0;
}
