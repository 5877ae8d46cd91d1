/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/allocation.h"

#include <stdio.h>
#include <sys/random.h>

/* A few dice first: they hit at once while a space is mostly free, and only then a walk. */
#define DICE 32

/* ---- addresses ---- */

int ip_parse(const char *s, struct ip *ret)
{
    uint8_t b[16];
    struct ip ip = {.version = inet_pton(AF_INET, s, b) == 1 ? 4 : inet_pton(AF_INET6, s, b) == 1 ? 6 : 0};

    if (!ip.version) {
        return -EINVAL;
    }
    for (int i = 0; i < (ip.version == 4 ? 4 : 16); i++) {
        ip.n = ip.n << 8 | b[i];
    }
    *ret = ip;
    return 0;
}

const char *ip_format(const struct ip *ip, char buf[INET6_ADDRSTRLEN])
{
    uint8_t b[16];
    int n = ip->version == 4 ? 4 : 16;

    for (int i = 0; i < n; i++) {
        b[i] = (uint8_t)(ip->n >> 8 * (n - 1 - i));
    }
    inet_ntop(ip->version == 4 ? AF_INET : AF_INET6, b, buf, INET6_ADDRSTRLEN);
    return buf;
}

static unsigned int width(const struct prefix *p)
{
    return p->first.version == 4 ? 32 : 128;
}

static ip_number_t host_mask(const struct prefix *p)
{
    unsigned int bits = width(p) - p->len;

    return bits == 128 ? ~(ip_number_t)0 : ((ip_number_t)1 << bits) - 1;
}

static int parse_decimal(const char *s, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;

    if (!*s) {
        return -EINVAL;
    }
    for (; *s; s++) {
        if (*s < '0' || *s > '9') {
            return -EINVAL;
        }
        n = n * 10 + (uint64_t)(*s - '0');
        if (n > max) {
            return -ERANGE;
        }
    }
    *ret = n;
    return 0;
}

int prefix_parse(const char *s, struct prefix *ret)
{
    _cleanup_free_ char *copy = xstrdup(s);
    char *slash = strchr(copy, '/');
    struct prefix p = {.len = 0};
    uint64_t len;

    if (!slash) {
        return -EINVAL;
    }
    *slash++ = '\0';
    if (ip_parse(copy, &p.first) || parse_decimal(slash, width(&p), &len)) {
        return -EINVAL;
    }
    p.len = (unsigned int)len;
    p.first.n &= ~host_mask(&p);
    *ret = p;
    return 0;
}

const char *prefix_format(const struct prefix *p, char buf[PREFIX_STR_LEN])
{
    snprintf(buf, PREFIX_STR_LEN, "%s/%u", IP_STR(&p->first), p->len);
    return buf;
}

struct ip prefix_last(const struct prefix *p)
{
    return (struct ip){p->first.version, p->first.n | host_mask(p)};
}

bool prefix_contains(const struct prefix *p, const struct ip *ip)
{
    return ip->version == p->first.version && (ip->n & ~host_mask(p)) == p->first.n;
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
    return prefix_contains(a, &b->first) || prefix_contains(b, &a->first);
}

bool prefix_is_reserved(const struct prefix *p, const struct ip *ip)
{
    struct ip last = prefix_last(p);

    if (width(p) - p->len < 2) {
        return false;
    }
    return ip_equal(ip, &p->first) || (ip->version == 4 && ip_equal(ip, &last));
}

struct ip prefix_eui64(const struct prefix *p, const struct eth_addr *addr)
{
    const uint8_t *mac = addr->a;
    uint64_t id = (uint64_t)(mac[0] ^ 2) << 56 | (uint64_t)mac[1] << 48 | (uint64_t)mac[2] << 40 |
                  (uint64_t)0xfffe << 24 | (uint64_t)mac[3] << 16 | (uint64_t)mac[4] << 8 | mac[5];

    return (struct ip){6, p->first.n | id};
}

int ip_range_parse(const char *s, struct ip_range *ret)
{
    _cleanup_free_ char *copy = xstrdup(s);
    char *dash = strchr(copy, '-');
    struct ip_range r;

    if (!dash) {
        return -EINVAL;
    }
    *dash++ = '\0';
    if (ip_parse(copy, &r.first) || ip_parse(dash, &r.last) || r.first.version != r.last.version ||
        r.first.n > r.last.n) {
        return -EINVAL;
    }
    *ret = r;
    return 0;
}

size_t default_pools(const struct prefix *p, const struct ip *gateway, struct ip_range ret[2])
{
    struct ip first = p->first, last = prefix_last(p);
    size_t n = 0;

    if (prefix_is_reserved(p, &first)) {
        first.n++;
    }
    if (prefix_is_reserved(p, &last)) {
        last.n--;
    }
    if (!gateway || !prefix_contains(p, gateway) || gateway->n < first.n || gateway->n > last.n) {
        ret[n++] = (struct ip_range){first, last};
        return n;
    }
    if (gateway->n > first.n) {
        ret[n++] = (struct ip_range){first, {first.version, gateway->n - 1}};
    }
    if (gateway->n < last.n) {
        ret[n++] = (struct ip_range){{first.version, gateway->n + 1}, last};
    }
    return n;
}

/* ---- MACs ---- */

void choose_mac(const struct chooser *c, struct eth_addr *ret)
{
    uint64_t dice = c->random(c->arg);

    *ret = (struct eth_addr){{0xfa, 0x16, 0x3e, (uint8_t)(dice >> 16), (uint8_t)(dice >> 8), (uint8_t)dice}};
}

/* ---- choosing among ranges ---- */

uint64_t system_random(void *arg WR_UNUSED)
{
    uint64_t n;

    if (getrandom(&n, sizeof n, 0) != sizeof n) {
        abort(); /* the kernel always has eight random bytes once it has booted */
    }
    return n;
}

struct span {
    ip_number_t first, size;
};

/* Number INDEX of the numbers in SPANS laid end to end. */
static ip_number_t number_at(const struct span *spans, ip_number_t index)
{
    while (index >= spans->size) {
        index -= spans->size;
        spans++;
    }
    return spans->first + index;
}

static int choose(const struct span *spans, size_t n, const struct chooser *c, ip_number_t *ret)
{
    ip_number_t total = 0, start = 0;

    for (size_t i = 0; i < n; i++) {
        total += spans[i].size;
    }
    if (!total) {
        return -ENOSPC;
    }
    for (int i = 0; i < DICE; i++) {
        start = ((ip_number_t)c->random(c->arg) << 64 | c->random(c->arg)) % total;
        ip_number_t number = number_at(spans, start);

        if (!c->taken(c->arg, number)) {
            *ret = number;
            return 0;
        }
    }
    for (ip_number_t i = 0; i < total && i <= c->n_taken; i++) {
        ip_number_t number = number_at(spans, (start + i) % total);

        if (!c->taken(c->arg, number)) {
            *ret = number;
            return 0;
        }
    }
    return -ENOSPC;
}

int choose_ip(const struct ip_range *pools, size_t n_pools, const struct chooser *c, struct ip *ret)
{
    struct span *spans = xcalloc(n_pools ? n_pools : 1, sizeof *spans);
    ip_number_t number;

    for (size_t i = 0; i < n_pools; i++) {
        spans[i] = (struct span){pools[i].first.n, pools[i].last.n - pools[i].first.n + 1};
    }
    int error = choose(spans, n_pools, c, &number);
    free(spans);
    if (!error) {
        *ret = (struct ip){pools[0].first.version, number};
    }
    return error;
}

/* ---- network types and VNIs ---- */

const char *const network_type_names[N_NETWORK_TYPES] = {"vxlan", "gre", "geneve"};

enum network_type network_type_parse(const char *s)
{
    for (int t = 0; t < N_NETWORK_TYPES; t++) {
        if (!strcmp(s, network_type_names[t])) {
            return t;
        }
    }
    return NETWORK_TYPE_INVALID;
}

uint32_t network_type_max_vni(enum network_type t)
{
    return t == NETWORK_GRE ? UINT32_MAX : 0xffffff;
}

unsigned int network_type_overhead(enum network_type t, int overlay_ip_version)
{
    unsigned int outer_ip = overlay_ip_version == 6 ? 40 : 20, inner_ethernet = 14;
    /* GRE with key: 4 + 4. VXLAN: UDP 8 + 8. Geneve: UDP 8 + 8 and no options, as we send none. */
    unsigned int tunnel = t == NETWORK_GRE ? 8 : 16;

    return outer_ip + tunnel + inner_ethernet;
}

static int parse_vni_range(const char *word, struct vni_ranges *r, char **ret_error)
{
    _cleanup_free_ char *copy = xstrdup(word);
    char *colon = strchr(copy, ':'), *dash = colon ? strchr(colon, '-') : NULL;
    uint64_t first, last;

    if (!dash) {
        *ret_error = xasprintf("%s is not TYPE:FIRST-LAST", word);
        return -EINVAL;
    }
    *colon++ = '\0';
    *dash++ = '\0';
    enum network_type t = network_type_parse(copy);
    if (t == NETWORK_TYPE_INVALID) {
        *ret_error = xasprintf("%s is none of vxlan, gre, geneve", copy);
        return -EINVAL;
    }
    if (parse_decimal(colon, network_type_max_vni(t), &first) || parse_decimal(dash, network_type_max_vni(t), &last) ||
        !first || first > last) {
        *ret_error = xasprintf("%s: numbers must rise within 1-%u", word, network_type_max_vni(t));
        return -EINVAL;
    }
    for (size_t i = 0; i < r->n[t]; i++) {
        if (first <= r->ranges[t][i].last && last >= r->ranges[t][i].first) {
            *ret_error = xasprintf("%s overlaps with another range", word);
            return -EINVAL;
        }
    }
    if (r->n[t] == MAX_VNI_RANGES) {
        *ret_error = xasprintf("more than %d ranges of %s", MAX_VNI_RANGES, copy);
        return -EINVAL;
    }
    if (r->first_type == NETWORK_TYPE_INVALID) {
        r->first_type = t;
    }
    r->ranges[t][r->n[t]++] = (struct vni_range){(uint32_t)first, (uint32_t)last};
    return 0;
}

int vni_ranges_parse(const char *s, struct vni_ranges *ret, char **ret_error)
{
    _cleanup_free_ char *copy = xstrdup(s);
    struct vni_ranges r = {.first_type = NETWORK_TYPE_INVALID};
    char *save = NULL;

    for (char *word = strtok_r(copy, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
        int error = parse_vni_range(word, &r, ret_error);

        if (error) {
            return error;
        }
    }
    if (r.first_type == NETWORK_TYPE_INVALID) {
        *ret_error = xstrdup("no range is named");
        return -EINVAL;
    }
    *ret = r;
    return 0;
}

int choose_vni(const struct vni_ranges *r, enum network_type t, const struct chooser *c, uint32_t *ret)
{
    struct span spans[MAX_VNI_RANGES];
    ip_number_t number;

    if (!r->n[t]) {
        return -ENOENT;
    }
    for (size_t i = 0; i < r->n[t]; i++) {
        spans[i] = (struct span){r->ranges[t][i].first, (ip_number_t)r->ranges[t][i].last - r->ranges[t][i].first + 1};
    }
    int error = choose(spans, r->n[t], c, &number);
    if (!error) {
        *ret = (uint32_t)number;
    }
    return error;
}
