/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/rtnl.h"

#include <errno.h>
#include <linux/rtnetlink.h>

#define DUMP_TRIES 20
#define ANSWER_MAX 32768 /* of one datagram: as much as the kernel puts into one */

static int open_socket(int bus, int flags, struct mnl_socket **ret_socket)
{
    struct mnl_socket *s = mnl_socket_open2(bus, SOCK_CLOEXEC | flags);

    if (!s) {
        return -errno;
    }
    if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
        int error = -errno;

        mnl_socket_close(s);
        return error;
    }
    *ret_socket = s;
    return 0;
}

int rtnl_open_bus(struct rtnl *r, int bus)
{
    struct mnl_socket *s = NULL;
    int error = open_socket(bus, 0, &s);

    if (!error) {
        *r = (struct rtnl){.socket = s};
    }
    return error;
}

int rtnl_open(struct rtnl *r)
{
    return rtnl_open_bus(r, NETLINK_ROUTE);
}

int rtnl_listen(int bus, const int *groups, size_t n, struct mnl_socket **ret_socket)
{
    struct mnl_socket *s = NULL;
    int error = open_socket(bus, SOCK_NONBLOCK, &s);

    if (error) {
        return error;
    }
    for (size_t i = 0; i < n && !error; i++) {
        int group = groups[i];

        error = mnl_socket_setsockopt(s, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) ? -errno : 0;
    }
    if (error) {
        mnl_socket_close(s);
        return error;
    }
    *ret_socket = s;
    return 0;
}

void rtnl_close(struct rtnl *r)
{
    if (r->socket) {
        mnl_socket_close(r->socket);
    }
    *r = (struct rtnl){0};
}

struct nlmsghdr *rtnl_request(void *buf, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

    /* A dump has an end of its own; everything else shall have one, too. */
    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (flags == NLM_F_DUMP ? flags : flags | NLM_F_ACK));
    return h;
}

struct answer {
    unsigned int seq;
    mnl_cb_t cb;
    void *aux;
    int run; /* what CB said last */
    bool ended;
    int error;
};

/* The kernel's word at the end of an answer: 0, or minus an errno. */
static int last_word(const struct nlmsghdr *h)
{
    int error = 0;

    if (mnl_nlmsg_get_payload_len(h) >= sizeof(error)) {
        memcpy(&error, mnl_nlmsg_get_payload(h), sizeof(error));
    }
    return error;
}

static void hear(struct answer *a, const struct nlmsghdr *h)
{
    if (h->nlmsg_seq != a->seq) {
        return; /* the rest of an answer that could not be received */
    }
    if (h->nlmsg_flags & NLM_F_DUMP_INTR && !a->error) {
        a->error = -EINTR;
    }
    if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
        a->ended = true;
        a->error = a->error ? a->error : last_word(h);
    } else if (h->nlmsg_type >= NLMSG_MIN_TYPE && a->cb && a->run > MNL_CB_STOP) {
        a->run = a->cb(h, a->aux);
        a->error = a->run < MNL_CB_STOP ? -errno : a->error;
    }
}

/* The answer is read up to its end also when the caller has heard enough: the kernel begins no dump by a socket before
 * that of another is received. */
int rtnl_ask(struct rtnl *r, struct nlmsghdr *request, mnl_cb_t cb, void *aux)
{
    struct answer a = {.seq = ++r->seq, .cb = cb, .aux = aux, .run = MNL_CB_OK};
    char buf[ANSWER_MAX];

    request->nlmsg_seq = a.seq;
    if (mnl_socket_sendto(r->socket, request, request->nlmsg_len) < 0) {
        return -errno;
    }
    while (!a.ended) {
        ssize_t n = mnl_socket_recvfrom(r->socket, buf, sizeof(buf));
        const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf;
        int left = (int)n;

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        for (; mnl_nlmsg_ok(h, left) && !a.ended; h = mnl_nlmsg_next(h, &left)) {
            hear(&a, h);
        }
    }
    return a.error;
}

int rtnl_dump(struct rtnl *r, struct nlmsghdr *request, mnl_cb_t cb, void *aux)
{
    int error = -EINTR;

    for (unsigned int i = 0; i < DUMP_TRIES && error == -EINTR; i++) {
        error = rtnl_ask(r, request, cb, aux);
    }
    return error;
}

int rtnl_ask_once(struct nlmsghdr *request, mnl_cb_t cb, void *aux)
{
    struct rtnl r;
    int error = rtnl_open(&r);

    if (!error) {
        error = rtnl_ask(&r, request, cb, aux);
        rtnl_close(&r);
    }
    return error;
}
