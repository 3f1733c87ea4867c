/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/moves.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/parse.h"
#include "blobstore/chunks/cache.h"
#include "blobstore/chunks/segment.h"
#include "blobstore/hash/hash.h"

#define MOVES_MAGIC UINT64_C(0x766f6d2d73666d69) /* "imfs-mov" */
#define MOVES_VERSION 1
#define HEADER_SIZE 32
#define ROW_SIZE 16

/* A segment has some three thousand chunks: so many segments' tables stay in memory. */
#define MOVES_CACHE_BYTES ((size_t)8 << 20)

/* "xxxxxxxx" */
#define MOVES_NAME_SIZE 9

/* What is known of a segment's table. */
struct table {
        uint32_t rows;    /* 0: there is none */
        uint32_t version; /* counts its replacements: the cache's key changes with it */
};

struct moves {
        int dir_fd; /* borrowed */
        atomic_bool *degraded;
        struct cache *cache; /* rows by segment << 32 | version */

        pthread_mutex_t record_lock; /* one change at a time; before lock */
        pthread_mutex_t lock;
        struct table *tables; /* by segment; under lock, as is the next */
        size_t n;
};

static void moves_name(uint32_t segment, char ret[MOVES_NAME_SIZE])
{
        (void)snprintf(ret, MOVES_NAME_SIZE, "%08x", segment);
}

/* Call with the lock held. */
static int moves_set(struct moves *m, uint32_t segment, uint32_t rows)
{
        struct table *grown;
        size_t n;

        if (segment >= m->n) {
                n = (size_t)segment + segment / 2 + 64;
                grown = reallocarray(m->tables, n, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                memset(grown + m->n, 0, (n - m->n) * sizeof(*grown));
                m->tables = grown;
                m->n = n;
        }
        m->tables[segment].rows = rows;
        m->tables[segment].version++;
        return 0;
}

static int moves_found(void *ctx, const char *name)
{
        struct moves *m = ctx;
        uint8_t bytes[4];
        struct stat st;
        uint32_t segment;

        if (strlen(name) != MOVES_NAME_SIZE - 1 || parse_hex(name, 8, bytes) < 0)
                return 0; /* one that was being written */
        if (fstatat(m->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        segment = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
        if (segment > SEGMENT_ID_MAX)
                return 0;
        /* One that is too short to have a row is damaged, and not absent. */
        return moves_set(m, segment,
                         st.st_size < HEADER_SIZE + ROW_SIZE ? 1 : (uint32_t)((st.st_size - HEADER_SIZE) / ROW_SIZE));
}

int moves_new(int dir_fd, atomic_bool *degraded, struct moves **ret)
{
        struct moves *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return -ENOMEM;
        m->dir_fd = dir_fd;
        m->degraded = degraded;
        pthread_mutex_init(&m->lock, NULL);
        pthread_mutex_init(&m->record_lock, NULL);
        r = cache_new(MOVES_CACHE_BYTES, &m->cache);
        if (r == 0)
                r = dir_each(dir_fd, ".", moves_found, m);
        if (r < 0) {
                moves_free(m);
                return r;
        }
        *ret = m;
        return 0;
}

void moves_free(struct moves *m)
{
        if (!m)
                return;
        cache_free(m->cache);
        free(m->tables);
        pthread_mutex_destroy(&m->lock);
        pthread_mutex_destroy(&m->record_lock);
        free(m);
}

static struct table moves_table(struct moves *m, uint32_t segment)
{
        LOCK_SCOPE(&m->lock);
        return segment < m->n ? m->tables[segment] : (struct table){ 0 };
}

static int moves_open(const struct moves *m, uint32_t segment)
{
        char name[MOVES_NAME_SIZE];
        int fd;

        moves_name(segment, name);
        fd = openat(m->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return fd >= 0 ? fd : errno == ENOENT ? -EBADMSG : -errno;
}

/* Reads the rows of a table, verified. */
static int moves_load(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct moves *m = ctx;
        uint32_t segment = (uint32_t)(key >> 32);
        uint8_t header[HEADER_SIZE];
        CLEANUP_CLOSE int fd = moves_open(m, segment);
        struct stat st;
        ssize_t n;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        n = pread_full(fd, header, sizeof(header), 0);
        if (n == (ssize_t)sizeof(header))
                n = pread_full(fd, buf, len, HEADER_SIZE);
        if (n < 0)
                return (int)n;
        if ((size_t)n != len || (uint64_t)st.st_size != HEADER_SIZE + len || get_le64(header) != MOVES_MAGIC ||
            get_le32(header + 8) != MOVES_VERSION || get_le32(header + 12) != segment ||
            get_le32(header + 16) != len / ROW_SIZE || get_le64(header + 24) != hash64(buf, len, segment))
                return -EBADMSG;
        return 0;
}

/* The rows of a table, borrowed until cache_put(). */
static int moves_rows(struct moves *m, uint32_t segment, struct table table, struct cache_entry **ret,
                      const uint8_t **ret_rows)
{
        return cache_get(m->cache, (uint64_t)segment << 32 | table.version, (size_t)table.rows * ROW_SIZE, moves_load,
                         m, ret, ret_rows);
}

static void moves_decode(uint32_t segment, const uint8_t *row, struct moved_chunk *ret)
{
        *ret = (struct moved_chunk){
                .place = place_make(segment, get_le32(row)),
                .stored_len = get_le32(row + 4),
                .at = get_le64(row + 8),
        };
}

/* The first row whose offset is not before OFFSET. */
static uint32_t moves_search(const uint8_t *rows, uint32_t n, uint32_t offset)
{
        uint32_t low = 0, high = n, middle;

        while (low < high) {
                middle = low + (high - low) / 2;
                if (get_le32(rows + (size_t)middle * ROW_SIZE) < offset)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

int moves_find(struct moves *m, uint64_t place, struct moved_chunk *ret)
{
        uint32_t segment = place_segment(place), i;
        struct table table = moves_table(m, segment);
        struct cache_entry *entry;
        const uint8_t *rows;
        int r;

        if (table.rows == 0)
                return 0;
        r = moves_rows(m, segment, table, &entry, &rows);
        if (r < 0)
                return r;
        i = moves_search(rows, table.rows, place_offset(place));
        r = i < table.rows && get_le32(rows + (size_t)i * ROW_SIZE) == place_offset(place);
        if (r > 0)
                moves_decode(segment, rows + (size_t)i * ROW_SIZE, ret);
        cache_put(m->cache, entry);
        return r;
}

/* Call with record_lock held. */
static int moves_write(struct moves *m, uint32_t segment, const struct moved_chunk *chunks, size_t n)
{
        CLEANUP_FREE uint8_t *bytes = calloc(1, HEADER_SIZE + n * ROW_SIZE);
        char name[MOVES_NAME_SIZE];
        int r;

        if (!bytes)
                return -ENOMEM;
        moves_name(segment, name);
        for (size_t i = 0; i < n; i++) {
                uint8_t *row = bytes + HEADER_SIZE + i * ROW_SIZE;

                put_le32(row, place_offset(chunks[i].place));
                put_le32(row + 4, chunks[i].stored_len);
                put_le64(row + 8, chunks[i].at);
        }
        put_le64(bytes, MOVES_MAGIC);
        put_le32(bytes + 8, MOVES_VERSION);
        put_le32(bytes + 12, segment);
        put_le32(bytes + 16, (uint32_t)n);
        put_le64(bytes + 24, hash64(bytes + HEADER_SIZE, n * ROW_SIZE, segment));
        if (n == 0) {
                r = unlinkat(m->dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
                if (r == 0)
                        r = fsync_dir(m->dir_fd); /* an old table that came back would send readers to where nothing is */
        } else {
                r = write_file_durable(m->dir_fd, name, bytes, HEADER_SIZE + n * ROW_SIZE, 0600);
        }
        if (r == -EIO)
                atomic_store(m->degraded, true);
        if (r < 0)
                return r;
        LOCK_SCOPE(&m->lock);
        return moves_set(m, segment, (uint32_t)n);
}

int moves_replace(struct moves *m, uint32_t segment, const struct moved_chunk *chunks, size_t n)
{
        LOCK_SCOPE(&m->record_lock);
        return moves_write(m, segment, chunks, n);
}

int moves_record(struct moves *m, const struct moved_chunk *chunks, size_t n)
{
        uint32_t segment = place_segment(chunks[0].place);
        CLEANUP_FREE struct moved_chunk *all = NULL;
        struct cache_entry *entry = NULL;
        const uint8_t *rows = NULL;
        size_t count = 0, i = 0;
        struct moved_chunk old;
        struct table table;
        int r;

        LOCK_SCOPE(&m->record_lock);
        table = moves_table(m, segment);
        all = calloc(n + table.rows, sizeof(*all));
        if (!all)
                return -ENOMEM;
        if (table.rows > 0) {
                r = moves_rows(m, segment, table, &entry, &rows);
                if (r < 0)
                        return r;
        }
        for (uint32_t k = 0; k < table.rows; k++) {
                moves_decode(segment, rows + (size_t)k * ROW_SIZE, &old);
                while (i < n && chunks[i].place < old.place)
                        all[count++] = chunks[i++];
                if (i == n || chunks[i].place != old.place)
                        all[count++] = old;
        }
        while (i < n)
                all[count++] = chunks[i++];
        if (entry)
                cache_put(m->cache, entry);
        return moves_write(m, segment, all, count);
}

int moves_verify(struct moves *m, uint32_t segment)
{
        CLEANUP_CLOSE int fd = -1;
        CLEANUP_FREE uint8_t *rows = NULL;
        struct table table;

        LOCK_SCOPE(&m->record_lock); /* nobody replaces it */
        table = moves_table(m, segment);
        if (table.rows == 0)
                return 0;
        rows = malloc((size_t)table.rows * ROW_SIZE);
        if (!rows)
                return -ENOMEM;
        fd = moves_open(m, segment);
        if (fd >= 0)
                (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* a hint */
        return moves_load(m, (uint64_t)segment << 32, rows, (size_t)table.rows * ROW_SIZE);
}

int moves_each(struct moves *m, moves_each_fn *fn, void *ctx)
{
        struct table table;
        size_t n;
        int r = 0;

        lock(&m->lock);
        n = m->n;
        unlock(&m->lock);
        for (size_t i = 0; r == 0 && i < n; i++) {
                table = moves_table(m, (uint32_t)i);
                r = table.rows > 0 ? fn(ctx, (uint32_t)i) : 0;
        }
        return r;
}
