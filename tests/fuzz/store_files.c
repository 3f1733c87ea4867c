/* SPDX-License-Identifier: MIT */

/* The small files of a store: state, with its sum as it is or a right one, and owner. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/blobstore.h"
#include "blobstore/chunks/index_state.h"
#include "blobstore/hash/hash.h"
#include "tests/fuzz/lib/fuzz.h"

static void put(int dir_fd, const char *name, const void *bytes, size_t n)
{
        CLEANUP_CLOSE int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        MUST(fd >= 0 && pwrite_full(fd, bytes, n, 0) == 0);
}

static void read_state(int dir_fd, struct input *in)
{
        bool right = input_number(in, 1) % 2;
        CLEANUP_FREE char *line = input_line(in);
        char text[512];
        struct index_state state;
        int n, r;

        n = snprintf(text, sizeof(text), "%.300s\n", line ? line : "");
        if (right)
                n += snprintf(text + n, sizeof(text) - (size_t)n, "%016" PRIx64 "\n", hash64(text, (size_t)n, 0));
        put(dir_fd, "state", text, (size_t)n);
        r = index_state_read(dir_fd, &state);
        MUST(r == 0 || r == -EUCLEAN);
        MUST(r < 0 || right);
}

static void read_owner(int dir_fd, struct input *in)
{
        static struct store_owner owner;
        int r;

        memset(&owner, 'x', sizeof(owner));
        put(dir_fd, "owner", in->at, in->left);
        r = blobstore_read_owner(dir_fd, &owner);
        MUST(r == 0 || r == -EUCLEAN);
        MUST(r < 0 || memchr(owner.library, '\0', sizeof(owner.library)));
        MUST(r < 0 || memchr(owner.place, '\0', sizeof(owner.place)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static int dir_fd = -1;
        struct input in = { data, size };

        if (dir_fd < 0)
                dir_fd = open(fuzz_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        MUST(dir_fd >= 0);
        if (input_number(&in, 1) % 2)
                read_state(dir_fd, &in);
        else
                read_owner(dir_fd, &in);
        return 0;
}
