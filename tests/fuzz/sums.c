/* SPDX-License-Identifier: MIT */

/* A list of sums that somebody sends: what comes of it is a sum that the list has, or a reason. A line is the file's name. */

#include <errno.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "model/intake/sums.h"
#include "tests/fuzz/lib/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        CLEANUP_STRBUF struct strbuf list = { 0 }, reason = { 0 };
        CLEANUP_FREE char *name = input_line(&in);
        CLEANUP_FREE char *text = input_text(&in);
        char said[FILE_SUM_TEXT_MAX] = "";
        struct file_sum sum;
        int r;

        if (!name || !text)
                return 0;
        strbuf_add(&list, text);
        r = sums_find(&list, name, said, &reason);
        MUST(r == 0 || r == -EPROTO);
        MUST((r < 0) == (reason.len > 0));
        if (r < 0)
                return 0;
        MUST(file_sum_parse(said, &sum) == 0);
        MUST(sum.kind == FILE_SUM_SHA256 || sum.kind == FILE_SUM_SHA512);
        MUST(strstr(text, name));
        return 0;
}
