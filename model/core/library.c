/* SPDX-License-Identifier: MIT */

/*
 * What is known of the library as a whole.
 */

#include "model/core/library.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/strbuf.h"
#include "model/core/catalogue.h"
#include "model/core/damage.h"
#include "model/core/left_down.h"
#include "model/core/place.h"
#include "model/core/secret.h"
#include "model/core/stores.h"

enum { BORN };

static const char *const library_sql[] = {
        [BORN] = "SELECT born FROM library",
};
const struct db_statements library_statements = DB_STATEMENTS(library_sql);

int64_t model_born_us(struct model *m)
{
        int64_t born_us = 0;
        DB_TXN(t);

        if (db_begin(m->db, DB_READ, &t) < 0 || db_int(&t, library_sql[BORN], &born_us) < 0)
                return 0;
        return born_us;
}

int model_number_key(struct model *m, uint8_t ret[MODEL_NUMBER_KEY_SIZE])
{
        uint8_t mac[SECRET_MAC_SIZE];
        int r;

        r = secret_mac(m, "numbers", "", 0, mac);
        if (r == 0)
                memcpy(ret, mac, MODEL_NUMBER_KEY_SIZE);
        explicit_bzero(mac, sizeof(mac));
        return r;
}

bool model_is_degraded(struct model *m)
{
        return db_is_degraded(m->db) || stores_are_degraded(m->stores);
}

struct health {
        struct model *m;
        model_health_fn *fn;
        void *ctx;
};

static int store_health(void *ctx, uint64_t id, struct blobstore *bs)
{
        CLEANUP_STRBUF struct strbuf out = { 0 }, who = { 0 };
        char path[PATH_MAX], dir[PATH_MAX];
        const struct health *h = ctx;
        int r;

        r = stores_get_path(h->m, id, path, sizeof(path));
        if (r == 0)
                r = store_path_dir(h->m, path, dir, sizeof(dir));
        if (r < 0)
                return r;
        if (blobstore_is_taken(bs, &who))
                strbuf_addf(&out, "%s: %s, and this one takes nothing in, and removes nothing there, any more: see to it that one "
                                  "copy is used; where that is to be this one, unmount the other, remove %s/claim, and mount this "
                                  "library anew", path, strbuf_text(&who), dir);
        else if (blobstore_is_contested(bs))
                strbuf_addf(&out, "%s: something else is in the bucket where this blob store was to put a part of itself, and it "
                                  "takes nothing in until the next start: another copy of this library writes there, or did; see "
                                  "to it that one does", path);
        else if (blobstore_is_degraded(bs))
                strbuf_addf(&out, "%s: a sync failed, or the index was found damaged, and the blob store takes nothing in until "
                                  "the next start, which makes the index again: look at its disk first", path);
        else if (!stores_are_ours(h->m, id))
                strbuf_addf(&out, "%s: this blob store belongs to another library, or its catalogue was made anew: what "
                                  "nothing names in it is kept; write \"adopt %s\" to the store file of its region to take "
                                  "it over; or, if the catalogue was lost, unmount and have \"imagefs check %s "
                                  "--restore-catalogue\" bring back a copy", path, path, h->m->dir);
        else if (blobstore_withholds(bs))
                strbuf_addf(&out, "%s: the blob store's index does not count all there is, and no space is given back "
                                  "until it was made again, at the next start; \"imagefs check\" shows what is damaged", path);
        else if (blobstore_disk_cache_error(bs) == -EPERM)
                strbuf_addf(&out, "%s: the cache on disk is another user's, or not for its owner alone, and is not "
                                  "used, so that reads are slower: remove it, or name another by cache-dir, and mount "
                                  "the library anew", path);
        else if (blobstore_disk_cache_error(bs) < 0)
                strbuf_addf(&out, "%s: the cache on disk cannot be used, so that reads are slower: %s; put that right, "
                                  "and mount the library anew", path, strerror(-blobstore_disk_cache_error(bs)));
        if (strbuf_error(&out) < 0)
                return strbuf_error(&out);
        if (out.len > 0)
                h->fn(h->ctx, strbuf_text(&out));
        return 0;
}

static int offline_health(void *ctx, const char *sentence, const char *path)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        const struct health *h = ctx;

        strbuf_add(&out, sentence);
        if (path)
                strbuf_addf(&out, "; then write %s to the store file of its region, or mount the library anew", path);
        if (strbuf_error(&out) < 0)
                return strbuf_error(&out);
        h->fn(h->ctx, strbuf_text(&out));
        return 0;
}

bool model_catalogue_trouble(struct model *m, char *buf, size_t size)
{
        char why[256];

        if (!db_trouble(m->db, why, sizeof(why)))
                return false;
        (void)snprintf(buf, size, "the server that has the catalogue cannot be used now: %s; all goes on when it is back", why);
        return true;
}

static void catalogue_health(struct model *m, model_health_fn *fn, void *ctx)
{
        int error = catalogue_error(m);
        char text[256];

        if (error == 0)
                return;
        (void)snprintf(text, sizeof(text), "a copy of the catalogue could not be kept in each blob store: %s; it is tried "
                                           "again each hour", strerror(-error));
        fn(ctx, text);
}

int model_health(struct model *m, model_health_fn *fn, void *ctx)
{
        struct health h = { .m = m, .fn = fn, .ctx = ctx };
        char text[512];
        int r;

        if (db_is_degraded(m->db))
                fn(ctx, "the catalogue could not be synced, and nothing can be changed until the next start: look at its disk "
                        "first");
        left_down_health(m, fn, ctx);
        catalogue_health(m, fn, ctx);
        r = damage_health(m, fn, ctx);
        if (model_catalogue_trouble(m, text, sizeof(text))) {
                fn(ctx, text);
                return 0; /* of all else nothing is known */
        }
        if (r < 0)
                return r;
        r = place_health(m, fn, ctx);
        if (r < 0)
                return r;
        r = stores_each_offline(m, offline_health, &h);
        return r < 0 ? r : stores_each(m, store_health, &h);
}
