/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_CLASSIFIER_H
#define WARREN_SWITCH_CLASSIFIER_H
/*
 * The classifier: finds the highest-priority rule of a flow table that a packet matches, and tells what it looked at.
 *
 * Problem: 100,000 rules with masks in a table, a lookup per table and packet miss, and the megaflow that comes out
 * should be as wide as possible. Idea: tuple-space search. Rules with the same mask form a tuple with one hash table
 * over the masked bits; tuples stand in an array by their highest priority, and the search ends at the first tuple that
 * cannot beat what was found. Rules of equal match and different priority hang in one bucket entry, best first.
 *
 * Two things keep the reported mask narrow. A tuple is looked up in stages (cls_mask.h): for each stage but the last it
 * has the set of its rules' hashes up to there, and a packet that no rule agrees with so far is not looked at further.
 * And prefix tries (cls_trie.h) of addresses and ports tell, before a tuple is asked, that none of its rules has the
 * packet's prefix, and by how many bits that is known.
 *
 * Conjunctive matches (ovs-fields(7)): a rule may be a clause of conjunctions rather than an answer. A lookup collects
 * the clauses that hit; from the highest priority down, a conjunction with all of its clauses is looked up once more as
 * conj_id, and what that finds is the answer, if it is not beaten by a plain rule of that priority or above.
 *
 * Costs: lookup is a hash of the mask's non-zero words per tuple probed; insert and remove are O(1) plus keeping a
 * short sorted histogram of priorities per tuple, and tries. A rule stores only the words its mask looks at.
 *
 * Invariants: in a tuple (match, priority) is unique; the histogram and the stage sets count exactly the tuple's rules;
 * tuples are never empty. The reported mask holds whatever any probe looked at, also of those that did not match.
 */
#include "switch/cls_mask.h"
#include "switch/cls_trie.h"

struct cls_tuple;

/* A rule is clause CLAUSE (0 ...) of the N_CLAUSES (2..64) that conjunction ID consists of. */
struct cls_conj {
    uint32_t id;
    uint8_t clause, n_clauses;
};
struct cls_conj_set {
    size_t n;
    struct cls_conj items[];
};

/* Embedded in the caller's rule. Private to the classifier but `priority`. */
struct cls_rule {
    int32_t priority; /* 0..65535 for OpenFlow; above: hidden rules */
    uint32_t hash;
    struct cls_mask *mask;     /* a reference */
    uint64_t *values;          /* one a word of the mask */
    struct cls_conj_set *conj; /* NULL: a plain rule */
    struct cls_tuple *tuple;   /* NULL: in no classifier */
    struct cls_rule *lower;    /* same match, lower priority */
};

struct cls_order {
    int32_t max; /* the tuple's highest priority */
    struct cls_tuple *tuple;
};

struct cls_prefix;

struct classifier {
    struct cls_order *order; /* by descending highest priority */
    size_t n_tuples, allocated;
    struct cls_tuple *by_mask; /* uthash over the same tuples */
    size_t n_rules, n_conj;    /* of them with conjunctions */
    struct cls_trie tries[CLS_N_TRIES];
    struct cls_prefix *leaving; /* prefixes of removed rules that are still in the tries */
    size_t n_leaving, leaving_allocated;
};

void cls_rule_init(struct cls_rule *r, const struct match *m, int32_t priority);
/* The rule must be in no classifier. */
void cls_rule_done(struct cls_rule *r);
/* Makes the rule a clause of N conjunctions (copied), or with N 0 a plain rule. CLS: where it is in; NULL: nowhere. */
void cls_rule_set_conj(struct classifier *cls, struct cls_rule *r, const struct cls_conj *items, size_t n);
/* Expands the rule's match. */
void cls_rule_match(const struct cls_rule *r, struct match *ret);
bool cls_rule_matches_all(const struct cls_rule *r);

/* Rules left inside are forgotten, not freed: remove them before. */
void classifier_done(struct classifier *cls);
/* There must be no rule of the same match and priority (cls_find_exact). */
void classifier_insert(struct classifier *cls, struct cls_rule *r);
void classifier_remove(struct classifier *cls, struct cls_rule *r);
/* The best rule for FLOW, conjunctions resolved, or NULL. MASK (may be NULL) gets all bits ORed in that were looked at.
 */
struct cls_rule *classifier_lookup(const struct classifier *cls, const struct flow *flow, struct flow *mask);
/* The rule of exactly this match and priority. */
struct cls_rule *classifier_find_exact(const struct classifier *cls, const struct match *m, int32_t priority);
/* Is there a rule of this priority, but of another match, that some packet matches together with M? */
bool classifier_overlaps(const struct classifier *cls, const struct match *m, int32_t priority);
/* Calls FN for each rule whose match M covers (NULL: all rules) until it returns non-zero, which is then returned. FN
 * may remove the rule it is given, and no other, and must not insert. */
int classifier_for_each(struct classifier *cls, const struct match *m, int (*fn)(void *aux, struct cls_rule *r),
                        void *aux);
/* Rules that are removed leave their prefixes in the tries, where they can make masks no worse than narrow. Takes up to
 * N of them out; true: that was not all. */
bool classifier_settle(struct classifier *cls, size_t n);
size_t classifier_n_masks(const struct classifier *cls);

#endif
