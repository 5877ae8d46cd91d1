/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_SWITCH_FLOW_SAVE_PRIVATE_H
#define WARREN_SWITCH_FLOW_SAVE_PRIVATE_H
/* How the lines of a bridge's saved flows begin: flow_save.c writes them, flow_restore.c reads them. */

#define SAVED_VERSION "# warren-switchd flows 1"
#define SAVED_IDENTITY "# of "
#define SAVED_NOW "# now " /* ms, as time_mono_ms(): what ages further down count from */
#define SAVED_COMPLETE "# complete"
#define SAVED_FLOW_ADD "flow add "
#define SAVED_FLOW_DELETE "flow delete_strict "
#define SAVED_GROUP_ADD "group add_or_mod "
#define SAVED_GROUP_INSERT "group insert_buckets "
#define SAVED_GROUP_DELETE "group delete "
#define SAVED_METER_ADD "meter add_or_mod "
#define SAVED_METER_DELETE "meter delete "
#define SAVED_TLV_ADD "tlv add "
#define SAVED_TLV_FORMAT "{class=0x%x,type=0x%x,len=%u}->tun_metadata%u"

#endif
