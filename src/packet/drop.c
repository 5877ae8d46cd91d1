/* SPDX-License-Identifier: Apache-2.0 */
#include "packet/drop.h"

#include "packet/packet.h"

const char *drop_reason_name(enum drop_reason r)
{
    static const char *const names[] = {
#define X(id, name, text) [DROP_##id] = name,
        DROP_REASONS(X)
#undef X
    };

    return (unsigned int)r < ARRAY_SIZE(names) ? names[r] : "unknown";
}

const char *drop_reason_text(enum drop_reason r)
{
    static const char *const texts[] = {
#define X(id, name, text) [DROP_##id] = text,
        DROP_REASONS(X)
#undef X
    };

    return (unsigned int)r < ARRAY_SIZE(texts) ? texts[r] : "unknown reason";
}
