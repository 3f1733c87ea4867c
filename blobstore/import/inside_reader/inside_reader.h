/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_INSIDE_READER_INSIDE_READER_H
#define BLOBSTORE_IMPORT_INSIDE_READER_INSIDE_READER_H

/* Between the files of imagefs-inside. */

#include "blobstore/import/guest_reader/reader.h"
#include "blobstore/import/inside.h"

/* system.c */
void find_system(struct guest_disk *d, struct inside_system *ret);

/* The packages that were found so far; what no package is called by becomes question marks. */
struct packages {
        size_t n, size;
        char **line;
};
/* packages.c: each text may be any bytes up to its NUL; a package without a name is none. */
void packages_add(struct packages *ps, const char *name, const char *version, const char *arch);
/* 0, and the list, sorted; or -ENODATA, -ENOMEDIUM, -ENOPKG (inside.h). */
int find_packages(struct guest_disk *d, struct packages *ret);

/* rpm.c: of LEN bytes of rpmdb.sqlite, which it changes. */
void rpm_list(char *database, size_t len, struct packages *ret);

#endif
