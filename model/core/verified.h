/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_VERIFIED_H
#define MODEL_CORE_VERIFIED_H

#include <stdint.h>

struct model;

/*
 * When the last pass of scrubbing (work/scrub.c) began that found all bytes whole; 0: none did yet, or something is
 * damaged. Of an image that counts for all its disks.
 */
int verified_image(struct model *m, uint64_t image, int64_t *ret_us);
int verified_snapshot(struct model *m, uint64_t snapshot, int64_t *ret_us);

#endif
