/* SPDX-License-Identifier: MIT */

/* What a child that was taken over might say of what is inside a disk: packets of any bytes, each behind its length. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blobstore/base/parse.h"
#include "blobstore/import/inside_reader/protocol.h"
#include "tests/fuzz/lib/fuzz.h"

#define PACKETS_MAX 20 /* as many as a socket holds, with their answers */
#define DISK_BYTES  (1 << 20)

static int read_disk(void *ctx, void *buf, size_t n, uint64_t off)
{
        (void)ctx;
        MUST(n <= DISK_BYTES && off <= DISK_BYTES - n);
        memset(buf, 0, n);
        return 0;
}

static void check_line(const char *text, size_t size)
{
        MUST(memchr(text, '\0', size));
        MUST(text_is_clean(text, strlen(text)));
}

static void check(const struct inside_answer *a)
{
        MUST(a->parts->n <= INSIDE_PARTS_MAX && a->lines.len <= INSIDE_TEXT_MAX);
        for (size_t i = 0; i < a->parts->n; i++) {
                const struct inside_part *p = &a->parts->part[i];

                MUST(p->number <= INSIDE_NUMBER_MAX && p->len > 0);
                MUST(p->off <= DISK_BYTES && p->len <= DISK_BYTES - p->off);
                check_line(p->type, sizeof(p->type));
                check_line(p->fs, sizeof(p->fs));
                check_line(p->uuid, sizeof(p->uuid));
                MUST(memchr(p->label, '\0', sizeof(p->label)));
        }
        check_line(a->system.os, sizeof(a->system.os));
        check_line(a->system.platform, sizeof(a->system.platform));
        check_line(a->system.platform_version, sizeof(a->system.platform_version));
        check_line(a->system.architecture, sizeof(a->system.architecture));
        check_line(a->system.boot_mode, sizeof(a->system.boot_mode));
        for (size_t i = 0; i < a->lines.len; i++)
                MUST(a->lines.text[i] == '\n' || (a->lines.text[i] >= ' ' && a->lines.text[i] <= '~'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct inside_disk disk = { DISK_BYTES, read_disk, NULL };
        static struct inside_parts parts;
        struct inside_answer answer = { .parts = &parts };
        struct input in = { data, size };
        int ends[2], r;

        parts.n = 0;
        MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        for (unsigned i = 0; i < PACKETS_MAX && in.left > 0; i++) {
                uint64_t want = input_number(&in, 2);
                const uint8_t *bytes;
                size_t n;

                bytes = input_bytes(&in, want, &n);
                if (n > 0) /* else it would be the end */
                        (void)send(ends[1], bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        MUST(shutdown(ends[1], SHUT_WR) == 0);
        r = inside_answer(ends[0], &disk, 1000, &answer);
        MUST(r == 0 || r == -EPROTO || r == -EAGAIN);
        check(&answer);
        strbuf_done(&answer.lines);
        (void)close(ends[0]);
        (void)close(ends[1]);
        return 0;
}
