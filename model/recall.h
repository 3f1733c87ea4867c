/* SPDX-License-Identifier: MIT */
#ifndef MODEL_RECALL_H
#define MODEL_RECALL_H

/* A library whose directory was lost, from a bucket that a region of it has its blobs in. */

#include "model/restore.h"

/*
 * Makes the library in directory DIR, which must be empty, or missing, of the newest copy of its catalogue in the bucket; the next
 * mount finds the blobs there. What was nowhere but in the directory is lost. Results as model_restore(), and others of the bucket.
 */
int model_recall(const char *dir, const char *place, restore_fn *fn, void *ctx, struct diag *diag);

#endif
