/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_FORMER_H
#define WARREN_DATAPATH_EBPF_FORMER_H
/*
 * What programs of another layout send up, while they serve (replace.c).
 *
 * Problem: a packet that those programs do not know goes into their ring, which nobody would read. Idea: of their maps
 * two have a form that does not go with the layout: the ring's records (EBPF_RING_FORM), and ifindexes, by which a
 * port's number there becomes ours. So such packets are ours to translate, also those that waited since before we
 * started.
 *
 * Left out: what says which step of a flow of theirs it needs, because we cannot read their flows; and packets with
 * Geneve options, whose numbers there we do not know.
 */
#include "datapath/ebpf/upcall.h"

struct ebpf_formers;

/* LISTENER gets what comes by the rings that were left for RUNDIR, by our numbers of ports; nothing comes until
 * ebpf_formers_hear(). */
struct ebpf_formers *ebpf_formers_open(struct event_base *base, const char *rundir, const struct ebpf_maps *maps,
                                       const struct ebpf_listener *listener);
void ebpf_formers_hear(struct ebpf_formers *formers, enum ebpf_hearing hearing);
bool ebpf_formers_run(struct ebpf_formers *formers);   /* as ebpf_upcalls_run(), of each ring */
void ebpf_formers_close(struct ebpf_formers *formers); /* NULL is fine, for all of these */

#endif
