/* SPDX-License-Identifier: Apache-2.0 */
/* The difference between wanted and present flows: by table, and as a model test in which random sets must become equal
 * by what reconcile() says, and a second run must say nothing. A planted fault proves that the model notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "agent/desired.h"
#include "agent/reconcile.h"

#define OURS "cookie=0x57415252454e0001,"

static struct flow_set *set_of(const char *text)
{
    struct flow_set *set = flow_set_new();
    char *error = NULL;

    if (flow_set_add_text(set, text, &error)) {
        fail_msg("%s", error);
    }
    return set;
}

static void by_table(void **state WR_UNUSED)
{
    static const struct {
        const char *what, *wanted, *present;
        size_t adds, deletes;
    } cases[] = {
        {"nothing to do", OURS "priority=1,in_port=1,actions=output:2\n",
         OURS "priority=1,in_port=1,actions=output:2\n", 0, 0},
        {"as the switch spells it", OURS "dl_vlan=1,actions=pop_vlan,set_field:0x64->tun_id,output:2\n",
         OURS "dl_vlan=1,actions=strip_vlan,set_tunnel:0x64,output:2\n", 0, 0},
        {"missing", OURS "priority=1,in_port=1,actions=drop\n", "", 1, 0},
        {"other actions", OURS "in_port=1,actions=output:2\n", OURS "in_port=1,actions=output:3\n", 1, 0},
        {"other priority is another flow", OURS "priority=2,actions=drop\n", OURS "priority=1,actions=drop\n", 1, 1},
        {"surplus", "", OURS "table=5,ip,actions=drop\n", 0, 1},
        {"foreign cookie stays", "", "cookie=0x99,table=5,ip,actions=drop\n", 0, 0},
        {"foreign cookie in our place", OURS "actions=drop\n", "cookie=0x99,actions=drop\n", 1, 0},
        {"actions that we cannot read, in place of none", OURS "in_port=1,actions=drop\n", OURS "in_port=1\n", 1, 0},
        {"surplus, with actions that we cannot read", "", OURS "in_port=1\n", 0, 1},
        {"foreign cookie, with actions that we cannot read", "", "cookie=0x99,in_port=1\n", 0, 0},
        {"learned, network is here", "",
         OURS "table=20,priority=1,hard_timeout=300,vlan_tci=0x0001/0x0fff,dl_dst=02:00:00:00:00:01,"
              "actions=load:0x64->NXM_NX_TUN_ID[],output:3\n",
         0, 0},
        {"learned, the VLAN is another network's now", "",
         OURS "table=20,priority=1,hard_timeout=300,vlan_tci=0x0001/0x0fff,"
              "dl_dst=02:00:00:00:00:01,actions=load:0xc8->NXM_NX_TUN_ID[],output:3\n",
         0, 1},
        {"learned, the tunnel is gone", "",
         OURS "table=20,priority=1,hard_timeout=300,vlan_tci=0x0001/0x0fff,dl_dst=02:00:00:00:00:01,"
              "actions=load:0x64->NXM_NX_TUN_ID[],output:4\n",
         0, 1},
        {"learned, the VLAN is a network's of another type now", "",
         OURS "table=20,priority=1,hard_timeout=300,vlan_tci=0x0001/0x0fff,dl_dst=02:00:00:00:00:01,"
              "actions=load:0x64->NXM_NX_TUN_ID[],output:5\n",
         0, 1},
        {"learned, network is gone", "",
         OURS "table=20,priority=1,hard_timeout=300,vlan_tci=0x0003/0x0fff,dl_dst=02:00:00:00:00:01,"
              "actions=output:3\n",
         0, 1},
    };
    static struct learnable learnable = {
        .vnis = {[1] = 100}, .types = {[1] = TUNNEL_VXLAN}, .ports = {[3] = 1 + TUNNEL_VXLAN, [5] = 1 + TUNNEL_GRE}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct flow_set *wanted = set_of(cases[i].wanted), *present = set_of(cases[i].present);
        struct flow_mods mods = {0};
        size_t adds = 0, deletes = 0;

        reconcile(wanted, present, &learnable, &mods);
        for (size_t k = 0; k < mods.n; k++) {
            adds += mods.mods[k].command == OF_FLOW_ADD;
            deletes += mods.mods[k].command == OF_FLOW_DELETE_STRICT;
        }
        if (adds != cases[i].adds || deletes != cases[i].deletes) {
            fail_msg("%s: %zu adds, %zu deletes", cases[i].what, adds, deletes);
        }
        flow_mods_done(&mods);
        flow_set_free(wanted);
        flow_set_free(present);
    }
}

/* ---- model: 64 possible flows, each in one of some variants; a set is an array of variants, 0 for absent ---- */

#define N_FLOWS 64

struct model {
    unsigned char variant[N_FLOWS];
};

static struct flow_set *set_of_model(const struct model *m)
{
    struct strbuf b = {0};

    for (unsigned int i = 0; i < N_FLOWS; i++) {
        if (m->variant[i]) {
            strbuf_addf(&b, OURS "table=%u,priority=%u,in_port=%u,actions=output:%u\n", i % 4, i % 8, i + 1,
                        m->variant[i]);
        }
    }
    struct flow_set *set = set_of(strbuf_str(&b));
    strbuf_done(&b);
    return set;
}

/* What a switch does with the flow_mods. FAULT: it loses the last one. */
static void apply(struct model *m, const struct flow_mods *mods, bool fault)
{
    for (size_t k = 0; k + (fault ? 1 : 0) < mods->n; k++) {
        const struct of_flow_mod *fm = &mods->mods[k];
        unsigned int i = ofp_port_u32(fm->match.value.in_port) - 1;

        assert_true(i < N_FLOWS);
        if (fm->command == OF_FLOW_ADD) {
            const struct ofpact_output *out = (const void *)fm->acts.data;

            m->variant[i] = (unsigned char)ofp_port_u32(out->port);
        } else {
            m->variant[i] = 0;
        }
    }
}

static bool round_is_right(unsigned int seed, bool fault)
{
    static const struct learnable none;
    struct model wanted = {{0}}, present = {{0}};
    struct flow_mods mods = {0}, again = {0};
    size_t differences = 0;

    srand(seed);
    for (size_t i = 0; i < N_FLOWS; i++) {
        wanted.variant[i] = (unsigned char)(rand() % 3);
        present.variant[i] = (unsigned char)(rand() % 3);
        differences += wanted.variant[i] != present.variant[i];
    }
    struct flow_set *w = set_of_model(&wanted), *p = set_of_model(&present);
    reconcile(w, p, &none, &mods);
    bool minimal = mods.n == differences;
    apply(&present, &mods, fault);
    flow_set_free(p);
    p = set_of_model(&present);
    reconcile(w, p, &none, &again);
    bool right = minimal && !again.n && !memcmp(&wanted, &present, sizeof wanted);
    flow_mods_done(&mods);
    flow_mods_done(&again);
    flow_set_free(w);
    flow_set_free(p);
    return right;
}

static void model(void **state WR_UNUSED)
{
    for (unsigned int seed = 1; seed <= 200; seed++) {
        if (!round_is_right(seed, false)) {
            fail_msg("seed %u", seed);
        }
    }
    assert_false(round_is_right(1, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_table), cmocka_unit_test(model)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
