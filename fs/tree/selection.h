/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_SELECTION_H
#define FS_TREE_SELECTION_H

/*
 * Selections of images that users asked about by a name of ids (copy-targets/<id>,<id>…): a file has a number, and the
 * ids do not fit into it. Each user has a few, of which the one that was used longest ago is forgotten first. Whoever
 * knows the number of one gets the ids, no more: rights are looked at when it is read. Any thread may use it.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct selections;

int selections_new(struct selections **ret);
void selections_free(struct selections *all); /* accepts NULL */

/* The number of UID's selection of these images, in this order: the one that it has, or a new one. -ENOMEM. */
int selection_number(struct selections *all, uid_t uid, const uint64_t *images, size_t n, uint64_t *ret);
/* The images; the caller frees *ret. -ENOENT: it was forgotten. -ENOMEM. */
int selection_get(struct selections *all, uint64_t number, uint64_t **ret, size_t *ret_n);

#endif
