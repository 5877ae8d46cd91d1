/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/api.h"

#include <curl/curl.h>

#include "cli/cli.h"

#define CONNECT_TIMEOUT_MS 5000L
#define REPLY_LIMIT ((size_t)256 << 20)
#define LOOPBACKS "localhost,127.0.0.1,::1"

struct api {
    char *endpoint; /* no slash at the end */
    int64_t timeout_ms;
    CURL *curl;
    struct curl_slist *headers;
    char *no_proxy;
    char error[CURL_ERROR_SIZE];
};

/* What curl would heed if we said nothing; a proxy that the environment names cannot reach this machine's loopback. */
static char *no_proxy(void)
{
    const char *others = getenv("no_proxy");

    others = others ? others : getenv("NO_PROXY");
    return !others ? xstrdup(LOOPBACKS) : !strcmp(others, "*") ? xstrdup(others) : xasprintf(LOOPBACKS ",%s", others);
}

static bool is_endpoint(const char *s)
{
    const char *host = !strncmp(s, "http://", 7) ? s + 7 : !strncmp(s, "https://", 8) ? s + 8 : "";

    return *host && *host != '/' && !strpbrk(s, " ?#\t\r\n");
}

int api_check_endpoint(const char *endpoint, char **ret_error)
{
    if (!is_endpoint(endpoint)) {
        *ret_error = xasprintf("endpoint \"%s\": not http://HOST:PORT", endpoint);
        return -EINVAL;
    }
    return 0;
}

int api_new(const char *endpoint, int64_t timeout_ms, struct api **ret, char **ret_error)
{
    size_t len = strlen(endpoint);

    if (api_check_endpoint(endpoint, ret_error)) {
        return -EINVAL;
    }
    struct api *api = xcalloc(1, sizeof *api);
    while (len && endpoint[len - 1] == '/') {
        len--;
    }
    api->endpoint = xasprintf("%.*s", (int)len, endpoint);
    api->timeout_ms = timeout_ms;
    api->curl = curl_easy_init();
    api->headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more = curl_slist_append(api->headers, "Accept: application/json");
    api->headers = more ? more : api->headers;
    api->no_proxy = no_proxy();
    if (!api->curl || !more) {
        api_destroy(api);
        *ret_error = xstrdup("libcurl cannot be initialised");
        return -ENOMEM;
    }
    *ret = api;
    return 0;
}

void api_destroy(struct api *api)
{
    if (!api) {
        return;
    }
    curl_slist_free_all(api->headers);
    curl_easy_cleanup(api->curl);
    free(api->no_proxy);
    free(api->endpoint);
    free(api);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct strbuf *b = arg;

    if (b->len + size * n > REPLY_LIMIT) {
        return 0;
    }
    strbuf_add_n(b, data, size * n);
    return size * n;
}

/* What a server that refused has to say. */
static char *refusal(const struct api *api, long status, const json_t *reply)
{
    const json_t *error = json_object_get(reply, "NeutronError");
    const char *message = json_string_value(json_object_get(error, "message"));

    message = message ? message : json_string_value(error);
    return message && *message ? xstrdup(message)
                               : xasprintf("%s answered with HTTP status %ld", api->endpoint, status);
}

static char *unreachable(const struct api *api, CURLcode code)
{
    const char *why = api->error[0] ? api->error : curl_easy_strerror(code);

    if (code == CURLE_WRITE_ERROR) {
        why = "the reply is too long";
    }
    return xasprintf("no reply from the controller at %s: %s%s", api->endpoint, why,
                     code == CURLE_COULDNT_CONNECT ? " (is warren-controller running there? --endpoint names another)"
                                                   : "");
}

int api_call(struct api *api, const char *method, const char *path, const json_t *body, json_t **ret, char **ret_error)
{
    _cleanup_free_ char *url = xasprintf("%s/v2.0/%s", api->endpoint, path);
    _cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    _cleanup_strbuf_ struct strbuf in = {0};
    _cleanup_json_ json_t *reply = NULL;
    CURL *curl = api->curl;
    json_error_t json_error;
    long status = 0;

    curl_easy_reset(curl);
    api->error[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, api->headers);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, api->no_proxy);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, api->error);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)MIN(CONNECT_TIMEOUT_MS, api->timeout_ms));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)api->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "warren/" WARREN_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &in);
    if (text) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
    }
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        *ret_error = unreachable(api, code);
        return -EIO;
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    reply = in.len ? json_loadb(in.s, in.len, 0, &json_error) : NULL;
    if (status < 200 || status > 299) {
        *ret_error = refusal(api, status, reply);
        return status == 404 ? -ENOENT : -EPROTO;
    }
    if (in.len && !reply) {
        *ret_error = xasprintf("%s: the reply is not JSON: %s", url, json_error.text);
        return -EIO;
    }
    if (ret) {
        *ret = TAKE_PTR(reply);
    }
    return 0;
}

void api_segment(struct strbuf *path, const char *text)
{
    for (const char *p = text; *p; p++) {
        if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || strchr("-._~", *p)) {
            strbuf_add_n(path, p, 1);
        } else {
            strbuf_addf(path, "%%%02X", (unsigned char)*p);
        }
    }
}

void api_query(struct strbuf *path, const char *key, const char *value)
{
    strbuf_add(path, strchr(strbuf_str(path), '?') ? "&" : "?");
    strbuf_add(path, key);
    strbuf_add(path, "=");
    api_segment(path, value);
}
