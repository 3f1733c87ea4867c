/* SPDX-License-Identifier: MIT */
/*
 * imagefs stat STORE|MOUNTPOINT: what a library holds. A store that nobody serves is counted chunk by chunk (model/usage.h);
 * of a mounted one the files of the mount are read, which do not tell what is whose alone: that would say to a tenant what
 * others have.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "fs/bar.h"
#include "fs/commands.h"
#include "fs/flags.h"
#include "fs/mounted.h"
#include "fs/place.h"
#include "fs/progress.h"
#include "model/usage.h"

#define BAR_WIDTH 16

struct view {
        struct usage u;
        bool counted; /* what is unique, shared and stored is known */
        bool has_total;
        struct mounted_task *tasks;
        size_t n_tasks;
        size_t size_regions, size_images;
};

/* ---- a mounted library ---- */

static const char *const classes[] = { "iso", "marketplace", "private", "public", "recycle" };

struct reading {
        struct view *v;
        const char *class;
};

static int take_disk(void *ctx, int dir_fd, const char *name)
{
        struct usage_part *part = ctx;
        const size_t n = strlen(name);
        struct stat st;

        if (n > 4 && strcmp(name + n - 4, ".raw") == 0 && fstatat(dir_fd, name, &st, 0) == 0)
                part->logical += (uint64_t)st.st_blocks * 512;
        return 0;
}

static int take_image(void *ctx, int dir_fd, const char *name)
{
        const struct reading *r = ctx;
        struct usage *u = &r->v->u;
        CLEANUP_FREE char *path = NULL;
        struct usage_image *image;
        char size[32];

        if (u->n_images == r->v->size_images) {
                const size_t larger = u->n_images ? 2 * u->n_images : 64;

                image = reallocarray(u->images, larger, sizeof(*image));
                if (!image)
                        return -ENOMEM;
                u->images = image;
                r->v->size_images = larger;
        }
        image = &u->images[u->n_images];
        *image = (struct usage_image){ .region = u->n_regions - 1 };
        (void)snprintf(image->class, sizeof(image->class), "%s", r->class);
        (void)snprintf(image->handle, sizeof(image->handle), "%s", name);
        if (asprintf(&path, "%s/size", name) < 0)
                return -ENOMEM;
        mounted_read_line(dir_fd, path, size, sizeof(size));
        image->part.size = strtoull(size, NULL, 10);
        free(TAKE_PTR(path));
        if (asprintf(&path, "%s/disks", name) < 0)
                return -ENOMEM;
        (void)mounted_each(dir_fd, path, take_disk, &image->part); /* what is closed has none */
        u->regions[image->region].part.size += image->part.size;
        u->regions[image->region].part.logical += image->part.logical;
        u->n_images++;
        return 0;
}

static int take_region(void *ctx, int dir_fd, const char *name)
{
        struct view *v = ctx;
        struct usage_region *regions = reallocarray(v->u.regions, v->u.n_regions + 1, sizeof(*regions));
        int r = 0;

        if (!regions)
                return -ENOMEM;
        v->u.regions = regions;
        regions[v->u.n_regions] = (struct usage_region){ 0 };
        (void)snprintf(regions[v->u.n_regions].handle, sizeof(regions[0].handle), "%s", name);
        v->u.n_regions++;
        for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]) && r == 0; i++) {
                struct reading reading = { .v = v, .class = classes[i] };
                CLEANUP_FREE char *path = NULL;

                if (asprintf(&path, "%s/%s", name, classes[i]) < 0)
                        return -ENOMEM;
                r = mounted_each(dir_fd, path, take_image, &reading);
        }
        return r;
}

static int take_task(void *ctx, const struct mounted_task *task)
{
        struct view *v = ctx;
        struct mounted_task *tasks = reallocarray(v->tasks, v->n_tasks + 1, sizeof(*tasks));

        if (!tasks)
                return -ENOMEM;
        v->tasks = tasks;
        tasks[v->n_tasks++] = *task;
        return 0;
}

static int stat_mount(struct view *v, int top)
{
        CLEANUP_STRBUF struct strbuf store = { 0 };
        int r;

        r = mounted_each(top, "regions", take_region, v);
        if (r == 0)
                r = mounted_each_task(top, take_task, v);
        if (r < 0)
                return r;
        v->has_total = mounted_read(top, "info/store", &store) == 0 &&
                       mounted_find(&store, "logical-bytes", &v->u.total.blobs.logical_bytes) &&
                       mounted_find(&store, "unique-bytes", &v->u.total.blobs.unique_bytes) &&
                       mounted_find(&store, "stored-bytes", &v->u.total.blobs.stored_bytes) &&
                       mounted_find(&store, "free-bytes", &v->u.total.free_bytes) &&
                       mounted_find(&store, "blobs", &v->u.total.blobs.blobs) &&
                       mounted_find(&store, "chunks", &v->u.total.blobs.chunks);
        return 0;
}

/* ---- for people ---- */

static void add_cell(struct strbuf *out, bool known, uint64_t bytes)
{
        CLEANUP_STRBUF struct strbuf size = { 0 };

        if (known)
                bar_add_size(&size, bytes);
        strbuf_addf(out, " %10s", known ? strbuf_text(&size) : "-");
}

/* TERMINAL: with a bar of what it has of the MOST that one has, after the numbers. */
static void add_row(struct strbuf *out, const struct view *v, const char *name, const struct usage_part *p, bool terminal,
                    uint64_t most)
{
        strbuf_addf(out, "%-32s", name);
        add_cell(out, true, p->size);
        add_cell(out, true, p->logical);
        add_cell(out, v->counted, p->unique);
        add_cell(out, v->counted, p->shared);
        add_cell(out, v->counted, p->stored);
        if (terminal) {
                strbuf_add(out, "  ");
                bar_add(out, p->logical, most, BAR_WIDTH);
        }
        strbuf_add(out, "\n");
}

static void add_total(struct strbuf *out, const struct view *v)
{
        const struct model_stats *t = &v->u.total;

        strbuf_add(out, "all data ");
        bar_add_size(out, t->blobs.logical_bytes);
        strbuf_add(out, ", unique ");
        bar_add_size(out, t->blobs.unique_bytes);
        strbuf_add(out, ", stored in ");
        bar_add_size(out, t->blobs.stored_bytes);
        strbuf_add(out, "; free ");
        bar_add_size(out, t->free_bytes);
        strbuf_add(out, "\n");
}

static void add_text(struct strbuf *out, const struct view *v, bool terminal)
{
        uint64_t most_image = 0, most_region = 0;
        char name[sizeof(v->u.images->class) + sizeof(v->u.images->handle) + 4];
        size_t image = 0;

        for (size_t i = 0; i < v->u.n_images; i++)
                if (most_image < v->u.images[i].part.logical)
                        most_image = v->u.images[i].part.logical;
        for (size_t i = 0; i < v->u.n_regions; i++)
                if (most_region < v->u.regions[i].part.logical)
                        most_region = v->u.regions[i].part.logical;
        strbuf_addf(out, "%-32s %10s %10s %10s %10s %10s\n", "REGION, IMAGE", "SIZE", "DATA", "UNIQUE", "SHARED", "STORED");
        for (size_t i = 0; i < v->u.n_regions; i++) {
                add_row(out, v, v->u.regions[i].handle, &v->u.regions[i].part, terminal, most_region);
                for (; image < v->u.n_images && v->u.images[image].region == i; image++) {
                        (void)snprintf(name, sizeof(name), "  %s/%s", v->u.images[image].class, v->u.images[image].handle);
                        add_row(out, v, name, &v->u.images[image].part, terminal, most_image);
                }
        }
        if (v->has_total)
                add_total(out, v);
        for (size_t i = 0; i < v->n_tasks; i++) {
                const struct mounted_task *t = &v->tasks[i];

                if (terminal) {
                        bar_add(out, t->percent, 100, BAR_WIDTH);
                        strbuf_add(out, " ");
                }
                strbuf_addf(out, "%s of %s by %s: %s, %" PRIu64 " %%\n", t->kind, t->image, t->owner, t->status, t->percent);
        }
}

/* ---- for programs ---- */

static void add_string(struct strbuf *out, const char *text)
{
        strbuf_add(out, "\"");
        for (; *text; text++) {
                if (*text == '"' || *text == '\\')
                        strbuf_add(out, "\\");
                strbuf_add_bytes(out, text, 1); /* names have no control characters */
        }
        strbuf_add(out, "\"");
}

static void add_part(struct strbuf *out, const struct view *v, const struct usage_part *p)
{
        strbuf_addf(out, ", \"size\": %" PRIu64 ", \"logical\": %" PRIu64, p->size, p->logical);
        if (v->counted)
                strbuf_addf(out, ", \"unique\": %" PRIu64 ", \"shared\": %" PRIu64 ", \"stored\": %" PRIu64, p->unique, p->shared,
                            p->stored);
}

static void add_json(struct strbuf *out, const struct view *v)
{
        const struct model_stats *t = &v->u.total;
        size_t image = 0;

        strbuf_add(out, "{\"regions\": [");
        for (size_t i = 0; i < v->u.n_regions; i++) {
                strbuf_add(out, i ? ",\n{\"name\": " : "\n{\"name\": ");
                add_string(out, v->u.regions[i].handle);
                add_part(out, v, &v->u.regions[i].part);
                strbuf_add(out, ", \"images\": [");
                for (bool first = true; image < v->u.n_images && v->u.images[image].region == i; image++, first = false) {
                        strbuf_addf(out, "%s\n  {\"class\": \"%s\", \"name\": ", first ? "" : ",", v->u.images[image].class);
                        add_string(out, v->u.images[image].handle);
                        add_part(out, v, &v->u.images[image].part);
                        strbuf_add(out, "}");
                }
                strbuf_add(out, "]}");
        }
        strbuf_add(out, "]");
        if (v->has_total)
                strbuf_addf(out, ",\n\"total\": {\"logical\": %" PRIu64 ", \"unique\": %" PRIu64 ", \"stored\": %" PRIu64
                                 ", \"free\": %" PRIu64 ", \"blobs\": %" PRIu64 ", \"chunks\": %" PRIu64 "}",
                            t->blobs.logical_bytes, t->blobs.unique_bytes, t->blobs.stored_bytes, t->free_bytes,
                            t->blobs.blobs, t->blobs.chunks);
        strbuf_add(out, ",\n\"tasks\": [");
        for (size_t i = 0; i < v->n_tasks; i++) {
                strbuf_addf(out, "%s\n{\"id\": \"%s\", \"kind\": \"%s\", \"status\": \"%s\", \"percent\": %" PRIu64
                                 ", \"owner\": ", i ? "," : "", v->tasks[i].id, v->tasks[i].kind, v->tasks[i].status,
                            v->tasks[i].percent);
                add_string(out, v->tasks[i].owner);
                strbuf_add(out, ", \"image\": ");
                add_string(out, v->tasks[i].image);
                strbuf_add(out, "}");
        }
        strbuf_add(out, "]}\n");
}

/* ---- the command ---- */

static int stat_read(struct view *v, const char *path, struct diag *diag)
{
        CLEANUP_CLOSE int top = mounted_open(path);
        int r;

        if (top >= 0)
                return stat_mount(v, top);
        r = model_usage(path, USAGE_AT_ONCE, progress_show, NULL, diag, &v->u);
        v->counted = v->has_total = r == 0;
        return r;
}

int command_stat(int argc, char **argv)
{
        bool json = false;
        const struct flag table[] = {
                { "--json", "for programs; all numbers are bytes", .set = &json },
        };
        const struct flags line = {
                .usage = "imagefs stat STORE|ADDRESS|MOUNTPOINT [--json]",
                .about = "Shows what the images of a library take. Of one that nobody serves also what each has alone, what it "
                         "shares, and what removing it would give back.",
                .word = "STORE|MOUNTPOINT",
                .table = table,
                .n = sizeof(table) / sizeof(table[0]),
        };
        CLEANUP_STRBUF struct strbuf out = { 0 };
        struct diag diag = { 0 };
        CLEANUP_FREE char *path = NULL;
        struct view v = { 0 };
        const char *word;
        enum flags_result parsed = flags_parse(&line, argc, argv, &word);
        int r;

        if (parsed != FLAGS_OK)
                return parsed == FLAGS_HELP ? EXIT_SUCCESS : EXIT_FAILURE;
        r = place_find(word, &diag, &path);
        if (r == 0)
                r = stat_read(&v, path, &diag);
        if (r == 0 && json)
                add_json(&out, &v);
        else if (r == 0)
                add_text(&out, &v, isatty(STDOUT_FILENO));
        if (r == 0)
                r = strbuf_error(&out);
        if (r == 0)
                r = fputs(strbuf_text(&out), stdout) >= 0 && fflush(stdout) == 0 ? 0 : -errno;
        if (r < 0)
                (void)fprintf(stderr, "imagefs: %s%s%s\n", diag.error ? diag.text : path ?: word, diag.error ? "" : ": ",
                              diag.error ? "" : strerror(-r));
        else if (v.u.unread)
                (void)fprintf(stderr, "imagefs: %u blobs could not be read, and are left out: run imagefs check\n", v.u.unread);
        usage_done(&v.u);
        free(v.tasks);
        return r < 0 || v.u.unread ? EXIT_FAILURE : EXIT_SUCCESS;
}
