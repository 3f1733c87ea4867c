/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_UPLOADS_PRIV_H
#define MODEL_INTAKE_UPLOADS_PRIV_H

/* An open upload, and the list of them. Private to upload.c, upload_close.c and uploads.c. */

#include <pthread.h>
#include <stdatomic.h>

#include "blobstore/blobs/intake.h"
#include "blobstore/import/source.h"
#include "model/core/state.h"
#include "model/image/image.h"

struct upload {
        struct model *m;
        uint64_t image, store;
        char ident[IDENT_MAX];
        int fd;
        enum image_format wanted; /* as the user set it */
        struct intake *intake;
        atomic_bool gone; /* the image was removed */
        atomic_uint_fast64_t bytes; /* where the file ends */
        atomic_uint_fast64_t written; /* counts bytes, also those written over others */
        atomic_uint_fast64_t announced; /* where it was made to end before its bytes came; 0: it was not */
        atomic_bool interrupted; /* a writer was, and what it wrote may have no end */
        atomic_int lost; /* why bytes could not be written, 0: all were */
        struct upload *next; /* under the list's mutex, as what follows */
        unsigned users; /* the list's entry, each writer, and who renews it */
        unsigned writers;
        bool ending;
        char failed[DIAG_TEXT_MAX]; /* without writers: the end that is still to be recorded */
};

struct uploads {
        pthread_mutex_t mutex;
        struct upload *open;
        struct upload *rest; /* whose bytes are not all in the file yet: for their imports (uploads_settle_file()) */
};

/* Closes what it has; for one that is in no list, or no longer. Accepts NULL. */
void upload_free(struct upload *u);

/* Call each with the list's mutex held. */
struct upload *uploads_find(struct uploads *us, uint64_t image); /* NULL: there is none */
/* Takes it from the list, with the list's share in it. */
void uploads_unlink(struct uploads *us, struct upload *upload);
/* Likewise, with what it had come to so far, and the list's share, for the import. */
void uploads_leave(struct uploads *us, struct upload *upload);
/* One user less; the last one frees it. */
void uploads_put(struct upload *u);

#endif
