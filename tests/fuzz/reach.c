/* SPDX-License-Identifier: MIT */

/* The start of a raw disk: partition tables, and where ext and XFS end; and what its signature says. */

#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/import/format_priv.h"
#include "tests/fuzz/lib/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        struct image_reach reach = { 0 };
        uint8_t head[IMAGE_HEAD_BYTES] = { 0 };
        uint64_t file_size;
        CLEANUP_CLOSE int fd = fuzz_sparse_file(&in, &file_size);

        MUST(pread(fd, head, sizeof(head), 0) >= 0);
        for (enum image_format f = IMAGE_FORMAT_AUTO; f <= IMAGE_FORMAT_OVA; f++)
                (void)image_begins_plain(head, f);
        (void)image_is_encrypted(head, file_size < sizeof(head) ? file_size : sizeof(head));
        MUST(reach_find(fd, &reach) == 0);
        MUST(memchr(reach.what, '\0', sizeof(reach.what)));
        MUST((reach.end == 0) == (reach.what[0] == '\0'));
        return 0;
}
