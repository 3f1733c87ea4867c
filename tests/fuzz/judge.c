/* SPDX-License-Identifier: MIT */

/* A file of any of the formats that imagefs-judge reads, header and tables: it is judged, or refused with a sentence. */

#include <errno.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/parse.h"
#include "blobstore/import/judge/judge.h"
#include "tests/fuzz/lib/fuzz.h"

static const char *const formats[] = { "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso" };

static void judge(int fd, const struct judge_format *f, uint64_t size)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        CLEANUP(walk_done) struct walk w = { 0 };
        struct judged judged = { 0 };
        int r;

        r = walk_start(fd, f->title, &w, &reason);
        if (r == 0)
                r = f->check(&w, &judged, &reason);
        if (r == 0 && f->walk && !judged.flat)
                r = f->walk(&w, &reason);
        MUST(r == 0 || r == -EINVAL || r == -ENOMEM);
        if (r == -EINVAL)
                MUST(reason.len > 0 && text_is_clean(strbuf_text(&reason), reason.len));
        if (r == 0)
                MUST(w.placed_bytes <= size + w.block_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        uint64_t file_size;
        CLEANUP_CLOSE int fd = fuzz_sparse_file(&in, &file_size);

        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
                judge(fd, judge_format_find(formats[i]), file_size);
        return 0;
}
