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

/* The clock stands while this is its time: how fast a machine is decides nothing then. 0: it goes. */
static int64_t stands_at;

int64_t __real_time_mono_ms(void);
int64_t __wrap_time_mono_ms(void);

int64_t __wrap_time_mono_ms(void)
{
    return stands_at ? stands_at : __real_time_mono_ms();
}

struct saved {
    struct env e;
    char dir[32], *path;
};

#define ODD "odd 100%\n" /* a name */

static void add_ports(struct bridge *br)
{
    env_port(br, "p1", 1);
    env_patch(br, ODD, 2, "nowhere");
}

static int setup(void **state)
{
    struct saved *s = xcalloc(1, sizeof *s);

    stands_at = 0;
    env_init(&s->e);
    add_ports(s->e.br);
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
    add_ports(other.br);
    assert_int_equal(flow_restore(other.br, copy, IDENTITY, time_mono_ms(), &n), 0);
    char *text = env_dump(other.br);
    env_done(&other);
    unlink(copy);
    return text;
}

static void check(struct saved *s)
{
    flow_saver_sync(s->e.br->saver);
    _cleanup_free_ char *is = killed_and_restored(s), *should = env_dump(s->e.br);
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

static void set_port(struct bridge *br, const char *name, uint32_t config)
{
    const uint32_t all =
        PORT_CONFIG_DOWN | PORT_CONFIG_NO_RECV | PORT_CONFIG_NO_FLOOD | PORT_CONFIG_NO_FWD | PORT_CONFIG_NO_PACKET_IN;

    bridge_port_set_config(bridge_port_by_name(br, name), config & all, all);
}

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
    bridge_set_frag_mode(br, FRAG_NX_MATCH);
    set_port(br, "p1", PORT_CONFIG_NO_FLOOD | PORT_CONFIG_NO_FWD);
    set_port(br, ODD, UINT32_MAX);
    flow_table_set_config(br, 2, &(struct table_config){true, true, true, 20, 70, "lawn \x7f%"});
    flow_table_set_config(br, 253, &(struct table_config){.evict = true});
}

static bool in(struct bridge *br, const char *text)
{
    _cleanup_free_ char *all = env_dump(br);

    return strstr(all, text);
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

/* A group whose bucket names a meter that was deleted since comes back, and the flows that name it. */
static void group_without_its_meter(void **state)
{
    struct saved *s = *state;
    struct bridge *br = s->e.br;

    assert_int_equal(meter(br, OF_METER_ADD, "meter=1 kbps bands= type=drop rate=7"), 0);
    assert_int_equal(
        group(br, OF_GROUP_ADD, "group_id=1,type=all,bucket=actions=meter:1,output:1,bucket=actions=output:2"), 0);
    env_flow(br, "actions=group:1");
    assert_int_equal(meter(br, OF_METER_DELETE, "meter=1 kbps bands= type=drop rate=7"), 0);
    assert_true(in(br, "group:1"));
    save(s);
    check(s);
    flow_saver_write(br->saver);
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

static void settings_are_noted(void **state)
{
    struct saved *s = *state;
    struct bridge *br = s->e.br;

    save(s);
    run_until_complete(s);
    bridge_set_frag_mode(br, FRAG_DROP);
    set_port(br, "p1", PORT_CONFIG_DOWN | PORT_CONFIG_NO_PACKET_IN);
    set_port(br, ODD, PORT_CONFIG_DOWN);
    flow_table_set_config(br, 7, &(struct table_config){.vacancy_events = true, .vacancy_up = 100, .name = "seven"});
    assert_true(in(br, "p1 0x40\n")); /* a netdev's own affair */
    assert_true(in(br, ODD " 0x1\n"));
    assert_true(in(br, "table 7 evict=0 vacancy=1,0-100,0 seven\n"));
    check(s);
    assert_int_equal(count(s, "table mod"), 1);
    flow_table_set_config(br, 7, &(struct table_config){.vacancy_events = true, .vacancy_up = 100, .name = "seven"});
    flow_saver_sync(br->saver);
    assert_int_equal(count(s, "table mod"), 1);           /* nothing new */
    flow_table_set_config_name(br, 7, "by the database"); /* OpenFlow's is gone for good */
    flow_table_set_config_name(br, 7, NULL);
    bridge_port_del(bridge_port_by_name(br, ODD));
    env_patch(br, ODD, 9, "nowhere");
    assert_false(in(br, "seven"));
    assert_false(in(br, ODD));
    check(s);
    bridge_set_frag_mode(br, FRAG_NORMAL);
    set_port(br, "p1", 0);
    flow_table_set_config(br, 7, &(struct table_config){0});
    check(s);
}

static void count_something(struct bridge *br, uint32_t group_id)
{
    struct group *g = group_find(br, group_id);

    g->counters->packets += 5;
    g->counters->bytes += 500;
    for (size_t i = 0; i < g->n_buckets; i++) {
        g->buckets[i]->packets += 2 + i;
        g->buckets[i]->bytes += UINT64_MAX / 3 - i;
    }
}

/* Of groups and meters: as of a kill, after it on top of that, and as changes have them. */
static void counters_go_on(void **state)
{
    struct saved *s = *state;
    struct bridge *br = s->e.br;
    size_t n;

    stands_at = time_mono_ms();
    fill(br);
    count_something(br, 1);
    count_something(br, 3);
    assert_true(meter_admits_packet_in(br, 1, 100));
    group_find(br, 1)->counters->created_ms -= 30250;
    save(s);
    check(s);
    assert_true(in(br, ", counted 1/100 of which 1/100"));
    assert_true(in(br, ", counted 5/500 of which 2/6148914691236517205 3/6148914691236517204"));
    flow_saver_destroy(br->saver, false);
    bridge_destroy(br);
    assert_int_equal(bridge_create(s->e.sw, "br0", &s->e.br), 0);
    br = s->e.br;
    add_ports(br);
    assert_int_equal(flow_restore(br, s->path, IDENTITY, time_mono_ms(), &n), 0);
    flow_saver_create(br, s->path, IDENTITY, true);
    assert_int_equal(time_mono_ms() - group_find(br, 1)->counters->created_ms, 30250);
    assert_int_equal(time_mono_ms() - group_find(br, 3)->counters->created_ms, 0);
    assert_true(meter_admits_packet_in(br, 1, 11));
    count_something(br, 1);
    assert_true(in(br, ", counted 2/111 of which 2/111"));
    assert_true(in(br, ", counted 10/1000 of which 4/12297829382473034410 6/"));
    assert_int_equal(meter(br, OF_METER_MODIFY, "meter=1 kbps stats bands= type=drop rate=8"), 0);
    assert_int_equal(group(br, OF_GROUP_REMOVE_BUCKET, "group_id=1,command_bucket_id=first"), 0);
    assert_true(in(br, ", counted 2/111 of which 0/0")); /* OpenFlow 1.3, 5.7 */
    assert_true(in(br, ", counted 10/1000 of which 6/"));
    check(s);
    count_something(br, 3);
    flow_saver_write(br->saver);
    check(s);
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
    stands_at = time_mono_ms(); /* more may be noted each second */
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
    stands_at = 0;
    run_until_complete(s);
    check(s);
}

/* Killed in the middle of a note, and again before the file is written anew: what is noted meanwhile is a line of its
 * own. */
static void killed_in_a_note(void **state)
{
    struct saved *s = *state;
    size_t n = 0;

    for (unsigned int i = 0; i < 3000; i++) {
        _cleanup_free_ char *flow = xasprintf("priority=%u,ip,actions=output:1", i);
        env_flow(s->e.br, flow);
    }
    save(s);
    run_until_complete(s);
    flow_saver_destroy(s->e.br->saver, false);
    FILE *f = fopen(s->path, "ae");
    assert_non_null(f);
    assert_true(fputs("flow add table=3,prio", f) > 0);
    assert_int_equal(fclose(f), 0);
    bridge_destroy(s->e.br);
    assert_int_equal(bridge_create(s->e.sw, "br0", &s->e.br), 0);
    add_ports(s->e.br);
    assert_int_equal(flow_restore(s->e.br, s->path, IDENTITY, time_mono_ms(), &n), 0);
    flow_saver_create(s->e.br, s->path, IDENTITY, true);
    env_flow(s->e.br, "table=4,arp,actions=output:1");
    flow_saver_sync(s->e.br->saver);
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
    rule_credit((struct rule *)env_rule(s->e.br, "ip"), 0, 3, 300, now - 10000);
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

#define HEAD "# warren-switchd flows 2\n# of " IDENTITY "\n# now 5\n"

static void damaged(void **state)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        {"", -EBADMSG},
        {"# warren-switchd flows 3\n# of " IDENTITY "\n# complete\n", -EBADMSG},
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
        {HEAD "# now 18446744073709551615\n# complete\n", -EBADMSG},
        {HEAD "frags nx-match\nport mod p1 no-flood\ntable mod 3 evict name=x\n# complete\nfrags most\n", -EBADMSG},
        {HEAD "port mod p1 no-flood no-thing\n# complete\n", -EBADMSG},
        {HEAD "port mod p%4 no-flood\n# complete\n", -EBADMSG},
        {HEAD "port mod p%00 no-flood\n# complete\n", -EBADMSG},
        {HEAD "port mod \n# complete\n", -EBADMSG},
        {HEAD "table mod 255 evict\n# complete\n", -EBADMSG},
        {HEAD "table mod x evict\n# complete\n", -EBADMSG},
        {HEAD "table mod 3 vacancy:30,20\n# complete\n", -EBADMSG},
        {HEAD "table mod 3 vacancy:30,200\n# complete\n", -EBADMSG},
        {HEAD "table mod 3 low\n# complete\n", -EBADMSG},
        {HEAD "table mod 3 name=a name=b\n# complete\n", -EBADMSG},
        {HEAD "group counts 1 packets=1\n# complete\n", -EBADMSG},
        {HEAD "group add_or_mod group_id=1,type=all\ngroup counts 1 part=1/1\n# complete\n", -EBADMSG},
        {HEAD "group add_or_mod group_id=1,type=all\ngroup counts 1 part=1\n# complete\n", -EBADMSG},
        {HEAD "group add_or_mod group_id=1,type=all\ngroup counts 1 age=6\n# complete\n", -EBADMSG}, /* than the boot */
        {HEAD "meter add_or_mod meter=1 kbps bands= type=drop rate=1\nmeter counts 1 packets=-1 part=0/0\n"
              "# complete\n",
         -EBADMSG},
        {HEAD "# complete\nflow add priority=1 actions=drop\nflow add priority=2 act", 0},
    };
    struct saved *s = *state;
    _cleanup_free_ char *nothing = env_dump(s->e.br);

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t n = 77;

        write_file(s, cases[i].text);
        int error = flow_restore(s->e.br, s->path, IDENTITY, time_mono_ms(), &n);
        if (error != cases[i].error) {
            fail_msg("%zu: %d", i, error);
        }
        assert_int_equal(n, error ? 77 : 1);
        if (error) {
            _cleanup_free_ char *empty = env_dump(s->e.br);
            assert_string_equal(empty, nothing);
        }
    }
    assert_int_equal(unlink(s->path), 0);
    size_t n = 0;
    assert_int_equal(flow_restore(s->e.br, s->path, IDENTITY, 0, &n), -ENOENT);
}

/* Which knew no counts and no settings. */
static void version_1_is_read(void **state)
{
    struct saved *s = *state;
    struct bridge *br = s->e.br;
    size_t n = 0;

    write_file(s, "# warren-switchd flows 1\n# of " IDENTITY "\n# now 5\n"
                  "tlv add {class=0xffff,type=0x0,len=4}->tun_metadata0\n"
                  "meter add_or_mod meter=1 kbps bands= type=drop rate=1\n"
                  "group add_or_mod group_id=1,type=all,bucket=actions=output:1\n"
                  "flow add cookie=0x5, duration=0.004s, table=3, n_packets=2, n_bytes=3, priority=1 "
                  "actions=meter:1,group:1\n# complete\nflow delete_strict table=3,priority=2\n");
    assert_int_equal(flow_restore(br, s->path, IDENTITY, time_mono_ms(), &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(env_rule(br, "table=3,priority=1")->packets, 2);
    assert_true(in(br, "counted 0/0 of which 0/0"));
    flow_saver_create(br, s->path, IDENTITY, true);
    check(s); /* also what is noted behind it, */
    set_port(br, "p1", PORT_CONFIG_NO_FWD);
    check(s);
    while (count(s, "# warren-switchd flows 2") == 0) {
        event_base_loop(s->e.base, EVLOOP_ONCE); /* and it is written anew soon */
    }
    check(s);
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

        switch (random() % 14) { /* refused now and then: that changes nothing */
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
        case 6:
            bridge_set_frag_mode(br, random() % 2 ? FRAG_DROP : FRAG_NORMAL);
            break;
        case 7:
            set_port(br, id % 2 ? "p1" : ODD, (uint32_t)random());
            break;
        case 8:
            bridge_port_del(bridge_port_by_name(br, ODD));
            env_patch(br, ODD, 1 + port, "nowhere");
            break;
        case 9:
            flow_table_set_config(br, (table_id_t)port,
                                  &(struct table_config){.evict = id % 2, .name = id % 3 ? "a name" : NULL});
            break;
        case 10:
            if (group_find(br, id)) {
                count_something(br, id);
            }
            meter_admits_packet_in(br, id, port);
            flow_saver_write(br->saver);
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
        cmocka_unit_test_setup_teardown(group_without_its_meter, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_are_noted, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_are_noted, setup, teardown),
        cmocka_unit_test_setup_teardown(counters_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(changed_while_written, setup, teardown),
        cmocka_unit_test_setup_teardown(too_much_to_note, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_in_a_note, setup, teardown),
        cmocka_unit_test_setup_teardown(begun_anew_when_long, setup, teardown),
        cmocka_unit_test_setup_teardown(ages_and_counts_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(version_1_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(model, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
