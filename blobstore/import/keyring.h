/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_KEYRING_H
#define BLOBSTORE_IMPORT_KEYRING_H

/*
 * OpenPGP public keys as people have them, armoured or not, and as gpgv wants them. Nothing here understands a key: that
 * is for the confined child.
 */

#include "blobstore/base/strbuf.h"

/*
 * Gives the packets of what BYTES hold. 1: it ends before its end, and *RET is as it was; -EINVAL, with a sentence: it is
 * no keyring.
 */
int keyring_read(const void *bytes, size_t n, struct strbuf *ret, struct strbuf *reason);

/* Adds packets armoured; nothing for none. */
void keyring_print(const void *packets, size_t n, struct strbuf *out);

#endif
