/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_TASK_H
#define MODEL_CORE_TASK_H

/*
 * Long operations, as rows and as users see them. A task is a row, written in the transaction that accepts the
 * operation; a worker runs it after the commit, outside every lock, and it can be started again from any point: after a
 * crash or a stop it goes on at the next open, or ends in error with a reason.
 */

#include "model/core/object.h"
#include "model/core/task_kinds.h"

enum task_status { TASK_QUEUED, TASK_RUNNING, TASK_DONE, TASK_ERROR, TASK_CANCELLED, TASK_STATUS_COUNT };

const char *task_kind_name(enum task_kind k); /* static */
const char *task_status_name(enum task_status s);

/* How far something is. */
struct progress {
        uint64_t done_bytes, total_bytes;
        unsigned percent;
};

struct task {
        struct object o; /* the handle is the id, "task-…" */
        enum task_kind kind;
        enum task_status status;
        uint64_t image; /* 0: gone */
        char image_ident[IDENT_MAX];
        uint64_t region; /* where the result is; 0: gone */
        char region_name[NAME_LEN_MAX + 1];
        uint64_t result; /* the image that it makes, 0 without one */
        uint64_t instance; /* that an image or a snapshot is made of; 0 without one, as the next two */
        uint64_t volume, snapshot; /* a disk, and what is made of it */
        struct progress progress;
        int64_t started_us, finished_us; /* 0: not yet */
        char error[DIAG_TEXT_MAX];
};

/*
 * Says what an active task does with something, and how that ends; gives -EBUSY. WHOSE begins the sentence: "web is",
 * "a disk of vm1 is"; IMAGE is the id if it is an image's, else 0.
 */
int task_refuse(const struct task *task, uint64_t image, const char *whose, struct diag *diag);

#endif
