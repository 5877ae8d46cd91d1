/* SPDX-License-Identifier: Apache-2.0 */
/* warren: finds the command (cli.h) in the words, reads its options, runs it. */
#include <stdio.h>

#include "base/log.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/table.h"

#define DEFAULT_TIMEOUT_S 30
#define MAX_TIMEOUT_S 3600

static const struct command *const commands[] = {
    &network_list,  &network_show,  &network_create, &network_delete, &subnet_list, &subnet_show,
    &subnet_create, &subnet_delete, &port_list,      &port_show,      &port_create, &port_delete,
    &agent_list,    &agent_show,    &agent_delete,   &show,           &dump_flows,
};

static const struct arg_option common_options[] = {
    {"json", NULL, "print JSON", false},
    {"endpoint", "URL", "the controller (environment WARREN_ENDPOINT; default " DEFAULT_ENDPOINT ")", false},
    {"rundir", "DIR", "the local switch's sockets (default " DEFAULT_RUNDIR ")", false},
    {"timeout", "SECONDS", "wait so long for each answer (default 30)", false},
    {"help", NULL, "this text", false},
    {"version", NULL, "the version", false},
};

/* What O is for, and its other names. */
static void add_help(struct table *t, const struct arg_option *o)
{
    _cleanup_strbuf_ struct strbuf help = {0};
    _cleanup_free_ char *names = xstrdup(o->also ? o->also : "");
    char *save = NULL;

    strbuf_add(&help, o->help);
    for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
        strbuf_addf(&help, "%s--%s", name == names ? " (or " : ", ", name);
    }
    strbuf_add(&help, o->also ? ")" : "");
    table_add(t, strbuf_str(&help));
}

static void print_options(const struct arg_option *options, size_t n)
{
    _cleanup_table_ struct table t;
    _cleanup_strbuf_ struct strbuf out = {0};

    table_init(&t, 2, NULL);
    for (size_t i = 0; i < n; i++) {
        const struct arg_option *o = &options[i];

        table_addf(&t, "  --%s%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "",
                   o->repeated ? " …" : "");
        add_help(&t, o);
    }
    table_format(&t, &out);
    fputs(strbuf_str(&out), stdout);
}

/* NOUN: only commands that begin with this word; NULL: all. */
static void print_commands(const char *noun, FILE *to)
{
    _cleanup_table_ struct table t;
    _cleanup_strbuf_ struct strbuf out = {0};
    size_t len = noun ? strlen(noun) : 0;

    table_init(&t, 2, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (!noun || (!strncmp(commands[i]->name, noun, len) && strchr(" ", commands[i]->name[len]))) {
            table_addf(&t, "  warren %s %s", commands[i]->name, commands[i]->usage);
            table_add(&t, commands[i]->summary);
        }
    }
    table_format(&t, &out);
    fputs(strbuf_str(&out), to);
}

static int print_help(const struct command *command)
{
    if (command) {
        printf("warren %s%s%s [OPTION…]\n  %s\n", command->name, *command->usage ? " " : "", command->usage,
               command->summary);
        if (command->n_options) {
            puts("\nOptions");
            print_options(command->options, command->n_options);
        }
    } else {
        puts("warren: Warren's command-line client\n\nCommands");
        print_commands(NULL, stdout);
    }
    puts(command ? "\nOptions of every command" : "\nOptions of every command (before or after it)");
    print_options(common_options, ARRAY_SIZE(common_options));
    return EXIT_SUCCESS;
}

/* The command that ARGV[*POS] and perhaps the next word name; *POS is moved past it. NULL if there is none. */
static const struct command *find_command(int argc, char **argv, int *pos)
{
    const char *first = argv[*pos], *second = *pos + 1 < argc ? argv[*pos + 1] : "";
    _cleanup_free_ char *both = xasprintf("%s %s", first, second);

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (!strcmp(commands[i]->name, first) || !strcmp(commands[i]->name, both)) {
            *pos += strcmp(commands[i]->name, first) ? 2 : 1;
            return commands[i];
        }
    }
    return NULL;
}

/* HELP: it was asked for before the words. */
static int unknown_command(int argc, char **argv, int pos, bool help)
{
    const char *first = argv[pos], *second = pos + 1 < argc ? argv[pos + 1] : NULL;
    size_t len = strlen(first);

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strncmp(commands[i]->name, first, len) || commands[i]->name[len] != ' ') {
            continue;
        }
        help |= second && !strcmp(second, "--help");
        if (!help) {
            cli_usage_error(second ? "%s: unknown command \"%s\"; there are" : "%s: what? There are", first, second);
        }
        print_commands(first, help ? stdout : stderr);
        return help ? EXIT_SUCCESS : EXIT_USAGE;
    }
    return cli_usage_error("unknown command \"%s\"; `warren --help` lists them", first);
}

/* Values that all commands share, from the options and the environment. The exit status, or -1 to go on. */
static int set_common(struct cli *cli, const struct args *args, const struct command *command)
{
    const char *endpoint = getenv("WARREN_ENDPOINT");
    _cleanup_free_ char *error = NULL;
    int64_t timeout_s = DEFAULT_TIMEOUT_S;

    if (args_has(args, "help")) {
        return print_help(command);
    }
    if (args_has(args, "version")) {
        puts("warren " WARREN_VERSION);
        return EXIT_SUCCESS;
    }
    if (args_int(args, "timeout", 1, MAX_TIMEOUT_S, &timeout_s, &error) == -EINVAL ||
        (args_has(args, "endpoint") && api_check_endpoint(args_get(args, "endpoint"), &error))) {
        return cli_usage_error("%s", error);
    }
    cli->timeout_ms = timeout_s * 1000;
    cli->json = args_has(args, "json");
    cli->endpoint = args_has(args, "endpoint") ? args_get(args, "endpoint")
                    : endpoint && *endpoint    ? endpoint
                                               : DEFAULT_ENDPOINT;
    cli->rundir = args_has(args, "rundir") ? args_get(args, "rundir") : DEFAULT_RUNDIR;
    return -1;
}

static int check_words(const struct command *command, const struct args *args)
{
    if (args->n_words < command->min_words) {
        return cli_usage_error("%s needs: warren %s %s", command->name, command->name, command->usage);
    }
    if (args->n_words > command->max_words) {
        return cli_usage_error("%s: one argument too many: \"%s\"", command->name, args->words[command->max_words]);
    }
    return 0;
}

static int check_utf8(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        json_t *text = json_string(argv[i]);

        json_decref(text);
        if (!text) {
            return cli_usage_error("argument %d is not UTF-8", i);
        }
    }
    return 0;
}

static int run(int argc, char **argv)
{
    _cleanup_args_ struct args args = {0};
    _cleanup_free_ char *error = NULL;
    struct arg_table tables[2] = {{common_options, ARRAY_SIZE(common_options)}};
    const struct command *command = NULL;
    struct cli cli = {0};
    int pos = 1, status;

    if ((status = check_utf8(argc, argv))) {
        return status;
    }
    if (args_parse(&args, tables, 1, argc, argv, &pos, true, &error)) {
        return cli_usage_error("%s", error);
    }
    if (pos < argc) {
        if (!(command = find_command(argc, argv, &pos))) {
            return unknown_command(argc, argv, pos, args_has(&args, "help"));
        }
        tables[1] = (struct arg_table){command->options, command->n_options};
        if (args_parse(&args, tables, 2, argc, argv, &pos, false, &error)) {
            return cli_usage_error("%s: %s", command->name, error);
        }
    }
    if ((status = set_common(&cli, &args, command)) >= 0) {
        return status;
    }
    if (!command) {
        return cli_usage_error("no command is given; `warren --help` lists them");
    }
    status = check_words(command, &args);
    return status ? status : command->run(&cli, &args);
}

int main(int argc, char **argv)
{
    log_set_level(NULL, LOG_LEVEL_ERR); /* the libraries' warnings are for daemons; what fails here is said once */
    cli_start();
    int status = run(argc, argv);

    if (fflush(stdout) || ferror(stdout)) {
        status = cli_fail("writing the output: %s", strerror(errno));
    }
    return status;
}
