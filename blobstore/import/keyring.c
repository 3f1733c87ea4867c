/* SPDX-License-Identifier: MIT */

/*
 * Armour (RFC 9580, 6) is base64 between two lines, after headers and a blank line; its checksum may be there or not, and
 * is of no use, since a keyring that was changed has no signature to show for it. Of the packets in it (4) only the heads
 * are read: that they are those of public keys, and all there.
 */

#include "blobstore/import/keyring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BEGIN "-----BEGIN PGP PUBLIC KEY BLOCK-----"
#define END   "-----END PGP PUBLIC KEY BLOCK-----"
#define LINE  64 /* digits in one, as gpg has them */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- armour ---- */

struct armour {
        const char *at, *end;
};

/* The next line, without what ends it; false: there is none. */
static bool next_line(struct armour *a, const char **ret, size_t *ret_n)
{
        const char *feed;

        if (a->at == a->end)
                return false;
        feed = memchr(a->at, '\n', (size_t)(a->end - a->at));
        *ret = a->at;
        *ret_n = (size_t)((feed ? feed : a->end) - a->at);
        a->at = feed ? feed + 1 : a->end;
        while (*ret_n > 0 && strchr("\r\t ", (*ret)[*ret_n - 1]))
                (*ret_n)--;
        return true;
}

static bool is_line(const char *line, size_t n, const char *text)
{
        return n == strlen(text) && memcmp(line, text, n) == 0;
}

static int read_digits(const char *line, size_t n, uint32_t *bits, unsigned *n_bits, struct strbuf *ret)
{
        for (size_t i = 0; i < n && line[i] != '='; i++) {
                const char *digit = memchr(digits, line[i], sizeof(digits) - 1);
                char byte;

                if (!digit)
                        return -EINVAL;
                *bits = *bits << 6 | (uint32_t)(digit - digits);
                *n_bits += 6;
                if (*n_bits < 8)
                        continue;
                *n_bits -= 8;
                byte = (char)(*bits >> *n_bits);
                strbuf_add_bytes(ret, &byte, 1);
        }
        return 0;
}

/* From behind BEGIN to behind END. 1: there is no END. */
static int read_block(struct armour *a, struct strbuf *ret)
{
        bool in_headers = true;
        uint32_t bits = 0;
        unsigned n_bits = 0;
        const char *line;
        size_t n;
        int r = 0;

        while (r == 0 && next_line(a, &line, &n)) {
                if (is_line(line, n, END))
                        return 0;
                if (in_headers)
                        in_headers = n > 0;
                else if (n > 0 && line[0] == '-' && a->at == a->end)
                        return 1; /* the beginning of END */
                else if (n > 0 && line[0] != '=')
                        r = read_digits(line, n, &bits, &n_bits, ret);
        }
        return r < 0 ? r : 1;
}

static int read_armour(const char *bytes, size_t n_bytes, struct strbuf *ret)
{
        struct armour a = { .at = bytes, .end = bytes + n_bytes };
        const char *line;
        size_t n;
        int r = 0;

        while (r == 0 && next_line(&a, &line, &n))
                if (is_line(line, n, BEGIN))
                        r = read_block(&a, ret);
        return r;
}

void keyring_print(const void *packets, size_t n, struct strbuf *out)
{
        const uint8_t *p = packets;
        unsigned in_line = 0;

        if (n == 0)
                return;
        strbuf_add(out, BEGIN "\n\n");
        for (size_t i = 0; i < n; i += 3) {
                const size_t left = n - i;
                const uint32_t bits = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                                      (left > 2 ? p[i + 2] : 0);
                const char four[] = {
                        digits[bits >> 18], digits[bits >> 12 & 63], left > 1 ? digits[bits >> 6 & 63] : '=',
                        left > 2 ? digits[bits & 63] : '=',
                };

                strbuf_add_bytes(out, four, sizeof(four));
                in_line += sizeof(four);
                if (in_line < LINE && left > 3)
                        continue;
                strbuf_add(out, "\n");
                in_line = 0;
        }
        strbuf_add(out, END "\n");
}

/* ---- packets ---- */

#define TAG_PUBLIC_KEY 6
#define TAG_SECRET_KEY 5
#define TAG_SECRET_SUB 7

/* signature, public key, trust, user id, subkey, attribute: what a public key comes with */
#define TAGS (1u << 2 | 1u << TAG_PUBLIC_KEY | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17)

/* Bytes that say how long a packet is: their number, and what they say. 0: it is not said, or there are not so many. */
static size_t read_length(const uint8_t *p, size_t n, uint64_t *ret)
{
        const bool is_new = p[0] & 0x40;
        const size_t bytes = is_new ? n < 2 ? 0 : p[1] < 192 ? 1 : p[1] < 224 ? 2 : p[1] == 255 ? 5 : 0 :
                                      (p[0] & 3) == 3 ? 0 : (size_t)1 << (p[0] & 3);

        if (bytes == 0 || n < 1 + bytes)
                return 0;
        *ret = 0;
        for (size_t i = is_new && bytes == 5 ? 2 : 1; i <= bytes; i++)
                *ret = *ret << 8 | p[i];
        if (is_new && bytes == 2)
                *ret = *ret - (UINT64_C(192) << 8) + 192;
        return bytes;
}

/* 1: the last of them is not whole. */
static int check_packets(const uint8_t *p, size_t n, struct strbuf *reason)
{
        for (size_t at = 0; at < n;) {
                const unsigned tag = p[at] & 0x40 ? p[at] & 63 : p[at] >> 2 & 15;
                uint64_t length = 0;
                size_t bytes;

                if (p[at] & 0x80 && (tag == TAG_SECRET_KEY || tag == TAG_SECRET_SUB)) {
                        strbuf_add(reason, "this is a private key, which is nobody else's: write public ones (gpg --export)");
                        return -EINVAL;
                }
                if (!(p[at] & 0x80) || tag > 31 || !(TAGS & 1u << tag) || (at == 0 && tag != TAG_PUBLIC_KEY))
                        return -EINVAL;
                bytes = read_length(p + at, n - at, &length);
                if (bytes == 0)
                        return n - at < 6 ? 1 : -EINVAL;
                if (length > n - at - 1 - bytes)
                        return 1;
                at += 1 + bytes + (size_t)length;
        }
        return n == 0 ? -EINVAL : 0;
}

int keyring_read(const void *bytes, size_t n, struct strbuf *ret, struct strbuf *reason)
{
        CLEANUP_STRBUF struct strbuf packets = { 0 };
        const bool binary = n > 0 && *(const uint8_t *)bytes & 0x80;
        int r = 0;

        if (binary)
                strbuf_add_bytes(&packets, bytes, n);
        else
                r = read_armour(bytes, n, &packets);
        if (r == 0)
                r = strbuf_error(&packets);
        if (r == 0) {
                r = check_packets((const uint8_t *)strbuf_text(&packets), packets.len, reason);
                if (r > 0 && !binary)
                        r = -EINVAL; /* its armour has ended */
        }
        if (r == -EINVAL && strbuf_text(reason)[0] == '\0')
                strbuf_add(reason, "no OpenPGP public keys, as gpg --export writes them");
        if (r != 0)
                return r;
        strbuf_done(ret);
        *ret = packets;
        packets = (struct strbuf){ 0 };
        return 0;
}
