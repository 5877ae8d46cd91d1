/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of ports and queues, and the configuration of queues. */
#include "openflow/action_codec.h"
#include "openflow/msg_multipart.h"

#define PROP_ETHERNET 0
#define PROP_ETHERNET_LEN 40
#define PORT_STATS_14_LEN 80
#define QUEUE_STATS_14_LEN 48
/* Properties of queues: OFPQT_* up to 1.3, OFPQDPT_* from 1.4 on. */
#define PROP_MIN_RATE 1
#define PROP_MAX_RATE 2

static void put_counters(struct writer *w, const uint64_t *counters, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        writer_u64(w, counters[i]);
    }
}

void of_port_stats_encode(struct writer *w, uint8_t version, const struct of_port_stats *ps)
{
    const uint64_t common[] = {ps->rx_packets, ps->tx_packets, ps->rx_bytes,  ps->tx_bytes,
                               ps->rx_dropped, ps->tx_dropped, ps->rx_errors, ps->tx_errors};
    const uint64_t ethernet[] = {ps->rx_frame_err, ps->rx_over_err, ps->rx_crc_err, ps->collisions};

    if (version >= OF_VERSION_14) {
        writer_u16(w, PORT_STATS_14_LEN + PROP_ETHERNET_LEN);
        writer_zeros(w, 2);
        writer_u32(w, ofp_port_u32(ps->port_no));
        writer_u32(w, ps->duration_sec);
        writer_u32(w, ps->duration_nsec);
        put_counters(w, common, ARRAY_SIZE(common));
        writer_u16(w, PROP_ETHERNET);
        writer_u16(w, PROP_ETHERNET_LEN);
        writer_zeros(w, 4);
        put_counters(w, ethernet, ARRAY_SIZE(ethernet));
        return;
    }
    if (version == OF_VERSION_10) {
        writer_u16(w, ofp_port_to_16(ps->port_no));
        writer_zeros(w, 6);
    } else {
        writer_u32(w, ofp_port_u32(ps->port_no));
        writer_zeros(w, 4);
    }
    put_counters(w, common, ARRAY_SIZE(common));
    put_counters(w, ethernet, ARRAY_SIZE(ethernet));
    if (version > OF_VERSION_10) {
        writer_u32(w, ps->duration_sec);
        writer_u32(w, ps->duration_nsec);
    }
}

int of_port_request_decode(struct reader *body, uint8_t version, ofp_port_t *ret)
{
    ofp_port_t port;

    if (version == OF_VERSION_10) {
        port = ofp_port_from_16(reader_u16(body));
        reader_skip(body, 6);
    } else {
        port = ofp_port(reader_u32(body));
        reader_skip(body, 4);
    }
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    *ret = port;
    return 0;
}

void of_queue_stats_encode(struct writer *w, uint8_t version, const struct of_queue_stats *qs)
{
    const uint64_t counters[] = {qs->tx_bytes, qs->tx_packets, qs->tx_errors};

    if (version >= OF_VERSION_14) {
        writer_u16(w, QUEUE_STATS_14_LEN);
        writer_zeros(w, 6);
    }
    if (version == OF_VERSION_10) {
        writer_u16(w, ofp_port_to_16(qs->port_no));
        writer_zeros(w, 2);
    } else {
        writer_u32(w, ofp_port_u32(qs->port_no));
    }
    writer_u32(w, qs->queue_id);
    put_counters(w, counters, ARRAY_SIZE(counters));
    if (version > OF_VERSION_10) {
        writer_u32(w, qs->duration_sec);
        writer_u32(w, qs->duration_nsec);
    }
}

int of_queue_request_decode(struct reader *body, uint8_t version, ofp_port_t *ret_port, uint32_t *ret_queue)
{
    ofp_port_t port;

    if (version == OF_VERSION_10) {
        port = ofp_port_from_16(reader_u16(body));
        port = port == OFPP_ALL ? OFPP_ANY : port; /* 1.0 says all as ALL */
        reader_skip(body, 2);
    } else {
        port = ofp_port(reader_u32(body));
    }
    uint32_t queue = reader_u32(body);
    if (body->error || body->left) {
        return OFERR_BAD_LEN;
    }
    *ret_port = port;
    *ret_queue = queue;
    return 0;
}

static void put_rate(struct writer *w, uint8_t version, uint16_t type, uint16_t rate)
{
    if (rate == OF_QUEUE_RATE_NONE) {
        return;
    }
    writer_u16(w, type);
    if (version >= OF_VERSION_14) {
        writer_u16(w, 8);
        writer_u16(w, rate);
        writer_zeros(w, 2);
    } else {
        writer_u16(w, 16);
        writer_zeros(w, 4);
        writer_u16(w, rate);
        writer_zeros(w, 6);
    }
}

void of_queue_config_encode(struct writer *w, uint8_t version, const struct of_queue_config *qc)
{
    size_t start = w->len, len_at;

    if (version >= OF_VERSION_14) {
        writer_u32(w, ofp_port_u32(qc->port_no));
        writer_u32(w, qc->queue_id);
        len_at = w->len;
        writer_u16(w, 0);
        writer_zeros(w, 6);
    } else {
        writer_u32(w, qc->queue_id);
        if (version > OF_VERSION_10) {
            writer_u32(w, ofp_port_u32(qc->port_no));
        }
        len_at = w->len;
        writer_u16(w, 0);
        writer_zeros(w, version > OF_VERSION_10 ? 6 : 2);
    }
    put_rate(w, version, PROP_MIN_RATE, qc->min_rate);
    put_rate(w, version, PROP_MAX_RATE, qc->max_rate);
    writer_patch_u16(w, len_at, (uint16_t)(w->len - start));
}
