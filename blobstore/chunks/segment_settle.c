/* SPDX-License-Identifier: MIT */

/*
 * When what was appended is in the bucket. A blob is live when all that it may need is there, its map the last
 * (blob_writer_commit()), and what is moved is there before anybody looks for it where it was moved to (mover_end()). A segment that
 * somebody else still appends to is sealed for that, as chunks in it may be shared already.
 */

#include <errno.h>

#include "blobstore/base/lock.h"
#include "blobstore/chunks/segment_priv.h"

static int adopt_file(void *ctx, uint32_t id, uint64_t size)
{
        struct segments *s = ctx;
        struct footer footer = { 0 };
        int r;

        (void)size;
        if (segments_is_active(s, id))
                return 0;
        r = segments_describe(s, id, &footer);
        footer_done(&footer);
        if (r == 0)
                segment_send(s, id, false); /* a daemon that goes to the background has no thread yet */
        return r == -ENOMEM ? r : 0;
}

int segments_adopt(struct segments *s)
{
        return s->queue ? segments_each_file(s, 0, adopt_file, s) : 0;
}

/* Seals what somebody may have found a chunk in. */
static int seal_all(struct segments *s)
{
        struct segment *seg;
        int r = 0;

        LOCK_SCOPE(&s->lock);
        do {
                TAILQ_FOREACH(seg, &s->active, link) {
                        if (!seg->sealed && !seg->alone && seg->end > SEGMENT_HEADER_SIZE)
                                break;
                }
                if (seg) {
                        seg->settling++;
                        unlock(&s->lock);
                        r = segment_seal(seg);
                        lock(&s->lock);
                        seg->settling--;
                        segment_retire(seg);
                }
        } while (seg && r == 0);
        return r;
}

/* What was sealed, and could not be noted for want of memory. */
static void send_all(struct segments *s)
{
        struct segment *seg;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link) {
                if (seg->sealed && !seg->sent)
                        segment_send(s, seg->id, true);
        }
}

int segments_settle(struct segments *s)
{
        int r;

        if (!s->queue)
                return 0;
        r = seal_all(s);
        if (r == 0)
                r = segments_sync(s); /* so that the index can be told that they are sealed */
        if (r < 0)
                return r;
        send_all(s);
        return segment_send_wait(s);
}
