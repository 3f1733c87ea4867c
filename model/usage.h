/* SPDX-License-Identifier: MIT */
#ifndef MODEL_USAGE_H
#define MODEL_USAGE_H

/* What the images of a library that no daemon has open take, each with what it shares with others. */

#include "model/model.h"

/* In bytes. What is stored twice within the same images counts once in all but the first two. */
struct usage_part {
        uint64_t size; /* virtual */
        uint64_t logical; /* not holes */
        uint64_t unique; /* nobody else has them */
        uint64_t shared; /* others have them, too */
        uint64_t stored; /* what the unique ones take, compressed: removing these gives so much back */
};

struct usage_region {
        uint64_t id;
        char handle[NAME_LEN_MAX + 1];
        struct usage_part part; /* of its images; shared is what other regions have, too */
};

struct usage_image {
        uint64_t id;
        size_t region; /* which of them */
        char class[16], handle[NAME_LEN_MAX + 1];
        struct usage_part part;
};

/* Regions and images by name. */
struct usage {
        struct usage_region *regions;
        struct usage_image *images;
        size_t n_regions, n_images;
        struct model_stats total;
        unsigned unread; /* so many blobs could not be read, and are left out */
};

/* Of chunks, for 256 MiB at the most, and so for some 500 GiB of unique bytes. */
#define USAGE_AT_ONCE ((size_t)5 << 20)

/*
 * Reads all maps, once for each AT_ONCE chunks that there are, which it has in memory, with up to 48 bytes each. PROGRESS may be
 * NULL. Release with usage_done().
 */
int model_usage(const char *dir, size_t at_once, model_progress_fn *progress, void *ctx, struct diag *diag,
                struct usage *ret);
void usage_done(struct usage *u);

#endif
