/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MODEL_PRIV_H
#define MODEL_MODEL_PRIV_H

/*
 * What the files of model/ share: the model itself, and the steps that operations put
 * together inside one transaction. Whoever takes a struct db_txn needs it to be DB_WRITE unless it says
 * otherwise, and neither begins nor, unless it says so, ends it.
 */

#include <pthread.h>

#include "model/core/region.h"
#include "model/db/db.h"
#include "model/image/image.h"
#include "model/image/snapshot.h"
#include "model/work/task.h"

struct listings;
struct runner;
struct stores;
struct uploads;
struct volumes;

struct model {
        struct db *db;
        int dir_fd; /* the library's directory */
        int lock_fd; /* its file "lock", held as long as the library is open */
        char *dir; /* its absolute path */
        char *mountpoint; /* may be NULL */
        bool read_only;
        bool import_private;
        struct stores *stores; /* stores.c */
        struct listings *listings; /* listing_cache.c */
        struct runner *runner; /* runner.c */
        struct uploads *uploads; /* upload.c */
        struct volumes *volumes; /* volume_file.c */
        model_listener_fn *listener;
        void *listener_ctx;
};

/* user.c: the user with this name, or of this number. -ENOENT. */
int user_find(const char *name, uid_t *ret);

/* model.c */
int64_t model_now_us(void);
/* PREFIX-xxxxxxxxxxxx, 12 random base-32 digits; the table's UNIQUE constraint stands behind it. */
int model_new_ident(const char *prefix, char *buf, size_t size);
/* Tells the listener. Never with a transaction open. */
void model_changed(struct model *m, enum object_kind kind, uint64_t id);

/* stores.c: the blob stores of the library, opened at start or when a region gets one. */
int stores_open(struct model *m, uint64_t cache_bytes, struct diag *diag, struct stores **ret);
void stores_close(struct stores *s); /* accepts NULL */
/* Borrowed until model_close(). -ENOENT. */
int stores_get(struct model *m, uint64_t store, struct blobstore **ret);
typedef int stores_fn(void *ctx, uint64_t id, struct blobstore *bs);
int stores_each(struct model *m, stores_fn *fn, void *ctx);
/* Opens (or creates) the store at PATH and gives its id, making the row if it is new. Called without a transaction. */
int stores_add(struct model *m, const char *path, struct diag *diag, uint64_t *ret);

/* refusal.c: ERROR 0: a warning, about something that was done */
int refusal_insert(struct db_txn *t, uid_t uid, enum object_kind kind, uint64_t id, int error, const char *sentence);

/*
 * quota.c: may UID have MORE objects of quota Q in the region? To be asked before the rows are inserted. -EDQUOT, which
 * ends the transaction: for the sentence, the machine may have to ask another for the user's name.
 */
int quota_check(struct db_txn *t, uint64_t region, uid_t uid, enum limit q, uint64_t more, struct diag *diag);
int quota_read(struct db_txn *t, uint64_t region, uid_t uid, enum limit q, struct quota *ret); /* DB_READ will do */
int limit_read(struct db_txn *t, enum limit l, uint64_t *ret); /* DB_READ will do */

/* region.c; DB_READ will do */
int region_load(struct db_txn *t, uint64_t id, struct region *ret);
int region_load_by_handle(struct db_txn *t, const char *handle, struct region *ret);

/* image.c */
int image_load(struct db_txn *t, uint64_t id, struct image *ret); /* DB_READ will do */
/* All rows that SQL gives for ARG: OBJECT_COLUMNS and the class. */
int image_each_of(struct model *m, const char *sql, uint64_t arg, image_fn *fn, void *ctx);
/*
 * Inserts a row from the fields of *IMAGE that are kept (o.id, ident, o.created_us and o.updated_us are made here and
 * set in *IMAGE). With SUFFIX, a taken handle gets -2, -3 …; else -EEXIST. Charges the quota by way of the triggers;
 * check it first.
 */
int image_insert(struct db_txn *t, struct image *image, bool suffix, struct diag *diag);
/* Of the directory CLASS; DB_READ will do. */
int image_load_by_handle(struct db_txn *t, uint64_t region, enum image_class class, const char *handle,
                         struct object *ret);
/* As object_free_handle(), in the directory CLASS. */
int image_free_handle(struct db_txn *t, uint64_t region, enum image_class class, const char *wanted, char *buf);
enum image_class image_class_of_word(const char *word);
/* Only the administrator changes what is not private; among private ones the modes of the tree decide. -EPERM. */
int image_refuse_stranger(enum image_class class, const struct caller *c, struct diag *diag);
/* -EEXIST, with its sentence. */
int image_refuse_taken(enum image_class class, const char *handle, struct diag *diag);
int image_touch(struct db_txn *t, uint64_t id);
/* Sets what an import found out. */
int image_set_found(struct db_txn *t, uint64_t id, const char *format, bool encrypted);
/* What an import was told about the machine, each where nothing was set; "": nothing was said. */
int image_set_hints(struct db_txn *t, uint64_t id, const char *os, const char *platform, const char *description);
int image_set_error(struct db_txn *t, uint64_t id, const char *sentence);
/* The row and its device mapping; blobs that nothing else names become candidates of the reaper. */
int image_erase(struct db_txn *t, uint64_t id);

/* image_disk.c; SNAPSHOT and BLOB are 0 for NULL */
int image_disk_insert(struct db_txn *t, uint64_t image, const char *device, bool system, uint64_t snapshot,
                      uint64_t blob);
int image_disk_set(struct db_txn *t, uint64_t id, uint64_t snapshot, uint64_t blob);
/* What work on disks needs to know of one; 0 where there is none. */
struct disk_ref {
        uint64_t id, snapshot, blob;
        char device[8];
        bool system;
};
typedef int disk_ref_fn(void *ctx, const struct disk_ref *d);
int image_disk_refs(struct db_txn *t, uint64_t image, disk_ref_fn *fn, void *ctx); /* DB_READ will do */

/* snapshot.c */
int snapshot_load(struct db_txn *t, uint64_t id, struct snapshot *ret); /* DB_READ will do */
/* As image_insert(); always with a suffix where the handle is taken. Status creating. */
int snapshot_insert(struct db_txn *t, struct snapshot *snapshot);
/* The bytes have come: status available. */
int snapshot_set_blob(struct db_txn *t, uint64_t id, uint64_t blob);
/* Removes one that no image refers to (any more). */
int snapshot_erase(struct db_txn *t, uint64_t id);

/* share.c: is the image shared with the caller? -EACCES with a sentence that does not name it; DB_READ will do. */
int share_load_check(struct db_txn *t, const struct caller *c, uint64_t image, struct diag *diag);

/* instance.c: one that was made from the image. -ENOENT; DB_READ will do. */
int instance_load_of_image(struct db_txn *t, uint64_t image, struct object *ret);

/* blob_row.c: names of blobs in the database */
struct blob_row {
        uint64_t id, store;
        struct blob_id key;
        struct blob_info info;
};
/* Of a joined blob: what blob_row_info() reads from column COL on. */
#define BLOB_INFO_COLUMNS   "blob.size, blob.data, blob.clusters, blob.spans, blob.checksum"
#define BLOB_INFO_N_COLUMNS 5
void blob_row_info(const struct db_row *row, int col, struct blob_info *ret);
int blob_row_insert(struct db_txn *t, uint64_t store, const struct blob *b, uint64_t *ret);
int blob_row_load(struct db_txn *t, uint64_t id, struct blob_row *ret); /* -ENOENT; DB_READ will do */
/* Opens the bytes. No transaction may be open. */
int blob_row_open(struct model *m, uint64_t id, struct blob **ret);

/* lifecycle.c: the engine over the table in lifecycle_image.c */
enum image_verb {
        VERB_UPLOAD, /* a writer opened upload */
        VERB_ABANDON, /* the last writer closed without a byte */
        VERB_IMPORT, /* the last writer closed, there is something to import */
        VERB_FINISH, /* the work on it is done */
        VERB_FAIL, /* … or cannot be done */
        VERB_DELETE,
        VERB_RESTORE,
        VERB_DESTROY,
        VERB_PUBLISH,
        VERB_HAND_OVER,
        VERB_REPLICATE, /* its bytes are being made */
        VERB_SHARE_WORK, /* guards of what does not move the state: convert, copy, share, create an instance */
        VERB_COUNT,
};
/*
 * Moves the state by compare-and-swap from the one that IMAGE was loaded with; images that a conversion or copy makes
 * begin as pending. -EBUSY with a sentence when VERB does not apply to the present state or a guard refuses it, which
 * may end the transaction, as quota_check() does.
 */
int lifecycle_apply(struct db_txn *t, const struct image *image, enum image_verb verb, struct diag *diag);

/* task.c */
struct task_new {
        enum task_kind kind;
        uint64_t image, region, result; /* 0: none, as in the next line */
        uint64_t instance, volume, snapshot;
        const char *detail; /* may be NULL */
        const struct caller *caller;
};
int task_submit(struct db_txn *t, const struct task_new *n, uint64_t *ret);
/* A queued or running task that works on the image, or makes it. -ENOENT: there is none. DB_READ will do. */
int task_active_of_image(struct db_txn *t, uint64_t image, struct task *ret);
/* Likewise one that reads the disks of the instance, or the volume. */
int task_active_of_instance(struct db_txn *t, uint64_t instance, struct task *ret);
int task_active_of_volume(struct db_txn *t, uint64_t volume, struct task *ret);

/* runner.c */
int runner_start(struct model *m, unsigned workers, struct runner **ret);
void runner_stop(struct runner *r); /* accepts NULL */
/* There may be new tasks, blobs to reap or recycled images to expire: look. Call after the commit. */
void runner_wake(struct model *m);

/* upload.c */
int uploads_open(struct model *m, struct uploads **ret);
void uploads_close(struct uploads *u); /* accepts NULL */
/*
 * The image was removed: open handles answer -ESTALE from now on, a fetch of it stops, and the file goes. No
 * transaction may be open.
 */
void upload_image_gone(struct model *m, uint64_t image, uint64_t region, const char *ident);
/* Shows an image whose upload failed, which could not be recorded yet, as it will be. No transaction may be open. */
void upload_overlay(struct model *m, struct image *image);
/* Records such failures, if there is space now. */
void uploads_settle(struct model *m);
/* Has streams that have gone on for long keep less from being collected. Is anything being streamed? */
bool uploads_renew(struct model *m);
/* Ends uploads that a crash cut off, at start. */
int uploads_recover(struct model *m);

#endif
