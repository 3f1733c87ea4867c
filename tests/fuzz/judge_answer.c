/* SPDX-License-Identifier: MIT */

/* What imagefs-judge might answer, where the file that it read had taken it over. */

#include "blobstore/import/judge.c" /* for what starts no child */

#include "tests/fuzz/lib/fuzz.h"

#define PIPE_BYTES 60000 /* a pipe holds them, and nobody has to read yet */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct judgement j = { 0 };
        int ends[2], r;

        if (size > PIPE_BYTES)
                return 0;
        MUST(pipe2(ends, O_CLOEXEC) == 0);
        MUST(size == 0 || write(ends[1], data, size) == (ssize_t)size);
        (void)close(ends[1]);
        r = take_answer(ends[0], format_get(IMAGE_FORMAT_QCOW2), now_ms() + 10000, &j, &reason);
        MUST(r <= 0 && r >= -4095);
        MUST(text_is_clean(strbuf_text(&reason), reason.len));
        if (r == 0 && j.map)
                MUST(j.block_bytes >= BLOCK_BYTES_MIN && j.judged.size_bytes <= BLOB_SIZE_MAX);
        else
                MUST(!j.map);
        judgement_done(&j);
        (void)close(ends[0]);
        return 0;
}
