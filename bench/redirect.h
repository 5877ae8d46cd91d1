/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BENCH_REDIRECT_H
#define WARREN_BENCH_REDIRECT_H
/* What redirects.c hands to the programs of redirect.bpf.c. */
#include <linux/types.h>

struct tunnel_eth {
    __u8 dst[6], src[6];
    __be16 type;
};

/* VXLAN over IPv4, with the frame's Ethernet header behind it. */
struct tunnel_head {
    struct tunnel_eth outer;
    struct {
        __u8 ver_ihl, tos;
        __be16 tot_len, id, frag;
        __u8 ttl, proto;
        __u16 check;
        __u8 src[4], dst[4];
    } ip;
    struct {
        __be16 src, dst, len;
        __u16 check;
    } udp;
    __be16 vxlan[4];
    struct tunnel_eth inner;
};
_Static_assert(sizeof(struct tunnel_head) == 14 + 20 + 8 + 8 + 14, "no hidden padding");

#endif
