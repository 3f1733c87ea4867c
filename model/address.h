/* SPDX-License-Identifier: MIT */
#ifndef MODEL_ADDRESS_H
#define MODEL_ADDRESS_H

/*
 * The file "database" of a library whose catalogue is on a server: the address, in one line. Whoever may read it may read the
 * catalogue, too: it can have a password. Private to model/.
 */

#include "blobstore/base/strbuf.h"
#include "model/core/state.h"

#define ADDRESS_FILE "database"

bool address_is_there(int dir_fd);

/* Reads it into M->catalogue, which is left NULL where there is none. -EUCLEAN: it is no address. */
int address_read(struct model *m, struct diag *diag);

/* 0, or -EINVAL, with a sentence: it is none that can be used. */
int address_check(const char *url, struct diag *diag);

/*
 * Adds what of the address tells one catalogue from another, so that it can be a file's name: "db.example_images"; not who asks, nor how.
 */
void address_add_place(struct strbuf *out, const char *url);

/* R and TROUBLE of db_open(), in words. */
int address_refuse(const char *url, int r, const char *trouble, struct diag *diag);

/* From here on the directory is that library's. */
int address_keep(const struct model *m);

#endif
