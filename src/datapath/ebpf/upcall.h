/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_EBPF_UPCALL_H
#define WARREN_DATAPATH_EBPF_UPCALL_H
/*
 * Packets that the fast path sends up: ring records become packets with offload state.
 *
 * BPF does not tell whether a packet's checksum was left to the device. A checksum field that holds the pseudo-header's
 * sum and does not verify is taken for such; one that verifies needs nothing either way, so the guess is never wrong
 * where it matters.
 *
 * Packets wait in the ring while no process reads it, and until the one that starts knows what to do with them: those
 * that are to be translated wait for its tables, here, behind the ring, so that others do not wait with them. Who has
 * waited for too long is dropped: its sender has long asked again, or given up.
 */
#include <event2/event.h>

#include "datapath/ebpf/loader.h"
#include "packet/packet.h"

struct ebpf_upcalls;

/* What is handed on; the rest waits. */
enum ebpf_hearing {
    EBPF_HEAR_NOTHING, /* the ring is not read */
    EBPF_HEAR_KNOWN,   /* what needs no translation */
    EBPF_HEAR_ALL,
};

typedef void ebpf_upcall_fn(void *aux, const struct ebpf_upcall *upcall, struct packet *packet);

struct ebpf_listener {
    ebpf_upcall_fn *fn;
    void *aux;
    uint64_t *drops; /* DROP_MAX of them: where those are counted that waited too long, or were too many */
    int64_t old_ms;  /* how long is too long */
};

/* Hands records of the ring RING_FD to LISTENER, all of them until something else is said. */
int ebpf_upcalls_new(struct event_base *base, int ring_fd, const struct ebpf_listener *listener,
                     struct ebpf_upcalls **ret_upcalls);
void ebpf_upcalls_hear(struct ebpf_upcalls *upcalls, enum ebpf_hearing hearing);
/* Takes up to a turn's worth of what waits now; true: there may be more. */
bool ebpf_upcalls_run(struct ebpf_upcalls *upcalls);
void ebpf_upcalls_free(struct ebpf_upcalls *upcalls);

#endif
