/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_LOOKUP_BPF_H
#define WARREN_DATAPATH_EBPF_LOOKUP_BPF_H
/*
 * From key to megaflow.
 *
 * Problem: dozens of masks, and a budget of a few hundred nanoseconds for a packet. Idea: a cheap hash of the key picks
 * one of EBPF_HINTS entries of this CPU, which remembers the slot that such a key hit last. The slot is believed only
 * after comparing the key under the slot's mask with the slot's key, so a hint can be wrong or old without harm. There
 * are hints by everything that tells connections apart, and behind them hints without addresses of L3 and ports of L4,
 * which most megaflows do not look at: there a new connection of two stations that know each other is found. Without a
 * hint every live mask is asked: hash of the masked key, flow_index, the same comparison.
 *
 * Costs: a hit by hint is one or two comparisons of 21 words and no hash map at all; a mask that is asked costs about
 * 0.1 µs, so that connections beyond the number of hints cost as much as there are masks. 128 KiB a CPU for 32,768 of
 * them: most of it is touched only where there are that many.
 * Invariants: a slot that is not live matches nothing; comparing is done against the slot's own mask and key, so that a
 * slot that was given to another flow is that flow, wholly, or no match.
 */
#include "datapath/ebpf/common.bpf.h"
#include "datapath/ebpf/csum.bpf.h"

/* What stations and their network are: in_port, tunnel id and source, Ethernet addresses, EtherType, protocol. */
INLINE __u64 hash_stations(const struct scratch *s)
{
    const __u64 *k = (const __u64 *)(const void *)&s->key;
    __u64 a = k[0] ^ k[1] ^ ((__u64)s->key.tunnel.src.be32[3] << 32 | s->key.tunnel.src.be32[2]);

    a ^= k[7] ^ k[8] << 1 ^ (__u64)s->key.eth_type << 16 ^ s->key.ip_proto;
    return a * 0x9ddfea08eb382d69ull;
}

/* With addresses and ports. */
INLINE __u64 hash_connection(const struct scratch *s, __u64 stations)
{
    return (stations ^ s->key.dp_hash) * 0xc2b2ae3d27d4eb4full;
}

/* The key under the slot's mask is the slot's key. Not inlined: the comparison needs much of the stack, of which there
 * are 512 bytes for a whole chain of calls. */
static __attribute__((noinline)) bool slot_matches(const struct scratch *s, const struct ebpf_slot *slot)
{
    __u32 index = slot->mask;
    struct ebpf_mask *mask = bpf_map_lookup_elem(&masks, &index);
    const __u64 *k = (const __u64 *)(const void *)&s->key, *have = (const __u64 *)(const void *)&slot->key, *m;
    __u64 differs = 0;

    if (!mask) {
        return false;
    }
    m = (const __u64 *)(const void *)&mask->mask;
#pragma unroll
    for (int i = 0; i < (int)FLOW_KEY_U64S; i++) {
        differs |= (k[i] & m[i]) ^ have[i];
    }
    return !differs;
}

/* The slot + 1 of the flow that the key hits under mask MASK_INDEX, 0 if there is none. */
static __attribute__((noinline)) __u32 probe(struct scratch *s, struct ebpf_config *c, __u32 mask_index)
{
    struct ebpf_mask *mask = bpf_map_lookup_elem(&masks, &mask_index);
    struct ebpf_slot *slot;
    __u32 *number, n;
    __u64 hash;

    if (!mask || !mask->live) {
        return 0;
    }
    hash = ebpf_hash(&s->key, &mask->mask, c->seed, mask_index);
    number = bpf_map_lookup_elem(&flow_index, &hash);
    if (!number) {
        return 0;
    }
    n = *number;
    slot = bpf_map_lookup_elem(&slots, &n);
    return slot && slot->live && slot->mask == mask_index && slot_matches(s, slot) ? n + 1 : 0;
}

struct search {
    struct scratch *s;
    struct ebpf_config *c;
    __u32 found; /* slot + 1 */
};

static long search_mask(__u32 i, void *search_)
{
    struct search *search = search_;

    search->found = probe(search->s, search->c, i);
    return !!search->found;
}

/* The slot that a hint names, if it is the key's. */
INLINE struct ebpf_slot *hinted(const struct scratch *s, __u32 hint)
{
    __u32 n = hint - 1;
    struct ebpf_slot *slot = bpf_map_lookup_elem(&slots, &n);

    return slot && slot->live && slot_matches(s, slot) ? slot : NULL;
}

/* Without the hint of this very connection. */
static __attribute__((noinline)) __u32 search(struct scratch *s, struct ebpf_config *c, __u32 rough)
{
    struct search search = {.s = s, .c = c};

    learn_zero_taker(s);
    if (hinted(s, s->rough_hints[rough & (EBPF_ROUGH_HINTS - 1)])) {
        return s->rough_hints[rough & (EBPF_ROUGH_HINTS - 1)];
    }
    bpf_loop(c->n_masks, search_mask, &search, 0);
    if (search.found) {
        s->rough_hints[rough & (EBPF_ROUGH_HINTS - 1)] = search.found;
    }
    return search.found;
}

/* The hint of this very connection. */
INLINE __u32 *hint_of(const struct scratch *s, __u64 stations)
{
    __u32 h = hash_connection(s, stations) >> 40 & (EBPF_HINTS - 1), number = h / EBPF_HINT_LINE;
    struct hint_line *line = bpf_map_lookup_elem(&hints, &number);

    return line ? &line->hints[h & (EBPF_HINT_LINE - 1)] : NULL;
}

INLINE struct ebpf_slot *lookup(struct scratch *s, struct ebpf_config *c)
{
    __u64 stations = hash_stations(s);
    struct ebpf_lookup_stats *stats = lookup_stats();
    struct ebpf_slot *slot;
    __u32 *hint, n;

    s->key.dp_hash = flow_key_hash5(&s->key);
    hint = hint_of(s, stations);
    if (!hint || !stats) {
        return NULL;
    }
    slot = hinted(s, *hint);
    if (slot) {
        stats->hint_hits++;
        stats->hits++;
        s->slot = *hint - 1;
        return slot;
    }
    n = search(s, c, stations >> 40) - 1;
    slot = bpf_map_lookup_elem(&slots, &n); /* none when nothing was found: out of range */
    if (!slot) {
        stats->misses++;
        return NULL;
    }
    *hint = n + 1;
    s->slot = n;
    stats->hits++;
    return slot;
}

/* Counts a packet of LEN bytes for the flow, at NOW. */
INLINE void slot_count_bytes(struct ebpf_slot *slot, __u32 len, __u64 now)
{
    __sync_fetch_and_add(&slot->packets, 1);
    __sync_fetch_and_add(&slot->bytes, len);
    slot->used_ns = now;
}

/* Counts the packet for the flow. */
INLINE void slot_count(struct scratch *s, struct ebpf_slot *slot)
{
    __u64 flags = bpf_ntohs(s->key.tcp_flags);

    slot_count_bytes(slot, s->len, bpf_ktime_get_coarse_ns());
    if (flags & ~slot->tcp_flags) {
        __sync_fetch_and_or(&slot->tcp_flags, flags);
    }
}

#endif
