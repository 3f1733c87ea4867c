/* SPDX-License-Identifier: MIT */

#include "tests/fuzz/lib/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "tests/lib/tempdir.h"

void fuzz_failed(const char *condition, const char *file, int line)
{
        (void)fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
        abort();
}

const uint8_t *input_bytes(struct input *in, size_t n, size_t *ret_n)
{
        const uint8_t *at = in->at;

        *ret_n = n < in->left ? n : in->left;
        in->at += *ret_n;
        in->left -= *ret_n;
        return at;
}

uint64_t input_number(struct input *in, size_t bytes)
{
        uint64_t number = 0;
        const uint8_t *at;
        size_t n;

        at = input_bytes(in, bytes, &n);
        for (size_t i = n; i-- > 0;)
                number = number << 8 | at[i];
        return number;
}

static char *copy_text(const uint8_t *from, size_t n)
{
        char *text = malloc(n + 1), *to = text;

        MUST(text);
        for (size_t i = 0; i < n; i++)
                if (from[i])
                        *to++ = (char)from[i];
        *to = '\0';
        return text;
}

char *input_text(struct input *in)
{
        const uint8_t *at;
        size_t n;

        at = input_bytes(in, in->left, &n);
        return copy_text(at, n);
}

char *input_line(struct input *in)
{
        const uint8_t *at = in->at, *end;
        size_t n;

        if (in->left == 0)
                return NULL;
        end = memchr(in->at, '\n', in->left);
        (void)input_bytes(in, end ? (size_t)(end - in->at) + 1 : in->left, &n);
        return copy_text(at, end ? n - 1 : n);
}

/* Empty, at its beginning. */
static int empty_file(void)
{
        static int file = -1;
        int fd;

        if (file < 0)
                file = memfd_create("input", MFD_CLOEXEC);
        MUST(file >= 0 && ftruncate(file, 0) == 0);
        fd = dup(file);
        MUST(fd >= 0 && lseek(fd, 0, SEEK_SET) == 0);
        return fd;
}

void input_damage_file(struct input *in, const char *path, unsigned places, uint64_t most)
{
        CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);

        MUST(fd >= 0);
        for (unsigned i = 0; i < places && in->left > 0; i++) {
                const uint64_t at = input_number(in, 3) % most;
                const size_t want = (size_t)input_number(in, 1);
                const uint8_t *bytes;
                size_t n;

                bytes = input_bytes(in, want, &n);
                if (at < (uint64_t)lseek(fd, 0, SEEK_END))
                        MUST(pwrite_full(fd, bytes, n, at) == 0);
        }
}

int fuzz_file(const uint8_t *data, size_t size)
{
        int fd = empty_file();

        MUST(pwrite_full(fd, data, size, 0) == 0);
        return fd;
}

int fuzz_sparse_file(struct input *in, uint64_t *ret_size)
{
        uint64_t size = input_number(in, 4) % (SPARSE_MAX + 1);
        int fd = empty_file();

        MUST(ftruncate(fd, (off_t)size) == 0);
        while (in->left > 0) {
                uint64_t at = input_number(in, 4), want = input_number(in, 2);
                const uint8_t *bytes;
                size_t n;

                bytes = input_bytes(in, want, &n);
                if (at < size)
                        MUST(pwrite_full(fd, bytes, n < size - at ? n : size - at, at) == 0);
        }
        *ret_size = size;
        return fd;
}

static char directory[TEMPDIR_MAX];

static void remove_directory(void)
{
        tempdir_remove(directory);
}

const char *fuzz_dir(void)
{
        if (!directory[0]) {
                tempdir_make(directory);
                MUST(atexit(remove_directory) == 0);
        }
        return directory;
}

/* ---- a directory as it was ---- */

#define TREE_FILES 256

static struct {
        char dir[PATH_MAX];
        struct {
                char *path;
                uint8_t *bytes;
                size_t n;
        } file[TREE_FILES];
        size_t n;
} tree;

static void join(char ret[PATH_MAX], const char *dir, const char *name)
{
        MUST(snprintf(ret, PATH_MAX, "%s/%s", dir, name) < PATH_MAX);
}

/* dir_fn: what is no directory is a file. */
static int keep_in(void *ctx, const char *name)
{
        char path[PATH_MAX];
        off_t size;
        int r;

        join(path, ctx, name);
        r = dir_each(AT_FDCWD, path, keep_in, path);
        if (r != -ENOTDIR)
                return r;

        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

        MUST(fd >= 0 && tree.n < TREE_FILES);
        size = lseek(fd, 0, SEEK_END);
        tree.file[tree.n].path = strdup(path);
        tree.file[tree.n].bytes = malloc((size_t)size + 1);
        tree.file[tree.n].n = (size_t)size;
        MUST(size >= 0 && tree.file[tree.n].path && tree.file[tree.n].bytes);
        MUST(pread_full(fd, tree.file[tree.n].bytes, (size_t)size, 0) == size);
        tree.n++;
        return 0;
}

static int remove_in(void *ctx, const char *name)
{
        char path[PATH_MAX];
        int r;

        join(path, ctx, name);
        r = dir_each(AT_FDCWD, path, remove_in, path);
        return r == -ENOTDIR ? unlink(path) : r;
}

void fuzz_keep_tree(const char *dir)
{
        MUST(snprintf(tree.dir, sizeof(tree.dir), "%s", dir) < PATH_MAX);
        MUST(dir_each(AT_FDCWD, tree.dir, keep_in, tree.dir) == 0);
}

void fuzz_put_back_tree(void)
{
        MUST(dir_each(AT_FDCWD, tree.dir, remove_in, tree.dir) == 0);
        for (size_t i = 0; i < tree.n; i++) {
                CLEANUP_CLOSE int fd = open(tree.file[i].path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

                MUST(fd >= 0 && pwrite_full(fd, tree.file[i].bytes, tree.file[i].n, 0) == 0);
        }
}
