/* SPDX-License-Identifier: MIT */

#include "blobstore/blobs/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/base/block.h"
#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/chunks/cache.h"
#include "blobstore/chunks/chunker.h"
#include "blobstore/chunks/segment.h"
#include "blobstore/hash/hash.h"

#define MAP_MAGIC UINT64_C(0x70616d2d73666d69) /* "imfs-map" */
#define MAP_VERSION 2

#define MAP_ENTRY_SIZE 48
#define MAP_PAGE_HEAD_SIZE 16
#define MAP_TABLE_ROW_SIZE 16

/* Even entries of one block each do not need more than this. */
#define MAP_ENTRIES_MAX (BLOB_SIZE_MAX / BLOB_BLOCK_SIZE)

_Static_assert(MAP_PAGE_HEAD_SIZE + MAP_PAGE_ENTRIES * MAP_ENTRY_SIZE <= MAP_PAGE_SIZE, "entries fit a page");

/* Offsets in the header page. */
enum {
        HEADER_MAGIC = 0,
        HEADER_VERSION = 8,
        HEADER_ID = 16,
        HEADER_SIZE = 32,
        HEADER_DATA_BYTES = 40,
        HEADER_ENTRIES = 48,
        HEADER_TABLE_HASH = 56,
        HEADER_CHECKSUM = 64,
        HEADER_DATA_CLUSTERS = 80,
        HEADER_DATA_SPANS = 88,
        HEADER_HASH = MAP_PAGE_SIZE - 8,
};

struct map_writer {
        int fd;
        struct blob_id id;
        uint64_t seed;
        uint64_t entries;
        uint64_t pages;                     /* written */
        unsigned n;                         /* entries in the page that is being filled */
        uint64_t page_rank;                 /* clusters with data before that of its first entry */
        uint64_t data_clusters, data_spans; /* of the entries so far */
        uint64_t end;                       /* of the last entry */
        uint8_t page[MAP_PAGE_SIZE];
        uint8_t *table;    /* as on disk */
        size_t table_size; /* allocated bytes */
};

struct map {
        int fd;
        struct blob_id id;
        uint64_t seed;
        struct cache *kept; /* pages of all maps of a store; NULL: none are kept */
        struct blob_info info;
        uint64_t entries;
        uint64_t pages;
        struct map_row {
                uint64_t offset; /* of its first entry */
                uint64_t rank;   /* clusters with data before that offset's */
        } * table;               /* of each page */
};

_Static_assert(sizeof(struct map_row) == MAP_TABLE_ROW_SIZE, "the table is decoded where it was read");

void map_name(const struct blob_id *id, char ret[MAP_NAME_SIZE])
{
        put_hex(ret, id->bytes, BLOB_ID_SIZE);
}

static uint64_t map_page_offset(uint64_t page)
{
        return (page + 1) * MAP_PAGE_SIZE;
}

int map_writer_new(int fd, const struct blob_id *id, struct map_writer **ret)
{
        struct map_writer *w = calloc(1, sizeof(*w));

        if (!w) {
                cleanup_close(&fd);
                return -ENOMEM;
        }
        w->fd = fd;
        w->id = *id;
        w->seed = get_le64(id->bytes);
        *ret = w;
        return 0;
}

void map_writer_free(struct map_writer *w)
{
        if (!w)
                return;
        cleanup_close(&w->fd);
        free(w->table);
        free(w);
}

static int map_writer_flush_page(struct map_writer *w)
{
        uint8_t *table;
        int r;

        if (w->n == 0)
                return 0;

        if (w->table_size < (w->pages + 1) * MAP_TABLE_ROW_SIZE) {
                size_t size = w->table_size ? w->table_size * 2 : 512;

                table = realloc(w->table, size);
                if (!table)
                        return -ENOMEM;
                w->table = table;
                w->table_size = size;
        }
        memcpy(w->table + w->pages * MAP_TABLE_ROW_SIZE, w->page + MAP_PAGE_HEAD_SIZE, 8);
        put_le64(w->table + w->pages * MAP_TABLE_ROW_SIZE + 8, w->page_rank);

        put_le32(w->page + 8, (uint32_t)w->pages);
        put_le32(w->page + 12, w->n);
        put_le64(w->page, hash64(w->page + 8, MAP_PAGE_SIZE - 8, w->seed));
        r = pwrite_full(w->fd, w->page, MAP_PAGE_SIZE, map_page_offset(w->pages));
        if (r < 0)
                return r;
        w->pages++;
        w->n = 0;
        memset(w->page, 0, MAP_PAGE_SIZE);
        return 0;
}

/* Counts the pieces of SIZE that an entry touches, but for one that the entry before it did. */
static uint64_t map_count_pieces(const struct map_writer *w, const struct map_entry *e, uint64_t size)
{
        uint64_t first = e->offset / size, last = (e->offset + e->len - 1) / size;

        return last - first + (w->entries == 0 || (w->end - 1) / size != first);
}

int map_writer_add(struct map_writer *w, const struct map_entry *e)
{
        uint8_t *p = w->page + MAP_PAGE_HEAD_SIZE + w->n * MAP_ENTRY_SIZE;

        if (w->n == 0)
                w->page_rank = w->data_clusters -
                               (w->entries > 0 && (w->end - 1) / BLOB_CLUSTER_SIZE == e->offset / BLOB_CLUSTER_SIZE);
        w->data_clusters += map_count_pieces(w, e, BLOB_CLUSTER_SIZE);
        w->data_spans += map_count_pieces(w, e, BLOB_SPAN_SIZE);
        w->end = e->offset + e->len;

        put_le64(p, e->offset);
        put_le32(p + 8, e->len);
        put_le32(p + 12, e->skip);
        put_le32(p + 16, e->raw_len);
        put_le32(p + 20, e->stored_len);
        put_le32(p + 24, place_segment(e->place));
        put_le32(p + 28, place_offset(e->place));
        memcpy(p + 32, e->name.bytes, CHUNK_ID_SIZE);
        w->entries++;
        if (++w->n < MAP_PAGE_ENTRIES)
                return 0;
        return map_writer_flush_page(w);
}

int map_writer_finish(struct map_writer *w, struct blob_info *info)
{
        uint8_t header[MAP_PAGE_SIZE] = { 0 };
        int r;

        r = map_writer_flush_page(w);
        if (r < 0)
                return r;
        r = pwrite_full(w->fd, w->table, w->pages * MAP_TABLE_ROW_SIZE, map_page_offset(w->pages));
        if (r < 0)
                return r;

        info->data_clusters = w->data_clusters;
        info->data_spans = w->data_spans;
        put_le64(header + HEADER_MAGIC, MAP_MAGIC);
        put_le32(header + HEADER_VERSION, MAP_VERSION);
        memcpy(header + HEADER_ID, w->id.bytes, BLOB_ID_SIZE);
        put_le64(header + HEADER_SIZE, info->size_bytes);
        put_le64(header + HEADER_DATA_BYTES, info->data_bytes);
        put_le64(header + HEADER_ENTRIES, w->entries);
        put_le64(header + HEADER_TABLE_HASH, hash64(w->table, w->pages * MAP_TABLE_ROW_SIZE, w->seed));
        memcpy(header + HEADER_CHECKSUM, info->checksum.bytes, BLOB_CHECKSUM_SIZE);
        put_le64(header + HEADER_DATA_CLUSTERS, info->data_clusters);
        put_le64(header + HEADER_DATA_SPANS, info->data_spans);
        put_le64(header + HEADER_HASH, hash64(header, HEADER_HASH, w->seed));
        return pwrite_full(w->fd, header, sizeof(header), 0);
}

int map_writer_sync(struct map_writer *w)
{
        return fsync(w->fd) < 0 ? -errno : 0;
}

static int map_read_exactly(int fd, void *buf, size_t n, uint64_t off)
{
        ssize_t got = pread_full(fd, buf, n, off);

        if (got < 0)
                return (int)got;
        return (size_t)got == n ? 0 : -EBADMSG;
}

static int map_load_header(struct map *m, const struct blob_id *id, uint64_t *ret_table_hash)
{
        uint8_t header[MAP_PAGE_SIZE];
        int r;

        r = map_read_exactly(m->fd, header, sizeof(header), 0);
        if (r < 0)
                return r;
        if (get_le64(header + HEADER_MAGIC) != MAP_MAGIC ||
            get_le64(header + HEADER_HASH) != hash64(header, HEADER_HASH, m->seed) ||
            memcmp(header + HEADER_ID, id->bytes, BLOB_ID_SIZE) != 0)
                return -EBADMSG;
        if (get_le32(header + HEADER_VERSION) != MAP_VERSION)
                return -EPROTONOSUPPORT;

        m->info.size_bytes = get_le64(header + HEADER_SIZE);
        m->info.data_bytes = get_le64(header + HEADER_DATA_BYTES);
        memcpy(m->info.checksum.bytes, header + HEADER_CHECKSUM, BLOB_CHECKSUM_SIZE);
        m->info.data_clusters = get_le64(header + HEADER_DATA_CLUSTERS);
        m->info.data_spans = get_le64(header + HEADER_DATA_SPANS);
        m->entries = get_le64(header + HEADER_ENTRIES);
        if (m->info.size_bytes > BLOB_SIZE_MAX || m->entries > MAP_ENTRIES_MAX)
                return -EBADMSG;
        m->pages = (m->entries + MAP_PAGE_ENTRIES - 1) / MAP_PAGE_ENTRIES;
        *ret_table_hash = get_le64(header + HEADER_TABLE_HASH);
        return 0;
}

static int map_load_table(struct map *m, uint64_t table_hash)
{
        size_t size = m->pages * MAP_TABLE_ROW_SIZE;
        struct stat st;
        int r;

        /* Before memory is asked for: a length that the file does not have is damage, and no reason to allocate. */
        if (fstat(m->fd, &st) < 0)
                return -errno;
        if ((uint64_t)st.st_size != map_page_offset(m->pages) + size)
                return -EBADMSG;

        m->table = malloc(size ? size : 1);
        if (!m->table)
                return -ENOMEM;
        r = map_read_exactly(m->fd, m->table, size, map_page_offset(m->pages));
        if (r < 0)
                return r;
        if (hash64(m->table, size, m->seed) != table_hash)
                return -EBADMSG;
        for (uint64_t i = 0; i < m->pages; i++)
                m->table[i] = (struct map_row){ get_le64(&m->table[i].offset), get_le64(&m->table[i].rank) };
        return 0;
}

int map_open(int fd, const struct blob_id *id, struct map **ret)
{
        uint64_t table_hash;
        struct map *m;
        int r;

        m = calloc(1, sizeof(*m));
        if (!m) {
                cleanup_close(&fd);
                return -ENOMEM;
        }
        m->fd = fd;
        m->id = *id;
        m->seed = get_le64(id->bytes);

        r = map_load_header(m, id, &table_hash);
        if (r == 0)
                r = map_load_table(m, table_hash);
        if (r < 0) {
                map_close(m);
                return r;
        }
        *ret = m;
        return 0;
}

void map_close(struct map *m)
{
        if (!m)
                return;
        cleanup_close(&m->fd);
        free(m->table);
        free(m);
}

const struct blob_info *map_info(const struct map *m)
{
        return &m->info;
}

uint64_t map_entries(const struct map *m)
{
        return m->entries;
}

static void map_entry_get(const uint8_t *page, unsigned i, struct map_entry *ret)
{
        const uint8_t *p = page + MAP_PAGE_HEAD_SIZE + i * MAP_ENTRY_SIZE;

        ret->offset = get_le64(p);
        ret->len = get_le32(p + 8);
        ret->skip = get_le32(p + 12);
        ret->raw_len = get_le32(p + 16);
        ret->stored_len = get_le32(p + 20);
        ret->place = place_make(get_le32(p + 24), get_le32(p + 28));
        memcpy(ret->name.bytes, p + 32, CHUNK_ID_SIZE);
}

static unsigned map_page_entries(const struct map *m, uint64_t page)
{
        return page + 1 < m->pages ? MAP_PAGE_ENTRIES : (unsigned)(m->entries - page * MAP_PAGE_ENTRIES);
}

static bool map_chunk_is_sane(const struct map_entry *e)
{
        return e->raw_len > 0 && e->raw_len <= CHUNK_SIZE_MAX && e->stored_len > 0 && e->stored_len <= e->raw_len;
}

/*
 * The hash tells damage; the bounds are checked all the same, since buffers are sized by them and the
 * hash is no proof against somebody who writes maps. A page ends where the table has the next one begin, so that
 * entries ascend from page to page, too.
 */
static bool map_page_is_sane(const struct map *m, uint64_t page, const uint8_t *bytes)
{
        uint64_t end = m->table[page].offset, limit = m->info.size_bytes;
        struct map_entry e;

        if (page + 1 < m->pages && m->table[page + 1].offset < limit)
                limit = m->table[page + 1].offset;

        for (unsigned i = 0; i < map_page_entries(m, page); i++) {
                map_entry_get(bytes, i, &e);
                if (!map_chunk_is_sane(&e) || e.len == 0 || e.len > e.raw_len || e.skip > e.raw_len - e.len ||
                    e.skip % BLOB_BLOCK_SIZE || e.offset < end || e.offset % BLOB_BLOCK_SIZE || e.offset > limit ||
                    e.len > limit - e.offset)
                        return false;
                end = e.offset + e.len;
        }
        return true;
}

static bool map_page_verifies(const uint8_t *page, uint64_t seed, uint64_t number)
{
        return get_le64(page) == hash64(page + 8, MAP_PAGE_SIZE - 8, seed) && get_le32(page + 8) == (uint32_t)number;
}

static int map_read_page(const struct map *m, uint64_t page, uint8_t bytes[MAP_PAGE_SIZE])
{
        int r;

        r = map_read_exactly(m->fd, bytes, MAP_PAGE_SIZE, map_page_offset(page));
        if (r < 0)
                return r;
        if (!map_page_verifies(bytes, m->seed, page) || get_le32(bytes + 12) != map_page_entries(m, page) ||
            !map_page_is_sane(m, page, bytes))
                return -EBADMSG;
        return 0;
}

/* ---- pages that are kept ---- */

/* With whose it is: the number that it is found by is no proof. */
struct kept_page {
        struct blob_id id;
        uint8_t bytes[MAP_PAGE_SIZE];
};

struct page_load {
        const struct map *map;
        uint64_t page;
};

static int page_load(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct page_load *load = ctx;
        struct kept_page *kept = buf;

        (void)key;
        (void)len;
        kept->id = load->map->id;
        return map_read_page(load->map, load->page, kept->bytes);
}

/* Ids are random, so that the pages of maps seldom meet. */
static uint64_t page_key(const struct map *m, uint64_t page)
{
        return m->seed + page * UINT64_C(0xd1342543de82ef95);
}

/* A page as it is kept, or, where READ, read to be kept: 1, or 0 where it is to be read without that. */
static int map_get_kept(const struct map *m, uint64_t page, bool read, uint8_t bytes[MAP_PAGE_SIZE])
{
        struct page_load load = { m, page };
        const struct kept_page *kept;
        struct cache_entry *entry;
        const uint8_t *found;
        int r;

        if (!m->kept || (!read && !cache_peek(m->kept, page_key(m, page), sizeof(*kept), &entry, &found)))
                return 0;
        r = read ? cache_get(m->kept, page_key(m, page), sizeof(*kept), page_load, &load, &entry, &found) : 0;
        if (r < 0)
                return r;
        kept = (const struct kept_page *)found;
        r = memcmp(kept->id.bytes, m->id.bytes, BLOB_ID_SIZE) == 0 && get_le32(kept->bytes + 8) == (uint32_t)page;
        if (r)
                memcpy(bytes, kept->bytes, MAP_PAGE_SIZE);
        cache_put(m->kept, entry);
        return r;
}

void map_keep_pages(struct map *m, struct cache *pages)
{
        m->kept = pages;
}

/* ---- cursors ---- */

/* KEEP: somebody may come to this page again soon. Else pages that are kept are used, and no other pushed out. */
static int map_load_page(struct map_cursor *c, bool keep)
{
        const struct map *m = c->map;
        int r;

        c->i = c->n = 0;
        if (c->page >= m->pages)
                return 0;
        r = map_get_kept(m, c->page, keep, c->bytes);
        if (r == 0)
                r = map_read_page(m, c->page, c->bytes);
        if (r < 0)
                return r;
        c->n = map_page_entries(m, c->page);
        return 0;
}

/* The last page that begins at or before OFF, or the first page. */
static uint64_t map_find_page(const struct map *m, uint64_t off)
{
        uint64_t low = 0, high = m->pages;

        while (high - low > 1) {
                uint64_t middle = low + (high - low) / 2;

                if (m->table[middle].offset <= off)
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

int map_seek(const struct map *m, uint64_t off, struct map_cursor *ret)
{
        struct map_entry e;
        int r;

        ret->map = m;
        ret->page = map_find_page(m, off);
        r = map_load_page(ret, true);
        if (r < 0)
                return r;
        for (unsigned top = ret->n; ret->i < top;) {
                unsigned middle = ret->i + (top - ret->i) / 2;

                map_entry_get(ret->bytes, middle, &e);
                if (e.offset + e.len <= off)
                        ret->i = middle + 1;
                else
                        top = middle;
        }
        return 0;
}

int map_seek_entry(const struct map *m, uint64_t n, struct map_cursor *ret)
{
        int r;

        ret->map = m;
        ret->page = n / MAP_PAGE_ENTRIES;
        r = map_load_page(ret, true);
        if (r < 0)
                return r;
        ret->i = (unsigned)(n % MAP_PAGE_ENTRIES);
        return 0;
}

int map_next(struct map_cursor *c, struct map_entry *ret)
{
        int r;

        if (c->i >= c->n) {
                if (c->page >= c->map->pages)
                        return 0;
                c->page++;
                r = map_load_page(c, false);
                if (r < 0)
                        return r;
                if (c->n == 0)
                        return 0;
        }
        map_entry_get(c->bytes, c->i++, ret);
        return 1;
}

static int map_seek_page(const struct map *m, uint64_t page, struct map_cursor *ret, uint64_t *ret_rank)
{
        int r;

        ret->map = m;
        ret->page = page;
        r = map_load_page(ret, true);
        if (r == 0)
                *ret_rank = page < m->pages ? m->table[page].rank : 0;
        return r;
}

int map_seek_cluster(const struct map *m, uint64_t cluster, struct map_cursor *ret, uint64_t *ret_rank)
{
        return map_seek_page(m, map_find_page(m, cluster * BLOB_CLUSTER_SIZE), ret, ret_rank);
}

int map_seek_rank(const struct map *m, uint64_t rank, struct map_cursor *ret, uint64_t *ret_rank)
{
        uint64_t low = 0, high = m->pages;

        while (high - low > 1) {
                uint64_t middle = low + (high - low) / 2;

                if (m->table[middle].rank <= rank)
                        low = middle;
                else
                        high = middle;
        }
        return map_seek_page(m, low, ret, ret_rank);
}

/* Clusters without data before that of the page's first entry. */
static uint64_t map_empty_clusters(const struct map *m, uint64_t page)
{
        return m->table[page].offset / BLOB_CLUSTER_SIZE - m->table[page].rank;
}

/* The last page up to whose first entry every cluster has data, from PAGE's on. */
static uint64_t map_find_sparse_page(const struct map *m, uint64_t page)
{
        uint64_t low = page, high = m->pages, empty = map_empty_clusters(m, page);

        while (high - low > 1) {
                uint64_t middle = low + (high - low) / 2;

                if (map_empty_clusters(m, middle) == empty)
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

/* Follows entries that touch from *OFF on. 1: to the end of page LAST; 0: they end before that. */
static int map_follow(struct map_cursor *c, uint64_t last, uint64_t *off)
{
        struct map_entry e;
        int r;

        while (c->page < last || c->i < c->n) {
                r = map_next(c, &e);
                if (r < 0)
                        return r;
                if (r == 0 || e.offset > *off)
                        return 0;
                *off = e.offset + e.len;
        }
        return 1;
}

int map_find_hole(const struct map *m, uint64_t off, uint64_t *ret)
{
        struct map_cursor cursor;
        uint64_t page;
        int r;

        r = map_seek(m, off, &cursor);
        if (r == 0)
                r = map_follow(&cursor, cursor.page + MAP_HOLE_PAGES - 1, &off);
        if (r > 0) {
                page = map_find_sparse_page(m, cursor.page);
                r = 0;
                if (page > cursor.page) {
                        off = m->table[page].offset;
                        r = map_seek_entry(m, page * MAP_PAGE_ENTRIES, &cursor);
                }
                if (r == 0)
                        r = map_follow(&cursor, m->pages, &off); /* no further than into the next page */
        }
        if (r < 0)
                return r;
        *ret = off;
        return 0;
}

int map_salvage(int fd, const struct blob_id *id, map_entry_fn *fn, void *ctx)
{
        uint64_t seed = get_le64(id->bytes);
        uint8_t page[MAP_PAGE_SIZE];
        struct map_entry e;
        struct stat st;
        int r = 0;

        if (fstat(fd, &st) < 0)
                return -errno;
        /* What the table says of their number is not needed: a part of it does not pass for a page. */
        for (uint64_t n = 0; r == 0 && map_page_offset(n + 1) <= (uint64_t)st.st_size; n++) {
                if (map_read_exactly(fd, page, sizeof(page), map_page_offset(n)) < 0 ||
                    !map_page_verifies(page, seed, n))
                        continue;
                for (unsigned i = 0; r == 0 && i < MAP_PAGE_ENTRIES && i < get_le32(page + 12); i++) {
                        map_entry_get(page, i, &e);
                        r = map_chunk_is_sane(&e) ? fn(ctx, &e) : 0;
                }
        }
        return r;
}
