/* SPDX-License-Identifier: Apache-2.0 */
/* /healthz for load balancers, /metrics in the text format of Prometheus. */
#include "base/strbuf.h"
#include "controller/api.h"

void health_check(struct call *c)
{
    if (store_is_ready(c->api->store)) {
        call_reply(c, 200, json_pack("{s:s}", "status", "ok"));
    } else {
        call_reply(c, 503, json_pack("{s:s, s:s}", "status", "database away", "reason", store_why(c->api->store)));
    }
}

static void add_rows(struct strbuf *b, const struct call *c)
{
    static const char *const tables[] = {"Network", "Subnet", "Port", "Address", "Endpoint", "Agent"};

    strbuf_add(b, "# HELP warren_rows Rows of the database's tables.\n# TYPE warren_rows gauge\n");
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        strbuf_addf(b, "warren_rows{table=\"%s\"} %zu\n", tables[i],
                    ovsdb_client_n_rows(store_client(c->api->store), tables[i]));
    }
}

void health_metrics(struct call *c)
{
    _cleanup_strbuf_ struct strbuf b = {0};

    strbuf_add(&b, "# HELP warren_database_up Whether the database is connected and read completely.\n"
                   "# TYPE warren_database_up gauge\n");
    strbuf_addf(&b, "warren_database_up %d\n", store_is_ready(c->api->store));
    add_rows(&b, c);
    strbuf_add(
        &b, "# HELP warren_http_replies_total Replies by class of status.\n# TYPE warren_http_replies_total counter\n");
    for (size_t i = 2; i < ARRAY_SIZE(c->api->stats.replies); i++) {
        strbuf_addf(&b, "warren_http_replies_total{code=\"%zuxx\"} %llu\n", i,
                    (unsigned long long)c->api->stats.replies[i]);
    }
    strbuf_add(
        &b, "# HELP warren_transaction_retries_total Transactions tried again after a conflict with another writer.\n"
            "# TYPE warren_transaction_retries_total counter\n");
    strbuf_addf(&b, "warren_transaction_retries_total %llu\n", (unsigned long long)c->api->stats.retries);
    call_reply_text(c, 200, "text/plain; version=0.0.4", strbuf_str(&b));
}
