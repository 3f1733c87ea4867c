/* SPDX-License-Identifier: MIT */
/*
 * Several images at once, all or none: one transaction carries out one command. Images are named by handle or id in the
 * region's private class; words are those of a shell, with quotes or backslashes where a handle has blanks. A word that is
 * an id is never taken for a handle: somebody else might have chosen it.
 *
 * The directory modes of the tree do not stand before this, so that it asks itself whether the caller may.
 */

#include "model/work/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "model/core/limits_row.h"
#include "model/core/region_row.h"
#include "model/image/image_row.h"
#include "model/work/copy_row.h"

#define BLANKS " \t"

enum { BATCH_BY_NAME };

static const char *const batch_sql[] = {
        [BATCH_BY_NAME] = "SELECT id FROM image WHERE region = ?1 AND class = 'private' AND (ident = ?2 OR handle = ?2)"
                          " ORDER BY ident = ?2 DESC LIMIT 1",
};

const struct db_statements batch_statements = DB_STATEMENTS(batch_sql);

struct batch_item {
        const char *name; /* borrowed from the command's copy */
        uint64_t image;
        bool gone; /* it is, and not in the recycle bin, from where others may have it back at once */
        char ident[IDENT_MAX];
        struct changes changes;
};

struct batch {
        char *verb;
        char *region; /* of copy, else NULL */
        char **names; /* the words after them */
        size_t n;
        struct batch_item *items; /* made once their number is known to be within the limit */
};

static void batch_done(struct batch *batch)
{
        free(batch->items);
        free(batch->names);
}

static const char usage[] = "write \"copy REGION IMAGE …\" or \"delete IMAGE …\"; a name with blanks in quotes, or an id";

/* One character, as it is where a quote or a backslash stood before it; gives what follows. */
static char *take_character(char *from, char **to)
{
        *(*to)++ = *from;
        return from + 1;
}

/* Between two QUOTEs, where a backslash counts in double ones. NULL: the second is missing. */
static char *take_quoted(char *from, char quote, char **to)
{
        while (*from && *from != quote) {
                if (quote == '"' && *from == '\\' && (from[1] == '"' || from[1] == '\\'))
                        from++;
                from = take_character(from, to);
        }
        return *from ? from + 1 : NULL;
}

/*
 * The next word of *REST, taken apart in place as a shell does: quotes, and backslashes before what stands for itself.
 * NULL in *ret: there is none. -EINVAL: a quote or a character is missing.
 */
static int next_word(char **rest, char **ret)
{
        char *from = *rest + strspn(*rest, BLANKS), *word = from, *to = from;

        *ret = *from ? word : NULL;
        while (from && *from && !strchr(BLANKS, *from)) {
                if (*from == '\'' || *from == '"')
                        from = take_quoted(from + 1, *from, &to);
                else if (*from == '\\')
                        from = from[1] ? take_character(from + 1, &to) : NULL;
                else
                        from = take_character(from, &to);
        }
        if (!from)
                return -EINVAL;
        *rest = *from ? from + 1 : from;
        *to = '\0';
        return 0;
}

/* The names; how many may be is only known to the database. */
static int take_names(char *rest, struct batch *batch)
{
        char *word;
        int r;

        for (;;) {
                char **names;

                r = next_word(&rest, &word);
                if (r < 0 || !word)
                        return r;
                names = reallocarray(batch->names, batch->n + 1, sizeof(*names));
                if (!names)
                        return -ENOMEM;
                names[batch->n++] = word;
                batch->names = names;
        }
}

/* Takes LINE apart in place. */
static int parse(char *line, struct batch *batch, struct diag *diag)
{
        char *rest = line;
        int r;

        r = next_word(&rest, &batch->verb);
        if (r == 0 && batch->verb && strcmp(batch->verb, "copy") == 0) {
                r = next_word(&rest, &batch->region);
                if (r == 0 && !batch->region)
                        r = -EINVAL;
        } else if (r == 0 && (!batch->verb || strcmp(batch->verb, "delete") != 0)) {
                r = -EINVAL;
        }
        if (r == 0)
                r = take_names(rest, batch);
        if (r == -EINVAL || (r == 0 && batch->n == 0))
                return diag_set(diag, -EINVAL, "%s", usage);
        return r;
}

static int take_items(struct db_txn *t, struct batch *batch, struct diag *diag)
{
        uint64_t limit;
        int r;

        r = limit_read(t, LIMIT_IMAGES_PER_BATCH, &limit);
        if (r < 0)
                return r;
        if (batch->n > limit)
                return diag_set(diag, -E2BIG, "%zu images at once: at most %llu are taken, write several commands",
                                batch->n, (unsigned long long)limit);

        batch->items = calloc(batch->n, sizeof(*batch->items));
        if (!batch->items)
                return -ENOMEM;
        for (size_t i = 0; i < batch->n; i++)
                batch->items[i].name = batch->names[i];
        return 0;
}

static int load_image(struct db_txn *t, const struct caller *c, uint64_t region, const char *name, struct diag *diag,
                      struct image *ret)
{
        int64_t id;
        int r;

        r = db_int(t, batch_sql[BATCH_BY_NAME], &id, DB_INT(region), DB_TEXT(name));
        if (r == -ENOENT)
                return diag_set(diag, r, "there is no image %s in private", name);
        if (r < 0)
                return r;

        r = image_load(t, (uint64_t)id, ret);
        if (r < 0)
                return r;

        if (!object_allows(&ret->o, c, 03))
                return diag_set(diag, -EACCES, "%s is somebody else's", name);

        return 0;
}

/* Finds all images before the first of them changes. */
static int find_images(struct db_txn *t, const struct caller *c, uint64_t region, const struct batch *batch,
                       struct diag *diag)
{
        struct image image;
        int r;

        for (size_t i = 0; i < batch->n; i++) {
                struct batch_item *item = &batch->items[i];

                r = load_image(t, c, region, item->name, diag, &image);
                if (r < 0)
                        return r;

                for (size_t j = 0; j < i; j++)
                        if (batch->items[j].image == image.o.id)
                                return diag_set(diag, -EINVAL, "%s is named twice", item->name);

                item->image = image.o.id;
                memcpy(item->ident, image.ident, sizeof(item->ident));
        }

        return 0;
}

static int run_one(struct model *m, struct db_txn *t, const struct caller *c, struct batch_item *item,
                   const struct region *target, struct diag *diag)
{
        struct image image;
        uint64_t task;
        int r;

        r = image_load(t, item->image, &image);
        if (r < 0)
                return r;

        item->gone = !target && (image.status == IMAGE_QUEUED || image.status == IMAGE_UPLOADING);
        if (target)
                return copy_submit(m, t, c, &image, target, &item->changes, diag, &task);

        return image_remove_in(t, c, &image, &item->changes, diag);
}

/* Before the first of them is made, or the numbers of a refusal would have those that were made before it. */
static int check_copies(struct model *m, struct db_txn *t, const struct batch *batch,
                        const struct region *target, struct diag *diag)
{
        CLEANUP_FREE uint64_t *images = calloc(batch->n, sizeof(*images));

        if (!images)
                return -ENOMEM;
        for (size_t i = 0; i < batch->n; i++)
                images[i] = batch->items[i].image;
        return copy_check_all(m, t, images, batch->n, target, diag);
}

static int run_all(struct model *m, struct db_txn *t, const struct caller *c, uint64_t region, struct batch *batch,
                   struct diag *diag)
{
        struct region target;
        int r;

        r = take_items(t, batch, diag);
        if (r < 0)
                return r;

        if (batch->region) {
                r = region_load_by_handle(t, batch->region, &target);
                if (r == -ENOENT)
                        return diag_set(diag, r, "there is no region %s", batch->region);
                if (r < 0)
                        return r;
        }

        r = find_images(t, c, region, batch, diag);
        if (r == 0 && batch->region)
                r = check_copies(m, t, batch, &target, diag);
        if (r < 0)
                return r;

        for (size_t i = 0; i < batch->n; i++) {
                r = run_one(m, t, c, &batch->items[i], batch->region ? &target : NULL, diag);
                if (r < 0)
                        return r;
        }

        return 0;
}

int batch_run(struct model *m, const struct caller *c, uint64_t region, const char *line, struct diag *diag)
{
        CLEANUP_FREE char *copy = NULL;
        CLEANUP(batch_done) struct batch batch = { 0 };
        int r;

        copy = strdup(line);
        if (!copy)
                return -ENOMEM;

        r = parse(copy, &batch, diag);
        if (r < 0)
                return r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_WRITE, &t);
                if (r < 0)
                        return r;

                r = run_all(m, &t, c, region, &batch, diag);
                if (r < 0)
                        return r;

                r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < batch.n; i++) {
                if (batch.items[i].gone)
                        image_tell_gone(m, batch.items[i].image, region, batch.items[i].ident);
                else
                        image_tell_recycled(m, batch.items[i].image, region, batch.items[i].ident);
                changes_tell(m, &batch.items[i].changes);
        }
        return 0;
}
