/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_DAEMON_H
#define WARREN_BASE_DAEMON_H
/*
 * What every warren daemon does the same way: options from the command line and one INI file, --help, --version, the
 * event loop, SIGTERM and SIGINT, and telling the world that it is ready.
 *
 *   static const struct daemon_option options[] = {
 *       {"rundir", DAEMON_STRING, "/run/openvswitch", "directory of sockets"},
 *       {"datapath", DAEMON_CHOICE, "userspace", "which datapath", .choices = "userspace"},
 *   };
 *   struct daemon d;
 *   int status = daemon_init(&d, "warren-switchd", "the virtual switch", options, ARRAY_SIZE(options), argc, argv);
 *   if (status != DAEMON_GO) return status;          // 0 after --help, 1 after an error that was printed
 *   …make things on d.base…
 *   daemon_ready(&d);
 *   status = daemon_run(&d);                          // returns 0 after SIGTERM or SIGINT
 *   daemon_done(&d);
 *
 * Every option is a flag (--key VALUE or --key=VALUE; a bool's value may be left out: `--key` is yes) and a key of the
 * INI file named by --config, in no section or in [any]; the command line wins. Unknown keys and bad values are errors.
 * --config, --help, --version, --log-level LEVEL|MODULE:LEVEL[,…] and the TLS files --private-key, --certificate,
 * --ca-cert are there without being in the table.
 */
#include "base/util.h"

struct event_base;

enum daemon_option_type { DAEMON_STRING, DAEMON_INT, DAEMON_BOOL, DAEMON_CHOICE };

struct daemon_option {
    const char *key; /* "local-ip" */
    enum daemon_option_type type;
    const char *def; /* default as it would be written; NULL: none */
    const char *help;
    const char *choices;  /* DAEMON_CHOICE: "openflow|linuxbridge" */
    int64_t min, max;     /* DAEMON_INT: when not both 0, the range */
    bool required;        /* an error if it is given nowhere */
    const char *argument; /* what --help shows for the value, or NULL for the type's word */
};

#define DAEMON_GO (-1)

struct daemon {
    const char *name;
    struct event_base *base;
    struct daemon_private *private;
};

/* DAEMON_GO, or the status to exit with at once. OPTIONS must outlive D. */
int daemon_init(struct daemon *d, const char *name, const char *summary, const struct daemon_option *options,
                size_t n_options, int argc, char **argv);
/* The value of an option of the table (asking for another key is a bug and aborts). Strings: NULL if there is neither
 * value nor default; alive until daemon_done(). */
const char *daemon_string(const struct daemon *d, const char *key);
int64_t daemon_int(const struct daemon *d, const char *key);
bool daemon_bool(const struct daemon *d, const char *key);
/* Was it given, or is this the default? */
bool daemon_is_given(const struct daemon *d, const char *key);
/* Prints `ready` on stdout and notifies systemd. Once. */
void daemon_ready(struct daemon *d);
/* Runs the loop until a signal or daemon_exit(); the status for exit(). */
int daemon_run(struct daemon *d);
/* Ends the loop after the present callback. */
void daemon_exit(struct daemon *d, int status);
/* Frees the loop too: free what lives on it before. */
void daemon_done(struct daemon *d);

#endif
