/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_SHARE_H
#define MODEL_IMAGE_SHARE_H

/*
 * Sharing: the owner of a private image names users, who may then read it and make instances of it, under shared/ of
 * the region. A share ends with its owner's word or the user's, and with the image's being private: in the recycle bin
 * and once published there are none. Who becomes the owner of an image that was shared with her needs no share any more.
 *
 * Asking whether an image is shared with somebody takes one search of an index, so that it is asked for every request,
 * and the end of a share shows at once.
 */

#include "model/image/image.h"

/* The object's handle is the user's name, and the access is that of the image. */
struct share {
        struct object o;
        uint64_t image;
        uid_t uid; /* with whom */
};

/*
 * mkdir shares/<user>. -ENOENT (no such user), -EINVAL (the owner, or another name than users are shown by), -EPERM
 * (not the owner nor admin), -EOPNOTSUPP (everybody has it already), -EBUSY (not available), -EEXIST, -EDQUOT (the
 * image's shares, or what the user accepts).
 */
int share_create(struct model *m, const struct caller *c, uint64_t image, const char *user, struct diag *diag,
                 uint64_t *ret);
/* What was made of the image stays as it is. -ENOENT, -EPERM. */
int share_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag);

/* The caller, with whom the image is shared, wants it no more. -EACCES, -EPERM (admin, with whom it is not shared). */
int share_give_back(struct model *m, const struct caller *c, uint64_t image, struct diag *diag);

/* The user is not looked up: the handle is the image's. -ENOENT. */
int share_get(struct model *m, uint64_t id, struct share *ret);
/* With whom is called so, as share_each() says it. -ENOENT. */
int share_find(struct model *m, uint64_t image, const char *user, struct share *ret);

/* All of an image, in the order in which they were made. FN may call the model. */
typedef int share_fn(void *ctx, const struct share *s);
int share_each(struct model *m, uint64_t image, share_fn *fn, void *ctx);

/* May C use the image for its being shared? admin always. -EACCES with a sentence. */
int share_check(struct model *m, const struct caller *c, uint64_t image, struct diag *diag);

/* An image that is shared with anybody, by handle. -ENOENT. */
int share_find_image(struct model *m, uint64_t region, const char *handle, struct object *ret);
/* The images that are shared with C; all that are shared, for admin. */
int share_each_image(struct model *m, const struct caller *c, uint64_t region, object_fn *fn, void *ctx);

#endif
