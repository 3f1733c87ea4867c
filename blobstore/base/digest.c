/* SPDX-License-Identifier: MIT */

/* RFC 1321 and FIPS 180-4: blocks of 64 bytes and words of 32 bits, little endian in MD5, big endian in the others. */

#include "blobstore/base/digest.h"

#include <stdbool.h>
#include <string.h>

static uint32_t rotate_left(uint32_t v, unsigned n)
{
        return v << n | v >> (32 - n);
}

static uint32_t rotate_right(uint32_t v, unsigned n)
{
        return v >> n | v << (32 - n);
}

static uint32_t word_at(const uint8_t *p)
{
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t little_word_at(const uint8_t *p)
{
        return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static const uint32_t md5_k[64] = {
        0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
        0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
        0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
        0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
        0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
        0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
        0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
        0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static void md5_block(uint32_t *state, const uint8_t *block)
{
        static const uint8_t turns[4][4] = {
                { 7, 12, 17, 22 }, { 5, 9, 14, 20 }, { 4, 11, 16, 23 }, { 6, 10, 15, 21 },
        };
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];

        for (unsigned i = 0; i < 64; i++) {
                uint32_t f, t;
                unsigned word;

                if (i < 16) {
                        f = (b & c) | (~b & d);
                        word = i;
                } else if (i < 32) {
                        f = (d & b) | (~d & c);
                        word = (5 * i + 1) % 16;
                } else if (i < 48) {
                        f = b ^ c ^ d;
                        word = (3 * i + 5) % 16;
                } else {
                        f = c ^ (b | ~d);
                        word = 7 * i % 16;
                }
                t = a + f + md5_k[i] + little_word_at(block + 4 * word);
                a = d;
                d = c;
                c = b;
                b += rotate_left(t, turns[i / 16][i % 4]);
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
}

static void sha1_block(uint32_t *state, const uint8_t *block)
{
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
        uint32_t w[80];

        for (unsigned i = 0; i < 16; i++)
                w[i] = word_at(block + 4 * i);
        for (unsigned i = 16; i < 80; i++)
                w[i] = rotate_left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);

        for (unsigned i = 0; i < 80; i++) {
                uint32_t f, t;

                if (i < 20)
                        f = ((b & c) | (~b & d)) + 0x5a827999;
                else if (i < 40)
                        f = (b ^ c ^ d) + 0x6ed9eba1;
                else if (i < 60)
                        f = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
                else
                        f = (b ^ c ^ d) + 0xca62c1d6;
                t = rotate_left(a, 5) + f + e + w[i];
                e = d;
                d = c;
                c = rotate_left(b, 30);
                b = a;
                a = t;
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
}

static const uint32_t sha256_k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static void sha256_block(uint32_t *state, const uint8_t *block)
{
        uint32_t s[8], w[64];

        memcpy(s, state, sizeof(s));
        for (unsigned i = 0; i < 16; i++)
                w[i] = word_at(block + 4 * i);
        for (unsigned i = 16; i < 64; i++) {
                uint32_t s0 = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ w[i - 15] >> 3;
                uint32_t s1 = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ w[i - 2] >> 10;

                w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        for (unsigned i = 0; i < 64; i++) {
                uint32_t s1 = rotate_right(s[4], 6) ^ rotate_right(s[4], 11) ^ rotate_right(s[4], 25);
                uint32_t t1 = s[7] + s1 + ((s[4] & s[5]) ^ (~s[4] & s[6])) + sha256_k[i] + w[i];
                uint32_t s0 = rotate_right(s[0], 2) ^ rotate_right(s[0], 13) ^ rotate_right(s[0], 22);
                uint32_t t2 = s0 + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

                memmove(s + 1, s, 7 * sizeof(s[0]));
                s[4] += t1;
                s[0] = t1 + t2;
        }
        for (unsigned i = 0; i < 8; i++)
                state[i] += s[i];
}

static void add_block(struct digest *d, const uint8_t *block)
{
        switch (d->kind) {
        case DIGEST_MD5:
                md5_block(d->state, block);
                break;
        case DIGEST_SHA1:
                sha1_block(d->state, block);
                break;
        case DIGEST_SHA256:
                sha256_block(d->state, block);
                break;
        }
}

void digest_start(struct digest *d, enum digest_kind kind)
{
        static const uint32_t first[][8] = {
                [DIGEST_MD5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 },
                [DIGEST_SHA1] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 },
                [DIGEST_SHA256] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
                                    0x5be0cd19 },
        };

        *d = (struct digest){ .kind = kind };
        memcpy(d->state, first[kind], sizeof(d->state));
}

void digest_add(struct digest *d, const void *bytes, size_t n)
{
        const uint8_t *at = bytes;
        size_t have = d->bytes % sizeof(d->block);

        d->bytes += n;
        if (have > 0) {
                size_t part = sizeof(d->block) - have;

                if (n < part) {
                        memcpy(d->block + have, at, n);
                        return;
                }
                memcpy(d->block + have, at, part);
                add_block(d, d->block);
                at += part;
                n -= part;
        }
        for (; n >= sizeof(d->block); at += sizeof(d->block), n -= sizeof(d->block))
                add_block(d, at);
        memcpy(d->block, at, n);
}

size_t digest_finish(struct digest *d, uint8_t ret[DIGEST_BYTES_MAX])
{
        static const size_t words[] = { [DIGEST_MD5] = 4, [DIGEST_SHA1] = 5, [DIGEST_SHA256] = 8 };
        const bool little = d->kind == DIGEST_MD5;
        uint64_t bits = d->bytes * 8;
        uint8_t end[8];

        digest_add(d, "\x80", 1);
        while (d->bytes % sizeof(d->block) != sizeof(d->block) - sizeof(end))
                digest_add(d, "", 1);
        for (unsigned i = 0; i < 8; i++)
                end[i] = (uint8_t)(bits >> (little ? 8 * i : 56 - 8 * i));
        digest_add(d, end, sizeof(end));
        for (size_t i = 0; i < words[d->kind]; i++) {
                for (unsigned b = 0; b < 4; b++)
                        ret[4 * i + b] = (uint8_t)(d->state[i] >> (little ? 8 * b : 24 - 8 * b));
        }
        return 4 * words[d->kind];
}
