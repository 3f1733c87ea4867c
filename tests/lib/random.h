/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_RANDOM_H
#define TESTS_LIB_RANDOM_H

/* A generator of its own, so that a seed is a test, and what may be set from outside, such as the seed. */

#include <stddef.h>
#include <stdint.h>

uint64_t random_next(uint64_t *state);
void random_fill(uint64_t *state, void *buf, size_t n);

/* The number that the environment has under NAME. */
uint64_t environment_number(const char *name, uint64_t otherwise);

#endif
