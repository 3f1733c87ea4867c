/* SPDX-License-Identifier: MIT */

/*
 * Segments of a store in a bucket. One is appended to in a file, as everywhere; sealed, it is put into the bucket as
 * segments/<8 hex digits>.seg, by one of a few threads, once it is durable here; and when it is there, and the index knows
 * it as sealed, its file goes. So a file that is there is not known to be in the bucket, one that is not there is, and after
 * a crash each sealed file is put again, which finds that the same is there already, or puts it.
 *
 * Nothing is appended, or punched, once it was sealed: an object is only ever removed.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/child_leash.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "blobstore/chunks/segment_priv.h"
#include "blobstore/objects/bucket.h"

/* A line of 1 Gbit/s with 10 ms of way is used well by so many. */
#define SENDERS 4

/* So much may wait on the disk. */
#define WAITING_MAX (UINT64_C(256) << 20)

/* After a refusal. */
#define AGAIN_MS 2000

struct sending {
        TAILQ_ENTRY(sending) link;
        uint32_t id;
        uint64_t number; /* in the order in which they were sealed */
        uint64_t bytes;
        bool busy; /* a thread has it */
};

struct segment_queue {
        struct segments *owner;
        struct bucket *bucket; /* borrowed */

        pthread_mutex_t lock; /* everything below; after the segments' */
        pthread_cond_t more; /* something is to be sent, or no more is */
        pthread_cond_t less; /* something was, or could not be */
        TAILQ_HEAD(, sending) waiting; /* in order */
        uint64_t bytes; /* of those */
        uint64_t number; /* of the next */
        uint64_t refusals; /* counts them */
        int refusal; /* the last, or a final one */
        bool stop;
        unsigned n_threads;
        pthread_t threads[SENDERS];
};

int segments_set_bucket(struct segments *s, struct bucket *bucket, const struct range_cache_opts *cache)
{
        struct segment_queue *q;
        int r;

        r = segment_far_new(bucket, cache, &s->far);
        if (r < 0)
                return r;
        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->owner = s;
        q->bucket = bucket;
        TAILQ_INIT(&q->waiting);
        (void)pthread_mutex_init(&q->lock, NULL); /* none of these can fail so */
        (void)pthread_cond_init(&q->more, NULL);
        (void)pthread_cond_init(&q->less, NULL);
        s->queue = q;
        return 0;
}

bool segments_doubt(struct segments *s)
{
        if (s->far)
                segment_far_doubt(s->far);
        return s->far != NULL;
}

void segment_queue_free(struct segment_queue *q)
{
        struct sending *w;

        if (!q)
                return;
        lock(&q->lock);
        q->stop = true;
        (void)pthread_cond_broadcast(&q->more);
        unlock(&q->lock);
        for (unsigned i = 0; i < q->n_threads; i++)
                (void)pthread_join(q->threads[i], NULL);
        while ((w = TAILQ_FIRST(&q->waiting))) {
                TAILQ_REMOVE(&q->waiting, w, link);
                free(w);
        }
        (void)pthread_cond_destroy(&q->less);
        (void)pthread_cond_destroy(&q->more);
        (void)pthread_mutex_destroy(&q->lock);
        free(q);
}

/* Call with the queue's lock held. */
static struct sending *queue_find(struct segment_queue *q, uint32_t id)
{
        struct sending *w;

        TAILQ_FOREACH(w, &q->waiting, link) {
                if (w->id == id)
                        return w;
        }
        return NULL;
}

/* Call with the queue's lock held. */
static void queue_drop(struct segment_queue *q, struct sending *w)
{
        TAILQ_REMOVE(&q->waiting, w, link);
        q->bytes -= w->bytes;
        free(w);
        (void)pthread_cond_broadcast(&q->less);
}

/*
 * After a power cut the file must be there, and end as the object does: else its number would be given to another one, or it would
 * be described once more by what is left of it; and what is then put is not what the bucket has.
 */
static int queue_make_durable(struct segments *s, int fd)
{
        if (atomic_load(s->degraded))
                return -EROFS; /* a sync that failed is not tried again */
        if (fdatasync(fd) < 0) {
                atomic_store(s->degraded, true);
                return -EROFS;
        }
        return objects_sync_names(&s->objects, "") < 0 ? -EROFS : 0;
}

static int queue_put(struct segment_queue *q, uint32_t id)
{
        CLEANUP_CLOSE int fd = segment_file_open_to(q->owner, id, O_RDONLY);
        struct stat st;
        int r;

        if (fd == -ENOENT)
                return 0; /* it was there already, and its file went */
        if (fd < 0)
                return fd;
        r = fstat(fd, &st) < 0 ? -errno : queue_make_durable(q->owner, fd);
        return r < 0 ? r : segment_far_put(q->owner->far, id, fd, (uint64_t)st.st_size);
}

/* It is in the bucket: its file goes, now or when its last state is recorded. */
static void queue_note_sent(struct segments *s, uint32_t id)
{
        struct segment *seg;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link) {
                if (seg->id == id) {
                        seg->sent = true;
                        return;
                }
        }
        (void)segment_file_remove(s, id);
}

/* Call with the queue's lock held. */
static struct sending *queue_next(struct segment_queue *q)
{
        struct sending *w;

        TAILQ_FOREACH(w, &q->waiting, link) {
                if (!w->busy)
                        return w;
        }
        return NULL;
}

/* Somebody else writes there, or has taken it over, or nothing can be made safe here any more. */
static bool is_final(int refusal)
{
        return refusal == -EEXIST || refusal == -EROFS;
}

static void *queue_sender(void *arg)
{
        struct segment_queue *q = arg;
        struct sending *w;
        bool goes_on = true;
        int r;

        thread_set_name("bucket-puts");
        thread_set_nice(THREAD_NICE_LONG);
        LOCK_SCOPE(&q->lock);
        while (goes_on && !q->stop) {
                w = is_final(q->refusal) ? NULL : queue_next(q);
                if (!w) {
                        (void)pthread_cond_wait(&q->more, &q->lock);
                        continue;
                }
                w->busy = true;
                unlock(&q->lock);
                r = queue_put(q, w->id);
                if (r == 0)
                        queue_note_sent(q->owner, w->id);
                lock(&q->lock);
                if (r == 0) {
                        queue_drop(q, w);
                        continue;
                }
                w->busy = false;
                q->refusals++;
                /* One that is final stays, whatever another sender meets; that somebody else writes there is told on. */
                if (!is_final(q->refusal) || r == -EEXIST)
                        q->refusal = r;
                (void)pthread_cond_broadcast(&q->less);
                if (r == -EEXIST) /* somebody else writes there, or this is an old copy of the store: all that follows may be wrong */
                        atomic_store(q->owner->degraded, true);
                unlock(&q->lock);
                goes_on = bucket_wait(q->bucket, AGAIN_MS);
                lock(&q->lock);
        }
        return NULL;
}

/* Call with the queue's lock held. */
static void queue_start(struct segment_queue *q)
{
        while (q->n_threads < SENDERS && thread_start(&q->threads[q->n_threads], queue_sender, q) == 0)
                q->n_threads++;
        (void)pthread_cond_broadcast(&q->more);
}

void segment_send(struct segments *s, uint32_t id, bool start)
{
        struct segment_queue *q = s->queue;
        char name[SEGMENT_NAME_SIZE];
        uint64_t allocated;
        struct sending *w;

        LOCK_SCOPE(&q->lock);
        if (queue_find(q, id))
                return;
        w = calloc(1, sizeof(*w));
        if (!w)
                return; /* whoever settles tries again */
        segment_name(id, name);
        w->id = id;
        w->number = q->number++;
        (void)objects_stat(&q->owner->objects, name, &w->bytes, &allocated); /* else it takes no room that is known */
        q->bytes += w->bytes;
        TAILQ_INSERT_TAIL(&q->waiting, w, link);
        if (start)
                queue_start(q);
}

void segments_send(struct segments *s)
{
        if (!s->queue)
                return;
        LOCK_SCOPE(&s->queue->lock);
        if (!TAILQ_EMPTY(&s->queue->waiting))
                queue_start(s->queue);
}

/* ---- waiting for it ---- */

/* Call with the queue's lock held: until something was sent, since REFUSALS. */
static int queue_wait(struct segment_queue *q, uint64_t refusals)
{
        queue_start(q);
        if (is_final(q->refusal))
                return -EROFS;
        if (q->refusals != refusals)
                return q->refusal == -EDQUOT ? -EDQUOT : -EHOSTDOWN;
        if (q->n_threads == 0 || bucket_is_away(q->bucket, NULL) || bucket_is_stopped(q->bucket) ||
            child_leash_is_pulled(child_leash_held()))
                return -EHOSTDOWN;
        (void)pthread_cond_wait(&q->less, &q->lock);
        return 0;
}

int segment_send_make_room(struct segments *s)
{
        CLEANUP(child_leash_remove) struct child_on_leash wait;
        struct segment_queue *q = s->queue;
        int r = 0;

        child_leash_add_wait(&wait, &q->lock, &q->less);
        LOCK_SCOPE(&q->lock);
        for (uint64_t refusals = q->refusals; r == 0 && q->bytes >= WAITING_MAX;)
                r = queue_wait(q, refusals);
        return r;
}

int segment_send_wait(struct segments *s)
{
        CLEANUP(child_leash_remove) struct child_on_leash wait;
        struct segment_queue *q = s->queue;
        uint64_t until, refusals;
        const struct sending *w;
        int r = 0;

        child_leash_add_wait(&wait, &q->lock, &q->less);
        LOCK_SCOPE(&q->lock);
        until = q->number;
        refusals = q->refusals;
        while (r == 0 && (w = TAILQ_FIRST(&q->waiting)) && w->number < until)
                r = queue_wait(q, refusals);
        return r;
}

bool segments_are_contested(struct segments *s)
{
        if (!s->queue)
                return false;
        LOCK_SCOPE(&s->queue->lock);
        return s->queue->refusal == -EEXIST;
}

/* ---- removing ---- */

/* Not to be put there any more: whoever puts it just now comes to its end first. */
static void queue_forget(struct segment_queue *q, uint32_t id)
{
        struct sending *w;

        LOCK_SCOPE(&q->lock);
        while ((w = queue_find(q, id)) && w->busy)
                (void)pthread_cond_wait(&q->less, &q->lock);
        if (w)
                queue_drop(q, w);
}

int segments_unlink(struct segments *s, uint32_t id)
{
        int r;

        if (s->far) {
                queue_forget(s->queue, id);
                r = segment_far_remove(s->far, id);
                if (r < 0)
                        return r;
        }
        r = segment_file_remove(s, id);
        if (r < 0 && r != -ENOENT)
                return r;
        LOCK_SCOPE(&s->lock);
        s->dir_dirty = true;
        return 0;
}
