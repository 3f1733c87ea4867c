/* SPDX-License-Identifier: MIT */

#include "fs/tree/scratch.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/base/kept.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "fs/tree/dir.h"
#include "fs/tree/scratch_value.h"
#include "model/core/text.h"
#include "model/intake/draft.h"

#define SCRATCH_PER_USER 64

struct scratch {
        TAILQ_ENTRY(scratch) link;
        uint64_t id;
        fuse_ino_t dir;
        uid_t uid;
        gid_t gid;
        int fd; /* the draft's, or of memory */
        struct draft *draft;
        struct scratch_value *value; /* what the next process has of one of memory; NULL: nothing */
        /* Of the file, which is not asked: it may lie on a disk that does not answer. */
        atomic_uint_fast64_t size_bytes;
        atomic_int_fast64_t changed_us;
        bool makes_image; /* with its name; else it may become what the image it lies in waits for */
        /* under the list's mutex */
        bool listed;
        unsigned users; /* the list is one */
        struct timespec due; /* when it goes, while nobody has it open */
        char name[NAME_MAX + 1];
};

struct scratches {
        unsigned idle_seconds;
        bool lasting; /* there may be a next process */
        struct kept *values; /* for which they are kept, too; NULL: they are not */
        pthread_t thread; /* has those go whose time is up */
        pthread_mutex_t mutex; /* of all below */
        pthread_cond_t changed; /* what is due next is another */
        bool runs, ending; /* the thread */
        uint64_t last; /* number given */
        TAILQ_HEAD(scratch_list, scratch) list; /* the newest first: a user has some at a time, and few users any */
        struct scratch_list unused; /* to be freed without the mutex: removing a large file takes its time */
};

static struct timespec now(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
        return ts;
}

static bool is_before(struct timespec a, struct timespec b)
{
        return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

int scratches_new(unsigned idle_seconds, struct scratches **ret)
{
        struct scratches *ss = calloc(1, sizeof(*ss));

        if (!ss)
                return -ENOMEM;
        ss->idle_seconds = idle_seconds;
        (void)pthread_mutex_init(&ss->mutex, NULL); /* neither can fail without attributes */
        (void)pthread_cond_init(&ss->changed, NULL);
        TAILQ_INIT(&ss->list);
        TAILQ_INIT(&ss->unused);
        *ret = ss;
        return 0;
}

static void scratch_free(struct scratches *ss, struct scratch *s)
{
        if (s->draft)
                draft_free(s->draft);
        else if (s->fd >= 0)
                (void)close(s->fd);
        if (s->value)
                kept_give(ss->values, s->value);
        free(s);
}

/* ---- with the mutex held ---- */

static void drop_user(struct scratches *ss, struct scratch *s)
{
        if (--s->users == 0)
                TAILQ_INSERT_HEAD(&ss->unused, s, link);
}

static void unlist(struct scratches *ss, struct scratch *s)
{
        if (!s->listed)
                return;
        s->listed = false;
        TAILQ_REMOVE(&ss->list, s, link);
        drop_user(ss, s);
}

static void begin_idle(struct scratches *ss, struct scratch *s)
{
        s->due = now();
        s->due.tv_sec += ss->idle_seconds;
        (void)pthread_cond_signal(&ss->changed);
}

/* Has those go whose time is up. Of the others, *ret_next is when the next one's is; false: there are none. */
static bool expire(struct scratches *ss, struct timespec *ret_next)
{
        const struct timespec at = now();
        struct scratch *next;
        bool more = false;

        for (struct scratch *s = TAILQ_FIRST(&ss->list); s; s = next) {
                next = TAILQ_NEXT(s, link);
                if (s->users > 1)
                        continue;
                if (!is_before(at, s->due)) {
                        unlist(ss, s);
                } else if (!more || is_before(s->due, *ret_next)) {
                        *ret_next = s->due;
                        more = true;
                }
        }
        return more;
}

static struct scratch *find(struct scratches *ss, fuse_ino_t dir, const char *name, uid_t uid)
{
        struct scratch *s;

        TAILQ_FOREACH(s, &ss->list, link)
                if (s->dir == dir && s->uid == uid && strcmp(s->name, name) == 0)
                        return s;
        return NULL;
}

static struct node node_of_scratch(const struct scratch *s)
{
        return (struct node){ .kind = KIND_SCRATCH, .row = ROW_CHILD, .oid = s->id };
}

/* ---- without ---- */

static void free_unused(struct scratches *ss)
{
        struct scratch *s;

        do {
                {
                        LOCK_SCOPE(&ss->mutex);
                        s = TAILQ_FIRST(&ss->unused);
                        if (s)
                                TAILQ_REMOVE(&ss->unused, s, link);
                }
                if (s)
                        scratch_free(ss, s);
        } while (s);
}

static void *run(void *arg)
{
        struct scratches *ss = arg;
        struct timespec next;
        bool more;
        LOCK_SCOPE(&ss->mutex);

        thread_set_idle();
        while (!ss->ending) {
                more = expire(ss, &next);
                if (!TAILQ_EMPTY(&ss->unused)) {
                        unlock(&ss->mutex);
                        free_unused(ss);
                        lock(&ss->mutex);
                } else if (more) {
                        (void)pthread_cond_clockwait(&ss->changed, &ss->mutex, CLOCK_MONOTONIC, &next);
                } else {
                        (void)pthread_cond_wait(&ss->changed, &ss->mutex);
                }
        }
        return NULL;
}

/* No number is one that the kernel knows from a process before: none makes files faster than the clock goes. */
void scratches_last(struct scratches *ss)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail with it */
        ss->lasting = true;
        ss->last = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void scratches_free(struct scratches *ss)
{
        if (!ss)
                return;
        {
                LOCK_SCOPE(&ss->mutex);
                ss->ending = true;
                (void)pthread_cond_signal(&ss->changed);
        }
        if (ss->runs)
                (void)pthread_join(ss->thread, NULL);
        while (!TAILQ_EMPTY(&ss->list))
                unlist(ss, TAILQ_FIRST(&ss->list));
        free_unused(ss);
        kept_close(ss->values);
        (void)pthread_cond_destroy(&ss->changed);
        (void)pthread_mutex_destroy(&ss->mutex);
        free(ss);
}

/* Is it one of the region's, for an image that is still to be made? */
static bool is_for_image_in(const struct scratch *s, uint64_t region)
{
        return s->makes_image && dir_class_region(node_of(s->dir).oid) == region;
}

/* How many the caller has: in all, and files for images, in the region where DIR is a class of images, else in DIR. */
static int count(struct req *rq, const struct dir_kind *kind, fuse_ino_t dir, uint64_t *ret_drafts)
{
        const uint64_t region = kind->imports ? dir_class_region(node_of(dir).oid) : 0;
        struct scratches *ss = rq->fs->scratches;
        const struct scratch *s;
        unsigned n = 0;
        LOCK_SCOPE(&ss->mutex);

        *ret_drafts = 0;
        TAILQ_FOREACH(s, &ss->list, link) {
                if (s->uid != rq->caller.uid)
                        continue;
                n++;
                if (kind->imports ? is_for_image_in(s, region) : s->draft && s->dir == dir)
                        (*ret_drafts)++;
        }
        if (n < SCRATCH_PER_USER)
                return 0;
        return diag_set(&rq->diag, -EDQUOT, "you have %u temporary files: remove some; each goes by itself after a day", n);
}

static void note_change(struct scratch *s)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with it */
        atomic_store(&s->changed_us, now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000);
}

_Static_assert(sizeof(struct scratch_note) <= DRAFT_NOTE_MAX, "it goes into a draft's");

/* Without it, the file is gone when the next process comes. */
static void note_for_next(const struct scratches *ss, struct scratch *s, const char *name)
{
        struct scratch_note note = { .id = s->id, .dir = s->dir, .uid = s->uid, .gid = s->gid,
                             .makes_image = s->makes_image };

        if (!ss->lasting)
                return;
        (void)snprintf(note.name, sizeof(note.name), "%s", name);
        if (s->draft)
                (void)draft_note(s->draft, &note, SCRATCH_NOTE_HEAD + strlen(note.name));
        else if (ss->values)
                scratch_value_note(ss->values, &s->value, &note);
}

static void add_to_list(struct scratches *ss, struct scratch *s)
{
        LOCK_SCOPE(&ss->mutex);
        if (s->id > ss->last) /* of the process before, and the clock was set back since */
                ss->last = s->id;
        TAILQ_INSERT_HEAD(&ss->list, s, link);
        begin_idle(ss, s);
        /* With the first: a daemon that goes to the background has no thread before that. Without it they go with the mount. */
        if (!ss->runs)
                ss->runs = thread_start(&ss->thread, run, ss) == 0;
}

int scratch_make(struct req *rq, const struct dir_kind *kind, fuse_ino_t dir, const char *name, struct node *ret)
{
        struct scratches *ss = rq->fs->scratches;
        struct scratch *s;
        uint64_t drafts;
        int r;

        if (strlen(name) > NAME_MAX || !text_is_clean(name, strlen(name)))
                return diag_set(&rq->diag, -EINVAL, "a name is UTF-8, without control characters");
        r = count(rq, kind, dir, &drafts);
        if (r < 0)
                return r;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (struct scratch){ .dir = dir, .uid = rq->caller.uid, .gid = rq->caller.gid, .fd = -1, .listed = true,
                               .users = 1 };
        memcpy(s->name, name, strlen(name) + 1);
        r = kind->draft ? kind->draft(rq, node_of(dir).oid, drafts, &s->draft) : 0;
        if (s->draft) {
                s->fd = draft_fd(s->draft);
                s->makes_image = kind->imports;
        } else if (r == 0) {
                s->fd = memfd_create("imagefs-scratch", MFD_CLOEXEC);
                r = s->fd < 0 ? -errno : 0;
        }
        if (r < 0) {
                scratch_free(ss, s);
                return r;
        }

        note_change(s);
        {
                LOCK_SCOPE(&ss->mutex);
                s->id = ++ss->last;
        }
        note_for_next(ss, s, s->name);
        add_to_list(ss, s);
        *ret = node_of_scratch(s);
        return 0;
}

/* A draft_left_fn. */
static int take_up(void *ctx, struct draft *d, const void *bytes, size_t n)
{
        struct scratches *ss = ctx;
        struct scratch_note note = { 0 };
        struct scratch *s;
        struct stat st;

        if (n < SCRATCH_NOTE_HEAD || n > sizeof(note) || fstat(draft_fd(d), &st) < 0)
                return -EBADMSG;
        memcpy(&note, bytes, n);
        if (strnlen(note.name, sizeof(note.name)) == sizeof(note.name) || !scratch_is_name(note.name))
                return -EBADMSG;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (struct scratch){ .id = note.id, .dir = note.dir, .uid = note.uid, .gid = note.gid, .fd = draft_fd(d), .draft = d,
                               .makes_image = note.makes_image, .listed = true, .users = 1,
                               .size_bytes = (uint64_t)st.st_size };
        memcpy(s->name, note.name, sizeof(s->name));
        atomic_store(&s->changed_us, st.st_mtim.tv_sec * INT64_C(1000000) + st.st_mtim.tv_nsec / 1000);
        add_to_list(ss, s);
        return 0;
}

/* A kept_fn. One that cannot be taken up now is gone. */
static int take_up_value(void *ctx, void *slot)
{
        struct scratches *ss = ctx;
        struct scratch *s = calloc(1, sizeof(*s));
        struct scratch_note note;
        uint32_t size;
        int fd;

        fd = s ? scratch_value_open(slot, &note, &size) : -ENOMEM;
        if (fd < 0 || !scratch_is_name(note.name)) {
                cleanup_close(&fd);
                free(s);
                kept_give(ss->values, slot);
                return 0;
        }
        *s = (struct scratch){ .id = note.id, .dir = note.dir, .uid = note.uid, .gid = note.gid, .fd = fd, .value = slot,
                               .listed = true, .users = 1, .size_bytes = size };
        memcpy(s->name, note.name, sizeof(s->name));
        note_change(s);
        add_to_list(ss, s);
        return 0;
}

int scratches_last_values(struct scratches *ss, int fd)
{
        return kept_open(fd, SCRATCH_VALUE_SLOT_BYTES, &ss->values);
}

int scratches_take_up(struct scratches *ss, struct model *m)
{
        int r = ss->values ? kept_each_inherited(ss->values, take_up_value, ss) : 0;

        return r < 0 ? r : drafts_take_up(m, take_up, ss);
}

bool scratch_find(struct scratches *ss, fuse_ino_t dir, const char *name, uid_t uid, struct node *ret)
{
        const struct scratch *s;
        LOCK_SCOPE(&ss->mutex);

        s = find(ss, dir, name, uid);
        if (s)
                *ret = node_of_scratch(s);
        return s;
}

int scratch_each(struct scratches *ss, fuse_ino_t dir, uid_t uid, scratch_fn *fn, void *ctx)
{
        const struct scratch *s;
        int r = 0;
        LOCK_SCOPE(&ss->mutex);

        TAILQ_FOREACH(s, &ss->list, link)
                if (r == 0 && s->dir == dir && s->uid == uid)
                        r = fn(ctx, s->name, node_of_scratch(s));
        return r;
}

int scratch_get(struct scratches *ss, struct node n, struct scratch **ret)
{
        struct scratch *s;
        LOCK_SCOPE(&ss->mutex);

        TAILQ_FOREACH(s, &ss->list, link) {
                if (s->id != n.oid)
                        continue;
                s->users++;
                *ret = s;
                return 0;
        }
        return -ESTALE;
}

void scratch_put(struct scratches *ss, struct scratch *s)
{
        {
                LOCK_SCOPE(&ss->mutex);
                drop_user(ss, s);
                (void)pthread_cond_signal(&ss->changed); /* its time may be up */
        }
        free_unused(ss);
}

void scratch_closed(struct scratches *ss, struct scratch *s)
{
        LOCK_SCOPE(&ss->mutex);
        begin_idle(ss, s);
}

struct draft *scratch_draft(const struct scratch *s)
{
        return s->draft;
}

int scratch_fd(const struct scratch *s)
{
        return s->fd;
}

fuse_ino_t scratch_dir(const struct scratch *s)
{
        return s->dir;
}

static int refuse_long(uint64_t off, uint64_t n, struct diag *diag)
{
        if (off <= SCRATCH_BYTES_MAX && n <= SCRATCH_BYTES_MAX - off)
                return 0;
        return diag_set(diag, -EFBIG, "a temporary file here is for a value, of at most 64 KiB: write a disk to upload itself "
                                      "(rsync --inplace)");
}

static int put_bytes(struct scratch *s, const void *buf, size_t n, uint64_t off, struct diag *diag)
{
        int r;

        if (s->draft)
                return draft_write(s->draft, buf, n, off, diag);
        r = refuse_long(off, n, diag);
        if (r == 0)
                r = pwrite_full(s->fd, buf, n, off);
        if (r == 0 && s->value)
                scratch_value_put(s->value, buf, n, off);
        return r;
}

int scratch_write(struct scratch *s, const void *buf, size_t n, uint64_t off, struct diag *diag)
{
        uint_fast64_t size = atomic_load(&s->size_bytes);
        const int r = put_bytes(s, buf, n, off, diag);

        note_change(s);
        while (r == 0 && n > 0 && size < off + n && !atomic_compare_exchange_weak(&s->size_bytes, &size, off + n))
                ;
        return r;
}

static int cut(struct scratch *s, uint64_t size, struct diag *diag)
{
        int r;

        if (s->draft)
                return draft_truncate(s->draft, size, diag);
        r = refuse_long(size, 0, diag);
        if (r == 0 && ftruncate(s->fd, (off_t)size) < 0)
                r = -errno;
        if (r == 0 && s->value)
                scratch_value_cut(s->value, (uint32_t)size);
        return r;
}

int scratch_truncate(struct scratch *s, uint64_t size, struct diag *diag)
{
        const int r = cut(s, size, diag);

        if (r < 0)
                return r;
        note_change(s);
        atomic_store(&s->size_bytes, size);
        return 0;
}

int scratch_rename(struct scratches *ss, struct scratch *s, const char *name)
{
        struct scratch *other;

        {
                LOCK_SCOPE(&ss->mutex);
                other = find(ss, s->dir, name, s->uid);
                if (!s->listed)
                        return -ESTALE;
                if (other && other != s)
                        unlist(ss, other);
                (void)snprintf(s->name, sizeof(s->name), "%s", name);
        }
        note_for_next(ss, s, name);
        free_unused(ss);
        return 0;
}

void scratch_unlink(struct scratches *ss, struct scratch *s)
{
        {
                LOCK_SCOPE(&ss->mutex);
                unlist(ss, s);
        }
        free_unused(ss);
}

static bool is_in(const struct scratch *s, struct node dir)
{
        const struct node in = node_of(s->dir);

        if (dir.kind == KIND_REGION && is_for_image_in(s, dir.oid))
                return true;
        return in.kind == dir.kind && in.oid == dir.oid;
}

void scratch_drop_in(struct scratches *ss, struct node dir)
{
        struct scratch *next;

        {
                LOCK_SCOPE(&ss->mutex);
                for (struct scratch *s = TAILQ_FIRST(&ss->list); s; s = next) {
                        next = TAILQ_NEXT(s, link);
                        if (is_in(s, dir))
                                unlist(ss, s);
                }
        }
        free_unused(ss);
}

int scratch_describe(struct scratches *ss, struct node n, struct object *ret, uint64_t *ret_size_bytes)
{
        struct scratch *s;
        int r;

        r = scratch_get(ss, n, &s);
        if (r < 0)
                return r;
        *ret_size_bytes = atomic_load(&s->size_bytes);
        *ret = (struct object){ .id = s->id, .uid = s->uid, .gid = s->gid, .mode = 0600,
                                .updated_us = atomic_load(&s->changed_us) };
        scratch_put(ss, s);
        return 0;
}
