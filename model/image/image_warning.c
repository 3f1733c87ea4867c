/* SPDX-License-Identifier: MIT */

/*
 * What the owner of an image should know of it, kept apart from what was refused: a later refusal takes nothing from it.
 * A sentence is there once, however often the work that finds it begins again. What scrubbing found damaged is among
 * them, as long as it is.
 */

#include "blobstore/base/strbuf.h"
#include "model/core/clock.h"
#include "model/image/image_row.h"

enum { WARN, TOUCH, COPY, EACH };

static const char *const image_warning_sql[] = {
        [WARN] = "INSERT OR IGNORE INTO image_warning (image, sentence) VALUES (?1, ?2)",
        [TOUCH] = "UPDATE image SET updated = max(?2, updated + 1) WHERE id = ?1",
        [COPY] = "INSERT OR IGNORE INTO image_warning (image, sentence) "
                 "SELECT ?2, sentence FROM image_warning WHERE image = ?1 ORDER BY id",
        [EACH] = "SELECT sentence FROM (SELECT id, sentence FROM image_warning WHERE image = ?1 ORDER BY id) UNION ALL "
                 "SELECT 'disks/' || device || '.raw is damaged: ' || what || '; reading there is refused: bring it back "
                 "from a backup' FROM image_disk LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot "
                 "JOIN damage ON damage.blob = ifnull(image_disk.blob, snapshot.blob) WHERE image = ?1",
};
const struct db_statements image_warning_statements = DB_STATEMENTS(image_warning_sql);

int image_warn(struct db_txn *t, uint64_t id, const char *sentence)
{
        int r;

        r = db_run(t, image_warning_sql[WARN], DB_INT(id), DB_TEXT(sentence));
        if (r > 0)
                r = db_run(t, image_warning_sql[TOUCH], DB_INT(id), DB_INT(clock_now_us()));
        return r < 0 ? r : 0;
}

int image_copy_warnings(struct db_txn *t, uint64_t from, uint64_t to)
{
        int r = db_run(t, image_warning_sql[COPY], DB_INT(from), DB_INT(to));

        return r < 0 ? r : 0;
}

static int add_line(void *ctx, const struct db_row *row)
{
        strbuf_addf(ctx, "%s\n", db_row_str(row, 0));
        return strbuf_error(ctx);
}

int image_get_warnings(struct model *m, uint64_t id, struct strbuf *out)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, image_warning_sql[EACH], add_line, out, DB_INT(id));
}
