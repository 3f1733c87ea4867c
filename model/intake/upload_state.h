/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_UPLOAD_STATE_H
#define MODEL_INTAKE_UPLOAD_STATE_H

/*
 * The image's side of an upload. The callers (upload.c, upload_close.c) see to it that they come one at a time. Private
 * to model/.
 */

#include "blobstore/blobstore.h"
#include "blobstore/import/inside.h"
#include "blobstore/import/source.h"
#include "model/core/changes.h"
#include "model/image/image_life.h"
#include "model/image/image_row.h"

/*
 * queued to uploading, with the disk that the import will fill; an image that is uploading goes on as it is. Nobody waits for
 * the disk: a power cut that undoes it has cut off the upload, too.
 */
int upload_begin(struct model *m, const struct caller *c, uint64_t image, struct changes *ch, struct diag *diag);

/*
 * The steps of both ends, for a file that comes in another way. The first takes an image from queued to uploading
 * (VERB_UPLOAD, VERB_FETCH), the second from there to pending, with the import of a file that has TOKEN.
 */
int upload_claim(struct model *m, struct db_txn *t, const struct image *image, enum image_verb verb, struct changes *ch,
                 struct diag *diag);
/* Of a data disk that is about to come: -EBUSY, where others of the image came to another host. */
int upload_claim_disk(struct model *m, uint64_t image, struct diag *diag);
/* Where alone the import of an image with these data disks can be done; as of a task. */
int upload_place(struct db_txn *t, uint64_t image, uint64_t *ret);
int upload_accept_import(struct db_txn *t, const struct image *image, const char *token, struct changes *ch,
                         uint64_t *ret_task);

/* uploads.c: held while an upload begins or ends. */
pthread_mutex_t *uploads_mutex(struct model *m);

/*
 * Does the header of the file show that it cannot be imported? Then -EINVAL, and REASON has the sentence. SIZE_BYTES were written. For requests,
 * which end within seconds: -ETIMEDOUT is for the import to find out more.
 */
int upload_probe(struct model *m, uint64_t image, int fd, uint64_t size_bytes, struct image_probe *ret,
                 struct strbuf *reason);

/* What an upload has come to. */
struct upload_result {
        uint64_t bytes; /* 0: nothing was written */
        struct image_probe probe; /* of the file */
        struct strbuf refusal; /* why it is not imported; empty: it is */
        uint64_t store;
        int fd; /* of the file, which holds all bytes unless there is a blob; borrowed */
        struct blob *blob; /* the disk, durable; closed by upload_result_done() (uploads_priv.h) */
        struct inside_system system; /* that is installed on it */
        bool named; /* the blob has its row */
        bool rest; /* not all bytes are in the file yet */
        bool again; /* the transaction that says so was begun before, and nobody knows how it ended */
};

/*
 * The last writer has closed: back to queued without a byte, status error where RESULT has a refusal, and else an
 * import is accepted, which is done where there is a blob. *ret_keep: the file is still needed. The caller then waits for
 * the disk (db_settle()), where nobody waits for the caller: what a power cut brings back is an upload that was cut off,
 * and wants none of the bytes either. What was recorded already, though nobody was told, is left as it is.
 */
int upload_end(struct model *m, uint64_t image, struct upload_result *result, struct changes *ch, bool *ret_keep);

/* Where the end could not be recorded: the image ends in status error, for SENTENCE. -EBUSY: it has ended otherwise. */
int upload_fail(struct model *m, uint64_t image, const char *sentence, struct changes *ch);

#endif
