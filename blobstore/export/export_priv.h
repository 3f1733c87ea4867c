/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_EXPORT_EXPORT_PRIV_H
#define BLOBSTORE_EXPORT_EXPORT_PRIV_H

#include "blobstore/export/export.h"

/* A file that has a range of a blob between bytes of its own and zeros. */
struct export_between {
        const void *head;
        size_t head_n;
        uint64_t off, len; /* of the blob */
        size_t zeros;
};

/* Takes B over in any case; what the head is made of is copied. -ENOMEM */
int export_open_between(struct blob *b, const struct export_between *parts, struct export **ret);

#endif
