/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_IMAGE_DISK_ROW_H
#define MODEL_IMAGE_IMAGE_DISK_ROW_H

/* The disks of images, inside a transaction. Private to model/. */

#include "model/core/state.h"
#include "model/image/image.h"

/* SNAPSHOT and BLOB are 0 for NULL. */
int image_disk_insert(struct db_txn *t, uint64_t image, const char *device, bool system, uint64_t snapshot,
                      uint64_t blob);
int image_disk_set(struct db_txn *t, uint64_t id, uint64_t snapshot, uint64_t blob);
/* What work on disks needs to know of one; 0 where there is none. */
struct disk_ref {
        uint64_t id, snapshot, blob;
        char device[8];
        bool system;
};

/* Devices are vda … vdz. */
#define DISKS_MAX 26

struct disk_list {
        struct disk_ref disk[DISKS_MAX];
        size_t n;
};

int disk_list_load(struct db_txn *t, uint64_t image, struct disk_list *ret); /* DB_READ will do */

#endif
