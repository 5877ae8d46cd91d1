/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_FLOW_SAVE_PRIVATE_H
#define WARREN_SWITCH_FLOW_SAVE_PRIVATE_H
/*
 * The lines of a bridge's saved flows (flow_save.h): flow_save.c says when which is written, flow_save_lines.c writes
 * it, flow_restore.c reads it. Names (of ports, of tables) have what is not a printable character, blanks and '%' as
 * %XX.
 */
#include "base/strbuf.h"
#include "switch/group_table.h"
#include "switch/meter_table.h"

#define SAVED_VERSION "# warren-switchd flows 2"
#define SAVED_VERSION_1 "# warren-switchd flows 1" /* had neither counts nor frags, port and table */
#define SAVED_IDENTITY "# of "
#define SAVED_NOW "# now " /* ms, as time_mono_ms(): what ages further down count from */
#define SAVED_COMPLETE "# complete"
#define SAVED_FLOW_ADD "flow add "
#define SAVED_FLOW_DELETE "flow delete_strict "
#define SAVED_GROUP_ADD "group add_or_mod "
#define SAVED_GROUP_INSERT "group insert_buckets "
#define SAVED_GROUP_DELETE "group delete "
#define SAVED_METER_ADD "meter add_or_mod "
#define SAVED_METER_DELETE "meter delete "
#define SAVED_TLV_ADD "tlv add "
#define SAVED_TLV_FORMAT "{class=0x%x,type=0x%x,len=%u}->tun_metadata%u"
/* "ID age=MS packets=N bytes=N", and " part=PACKETS/BYTES" for each bucket or band. */
#define SAVED_GROUP_COUNTS "group counts "
#define SAVED_METER_COUNTS "meter counts "
#define SAVED_FRAGS "frags "
/* The name and words; what no word tells is not so. */
#define SAVED_PORT "port mod "
/* The number and words: "evict", "vacancy:DOWN,UP", "low" (DOWN was told last), "name=NAME". */
#define SAVED_TABLE "table mod "

/* As ovs-ofctl says it. */
static const struct {
    uint32_t bit;
    const char *word;
} saved_port_words[] = {
    {PORT_CONFIG_DOWN, "down"},         {PORT_CONFIG_NO_RECV, "no-receive"},        {PORT_CONFIG_NO_FLOOD, "no-flood"},
    {PORT_CONFIG_NO_FWD, "no-forward"}, {PORT_CONFIG_NO_PACKET_IN, "no-packet-in"},
};
static const struct {
    enum frag_mode mode;
    const char *word;
} saved_frag_words[] = {{FRAG_NORMAL, "normal"}, {FRAG_DROP, "drop"}, {FRAG_NX_MATCH, "nx-match"}};

/* What is kept of PORT's config. Whether a netdev is up is its own affair: it outlives us, and others change it. */
static inline uint32_t saved_port_config_mask(const struct port *port)
{
    return port->kind == PORT_SYSTEM || port->kind == PORT_INTERNAL ? ~PORT_CONFIG_DOWN : UINT32_MAX;
}

static inline uint32_t saved_port_config(const struct port *port)
{
    return port->config & saved_port_config_mask(port);
}

/* flow_save_lines.c: a line or several, added to B. NOW_MS: what ages count from. */
void saved_put_flow(const struct rule *rule, int64_t now_ms, struct strbuf *b);
void saved_put_flow_deletion(const struct rule *rule, struct strbuf *b);
void saved_put_group(const struct group *group, int64_t now_ms, struct strbuf *b);
void saved_put_group_deletion(uint32_t id, struct strbuf *b);
void saved_put_meter(const struct bridge *br, const struct meter *m, int64_t now_ms, struct strbuf *b);
void saved_put_meter_deletion(uint32_t id, struct strbuf *b);
void saved_put_tlv_map(const struct tlv_map *map, struct strbuf *b);
void saved_put_frags(const struct bridge *br, struct strbuf *b);
void saved_put_port(const char *name, uint32_t config, struct strbuf *b);
void saved_put_table(const struct bridge *br, table_id_t table, struct strbuf *b);

#endif
