/* SPDX-License-Identifier: Apache-2.0 */
#include "openflow/action_codec.h"
#include "openflow/msg.h"

/* enum ofp_port_config has NO_FLOOD only in 1.0, the states BLOCKED and LIVE only later. */
#define CONFIG_NO_FLOOD (1u << 4)
#define STATE_10 1u
/* Features that have the same bit everywhere (speeds up to 10 Gb/s), and where the medium's begin. */
#define FEATURES_SPEED 0x7fu
#define FEATURES_MEDIUM_10 7
#define FEATURES_MEDIUM 11
#define FEATURES_MEDIUM_MASK 0x1fu
/* OFPPDPT_ETHERNET, OFPPMPT_ETHERNET. */
#define PROP_ETHERNET 0
#define PROP_EXPERIMENTER 0xffff
#define PROP_DESC_LEN 32
#define PORT_14_LEN 40

static uint32_t features_10(uint32_t f)
{
    return (f & FEATURES_SPEED) | (f >> FEATURES_MEDIUM & FEATURES_MEDIUM_MASK) << FEATURES_MEDIUM_10;
}

static uint32_t features_from_10(uint32_t f)
{
    return (f & FEATURES_SPEED) | (f >> FEATURES_MEDIUM_10 & FEATURES_MEDIUM_MASK) << FEATURES_MEDIUM;
}

static void encode_10(struct writer *w, const struct of_port *port)
{
    const uint32_t words[] = {port->config,
                              port->state & STATE_10,
                              features_10(port->curr),
                              features_10(port->advertised),
                              features_10(port->supported),
                              features_10(port->peer)};

    writer_u16(w, ofp_port_to_16(port->port_no));
    writer_bytes(w, port->hw_addr.a, sizeof port->hw_addr.a);
    writer_bytes(w, port->name, sizeof port->name);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        writer_u32(w, words[i]);
    }
}

void of_port_encode(struct writer *w, uint8_t version, const struct of_port *port)
{
    const uint32_t words[] = {port->curr, port->advertised,      port->supported,
                              port->peer, port->curr_speed_kbps, port->max_speed_kbps};

    if (version == OF_VERSION_10) {
        encode_10(w, port);
        return;
    }
    writer_u32(w, ofp_port_u32(port->port_no));
    if (version >= OF_VERSION_14) {
        writer_u16(w, PORT_14_LEN + PROP_DESC_LEN);
        writer_zeros(w, 2);
    } else {
        writer_zeros(w, 4);
    }
    writer_bytes(w, port->hw_addr.a, sizeof port->hw_addr.a);
    writer_zeros(w, 2);
    writer_bytes(w, port->name, sizeof port->name);
    writer_u32(w, port->config & ~CONFIG_NO_FLOOD);
    writer_u32(w, port->state);
    if (version >= OF_VERSION_14) {
        writer_u16(w, PROP_ETHERNET);
        writer_u16(w, PROP_DESC_LEN);
        writer_zeros(w, 4);
    }
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        writer_u32(w, words[i]);
    }
}

/* The Ethernet property among those of a port, or its mod. Others are passed over. */
static struct reader ethernet_prop(struct reader *props)
{
    while (props->left >= 4) {
        uint16_t type = reader_u16(props), len = reader_u16(props);
        struct reader prop = reader_sub(props, len < 4 ? SIZE_MAX : len - 4u);

        reader_skip(props, MIN(props->left, ROUND_UP(len, 8u) - len));
        if (type == PROP_ETHERNET || props->error) {
            return prop;
        }
    }
    return reader_of(NULL, 0);
}

static void decode_words(struct reader *r, uint32_t *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        *words[i] = reader_u32(r);
    }
}

int of_port_decode(struct reader *r, uint8_t version, struct of_port *ret)
{
    struct of_port port = {.config = 0};
    uint32_t *const features[] = {&port.curr, &port.advertised,      &port.supported,
                                  &port.peer, &port.curr_speed_kbps, &port.max_speed_kbps};
    struct reader whole = *r, prop;
    size_t len = 0;

    if (version == OF_VERSION_10) {
        port.port_no = ofp_port_from_16(reader_u16(r));
    } else {
        port.port_no = ofp_port(reader_u32(r));
        len = reader_u16(r); /* 1.4 */
        reader_skip(r, 2);
    }
    reader_copy(r, port.hw_addr.a, sizeof port.hw_addr.a);
    reader_skip(r, version == OF_VERSION_10 ? 0 : 2);
    reader_copy(r, port.name, sizeof port.name);
    port.name[sizeof port.name - 1] = '\0';
    port.config = reader_u32(r);
    port.state = reader_u32(r);
    if (version < OF_VERSION_14) {
        decode_words(r, features, version == OF_VERSION_10 ? 4 : ARRAY_SIZE(features));
    } else {
        *r = whole;
        prop = reader_sub(r, len);
        reader_skip(&prop, PORT_14_LEN);
        prop = prop.error ? prop : ethernet_prop(&prop);
        reader_skip(&prop, prop.left ? 4 : 0);
        if (prop.left) {
            decode_words(&prop, features, ARRAY_SIZE(features));
        }
        if (prop.error) {
            return OFERR_BAD_LEN;
        }
    }
    for (size_t i = 0; version == OF_VERSION_10 && i < 4; i++) {
        *features[i] = features_from_10(*features[i]);
    }
    if (r->error) {
        return OFERR_BAD_LEN;
    }
    *ret = port;
    return 0;
}

void of_port_status_encode(struct writer *w, uint8_t version, uint8_t reason, const struct of_port *port)
{
    size_t start = of_begin(w, version, OFT_PORT_STATUS, 0);

    writer_u8(w, reason);
    writer_zeros(w, 7);
    of_port_encode(w, version, port);
    of_end(w, start);
}

/* 1.4: properties up to the end. */
static int port_mod_props(struct reader *body, struct of_port_mod *pm)
{
    while (body->left) {
        uint16_t type = reader_u16(body), len = reader_u16(body);
        struct reader prop = reader_sub(body, len < 4 ? SIZE_MAX : len - 4u);

        if (body->error) {
            return OFERR_PROPERTY_BAD_LEN;
        }
        reader_skip(body, MIN(body->left, ROUND_UP(len, 8u) - len));
        if (type == PROP_EXPERIMENTER) {
            return OFERR_PROPERTY_BAD_EXPERIMENTER;
        }
        if (type != PROP_ETHERNET) {
            return OFERR_PROPERTY_BAD_TYPE;
        }
        if (prop.left != 4) {
            return OFERR_PROPERTY_BAD_LEN;
        }
        pm->advertise = reader_u32(&prop);
    }
    return 0;
}

int of_port_mod_decode(struct reader *body, uint8_t version, struct of_port_mod *ret)
{
    struct of_port_mod pm = {.config = 0};
    bool v10 = version == OF_VERSION_10;

    pm.port_no = v10 ? ofp_port_from_16(reader_u16(body)) : ofp_port(reader_u32(body));
    reader_skip(body, v10 ? 0 : 4);
    reader_copy(body, pm.hw_addr.a, sizeof pm.hw_addr.a);
    reader_skip(body, v10 ? 0 : 2);
    pm.config = reader_u32(body);
    pm.mask = reader_u32(body);
    if (version >= OF_VERSION_14) {
        int error = body->error ? OFERR_BAD_LEN : port_mod_props(body, &pm);

        if (error) {
            return error;
        }
    } else {
        pm.advertise = reader_u32(body);
        pm.advertise = v10 ? features_from_10(pm.advertise) : pm.advertise;
        reader_skip(body, 4);
    }
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    if (!v10 && pm.mask & CONFIG_NO_FLOOD) {
        return OFERR_PORT_MOD_BAD_CONFIG;
    }
    *ret = pm;
    return 0;
}
