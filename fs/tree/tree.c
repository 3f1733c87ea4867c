/* SPDX-License-Identifier: MIT */
/*
 * The registry of the kinds of directories, and what follows from the tables alone.
 */

#include "fs/tree/tree.h"

#include <string.h>

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
        [KIND_IMAGE_SNAPSHOTS] = &dir_image_snapshots,
        [KIND_IMAGE_USED_BY] = &dir_image_used_by,
        [KIND_COPIES] = &dir_copies,
        [KIND_COPY] = &dir_copy,
        [KIND_SNAPSHOTS] = &dir_snapshots,
        [KIND_SNAPSHOT] = &dir_snapshot,
        [KIND_SNAPSHOT_IMAGES] = &dir_snapshot_images,
        [KIND_SNAPSHOT_USED_BY] = &dir_snapshot_used_by,
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
        [KIND_INSTANCE_USED_BY] = &dir_instance_used_by,
};

const struct dir_kind *tree_kind(enum node_kind kind)
{
        return (unsigned)kind < KIND_COUNT ? tree_kinds[kind] : NULL;
}

static unsigned tree_count_entries(const struct dir_kind *kind)
{
        unsigned n = 0;

        while (kind->entries && kind->entries[n].name)
                n++;
        return n;
}

const struct entry *tree_entry(struct node n)
{
        const struct dir_kind *kind = tree_kind(n.kind);

        if (!kind || n.row == 0 || n.row > tree_count_entries(kind))
                return NULL;
        return &kind->entries[n.row - 1];
}

struct node tree_subdir(const struct entry *e, uint64_t oid)
{
        return (struct node){ .kind = e->dir, .oid = e->dir_oid ? e->dir_oid(oid, e->arg) : oid };
}

struct node tree_child(enum node_kind dir, const struct child *c)
{
        if (c->elsewhere)
                return c->node;
        if (c->type == DT_DIR)
                return (struct node){ .kind = tree_kinds[dir]->child, .oid = c->oid };
        return (struct node){ .kind = dir, .row = ROW_CHILD, .oid = c->oid };
}

static void tree_require(bool ok, const struct dir_kind *kind, const char *entry, const char *what)
{
        if (ok)
                return;
        (void)fprintf(stderr, "imagefs: the table of %s is wrong at %s: %s\n", kind->name, entry, what);
        abort();
}

void tree_check(void)
{
        for (unsigned k = 0; k < KIND_COUNT; k++) {
                const struct dir_kind *kind = tree_kinds[k];
                unsigned n = tree_count_entries(kind);

                tree_require(n < ROW_CHILD, kind, "its end", "more entries than an inode number can tell apart");
                tree_require(kind->object, kind, "its head", "nobody owns it");
                tree_require(!kind->list || kind->find, kind, "its head", "lists what cannot be found");
                tree_require(!kind->target || kind->child == KIND_NONE, kind, "its head",
                             "links and directories at once");

                for (unsigned i = 0; i < n; i++) {
                        const struct entry *e = &kind->entries[i];

                        tree_require(name_is_valid(e->name), kind, e->name, "not a name");
                        tree_require(e->help && e->help[0], kind, e->name, "no help line");
                        tree_require(!e->dir || (!e->show && !e->store && !e->blob), kind, e->name,
                                     "a directory with content");
                        tree_require(!(e->flags & ENTRY_LINE) || e->show, kind, e->name,
                                     "an attribute that cannot be read");
                        for (unsigned j = 0; j < i; j++)
                                tree_require(strcmp(kind->entries[j].name, e->name) != 0, kind, e->name, "there twice");
                }
        }
}

static void tree_print_kind(FILE *f, enum node_kind k, int depth)
{
        const struct dir_kind *kind = tree_kinds[k];

        for (unsigned i = 0; i < tree_count_entries(kind); i++) {
                const struct entry *e = &kind->entries[i];
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
