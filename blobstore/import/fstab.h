/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_FSTAB_H
#define BLOBSTORE_IMPORT_FSTAB_H

/*
 * What a guest's /etc/fstab wants of disks that are to be left out: lines of which a machine that starts without those
 * disks would complain. It is read from the system disk, where that has an ext2, ext3 or ext4 file system, whole or in
 * a partition.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FSTAB_DISKS_MAX    26 /* vda to vdz */
#define FSTAB_TEXT_MAX     64
#define FSTAB_FINDINGS_MAX 4 /* who has read these will look at the others */

struct fstab_disk {
        char device[8]; /* "vda", the system disk, is the first */
        bool stays; /* a machine will have it */
        uint64_t size_bytes;
};

struct fstab_finding {
        char device[8]; /* that is left out */
        char source[FSTAB_TEXT_MAX]; /* as the line has it, cut: printable ASCII, '?' for the rest */
        char target[FSTAB_TEXT_MAX];
        uint32_t swap; /* … and is no file system */
};

struct fstab_findings {
        struct fstab_finding finding[FSTAB_FINDINGS_MAX];
        size_t n;
};

/* Gives N bytes at OFF, inside the disk, of the disk number DISK. A negative errno ends the check. */
typedef int fstab_read_fn(void *ctx, size_t disk, void *buf, size_t n, uint64_t off);

/*
 * Has imagefs-fstab look. It reads some hundred KiB, and takes milliseconds, or five seconds and the time that READ
 * takes where the file system was made to keep it busy. Nothing found is 0 too. -ENOENT: built without libext2fs;
 * other: it could not be run, or what it read was too much for it; READ's errors.
 */
int fstab_check(const struct fstab_disk *disks, size_t n, fstab_read_fn *read, void *ctx, struct fstab_findings *ret);

/*
 * The half of it that trusts nobody: answers what comes from the child through the socket FD, until that is closed or
 * WAIT_MS have been spent on waiting. -ETIMEDOUT; -EPROTO: nonsense was asked, or too much. *RET is written in any
 * case.
 */
int fstab_answer(int fd, const struct fstab_disk *disks, size_t n, fstab_read_fn *read, void *ctx, int wait_ms,
                 struct fstab_findings *ret);

#endif
