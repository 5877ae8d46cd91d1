/* SPDX-License-Identifier: Apache-2.0 */
/* A byte stream becomes JSON objects: the same ones however it is cut into chunks (the first byte says into which). */
#include "fuzz.h"
#include "ovsdb/splitter.h"

#define LIMIT 4096

/* Feeds DATA in chunks; returns the objects, and the last status in *RET. */
static json_t *split(const uint8_t *data, size_t size, size_t chunk, int *ret)
{
    json_t *list = json_array();
    struct splitter s;
    size_t at = 0;

    *ret = 0;
    splitter_init(&s, LIMIT);
    while (at < size && *ret >= 0) {
        size_t used = SIZE_MAX, n = MIN(chunk, size - at);
        json_t *json = NULL;

        *ret = splitter_feed(&s, (const char *)data + at, n, &used, &json);
        if (*ret < 0) {
            break;
        }
        FUZZ_CHECK(used <= n && (used || *ret == 0) && (json != NULL) == (*ret == 1));
        FUZZ_CHECK(*ret == 1 || used == n);
        if (json) {
            FUZZ_CHECK(json_is_object(json));
            json_array_append_new(list, json);
        }
        at += used;
    }
    splitter_done(&s);
    return list;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int whole_status, cut_status;

    if (size < 2) {
        return 0;
    }
    json_t *whole = split(data + 1, size - 1, size, &whole_status);
    json_t *cut = split(data + 1, size - 1, data[0] % 16 + 1, &cut_status);
    FUZZ_CHECK(json_equal(whole, cut));
    FUZZ_CHECK((whole_status < 0) == (cut_status < 0));
    json_decref(whole);
    json_decref(cut);
    return 0;
}
