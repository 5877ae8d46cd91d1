/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_TESTS_FUZZ_FUZZ_H
#define WARREN_TESTS_FUZZ_FUZZ_H
/* What every fuzz target shares: the entry point, and a check that stays in builds of every kind. */
#include <stdio.h>

#include "base/util.h"

/* Runs the target on one input. 0. The bytes may be unaligned, and DATA is good for exactly SIZE bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise of the code under test is a crash, which the fuzzer and the replay both report with the input. */
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
