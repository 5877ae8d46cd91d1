/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CONTROLLER_LIVENESS_H
#define WARREN_CONTROLLER_LIVENESS_H
/*
 * How long ago each agent was heard of. A heartbeat says what the clock of the agent's host said, which may be minutes
 * off: what counts is when it changed. So each change that is seen as it happens measures how far that clock is from
 * ours, and a heartbeat's age is its time on the agent's clock brought to ours. The difference is also kept beside the
 * heartbeat in the database (`clock_offset`), for controllers that start later, when the agent may be silent already.
 * Differences that are small are not worth a transaction, so there is none where clocks are right.
 *
 * Pure, in virtual time: MONO and WALL are milliseconds of the two clocks. Rows are told apart by address.
 */
#include <stdbool.h>
#include <stdint.h>

struct heard;

struct liveness {
    struct heard *heard;
    bool complete;    /* the contents are, so a change is seen as it happens */
    int64_t since_ms; /* … since when */
};

/* Seconds by which the stored offset may be wrong. */
#define LIVENESS_TOLERANCE_S 10

void liveness_done(struct liveness *l);
/* The contents are being read, anew or again: of a change that comes now nobody knows when it happened. */
void liveness_lost(struct liveness *l);
void liveness_complete(struct liveness *l, int64_t mono);
/* Heartbeat ROW came, or says another time: AT, in seconds of the agent's clock. True if it came just now: then *RET is
 * by how many seconds our wall clock is ahead of the agent's. */
bool liveness_beat(struct liveness *l, const void *row, int64_t at, int64_t mono, int64_t wall, int64_t *ret);
void liveness_gone(struct liveness *l, const void *row);
/* Milliseconds since heartbeat ROW. STORED: the offset beside it in the database. */
int64_t liveness_age(const struct liveness *l, const void *row, int64_t at, int64_t stored, int64_t mono, int64_t wall);

#endif
