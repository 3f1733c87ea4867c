/* SPDX-License-Identifier: MIT */

/*
 * Whose a blob store is. What another library's store holds is not named by this one's catalogue, nor is what is newer
 * than a catalogue that was made anew: there nothing is collected, and the files of others are left alone, until the
 * administrator has it adopted.
 */

#include "model/core/owner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/parse.h"
#include "model/core/catalogue.h"

enum { NAMES_BLOB, WHO };

static const char *const owner_sql[] = {
        [NAMES_BLOB] = "SELECT EXISTS (SELECT 1 FROM blob WHERE store = ?1)",
        [WHO] = "SELECT ident FROM library",
};
const struct db_statements owner_statements = DB_STATEMENTS(owner_sql);

/* Does the catalogue name any blob of it? ID 0: it does not know the store. */
static int names_blob(struct model *m, uint64_t id)
{
        int64_t named;
        DB_TXN(t);
        int r;

        if (id == 0)
                return 0;
        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, owner_sql[NAMES_BLOB], &named, DB_INT(id));
        return r < 0 ? r : named != 0;
}

int owner_find(struct model *m, const struct store_owner *we, uint64_t store, struct blobstore *bs,
               struct store_owner *ret)
{
        struct blobstore_stats stats;
        int r;

        *ret = (struct store_owner){ 0 };
        r = blobstore_get_owner(bs, ret);
        if (r == 0)
                return strcmp(ret->library, we->library) == 0;
        if (r == -EUCLEAN)
                return 0;
        if (r != -ENOENT)
                return r;
        r = blobstore_get_stats(bs, &stats);
        if (r == -EBADMSG)
                return 1; /* only to be read, by the check, which says what is wrong */
        if (r < 0)
                return r;
        return stats.blobs == 0 ? 1 : names_blob(m, store);
}

/* Of the catalogue of the library that had the store: ours would push them out. */
static void set_copies_aside(int store_fd, const char *library)
{
        char name[NAME_LEN_MAX];

        if (!name_is_valid(library) || snprintf(name, sizeof(name), CATALOGUE_DIR ".%s", library) >= (int)sizeof(name))
                return; /* nobody's, or no name that a library has */
        (void)renameat(store_fd, CATALOGUE_DIR, store_fd, name); /* there may be none */
}

int owner_take_over(const struct store_owner *we, struct blobstore *bs, const struct store_owner *now)
{
        if (strcmp(now->library, we->library) == 0 && strcmp(now->place, we->place) == 0)
                return 0;
        if (strcmp(now->library, we->library) != 0)
                set_copies_aside(blobstore_dir(bs), now->library);
        return blobstore_set_owner(bs, we);
}

static int take_ident(void *ctx, const struct db_row *row)
{
        struct store_owner *owner = ctx;

        db_row_text(row, 0, owner->library, sizeof(owner->library));
        return 0;
}

int owner_introduce(struct model *m, struct store_owner *ret)
{
        DB_TXN(t);
        int r;

        (void)snprintf(ret->place, sizeof(ret->place), "%s", m->dir);
        for (char *c = ret->place; *c; c++)
                *c = *c == '\n' ? '?' : *c; /* it is for people, and one line */
        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_one(&t, owner_sql[WHO], take_ident, ret);
}

int owner_refuse(const char *path, const struct store_owner *owner, struct diag *diag)
{
        if (owner->library[0])
                return diag_set(diag, -EBUSY, "%s: this blob store belongs to the library in %s: write \"adopt %s\" to take "
                                              "it over", path, owner->place, path);
        return diag_set(diag, -EBUSY, "%s: this blob store holds blobs of a library that is not known: write \"adopt %s\" "
                                      "to take it over", path, path);
}
