/* SPDX-License-Identifier: Apache-2.0 */
/* What a client asks to find out what there is: versions, resources, extensions, quotas. */
#include "controller/api.h"

static json_t *link_to(const struct call *c, const char *path)
{
    /* The client goes on with this address, so it must be the one by which it reached us. */
    _cleanup_free_ char *href = xasprintf("http://%s%s", c->host, path);

    return json_pack("{s:s, s:s}", "rel", "self", "href", href);
}

void discovery_versions(struct call *c)
{
    call_reply(c, 200,
               json_pack("{s:[{s:s, s:s, s:[o]}]}", "versions", "id", "v2.0", "status", "CURRENT", "links",
                         link_to(c, "/v2.0/")));
}

void discovery_resources(struct call *c)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
        _cleanup_free_ char *path = xasprintf("/v2.0/%s", resources[i]->collection);

        json_array_append_new(list, json_pack("{s:s, s:s, s:[o]}", "name", resources[i]->singular, "collection",
                                              resources[i]->collection, "links", link_to(c, path)));
    }
    call_reply(c, 200, json_pack("{s:o}", "resources", list));
}

static const struct extension {
    const char *alias, *name, *description, *updated;
} extensions[] = {
    {"agent", "agent", "Agents and their state.", "2013-02-03T10:00:00-00:00"},
    {"allowed-address-pairs", "Allowed Address Pairs", "Further addresses of a port.", "2013-07-23T10:00:00-00:00"},
    {"binding", "Port Binding", "The host that a port is on.", "2014-02-03T10:00:00-00:00"},
    {"external-net", "Neutron external network", "The router:external attribute of networks.",
     "2013-01-14T10:00:00-00:00"},
    {"filter-validation", "Filter parameters validation", "Unknown filters are refused.", "2018-03-21T10:00:00-00:00"},
    {"net-mtu", "Network MTU", "The mtu attribute of networks.", "2015-03-25T10:00:00-00:00"},
    {"net-mtu-writable", "Network MTU (writable)", "The mtu attribute can be changed.", "2017-07-12T00:00:00-00:00"},
    {"pagination", "Pagination support", "limit, marker and page_reverse.", "2016-06-12T00:00:00-00:00"},
    {"port-security", "Port Security", "The port_security_enabled attribute.", "2012-07-23T10:00:00-00:00"},
    {"project-id", "project_id field enabled", "project_id beside tenant_id.", "2016-09-09T09:09:09-09:09"},
    {"provider", "Provider Network", "Type and segment of networks.", "2012-09-07T10:00:00-00:00"},
    {"quotas", "Quota management support", "Quotas of projects can be asked for.", "2012-07-29T10:00:00-00:00"},
    {"sorting", "Sorting support", "sort_key and sort_dir.", "2016-06-12T00:00:00-00:00"},
    {"standard-attr-description", "standard-attr-description", "Descriptions of resources.",
     "2016-02-10T10:00:00-00:00"},
    {"standard-attr-revisions", "Resource revision numbers", "revision_number counts changes.",
     "2016-04-11T10:00:00-00:00"},
    {"standard-attr-tag", "Tag support for resources", "Tags of networks, subnets, ports.",
     "2017-01-01T00:00:00-00:00"},
    {"standard-attr-timestamp", "Resource timestamps", "created_at and updated_at.", "2016-09-12T10:00:00-00:00"},
};

static json_t *show_extension(const struct extension *e)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:[]}", "name", e->name, "alias", e->alias, "description", e->description,
                     "updated", e->updated, "links");
}

void discovery_extensions(struct call *c)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_SIZE(extensions); i++) {
        json_array_append_new(list, show_extension(&extensions[i]));
    }
    if (c->n_segments == 1) {
        call_reply(c, 200, json_pack("{s:o}", "extensions", list));
        return;
    }
    json_decref(list);
    for (size_t i = 0; i < ARRAY_SIZE(extensions); i++) {
        if (!strcmp(extensions[i].alias, c->segments[1])) {
            call_reply(c, 200, json_pack("{s:o}", "extension", show_extension(&extensions[i])));
            return;
        }
    }
    call_error(c, 404, "ExtensionNotFound", "Extension with alias %.100s does not exist", c->segments[1]);
}

/* There are none, and Nova asks: it makes a server's ports only where it has read that it may. */
void discovery_quotas(struct call *c)
{
    if (c->n_segments == 1) {
        call_reply(c, 200, json_pack("{s:[]}", "quotas")); /* of projects whose differ from the default */
    } else {
        call_reply(c, 200, json_pack("{s:{s:i, s:i, s:i}}", "quota", "network", -1, "subnet", -1, "port", -1));
    }
}
