/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we write, as Open vSwitch reads it: each message that an encoder makes goes through `ovs-ofctl ofp-print`, and
 * comes out as the text in ofp_print_texts.inc (which people looked at once). Needs ovs-ofctl of Open vSwitch 3.1.
 */
#include <endian.h>

#include "hex.h"
#include "openflow/msg_async.h"
#include "openflow/msg_monitor.h"
#include "openflow/msg_nx.h"
#include "openflow/msg_table.h"
#include "openflow/text.h"

static const uint8_t frame[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5, 1, 2, 3, 4};

static struct match match_of(const char *text)
{
    _cleanup_free_ char *error = NULL;
    struct match m;

    if (match_parse(text, NULL, &m, &error)) {
        fail_msg("%s: %s", text, error);
    }
    return m;
}

static struct ofpacts acts_of(const char *text)
{
    _cleanup_free_ char *error = NULL;
    struct ofpacts acts = {0};

    if (ofpacts_parse(text, NULL, &acts, &error)) {
        fail_msg("%s: %s", text, error);
    }
    return acts;
}

/* ---- one message each ---- */

static void put_hello(struct writer *w, uint8_t v WR_UNUSED)
{
    of_hello_encode(w, 1u << 1 | 1u << 4 | 1u << 5, 1);
}

static void put_error(struct writer *w, uint8_t v, int error)
{
    struct writer request = {0};

    of_encode_empty(&request, v, OFT_BARRIER_REQUEST, 9);
    of_error_encode(w, v, error, request.data, request.len, 9);
    writer_done(&request);
}
static void put_error_bad_table(struct writer *w, uint8_t v)
{
    put_error(w, v, OFERR_FLOW_MOD_BAD_TABLE_ID);
}
static void put_error_prereq(struct writer *w, uint8_t v)
{
    put_error(w, v, OFERR_MATCH_BAD_PREREQ);
}
static void put_error_overlap(struct writer *w, uint8_t v)
{
    put_error(w, v, OFERR_FLOW_MOD_OVERLAP);
}
static void put_error_bundle(struct writer *w, uint8_t v)
{
    put_error(w, v, OFERR_BUNDLE_BAD_ID);
}
static void put_error_property(struct writer *w, uint8_t v)
{
    put_error(w, v, OFERR_PROPERTY_BAD_TYPE);
}
static void put_error_tlv(struct writer *w, uint8_t v)
{
    put_error(w, v, OFERR_TLV_TABLE_FULL);
}
static void put_error_group(struct writer *w, uint8_t v)
{
    put_error(w, v, OFERR_GROUP_UNKNOWN);
}

static struct of_packet_in packet_in(void)
{
    return (struct of_packet_in){
        .total_len = sizeof frame,
        .reason = 1,
        .table = 3,
        .cookie = htobe64(5),
        .match = match_of("in_port=7,reg1=2,tun_id=9"),
        .data = frame,
        .data_len = sizeof frame,
        .userdata = frame,
        .userdata_len = 3,
    };
}
static void put_packet_in(struct writer *w, uint8_t v)
{
    const struct of_packet_in pin = packet_in();

    of_packet_in_encode(w, v, OF_PACKET_IN_STANDARD, &pin);
}
static void put_packet_in_nxt(struct writer *w, uint8_t v)
{
    const struct of_packet_in pin = packet_in();

    of_packet_in_encode(w, v, OF_PACKET_IN_NXT, &pin);
}
static void put_packet_in_nxt2(struct writer *w, uint8_t v)
{
    const struct of_packet_in pin = packet_in();

    of_packet_in_encode(w, v, OF_PACKET_IN_NXT2, &pin);
}

static void put_removed(struct writer *w, uint8_t v, bool nx, uint8_t reason)
{
    const struct of_flow_format format = {.version = v, .nx = nx};
    const struct of_flow_removed fr = {
        .cookie = htobe64(5),
        .priority = 100,
        .idle_timeout = 10,
        .hard_timeout = 20,
        .reason = reason,
        .table = 4,
        .duration_sec = 3,
        .duration_nsec = 5000000,
        .packets = 6,
        .bytes = 700,
        .match = match_of("ip,nw_dst=10.0.0.0/8,nw_proto=6"),
    };

    of_flow_removed_encode(w, &format, &fr);
}
static void put_flow_removed(struct writer *w, uint8_t v)
{
    put_removed(w, v, false, OF_REMOVED_EVICTION);
}
static void put_flow_removed_meter(struct writer *w, uint8_t v)
{
    put_removed(w, v, false, OF_REMOVED_METER);
}
static void put_flow_removed_nx(struct writer *w, uint8_t v)
{
    put_removed(w, v, true, OF_REMOVED_EVICTION);
}

static void put_flow_mod(struct writer *w, uint8_t v)
{
    struct of_flow_mod fm = {
        .command = OF_FLOW_ADD,
        .table = 2,
        .priority = 9,
        .idle_timeout = 10,
        .hard_timeout = 20,
        .flags = FLOW_F_SEND_FLOW_REM,
        .importance = 7,
        .cookie = htobe64(5),
        .buffer_id = OF_NO_BUFFER,
        .out_group = OF_GROUP_ANY,
        .out_port = OFPP_ANY,
        .match = match_of("in_port=1,reg2=5"),
        .acts = acts_of("output:3,goto_table:4"),
    };

    of_flow_mod_encode(w, v, &fm, 9);
    of_flow_mod_done(&fm);
}

static struct of_port port(void)
{
    return (struct of_port){
        .port_no = ofp_port(3),
        .hw_addr = {{2, 0, 0, 0, 0, 3}},
        .name = "eth0",
        .config = 1u << 2,
        .state = 5,
        .curr = 1u << 6 | 1u << 11 | 1u << 13,
        .advertised = 1u << 5 | 1u << 14,
        .supported = 1u << 6 | 1u << 15,
        .curr_speed_kbps = 10000000,
        .max_speed_kbps = 20000000,
    };
}
static void put_port_status(struct writer *w, uint8_t v)
{
    const struct of_port p = port();

    of_port_status_encode(w, v, 2, &p);
}

static const struct of_role_request master = {.role = OF_ROLE_MASTER, .have_generation = true, .generation = 77};

static void put_role_reply(struct writer *w, uint8_t v)
{
    of_role_encode(w, v, OFT_ROLE_REPLY, &master, 9);
}
static void put_role_nx(struct writer *w, uint8_t v)
{
    of_nx_role_encode(w, v, true, OF_ROLE_SLAVE, 9);
}
static void put_role_status(struct writer *w, uint8_t v)
{
    of_role_status_encode(w, v, &master, OF_ROLE_MASTER_REQUEST);
}

static struct of_async async(void)
{
    return (struct of_async){.masks = {{0x3f, 7, 0x3f, 3, 0x18, 3}, {0, 7, 0, 1, 0, 0}}};
}
static void put_async(struct writer *w, uint8_t v)
{
    const struct of_async a = async();

    of_async_encode(w, v, OFT_GET_ASYNC_REPLY, &a, 9);
}
static void put_async_nx(struct writer *w, uint8_t v)
{
    const struct of_async a = async();

    of_nx_async_encode(w, v, true, &a, 9);
}
static void put_async_nx2(struct writer *w, uint8_t v)
{
    const struct of_async a = async();

    of_nx_async_encode(w, v, false, &a, 9);
}

/* A group_mod that deletes group 5; in 1.0 Nicira's, which has the form of 1.5. */
static void put_requestforward(struct writer *w, uint8_t v)
{
    struct writer request = {0};
    size_t start = v == OF_VERSION_10 ? of_begin_experimenter(&request, v, OF_EXPERIMENTER_NX, NXT_GROUP_MOD, 8)
                                      : of_begin(&request, v, OFT_GROUP_MOD, 8);

    writer_u16(&request, 2);
    writer_zeros(&request, 2);
    writer_u32(&request, 5);
    if (v == OF_VERSION_10) {
        writer_zeros(&request, 4);
        writer_u32(&request, 0xffffffff); /* OFPG_BUCKET_ALL */
    }
    of_end(&request, start);
    of_requestforward_encode(w, v, request.data, request.len);
    writer_done(&request);
}

static void put_bundle_ctrl(struct writer *w, uint8_t v)
{
    of_bundle_ctrl_encode(w, v, 6, OF_BUNDLE_COMMIT_REPLY, OF_BUNDLE_ATOMIC | OF_BUNDLE_ORDERED, 9);
}
static void put_bundle_add(struct writer *w, uint8_t v)
{
    size_t start = of_bundle_add_begin(w, v, 6, OF_BUNDLE_ATOMIC, 9);

    put_flow_mod(w, v);
    of_end(w, start);
}

static const struct of_table_config table_config = {
    .table = 5,
    .eviction = OF_ON,
    .vacancy = OF_ON,
    .eviction_flags = OF_EVICT_IMPORTANCE,
    .vacancy_down = 20,
    .vacancy_up = 30,
    .vacancy_now = 25,
    .miss = 0,
};
static void put_table_mod(struct writer *w, uint8_t v)
{
    of_table_mod_encode(w, v, &table_config, 9);
}
static void put_table_status(struct writer *w, uint8_t v)
{
    of_table_status_encode(w, v, OF_TABLE_VACANCY_DOWN, &table_config);
}

static void put_tlv_table(struct writer *w, uint8_t v)
{
    static const struct nx_tlv_map maps[] = {{0xffff, 1, 4, 0}, {0x102, 3, 8, 5}};

    nx_tlv_reply_encode(w, v, 128, 64, maps, ARRAY_SIZE(maps), 9);
}

/* ---- multipart ---- */

static void put_desc(struct writer *w, uint8_t v)
{
    static const struct of_desc desc = {"maker", "hardware", "software", "serial", "datapath"};
    struct of_mp mp;

    of_mp_begin(&mp, w, v, OFMP_DESC, 9);
    of_desc_encode(w, &desc);
    of_mp_end(&mp);
}

static void put_stats_of(struct writer *w, uint8_t v, bool nx)
{
    static const struct of_mp_kind nxst = {OFMP_EXPERIMENTER, OF_EXPERIMENTER_NX, NXST_FLOW};
    const struct of_flow_format format = {.version = v, .nx = nx};
    struct ofpacts acts = acts_of("mod_vlan_vid:5,output:1,resubmit(,7)");
    struct of_flow_stats fs = {
        .table = 3,
        .duration_sec = 3,
        .duration_nsec = 5000000,
        .priority = 9,
        .idle_timeout = 10,
        .hard_timeout = 20,
        .flags = FLOW_F_SEND_FLOW_REM,
        .importance = 4,
        .idle_age = 2,
        .hard_age = 3,
        .cookie = htobe64(5),
        .packets = 6,
        .bytes = 700,
        .match = match_of("in_port=1,tcp,nw_src=10.0.0.0/24,tp_dst=80,dl_vlan=5"),
        .acts = acts.data,
        .acts_len = acts.len,
    };
    struct of_mp mp;

    if (nx) {
        of_mp_begin_kind(&mp, w, v, &nxst, 9);
    } else {
        of_mp_begin(&mp, w, v, OFMP_FLOW, 9);
    }
    for (int i = 0; i < 2; i++) {
        of_mp_entry(&mp);
        of_flow_stats_encode(w, &format, &fs);
        of_mp_entry_done(&mp);
        fs.acts_len = 0;
        fs.match = match_of("");
    }
    of_mp_end(&mp);
    ofpacts_done(&acts);
}
static void put_flow_stats(struct writer *w, uint8_t v)
{
    put_stats_of(w, v, false);
}
static void put_flow_stats_nx(struct writer *w, uint8_t v)
{
    put_stats_of(w, v, true);
}

/* In the form that belongs to the version: Nicira's, ONF's, 1.4's. */
static void put_flow_updates(struct writer *w, uint8_t v)
{
    enum of_monitor_form form = v == OF_VERSION_10   ? OF_MONITOR_NX
                                : v == OF_VERSION_13 ? OF_MONITOR_ONF
                                                     : OF_MONITOR_14;
    struct ofpacts acts = acts_of("output:1");
    struct of_flow_update fu = {
        .event = OF_UPDATE_ADDED,
        .table = 3,
        .priority = 9,
        .cookie = htobe64(5),
        .match = match_of("in_port=1,reg1=2"),
        .acts = acts.data,
        .acts_len = acts.len,
    };
    struct of_mp mp;

    of_monitor_reply_begin(&mp, w, v, form, 9);
    of_flow_update_encode(w, v, form, &fu);
    fu.event = OF_UPDATE_REMOVED;
    fu.reason = OF_REMOVED_DELETE;
    fu.acts_len = 0;
    of_flow_update_encode(w, v, form, &fu);
    fu.event = OF_UPDATE_ABBREV;
    fu.xid = 77;
    of_flow_update_encode(w, v, form, &fu);
    of_mp_end(&mp);
    ofpacts_done(&acts);
}

static void put_aggregate(struct writer *w, uint8_t v)
{
    struct of_mp mp;

    of_mp_begin(&mp, w, v, OFMP_AGGREGATE, 9);
    of_aggregate_encode(w, v, 6, 700, 8);
    of_mp_end(&mp);
}
static void put_aggregate_nx(struct writer *w, uint8_t v)
{
    static const struct of_mp_kind nxst = {OFMP_EXPERIMENTER, OF_EXPERIMENTER_NX, NXST_AGGREGATE};
    struct of_mp mp;

    of_mp_begin_kind(&mp, w, v, &nxst, 9);
    of_aggregate_encode(w, OF_VERSION_10, 6, 700, 8);
    of_mp_end(&mp);
}

static void put_table_stats(struct writer *w, uint8_t v)
{
    struct of_table_stats ts = {
        .table = 1, .name = "one", .max_entries = 1000, .active = 7, .lookup = 80, .matched = 60};
    struct of_mp mp;

    of_mp_begin(&mp, w, v, OFMP_TABLE, 9);
    of_table_stats_put(w, v, &ts);
    of_mp_end(&mp);
}
static void put_table_desc(struct writer *w, uint8_t v)
{
    struct of_mp mp;

    of_mp_begin(&mp, w, v, OFMP_TABLE_DESC, 9);
    of_table_desc_put(w, &table_config);
    of_mp_end(&mp);
}
static void put_table_features(struct writer *w, uint8_t v)
{
    struct of_mp mp;

    of_mp_begin(&mp, w, v, OFMP_TABLE_FEATURES, 9);
    of_table_features_put(w, v, 252, "last but one", 1000);
    of_mp_end(&mp);
}

static void put_port_stats(struct writer *w, uint8_t v)
{
    const struct of_port_stats ps = {
        .port_no = ofp_port(3),
        .rx_packets = 1,
        .tx_packets = 2,
        .rx_bytes = 3,
        .tx_bytes = 4,
        .rx_dropped = 5,
        .tx_dropped = 6,
        .rx_errors = 7,
        .tx_errors = 8,
        .rx_frame_err = 9,
        .rx_over_err = 10,
        .rx_crc_err = 11,
        .collisions = UINT64_MAX,
        .duration_sec = 12,
        .duration_nsec = 500000000,
    };
    struct of_mp mp;

    of_mp_begin(&mp, w, v, OFMP_PORT_STATS, 9);
    of_port_stats_encode(w, v, &ps);
    of_port_stats_encode(w, v, &ps);
    of_mp_end(&mp);
}
static void put_port_desc(struct writer *w, uint8_t v)
{
    struct of_port p = port();
    struct of_mp mp;

    of_mp_begin(&mp, w, v, OFMP_PORT_DESC, 9);
    of_port_encode(w, v, &p);
    p.port_no = OFPP_LOCAL;
    p.config = 1;
    p.state = 1;
    of_port_encode(w, v, &p);
    of_mp_end(&mp);
}

static void put_queue_stats(struct writer *w, uint8_t v)
{
    const struct of_queue_stats qs = {
        .port_no = ofp_port(3),
        .queue_id = 1,
        .tx_bytes = 100,
        .tx_packets = 2,
        .tx_errors = UINT64_MAX,
        .duration_sec = 12,
        .duration_nsec = 500000000,
    };
    struct of_mp mp;

    of_mp_begin(&mp, w, v, OFMP_QUEUE, 9);
    of_queue_stats_encode(w, v, &qs);
    of_queue_stats_encode(w, v, &qs);
    of_mp_end(&mp);
}
static void put_queue_config(struct writer *w, uint8_t v)
{
    const struct of_queue_config qc = {.port_no = ofp_port(3), .queue_id = 1, .min_rate = 100, .max_rate = 500};
    const struct of_queue_config none = {ofp_port(3), 2, OF_QUEUE_RATE_NONE, OF_QUEUE_RATE_NONE};
    struct of_mp mp;
    size_t start = 0;

    if (v >= OF_VERSION_14) {
        of_mp_begin(&mp, w, v, OFMP_QUEUE_DESC, 9);
    } else {
        start = of_begin(w, v, OFT_QUEUE_GET_CONFIG_REPLY, 9);
        writer_u16(w, v == OF_VERSION_10 ? 3 : 0);
        writer_zeros(w, v == OF_VERSION_10 ? 6 : 0);
        if (v > OF_VERSION_10) {
            writer_u16(w, 3);
            writer_zeros(w, 4);
        }
    }
    of_queue_config_encode(w, v, &qc);
    of_queue_config_encode(w, v, &none);
    if (v >= OF_VERSION_14) {
        of_mp_end(&mp);
    } else {
        of_end(w, start);
    }
}

/* ---- the test ---- */

static const struct {
    const char *name;
    void (*put)(struct writer *w, uint8_t version);
    uint8_t version;
    const char *text;
} messages[] = {
#define M(NAME, VERSION) #NAME, put_##NAME, VERSION
#include "ofp_print_texts.inc"
#undef M
};

static char *ofp_print(const struct writer *w)
{
    _cleanup_free_ char *hex = to_hex(w->data, w->len);
    _cleanup_free_ char *command = xasprintf("exec ovs-ofctl ofp-print %s 2>&1", hex);
    FILE *f = popen(command, "r");
    char *text = xcalloc(1, 65536);

    assert_non_null(f);
    size_t n = fread(text, 1, 65535, f);
    text[n] = '\0';
    assert_int_equal(pclose(f), 0);
    return text;
}

static void test_print(void **state WR_UNUSED)
{
    if (access("/usr/bin/ovs-ofctl", X_OK)) {
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
        struct writer w = {0};

        messages[i].put(&w, messages[i].version);
        assert_int_equal(w.error, 0);
        assert_int_equal(be16toh(*(uint16_t *)(void *)(w.data + 2)), w.len);
        char *text = ofp_print(&w);
        if (strcmp(text, messages[i].text)) {
            fail_msg("%s of wire version %u:\n%s\nwanted:\n%s", messages[i].name, messages[i].version, text,
                     messages[i].text);
        }
        free(text);
        writer_done(&w);
    }
}

/* Names of ours (OpenFlow 1.3's) that Open vSwitch has by another version, and what a version says otherwise. */
static bool same_error(const char *ours, const char *theirs, uint8_t version)
{
    static const struct {
        const char *ours, *theirs;
        uint8_t last; /* version; 0: all */
    } others[] = {
        {"OFPBRC_BAD_MULTIPART", "OFPBRC_BAD_STAT", 0},
        {"OFPBRC_BAD_EXPERIMENTER", "OFPBRC_BAD_VENDOR", 0},
        {"OFPBRC_BAD_EXP_TYPE", "OFPBRC_BAD_SUBTYPE", 0},
        {"OFPBAC_BAD_EXPERIMENTER", "OFPBAC_BAD_VENDOR", 0},
        {"OFPBAC_BAD_EXP_TYPE", "OFPBAC_BAD_VENDOR_TYPE", 0},
        {"OFPBRC_IS_SLAVE", "OFPBRC_IS_SECONDARY", 0},
        {"OFPFMFC_BAD_TABLE_ID", "OFPBRC_BAD_TABLE_ID", OF_VERSION_10},
    };

    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        if (!strcmp(ours, others[i].ours) && !strcmp(theirs, others[i].theirs)) {
            return !others[i].last || version <= others[i].last;
        }
    }
    return !strcmp(ours, theirs);
}

/* Our own reader finds what was meant, or what goes by the same number. */
static void check_error_read(const uint8_t *msg, size_t len, uint8_t version, int error)
{
    int back = of_error_decode(msg + OF_HEADER_LEN, len - OF_HEADER_LEN, version);
    struct writer again = {0};

    if (back != error) {
        put_error(&again, version, back);
        if (again.len != len || memcmp(again.data, msg, len)) {
            fail_msg("%s in wire version %u is read as %s", oferr_name(error), version, oferr_name(back));
        }
        assert_true(back == OFERR_NX_UNENCODABLE || version < OF_VERSION_14);
    }
    writer_done(&again);
}

/* Every error, in each version: read as what it was, or as "this version has no number for it". */
static void put_errors(struct writer *w, uint8_t version, FILE *names)
{
    static const int types[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, OFERR_NX};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        for (int code = 0; code < 64; code++) {
            int error = OFERR(types[i], code);
            const char *name = oferr_name(error);

            if (strncmp(name, "OFP", 3) && strncmp(name, "NX", 2)) {
                continue;
            }
            size_t start = w->len;
            put_error(w, version, error);
            check_error_read(w->data + start, w->len - start, version, error);
            fprintf(names, "%s\n", name);
        }
    }
}

static void test_errors(void **state WR_UNUSED)
{
    static const struct {
        uint8_t version;
        size_t n_unencodable; /* that error itself is one of them */
    } versions[] = {{OF_VERSION_10, 99}, {OF_VERSION_13, 26}, {OF_VERSION_14, 17}, {OF_VERSION_15, 1}};

    if (access("/usr/bin/ovs-ofctl", X_OK)) {
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        char path[] = "/tmp/warren-errors-XXXXXX", line[512], name[64], want[64];
        _cleanup_close_ int fd = mkstemp(path);
        _cleanup_free_ char *names = NULL;
        size_t n = 0, unencodable = 0;
        FILE *names_to = open_memstream(&names, &n);
        struct writer w = {0};

        put_errors(&w, versions[i].version, names_to);
        fclose(names_to);
        assert_int_equal(write(fd, w.data, w.len), w.len);
        writer_done(&w);
        _cleanup_free_ char *command = xasprintf("exec ovs-ofctl ofp-parse %s 2>&1", path);
        FILE *printed = popen(command, "r");
        const char *next = names;
        while (fgets(line, sizeof line, printed)) {
            int len;

            if (strncmp(line, "OFPT_ERROR", 10)) {
                continue;
            }
            assert_int_equal(sscanf(strstr(line, "): "), "): %63s", name), 1);
            assert_int_equal(sscanf(next, "%63s%n", want, &len), 1);
            next += len;
            if (!strcmp(name, "NXBRC_UNENCODABLE_ERROR")) {
                unencodable++;
            } else if (!same_error(want, name, versions[i].version)) {
                fail_msg("%s in wire version %u is read as %s", want, versions[i].version, name);
            }
        }
        assert_int_equal(pclose(printed), 0);
        unlink(path);
        assert_int_equal(sscanf(next, "%63s", want), EOF);
        assert_int_equal(unencodable, versions[i].n_unencodable);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
