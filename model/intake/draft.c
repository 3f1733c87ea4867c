/* SPDX-License-Identifier: MIT */

#include "model/intake/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "model/core/quota_row.h"
#include "model/core/region_row.h"
#include "model/core/room.h"
#include "model/intake/incoming.h"
#include "model/intake/upload_state.h"

struct draft {
        struct model *m;
        uint64_t region, store;
        int fd;
        pthread_rwlock_t lock; /* held by who writes; and, for the name, by who makes it an image */
        char name[INCOMING_NAME_MAX]; /* of the file; "": it is an image's */
};

/* No image's name, so that what is left of a crash is swept away. Numbers are used once, whoever the drafts are of. */
static void name_file(char name[INCOMING_NAME_MAX])
{
        static atomic_uint_fast64_t last;

        (void)snprintf(name, INCOMING_NAME_MAX, "draft-%" PRIu64, (uint64_t)atomic_fetch_add(&last, 1) + 1);
}

static int refuse_unwanted(struct model *m, const struct caller *c, uint64_t region, enum image_class class,
                           uint64_t others, struct diag *diag)
{
        int r;
        DB_TXN(t);

        r = image_refuse_bin(class, diag);
        if (r == 0)
                r = image_refuse_stranger(class, c, diag);
        if (r == 0)
                r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = region_refuse_offline(m, &t, region, diag);
        if (r == 0 && image_counts(class, c->uid))
                r = quota_check(&t, region, c->uid, LIMIT_PRIVATE_IMAGES, others + 1, diag);
        return r;
}

static int make(struct model *m, uint64_t region, struct draft **ret)
{
        struct region where;
        struct draft *d;
        int r;

        r = region_get(m, region, &where);
        if (r < 0)
                return r;

        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        *d = (struct draft){ .m = m, .region = region, .store = where.store };
        (void)pthread_rwlock_init(&d->lock, NULL); /* cannot fail without attributes */
        name_file(d->name);
        d->fd = incoming_open(m, d->store, d->name, O_RDWR | O_CREAT | O_EXCL);
        if (d->fd < 0) {
                r = d->fd;
                (void)pthread_rwlock_destroy(&d->lock);
                free(d);
                return r;
        }
        *ret = d;
        return 0;
}

int draft_new(struct model *m, const struct caller *c, uint64_t region, enum image_class class, uint64_t others,
              struct diag *diag, struct draft **ret)
{
        int r;

        r = refuse_unwanted(m, c, region, class, others, diag);
        return r < 0 ? r : make(m, region, ret);
}

/* Whoever may write to its upload may have a file for it. */
static int refuse_unwaiting(struct db_txn *t, const struct caller *c, uint64_t id, struct diag *diag, struct image *ret)
{
        int r;

        r = image_load(t, id, ret);
        if (r == 0)
                r = image_refuse_stranger(ret->class, c, diag);
        if (r == 0 && ret->status != IMAGE_QUEUED)
                return diag_set(diag, -EBUSY, "%s: a file is on its way into it, or came: make another image for another one",
                                ret->o.handle);
        return r;
}

int draft_new_for(struct model *m, const struct caller *c, uint64_t image, struct diag *diag, struct draft **ret)
{
        struct image i;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = refuse_unwaiting(&t, c, image, diag, &i);
                if (r == 0)
                        r = region_refuse_offline(m, &t, i.region, diag);
                if (r < 0)
                        return r;
        }
        return make(m, i.region, ret);
}

void draft_free(struct draft *d)
{
        if (!d)
                return;
        if (d->name[0])
                incoming_discard(d->m, d->store, d->name);
        (void)close(d->fd);
        (void)pthread_rwlock_destroy(&d->lock);
        free(d);
}

uint64_t draft_store(const struct draft *d)
{
        return d->store;
}

int draft_fd(const struct draft *d)
{
        return d->fd;
}

/* With the lock held, to write N bytes at OFF. */
static int may_write(const struct draft *d, uint64_t off, uint64_t n, struct diag *diag)
{
        struct blobstore *bs;
        int r;

        if (!d->name[0])
                return diag_set(diag, -ESTALE, "the file is an image now, of what was written before it got its name");
        if (off > BLOB_SIZE_MAX || n > BLOB_SIZE_MAX - off)
                return diag_set(diag, -EFBIG, "a file of more than %llu TiB cannot be imported",
                                (unsigned long long)(BLOB_SIZE_MAX >> 40));
        r = stores_get(d->m, d->store, diag, &bs);
        if (r == 0)
                r = room_check(bs, n, ROOM_LEFT_BY_UPLOADS);
        if (r == -ENOSPC)
                return diag_set(diag, r, "the store's disk is full: delete something, or have it enlarged");
        return r;
}

int draft_write(struct draft *d, const void *buf, size_t n, uint64_t off, struct diag *diag)
{
        int r;
        READ_LOCK_SCOPE(&d->lock);

        r = may_write(d, off, n, diag);
        return r < 0 ? r : pwrite_full(d->fd, buf, n, off);
}

int draft_truncate(struct draft *d, uint64_t size, struct diag *diag)
{
        int r;
        READ_LOCK_SCOPE(&d->lock);

        r = may_write(d, size, 0, diag);
        return r == 0 && ftruncate(d->fd, (off_t)size) < 0 ? -errno : r;
}

/* Is it one that an import would take? */
static int refuse_content(const struct draft *d, uint64_t image, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_probe probe;
        struct stat st;
        int r;

        if (fstat(d->fd, &st) < 0)
                return -errno;
        if (st.st_size == 0)
                return diag_set(diag, -EINVAL, "the file is empty: write it before it gets its name");
        r = upload_probe(d->m, image, d->fd, (uint64_t)st.st_size, &probe, &reason);
        if (r == -EINVAL || r == -EOPNOTSUPP)
                return diag_set(diag, r, "%s", strbuf_text(&reason));
        return r == -ETIMEDOUT ? 0 : r; /* the import takes its time for it */
}

/* From queued to pending at once, with the file under the name that the import looks for, in DIR. */
static int accept_import(const struct draft *d, const struct caller *c, uint64_t id, int dir, struct changes *ch,
                         struct diag *diag)
{
        char token[INCOMING_TOKEN_MAX] = "";
        struct image image;
        uint64_t ignored;
        int r;
        DB_TXN(t);

        (void)incoming_token(d->fd, token, sizeof(token)); /* none: not trusted after a restart */
        r = db_begin(d->m->db, DB_WRITE, &t);
        if (r == 0)
                r = refuse_unwaiting(&t, c, id, diag, &image);
        if (r == 0)
                r = upload_claim(d->m, &t, &image, VERB_UPLOAD, ch, diag);
        if (r == 0)
                r = image_load(&t, id, &image);
        if (r == 0)
                r = upload_accept_import(&t, &image, token, ch, &ignored);
        if (r < 0)
                return r;
        changes_add(ch, OBJECT_IMAGE, id);

        /* Before the commit nobody else has a file of that name: the image waits for one. */
        if (renameat(dir, d->name, dir, image.ident) < 0)
                return -errno;
        r = db_commit(&t);
        if (r < 0)
                (void)renameat(dir, image.ident, dir, d->name); /* else it is swept away */
        return r;
}

/* The file becomes the image's, and its import is accepted; or neither. */
static int hand_over(struct draft *d, const struct caller *c, uint64_t id, struct changes *ch, struct diag *diag)
{
        struct blobstore *bs;
        struct image image;
        uint64_t store;
        int r;

        r = stores_get(d->m, d->store, diag, &bs);
        if (r < 0)
                return r;
        {
                DB_TXN(t);

                r = db_begin(d->m->db, DB_READ, &t);
                if (r == 0)
                        r = image_load_with_store(&t, id, &image, &store);
                if (r < 0)
                        return r;
        }
        if (store != d->store)
                return diag_set(diag, -EBUSY, "the region has another store since the file was begun: write it again");

        incoming_await(d->m, store);
        LOCK_SCOPE(uploads_mutex(d->m));

        return accept_import(d, c, id, blobstore_incoming_dir(bs), ch, diag);
}

/* With the lock held, so that the file is what was looked at. */
static int import(struct draft *d, const struct caller *c, enum image_class class, const char *name, struct diag *diag,
                  uint64_t *ret_image)
{
        struct changes changes = { 0 };
        uint64_t image;
        int r;

        r = image_create_for_file(d->m, c, d->region, class, name, diag, &image);
        if (r < 0)
                return r;
        r = refuse_content(d, image, diag);
        if (r == 0)
                r = hand_over(d, c, image, &changes, diag);
        if (r < 0) { /* it was made for this file alone */
                (void)image_remove(d->m, c, image, NULL);
                return r;
        }
        d->name[0] = '\0';
        changes_tell(d->m, &changes);
        *ret_image = image;
        return 0;
}

int draft_import(struct draft *d, const struct caller *c, enum image_class class, const char *name, struct diag *diag,
                 uint64_t *ret_image)
{
        int r;

        write_lock(&d->lock);
        r = import(d, c, class, name, diag, ret_image);
        rw_unlock(&d->lock);
        return r;
}

/* With the lock held. */
static int become_upload(struct draft *d, const struct caller *c, uint64_t image, struct diag *diag)
{
        struct changes changes = { 0 };
        int r;

        r = refuse_content(d, image, diag);
        if (r == 0)
                r = hand_over(d, c, image, &changes, diag);
        if (r < 0)
                return r;
        d->name[0] = '\0';
        changes_tell(d->m, &changes);
        return 0;
}

int draft_upload(struct draft *d, const struct caller *c, uint64_t image, struct diag *diag)
{
        int r;

        write_lock(&d->lock);
        r = become_upload(d, c, image, diag);
        rw_unlock(&d->lock);
        return r;
}
