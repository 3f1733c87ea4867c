/* SPDX-License-Identifier: MIT */

/*
 * What a user types: a line says who and where ("1regions/r1/private/new/name": 0 is root, 1 alice, 2 bob), the rest is what
 * is written there by one write(2). Then it is read back.
 */

#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/fuzz/lib/session.h"

#define WRITE_MAX 60000

/* Looks up one name after the other. 0: it is not there. */
static uint64_t find(struct session *s, enum session_user user, char *path)
{
        uint64_t node = FUSE_ROOT_ID;
        const struct answer *a;
        char *rest = path;

        for (char *name = strsep(&rest, "/"); name; name = strsep(&rest, "/")) {
                struct fuse_entry_out entry;

                if (!name[0] || strlen(name) > 255 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                        return 0;
                a = session_ask(s, FUSE_LOOKUP, node, user, name, strlen(name) + 1);
                if (a->error < 0)
                        return 0;
                MUST(a->n == sizeof(entry));
                memcpy(&entry, a->bytes, sizeof(entry));
                if (entry.nodeid == 0)
                        return 0;
                node = entry.nodeid;
        }
        return node;
}

static bool open_file(struct session *s, enum session_user user, uint64_t node, uint32_t flags, uint64_t *ret)
{
        const struct fuse_open_in in = { .flags = flags };
        struct fuse_open_out out;
        const struct answer *a = session_ask(s, FUSE_OPEN, node, user, &in, sizeof(in));

        if (a->error < 0)
                return false;
        MUST(a->n == sizeof(out));
        memcpy(&out, a->bytes, sizeof(out));
        *ret = out.fh;
        return true;
}

static void close_file(struct session *s, enum session_user user, uint64_t node, uint64_t fh, uint32_t flags)
{
        const struct fuse_flush_in flush = { .fh = fh };
        const struct fuse_release_in release = { .fh = fh, .flags = flags };

        (void)session_ask(s, FUSE_FLUSH, node, user, &flush, sizeof(flush));
        MUST(session_ask(s, FUSE_RELEASE, node, user, &release, sizeof(release))->error == 0);
}

static void write_file(struct session *s, enum session_user user, uint64_t node, const uint8_t *bytes, size_t n)
{
        struct {
                struct fuse_write_in in;
                uint8_t bytes[WRITE_MAX];
        } request = { 0 };
        uint64_t fh;

        if (!open_file(s, user, node, O_WRONLY, &fh))
                return;
        request.in.fh = fh;
        request.in.size = (uint32_t)n;
        request.in.flags = O_WRONLY;
        memcpy(request.bytes, bytes, n);
        (void)session_ask(s, FUSE_WRITE, node, user, &request, sizeof(request.in) + n);
        close_file(s, user, node, fh, O_WRONLY);
}

static void read_file(struct session *s, enum session_user user, uint64_t node)
{
        struct fuse_read_in in = { .size = 65536 };
        const struct answer *a;

        if (!open_file(s, user, node, O_RDONLY, &in.fh))
                return;
        a = session_ask(s, FUSE_READ, node, user, &in, sizeof(in));
        MUST(a->n <= in.size);
        close_file(s, user, node, in.fh, O_RDONLY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        CLEANUP_FREE char *path = input_line(&in);
        const struct fuse_getattr_in getattr = { 0 };
        enum session_user user;
        struct session *s;
        uint64_t node;

        if (!path || !path[0] || in.left > WRITE_MAX)
                return 0;
        user = (unsigned)path[0] % SESSION_USERS; /* '0' is divisible by three */
        s = session_get();
        node = find(s, user, path + 1);
        if (!node)
                return 0;
        write_file(s, user, node, in.at, in.left);
        (void)session_ask(s, FUSE_GETATTR, node, user, &getattr, sizeof(getattr));
        read_file(s, user, node);
        return 0;
}
