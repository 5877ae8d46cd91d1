/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_CLASSIFIER_H
#define WARREN_SWITCH_CLASSIFIER_H
/*
 * The classifier: finds the highest-priority rule of a flow table that a packet matches, and tells what it looked at.
 *
 * Problem: 100,000 rules with masks in a table, a lookup per table and packet miss, and the megaflow that comes out
 * should be as wide as possible. Idea: tuple-space search. Rules with the same mask form a tuple with one hash table
 * over the masked bits; tuples stand in a list by their highest priority, and the search ends at the first tuple that
 * cannot beat what was found. Rules of equal match and different priority hang in one bucket entry, best first.
 *
 * Costs: lookup is a hash of the mask's non-zero words per tuple probed; insert and remove are O(1) plus keeping a
 * short sorted histogram of priorities per tuple. A rule stores only the words its mask looks at; the mask itself is
 * shared and reference counted, so that a removed rule can still tell its match.
 *
 * Invariants: in a tuple (match, priority) is unique; the histogram counts exactly the tuple's rules; tuples are never
 * empty. The megaflow mask gets the masks of all tuples that were probed, also of those that did not match.
 */
#include "openflow/flow.h"

struct cls_mask;
struct cls_tuple;

/* Embedded in the caller's rule. Private to classifier.c but `priority`. */
struct cls_rule {
    int32_t priority; /* 0..65535 for OpenFlow; above: hidden rules */
    uint32_t hash;
    struct cls_mask *mask;   /* a reference */
    uint64_t *values;        /* one a set bit of the mask's map */
    struct cls_tuple *tuple; /* NULL: in no classifier */
    struct cls_rule *next;   /* other matches in the bucket */
    struct cls_rule *lower;  /* same match, lower priority */
};

struct classifier {
    struct cls_tuple *tuples;  /* by descending highest priority */
    struct cls_tuple *by_mask; /* uthash over the same tuples */
    size_t n_rules;
};

void cls_rule_init(struct cls_rule *r, const struct match *m, int32_t priority);
/* The rule must be in no classifier. */
void cls_rule_done(struct cls_rule *r);
/* Expands the rule's match. */
void cls_rule_match(const struct cls_rule *r, struct match *ret);
bool cls_rule_matches_all(const struct cls_rule *r);

/* Rules left inside are forgotten, not freed: remove them before. */
void classifier_done(struct classifier *cls);
/* There must be no rule of the same match and priority (cls_find_exact). */
void classifier_insert(struct classifier *cls, struct cls_rule *r);
void classifier_remove(struct classifier *cls, struct cls_rule *r);
/* The best rule for FLOW or NULL. MASK (may be NULL) gets all bits ORed in that were looked at. */
struct cls_rule *classifier_lookup(const struct classifier *cls, const struct flow *flow, struct flow *mask);
/* The rule of exactly this match and priority. */
struct cls_rule *classifier_find_exact(const struct classifier *cls, const struct match *m, int32_t priority);
/* Is there a rule of this priority, but of another match, that some packet matches together with M? */
bool classifier_overlaps(const struct classifier *cls, const struct match *m, int32_t priority);
/* Calls FN for each rule whose match M covers (NULL: all rules) until it returns non-zero, which is then returned. FN
 * may remove the rule it is given, and no other, and must not insert. */
int classifier_for_each(struct classifier *cls, const struct match *m, int (*fn)(void *aux, struct cls_rule *r),
                        void *aux);
size_t classifier_n_masks(const struct classifier *cls);

#endif
