/* SPDX-License-Identifier: MIT */

/* Writing a map: entries fill pages of its own, and pages of other maps are named between them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/blobs/map_priv.h"
#include "blobstore/chunks/segment.h"
#include "blobstore/hash/hash.h"

/* A list as it will be in the file. */
struct list {
        uint8_t *bytes;
        size_t n, room;
};

struct map_writer {
        int fd;
        struct blob_id id;
        uint64_t seed;
        uint64_t entries;
        uint64_t pages;                     /* of its own, written */
        uint64_t data_clusters, data_spans; /* of the entries so far */
        uint64_t end;                       /* of the last entry */
        struct map_page page;               /* the one that is being filled; no entries: none */
        uint64_t page_rank;                 /* clusters with data before that of its first entry */
        uint8_t bytes[MAP_PAGE_SIZE];       /* of it */
        struct list rows, extents, lenders;
};

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
        free(w->rows.bytes);
        free(w->extents.bytes);
        free(w->lenders.bytes);
        free(w);
}

/* SIZE more bytes at its end. */
static uint8_t *list_grow(struct list *l, size_t size)
{
        size_t room = l->room ? l->room : 512;
        uint8_t *bytes;

        while (room < l->n + size)
                room *= 2;
        if (room != l->room) {
                bytes = realloc(l->bytes, room);
                if (!bytes)
                        return NULL;
                l->bytes = bytes;
                l->room = room;
        }
        l->n += size;
        return l->bytes + l->n - size;
}

static int writer_add_row(struct map_writer *w, const struct map_page *p, uint64_t rank, uint32_t lender)
{
        uint8_t *row = list_grow(&w->rows, MAP_ROW_SIZE), *extent = list_grow(&w->extents, MAP_EXTENT_SIZE);

        if (!row || !extent)
                return -ENOMEM;
        put_le64(row, p->offset);
        put_le64(row + 8, rank);
        put_le64(row + 16, p->hash);
        put_le32(row + 24, p->page);
        put_le32(row + 28, lender << 8 | p->entries);
        put_le64(extent, p->end);
        put_le32(extent + 8, p->bytes);
        put_le32(extent + 12, (uint32_t)p->clusters | (uint32_t)p->spans << 16);
        return 0;
}

void map_entry_put(uint8_t *page, unsigned i, const struct map_entry *e)
{
        uint8_t *p = page + MAP_PAGE_HEAD_SIZE + i * MAP_ENTRY_SIZE;

        put_le64(p, e->offset);
        put_le32(p + 8, e->len);
        put_le32(p + 12, e->skip);
        put_le32(p + 16, e->raw_len);
        put_le32(p + 20, e->stored_len);
        put_le32(p + 24, place_segment(e->place));
        put_le32(p + 28, place_offset(e->place));
        memcpy(p + 32, e->name.bytes, CHUNK_ID_SIZE);
}

uint64_t map_page_seal(uint8_t *page, uint32_t number, uint32_t entries, uint64_t seed)
{
        uint64_t hash;

        put_le32(page + 8, number);
        put_le32(page + 12, entries);
        hash = hash64(page + 8, MAP_PAGE_SIZE - 8, seed);
        put_le64(page, hash);
        return hash;
}

static int writer_flush_page(struct map_writer *w)
{
        struct map_page *p = &w->page;
        int r;

        if (p->entries == 0)
                return 0;
        p->page = (uint32_t)w->pages;
        p->end = w->end;
        p->hash = map_page_seal(w->bytes, p->page, p->entries, w->seed);
        r = writer_add_row(w, p, w->page_rank, 0);
        if (r == 0)
                r = pwrite_full(w->fd, w->bytes, MAP_PAGE_SIZE, map_page_offset(w->pages));
        if (r < 0)
                return r;
        w->pages++;
        *p = (struct map_page){ 0 };
        memset(w->bytes, 0, MAP_PAGE_SIZE);
        return 0;
}

/* The clusters with data before the one of OFF, where what comes next begins. */
static uint64_t writer_rank(const struct map_writer *w, uint64_t off)
{
        return w->data_clusters - (w->end > 0 && (w->end - 1) / BLOB_CLUSTER_SIZE == off / BLOB_CLUSTER_SIZE);
}

int map_writer_add(struct map_writer *w, const struct map_entry *e)
{
        struct map_page *p = &w->page;
        uint64_t in_page = p->entries > 0 ? w->end : 0;

        if (p->entries == 0) {
                p->offset = e->offset;
                w->page_rank = writer_rank(w, e->offset);
        }
        p->bytes += e->len;
        p->clusters = (uint16_t)(p->clusters + map_count_pieces(e->offset, e->len, in_page, BLOB_CLUSTER_SIZE));
        p->spans = (uint16_t)(p->spans + map_count_pieces(e->offset, e->len, in_page, BLOB_SPAN_SIZE));
        w->data_clusters += map_count_pieces(e->offset, e->len, w->end, BLOB_CLUSTER_SIZE);
        w->data_spans += map_count_pieces(e->offset, e->len, w->end, BLOB_SPAN_SIZE);
        w->end = e->offset + e->len;

        map_entry_put(w->bytes, p->entries, e);
        w->entries++;
        if (++p->entries < MAP_PAGE_ENTRIES)
                return 0;
        return writer_flush_page(w);
}

/* The last one is asked first: pages of one map follow each other. */
static int writer_find_lender(struct map_writer *w, const struct blob_id *id, uint32_t *ret)
{
        size_t n = w->lenders.n / BLOB_ID_SIZE;
        uint8_t *new;

        for (size_t i = n; i > 0; i--) {
                if (memcmp(w->lenders.bytes + (i - 1) * BLOB_ID_SIZE, id->bytes, BLOB_ID_SIZE) != 0)
                        continue;
                *ret = (uint32_t)i;
                return 0;
        }
        if (n == MAP_LENDERS_MAX)
                return -EFBIG;
        new = list_grow(&w->lenders, BLOB_ID_SIZE);
        if (!new)
                return -ENOMEM;
        memcpy(new, id->bytes, BLOB_ID_SIZE);
        *ret = (uint32_t)n + 1;
        return 0;
}

int map_writer_borrow(struct map_writer *w, const struct map_page *p)
{
        uint32_t lender;
        int r;

        r = writer_flush_page(w);
        if (r == 0)
                r = writer_find_lender(w, &p->lender, &lender);
        if (r == 0)
                r = writer_add_row(w, p, writer_rank(w, p->offset), lender);
        if (r < 0)
                return r;
        w->data_clusters = writer_rank(w, p->offset) + p->clusters;
        w->data_spans += p->spans -
                         (uint64_t)(w->end > 0 && (w->end - 1) / BLOB_SPAN_SIZE == p->offset / BLOB_SPAN_SIZE);
        w->end = p->end;
        w->entries += p->entries;
        return 0;
}

int map_writer_finish(struct map_writer *w, struct blob_info *info)
{
        uint8_t header[MAP_PAGE_SIZE] = { 0 };
        uint64_t rows, at;
        uint8_t *lenders;
        int r;

        r = writer_flush_page(w);
        if (r < 0)
                return r;
        rows = w->rows.n / MAP_ROW_SIZE;
        lenders = list_grow(&w->rows, w->lenders.n); /* behind the rows, under one hash */
        if (!lenders)
                return -ENOMEM;
        if (w->lenders.n > 0)
                memcpy(lenders, w->lenders.bytes, w->lenders.n);
        at = map_page_offset(w->pages);
        r = pwrite_full(w->fd, w->rows.bytes, w->rows.n, at);
        if (r == 0)
                r = pwrite_full(w->fd, w->extents.bytes, w->extents.n, at + w->rows.n);
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
        put_le64(header + HEADER_TABLE_HASH, hash64(w->rows.bytes, w->rows.n, w->seed));
        memcpy(header + HEADER_CHECKSUM, info->checksum.bytes, BLOB_CHECKSUM_SIZE);
        put_le64(header + HEADER_DATA_CLUSTERS, info->data_clusters);
        put_le64(header + HEADER_DATA_SPANS, info->data_spans);
        put_le64(header + HEADER_ROWS, rows);
        put_le64(header + HEADER_PAGES, w->pages);
        put_le64(header + HEADER_LENDERS, w->lenders.n / BLOB_ID_SIZE);
        put_le64(header + HEADER_EXTENTS_HASH, hash64(w->extents.bytes, w->extents.n, w->seed));
        put_le64(header + HEADER_HASH, hash64(header, HEADER_HASH, w->seed));
        return pwrite_full(w->fd, header, sizeof(header), 0);
}

int map_writer_sync(struct map_writer *w)
{
        return fsync(w->fd) < 0 ? -errno : 0;
}
