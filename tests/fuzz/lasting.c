/* SPDX-License-Identifier: MIT */

/* What a process inherits of its session: whatever the one before wrote into it before it died. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "fs/lasting.h"
#include "tests/fuzz/lib/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t bytes[sizeof(struct lasting_memory)];
        struct lasting_memory *m = (struct lasting_memory *)(void *)bytes;
        struct input in = { data, size };
        struct lasting l = { .memory_fd = -1, .handles_fd = -1, .disks_fd = -1, .fuse_fd = -1, .sockets = { -1, -1 } };
        uint32_t n_init = (uint32_t)input_number(&in, 4);
        bool filled = input_number(&in, 1) % 2;
        char text[16];
        int fd, r;

        memset(bytes, filled ? 'x' : 0, sizeof(bytes));
        memcpy(bytes, in.at, in.left < sizeof(bytes) ? in.left : sizeof(bytes));
        m->layout = LASTING_LAYOUT;
        m->init_bytes = n_init;
        fd = fuzz_file(bytes, 0);
        m->handles_fd = dup(fd);
        m->disks_fd = dup(fd);
        m->fuse_fd = dup(fd);
        MUST(pwrite_full(fd, bytes, sizeof(bytes), 0) == 0);
        (void)snprintf(text, sizeof(text), "%d", fd);
        MUST(setenv("IMAGEFS_LASTING", text, 1) == 0);
        r = lasting_inherit(&l);
        if (r == 1) {
                MUST(l.memory->init_bytes <= LASTING_INIT_BYTES);
                MUST(memchr(l.memory->store, '\0', PATH_MAX) && memchr(l.memory->mountpoint, '\0', PATH_MAX));
                lasting_done(&l);
                return 0;
        }
        (void)close(fd);
        (void)close(m->handles_fd);
        (void)close(m->disks_fd);
        (void)close(m->fuse_fd);
        return 0;
}
