/* SPDX-License-Identifier: MIT */

/* What a server answers to "list the objects": a line is the prefix that was asked for, the rest the page. */

#include <errno.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/objects/s3_list.h"
#include "tests/fuzz/lib/fuzz.h"

struct seen {
        size_t names, bytes;
};

static int see(void *ctx, const char *name, uint64_t size)
{
        struct seen *seen = ctx;

        (void)size;
        seen->names++;
        seen->bytes += strlen(name);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        CLEANUP_STRBUF struct strbuf next = { 0 };
        CLEANUP_FREE char *prefix = input_line(&in);
        CLEANUP_FREE char *page = input_text(&in);
        const size_t length = page ? strlen(page) : 0;
        struct seen seen = { 0 };
        int r;

        if (!prefix || !page)
                return 0;
        r = s3_list_page(page, prefix, see, &seen, &next);
        MUST(r == 0 || r == 1 || r == -EPROTO);
        MUST(r == 1 ? next.len > 0 : next.len == 0); /* or it would be asked for from the beginning again, for ever */
        MUST(seen.bytes <= length && seen.names * strlen("<Contents><Key></Key><Size>0</Size></Contents>") <= length);
        return 0;
}
