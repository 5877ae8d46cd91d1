/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_MEGAFLOW_PRIVATE_H
#define WARREN_SWITCH_MEGAFLOW_PRIVATE_H
/*
 * What the parts of megaflow.h share: megaflow.c is the table of them and answers upcalls, megaflow_sweep.c keeps it
 * equal to what the OpenFlow tables say, megaflow_adopt.c makes those that no packet has asked us for.
 */
#include "base/hash_index.h"
#include "switch/admission.h"
#include "switch/megaflow.h"
#include "switch/neighbour.h"
#include "switch/translate.h"

struct megaflow_mask;

struct megaflow {
    struct flow_key key; /* masked */
    /* Of the packet that it was made for. Translations of it look at the same bits each time as long as the tables say
     * the same, while with zeros where the mask has some, of two prefixes it may be the other one that tells first that
     * a rule does not match. */
    struct flow_key first;
    struct megaflow_mask *mask;
    uint32_t hash;
    dp_flow_id id;
    void *actions; /* as installed */
    size_t actions_len;
    struct xlate_effect *effects;
    size_t n_effects, n_common; /* the first N_COMMON follow from the counters, the others from each packet */
    const uint64_t **deps;      /* counters of what its translation depends on */
    size_t n_deps;
    struct dp_flow_stats stats; /* as of the last read; all of it has been pushed */
    int64_t created_ms;
    uint64_t generation; /* of the tables that it was last translated with */
    struct megaflow *prev, *next;
};

struct megaflows {
    struct switch_ *sw;
    struct hash_index by_key;
    struct megaflow *list;
    struct hash_index masks;
    struct event *event;
    struct megaflow *cursor;         /* next one of the pass; NULL: none runs */
    bool pass_reads;                 /* this pass reads all counters, not only those of stale flows */
    uint64_t pass_generation;        /* when it began */
    int64_t pass_began_ms, stats_ms; /* this pass; the last one that read counters, to its end */
    int64_t tick_ms;                 /* when what is too old was last removed from the tables */
    dp_flow_id next_id;
    uint64_t n_revalidated;
    unsigned int pushing; /* depth of push_stats() */
    size_t max_flows;
    int64_t idle_ms;
    struct admission admission;
    struct neighbours neighbours;
};

/* megaflow.c. The datapath goes on without us, and the next process takes its flows over. */
bool megaflows_outlive_us(const struct megaflows *m);
/* The megaflow of just this (masked) key and mask; NULL: there is none. */
struct megaflow *megaflow_find(const struct megaflows *m, const struct flow_key *key, const struct flow_key *mask);
/* There is a megaflow, whichever its mask, for packets with KEY. */
bool megaflow_covers(const struct megaflows *m, const struct flow_key *key);
/* The port that the packet came in by is the switch's. One that is not may be a port of the process before us which
 * will be added in a moment, and whose flows still forward: a megaflow that drops would be in their way. */
bool megaflow_has_port(const struct xlate_out *out);
/* Does a megaflow of mask HAVE tell all that a translation NEEDs to look at? */
bool megaflow_mask_suffices(const struct flow_key *have, const struct flow_key *need);
/* Who wants a megaflow: a packet that came up (one of many in a storm is not worth it: admission.h), a process before
 * us whose flow it was, or nobody yet, as it was foreseen. */
enum megaflow_origin { MEGAFLOW_ASKED, MEGAFLOW_LEFT, MEGAFLOW_FORESEEN };
/* A megaflow for packets like that of KEY, the last of which was there at USED_MS (0: none): OUT, its translation,
 * began at GENERATION. */
void megaflow_install(struct megaflows *m, const struct flow_key *key, struct xlate_out *out, uint64_t generation,
                      enum megaflow_origin origin, int64_t used_ms, int64_t now);
/* What OUT says is what is installed. */
bool megaflow_does(const struct megaflow *f, const struct xlate_out *out);
/* Makes the installed flow what OUT says. False when it had to go. */
bool megaflow_update(struct megaflows *m, struct megaflow *f, struct xlate_out *out);
/* False when the datapath does not know the flow any more: then it is forgotten. */
bool megaflow_pull_stats(struct megaflows *m, struct megaflow *f);
/* The datapath says a last time what it counted. */
void megaflow_remove(struct megaflows *m, struct megaflow *f);

/* megaflow_sweep.c: `event`'s callback. */
void megaflows_on_event(evutil_socket_t fd, short what, void *aux);

/* megaflow_adopt.c: megaflows for what the sender of a packet with KEY will ask and answer its neighbour, and for the
 * neighbour's answer (neighbour.h). ACTIONS are the packet's. */
void megaflow_foresee(struct megaflows *m, const struct flow_key *key, const void *actions, size_t actions_len,
                      int64_t now);

#endif
