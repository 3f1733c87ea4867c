/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_LIB_FUZZ_H
#define TESTS_FUZZ_LIB_FUZZ_H

/*
 * A harness is a file of tests/fuzz: it gives bytes that anybody might have made to one of the places that take such, and
 * says what must be true of the answer. scripts/fuzz has clang's libFuzzer make the bytes; replay.c gives it those of
 * tests/fuzz/corpus/HARNESS, in the suite, with any compiler.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What each harness defines. 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* And may define: libFuzzer's time for an input begins after it. replay.c does not call it. 0. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What must be true, in every build. */
#define MUST(condition) ((condition) ? (void)0 : fuzz_failed(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_failed(const char *condition, const char *file, int line);

/* The input, taken from its beginning; zeros, where it is over. */
struct input {
        const uint8_t *at;
        size_t left;
};

uint64_t input_number(struct input *in, size_t bytes); /* up to 8, little endian */
/* So many of the next bytes, or as many as there are; borrowed. */
const uint8_t *input_bytes(struct input *in, size_t n, size_t *ret_n);
/* The rest of it as a text, without its zeros; owned by the caller, release with free(). */
char *input_text(struct input *in);
/* Likewise, up to the next newline. NULL: the input is over. */
char *input_line(struct input *in);

/* Writes bytes of it into the file, in up to so many places of its first MOST bytes, and nowhere beyond its end. */
void input_damage_file(struct input *in, const char *path, unsigned places, uint64_t most);

/*
 * A file with these bytes, to be closed by the caller. It is the same file each time, made empty before: a file system
 * would be asked for a new one ten thousand times a second.
 */
int fuzz_file(const uint8_t *data, size_t size);

/*
 * A file which the input describes, so that a disk of megabytes is a small input: u32 length, and then, as often as there is
 * any, u32 offset, u16 length, and so many bytes. Nothing lies behind SPARSE_MAX. tests/fuzz/lib/pack makes it from a file.
 */
#define SPARSE_MAX ((uint64_t)64 << 20)
int fuzz_sparse_file(struct input *in, uint64_t *ret_size);

/* A directory of the harness' own, removed at the end of the process, if that comes. Its path. */
const char *fuzz_dir(void);

/* Keeps all files of a directory, and puts them back as they were, once for each input. One directory for a harness. */
void fuzz_keep_tree(const char *dir);
void fuzz_put_back_tree(void);

#endif
