/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_WORK_H
#define MODEL_WORK_WORK_H

/*
 * What uploads and tasks have in common: the disks of an image as a list, giving up what was half made, and
 * telling the listener after the commit what a transaction changed. Private to model/.
 */

#include "blobstore/import/source.h"
#include "model/model_priv.h"

/* Devices are vda … vdz. */
#define DISKS_MAX 26

struct disk_list {
        struct disk_ref disk[DISKS_MAX];
        size_t n;
};

int disk_list_load(struct db_txn *t, uint64_t image, struct disk_list *ret); /* DB_READ will do */

/* The most that one operation changes: what it works on, what it makes, a task, and two things for each disk. */
#define CHANGES_MAX (4 + 2 * DISKS_MAX)

struct changes {
        size_t n;
        struct {
                enum object_kind kind;
                uint64_t id;
        } item[CHANGES_MAX];
};

/* Notes an object, once; id 0 is nothing. */
void changes_add(struct changes *ch, enum object_kind kind, uint64_t id);
/* Tells the listener and wakes the runner. After the commit. */
void changes_tell(struct model *m, const struct changes *ch);

/* task.c: the image is to be removed: if it is being fetched, that ends here, as cancelled. */
int task_cancel_fetch(struct db_txn *t, uint64_t image, struct changes *ch);

/* image_move.c: image_remove() inside the caller's transaction; upload_image_gone() is left to the caller. */
int image_remove_in(struct db_txn *t, const struct caller *c, const struct image *image, struct changes *ch,
                    struct diag *diag);

/*
 * Are the disks of the image snapshots, or its own? Public, marketplace and iso images keep theirs: nobody's quota has
 * them.
 */
bool work_disks_are_snapshots(const struct image *image);

/*
 * Inserts the snapshot that will be a disk of IMAGE: the image's name, owner and region; SOURCE is where its bytes come
 * from.
 */
int work_add_snapshot(struct db_txn *t, const struct image *image, const char *source, struct changes *ch,
                      uint64_t *ret);

/*
 * Adds disks number FROM (0: vda) to TO (not included), for an import to fill. All that are snapshots are charged
 * together; -EDQUOT.
 */
int work_add_disks(struct db_txn *t, const struct image *image, size_t from, size_t to, struct changes *ch,
                   struct diag *diag);

/*
 * Removes the snapshots that were to hold what is being made for the image. They are those still being created:
 * an image that is being made refers to available ones only where it shares them.
 */
int work_erase_snapshots(struct db_txn *t, uint64_t image, struct changes *ch);

/*
 * Decides what the file FD of an image is, which must agree with the format that was set and with the image's class.
 * ret->encrypted is set for a file that is refused, too. The errors of image_probe().
 */
int work_probe(const struct image *image, int fd, struct image_probe *ret, struct strbuf *reason);

/* Names the bytes of a disk that was added for them. */
int work_fill_disk(struct db_txn *t, const struct disk_ref *disk, uint64_t store, const struct blob *b,
                   struct changes *ch);

/* The image that was being made ends in status error with SENTENCE; its new snapshots go. */
int work_fail_image(struct db_txn *t, uint64_t image, const char *sentence, struct changes *ch);

/* The image that was being made, and its new snapshots, were never there. */
int work_drop_image(struct db_txn *t, uint64_t image, struct changes *ch);

/* upload.c: bytes of the file that is being uploaded, 0 where there is none. */
uint64_t upload_bytes(struct model *m, uint64_t image);

/* Adds a sentence about ERROR, which befell the store or the machine and not the user's request. */
void work_add_sentence(struct strbuf *out, int error);

#endif
