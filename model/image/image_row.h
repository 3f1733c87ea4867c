/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_IMAGE_ROW_H
#define MODEL_IMAGE_IMAGE_ROW_H

/* Images, inside a transaction. Private to model/. */

#include "model/core/changes.h"
#include "model/core/state.h"
#include "model/image/image.h"

int image_load(struct db_txn *t, uint64_t id, struct image *ret); /* DB_READ will do */
/* Also the store that the blobs of its region are in. */
int image_load_with_store(struct db_txn *t, uint64_t id, struct image *ret, uint64_t *ret_store);
/* All rows that SQL gives for ARG: OBJECT_COLUMNS and the class. */
int image_each_of(struct model *m, const char *sql, uint64_t arg, image_fn *fn, void *ctx);
/* How an image of that name in CLASS begins its life, as C's. */
void image_begin(struct image *image, const struct caller *c, uint64_t region, enum image_class class, const char *handle);
/*
 * Inserts a row from the fields of *IMAGE that are kept (o.id, ident, o.created_us and o.updated_us are made here and
 * set in *IMAGE). With SUFFIX, a taken handle gets -2, -3 …; else -EEXIST. Charges the quota by way of the triggers;
 * check it first.
 */
int image_insert(struct db_txn *t, struct image *image, bool suffix, struct diag *diag);
/* As object_free_handle(), in the directory CLASS. */
int image_free_handle(struct db_txn *t, uint64_t region, enum image_class class, const char *wanted, char *buf);
enum image_class image_class_of_word(const char *word);
/* Does one of UID's in CLASS count as a private image? So the schema's triggers have it: root's ISOs are for all. */
bool image_counts(enum image_class class, uid_t uid);
/* Images come into the recycle bin by being deleted alone. -EPERM. */
int image_refuse_bin(enum image_class class, struct diag *diag);
/* In public/ and marketplace/ only the administrator changes anything; elsewhere the modes of the tree decide. -EPERM. */
int image_refuse_stranger(enum image_class class, const struct caller *c, struct diag *diag);
/* -EEXIST, with its sentence. */
int image_refuse_taken(enum image_class class, const char *handle, struct diag *diag);
/* image_set() of one that was loaded and may be changed, inside the caller's transaction. */
int image_set_in(struct db_txn *t, const struct image *image, enum image_field field, const char *value,
                 struct diag *diag);
/* Sets what an import found out. */
int image_set_found(struct db_txn *t, uint64_t id, const char *format, bool encrypted);
/*
 * What was found in the system disk, each where nothing was set; a version goes with its platform. "": it could not be
 * told.
 */
struct inside_system;
int image_set_system(struct db_txn *t, uint64_t id, const struct inside_system *system);
/* What an import was told about the machine, each where nothing was set; "": nothing was said. */
int image_set_hints(struct db_txn *t, uint64_t id, const char *os, const char *platform, const char *description);
/* Adds a sentence to the image's `warnings`, unless it is there; and those of FROM to those of TO. */
int image_warn(struct db_txn *t, uint64_t id, const char *sentence);
int image_copy_warnings(struct db_txn *t, uint64_t from, uint64_t to);
int image_set_error(struct db_txn *t, uint64_t id, const char *sentence);
/* The row and its device mapping; blobs that nothing else names become candidates of the reaper. */
int image_erase(struct db_txn *t, uint64_t id);

/*
 * SQL on a row of image and one of instance that was made from it: may the owner of that still use the image? Else it
 * no longer has a say in what becomes of the image, nor sees how that is called.
 */
#define IMAGE_OPENS_TO_INSTANCE                                                                                        \
        "(instance.uid IN (0, image.uid) OR image.mode & 5 = 5 OR image.gid = instance.gid AND image.mode & 40 = 40 "  \
        "OR EXISTS (SELECT 1 FROM share WHERE share.image = image.id AND share.uid = instance.uid))"
/* SQL on a row of instance: was it made from image ?1, or has it that in its drive? With OR, PostgreSQL would look at all there are. */
#define INSTANCE_HAS_IMAGE "instance.id IN (SELECT id FROM instance WHERE image = ?1 UNION SELECT id FROM instance WHERE cdrom = ?1)"
/*
 * An instance that keeps the image from being deleted: it was made from it or, *RET_IN_DRIVE, has it in its drive only.
 * -ENOENT; DB_READ will do.
 */
int image_load_instance(struct db_txn *t, uint64_t image, struct object *ret, bool *ret_in_drive);

/* What the room above, of what comes in, is asked; no transaction may be open. */
struct image_hooks {
        /* Shows an image whose upload failed, which could not be recorded yet, as it will be. */
        void (*overlay)(struct model *m, struct image *image);
        /* The image was removed: whoever writes to its upload is told, a fetch of it stops, and the file goes. */
        void (*gone)(struct model *m, uint64_t image, uint64_t region, const char *ident);
        /* It went to the recycle bin: what is kept of a fetch that failed goes. */
        void (*recycled)(struct model *m, uint64_t image, uint64_t region, const char *ident);
};
/* Only of one that is not in the recycle bin: after the commit it may be restored, and be at work, at any moment. */
void image_tell_gone(struct model *m, uint64_t image, uint64_t region, const char *ident);

void image_tell_recycled(struct model *m, uint64_t image, uint64_t region, const char *ident);

/* image_remove() inside the caller's transaction; to tell it is left to the caller. */
int image_remove_in(struct db_txn *t, const struct caller *c, const struct image *image, struct changes *ch,
                    struct diag *diag);
/* Publishing and handing over: the image's snapshots, before the image itself is UID's. */
int image_handover_snapshots(struct db_txn *t, uint64_t image, uid_t uid, const gid_t *gid);
/* The image and they, in the transaction that makes the image UID's, before it does. -EBUSY, -EDQUOT. */
int image_handover(struct db_txn *t, uint64_t image, uid_t uid, const gid_t *gid, struct diag *diag);

#endif
