/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_PACKET_TUNNEL_OPTS_H
#define WARREN_PACKET_TUNNEL_OPTS_H
/*
 * Blocks of Geneve options under a number, so that a flow key names any options in 32 bits (flow_tunnel.opts_id) and
 * two packets have the same options exactly when they have the same number.
 *
 * One table a process: the numbers travel in keys and actions through layers that know no common object. Whoever keeps
 * a number longer than the handling of one packet holds a reference; blocks without one are kept as long as there is
 * room, and the oldest of them makes way, but never one of the last TUNNEL_OPTS_RECENT that were asked for.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TUNNEL_OPTS_MAX_LEN 252 /* RFC 8926, 3.4: six bits of four-byte words */
#define TUNNEL_OPTS_MAX 16384   /* blocks at a time */
#define TUNNEL_OPTS_RECENT 1024

/* The number of the block OPTS of LEN bytes, as on the wire: 0 in *RET_ID for none (LEN 0). -EINVAL: too long; -ENOSPC:
 * every block is in use. */
int tunnel_opts_intern(const void *opts, size_t len, uint32_t *ret_id);
/* The block, NULL (and length 0) for 0 or a number that is not in use. */
const uint8_t *tunnel_opts_get(uint32_t id, size_t *ret_len);
/* Gives the block OPTS the number ID, which it had in a process before us whose flows name it so. -EEXIST: one of the
 * two means something else here; -EINVAL: no number or no length. */
int tunnel_opts_restore(uint32_t id, const void *opts, size_t len);
/* One of the options must be understood (RFC 8926, 3.5). The block is well formed. */
bool tunnel_opts_critical(const uint8_t *opts, size_t len);
void tunnel_opts_ref(uint32_t id); /* 0 is fine */
void tunnel_opts_unref(uint32_t id);

#endif
