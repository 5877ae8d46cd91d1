/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_REFUSAL_H
#define WARREN_DATAPATH_EBPF_REFUSAL_H
/*
 * Why the kernel did not take the programs or maps, in one sentence.
 *
 * Problem: the errno of a refused load says little (EACCES, EINVAL and E2BIG are all the verifier's, and others' too),
 * and what tells the cause is spread over libbpf's warnings, the verifier's log among them. Idea: the loader hands
 * every warning over as it comes, what matters is picked out, and the sentence is made when the load has failed. The
 * programs are to be loaded with a log of EBPF_LOG_LEVEL: then it holds what the verifier complains of and its
 * statistics, not each instruction that it looked at (which takes 16 MB, and Linux before 6.4 answers ENOSPC when that
 * is too little).
 */
#include "base/util.h"

#define EBPF_LOG_LEVEL 4 /* the kernel's BPF_LOG_STATS */

struct ebpf_refusal {
    char program[64];    /* that the verifier refused; empty: none was */
    char verifier[256];  /* what it said last of it */
    char complaint[256]; /* libbpf's first */
    bool pins_mismatch;  /* a map is pinned under a name of ours, and is of another form */
};

/* WARNING is what libbpf said, at level LIBBPF_WARN, of one load: a line, or a verifier's log between two lines. */
void ebpf_refusal_note(struct ebpf_refusal *r, const char *warning);
/* Why the load ended with ERROR (a negative errno) on the kernel RELEASE. To be freed. */
char *ebpf_refusal_text(const struct ebpf_refusal *r, int error, const char *release);

#endif
