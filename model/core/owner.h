/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_OWNER_H
#define MODEL_CORE_OWNER_H

/* Whose a blob store is. Private to model/. */

#include "blobstore/blobstore.h"
#include "model/core/state.h"

/* How this library is called, and where it lies, as its stores are told. */
int owner_introduce(struct model *m, struct store_owner *ret);

/*
 * Is the store BS ours, who are WE? 1: yes, 0: it is somebody else's, who is *ret. One without an owner, of before there
 * were any, is ours where there is nothing in it, or where we name something in STORE (0: it has no row yet).
 */
int owner_find(struct model *m, const struct store_owner *we, uint64_t store, struct blobstore *bs,
               struct store_owner *ret);

/* Has our name and place written there, unless NOW, what is there, says so already. */
int owner_take_over(const struct store_owner *we, struct blobstore *bs, const struct store_owner *now);

/* -EBUSY: the store at PATH is OWNER's. */
int owner_refuse(const char *path, const struct store_owner *owner, struct diag *diag);

#endif
