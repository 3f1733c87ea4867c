/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_FAMILY_H
#define MODEL_IMAGE_FAMILY_H

/*
 * Images that are releases of the same thing, in one region. A family is there as long as an image names it; each caller
 * sees of it those images that she may use, and no family of which she sees none. What lies in the recycle bin is in none.
 */

#include "model/image/image.h"

struct family {
        uint64_t id, region;
        char name[NAME_LEN_MAX + 1];
};
typedef int family_fn(void *ctx, const struct family *f);

struct family_image {
        uint64_t id;
        enum image_class class;
        bool shared; /* the caller has it by a share: it is in shared/ for her */
        char handle[NAME_LEN_MAX + 1];
        char link[NAME_LEN_MAX + sizeof(".marketplace")]; /* its name in the family: the handle, or the class behind it */
};
typedef int family_image_fn(void *ctx, const struct family_image *i);

int family_get(struct model *m, uint64_t id, struct family *ret); /* -ENOENT */
int family_find(struct model *m, const struct caller *c, uint64_t region, const char *name, struct family *ret);
int family_each(struct model *m, const struct caller *c, uint64_t region, family_fn *fn, void *ctx);

/* The newest first. */
int family_each_image(struct model *m, const struct caller *c, uint64_t family, family_image_fn *fn, void *ctx);
int family_find_image(struct model *m, const struct caller *c, uint64_t family, const char *link,
                      struct family_image *ret);
int family_get_image(struct model *m, const struct caller *c, uint64_t image, struct family_image *ret);
/* The newest that is available and active; -ENOENT. */
int family_get_latest(struct model *m, const struct caller *c, uint64_t family, struct family_image *ret);

#endif
