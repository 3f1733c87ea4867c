/* SPDX-License-Identifier: MIT */
#ifndef MODEL_SUCCESSION_H
#define MODEL_SUCCESSION_H

/*
 * A library that several hosts serve in turn. What one has of a store in a bucket is what was there when it last served: the
 * file "epoch" of its directory has the number of that time, as the catalogue counts them. Where others have come in between,
 * that is forgotten before the store is opened, and had from the bucket again; machines' disks stay, which are this host's alone. Private to
 * model/.
 */

#include "model/core/state.h"

struct blobstore_caches;

/* When the catalogue is open, before the stores are. */
int succession_begin(struct model *m, const struct blobstore_caches *caches);

#endif
