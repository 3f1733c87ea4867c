/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_NODE_H
#define FS_TREE_NODE_H

/*
 * A node is (kind, row, oid), packed into its inode number: there is no inode table, forget does nothing, and numbers
 * survive a remount. oid is what the kind says it is (the id of an image, a region …) and belongs to the directory; row
 * 0 is the directory itself, row n its n-th entry, ROW_CHILD a child that is not a directory (oid is then the child's).
 */

#include <stdint.h>

enum node_kind {
        KIND_ROOT,
        KIND_INFO,
        KIND_REGIONS,
        KIND_TASKS,
        KIND_TASK,
        KIND_REGION,
        KIND_IMAGES, /* private/, public/ …: oid is region << 3 | class */
        KIND_IMAGE,
        KIND_IMAGE_DISKS, /* oid: the image; its children's: the disk */
        KIND_IMAGE_SNAPSHOTS, /* oid: the image; its children's: the disk */
        KIND_IMAGE_USED_BY, /* oid: the image; its children's: the task */
        KIND_COPIES, /* oid: the image */
        KIND_COPY, /* oid: the task */
        KIND_SNAPSHOTS, /* oid: the region */
        KIND_SNAPSHOT,
        KIND_SNAPSHOT_IMAGES, /* oid: the snapshot; its children's: the image */
        KIND_SNAPSHOT_USED_BY, /* likewise */
        KIND_SNAPSHOT_CHANGED, /* oid: the snapshot; its children's: two snapshots, see dir_snapshot.c */
        KIND_SNAPSHOT_VOLUMES, /* snapshots/<s>/disks: oid: the snapshot */
        KIND_SNAPSHOT_VOLUME, /* oid: the volume */
        KIND_VOLUMES, /* disks/ of a region: oid: the region */
        KIND_VOLUME,
        KIND_VOLUME_SNAPSHOTS, /* oid: the volume */
        KIND_VOLUME_SNAPSHOT, /* oid: the snapshot */
        KIND_IMAGE_INSTANCES, /* oid: the image */
        KIND_IMAGE_INSTANCE, /* oid: the instance */
        KIND_INSTANCES, /* oid: the region */
        KIND_INSTANCE,
        KIND_INSTANCE_DISKS, /* oid: the instance */
        KIND_INSTANCE_IMAGES, /* oid: the instance */
        KIND_INSTANCE_IMAGE, /* oid: the image */
        KIND_INSTANCE_USED_BY, /* oid: the instance; its children's: the task */
        KIND_DOWNLOADS, /* oid: the image */
        KIND_DOWNLOAD,
        KIND_SHARES, /* oid: the image */
        KIND_SHARE,
        KIND_SHARED, /* shared/ of a region: oid: the region */
        KIND_SHARED_IMAGE, /* oid: the image, as in the next three */
        KIND_SHARED_DISKS, /* its children's: the disk */
        KIND_SHARED_INSTANCES,
        KIND_SHARED_CLOSED, /* what only the owner may do: oid is image << 1 | which */
        KIND_SHARED_INSTANCE, /* oid: the instance */
        KIND_COUNT,
        KIND_NONE = KIND_COUNT,
};

#define ROW_BITS  10
#define KIND_BITS 6
#define OID_BITS  (64 - KIND_BITS - ROW_BITS)
#define ROW_CHILD ((1U << ROW_BITS) - 1)

struct node {
        enum node_kind kind;
        unsigned row;
        uint64_t oid;
};

static inline uint64_t node_ino(struct node n)
{
        return (uint64_t)n.kind << (OID_BITS + ROW_BITS) | (uint64_t)n.row << OID_BITS | n.oid;
}

/* The root's number is fixed by the protocol: kind 0, row 0, oid 1. */
static inline struct node node_of(uint64_t ino)
{
        return (struct node){
                .kind = (enum node_kind)(ino >> (OID_BITS + ROW_BITS)),
                .row = (unsigned)(ino >> OID_BITS) & ROW_CHILD,
                .oid = ino & ((UINT64_C(1) << OID_BITS) - 1),
        };
}

#endif
