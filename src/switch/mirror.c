/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/mirror.h"

#include "switch/bundle.h"

struct mirror *mirror_ref(struct mirror *m)
{
    m->refs++;
    return m;
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
}

/* What bridge_set_mirrors() replaces. */
static void drop_settings(struct mirror *m)
{
    free_names(m->src_ports, m->n_src_ports);
    free_names(m->dst_ports, m->n_dst_ports);
    free(m->vlans);
    free(m->output_port);
}

void mirror_unref(struct mirror *m)
{
    if (m && --m->refs == 0) {
        drop_settings(m);
        free(m->name);
        free(m);
    }
}

static char **copy_names(const char *const *names, size_t n)
{
    char **copy = n ? xcalloc(n, sizeof *copy) : NULL;

    for (size_t i = 0; i < n; i++) {
        copy[i] = xstrdup(names[i]);
    }
    return copy;
}

static void set(struct mirror *m, const struct mirror_config *c)
{
    drop_settings(m);
    m->select_all = c->select_all;
    m->src_ports = copy_names(c->src_ports, c->n_src_ports);
    m->n_src_ports = c->n_src_ports;
    m->dst_ports = copy_names(c->dst_ports, c->n_dst_ports);
    m->n_dst_ports = c->n_dst_ports;
    m->vlans = c->vlans ? xmemdup(c->vlans, VLAN_TRUNKS_BYTES) : NULL;
    m->output_port = c->output_port ? xstrdup(c->output_port) : NULL;
    m->output_vlan = c->output_vlan;
    m->snaplen = c->snaplen == UINT16_MAX ? 0 : c->snaplen;
}

static bool same_names(char *const *a, size_t n_a, const char *const *b, size_t n_b)
{
    if (n_a != n_b) {
        return false;
    }
    for (size_t i = 0; i < n_a; i++) {
        if (strcmp(a[i], b[i]) != 0) {
            return false;
        }
    }
    return true;
}

static bool same(const struct mirror *m, const struct mirror_config *c)
{
    return m && !strcmp(m->name, c->name) && m->select_all == c->select_all &&
           same_names(m->src_ports, m->n_src_ports, c->src_ports, c->n_src_ports) &&
           same_names(m->dst_ports, m->n_dst_ports, c->dst_ports, c->n_dst_ports) && !m->vlans == !c->vlans &&
           (!m->vlans || !memcmp(m->vlans, c->vlans, VLAN_TRUNKS_BYTES)) &&
           !strcmp(m->output_port ? m->output_port : "", c->output_port ? c->output_port : "") &&
           m->output_vlan == c->output_vlan && m->snaplen == (c->snaplen == UINT16_MAX ? 0 : c->snaplen);
}

static int check(const struct mirror_config *configs, size_t n)
{
    if (n > MIRRORS_MAX) {
        return -E2BIG;
    }
    for (size_t i = 0; i < n; i++) {
        if (!configs[i].output_port == !configs[i].output_vlan || configs[i].output_vlan > 4095) {
            return -EINVAL;
        }
        for (size_t j = 0; j < i; j++) {
            if (!strcmp(configs[i].name, configs[j].name)) {
                return -EEXIST;
            }
        }
    }
    return 0;
}

/* The mirror of that name, out of OLD, or a new one. */
static struct mirror *take_or_make(struct mirrors *old, const char *name)
{
    struct mirror *m;

    for (size_t i = 0; old && i < MIRRORS_MAX; i++) {
        if (old->mirror[i] && !strcmp(old->mirror[i]->name, name)) {
            return TAKE_PTR(old->mirror[i]);
        }
    }
    m = xcalloc(1, sizeof *m);
    m->refs = 1;
    m->name = xstrdup(name);
    return m;
}

static void clear_masks(struct bridge *br)
{
    for (struct port *p = br->ports_by_ofp; p; p = p->hh_ofp.next) {
        p->src_mirrors = p->dst_mirrors = 0;
        p->mirror_out = false;
    }
}

static bool unchanged(const struct mirrors *old, const struct mirror_config *configs, size_t n)
{
    for (size_t i = 0; i < MIRRORS_MAX; i++) {
        const struct mirror *m = old ? old->mirror[i] : NULL;

        if (i < n ? !same(m, &configs[i]) : m != NULL) {
            return false;
        }
    }
    return true;
}

int bridge_set_mirrors(struct bridge *br, const struct mirror_config *configs, size_t n)
{
    struct mirrors *new = NULL;
    int error = check(configs, n);

    if (error || unchanged(br->mirrors, configs, n)) {
        return error;
    }
    if (n) {
        new = xcalloc(1, sizeof *new);
        new->stale = true;
    }
    for (size_t i = 0; i < n; i++) {
        new->mirror[i] = take_or_make(br->mirrors, configs[i].name);
        set(new->mirror[i], &configs[i]);
    }
    mirrors_destroy(br);
    br->mirrors = new;
    switch_changed(br->sw);
    return 0;
}

const struct mirror *bridge_mirror_find(const struct bridge *br, const char *name)
{
    for (size_t i = 0; br->mirrors && i < MIRRORS_MAX; i++) {
        if (br->mirrors->mirror[i] && !strcmp(br->mirrors->mirror[i]->name, name)) {
            return br->mirrors->mirror[i];
        }
    }
    return NULL;
}

void mirrors_destroy(struct bridge *br)
{
    for (size_t i = 0; br->mirrors && i < MIRRORS_MAX; i++) {
        mirror_unref(br->mirrors->mirror[i]);
    }
    free(TAKE_PTR(br->mirrors));
    clear_masks(br);
}

/* ---- masks ---- */

void mirrors_ports_changed(struct bridge *br)
{
    if (br->mirrors) {
        br->mirrors->stale = true;
    }
}

static bool names_have(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(names[i], name)) {
            return true;
        }
    }
    return false;
}

void mirrors_resolve(struct bridge *br)
{
    if (!br->mirrors || !br->mirrors->stale) {
        return;
    }
    clear_masks(br);
    br->mirrors->stale = false;
    for (struct port *p = br->ports_by_ofp; p; p = p->hh_ofp.next) {
        const char *name = bundle_name(p);

        for (size_t i = 0; i < MIRRORS_MAX && br->mirrors->mirror[i]; i++) {
            const struct mirror *m = br->mirrors->mirror[i];

            if (m->select_all || names_have(m->src_ports, m->n_src_ports, name)) {
                p->src_mirrors |= 1u << i;
            }
            if (m->select_all || names_have(m->dst_ports, m->n_dst_ports, name)) {
                p->dst_mirrors |= 1u << i;
            }
            p->mirror_out |= m->output_port && !strcmp(m->output_port, name);
        }
    }
}
