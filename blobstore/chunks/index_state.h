/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_INDEX_STATE_H
#define BLOBSTORE_CHUNKS_INDEX_STATE_H

/*
 * Is the index the one that goes with the store? The file "state" in the store's directory and the index itself say the
 * same, if it is:
 *
 *      generation      counts how often something began to be given back. The index has the new number first, so that
 *                      its own is the file's or one more; one that is smaller is older than what was given back
 *      token           a random number, set in both when the store is closed; zero in the file while it is open. Where
 *                      they are the same, nobody has changed anything since, and nothing has to be looked at. Else,
 * after a crash or with a copy made while the store was open, maps and segments are held against the index next segment
 * in the file alone: ids below it are not used again, whatever else is lost
 *
 * For the chunks' index alone.
 */

#include <stdint.h>

struct index_state {
        uint64_t generation;
        uint64_t token; /* 0: the store is open, or was not closed */
        uint64_t next_segment;
};

/* -ENOENT; -EUCLEAN: it cannot be understood. */
int index_state_read(int dir_fd, struct index_state *ret);
int index_state_write(int dir_fd, const struct index_state *state); /* durably */

#endif
