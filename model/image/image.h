/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_IMAGE_H
#define MODEL_IMAGE_IMAGE_H

/* Images: their attributes, disks and lives. The states and who may go where are the table in image_life.c. */

#include "blobstore/blobstore.h"
#include "model/core/object.h"

#define IMAGE_VALUE_MAX 256 /* bytes of a one-line attribute */
#define IMAGE_TEXT_MAX  4096 /* bytes of description and labels */

enum image_class { CLASS_PRIVATE, CLASS_PUBLIC, CLASS_MARKETPLACE, CLASS_ISO, CLASS_RECYCLE, CLASS_COUNT };

enum image_status {
        IMAGE_QUEUED,
        IMAGE_UPLOADING,
        IMAGE_PENDING,
        IMAGE_REPLICATING,
        IMAGE_AVAILABLE,
        IMAGE_ERROR,
        IMAGE_DELETING,
        IMAGE_DELETED,
        IMAGE_STATUS_COUNT,
};

enum image_type { TYPE_LOCAL, TYPE_CLOUD, TYPE_BOTH };

/* Words of the contract. Static. */
const char *image_class_name(enum image_class c);
const char *image_status_name(enum image_status s);
const char *image_type_name(enum image_type t);
/* For sentences: "a private image", "a cloud image". */
const char *image_class_phrase(enum image_class c);
const char *image_type_phrase(enum image_type t);

struct image {
        struct object o;
        char ident[IDENT_MAX]; /* "img-…" */
        uint64_t region;
        enum image_class class;
        enum image_class source; /* where it was made: private, public, marketplace or iso */
        enum image_status status;
        enum image_status restore; /* while deleted: the status that a restore gives back */
        enum image_type type;
        bool encrypted;
        bool busy; /* work in progress: on the image itself, or a conversion or copy of it */
        int64_t deleted_us; /* when it went to the recycle bin; 0: it is not there */
        char name[NAME_LEN_MAX + 1];
        char error[DIAG_TEXT_MAX];
        char format[16];
        char os[IMAGE_VALUE_MAX + 1];
        char platform[IMAGE_VALUE_MAX + 1];
        char platform_version[IMAGE_VALUE_MAX + 1];
        char architecture[IMAGE_VALUE_MAX + 1];
        char boot_mode[IMAGE_VALUE_MAX + 1];
        char features[IMAGE_VALUE_MAX + 1];
        char project_group[IMAGE_VALUE_MAX + 1];
        char provider[IMAGE_VALUE_MAX + 1];
        char description[IMAGE_TEXT_MAX + 1];
        char labels[IMAGE_TEXT_MAX + 1];
        char family[NAME_LEN_MAX + 1];
        char lifecycle[sizeof("deprecated ") + IDENT_MAX]; /* and the image that takes its place, if there is one */
        bool protected;
};

int image_get(struct model *m, uint64_t id, struct image *ret); /* -ENOENT */
int image_get_object(struct model *m, uint64_t id, struct object *ret); /* as image_get(), for the directory alone */
/* Adds what its owner should know of it to OUT, a line each. */
struct strbuf;
int image_get_warnings(struct model *m, uint64_t id, struct strbuf *out);
int image_find(struct model *m, uint64_t region, enum image_class class, const char *handle, struct object *ret);
int image_each(struct model *m, uint64_t region, enum image_class class, object_fn *fn, void *ctx);
/* An image and where it is, for the lists of what refers to images. */
typedef int image_fn(void *ctx, const struct object *image, enum image_class class);

/*
 * Makes an image in status queued. -EINVAL, -EEXIST, -EDQUOT; -EPERM in public and marketplace unless admin; never
 * in recycle.
 */
int image_create(struct model *m, const struct caller *c, uint64_t region, enum image_class class, const char *handle,
                 struct diag *diag, uint64_t *ret);

/*
 * The short form: makes an image for a file called FILENAME ("debian-12.qcow2" gives "debian-12") with the format its
 * ending says. -EINVAL: not an ending that can be imported; else as image_create().
 */
int image_create_for_file(struct model *m, const struct caller *c, uint64_t region, enum image_class class,
                          const char *filename, struct diag *diag, uint64_t *ret);
/* The image that was made so, if it has its name still. -ENOENT */
int image_find_for_file(struct model *m, uint64_t region, enum image_class class, const char *filename, uint64_t *ret);

/* Attributes that can be written; IMAGE_FIELD_TYPE and _FORMAT only while queued. */
enum image_field {
        IMAGE_FIELD_NAME,
        IMAGE_FIELD_DESCRIPTION,
        IMAGE_FIELD_TYPE,
        IMAGE_FIELD_FORMAT,
        IMAGE_FIELD_OS,
        IMAGE_FIELD_PLATFORM,
        IMAGE_FIELD_PLATFORM_VERSION,
        IMAGE_FIELD_ARCHITECTURE,
        IMAGE_FIELD_BOOT_MODE,
        IMAGE_FIELD_FEATURES,
        IMAGE_FIELD_LABELS,
        IMAGE_FIELD_PROJECT_GROUP,
        IMAGE_FIELD_PROVIDER,
        IMAGE_FIELD_FAMILY,
        IMAGE_FIELD_PROTECTED,
        IMAGE_FIELD_LIFECYCLE,
        IMAGE_FIELD_COUNT,
};

/*
 * VALUE without its final newline; "" unsets where the attribute may be unset. -EINVAL, -EBUSY (no longer queued),
 * -EPERM.
 */
int image_set(struct model *m, const struct caller *c, uint64_t id, enum image_field field, const char *value,
              struct diag *diag);

/*
 * Sets what TEXT, a metadata.json that was saved, says of all that can be written, or nothing: while queued (-EBUSY).
 * Gives 1 where TEXT is no object yet, but may become one when more comes. -EINVAL.
 */
int image_set_metadata(struct model *m, const struct caller *c, uint64_t id, const char *text, struct diag *diag);

/*
 * rename(2) of the directory: a new handle and name in the same class, a restore from recycle, into recycle as
 * image_remove() does, or publishing (private to public or marketplace, and back, admin only); region and all other
 * moves: -EPERM. -EEXIST, -EINVAL, -EDQUOT, -EBUSY.
 */
int image_move(struct model *m, const struct caller *c, uint64_t id, uint64_t region, enum image_class class,
               const char *handle, struct diag *diag);

/*
 * rmdir(2) of the directory, outside of the recycle bin: available and error go there, queued and uploading ones are gone.
 * -EBUSY with a sentence in any other state, or while something uses it; -ENOENT also where it is in the bin by now.
 */
int image_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag);
/* rmdir(2) in the recycle bin, for good. -ENOENT also where it is not there any more; else as image_remove(). */
int image_destroy(struct model *m, const struct caller *c, uint64_t id, struct diag *diag);

/* ---- disks ---- */

struct image_disk {
        uint64_t id;
        char device[8]; /* "vda" */
        bool system;
        uint64_t snapshot; /* 0: its own blob, or none yet */
        char snapshot_ident[IDENT_MAX]; /* "" without one */
        char snapshot_handle[NAME_LEN_MAX + 1];
        bool has_blob;
        struct blob_info blob; /* zeros without one */
        int64_t created_us; /* of the bytes: the snapshot's, or the image's */
};
typedef int image_disk_fn(void *ctx, const struct image_disk *d);
int image_disk_get(struct model *m, uint64_t id, struct image_disk *ret, uint64_t *ret_image); /* -ENOENT */
int image_disk_each(struct model *m, uint64_t image, image_disk_fn *fn, void *ctx);
/* The disk's bytes. -ENOENT: gone, or not there yet. Owned by the caller, release with blob_close(). */
int image_disk_open(struct model *m, uint64_t id, struct diag *diag, struct blob **ret);

#endif
