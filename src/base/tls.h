/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_TLS_H
#define WARREN_BASE_TLS_H
/* Inside base only: the OpenSSL side of stream.c. */
#include <openssl/ssl.h>

/* A new session with this process's identity, or NULL when stream_set_tls() was not called. */
SSL *tls_session_new(void);

#endif
