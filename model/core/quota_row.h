/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_QUOTA_ROW_H
#define MODEL_CORE_QUOTA_ROW_H

/* Quotas, inside a transaction. Private to model/. */

#include "model/core/quota.h"
#include "model/core/state.h"

/*
 * May UID have MORE objects of quota Q in the region? To be asked before the rows are inserted. -EDQUOT, which
 * ends the transaction, so that nothing of it is committed; the sentence has the user's number, as diag_set_user() leaves
 * it.
 */
int quota_check(struct db_txn *t, uint64_t region, uid_t uid, enum limit q, uint64_t more, struct diag *diag);
int quota_read(struct db_txn *t, uint64_t region, uid_t uid, enum limit q, struct quota *ret); /* DB_READ will do */

#endif
