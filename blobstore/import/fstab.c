/* SPDX-License-Identifier: MIT */

/*
 * A child (fstab_reader/, confined as qemu is) understands partitions and file systems, and asks for the bytes of the
 * disks through a socket. Whatever it says is taken as said by the guest: requests are bounded in size, place and
 * number, texts in length and characters, and the time that is spent on waiting for it all together.
 */

#include "blobstore/import/fstab.h"

#include <errno.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/import/fstab_reader/protocol.h"
#include "blobstore/import/guest_child_priv.h"

#define PROGRAM            "imagefs-fstab"
#define WAIT_MS            5000
#define CHILD_MEMORY_BYTES (UINT64_C(128) << 20) /* the group descriptors of 64 TiB fit */
#define CHILD_CPU_SECONDS  2

/* One request. 1: there is one; 0: the other side is done. */
static int receive(int fd, int64_t *left_ms, struct fstab_request *ret)
{
        ssize_t n = guest_child_receive(fd, left_ms, ret, sizeof(*ret));

        return n <= 0 ? (int)n : n == sizeof(*ret) ? 1 : -EPROTO;
}

static int answer_read(int fd, const struct fstab_request *q, const struct fstab_disk *disks, size_t n_disks,
                       fstab_read_fn *read, void *ctx)
{
        uint8_t buf[FSTAB_READ_MAX];
        uint64_t size;
        int r;

        if (q->disk >= n_disks || q->len == 0 || q->len > sizeof(buf))
                return -EPROTO;
        size = disks[q->disk].size_bytes;
        if (q->off > size || q->len > size - q->off)
                return -EPROTO;
        r = read(ctx, q->disk, buf, q->len, q->off);
        if (r < 0)
                return r;
        return guest_child_answer(fd, buf, q->len);
}

static void take_text(const char *said, char *buf)
{
        size_t n = strnlen(said, FSTAB_TEXT_MAX - 1);

        for (size_t i = 0; i < n; i++)
                buf[i] = said[i] >= ' ' && said[i] <= '~' ? said[i] : '?';
        buf[n] = '\0';
}

static int take_finding(const struct fstab_finding *said, struct fstab_findings *ret)
{
        struct fstab_finding *f = &ret->finding[ret->n];

        if (ret->n == FSTAB_FINDINGS_MAX)
                return 0;
        if (said->device[0] != 'v' || said->device[1] != 'd' || said->device[2] < 'b' || said->device[2] > 'z' ||
            said->device[3] != '\0')
                return -EPROTO;
        *f = (struct fstab_finding){ .swap = said->swap != 0 };
        memcpy(f->device, said->device, sizeof("vda"));
        take_text(said->source, f->source);
        take_text(said->target, f->target);
        ret->n++;
        return 0;
}

int fstab_answer(int fd, const struct fstab_disk *disks, size_t n, fstab_read_fn *read, void *ctx, int wait_ms,
                 struct fstab_findings *ret)
{
        int64_t left_ms = wait_ms;
        struct fstab_request q;
        int r;

        ret->n = 0;
        for (unsigned asked = 0;; asked++) {
                r = receive(fd, &left_ms, &q);
                if (r <= 0)
                        return r;
                if (asked == FSTAB_REQUESTS_MAX)
                        return -EPROTO;
                if (q.kind == FSTAB_READ)
                        r = answer_read(fd, &q, disks, n, read, ctx);
                else if (q.kind == FSTAB_FOUND)
                        r = take_finding(&q.found, ret);
                else
                        r = -EPROTO;
                if (r < 0)
                        return r;
        }
}

int fstab_check(const struct fstab_disk *disks, size_t n, fstab_read_fn *read, void *ctx, struct fstab_findings *ret)
{
        struct fstab_hello hello = { .n_disks = (uint32_t)n };
        const struct guest_child what = {
                .program = PROGRAM,
                .hello = &hello,
                .hello_len = sizeof(hello),
                .memory_bytes = CHILD_MEMORY_BYTES,
                .cpu_seconds = CHILD_CPU_SECONDS,
        };
        CLEANUP_CLOSE int fd = -1;
        struct fstab_findings found;
        struct child *child = NULL;
        int r;

        if (n > FSTAB_DISKS_MAX)
                return -E2BIG;
        memcpy(hello.disk, disks, n * sizeof(*disks));
        r = guest_child_start(&what, &fd, &child);
        if (r < 0)
                return r;
        r = fstab_answer(fd, disks, n, read, ctx, WAIT_MS, &found);
        r = guest_child_end(child, PROGRAM, r);
        if (r == 0)
                *ret = found;
        return r;
}
