/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MACHINE_VOLUME_LIFE_H
#define MODEL_MACHINE_VOLUME_LIFE_H

/* The life of a disk: what may be done to it while it is attached, open or read. Private to model/. */

#include "model/core/life.h"
#include "model/machine/volume.h"

/* In the order in which they are told. One of the first three holds. */
enum volume_state {
        VOLUME_SYSTEM, /* the system disk of an instance */
        VOLUME_ATTACHED, /* another one of it */
        VOLUME_FREE,
        VOLUME_ELSEWHERE, /* its disk, or those beside it, lie in another place */
        VOLUME_UNSIZED, /* waits for its size */
        VOLUME_RUNS, /* its instance does */
        VOLUME_BESIDE, /* a task reads disks of its instance */
        VOLUME_WRITTEN, /* it is open for writing */
        VOLUME_READ, /* a task reads it */
        VOLUME_STATE_COUNT,
};

enum volume_verb {
        VOLUME_OPEN, /* for writing */
        VOLUME_RESIZE,
        VOLUME_ATTACH,
        VOLUME_DETACH,
        VOLUME_SNAPSHOT,
        VOLUME_HAND_OVER,
        VOLUME_REMOVE,
        VOLUME_VERB_COUNT,
};

extern const struct life volume_life;

/*
 * May that be done now? -EBUSY with a sentence. With the gate of volumes held; OWN, an open file of it, does not count
 * as a writer, and may be NULL. DB_READ will do.
 */
int volume_life_ask(struct model *m, struct db_txn *t, const struct volume *v, const struct volume_file *own,
                    enum volume_verb verb, struct diag *diag);

/* The kind of the task that carries it out. */
enum task_kind volume_life_task(enum volume_verb verb);

#endif
