/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <wchar.h>

#define GAP 2

static char *clean(const char *text)
{
    _cleanup_strbuf_ struct strbuf b = {0};

    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
            p++; /* U+0080 to U+009F: what ESC and a letter are, in one */
            strbuf_addf(&b, "\\x%02x", *p);
        } else if (*p < 0x20 || *p == 0x7f) {
            strbuf_addf(&b, "\\x%02x", *p);
        } else {
            strbuf_add_n(&b, (const char *)p, 1);
        }
    }
    return b.len ? strbuf_take(&b) : xstrdup("");
}

/* Columns on the screen, whatever the locale is that we run in. What is not UTF-8, and characters that are not known,
 * count as one. */
static size_t width(const char *text)
{
    static locale_t utf8;
    size_t n = 0;

    if (!utf8) {
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    }
    locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    while (*text) {
        mbstate_t state = {0};
        wchar_t c;
        size_t len = mbrtowc(&c, text, strnlen(text, MB_LEN_MAX), &state);
        bool known = len != (size_t)-1 && len != (size_t)-2 && wcwidth(c) >= 0;

        n += known ? (size_t)wcwidth(c) : ((unsigned char)*text & 0xc0) != 0x80;
        text += known ? len : 1;
    }
    if (before) {
        uselocale(before);
    }
    return n;
}

void table_init(struct table *t, size_t n_columns, const char *const *titles)
{
    *t = (struct table){.n_columns = n_columns, .no_titles = !titles};
    for (size_t i = 0; titles && i < n_columns; i++) {
        table_add(t, titles[i]);
    }
}

void table_done(struct table *t)
{
    for (size_t i = 0; i < t->n_cells; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
    *t = (struct table){0};
}

void table_add(struct table *t, const char *text)
{
    t->cells = xrealloc(t->cells, (t->n_cells + 1) * sizeof *t->cells);
    t->cells[t->n_cells++] = clean(text ? text : "");
}

void table_addf(struct table *t, const char *fmt, ...)
{
    char *text;
    va_list args;

    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0) {
        abort();
    }
    table_add(t, text);
    free(text);
}

void table_format(struct table *t, struct strbuf *b)
{
    _cleanup_free_ size_t *widths = xcalloc(t->n_columns, sizeof *widths);

    while (t->n_cells % t->n_columns) {
        table_add(t, "");
    }
    for (size_t i = 0; i < t->n_cells; i++) {
        widths[i % t->n_columns] = MAX(widths[i % t->n_columns], width(t->cells[i]));
    }
    for (size_t row = 0; row < t->n_cells; row += t->n_columns) {
        size_t owed = 0; /* blanks that only a later cell of the row makes necessary */

        for (size_t c = 0; c < t->n_columns; c++) {
            const char *cell = t->cells[row + c];

            if (*cell) {
                strbuf_addf(b, "%*s%s", (int)owed, "", cell);
                owed = 0;
            }
            owed += widths[c] - width(cell) + GAP;
        }
        strbuf_add(b, "\n");
    }
}

static void cell_object(const json_t *value, struct strbuf *b)
{
    const char *key, *gap = "";
    json_t *v;

    json_object_foreach((json_t *)value, key, v) {
        strbuf_addf(b, "%s%s=", gap, key);
        cell_json(v, b);
        gap = " ";
    }
}

void cell_json(const json_t *value, struct strbuf *b)
{
    size_t i;
    json_t *v;

    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        strbuf_add(b, json_string_value(value));
        break;
    case JSON_INTEGER:
        strbuf_addf(b, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        strbuf_addf(b, "%g", json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        strbuf_add(b, json_is_true(value) ? "true" : "false");
        break;
    case JSON_ARRAY:
        json_array_foreach(value, i, v) {
            if (i) {
                strbuf_add(b, json_is_object(v) ? "; " : ", ");
            }
            cell_json(v, b);
        }
        break;
    case JSON_OBJECT:
        cell_object(value, b);
        break;
    case JSON_NULL:
        break;
    }
}
