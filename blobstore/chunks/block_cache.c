/* SPDX-License-Identifier: MIT */

/*
 * What is known here of a file (block_slots.h has what is in one):
 *
 *      unseen          an earlier run left it; it counts for what it takes, and goes first, whole
 *      seen            from the first read or write of its blob on: where it has data, its blocks are likely there, and
 *                      stand in the table of stretches (stretches.h), with those that are filled from then on
 *
 * Its descriptor is open while the blob is, from the first block on. A file whose stretches are all gone is removed when
 * the blob is closed.
 *
 * Readers take no lock but that of a stretch's bits. A stretch may be given back, or the file be removed and made again,
 * while one reads: then what it reads does not verify. Who fills holds the stretch, and waits for the disk without a
 * lock; a few may at a time, so that a slow disk does not hold up all who read.
 */

#include "blobstore/chunks/block_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/block_dir.h"
#include "blobstore/chunks/block_gate.h"
#include "blobstore/chunks/stretches.h"

#define FILE_BUCKETS 1024
#define FILLERS_MAX  4

/* One part in so many of the disk is the cache unless told otherwise, and one is left free by it in any case. */
#define SHARE_DEFAULT 10
#define SHARE_MOST    (UINT64_C(32) << 30)
#define SHARE_FREE    16

/* It counts as full when one part in so many is left, and the stretch that went last. */
#define FULL_BUT_FOR 16

/* Among so many hits one looks whether its file is still there. */
#define HITS_STEP 1024

/* What is written before the disk's free space is asked for again, and given back at once where there is none. */
#define SPACE_STEP (UINT64_C(16) << 20)

struct block_file {
        struct block_cache *cache;
        struct blob_id id;
        uint64_t seed; /* of its checksums */
        uint64_t size; /* of the blob; constant while it is open */

        LIST_ENTRY(block_file) link; /* this and the next five under the cache's lock */
        TAILQ_ENTRY(block_file) turn; /* while it is unseen */
        uint64_t unseen; /* bytes that it takes */
        struct stretch_list stretches;
        unsigned users;
        bool removed; /* so is the blob */

        pthread_mutex_t open_lock; /* it is opened, or made again, by one thread at a time; before the cache's lock */
        atomic_bool seen; /* changed under open_lock, as is the next */
        atomic_int fd; /* -1; constant while the blob is open, once it is there */
};

struct block_cache {
        struct block_dir dir;
        uint64_t most; /* bytes */
        atomic_uint fillers;
        atomic_int_fast64_t budget; /* bytes that may be written before the disk's free space is asked for */
        atomic_bool tight; /* there was little of that when it was last asked for */
        atomic_uint_fast64_t hits, damaged;

        pthread_mutex_t lock; /* what follows, and what files and stretches say is under it */
        LIST_HEAD(, block_file) files[FILE_BUCKETS];
        TAILQ_HEAD(, block_file) unseen;
        uint64_t unseen_bytes;
        struct stretches *stretches;

        struct block_gate *gate;
};

/* ---- files ---- */

/* Call with the cache's lock held. */
static struct block_file *file_find(struct block_cache *c, const struct blob_id *id)
{
        struct block_file *f;

        LIST_FOREACH(f, &c->files[(id->bytes[0] << 8 | id->bytes[1]) % FILE_BUCKETS], link)
                if (memcmp(f->id.bytes, id->bytes, BLOB_ID_SIZE) == 0)
                        return f;
        return NULL;
}

/* Call with the cache's lock held. */
static struct block_file *file_add(struct block_cache *c, const struct blob_id *id)
{
        struct block_file *f = calloc(1, sizeof(*f));

        if (!f)
                return NULL;
        f->cache = c;
        f->id = *id;
        f->seed = block_slots_seed(id);
        LIST_INIT(&f->stretches);
        pthread_mutex_init(&f->open_lock, NULL);
        atomic_init(&f->fd, -1);
        LIST_INSERT_HEAD(&c->files[(id->bytes[0] << 8 | id->bytes[1]) % FILE_BUCKETS], f, link);
        return f;
}

/* Call with the cache's lock held, or when nobody else has the cache. */
static void file_set_unseen(struct block_file *f, uint64_t bytes)
{
        struct block_cache *c = f->cache;

        if (f->unseen)
                TAILQ_REMOVE(&c->unseen, f, turn);
        c->unseen_bytes += bytes - f->unseen;
        f->unseen = bytes;
        if (bytes)
                TAILQ_INSERT_TAIL(&c->unseen, f, turn);
}

/* Call with the cache's lock held: nothing stands for the file any more, except what is being filled. */
static void file_forget(struct block_file *f)
{
        file_set_unseen(f, 0);
        stretches_forget(f->cache->stretches, &f->stretches);
}

static void file_free(struct block_file *f)
{
        int fd = atomic_load(&f->fd);

        cleanup_close(&fd);
        pthread_mutex_destroy(&f->open_lock);
        free(f);
}

int block_file_open(struct block_cache *c, const struct blob_id *id, uint64_t size, struct block_file **ret)
{
        struct block_file *f;

        LOCK_SCOPE(&c->lock);
        f = file_find(c, id);
        if (!f)
                f = file_add(c, id);
        if (!f)
                return -ENOMEM;
        if (f->users++ == 0)
                f->size = size;
        *ret = f;
        return 0;
}

void block_file_close(struct block_file *f)
{
        struct block_cache *c;
        bool empty;
        int fd;

        if (!f)
                return;
        c = f->cache;
        lock(&c->lock);
        if (--f->users > 0) {
                unlock(&c->lock);
                return;
        }
        if (f->removed)
                file_forget(f);
        empty = f->unseen == 0 && LIST_EMPTY(&f->stretches);
        if (empty)
                LIST_REMOVE(f, link);
        fd = atomic_exchange(&f->fd, -1);
        unlock(&c->lock);

        if (empty && (f->removed || atomic_load(&f->seen))) /* who opens the blob meanwhile writes to one without a name */
                block_dir_remove(&c->dir, &f->id);
        cleanup_close(&fd);
        if (empty)
                file_free(f);
}

/* A block_run_fn. */
static int file_add_run(void *ctx, uint64_t block, uint64_t blocks)
{
        struct block_file *f = ctx;
        struct stretches *t = f->cache->stretches;
        uint64_t end = block + blocks, next;
        struct stretch *st;

        LOCK_SCOPE(&f->cache->lock);
        for (; block < end; block = next) {
                next = (block / STRETCH_BLOCKS + 1) * STRETCH_BLOCKS;
                if (next > end)
                        next = end;
                st = stretches_fill(t, f, &f->stretches, block, (size_t)(next - block));
                if (!st)
                        return -ENOMEM;
                stretches_filled(t, st, block, (size_t)(next - block), true);
        }
        return 0;
}

/* The file's descriptor, opened, or made with CREATE, where it is not: what lies in it counts from now on. */
static int file_get_fd(struct block_file *f, bool create)
{
        struct block_cache *c = f->cache;
        int fd, r;

        fd = atomic_load(&f->fd);
        if (fd >= 0)
                return fd;
        LOCK_SCOPE(&f->open_lock);
        fd = atomic_load(&f->fd);
        if (fd >= 0)
                return fd;
        r = block_dir_open(&c->dir, &f->id, create, &fd);
        if (r < 0 || !atomic_load(&f->seen)) {
                lock(&c->lock);
                file_forget(f);
                unlock(&c->lock);
        }
        if (r == 0 && !atomic_load(&f->seen))
                (void)block_slots_each_run(fd, file_add_run, f); /* what is not found is filled again */
        atomic_store(&f->seen, true);
        if (r < 0)
                return r;
        atomic_store(&f->fd, fd);
        return fd;
}

/* Somebody removed it, or all of the cache: what is read from it is still right, but its space is to come back. */
static int file_make_again(struct block_file *f, int fd)
{
        CLEANUP_CLOSE int made = -1;
        struct stat st;
        int r;

        LOCK_SCOPE(&f->open_lock);
        if (fstat(fd, &st) == 0 && st.st_nlink > 0)
                return 0;
        lock(&f->cache->lock);
        file_forget(f);
        unlock(&f->cache->lock);
        r = block_dir_open(&f->cache->dir, &f->id, true, &made);
        if (r < 0)
                return r;
        return dup3(made, fd, O_CLOEXEC) < 0 ? -errno : 0; /* for who reads it just now, too */
}

/* ---- space ---- */

/* Call with the lock held. */
static uint64_t cache_bytes(const struct block_cache *c)
{
        return c->unseen_bytes + stretches_bytes(c->stretches);
}

/* Call with the lock held, which is given up meanwhile. False: there is nothing that could go. */
static bool cache_drop_unseen(struct block_cache *c)
{
        struct block_file *f = TAILQ_FIRST(&c->unseen);
        struct blob_id id;

        if (!f)
                return false;
        id = f->id;
        file_set_unseen(f, 0);
        if (f->users == 0) {
                LIST_REMOVE(f, link);
                file_free(f);
        }
        unlock(&c->lock);
        block_dir_remove(&c->dir, &id);
        lock(&c->lock);
        return true;
}

static void stretch_punch(struct block_file *f, uint64_t number)
{
        CLEANUP_CLOSE int opened = -1;
        int fd = atomic_load(&f->fd);

        if (fd < 0 && block_dir_open(&f->cache->dir, &f->id, false, &opened) == 0)
                fd = opened;
        if (fd >= 0)
                (void)block_slots_punch(fd, number); /* where that fails its disk does, and nothing else can be done */
}

/* As cache_drop_unseen(). */
static bool cache_drop_stretch(struct block_cache *c)
{
        struct block_file *f;
        uint64_t number;
        void *file;

        if (!stretches_take(c->stretches, &file, &number))
                return false;
        f = file;
        f->users++;
        unlock(&c->lock);
        stretch_punch(f, number);
        block_file_close(f);
        lock(&c->lock);
        return true;
}

/* Gives back until no more than MOST are left. */
static void cache_trim(struct block_cache *c, uint64_t most)
{
        LOCK_SCOPE(&c->lock);
        while (cache_bytes(c) > most && (cache_drop_unseen(c) || cache_drop_stretch(c)))
                ;
}

uint64_t block_cache_give_way(struct block_cache *c, uint64_t bytes)
{
        struct block_cache_stats before, after;

        block_cache_get_stats(c, &before);
        cache_trim(c, before.bytes > bytes ? before.bytes - bytes : 0);
        block_cache_get_stats(c, &after);
        return before.bytes > after.bytes ? before.bytes - after.bytes : 0;
}

/* What may be written before the disk is too full for a cache; negative: so many bytes are missing. */
static int64_t cache_find_room(struct block_cache *c)
{
        uint64_t free, all;

        if (block_dir_space(&c->dir, &free, &all) < 0)
                return 0;
        return (int64_t)free - (int64_t)(all / SHARE_FREE);
}

void block_cache_keep_room(struct block_cache *c)
{
        int64_t room = cache_find_room(c);

        if (room < 0)
                (void)block_cache_give_way(c, (uint64_t)-room);
}

/* May N bytes be written? Where the disk has become full with others' files, the cache makes room first. */
static bool cache_may_write(struct block_cache *c, size_t n)
{
        int64_t room;

        if (atomic_fetch_sub(&c->budget, (int64_t)n) >= (int64_t)n)
                return true;
        block_cache_keep_room(c);
        room = cache_find_room(c);
        room = room < (int64_t)SPACE_STEP ? room : (int64_t)SPACE_STEP;
        atomic_store(&c->budget, room - (int64_t)n);
        atomic_store(&c->tight, room < (int64_t)SPACE_STEP);
        return room >= (int64_t)n;
}

/* ---- the cache ---- */

/* A block_dir_fn. */
static int cache_add_unseen(void *ctx, const struct blob_id *id, uint64_t bytes)
{
        struct block_cache *c = ctx;
        struct block_file *f = file_add(c, id);

        if (!f)
                return -ENOMEM;
        file_set_unseen(f, bytes ? bytes : 1); /* an empty one goes likewise */
        return 0;
}

int block_cache_new(const char *dir, const char *name, uint64_t bytes, struct block_cache **ret)
{
        struct block_cache *c = calloc(1, sizeof(*c));
        uint64_t free_bytes, all = 0;
        int r;

        if (!c)
                return -ENOMEM;
        pthread_mutex_init(&c->lock, NULL);
        TAILQ_INIT(&c->unseen);
        r = block_dir_init(&c->dir, dir, name);
        if (r == 0 && bytes == BLOCK_CACHE_SHARE) {
                r = block_dir_space(&c->dir, &free_bytes, &all);
                bytes = all / SHARE_DEFAULT < SHARE_MOST ? all / SHARE_DEFAULT : SHARE_MOST;
        }
        c->most = bytes;
        if (r == 0)
                r = stretches_new(bytes, &c->stretches);
        if (r == 0)
                r = block_gate_new(bytes, &c->gate);
        if (r == 0)
                r = block_dir_each(&c->dir, cache_add_unseen, c);
        if (r < 0) {
                block_cache_free(c);
                return r;
        }
        cache_trim(c, c->most);
        *ret = c;
        return 0;
}

void block_cache_free(struct block_cache *c)
{
        struct block_file *f;

        if (!c)
                return;
        for (unsigned i = 0; i < FILE_BUCKETS; i++)
                while ((f = LIST_FIRST(&c->files[i]))) {
                        LIST_REMOVE(f, link);
                        file_free(f);
                }
        block_gate_free(c->gate);
        stretches_free(c->stretches);
        block_dir_done(&c->dir);
        pthread_mutex_destroy(&c->lock);
        free(c);
}

void block_cache_remove(struct block_cache *c, const struct blob_id *id)
{
        struct block_file *f;

        lock(&c->lock);
        f = file_find(c, id);
        if (f) {
                f->removed = true;
                f->users++;
        }
        unlock(&c->lock);
        block_file_close(f);
}

void block_cache_get_stats(struct block_cache *c, struct block_cache_stats *ret)
{
        LOCK_SCOPE(&c->lock);
        *ret = (struct block_cache_stats){
                .hits = atomic_load_explicit(&c->hits, memory_order_relaxed),
                .damaged = atomic_load_explicit(&c->damaged, memory_order_relaxed),
                .bytes = cache_bytes(c),
                .most = c->most,
        };
}

/* ---- blocks ---- */

bool block_file_read(struct block_file *f, void *buf, size_t n, uint64_t off)
{
        struct block_cache *c = f->cache;
        struct block_slots slots = { .seed = f->seed };
        uint64_t block = off / BLOB_BLOCK_SIZE;
        int r;

        if (!atomic_load(&f->seen))
                (void)file_get_fd(f, false);
        if (!stretches_have(c->stretches, f, block, (size_t)((off + n - 1) / BLOB_BLOCK_SIZE - block + 1)))
                return false;
        slots.fd = file_get_fd(f, false);
        if (slots.fd < 0)
                return false;
        r = block_slots_read(&slots, buf, n, off, &block);
        if (r > 0) {
                if (atomic_fetch_add_explicit(&c->hits, 1, memory_order_relaxed) % HITS_STEP == 0)
                        (void)file_make_again(f, slots.fd);
                return true;
        }
        if (stretches_unset(c->stretches, f, block) && r < 0)
                atomic_fetch_add_explicit(&c->damaged, 1, memory_order_relaxed);
        return false;
}

bool block_file_admits(struct block_file *f, uint64_t off)
{
        struct block_cache *c = f->cache;
        bool full;

        if (!block_gate_is_again(c->gate, f->seed + off / BLOB_BLOCK_SIZE))
                return false;
        lock(&c->lock);
        full = cache_bytes(c) + c->most / FULL_BUT_FOR + STRETCH_BYTES > c->most;
        unlock(&c->lock);
        return !(full || atomic_load(&c->tight)) || block_gate_is_turn(c->gate);
}

/* Blocks of one stretch. */
static int file_fill_part(struct block_file *f, const struct block_slots *slots, const uint8_t *bytes, size_t n,
                          uint64_t off)
{
        size_t blocks = (n + BLOB_BLOCK_SIZE - 1) / BLOB_BLOCK_SIZE;
        struct block_cache *c = f->cache;
        struct stretch *st;
        bool full;
        int r;

        lock(&c->lock);
        st = f->removed ? NULL : stretches_fill(c->stretches, f, &f->stretches, off / BLOB_BLOCK_SIZE, blocks);
        full = cache_bytes(c) > c->most;
        unlock(&c->lock);
        if (!st)
                return -ENOMEM;
        if (full)
                cache_trim(c, c->most);
        r = block_slots_write(slots, bytes, n, off);
        LOCK_SCOPE(&c->lock);
        stretches_filled(c->stretches, st, off / BLOB_BLOCK_SIZE, blocks, r == 0);
        return r;
}

static int file_fill(struct block_file *f, const uint8_t *bytes, size_t n, uint64_t off)
{
        struct block_slots slots = { .seed = f->seed };
        size_t part, left;
        struct stat st;
        int r = 0;

        slots.fd = file_get_fd(f, true);
        if (slots.fd < 0)
                return slots.fd;
        if (fstat(slots.fd, &st) < 0)
                return -errno;
        if (st.st_nlink == 0)
                r = file_make_again(f, slots.fd);
        for (size_t pos = 0; r == 0 && pos < n; pos += part) {
                left = (size_t)(STRETCH_BLOCKS - (off + pos) / BLOB_BLOCK_SIZE % STRETCH_BLOCKS) * BLOB_BLOCK_SIZE;
                part = n - pos < left ? n - pos : left;
                r = file_fill_part(f, &slots, bytes + pos, part, off + pos);
        }
        return r;
}

void block_file_fill(struct block_file *f, const void *bytes, size_t n, uint64_t off)
{
        struct block_cache *c = f->cache;
        int r = 0;

        if (off % BLOB_BLOCK_SIZE)
                return;
        if (off + n != f->size)
                n -= n % BLOB_BLOCK_SIZE; /* only the blob's last block is completed with zeros */
        if (n == 0)
                return;
        if (atomic_fetch_add(&c->fillers, 1) < FILLERS_MAX && cache_may_write(c, n))
                r = file_fill(f, bytes, n, off);
        atomic_fetch_sub(&c->fillers, 1);
        if (r == -ENOSPC || r == -EDQUOT)
                (void)block_cache_give_way(c, SPACE_STEP);
}
