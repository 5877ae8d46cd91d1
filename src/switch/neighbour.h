/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_NEIGHBOUR_H
#define WARREN_SWITCH_NEIGHBOUR_H
/*
 * What two stations that talk will ask each other.
 *
 * Problem: a datapath that outlives us goes on with the flows it has, but stations look after their neighbour entries:
 * seconds after the first packet one asks the other whether it is still there (RFC 4861, 7.3; Linux does so for ARP
 * too), and gives it up if no answer comes. That question and its answer are flows that were never seen, so with nobody
 * to answer a miss a connection would end that the datapath carries. Idea: the first packet of a pair of stations tells
 * what they will send: this module names those packets, and megaflow.h makes megaflows for them at once. The answer of
 * a receiver, which may never send anything else, is told by what the packet's actions make of it: it comes from where
 * the packet leaves, as it leaves, with its addresses turned round.
 *
 * Costs: up to NEIGHBOUR_KEYS + 1 translations for a pair, of at most NEIGHBOUR_PAIRS pairs in a window; the others get
 * theirs when they ask. Limits: behind a router the addresses of the first packet are not those that will be asked for,
 * and IPv6 often asks from a link-local address; that matters only where flows look at them. The receiver's answer is
 * left out where the packet is flooded, changed other than in its tags, or leaves by a tunnel without local_ip (where
 * answers will come in is not known).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/action.h"

#define NEIGHBOUR_KEYS 3
#define NEIGHBOUR_WINDOW_MS 100
#define NEIGHBOUR_PAIRS 32       /* in a window */
#define NEIGHBOUR_SEEN 1024      /* pairs remembered */
#define NEIGHBOUR_AGAIN_MS 60000 /* for so long */

struct neighbours {
    int64_t window_ms;
    unsigned int n_window;
    struct {
        uint32_t pair;
        int64_t seen_ms;
    } seen[NEIGHBOUR_SEEN];
};

/* The keys of what the sender of a packet with KEY sends to keep its neighbour: a question to it alone, the answer to
 * such a question, and a question to all. Their number: 0 for packets that are not IP from one station to another, or
 * are such questions themselves. */
unsigned int neighbour_keys(const struct flow_key *key, struct flow_key ret[static NEIGHBOUR_KEYS]);

/* The key of the answer to such a question of the sender of a packet with KEY, which ACTIONS lead to its receiver.
 * False: that is not to be told. */
bool neighbour_answer(const struct flow_key *key, const void *actions, size_t actions_len, struct flow_key *ret);

/* Is it time, at NOW (time_mono_ms()), to see to the pair of stations of a packet with KEY? Not if it was lately. */
bool neighbours_ask(struct neighbours *n, const struct flow_key *key, int64_t now);

#endif
