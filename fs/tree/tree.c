/* SPDX-License-Identifier: MIT */
/*
 * The registry of the kinds of directories. It stands above their tables: a family knows others by their number, and
 * what it needs of another's table (dir_mirror.c) by the table itself.
 */

#include "fs/tree/tree.h"

#include <string.h>

#include "fs/tree/dir.h"

static const struct dir_kind *const tree_kinds[KIND_COUNT] = {
        [KIND_ROOT] = &dir_root,
        [KIND_INFO] = &dir_info,
        [KIND_REGIONS] = &dir_regions,
        [KIND_TASKS] = &dir_tasks,
        [KIND_TASK] = &dir_task,
        [KIND_REGION] = &dir_region,
        [KIND_IMAGES] = &dir_images,
        [KIND_IMAGE] = &dir_image,
        [KIND_IMAGE_DISKS] = &dir_image_disks,
        [KIND_IMAGE_DISK] = &dir_image_disk,
        [KIND_IMAGE_SNAPSHOTS] = &dir_image_snapshots,
        [KIND_COPIES] = &dir_copies,
        [KIND_COPY] = &dir_copy,
        [KIND_SNAPSHOTS] = &dir_snapshots,
        [KIND_SNAPSHOT] = &dir_snapshot,
        [KIND_SNAPSHOT_CHANGED] = &dir_snapshot_changed,
        [KIND_DOWNLOADS] = &dir_downloads,
        [KIND_DOWNLOAD] = &dir_download,
        [KIND_SHARES] = &dir_shares,
        [KIND_SHARE] = &dir_share,
        [KIND_SHARED] = &dir_shared,
        [KIND_SHARED_IMAGE] = &dir_shared_image,
        [KIND_SHARED_DISKS] = &dir_shared_disks,
        [KIND_SHARED_INSTANCES] = &dir_shared_instances,
        [KIND_SHARED_CLOSED] = &dir_shared_closed,
        [KIND_SHARED_PARTING] = &dir_shared_parting,
        [KIND_COPY_TARGETS] = &dir_copy_targets,
        [KIND_SHARED_INSTANCE] = &dir_shared_instance,
        [KIND_SNAPSHOT_VOLUMES] = &dir_snapshot_volumes,
        [KIND_SNAPSHOT_VOLUME] = &dir_snapshot_volume,
        [KIND_VOLUMES] = &dir_volumes,
        [KIND_VOLUME] = &dir_volume,
        [KIND_VOLUME_SNAPSHOTS] = &dir_volume_snapshots,
        [KIND_VOLUME_SNAPSHOT] = &dir_volume_snapshot,
        [KIND_IMAGE_INSTANCES] = &dir_image_instances,
        [KIND_IMAGE_INSTANCE] = &dir_image_instance,
        [KIND_INSTANCES] = &dir_instances,
        [KIND_INSTANCE] = &dir_instance,
        [KIND_INSTANCE_DISKS] = &dir_instance_disks,
        [KIND_INSTANCE_IMAGES] = &dir_instance_images,
        [KIND_INSTANCE_IMAGE] = &dir_instance_image,
};

const struct dir_kind *tree_kind(enum node_kind kind)
{
        return (unsigned)kind < KIND_COUNT ? tree_kinds[kind] : NULL;
}

const struct entry *tree_entry(struct node n)
{
        const struct dir_kind *kind = tree_kind(n.kind);

        return kind ? kind_entry(kind, n.row) : NULL;
}

struct node tree_subdir(const struct entry *e, struct node dir)
{
        return (struct node){ .kind = e->dir, .oid = dir.oid << e->arg_bits | (e->arg_bits ? (uint64_t)e->arg : 0),
                              .place = dir.place };
}

/* The entry whose sub-directory N is, and the kind of its directory. NULL: it is none. */
static const struct entry *tree_entry_of(struct node n, enum node_kind *ret)
{
        for (unsigned k = 0; k < KIND_COUNT && n.kind != KIND_ROOT; k++) {
                const struct dir_kind *kind = tree_kinds[k];

                for (const struct entry *e = kind ? kind->entries : NULL; e && e->name; e++) {
                        *ret = (enum node_kind)k;
                        if (e->dir == n.kind && tree_subdir(e, (struct node){ .oid = n.oid >> e->arg_bits }).oid == n.oid)
                                return e;
                }
        }
        return NULL;
}

const char *tree_subdir_name(struct node n, uint64_t oid)
{
        enum node_kind kind;
        const struct entry *e = tree_entry_of(n, &kind);

        return e && n.oid >> e->arg_bits == oid ? e->name : NULL;
}

bool tree_subdir_of(struct node n, struct node *ret)
{
        enum node_kind kind;
        const struct entry *e = tree_entry_of(n, &kind);

        if (e)
                *ret = (struct node){ .kind = kind, .oid = n.oid >> e->arg_bits, .place = n.place };
        return e;
}

struct node tree_child(struct node dir, const struct child *c)
{
        if (c->elsewhere)
                return c->node;
        if (c->type == DT_DIR)
                return (struct node){ .kind = tree_kinds[dir.kind]->child, .oid = c->oid,
                                      .place = dir.place + c->places };
        return (struct node){ .kind = dir.kind, .row = ROW_CHILD, .oid = c->oid };
}

static void tree_check_leads(const struct dir_kind *kind, enum node_kind below)
{
        if (tree_kind(below))
                return;
        (void)fprintf(stderr, "imagefs: the table of %s leads to kind %u, which has none\n", kind->name, below);
        abort();
}

void tree_check(void)
{
        for (unsigned k = 0; k < KIND_COUNT; k++) {
                const struct dir_kind *kind = tree_kinds[k];

                if (!kind) /* the number of one that went */
                        continue;
                kind_check(kind);
                for (const struct entry *e = kind->entries; e && e->name; e++)
                        tree_check_leads(kind, e->dir);
                if (kind->child != KIND_NONE)
                        tree_check_leads(kind, kind->child);
        }
}

static void tree_print_kind(FILE *f, enum node_kind k, int depth)
{
        const struct dir_kind *kind = tree_kinds[k];

        for (const struct entry *e = kind->entries; e && e->name; e++) {
                int width = 32 - 2 * depth - (e->dir ? 1 : 0);

                (void)fprintf(f, "%*s%s%s%*s %s\n", 2 * depth, "", e->name, e->dir ? "/" : "",
                              width > (int)strlen(e->name) ? width - (int)strlen(e->name) : 0, "", e->help);
                /* the classes hold the same kind of image: spelled out once */
                if (e->dir && (e->dir != KIND_IMAGES || e->arg == CLASS_PRIVATE))
                        tree_print_kind(f, e->dir, depth + 1);
        }
        if (kind->child != KIND_NONE) {
                (void)fprintf(f, "%*s%s/\n", 2 * depth, "", kind->child_name);
                tree_print_kind(f, kind->child, depth + 1);
        }
}

void tree_print(FILE *f)
{
        tree_print_kind(f, KIND_ROOT, 0);
}

/* ---- one directory's part ---- */

/* Names of directories, as paths have them: images/<image>/disks. */
#define PATH_SIZE 256

struct part {
        FILE *f;
        const char *name; /* NULL: all names are listed instead, each once */
        bool found;
        struct strbuf names;
};

/* Is NAME how PATH ends? <image> may be written without its brackets. */
static bool is_end_of(const char *path, const char *name)
{
        size_t p = strlen(path), n = strlen(name);

        while (n > 0 && name[n - 1] == '/')
                n--;
        if (n == 0)
                return false;
        while (n > 0 && p > 0) {
                if (path[p - 1] == name[n - 1]) {
                        p--;
                        n--;
                } else if (path[p - 1] == '<' || path[p - 1] == '>') {
                        p--;
                } else {
                        return false;
                }
        }
        while (p > 0 && path[p - 1] == '<')
                p--;
        return n == 0 && (p == 0 || path[p - 1] == '/');
}

static void part_list(struct part *part, const char *path)
{
        const char *last = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        const char *names = strbuf_text(&part->names);
        const size_t n = strlen(last);

        for (const char *p = strstr(names, last); p; p = strstr(p + 1, last))
                if ((p == names || p[-1] == ' ') && (p[n] == ',' || !p[n]))
                        return;
        strbuf_addf(&part->names, "%s%s", part->names.len ? ", " : "", last);
}

static void part_walk(struct part *part, enum node_kind k, const char *path);

static void part_visit(struct part *part, enum node_kind k, const char *above, const char *name, bool again)
{
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "%s%s%s", above, above[0] ? "/" : "", name);
        if (!part->name) {
                part_list(part, path);
        } else if (is_end_of(path, part->name)) {
                (void)fprintf(part->f, "%s%s/\n", part->found ? "\n" : "", path);
                tree_print_kind(part->f, k, 1);
                part->found = true;
                return;
        }
        if (!again)
                part_walk(part, k, path);
}

static void part_walk(struct part *part, enum node_kind k, const char *path)
{
        const struct dir_kind *kind = tree_kinds[k];

        for (const struct entry *e = kind->entries; e && e->name; e++)
                if (e->dir)
                        part_visit(part, e->dir, path, e->name, e->dir == KIND_IMAGES && e->arg != CLASS_PRIVATE);
        if (kind->child != KIND_NONE)
                part_visit(part, kind->child, path, kind->child_name, false);
}

bool tree_print_part(FILE *f, const char *name)
{
        struct part part = { .f = f, .name = name };

        part_walk(&part, KIND_ROOT, "");
        return part.found;
}

void tree_print_names(FILE *f)
{
        struct part part = { 0 };

        part_walk(&part, KIND_ROOT, "");
        (void)fprintf(f, "%s\n", strbuf_text(&part.names));
        strbuf_done(&part.names);
}
