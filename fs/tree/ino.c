/* SPDX-License-Identifier: MIT */

#include "fs/tree/ino.h"

#include <stdbool.h>

#define ROUNDS    23
#define WORD_BITS 24
#define WORD_MASK ((UINT32_C(1) << WORD_BITS) - 1)
#define KEY_WORDS (INO_KEY_SIZE * 8 / WORD_BITS)

static uint32_t round_keys[ROUNDS];
static bool has_key;

static uint32_t rotate_left(uint32_t word, unsigned n)
{
        return (word << n | word >> (WORD_BITS - n)) & WORD_MASK;
}

static uint32_t rotate_right(uint32_t word, unsigned n)
{
        return rotate_left(word, WORD_BITS - n);
}

/* One round, of the cipher and of its key schedule alike. */
static void mix(uint32_t *x, uint32_t *y, uint32_t key)
{
        *x = ((rotate_right(*x, 8) + *y) & WORD_MASK) ^ key;
        *y = rotate_left(*y, 3) ^ *x;
}

static void unmix(uint32_t *x, uint32_t *y, uint32_t key)
{
        *y = rotate_right(*y ^ *x, 3);
        *x = rotate_left(((*x ^ key) - *y) & WORD_MASK, 8);
}

void ino_set_key(const uint8_t key[INO_KEY_SIZE])
{
        uint32_t words[KEY_WORDS];

        /* The last word is the first round's. */
        for (unsigned i = 0; i < KEY_WORDS; i++) {
                const uint8_t *at = key + 3 * (KEY_WORDS - 1 - i);

                words[i] = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        }
        for (unsigned i = 0; i < ROUNDS; i++) {
                round_keys[i] = words[0];
                mix(&words[1 + i % (KEY_WORDS - 1)], &words[0], i);
        }
        has_key = true;
}

void ino_forget_key(void)
{
        has_key = false;
}

uint64_t ino_hide(uint64_t id)
{
        uint32_t x = id >> WORD_BITS & WORD_MASK, y = id & WORD_MASK;

        for (unsigned i = 0; has_key && i < ROUNDS; i++)
                mix(&x, &y, round_keys[i]);
        return (uint64_t)x << WORD_BITS | y;
}

uint64_t ino_find(uint64_t shown)
{
        uint32_t x = shown >> WORD_BITS & WORD_MASK, y = shown & WORD_MASK;

        for (unsigned i = ROUNDS; has_key && i > 0; i--)
                unmix(&x, &y, round_keys[i - 1]);
        return (uint64_t)x << WORD_BITS | y;
}
