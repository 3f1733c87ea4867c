/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_TEXT_H
#define MODEL_CORE_TEXT_H

/*
 * Texts that were made for a user and stay as they are: what an open file reads as, what an open directory lists. They
 * are counted: one text for all files that it was made for. What users keep open is theirs to choose, so each has a
 * budget, and what is not small lies in a file without a name in the library's directory, not in memory.
 */

#include <stddef.h>
#include <sys/types.h>

#include "blobstore/base/strbuf.h"
#include "model/core/diag.h"

struct model;
struct text;
struct texts;
struct spool;

int texts_new(int dir_fd, struct texts **ret); /* DIR_FD is borrowed */
void texts_free(struct texts *ts); /* accepts NULL; every text is gone */

/* Takes what FROM holds, and empties it. -EDQUOT, with a sentence: UID has too much open; -ENOSPC, -EIO, -ENOMEM. */
int text_new(struct model *m, uid_t uid, struct strbuf *from, struct diag *diag, struct text **ret);
/* Likewise, of what is in a file already, or in memory. After -EDQUOT FROM is as it was. */
int text_new_spooled(struct model *m, uid_t uid, struct spool *from, struct diag *diag, struct text **ret);
struct text *text_ref(struct text *t);
void text_unref(struct text *t); /* accepts NULL */

size_t text_size(const struct text *t);
/* N bytes at OFF, which must be there: the text's own, or read into BUF. NULL: they cannot be read. */
const char *text_get(const struct text *t, size_t off, size_t n, char *buf);

#endif
