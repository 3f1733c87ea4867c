/* SPDX-License-Identifier: MIT */

/*
 * One compressed disk. xz and zstd come through libarchive, whose libraries check their checksums. It does not check
 * those of gzip, so that one is read with zlib; a file may be several gzip members after each other.
 */

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "blobstore/import/unpacker/unpacker.h"

#define GZIP_ONLY (16 + MAX_WBITS)

static size_t read_input(unsigned char *buf, size_t n)
{
        ssize_t r = read(UNPACK_INPUT_FD, buf, n);

        if (r < 0)
                refuse("the file could not be read");
        return (size_t)r;
}

void unpack_gzip(void)
{
        static unsigned char in[64 << 10], out[UNPACK_FRAME_MAX];
        z_stream z = { 0 };
        int r = Z_OK;

        put_frame(UNPACK_DISK, "", 1);
        if (inflateInit2(&z, GZIP_ONLY) != Z_OK)
                refuse("there was not enough memory");
        for (;;) {
                if (z.avail_in == 0) {
                        z.next_in = in;
                        z.avail_in = (uInt)read_input(in, sizeof(in));
                        if (z.avail_in == 0)
                                break;
                }
                if (r == Z_STREAM_END && inflateReset(&z) != Z_OK)
                        refuse("this gzip file is damaged");
                z.next_out = out;
                z.avail_out = sizeof(out);
                r = inflate(&z, Z_NO_FLUSH);
                if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
                        refuse("this gzip file is damaged");
                put_data(out, sizeof(out) - z.avail_out);
        }
        if (r != Z_STREAM_END)
                refuse("this gzip file is truncated");
        (void)inflateEnd(&z);
}

void unpack_compressed(const char *title)
{
        struct archive *a = archive_read_new();
        struct archive_entry *entry;
        const void *buf;
        size_t n;
        la_int64_t at, end = 0;
        int r;

        if (!a)
                refuse("there was not enough memory");
        r = archive_read_support_format_raw(a);
        if (r == ARCHIVE_OK)
                r = strcmp(title, "xz") == 0 ? archive_read_support_filter_xz(a) : archive_read_support_filter_zstd(a);
        if (r != ARCHIVE_OK)
                refuse("%s files cannot be read by the libarchive that is installed here", title);

        if (archive_read_open_fd(a, UNPACK_INPUT_FD, 64 << 10) != ARCHIVE_OK ||
            archive_read_next_header(a, &entry) != ARCHIVE_OK)
                refuse("this %s file is damaged, or truncated", title);
        /* Without its filter the file would come out as it is. */
        if (archive_filter_count(a) != 2)
                refuse("this %s file is damaged", title);

        put_frame(UNPACK_DISK, "", 1);
        while ((r = archive_read_data_block(a, &buf, &n, &at)) == ARCHIVE_OK) {
                if (at != end)
                        refuse("this %s file is damaged", title);
                put_data(buf, n);
                end += (la_int64_t)n;
        }
        if (r != ARCHIVE_EOF)
                refuse("this %s file is damaged, or truncated", title);
        (void)archive_read_free(a);
}
