/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_SECRET_H
#define MODEL_CORE_SECRET_H

/*
 * What the catalogue holds without telling it: passwords that have to be shown to a server again, and the addresses of
 * downloads. The catalogue is copied into every blob store, and by whoever makes backups of it; so they are of use only
 * with a key, which lies in the library's directory, in a file of its own, and nowhere else. A library that has lost
 * its key makes another one: addresses end then, passwords have to be given again, and inode numbers are others. Private
 * to model/.
 */

#include "model/core/state.h"

#define SECRET_FILE     "secret" /* mode 0600: 32 bytes of chance */
#define SECRET_MAC_SIZE 32

/* What a sealed text of N bytes takes at most, with the end of the string. */
#define SECRET_SEALED_SIZE(n) (2 * ((n) + 28) + sizeof("sealed:"))

/* Reads the key, or makes one. Gives 1 where one was made; read-only there may be none. */
int secret_open(struct model *m);
void secret_close(struct model *m);

/* A number that follows from the bytes and the key; PURPOSE keeps those of one use from being those of another. */
int secret_mac(const struct model *m, const char *purpose, const void *bytes, size_t n, uint8_t ret[SECRET_MAC_SIZE]);

/* TEXT so that it can be read with the key alone, as printable text of up to SIZE bytes; another one each time. */
int secret_seal(const struct model *m, const char *text, char *ret, size_t size);
bool secret_is_sealed(const char *text);
/* -EKEYREJECTED: it was sealed with another key, or is damaged. */
int secret_unseal(const struct model *m, const char *sealed, char *ret, size_t size);

#endif
