/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_PG_SERVER_H
#define TESTS_LIB_PG_SERVER_H

/* A PostgreSQL server for one test program (tests/lib/postgres), with as many databases as are wanted. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/tempdir.h"

struct pg_server {
        char dir[TEMPDIR_MAX];
        int life; /* while it is open somewhere, there is somebody whom the server is for */
};

/* false: none is installed here, and the test is to be skipped. What else goes wrong ends the program. */
bool pg_server_make(struct pg_server *s);
void pg_server_remove(struct pg_server *s);

/* From now on it crashes when this process ends, in whatever way, and each that it forks. pg_server_make() has done so. */
void pg_server_watch(struct pg_server *s);

/* As a crash does it; and again, with what it has. */
void pg_server_crash(struct pg_server *s);
void pg_server_start(struct pg_server *s);

void pg_server_url(const struct pg_server *s, const char *database, char *url, size_t size);
/* Runs SQL there; gives the first column of the first row, or 0. "postgres" is always there. */
int64_t pg_server_sql(const struct pg_server *s, const char *database, const char *sql);

#endif
