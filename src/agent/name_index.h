/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_AGENT_NAME_INDEX_H
#define WARREN_AGENT_NAME_INDEX_H
/* Positions in an array by name, for the time of one pass over the replicas. The names are borrowed. An empty index is
 * NULL. */
#include <uthash.h>

#include "base/util.h"

struct name_index {
    const char *name;
    size_t at;
    UT_hash_handle hh; /* in the order in which names were added */
};

void name_index_add(struct name_index **index, const char *name, size_t at);
size_t name_index_find(struct name_index *index, const char *name); /* SIZE_MAX: not there */
void name_index_free(struct name_index *index);
DEFINE_CLEANUP(struct name_index *, name_index_free)

#endif
