/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_EVENTS_H
#define FS_TREE_EVENTS_H

/* Events as text: a JSON object a line. */

#include "blobstore/base/strbuf.h"
#include "fs/tree/req.h"
#include "model/core/event.h"

/* Looks users up, which may take long: with no lock held. */
void events_add(struct model *m, struct strbuf *out, const struct events *e);

#endif
