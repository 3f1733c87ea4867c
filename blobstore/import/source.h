/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_SOURCE_H
#define BLOBSTORE_IMPORT_SOURCE_H

/*
 * Foreign image files, read as a flat run of guest bytes with holes. The format
 * is decided once, from the content: every known signature is tried and exactly
 * one may match; a file that matches none is raw. What reading needs beyond a few
 * fixed header fields is done by a child process without privileges, network or
 * other files.
 *
 * A source belongs to one thread at a time. All functions give 0 or a negative
 * errno; REASON, where it is given, is then a sentence for the user that names
 * what is wrong with the file and what to do.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/base/strbuf.h"

enum image_format {
        IMAGE_FORMAT_AUTO, /* not decided yet */
        IMAGE_FORMAT_RAW,
        IMAGE_FORMAT_QCOW2,
        IMAGE_FORMAT_VMDK,
        IMAGE_FORMAT_VHD,
        IMAGE_FORMAT_VHDX,
        IMAGE_FORMAT_VDI,
        IMAGE_FORMAT_ISO,
        IMAGE_FORMAT_OVA, /* a machine: one or more disks in an archive */
};

/* What must be taken off before there is a disk to read: image_unpack(). */
enum image_packing {
        IMAGE_PACKING_NONE,
        IMAGE_PACKING_GZIP,
        IMAGE_PACKING_XZ,
        IMAGE_PACKING_ZSTD,
        IMAGE_PACKING_OVA,
};

/* "auto", "raw", "qcow2" … Static. */
const char *image_format_name(enum image_format f);
int image_format_parse(const char *name, enum image_format *ret); /* -EINVAL */

/* How far a raw disk goes, by its own start; zeros where that says nothing. */
struct image_reach {
        uint64_t end;
        char what[48]; /* ends there: "partition 2" */
        uint64_t copy_end; /* of its partition table's copy, which a disk can do without; 0: it has none */
};

struct image_probe {
        enum image_format format; /* compressed: the one that was wanted, since what is inside is not known yet */
        enum image_packing packing; /* other than NONE: there is no size yet */
        bool encrypted; /* LUKS, or an encrypted qcow2 */
        bool flat; /* although the format has tables: the file's first size_bytes bytes are the disk */
        uint64_t size_bytes; /* virtual */
        struct image_reach reach;
};

/*
 * Decides the format of the file FD (regular, opened for reading) from its content. What is more than its signature is
 * for a confined child to look at, which ends with the thread that calls this.
 * WANTED other than AUTO must agree with what is found; RAW with whatever is no other format. -EINVAL: not an image that can be taken: empty, truncated, with a backing file or
 * external data file, with unknown incompatible features, too large, or of two formats at once; ret->encrypted is
 * set then, too. -EOPNOTSUPP: there is no child to be had here.
 */
int image_probe(int fd, enum image_format wanted, struct image_probe *ret, struct strbuf *reason);
/* For LIMIT_MS at the most: then -ETIMEDOUT, and nothing is known. 0: without a limit of the caller's. */
int image_probe_within(int limit_ms, int fd, enum image_format wanted, struct image_probe *ret, struct strbuf *reason);

/* Is it all there, with SIZE_BYTES? Not asked by image_probe(), to which a file may look shorter. -EINVAL: the end is missing. */
int image_check_end(const struct image_probe *probe, uint64_t size_bytes, struct strbuf *reason);

/* All that image_begins_plain() looks at, and image_probe() of what is plain, but for the file's end and length. */
#define IMAGE_HEAD_BYTES ((size_t)64 << 10)

/*
 * Could a file of WANTED format that begins with these IMAGE_HEAD_BYTES be the bytes of a disk as they are: raw, or an
 * ISO? Its end may still say otherwise.
 */
bool image_begins_plain(const uint8_t *start, enum image_format wanted);
bool image_is_plain(const struct image_probe *probe); /* likewise, when all is known */

#define IMAGE_DISKS_MAX 26 /* vda to vdz */

/* Disks that were taken out of a file, and what it says of them; empty where it says nothing. */
struct image_pack {
        size_t n_disks;
        int disk_fd[IMAGE_DISKS_MAX];
        char os[16]; /* linux or windows */
        char platform[128];
        char description[256];
};

/* Called now and then; a negative errno ends the work with it. */
typedef int unpack_progress_fn(void *ctx);

/*
 * Takes the disks out of the file FD that image_probe() found to be packed, into files without a name in the directory
 * DIR_FD. What came out is to be probed as any file is, and may not be packed again. Release with image_pack_done().
 * -EINVAL: damaged, truncated, hostile, or far larger inside than such files are; -EOPNOTSUPP: built without
 * libarchive, or the kernel confines nothing. The child ends with the thread that calls this.
 */
int image_unpack(int fd, const struct image_probe *probe, int dir_fd, unpack_progress_fn *progress, void *ctx,
                 struct image_pack *ret, struct strbuf *reason);
void image_pack_done(struct image_pack *p);

struct image_source;

/* Does a disk whose first N bytes are at START hold what LUKS has encrypted as a whole? */
bool image_is_encrypted(const void *start, uint64_t n);

/*
 * Opens the file FD as PROBE says. FD is borrowed until image_source_close(). Starts the child where one is needed:
 * it ends with the thread that calls this. -EOPNOTSUPP: the program, or the kernel's means to confine it, is missing.
 */
int image_source_open(int fd, const struct image_probe *probe, struct image_source **ret, struct strbuf *reason);
void image_source_close(struct image_source *s); /* accepts NULL; ends the child */

/*
 * Gives the next run of the image, in order, from byte 0: *ret_buf is NULL for a hole of *ret_len bytes, else
 * *ret_len bytes of data, borrowed until the next call. 1: given; 0: the end was reached; -EINVAL: damaged
 * or truncated; -ETIMEDOUT: no answer for too long; other: the disk or the child failed.
 */
int image_source_next(struct image_source *s, const void **ret_buf, uint64_t *ret_len, struct strbuf *reason);

#endif
