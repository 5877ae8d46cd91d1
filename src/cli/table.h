/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_CLI_TABLE_H
#define WARREN_CLI_TABLE_H
/*
 * Aligned tables as text, and JSON values as the text of a cell. Columns are as wide as their widest cell, two blanks
 * apart, the last one ragged. What comes from a server never reaches the terminal raw: control characters are written
 * as \xNN.
 */
#include <jansson.h>

#include "base/strbuf.h"

struct table {
    size_t n_columns;
    char **cells; /* row by row; the first row is the titles */
    size_t n_cells;
    bool no_titles;
};

/* TITLES: N_COLUMNS of them, or NULL for a table without titles. */
void table_init(struct table *t, size_t n_columns, const char *const *titles);
void table_done(struct table *t);
#define _cleanup_table_ _cleanup_(table_done)
/* Appends a cell; a row is full when it has as many as there are columns. */
void table_add(struct table *t, const char *text);
void table_addf(struct table *t, const char *fmt, ...) WR_PRINTF(2, 3);
/* An unfinished last row is filled up with empty cells. */
void table_format(struct table *t, struct strbuf *b);

/* "vxlan", "1450", "true"; null and NULL are ""; [a, b] is "a, b"; {k: v} is "k=v" joined by blanks, and objects in
 * arrays are joined by ";". */
void cell_json(const json_t *value, struct strbuf *b);

#endif
