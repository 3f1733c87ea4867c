/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_GUEST_H
#define MODEL_IMAGE_GUEST_H

/*
 * The files in the file systems on disks of images and snapshots, which never change. Not for threads that answer requests,
 * but for those that end with the mount: disks are read, and the programs that understand them (import/guest_files.h) are
 * started by who asks, and killed when that thread ends.
 */

#include "blobstore/import/guest_files.h"
#include "model/image/inside.h"

struct guests;

/* IDLE_MS: so long a program waits for the next question. */
int guests_new(unsigned idle_ms, struct guests **ret);
void guests_free(struct guests *gs); /* accepts NULL; before stores are closed */
/* May there be files to be read in it? */
bool guests_can_read(const struct inside_part *p);

/* A partition, by the subject's id (inside.h) and its number there. */
struct guest_at {
        bool snapshot;
        uint64_t id;
        unsigned number;
};

/* Who asks for it: programs are each user's own, so that nobody waits for another's question. */
struct guest_asker {
        struct guest_at at;
        uid_t uid;
        struct inside_asker asker;
};

/*
 * As those of guest_files.h, with a sentence where they are refused: -EIO, -EOPNOTSUPP. -ESTALE: the disk, or the partition,
 * is gone.
 */
int guest_root(struct model *m, const struct guest_asker *a, struct diag *diag, struct guest_attr *ret);
int guest_stat(struct model *m, const struct guest_asker *a, uint32_t node, struct diag *diag, struct guest_attr *ret);
int guest_find(struct model *m, const struct guest_asker *a, uint32_t dir, const char *name, struct diag *diag,
               struct guest_attr *ret);
int guest_link(struct model *m, const struct guest_asker *a, uint32_t node, struct diag *diag,
               char ret[GUEST_LINK_MAX + 1]);
int guest_list(struct model *m, const struct guest_asker *a, uint32_t dir, uint64_t pos, size_t max, bool attr,
               struct diag *diag, guest_entry_fn *fn, void *ctx);

/* An open file. Any number of threads may share it. */
struct guest_file;
int guest_open(struct model *m, const struct guest_asker *a, uint32_t node, struct diag *diag, struct guest_file **ret);
void guest_close(struct guest_file *f); /* accepts NULL */
/* How many there were up to the file's end. -EBADMSG: the disk is damaged there. */
ssize_t guest_pread(struct model *m, const struct guest_asker *a, struct guest_file *f, void *buf, size_t n,
                    uint64_t off, struct diag *diag);

#endif
