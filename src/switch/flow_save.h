/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_FLOW_SAVE_H
#define WARREN_SWITCH_FLOW_SAVE_H
/*
 * A file with what OpenFlow put into a bridge (flows, groups, meters, mapped Geneve options, settings of ports and
 * tables, how fragments match), from which the next process takes it when no controller would tell it again.
 * flow_save.c writes it, flow_restore.c reads it.
 *
 * The file is text: header, what there was when it was begun, "# complete", then a line for each change since; the
 * commands are those of `ovs-ofctl bundle` (and meter and tlv ones likewise). Lines are to be carried out in order and
 * may be repeated, so it can be begun anew in slices of the event loop while changes go on: they are appended
 * meanwhile. What was changed before a barrier's reply is in the file (flow_saver_sync()), so no kill brings a deleted
 * flow back.
 *
 * Noting is rationed. Beyond that many changes (a table is loaded, flows are learned in a storm) nothing is noted any
 * more, the file goes as soon as it would bring back something deleted, and is written anew when things calm down.
 *
 * Whose file it is stands in it (the identity: the bridge's row, the boot): that of another is not taken. Counters are
 * as of the last time that all was written, or what they count was changed. Left out: what is a connection's and ends
 * with it (miss_send_len, roles, asynchronous masks).
 */
#include "switch/bridge.h"

struct flow_saver;
struct undo_log;
struct group_log;

/* Of this boot of the machine; "" where the kernel does not say. The caller's to free. */
char *flow_save_boot_id(void);

/* Puts into BR, which is empty, what the file PATH of that IDENTITY has. Returns 0; -ENOENT: no file; -ESTALE: another
 * identity's; -EBADMSG or another errno: damaged or unreadable, which was logged, the file renamed to PATH.damaged. On
 * failure BR is empty. */
int flow_restore(struct bridge *br, const char *path, const char *identity, int64_t now, size_t *ret_n_flows);

/* From now on PATH is kept true, by BR's `saver`. RESTORED: it is already what BR has (flow_restore()). */
void flow_saver_create(struct bridge *br, const char *path, const char *identity, bool restored);
/* Writes everything at once, counters included. */
void flow_saver_write(struct flow_saver *s);
/* REMOVE: the file goes, too. NULL is fine. */
void flow_saver_destroy(struct flow_saver *s, bool remove);

/* ---- for those who change tables; S may be NULL ---- */

/* Before the log is forgotten, when the tables are what it made of them. */
void flow_saver_note_flows(struct flow_saver *s, const struct undo_log *log);
void flow_saver_note_rule(struct flow_saver *s, const struct rule *rule);
void flow_saver_note_groups(struct flow_saver *s, const struct group_log *log);
void flow_saver_note_meter(struct flow_saver *s, uint32_t id);
void flow_saver_note_frags(struct flow_saver *s);
/* GONE: it is about to leave the bridge; one that comes under its name begins anew. */
void flow_saver_note_port(struct flow_saver *s, const struct port *port, bool gone);
void flow_saver_note_table(struct flow_saver *s, table_id_t table);
/* More than can be noted. */
void flow_saver_note_all(struct flow_saver *s);
/* What was noted is in the file. */
void flow_saver_sync(struct flow_saver *s);

#endif
