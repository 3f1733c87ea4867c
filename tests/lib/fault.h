/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_FAULT_H
#define TESTS_LIB_FAULT_H

/*
 * Makes the database's disk fail: a layer under sqlite that counts what is written and synced, and fails from the
 * nth call on. Affects every database that is opened after fault_install(), in the whole program; which is to be called
 * before the first one is, since the catalogue's VFS (model/db/db_vfs.h) lies above the one that it finds then.
 */

enum fault_op { FAULT_WRITE, FAULT_SYNC, FAULT_OP_COUNT };

void fault_install(void);

/* The Nth call of OP from now on (1: the next) and all after it fail, FULL: as on a full disk, else as I/O errors. 0:
 * none. */
void fault_set(enum fault_op op, unsigned n, int full);

/* Called in each sync before anything else; NULL: none. */
typedef void fault_sync_fn(void *ctx);
void fault_watch_syncs(fault_sync_fn *fn, void *ctx);

/* Calls since the last fault_set(). */
unsigned fault_count(enum fault_op op);

#endif
