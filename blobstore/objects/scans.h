/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_SCANS_H
#define BLOBSTORE_OBJECTS_SCANS_H

/*
 * Who reads objects from piece to piece, as a reader of a whole image does, and how far ahead what he will want is to be fetched:
 * further with each piece. Several may read one object at once, each at a place of its own; of more than there is room for the one
 * that was heard of last is forgotten. Whoever has this locks it.
 */

#include <stdint.h>


#define SCANS_SETS 64
#define SCANS_WAYS 4

struct scan {
        uint32_t id;
        uint32_t at; /* the last piece that was read */
        uint32_t asked; /* all before it were asked for */
        uint32_t end; /* so many pieces the object has; 0: not known yet */
        uint32_t window; /* 0: only one was read */
        uint64_t used; /* 0: there is none here */
};

struct scans {
        uint32_t window; /* pieces that are ahead at the most; constant, as is the next */
        uint32_t step; /* that are asked for together, where there is time */
        struct scan scans[SCANS_SETS][SCANS_WAYS]; /* zeros at first, as is the next */
        uint64_t clock;
};

/* Piece NUMBER is being read: *ret_from up to *ret_to, which are MOST at the most, are to be fetched now; none: both are the same. */
void scans_note(struct scans *s, uint32_t id, uint32_t number, uint32_t most, uint32_t *ret_from, uint32_t *ret_to);

/* So many pieces it has: before that is known nothing is fetched ahead. */
void scans_set_end(struct scans *s, uint32_t id, uint32_t end);

#endif
