/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_TYPES_H
#define WARREN_BASE_TYPES_H
/*
 * Types that every module shares.
 *
 * Big-endian values are the kernel's __be16/__be32/__be64, which sparse checks (`make lint`); a plain
 * uintN_t is always in host byte order. Numbers from different spaces get types of their own, so that a
 * datapath port is never taken for an OpenFlow port: sparse refuses to mix them, and the two inline
 * functions beside each type are the only way in and out.
 *
 * This header is shared with BPF programs: it includes nothing but <linux/types.h>.
 */
#include <linux/types.h>

#ifdef __CHECKER__
#define WR_BITWISE __attribute__((bitwise))
#define WR_FORCE __attribute__((force))
#else
#define WR_BITWISE
#define WR_FORCE
#endif

/* An OpenFlow port number: 32 bits as in OpenFlow 1.1 and later; host byte order. 0xffffff00 and up are reserved. */
typedef __u32 WR_BITWISE ofp_port_t;
/* A port of a datapath: chosen by the datapath, never shown to OpenFlow. DP_PORT_NONE is no port. */
typedef __u32 WR_BITWISE dp_port_t;
/* An OpenFlow table, 0..253 (254 is hidden, 255 means all). */
typedef __u8 table_id_t;
/* A tunnel's network identifier as a number in host byte order: 24 bits for VXLAN and Geneve, 32 for GRE. */
typedef __u32 vni_t;

enum tunnel_type { TUNNEL_VXLAN, TUNNEL_GRE, TUNNEL_GENEVE, N_TUNNEL_TYPES };

static inline ofp_port_t ofp_port(__u32 n)
{
    return (WR_FORCE ofp_port_t)n;
}
static inline __u32 ofp_port_u32(ofp_port_t p)
{
    return (WR_FORCE __u32)p;
}
static inline dp_port_t dp_port(__u32 n)
{
    return (WR_FORCE dp_port_t)n;
}
static inline __u32 dp_port_u32(dp_port_t p)
{
    return (WR_FORCE __u32)p;
}

#define DP_PORT_NONE dp_port(0xffffffffu)

/* Reserved OpenFlow ports (OpenFlow 1.3, 7.2.1, enum ofp_port_no). */
#define OFPP_MAX ofp_port(0xffffff00u)
#define OFPP_UNSET ofp_port(0xfffffff7u)
#define OFPP_IN_PORT ofp_port(0xfffffff8u)
#define OFPP_TABLE ofp_port(0xfffffff9u)
#define OFPP_NORMAL ofp_port(0xfffffffau)
#define OFPP_FLOOD ofp_port(0xfffffffbu)
#define OFPP_ALL ofp_port(0xfffffffcu)
#define OFPP_CONTROLLER ofp_port(0xfffffffdu)
#define OFPP_LOCAL ofp_port(0xfffffffeu)
#define OFPP_ANY ofp_port(0xffffffffu)

#define TABLE_ID_MAX 253      /* last table that OpenFlow can see */
#define TABLE_ID_INTERNAL 254 /* beyond the last: the switch's own, as clients of Open vSwitch expect */
#define N_TABLES 254
#define TABLE_ID_ALL 255

#ifdef __bpf__
#define WR_EVEN __attribute__((aligned(2))) /* where it always is; copied by 16 bits, not byte by byte */
#else
#define WR_EVEN
#endif
struct eth_addr {
    __u8 a[6];
} WR_EVEN;
/* Multicast or broadcast. */
static inline _Bool eth_addr_is_group(const struct eth_addr *a)
{
    return a->a[0] & 1;
}

/* An IPv6 address, or an IPv4 address in its mapped form ::ffff:a.b.c.d where a comment says so. */
struct ip_addr {
    union {
        __u8 b[16];
        __be16 be16[8];
        __be32 be32[4]; /* be32[3] is the IPv4 address of the mapped form */
        __u64 u64[2];   /* for compare and mask only: no byte order */
    };
};
/* The first BITS of A, of 128, are those of PREFIX. */
static inline _Bool ip_addr_has_prefix(const struct ip_addr *a, const struct ip_addr *prefix, unsigned int bits)
{
    for (unsigned int i = 0; i < 16; i++) {
        const __u8 *x = (const __u8 *)a + i, *y = (const __u8 *)prefix + i;
        unsigned int left = bits > 8 * i ? bits - 8 * i : 0;

        if ((*x ^ *y) & (left < 8 ? 0xff00u >> left : 0xffu) & 0xffu) {
            return 0;
        }
    }
    return 1;
}

static inline _Bool ip_addr_is_v4mapped(const struct ip_addr *a)
{
    return !a->u64[0] && !a->be16[4] && a->be16[5] == (WR_FORCE __be16)0xffff;
}
static inline _Bool ip_addr_is_zero(const struct ip_addr *a)
{
    return !(a->u64[0] | a->u64[1]);
}

#endif
