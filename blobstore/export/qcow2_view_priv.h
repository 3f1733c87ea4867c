/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_EXPORT_QCOW2_VIEW_PRIV_H
#define BLOBSTORE_EXPORT_QCOW2_VIEW_PRIV_H

/* A blob as a qcow2 file, computed as it is read: see the .c for its layout. Reached through export.h. */

#include "blobstore/blobs/blob.h"

struct qcow2_view;

/* B is borrowed until qcow2_view_close(). -EBADMSG: its map is damaged. */
int qcow2_view_open(struct blob *b, struct qcow2_view **ret);
void qcow2_view_close(struct qcow2_view *v); /* accepts NULL */

/* The whole file's bytes; known without opening the blob. */
uint64_t qcow2_view_size(const struct blob_info *info);

/* As blob_pread(). Any number of threads may share a view. */
ssize_t qcow2_view_pread(struct qcow2_view *v, void *buf, size_t n, uint64_t off);

#endif
