/* SPDX-License-Identifier: MIT */
#ifndef FS_BAR_H
#define FS_BAR_H

/* Numbers as people read them. */

#include <stdint.h>

#include "blobstore/base/strbuf.h"

/* "1.5 GiB"; below 1 KiB in bytes. */
void bar_add_size(struct strbuf *out, uint64_t bytes);
/* "████▌     ", WIDTH columns wide, for DONE of TOTAL. */
void bar_add(struct strbuf *out, uint64_t done, uint64_t total, unsigned width);

#endif
