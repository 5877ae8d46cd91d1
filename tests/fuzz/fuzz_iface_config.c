/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an administrator writes into an Interface and a Port row. The input is lines: name, type, mac (empty: none),
 * VLAN mode (empty: none), tag and trunks as numbers, and then one "key=value" a line for options.
 */
#include "fuzz.h"
#include "switch/iface_config.h"

#define LINES_MAX 32

static size_t cut_lines(char *text, char **lines)
{
    char *save = text, *line;
    size_t n = 0;

    while (n < LINES_MAX && (line = strsep(&save, "\n"))) {
        lines[n++] = line;
    }
    return n;
}

static const char *or_null(const char *s)
{
    return s[0] ? s : NULL;
}

static void interface(char **lines, size_t n)
{
    _cleanup_strbuf_ struct strbuf message = {0}, again = {0};
    struct iface_option options[LINES_MAX];
    struct port_config config = {0}, same = {0}, untouched = {0};
    struct iface_row row = {.name = lines[0], .type = lines[1], .hwaddr = or_null(lines[2]), .options = options};

    for (size_t i = 5; i < n; i++) {
        char *value = strchr(lines[i], '=');

        if (value) {
            *value++ = '\0';
            options[row.n_options++] = (struct iface_option){lines[i], value};
        }
    }
    int error = iface_config_parse(&row, &config, &message);
    FUZZ_CHECK(!error || error == -EINVAL);
    if (error) {
        FUZZ_CHECK(message.len && !memcmp(&config, &untouched, sizeof config));
        return;
    }
    FUZZ_CHECK(!iface_config_parse(&row, &same, &again));
    FUZZ_CHECK(port_config_equal(&config, &same) && !strcmp(strbuf_str(&message), strbuf_str(&again)));
    if (config.kind == PORT_TUNNEL) {
        FUZZ_CHECK(tunnel_config_conflict(&config.tunnel, &same.tunnel) && config.tunnel.remote != TUNNEL_NONE);
    }
}

static void vlan(const char *mode, char *numbers)
{
    _cleanup_strbuf_ struct strbuf message = {0};
    int64_t trunks[16];
    struct vlan_row row = {.mode = or_null(mode), .tag = -1, .trunks = trunks};
    struct vlan_config config;
    char *end;

    for (bool first = true; *numbers; first = false, numbers = end + (*end != '\0')) {
        int64_t v = strtoll(numbers, &end, 10);

        if (first) {
            row.tag = v;
        } else if (row.n_trunks < ARRAY_SIZE(trunks)) {
            trunks[row.n_trunks++] = v;
        }
    }
    if (vlan_config_parse(&row, &config, &message)) {
        FUZZ_CHECK(message.len);
    } else {
        FUZZ_CHECK(config.tag < 4096 && vlan_config_equal(&config, &config));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = xmalloc(size + 1);
    char *lines[LINES_MAX];

    memcpy(text, data, size);
    text[size] = '\0';
    size_t n = cut_lines(text, lines);
    if (n >= 5) {
        vlan(lines[3], lines[4]);
        interface(lines, n);
    }
    return 0;
}
