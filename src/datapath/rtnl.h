/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_DATAPATH_RTNL_H
#define WARREN_DATAPATH_RTNL_H
/*
 * Requests to rtnetlink, one at a time, and the wait for all of the answer. What is in the messages is libmnl's and the
 * caller's; events that nobody asked for come by sockets of those who listen (links.c, ebpf/net.c).
 */
#include <libmnl/libmnl.h>

#include "base/util.h"

struct rtnl {
    struct mnl_socket *socket;
    unsigned int seq;
};

/* 0 or a negative errno; R is the caller's for rtnl_close(), which takes a zeroed one, too. */
int rtnl_open(struct rtnl *r);
int rtnl_open_bus(struct rtnl *r, int bus); /* another one's, as NETLINK_XFRM, of the same manners */
void rtnl_close(struct rtnl *r);

/* A socket by which the events of N GROUPS of BUS (RTNLGRP_*) come, and which does not block; the caller's to close. */
int rtnl_listen(int bus, const int *groups, size_t n, struct mnl_socket **ret_socket);

#define RTNL_REQUEST_MAX 1024

/* Begins a request of TYPE in BUF, of RTNL_REQUEST_MAX bytes. FLAGS: NLM_F_DUMP, or what a change needs (NLM_F_CREATE
 * etc.), or 0. */
struct nlmsghdr *rtnl_request(void *buf, uint16_t type, uint16_t flags);
/* Sends the request and hands each message of the answer to CB (NULL: only the kernel's word is wanted), which returns
 * MNL_CB_OK, or MNL_CB_STOP to hear no more of them, or MNL_CB_ERROR with errno set. 0, CB's error or the kernel's, or
 * -EINTR when what was dumped changed meanwhile, so that something may be missing. */
int rtnl_ask(struct rtnl *r, struct nlmsghdr *request, mnl_cb_t cb, void *aux);
/* Likewise, but a dump that was interrupted is made again, so CB may hear things twice. -EINTR only where changes do
 * not cease. */
int rtnl_dump(struct rtnl *r, struct nlmsghdr *request, mnl_cb_t cb, void *aux);
/* rtnl_ask() by a socket for this once. */
int rtnl_ask_once(struct nlmsghdr *request, mnl_cb_t cb, void *aux);

#endif
