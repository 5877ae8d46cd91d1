/* SPDX-License-Identifier: Apache-2.0 */
/* Bridge rows: what they say of NORMAL: learning, reserved addresses, flooded VLANs, multicast snooping. */
#include "switch/configurator_private.h"
#include "switch/mcast_table.h"

/* A number of other_config, forced into its range. */
static int64_t bounded(const struct ovsdb_row *row, const char *key, int64_t def, int64_t min, int64_t max)
{
    return MAX(min, MIN(ovsdb_row_map_int(row, "other_config", key, def), max));
}

static bool flag(const struct ovsdb_row *row, const char *key)
{
    const char *s = ovsdb_row_map_string(row, "other_config", key);
    return s && !strcasecmp(s, "true"); /* any case, as Open vSwitch takes it */
}

void bridge_normal_apply(struct cbridge *cb)
{
    const struct ovsdb_row *row = cb->row;
    int64_t age = bounded(row, "mac-aging-time", MAC_TABLE_DEFAULT_AGE_MS / 1000, 15, 3600);
    int64_t size = bounded(row, "mac-table-size", MAC_TABLE_DEFAULT_SIZE, 10, 1000000);
    const struct mcast_settings mcast = {
        .enable = ovsdb_row_bool(row, "mcast_snooping_enable", false),
        .age_ms = bounded(row, "mcast-snooping-aging-time", MCAST_DEFAULT_AGE_MS / 1000, 15, 3600) * 1000,
        .max = (size_t)bounded(row, "mcast-snooping-table-size", MCAST_DEFAULT_SIZE, 10, 1000000),
        .flood_unregistered = !flag(row, "mcast-snooping-disable-flood-unregistered"),
    };
    _cleanup_free_ uint8_t *flood_vlans = vlan_bits_read(row, "flood_vlans");
    bridge_set_mac_limits(cb->bridge, (size_t)size, age * 1000);
    bridge_set_forward_bpdu(cb->bridge, flag(row, "forward-bpdu"));
    bridge_set_flood_vlans(cb->bridge, flood_vlans);
    bridge_set_mcast(cb->bridge, &mcast);
}
