/* SPDX-License-Identifier: MIT */

/*
 * Open blobs. One is pinned: it stands in the store's table, where a removal finds it and leaves the chunks for a
 * collection after the last close. So nobody reads what is punched.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/map_file_priv.h"

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
        b->scan = bs->next_scan++;
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

/* Without them it is read from its chunks. */
static void blob_find_blocks(struct blob *b)
{
        struct block_cache *c = b->store->chunks->blocks;

        if (c)
                (void)block_file_open(c, &b->id, b->info.size_bytes, &b->blocks);
}

int blob_load(struct blob *b)
{
        LOCK_SCOPE(&b->load_lock);
        if (!b->loaded) {
                b->load_error = map_file_open(b->store, &b->id, false, &b->map);
                b->loaded = true;
                if (b->load_error == 0) {
                        map_keep_pages(b->map, b->store->map_pages);
                        b->info = *map_info(b->map);
                        blob_find_blocks(b);
                }
        }
        return b->load_error;
}

int blob_pin(struct blobstore *bs, const struct blob_id *id, struct blob **ret)
{
        struct blob *b;

        LOCK_SCOPE(&bs->blobs_lock);
        b = blob_find(bs, id);
        if (b && b->removed)
                return -ENOENT;
        if (b)
                b->users++;
        else
                b = blob_add(bs, id);
        if (!b)
                return -ENOMEM;
        *ret = b;
        return 0;
}

int blob_open(struct blobstore *bs, const struct blob_id *id, struct blob **ret)
{
        CLEANUP(blob_closep) struct blob *b = NULL;
        int r;

        r = blob_pin(bs, id, &b);
        if (r < 0)
                return r;

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

void blob_close(struct blob *b)
{
        struct blobstore *bs;
        bool last, removed;

        if (!b)
                return;
        bs = b->store;
        lock(&bs->blobs_lock);
        last = --b->users == 0;
        removed = last && b->removed;
        if (last) {
                LIST_REMOVE(b, link);
                if (removed)
                        (void)map_file_hide(bs, &b->id); /* the collection tries again */
        }
        unlock(&bs->blobs_lock);
        if (!last)
                return;
        if (removed && bs->chunks->blocks)
                block_cache_remove(bs->chunks->blocks, &b->id);
        block_file_close(b->blocks);
        map_close(b->map);
        pthread_mutex_destroy(&b->load_lock);
        free(b);
}

static int blob_hide(struct blobstore *bs, const struct blob_id *id)
{
        struct blob *b;
        int r;

        LOCK_SCOPE(&bs->blobs_lock);
        b = blob_find(bs, id);
        if (b) {
                b->removed = true;
                return 0;
        }
        r = map_file_hide(bs, id); /* without its map nobody can open it */
        return r < 0 ? r : 1;
}

int blob_begin_removal(struct blobstore *bs, const struct blob_id *id)
{
        int r;

        r = blob_hide(bs, id);
        if (r > 0 && bs->chunks->blocks)
                block_cache_remove(bs->chunks->blocks, id);
        return r;
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

struct blobstore *blob_store(const struct blob *b)
{
        return b->store;
}
