/* SPDX-License-Identifier: MIT */

/* The disks, whose bytes come from elsewhere. Small reads that lie near each other are one request. */

#include <string.h>

#include "blobstore/import/guest_reader/reader.h"

#define WINDOW_BYTES (16 << 10) /* a power of 2 */

static void read_window(const struct guest_disk *d, uint8_t *buf, size_t n, uint64_t off)
{
        static uint8_t window[WINDOW_BYTES];
        static const struct guest_disk *disk; /* that it shows */
        static uint64_t start;

        while (n > 0) {
                uint64_t from = off & ~(uint64_t)(WINDOW_BYTES - 1);
                size_t size = d->size_bytes - from < WINDOW_BYTES ? (size_t)(d->size_bytes - from) : WINDOW_BYTES;
                size_t at = (size_t)(off - from), part = size - at < n ? size - at : n;

                if (disk != d || start != from) {
                        guest_fetch(d->number, window, size, from);
                        disk = d;
                        start = from;
                }
                memcpy(buf, window + at, part);
                buf += part;
                off += part;
                n -= part;
        }
}

bool disk_read(struct guest_disk *d, void *buf, size_t n, uint64_t off)
{
        uint8_t *at = buf;

        if (off > d->size_bytes || n > d->size_bytes - off)
                return false;
        while (n >= WINDOW_BYTES) {
                size_t part = n < GUEST_READ_MAX ? n : GUEST_READ_MAX;

                guest_fetch(d->number, at, part, off);
                at += part;
                off += part;
                n -= part;
        }
        read_window(d, at, n, off);
        return true;
}
