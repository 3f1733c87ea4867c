/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_SNAPSHOT_H
#define MODEL_IMAGE_SNAPSHOT_H

/* Snapshots: immutable disks of a region that images refer to. */

#include "model/image/image.h"

struct snapshot {
        struct object o;
        char ident[IDENT_MAX]; /* "snap-…" */
        uint64_t region;
        bool available; /* else being created: no bytes yet */
        struct blob_info blob;
        char name[NAME_LEN_MAX + 1];
        char source[IMAGE_VALUE_MAX + 1];
        char description[IMAGE_TEXT_MAX + 1];
};

int snapshot_get(struct model *m, uint64_t id, struct snapshot *ret); /* -ENOENT */
int snapshot_get_object(struct model *m, uint64_t id, struct object *ret);
int snapshot_find(struct model *m, uint64_t region, const char *handle, struct object *ret);
int snapshot_each(struct model *m, uint64_t region, object_fn *fn, void *ctx);
int snapshot_set_name(struct model *m, const struct caller *c, uint64_t id, const char *name, struct diag *diag);
int snapshot_set_description(struct model *m, const struct caller *c, uint64_t id, const char *text, struct diag *diag);
int snapshot_rename(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag);
/* -EBUSY while an image refers to it (a recycled one too) or it is being created. */
int snapshot_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag);
/* The snapshot's bytes. Owned by the caller, release with blob_close(). */
int snapshot_open(struct model *m, uint64_t id, struct diag *diag, struct blob **ret);

/* The images that refer to it, each once. */
int snapshot_images(struct model *m, uint64_t id, image_fn *fn, void *ctx);

#endif
