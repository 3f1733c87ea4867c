/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_SPREAD_H
#define FS_OPS_SPREAD_H

/*
 * What a small read had to decode, given to the kernel's page cache. A read of 4 KiB decodes a chunk of some 64 KiB;
 * the next small reads, of a guest or of a loop device, are likely to be near it, and then find their bytes without
 * asking the daemon. 20 000 random reads in 700 MiB of system files were 3 times as fast and took 40 % of the processor
 * time, and those that found nothing cost no more than before.
 *
 * The kernel may be told only by a thread that serves no request: telling waits for pages that are being read, and
 * those reads for the threads that serve. A few pieces may wait for it; what comes while they do is not told, so that
 * memory is bounded and a busy machine does no work ahead.
 */

#include "fs/tree/req.h"

#define SPREAD_BYTES_MAX (256 << 10)

struct spread;

struct spread_piece {
        struct spread_piece *next;
        fuse_ino_t ino;
        uint64_t off;
        size_t n;
        char bytes[SPREAD_BYTES_MAX];
};

int spread_new(struct spread **ret);

/* Starts to tell the session; without it pieces are not given out. MOUNTPOINT is borrowed until spread_free(). */
int spread_start(struct spread *s, struct fuse_session *session, const char *mountpoint);

/* When no request is served any more, and before the session is unmounted. Accepts NULL. */
void spread_free(struct spread *s);

/* A piece to fill; NULL: too much is waiting. Give it back with N, the bytes of it that are good; 0: none. */
struct spread_piece *spread_take(struct spread *s);
void spread_give(struct spread *s, struct spread_piece *piece);

#endif
