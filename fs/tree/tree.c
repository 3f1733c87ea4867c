/* SPDX-License-Identifier: MIT */
/*
 * The registry of the kinds of directories. It stands above their tables: a family knows others by their number, and
 * what it needs of another's table (dir_mirror.c) by the table itself.
 */

#include "fs/tree/tree.h"

#include <stdio.h>
#include <stdlib.h>

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
        [KIND_FAMILIES] = &dir_families,
        [KIND_FAMILY] = &dir_family,
        [KIND_BURIED] = &dir_buried,
        [KIND_SCRATCH] = &dir_scratch,
        [KIND_EVENTS_AFTER] = &dir_events_after,
        [KIND_FOLLOWS] = &dir_follows,
        [KIND_FOLLOW] = &dir_follow,
        [KIND_FOLLOW_IMAGES] = &dir_follow_images,
        [KIND_IMAGE_PARTITIONS] = &dir_image_partitions,
        [KIND_SHARED_PARTITIONS] = &dir_shared_partitions,
        [KIND_SNAPSHOT_PARTITIONS] = &dir_snapshot_partitions,
        [KIND_OCI] = &dir_oci,
        [KIND_OCI_BLOBS] = &dir_oci_blobs,
        [KIND_OCI_SHA256] = &dir_oci_sha256,
        [KIND_IMAGE_GUEST] = &dir_image_guest,
        [KIND_SHARED_GUEST] = &dir_shared_guest,
        [KIND_SNAPSHOT_GUEST] = &dir_snapshot_guest,
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
