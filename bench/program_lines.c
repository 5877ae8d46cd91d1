/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which source file each machine instruction of the fast path's loaded programs comes from.
 *
 *   bench_program_lines
 *
 * Prints "ADDRESS FILE" for every place in the code of every loaded port_ingress and uplink_ingress at which the line
 * changes: what a profiler's addresses are looked up in. Inlined functions are shown as the file that they stand in.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_ours(const char *name)
{
    return !strcmp(name, "port_ingress") || !strcmp(name, "uplink_ingress");
}

static void print_lines(int fd, const struct bpf_prog_info *found)
{
    struct bpf_line_info *lines = calloc(found->nr_line_info, sizeof *lines);
    uint64_t *jited = calloc(found->nr_jited_line_info, sizeof *jited);
    struct bpf_prog_info info = {.nr_line_info = found->nr_line_info,
                                 .line_info_rec_size = sizeof *lines,
                                 .line_info = (uintptr_t)lines,
                                 .nr_jited_line_info = found->nr_jited_line_info,
                                 .jited_line_info_rec_size = sizeof *jited,
                                 .jited_line_info = (uintptr_t)jited};
    struct btf *btf = btf__load_from_kernel_by_id(found->btf_id);
    uint32_t size = sizeof info;

    if (!btf || bpf_obj_get_info_by_fd(fd, &info, &size)) {
        err(1, "program %u", found->id);
    }
    for (uint32_t i = 0; i < info.nr_jited_line_info && i < info.nr_line_info; i++) {
        const char *file = btf__name_by_offset(btf, lines[i].file_name_off), *base = file ? strrchr(file, '/') : NULL;

        printf("%llx %s\n", (unsigned long long)jited[i], base ? base + 1 : file ? file : "?");
    }
    btf__free(btf);
    free(lines);
    free(jited);
}

int main(void)
{
    uint32_t id = 0;

    while (!bpf_prog_get_next_id(id, &id)) {
        int fd = bpf_prog_get_fd_by_id(id);
        struct bpf_prog_info info = {0};
        uint32_t size = sizeof info;

        if (fd < 0) {
            if (errno == ENOENT) {
                continue; /* gone meanwhile */
            }
            err(1, "program %u", id);
        }
        if (!bpf_obj_get_info_by_fd(fd, &info, &size) && is_ours(info.name)) {
            print_lines(fd, &info);
        }
        close(fd);
    }
    return 0;
}
