/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/heap.h"

static void place(struct heap *h, size_t i, struct heap_node *node)
{
    h->nodes[i] = node;
    node->at = i + 1;
}

static void sift_up(struct heap *h, size_t i, struct heap_node *node)
{
    while (i && h->nodes[(i - 1) / 2]->key > node->key) {
        place(h, i, h->nodes[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(h, i, node);
}

static void sift_down(struct heap *h, size_t i, struct heap_node *node)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < h->n && h->nodes[child + 1]->key < h->nodes[child]->key) {
            child++;
        }
        if (child >= h->n || h->nodes[child]->key >= node->key) {
            break;
        }
        place(h, i, h->nodes[child]);
        i = child;
    }
    place(h, i, node);
}

void heap_insert(struct heap *h, struct heap_node *node, uint64_t key)
{
    if (h->n == h->allocated) {
        h->allocated = MAX(h->allocated * 2, (size_t)16);
        h->nodes = xrealloc(h->nodes, h->allocated * sizeof h->nodes[0]);
    }
    node->key = key;
    sift_up(h, h->n++, node);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    size_t i = node->at - 1;
    struct heap_node *last = h->nodes[--h->n];

    node->at = 0;
    if (last == node) {
        return;
    }
    if (i && h->nodes[(i - 1) / 2]->key > last->key) {
        sift_up(h, i, last);
    } else {
        sift_down(h, i, last);
    }
}

void heap_change(struct heap *h, struct heap_node *node, uint64_t key)
{
    uint64_t old = node->key;

    node->key = key;
    if (key < old) {
        sift_up(h, node->at - 1, node);
    } else {
        sift_down(h, node->at - 1, node);
    }
}

void heap_done(struct heap *h)
{
    free(h->nodes);
    *h = (struct heap){0};
}
