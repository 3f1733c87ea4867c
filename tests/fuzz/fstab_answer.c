/* SPDX-License-Identifier: MIT */

/* What a child that was taken over might ask of the daemon: packets of any bytes, each behind its length. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blobstore/import/fstab_reader/protocol.h"
#include "tests/fuzz/lib/fuzz.h"

#define PACKETS_MAX 20 /* as many as a socket holds, with their answers */

static const struct fstab_disk disks[] = { { "vda", true, 1 << 20 }, { "vdb", false, 3 << 20 } };

static int read_disk(void *ctx, size_t disk, void *buf, size_t n, uint64_t off)
{
        (void)ctx;
        MUST(disk < 2 && n <= disks[disk].size_bytes && off <= disks[disk].size_bytes - n);
        memset(buf, 0, n);
        return 0;
}

static void check_text(const char text[FSTAB_TEXT_MAX])
{
        const char *end = memchr(text, '\0', FSTAB_TEXT_MAX);

        MUST(end);
        for (; text < end; text++)
                MUST(*text >= ' ' && *text <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        struct fstab_findings found;
        int ends[2], r;

        MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        for (unsigned i = 0; i < PACKETS_MAX && in.left > 0; i++) {
                uint64_t want = input_number(&in, 1);
                const uint8_t *bytes;
                size_t n;

                bytes = input_bytes(&in, want, &n);
                if (n > 0) /* else it would be the end */
                        (void)send(ends[1], bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        MUST(shutdown(ends[1], SHUT_WR) == 0);
        r = fstab_answer(ends[0], disks, 2, read_disk, NULL, 1000, &found);
        MUST(r == 0 || r == -EPROTO || r == -EAGAIN);
        MUST(found.n <= FSTAB_FINDINGS_MAX);
        for (size_t i = 0; i < found.n; i++) {
                check_text(found.finding[i].source);
                check_text(found.finding[i].target);
                MUST(memchr(found.finding[i].device, '\0', sizeof(found.finding[i].device)));
        }
        (void)close(ends[0]);
        (void)close(ends[1]);
        return 0;
}
