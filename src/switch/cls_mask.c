/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/cls_mask.h"

#include <arpa/inet.h>

/* Every mask in use. Rules are made before they know their classifier, so this is the process's, not a classifier's. */
static struct {
    struct cls_mask **buckets;
    size_t n_buckets, n; /* a power of 2 */
} all;

static enum cls_stage stage_of(size_t word)
{
    size_t ofs = word * 8;

    if (ofs < offsetof(struct flow_key, eth_dst) || ofs >= sizeof(struct flow_key)) {
        return CLS_STAGE_META;
    }
    if (ofs < offsetof(struct flow_key, ip_src)) {
        return CLS_STAGE_L2;
    }
    /* With what ARP and ND say beyond their addresses: few packets have it. */
    return ofs >= offsetof(struct flow_key, tp_src) ? CLS_STAGE_L4 : CLS_STAGE_L3;
}

_Static_assert(offsetof(struct flow_key, eth_dst) % 8 == 0 && offsetof(struct flow_key, ip_src) % 8 == 0 &&
                   offsetof(struct flow_key, tp_src) % 8 == 0,
               "stages are whole words");

/* Length of the prefix that N 32-bit words in network order are; 0 when they are none. */
static uint8_t prefix_len(const __be32 *words, size_t n)
{
    size_t len = 0, i = 0;

    while (i < n && words[i] == UINT32_MAX) {
        len += 32;
        i++;
    }
    if (i < n && words[i]) {
        uint32_t w = ntohl(words[i++]);

        if (~w & (~w + 1)) {
            return 0;
        }
        len += (size_t)__builtin_popcount(w);
    }
    for (; i < n; i++) {
        if (words[i]) {
            return 0;
        }
    }
    return (uint8_t)len;
}

static void address_plens(const struct ip_addr *mask, uint8_t *ret_v4, uint8_t *ret_v6)
{
    if (mask->be32[0] || mask->be32[1] || mask->be32[2]) {
        *ret_v6 = prefix_len(mask->be32, 4);
    } else {
        *ret_v4 = prefix_len(&mask->be32[3], 1);
    }
}

static uint8_t port_plen(__be16 mask)
{
    const __be32 word = htonl((uint32_t)ntohs(mask) << 16);

    return prefix_len(&word, 1);
}

static void find_prefixes(struct cls_mask *m, const struct flow_key *full)
{
    address_plens(&full->ip_src, &m->plens[CLS_TRIE_IPV4_SRC], &m->plens[CLS_TRIE_IPV6_SRC]);
    address_plens(&full->ip_dst, &m->plens[CLS_TRIE_IPV4_DST], &m->plens[CLS_TRIE_IPV6_DST]);
    m->plens[CLS_TRIE_TP_SRC] = port_plen(full->tp_src);
    m->plens[CLS_TRIE_TP_DST] = port_plen(full->tp_dst);
    if (ntohs(full->tp_src) <= UINT8_MAX) {
        m->plens[CLS_TRIE_ICMP_TYPE] = port_plen(htons((uint16_t)(ntohs(full->tp_src) << 8)));
    }
}

static struct cls_mask *mask_new(const struct flow *full, uint32_t hash)
{
    const uint64_t *w = (const uint64_t *)(const void *)full;
    struct cls_mask *m;
    size_t n = 0;

    for (size_t i = 0; i < FLOW_U64S; i++) {
        n += w[i] != 0;
    }
    m = xcalloc(1, sizeof *m + n * sizeof m->words[0]);
    m->hash = hash;
    for (unsigned int stage = 0; stage < CLS_N_STAGES; stage++) {
        for (size_t i = 0; i < FLOW_U64S; i++) {
            if (w[i] && stage_of(i) == stage) {
                m->at[m->n] = (uint8_t)i;
                m->words[m->n++] = w[i];
            }
        }
        m->ends[stage] = m->n;
    }
    find_prefixes(m, &full->key);
    return m;
}

static uint32_t hash_full(const struct flow *full)
{
    const uint64_t *w = (const uint64_t *)(const void *)full;
    uint64_t h = 0;

    for (size_t i = 0; i < FLOW_U64S; i++) {
        if (w[i]) {
            h = cls_hash_add(h + i, w[i]);
        }
    }
    return cls_hash_finish(h);
}

static bool mask_is(const struct cls_mask *m, const struct flow *full)
{
    struct flow expanded;

    cls_mask_expand(m, NULL, &expanded);
    return !memcmp(&expanded, full, sizeof expanded);
}

static struct cls_mask *find(const struct flow *full, uint32_t hash)
{
    if (!all.n_buckets) {
        return NULL;
    }
    for (struct cls_mask *m = all.buckets[hash & (all.n_buckets - 1)]; m; m = m->next) {
        if (m->hash == hash && mask_is(m, full)) {
            return m;
        }
    }
    return NULL;
}

const struct cls_mask *cls_mask_find(const struct flow *full)
{
    return find(full, hash_full(full));
}

static void resize(size_t n)
{
    struct cls_mask **buckets = xcalloc(n, sizeof *buckets), *next;

    for (size_t i = 0; i < all.n_buckets; i++) {
        for (struct cls_mask *m = all.buckets[i]; m; m = next) {
            next = m->next;
            m->next = buckets[m->hash & (n - 1)];
            buckets[m->hash & (n - 1)] = m;
        }
    }
    free(all.buckets);
    all.buckets = buckets;
    all.n_buckets = n;
}

struct cls_mask *cls_mask_get(const struct flow *full)
{
    uint32_t hash = hash_full(full);
    struct cls_mask *m = find(full, hash);

    if (!m) {
        if (all.n >= all.n_buckets) {
            resize(MAX(all.n_buckets * 2, (size_t)64));
        }
        m = mask_new(full, hash);
        m->next = all.buckets[hash & (all.n_buckets - 1)];
        all.buckets[hash & (all.n_buckets - 1)] = m;
        all.n++;
    }
    return cls_mask_ref(m);
}

struct cls_mask *cls_mask_ref(struct cls_mask *mask)
{
    mask->refs++;
    return mask;
}

void cls_mask_unref(struct cls_mask *mask)
{
    struct cls_mask **at;

    if (!mask || --mask->refs) {
        return;
    }
    at = &all.buckets[mask->hash & (all.n_buckets - 1)];
    while (*at != mask) {
        at = &(*at)->next;
    }
    *at = mask->next;
    free(mask);
    if (!--all.n) {
        free(all.buckets);
        all.buckets = NULL;
        all.n_buckets = 0;
    }
}

void cls_mask_expand(const struct cls_mask *mask, const uint64_t *values, struct flow *ret)
{
    uint64_t *w = (uint64_t *)(void *)ret;

    if (!values) {
        values = mask->words;
    }
    memset(ret, 0, sizeof *ret);
    for (unsigned int i = 0; i < mask->n; i++) {
        w[mask->at[i]] = values[i];
    }
}
