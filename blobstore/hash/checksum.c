/* SPDX-License-Identifier: MIT */

#include "blobstore/hash/checksum.h"

#include <stdlib.h>
#include <string.h>

/* With its code and not only declarations: checksum_skip_zeros() goes into the state; both must be of one version. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "blobstore/base/bytes.h"

/* More than the state keeps of its input: after as many zeros, all that it keeps are zeros. */
#define ZEROS_SIZE 4096

struct checksum {
        XXH3_state_t *state;
};

struct checksum *checksum_new(void)
{
        struct checksum *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->state = XXH3_createState();
        if (!c->state || XXH3_128bits_reset(c->state) != XXH_OK) {
                checksum_free(c);
                return NULL;
        }
        return c;
}

void checksum_free(struct checksum *c)
{
        if (!c)
                return;
        XXH3_freeState(c->state);
        free(c);
}

void checksum_add(struct checksum *c, const void *bytes, size_t n)
{
        (void)XXH3_128bits_update(c->state, bytes, n); /* fails for NULL only */
}

static uint64_t checksum_scramble(uint64_t acc, uint64_t key)
{
        return ((acc ^ acc >> 47) ^ key) * XXH_PRIME32_1;
}

/*
 * Adds zeros to a state that has nothing but zeros in its buffer; gives how many: whole blocks of the hash, N at the
 * most. In each block a stripe of input is mixed with a part of the secret and added to the accumulators, and at its
 * end these are scrambled. For zeros the sum over a block is always the same, so that a block is one addition and one
 * scrambling: some twenty times as fast as hashing it. A disk is mostly holes: the 100 GiB of one took 8 seconds, and
 * were most of its import.
 */
static uint64_t checksum_skip_zeros(XXH3_state_t *s, uint64_t n)
{
        const uint8_t *secret = s->extSecret ? s->extSecret : s->customSecret;
        uint64_t blocks = n / (s->nbStripesPerBlock * XXH_STRIPE_LEN);
        uint64_t acc[XXH_ACC_NB], so_far[XXH_ACC_NB] = { 0 }, sum[XXH_ACC_NB] = { 0 }, keys[XXH_ACC_NB];

        for (size_t i = 0; i < XXH_ACC_NB; i++) {
                for (size_t stripe = 0; stripe < s->nbStripesPerBlock; stripe++) {
                        if (stripe == s->nbStripesSoFar)
                                so_far[i] = sum[i];
                        keys[i] = get_le64(secret + stripe * XXH_SECRET_CONSUME_RATE + i * sizeof(uint64_t));
                        sum[i] += (keys[i] & UINT32_MAX) * (keys[i] >> 32);
                }
                keys[i] = get_le64(secret + s->secretLimit + i * sizeof(uint64_t));
                acc[i] = s->acc[i] + sum[i] - so_far[i]; /* to the end of this block … */
        }
        for (uint64_t b = 0; b < blocks; b++)
                for (size_t i = 0; i < XXH_ACC_NB; i++)
                        acc[i] = checksum_scramble(acc[i], keys[i]) + sum[i];
        for (size_t i = 0; i < XXH_ACC_NB; i++)
                s->acc[i] = acc[i] - (sum[i] - so_far[i]); /* … and back to the same place in the last one */

        n = blocks * s->nbStripesPerBlock * XXH_STRIPE_LEN;
        s->totalLen += n;
        return n;
}

void checksum_add_zeros(struct checksum *c, uint64_t n)
{
        static const uint8_t zeros[ZEROS_SIZE];

        for (int i = 0; n; i++) {
                size_t part = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);

                checksum_add(c, zeros, part);
                n -= part;
                if (i == 0)
                        n -= checksum_skip_zeros(c->state, n);
        }
}

void checksum_get(const struct checksum *c, uint8_t ret[HASH128_SIZE])
{
        XXH128_canonical_t canonical;

        XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(c->state));
        memcpy(ret, canonical.digest, HASH128_SIZE);
}
