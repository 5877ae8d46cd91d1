/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OVSDB_UPGRADE_H
#define WARREN_OVSDB_UPGRADE_H
/*
 * Inside ovsdb only: a database file of an older schema version gets the newer schema before its server starts, by
 * `ovsdb-tool convert`. Whoever is killed meanwhile leaves the file as it was or as it will be, whole.
 */
#include "base/util.h"

/* If DB_FILE is a standalone database of an older schema version than SCHEMA_FILE, converts it, and keeps what it was
 * beside it, as DB_FILE.backup-VERSION. One of the same or a newer version stays as it is, and so does one that cannot
 * be converted, with a warning: programs go on with either. */
void ovsdb_upgrade(const char *db_file, const char *schema_file);

#endif
