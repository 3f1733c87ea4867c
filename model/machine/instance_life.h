/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MACHINE_INSTANCE_LIFE_H
#define MODEL_MACHINE_INSTANCE_LIFE_H

/*
 * The life of an instance: what may be done to it while it runs, or its disks are written to or read. Private to
 * model/.
 */

#include "model/core/life.h"
#include "model/machine/instance.h"

/* In the order in which they are told. One of the two that follow the first holds. */
enum instance_state {
        INSTANCE_ELSEWHERE, /* its disks lie in another place */
        INSTANCE_STOPPED,
        INSTANCE_RUNNING,
        INSTANCE_BARE, /* it has no image yet */
        INSTANCE_WRITTEN, /* a disk of it is open for writing */
        INSTANCE_READ, /* a task reads its disks */
        INSTANCE_STATE_COUNT,
};

enum instance_verb {
        INSTANCE_DESCRIBE, /* whatever its disks do not depend on */
        INSTANCE_START,
        INSTANCE_STOP,
        INSTANCE_REBUILD, /* with another image */
        INSTANCE_SET_TYPE,
        INSTANCE_ATTACH,
        INSTANCE_DETACH,
        INSTANCE_USE_DISK, /* take a snapshot of one, or resize it: see volume_life.c */
        INSTANCE_CAPTURE, /* make an image of it */
        INSTANCE_HAND_OVER,
        INSTANCE_REMOVE,
        INSTANCE_VERB_COUNT,
};

extern const struct life instance_life;

/*
 * May that be done now? -EBUSY with a sentence. With the gate of volumes held, or after volumes_settle() for a first
 * look; DB_READ will do.
 */
int instance_life_ask(struct model *m, struct db_txn *t, const struct instance *instance, enum instance_verb verb,
                      struct diag *diag);

/* Loads the instance, and asks. -ENOENT, -EBUSY. */
int instance_load_for(struct model *m, struct db_txn *t, uint64_t id, enum instance_verb verb, struct diag *diag,
                      struct instance *ret);

#endif
