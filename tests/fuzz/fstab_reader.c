/* SPDX-License-Identifier: MIT */

/* A guest's disk, as imagefs-fstab reads it: partitions, file systems' names, and the lines of its fstab. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/import/fstab_reader/reader.h"
#include "tests/fuzz/lib/fuzz.h"

#define READS_MAX 5000 /* that any disk is worth */

static int disk_fd;
static unsigned reads;

/* In place of disk.c. */
bool disk_read(struct guest_disk *d, void *buf, size_t n, uint64_t off)
{
        MUST(++reads <= READS_MAX);
        if (off > d->size_bytes || n > d->size_bytes - off)
                return false;
        MUST(pread(disk_fd, buf, n, (off_t)off) == (ssize_t)n);
        return true;
}

static void want(void *ctx, const struct want *w)
{
        (void)ctx;
        MUST(w->tag < TAG_COUNT && w->value && w->source && w->target);
}

static void read_lines(struct input *in)
{
        CLEANUP_FREE char *text = input_text(in);

        fstab_each_want(text, strlen(text), want, NULL);
}

/* The first byte says which half it is for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct guest_disk disk;
        struct input in = { data, size };

        if (input_number(&in, 1) % 2 == 0) {
                read_lines(&in);
                return 0;
        }
        memset(&disk, 0, sizeof(disk));
        disk_fd = fuzz_sparse_file(&in, &disk.size_bytes);
        reads = 0;
        disk_list_areas(&disk);
        MUST(disk.n_areas <= AREAS_MAX);
        for (size_t i = 0; i < disk.n_areas; i++) {
                const struct area *a = &disk.area[i];

                MUST(a->len <= disk.size_bytes && a->off <= disk.size_bytes - a->len);
                for (size_t t = 0; t < TAG_COUNT; t++)
                        MUST(memchr(a->name[t], '\0', VALUE_MAX));
        }
        (void)close(disk_fd);
        return 0;
}
