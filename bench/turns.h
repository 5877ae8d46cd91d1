/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BENCH_TURNS_H
#define WARREN_BENCH_TURNS_H
/* Measuring several pairs of ends in turn: who they are (pair=A,B,...), whose turn it is, and the rates as JSON. */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common.h"

#define TURNS_MAX_PAIRS 16

/* What the N-th argument pair=... says, or NULL. The caller may write into it. */
static inline char *pair_text(int argc, char **argv, unsigned int n)
{
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "pair=", 5) && n-- == 0) {
            return argv[i] + 5;
        }
    }
    return NULL;
}

/* Takes what is up to the next comma off TEXT; there has to be something. */
static inline char *next_word(char **text)
{
    char *word = strsep(text, ",");

    if (!word || !*word) {
        errx(2, "pair=... is not complete");
    }
    return word;
}

static inline void shuffle(unsigned int *order, unsigned int n)
{
    for (unsigned int i = n; i > 1; i--) {
        unsigned int j = (unsigned int)(random() % i), swapped = order[i - 1];

        order[i - 1] = order[j];
        order[j] = swapped;
    }
}

/* Lets each of N pairs have `turns` turns; TURN measures one: its rate. Prints all of them. */
static inline void take_turns(int argc, char **argv, unsigned int n,
                              double (*turn)(unsigned int pair, unsigned int settle_us, unsigned int turn_us))
{
    unsigned int turns = (unsigned int)arg_number(argc, argv, "turns", 20), order[TURNS_MAX_PAIRS];
    unsigned int turn_us = (unsigned int)arg_number(argc, argv, "turn_ms", 100) * 1000;
    unsigned int settle_us = (unsigned int)arg_number(argc, argv, "settle_ms", 30) * 1000;
    double *rates;

    if (!n || n > TURNS_MAX_PAIRS || !turns) {
        errx(2, "1 to %d pairs, and turns for them, are needed", TURNS_MAX_PAIRS);
    }
    rates = calloc((size_t)n * turns, sizeof *rates);
    srandom((unsigned int)time(NULL));
    for (unsigned int i = 0; i < n; i++) {
        order[i] = i;
        turn(i, settle_us, turn_us); /* megaflows, windows, caches: not counted */
    }
    for (unsigned int t = 0; t < turns; t++) {
        shuffle(order, n);
        for (unsigned int i = 0; i < n; i++) {
            rates[order[i] * turns + t] = turn(order[i], settle_us, turn_us);
        }
    }
    printf("{\"rates\": [");
    for (unsigned int i = 0; i < n; i++) {
        for (unsigned int t = 0; t < turns; t++) {
            printf("%s%.3f", t ? ", " : i ? "], [" : "[", rates[i * turns + t]);
        }
    }
    printf("]]}\n");
    free(rates);
}

#endif
