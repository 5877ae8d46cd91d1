/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_ACTION_REFS_H
#define WARREN_SWITCH_ACTION_REFS_H
/*
 * Which groups and meters action lists name: how often each is named by the flows of a bridge and by the buckets of its
 * groups. So a group knows its reference count, and deleting one that no flow names need not look through the flows.
 */
#include "switch/bridge.h"

enum ref_kind { REF_GROUP, REF_METER };
enum ref_from { REF_FROM_FLOW, REF_FROM_BUCKET };
#define REF_ANY 0xffffffffu /* of the kind */

/* Does the list name any of them, or the group or meter ID? Nested lists are looked at too. */
bool actions_have_refs(const void *actions, size_t len);
bool actions_refer_to(const void *actions, size_t len, enum ref_kind kind, uint32_t id);
/* Is all that the list names there? 0, OFERR_ACTION_BAD_OUT_GROUP or OFERR_METER_MOD_INVALID_METER. */
int actions_check_refs(const struct bridge *br, const void *actions, size_t len);
/* The meters only. */
int actions_check_meters(const struct bridge *br, const void *actions, size_t len);
/* The list came into use (DELTA 1) or went out of it (-1). */
void action_refs_count(struct bridge *br, enum ref_from from, const void *actions, size_t len, int delta);
unsigned int action_refs_get(const struct bridge *br, enum ref_from from, enum ref_kind kind, uint32_t id);
void action_refs_done(struct bridge *br);

#endif
