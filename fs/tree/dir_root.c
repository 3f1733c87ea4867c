/* SPDX-License-Identifier: MIT */
/*
 * The top: README, info/, lists of all images, and the places of regions and tasks.
 */

#include "fs/tree/dir.h"
#include "fs/tree/health.h"
#include "fs/tree/metrics.h"
#include "fs/tree/store_history.h"
#include "model/core/hosts.h"

extern const char embed_readme_txt[];

static int show_readme(struct req *rq, struct strbuf *out)
{
        (void)rq;
        strbuf_add(out, embed_readme_txt);
        return 0;
}

static const struct entry root_entries[] = {
        { 1, "README", "one page of help", 0444, .show = show_readme },
        { 2, "info", "the library itself", 0755, .dir = KIND_INFO },
        DIR_LISTS(5, 6, 7, "the images you can see in all regions, a row each"),
        { 3, "regions", "mkdir makes a region", 0755, .dir = KIND_REGIONS },
        { 4, "tasks", "long operations; rmdir cancels or forgets one", 0755, .dir = KIND_TASKS },
        { 0 },
};

const struct dir_kind dir_root = {
        .name = "/",
        .mode = 0755,
        .entries = root_entries,
        .child = KIND_NONE,
        .object = dir_root_object,
};

/* ---- info ---- */

static int show_version(struct req *rq, struct strbuf *out)
{
        (void)rq;
        strbuf_add(out, IMAGEFS_VERSION "\n");
        return 0;
}

static int show_limits(struct req *rq, struct strbuf *out)
{
        uint64_t value;
        int r;

        for (enum limit l = 0; l < LIMIT_COUNT; l++) {
                r = limit_get(rq->fs->model, l, &value);
                if (r < 0)
                        return r;
                strbuf_addf(out, "%s %llu\n", limit_name(l), (unsigned long long)value);
        }
        return 0;
}

static int store_limits(struct req *rq, const char *text)
{
        return limit_set_line(rq->fs->model, &rq->caller, text, &rq->diag);
}

/* For others than the administrator, who may not read it, it has no text: size and time would say what is stored. */
static int show_store(struct req *rq, struct strbuf *out)
{
        struct damage_stats damage;
        struct model_stats s;
        int r;

        if (!rq->caller.admin)
                return 0;
        r = model_get_stats(rq->fs->model, &s);
        if (r == 0)
                r = damage_get_stats(rq->fs->model, &damage);
        if (r < 0)
                return r;
        strbuf_addf(out, "logical-bytes %llu\nunique-bytes %llu\nstored-bytes %llu\nfree-bytes %llu\n"
                    "blobs %llu\nchunks %llu\n",
                    (unsigned long long)s.blobs.logical_bytes, (unsigned long long)s.blobs.unique_bytes,
                    (unsigned long long)s.blobs.stored_bytes, (unsigned long long)s.free_bytes,
                    (unsigned long long)s.blobs.blobs, (unsigned long long)s.blobs.chunks);
        strbuf_add(out, "last-scrub ");
        if (damage.scrubbed_us)
                strbuf_add_time(out, damage.scrubbed_us);
        else
                strbuf_add(out, "never");
        strbuf_addf(out, "\ndamaged-blobs %llu\n", (unsigned long long)damage.blobs);
        return 0;
}

static int64_t store_changed_us(struct req *rq)
{
        struct damage_stats damage;
        struct model_stats s;

        if (!rq->caller.admin || model_get_stats(rq->fs->model, &s) < 0 ||
            damage_get_stats(rq->fs->model, &damage) < 0 || !s.changed_us)
                return rq->fs->born_us;
        return s.changed_us > damage.scrubbed_us ? s.changed_us : damage.scrubbed_us;
}

struct errors_view {
        struct model *m;
        struct strbuf *out;
        bool with_user;
        int64_t last_us;
};

static int errors_add(void *ctx, const struct refusal *r)
{
        struct errors_view *v = ctx;
        char name[NAME_LEN_MAX + 1];

        v->last_us = r->at_us;
        if (!v->out)
                return 0;
        strbuf_add_time(v->out, r->at_us);
        if (v->with_user) {
                user_name(v->m, r->uid, name, sizeof(name));
                strbuf_addf(v->out, " %s", name);
        }
        strbuf_addf(v->out, " %s %s%s%s: %s\n", strerrorname_np(-r->error) ?: "E?", r->path, r->path[0] ? ": " : "",
                    r->operation, r->sentence);
        return 0;
}

static int show_errors(struct req *rq, struct strbuf *out)
{
        struct errors_view v = { .m = rq->fs->model, .out = out, .with_user = rq->caller.admin };

        return refusal_each(rq->fs->model, &rq->caller, errors_add, &v);
}

static int64_t errors_changed_us(struct req *rq)
{
        struct errors_view v = { 0 };

        if (refusal_each(rq->fs->model, &rq->caller, errors_add, &v) < 0 || !v.last_us)
                return rq->fs->born_us;
        return v.last_us;
}

static void add_health(void *ctx, const char *sentence)
{
        strbuf_addf(ctx, "%s\n", sentence);
}

static int show_health(struct req *rq, struct strbuf *out)
{
        char trouble[512];
        int r;

        r = health_each(rq->fs, add_health, out);
        if (r == 0 && rq->caller.admin && !model_catalogue_trouble(rq->fs->model, trouble, sizeof(trouble)))
                r = damage_each(rq->fs->model, add_health, out);
        if (r == 0 && out->len == 0)
                strbuf_add(out, "ok\n");
        return r;
}

/* As show_store(): how much room bytes took says who has them already. */
static int show_metrics(struct req *rq, struct strbuf *out)
{
        return rq->caller.admin ? metrics_add(rq->fs, out) : 0;
}

#define STORE_HISTORY(number, name, format, help)                                                               \
        { number, name, help, 0400, ENTRY_ADMIN | ENTRY_UNLISTED, .text = store_history_text,                   \
          .measure = store_history_measure, .arg = format }

/* A host_fn. The directory is the last, since there may be blanks in it. */
static int add_host(void *ctx, const struct host *host)
{
        struct strbuf *out = ctx;

        strbuf_addf(out, "%s lease=", host->name);
        if (host->lease_us)
                strbuf_add_time(out, host->lease_us);
        else
                strbuf_add(out, "none");
        strbuf_addf(out, " version=%s directory=%s\n", host->version, host->directory);
        return 0;
}

static int show_hosts(struct req *rq, struct strbuf *out)
{
        return rq->caller.admin ? host_each(rq->fs->model, add_host, out) : 0;
}

static const struct entry info_entries[] = {
        { 1, "version", "of imagefs", 0444, ENTRY_LINE, .show = show_version },
        { 2, "limits", "write `key value` to change one", 0644, ENTRY_COMMANDS, .show = show_limits, .store = store_limits },
        { 3, "store", "what the blobs take", 0400, ENTRY_ADMIN, .show = show_store, .changed_us = store_changed_us },
        { 4, "errors", "your latest refusals, with reasons", 0444, ENTRY_USERS, .show = show_errors,
          .changed_us = errors_changed_us },
        { 5, "health", "ok, or a line for each thing that needs a person", 0444, .show = show_health },
        /* each reading of it is another text, which a backup or a comparison of the whole mount would stumble over */
        { 6, "metrics", "counters of the daemon, for Prometheus", 0400, ENTRY_ADMIN | ENTRY_UNLISTED, .show = show_metrics },
        /* likewise: their last day is today */
        STORE_HISTORY(7, "store-history.csv", STORE_HISTORY_CSV, "what images hold and what is stored, a line per day and region"),
        STORE_HISTORY(8, "store-history.svg", STORE_HISTORY_SVG, "the same as a picture"),
        { 9, "events", "the last thousand things that happened to what you may see, a JSON object a line", 0444,
          ENTRY_USERS, .show = events_show, .changed_us = events_changed_us },
        { 10, "events-after", "reading <seq> in it waits for what comes after that event, and gives all there is", 0555,
          ENTRY_UNLISTED, .dir = KIND_EVENTS_AFTER },
        /* likewise: a lease is renewed every few seconds */
        { 11, "hosts", "which host serves the library, until when unless it renews that, and which ones did", 0400,
          ENTRY_ADMIN | ENTRY_UNLISTED, .show = show_hosts },
        { 0 },
};

const struct dir_kind dir_info = {
        .name = "info",
        .mode = 0755,
        .entries = info_entries,
        .child = KIND_NONE,
        .object = dir_root_object,
};

/* ---- regions ---- */

static int regions_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        (void)oid;
        return region_each(rq->fs->model, dir_add_object, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int regions_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        CLEANUP_FREE struct region *region = malloc(sizeof(*region));
        int r;

        (void)oid;
        if (!region)
                return -ENOMEM;
        r = region_find(rq->fs->model, name, region);
        if (r < 0)
                return r;
        *ret_object = region->o;
        return dir_found(0, ret, ret_object);
}

static int regions_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        (void)oid;
        return region_create(rq->fs->model, &rq->caller, name, &rq->diag, ret_child);
}

static int regions_remove(struct req *rq, uint64_t child)
{
        return region_remove(rq->fs->model, &rq->caller, child, &rq->diag);
}

static int regions_rename(struct req *rq, uint64_t child, struct node to, const char *name)
{
        if (to.kind != KIND_REGIONS)
                return diag_set(&rq->diag, -EPERM, "a region stays in regions/");
        return region_rename(rq->fs->model, &rq->caller, child, name, &rq->diag);
}

static int regions_change(struct req *rq, uint64_t oid)
{
        (void)oid;
        return diag_set(&rq->diag, -EACCES, "regions: only the administrator makes, renames and removes them: ask for one");
}

const struct dir_kind dir_regions = {
        .name = "regions",
        .mode = 0777,
        .change = regions_change,
        .child = KIND_REGION,
        .child_name = "<region>",
        .object = dir_root_object,
        .list = regions_list,
        .find = regions_find,
        .make = regions_make,
        .remove = regions_remove,
        .rename = regions_rename,
};
