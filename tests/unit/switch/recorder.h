/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_RECORDER_H
#define WARREN_TESTS_RECORDER_H
/* The userspace datapath with ports 1 to N that go nowhere: what they send is told to a function. */
#include "datapath/datapath.h"

typedef void (*recorder_fn)(unsigned int port, const struct packet *p);

int recorder_open(struct event_base *base, const struct dp_callbacks *callbacks, unsigned int n, recorder_fn fn,
                  struct datapath **ret_dp);
void recorder_close(struct datapath *dp);
/* P comes in with KEY. */
void recorder_process(struct datapath *dp, struct packet *p, const struct flow_key *key);

#endif
