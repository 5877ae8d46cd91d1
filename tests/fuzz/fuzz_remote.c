/* SPDX-License-Identifier: Apache-2.0 */
/* Where to connect or to listen, as an administrator writes it in the database or a flag. */
#include "base/stream.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = xmalloc(size + 1), *error = NULL;
    struct remote remote;

    memcpy(text, data, size);
    text[size] = '\0';
    if (remote_parse(text, 0, &remote, &error)) {
        FUZZ_CHECK(error && error[0]);
        FUZZ_CHECK(remote_parse(text, 0, &remote, NULL));
        return 0;
    }
    FUZZ_CHECK(!error && remote.addr_len && remote.addr_len <= sizeof remote.addr);
    return 0;
}
