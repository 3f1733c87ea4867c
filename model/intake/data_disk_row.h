/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_DATA_DISK_ROW_H
#define MODEL_INTAKE_DATA_DISK_ROW_H

/* Data disks on their way in, for the other steps of an image's. Private to model/. */

#include "blobstore/import/source.h"
#include "model/image/image_disk_row.h"
#include "model/image/image_row.h"

/* The image and its disk, where it is one to be uploaded: -EBUSY. */
int data_disk_load(struct db_txn *t, uint64_t disk, struct image *ret_image, uint64_t *ret_store,
                   struct disk_ref *ret_disk, struct diag *diag);

/* May the system disk come? -EBUSY, while one of them has no data, or is being written. */
int data_disks_refuse_unready(struct model *m, struct db_txn *t, const struct image *image, struct diag *diag);

/* Makes room for another try of an import that failed: of the disks those stay that were uploaded, charged again. -EDQUOT. */
int data_disks_again(struct model *m, struct db_txn *t, const struct image *image, struct changes *ch, struct diag *diag);

/* What the file of one is. -EINVAL: nothing that can be a data disk. */
int data_disk_probe(int fd, struct image_probe *ret, struct strbuf *reason);

/* Removes their files, where nothing is going to read them. The mutex of the uploads is held: nobody tries again meanwhile. */
void data_disks_clear(struct model *m, uint64_t image);

#endif
