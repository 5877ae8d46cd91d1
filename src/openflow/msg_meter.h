/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_MSG_METER_H
#define WARREN_OPENFLOW_MSG_METER_H
/*
 * Meters (OpenFlow 1.3 and newer): meter_mod and the statistics, configuration and features of meters.
 */
#include "openflow/msg_multipart.h"

#define OF_METER_MAX 0xffff0000u
#define OF_METER_SLOWPATH 0xfffffffdu   /* virtual: packets that user space deals with */
#define OF_METER_CONTROLLER 0xfffffffeu /* virtual: packets to the controllers */
#define OF_METER_ALL 0xffffffffu

enum of_meter_command { OF_METER_ADD, OF_METER_MODIFY, OF_METER_DELETE };
#define OF_METER_KBPS 1u
#define OF_METER_PKTPS 2u
#define OF_METER_BURST 4u
#define OF_METER_STATS 8u
enum of_band_type { OF_BAND_DROP = 1, OF_BAND_DSCP_REMARK = 2 };

struct of_meter_band {
    enum of_band_type type;
    uint32_t rate, burst; /* kbit/s and kbit, or packets/s and packets; burst only with OF_METER_BURST */
    uint8_t prec_level;   /* DSCP_REMARK */
};

struct of_meter {
    uint32_t id;
    uint16_t flags; /* OF_METER_*, either KBPS or PKTPS among them */
    struct of_meter_band *bands;
    size_t n_bands;
};
void of_meter_done(struct of_meter *m);

struct of_meter_mod {
    enum of_meter_command command;
    struct of_meter meter; /* DELETE: only its id */
};
void of_meter_mod_done(struct of_meter_mod *mm);
/* OFERR_METER_*. *RET is the caller's to free. */
int of_meter_mod_decode(struct reader *body, struct of_meter_mod *ret);
void of_meter_mod_encode(struct writer *w, uint8_t version, const struct of_meter_mod *mm, uint32_t xid);

/* METER and METER_CONFIG requests. */
int of_meter_request_decode(struct reader *body, uint32_t *ret);

/* One meter of a METER_CONFIG (1.5: METER_DESC) reply. */
void of_meter_config_put(struct writer *w, const struct of_meter *m);
int of_meter_config_decode(struct reader *r, struct of_meter *ret);

struct of_meter_stats {
    uint32_t id, flow_count;
    uint64_t packets, bytes;
    uint32_t duration_sec, duration_nsec;
    const uint64_t *band_counts; /* packets and bytes of each */
    size_t n_bands;
    uint64_t *decoded; /* when decoding: what band_counts is, the caller's to free() */
};
void of_meter_stats_put(struct writer *w, const struct of_meter_stats *ms);
int of_meter_stats_decode(struct reader *r, struct of_meter_stats *ret);

struct of_meter_features {
    uint32_t max_meter, band_types, capabilities; /* bits 1 << of_band_type; OF_METER_* */
    uint8_t max_bands, max_color;
};
void of_meter_features_put(struct writer *w, const struct of_meter_features *mf);
int of_meter_features_decode(struct reader *r, struct of_meter_features *ret);

#endif
