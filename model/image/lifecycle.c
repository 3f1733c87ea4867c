/* SPDX-License-Identifier: MIT */

#include "model/image/lifecycle.h"

#include <errno.h>
#include <string.h>

#include "blobstore/base/strbuf.h"

enum { REPLACEMENT };

/* In a class that all see, or its owner's: of others' images nothing is told. */
static const char *const lifecycle_sql[] = {
        [REPLACEMENT] = "SELECT class || '/' || handle FROM image WHERE ident = ?1 AND region = ?2 "
                        "AND class <> 'recycle' AND (class IN ('public', 'marketplace') OR uid = ?3)",
};
const struct db_statements lifecycle_statements = DB_STATEMENTS(lifecycle_sql);

static bool is_a(const char *lifecycle, const char *word)
{
        size_t n = strlen(word);

        return strncmp(lifecycle, word, n) == 0 && (lifecycle[n] == '\0' || lifecycle[n] == ' ');
}

/* "": none is named. */
static const char *replacement_of(const char *lifecycle)
{
        const char *space = strchr(lifecycle, ' ');

        return space ? space + 1 : "";
}

int lifecycle_check(const char *text, struct diag *diag)
{
        const char *ident = replacement_of(text);

        if (strcmp(text, "active") == 0)
                return 0;
        if ((is_a(text, "deprecated") || is_a(text, "obsolete")) &&
            (!strchr(text, ' ') || (strncmp(ident, "img-", 4) == 0 && strlen(ident) < IDENT_MAX)))
                return 0;
        return diag_set(diag, -EINVAL, "lifecycle: active, deprecated or obsolete; behind the last two may stand the id of "
                                       "the image that takes its place, as in: deprecated img-…");
}

static int take_place(void *ctx, const struct db_row *row)
{
        strbuf_add(ctx, db_row_str(row, 0));
        return strbuf_error(ctx);
}

/* Where what takes its place is, as "private/web". -ENOENT. */
static int find_replacement(struct db_txn *t, const struct image *image, const char *ident, struct strbuf *out)
{
        return db_one(t, lifecycle_sql[REPLACEMENT], take_place, out, DB_TEXT(ident), DB_INT(image->region),
                      DB_INT(image->o.uid));
}

int lifecycle_refuse_unknown(struct db_txn *t, const struct image *image, const char *text, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf place = { 0 };
        const char *ident = replacement_of(text);
        int r;

        if (!ident[0])
                return 0;
        if (strcmp(ident, image->ident) == 0)
                return diag_set(diag, -EINVAL, "lifecycle: %s is this image itself", ident);
        r = find_replacement(t, image, ident, &place);
        if (r == -ENOENT)
                return diag_set(diag, r, "lifecycle: there is no image %s in this region that its owner could name", ident);
        return r;
}

/* ": use private/web-2 (img-…) instead", as far as that is known and still there. */
static int add_replacement(struct db_txn *t, const struct image *image, struct strbuf *out)
{
        CLEANUP_STRBUF struct strbuf place = { 0 };
        const char *ident = replacement_of(image->lifecycle);
        int r;

        if (!ident[0])
                return 0;
        r = find_replacement(t, image, ident, &place);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        strbuf_addf(out, ": use %s (%s) instead", strbuf_text(&place), ident);
        return strbuf_error(out);
}

int lifecycle_refuse(struct db_txn *t, const struct image *image, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf instead = { 0 };
        int r;

        if (!is_a(image->lifecycle, "obsolete"))
                return 0;
        r = add_replacement(t, image, &instead);
        if (r < 0)
                return r;
        return diag_set(diag, -EPERM, "%s is obsolete, and nothing new is made from it%s", image->o.handle,
                        strbuf_text(&instead));
}

int lifecycle_add_warning(struct db_txn *t, const struct image *image, struct strbuf *out)
{
        if (is_a(image->lifecycle, "active"))
                return 0;
        strbuf_addf(out, "made from %s (%s), which is %s", image->o.handle, image->ident,
                    is_a(image->lifecycle, "obsolete") ? "obsolete" : "deprecated");
        return add_replacement(t, image, out);
}

int lifecycle_warn(struct db_txn *t, const struct image *source, uint64_t result)
{
        CLEANUP_STRBUF struct strbuf sentence = { 0 };
        int r;

        r = image_copy_warnings(t, source->o.id, result);
        if (r == 0)
                r = lifecycle_add_warning(t, source, &sentence);
        if (r < 0 || sentence.len == 0)
                return r;
        return image_warn(t, result, strbuf_text(&sentence));
}

int lifecycle_get_warning(struct model *m, uint64_t image_id, struct strbuf *out, int64_t *ret_changed_us)
{
        const size_t before = out->len;
        struct image image;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = image_load(&t, image_id, &image);
        if (r == 0)
                r = lifecycle_add_warning(&t, &image, out);
        if (r < 0)
                return r;
        if (out->len > before)
                strbuf_add(out, "\n");
        *ret_changed_us = image.o.updated_us;
        return strbuf_error(out);
}
