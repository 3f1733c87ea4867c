/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_FOLLOW_ROW_H
#define MODEL_INTAKE_FOLLOW_ROW_H

/* Upstreams that are followed, inside a transaction. Private to model/. */

#include "model/core/changes.h"
#include "model/core/secret.h"
#include "model/db/db.h"
#include "model/intake/follow.h"
#include "model/intake/pull.h"

struct follow_address {
        char sealed[SECRET_SEALED_SIZE(URL_MAX)]; /* "" where there is none */
        bool reach_private;
};

struct follow_row {
        struct object o;
        uint64_t region;
        struct follow_address url, sums;
        int64_t every_us;
        uint64_t keep;
        char family[NAME_LEN_MAX + 1];
        enum follow_status status;
        char error[DIAG_TEXT_MAX];
        int64_t ended_us, last_run_us, next_run_us;
        struct pull_version seen;
        int64_t signed_s;
        uint64_t task, image; /* 0: none */
        bool has_keyring;
};

int follow_load(struct db_txn *t, uint64_t id, struct follow_row *ret); /* -ENOENT; DB_READ will do */
int follow_load_of_task(struct db_txn *t, uint64_t task, struct follow_row *ret); /* likewise */
int follow_load_keyring(struct db_txn *t, uint64_t id, struct strbuf *ret); /* likewise */

/* A time that is EVERY_US away, or somewhat more: many that were made together do not stay together. */
int64_t follow_next(int64_t from_us, int64_t every_us);

/* -EBUSY while it is running. */
int follow_refuse_running(struct db_txn *t, const struct follow_row *f, struct diag *diag);

/* Before it is UID's: -EBUSY while it is running, -EDQUOT where UID has as many as she may. */
int follow_hand(struct db_txn *t, uint64_t id, uid_t uid, struct diag *diag);

/* Accepts a run: from idle or error to running, with a task. */
int follow_submit(struct db_txn *t, const struct follow_row *f, struct changes *ch);
/* A look that went well is no work to be told of: it would drive out of /tasks what is. */
int follow_forget_task(struct db_txn *t, uint64_t task);
/* The run goes on as the fetch of IMAGE. */
int follow_begin_image(struct db_txn *t, const struct follow_row *f, uint64_t image, const char *sum,
                       const struct pull_version *seen);
/* A list that was signed then was believed. */
int follow_set_signed(struct db_txn *t, uint64_t id, int64_t signed_s);
/* What was looked at last, where it brought nothing new. */
int follow_set_seen(struct db_txn *t, uint64_t id, const struct pull_version *seen);
/* Has a file of that sum been imported? 1, 0. */
int follow_has_imported(struct db_txn *t, uint64_t id, const char *sum);
/* The run is over: idle, with NOTE, or in error, for NOTE; then its image is not one that it imported. */
int follow_end(struct db_txn *t, const struct follow_row *f, enum follow_status status, const char *note,
               struct changes *ch);

/* Calls FN with the ids of those that are running and whose task is over; and of those that are due at NOW_US. */
typedef int follow_id_fn(void *ctx, uint64_t id);
int follow_each_to_settle(struct db_txn *t, follow_id_fn *fn, void *ctx);
int follow_each_due(struct db_txn *t, int64_t now_us, follow_id_fn *fn, void *ctx);
int follow_next_due(struct db_txn *t, int64_t *ret_us); /* 0: there is none */
/* Those that are further away than any can be, since the clock was set back, begin their time anew. Gives their number. */
int follow_bring_near(struct db_txn *t, int64_t now_us);
/* Of the images that it imported, those that are its owner's and available, beyond the newest KEEP. */
int follow_each_beyond(struct db_txn *t, uint64_t id, uint64_t keep, follow_id_fn *fn, void *ctx);

#endif
