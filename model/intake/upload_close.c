/* SPDX-License-Identifier: MIT */
/*
 * The end of an upload. Between the close of the last writer and the transaction that says what became of it the entry
 * is ending: the store makes durable what came in, and nobody joins.
 *
 * While the catalogue is on a server that is away, an end waits for it, with all that came in: whoever wrote was told that
 * it is well. A commit of which nobody knows is asked for again, and the image's status says whether it was done.
 *
 * An end that cannot be recorded otherwise (no space for the database) loses the upload: the file goes at once, for the space.
 * The entry stays, without writers, and makes the image look as it will, in status error, until the upkeep has recorded
 * that.
 *
 * What was streamed and has to be in a file after all (intake.h) is left for the import to read back, where it can be
 * cancelled; until that is done it survives no restart.
 *
 * What the transaction says is durable before anybody is told of it. The bytes that it wants no more may go first: after a
 * power cut that undoes it they are those of an upload that was cut off, which nobody wants either.
 *
 * What is in a file is not synced at the last close, or the bytes would go to the disk twice. The task carries the
 * token that tells after a restart whether they are still what was written.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/log.h"
#include "model/core/clock.h"
#include "model/core/jobs.h"
#include "model/image/guest_system.h"
#include "model/intake/brief.h"
#include "model/intake/data_disk_row.h"
#include "model/intake/incoming.h"
#include "model/intake/upload.h"
#include "model/intake/upload_state.h"
#include "model/intake/uploads.h"
#include "model/intake/uploads_priv.h"

/* As long as tools take between making a file and opening it again; its name lives a second less (fs/ops/alias.c). */
#define UPLOAD_WAIT_US (INT64_C(4) * 1000000)
/* An end that waits for the catalogue is tried again after this time. */
#define AWAY_US (INT64_C(1) * 1000000)

int upload_check(struct upload *u, struct diag *diag)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct image_probe probe;
        bool last;
        int r;

        if (atomic_load(&u->gone))
                return 0;

        r = atomic_load(&u->lost);
        if (r < 0)
                return upload_refuse_lost(diag, r);

        if (u->disk)
                return upload_name_disk(u, diag);

        {
                LOCK_SCOPE(&u->m->uploads->mutex);

                last = u->writers == 1;
        }

        /*
         * While others write, and before the first byte (a shell closes a copy of the descriptor then), nothing is
         * wrong yet.
         */
        if (!last || atomic_load(&u->bytes) == 0 || !intake_is_whole(u->intake))
                return 0; /* what is not whole, the import makes whole, and looks at */

        r = intake_sync(u->intake);
        if (r == 0)
                r = intake_show(u->intake);
        if (r < 0) {
                atomic_store(&u->lost, r);
                return upload_refuse_lost(diag, r);
        }

        r = upload_probe(u->m, u->image, u->fd, atomic_load(&u->bytes), &probe, &reason);
        if (r == -EINVAL)
                return diag_set(diag, r, "%s", strbuf_text(&reason));

        return 0; /* what else may be wrong is the import's to tell */
}

/* The end could not be recorded; the list's mutex is held. */
static void keep_failure(struct upload *u, int error)
{
        struct strbuf sentence CLEANUP_STRBUF = { 0 };

        log_debug("model: the end of upload %s was not recorded: %s", u->ident, strerror(-error));
        diag_add_error(&sentence, error);
        (void)snprintf(u->failed, sizeof(u->failed), "%s", strbuf_text(&sentence));
        (void)intake_truncate(u->intake, 0); /* what was stored is nobody's; the upkeep may hold the intake at the moment */
        (void)close(u->fd); /* the file's space comes back with its last descriptor */
        u->fd = -1;
}

/* A CD holds what it would install. */
static void look_inside(struct model *m, const struct image *image, struct upload_result *ret)
{
        const struct guest_look look = { .m = m, .uid = image->o.uid };

        if (ret->probe.format != IMAGE_FORMAT_ISO && guest_system_is_wanted(image))
                (void)guest_system_find(ret->blob, &look, &ret->system); /* nobody ends it */
}

/* What is not streamed is left to the import. */
static int make_disk(struct upload *u, const struct image *image, struct upload_result *ret)
{
        int r = intake_commit(u->intake, &ret->blob);

        if (r == 0 && ret->blob)
                look_inside(u->m, image, ret);
        return r;
}

/*
 * The last writer is done, and what came in is brought to its end: the header is looked at, a stream is made durable. A
 * negative errno: that could not be told, and can be tried again. The mutex is not held.
 */
static int bring_in(struct upload *u, struct upload_result *ret)
{
        struct image image;
        int r;

        strbuf_reset(&ret->refusal);
        ret->store = u->store;
        ret->fd = u->fd;
        ret->bytes = atomic_load(&u->bytes);
        if (ret->bytes == 0 || atomic_load(&u->gone))
                return 0;

        if (atomic_load(&u->interrupted)) {
                strbuf_add(&ret->refusal, "the program that wrote it was ended by a signal, after ");
                strbuf_addf(&ret->refusal, "%" PRIu64 " bytes: remove the image, and upload it again",
                            (uint64_t)atomic_load(&u->written));
                return 0;
        }

        r = atomic_load(&u->lost);
        ret->rest = r == 0 && !intake_is_whole(u->intake);
        if (ret->rest)
                return 0;
        if (r == 0)
                r = intake_show(u->intake);
        if (r == 0) {
                r = upload_probe(u->m, u->image, u->fd, ret->bytes, &ret->probe, &ret->refusal);
                if (r == -EINVAL || r == -EOPNOTSUPP)
                        return 0; /* with a sentence */
                if (r == -ETIMEDOUT) { /* the import takes its time for it */
                        strbuf_reset(&ret->refusal);
                        ret->probe = (struct image_probe){ 0 };
                        ret->rest = !intake_keep_in_file(u->intake);
                        return 0;
                }
                if (r == 0)
                        r = image_get(u->m, u->image, &image);
                if (r < 0)
                        return r;
        }
        if (r == 0 && image_is_plain(&ret->probe))
                r = make_disk(u, &image, ret);
        else if (r == 0)
                ret->rest = !intake_keep_in_file(u->intake);
        if (r < 0)
                diag_add_error(&ret->refusal, r);
        return 0;
}

/* For a blob that got no name after all. */
static void drop_blob(struct model *m, struct upload_result *result)
{
        struct blobstore *bs;
        struct blob_id id;

        if (!result->blob || result->named)
                return;

        id = *blob_get_id(result->blob);
        blob_close(TAKE_PTR(result->blob));
        if (stores_get(m, result->store, NULL, &bs) == 0)
                (void)blob_remove(bs, &id); /* else the next start does */
}

/* With the list's mutex held. */
static void wait_for_catalogue(struct upload *u)
{
        u->waits_until_us = clock_now_us() + AWAY_US;
        jobs_wake(u->m); /* the upkeep has a new time to be there */
}

/* False: the catalogue is away, and the upkeep is to call it again. */
static bool end_upload(struct upload *u)
{
        CLEANUP(upload_result_done) struct upload_result result = { 0 };
        const uint64_t image = u->image;
        struct model *m = u->m;
        struct changes changes = { 0 };
        bool keep = false;
        int r;

        r = u->brought_in ? 0 : bring_in(u, &u->result);
        u->brought_in = r == 0;

        {
                LOCK_SCOPE(&m->uploads->mutex);

                if (!atomic_load(&u->gone)) {
                        if (r == 0)
                                r = upload_end(m, u->image, &u->result, &changes, &keep);
                        if (r == -EIO && db_was_away(m->db)) {
                                wait_for_catalogue(u);
                                return false;
                        }
                }
                u->writers = 0;
                result = u->result;
                u->result = (struct upload_result){ 0 };
                if (!atomic_load(&u->gone) && r < 0) {
                        keep_failure(u, r);
                        changes_add(&changes, OBJECT_IMAGE, u->image);
                } else if (keep && result.rest) {
                        uploads_leave(m->uploads, u);
                } else {
                        uploads_unlink(m->uploads, u);
                }
                if (!keep)
                        incoming_discard(m, u->store, u->name);
                if (!keep && u->has_data_disks)
                        data_disks_clear(m, u->image);
                uploads_put(u);
        }

        (void)db_settle(m->db); /* for which nobody waits who opens an upload; where it fails, all that is written does */
        brief_closed(m, image, result.bytes == 0);
        drop_blob(m, &result);
        if (result.bytes > 0 && !keep && !result.named)
                jobs_tidy(m);
        changes_tell(m, &changes); /* which wakes the upkeep, too */
        return true;
}

void upload_wait_again(struct upload *u)
{
        u->waits_until_us = clock_now_us() + UPLOAD_WAIT_US;
        jobs_wake(u->m); /* the upkeep has a new time to be there */
}

/* Is U to end now that a writer is done? MAY_WAIT: not if it may be opened again. */
static bool writer_is_done(struct upload *u, bool may_wait)
{
        may_wait = may_wait && atomic_load(&u->bytes) > 0 && upload_is_only_made(u);

        LOCK_SCOPE(&u->m->uploads->mutex);

        if (u->writers > 1) {
                u->writers--;
                u->users--;
                return false;
        }
        if (may_wait && !atomic_load(&u->gone)) {
                upload_wait_again(u);
                return false;
        }
        u->ending = true;
        return true;
}

void upload_close(struct upload *u)
{
        if (u->disk)
                upload_close_disk(u);
        else if (writer_is_done(u, true))
                (void)end_upload(u);
}

/* One that has waited until NOW_US; *ret_due_us is when the next one has. */
static struct upload *take_due(struct uploads *us, int64_t now_us, int64_t *ret_due_us)
{
        LOCK_SCOPE(&us->mutex);

        *ret_due_us = 0;
        for (struct upload *u = us->open; u; u = u->next) {
                const int64_t until_us = u->waits_until_us;

                if (!until_us)
                        continue;
                /* Further away than any is: the clock was set back. */
                if (until_us <= now_us || until_us > now_us + UPLOAD_WAIT_US) {
                        u->waits_until_us = 0;
                        return u;
                }
                if (*ret_due_us == 0 || until_us < *ret_due_us)
                        *ret_due_us = until_us;
        }
        return NULL;
}

static int64_t end_due(struct model *m, bool all)
{
        struct upload *u;
        int64_t due_us;

        while ((u = take_due(m->uploads, all ? INT64_MAX - UPLOAD_WAIT_US : clock_now_us(), &due_us)))
                if (writer_is_done(u, false) && !end_upload(u))
                        return clock_now_us() + AWAY_US; /* as little can be done for the others */
        return due_us;
}

int64_t uploads_end_due(struct model *m)
{
        return end_due(m, false);
}

void uploads_end_waiting(struct model *m)
{
        if (m->uploads)
                (void)end_due(m, true);
}

/* 1: recorded, or nothing is left to be; 0: there is none. */
static int settle_one(struct model *m, struct changes *ch)
{
        struct upload *u;
        int r;
        LOCK_SCOPE(&m->uploads->mutex);

        for (u = m->uploads->open; u && u->writers > 0; u = u->next)
                ;
        if (!u)
                return 0;

        r = upload_fail(m, u->image, u->failed, ch);
        if (r < 0 && r != -ENOENT && r != -EBUSY)
                return r;

        uploads_unlink(m->uploads, u);
        return 1;
}

void uploads_settle(struct model *m)
{
        for (;;) {
                struct changes changes = { 0 };

                if (settle_one(m, &changes) <= 0)
                        return;
                changes_tell(m, &changes);
        }
}
