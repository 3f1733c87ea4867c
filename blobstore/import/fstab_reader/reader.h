/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_FSTAB_READER_READER_H
#define BLOBSTORE_IMPORT_FSTAB_READER_READER_H

/*
 * Between the files of imagefs-fstab. What they read was made by a guest: lengths, places and counts are held against
 * what there is, and what makes no sense is passed over.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AREAS_MAX       129 /* a disk, and as many partitions as GPT has room for */
#define FSTAB_BYTES_MAX (64 << 10)
#define VALUE_MAX       260 /* the longest label, btrfs's, and its NUL */

/* What a line of fstab may name a file system by. */
enum tag {
        TAG_DEVICE, /* "vdb1" */
        TAG_UUID,
        TAG_LABEL,
        TAG_PARTUUID,
        TAG_PARTLABEL,
        TAG_COUNT,
};

struct guest_disk;

/* A whole disk, or a partition. */
struct area {
        struct guest_disk *disk;
        uint64_t off, len;
        bool ext; /* holds ext2, ext3 or ext4 */
        char name[TAG_COUNT][VALUE_MAX]; /* "" where it has none; no TAG_DEVICE */
};

struct guest_disk {
        char device[8];
        bool stays;
        uint32_t number;
        uint64_t size_bytes;
        bool listed; /* the areas are there */
        size_t n_areas;
        struct area area[AREAS_MAX];
};

/* disk.c: false: the disk ends before. */
bool disk_read(struct guest_disk *d, void *buf, size_t n, uint64_t off);

/* areas.c: finds the partitions, by GPT or MBR, and what they and their file systems are called. Once. */
void disk_list_areas(struct guest_disk *d);
/* As disk_read(), within the area. */
bool area_read(const struct area *a, void *buf, size_t n, uint64_t off);

/* ext.c: the text of /etc/fstab, owned by the caller, release with free(). NULL: none, or it cannot be read. */
char *ext_read_fstab(const struct area *a, size_t *ret_len);

/* lines.c: calls FN for every line that a machine waits for when it starts. All borrowed for the call. */
struct want {
        enum tag tag;
        const char *value; /* of the tag */
        const char *source, *target; /* as the line has them */
        bool swap;
};
typedef void want_fn(void *ctx, const struct want *w);
void fstab_each_want(char *text, size_t len, want_fn *fn, void *ctx);

#endif
