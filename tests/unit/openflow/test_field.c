/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, writing and unwildcarding fields where that is more than copying bytes. */
#include "hex.h"

#include <netinet/in.h>

#include "openflow/field.h"

static union field_value value(const char *hex)
{
    union field_value v = {0};

    from_hex(hex, v.b, sizeof v.b);
    return v;
}

static void write_hex(struct flow *flow, enum field_id id, const char *hex)
{
    union field_value v = value(hex);

    field_write(field_get(id), flow, &v);
}

static void assert_field(const struct flow *flow, enum field_id id, const char *hex)
{
    union field_value v, want = value(hex);

    field_read(field_get(id), flow, &v);
    assert_memory_equal(&v, &want, sizeof v);
}

static void table_is_consistent(void **state WR_UNUSED)
{
    assert_null(field_by_name("tun_metadata1", 13)); /* exists while something is mapped to it */
    assert_false(field_is_there(field_by_header(field_get(FIELD_TUN_METADATA0)->nxm_header)));
    for (unsigned int i = 0; i < FLOW_TUN_METADATA_LEN / 4; i++) {
        assert_int_equal(field_map_tun_metadata(i, 4), 0);
    }
    assert_int_equal(field_map_tun_metadata(63, 4), -ENOSPC);
    assert_int_equal(field_map_tun_metadata(1, 8), -EEXIST);
    for (int id = 0; id < FIELD_TUN_METADATA0 + FLOW_TUN_METADATA_LEN / 4; id++) {
        const struct field *f = field_get((enum field_id)id);

        assert_int_equal(f->id, id);
        assert_ptr_equal(field_by_name(f->name, strlen(f->name)), f);
        if (f->nxm_name) {
            assert_ptr_equal(field_by_header(f->nxm_header), f);
            assert_ptr_equal(field_by_name(f->nxm_name, strlen(f->nxm_name)), f);
            assert_int_equal(f->nxm_header & 0xff, f->n_bytes);
        }
        if (f->oxm_name) {
            assert_ptr_equal(field_by_header(f->oxm_header | 0x100), f);
            assert_ptr_equal(field_by_name(f->oxm_name, strlen(f->oxm_name)), f);
            assert_int_equal(f->oxm_header & 0xff, f->n_bytes);
        }
        assert_true(f->n_bits <= 8 * f->n_bytes);
    }
    for (unsigned int i = 0; i < FLOW_TUN_METADATA_LEN / 4; i++) {
        field_unmap_tun_metadata(i);
    }
    assert_null(field_by_name("nosuch", 6));
    assert_null(field_by_header(0x80007e02));
}

static void vlan_writes(void **state WR_UNUSED)
{
    struct flow flow = {0};
    struct flow_vlan *vlan = flow.key.vlan;

    write_hex(&flow, FIELD_VLAN_VID, "1005");
    assert_int_equal(vlan[0].tci, htons(0x1005));
    assert_int_equal(vlan[0].tpid, htons(0x8100));
    write_hex(&flow, FIELD_VLAN_PCP, "03");
    assert_int_equal(vlan[0].tci, htons(0x7005));
    write_hex(&flow, FIELD_VLAN_VID, "1006");
    assert_int_equal(vlan[0].tci, htons(0x7006));
    assert_field(&flow, FIELD_VLAN_PCP, "03");
    assert_field(&flow, FIELD_VLAN_TCI, "7006");
    vlan[1] = (struct flow_vlan){htons(0x8100), htons(0x1009)};
    write_hex(&flow, FIELD_VLAN_TCI, "0000"); /* the tag goes, the inner one moves up */
    assert_int_equal(vlan[0].tci, htons(0x1009));
    assert_int_equal(vlan[1].tci, 0);
    write_hex(&flow, FIELD_VLAN_TCI, "0000");
    assert_int_equal(vlan[0].tpid, 0);
    write_hex(&flow, FIELD_DL_VLAN, "0007"); /* OpenFlow 1.0: makes a tag */
    assert_int_equal(vlan[0].tci, htons(0x1007));
}

static void tunnel_addresses(void **state WR_UNUSED)
{
    struct flow flow = {0}, mask = {0};

    write_hex(&flow, FIELD_TUN_DST, "0a000001");
    assert_field(&flow, FIELD_TUN_IPV6_DST, "00000000000000000000ffff0a000001");
    assert_field(&flow, FIELD_TUN_DST, "0a000001");
    write_hex(&flow, FIELD_TUN_IPV6_DST, "fe800000000000000000000000000001");
    assert_field(&flow, FIELD_TUN_DST, "00000000");
    write_hex(&flow, FIELD_TUN_DST, "00000000");
    assert_field(&flow, FIELD_TUN_IPV6_DST, "");
    field_unwildcard(field_get(FIELD_TUN_SRC), &mask, NULL);
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(mask.key.tunnel.src.b[i], 0xff);
    }
}

static void registers_overlap(void **state WR_UNUSED)
{
    struct flow flow = {0};

    write_hex(&flow, FIELD_XXREG1, "00000004000000050000000600000007");
    assert_int_equal(flow.regs[4], 4);
    assert_int_equal(flow.regs[7], 7);
    assert_field(&flow, FIELD_XREG3, "0000000600000007");
    assert_field(&flow, FIELD_REG5, "00000005");
}

static void ports_of_16_bits(void **state WR_UNUSED)
{
    struct flow flow = {.in_port = OFPP_LOCAL};

    assert_field(&flow, FIELD_IN_PORT, "fffe");
    assert_field(&flow, FIELD_IN_PORT_OXM, "fffffffe");
    write_hex(&flow, FIELD_IN_PORT, "fffd");
    assert_true(flow.in_port == OFPP_CONTROLLER);
    write_hex(&flow, FIELD_IN_PORT, "0005");
    assert_true(flow.in_port == ofp_port(5));
}

static void subfields(void **state WR_UNUSED)
{
    struct flow flow = {.regs = {0x12345678}}, mask = {0};
    struct subfield sf = {field_get(FIELD_REG0), 4, 8};
    union field_value v;

    subfield_read(&sf, &flow, &v);
    assert_int_equal(field_value_u64(&v), 0x67);
    v = field_value_from_u64(0xab);
    subfield_write(&sf, &flow, &v);
    assert_int_equal(flow.regs[0], 0x12345ab8);
    subfield_unwildcard(&sf, &mask);
    assert_int_equal(mask.regs[0], 0xff0);
}

static void prerequisites(void **state WR_UNUSED)
{
    struct flow flow = {0}, mask = {0};

    assert_false(field_prereq_ok(field_get(FIELD_TCP_DST), &flow));
    flow.key.eth_type = htons(0x0800);
    flow.key.ip_proto = IPPROTO_TCP;
    assert_true(field_prereq_ok(field_get(FIELD_TCP_DST), &flow));
    assert_false(field_prereq_ok(field_get(FIELD_UDP_DST), &flow));
    flow.key.ip_frag = FLOW_FRAG_ANY | FLOW_FRAG_LATER;
    assert_false(field_prereq_ok(field_get(FIELD_TCP_DST), &flow));
    assert_true(field_prereq_ok(field_get(FIELD_IPV4_SRC), &flow));
    field_unwildcard(field_get(FIELD_TCP_DST), &mask, NULL);
    assert_int_equal(mask.key.eth_type, 0xffff);
    assert_int_equal(mask.key.ip_proto, 0xff);
    assert_int_equal(mask.key.tp_dst, 0xffff);
    assert_int_equal(mask.key.tp_src, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_consistent), cmocka_unit_test(vlan_writes),      cmocka_unit_test(tunnel_addresses),
        cmocka_unit_test(registers_overlap),   cmocka_unit_test(ports_of_16_bits), cmocka_unit_test(subfields),
        cmocka_unit_test(prerequisites),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
