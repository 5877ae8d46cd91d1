/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

void args_done(struct args *args)
{
    free(args->words);
    free(args->values);
    *args = (struct args){0};
}

/* Is the word NAME of length LEN among WORDS, which are parted by blanks? */
static bool has_word(const char *words, const char *name, size_t len)
{
    while (*words) {
        size_t n = strcspn(words, " ");

        if (n == len && !strncmp(words, name, len)) {
            return true;
        }
        words += n;
        words += strspn(words, " ");
    }
    return false;
}

static const struct arg_option *find_option(const struct arg_table *tables, size_t n_tables, const char *name,
                                            size_t len)
{
    for (size_t t = 0; t < n_tables; t++) {
        for (size_t i = 0; i < tables[t].n; i++) {
            const struct arg_option *o = &tables[t].options[i];

            if (has_word(o->name, name, len) || (o->also && has_word(o->also, name, len))) {
                return o;
            }
        }
    }
    return NULL;
}

/* ARGV[POS] begins with "--". The number of words used, or -EINVAL. */
static int parse_option(struct args *args, const struct arg_table *tables, size_t n_tables, int argc, char **argv,
                        int pos, char **ret_error)
{
    const char *name = argv[pos] + 2, *equals = strchr(name, '='), *value = "";
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const struct arg_option *o = find_option(tables, n_tables, name, len);
    int used = 1;

    if (!o) {
        *ret_error = xasprintf("unknown option --%.*s", (int)len, name);
        return -EINVAL;
    }
    if (!o->argument && equals) {
        *ret_error = xasprintf("--%s takes no value", o->name);
        return -EINVAL;
    }
    if (o->argument) {
        if (!equals && pos + 1 >= argc) {
            *ret_error = xasprintf("--%s needs a value: --%s %s", o->name, o->name, o->argument);
            return -EINVAL;
        }
        value = equals ? equals + 1 : argv[pos + 1];
        used = equals ? 1 : 2;
    }
    if (!o->repeated && o->argument && args_has(args, o->name)) {
        *ret_error = xasprintf("--%s is given twice", o->name);
        return -EINVAL;
    }
    args->values = xrealloc(args->values, (args->n_values + 1) * sizeof *args->values);
    args->values[args->n_values++] = (struct arg_value){o, value};
    return used;
}

int args_parse(struct args *args, const struct arg_table *tables, size_t n_tables, int argc, char **argv, int *pos,
               bool until_word, char **ret_error)
{
    bool only_words = false;
    int at = *pos;

    while (at < argc) {
        const char *word = argv[at];

        if (!only_words && !strcmp(word, "--")) {
            only_words = true;
            at++;
        } else if (!only_words && !strncmp(word, "--", 2)) {
            int used = parse_option(args, tables, n_tables, argc, argv, at, ret_error);

            if (used < 0) {
                return used;
            }
            at += used;
        } else if (!only_words && word[0] == '-' && word[1]) {
            *ret_error = xasprintf("unknown option %s", word);
            return -EINVAL;
        } else if (until_word) {
            break;
        } else {
            args->words = xrealloc(args->words, (args->n_words + 1) * sizeof *args->words);
            args->words[args->n_words++] = word;
            at++;
        }
    }
    *pos = at;
    return 0;
}

const char *args_at(const struct args *args, const char *name, size_t i)
{
    for (size_t v = 0; v < args->n_values; v++) {
        if (!strcmp(args->values[v].option->name, name) && !i--) {
            return args->values[v].value;
        }
    }
    return NULL;
}

const char *args_get(const struct args *args, const char *name)
{
    return args_at(args, name, 0);
}

bool args_has(const struct args *args, const char *name)
{
    return args_at(args, name, 0) != NULL;
}

int args_int(const struct args *args, const char *name, int64_t min, int64_t max, int64_t *ret, char **ret_error)
{
    const char *text = args_get(args, name);
    char *end;

    if (!text) {
        return -ENOENT;
    }
    errno = 0;
    long long n = strtoll(text, &end, 10);
    bool starts_well = (text[0] >= '0' && text[0] <= '9') || (text[0] == '-' && text[1] >= '0' && text[1] <= '9');
    if (errno || !starts_well || *end || n < min || n > max) {
        *ret_error = xasprintf("--%s %s: not a number from %lld to %lld", name, text, (long long)min, (long long)max);
        return -EINVAL;
    }
    *ret = n;
    return 0;
}
