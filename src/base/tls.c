/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls.h"

#include <openssl/err.h>
#include <stdio.h>

#include "base/stream.h"

static SSL_CTX *identity;

static char *describe(const char *what, const char *file)
{
    char reason[256];

    ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
    ERR_clear_error();
    return xasprintf("%s %s: %s", what, file, reason);
}

static char *load(SSL_CTX *ctx, const char *private_key, const char *certificate, const char *ca_cert)
{
    if (certificate && SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1) {
        return describe("certificate", certificate);
    }
    if (private_key && SSL_CTX_use_PrivateKey_file(ctx, private_key, SSL_FILETYPE_PEM) != 1) {
        return describe("private key", private_key);
    }
    if (private_key && certificate && SSL_CTX_check_private_key(ctx) != 1) {
        return describe("the private key does not belong to the certificate", certificate);
    }
    if (ca_cert && SSL_CTX_load_verify_locations(ctx, ca_cert, NULL) != 1) {
        return describe("CA certificate", ca_cert);
    }
    return NULL;
}

int stream_set_tls(const char *private_key, const char *certificate, const char *ca_cert, char **ret_error)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());

    if (!ctx) {
        return -ENOMEM;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    /* Both protocols carry their own lengths: a peer that dies without close_notify is an ordinary end. */
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(ctx, ca_cert ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
    char *why = load(ctx, private_key, certificate, ca_cert);
    if (why) {
        SSL_CTX_free(ctx);
        if (ret_error) {
            *ret_error = why;
        } else {
            free(why);
        }
        return -EINVAL;
    }
    SSL_CTX_free(identity); /* sessions hold references of their own */
    identity = ctx;
    return 0;
}

SSL *tls_session_new(void)
{
    return identity ? SSL_new(identity) : NULL;
}
