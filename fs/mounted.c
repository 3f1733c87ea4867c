/* SPDX-License-Identifier: MIT */

#include "fs/mounted.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/parse.h"

#define PIECE 65536

int mounted_open(const char *path)
{
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return faccessat(fd, "info/version", R_OK, 0) == 0 && faccessat(fd, "regions", R_OK, 0) == 0 ? TAKE_FD(fd) :
                                                                                                       -ENOTDIR;
}

int mounted_read(int dir_fd, const char *path, struct strbuf *out)
{
        CLEANUP_CLOSE int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
        CLEANUP_FREE char *piece = malloc(PIECE);
        ssize_t n = 1;

        strbuf_reset(out);
        if (fd < 0)
                return -errno;
        while (piece && n > 0) {
                n = read(fd, piece, PIECE);
                if (n > 0)
                        strbuf_add_bytes(out, piece, (size_t)n);
        }
        return n < 0 ? -errno : piece ? strbuf_error(out) : -ENOMEM;
}

void mounted_read_line(int dir_fd, const char *path, char *buf, size_t size)
{
        CLEANUP_STRBUF struct strbuf text = { 0 };

        buf[0] = '\0';
        if (mounted_read(dir_fd, path, &text) == 0)
                (void)snprintf(buf, size, "%.*s", (int)strcspn(strbuf_text(&text), "\n"), strbuf_text(&text));
}

bool mounted_find(const struct strbuf *text, const char *key, uint64_t *ret)
{
        const size_t n = strlen(key);
        char number[32];

        for (const char *line = strbuf_text(text); *line; line += strcspn(line, "\n") + (line[strcspn(line, "\n")] != 0)) {
                if (strncmp(line, key, n) != 0 || line[n] != ' ')
                        continue;
                (void)snprintf(number, sizeof(number), "%.*s", (int)strcspn(line + n + 1, ".\n"), line + n + 1);
                return parse_u64(number, ret) == 0;
        }
        return false;
}

static int is_shown(const struct dirent *e)
{
        return e->d_name[0] != '.';
}

int mounted_each(int dir_fd, const char *path, mounted_fn *fn, void *ctx)
{
        CLEANUP_CLOSE int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct dirent **found;
        int n, r = 0;

        if (fd < 0)
                return -errno;
        n = scandirat(fd, ".", &found, is_shown, alphasort);
        if (n < 0)
                return -errno;
        for (int i = 0; i < n; i++) {
                if (r == 0)
                        r = fn(ctx, fd, found[i]->d_name);
                free(found[i]);
        }
        free(found);
        return r;
}

/* ---- tasks ---- */

struct tasks {
        mounted_task_fn *fn;
        void *ctx;
};

/* One that has gone meanwhile, or is another user's, has no status. */
static int tasks_add(void *ctx, int dir_fd, const char *name)
{
        CLEANUP_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CLEANUP_STRBUF struct strbuf progress = { 0 };
        const struct tasks *tasks = ctx;
        struct mounted_task t = { 0 };

        if (fd < 0)
                return 0;
        mounted_read_line(fd, "status", t.status, sizeof(t.status));
        if (strcmp(t.status, "running") != 0 && strcmp(t.status, "queued") != 0)
                return 0;
        (void)snprintf(t.id, sizeof(t.id), "%s", name);
        mounted_read_line(fd, "kind", t.kind, sizeof(t.kind));
        mounted_read_line(fd, "owner", t.owner, sizeof(t.owner));
        mounted_read_line(fd, "image", t.image, sizeof(t.image));
        if (mounted_read(fd, "progress", &progress) == 0) {
                (void)mounted_find(&progress, "percent", &t.percent);
                (void)mounted_find(&progress, "bytes-done", &t.done_bytes);
                (void)mounted_find(&progress, "bytes-total", &t.total_bytes);
        }
        return tasks->fn(tasks->ctx, &t);
}

int mounted_each_task(int top_fd, mounted_task_fn *fn, void *ctx)
{
        return mounted_each(top_fd, "tasks", tasks_add, &(struct tasks){ .fn = fn, .ctx = ctx });
}
