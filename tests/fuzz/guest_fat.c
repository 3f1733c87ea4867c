/* SPDX-License-Identifier: MIT */

/* A guest's FAT, as imagefs-inside goes through it: every name, every file's places, in bounded time. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/import/inside_reader/files.h"
#include "tests/fuzz/lib/fuzz.h"

#define DISK_MAX    (1 << 20)
#define READS_MAX   2000000
#define FILES_MAX   200
#define DEPTH_MAX   6

static uint8_t bytes[DISK_MAX];
static unsigned reads, files;

/* In place of disk.c. */
bool disk_read(struct guest_disk *d, void *buf, size_t n, uint64_t off)
{
        MUST(++reads <= READS_MAX);
        if (off > d->size_bytes || n > d->size_bytes - off)
                return false;
        memcpy(buf, bytes + off, n);
        return true;
}

struct look {
        void *fs;
        uint32_t dir;
        uint64_t pos;
        unsigned depth;
};

static void check_attr(const struct guest_attr *a, uint32_t node)
{
        MUST(a->node == node && (S_ISREG(a->mode) || S_ISDIR(a->mode)) && a->nlink == 1);
        MUST(a->size <= UINT32_MAX && a->mtime_ns == 0);
}

static void check_map(void *fs, const struct guest_attr *a)
{
        uint64_t off = 0;

        while (off < a->size && off < 64 << 20) {
                static struct guest_map m;
                uint64_t from = 0;

                memset(&m, 0, sizeof(m));
                if (fat_files.map(fs, a->node, off, &m) < 0)
                        return;
                MUST(m.end > off && m.n <= GUEST_EXTENTS_MAX && m.inline_len == 0);
                for (uint32_t i = 0; i < m.n; i++) {
                        MUST(m.extent[i].off >= from && m.extent[i].len > 0);
                        from = m.extent[i].off + m.extent[i].len;
                }
                MUST(from <= m.end);
                off = m.end;
        }
}

static int visit(void *ctx, const struct file_name *n)
{
        const struct look *l = ctx;
        struct guest_attr a;

        MUST(n->len > 0 && n->len <= GUEST_NAME_MAX && !memchr(n->name, '/', n->len) && !memchr(n->name, '\0', n->len));
        MUST(n->next > l->pos && n->node > 0);
        if (++files > FILES_MAX)
                return 1;
        if (fat_files.stat(l->fs, n->node, &a) < 0)
                return 0;
        check_attr(&a, n->node);
        if (!S_ISDIR(a.mode)) {
                check_map(l->fs, &a);
        } else if (fat_files.is_in(l->fs, n->node, l->dir) == 0 && l->depth < DEPTH_MAX) {
                struct look below = { .fs = l->fs, .dir = n->node, .depth = l->depth + 1 };

                (void)fat_files.walk(l->fs, n->node, 0, visit, &below);
        }
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct guest_disk disk;
        static struct area area;
        struct look look = { 0 };
        struct guest_attr a;
        struct input in = { data, size };

        disk = (struct guest_disk){ .size_bytes = sizeof(bytes) };
        memset(bytes, 0, sizeof(bytes));
        while (in.left > 0) { /* places with what is there, since most of a file system is zeros */
                const uint64_t at = input_number(&in, 2) * 16, want = input_number(&in, 2);
                const uint8_t *from;
                size_t n;

                from = input_bytes(&in, want, &n);
                if (at < sizeof(bytes))
                        memcpy(bytes + at, from, n < sizeof(bytes) - at ? n : sizeof(bytes) - at);
        }
        area = (struct area){ .disk = &disk, .len = sizeof(bytes) };
        reads = files = 0;
        look.fs = fat_files.open(&area);
        if (!look.fs)
                return 0;
        look.dir = fat_files.root(look.fs);
        if (fat_files.stat(look.fs, look.dir, &a) == 0)
                check_attr(&a, look.dir);
        (void)fat_files.walk(look.fs, look.dir, 0, visit, &look);
        fat_files.close(look.fs);
        return 0;
}
