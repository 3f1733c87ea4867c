/* SPDX-License-Identifier: MIT */
#ifndef FS_HTTP_HTTP_TRANSFER_H
#define FS_HTTP_HTTP_TRANSFER_H

/*
 * One answer that has bytes of a disk. Those of the library's own store are read by the server's thread that wants them;
 * for those of another, whose disk may not answer, the client is set aside (suspended) until a thread of that store has
 * them, or until the store is known to hang: then the answer is broken off, and the client can go on with it another time.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/image/download.h"

struct MHD_Connection;
struct MHD_Response;
struct transfers; /* all that there are */
struct transfer;

/* M and CHANGES (see http.h) are borrowed until transfers_free(). */
int transfers_new(struct model *m, const atomic_uint *changes, struct transfers **ret);
/* Nobody is set aside any more, and who is now comes back; before the server ends. */
void transfers_stop(struct transfers *all);
void transfers_free(struct transfers *all); /* after it; accepts NULL */
/* Breaks off those that wait for stores that are known to hang. */
void transfers_look(struct transfers *all);

/*
 * Opens what D says. *RET_LATER: C is set aside, to be asked for the outcome when it comes back. Owned by the caller, release
 * with transfer_free(), which takes NULL; -EIO with a sentence in DIAG: the store is offline, or hangs.
 */
int transfer_open(struct transfers *all, const struct download *d, struct MHD_Connection *c, struct diag *diag,
                  bool *ret_later, struct transfer **ret);
/* Of one that came back: as transfer_open(). */
int transfer_opened(struct transfer *t, struct diag *diag);
void transfer_free(struct transfer *t);

const struct download *transfer_download(const struct transfer *t);
uint64_t transfer_size(const struct transfer *t); /* of the whole file */
/* The answer: LEN bytes from BEGIN on. Takes T over, on failure too, which is NULL. */
struct MHD_Response *transfer_respond(struct transfer *t, struct MHD_Connection *c, uint64_t begin, uint64_t len);

#endif
