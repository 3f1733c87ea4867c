/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_SNAPSHOT_LIFE_H
#define MODEL_IMAGE_SNAPSHOT_LIFE_H

/* The life of a snapshot: who makes it, and what may be done to it meanwhile and after. Private to model/. */

#include "model/core/life.h"
#include "model/image/snapshot.h"

enum snapshot_state { SNAPSHOT_CREATING, SNAPSHOT_AVAILABLE, SNAPSHOT_STATE_COUNT };

enum snapshot_verb {
        SNAPSHOT_TAKE, /* of a disk */
        SNAPSHOT_FILL, /* with an image, whose disk it is */
        SNAPSHOT_CLONE, /* make a disk of it */
        SNAPSHOT_HAND_OVER,
        SNAPSHOT_REMOVE,
        SNAPSHOT_VERB_COUNT,
};

extern const struct life snapshot_life;

/* May C do that now? -EBUSY with a sentence. C may be NULL where VERB is not SNAPSHOT_REMOVE. DB_READ will do. */
int snapshot_life_ask(struct db_txn *t, const struct caller *c, const struct snapshot *snapshot,
                      enum snapshot_verb verb, struct diag *diag);

#endif
