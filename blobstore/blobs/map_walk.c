/* SPDX-License-Identifier: MIT */

/* Cursors over a map's entries, and what can be found by its rows. */

#include "blobstore/base/block.h"
#include "blobstore/blobs/map_priv.h"

static int map_load_page(struct map_cursor *c, bool keep)
{
        int r;

        c->i = c->n = 0;
        if (c->row >= c->map->rows)
                return 0;
        r = map_get_page(c->map, c->row, keep, c->bytes);
        if (r == 0)
                c->n = map_row_entries(&c->map->table[c->row]);
        return r;
}

/* The last page that begins at or before OFF, or the first page. */
static uint64_t map_find_page(const struct map *m, uint64_t off)
{
        uint64_t low = 0, high = m->rows;

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
        ret->row = map_find_page(m, off);
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

int map_seek_row(const struct map *m, uint64_t row, struct map_cursor *ret)
{
        ret->map = m;
        ret->row = row;
        return map_load_page(ret, true);
}

int map_next(struct map_cursor *c, struct map_entry *ret)
{
        int r;

        if (c->i >= c->n) {
                if (c->row >= c->map->rows)
                        return 0;
                c->row++;
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
        ret->row = page;
        r = map_load_page(ret, true);
        if (r == 0)
                *ret_rank = page < m->rows ? m->table[page].rank : 0;
        return r;
}

int map_seek_cluster(const struct map *m, uint64_t cluster, struct map_cursor *ret, uint64_t *ret_rank)
{
        return map_seek_page(m, map_find_page(m, cluster * BLOB_CLUSTER_SIZE), ret, ret_rank);
}

int map_seek_rank(const struct map *m, uint64_t rank, struct map_cursor *ret, uint64_t *ret_rank)
{
        uint64_t low = 0, high = m->rows;

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
        uint64_t low = page, high = m->rows, empty = map_empty_clusters(m, page);

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

        while (c->row < last || c->i < c->n) {
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
                r = map_follow(&cursor, cursor.row + MAP_HOLE_PAGES - 1, &off);
        if (r > 0) {
                page = map_find_sparse_page(m, cursor.row);
                r = 0;
                if (page > cursor.row) {
                        off = m->table[page].offset;
                        r = map_seek_row(m, page, &cursor);
                }
                if (r == 0)
                        r = map_follow(&cursor, m->rows, &off); /* no further than into the next page */
        }
        if (r < 0)
                return r;
        *ret = off;
        return 0;
}

