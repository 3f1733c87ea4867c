/* SPDX-License-Identifier: MIT */

#include "model/intake/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/parse.h"
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
        char name[IDENT_MAX]; /* of the file; "": it is an image's */
        char own_name[IDENT_MAX]; /* that it was made with */
        bool noted;
};

/* No image's name, so that what is left of a crash is swept away. Numbers are used once, whoever the drafts are of. */
#define PREFIX "draft-"
#define NOTE   ".note"

static atomic_uint_fast64_t last;

static void name_file(char name[IDENT_MAX])
{
        (void)snprintf(name, IDENT_MAX, PREFIX "%" PRIu64, (uint64_t)atomic_fetch_add(&last, 1) + 1);
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

/* With NAME: that is there. */
static int open_draft(struct model *m, uint64_t region, uint64_t store, const char *name, struct draft **ret)
{
        struct draft *d;
        int r;

        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        *d = (struct draft){ .m = m, .region = region, .store = store, .noted = name };
        (void)pthread_rwlock_init(&d->lock, NULL); /* cannot fail without attributes */
        if (name)
                (void)snprintf(d->name, sizeof(d->name), "%s", name);
        else
                name_file(d->name);
        memcpy(d->own_name, d->name, sizeof(d->name));
        d->fd = incoming_open(m, d->store, d->name, name ? O_RDWR : O_RDWR | O_CREAT | O_EXCL);
        if (d->fd < 0) {
                r = d->fd;
                (void)pthread_rwlock_destroy(&d->lock);
                free(d);
                return r;
        }
        *ret = d;
        return 0;
}

static int make(struct model *m, uint64_t region, struct draft **ret)
{
        struct region where;
        int r;

        r = region_get(m, region, &where);
        return r < 0 ? r : open_draft(m, region, where.store, NULL, ret);
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

/* ---- for the next process ---- */

/*
 * A note begins with the region, and goes beside the file in one step. Neither is synced: a crash of the machine takes the
 * draft as well.
 */
struct note {
        uint64_t layout;
        uint64_t region;
        char bytes[DRAFT_NOTE_MAX];
};
#define NOTE_LAYOUT 1
#define NOTE_HEAD   offsetof(struct note, bytes)

static void name_note(const char *draft, const char *end, char name[INCOMING_NAME_MAX])
{
        (void)snprintf(name, INCOMING_NAME_MAX, "%.*s%s", IDENT_MAX - 1, draft, end);
}

int draft_note(struct draft *d, const void *bytes, size_t n)
{
        struct note note = { .layout = NOTE_LAYOUT, .region = d->region };
        char new[INCOMING_NAME_MAX], name[INCOMING_NAME_MAX];
        CLEANUP_CLOSE int fd = -1;
        struct blobstore *bs;
        int r;

        if (n > sizeof(note.bytes))
                return -EMSGSIZE;
        memcpy(note.bytes, bytes, n);
        name_note(d->own_name, ".new", new);
        name_note(d->own_name, NOTE, name);
        r = stores_get(d->m, d->store, NULL, &bs);
        if (r == 0)
                r = fd = incoming_open(d->m, d->store, new, O_WRONLY | O_CREAT | O_TRUNC);
        if (r >= 0)
                r = pwrite_full(fd, &note, NOTE_HEAD + n, 0);
        if (r < 0)
                return r;
        d->noted = true;
        return renameat(blobstore_incoming_dir(bs), new, blobstore_incoming_dir(bs), name) < 0 ? -errno : 0;
}

static void discard_note(struct draft *d)
{
        char name[INCOMING_NAME_MAX];

        name_note(d->own_name, NOTE, name);
        incoming_discard(d->m, d->store, name);
}

bool draft_is_noted(int dir, const char *name)
{
        const char *end = strchr(name, '.');
        char draft[IDENT_MAX], note[INCOMING_NAME_MAX];

        if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || (end && strcmp(end, NOTE) != 0))
                return false;
        (void)snprintf(draft, sizeof(draft), "%.*s", (int)strcspn(name, "."), name);
        name_note(draft, NOTE, note);
        return faccessat(dir, draft, F_OK, 0) == 0 && faccessat(dir, note, F_OK, 0) == 0;
}

struct taking_up {
        struct model *m;
        uint64_t store;
        draft_left_fn *fn;
        void *ctx;
};

static int read_note(struct model *m, uint64_t store, const char *name, struct note *ret, size_t *ret_n)
{
        CLEANUP_CLOSE int fd = -1;
        ssize_t n;

        fd = incoming_open(m, store, name, O_RDONLY);
        if (fd < 0)
                return fd;
        n = pread_full(fd, ret, sizeof(*ret), 0);
        if (n < (ssize_t)NOTE_HEAD)
                return n < 0 ? (int)n : -EBADMSG;
        *ret_n = (size_t)n - NOTE_HEAD;
        return ret->layout == NOTE_LAYOUT ? 0 : -EPROTO;
}

/* Of a file: one that is no draft's, or cannot be taken up, stays for who sweeps. */
static int take_up(void *ctx, const char *name)
{
        const struct taking_up *t = ctx;
        const char *number = name + strlen(PREFIX);
        char draft[IDENT_MAX];
        struct note note;
        struct draft *d;
        uint64_t n;
        size_t n_bytes = 0;

        if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || !strchr(name, '.') || strcmp(strchr(name, '.'), NOTE) != 0)
                return 0;
        (void)snprintf(draft, sizeof(draft), "%.*s", (int)strcspn(name, "."), name);
        if (parse_u64(draft + (number - name), &n) < 0 || read_note(t->m, t->store, name, &note, &n_bytes) < 0 ||
            open_draft(t->m, note.region, t->store, draft, &d) < 0)
                return 0;
        if (n > atomic_load(&last))
                atomic_store(&last, n);
        if (t->fn(t->ctx, d, note.bytes, n_bytes) < 0)
                draft_free(d);
        return 0;
}

static int take_up_in(void *ctx, uint64_t store, struct blobstore *bs)
{
        struct taking_up *t = ctx;

        t->store = store;
        return stores_are_ours(t->m, store) ? incoming_each(bs, take_up, t) : 0;
}

int drafts_take_up(struct model *m, draft_left_fn *fn, void *ctx)
{
        return stores_each(m, take_up_in, &(struct taking_up){ .m = m, .fn = fn, .ctx = ctx });
}

void draft_free(struct draft *d)
{
        if (!d)
                return;
        if (d->name[0])
                incoming_discard(d->m, d->store, d->name);
        if (d->noted)
                discard_note(d);
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
        r = db_begin_lazy(d->m->db, &t);
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
        if (d->noted)
                discard_note(d);
        d->noted = false;
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
