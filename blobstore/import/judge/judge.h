/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_JUDGE_JUDGE_H
#define BLOBSTORE_IMPORT_JUDGE_JUDGE_H

/*
 * Between the files of imagefs-judge. What they read was made by anybody: places, sizes and counts are held against the
 * file, and what makes no sense is refused with a sentence.
 */

#include "blobstore/import/format_priv.h"
#include "blobstore/import/judge/answer.h"
#include "blobstore/import/judge/walk.h"

struct judge_format {
        const char *name; /* as in struct format */
        const char *title;
        /* Judges what the header says; what it finds goes into *ret. -EINVAL. */
        int (*check)(struct walk *w, struct judged *ret, struct strbuf *reason);
        /* Before qemu reads it: does all that the tables name lie in the file? -EINVAL. NULL: there are none. */
        int (*walk)(struct walk *w, struct strbuf *reason);
};

/* formats.c; NULL: no such format. */
const struct judge_format *judge_format_find(const char *name);

int iso_check(struct walk *w, struct judged *ret, struct strbuf *reason);
int qcow2_check(struct walk *w, struct judged *ret, struct strbuf *reason);
int qcow2_walk(struct walk *w, struct strbuf *reason);
int vmdk_check(struct walk *w, struct judged *ret, struct strbuf *reason);
int vmdk_walk(struct walk *w, struct strbuf *reason);
int vhd_check(struct walk *w, struct judged *ret, struct strbuf *reason);
int vhd_walk(struct walk *w, struct strbuf *reason);
int vhdx_check(struct walk *w, struct judged *ret, struct strbuf *reason);
int vhdx_walk(struct walk *w, struct strbuf *reason);
int vdi_check(struct walk *w, struct judged *ret, struct strbuf *reason);
int vdi_walk(struct walk *w, struct strbuf *reason);

#endif
