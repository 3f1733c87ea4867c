/* SPDX-License-Identifier: MIT */

/*
 * imagefs-unpack gzip | xz | zstd | ova
 *
 * Takes compressed disks and OVA archives apart, from descriptor 3 to descriptor 4 as a stream of frames. The daemon
 * runs it as it runs qemu-nbd: without privileges, files, network, and with bounded memory and time, since what it
 * reads may be made to break it. It writes no file and opens none.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/import/unpacker/unpacker.h"

static void put_all(const void *bytes, size_t n)
{
        const char *at = bytes;
        ssize_t r;

        for (; n > 0; at += r, n -= (size_t)r) {
                r = write(UNPACK_OUTPUT_FD, at, n);
                if (r < 0)
                        _exit(1); /* nobody listens */
        }
}

void put_frame(enum unpack_frame frame, const void *bytes, size_t n)
{
        struct unpack_header h = { .frame = frame, .len = (uint32_t)n };

        put_all(&h, sizeof(h));
        put_all(bytes, n);
}

void put_data(const void *bytes, size_t n)
{
        const char *at = bytes;
        size_t part;

        for (; n > 0; at += part, n -= part) {
                part = n < UNPACK_FRAME_MAX ? n : UNPACK_FRAME_MAX;
                put_frame(UNPACK_DATA, at, part);
        }
}

void refuse(const char *fmt, ...)
{
        char sentence[512];
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(sentence, sizeof(sentence), fmt, ap);
        va_end(ap);
        put_frame(UNPACK_REFUSED, sentence, strlen(sentence));
        _exit(0);
}

int main(int argc, char **argv)
{
        const char *what = argc == 2 ? argv[1] : "";

        if (strcmp(what, "gzip") == 0)
                unpack_gzip();
        else if (strcmp(what, "xz") == 0 || strcmp(what, "zstd") == 0)
                unpack_compressed(what);
        else if (strcmp(what, "ova") == 0)
                unpack_ova();
        else
                return 2;
        put_frame(UNPACK_END, NULL, 0);
        return 0;
}
