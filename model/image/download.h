/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_DOWNLOAD_H
#define MODEL_IMAGE_DOWNLOAD_H

/*
 * Addresses at which a disk of an image may be fetched by whoever knows them, for some hours. An address ends when its
 * time is up, when it is removed, when the image stops being available (it is deleted), and when it is handed to
 * another owner.
 */

#include "blobstore/export/export.h"
#include "model/image/image.h"

#define DOWNLOAD_TOKEN_LEN 64 /* hexadecimal digits: 256 bits of chance */

struct download {
        uint64_t id, image;
        char image_ident[IDENT_MAX];
        char device[8]; /* "vda" */
        enum export_format format;
        char token[DOWNLOAD_TOKEN_LEN + 1];
        int64_t created_us, expires_us;
};

/* "vda.qcow2". */
#define DOWNLOAD_NAME_SIZE 16
void download_name(const struct download *d, char ret[DOWNLOAD_NAME_SIZE]);

/* None of these gives one whose time is up: -ENOENT. */
int download_get(struct model *m, uint64_t id, struct download *ret);
int download_find(struct model *m, uint64_t image, const char *name, struct download *ret);
/* By its token; the time it takes says nothing about tokens that exist. */
int download_find_token(struct model *m, const char *token, struct download *ret);

/* Those of an image, by name. */
typedef int download_fn(void *ctx, const struct download *d);
int download_each(struct model *m, uint64_t image, download_fn *fn, void *ctx);

/*
 * Makes an address for NAME ("vda.qcow2"), valid for download-hours. -EINVAL: not a device and a format; -ENOENT: no
 * such disk; -EBUSY: the image is not available; -EEXIST; -EOPNOTSUPP: the administrator allows no hours.
 */
int download_create(struct model *m, uint64_t image, const char *name, struct diag *diag, uint64_t *ret);
int download_remove(struct model *m, uint64_t id); /* -ENOENT */

/* The disk's bytes. -ENOENT. Owned by the caller, release with export_close(). */
int download_open(struct model *m, const struct download *d, struct diag *diag, struct export **ret);

#endif
