/* SPDX-License-Identifier: MIT */

/* Reading maps: opening one, its rows, and the pages that they name, here or in another map's file. */

#include "blobstore/blobs/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/base/block.h"
#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/blobs/map_priv.h"
#include "blobstore/chunks/cache.h"
#include "blobstore/chunks/chunker.h"
#include "blobstore/chunks/segment.h"
#include "blobstore/hash/hash.h"

void map_name(const struct blob_id *id, char ret[MAP_NAME_SIZE])
{
        put_hex(ret, id->bytes, BLOB_ID_SIZE);
}

static int map_read_exactly(int fd, void *buf, size_t n, uint64_t off)
{
        ssize_t got = pread_full(fd, buf, n, off);

        if (got < 0)
                return (int)got;
        return (size_t)got == n ? 0 : -EBADMSG;
}

/* ---- opening ---- */

static int map_load_header(struct map *m, const struct blob_id *id, uint64_t *ret_table_hash)
{
        uint8_t header[MAP_PAGE_SIZE];
        uint32_t version;
        int r;

        r = map_read_exactly(m->fd, header, sizeof(header), 0);
        if (r < 0)
                return r;
        if (get_le64(header + HEADER_MAGIC) != MAP_MAGIC ||
            get_le64(header + HEADER_HASH) != hash64(header, HEADER_HASH, m->seed) ||
            memcmp(header + HEADER_ID, id->bytes, BLOB_ID_SIZE) != 0)
                return -EBADMSG;
        version = get_le32(header + HEADER_VERSION);
        if (version != MAP_VERSION && version != MAP_VERSION_PLAIN)
                return -EPROTONOSUPPORT;

        m->plain = version == MAP_VERSION_PLAIN;
        m->info.size_bytes = get_le64(header + HEADER_SIZE);
        m->info.data_bytes = get_le64(header + HEADER_DATA_BYTES);
        memcpy(m->info.checksum.bytes, header + HEADER_CHECKSUM, BLOB_CHECKSUM_SIZE);
        m->info.data_clusters = get_le64(header + HEADER_DATA_CLUSTERS);
        m->info.data_spans = get_le64(header + HEADER_DATA_SPANS);
        m->entries = get_le64(header + HEADER_ENTRIES);
        if (m->info.size_bytes > BLOB_SIZE_MAX || m->entries > MAP_ENTRIES_MAX)
                return -EBADMSG;
        if (m->plain) {
                m->rows = m->pages = (m->entries + MAP_PAGE_ENTRIES - 1) / MAP_PAGE_ENTRIES;
        } else {
                m->rows = get_le64(header + HEADER_ROWS);
                m->pages = get_le64(header + HEADER_PAGES);
                m->n_lenders = get_le64(header + HEADER_LENDERS);
                m->extents_hash = get_le64(header + HEADER_EXTENTS_HASH);
                if (m->rows > m->entries || m->pages > m->rows || m->n_lenders > m->rows - m->pages)
                        return -EBADMSG;
        }
        *ret_table_hash = get_le64(header + HEADER_TABLE_HASH);
        return 0;
}

static uint64_t map_extents_offset(const struct map *m)
{
        return map_page_offset(m->pages) + m->rows * MAP_ROW_SIZE + m->n_lenders * BLOB_ID_SIZE;
}

/* Where they ascend. In place, from the end, since a row in memory is longer than one of the file. */
static int map_decode_plain_rows(struct map *m)
{
        const uint8_t *bytes = (const uint8_t *)m->table;
        uint64_t end = m->info.size_bytes;

        for (uint64_t i = m->rows; i-- > 0;) {
                const uint8_t *row = bytes + i * MAP_ROW_SIZE_PLAIN;
                uint64_t n = i + 1 < m->rows ? MAP_PAGE_ENTRIES : m->entries - i * MAP_PAGE_ENTRIES;
                const struct map_row decoded = {
                        .offset = get_le64(row),
                        .rank = get_le64(row + 8),
                        .page = (uint32_t)i,
                        .lender = (uint32_t)n,
                };

                if (decoded.offset >= end)
                        return -EBADMSG;
                end = decoded.offset;
                m->table[i] = decoded;
        }
        m->own_entries = m->entries;
        return 0;
}

/* Where they ascend, and each of its own pages has its row, in order, and nothing is borrowed from itself. */
static int map_decode_rows(struct map *m)
{
        uint64_t entries = 0, pages = 0;

        m->lenders = (struct blob_id *)(void *)(m->table + m->rows);
        for (uint64_t i = 0; i < m->n_lenders; i++)
                if (memcmp(m->lenders[i].bytes, m->id.bytes, BLOB_ID_SIZE) == 0)
                        return -EBADMSG;
        for (uint64_t i = 0; i < m->rows; i++) {
                struct map_row *row = &m->table[i];

                *row = (struct map_row){ get_le64(&row->offset), get_le64(&row->rank), get_le64(&row->hash),
                                         get_le32(&row->page), get_le32(&row->lender) };
                if (map_row_entries(row) == 0 || map_row_entries(row) > MAP_PAGE_ENTRIES ||
                    row->lender >> 8 > m->n_lenders || row->offset >= m->info.size_bytes ||
                    (i > 0 && row->offset <= m->table[i - 1].offset))
                        return -EBADMSG;
                entries += map_row_entries(row);
                if (row->lender >> 8)
                        continue;
                if (row->page != pages++)
                        return -EBADMSG;
                m->own_entries += map_row_entries(row);
        }
        return entries == m->entries && pages == m->pages ? 0 : -EBADMSG;
}

static int map_load_table(struct map *m, uint64_t table_hash)
{
        size_t size = m->plain ? m->rows * MAP_ROW_SIZE_PLAIN : m->rows * MAP_ROW_SIZE + m->n_lenders * BLOB_ID_SIZE;
        size_t room = m->rows * MAP_ROW_SIZE + m->n_lenders * BLOB_ID_SIZE;
        struct stat st;
        int r;

        /* Before memory is asked for: a length that the file does not have is damage, and no reason to allocate. */
        if (fstat(m->fd, &st) < 0)
                return -errno;
        if ((uint64_t)st.st_size != (m->plain ? map_page_offset(m->pages) + size
                                              : map_extents_offset(m) + m->rows * MAP_EXTENT_SIZE))
                return -EBADMSG;

        m->table = malloc(room ? room : 1);
        if (!m->table)
                return -ENOMEM;
        r = map_read_exactly(m->fd, m->table, size, map_page_offset(m->pages));
        if (r < 0)
                return r;
        if (hash64(m->table, size, m->seed) != table_hash)
                return -EBADMSG;
        return m->plain ? map_decode_plain_rows(m) : map_decode_rows(m);
}

static int map_load_extents(struct map *m)
{
        size_t size = m->rows * MAP_EXTENT_SIZE;
        CLEANUP_FREE uint8_t *extents = NULL;
        int r;

        LOCK_SCOPE(&m->extents_lock);
        if (m->extents)
                return 0;
        extents = malloc(size ? size : 1);
        if (!extents)
                return -ENOMEM;
        r = map_read_exactly(m->fd, extents, size, map_extents_offset(m));
        if (r < 0)
                return r;
        if (hash64(extents, size, m->seed) != m->extents_hash)
                return -EBADMSG;
        m->extents = TAKE_PTR(extents);
        return 0;
}

/* Damage is told when a map is opened, and not when somebody borrows of it, which is what they are kept for. */
static int map_check_extents(struct map *m)
{
        int r = m->plain ? 0 : map_load_extents(m);

        free(TAKE_PTR(m->extents));
        return r;
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
        pthread_mutex_init(&m->extents_lock, NULL);

        r = map_load_header(m, id, &table_hash);
        if (r == 0)
                r = map_load_table(m, table_hash);
        if (r == 0)
                r = map_check_extents(m);
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
        pthread_mutex_destroy(&m->extents_lock);
        free(m->extents);
        free(m->table);
        free(m);
}

void map_set_lenders(struct map *m, map_lender_fn *open, void *ctx)
{
        m->open_lender = open;
        m->lender_ctx = ctx;
}

const struct blob_info *map_info(const struct map *m)
{
        return &m->info;
}

uint64_t map_entries(const struct map *m)
{
        return m->entries;
}

uint64_t map_own_entries(const struct map *m)
{
        return m->own_entries;
}

/* ---- pages ---- */

void map_entry_get(const uint8_t *page, unsigned i, struct map_entry *ret)
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

static bool map_chunk_is_sane(const struct map_entry *e)
{
        return e->raw_len > 0 && e->raw_len <= CHUNK_SIZE_MAX && e->stored_len > 0 && e->stored_len <= e->raw_len;
}

/*
 * The hash tells damage; the bounds are checked all the same, since buffers are sized by them and the
 * hash is no proof against somebody who writes maps. A page ends where the table has the next one begin, so that
 * entries ascend from page to page, too.
 */
static bool map_page_is_sane(const struct map *m, uint64_t row, const uint8_t *bytes)
{
        uint64_t end = m->table[row].offset, limit = map_row_limit(m, row);
        struct map_entry e;

        for (unsigned i = 0; i < map_row_entries(&m->table[row]); i++) {
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

/* Is it the page that the row names? Only what a page says of itself can have been kept. */
static bool map_page_is_rows(const struct map *m, const struct map_row *row, const uint8_t *bytes)
{
        return get_le32(bytes + 8) == row->page && get_le32(bytes + 12) == map_row_entries(row) &&
               (m->plain || get_le64(bytes) == row->hash);
}

bool map_row_passes(const struct map *m, uint64_t row, const uint8_t *bytes, const uint8_t *left)
{
        const struct map_row *r = &m->table[row];
        const struct blob_id *lender = map_row_lender(m, r);

        return (!m->plain || get_le64(bytes) == get_le64(left)) && map_page_is_rows(m, r, bytes) &&
               map_page_verifies(bytes, lender ? get_le64(lender->bytes) : m->seed, r->page) &&
               map_page_is_sane(m, row, bytes);
}

static int map_load_bytes(const struct map *m, const struct map_row *row, const struct blob_id *lender,
                          uint8_t bytes[MAP_PAGE_SIZE])
{
        CLEANUP_CLOSE int fd = -1;
        int r;

        if (!lender)
                return map_read_exactly(m->fd, bytes, MAP_PAGE_SIZE, map_page_offset(row->page));
        r = m->open_lender ? m->open_lender(m->lender_ctx, lender, &fd) : -ENOENT;
        if (r < 0)
                return r == -ENOENT ? -EBADMSG : r; /* lost: what it lent is, too */
        return map_read_exactly(fd, bytes, MAP_PAGE_SIZE, map_page_offset(row->page));
}

static int map_read_page(const struct map *m, uint64_t number, uint8_t bytes[MAP_PAGE_SIZE])
{
        const struct map_row *row = &m->table[number];
        const struct blob_id *lender = map_row_lender(m, row);
        int r;

        r = map_load_bytes(m, row, lender, bytes);
        if (r < 0)
                return r;
        if (!map_page_verifies(bytes, lender ? get_le64(lender->bytes) : m->seed, row->page) ||
            !map_page_is_rows(m, row, bytes) || !map_page_is_sane(m, number, bytes))
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
        uint64_t row;
        const struct blob_id *owner;
};

static int page_load(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct page_load *load = ctx;
        struct kept_page *kept = buf;

        (void)key;
        (void)len;
        kept->id = *load->owner;
        return map_read_page(load->map, load->row, kept->bytes);
}

/* Ids are random, so that the pages of maps seldom meet. A page is kept once, whoever borrows it. */
static uint64_t page_key(const struct blob_id *owner, uint32_t page)
{
        return get_le64(owner->bytes) + page * UINT64_C(0xd1342543de82ef95);
}

/*
 * A page as it is kept, or, where READ, read to be kept: 1, or 0 where it is to be read without that. One that was read
 * for another map was held against that one's rows.
 */
static int map_get_kept(const struct map *m, uint64_t number, bool read, uint8_t bytes[MAP_PAGE_SIZE])
{
        const struct map_row *row = &m->table[number];
        const struct blob_id *lender = map_row_lender(m, row), *owner = lender ? lender : &m->id;
        struct page_load load = { m, number, owner };
        const struct kept_page *kept;
        struct cache_entry *entry;
        const uint8_t *found;
        uint64_t key = page_key(owner, row->page);
        int r;

        if (!m->kept || (!read && !cache_peek(m->kept, key, sizeof(*kept), &entry, &found)))
                return 0;
        r = read ? cache_get(m->kept, key, sizeof(*kept), page_load, &load, &entry, &found) : 0;
        if (r < 0)
                return r;
        kept = (const struct kept_page *)found;
        r = memcmp(kept->id.bytes, owner->bytes, BLOB_ID_SIZE) == 0 && map_page_is_rows(m, row, kept->bytes);
        if (r)
                memcpy(bytes, kept->bytes, MAP_PAGE_SIZE);
        cache_put(m->kept, entry);
        return r && lender && !map_page_is_sane(m, number, bytes) ? -EBADMSG : r;
}

void map_keep_pages(struct map *m, struct cache *pages)
{
        m->kept = pages;
}

bool map_row_kept(const struct map *m, uint64_t row, struct cache *pages, uint8_t bytes[MAP_PAGE_SIZE])
{
        struct map keeping = *m; /* M itself goes on reading from the file */

        keeping.kept = pages;
        return map_get_kept(&keeping, row, false, bytes) > 0;
}

int map_get_page(const struct map *m, uint64_t row, bool keep, uint8_t bytes[MAP_PAGE_SIZE])
{
        int r;

        r = map_get_kept(m, row, keep, bytes);
        return r == 0 ? map_read_page(m, row, bytes) : r < 0 ? r : 0;
}

/* ---- rows ---- */

uint64_t map_rows(const struct map *m)
{
        return m->rows;
}

uint64_t map_row_start(const struct map *m, uint64_t row)
{
        return m->table[row].offset;
}

uint64_t map_row_limit(const struct map *m, uint64_t row)
{
        uint64_t limit = m->info.size_bytes;

        return row + 1 < m->rows && m->table[row + 1].offset < limit ? m->table[row + 1].offset : limit;
}

uint64_t map_rows_before(const struct map *m, uint64_t off)
{
        uint64_t low = 0, high = m->rows;

        while (low < high) {
                uint64_t middle = low + (high - low) / 2;

                if (m->table[middle].offset < off)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

bool map_row_get(const struct map *m, uint64_t row, struct map_page *ret)
{
        const struct map_row *r = &m->table[row];
        const struct blob_id *lender = map_row_lender(m, r);

        *ret = (struct map_page){
                .lender = lender ? *lender : m->id,
                .offset = r->offset,
                .hash = r->hash,
                .page = r->page,
                .entries = map_row_entries(r),
        };
        return !lender;
}

int map_page_measure(const uint8_t bytes[MAP_PAGE_SIZE], struct map_page *ret)
{
        struct map_page p = { .lender = ret->lender, .page = ret->page };
        struct map_entry e;

        p.hash = get_le64(bytes);
        p.entries = get_le32(bytes + 12);
        if (!map_page_verifies(bytes, get_le64(p.lender.bytes), p.page) || p.entries == 0 || p.entries > MAP_PAGE_ENTRIES)
                return -EBADMSG;
        for (unsigned i = 0; i < p.entries; i++) {
                map_entry_get(bytes, i, &e);
                if (!map_chunk_is_sane(&e) || e.len == 0 || e.len > e.raw_len || e.offset < p.end)
                        return -EBADMSG;
                p.offset = i == 0 ? e.offset : p.offset;
                p.clusters += (uint16_t)map_count_pieces(e.offset, e.len, p.end, BLOB_CLUSTER_SIZE);
                p.spans += (uint16_t)map_count_pieces(e.offset, e.len, p.end, BLOB_SPAN_SIZE);
                p.bytes += e.len;
                p.end = e.offset + e.len;
        }
        *ret = p;
        return 0;
}

/* What an old map's table does not tell, from the page. */
static int map_measure_page(const struct map *m, uint64_t row, struct map_page *ret)
{
        uint8_t bytes[MAP_PAGE_SIZE];
        int r;

        r = map_get_page(m, row, false, bytes);
        return r < 0 ? r : map_page_measure(bytes, ret);
}

int map_row_describe(struct map *m, uint64_t row, struct map_page *ret)
{
        struct map_page page;
        const uint8_t *extent;
        int r;

        (void)map_row_get(m, row, &page);
        if (m->plain) {
                r = map_measure_page(m, row, &page);
                if (r == 0)
                        *ret = page;
                return r;
        }
        r = map_load_extents(m);
        if (r < 0)
                return r;
        extent = m->extents + row * MAP_EXTENT_SIZE;
        page.end = get_le64(extent);
        page.bytes = get_le32(extent + 8);
        page.clusters = (uint16_t)get_le32(extent + 12);
        page.spans = (uint16_t)(get_le32(extent + 12) >> 16);
        if (page.end <= page.offset || page.end > map_row_limit(m, row))
                return -EBADMSG;
        *ret = page;
        return 0;
}

/* ---- what is left of a damaged one ---- */

int map_page_each(int fd, const struct blob_id *id, uint64_t page, map_entry_fn *fn, void *ctx)
{
        uint8_t bytes[MAP_PAGE_SIZE];
        struct map_entry e;
        int r;

        r = map_read_exactly(fd, bytes, sizeof(bytes), map_page_offset(page));
        if (r < 0)
                return r;
        if (!map_page_verifies(bytes, get_le64(id->bytes), page))
                return -EBADMSG;
        for (unsigned i = 0; r == 0 && i < MAP_PAGE_ENTRIES && i < get_le32(bytes + 12); i++) {
                map_entry_get(bytes, i, &e);
                r = map_chunk_is_sane(&e) ? fn(ctx, &e) : 0;
        }
        return r;
}

struct salvage {
        map_entry_fn *fn;
        void *ctx;
        bool stopped;
};

static int salvage_entry(void *ctx, const struct map_entry *e)
{
        struct salvage *s = ctx;
        int r = s->fn(s->ctx, e);

        s->stopped |= r < 0;
        return r;
}

int map_salvage(int fd, const struct blob_id *id, map_entry_fn *fn, void *ctx)
{
        struct salvage s = { fn, ctx, false };
        struct stat st;
        int r = 0;

        if (fstat(fd, &st) < 0)
                return -errno;
        /* What the table says of their number is not needed: a part of it does not pass for a page. */
        for (uint64_t n = 0; !s.stopped && map_page_offset(n + 1) <= (uint64_t)st.st_size; n++)
                r = map_page_each(fd, id, n, salvage_entry, &s);
        return s.stopped ? r : 0;
}
