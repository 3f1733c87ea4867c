/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_EXPORT_EXPORT_H
#define BLOBSTORE_EXPORT_EXPORT_H

/* Blobs going out: the guest's bytes as they are, or as a file of another format that is made while it is read. */

#include "blobstore/blobs/blob.h"

enum export_format {
        EXPORT_RAW,
        EXPORT_QCOW2,
        EXPORT_FORMAT_COUNT,
};

/* "raw", "qcow2": also the ending of a file's name. Static. */
const char *export_format_name(enum export_format f);
int export_format_parse(const char *name, enum export_format *ret); /* -EINVAL */

/* The file's bytes, known without opening the blob. */
uint64_t export_size(enum export_format f, const struct blob_info *info);
/*
 * The space that it takes: what is no hole. A disk takes it once, as raw, and its other formats as little as can be said: a
 * file that takes none is a hole to tar.
 */
uint64_t export_space(enum export_format f, const struct blob_info *info);

struct export;

/* Takes B over in any case. The same bytes each time. Any number of threads may share an export. -EBADMSG: damaged. */
int export_open(struct blob *b, enum export_format f, struct export **ret);
/* LEN bytes of it from OFF on, as a file of their own, raw. -EINVAL: they are not in it. */
int export_open_part(struct blob *b, uint64_t off, uint64_t len, struct export **ret);
void export_close(struct export *e); /* accepts NULL */

uint64_t export_get_size(const struct export *e);
/* Where its bytes are. */
struct blobstore *export_store(const struct export *e);

/* The blob, where the file's bytes are the blob's; else NULL. Borrowed until export_close(). */
struct blob *export_get_blob(const struct export *e);

/* As blob_pread(), blob_stretch() (in a format that is made while it is read: none) and blob_seek(). */
ssize_t export_pread(struct export *e, void *buf, size_t n, uint64_t off);
int export_stretch(struct export *e, uint64_t off, uint64_t *ret_off, size_t *ret_n);
int export_seek(struct export *e, uint64_t off, int whence, uint64_t *ret);

#endif
