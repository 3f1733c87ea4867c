/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_CHANGES_H
#define MODEL_CORE_CHANGES_H

/*
 * What a transaction changed, told after its commit to whoever keeps views or waits, and to whoever works on what rows
 * say. Private to model/.
 */

#include "model/core/object.h"

/* The most that one operation changes: what it works on, what it makes, a task, and two things for each of 26 disks. */
#define CHANGES_MAX (4 + 2 * 26)

struct changes {
        size_t n;
        struct {
                enum object_kind kind;
                uint64_t id;
        } item[CHANGES_MAX];
        uint64_t ended; /* a task that came to its end; 0: none */
};

/* Notes an object, once; id 0 is nothing. */
void changes_add(struct changes *ch, enum object_kind kind, uint64_t id);
/* Notes a task that the transaction made and ended. */
void changes_add_ended(struct changes *ch, uint64_t task);
/* Tells the listener and wakes the workers. After the commit. */
void changes_tell(struct model *m, const struct changes *ch);
/* Tells the listener of one. Never with a transaction open. */
void changes_send(struct model *m, enum object_kind kind, uint64_t id);
/* Tells of a task that has ended, if it has. Likewise. */
void changes_send_end(struct model *m, uint64_t task);

#endif
