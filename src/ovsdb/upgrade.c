/* SPDX-License-Identifier: Apache-2.0 */
#include "ovsdb/upgrade.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/child.h"
#include "base/log.h"

LOG_MODULE("ovsdb_upgrade");

#define SCHEMA_LIMIT ((size_t)16 << 20)

struct version {
    unsigned int part[3];
};

static int read_version(const json_t *schema, struct version *ret)
{
    const char *text = json_string_value(json_object_get(schema, "version"));
    struct version v;

    if (!text || sscanf(text, "%u.%u.%u", &v.part[0], &v.part[1], &v.part[2]) != 3) {
        return -EINVAL;
    }
    *ret = v;
    return 0;
}

static int compare(const struct version *a, const struct version *b)
{
    for (size_t i = 0; i < ARRAY_SIZE(a->part); i++) {
        if (a->part[i] != b->part[i]) {
            return a->part[i] < b->part[i] ? -1 : 1;
        }
    }
    return 0;
}

/* The first record of a standalone database is its schema (ovsdb(5)). NULL: no such file. */
static json_t *schema_of_database(const char *path)
{
    FILE *f = fopen(path, "re");
    size_t len;
    json_t *schema = NULL;

    if (f && fscanf(f, "OVSDB JSON %zu %*40[0-9a-f]", &len) == 1 && fgetc(f) == '\n' && len < SCHEMA_LIMIT) {
        _cleanup_free_ char *text = xmalloc(len + 1);

        if (fread(text, 1, len, f) == len) {
            schema = json_loadb(text, len, 0, NULL);
        }
    }
    if (f) {
        fclose(f);
    }
    return schema;
}

static void split(const char *path, char **ret_directory, const char **ret_name)
{
    const char *slash = strrchr(path, '/'); /* of an absolute path: there is one */

    *ret_directory = strndup(path, (size_t)(slash - path) + 1);
    *ret_name = slash + 1;
}

/* The lock by which ovsdb-server and ovsdb-tool keep a file for themselves; it goes with the descriptor. */
static int lock_file(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    _cleanup_free_ char *directory = NULL, *lock_path = NULL;
    const char *name;

    split(path, &directory, &name);
    lock_path = xasprintf("%s.%s.~lock~", directory, name);
    int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    if (fcntl(fd, F_SETLK, &lock) < 0) {
        int error = -errno;
        close(fd);
        return error == -EACCES ? -EAGAIN : error;
    }
    return fd;
}

static int sync_path(const char *path)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* NEXT, which is whole, becomes PATH; what PATH was becomes BACKUP. In between both are there. */
static int put_in_place(const char *next, const char *path, const char *backup)
{
    _cleanup_free_ char *directory = NULL;
    const char *name;
    struct stat st;

    split(path, &directory, &name);
    if (stat(path, &st) < 0 || chmod(next, st.st_mode & 07777) < 0 || chown(next, st.st_uid, st.st_gid) < 0) {
        return -errno;
    }
    int error = sync_path(next); /* ovsdb-tool does not */
    if (error) {
        return error;
    }
    if ((unlink(backup) < 0 && errno != ENOENT) || link(path, backup) < 0 || rename(next, path) < 0) {
        return -errno;
    }
    return sync_path(directory);
}

static int convert(const char *path, const char *schema_file, const char *backup, char **ret_error)
{
    _cleanup_free_ char *next = xasprintf("%s.next", path), *directory = NULL, *next_lock = NULL;
    const char *const argv[] = {"ovsdb-tool", "convert", path, schema_file, next, NULL}, *name;
    _cleanup_close_ int lock = lock_file(path);

    if (lock < 0) {
        *ret_error = xasprintf("its lock: %s", strerror(-lock));
        return lock;
    }
    split(next, &directory, &name);
    next_lock = xasprintf("%s.%s.~lock~", directory, name);
    unlink(next); /* of one before us that was killed */
    int error = child_run(argv, ret_error);
    if (!error) {
        error = put_in_place(next, path, backup);
        if (error) {
            *ret_error = xstrdup(strerror(-error));
        }
    }
    unlink(next);
    unlink(next_lock);
    return error;
}

static void upgrade(const char *path, const json_t *schema, const char *schema_file)
{
    json_t *present = schema_of_database(path);
    const char *from = json_string_value(json_object_get(present, "version"));
    const char *to = json_string_value(json_object_get(schema, "version"));
    struct version is, wanted;

    if (!read_version(present, &is) && !read_version(schema, &wanted)) {
        _cleanup_free_ char *backup = xasprintf("%s.backup-%u.%u.%u", path, is.part[0], is.part[1], is.part[2]);
        _cleanup_free_ char *why = NULL;
        int order = compare(&is, &wanted);

        if (order > 0) {
            log_info("the database %s has schema version %s, newer than our %s; it is used as it is", path, from, to);
        } else if (order < 0 && convert(path, schema_file, backup, &why)) {
            log_warn("the database %s stays at schema version %s, cannot upgrade it to %s: %s", path, from, to, why);
        } else if (order < 0) {
            log_info("upgraded the database %s from schema version %s to %s; as it was before it is in %s", path, from,
                     to, backup);
        }
    }
    json_decref(present);
}

void ovsdb_upgrade(const char *db_file, const char *schema_file)
{
    _cleanup_free_ char *path = realpath(db_file, NULL);
    json_t *schema = json_load_file(schema_file, 0, NULL);

    if (path && schema) {
        upgrade(path, schema, schema_file);
    }
    json_decref(schema);
}
