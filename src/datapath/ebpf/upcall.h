/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_UPCALL_H
#define WARREN_DATAPATH_EBPF_UPCALL_H
/*
 * Packets that the fast path sends up: ring records become packets with offload state.
 *
 * BPF does not tell whether a packet's checksum was left to the device. A checksum field that holds the pseudo-header's
 * sum and does not verify is taken for such; one that verifies needs nothing either way, so the guess is never wrong
 * where it matters.
 */
#include <event2/event.h>

#include "datapath/ebpf/loader.h"
#include "packet/packet.h"

struct ebpf_upcalls;

typedef void ebpf_upcall_fn(void *aux, const struct ebpf_upcall *upcall, struct packet *packet);

int ebpf_upcalls_new(struct event_base *base, struct ebpf_maps *maps, ebpf_upcall_fn *fn, void *aux,
                     struct ebpf_upcalls **ret_upcalls);
/* Takes up to a turn's worth of what waits now. */
void ebpf_upcalls_run(struct ebpf_upcalls *upcalls);
void ebpf_upcalls_free(struct ebpf_upcalls *upcalls);

#endif
