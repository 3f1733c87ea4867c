/* SPDX-License-Identifier: MIT */

/*
 * A lane takes a message block by block: those that lie in it, and one or two that are made of what is left, a bit and
 * the length. Both lanes go on for as many blocks as neither ends; then the one that ended takes what comes next.
 */

#include "blobstore/hash/sha256_lanes.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <string.h>

#define BLOCK ((size_t)64)
#define LANES 2

struct lane {
        struct sha256_message *message; /* NULL: none is left */
        const uint8_t *next;
        size_t blocks;      /* from there on */
        size_t tail_blocks; /* that follow */
        uint8_t tail[2 * BLOCK];
        __m128i abef, cdgh;
};

static const uint32_t round_constants[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static pthread_once_t asked = PTHREAD_ONCE_INIT;
static bool can; /* of this processor; constant once it was asked, which takes long in a virtual machine */

static void ask_processor(void)
{
        unsigned a, b, c, d;

        can = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && (c & bit_SSSE3) &&
              __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

bool sha256_lanes_can(void)
{
        (void)pthread_once(&asked, ask_processor);
        return can;
}

#define SHA_TARGET __attribute__((target("sha,sse4.1")))

/* Four rounds of lane L, of which these are the I-th; W: the last 16 words of the schedule. */
#define FOUR_ROUNDS(l, i)                                                                                              \
        do {                                                                                                           \
                __m128i *w = words[l], x;                                                                              \
                                                                                                                       \
                if ((i) < 4)                                                                                           \
                        w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(next[l]) + (i)),       \
                                                big_endian);                                                           \
                else                                                                                                   \
                        w[(i)&3] = _mm_sha256msg2_epu32(                                                               \
                                _mm_add_epi32(_mm_sha256msg1_epu32(w[(i)&3], w[((i) + 1) & 3]),                        \
                                              _mm_alignr_epi8(w[((i) + 3) & 3], w[((i) + 2) & 3], 4)),                 \
                                w[((i) + 3) & 3]);                                                                     \
                x = _mm_add_epi32(w[(i)&3], _mm_loadu_si128((const __m128i *)(const void *)round_constants + (i)));    \
                cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], x);                                                  \
                abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32(x, 0x0e));                         \
        } while (0)

#define STEP(i)                                                                                                        \
        do {                                                                                                           \
                FOUR_ROUNDS(0, i);                                                                                     \
                if (n > 1)                                                                                             \
                        FOUR_ROUNDS(1, i);                                                                             \
        } while (0)

/* BLOCKS of the first N lanes; N is a constant wherever this goes. */
SHA_TARGET static inline __attribute__((always_inline)) void lanes_advance(struct lane *lanes, const int n,
                                                                           size_t blocks)
{
        const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
        __m128i abef[LANES], cdgh[LANES], words[LANES][4], abef_was[LANES], cdgh_was[LANES];
        const uint8_t *next[LANES];

        for (int l = 0; l < n; l++) {
                abef[l] = lanes[l].abef;
                cdgh[l] = lanes[l].cdgh;
                next[l] = lanes[l].next;
        }
        for (size_t b = 0; b < blocks; b++) {
                for (int l = 0; l < n; l++) {
                        abef_was[l] = abef[l];
                        cdgh_was[l] = cdgh[l];
                }
                STEP(0);
                STEP(1);
                STEP(2);
                STEP(3);
                STEP(4);
                STEP(5);
                STEP(6);
                STEP(7);
                STEP(8);
                STEP(9);
                STEP(10);
                STEP(11);
                STEP(12);
                STEP(13);
                STEP(14);
                STEP(15);
                for (int l = 0; l < n; l++) {
                        abef[l] = _mm_add_epi32(abef[l], abef_was[l]);
                        cdgh[l] = _mm_add_epi32(cdgh[l], cdgh_was[l]);
                        next[l] += BLOCK;
                }
        }
        for (int l = 0; l < n; l++) {
                lanes[l].abef = abef[l];
                lanes[l].cdgh = cdgh[l];
                lanes[l].next = next[l];
                lanes[l].blocks -= blocks;
        }
}

SHA_TARGET static void one_lane(struct lane *lane)
{
        lanes_advance(lane, 1, lane->blocks);
}

SHA_TARGET static void both_lanes(struct lane lanes[LANES])
{
        lanes_advance(lanes, LANES, lanes[0].blocks < lanes[1].blocks ? lanes[0].blocks : lanes[1].blocks);
}

static void put_be(uint8_t *p, uint64_t v, int n)
{
        for (int i = n - 1; i >= 0; i--, v >>= 8)
                p[i] = (uint8_t)v;
}

static void lane_begin(struct lane *lane, struct sha256_message *m)
{
        size_t whole = m->n / BLOCK, rest = m->n % BLOCK;

        lane->message = m;
        lane->next = m->bytes;
        lane->blocks = whole;
        lane->tail_blocks = rest + 1 + sizeof(uint64_t) <= BLOCK ? 1 : 2;
        memset(lane->tail, 0, sizeof(lane->tail));
        if (rest > 0)
                memcpy(lane->tail, lane->next + whole * BLOCK, rest);
        lane->tail[rest] = 0x80;
        put_be(lane->tail + lane->tail_blocks * BLOCK - sizeof(uint64_t), (uint64_t)m->n * 8, sizeof(uint64_t));
        lane->abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
        lane->cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
}

static void lane_end(struct lane *lane)
{
        /* Where A to H are in the two, counted from the lowest. */
        static const uint8_t at[8] = { 3, 2, 7, 6, 1, 0, 5, 4 };
        uint32_t words[8];

        memcpy(words, &lane->abef, sizeof(lane->abef));
        memcpy(words + 4, &lane->cdgh, sizeof(lane->cdgh));
        for (int i = 0; i < 8; i++)
                put_be(lane->message->digest + 4 * i, words[at[i]], 4);
        lane->message = NULL;
}

/* Has a lane blocks, unless it and the messages are at their end. */
static void lane_feed(struct lane *lane, struct sha256_message **next, const struct sha256_message *end)
{
        while (lane->blocks == 0) {
                if (lane->message && lane->tail_blocks > 0) {
                        lane->next = lane->tail;
                        lane->blocks = lane->tail_blocks;
                        lane->tail_blocks = 0;
                        return;
                }
                if (lane->message)
                        lane_end(lane);
                if (*next == end)
                        return;
                lane_begin(lane, (*next)++);
        }
}

void sha256_lanes(struct sha256_message *messages, size_t n)
{
        struct sha256_message *next = messages, *const end = messages + n;
        struct lane lanes[LANES] = { 0 };

        for (;;) {
                lane_feed(&lanes[0], &next, end);
                lane_feed(&lanes[1], &next, end);
                if (lanes[0].message && lanes[1].message)
                        both_lanes(lanes);
                else if (lanes[0].message || lanes[1].message)
                        one_lane(lanes[0].message ? &lanes[0] : &lanes[1]);
                else
                        return;
        }
}

#else

bool sha256_lanes_can(void)
{
        return false;
}

void sha256_lanes(struct sha256_message *messages, size_t n)
{
        (void)messages;
        (void)n;
}

#endif
