/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack of push and pop (ovs-actions(7)), which lives as long as the walk through one bridge, resubmits included.
 * What a clone, a bucket or another bridge does to it must be gone when they return, and those put the walk's state
 * back as it was: so the stack is a list that is never changed, only a new top put in front or the view moved down.
 * The elements all go at the end.
 */
#include "switch/translate_private.h"

#define MAX_PUSHES 4096 /* of one walk */

struct xlate_element {
    struct xlate_element *below;
    struct xlate_element *earlier; /* of all that were made */
    union field_value value;       /* right-aligned in 16 bytes */
};

void xlate_stack_push(struct xlate_ctx *x, const struct subfield *sf)
{
    struct xlate_element *e;

    if (!xlate_can_use(x, sf->field)) {
        return;
    }
    if (x->n_pushes >= MAX_PUSHES) {
        xlate_fail(x, DROP_STACK);
        return;
    }
    xlate_look_subfield(x, sf);
    e = xcalloc(1, sizeof *e);
    subfield_read(sf, &x->s.flow, &e->value);
    e->below = x->s.stack;
    e->earlier = x->elements;
    x->s.stack = x->elements = e;
    x->n_pushes++;
}

void xlate_stack_pop(struct xlate_ctx *x, const struct subfield *sf)
{
    struct xlate_element *e = x->s.stack;

    if (!e) {
        xlate_trace(x, "the stack is empty");
        return;
    }
    x->s.stack = e->below;
    xlate_write_subfield(x, sf, &e->value);
}

void xlate_stack_done(struct xlate_ctx *x)
{
    while (x->elements) {
        struct xlate_element *e = x->elements;

        x->elements = e->earlier;
        free(e);
    }
}
