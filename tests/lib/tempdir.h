/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_TEMPDIR_H
#define TESTS_LIB_TEMPDIR_H

/* A private directory for one test, removed with all that is in it. Fails the program where it cannot be made. */

#define TEMPDIR_MAX 256

void tempdir_make(char path[TEMPDIR_MAX]);
int tempdir_open(char path[TEMPDIR_MAX]); /* likewise, and opens it */
void tempdir_remove(const char *path);

#endif
