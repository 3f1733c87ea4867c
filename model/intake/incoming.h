/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_INCOMING_H
#define MODEL_INTAKE_INCOMING_H

/* The files of uploads: incoming/<image ident> in the store of the image's region. Private to model/. */

#include "blobstore/import/source.h"
#include "model/core/stores.h"
#include "model/image/image.h"

#define INCOMING_TOKEN_MAX 256

/* Opens an image's file with FLAGS of open(2). Gives the descriptor, or a negative errno. */
int incoming_open(struct model *m, uint64_t store, const char *ident, int flags);

/*
 * Waits until the store's disk answers. For who is going to ask it with the list's mutex held, which whoever uploads to
 * another store needs, too.
 */
void incoming_await(struct model *m, uint64_t store);

/* Removes it, if it is there. */
void incoming_discard(struct model *m, uint64_t store, const char *ident);
/* Likewise, for who knows no more than the image's region. */
void incoming_discard_in(struct model *m, uint64_t region, const char *ident);

/*
 * The file of a data disk is <image ident>.<device>; PART: what is being written, and nobody's when it is not open.
 */
#define INCOMING_NAME_MAX (IDENT_MAX + sizeof(".vdb.part"))
void incoming_disk_name(const char *ident, const char *device, bool part, char buf[INCOMING_NAME_MAX]);
void incoming_discard_disk(struct model *m, uint64_t store, const char *ident, const char *device);
/* All of an image. */
void incoming_discard_disks(struct model *m, uint64_t store, const char *ident);
void incoming_discard_disks_in(struct model *m, uint64_t region, const char *ident);

/*
 * What the bytes of a file that was not synced depend on: as long as the token is the same, they are in the page cache
 * or on the disk. Another boot, another mount of the file system or another size: they may be lost.
 */
int incoming_token(int fd, char *buf, size_t size);
/* The part of it that says where and when, and not how much. */
int incoming_place(int fd, char *buf, size_t size);
/* Makes the file durable, and gives a token that stays true. */
int incoming_sync(int fd, char *buf, size_t size);
/* Is the file what it was when TOKEN was made? */
bool incoming_is_intact(int fd, const char *token);

/* Warns of a raw file of SIZE_BYTES that is no disk's, or not all of one. */
int incoming_warn(struct db_txn *t, uint64_t image, const struct image_probe *probe, uint64_t size_bytes);

/* Calls FN for every file of a store. */
typedef int incoming_fn(void *ctx, const char *ident);
int incoming_each(struct blobstore *bs, incoming_fn *fn, void *ctx);

/*
 * Decides what the file FD of an image is, which must agree with the format that was set and with the image's class.
 * ret->encrypted is set for a file that is refused, too. SIZE_BYTES is the file's, where that looks shorter (intake_show());
 * 0: as it looks. LIMIT_MS and errors as of image_probe_within().
 */
int incoming_probe(const struct image *image, int fd, uint64_t size_bytes, int limit_ms, struct image_probe *ret,
                   struct strbuf *reason);

#endif
