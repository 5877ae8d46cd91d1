/* SPDX-License-Identifier: Apache-2.0 */
/* warren-agent: options, then the agent until SIGTERM. Flows, ports and rows stay: the switch goes on as it was. */
#include <arpa/inet.h>
#include <stdio.h>

#include "agent/agent.h"
#include "base/daemon.h"
#include "base/utf8.h"
#include "packet/tunnel.h"

static const struct daemon_option options[] = {
    {"host", DAEMON_STRING, NULL, "this hypervisor's name: what binding:host_id says", .required = true},
    {"local-ip", DAEMON_STRING, NULL, "address of this end of the tunnels, IPv4 or IPv6", .required = true,
     .argument = "ADDR"},
    {"overlay-db", DAEMON_STRING, "unix:/run/warren/overlay.sock",
     "the Warren database: one remote, or several by comma", .argument = "REMOTE"},
    {"rundir", DAEMON_STRING, "/run/openvswitch", "where the switch's sockets are", .argument = "DIR"},
    {"db", DAEMON_STRING, NULL, "the switch's database (default unix:RUNDIR/db.sock)", .argument = "REMOTE"},
    {"mechanism", DAEMON_CHOICE, "openflow", "how networks are made; linuxbridge is not there yet",
     .choices = "openflow"},
    {"l2-population", DAEMON_BOOL, "yes",
     "send to the hosts that the database names, instead of learning and flooding"},
    {"arp-responder", DAEMON_BOOL, "yes", "answer ARP here; needs l2-population"},
    {"tunnel-types", DAEMON_STRING, "vxlan,gre,geneve", "tunnel types that this host takes, by comma",
     .argument = "LIST"},
    {"heartbeat-interval", DAEMON_INT, "10", "seconds between signs of life", .min = 1, .max = 3600},
    {"resync-interval", DAEMON_INT, "60", "seconds between looks whether the switch still has the flows", .min = 1,
     .max = 3600},
};

static int parse_types(const char *text, bool types[N_TUNNEL_TYPES])
{
    _cleanup_free_ char *copy = xstrdup(text);
    char *save = NULL;
    int n = 0;

    for (char *word = strtok_r(copy, ", ", &save); word; word = strtok_r(NULL, ", ", &save), n++) {
        enum tunnel_type type = tunnel_type_parse(word);

        if (type == N_TUNNEL_TYPES) {
            fprintf(stderr, "ERR warren-agent: --tunnel-types: %s is none of vxlan, gre, geneve\n", word);
            return -EINVAL;
        }
        types[type] = true;
    }
    if (!n) {
        fprintf(stderr, "ERR warren-agent: --tunnel-types names no type\n");
    }
    return n ? 0 : -EINVAL;
}

static bool is_address(const char *s)
{
    struct in6_addr a;

    return inet_pton(AF_INET, s, &a) == 1 || inet_pton(AF_INET6, s, &a) == 1;
}

static void on_ready(void *arg)
{
    daemon_ready(arg);
}

int main(int argc, char **argv)
{
    struct daemon d;
    int status = daemon_init(&d, "warren-agent", "programs this hypervisor's switch with what the controller wants",
                             options, ARRAY_SIZE(options), argc, argv);
    _cleanup_free_ char *db = NULL, *why = NULL;
    struct agent *agent = NULL;

    if (status != DAEMON_GO) {
        return status;
    }
    db = daemon_string(&d, "db") ? xstrdup(daemon_string(&d, "db"))
                                 : xasprintf("unix:%s/db.sock", daemon_string(&d, "rundir"));
    struct agent_config config = {
        .host = daemon_string(&d, "host"),
        .local_ip = daemon_string(&d, "local-ip"),
        .overlay_db = daemon_string(&d, "overlay-db"),
        .db = db,
        .rundir = daemon_string(&d, "rundir"),
        .l2_population = daemon_bool(&d, "l2-population"),
        .arp_responder = daemon_bool(&d, "arp-responder"),
        .heartbeat_s = daemon_int(&d, "heartbeat-interval"),
        .resync_s = daemon_int(&d, "resync-interval"),
    };
    status = 1;
    if (!*config.host) {
        fprintf(stderr, "ERR warren-agent: --host is empty\n");
    } else if (!utf8_is_clean(config.host)) {
        /* No row of the database has such a name, and a condition with it would have none, and be met by all. */
        fprintf(stderr, "ERR warren-agent: --host is not UTF-8\n");
    } else if (!is_address(config.local_ip)) {
        fprintf(stderr, "ERR warren-agent: --local-ip: %s is not an IP address\n", config.local_ip);
    } else if (!parse_types(daemon_string(&d, "tunnel-types"), config.types)) {
        int error = agent_create(d.base, &config, on_ready, &d, &agent, &why);

        if (error) {
            fprintf(stderr, "ERR warren-agent: %s\n", why ? why : strerror(-error));
        } else {
            status = daemon_run(&d);
        }
    }
    agent_destroy(agent);
    daemon_done(&d);
    return status;
}
