/* SPDX-License-Identifier: Apache-2.0 */
/* What comes in by the control socket: JSON-RPC requests one behind the other, each answered once. */
#include "fuzz.h"
#include "switch/unixctl.h"

#include <jansson.h>

#include "base/log.h"

/* Answers with its arguments, or fails with them. */
static int echo(void *aux WR_UNUSED, size_t n, const char *const *args, struct strbuf *out)
{
    for (size_t i = 0; i < n; i++) {
        strbuf_add(out, args[i]);
    }
    return n == 1 ? -EINVAL : 0;
}

static struct unixctl *make(void)
{
    _cleanup_free_ char *path = xasprintf("/tmp/fuzz_unixctl.%d", (int)getpid());
    struct event_base *base = event_base_new();
    struct unixctl *u = NULL;

    FUZZ_CHECK(base && !unixctl_create(base, path, &u));
    unlink(path); /* nobody is to connect */
    unixctl_register(u, "echo", "[TEXT...]", 0, 3, echo, NULL);
    return u;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct unixctl *u; /* lives as long as the process */

    if (!u) {
        u = make();
    }
    while (size) {
        char *text = NULL;
        ssize_t used = unixctl_handle(u, (const char *)data, size, &text);

        if (used <= 0) {
            FUZZ_CHECK(!text);
            break;
        }
        FUZZ_CHECK((size_t)used <= size && text);
        json_t *reply = json_loads(text, 0, NULL);
        FUZZ_CHECK(json_is_object(reply) && json_object_size(reply) == 3);
        FUZZ_CHECK(json_is_null(json_object_get(reply, "result")) != json_is_null(json_object_get(reply, "error")));
        json_decref(reply);
        free(text);
        data += used;
        size -= (size_t)used;
    }
    return 0;
}
