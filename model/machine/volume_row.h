/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MACHINE_VOLUME_ROW_H
#define MODEL_MACHINE_VOLUME_ROW_H

/* Volumes, inside a transaction. Private to model/. */

#include "model/core/changes.h"
#include "model/core/stores.h"
#include "model/machine/instance.h"

int volume_load(struct db_txn *t, uint64_t id, struct volume *ret); /* -ENOENT; DB_READ will do */
/* The disk of the region with this handle or ident. -ENOENT; DB_READ will do. */
int volume_load_by_name(struct db_txn *t, uint64_t region, const char *name, struct volume *ret);
/* Those of an instance, in order of their devices. -ENOENT without that device; DB_READ will do. */
int volume_load_by_device(struct db_txn *t, uint64_t instance, const char *device, struct volume *ret);
int volume_load_each(struct db_txn *t, uint64_t instance, instance_volume_fn *fn, void *ctx);

struct volume_new {
        /*
         * What counts: o.handle ("": in no list), o.uid, o.gid, region, name, size_bytes, instance, device, system,
         * source, and place where there is a key.
         */
        struct volume v;
        const struct disk_id *key; /* of a disk that is planned; NULL: waits for its size */
        uint64_t base; /* row of the blob that it is a clone of; or 0 */
        uint64_t snapshot; /* that this blob is of, or 0 */
        bool made_with; /* goes with its instance */
};

/*
 * May UID have so many more disks in the list, and so many more bytes of disks in all? To be asked before rows are
 * inserted, grow or change hands. As quota_check().
 */
int volume_check_quota(struct db_txn *t, uint64_t region, uid_t uid, uint64_t disks, uint64_t bytes, struct diag *diag);
/* Sets v.o.id, v.o.handle and v.ident. With SUFFIX, a taken handle gets -2, -3 …; else -EEXIST with a sentence. */
int volume_insert(struct db_txn *t, struct volume_new *n, bool suffix, struct diag *diag);

/* -EEXIST, with its sentence. */
int volume_refuse_taken(const char *handle, struct diag *diag);
/* Puts it where INSTANCE shows it as DEVICE; 0: nowhere. */
int volume_set_instance(struct db_txn *t, uint64_t id, uint64_t instance, const char *device);
/* Lists it among the region's disks under a free name, from WANTED; NULL: takes it from there. */
int volume_set_listed(struct db_txn *t, const struct volume *v, const char *wanted);
/* Removes a disk whose row did not come to be. */
void volume_discard_disk(struct model *m, struct blobstore *bs, const struct disk_id *key);
/* The row goes; the reaper removes the disk. */
int volume_erase(struct db_txn *t, uint64_t id);
/* Erases those that were made with the instance, the system disk and the rest; the others are free. */
int volume_erase_of_instance(struct db_txn *t, uint64_t instance, struct changes *ch);

/* Tells the listener after the commit of a change of a volume, and of what it concerns (0: nothing). */
void volume_tell(struct model *m, uint64_t id, uint64_t instance, uint64_t snapshot);

/* ---- volume_size.c ---- */

/* What volume_set_size() and volume_file_set_size() do; OWN, which may be NULL, does not count as a writer. */
int volume_grow(struct model *m, uint64_t id, const struct volume_file *own, uint64_t size_bytes, struct diag *diag);
/* The disk has this size: a transaction of its own. */
int volume_note_size(struct model *m, uint64_t id, uint64_t size_bytes);

/* ---- volume_disk.c ---- */

/* Where the bytes are. */
struct volume_disk_ref {
        uint64_t store;
        bool exists; /* else the volume waits for its size */
        bool made; /* else there may be nothing yet but the plan of it */
        uint64_t place; /* where it lies */
        struct disk_plan disk;
        char name[NAME_LEN_MAX + 1]; /* of the volume, for people */
};

int volume_load_disk(struct db_txn *t, uint64_t id, struct volume_disk_ref *ret); /* -ENOENT; DB_READ will do */
/*
 * Opens the volume's disk, which may be young. *ret is NULL where the volume waits for its size. -ENOENT; -EBUSY: it lies
 * elsewhere; as stores_get() and disk_open(). *ret_ref, which may be NULL, is what is opened.
 */
int volume_disk_open(struct model *m, uint64_t id, struct diag *diag, struct volume_disk_ref *ret_ref,
                     struct disk **ret);
/* Makes the files of that disk of the volume's, which is young, and has its row say so. Errors as of disk_make(). */
int volume_disk_make(struct model *m, uint64_t id, struct disk *d);

/* ---- volume_file.c ---- */

/* Disks that a crash left without a volume are for the reaper. At start, before anything makes one. */
int volumes_recover(struct model *m);

#endif
