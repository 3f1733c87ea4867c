/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_GUEST_FILES_H
#define BLOBSTORE_IMPORT_GUEST_FILES_H

/*
 * The files of a guest: names, attributes, and where on the disk their bytes are, of the file system in one partition. A
 * confined child (inside_reader/files.c) has it open and answers questions until it is closed; what it says is bounded and
 * checked. The bytes of files are not read by it: who asks reads them from the disk, at the places that it was told.
 *
 * One at a time may use it; it was opened by a thread that lives as long.
 */

#include <sys/types.h>

#include "blobstore/import/inside.h"

#define GUEST_NAME_MAX    255
#define GUEST_LINK_MAX    4095
#define GUEST_EXTENTS_MAX 256
#define GUEST_INLINE_MAX  4096

struct guest_attr {
        uint32_t node; /* its number in the file system, never 0; of FAT, which has none, the place of its entry */
        uint32_t mode; /* type and permissions */
        uint32_t uid, gid, nlink;
        uint32_t atime_ns, mtime_ns, ctime_ns;
        int64_t atime_s, mtime_s, ctime_s;
        uint64_t size, blocks; /* blocks of 512 bytes */
};

/* Where LEN bytes from OFF on are in the partition; what no extent has reads as zeros. */
struct guest_extent {
        uint64_t off, len, at;
};

/* Of a file from one place on: what is before END, which lies behind that place. */
struct guest_map {
        uint64_t end; /* UINT64_MAX: that is all */
        uint32_t n; /* extents, in order, apart from each other */
        uint32_t inline_len; /* the file's first bytes are these, and it has no extents */
        union {
                struct guest_extent extent[GUEST_EXTENTS_MAX];
                uint8_t bytes[GUEST_INLINE_MAX];
        };
};

struct guest_files;

/* The partition is inside the disk. As inside_find_partitions(). */
int guest_files_open(const struct inside_disk *disk, const struct inside_part *part, struct guest_files **ret);
void guest_files_close(struct guest_files *f); /* accepts NULL */

/*
 * DISK is the same each time. -EUCLEAN: it makes no sense, or was too much for the child, and what is asked next is an
 * error, too, where guest_files_died(); -EOPNOTSUPP: encrypted or compressed; READ's.
 */
int guest_files_root(struct guest_files *f, const struct inside_disk *disk, struct guest_attr *ret);
int guest_files_stat(struct guest_files *f, const struct inside_disk *disk, uint32_t node, struct guest_attr *ret);
/* -ENOENT, -ENOTDIR */
int guest_files_find(struct guest_files *f, const struct inside_disk *disk, uint32_t dir, const char *name,
                     struct guest_attr *ret);
/* A target without NULs, and a NUL. -EINVAL: it is no link. */
int guest_files_link(struct guest_files *f, const struct inside_disk *disk, uint32_t node,
                     char ret[GUEST_LINK_MAX + 1]);
/* From OFF on. -EINVAL: it is no file. */
int guest_files_map(struct guest_files *f, const struct inside_disk *disk, uint32_t node, uint64_t off,
                    struct guest_map *ret);

/*
 * Some of what a directory has from POS on, which is 0, or the NEXT of an entry; without "." and "..". What is not 0 of FN
 * ends it. Not to have called it says that this was all. Attributes are told where ATTR wants them, which reads all over the
 * disk, and of directories none are: who asks for one by its name has it looked at more closely. MAX entries at the most,
 * 0 is 1.
 */
struct guest_entry {
        struct guest_attr attr;
        bool has_attr; /* else only its node, and the type, or 0, in mode */
        uint64_t next;
        const char *name;
};
typedef int guest_entry_fn(void *ctx, const struct guest_entry *e);
int guest_files_list(struct guest_files *f, const struct inside_disk *disk, uint32_t dir, uint64_t pos, size_t max,
                     bool attr, guest_entry_fn *fn, void *ctx);

bool guest_files_died(const struct guest_files *f);

#endif
