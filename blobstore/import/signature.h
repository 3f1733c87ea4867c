/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_SIGNATURE_H
#define BLOBSTORE_IMPORT_SIGNATURE_H

/* Whether a text was signed by somebody who is trusted for it: OpenPGP, by gpgv, confined as all that reads foreign files. */

#include <stdbool.h>
#include <stdint.h>

#include "blobstore/base/strbuf.h"

struct signature {
        const void *keyring; /* OpenPGP packets, not armoured */
        size_t keyring_bytes;
        const struct strbuf *text;
        const struct strbuf *detached; /* the signature, armoured or not; NULL: TEXT is clear-signed */
};

/* Does the text say of itself that it is clear-signed? */
bool signature_is_clear(const struct strbuf *text);

/*
 * *RET is what was signed and nothing else, as gpgv has it, and *RET_MADE_S when. All signatures must be good, and by keys
 * of the keyring that are valid. DIR_FD: of a directory for files without a name. -EKEYREJECTED with a sentence: it was not
 * signed so; -EOPNOTSUPP with one: that cannot be found out here.
 */
int signature_check(const struct signature *s, int dir_fd, struct strbuf *ret, int64_t *ret_made_s, struct strbuf *reason);

#endif
