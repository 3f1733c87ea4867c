/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_UNNAMED_H
#define MODEL_CORE_UNNAMED_H

/*
 * Blobs and disks of a store that nothing names. They may be what a crash left, or all that is newer than a catalogue
 * that was put back from a backup: so they stay for unnamed-days after they were first found. Private to model/.
 */

#include <stdint.h>

#include "model/core/state.h"

#define UNNAMED_KEY_SIZE 16

/* Is it to stay for now? 1: yes; 0: its time is up. Notes it where it was not known. */
int unnamed_stays(struct db_txn *t, uint64_t store, const uint8_t key[UNNAMED_KEY_SIZE]);

/* It has a name. */
int unnamed_forget(struct db_txn *t, uint64_t store, const uint8_t key[UNNAMED_KEY_SIZE]);

/* How long that is, in microseconds: what a store found in its segments stays as long. */
int unnamed_get_wait_us(struct db_txn *t, uint64_t *ret);

#endif
