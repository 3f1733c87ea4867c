/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_HEALTH_H
#define FS_TREE_HEALTH_H

#include "fs/tree/req.h"

/* The library's health, and the mount's: a sentence for each thing that needs a person, without names of objects. */
int health_each(struct fs *fs, model_health_fn *fn, void *ctx);

#endif
