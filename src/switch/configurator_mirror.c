/* SPDX-License-Identifier: Apache-2.0 */
/* Mirror rows → mirror.h, and their statistics. */
#include "base/log.h"
#include "switch/configurator_private.h"
#include "switch/mirror.h"
#include "switch/row_writer.h"

LOG_MODULE("mirrors");

/* A Mirror row as the switch takes it; the arrays are its own, the strings the rows'. */
struct mirror_row {
    struct mirror_config config;
    char uuid[UUID_STR_LEN + 1];
    const char **src, **dst;
    uint8_t *vlans;
};

static void mirror_row_done(struct mirror_row *m)
{
    free(m->src);
    free(m->dst);
    free(m->vlans);
}

/* The names of the Port rows that COLUMN refers to. */
static const char **read_ports(const struct configurator *c, const struct ovsdb_row *row, const char *column,
                               size_t *ret_n)
{
    size_t n = ovsdb_row_size(row, column), found = 0;
    const char **names = xcalloc(n + 1, sizeof *names);
    for (size_t i = 0; i < n; i++) {
        const struct ovsdb_row *port = ovsdb_client_ref(c->client, row, column, i, "Port");
        const char *name = port ? ovsdb_row_string(port, "name") : NULL;
        if (name) {
            names[found++] = name;
        }
    }
    *ret_n = found;
    return names;
}

static const char *output_port(const struct configurator *c, const struct ovsdb_row *row)
{
    const struct ovsdb_row *port = ovsdb_client_ref(c->client, row, "output_port", 0, "Port");
    return port ? ovsdb_row_string(port, "name") : NULL;
}

uint8_t *vlan_bits_read(const struct ovsdb_row *row, const char *column)
{
    size_t n = ovsdb_row_size(row, column);
    uint8_t *bits = n ? xcalloc(1, VLAN_TRUNKS_BYTES) : NULL;
    for (size_t i = 0; i < n; i++) {
        int64_t vlan = ovsdb_row_set_int(row, column, i);
        if (vlan >= 0 && vlan <= 4095) {
            bits[vlan / 8] |= (uint8_t)(1u << vlan % 8);
        }
    }
    return bits;
}

/* False: it does not say where to. */
static bool read_mirror(const struct configurator *c, const struct cbridge *cb, const struct ovsdb_row *row,
                        struct mirror_row *ret)
{
    const char *name = ovsdb_row_string(row, "name"), *port = output_port(c, row);
    int64_t vlan = ovsdb_row_int(row, "output_vlan", 0);
    if (!port == !vlan) {
        log_limited(LOG_LEVEL_WARN, "bridge %s: mirror %s is without effect: %s output_port and output_vlan", cb->name,
                    name ? name : "", port ? "both" : "neither of");
        return false;
    }
    *ret = (struct mirror_row){.vlans = vlan_bits_read(row, "select_vlan")};
    uuid_format(ovsdb_row_uuid(row), ret->uuid);
    ret->config = (struct mirror_config){
        .name = name && *name ? name : NULL,
        .select_all = ovsdb_row_bool(row, "select_all", false),
        .vlans = ret->vlans,
        .output_port = port,
        .output_vlan = (uint16_t)vlan,
        .snaplen = (uint16_t)ovsdb_row_int(row, "snaplen", 0),
    };
    ret->src = read_ports(c, row, "select_src_port", &ret->config.n_src_ports);
    ret->dst = read_ports(c, row, "select_dst_port", &ret->config.n_dst_ports);
    ret->config.src_ports = ret->src;
    ret->config.dst_ports = ret->dst;
    return true;
}

/* Names need not be unique; a later one of a name, and those without, go by their UUID. */
static void name_mirrors(struct mirror_row *rows, struct mirror_config *configs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool taken = !rows[i].config.name;
        for (size_t j = 0; j < i && !taken; j++) {
            taken = !strcmp(configs[j].name, rows[i].config.name);
        }
        configs[i] = rows[i].config;
        configs[i].name = taken ? rows[i].uuid : rows[i].config.name;
    }
}

void mirrors_apply(struct configurator *c, struct cbridge *cb)
{
    size_t n = ovsdb_row_size(cb->row, "mirrors"), found = 0;
    if (!n && !cb->bridge->mirrors) {
        return;
    }
    struct mirror_row *rows = xcalloc(n + 1, sizeof *rows);
    struct mirror_config *configs = xcalloc(n + 1, sizeof *configs);
    for (size_t i = 0; i < n; i++) {
        const struct ovsdb_row *row = ovsdb_client_ref(c->client, cb->row, "mirrors", i, "Mirror");
        found += row && read_mirror(c, cb, row, &rows[found]);
    }
    name_mirrors(rows, configs, found);
    int error = bridge_set_mirrors(cb->bridge, configs, found);
    if (error) {
        log_limited(LOG_LEVEL_ERR, "bridge %s: mirrors stay as they were: %s", cb->name,
                    error == -E2BIG ? "more than 32 of them" : strerror(-error));
    }
    for (size_t i = 0; i < found; i++) {
        mirror_row_done(&rows[i]);
    }
    free(rows);
    free(configs);
}

bool mirrors_output_to(const struct configurator *c, const struct cbridge *cb, const struct ovsdb_row *port)
{
    const char *name = port ? ovsdb_row_string(port, "name") : NULL;
    for (size_t i = 0; name && i < ovsdb_row_size(cb->row, "mirrors"); i++) {
        const struct ovsdb_row *row = ovsdb_client_ref(c->client, cb->row, "mirrors", i, "Mirror");
        const char *output = row ? output_port(c, row) : NULL;
        if (output && !strcmp(output, name)) {
            return true;
        }
    }
    return false;
}

static const struct mirror *find_mirror(const struct cbridge *cb, const struct ovsdb_row *row)
{
    char uuid[UUID_STR_LEN + 1];
    const char *name = ovsdb_row_string(row, "name");
    const struct mirror *m = bridge_mirror_find(cb->bridge, uuid_format(ovsdb_row_uuid(row), uuid));
    return m || !name ? m : bridge_mirror_find(cb->bridge, name);
}

void mirrors_write_stats(const struct configurator *c, const struct cbridge *cb, struct ovsdb_txn *txn)
{
    for (size_t i = 0; cb->bridge && i < ovsdb_row_size(cb->row, "mirrors"); i++) {
        const struct ovsdb_row *row = ovsdb_client_ref(c->client, cb->row, "mirrors", i, "Mirror");
        if (!row) {
            continue;
        }
        struct row_writer w = row_writer_of(txn, "Mirror", row);
        const struct mirror *m = find_mirror(cb, row);
        row_write_int_map(&w, "statistics",
                          (struct row_map_int_pair[]){
                              {"tx_bytes", m ? (int64_t)m->tx_bytes : 0},
                              {"tx_packets", m ? (int64_t)m->tx_packets : 0},
                          },
                          m ? 2 : 0);
    }
}
