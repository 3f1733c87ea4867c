/* SPDX-License-Identifier: MIT */

/*
 * The disks, whose bytes come from elsewhere. Small reads that lie near each other are one request: file systems go to and
 * fro between a few places, inodes and directories and their maps, so some windows are kept, each where a hash of its
 * place says: groups of blocks begin at powers of two.
 */

#include <string.h>

#include "blobstore/import/guest_reader/reader.h"

#define WINDOW_BYTES (16 << 10) /* a power of 2 */
#define WINDOW_BITS  6

static void read_window(const struct guest_disk *d, uint8_t *buf, size_t n, uint64_t off)
{
        static struct {
                const struct guest_disk *disk; /* that it shows; NULL: none */
                uint64_t start;
                uint8_t bytes[WINDOW_BYTES];
        } windows[1 << WINDOW_BITS];

        while (n > 0) {
                const uint64_t from = off & ~(uint64_t)(WINDOW_BYTES - 1);
                const size_t size = d->size_bytes - from < WINDOW_BYTES ? (size_t)(d->size_bytes - from) : WINDOW_BYTES;
                const size_t at = (size_t)(off - from), part = size - at < n ? size - at : n;
                const size_t w = (uint32_t)(from / WINDOW_BYTES) * UINT32_C(2654435769) >> (32 - WINDOW_BITS);

                if (windows[w].disk != d || windows[w].start != from) {
                        guest_fetch(d->number, windows[w].bytes, size, from);
                        windows[w].disk = d;
                        windows[w].start = from;
                }
                memcpy(buf, windows[w].bytes + at, part);
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
