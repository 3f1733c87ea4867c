/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_LIFE_H
#define MODEL_CORE_LIFE_H

/*
 * The lives of objects as tables: a row for each verb and the states in which it applies. Private to model/.
 *
 * What holds of an object is a set of states, 1 << its number: images and snapshots are in one at a time, while a disk
 * may be attached and open for writing. A row applies where nothing holds that is not in FROM. Without VIA the object
 * is in TO when the verb's transaction has ended. With VIA it is there as long as work goes on, of a task of kind TASK
 * where there is one; then in TO where that was done, and in FAIL where it was not.
 */

#include "model/core/state.h"
#include "model/core/task.h"

/* In place of states. */
#define LIFE_NEW  28 /* not there yet */
#define LIFE_STAY 29 /* as it was */
#define LIFE_GONE 30
#define LIFE_NONE 31 /* there is no such column */

#define LIFE_NO_TASK TASK_KIND_COUNT

/* Whom a guard or a refusal is about. */
struct life_subject {
        struct model *m; /* NULL where the table does not need it, as the caller */
        struct db_txn *t;
        const struct caller *c;
        const void *object; /* of the struct that the table is about */
};

/* May refuse what the states allow: -EBUSY or -EPERM with a sentence. */
typedef int life_guard(const struct life_subject *s, struct diag *diag);

/* Refuses VERB for STATE, which holds: -EBUSY with a sentence that says what to do. It may end the transaction. */
typedef int life_refuse(const struct life_subject *s, unsigned verb, unsigned state, struct diag *diag);

struct life_row {
        unsigned verb;
        unsigned from; /* set of states */
        unsigned via, to, fail; /* states, or one of the above */
        enum task_kind task;
        life_guard *guard; /* may be NULL */
};

/* For each verb and state there is at most one row; rows that lead through a state agree on what comes after it. */
struct life {
        const struct life_row *rows;
        size_t n_rows;
        life_refuse *refuse;
};

/* NULL: the verb does not apply. */
const struct life_row *life_find(const struct life *l, unsigned verb, unsigned holds);

/* A row that leads through STATE; NULL: none does. */
const struct life_row *life_through(const struct life *l, unsigned state);

/* The states that keep the verb from applying, so that only those have to be found out. */
unsigned life_hindrances(const struct life *l, unsigned verb);

/* Does the verb apply, and does its guard agree? *ret is its row. Of several hindrances the first is told. */
int life_ask(const struct life *l, const struct life_subject *s, unsigned verb, unsigned holds, struct diag *diag,
             const struct life_row **ret);

#endif
