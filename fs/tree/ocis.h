/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_OCIS_H
#define FS_TREE_OCIS_H

/*
 * Images as OCI images, which take reading their disks to be known: kept in memory, those that were used last, so many of
 * one user's and so much in all. Whatever goes is worked out again. Any thread may use it.
 */

#include <stdint.h>
#include <sys/types.h>

struct oci;
struct ocis;

int ocis_new(struct ocis **ret);
void ocis_free(struct ocis *all); /* accepts NULL */

/* NULL: it is not kept. Else to be released with oci_unref(). */
struct oci *ocis_get(struct ocis *all, uint64_t key);
/* UID had it made; O stays the caller's, too. Where there is no memory to keep it, it is not. */
void ocis_put(struct ocis *all, uid_t uid, uint64_t key, struct oci *o);

#endif
