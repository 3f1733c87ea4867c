/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_INSIDE_H
#define BLOBSTORE_IMPORT_INSIDE_H

/*
 * What is inside a disk: its partitions, the system that is installed, the packages that this has. A confined child
 * (inside_reader/) understands partition tables, file systems and databases; what comes back is bounded and checked.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/base/strbuf.h"

/* Gives N bytes at OFF, inside the disk. A negative errno ends it. */
typedef int inside_read_fn(void *ctx, void *buf, size_t n, uint64_t off);

struct inside_disk {
        uint64_t size_bytes;
        inside_read_fn *read;
        void *ctx;
};

#define INSIDE_PARTS_MAX  129
#define INSIDE_NUMBER_MAX 255

/* A partition, or the disk where a file system begins at its start. */
struct inside_part {
        uint32_t number; /* 0: the disk */
        uint64_t off, len; /* inside the disk */
        char type[40]; /* as lsblk has it: "0x83", or GPT's; "" of a disk */
        char fs[16]; /* as blkid has it; "": nothing that is known */
        char uuid[40]; /* of that; "": none */
        char label[260]; /* likewise, of any bytes */
};

struct inside_parts {
        size_t n;
        struct inside_part part[INSIDE_PARTS_MAX]; /* no number twice */
};

/* Each "" where it cannot be told. */
struct inside_system {
        char os[16]; /* linux, kylin, windows */
        char platform[64], platform_version[64]; /* UTF-8 without control characters */
        char architecture[16]; /* x86_64, aarch64 */
        char boot_mode[8]; /* bios, uefi */
};

/*
 * They read what they need, and take milliseconds, or some seconds where the disk was made to keep its reader busy.
 * -EUCLEAN: it was too much for the child; -ENOENT, -EOPNOTSUPP: that is not installed, or cannot be confined; READ's.
 */
int inside_find_partitions(const struct inside_disk *disk, struct inside_parts *ret);
/* WAIT_MS: so long may be spent on waiting; 0: as for the others. */
int inside_find_system(const struct inside_disk *disk, int wait_ms, struct inside_system *ret);
/*
 * Adds a line "name version architecture" for each, sorted, of printable ASCII. -ENODATA: there is no database of
 * packages; -ENOMEDIUM: no file system that can be read; -ENOPKG: built without libext2fs.
 */
int inside_list_packages(const struct inside_disk *disk, struct strbuf *out);

/*
 * May there be anything to find in a disk that has these first INSIDE_START_BYTES? So that none is looked at for nothing.
 */
#define INSIDE_START_BYTES 2048
bool inside_may_be(const void *start);

/* All that a child may say; of one question's answer only one part is used. */
struct inside_answer {
        struct inside_parts *parts; /* room for it; NULL: none is wanted */
        struct inside_system system;
        struct strbuf lines;
        int end; /* what it says of all: 0, or one of the errors above */
};

/*
 * The half of it that trusts nobody: answers what comes from the child through the socket FD, until that is closed or
 * WAIT_MS have been spent on waiting. -ETIMEDOUT; -EPROTO: nonsense was asked or said, or too much.
 */
int inside_answer(int fd, const struct inside_disk *disk, int wait_ms, struct inside_answer *ret);

#endif
