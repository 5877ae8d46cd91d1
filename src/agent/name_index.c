/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/name_index.h"

void name_index_add(struct name_index **index, const char *name, size_t at)
{
    struct name_index *e = xcalloc(1, sizeof *e);

    e->name = name;
    e->at = at;
    HASH_ADD_KEYPTR(hh, *index, e->name, strlen(e->name), e);
}

size_t name_index_find(struct name_index *index, const char *name)
{
    struct name_index *e;

    HASH_FIND_STR(index, name, e);
    return e ? e->at : SIZE_MAX;
}

void name_index_free(struct name_index *index)
{
    struct name_index *e, *next;

    HASH_ITER(hh, index, e, next) {
        HASH_DEL(index, e);
        free(e);
    }
}
