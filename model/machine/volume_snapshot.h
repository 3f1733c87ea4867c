/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MACHINE_VOLUME_SNAPSHOT_H
#define MODEL_MACHINE_VOLUME_SNAPSHOT_H

/* Taking snapshots of disks as a task. Private to model/. */

#include "blobstore/blobstore.h"
#include "model/core/changes.h"
#include "model/core/jobs.h"

int volume_snapshot_run(struct job *job);
int volume_snapshot_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch);

/* A blob of the volume's disk, which nobody writes to. Release with blob_close(). */
int volume_make_blob(struct model *m, uint64_t id, blob_progress_fn *progress, void *ctx, uint64_t *ret_store,
                     struct blob **ret);

#endif
