/* SPDX-License-Identifier: MIT */

/* What imagefs-unpack might say, where the archive that it read had taken it over. */

#include "blobstore/import/unpack.c" /* for what starts no child */

#include "tests/fuzz/lib/fuzz.h"

#define PIPE_BYTES 60000 /* a pipe holds them, and nobody has to read yet */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct unpack u;
        static int dir_fd = -1;
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_pack pack = { 0 };
        int ends[2], r;

        if (size > PIPE_BYTES)
                return 0;
        if (dir_fd < 0)
                dir_fd = open(fuzz_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        MUST(dir_fd >= 0);
        for (size_t i = 0; i < IMAGE_DISKS_MAX; i++)
                pack.disk_fd[i] = -1;
        MUST(pipe2(ends, O_CLOEXEC) == 0);
        MUST(size == 0 || write(ends[1], data, size) == (ssize_t)size);
        (void)close(ends[1]);
        u = (struct unpack){ .pack = &pack, .dir_fd = dir_fd, .pipe_fd = ends[0], .current = -1 };
        r = take_stream(&u, NULL, NULL, &reason);
        MUST(r <= 0);
        MUST(text_is_clean(strbuf_text(&reason), reason.len));
        MUST(text_is_clean(pack.os, strnlen(pack.os, sizeof(pack.os))));
        MUST(text_is_clean(pack.description, strnlen(pack.description, sizeof(pack.description))));
        for (size_t i = 0; i < pack.n_disks; i++)
                MUST(r < 0 || pack.disk_fd[i] >= 0);
        image_pack_done(&pack);
        (void)close(ends[0]);
        return 0;
}
