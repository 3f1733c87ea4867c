/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_FOREIGN_H
#define TESTS_LIB_FOREIGN_H

/*
 * Image files of other programs, made by those programs in a private directory, and what comes out of them. What goes
 * wrong in here fails the test.
 */

#include <stdbool.h>
#include <stdint.h>

#include "blobstore/import/source.h"

/* Of a group of tests. In the directory is "disk", 24 MiB: random bytes, text, long runs of one byte, between holes. */
int foreign_setup(void **state);
int foreign_teardown(void **state);
extern char foreign_dir[];

/* Does this kernel confine a child? Else nothing foreign is looked at, and the test is to be skipped. */
bool foreign_can_confine(void);
/* And are qemu's tools here? */
bool foreign_can_run(void);
/* And the programs that pack, and the one that unpacks, which is built only where libarchive is? */
bool foreign_can_unpack(void);

/* Runs a command in the directory, which must succeed. */
void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int open_at(const char *name, int flags);
uint64_t file_size(int fd);

struct outcome {
        int r; /* 0: read to the end */
        uint64_t size_bytes;
        uint64_t data_bytes;
        bool equal; /* to the file it was held against */
        char reason[256];
};

/* Reads all of the image; EXPECTED_FD (or -1) is what it should be. */
struct outcome read_image(int fd, enum image_format wanted, int expected_fd);
struct outcome read_name(const char *name, const char *expected);
int read_source(struct image_source *s, int expected_fd, struct outcome *o, struct strbuf *reason);

void assert_reads_as(const char *name, const char *expected);
void assert_refused_with(const char *name, const char *sentence);

#endif
