/* SPDX-License-Identifier: MIT */

#include "tests/lib/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobstore/base/child.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"

char foreign_dir[] = "/tmp/test_foreign-XXXXXX";

/* ---- files ---- */

void shell(const char *fmt, ...)
{
        char command[512];
        va_list ap;
        int n;

        n = snprintf(command, sizeof(command), "cd %s && ", foreign_dir);
        va_start(ap, fmt);
        (void)vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, ap);
        va_end(ap);
        if (system(command) != 0)
                fail_msg("%s", command);
}

int open_at(const char *name, int flags)
{
        char path[128];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", foreign_dir, name);
        fd = open(path, flags | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        return fd;
}

uint64_t file_size(int fd)
{
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return (uint64_t)st.st_size;
}

/* ---- reading ---- */

static bool same_bytes(int fd, const uint8_t *data, uint64_t n, uint64_t off)
{
        static uint8_t buf[1 << 16];

        while (n) {
                size_t part = n < sizeof(buf) ? n : sizeof(buf);

                if (pread_full(fd, buf, part, off) != (ssize_t)part)
                        return false;
                if (data ? memcmp(buf, data, part) != 0 : buf[0] != 0 || memcmp(buf, buf + 1, part - 1) != 0)
                        return false;
                data = data ? data + part : NULL;
                off += part;
                n -= part;
        }
        return true;
}

int read_source(struct image_source *s, int expected_fd, struct outcome *o, struct strbuf *reason)
{
        const void *buf;
        uint64_t n;
        int r;

        while ((r = image_source_next(s, &buf, &n, reason)) == 1) {
                assert_true(n > 0);
                if (expected_fd >= 0 && o->equal)
                        o->equal = same_bytes(expected_fd, buf, n, o->size_bytes);
                o->size_bytes += n;
                if (buf)
                        o->data_bytes += n;
        }
        return r;
}

struct outcome read_image(int fd, enum image_format wanted, int expected_fd)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct outcome o = { .equal = true };
        struct image_source *s = NULL;
        struct image_probe p;

        o.r = image_probe(fd, wanted, &p, &reason);
        if (o.r == 0)
                o.r = image_source_open(fd, &p, &s, &reason);
        if (o.r == 0)
                o.r = read_source(s, expected_fd, &o, &reason);
        image_source_close(s);
        if (o.r == 0) {
                assert_int_equal(o.size_bytes, p.size_bytes);
                if (expected_fd >= 0 && file_size(expected_fd) != o.size_bytes)
                        o.equal = false;
        } else {
                assert_string_not_equal(strbuf_text(&reason), "");
                assert_null(strstr(strbuf_text(&reason), foreign_dir));
                assert_null(strstr(strbuf_text(&reason), "/proc"));
        }
        (void)snprintf(o.reason, sizeof(o.reason), "%s", strbuf_text(&reason));
        return o;
}

struct outcome read_name(const char *name, const char *expected)
{
        CLEANUP_CLOSE int fd = open_at(name, O_RDONLY);
        CLEANUP_CLOSE int expected_fd = expected ? open_at(expected, O_RDONLY) : -1;

        return read_image(fd, IMAGE_FORMAT_AUTO, expected_fd);
}

void assert_reads_as(const char *name, const char *expected)
{
        struct outcome o = read_name(name, expected);

        if (o.r < 0)
                fail_msg("%s: %d, %s", name, o.r, o.reason);
        if (!o.equal)
                fail_msg("%s is not %s", name, expected);
}

void assert_refused_with(const char *name, const char *sentence)
{
        struct outcome o = read_name(name, NULL);

        assert_int_equal(o.r, -EINVAL);
        if (!strstr(o.reason, sentence))
                fail_msg("\"%s\" does not say \"%s\"", o.reason, sentence);
}

int foreign_setup(void **state)
{
        (void)state;
        if (!mkdtemp(foreign_dir))
                return -1;
        shell("truncate -s 24M disk && "
              "head -c 3000000 /dev/urandom | dd of=disk bs=64k seek=16 conv=notrunc status=none && "
              "seq 300000 | dd of=disk bs=64k seek=128 conv=notrunc status=none && "
              "tr '\\0' x </dev/zero | head -c 2000000 | dd of=disk bs=4k seek=4001 conv=notrunc iflag=fullblock "
              "status=none && "
              "head -c 5000 /dev/urandom | dd of=disk bs=512 seek=49130 conv=notrunc status=none");
        return 0;
}

int foreign_teardown(void **state)
{
        (void)state;
        shell("rm -f -- * && rmdir %s", foreign_dir);
        return 0;
}

bool foreign_can_confine(void)
{
        const char *no_op[] = { "/bin/sh", "-c", "exit 0", NULL };
        struct child_opts opts = { .argv = no_op };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct child *c = NULL;
        int r;

        r = child_start(&opts, &c, &reason);
        child_kill_and_wait(c);
        return r != -EOPNOTSUPP;
}

bool foreign_can_run(void)
{
        return system("command -v qemu-img qemu-nbd qemu-io >/dev/null") == 0 && foreign_can_confine();
}

bool foreign_can_unpack(void)
{
        char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
        char *slash;

        assert_true(n > 0);
        path[n] = '\0';
        slash = strrchr(path, '/');
        strcpy(slash + 1, "imagefs-unpack");
        return access(path, X_OK) == 0 && system("command -v gzip xz zstd tar >/dev/null") == 0;
}
