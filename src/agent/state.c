/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/state.h"

#include <arpa/inet.h>
#include <ctype.h>

void state_done(struct state *s)
{
    for (size_t i = 0; i < s->n_ports; i++) {
        free(s->ports[i].ips);
        free(s->ports[i].pairs);
    }
    free(s->ports);
    free(s->networks);
    free(s->endpoints);
    free(s->dead);
    free(s->plain);
    *s = (struct state){0};
}

bool state_is_mac(const char *text)
{
    bool any = false;

    if (strlen(text) != 17) {
        return false;
    }
    for (size_t i = 0; i < 17; i++) {
        if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i])) {
            return false;
        }
        any |= text[i] != ':' && text[i] != '0';
    }
    return any && !(strtoul(text, NULL, 16) & 1);
}

bool state_is_ip(const char *text)
{
    struct in6_addr a;

    return inet_pton(AF_INET, text, &a) == 1 || inet_pton(AF_INET6, text, &a) == 1;
}

static bool is_prefix(const char *text)
{
    const char *slash = strchr(text, '/');
    char address[INET6_ADDRSTRLEN], *end;

    if (!slash) {
        return state_is_ip(text);
    }
    size_t len = (size_t)(slash - text);
    /* A flow's text with a 0 in front is octal. */
    if (len >= sizeof address || !isdigit((unsigned char)slash[1]) || (slash[1] == '0' && slash[2])) {
        return false;
    }
    memcpy(address, text, len);
    address[len] = '\0';
    return strtoul(slash + 1, &end, 10) <= (strchr(address, ':') ? 128u : 32u) && !*end && state_is_ip(address);
}

int state_pair_parse(const char *text, struct state_pair *ret)
{
    struct state_pair pair;

    if (strlen(text) <= sizeof pair.mac || text[sizeof pair.mac - 1] != ',') {
        return -EINVAL;
    }
    memcpy(pair.mac, text, sizeof pair.mac - 1);
    pair.mac[sizeof pair.mac - 1] = '\0';
    pair.ip = text + sizeof pair.mac;
    if (!state_is_mac(pair.mac) || !is_prefix(pair.ip)) {
        return -EINVAL;
    }
    *ret = pair;
    return 0;
}

static struct state_network *find_network(struct state *s, const char *id)
{
    for (size_t i = 0; i < s->n_networks; i++) {
        if (!strcmp(s->networks[i].id, id)) {
            return &s->networks[i];
        }
    }
    return NULL;
}

int state_assign_vlans(struct state *s, const struct vlan_entry *existing, size_t n_existing)
{
    bool used[VLAN_MAX + 1] = {true}; /* 0 is no VLAN */
    uint16_t next = 1;
    int error = 0;

    for (size_t i = 0; i < n_existing; i++) {
        struct state_network *n = find_network(s, existing[i].network_id);

        if (n && !n->vlan && existing[i].vlan >= 1 && existing[i].vlan <= VLAN_MAX && !used[existing[i].vlan]) {
            n->vlan = existing[i].vlan;
            used[n->vlan] = true;
        }
    }
    for (size_t i = 0; i < n_existing; i++) {
        if (existing[i].vlan <= VLAN_MAX) {
            used[existing[i].vlan] = true;
        }
    }
    for (size_t i = 0; i < s->n_networks; i++) {
        while (!s->networks[i].vlan && next <= VLAN_MAX && used[next]) {
            next++;
        }
        if (!s->networks[i].vlan && next <= VLAN_MAX) {
            s->networks[i].vlan = next;
            used[next] = true;
        }
        if (!s->networks[i].vlan) {
            error = -ENOSPC;
        }
    }
    return error;
}
