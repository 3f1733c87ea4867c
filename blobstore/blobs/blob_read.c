/* SPDX-License-Identifier: MIT */

/*
 * Open blobs, and reading them. An open blob is pinned: it stands in the store's table, where a removal finds it and
 * leaves the chunks for a collection after the last close. So nobody reads what is punched.
 *
 * Reading needs the map and the segments only. A chunk that is wanted whole is decoded into the caller's buffer; of one
 * that is wanted in part the decoded bytes are kept in the cache, since the rest will be wanted next. The chunks of a
 * large read are decoded by all idle threads: decoding is two thirds of what reading through the mount costs.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "blobstore/blobs/store_priv.h"

/* Chunks that are collected before they are read; a read of 1 MiB wants some 17. */
#define READ_PIECES_MAX 32

void store_map_path(const struct blob_id *id, const char *suffix, char ret[STORE_MAP_PATH_SIZE])
{
        char name[MAP_NAME_SIZE];

        map_name(id, name);
        (void)snprintf(ret, STORE_MAP_PATH_SIZE, "%.2s/%s%s", name, name, suffix);
}

int store_open_map(struct blobstore *bs, const struct blob_id *id, const char *suffix, struct map **ret)
{
        char path[STORE_MAP_PATH_SIZE];
        int fd;

        store_map_path(id, suffix, path);
        fd = openat(bs->maps_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        return map_open(fd, id, ret);
}

/* ---- the table of open blobs ---- */

static unsigned blob_bucket(const struct blob_id *id)
{
        return (id->bytes[0] << 8 | id->bytes[1]) % STORE_BLOB_BUCKETS; /* ids are random */
}

/* Call with blobs_lock held. */
static struct blob *blob_find(struct blobstore *bs, const struct blob_id *id)
{
        struct blob *b;

        LIST_FOREACH(b, &bs->blobs[blob_bucket(id)], link)
                if (memcmp(b->id.bytes, id->bytes, BLOB_ID_SIZE) == 0)
                        return b;
        return NULL;
}

/* Call with blobs_lock held. */
static struct blob *blob_add(struct blobstore *bs, const struct blob_id *id)
{
        struct blob *b = calloc(1, sizeof(*b));

        if (!b)
                return NULL;
        b->store = bs;
        b->id = *id;
        b->users = 1;
        pthread_mutex_init(&b->load_lock, NULL);
        LIST_INSERT_HEAD(&bs->blobs[blob_bucket(id)], b, link);
        return b;
}

int blob_pin_new(struct blobstore *bs, const struct blob_id *id, struct blob **ret)
{
        struct blob *b;

        LOCK_SCOPE(&bs->blobs_lock);
        b = blob_add(bs, id);
        if (!b)
                return -ENOMEM;
        *ret = b;
        return 0;
}

int blob_load(struct blob *b)
{
        LOCK_SCOPE(&b->load_lock);
        if (!b->loaded) {
                b->load_error = store_open_map(b->store, &b->id, "", &b->map);
                b->loaded = true;
                if (b->load_error == 0)
                        b->info = *map_info(b->map);
        }
        return b->load_error;
}

int blob_open(struct blobstore *bs, const struct blob_id *id, struct blob **ret)
{
        CLEANUP(blob_closep) struct blob *b = NULL;
        int r;

        lock(&bs->blobs_lock);
        b = blob_find(bs, id);
        r = b && b->removed ? -ENOENT : 0;
        if (r < 0)
                b = NULL; /* not ours to close */
        else if (b)
                b->users++;
        else
                b = blob_add(bs, id);
        unlock(&bs->blobs_lock);
        if (r < 0)
                return r;
        if (!b)
                return -ENOMEM;

        /* By now it is pinned: a removal that comes first leaves no map, one that comes later leaves the chunks. */
        r = blob_load(b);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

struct blob *blob_ref(struct blob *b)
{
        LOCK_SCOPE(&b->store->blobs_lock);
        b->users++;
        return b;
}

/* Call with blobs_lock held, on a blob that is not open: without its map nobody can open it. */
static int blob_hide(struct blobstore *bs, const struct blob_id *id)
{
        char from[STORE_MAP_PATH_SIZE], to[STORE_MAP_PATH_SIZE];

        store_map_path(id, "", from);
        store_map_path(id, STORE_DEAD, to);
        return renameat(bs->maps_fd, from, bs->maps_fd, to) < 0 && errno != ENOENT ? -errno : 0;
}

void blob_close(struct blob *b)
{
        struct blobstore *bs;
        bool last;

        if (!b)
                return;
        bs = b->store;
        lock(&bs->blobs_lock);
        last = --b->users == 0;
        if (last) {
                LIST_REMOVE(b, link);
                if (b->removed)
                        (void)blob_hide(bs, &b->id); /* the collection tries again */
        }
        unlock(&bs->blobs_lock);
        if (!last)
                return;
        map_close(b->map);
        pthread_mutex_destroy(&b->load_lock);
        free(b);
}

int blob_begin_removal(struct blobstore *bs, const struct blob_id *id)
{
        struct blob *b;
        int r;

        LOCK_SCOPE(&bs->blobs_lock);
        b = blob_find(bs, id);
        if (b) {
                b->removed = true;
                return 0;
        }
        r = blob_hide(bs, id);
        return r < 0 ? r : 1;
}

bool blob_is_open(struct blobstore *bs, const struct blob_id *id)
{
        LOCK_SCOPE(&bs->blobs_lock);
        return blob_find(bs, id) != NULL;
}

const struct blob_info *blob_get_info(const struct blob *b)
{
        return &b->info;
}

const struct blob_id *blob_get_id(const struct blob *b)
{
        return &b->id;
}

/* ---- reading ---- */

struct chunk_load {
        struct blobstore *store;
        const struct map_entry *entry;
};

static int chunk_load(void *ctx, uint64_t place, void *buf, size_t len)
{
        struct chunk_load *l = ctx;

        return store_read_chunk(l->store, place, l->entry->stored_len, &l->entry->name, buf, len);
}

/* Copies N bytes from byte FROM of a chunk. */
static int blob_read_chunk(struct blobstore *bs, const struct map_entry *e, uint32_t from, void *buf, size_t n)
{
        struct chunk_load load = { bs, e };
        struct cache_entry *cached;
        const uint8_t *bytes;
        int r;

        if (n == e->raw_len && !cache_peek(bs->cache, e->place, n, &cached, &bytes))
                return store_read_chunk(bs, e->place, e->stored_len, &e->name, buf, n);
        if (n < e->raw_len) {
                r = cache_get(bs->cache, e->place, e->raw_len, chunk_load, &load, &cached, &bytes);
                if (r < 0)
                        return r;
        }
        memcpy(buf, bytes + from, n);
        cache_put(bs->cache, cached);
        return 0;
}

/* Part of a chunk, and where it goes. */
struct piece {
        struct map_entry entry;
        uint32_t from;
        size_t n;
        uint8_t *to;
};

struct pieces {
        struct blobstore *store;
        size_t n;
        struct piece piece[READ_PIECES_MAX];
};

static int piece_read(void *ctx, size_t i)
{
        const struct pieces *p = ctx;
        const struct piece *piece = &p->piece[i];

        return blob_read_chunk(p->store, &piece->entry, piece->from, piece->to, piece->n);
}

/* Collects the pieces of [pos, end) until there are enough, and clears holes on the way; gives where it came to. */
static int blob_collect(struct map_cursor *cursor, uint64_t pos, uint64_t end, uint8_t *to, struct pieces *ret,
                        uint64_t *ret_pos)
{
        const uint64_t start = pos;
        int r;

        ret->n = 0;
        while (pos < end && ret->n < READ_PIECES_MAX) {
                struct piece *piece = &ret->piece[ret->n];
                const struct map_entry *e = &piece->entry;

                r = map_next(cursor, &piece->entry);
                if (r < 0)
                        return r;
                if (r == 0 || e->offset >= end) {
                        memset(to + (pos - start), 0, (size_t)(end - pos));
                        pos = end;
                        break;
                }
                if (e->offset > pos) {
                        memset(to + (pos - start), 0, (size_t)(e->offset - pos));
                        pos = e->offset;
                }
                piece->from = e->skip + (uint32_t)(pos - e->offset);
                piece->n = e->len - (size_t)(pos - e->offset);
                if (piece->n > end - pos)
                        piece->n = (size_t)(end - pos);
                piece->to = to + (pos - start);
                pos += piece->n;
                ret->n++;
        }
        *ret_pos = pos;
        return 0;
}

ssize_t blob_pread(struct blob *b, void *buf, size_t n, uint64_t off)
{
        struct pieces pieces;
        struct map_cursor cursor;
        uint64_t end, pos, next;
        uint8_t *out = buf;
        int r;

        if (n == 0 || off >= b->info.size_bytes)
                return 0;
        if (n > SSIZE_MAX)
                n = SSIZE_MAX;
        if (n > b->info.size_bytes - off)
                n = (size_t)(b->info.size_bytes - off);
        end = off + n;

        pieces.store = b->store;
        r = map_seek(b->map, off, &cursor);
        for (pos = off; r == 0 && pos < end; pos = next) {
                r = blob_collect(&cursor, pos, end, out + (pos - off), &pieces, &next);
                if (r == 0)
                        r = pool_share(b->store->pool, pieces.n, piece_read, &pieces);
        }
        return r < 0 ? r : (ssize_t)n;
}

int blob_stretch(struct blob *b, uint64_t off, uint64_t *ret_off, size_t *ret_n)
{
        struct map_cursor cursor;
        struct map_entry e;
        int r;

        r = map_seek(b->map, off, &cursor);
        if (r == 0)
                r = map_next(&cursor, &e);
        if (r <= 0 || e.offset > off)
                return r < 0 ? r : 0;
        *ret_off = e.offset;
        *ret_n = e.len;
        return 1;
}

int blob_seek(struct blob *b, uint64_t off, int whence, uint64_t *ret)
{
        struct map_cursor cursor;
        struct map_entry e;
        int r;

        if (whence != SEEK_DATA && whence != SEEK_HOLE)
                return -EINVAL;
        if (off >= b->info.size_bytes)
                return -ENXIO;
        r = map_seek(b->map, off, &cursor);
        if (r < 0)
                return r;

        if (whence == SEEK_DATA) {
                r = map_next(&cursor, &e);
                if (r <= 0)
                        return r < 0 ? r : -ENXIO;
                *ret = e.offset > off ? e.offset : off;
                return 0;
        }
        /* Chunks that touch are one run of data. */
        while ((r = map_next(&cursor, &e)) > 0 && e.offset <= off)
                off = e.offset + e.len;
        if (r < 0)
                return r;
        *ret = off;
        return 0;
}

int blob_find_data(struct blob *b, uint64_t off, uint64_t end, uint64_t *ret_start, uint64_t *ret_end)
{
        struct map_cursor cursor;
        struct map_entry e;
        uint64_t stop;
        int r;

        if (off >= b->info.size_bytes)
                return 0;
        r = map_seek(b->map, off, &cursor);
        if (r == 0)
                r = map_next(&cursor, &e);
        if (r <= 0 || e.offset >= end)
                return r < 0 ? r : 0;
        *ret_start = e.offset > off ? e.offset : off;
        do
                stop = e.offset + e.len;
        while (stop < end && (r = map_next(&cursor, &e)) > 0 && e.offset == stop);
        if (r < 0)
                return r;
        *ret_end = stop < end ? stop : end;
        return 1;
}
