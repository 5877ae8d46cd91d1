/* SPDX-License-Identifier: Apache-2.0 */
/* One OpenFlow 1.3 message, header first, through every decoder of msg.h and msg_multipart.h; what has an encoder
 * survives it. */
#include "fuzz.h"
#include "openflow/msg_multipart.h"

static void flow_mod(const uint8_t *body, size_t len)
{
    struct reader r = reader_of(body, len);
    struct of_flow_mod fm, again;
    int error = of_flow_mod_decode(&r, &(struct of_flow_format){.version = OF_VERSION_13}, &fm);

    FUZZ_CHECK(!error || oferr_is(error));
    if (error) {
        return;
    }
    struct writer w = {0};
    of_flow_mod_encode(&w, OF_VERSION_13, &fm, 1);
    if (!w.error) {
        r = reader_of(w.data + OF_HEADER_LEN, w.len - OF_HEADER_LEN);
        FUZZ_CHECK(!of_flow_mod_decode(&r, &(struct of_flow_format){.version = OF_VERSION_13}, &again));
        FUZZ_CHECK(match_equal(&fm.match, &again.match) && fm.command == again.command && fm.table == again.table);
        FUZZ_CHECK(ofpacts_equal(fm.acts.data, fm.acts.len, again.acts.data, again.acts.len));
        of_flow_mod_done(&again);
    }
    writer_done(&w);
    of_flow_mod_done(&fm);
}

static void flow_request(struct reader r)
{
    struct of_flow_request fr;
    int error = of_flow_request_decode(&r, &(struct of_flow_format){.version = OF_VERSION_13}, &fr);

    FUZZ_CHECK(!error || oferr_is(error));
    if (!error) {
        struct writer w = {0};
        of_flow_request_encode(&w, OF_VERSION_13, &fr, 1);
        FUZZ_CHECK(!w.error);
        writer_done(&w);
    }
}

static void flow_stats(struct reader r)
{
    struct of_flow_stats fs;
    struct writer w = {0};

    while (r.left) {
        int error = of_flow_stats_decode(&r, OF_VERSION_13, &fs);

        FUZZ_CHECK(!error || oferr_is(error));
        if (error) {
            break;
        }
        fs.acts = fs.decoded.data;
        fs.acts_len = fs.decoded.len;
        of_flow_stats_encode(&w, &(struct of_flow_format){.version = OF_VERSION_13}, &fs);
        ofpacts_done(&fs.decoded);
    }
    writer_done(&w);
}

static void ports(const uint8_t *body, size_t len)
{
    struct reader r = reader_of(body, len);
    struct of_port port;
    struct of_port_mod pm;

    while (r.left && !of_port_decode(&r, OF_VERSION_13, &port)) {
        FUZZ_CHECK(memchr(port.name, '\0', sizeof port.name));
    }
    r = reader_of(body, len);
    int error = of_port_mod_decode(&r, OF_VERSION_13, &pm);
    FUZZ_CHECK(!error || oferr_is(error));
}

static void packet_out(const uint8_t *body, size_t len)
{
    struct reader r = reader_of(body, len);
    struct of_packet_out po;
    int error = of_packet_out_decode(&r, OF_VERSION_13, &po);

    FUZZ_CHECK(!error || oferr_is(error));
    if (!error) {
        FUZZ_CHECK(po.data_len <= len && (!po.data_len || po.data + po.data_len == body + len));
        ofpacts_done(&po.acts);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct of_header h;

    if (of_header_decode(data, size, &h)) {
        return 0;
    }
    const uint8_t *body = data + OF_HEADER_LEN;
    size_t len = size - OF_HEADER_LEN;
    struct reader mp = reader_of(body, len);
    reader_skip(&mp, MIN(len, 8u));
    switch (h.type) {
    case OFT_HELLO:
        of_hello_decode(&h, body, len);
        break;
    case OFT_ERROR: {
        int error = of_error_decode(body, len, OF_VERSION_13);
        FUZZ_CHECK(error < 0 && oferr_name(error));
        break;
    }
    case OFT_PACKET_OUT:
        packet_out(body, len);
        break;
    case OFT_FLOW_MOD:
        flow_mod(body, len);
        break;
    case OFT_MULTIPART_REQUEST:
        flow_request(mp);
        break;
    case OFT_MULTIPART_REPLY:
        flow_stats(mp);
        break;
    default:
        ports(body, len);
    }
    return 0;
}
