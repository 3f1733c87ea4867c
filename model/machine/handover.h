/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MACHINE_HANDOVER_H
#define MODEL_MACHINE_HANDOVER_H

/* What goes along when an object gets another owner, and what stands against it. Private to model/. */

#include "model/core/state.h"

/*
 * To be called in the transaction that makes the object UID's, before it does, with the gate of volumes held. GID,
 * where it is given, goes to what goes along too. -EBUSY: it is at work; -EDQUOT: the new owner has no room.
 */
int handover(struct model *m, struct db_txn *t, enum object_kind kind, uint64_t id, uid_t uid, const gid_t *gid,
             struct diag *diag);

#endif
