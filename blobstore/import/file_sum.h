/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_FILE_SUM_H
#define BLOBSTORE_IMPORT_FILE_SUM_H

/* What sha256sum, sha512sum, md5sum and xxhsum -H2 print of a file, to hold it against what somebody says that it must be. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/base/strbuf.h"

#define FILE_SUM_BYTES_MAX 64

/* As text: "sha512=…", with 128 hex digits. */
#define FILE_SUM_TEXT_MAX (sizeof("sha256=") + 2 * FILE_SUM_BYTES_MAX)

enum file_sum_kind { FILE_SUM_SHA256, FILE_SUM_MD5, FILE_SUM_XXH128, FILE_SUM_SHA512, FILE_SUM_COUNT };

struct file_sum {
        enum file_sum_kind kind;
        uint8_t bytes[FILE_SUM_BYTES_MAX]; /* as printed; those that the kind does not have are zeros */
};

/* "sha256=HEX", "sha512=HEX", "md5=HEX" or "xxh128=HEX", the digits in either case. -EINVAL. */
int file_sum_parse(const char *text, struct file_sum *ret);
void file_sum_print(const struct file_sum *sum, char *buf, size_t size);
bool file_sum_equal(const struct file_sum *a, const struct file_sum *b);

/* Called now and then; a negative errno ends it and is returned. */
typedef int file_sum_fn(void *ctx);

/* Reads the file FD from its start to its end. */
int file_sum_of(int fd, enum file_sum_kind kind, file_sum_fn *fn, void *ctx, struct file_sum *ret);

#endif
