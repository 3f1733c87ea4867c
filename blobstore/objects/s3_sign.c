/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/s3_sign.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/hash/sha256.h"

#define SCOPE_END "/s3/aws4_request"
#define SIGNED_MAX 16

void s3_hex(const void *bytes, size_t n, char *ret)
{
        const unsigned char *b = bytes;

        for (size_t i = 0; i < n; i++)
                (void)snprintf(ret + 2 * i, 3, "%02x", b[i]);
}

void s3_encode(const char *text, bool slash, struct strbuf *ret)
{
        for (; *text; text++) {
                if (isalnum((unsigned char)*text) || strchr("-._~", *text) || (*text == '/' && !slash))
                        strbuf_add_bytes(ret, text, 1);
                else
                        strbuf_addf(ret, "%%%02X", (unsigned char)*text);
        }
}

/* Each is the key of the next; SECRET begins. */
static int derive_key(const char *secret, const char *date, const char *region, uint8_t key[SHA256_SIZE])
{
        const char *const parts[] = { date, region, "s3", "aws4_request" };
        char first[S3_KEY_MAX + 8];
        int r, n = snprintf(first, sizeof(first), "AWS4%s", secret);

        r = sha256_hmac(first, (size_t)n, parts[0], strlen(parts[0]), key);
        explicit_bzero(first, sizeof(first));
        for (size_t i = 1; r == 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
                r = sha256_hmac(key, SHA256_SIZE, parts[i], strlen(parts[i]), key);
        return r;
}

/* Those of the request, and ours, by name. */
static size_t all_headers(const struct s3_request *rq, const struct s3_keys *keys, const char *when, struct s3_header *all)
{
        const struct s3_header own[] = { { "host", rq->host }, { "x-amz-content-sha256", rq->body_sha }, { "x-amz-date", when },
                                         { "x-amz-security-token", keys->token } };
        const size_t n_own = keys->token[0] ? 4 : 3;
        size_t n = 0, i = 0, k = 0;

        while ((i < n_own || k < rq->n_headers) && n < SIGNED_MAX) {
                if (k == rq->n_headers || (i < n_own && strcmp(own[i].name, rq->headers[k].name) < 0))
                        all[n++] = own[i++];
                else
                        all[n++] = rq->headers[k++];
        }
        return n;
}

int s3_sign(const struct s3_request *rq, const char *region, const struct s3_keys *keys, time_t now, struct strbuf *ret)
{
        CLEANUP_STRBUF struct strbuf canonical = { 0 }, to_sign = { 0 }, names = { 0 };
        char when[sizeof("20261123T101112Z")], date[sizeof("20261123")], hex[S3_SHA_HEX];
        struct s3_header all[SIGNED_MAX];
        uint8_t digest[SHA256_SIZE], key[SHA256_SIZE];
        struct tm utc;
        size_t n;
        int r;

        if (!gmtime_r(&now, &utc) || strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &utc) == 0)
                return -EOVERFLOW;
        (void)snprintf(date, sizeof(date), "%.8s", when);

        n = all_headers(rq, keys, when, all);
        strbuf_addf(&canonical, "%s\n%s\n%s\n", rq->method, rq->path, rq->query);
        for (size_t i = 0; i < n; i++) {
                strbuf_addf(&canonical, "%s:%s\n", all[i].name, all[i].value);
                strbuf_addf(&names, "%s%s", i > 0 ? ";" : "", all[i].name);
                if (strcmp(all[i].name, "host") != 0)
                        strbuf_addf(ret, "%s: %s\n", all[i].name, all[i].value);
        }
        strbuf_addf(&canonical, "\n%s\n%s", strbuf_text(&names), rq->body_sha);
        if (strbuf_error(&canonical) < 0 || strbuf_error(&names) < 0)
                return -ENOMEM;

        r = sha256(strbuf_text(&canonical), strlen(strbuf_text(&canonical)), digest);
        if (r < 0)
                return r;
        s3_hex(digest, sizeof(digest), hex);
        strbuf_addf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%s/%s" SCOPE_END "\n%s", when, date, region, hex);
        r = strbuf_error(&to_sign);
        if (r == 0)
                r = derive_key(keys->secret, date, region, key);
        if (r == 0)
                r = sha256_hmac(key, sizeof(key), strbuf_text(&to_sign), strlen(strbuf_text(&to_sign)), digest);
        explicit_bzero(key, sizeof(key));
        if (r < 0)
                return r;
        s3_hex(digest, sizeof(digest), hex);
        strbuf_addf(ret, "authorization: AWS4-HMAC-SHA256 Credential=%s/%s/%s" SCOPE_END ",SignedHeaders=%s,Signature=%s\n",
                    keys->id, date, region, strbuf_text(&names), hex);
        return strbuf_error(ret);
}
