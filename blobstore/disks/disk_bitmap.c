/* SPDX-License-Identifier: MIT */

/*
 * The file is an array of sectors of 512 bytes, little endian:
 *
 *      u64 hash of the rest, seeded with the disk's seed and the sector's number; u64[63] bits of 4032 blocks
 *
 * A sector of zeros says that none of its blocks was changed. Pages of eight sectors are what is read, kept in memory
 * and written; they are written in place. A power failure in the middle leaves old and new sectors side by side, since
 * disks write sectors whole; each of them passes, and as bits are only ever set, and none before its data is durable,
 * any mixture is true. So a sector that does not pass is damage and never a crash, and nothing older has to be kept to
 * fall back to.
 *
 * In memory pages hang in a table of two levels, which is never moved, so that lookups take no lock. A page is loaded
 * when it is first asked for; one without a bit is not kept, as a disk that is mostly unchanged mostly consists of
 * those. Pages with bits stay: 32 MiB for a TiB that was changed throughout. Their bits are in memory that outlives the
 * process, where there is any (kept.h): a write is answered before they are synced, and whoever wrote has no reason to do so
 * again when the next process takes over. What it finds there counts as not synced.
 *
 * A page has its place on disk before the first of its bits is set, so that whoever sets it is told when there is none:
 * the file is a hole at first, and a sync that found no room for what had been answered would lose it with the last
 * close. Other pages are written in place, which needs no room, except where a file system writes everything elsewhere.
 *
 * Not here: taking bits back. A discarded block is a changed one, which is a hole in the data.
 */

#include "blobstore/disks/disk_bitmap_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "blobstore/base/block.h"
#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/disks/disks.h"
#include "blobstore/hash/hash.h"

#define SECTOR_SIZE      512
#define SECTOR_HASH_SIZE 8
#define SECTOR_WORDS     ((SECTOR_SIZE - SECTOR_HASH_SIZE) / 8)

#define PAGE_SECTORS 8
#define PAGE_SIZE    (PAGE_SECTORS * SECTOR_SIZE)
#define PAGE_WORDS   (PAGE_SECTORS * SECTOR_WORDS)
#define PAGE_BLOCKS  (PAGE_WORDS * 64)

#define PAGES_MAX   (BLOB_SIZE_MAX / BLOB_BLOCK_SIZE / PAGE_BLOCKS + 1)
#define TABLE_PAGES 1024
#define TABLES_MAX  (PAGES_MAX / TABLE_PAGES + 1)

/* Pages that are made durable together; a bound on the memory that takes. */
#define SYNC_PAGES 1024

struct bitmap_page {
        STAILQ_ENTRY(bitmap_page) link; /* in the list of dirty pages */
        uint64_t number;
        atomic_bool dirty; /* in that list; changed under dirty_lock */
        struct kept_page *kept; /* its words are there; NULL: behind this */
        _Atomic uint64_t *words;
};

/* A slot, and a page of memory. */
struct kept_page {
        struct kept_slot slot;
        uint8_t disk[DISK_BITMAP_NAME_SIZE];
        uint64_t number;
        uint64_t unused[4];
        _Atomic uint64_t words[PAGE_WORDS];
};
_Static_assert(sizeof(struct kept_page) == DISKS_KEPT_BYTES, "as the file of slots was made");

struct bitmap_table {
        _Atomic(struct bitmap_page *) pages[TABLE_PAGES]; /* set under load_lock; NULL: not looked at */
};

struct disk_bitmap {
        int fd; /* -1: in memory alone */
        uint64_t seed;
        struct kept *kept; /* NULL: what is not synced is lost with the process */
        uint8_t name[DISK_BITMAP_NAME_SIZE];

        struct bitmap_page empty; /* stands for every page without a bit */
        _Atomic uint64_t no_words[PAGE_WORDS]; /* its own */
        _Atomic(struct bitmap_table *) tables[TABLES_MAX]; /* set under load_lock */
        pthread_mutex_t load_lock;

        pthread_mutex_t dirty_lock;
        STAILQ_HEAD(bitmap_pages, bitmap_page) dirty; /* under dirty_lock */
};

uint64_t disk_bitmap_file_size(uint64_t blocks)
{
        return (blocks + PAGE_BLOCKS - 1) / PAGE_BLOCKS * PAGE_SIZE;
}

int disk_bitmap_open(int fd, uint64_t seed, struct disk_bitmap **ret)
{
        struct disk_bitmap *b = calloc(1, sizeof(*b));

        if (!b) {
                cleanup_close(&fd);
                return -ENOMEM;
        }
        b->fd = fd;
        b->seed = seed;
        b->empty.words = b->no_words;
        pthread_mutex_init(&b->load_lock, NULL);
        pthread_mutex_init(&b->dirty_lock, NULL);
        STAILQ_INIT(&b->dirty);
        *ret = b;
        return 0;
}

int disk_bitmap_new(struct disk_bitmap **ret)
{
        return disk_bitmap_open(-1, 0, ret);
}

void disk_bitmap_attach(struct disk_bitmap *b, int fd, uint64_t seed)
{
        LOCK_SCOPE(&b->load_lock); /* who reads looks for pages meanwhile */
        b->seed = seed;
        b->fd = fd;
}

/* Accepts NULL. */
static void page_free(struct disk_bitmap *b, struct bitmap_page *page)
{
        if (page && page->kept)
                kept_give(b->kept, page->kept);
        free(page);
}

/* Without bits. */
static int page_new(struct disk_bitmap *b, uint64_t number, struct bitmap_page **ret)
{
        struct bitmap_page *page;
        void *slot;
        int r;

        page = calloc(1, sizeof(*page) + (b->kept ? 0 : PAGE_WORDS * sizeof(*page->words)));
        if (!page)
                return -ENOMEM;
        page->number = number;
        page->words = (_Atomic uint64_t *)(page + 1);
        if (b->kept) {
                r = kept_take(b->kept, &slot);
                if (r < 0) {
                        free(page);
                        return r;
                }
                page->kept = slot;
                page->kept->number = number;
                memcpy(page->kept->disk, b->name, sizeof(b->name));
                page->words = page->kept->words;
        }
        *ret = page;
        return 0;
}

void disk_bitmap_free(struct disk_bitmap *b)
{
        struct bitmap_table *table;
        struct bitmap_page *page;

        if (!b)
                return;
        for (size_t i = 0; i < TABLES_MAX; i++) {
                table = atomic_load(&b->tables[i]);
                for (size_t j = 0; table && j < TABLE_PAGES; j++) {
                        page = atomic_load(&table->pages[j]);
                        if (page != &b->empty)
                                page_free(b, page);
                }
                free(table);
        }
        pthread_mutex_destroy(&b->dirty_lock);
        pthread_mutex_destroy(&b->load_lock);
        cleanup_close(&b->fd);
        free(b);
}

/* ---- pages ---- */

/* Every sector has a number of its own, and so a seed. */
static uint64_t sector_hash(const struct disk_bitmap *b, uint64_t page, unsigned sector, const uint8_t *bytes)
{
        return hash64(bytes + SECTOR_HASH_SIZE, SECTOR_SIZE - SECTOR_HASH_SIZE, b->seed + page * PAGE_SECTORS + sector);
}

static int page_decode(const struct disk_bitmap *b, const uint8_t *bytes, struct bitmap_page *page)
{
        for (unsigned s = 0; s < PAGE_SECTORS; s++, bytes += SECTOR_SIZE) {
                if (block_is_zero(bytes, SECTOR_SIZE))
                        continue;
                if (get_le64(bytes) != sector_hash(b, page->number, s, bytes))
                        return -EBADMSG;
                for (unsigned i = 0; i < SECTOR_WORDS; i++)
                        atomic_init(&page->words[s * SECTOR_WORDS + i], get_le64(bytes + SECTOR_HASH_SIZE + 8 * i));
        }
        return 0;
}

static void page_encode(const struct disk_bitmap *b, const struct bitmap_page *page, uint8_t *bytes)
{
        for (unsigned s = 0; s < PAGE_SECTORS; s++, bytes += SECTOR_SIZE) {
                for (unsigned i = 0; i < SECTOR_WORDS; i++)
                        put_le64(bytes + SECTOR_HASH_SIZE + 8 * i, atomic_load(&page->words[s * SECTOR_WORDS + i]));
                put_le64(bytes, 0);
                if (!block_is_zero(bytes, SECTOR_SIZE))
                        put_le64(bytes, sector_hash(b, page->number, s, bytes));
        }
}

/* Gives the place of a page in its table, which is made if need be. Call with load_lock held. */
static int bitmap_slot(struct disk_bitmap *b, uint64_t number, _Atomic(struct bitmap_page *) **ret)
{
        _Atomic(struct bitmap_table *) *slot = &b->tables[number / TABLE_PAGES];
        struct bitmap_table *table = atomic_load(slot);

        if (!table) {
                table = calloc(1, sizeof(*table));
                if (!table)
                        return -ENOMEM;
                atomic_store(slot, table);
        }
        *ret = &table->pages[number % TABLE_PAGES];
        return 0;
}

/* As it is in memory; NULL: not there. */
static struct bitmap_page *bitmap_peek(struct disk_bitmap *b, uint64_t number)
{
        struct bitmap_table *table = atomic_load_explicit(&b->tables[number / TABLE_PAGES], memory_order_acquire);

        if (!table)
                return NULL;
        return atomic_load_explicit(&table->pages[number % TABLE_PAGES], memory_order_acquire);
}

/* Room for a page that is a hole. Not every file system can set it aside. */
static int page_find_place(struct disk_bitmap *b, uint64_t number)
{
        if (b->fd < 0 || fallocate(b->fd, FALLOC_FL_KEEP_SIZE, (off_t)(number * PAGE_SIZE), PAGE_SIZE) == 0 ||
            errno == EOPNOTSUPP)
                return 0;
        return -errno;
}

/* Call with load_lock held. */
static int bitmap_load(struct disk_bitmap *b, uint64_t number, bool to_set, struct bitmap_page **ret)
{
        struct bitmap_page *page;
        _Atomic(struct bitmap_page *) *slot;
        uint8_t bytes[PAGE_SIZE] = { 0 };
        bool known, empty;
        ssize_t n;
        int r;

        r = bitmap_slot(b, number, &slot);
        if (r < 0)
                return r;
        *ret = atomic_load(slot);
        known = *ret != NULL;
        if (known && !(to_set && *ret == &b->empty))
                return 0;

        /* What stood for a page without bits is replaced by a page; whoever still looks at it sees what was true. */
        if (!known && b->fd >= 0) {
                n = pread_full(b->fd, bytes, sizeof(bytes), number * PAGE_SIZE);
                if (n < 0)
                        return (int)n;
                if (n != PAGE_SIZE)
                        return -EBADMSG;
        }
        empty = block_is_zero(bytes, sizeof(bytes));
        if (empty && !to_set) {
                *ret = &b->empty;
                atomic_store_explicit(slot, *ret, memory_order_release);
                return 0;
        }
        r = page_new(b, number, &page);
        if (r < 0)
                return r;
        r = empty ? page_find_place(b, number) : page_decode(b, bytes, page);
        if (r < 0) {
                page_free(b, page);
                return r;
        }
        if (page->kept)
                kept_publish(b->kept, page->kept);
        *ret = page;
        atomic_store_explicit(slot, *ret, memory_order_release);
        return 0;
}

static int bitmap_get(struct disk_bitmap *b, uint64_t number, bool to_set, struct bitmap_page **ret)
{
        struct bitmap_page *page = bitmap_peek(b, number);

        if (page && !(to_set && page == &b->empty)) {
                *ret = page;
                return 0;
        }
        LOCK_SCOPE(&b->load_lock);
        return bitmap_load(b, number, to_set, ret);
}

/* ---- bits ---- */

/* Is BIT set, and how many from it on, MAX at most, are like it? */
static unsigned page_run(const struct bitmap_page *page, unsigned bit, unsigned max, bool *ret_set)
{
        unsigned pos = bit, end = bit + max;
        /* Read once: between two looks at it the answer may change. */
        uint64_t word = atomic_load_explicit(&page->words[pos / 64], memory_order_acquire) >> pos % 64;
        uint64_t like = word & 1 ? ~UINT64_C(0) : 0;

        *ret_set = word & 1;
        word = (word ^ like) & (~UINT64_C(0) >> pos % 64);
        while (word == 0) {
                pos = (pos / 64 + 1) * 64;
                if (pos >= end)
                        return max;
                word = atomic_load_explicit(&page->words[pos / 64], memory_order_acquire) ^ like;
        }
        pos += (unsigned)__builtin_ctzll(word);
        return pos < end ? pos - bit : max;
}

int disk_bitmap_run(struct disk_bitmap *b, uint64_t first, uint64_t max, bool *ret_set, uint64_t *ret_n)
{
        struct bitmap_page *page;
        unsigned bit, part, like;
        uint64_t n = 0;
        bool set = false, also;
        int r;

        do {
                bit = (unsigned)((first + n) % PAGE_BLOCKS);
                part = max - n < PAGE_BLOCKS - bit ? (unsigned)(max - n) : PAGE_BLOCKS - bit;
                r = bitmap_get(b, (first + n) / PAGE_BLOCKS, false, &page);
                if (r < 0)
                        return r;
                like = page_run(page, bit, part, &also);
                if (n == 0)
                        set = also;
                if (also != set)
                        break;
                n += like;
        } while (like == part && n < max);

        *ret_set = set;
        *ret_n = n;
        return 0;
}

/* After bits were set: whoever takes the page off the list looks at its bits afterwards. */
static void bitmap_mark_dirty(struct disk_bitmap *b, struct bitmap_page *page)
{
        if (b->fd < 0 || atomic_load(&page->dirty))
                return;
        LOCK_SCOPE(&b->dirty_lock);
        if (atomic_load(&page->dirty))
                return;
        STAILQ_INSERT_TAIL(&b->dirty, page, link);
        atomic_store(&page->dirty, true);
}

/* A kept_fn: a page that an earlier process had of this disk. All its bits are true, and not all may be in the file. */
static int adopt(void *ctx, void *slot)
{
        struct disk_bitmap *b = ctx;
        struct kept_page *kept = slot;
        _Atomic(struct bitmap_page *) *place;
        struct bitmap_page *page;
        int r;

        if (memcmp(kept->disk, b->name, sizeof(b->name)) != 0)
                return 0;
        if (kept->number >= PAGES_MAX) /* the process that left it had lost its mind before it died */
                return -EBADMSG;
        r = bitmap_slot(b, kept->number, &place);
        if (r < 0)
                return r;
        if (atomic_load(place))
                return -EBADMSG; /* there is one of each */
        page = calloc(1, sizeof(*page));
        if (!page)
                return -ENOMEM;
        page->number = kept->number;
        page->kept = kept;
        page->words = kept->words;
        atomic_store(place, page);
        bitmap_mark_dirty(b, page);
        return 0;
}

int disk_bitmap_keep(struct disk_bitmap *b, struct kept *kept, const uint8_t name[DISK_BITMAP_NAME_SIZE])
{
        LOCK_SCOPE(&b->load_lock);
        b->kept = kept;
        memcpy(b->name, name, sizeof(b->name));
        return kept_each_inherited(kept, adopt, b);
}

const uint8_t *disk_bitmap_name_of(const void *slot)
{
        return ((const struct kept_page *)slot)->disk;
}

int disk_bitmap_set(struct disk_bitmap *b, uint64_t first, uint64_t n)
{
        struct bitmap_page *page;
        uint64_t end = first + n;
        int r;

        while (first < end) {
                unsigned bit = (unsigned)(first % PAGE_BLOCKS);
                uint64_t page_end = first - bit + PAGE_BLOCKS < end ? first - bit + PAGE_BLOCKS : end;
                bool changed = false;

                r = bitmap_get(b, first / PAGE_BLOCKS, true, &page);
                if (r < 0)
                        return r;
                while (first < page_end) {
                        unsigned from = (unsigned)(first % PAGE_BLOCKS) % 64;
                        unsigned count = page_end - first < 64 - from ? (unsigned)(page_end - first) : 64 - from;
                        uint64_t mask = (~UINT64_C(0) >> (64 - count)) << from;
                        _Atomic uint64_t *word = &page->words[first % PAGE_BLOCKS / 64];

                        if ((atomic_load_explicit(word, memory_order_relaxed) & mask) != mask) {
                                atomic_fetch_or(word, mask);
                                changed = true;
                        }
                        first += count;
                }
                if (changed)
                        bitmap_mark_dirty(b, page);
        }
        return 0;
}

/* ---- durability ---- */

bool disk_bitmap_is_dirty(struct disk_bitmap *b)
{
        LOCK_SCOPE(&b->dirty_lock);
        return !STAILQ_EMPTY(&b->dirty);
}

/* Takes pages off the list, and then their bits as they are. Gives the count. */
static size_t sync_take(struct disk_bitmap *b, struct bitmap_page *pages[SYNC_PAGES], uint8_t *bytes)
{
        size_t n = 0;

        lock(&b->dirty_lock);
        while (n < SYNC_PAGES && (pages[n] = STAILQ_FIRST(&b->dirty))) {
                STAILQ_REMOVE_HEAD(&b->dirty, link);
                atomic_store(&pages[n]->dirty, false);
                n++;
        }
        unlock(&b->dirty_lock);
        for (size_t i = 0; i < n; i++)
                page_encode(b, pages[i], bytes + i * PAGE_SIZE);
        return n;
}

static int sync_fd(int fd, atomic_bool *degraded)
{
        if (fdatasync(fd) == 0)
                return 0;
        atomic_store(degraded, true);
        return -errno;
}

static int sync_batch(struct disk_bitmap *b, int data_fd, struct bitmap_page *pages[SYNC_PAGES], size_t n,
                      const uint8_t *bytes, atomic_bool *degraded)
{
        int r;

        r = sync_fd(data_fd, degraded);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = pwrite_full(b->fd, bytes + i * PAGE_SIZE, PAGE_SIZE, pages[i]->number * PAGE_SIZE);
        return r < 0 ? r : sync_fd(b->fd, degraded);
}

int disk_bitmap_sync(struct disk_bitmap *b, int data_fd, atomic_bool *degraded)
{
        CLEANUP_FREE struct bitmap_page **pages = NULL;
        CLEANUP_FREE uint8_t *bytes = NULL;
        size_t n;
        int r;

        if (!disk_bitmap_is_dirty(b))
                return sync_fd(data_fd, degraded);

        pages = calloc(SYNC_PAGES, sizeof(struct bitmap_page *));
        bytes = malloc((size_t)SYNC_PAGES * PAGE_SIZE); /* touched only as far as there are pages */
        if (!pages || !bytes)
                return -ENOMEM;
        do {
                n = sync_take(b, pages, bytes);
                r = sync_batch(b, data_fd, pages, n, bytes, degraded);
                if (r < 0) {
                        for (size_t i = 0; i < n; i++)
                                bitmap_mark_dirty(b, pages[i]);
                        return r;
                }
        } while (n == SYNC_PAGES); /* else every page was taken that was dirty at the call */
        return 0;
}
