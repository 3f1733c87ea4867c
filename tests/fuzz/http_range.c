/* SPDX-License-Identifier: MIT */

/* What a client of downloads says in its header lines: Range, then a list of tags. */

#include <errno.h>

#include "blobstore/base/cleanup.h"
#include "fs/http/http_range.h"
#include "tests/fuzz/lib/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        uint64_t bytes = input_number(&in, 8);
        CLEANUP_FREE char *range = input_line(&in);
        CLEANUP_FREE char *tags = input_line(&in);
        struct http_range want = { 0 };
        int r;

        if (range) {
                r = http_range_parse(range, bytes, &want);
                MUST(r == 0 || r == 1 || r == -ERANGE);
                if (r == 1)
                        MUST(want.len > 0 && want.begin < bytes && want.len <= bytes - want.begin);
        }
        if (tags)
                (void)http_tag_matches(tags, "\"5c1b\"");
        return 0;
}
