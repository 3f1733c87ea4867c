/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_MAKING_H
#define MODEL_IMAGE_MAKING_H

/*
 * An image that is being made, by an upload or a task: the disks and snapshots that its bytes will come into, and how
 * it ends. Inside a transaction. Private to model/.
 */

#include "model/core/changes.h"
#include "model/image/image_disk_row.h"
#include "model/image/image_life.h"
#include "model/image/image_row.h"

/* -EBUSY while a task works on SOURCE, which another image is to be made from, or makes it. */
int making_refuse_busy(struct db_txn *t, const struct image *source, struct diag *diag);

/* May UID have so many more private IMAGES in REGION, with so many new SNAPSHOTS? -EDQUOT. */
int making_check_quota(struct db_txn *t, uint64_t region, uid_t uid, uint64_t images, uint64_t snapshots,
                       struct diag *diag);

/*
 * Whatever IMAGE was filled from, it is one that the task of VERB is going to make; for image_insert(). It belongs to
 * whom ORIGIN does, the object that it is made of, whoever makes it, and is as open.
 */
void making_take_over(struct image *image, const struct object *origin, enum image_verb verb);

/*
 * Inserts the snapshot that will be a disk of IMAGE: the image's name, owner and region; SOURCE is where its bytes come
 * from.
 */
int making_add_snapshot(struct db_txn *t, const struct image *image, const char *source, struct changes *ch,
                        uint64_t *ret);

/*
 * Adds disks number FROM (0: vda) to TO (not included), for an import to fill. All that are snapshots are charged
 * together; -EDQUOT.
 */
int making_add_disks(struct db_txn *t, const struct image *image, size_t from, size_t to, struct changes *ch,
                     struct diag *diag);

/*
 * Removes the snapshots that were to hold what is being made for the image. They are those still being created:
 * an image that is being made refers to available ones only where it shares them.
 */
int making_erase_snapshots(struct db_txn *t, uint64_t image, struct changes *ch);

/* Likewise, of one disk. */
int making_erase_disk(struct db_txn *t, const struct disk_ref *disk, struct changes *ch);

/* Names the bytes of a disk that was added for them: a blob that has its row, or one that gets it here. */
int making_set_blob(struct db_txn *t, const struct disk_ref *disk, uint64_t blob, struct changes *ch);
int making_fill_disk(struct db_txn *t, const struct disk_ref *disk, uint64_t store, const struct blob *b,
                     struct changes *ch);

/* The image that was being made ends in status error with SENTENCE; its new snapshots go. */
int making_fail(struct db_txn *t, uint64_t image, const char *sentence, struct changes *ch);

/*
 * The end of an image in the recycle bin: with it go the snapshots that its own import made, where no other image refers
 * to them. Those that conversions, captures and disks made stay.
 */
int making_destroy(struct db_txn *t, uint64_t image, struct changes *ch);

/* The image that was being made, and its new snapshots, were never there. */
int making_drop(struct db_txn *t, uint64_t image, struct changes *ch);

#endif
