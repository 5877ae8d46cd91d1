/* SPDX-License-Identifier: Apache-2.0 */
/* Saved flows: what was written comes back, whatever was changed while and after it was written; nothing that was
 * deleted does; a damaged or foreign file brings nothing. */
#include <stdio.h>

#include "env.h"
#include "openflow/text_group.h"
#include "switch/flow_save.h"
#include "switch/group_table.h"
#include "switch/meter_table.h"

#define IDENTITY "bridge 1 boot 2 secure"

struct saved {
    struct env e;
    char dir[32], *path;
};

static int setup(void **state)
{
    struct saved *s = xcalloc(1, sizeof *s);

    env_init(&s->e);
    strcpy(s->dir, "/tmp/flowsaveXXXXXX");
    assert_non_null(mkdtemp(s->dir));
    s->path = xasprintf("%s/br0.flows", s->dir);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct saved *s = *state;
    _cleanup_free_ char *damaged = xasprintf("%s.damaged", s->path);

    flow_saver_destroy(s->e.br->saver, true);
    assert_int_not_equal(access(s->path, F_OK), 0);
    unlink(damaged);
    assert_int_equal(rmdir(s->dir), 0);
    env_done(&s->e);
    free(s->path);
    free(s);
    return 0;
}

/* ---- what a bridge has, as sorted lines ---- */

struct lines {
    char **line;
    size_t n;
};

static void add_line(struct lines *l, struct strbuf *b)
{
    l->line = xrealloc(l->line, (l->n + 1) * sizeof *l->line);
    l->line[l->n++] = strbuf_take(b);
}

static int put_flow(void *aux, const struct rule *rule)
{
    struct flow_spec spec;
    struct flow_counts counts = {.packets = rule->packets, .bytes = rule->bytes};
    struct strbuf b = {0};

    rule_describe(rule, &spec);
    flow_format_counts(&spec, &counts, NULL, &b);
    add_line(aux, &b);
    return 0;
}

static void put_group(void *aux, const struct group *g)
{
    struct strbuf b = {0};
    struct of_group desc;

    group_describe(g, &desc);
    group_format(&desc, 0, &b);
    free(desc.buckets);
    add_line(aux, &b);
}

static void put_meter(void *aux, const struct meter *m)
{
    struct strbuf b = {0};

    meter_format(&m->config, &b);
    add_line(aux, &b);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *dump(struct bridge *br)
{
    const struct flow_filter all = {.table = TABLE_ID_ALL, .out_port = OFPP_ANY};
    struct lines l = {0};
    struct strbuf b = {0};

    flow_table_for_each(br, &all, put_flow, &l);
    group_table_for_each(br, OF_GROUP_ALL, put_group, &l);
    meter_table_for_each(br, OF_METER_ALL, put_meter, &l);
    if (l.n) {
        qsort(l.line, l.n, sizeof *l.line, by_text);
    }
    for (size_t i = 0; i < l.n; i++) {
        strbuf_addf(&b, "%s\n", l.line[i]);
        free(l.line[i]);
    }
    free(l.line);
    for (size_t i = 0; i < br->tlv_map.n; i++) {
        const struct tlv_mapping *m = &br->tlv_map.entries[i];
        strbuf_addf(&b, "%u %u %u %u\n", m->opt_class, m->opt_type, m->opt_len, m->index);
    }
    return strbuf_take(&b);
}

/* ---- changes as text ---- */

static int group(struct bridge *br, enum of_group_command command, const char *text)
{
    struct of_group_mod gm = {.command = command, .command_bucket = OF_BUCKET_ALL};
    _cleanup_free_ char *why = NULL;

    if (group_parse(text, &gm.command_bucket, &gm.group, &why)) {
        fail_msg("%s: %s", text, why);
    }
    int error = group_mod_apply(br, &gm, time_mono_ms());
    of_group_mod_done(&gm);
    return error;
}

static int meter(struct bridge *br, enum of_meter_command command, const char *text)
{
    struct of_meter_mod mm = {.command = command};
    _cleanup_free_ char *why = NULL;

    if (meter_parse(text, &mm.meter, &why)) {
        fail_msg("%s: %s", text, why);
    }
    int error = meter_mod_apply(br, &mm, time_mono_ms());
    of_meter_mod_done(&mm);
    return error;
}

/* ---- the file ---- */

static void save(struct saved *s)
{
    flow_saver_create(s->e.br, s->path, IDENTITY, false);
}

/* A process dies now, without a chance to say goodbye; another makes of the file what it has. */
static char *killed_and_restored(struct saved *s)
{
    _cleanup_free_ char *copy = xasprintf("%s.copy", s->path);
    _cleanup_free_ char *cp = xasprintf("cp %s %s", s->path, copy);
    struct env other;
    size_t n = 0;

    if (access(s->path, F_OK)) {
        return xstrdup("none");
    }
    assert_int_equal(system(cp), 0);
    env_init(&other);
    assert_int_equal(flow_restore(other.br, copy, IDENTITY, time_mono_ms(), &n), 0);
    char *text = dump(other.br);
    env_done(&other);
    unlink(copy);
    return text;
}

static void check(struct saved *s)
{
    flow_saver_sync(s->e.br->saver);
    _cleanup_free_ char *is = killed_and_restored(s), *should = dump(s->e.br);
    assert_string_equal(is, should);
}

static size_t count(const struct saved *s, const char *what)
{
    _cleanup_free_ char *line = NULL;
    size_t allocated = 0, n = 0;
    FILE *f = fopen(s->path, "r");

    while (f && getline(&line, &allocated, f) >= 0) {
        n += !strncmp(line, what, strlen(what));
    }
    if (f) {
        fclose(f);
    }
    return n;
}

static void run_until_complete(struct saved *s)
{
    while (access(s->path, F_OK) || !count(s, "# complete")) {
        event_base_loop(s->e.base, EVLOOP_ONCE);
    }
}

/* ---- tests ---- */

static const char *const flows[] = {
    "priority=0,actions=NORMAL",
    "table=1,cookie=0x5,priority=7,idle_timeout=60,hard_timeout=300,importance=9,send_flow_rem,udp,tp_dst=53,"
    "actions=mod_nw_ttl:3,output:2",
    "table=1,no_packet_counts,no_byte_counts,reset_counts,arp,actions=learn(table=2,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
    "output:NXM_OF_IN_PORT[]),resubmit(,2)",
    "table=2,check_overlap,priority=1,ipv6,ipv6_dst=2001:db8::/32,actions=group:1",
    "table=2,check_overlap,priority=2,ip,actions=meter:1,group:2",
    "table=3,tun_metadata0=0x1,actions=move:tun_metadata0[]->reg0[],output:1",
    "table=3,priority=5,ip,actions=conjunction(3,1/2)",
    "table=253,priority=65535,in_port=LOCAL,actions=controller(reason=action,max_len=77,userdata=01.02)",
};

static void fill(struct bridge *br)
{
    const struct tlv_mapping m = {0xffff, 3, 4, 0};

    assert_int_equal(tlv_map_add(&br->tlv_map, &m, 1), 0);
    flow_saver_note_all(br->saver);
    assert_int_equal(meter(br, OF_METER_ADD, "meter=1 kbps burst stats bands= type=drop rate=7 burst_size=9"), 0);
    assert_int_equal(meter(br, OF_METER_ADD, "meter=controller pktps bands= type=drop rate=5"), 0);
    assert_int_equal(group(br, OF_GROUP_ADD,
                           "group_id=1,type=select,selection_method=hash,fields(ip_src=0xffffff00,tcp_dst),"
                           "bucket=weight:3,actions=output:1,bucket=weight:4,actions=group:2"),
                     0);
    assert_int_equal(group(br, OF_GROUP_ADD, "group_id=2,type=all,bucket=actions=output:3,bucket=actions=output:4"), 0);
    assert_int_equal(group(br, OF_GROUP_ADD, "group_id=3,type=ff,bucket=watch_port:1,actions=output:1"), 0);
    assert_int_equal(
        group(br, OF_GROUP_INSERT_BUCKET, "group_id=3,command_bucket_id=last,bucket=bucket_id:5,actions=output:2"),
        0); /* which watches nothing */
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        env_flow(br, flows[i]);
    }
}

static void everything_comes_back(void **state)
{
    struct saved *s = *state;

    fill(s->e.br);
    save(s);
    check(s);
    flow_saver_write(s->e.br->saver);
    check(s);
}

/* Line by line behind a file that was complete before. */
static void changes_are_noted(void **state)
{
    struct saved *s = *state;
    struct bridge *br = s->e.br;

    save(s);
    fill(br);
    check(s);
    env_del(br, "table=1,arp");
    assert_int_equal(env_apply(br, "table=1,udp,tp_dst=53,actions=drop", FLOW_MOD_MODIFY), 0);
    env_flow(br, "table=7,priority=3,ip,actions=output:9");
    env_flow(br, "table=7,priority=3,ip,actions=output:8");
    check(s);
    assert_int_equal(meter(br, OF_METER_MODIFY, "meter=1 pktps bands= type=drop rate=8"), 0);
    assert_int_equal(meter(br, OF_METER_DELETE, "meter=controller"), 0);
    assert_int_equal(group(br, OF_GROUP_MODIFY, "group_id=1,type=all"), 0);
    check(s);
    assert_int_equal(group(br, OF_GROUP_DELETE, "group_id=2"), 0); /* a flow goes along */
    assert_int_equal(meter(br, OF_METER_DELETE, "meter=1"), 0);
    check(s);
    flow_table_flush(br, true);
    group_table_flush(br);
    check(s);
    assert_int_equal(count(s, "flow add"), 0);
}

/* In the middle of a slice's work: nothing that is changed then is lost, or comes back. */
static void changed_while_written(void **state)
{
    struct saved *s = *state;
    struct bridge *br = s->e.br;

    for (unsigned int i = 0; i < 3000; i++) {
        _cleanup_free_ char *flow = xasprintf("table=%u,priority=%u,ip,actions=output:%u", i % 4, i, 1 + i % 9);
        env_flow(br, flow);
    }
    save(s);
    for (unsigned int i = 0; access(s->path, F_OK); i++) {
        _cleanup_free_ char *del = xasprintf("table=%u,priority=%u,ip", i * 7 % 3000 % 4, i * 7 % 3000);
        _cleanup_free_ char *add = xasprintf("table=%u,priority=%u,arp,actions=drop", i % 4, i);
        _cleanup_free_ char *change =
            xasprintf("table=%u,priority=%u,ip,actions=flood", i * 11 % 3000 % 4, i * 11 % 3000);
        event_base_loop(s->e.base, EVLOOP_ONCE);
        if (i >= 1000) {
            continue; /* more than that would not be noted one by one */
        }
        assert_int_equal(env_apply(br, del, FLOW_MOD_DELETE_STRICT), 0);
        assert_int_equal(env_apply(br, add, FLOW_MOD_ADD), 0);
        assert_int_equal(env_apply(br, change, FLOW_MOD_MODIFY_STRICT), 0);
    }
    assert_int_equal(count(s, "# complete"), 1);
    check(s);
}

/* More than is noted: what was there stays in the file while only flows come; with the first that goes, it goes; when
 * it calms down, it is back. */
static void too_much_to_note(void **state)
{
    struct saved *s = *state;
    struct bridge *br = s->e.br;

    for (unsigned int i = 0; i < 1500; i++) {
        _cleanup_free_ char *flow = xasprintf("priority=%u,ip,actions=output:1", i);
        env_flow(br, flow);
    }
    save(s);
    run_until_complete(s);
    check(s);
    for (unsigned int i = 0; i < 9000; i++) {
        _cleanup_free_ char *flow = xasprintf("table=1,priority=%u,ip,actions=output:1", i);
        env_flow(br, flow);
    }
    flow_saver_sync(s->e.br->saver);
    _cleanup_free_ char *older = killed_and_restored(s);
    assert_non_null(strstr(older, "table=0, n_packets=0, n_bytes=0, priority=1499,ip"));
    assert_null(strstr(older, "priority=8999"));
    env_del(br, "table=0,ip");
    assert_int_not_equal(access(s->path, F_OK), 0);
    run_until_complete(s);
    check(s);
}

static void begun_anew_when_long(void **state)
{
    struct saved *s = *state;

    save(s);
    for (unsigned int i = 0; i < 1100; i++) {
        env_flow(s->e.br, i % 2 ? "ip,actions=output:1" : "ip,actions=output:2");
    }
    flow_saver_sync(s->e.br->saver);
    assert_int_equal(count(s, "flow add"), 1100);
    while (count(s, "flow add") > 1) {
        event_base_loop(s->e.base, EVLOOP_ONCE);
    }
    check(s);
}

static void ages_and_counts_go_on(void **state)
{
    struct saved *s = *state;
    int64_t now = time_mono_ms();
    struct flow_spec spec;
    struct flow_change c = env_change("ip,idle_timeout=9,hard_timeout=60,actions=drop", FLOW_MOD_ADD, &spec);
    size_t n = 0;

    assert_int_equal(flow_table_apply(s->e.br, &c, now - 30250), 0);
    flow_spec_done(&spec);
    c = env_change("arp,hard_timeout=60,actions=drop", FLOW_MOD_ADD, &spec);
    assert_int_equal(flow_table_apply(s->e.br, &c, now - 50000), 0);
    flow_spec_done(&spec);
    c = env_change("arp,actions=output:1", FLOW_MOD_MODIFY, &spec);
    c.keep_timeouts = true;
    assert_int_equal(flow_table_apply(s->e.br, &c, now - 20000), 0);
    flow_spec_done(&spec);
    rule_credit((struct rule *)env_rule(s->e.br, "ip"), 3, 300, now - 10000);
    save(s);
    flow_saver_destroy(s->e.br->saver, false);
    flow_table_flush(s->e.br, true);

    assert_int_equal(flow_restore(s->e.br, s->path, IDENTITY, now + 5000, &n), 0);
    assert_int_equal(n, 2);
    const struct rule *ip = env_rule(s->e.br, "ip"), *arp = env_rule(s->e.br, "arp");
    assert_in_range(now - ip->created_ms, 30240, 30260);
    assert_int_equal(ip->created_ms, ip->modified_ms);
    assert_int_equal(ip->used_ms, now + 5000);
    assert_int_equal(ip->packets, 3);
    assert_int_equal(ip->bytes, 300);
    assert_in_range(now - arp->created_ms, 49990, 50010);
    assert_in_range(now - arp->modified_ms, 19000, 20010);
    flow_table_expire(s->e.br, now + 29000);
    assert_non_null(env_rule(s->e.br, "arp"));
    assert_null(env_rule(s->e.br, "ip")); /* unused since the restart */
    flow_table_expire(s->e.br, now + 42000);
    assert_null(env_rule(s->e.br, "arp"));
    unlink(s->path);
}

static void write_file(const struct saved *s, const char *text)
{
    FILE *f = fopen(s->path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

#define HEAD "# warren-switchd flows 1\n# of " IDENTITY "\n# now 5\n"

static void damaged(void **state)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        {"", -EBADMSG},
        {"# warren-switchd flows 2\n# of " IDENTITY "\n# complete\n", -EBADMSG},
        {"# warren-switchd flows 1\n# complete\n", -EBADMSG},
        {"# warren-switchd flows 1\n# of bridge 1 boot 3 secure\n# now 5\n# complete\n", -ESTALE},
        {HEAD "flow add priority=1 actions=drop\n", -EBADMSG},
        {HEAD "flow add priority=1 actions=drop\n# compl", -EBADMSG},
        {HEAD "flow add priority=1 actions=drop\nflow add priority=2,color=red actions=drop\n# complete\n", -EBADMSG},
        {HEAD "flow add priority=1 actions=group:7\n# complete\n", -EBADMSG},
        {HEAD "tlv add {class=0xffff,type=0x0,len=4}->tun_metadata0\nmeter add_or_mod meter=1 kbps bands= type=drop "
              "rate=1\ngroup add_or_mod group_id=1,type=all\nflow add actions=meter:1,group:1\n# complete\nflow ad\n",
         -EBADMSG},
        {HEAD "tlv add {class=0xffff,type=0x0,len=300}->tun_metadata0\n# complete\n", -EBADMSG},
        {HEAD "group add_or_mod group_id=1,type=indirect\n# complete\n", -EBADMSG},
        {HEAD "meter delete\n# complete\n", -EBADMSG},
        {HEAD "# now yesterday\n# complete\n", -EBADMSG},
        {HEAD "# complete\nflow add priority=1 actions=drop\nflow add priority=2 act", 0},
    };
    struct saved *s = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t n = 77;

        write_file(s, cases[i].text);
        int error = flow_restore(s->e.br, s->path, IDENTITY, time_mono_ms(), &n);
        if (error != cases[i].error) {
            fail_msg("%zu: %d", i, error);
        }
        assert_int_equal(n, error ? 77 : 1);
        if (error) {
            _cleanup_free_ char *empty = dump(s->e.br);
            assert_string_equal(empty ? empty : "", "");
        }
    }
    assert_int_equal(unlink(s->path), 0);
    size_t n = 0;
    assert_int_equal(flow_restore(s->e.br, s->path, IDENTITY, 0, &n), -ENOENT);
}

/* Random changes, and kills at random moments. */
static void model(void **state)
{
    struct saved *s = *state;
    struct bridge *br = s->e.br;

    srandom(7);
    save(s);
    for (unsigned int i = 0; i < 2000; i++) {
        unsigned int id = 1 + (unsigned int)random() % 6, port = 1 + (unsigned int)random() % 5;
        _cleanup_free_ char *flow = xasprintf("table=%u,priority=%u,ip,nw_src=10.0.0.%u,actions=%s:%u", id % 3, port,
                                              id, random() % 2 ? "group" : "output", 1 + (unsigned int)random() % 6);
        _cleanup_free_ char *g =
            xasprintf("group_id=%u,type=all,bucket=actions=%s:%u", id, random() % 2 ? "group" : "output", port);
        _cleanup_free_ char *only = xasprintf("group_id=%u", id);
        _cleanup_free_ char *m = xasprintf("meter=%u pktps bands= type=drop rate=%u", id, port);

        switch (random() % 8) { /* refused now and then: that changes nothing */
        case 0:
            group(br, OF_GROUP_ADD_OR_MODIFY, g);
            break;
        case 1:
            group(br, OF_GROUP_DELETE, only);
            break;
        case 2:
            meter(br, meter_find(br, id) ? OF_METER_MODIFY : OF_METER_ADD, m);
            break;
        case 3:
            meter(br, OF_METER_DELETE, m);
            break;
        case 4:
            env_apply(br, flow, FLOW_MOD_DELETE_STRICT);
            break;
        case 5:
            env_apply(br, flow, FLOW_MOD_MODIFY);
            break;
        default:
            env_apply(br, flow, FLOW_MOD_ADD);
        }
        if (random() % 20 == 0) {
            event_base_loop(s->e.base, EVLOOP_NONBLOCK);
        }
        if (random() % 50 == 0) {
            check(s);
        }
    }
    check(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_are_noted, setup, teardown),
        cmocka_unit_test_setup_teardown(changed_while_written, setup, teardown),
        cmocka_unit_test_setup_teardown(too_much_to_note, setup, teardown),
        cmocka_unit_test_setup_teardown(begun_anew_when_long, setup, teardown),
        cmocka_unit_test_setup_teardown(ages_and_counts_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(model, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
