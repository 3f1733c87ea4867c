/* SPDX-License-Identifier: MIT */

/* Where a bucket is, as somebody writes it to `store`: what is understood is noted in one way, which is understood the same. */

#include <errno.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/objects/s3_place.h"
#include "tests/fuzz/lib/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        CLEANUP_STRBUF struct strbuf why = { 0 };
        CLEANUP_FREE char *text = input_text(&in);
        struct s3_place place, again;
        char noted[4096], twice[4096];
        int r;

        if (!text)
                return 0;
        r = s3_place_parse(text, &place, &why);
        MUST(r == 0 || r == -EINVAL);
        MUST((r < 0) == (why.len > 0));
        if (r < 0)
                return 0;
        MUST(s3_place_print(&place, noted, sizeof(noted)) == 0);
        MUST(s3_place_parse(noted, &again, &why) == 0);
        MUST(s3_place_print(&again, twice, sizeof(twice)) == 0);
        MUST(strcmp(noted, twice) == 0 && strcmp(place.endpoint, again.endpoint) == 0);
        MUST(strcmp(place.bucket, again.bucket) == 0 && strcmp(place.prefix, again.prefix) == 0);
        return 0;
}
