/* SPDX-License-Identifier: MIT */

/*
 * imagefs-judge FORMAT header | tables
 *
 * Says of the file on descriptor 3 whether it may be read as what it is, and what its header, or all of its tables say;
 * the answer goes to descriptor 4. The daemon runs it as it runs qemu-nbd: without privileges, files, network, and with
 * bounded memory and time, since what it reads may be made to break it. The daemon itself looks at no more of a file
 * than its signature.
 */

#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/import/judge/judge.h"

static void put_all(const void *bytes, size_t n)
{
        const char *at = bytes;
        ssize_t r;

        for (; n > 0; at += r, n -= (size_t)r) {
                r = write(JUDGE_OUTPUT_FD, at, n);
                if (r < 0)
                        _exit(1); /* nobody listens */
        }
}

int main(int argc, char **argv)
{
        const struct judge_format *f = argc == 3 ? judge_format_find(argv[1]) : NULL;
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        CLEANUP(walk_done) struct walk w = { 0 };
        struct judge_answer answer = { 0 };
        bool tables;

        if (!f)
                return 2;
        tables = strcmp(argv[2], "tables") == 0 && f->walk;
        answer.error = walk_start(JUDGE_INPUT_FD, f->title, &w, &reason);
        if (answer.error == 0)
                answer.error = f->check(&w, &answer.judged, &reason);
        if (answer.error == 0 && tables && !answer.judged.flat)
                answer.error = f->walk(&w, &reason);
        if (answer.error == 0 && w.map)
                answer.map_bytes = JUDGE_MAP_BYTES(answer.judged.size_bytes, w.block_bytes);
        answer.data_bytes = w.data_bytes;
        answer.block_bytes = w.block_bytes;
        answer.sentence_bytes = (uint32_t)strlen(strbuf_text(&reason));
        put_all(&answer, sizeof(answer));
        put_all(strbuf_text(&reason), answer.sentence_bytes);
        put_all(w.map, answer.map_bytes);
        return 0;
}
