/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CLI_CLI_H
#define WARREN_CLI_CLI_H
/*
 * `warren`, the command-line client: what all commands share. A command is one descriptor in its own file (network.c,
 * subnet.c, port.c, agent.c: the controller's API over HTTP; show.c: the local switch's database; dump_flows.c: a
 * bridge's OpenFlow) and one line in main.c's table.
 *
 * Results go to stdout, as an aligned table or, with --json, as JSON for programs; errors go to stderr as "warren:
 * text". Exit status: 0 done, 1 it failed, 2 the command line is wrong.
 */
#include <jansson.h>

#include "base/strbuf.h"
#include "cli/args.h"

#define DEFAULT_ENDPOINT "http://127.0.0.1:9696"
#define DEFAULT_RUNDIR "/run/openvswitch"
#define EXIT_USAGE 2

struct cli {
    const char *endpoint; /* of the controller: --endpoint, else WARREN_ENDPOINT */
    const char *rundir;   /* of the local switch */
    int64_t timeout_ms;
    bool json;
};

struct command {
    const char *name;  /* "network create" */
    const char *usage; /* of the words: "NAME" */
    const char *summary;
    size_t min_words, max_words;
    const struct arg_option *options;
    size_t n_options;
    /* The exit status. Whatever went wrong has been said. */
    int (*run)(const struct cli *cli, const struct args *args);
};

/* First of all: standard descriptors that are closed become dead ones, so that no connection of ours takes their place.
 */
void cli_start(void);
/* For who asked over a stream (base/stream.h, which has SIGPIPE ignored) and has closed it: from now on, who reads the
 * output no further ends us by SIGPIPE, unless we were started with that ignored. */
void cli_begin_output(void);
/* "warren: text" on stderr; returns EXIT_FAILURE, or EXIT_USAGE. */
int cli_fail(const char *fmt, ...) WR_PRINTF(1, 2);
int cli_usage_error(const char *fmt, ...) WR_PRINTF(1, 2);
/* No client of a remote could be made: ERROR and TEXT (NULL: none) say why. -EINVAL is of a malformed remote, so of the
 * command line. */
int cli_no_client(int error, const char *text);
/* JSON, indented, with a newline. */
void cli_print_json(const json_t *value);

static inline void json_decrefp_(json_t **json)
{
    json_decref(*json);
}
#define _cleanup_json_ _cleanup_(json_decrefp_)

#endif
