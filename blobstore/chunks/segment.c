/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/parse.h"
#include "blobstore/objects/fd_cache.h"
#include "blobstore/objects/objects.h"

#define SEGMENT_MAGIC "imfs-seg"
#define SEGMENT_VERSION 1

/* "xxxxxxxx.seg" */
#define SEGMENT_NAME_SIZE 13

/* Segments open for reading at once, per store. */
#define SEGMENT_READ_FDS 256

/*
 * Writeback starts after this many bytes, so that the sync at the end finds little left to do. Smaller steps would
 * wait for the disk's queue again and again. What is on disk then leaves the page cache: an import is not read again as
 * a whole, while what it would displace may be what the machines work with; and new pages are dear where a host gives
 * them (an eighth of an import's time).
 */
#define SEGMENT_WRITEBACK (UINT64_C(8) << 20)

struct segment {
        TAILQ_ENTRY(segment) link;
        struct segments *owner;
        uint32_t id;
        int fd;
        uint64_t writeback;   /* up to here it was started; the appender's, as is the next */
        struct footer footer; /* to be written when it is sealed */

        /* Under the owner's lock. */
        uint64_t end;
        uint64_t synced;                                            /* up to here it is durable */
        uint64_t wanted;                                            /* up to here the sync that runs makes it durable */
        uint64_t recorded;                                          /* up to here the index knows */
        uint64_t added, added_synced, added_wanted, added_recorded; /* bytes of payloads, likewise */
        uint64_t disowned;                                          /* up to here, rows were lost */
        bool full;
        bool sealed; /* it has its footer */
        bool sealed_recorded;
        bool busy;    /* has an appender */
        bool syncing; /* a sync looks at it: not to be freed */
};

struct segments {
        struct objects objects;
        atomic_bool *degraded;
        uint8_t store[STORE_ID_SIZE]; /* constant once set */
        struct fd_cache *readers;
        pthread_mutex_t sync_lock; /* one sync at a time; taken before lock */

        pthread_mutex_t lock;
        /* Under lock: those not sealed, and those whose last state the index does not know yet. */
        TAILQ_HEAD(, segment) active;
        uint32_t next_id;
        bool dir_dirty; /* a file was created since the directory was synced */
};

static void segment_name(uint32_t id, char name[SEGMENT_NAME_SIZE])
{
        (void)snprintf(name, SEGMENT_NAME_SIZE, "%08x.seg", id);
}

/* To append to, where objects are only read. */
static int segments_open_fd(struct segments *s, uint32_t id, int flags)
{
        char name[SEGMENT_NAME_SIZE];
        int fd;

        segment_name(id, name);
        fd = openat(s->objects.dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
        return fd < 0 ? -errno : fd;
}

static int segments_open_reader(void *ctx, uint32_t id)
{
        const struct segments *s = ctx;
        char name[SEGMENT_NAME_SIZE];
        int fd, r;

        segment_name(id, name);
        r = objects_open(&s->objects, name, &fd);
        return r < 0 ? r : fd;
}

int segments_new(int dir_fd, atomic_bool *degraded, struct segments **ret)
{
        struct segments *s;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        r = fd_cache_new(segments_open_reader, s, SEGMENT_READ_FDS, &s->readers);
        if (r < 0) {
                free(s);
                return r;
        }
        s->objects = (struct objects){ dir_fd, degraded };
        s->degraded = degraded;
        s->next_id = 1;
        TAILQ_INIT(&s->active);
        pthread_mutex_init(&s->lock, NULL);
        pthread_mutex_init(&s->sync_lock, NULL);
        *ret = s;
        return 0;
}

static void segment_free(struct segment *seg)
{
        cleanup_close(&seg->fd);
        footer_done(&seg->footer);
        free(seg);
}

void segments_free(struct segments *s)
{
        struct segment *seg;

        if (!s)
                return;
        while ((seg = TAILQ_FIRST(&s->active))) {
                TAILQ_REMOVE(&s->active, seg, link);
                segment_free(seg);
        }
        fd_cache_free(s->readers);
        pthread_mutex_destroy(&s->lock);
        pthread_mutex_destroy(&s->sync_lock);
        free(s);
}

void segments_set_store(struct segments *s, const uint8_t id[STORE_ID_SIZE])
{
        memcpy(s->store, id, STORE_ID_SIZE);
}

void segments_set_next(struct segments *s, uint32_t id)
{
        LOCK_SCOPE(&s->lock);
        s->next_id = id;
}

uint32_t segments_get_next(struct segments *s)
{
        LOCK_SCOPE(&s->lock);
        return s->next_id;
}

static struct segment *segment_new(struct segments *s, uint32_t id, int fd, uint64_t end)
{
        struct segment *seg = calloc(1, sizeof(*seg));

        if (!seg)
                return NULL;
        seg->owner = s;
        seg->id = id;
        seg->fd = fd;
        seg->end = seg->writeback = end;
        return seg;
}

/* The file of a new segment. -EEXIST: somebody's, who may need it. */
static int segment_make_file(struct segments *s, uint32_t id)
{
        uint8_t header[SEGMENT_HEADER_SIZE] = SEGMENT_MAGIC;
        CLEANUP_CLOSE int fd = -1;
        int r;

        fd = segments_open_fd(s, id, O_RDWR | O_CREAT | O_EXCL);
        if (fd < 0)
                return fd;
        put_le32(header + 8, SEGMENT_VERSION);
        put_le32(header + 12, id);
        r = pwrite_full(fd, header, sizeof(header), 0);
        if (r < 0) {
                (void)segments_unlink(s, id); /* on a full disk: nothing would ever look at it again */
                return r;
        }
        return TAKE_FD(fd);
}

static uint32_t segments_next_id(struct segments *s)
{
        LOCK_SCOPE(&s->lock);
        return s->next_id < SEGMENT_ID_MAX ? s->next_id++ : SEGMENT_ID_MAX;
}

int segments_begin(struct segments *s, struct segment **ret)
{
        struct segment *seg;
        uint32_t id;
        int fd;

        do {
                id = segments_next_id(s);
                if (id >= SEGMENT_ID_MAX)
                        return -EFBIG;
                fd = segment_make_file(s, id);
        } while (fd == -EEXIST);
        if (fd < 0)
                return fd;

        seg = segment_new(s, id, -1, SEGMENT_HEADER_SIZE);
        if (!seg) {
                (void)close(fd);
                (void)segments_unlink(s, id);
                return -ENOMEM;
        }
        seg->fd = fd;
        seg->busy = true;

        LOCK_SCOPE(&s->lock);
        s->dir_dirty = true;
        TAILQ_INSERT_TAIL(&s->active, seg, link);
        *ret = seg;
        return 0;
}

uint32_t segment_id(const struct segment *seg)
{
        return seg->id;
}

int segments_take(struct segments *s, struct segment **ret)
{
        struct segment *seg;

        lock(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        if (!seg->busy && !seg->sealed && !seg->full)
                break;
        if (seg)
                seg->busy = true;
        unlock(&s->lock);

        if (!seg)
                return segments_begin(s, ret);
        *ret = seg;
        return 0;
}

/* Call with the lock held: frees a segment that nobody has anything left to do with. */
static void segment_retire(struct segment *seg)
{
        if (seg->busy || seg->syncing || !seg->sealed_recorded)
                return;
        TAILQ_REMOVE(&seg->owner->active, seg, link);
        segment_free(seg);
}

int segment_seal(struct segment *seg)
{
        struct segments *s = seg->owner;
        uint64_t len;
        int r;

        if (seg->sealed)
                return 0;
        r = atomic_load(s->degraded) ? -EROFS : footer_write(&seg->footer, seg->fd, seg->end, s->store, seg->id, &len);
        if (r < 0)
                return r;
        LOCK_SCOPE(&s->lock);
        seg->end += len;
        seg->sealed = true;
        return 0;
}

void segments_give(struct segments *s, struct segment *seg)
{
        if (!seg)
                return;
        /* Without a footer it is given one as if after a crash: its bytes are as safe as before. */
        if (seg->full)
                (void)segment_seal(seg);
        LOCK_SCOPE(&s->lock);
        seg->busy = false;
        segment_retire(seg);
}

/* One that is to be sealed, and busy from now on. */
static struct segment *segments_take_unsealed(struct segments *s)
{
        struct segment *seg;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        if (!seg->busy && !seg->sealed && !seg->full)
                break;
        if (seg)
                seg->busy = seg->full = true;
        return seg;
}

void segments_seal(struct segments *s)
{
        struct segment *seg;

        while ((seg = segments_take_unsealed(s)))
                segments_give(s, seg);
}

int segment_append(struct segment *seg, const void *bytes, size_t n, const struct footer_record *what,
                   const struct chunk_features *features, uint64_t *ret_place)
{
        uint64_t end = seg->end; /* only this thread changes it */
        struct footer_record record = *what;
        int r;

        if (atomic_load(seg->owner->degraded))
                return -EROFS;
        r = pwrite_full(seg->fd, bytes, n, end);
        if (r < 0)
                return r;
        record.offset = (uint32_t)end;
        record.stored_len = (uint32_t)n;
        if (!record.place)
                record.place = place_make(seg->id, (uint32_t)end);
        r = footer_add(&seg->footer, &record, features);
        if (r < 0)
                return r;

        lock(&seg->owner->lock);
        seg->end = end + n;
        seg->added += n;
        seg->full = seg->end >= SEGMENT_SIZE_SEALED;
        unlock(&seg->owner->lock);

        if (seg->end - seg->writeback >= SEGMENT_WRITEBACK) {
                /* Hints: what goes wrong with them the sync will tell. */
                (void)sync_file_range(seg->fd, (off_t)seg->writeback, (off_t)(seg->end - seg->writeback),
                                      SYNC_FILE_RANGE_WRITE);
                (void)posix_fadvise(seg->fd, 0, (off_t)seg->writeback, POSIX_FADV_DONTNEED);
                seg->writeback = seg->end;
        }
        *ret_place = place_make(seg->id, (uint32_t)end);
        return 0;
}

bool segment_is_full(const struct segment *seg)
{
        return seg->full;
}

/* Call with the lock held. */
static struct segment *segments_next_unsynced(struct segments *s)
{
        struct segment *seg;

        TAILQ_FOREACH(seg, &s->active, link)
        if (seg->synced < seg->wanted)
                return seg;
        return NULL;
}

/* Call with sync_lock held: else one would take the mark, and another not wait until it is done. */
static int segments_sync_names(struct segments *s)
{
        bool dirty;

        lock(&s->lock);
        dirty = s->dir_dirty;
        s->dir_dirty = false;
        unlock(&s->lock);
        return dirty ? objects_sync_names(&s->objects, "") : 0;
}

/*
 * A sync that failed is not tried again: the kernel has then marked the pages as clean, and a second
 * call would succeed without having written them.
 */
int segments_sync(struct segments *s)
{
        struct segment *seg;
        int r;

        LOCK_SCOPE(&s->sync_lock);
        if (atomic_load(s->degraded))
                return -EROFS;

        lock(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        {
                seg->wanted = seg->end;
                seg->added_wanted = seg->added;
        }
        while ((seg = segments_next_unsynced(s))) {
                seg->syncing = true;
                unlock(&s->lock);
                r = fdatasync(seg->fd) < 0 ? -errno : 0;
                lock(&s->lock);
                seg->syncing = false;
                if (r < 0) {
                        atomic_store(s->degraded, true);
                        unlock(&s->lock);
                        return r;
                }
                seg->synced = seg->wanted;
                seg->added_synced = seg->added_wanted;
        }
        unlock(&s->lock);
        return segments_sync_names(s);
}

int segments_sync_dir(struct segments *s)
{
        LOCK_SCOPE(&s->sync_lock);
        return segments_sync_names(s);
}

int segments_unrecorded(struct segments *s, struct segment_state **ret, size_t *ret_n)
{
        CLEANUP_FREE struct segment_state *states = NULL;
        struct segment *seg;
        size_t n = 0;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        n++;
        states = calloc(n ? n : 1, sizeof(*states));
        if (!states)
                return -ENOMEM;

        n = 0;
        TAILQ_FOREACH(seg, &s->active, link)
        {
                /*
                 * Sealed says: every byte before the end is named by a row or dead. An appender may be between the two.
                 */
                bool sealed = seg->sealed && seg->synced == seg->end && !seg->busy;

                if (seg->synced > seg->recorded || sealed != seg->sealed_recorded)
                        states[n++] = (struct segment_state){ .id = seg->id,
                                                              .end = seg->synced,
                                                              .added = seg->added_synced - seg->added_recorded,
                                                              .sealed = sealed };
        }
        *ret = TAKE_PTR(states);
        *ret_n = n;
        return 0;
}

void segments_recorded(struct segments *s, const struct segment_state *states, size_t n)
{
        struct segment *seg, *next;

        LOCK_SCOPE(&s->lock);
        for (size_t i = 0; i < n; i++) {
                for (seg = TAILQ_FIRST(&s->active); seg; seg = next) {
                        next = TAILQ_NEXT(seg, link);
                        if (seg->id != states[i].id)
                                continue;
                        seg->recorded = states[i].end;
                        seg->added_recorded += states[i].added;
                        seg->sealed_recorded = states[i].sealed;
                        segment_retire(seg);
                        break;
                }
        }
}

int segments_disown(struct segments *s, struct segment_range **ret, size_t *ret_n)
{
        struct segment_range *ranges;
        struct segment *seg;
        uint64_t from;
        size_t n = 0;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        n++;
        ranges = calloc(n ? n : 1, sizeof(*ranges));
        if (!ranges)
                return -ENOMEM;
        n = 0;
        TAILQ_FOREACH(seg, &s->active, link)
        {
                from = seg->recorded > seg->disowned ? seg->recorded : seg->disowned;
                if (from < SEGMENT_HEADER_SIZE)
                        from = SEGMENT_HEADER_SIZE;
                if (seg->sealed || from >= seg->end)
                        continue;
                ranges[n++] = (struct segment_range){ .id = seg->id, .from = from, .to = seg->end };
                seg->disowned = seg->end;
        }
        *ret = ranges;
        *ret_n = n;
        return 0;
}

bool segments_is_busy(struct segments *s, uint32_t id)
{
        struct segment *seg;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
        if (seg->id == id)
                return seg->busy;
        return false;
}

bool segments_is_active(struct segments *s, uint32_t id)
{
        struct segment *seg;

        LOCK_SCOPE(&s->lock);
        TAILQ_FOREACH(seg, &s->active, link)
                if (seg->id == id)
                        return true;
        return false;
}

int segments_read(struct segments *s, uint64_t place, void *buf, size_t n)
{
        struct fd_ref *ref;
        ssize_t got;
        int fd, r;

        r = fd_cache_get(s->readers, place_segment(place), &ref, &fd);
        if (r < 0)
                return r == -ENOENT ? -EBADMSG : r;
        got = pread_full(fd, buf, n, place_offset(place));
        fd_cache_put(s->readers, ref);
        if (got < 0)
                return (int)got;
        return (size_t)got == n ? 0 : -EBADMSG;
}

int segments_stat(struct segments *s, uint32_t id, uint64_t *ret_size, uint64_t *ret_allocated)
{
        char name[SEGMENT_NAME_SIZE];

        segment_name(id, name);
        return objects_stat(&s->objects, name, ret_size, ret_allocated);
}

int segments_punch(struct segments *s, uint32_t id, uint64_t from, uint64_t to)
{
        char name[SEGMENT_NAME_SIZE];

        segment_name(id, name);
        return objects_punch(&s->objects, name, from, to);
}

int segments_describe(struct segments *s, uint32_t id, struct footer *ret)
{
        struct fd_ref *ref;
        struct stat st;
        int fd, r;

        r = fd_cache_get(s->readers, id, &ref, &fd);
        if (r < 0)
                return r;
        r = fstat(fd, &st) < 0 ? -errno : footer_read(fd, (uint64_t)st.st_size, s->store, id, ret);
        fd_cache_put(s->readers, ref);
        return r;
}

int segments_add_footer(struct segments *s, uint32_t id, const struct footer *f, uint64_t *ret_size)
{
        CLEANUP_CLOSE int fd = segments_open_fd(s, id, O_RDWR);
        struct stat st;
        uint64_t len;
        int r;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        r = footer_write(f, fd, (uint64_t)st.st_size, s->store, id, &len);
        if (r < 0)
                return r;
        if (fsync(fd) < 0) {
                r = -errno;
                atomic_store(s->degraded, true);
                return r;
        }
        *ret_size = (uint64_t)st.st_size + len;
        return 0;
}

int segments_unlink(struct segments *s, uint32_t id)
{
        char name[SEGMENT_NAME_SIZE];
        int r;

        segment_name(id, name);
        r = objects_remove(&s->objects, name);
        if (r < 0 && r != -ENOENT)
                return r;
        fd_cache_forget(s->readers, id);

        LOCK_SCOPE(&s->lock);
        s->dir_dirty = true;
        return 0;
}

struct each_segment {
        struct segments *segments;
        uint32_t from;
        segments_each_fn *fn;
        void *ctx;
};

static int segments_each_name(void *ctx, const char *name)
{
        const struct each_segment *each = ctx;
        uint64_t size, allocated;
        uint8_t bytes[4];
        uint32_t id;
        int r;

        if (strlen(name) != SEGMENT_NAME_SIZE - 1 || strcmp(name + 8, ".seg") != 0 || parse_hex(name, 8, bytes) < 0)
                return 0;
        id = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
        if (id < each->from)
                return 0;
        r = objects_stat(&each->segments->objects, name, &size, &allocated);
        return r < 0 ? r : each->fn(each->ctx, id, size);
}

int segments_each(struct segments *s, uint32_t from, segments_each_fn *fn, void *ctx)
{
        struct each_segment each = { .segments = s, .from = from, .fn = fn, .ctx = ctx };

        return dir_each(s->objects.dir_fd, ".", segments_each_name, &each);
}
