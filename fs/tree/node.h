/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_NODE_H
#define FS_TREE_NODE_H

/*
 * A node is (kind, row, oid), packed into its inode number: there is no inode table, forget does nothing, and numbers
 * survive a remount. oid is what the kind says it is (the id of an image, a region …) and belongs to the directory; row
 * 0 is the directory itself, ROW_CHILD a child that is not a directory (oid is then the child's), any other the entry
 * with that number.
 *
 * Directories have a place besides. Linux knows one name for each, and takes one that rmdir(2) removed for dead as long
 * as anybody has it open. So an image that goes to the recycle bin goes on as other directories, it and all below it:
 * their place is how often that happened (struct object), and is part of what the kernel has for their numbers, where
 * entries have theirs. What stat(2) says is without it. Who stands in an old place goes on there.
 */

#include <stdbool.h>
#include <stdint.h>

#include "fs/tree/ino.h"

/*
 * The numbers of kinds are part of inode numbers, which are promised to be stable: a number is given once. A new kind
 * takes the next, wherever it stands in the list; that of a kind which goes is never used again.
 */
enum node_kind {
        KIND_ROOT = 0,
        KIND_INFO = 1,
        KIND_REGIONS = 2,
        KIND_TASKS = 3,
        KIND_TASK = 4,
        KIND_REGION = 5,
        KIND_IMAGES = 6, /* private/, public/ …: oid is region << 3 | class */
        KIND_IMAGE = 7,
        KIND_IMAGE_DISKS = 8, /* oid: the image; its children's: the disk */
        KIND_IMAGE_SNAPSHOTS = 9, /* oid: the image; its children's: the disk */
        /* 10 was used-by of an image */
        KIND_COPIES = 11, /* oid: the image */
        KIND_COPY = 12, /* oid: the task */
        KIND_SNAPSHOTS = 13, /* oid: the region */
        KIND_SNAPSHOT = 14,
        /* 15 and 16 were images and used-by of a snapshot */
        KIND_SNAPSHOT_CHANGED = 17, /* oid: the snapshot; its children's: two snapshots, see dir_snapshot.c */
        KIND_SNAPSHOT_VOLUMES = 18, /* snapshots/<s>/disks: oid: the snapshot */
        KIND_SNAPSHOT_VOLUME = 19, /* oid: the volume */
        KIND_VOLUMES = 20, /* disks/ of a region: oid: the region */
        KIND_VOLUME = 21,
        KIND_VOLUME_SNAPSHOTS = 22, /* oid: the volume */
        KIND_VOLUME_SNAPSHOT = 23, /* oid: the snapshot */
        KIND_IMAGE_INSTANCES = 24, /* oid: the image */
        KIND_IMAGE_INSTANCE = 25, /* oid: the instance */
        KIND_INSTANCES = 26, /* oid: the region */
        KIND_INSTANCE = 27,
        KIND_INSTANCE_DISKS = 28, /* oid: the instance */
        KIND_INSTANCE_IMAGES = 29, /* oid: the instance */
        KIND_INSTANCE_IMAGE = 30, /* oid: the image */
        /* 31 was used-by of an instance */
        KIND_DOWNLOADS = 32, /* oid: the image */
        KIND_DOWNLOAD = 33,
        KIND_SHARES = 34, /* oid: the image */
        KIND_SHARE = 35,
        KIND_SHARED = 36, /* shared/ of a region: oid: the region */
        KIND_SHARED_IMAGE = 37, /* oid: the image, as in the next three */
        KIND_SHARED_DISKS = 38, /* its children's: the disk */
        KIND_SHARED_INSTANCES = 39,
        KIND_SHARED_CLOSED = 40, /* what only the owner may do: oid is image << 1 | which */
        KIND_SHARED_INSTANCE = 41, /* oid: the instance */
        KIND_SHARED_PARTING = 42, /* never listed; oid: the image */
        KIND_COPY_TARGETS = 43, /* oid: the region; its children's: a selection, see selection.h */
        KIND_IMAGE_DISK = 44, /* a data disk that is to be uploaded; oid: the disk */
        KIND_BURIED = 45, /* never listed; oid: a number, see ops/parting.h */
        KIND_SCRATCH = 46, /* never listed; its children are temporary files, see scratch.h */
        KIND_FAMILIES = 47, /* oid: the region */
        KIND_FAMILY = 48, /* oid: the family; its children's: an image or the family, see dir_family.c */
        KIND_EVENTS_AFTER = 49, /* its children's: the number of an event */
        KIND_FOLLOWS = 50, /* oid: the region */
        KIND_FOLLOW = 51,
        KIND_FOLLOW_IMAGES = 52, /* oid: the follow; its children's: the image */
        KIND_IMAGE_PARTITIONS = 53, /* oid: the image; its children's: the disk and a number, see dir_inside.c */
        KIND_SHARED_PARTITIONS = 54, /* likewise */
        KIND_SNAPSHOT_PARTITIONS = 55, /* oid: the snapshot; its children's: that and a number */
        KIND_OCI = 56, /* oid: image << 1 | seen in shared/, as in the next two */
        KIND_OCI_BLOBS = 57,
        KIND_OCI_SHA256 = 58, /* its children's: see dir_oci.c */
        KIND_IMAGE_GUEST = 59, /* oid: image << 1, or below it a slot and a number: see guest.h */
        KIND_SHARED_GUEST = 60, /* likewise */
        KIND_SNAPSHOT_GUEST = 61, /* oid: snapshot << 1, and likewise */
        KIND_COUNT = 62, /* one more than the greatest of these */
        KIND_NONE = KIND_COUNT,
};

#define ROW_BITS  10
#define KIND_BITS 6
#define OID_BITS  (64 - KIND_BITS - ROW_BITS)
#define ROW_CHILD ((1U << ROW_BITS) - 1)
_Static_assert(OID_BITS == 48, "what ino.h permutes");
/*
 * Rows from here up to ROW_CHILD are directories at another place than the first. After all of them they begin again,
 * with another generation, so that the kernel gives up whom it still has with the number.
 */
#define ROW_PLACE 256
#define PLACES    (ROW_CHILD - ROW_PLACE)
_Static_assert(KIND_COUNT <= 1 << KIND_BITS, "a kind must fit into an inode number");

struct node {
        enum node_kind kind;
        unsigned row;
        uint64_t oid;
        unsigned place; /* of directories; what is gone by is kept modulo PLACES only */
};

/* The row as it is packed. */
static inline unsigned node_row(struct node n)
{
        return n.row == 0 && n.place ? ROW_PLACE + (n.place - 1) % PLACES : n.row;
}

/* The root's number is fixed by the protocol: kind 0, row 0, oid 1. Of all others oid is hidden. */
static inline uint64_t node_ino(struct node n)
{
        return (uint64_t)n.kind << (OID_BITS + ROW_BITS) | (uint64_t)node_row(n) << OID_BITS |
               (n.kind == KIND_ROOT ? n.oid : ino_hide(n.oid));
}

/* Tells apart what has the same number. */
static inline uint64_t node_generation(struct node n)
{
        return n.row == 0 && n.place ? (n.place - 1) / PLACES : 0;
}

/* The number that stat(2) says. */
static inline uint64_t node_number(struct node n)
{
        n.place = 0;
        return node_ino(n);
}

static inline struct node node_of(uint64_t ino)
{
        const enum node_kind kind = (enum node_kind)(ino >> (OID_BITS + ROW_BITS));
        const uint64_t shown = ino & ((UINT64_C(1) << OID_BITS) - 1);
        const unsigned row = (unsigned)(ino >> OID_BITS) & ROW_CHILD;
        const bool placed = row >= ROW_PLACE && row != ROW_CHILD;

        return (struct node){
                .kind = kind,
                .row = placed ? 0 : row,
                .oid = kind == KIND_ROOT ? shown : ino_find(shown),
                .place = placed ? row - ROW_PLACE + 1 : 0,
        };
}

#endif
