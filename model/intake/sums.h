/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_SUMS_H
#define MODEL_INTAKE_SUMS_H

/* Lists of checksums, as sha256sum and sha512sum write them: "HEX  name", or with --tag "SHA256 (name) = HEX". */


#include "blobstore/base/strbuf.h"
#include "blobstore/import/file_sum.h"

/*
 * The sum of NAME, as file_sum_print() has it; where there are both, the longer. -EPROTO, with a sentence: it is not in
 * the list, or twice with different ones.
 */
int sums_find(const struct strbuf *list, const char *name, char ret[FILE_SUM_TEXT_MAX], struct strbuf *reason);

#endif
