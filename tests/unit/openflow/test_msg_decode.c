/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message bodies as they come, in every version: good ones (as Debian's ovs-ofctl sends them, where it can), which cut
 * short anywhere are refused, and bad ones with the error that the standard names.
 */
#include <endian.h>

#include "hex.h"
#include "openflow/msg_async.h"
#include "openflow/msg_bundle.h"
#include "openflow/msg_monitor.h"
#include "openflow/msg_nx.h"
#include "openflow/msg_table.h"

/* A decoder by its name in the tables; what it made is freed. */
enum decoder {
    FLOW_MOD_STD,
    FLOW_MOD_TABLE,
    FLOW_MOD_NX,
    FLOW_REQUEST,
    FLOW_REQUEST_NX,
    PACKET_OUT,
    PORT_MOD,
    PORT_REQUEST,
    QUEUE_REQUEST,
    TABLE_MOD,
    TABLE_DESC,
    TABLE_STATUS,
    TABLE_FEATURES,
    ROLE,
    ROLE_NX,
    ROLE_STATUS,
    ASYNC_MASKS,
    ASYNC_PROPS,
    REQUESTFORWARD,
    BUNDLE_CTRL,
    BUNDLE_ADD,
    TLV_MOD,
    MONITOR_NX,
    MONITOR_ONF,
    MONITOR_14,
};

static int decode_flow_mod(struct reader *r, uint8_t v, bool nx, bool table)
{
    struct of_flow_mod fm;
    int error = of_flow_mod_decode(r, &(struct of_flow_format){v, nx, table}, &fm);

    if (!error) {
        of_flow_mod_done(&fm);
    }
    return error;
}

static int decode_packet_out(struct reader *r, uint8_t v)
{
    struct of_packet_out po;
    int error = of_packet_out_decode(r, v, &po);

    if (!error) {
        ofpacts_done(&po.acts);
    }
    return error;
}

static int decode_tlv_mod(struct reader *r)
{
    enum nx_tlv_command command;
    struct nx_tlv_map *maps;
    size_t n;
    int error = nx_tlv_mod_decode(r, &command, &maps, &n);

    if (!error) {
        free(maps);
    }
    return error;
}

static int decode_async(struct reader *r, bool masks)
{
    struct of_async a = {.masks = {{0}}};

    return of_async_decode(r, masks, true, &a);
}

static int decode_flow_or_packet(enum decoder d, uint8_t v, struct reader *r)
{
    struct of_flow_request fr;

    switch (d) {
    case FLOW_MOD_STD:
        return decode_flow_mod(r, v, false, false);
    case FLOW_MOD_TABLE:
        return decode_flow_mod(r, v, false, true);
    case FLOW_MOD_NX:
        return decode_flow_mod(r, v, true, true);
    case FLOW_REQUEST:
        return of_flow_request_decode(r, &(struct of_flow_format){v, false, false}, &fr);
    case FLOW_REQUEST_NX:
        return of_flow_request_decode(r, &(struct of_flow_format){v, true, false}, &fr);
    default:
        return decode_packet_out(r, v);
    }
}

static int decode_table(enum decoder d, uint8_t v, struct reader *r)
{
    struct of_table_config tc;
    struct of_table_features tf;
    enum of_table_reason reason;

    switch (d) {
    case TABLE_MOD:
        return of_table_mod_decode(r, v, &tc);
    case TABLE_DESC:
        return of_table_desc_decode(r, &tc);
    case TABLE_STATUS:
        return of_table_status_decode(r, &reason, &tc);
    default:
        return of_table_features_decode(r, v, &tf);
    }
}

static int decode_controller(enum decoder d, struct reader *r)
{
    struct of_role_request rr;
    enum of_role_reason reason;
    struct of_header inner;
    const uint8_t *request;

    switch (d) {
    case ROLE:
        return of_role_decode(r, &rr);
    case ROLE_NX:
        return of_nx_role_decode(r, &rr);
    case ROLE_STATUS:
        return of_role_status_decode(r, &rr, &reason);
    case ASYNC_MASKS:
        return decode_async(r, true);
    case ASYNC_PROPS:
        return decode_async(r, false);
    default:
        return of_requestforward_decode(r, &inner, &request);
    }
}

static int decode(enum decoder d, uint8_t v, struct reader *r)
{
    struct of_port_mod pm;
    struct of_bundle_ctrl bc;
    struct of_bundle_add ba;
    struct of_monitor_request mr;
    ofp_port_t port;
    uint32_t queue;

    switch (d) {
    case PORT_MOD:
        return of_port_mod_decode(r, v, &pm);
    case PORT_REQUEST:
        return of_port_request_decode(r, v, &port);
    case QUEUE_REQUEST:
        return of_queue_request_decode(r, v, &port, &queue);
    case TABLE_MOD:
    case TABLE_DESC:
    case TABLE_STATUS:
    case TABLE_FEATURES:
        return decode_table(d, v, r);
    case ROLE:
    case ROLE_NX:
    case ROLE_STATUS:
    case ASYNC_MASKS:
    case ASYNC_PROPS:
    case REQUESTFORWARD:
        return decode_controller(d, r);
    case BUNDLE_CTRL:
        return of_bundle_ctrl_decode(r, &bc);
    case BUNDLE_ADD:
        return of_bundle_add_decode(r, v, 9, &ba);
    case TLV_MOD:
        return decode_tlv_mod(r);
    case MONITOR_NX:
        return of_monitor_request_decode(r, OF_MONITOR_NX, &mr);
    case MONITOR_ONF:
        return of_monitor_request_decode(r, OF_MONITOR_ONF, &mr);
    case MONITOR_14:
        return of_monitor_request_decode(r, OF_MONITOR_14, &mr);
    default:
        return decode_flow_or_packet(d, v, r);
    }
}

#define ADDR "020000000001"
#define V10_MATCH "003818ef 0000 000000000000 000000000000 0000 00 00 0800 00 00 0000 0a000000 00000000 0000 0000"
#define NO_MATCH "0001 0004 00000000"
#define ZEROS_8 "00000000 00000000"
#define ZEROS_16 ZEROS_8 ZEROS_8
#define ZEROS_32 ZEROS_16 ZEROS_16

/* `open`: what may be missing at the end, as whole items (actions, instructions, properties, the packet). */
static const struct good {
    enum decoder decoder;
    uint8_t version;
    const char *hex, *open;
} good[] = {
    {FLOW_MOD_STD, 1, V10_MATCH ZEROS_8 "0000 0000 0000 8000 ffffffff ffff 0000", "0000 0008 0002 0000"},
    {FLOW_MOD_TABLE, 1, V10_MATCH ZEROS_8 "0300 0000 0000 8000 ffffffff ffff 0000", "0000 0008 0002 0000"},
    {FLOW_MOD_NX, 1,
     "0000000000000007 0300 0000 0000 8000 ffffffff ffff 0000 0014 000000000000"
     "00012008 0000000000000005 00010204 00000006 00000000",
     "ffff0018 00002320 0007 001f 00010404 0000000000000005"},
    {FLOW_MOD_STD, 4, ZEROS_16 "03 00 0000 0000 8000 ffffffff ffffffff ffffffff 0000 0000" NO_MATCH,
     "0001 0008 07 000000"},
    {FLOW_MOD_STD, 5,
     ZEROS_16 "03 00 0000 0000 8000 ffffffff ffffffff ffffffff 0000 0007"
              "0001 0023 80000a02 0800 80001401 06 ffff5508 4f4e4600 0002 0002 00010204 00000006 0000000000",
     "0001 0008 07 000000"},
    {FLOW_MOD_STD, 6,
     ZEROS_16 "03 00 0000 0000 8000 ffffffff ffffffff ffffffff 0000 0007"
              "0001 0017 80000a02 0800 80001401 06 80005504 0002 0002 00",
     NULL},
    {FLOW_REQUEST, 1, V10_MATCH "ff 00 ffff", NULL},
    {FLOW_REQUEST_NX, 1, "0002 001c 01 000000 00010004 00000001 00013d10 0000000000000005 0000000000000007 00000000",
     NULL},
    {FLOW_REQUEST, 4, "ff 000000 ffffffff ffffffff 00000000" ZEROS_16 NO_MATCH, NULL},
    {PACKET_OUT, 1, "ffffffff ffff 0008 0000 0008 0002 0000", "aabb"},
    {PACKET_OUT, 4, "ffffffff fffffffd 0010 000000000000 0000 0010 00000002 0000 000000000000", "aabb"},
    {PACKET_OUT, 6, "ffffffff 0010 0000 0001 000c 80000004 00000001 00000000 0000 0010 00000002 0000 000000000000",
     "aabb"},
    {PORT_MOD, 1, "0001" ADDR "00000010 00000010 00000000 00000000", NULL},
    {PORT_MOD, 4, "00000001 00000000" ADDR "0000 00000001 00000001 00000000 00000000", NULL},
    {PORT_MOD, 5, "00000001 00000000" ADDR "0000 00000001 00000001", "0000 0008 00000000"},
    {PORT_REQUEST, 1, "ffff 000000000000", NULL},
    {PORT_REQUEST, 4, "ffffffff 00000000", NULL},
    {QUEUE_REQUEST, 1, "fffc 0000 ffffffff", NULL},
    {QUEUE_REQUEST, 5, "00000001 ffffffff", NULL},
    {TABLE_MOD, 4, "ff 000000 00000003", NULL},
    {TABLE_MOD, 5, "03 000000 00000004", "0002 0008 00000002"},
    {TABLE_MOD, 5, "03 000000 00000008 0003 0008 14 1e 00 00", NULL},
    {TABLE_DESC, 5, "0018 03 00 0000000c 0002 0008 00000002 0003 0008 14 1e 19 00", NULL},
    {TABLE_STATUS, 5, "03 00000000000000 0018 03 00 0000000c 0002 0008 00000002 0003 0008 14 1e 19 00", NULL},
    {TABLE_FEATURES, 4, "0048 03 0000000000" ZEROS_32 ZEROS_16 "00000000 00000010 0000 0008 0001 0004", NULL},
    {ROLE, 4, "00000002 00000000 0000000000000005", NULL},
    {ROLE_NX, 1, "00000002", NULL},
    {ROLE_STATUS, 5, "00000002 00 000000 0000000000000005", NULL},
    {ASYNC_MASKS, 4, "00000007 00000000 00000007 00000007 0000000f 00000000", NULL},
    {ASYNC_PROPS, 5, "", "0000 0008 0000003f 000b 0008 00000003"},
    {REQUESTFORWARD, 5, "050f 0010 00000001 0002 0000 00000005", NULL},
    {BUNDLE_CTRL, 5, "00000001 0000 0003", NULL},
    {BUNDLE_ADD, 5, "00000001 0000 0003 0514 0008 00000009", NULL},
    {TLV_MOD, 1, "0000 000000000000", "0102 03 08 0005 0000"},
    {MONITOR_NX, 1, "00000001 003f ffff 0006 ff 0000000000 00000002 0001 0000", NULL},
    {MONITOR_ONF, 4, "00000001 003f 0004 ffffffff ff 000000" NO_MATCH, NULL},
    {MONITOR_14, 5, "00000001 ffffffff ffffffff 003f ff 00" NO_MATCH, NULL},
};

static void test_good(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        const struct good *g = &good[i];
        uint8_t bytes[512];
        size_t n = from_hex(g->hex, bytes, sizeof bytes);
        size_t all = n + (g->open ? from_hex(g->open, bytes + n, sizeof bytes - n) : 0);

        for (size_t len = 0; len <= all; len++) {
            struct reader r = reader_of(bytes, len);
            int error = decode(g->decoder, g->version, &r);

            if (error && !oferr_is(error)) {
                fail_msg("row %zu, %zu bytes: %d is no OpenFlow error", i, len, error);
            }
            if ((len == n || len == all) && error) {
                fail_msg("row %zu, %zu bytes: %s", i, len, oferr_name(error));
            }
            if (len < n && !error) {
                fail_msg("row %zu, %zu of %zu bytes are taken", i, len, n);
            }
        }
    }
}

static const struct {
    enum decoder decoder;
    uint8_t version;
    int error;
    const char *hex;
} bad[] = {
    /* flow_mod: command, table, flags, buffer */
    {FLOW_MOD_STD, 4, OFERR_FLOW_MOD_BAD_COMMAND,
     ZEROS_16 "03 05 0000 0000 8000 ffffffff ffffffff ffffffff 0000 0000" NO_MATCH},
    {FLOW_MOD_STD, 4, OFERR_FLOW_MOD_BAD_TABLE_ID,
     ZEROS_16 "ff 00 0000 0000 8000 ffffffff ffffffff ffffffff 0000 0000" NO_MATCH},
    {FLOW_MOD_STD, 4, OFERR_FLOW_MOD_BAD_FLAGS,
     ZEROS_16 "03 00 0000 0000 8000 ffffffff ffffffff ffffffff 0020 0000" NO_MATCH},
    {FLOW_MOD_STD, 4, OFERR_BUFFER_UNKNOWN,
     ZEROS_16 "03 00 0000 0000 8000 00000001 ffffffff ffffffff 0000 0000" NO_MATCH},
    {FLOW_MOD_STD, 4, OFERR_MATCH_BAD_TYPE,
     ZEROS_16 "03 00 0000 0000 8000 ffffffff ffffffff ffffffff 0000 0000 0000 0004 00000000"},
    {FLOW_MOD_STD, 1, OFERR_FLOW_MOD_BAD_COMMAND, V10_MATCH ZEROS_8 "0300 0000 0000 8000 ffffffff ffff 0000"},
    {FLOW_MOD_NX, 1, OFERR_NXBRC_NXM_INVALID, /* ADD by cookie */
     "0000000000000007 0000 0000 0000 8000 ffffffff ffff 0000 000c 000000000000 00013c08 0000000000000005 00000000"},
    /* packet_out: buffer, port, actions longer than the message */
    {PACKET_OUT, 4, OFERR_BUFFER_UNKNOWN, "00000001 fffffffd 0000 000000000000"},
    {PACKET_OUT, 4, OFERR_BAD_PORT, "ffffffff fffffffb 0000 000000000000"},
    {PACKET_OUT, 4, OFERR_BAD_LEN, "ffffffff fffffffd 0010 000000000000"},
    {PACKET_OUT, 6, OFERR_MATCH_BAD_PREREQ, "ffffffff 0000 0000 0001 000c 80001604 0a000001 00000000"},
    /* port_mod: bits, properties, bytes too many */
    {PORT_MOD, 4, OFERR_PORT_MOD_BAD_CONFIG, "00000001 00000000" ADDR "0000 00000010 00000010 00000000 00000000"},
    {PORT_MOD, 4, OFERR_BAD_LEN, "00000001 00000000" ADDR "0000 00000001 00000001" ZEROS_16},
    {PORT_MOD, 5, OFERR_PROPERTY_BAD_TYPE, "00000001 00000000" ADDR "0000 00000001 00000001 0001 0008 00000000"},
    {PORT_MOD, 5, OFERR_PROPERTY_BAD_LEN, "00000001 00000000" ADDR "0000 00000001 00000001 0000 0010 00000000"},
    {PORT_MOD, 5, OFERR_PROPERTY_BAD_LEN, "00000001 00000000" ADDR "0000 00000001 00000001 0000 0002 00000000"},
    {PORT_MOD, 5, OFERR_PROPERTY_BAD_EXPERIMENTER,
     "00000001 00000000" ADDR "0000 00000001 00000001 ffff 000c 00000055 00000001 00000000"},
    /* table_mod */
    {TABLE_MOD, 4, OFERR_TABLE_MOD_BAD_CONFIG, "03 000000 00000004"},
    {TABLE_MOD, 5, OFERR_TABLE_MOD_BAD_CONFIG, "03 000000 00000010"},
    {TABLE_MOD, 5, OFERR_PROPERTY_BAD_VALUE, "03 000000 00000008"}, /* no thresholds */
    {TABLE_MOD, 5, OFERR_PROPERTY_BAD_VALUE, "03 000000 00000008 0003 0008 1e 14 00 00"},
    {TABLE_MOD, 5, OFERR_PROPERTY_BAD_VALUE, "03 000000 00000008 0003 0008 14 1e 01 00"},
    {TABLE_MOD, 5, OFERR_PROPERTY_BAD_LEN, "03 000000 00000004 0002 000c 00000002 00000000 00000000"},
    {TABLE_MOD, 5, OFERR_PROPERTY_BAD_TYPE, "03 000000 00000004 0005 0008 00000002"},
    {TABLE_STATUS, 5, OFERR_NXBRC_BAD_REASON, "05 00000000000000 0008 03 00 00000000"},
    {TABLE_FEATURES, 4, OFERR_TABLE_FEATURES_BAD_TABLE, "0040 ff 0000000000" ZEROS_32 ZEROS_16 "00000000 00000010"},
    {TABLE_FEATURES, 6, OFERR_TABLE_FEATURES_BAD_COMMAND, "0040 03 04 00000000" ZEROS_32 ZEROS_16 "00000000 00000010"},
    {TABLE_FEATURES, 4, OFERR_PROPERTY_DUP_TYPE,
     "0050 03 0000000000" ZEROS_32 ZEROS_16 "00000000 00000010 0000 0008 0001 0004 0000 0008 0001 0004"},
    {TABLE_FEATURES, 4, OFERR_PROPERTY_BAD_LEN,
     "0048 03 0000000000" ZEROS_32 ZEROS_16 "00000000 00000010 0000 0008 0001 0002"},
    /* roles, masks */
    {ROLE, 4, OFERR_ROLE_BAD_ROLE, "00000004 00000000 0000000000000005"},
    {ROLE, 4, OFERR_BAD_LEN, "00000001 00000000 0000000000000005 00"},
    {ROLE_NX, 1, OFERR_ROLE_BAD_ROLE, "00000003"},
    {ASYNC_MASKS, 4, OFERR_BAD_LEN, "00000007 00000000 00000007 00000007 0000000f 00000000 00000000"},
    {ASYNC_PROPS, 5, OFERR_ASYNC_INVALID, "0000 0008 00000040"},
    {ASYNC_PROPS, 5, OFERR_ASYNC_UNSUPPORTED, "000c 0008 00000001"},
    {ASYNC_PROPS, 5, OFERR_PROPERTY_BAD_LEN, "0000 0006 0000 0000"},
    {ASYNC_PROPS, 5, OFERR_PROPERTY_BAD_EXP_TYPE, "ffff 000c 00002320 00000001 00000000"},
    {REQUESTFORWARD, 5, OFERR_BAD_TYPE, "0514 0008 00000001"},
    /* bundles */
    {BUNDLE_CTRL, 5, OFERR_BUNDLE_BAD_TYPE, "00000001 0008 0003"},
    {BUNDLE_CTRL, 5, OFERR_PROPERTY_BAD_TYPE, "00000001 0000 0003 0001 0008 00000000"},
    {BUNDLE_ADD, 5, OFERR_BUNDLE_BAD_LEN, "00000001 0000 0003 0514 0010 00000009"},
    {BUNDLE_ADD, 5, OFERR_BUNDLE_BAD_XID, "00000001 0000 0003 0514 0008 0000000a"},
    {BUNDLE_ADD, 5, OFERR_BAD_VERSION, "00000001 0000 0003 0414 0008 00000009"},
    {BUNDLE_ADD, 5, OFERR_PROPERTY_BAD_EXPERIMENTER,
     "00000001 0000 0003 0514 0008 00000009 ffff 000c 00000055 00000001 00000000"},
    /* Geneve options */
    {TLV_MOD, 1, OFERR_TLV_BAD_COMMAND, "0003 000000000000"},
    {TLV_MOD, 1, OFERR_BAD_LEN, "0000 000000000000 0102 03 08"},
    /* monitors */
    {MONITOR_14, 5, OFERR_MONITOR_BAD_FLAGS, "00000001 ffffffff ffffffff 8000 ff 00" NO_MATCH},
    {MONITOR_14, 5, OFERR_MONITOR_BAD_COMMAND, "00000001 ffffffff ffffffff 003f ff 03" NO_MATCH},
};

static void test_bad(void **state WR_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t bytes[512];
        size_t n = from_hex(bad[i].hex, bytes, sizeof bytes);
        struct reader r = reader_of(bytes, n);
        int error = decode(bad[i].decoder, bad[i].version, &r);

        if (error != bad[i].error) {
            fail_msg("row %zu: %s, wanted %s", i, error ? oferr_name(error) : "taken", oferr_name(bad[i].error));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
