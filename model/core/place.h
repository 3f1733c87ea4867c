/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_PLACE_H
#define MODEL_CORE_PLACE_H

/*
 * Where things lie that are in the directory of a library and nowhere else: machines' disks and what comes in, of stores that are
 * that directory's or in a bucket. Where several hosts serve one library in turn, each from a directory of its own, only the one
 * that has them can use them. A number of a place is a row of the table of that name; 0: wherever the store is. Private to model/.
 */

#include "model/core/library.h"
#include "model/core/state.h"

#define PLACE_FILE "place"

/* When the catalogue is open: from here on m->place is where this library lies; 0: it is only read, and never was served. */
int place_open(struct model *m);
/* Of a library that is made of a copy of another's catalogue, in a directory of its own. */
int place_make(const struct model *m);

/* Where a thing lies that is here, of the store; when those are open. */
uint64_t place_of_store(struct model *m, uint64_t store);
static inline bool place_is_elsewhere(const struct model *m, uint64_t place)
{
        return place && place != m->place;
}
/* The name of its host; of 0 this one's. -ENOENT; DB_READ will do, as for all that follow. */
int place_get_host(struct db_txn *t, uint64_t place, char *buf, size_t size);
/* -EBUSY, with a sentence that says where WHAT is: "web1 is", "the disks of web1 are". */
int place_refuse(struct db_txn *t, uint64_t place, const char *what, struct diag *diag);

/* Where the files are that come in for the image. */
int place_of_image(struct db_txn *t, uint64_t image, uint64_t *ret);
int place_set_of_image(struct db_txn *t, uint64_t image, uint64_t place);

/* A sentence for each place in which something waits for its host to serve again. */
int place_health(struct model *m, model_health_fn *fn, void *ctx);

#endif
