/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_UNPACKER_UNPACKER_H
#define BLOBSTORE_IMPORT_UNPACKER_UNPACKER_H

/* Between the files of imagefs-unpack. Whatever goes wrong ends the process: there is nothing to give back. */

#include <stddef.h>
#include <stdint.h>

#include "blobstore/import/unpacker/stream.h"

/* One frame. */
void put_frame(enum unpack_frame frame, const void *bytes, size_t n);
void put_data(const void *bytes, size_t n); /* of any length */
_Noreturn void refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void unpack_gzip(void);
void unpack_compressed(const char *title); /* xz, zstd */
void unpack_ova(void);

#endif
