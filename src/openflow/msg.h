/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_H
#define WARREN_OPENFLOW_MSG_H
/*
 * OpenFlow messages, decoded and encoded: OpenFlow 1.0, 1.3, 1.4 and 1.5 (wire versions 1, 4, 5 and 6). The structs are
 * the same for every version; the functions take it. msg.c has header, hello, errors and matches, msg_flow.c flow_mod
 * and flow_removed, msg_packet.c packet_in and packet_out, msg_port.c ports, msg_bundle.c bundles, msg_nx.h what
 * Nicira's extension adds.
 *
 * Decoders read a message's body, the bytes behind the 8-byte header, and return 0 or OFERR_*. What they return owns
 * its action list (ofpacts_done()). Encoders append one whole message to a writer. msg_multipart.h has the multipart
 * bodies.
 */
#include "base/cursor.h"
#include "openflow/action.h"
#include "openflow/error.h"
#include "openflow/match.h"

/* Versions by their numbers on the wire. */
#define OF_VERSION_10 1
#define OF_VERSION_13 4
#define OF_VERSION_14 5
#define OF_VERSION_15 6
#define OF_HEADER_LEN 8
#define OF_MAX_LEN 65535
#define OF_NO_BUFFER 0xffffffffu
#define OF_GROUP_ANY 0xffffffffu
#define OF_QUEUE_ALL 0xffffffffu
#define OF_EXPERIMENTER_ONF 0x4f4e4600u
#define OF_EXPERIMENTER_NX 0x00002320u

/* enum ofp_type of OpenFlow 1.5; 1.0's own numbers are translated by the header's functions. */
enum of_type {
    OFT_HELLO = 0,
    OFT_ERROR = 1,
    OFT_ECHO_REQUEST = 2,
    OFT_ECHO_REPLY = 3,
    OFT_EXPERIMENTER = 4,
    OFT_FEATURES_REQUEST = 5,
    OFT_FEATURES_REPLY = 6,
    OFT_GET_CONFIG_REQUEST = 7,
    OFT_GET_CONFIG_REPLY = 8,
    OFT_SET_CONFIG = 9,
    OFT_PACKET_IN = 10,
    OFT_FLOW_REMOVED = 11,
    OFT_PORT_STATUS = 12,
    OFT_PACKET_OUT = 13,
    OFT_FLOW_MOD = 14,
    OFT_GROUP_MOD = 15,
    OFT_PORT_MOD = 16,
    OFT_TABLE_MOD = 17,
    OFT_MULTIPART_REQUEST = 18,
    OFT_MULTIPART_REPLY = 19,
    OFT_BARRIER_REQUEST = 20,
    OFT_BARRIER_REPLY = 21,
    OFT_QUEUE_GET_CONFIG_REQUEST = 22,
    OFT_QUEUE_GET_CONFIG_REPLY = 23,
    OFT_ROLE_REQUEST = 24,
    OFT_ROLE_REPLY = 25,
    OFT_GET_ASYNC_REQUEST = 26,
    OFT_GET_ASYNC_REPLY = 27,
    OFT_SET_ASYNC = 28,
    OFT_METER_MOD = 29,
    OFT_ROLE_STATUS = 30,
    OFT_TABLE_STATUS = 31,
    OFT_REQUESTFORWARD = 32,
    OFT_BUNDLE_CONTROL = 33,
    OFT_BUNDLE_ADD = 34,
    OFT_CONTROLLER_STATUS = 35,
    OFT_UNKNOWN = 255,
};

struct of_header {
    uint8_t version;
    uint8_t type; /* enum of_type */
    uint16_t length;
    uint32_t xid;
};

/* Of the first 8 bytes. -EBADMSG when there are fewer or the length is under 8. */
int of_header_decode(const void *data, size_t len, struct of_header *ret);
/* Begins a message at the end of W and returns where; of_end() fills in its length (or sets W's error if it is over 64
 * KiB). */
size_t of_begin(struct writer *w, uint8_t version, enum of_type type, uint32_t xid);
void of_end(struct writer *w, size_t start);
/* An EXPERIMENTER message (VENDOR in 1.0; the two have the same form for Nicira's and ONF's). */
size_t of_begin_experimenter(struct writer *w, uint8_t version, uint32_t experimenter, uint32_t exp_type, uint32_t xid);
/* A message that is a header only. */
void of_encode_empty(struct writer *w, uint8_t version, enum of_type type, uint32_t xid);

/* HELLO with a version bitmap element. VERSIONS: bit 1 << wire version. */
void of_hello_encode(struct writer *w, uint32_t versions, uint32_t xid);
/* The versions that a peer's HELLO offers: its bitmap, or everything up to the header's version without one. */
uint32_t of_hello_decode(const struct of_header *h, const void *body, size_t len);

/* An error for OFERR_* ERROR (an errno becomes BAD_REQUEST/EPERM) about the message REQUEST of REQUEST_LEN bytes: at
 * least its first 64 bytes go along. */
void of_error_encode(struct writer *w, uint8_t version, int error, const void *request, size_t request_len,
                     uint32_t xid);
/* HELLO_FAILED carries a text instead. */
void of_hello_failed_encode(struct writer *w, uint8_t version, const char *text, uint32_t xid);
/* The OFERR_* in an error's body. */
int of_error_decode(const void *body, size_t len, uint8_t version);

/* An ofp_match: type, length, TLVs, padding to 8 bytes. */
int of_match_decode(struct reader *r, struct match *ret);
void of_match_encode(struct writer *w, uint8_t version, const struct match *match);

enum of_flow_command { OF_FLOW_ADD, OF_FLOW_MODIFY, OF_FLOW_MODIFY_STRICT, OF_FLOW_DELETE, OF_FLOW_DELETE_STRICT };

/* The form of a flow on the wire: the standard's of the connection's version, or Nicira's, which 1.0 needs for anything
 * beyond its own twelve fields. TABLE_ID: Nicira's extension that puts a table into flow_mod's command (1.0 only). */
struct of_flow_format {
    uint8_t version;
    bool nx, table_id;
};

struct of_flow_mod {
    enum of_flow_command command;
    table_id_t table; /* TABLE_ID_ALL in 1.0 without the extension: every table for changes, for ADD the first */
    uint16_t priority, idle_timeout, hard_timeout;
    uint16_t flags;      /* OFPFF_* of 1.3 */
    uint16_t importance; /* 1.4 */
    /* ADD: `cookie` is the flow's. Else flows are selected by cookie and mask, and of 1.0 and Nicira's MODIFY the flows
     * get `new_cookie` if `modify_cookie`. */
    __be64 cookie, cookie_mask, new_cookie;
    bool modify_cookie;
    uint32_t buffer_id, out_group;
    ofp_port_t out_port;
    struct match match;
    struct ofpacts acts;
};
/* Also checks table, flags and, for commands that carry actions, ofpacts_check(). */
int of_flow_mod_decode(struct reader *body, const struct of_flow_format *format, struct of_flow_mod *ret);
void of_flow_mod_encode(struct writer *w, uint8_t version, const struct of_flow_mod *fm, uint32_t xid);
void of_flow_mod_done(struct of_flow_mod *fm);

enum of_flow_removed_reason {
    OF_REMOVED_IDLE,
    OF_REMOVED_HARD,
    OF_REMOVED_DELETE,
    OF_REMOVED_GROUP, /* 1.3; older versions say DELETE, as for METER before 1.4 */
    OF_REMOVED_METER,
    OF_REMOVED_EVICTION, /* 1.4; told in older versions, too, where it was asked for */
};
struct of_flow_removed {
    __be64 cookie;
    uint16_t priority, idle_timeout, hard_timeout;
    uint8_t reason; /* enum of_flow_removed_reason */
    table_id_t table;
    uint32_t duration_sec, duration_nsec;
    uint64_t packets, bytes;
    struct match match;
};
/* As what a peer of VERSION is told of REASON (OF_REMOVED_*), and by which bit of its masks: versions that lack it are
 * told DELETE; but EVICTION, which is nobody's doing, has its number in all of them, for who asks for it (as Open
 * vSwitch tells it). */
uint8_t of_flow_removed_reason(uint8_t reason, uint8_t version);
void of_flow_removed_encode(struct writer *w, const struct of_flow_format *format, const struct of_flow_removed *fr);

struct of_packet_in {
    uint32_t total_len;
    uint8_t reason;
    table_id_t table;
    __be64 cookie;
    struct match match; /* in_port and the pipeline's fields */
    const void *data;
    size_t data_len;
    const uint8_t *userdata; /* of controller(userdata=): only NXT2 carries it */
    size_t userdata_len;
};
/* As NXT_SET_PACKET_IN_FORMAT numbers them. */
enum of_packet_in_format { OF_PACKET_IN_STANDARD, OF_PACKET_IN_NXT, OF_PACKET_IN_NXT2 };
void of_packet_in_encode(struct writer *w, uint8_t version, enum of_packet_in_format format,
                         const struct of_packet_in *pin);

struct of_packet_out {
    uint32_t buffer_id;
    ofp_port_t in_port;
    struct match match; /* 1.5: in_port and the pipeline's fields */
    struct ofpacts acts;
    const uint8_t *data; /* points into the message */
    size_t data_len;
};
int of_packet_out_decode(struct reader *body, uint8_t version, struct of_packet_out *ret);
/* Of OpenFlow 1.3 and 1.4. MATCH is not looked at. */
void of_packet_out_encode(struct writer *w, uint8_t version, const struct of_packet_out *po, uint32_t xid);

struct of_port {
    ofp_port_t port_no;
    struct eth_addr hw_addr;
    char name[16]; /* NUL-terminated, cut */
    uint32_t config, state, curr, advertised, supported, peer, curr_speed_kbps, max_speed_kbps;
};
void of_port_encode(struct writer *w, uint8_t version, const struct of_port *port);
int of_port_decode(struct reader *r, uint8_t version, struct of_port *ret);
void of_port_status_encode(struct writer *w, uint8_t version, uint8_t reason, const struct of_port *port);

struct of_port_mod {
    ofp_port_t port_no;
    struct eth_addr hw_addr;
    uint32_t config, mask, advertise;
};
int of_port_mod_decode(struct reader *body, uint8_t version, struct of_port_mod *ret);

/* Bundles (ONF extension 230 for 1.3; the same bodies in 1.4's own messages). */
enum of_bundle_ctrl_type {
    OF_BUNDLE_OPEN_REQUEST,
    OF_BUNDLE_OPEN_REPLY,
    OF_BUNDLE_CLOSE_REQUEST,
    OF_BUNDLE_CLOSE_REPLY,
    OF_BUNDLE_COMMIT_REQUEST,
    OF_BUNDLE_COMMIT_REPLY,
    OF_BUNDLE_DISCARD_REQUEST,
    OF_BUNDLE_DISCARD_REPLY,
};
#define OF_BUNDLE_ATOMIC 1
#define OF_BUNDLE_ORDERED 2
#define OF_ONF_BUNDLE_CTRL 2300
#define OF_ONF_BUNDLE_ADD 2301
void of_bundle_ctrl_encode(struct writer *w, uint8_t version, uint32_t bundle_id, enum of_bundle_ctrl_type type,
                           uint16_t flags, uint32_t xid);
/* Begins a bundle-add message; append the inner message (same xid), then of_end(). */
size_t of_bundle_add_begin(struct writer *w, uint8_t version, uint32_t bundle_id, uint16_t flags, uint32_t xid);

#endif
