/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_LIBRARY_H
#define TESTS_LIB_LIBRARY_H

/*
 * A library with one region in a private directory, for one test. What goes wrong in here ends the program. With
 * IMAGEFS_TEST_CATALOGUE=postgresql in the environment the catalogue is in a database of its own, on a server that the program
 * starts; the program ends with 77 where there is none.
 */

#include <pthread.h>
#include <stdint.h>

#include "model/core/region.h"
#include "model/image/image.h"
#include "model/image/snapshot.h"
#include "model/model.h"
#include "tests/lib/tempdir.h"

struct library {
        char dir[TEMPDIR_MAX];
        char database[32]; /* on the server; "": in the directory */
        struct model *m;
        uint64_t region; /* "r1" */
        struct caller admin, alice, bob;
        struct diag diag; /* of the last request, by way of library_diag() */

        pthread_mutex_t mutex;
        pthread_cond_t changed;
        unsigned changes; /* what the listener heard; under the mutex */
};

/* Makes the library, its region, and opens it. */
void library_make(struct library *l);
/* Closes it, and removes the directory. */
void library_remove(struct library *l);

/* Closing and opening again, as a restart does. */
void library_close(struct library *l);
int library_open(struct library *l);
int library_open_idle(struct library *l); /* without workers and upkeep, which would do things at the same time */
int library_open_read_only(struct library *l);

/* Setup and teardown of a cmocka test: *state is the library. */
int library_setup(void **state);
int library_teardown(void **state);

/* An empty diag for the next request. */
struct diag *library_diag(struct library *l);

/* A private image of alice's, queued. */
uint64_t library_image(struct library *l, const char *handle);

/* Changes the database behind the model's back; the second gives the first column of the first row. */
void library_sql(struct library *l, const char *fmt, ...);
/*
 * Likewise, for very many rows: on a server no trigger sees them. One that counts in a row leaves it behind with each, and looks
 * for the last of them, as long as the transaction lasts.
 */
void library_sql_plain(struct library *l, const char *fmt, ...);
int64_t library_sql_int(struct library *l, const char *fmt, ...);

/* Waits until nothing works on the image; gives its status, deleted where it is gone. */
enum image_status library_wait_image(struct library *l, uint64_t id);

/* A blob in the region's store, with its row. Gives the row's id. */
uint64_t library_blob(struct library *l, const void *bytes, size_t n);

#endif
