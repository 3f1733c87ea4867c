/* SPDX-License-Identifier: MIT */

/*
 * The life of a snapshot: creating ──► available ──► gone, where images may keep it from going. What makes one that
 * does not come about is undone, and the snapshot was never there.
 */

#include "model/image/snapshot_life.h"

#include <errno.h>

#include "model/image/image_row.h"
#include "model/image/snapshot_row.h"

enum { IMAGES };

static const char *const snapshot_life_sql[] = {
        [IMAGES] = SNAPSHOT_IMAGES,
};
const struct db_statements snapshot_life_statements = DB_STATEMENTS(snapshot_life_sql);

struct reference {
        const struct caller *c;
        struct object image; /* one that the caller may enter; id 0: none of them is */
        enum image_class class;
        unsigned count;
};

static int reference_row(void *ctx, const struct db_row *row)
{
        struct reference *ref = ctx;
        struct object image;

        ref->count++;
        object_fill(&image, row);
        if (ref->image.id == 0 && object_allows(&image, ref->c, 01)) {
                ref->image = image;
                ref->class = image_class_of_word(db_row_str(row, OBJECT_N_COLUMNS));
        }
        return 0;
}

/* Images in the recycle bin refer to it too, and those that were handed over to others. */
static int guard_unreferenced(const struct life_subject *s, struct diag *diag)
{
        const struct snapshot *snapshot = s->object;
        struct reference ref = { .c = s->c };
        bool one;
        int r;

        r = db_each(s->t, snapshot_life_sql[IMAGES], reference_row, &ref, DB_INT(snapshot->o.id));
        if (r < 0 || ref.count == 0)
                return r;
        one = ref.count == 1;
        if (ref.image.id == 0)
                return diag_set(diag, -EBUSY, "%s: %u image%s of others refer%s to it: %s to be removed first",
                                snapshot->o.handle, ref.count, one ? "" : "s", one ? "s" : "",
                                one ? "it has" : "they have");
        if (one)
                return diag_set(diag, -EBUSY, "%s: the image %s/%s refers to it: remove that first",
                                snapshot->o.handle, image_class_name(ref.class), ref.image.handle);
        return diag_set(diag, -EBUSY,
                        "%s: %u images refer to it, such as %s/%s (images says which): remove them first",
                        snapshot->o.handle, ref.count, image_class_name(ref.class), ref.image.handle);
}

#define S(state) (1u << SNAPSHOT_##state)

#define T(verb, from, to, guard) { SNAPSHOT_##verb, from, LIFE_NONE, to, LIFE_NONE, LIFE_NO_TASK, guard }
#define M(verb, task)            { SNAPSHOT_##verb, 1u << LIFE_NEW, SNAPSHOT_CREATING, SNAPSHOT_AVAILABLE, LIFE_GONE, \
                                   task, NULL }

static const struct life_row rows[] = {
        M(TAKE, TASK_DISK_SNAPSHOT),
        M(FILL, LIFE_NO_TASK), /* the image's */
        T(CLONE,     S(AVAILABLE), LIFE_STAY, NULL),
        T(HAND_OVER, S(AVAILABLE), LIFE_STAY, NULL),
        T(REMOVE,    S(AVAILABLE), LIFE_GONE, guard_unreferenced),
};

/* The only state that stands against anything is creating. */
static int refuse(const struct life_subject *s, unsigned verb, unsigned state, struct diag *diag)
{
        static const char *const ways_out[SNAPSHOT_VERB_COUNT] = {
                [SNAPSHOT_CLONE] = "wait for it",
                [SNAPSHOT_HAND_OVER] = "hand it over when it is there",
                [SNAPSHOT_REMOVE] = "wait for it, or cancel its task with rmdir in /tasks",
        };
        const struct snapshot *snapshot = s->object;

        (void)state;
        return diag_set(diag, -EBUSY, "%s is being created: %s", snapshot->o.handle, ways_out[verb]);
}

const struct life snapshot_life = { .rows = rows, .n_rows = sizeof(rows) / sizeof(rows[0]), .refuse = refuse };

int snapshot_life_ask(struct db_txn *t, const struct caller *c, const struct snapshot *snapshot,
                      enum snapshot_verb verb, struct diag *diag)
{
        const struct life_subject s = { .t = t, .c = c, .object = snapshot };
        const struct life_row *row;

        return life_ask(&snapshot_life, &s, verb, 1u << (snapshot->available ? SNAPSHOT_AVAILABLE : SNAPSHOT_CREATING),
                        diag, &row);
}
