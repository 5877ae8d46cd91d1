/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CLI_ARGS_H
#define WARREN_CLI_ARGS_H
/*
 * The words of a command line, read against tables of options: --name VALUE, --name=VALUE, flags that take no value,
 * options that may come again or have other names, and "--" before words that begin with a dash. Nothing here knows a
 * command or prints.
 */
#include "base/util.h"

struct arg_option {
    const char *name;     /* "network", without the dashes */
    const char *argument; /* what the usage shows for the value; NULL: a flag */
    const char *help;
    bool repeated; /* may be given more than once */
    const char
        *also; /* other names by blanks, such as the openstack client's; NULL: none. Asked for by `name` all the same */
};

/* A table of options; tables are tried in turn. */
struct arg_table {
    const struct arg_option *options;
    size_t n;
};

struct arg_value {
    const struct arg_option *option;
    const char *value; /* "" for a flag */
};

/* Zero-initialised is empty. The strings are argv's. */
struct args {
    const char **words; /* what is no option */
    size_t n_words;
    struct arg_value *values;
    size_t n_values;
};

void args_done(struct args *args);
#define _cleanup_args_ _cleanup_(args_done)
/* Reads ARGV[*POS..ARGC) and appends to ARGS; with UNTIL_WORD it stops at the first word, else it takes all. *POS is
 * where it stopped. -EINVAL with *RET_ERROR, the caller's to free, when an option is unknown, lacks its value or comes
 * twice. */
int args_parse(struct args *args, const struct arg_table *tables, size_t n_tables, int argc, char **argv, int *pos,
               bool until_word, char **ret_error);

bool args_has(const struct args *args, const char *name);
/* The value, or NULL. */
const char *args_get(const struct args *args, const char *name);
/* Value I of a repeated option, NULL after the last. */
const char *args_at(const struct args *args, const char *name, size_t i);
/* The value as a decimal number of MIN to MAX. -ENOENT if it was not given; -EINVAL with *RET_ERROR if it is no such
 * number. */
int args_int(const struct args *args, const char *name, int64_t min, int64_t max, int64_t *ret, char **ret_error);

#endif
