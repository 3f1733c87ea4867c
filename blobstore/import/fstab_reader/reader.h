/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_FSTAB_READER_READER_H
#define BLOBSTORE_IMPORT_FSTAB_READER_READER_H

/* Between the files of imagefs-fstab. */

#include "blobstore/import/guest_reader/reader.h"

#define FSTAB_BYTES_MAX (64 << 10)

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
