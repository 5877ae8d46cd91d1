/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_TEXT_GROUP_H
#define WARREN_OPENFLOW_TEXT_GROUP_H
/*
 * Groups and meters in ovs-ofctl's syntax, as `add-group` and `add-meter` read them. Numbers of ports, no names.
 *
 * Parsing checks the form, and what a message could not say; what a bridge may refuse (loops, weights of groups that do
 * not select, bands that nothing carries out) is for group_table.h and meter_table.h.
 */
#include "base/strbuf.h"
#include "openflow/msg_group.h"
#include "openflow/msg_meter.h"

/* "group_id=1,type=select,bucket=bucket_id:0,weight:1,actions=output:2,bucket=...": without the last N_LATER buckets.
 */
void group_format(const struct of_group *g, size_t n_later, struct strbuf *b);
/* ",bucket=bucket_id:0,weight:1,actions=output:2" of one bucket. */
void bucket_format(const struct of_bucket *bucket, struct strbuf *b);
/* *RET_BUCKET (may be NULL: not allowed then) is what command_bucket_id says: a number, "first", "last" or "all"; else
 * untouched. -EINVAL, and *RET_ERROR names the culprit, the caller's to free. *RET is the caller's to free. */
int group_parse(const char *text, uint32_t *ret_bucket, struct of_group *ret, char **ret_error);
/* "meter=1 kbps burst stats bands= type=drop rate=1000 burst_size=10" */
void meter_format(const struct of_meter *m, struct strbuf *b);
int meter_parse(const char *text, struct of_meter *ret, char **ret_error);

#endif
