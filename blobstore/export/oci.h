/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_EXPORT_OCI_H
#define BLOBSTORE_EXPORT_OCI_H

/*
 * Disks as an image of the Open Container Initiative (image-spec 1.0), which any registry takes: what index.json and the
 * blobs of its layout hold. Worked out by reading the disks once, kept without their bytes, and the same each time.
 */

#include "blobstore/blobs/blob.h"
#include "blobstore/export/export.h"

#define OCI_DISKS_MAX 32

struct oci_disk {
        const char *device; /* borrowed for the call */
        struct blob *blob; /* likewise */
};

/* For whom it says to be, in the words of OCI: "amd64", "linux". */
struct oci_platform {
        const char *architecture, *os;
};

struct oci;
struct strbuf;

/*
 * Reads all disks. -E2BIG: there is more data than an image may have layers for; -EBADMSG: damaged; what PROGRESS gives.
 * Counted: release with oci_unref().
 */
int oci_make(const struct oci_disk *disks, size_t n, const struct oci_platform *platform, blob_progress_fn *progress,
             void *ctx, struct oci **ret);
struct oci *oci_ref(struct oci *o);
void oci_unref(struct oci *o); /* accepts NULL */

/* What it takes of memory. */
size_t oci_bytes(const struct oci *o);

/* The text of index.json. */
void oci_add_index(const struct oci *o, struct strbuf *out);

/* ---- its blobs, numbered from 0 ---- */

#define OCI_DIGEST_SIZE 65 /* 64 digits and a zero */

unsigned oci_blobs(const struct oci *o);
void oci_digest(const struct oci *o, unsigned number, char ret[OCI_DIGEST_SIZE]);
/* -ENOENT */
int oci_find(const struct oci *o, const char *digest, unsigned *ret);
/* Of its bytes. */
uint64_t oci_size(const struct oci *o, unsigned number);
/* Which of the disks its bytes are from; 0 where they are from none. */
unsigned oci_disk_of(const struct oci *o, unsigned number);
/* B is that disk, which is taken over in any case. */
int oci_open(const struct oci *o, unsigned number, struct blob *b, struct export **ret);

#endif
