/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_GUEST_READER_READER_H
#define BLOBSTORE_IMPORT_GUEST_READER_READER_H

/*
 * What the programs share that read a guest's disks in a process of their own: partitions, what file systems are called,
 * and files of ext2, ext3 and ext4. What they read was made by a guest: lengths, places and counts are held against what
 * there is, and what makes no sense is passed over.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AREAS_MAX 129 /* a disk, and as many partitions as GPT has room for */
#define VALUE_MAX 260 /* the longest label, btrfs's, and its NUL */

/* What a file system may be called by. */
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
        unsigned number; /* the partition's; 0: the disk */
        uint64_t off, len;
        char type[40]; /* the partition's: "0x83", or GPT's as "0fc63daf-8483-4772-8e79-3d69d8477de4" */
        const char *fs; /* "ext4", as blkid has it; NULL: nothing that is known here */
        bool ext; /* holds ext2, ext3 or ext4 */
        char name[TAG_COUNT][VALUE_MAX]; /* "" where it has none; no TAG_DEVICE */
};

struct guest_disk {
        char device[8];
        bool stays;
        uint32_t number;
        uint64_t size_bytes;
        bool listed; /* the areas are there */
        bool boot_code; /* an MBR that is not GPT's has a program in it */
        size_t n_areas;
        struct area area[AREAS_MAX]; /* the first is the disk */
};

/* disk.c: false: the disk ends before. */
bool disk_read(struct guest_disk *d, void *buf, size_t n, uint64_t off);
/* Of the program: N bytes at OFF, which are there, of the disk number DISK; it ends where it is given none. */
void guest_fetch(uint32_t disk, void *buf, size_t n, uint64_t off);
#define GUEST_READ_MAX (64 << 10) /* of one fetch */

/* areas.c: finds the partitions, by GPT or MBR, and what they and their file systems are called. Once. */
void disk_list_areas(struct guest_disk *d);
/* As disk_read(), within the area. */
bool area_read(const struct area *a, void *buf, size_t n, uint64_t off);

/* ext.c: the file system in an area. NULL: it cannot be read. */
struct ext;
struct ext *ext_open(const struct area *a);
void ext_close(struct ext *e); /* accepts NULL */
/* A file of 1 to MAX bytes, followed by a NUL; owned by the caller, release with free(). NULL: there is none. */
char *ext_read_file(struct ext *e, const char *path, size_t max, size_t *ret_len);
/* The first N bytes of one. False: there is none, or it is shorter. */
bool ext_read_start(struct ext *e, const char *path, void *buf, size_t n);
/* False where this is ext_none.c, and all of these find nothing. */
bool ext_is_built(void);

#endif
