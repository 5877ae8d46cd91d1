/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ebpf/refusal.h"

#include <stdio.h>

static const char log_begin[] = "-- BEGIN PROG LOAD LOG --\n", log_end[] = "-- END PROG LOAD LOG --";

static bool starts_with(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

/* What the verifier says of every program, refused or not. */
static bool is_statistic(const char *line)
{
    static const char *const starts[] = {"processed ", "verification time ", "stack depth ", "Validating "};

    for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
        if (starts_with(line, starts[i])) {
            return true;
        }
    }
    return false;
}

/* The last line before END that says something of its own. */
static void note_log(struct ebpf_refusal *r, const char *line, const char *end)
{
    while (line < end) {
        size_t n = strcspn(line, "\n");

        if (n && !is_statistic(line)) {
            snprintf(r->verifier, sizeof(r->verifier), "%.*s", (int)MIN(n, sizeof(r->verifier)), line);
        }
        line += n + (line[n] == '\n');
    }
}

/* Warnings that come before the first complaint without being one: BTF is optional, and so is more locked memory. */
static bool is_harmless(const char *warning)
{
    return strstr(warning, "BTF") || strstr(warning, "Failed to bump RLIMIT_MEMLOCK");
}

void ebpf_refusal_note(struct ebpf_refusal *r, const char *warning)
{
    const char *begin = strstr(warning, log_begin), *end;

    if (begin) {
        begin += strlen(log_begin);
        end = strstr(begin, log_end);
        sscanf(warning, "libbpf: prog '%63[^']'", r->program);
        note_log(r, begin, end ? end : begin + strlen(begin));
        return;
    }
    if (!r->complaint[0] && !is_harmless(warning)) {
        snprintf(r->complaint, sizeof(r->complaint), "%.*s", (int)strcspn(warning, "\n"), warning);
    }
    r->pins_mismatch |= starts_with(warning, "libbpf: couldn't reuse pinned map") && strstr(warning, "mismatch");
}

static const char *cause(int error)
{
    switch (-error) {
    case EPERM:
        return "CAP_BPF and CAP_NET_ADMIN (or root) are needed";
    case EACCES:
        return "access is denied, as a security module does or the modes of /sys/fs/bpf";
    case ENOSYS:
        return "the kernel has no BPF (CONFIG_BPF_SYSCALL)";
    case E2BIG:
        return "the kernel does not know all that is asked of it, or something is over its limits";
    default:
        return strerror(-error);
    }
}

char *ebpf_refusal_text(const struct ebpf_refusal *r, int error, const char *release)
{
    if (r->verifier[0]) {
        return xasprintf("the verifier of Linux %s refuses the BPF program %s: %s (%s)", release, r->program,
                         r->verifier, strerror(-error));
    }
    return xasprintf("BPF programs cannot be loaded on Linux %s: %s%s%s", release, cause(error),
                     r->complaint[0] ? "; " : "", r->complaint);
}
