/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/table.h"

static void (*sigpipe)(int) = SIG_DFL; /* as we were started */

void cli_start(void)
{
    struct sigaction was;

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* What is opened is the lowest that is free, so FD; nobody can write there. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0) {
            break;
        }
    }
    if (!sigaction(SIGPIPE, NULL, &was)) {
        sigpipe = was.sa_handler;
    }
}

void cli_begin_output(void)
{
    signal(SIGPIPE, sigpipe);
}

static void print_error(const char *fmt, va_list args)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_table_ struct table clean; /* what a server said must not drive the terminal */
    _cleanup_strbuf_ struct strbuf line = {0};

    if (vasprintf(&text, fmt, args) < 0) {
        abort();
    }
    table_init(&clean, 1, NULL);
    table_add(&clean, text);
    table_format(&clean, &line);
    fflush(stdout);
    fprintf(stderr, "warren: %s", strbuf_str(&line));
}

int cli_fail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    print_error(fmt, args);
    va_end(args);
    return EXIT_FAILURE;
}

int cli_usage_error(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    print_error(fmt, args);
    va_end(args);
    return EXIT_USAGE;
}

int cli_no_client(int error, const char *text)
{
    return error == -EINVAL ? cli_usage_error("%s", text) : cli_fail("%s", text ? text : strerror(-error));
}

void cli_print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    putchar('\n');
}
