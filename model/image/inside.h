/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_INSIDE_H
#define MODEL_IMAGE_INSIDE_H

/*
 * What is inside the disks of images and snapshots. These never change, so what was found is kept, as far as there is
 * room. Not for threads that answer requests: disks are read, and one that was made to keep its reader busy does so for
 * seconds.
 */

#include "blobstore/import/inside.h"
#include "model/image/snapshot.h"

#define INSIDE_DISKS_MAX 26 /* vda to vdz */

struct inside_subject {
        bool snapshot; /* else an image's disk */
        uint64_t id; /* of that */
        char device[8]; /* "vda", which a snapshot is, too */
        bool system;
        struct blob_info blob;
        int64_t created_us;
};
/* The disks that have bytes, by device. -ENOENT */
int inside_subjects(struct model *m, bool snapshot, uint64_t id, struct inside_subject ret[INSIDE_DISKS_MAX],
                    size_t *ret_n);
/* One alone: of an image by the id of the disk. -ENOENT */
int inside_subject_get(struct model *m, bool snapshot, uint64_t id, struct inside_subject *ret);

/* A negative errno ends the work, and is what it gives. */
struct inside_asker {
        int (*go_on)(void *ctx);
        void *ctx;
};

/* Owned by the caller, release with free(). -EOPNOTSUPP, -EIO, with a sentence. */
int inside_get_parts(struct model *m, const struct inside_subject *s, const struct inside_asker *asker,
                     struct diag *diag, struct inside_parts **ret);
/* Adds the lines. Likewise; -EOPNOTSUPP, too, where there are none to be found. */
int inside_get_packages(struct model *m, const struct inside_subject *s, const struct inside_asker *asker,
                        struct diag *diag, struct strbuf *out);

/* Says why the program could not tell: gives what is to be answered. */
int inside_refuse(int error, struct diag *diag);

/* A line of partitions/table. */
void inside_add_part(struct strbuf *out, const char *device, const struct inside_part *p);

#endif
