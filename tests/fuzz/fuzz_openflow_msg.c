/* SPDX-License-Identifier: Apache-2.0 */
/* One OpenFlow message of any version, header first, through every decoder of the message headers; what has an encoder
 * survives it. Versions that we do not speak are read as 1.3. */
#include "fuzz.h"
#include "openflow/msg_async.h"
#include "openflow/msg_bundle.h"
#include "openflow/msg_monitor.h"
#include "openflow/msg_nx.h"
#include "openflow/msg_table.h"

static void check_error(int error)
{
    FUZZ_CHECK(!error || oferr_is(error));
}

/* ---- flows ---- */

static void flow_mod(struct reader r, const struct of_flow_format *format)
{
    struct of_flow_mod fm, again;
    int error = of_flow_mod_decode(&r, format, &fm);

    check_error(error);
    if (error) {
        return;
    }
    FUZZ_CHECK(fm.command <= OF_FLOW_DELETE_STRICT &&
               (fm.table <= TABLE_ID_MAX || fm.table == TABLE_ID_ALL || fm.command == OF_FLOW_DELETE_STRICT));
    struct writer w = {0};
    if (!format->nx && format->version > OF_VERSION_10) {
        of_flow_mod_encode(&w, format->version, &fm, 1);
    }
    if (w.len && !w.error) {
        r = reader_of(w.data + OF_HEADER_LEN, w.len - OF_HEADER_LEN);
        FUZZ_CHECK(!of_flow_mod_decode(&r, format, &again));
        FUZZ_CHECK(match_equal(&fm.match, &again.match) && fm.command == again.command && fm.table == again.table);
        FUZZ_CHECK(ofpacts_equal(fm.acts.data, fm.acts.len, again.acts.data, again.acts.len));
        of_flow_mod_done(&again);
    }
    writer_done(&w);
    of_flow_mod_done(&fm);
}

static void flow_request(struct reader r, const struct of_flow_format *format)
{
    struct of_flow_request fr;
    int error = of_flow_request_decode(&r, format, &fr);

    check_error(error);
    if (!error && format->version > OF_VERSION_10) {
        struct writer w = {0};
        of_flow_request_encode(&w, format->version, &fr, 1);
        FUZZ_CHECK(!w.error);
        writer_done(&w);
    }
}

/* What comes in one version goes out in all. */
static void flow_stats(struct reader r, uint8_t version)
{
    static const struct of_flow_format formats[] = {
        {1, false, false}, {1, true, false}, {4, false, false}, {5, false, false}, {6, false, false}};
    struct of_flow_stats fs;
    struct writer w = {0};

    while (r.left) {
        int error = of_flow_stats_decode(&r, version, &fs);

        check_error(error);
        if (error) {
            break;
        }
        check_error(fs.match_error);
        check_error(fs.actions_error);
        FUZZ_CHECK(!fs.actions_error || !fs.decoded.len);
        fs.acts = fs.decoded.data;
        fs.acts_len = fs.decoded.len;
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
            of_flow_stats_encode(&w, &formats[i], &fs);
        }
        ofpacts_done(&fs.decoded);
    }
    writer_done(&w);
}

static void monitors(struct reader r, enum of_monitor_form form)
{
    struct of_monitor_request mr;

    while (r.left) {
        int error = of_monitor_request_decode(&r, form, &mr);

        check_error(error);
        if (error) {
            break;
        }
    }
}

/* ---- ports, queues, tables ---- */

static void ports(struct reader r, uint8_t version)
{
    struct of_port port;
    struct writer w = {0};

    while (r.left && !of_port_decode(&r, version, &port)) {
        FUZZ_CHECK(memchr(port.name, '\0', sizeof port.name));
        of_port_encode(&w, version, &port);
    }
    struct reader again = reader_of(w.data, w.len);
    while (again.left) {
        FUZZ_CHECK(!of_port_decode(&again, version, &port));
    }
    writer_done(&w);
}

static void port_mod(struct reader r, uint8_t version)
{
    struct of_port_mod pm;

    check_error(of_port_mod_decode(&r, version, &pm));
}

static void table_mod(struct reader r, uint8_t version)
{
    struct of_table_config tc, again;
    int error = of_table_mod_decode(&r, version, &tc);

    check_error(error);
    if (!error) {
        struct writer w = {0};
        of_table_mod_encode(&w, version, &tc, 1);
        r = reader_of(w.data + OF_HEADER_LEN, w.len - OF_HEADER_LEN);
        FUZZ_CHECK(!of_table_mod_decode(&r, version, &again));
        FUZZ_CHECK(tc.table == again.table && tc.eviction == again.eviction && tc.vacancy == again.vacancy);
        writer_done(&w);
    }
}

static void tables(struct reader r, uint8_t version, enum of_multipart_type type)
{
    struct of_table_stats ts;
    struct of_table_features tf;
    struct of_table_config tc;
    int error = 0;

    while (r.left && !error) {
        error = type == OFMP_TABLE            ? of_table_stats_decode(&r, version, &ts)
                : type == OFMP_TABLE_FEATURES ? of_table_features_decode(&r, version, &tf)
                                              : of_table_desc_decode(&r, &tc);
        check_error(error);
    }
}

static void multipart(struct reader r, uint8_t version, bool reply)
{
    struct of_mp_header mh;
    ofp_port_t port;
    uint32_t queue;

    if (of_mp_header_decode(&r, version, &mh)) {
        return;
    }
    switch (mh.kind.type) {
    case OFMP_FLOW:
    case OFMP_AGGREGATE:
        if (reply && version > OF_VERSION_10) {
            flow_stats(r, version);
        } else {
            flow_request(r, &(struct of_flow_format){.version = version});
        }
        break;
    case OFMP_TABLE:
    case OFMP_TABLE_FEATURES:
    case OFMP_TABLE_DESC:
        tables(r, version, mh.kind.type);
        break;
    case OFMP_PORT_STATS:
        check_error(of_port_request_decode(&r, version, &port));
        break;
    case OFMP_PORT_DESC:
        ports(r, version);
        break;
    case OFMP_QUEUE:
    case OFMP_QUEUE_DESC:
        check_error(of_queue_request_decode(&r, version, &port, &queue));
        break;
    case OFMP_FLOW_MONITOR:
        monitors(r, OF_MONITOR_14);
        break;
    case OFMP_EXPERIMENTER:
        if (mh.kind.experimenter == OF_EXPERIMENTER_ONF) {
            monitors(r, OF_MONITOR_ONF);
        } else if (mh.kind.subtype == NXST_FLOW_MONITOR) {
            monitors(r, OF_MONITOR_NX);
        } else {
            flow_request(r, &(struct of_flow_format){.version = version, .nx = true});
        }
        break;
    default:
        break;
    }
}

/* ---- the rest ---- */

static void packet_out(struct reader r, uint8_t version)
{
    const uint8_t *end = r.data + r.left;
    struct of_packet_out po;
    int error = of_packet_out_decode(&r, version, &po);

    check_error(error);
    if (!error) {
        FUZZ_CHECK(!po.data_len || po.data + po.data_len == end);
        ofpacts_done(&po.acts);
    }
}

static void async(struct reader r, uint8_t version, bool masks, bool nicira)
{
    struct of_async a = {.masks = {{0}}}, again = {.masks = {{0}}};
    int error = of_async_decode(&r, masks, true, &a);

    check_error(error);
    if (!error) {
        struct writer w = {0};

        if (nicira) {
            of_nx_async_encode(&w, version, masks, &a, 1);
        } else {
            of_async_encode(&w, version, OFT_SET_ASYNC, &a, 1);
        }
        size_t header = nicira ? OF_HEADER_LEN + 8 : OF_HEADER_LEN;
        r = reader_of(w.data + header, w.len - header);
        FUZZ_CHECK(!of_async_decode(&r, masks, true, &again));
        FUZZ_CHECK(version < OF_VERSION_14 || masks || !memcmp(&a, &again, sizeof a));
        writer_done(&w);
    }
}

static void role(struct reader r, bool nicira)
{
    struct of_role_request rr;
    int error = nicira ? of_nx_role_decode(&r, &rr) : of_role_decode(&r, &rr);

    check_error(error);
    FUZZ_CHECK(error || rr.role <= OF_ROLE_SLAVE);
}

static void tlv_table(struct reader r)
{
    enum nx_tlv_command command;
    struct nx_tlv_map *maps;
    size_t n;
    int error = nx_tlv_mod_decode(&r, &command, &maps, &n);

    check_error(error);
    if (!error) {
        free(maps);
    }
}

static void bundle(struct reader r, const struct of_header *h, bool add)
{
    struct of_bundle_ctrl bc;
    struct of_bundle_add ba;

    if (add) {
        const uint8_t *end = r.data + r.left;
        int error = of_bundle_add_decode(&r, h->version, h->xid, &ba);

        check_error(error);
        FUZZ_CHECK(error || ba.message + ba.h.length <= end);
    } else {
        check_error(of_bundle_ctrl_decode(&r, &bc));
    }
}

static void requestforward(struct reader r)
{
    const uint8_t *end = r.data + r.left, *request;
    struct of_header inner;
    int error = of_requestforward_decode(&r, &inner, &request);

    check_error(error);
    FUZZ_CHECK(error || request + inner.length <= end);
}

static void experimenter(struct reader r, const struct of_header *h, uint8_t version)
{
    uint32_t who = reader_u32(&r), type = reader_u32(&r);

    if (r.error) {
        return;
    }
    if (who == OF_EXPERIMENTER_ONF) {
        if (type == OF_ONF_REQUESTFORWARD) {
            requestforward(r);
        } else {
            bundle(r, h, type == OF_ONF_BUNDLE_ADD);
        }
        return;
    }
    switch (type) {
    case NXT_ROLE_REQUEST:
        role(r, true);
        break;
    case NXT_FLOW_MOD:
        flow_mod(r, &(struct of_flow_format){.version = version, .nx = true});
        flow_mod(r, &(struct of_flow_format){.version = version, .nx = true, .table_id = true});
        break;
    case NXT_SET_ASYNC_CONFIG:
    case NXT_SET_ASYNC_CONFIG2:
        async(r, version, type == NXT_SET_ASYNC_CONFIG, true);
        break;
    case NXT_REQUESTFORWARD:
        requestforward(r);
        break;
    default:
        tlv_table(r);
    }
}

static void statuses(struct reader r, enum of_type type)
{
    struct of_role_request rr;
    struct of_table_config tc;
    enum of_role_reason role_reason;
    enum of_table_reason table_reason;

    if (type == OFT_ROLE_STATUS) {
        check_error(of_role_status_decode(&r, &rr, &role_reason));
    } else {
        check_error(of_table_status_decode(&r, &table_reason, &tc));
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
    struct reader r = reader_of(body, len);
    uint8_t version = h.version == 1 || h.version == 5 || h.version == 6 ? h.version : OF_VERSION_13;
    switch (h.type) {
    case OFT_HELLO:
        of_hello_decode(&h, body, len);
        break;
    case OFT_ERROR: {
        int error = of_error_decode(body, len, version);
        FUZZ_CHECK(error < 0 && oferr_name(error));
        break;
    }
    case OFT_EXPERIMENTER:
        experimenter(r, &h, version);
        break;
    case OFT_PACKET_OUT:
        packet_out(r, version);
        break;
    case OFT_FLOW_MOD:
        flow_mod(r, &(struct of_flow_format){.version = version});
        flow_mod(r, &(struct of_flow_format){.version = version, .table_id = version == OF_VERSION_10});
        break;
    case OFT_PORT_MOD:
        port_mod(r, version);
        break;
    case OFT_TABLE_MOD:
        table_mod(r, version);
        break;
    case OFT_MULTIPART_REQUEST:
    case OFT_MULTIPART_REPLY:
        multipart(r, version, h.type == OFT_MULTIPART_REPLY);
        break;
    case OFT_ROLE_REQUEST:
    case OFT_ROLE_REPLY:
        role(r, false);
        break;
    case OFT_SET_ASYNC:
    case OFT_GET_ASYNC_REPLY:
        async(r, version, version < OF_VERSION_14, false);
        break;
    case OFT_ROLE_STATUS:
    case OFT_TABLE_STATUS:
        statuses(r, h.type);
        break;
    case OFT_REQUESTFORWARD:
        requestforward(r);
        break;
    case OFT_BUNDLE_CONTROL:
    case OFT_BUNDLE_ADD:
        bundle(r, &h, h.type == OFT_BUNDLE_ADD);
        break;
    default:
        reader_skip(&r, MIN(len, 8u)); /* a port_status, for one */
        ports(r, version);
    }
    return 0;
}
