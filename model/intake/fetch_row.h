/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_FETCH_ROW_H
#define MODEL_INTAKE_FETCH_ROW_H

/* What is known of a fetch, inside a transaction. Private to model/. */

#include "blobstore/import/file_sum.h"
#include "model/core/changes.h"
#include "model/core/secret.h"
#include "model/db/db.h"
#include "model/image/image.h"
#include "model/intake/incoming.h"
#include "model/intake/pull.h"
#include "model/intake/url.h"

struct fetch_row {
        char url[URL_MAX + 1];
        char sealed[SECRET_SEALED_SIZE(URL_MAX)];
        char sum[FILE_SUM_TEXT_MAX]; /* "" without one */
        bool reach_private;
        struct pull_version version;
        char place[INCOMING_TOKEN_MAX]; /* "" while nothing has come */
        uint64_t safe_bytes;
};

/* The image's; the first leaves the address sealed. -ENOENT; -EKEYREJECTED: it was sealed with another key. */
int fetch_row_find(struct db_txn *t, uint64_t image, struct fetch_row *ret);
int fetch_row_load(struct model *m, struct db_txn *t, uint64_t image, struct fetch_row *ret);

int fetch_row_insert(struct db_txn *t, uint64_t image, const struct fetch_row *row);

/* Accepts the fetch of an image that is queued. With uploads_mutex() held. -EDQUOT, -EIO with their sentences. */
int fetch_start(struct model *m, struct db_txn *t, const struct image *image, const struct fetch_row *row,
                struct changes *ch, struct diag *diag);

/* Bytes of a version of the server's file are coming; so many of them are on the disk. -ENOENT. */
int fetch_row_begin(struct db_txn *t, uint64_t image, const struct pull_version *v, const char *place,
                    uint64_t safe_bytes);
int fetch_row_safe(struct db_txn *t, uint64_t image, uint64_t safe_bytes);

/* What is in the file is not to be gone on with. */
int fetch_row_reset(struct db_txn *t, uint64_t image);

#endif
