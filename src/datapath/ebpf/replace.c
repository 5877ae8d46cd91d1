/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upgrade with another layout of the maps: ours take the place of another version's, and no packet of a flow that it
 * forwarded is lost.
 *
 * Problem: its maps cannot be read, so ours have no flows when the tables are complete. If its programs just made way,
 * the next packets of all flows would come up at once: more than a port's budget and the ring have room for while this
 * process is busy with the change (126 super-packets fill the ring). Idea: our programs are put in front of its. They
 * forward what they have a flow for. Of what they have none for they send a copy of the headers up, which teaches the
 * switch at first, and of which it then makes a flow as if it adopted one; the packet is left to the program behind,
 * which knows it. When hardly any such copies come any more ours take the other's place; the few flows that are left
 * come up with their next packet.
 *
 * A process that ends meanwhile leaves both to forward; the next one goes on with what ours have learned, or, if it is
 * of the other version, with its own.
 *
 * Packets of flows that neither version has end in the ring of the other one, which we read meanwhile (former.h): they
 * are translated as ever. Until our programs are in front, some seconds after the start, what follows such a packet
 * goes that way as well, and is run by user space.
 *
 * Left out: sets of Geneve options are learned after the change: their first packets come by the host's sockets.
 */
#include "base/log.h"
#include "datapath/ebpf/ebpf_private.h"

LOG_MODULE("ebpf_replace");

#define TURN_USEC 100000
#define TURNS_FIRST 3 /* in which packets only teach, so that no flow is made before both of its ends are known */
#define TURNS_MIN 10  /* a flow of a packet a second is worth the wait */
#define TURNS_MAX 50  /* where new flows never end */
#define FEW 50        /* copies in a turn, which as misses a single port may send up */
#define LAST_TURNS 1000

void ebpf_replace_learn(struct ebpf_datapath *dp, const struct flow_key *key)
{
    struct flow_key all;
    const struct dp_flow flow = {.key = key, .mask = &all, .stats.used_ms = time_mono_ms()};

    memset(&all, 0xff, sizeof(all)); /* a packet tells everything of itself */
    if (!dp->learning || !dp->callbacks.learn || !dp->callbacks.adopt) {
        return; /* what a process before us asked for: our tables may not be complete */
    }
    dp->learned++;
    if (megaflows_lookup(&dp->us->flows, key)) {
        return;
    }
    if (dp->learn_turns < TURNS_FIRST) {
        dp->callbacks.learn(dp->callbacks.aux, &flow);
    } else {
        dp->callbacks.adopt(dp->callbacks.aux, &flow);
    }
}

static void wait_turn(struct ebpf_datapath *dp)
{
    const struct timeval turn = {0, TURN_USEC};

    dp->learned = 0;
    event_add(dp->learn, &turn);
}

void ebpf_replace_begin(struct ebpf_datapath *dp)
{
    dp->learning = true;
    dp->learn_turns = 0;
    ebpf_ports_put_in_front(dp);
    ebpf_net_put_in_front(dp->net);
    log_info("flows of programs of another version are learned");
    wait_turn(dp);
}

static void replace(struct ebpf_datapath *dp)
{
    dp->learning = dp->maps.replaces = false;
    ebpf_ports_replace(dp);
    for (int i = 0; i < LAST_TURNS && ebpf_formers_run(dp->formers); i++) { /* nothing comes any more */
    }
    ebpf_formers_close(dp->formers);
    dp->formers = NULL;
    ebpf_settle_ours(dp);
    ebpf_detour_remove(dp->rundir, dp->detour);
    ebpf_unpin_others(dp->rundir);
    log_info("programs and maps of another version are replaced");
}

void ebpf_replace_turn(evutil_socket_t fd WR_UNUSED, short what WR_UNUSED, void *dp_)
{
    struct ebpf_datapath *dp = dp_;

    ebpf_formers_run(dp->formers); /* if this process did not run for a while, they have not been heard */
    ebpf_upcalls_run(dp->upcalls);
    dp->learn_turns++;
    if (dp->learn_turns < TURNS_MIN || (dp->learn_turns < TURNS_MAX && dp->learned > FEW)) {
        wait_turn(dp);
        return;
    }
    replace(dp);
}
