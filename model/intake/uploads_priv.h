/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_UPLOADS_PRIV_H
#define MODEL_INTAKE_UPLOADS_PRIV_H

/* An open upload, and the list of them. Private to upload.c, upload_close.c, upload_resume.c and uploads.c. */

#include <pthread.h>
#include <stdatomic.h>

#include "blobstore/blobs/intake.h"
#include "blobstore/import/source.h"
#include "model/core/state.h"
#include "model/image/image.h"
#include "model/intake/incoming.h"
#include "model/intake/upload_state.h"

struct upload {
        struct model *m;
        uint64_t image, store;
        uint64_t disk; /* 0: the image's own; else that of a data disk (data_disk.h) */
        char ident[IDENT_MAX], device[8];
        char name[INCOMING_NAME_MAX]; /* of the file */
        int fd;
        bool has_data_disks; /* the import is to read it with them: nothing is stored while it comes */
        enum image_format wanted; /* as the user set it */
        struct intake *intake;
        atomic_bool gone; /* the image was removed */
        atomic_uint_fast64_t bytes; /* where the file ends */
        atomic_uint_fast64_t written; /* counts bytes, also those written over others */
        atomic_uint_fast64_t announced; /* where it was made to end before its bytes came; 0: it was not */
        atomic_bool interrupted; /* a writer was, and what it wrote may have no end */
        atomic_int lost; /* why bytes could not be written, 0: all were */
        atomic_bool named; /* of a data disk: its file has its name; set under the list's mutex */
        struct upload *next; /* under the list's mutex, as what follows */
        unsigned users; /* the list's entry, each writer, and who renews it */
        unsigned writers;
        bool ending;
        bool brought_in; /* RESULT is known */
        struct upload_result result; /* of whoever ends it */
        bool readable; /* its bytes are in the file, where whoever writes may read them */
        int64_t waits_until_us; /* its one writer is none, but the time in which it may be opened again, or until it is to be ended again; 0: it does not wait */
        char failed[DIAG_TEXT_MAX]; /* without writers: the end that is still to be recorded */
};

struct uploads {
        pthread_mutex_t mutex;
        struct upload *open;
        struct upload *rest; /* whose bytes are not all in the file yet: for their imports (uploads_settle_file()) */
};

/* upload.c: one that has only its numbers yet. NULL: no memory. */
struct upload *upload_new(struct model *m, uint64_t disk);
/* Fills in what is uploaded, from the database. DIAG may be NULL. */
int upload_load_subject(struct upload *u, uint64_t image_id, const struct caller *c, struct image *image,
                        struct diag *diag);
/* One that waits for it hands over its own share. The list's mutex is held. */
void upload_add_writer(struct upload *u);
extern const struct intake_ops upload_intake_ops; /* of its intake */

/* What close(2) says where R kept bytes from being stored. */
int upload_refuse_lost(struct diag *diag, int r);

/* upload_close.c: it has one writer, whose time begins in which it may be opened again; the list's mutex is held. */
void upload_wait_again(struct upload *u);

void upload_result_done(struct upload_result *r);

/* Closes what it has; for one that is in no list, or no longer. Accepts NULL. */
void upload_free(struct upload *u);

/*
 * data_disk_upload.c: a data disk's file has its own name from each close on (upload_check() asks for it) until more is
 * written; and what is left to do when its last writer has closed.
 */
int upload_name_disk(struct upload *u, struct diag *diag);
int upload_unname_disk(struct upload *u);
void upload_close_disk(struct upload *u);

/* Call each with the list's mutex held. */
struct upload *uploads_find(struct uploads *us, uint64_t image); /* NULL: there is none */
struct upload *uploads_find_disk(struct uploads *us, uint64_t disk);
/* Takes it from the list, with the list's share in it. */
void uploads_unlink(struct uploads *us, struct upload *upload);
/* Likewise, with what it had come to so far, and the list's share, for the import. */
void uploads_leave(struct uploads *us, struct upload *upload);
/* One user less; the last one frees it. */
void uploads_put(struct upload *u);

#endif
