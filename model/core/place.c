/* SPDX-License-Identifier: MIT */

/*
 * A directory is known by its file "place", which goes along when that is moved, or backed up and brought back: what lies in it is
 * there then, whatever the host is called. Its row has the name and the path that it was served by last, for people.
 *
 * Where the database is in the directory, too, one without that file is what the newest row tells of, since it was lost; and a row
 * without a host, which the step to the database's version made, is of that directory. One of a library on a server that has no
 * such file never was served.
 */

#include "model/core/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/strbuf.h"
#include "model/core/diag.h"
#include "model/core/ident.h"
#include "model/core/library.h"
#include "model/core/stores.h"
#include "model/core/task_row.h"

enum { FIND, NEWEST, UNNAMED, INSERT, UPDATE, BY_ID, OF_IMAGE, SET_OF_IMAGE, WAITING };

#define SELECT_PLACE "SELECT id, ident, host, directory FROM place "

static const char *const place_sql[] = {
        [FIND] = SELECT_PLACE "WHERE ident = ?1",
        [NEWEST] = SELECT_PLACE "ORDER BY id DESC LIMIT 1",
        [UNNAMED] = SELECT_PLACE "WHERE host = ''",
        [INSERT] = "INSERT INTO place (ident, host, directory) VALUES (?1, ?2, ?3)",
        [UPDATE] = "UPDATE place SET ident = ?2, host = ?3, directory = ?4 WHERE id = ?1",
        [BY_ID] = SELECT_PLACE "WHERE id = ?1",
        [OF_IMAGE] = "SELECT ifnull(place, 0) FROM image WHERE id = ?1",
        [SET_OF_IMAGE] = "UPDATE image SET place = ?2 WHERE id = ?1",
        /* The first condition of images is that of the index image_by_status. */
        [WAITING] = "SELECT host, directory, (SELECT count(*) FROM task WHERE " TASK_IS_ACTIVE " AND task.place = place.id), "
                    "(SELECT count(*) FROM image WHERE status NOT IN ('available', 'queued', 'error') AND status = 'uploading' "
                    "AND image.place = place.id AND NOT EXISTS (SELECT 1 FROM fetch WHERE fetch.image = image.id)) "
                    "FROM place WHERE id <> ?1 ORDER BY id",
};
const struct db_statements place_statements = DB_STATEMENTS(place_sql);

/* ---- which this is ---- */

/* "": there is no such file, or nothing in it that we wrote. */
static int read_file(const struct model *m, char ret[IDENT_MAX])
{
        CLEANUP_CLOSE int fd = openat(m->dir_fd, PLACE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char text[IDENT_MAX] = "";
        ssize_t n;

        ret[0] = '\0';
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        n = pread_full(fd, text, sizeof(text) - 1, 0);
        text[strcspn(text, "\n")] = '\0';
        if (n > 0 && text_is_clean(text, strlen(text)))
                memcpy(ret, text, sizeof(text));
        return n < 0 ? (int)n : 0;
}

static int write_file(const struct model *m, const char *ident)
{
        char line[IDENT_MAX + 1];
        const int n = snprintf(line, sizeof(line), "%s\n", ident);

        return write_file_durable(m->dir_fd, PLACE_FILE, line, (size_t)n, 0600);
}

int place_make(const struct model *m)
{
        char ident[IDENT_MAX];
        int r = ident_new("place", ident, sizeof(ident));

        return r < 0 ? r : write_file(m, ident);
}

struct row {
        uint64_t id; /* 0: there is none */
        char ident[IDENT_MAX], host[HOST_NAME_MAX + 1], directory[PATH_MAX];
};

static int take_row(void *ctx, const struct db_row *row)
{
        struct row *k = ctx;

        k->id = (uint64_t)db_row_int(row, 0);
        db_row_text(row, 1, k->ident, sizeof(k->ident));
        db_row_text(row, 2, k->host, sizeof(k->host));
        db_row_text(row, 3, k->directory, sizeof(k->directory));
        return 0;
}

static int find(struct model *m, const char *ident, struct row *ret)
{
        DB_TXN(t);
        int r;

        *ret = (struct row){ 0 };
        r = db_begin(m->db, DB_READ, &t);
        if (r == 0 && !ident[0] && !db_is_far(m->db))
                r = db_one(&t, place_sql[NEWEST], take_row, ret);
        else if (r == 0)
                r = db_one(&t, place_sql[FIND], take_row, ret, DB_TEXT(ident));
        if (r == -ENOENT && !db_is_far(m->db))
                r = db_one(&t, place_sql[UNNAMED], take_row, ret);
        return r == -ENOENT ? 0 : r;
}

static int note(struct model *m, const char *ident, const char *host, struct row *k)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0 && k->id)
                r = db_run_one(&t, place_sql[UPDATE], DB_INT(k->id), DB_TEXT(ident), DB_TEXT(host), DB_TEXT(m->dir));
        else if (r == 0)
                r = db_run(&t, place_sql[INSERT], DB_TEXT(ident), DB_TEXT(host), DB_TEXT(m->dir));
        if (r < 0)
                return r;
        if (!k->id)
                k->id = db_last_id(&t);
        return db_commit(&t);
}

int place_open(struct model *m)
{
        char ident[IDENT_MAX], host[HOST_NAME_MAX + 1] = "";
        struct row k;
        int r;

        (void)gethostname(host, sizeof(host) - 1); /* cannot fail with that size */
        r = read_file(m, ident);
        if (r == 0)
                r = find(m, ident, &k);
        if (r < 0)
                return r;
        m->place = k.id;
        if (m->read_only)
                return 0;

        if (!ident[0]) {
                r = k.id ? write_file(m, k.ident) : place_make(m);
                if (r == 0)
                        r = read_file(m, ident);
        }
        if (r == 0 && (strcmp(k.ident, ident) != 0 || strcmp(k.host, host) != 0 || strcmp(k.directory, m->dir) != 0))
                r = note(m, ident, host, &k);
        m->place = k.id;
        return r;
}

/* ---- what lies in one ---- */

uint64_t place_of_store(struct model *m, uint64_t store)
{
        return stores_are_with_library(m, store) ? m->place : 0;
}

int place_get_host(struct db_txn *t, uint64_t place, char *buf, size_t size)
{
        struct row k = { 0 };
        int r = 0;

        if (place)
                r = db_one(t, place_sql[BY_ID], take_row, &k, DB_INT(place));
        else
                (void)gethostname(k.host, sizeof(k.host) - 1); /* cannot fail with that size */
        if (r == 0)
                (void)snprintf(buf, size, "%s", k.host);
        return r;
}

int place_refuse(struct db_txn *t, uint64_t place, const char *what, struct diag *diag)
{
        struct row k;
        int r;

        r = db_one(t, place_sql[BY_ID], take_row, &k, DB_INT(place));
        return r < 0 ? r : diag_set(diag, -EBUSY, "%s on the host %s, in %s, and can be used while that serves the library", what,
                                    k.host, k.directory);
}

int place_of_image(struct db_txn *t, uint64_t image, uint64_t *ret)
{
        int64_t place;
        int r = db_int(t, place_sql[OF_IMAGE], &place, DB_INT(image));

        if (r == 0)
                *ret = (uint64_t)place;
        return r;
}

int place_set_of_image(struct db_txn *t, uint64_t image, uint64_t place)
{
        return db_run_one(t, place_sql[SET_OF_IMAGE], DB_INT(image), DB_ID(place));
}

/* ---- what waits in others ---- */

struct waiting {
        model_health_fn *fn;
        void *ctx;
};

static int tell_waiting(void *ctx, const struct db_row *row)
{
        const struct waiting *w = ctx;
        CLEANUP_STRBUF struct strbuf line = { 0 };
        const int64_t tasks = db_row_int(row, 2), uploads = db_row_int(row, 3);

        if (tasks + uploads == 0)
                return 0;
        strbuf_addf(&line, "work waits for the host %s, where its bytes are, to serve the library again: ", db_row_str(row, 0));
        strbuf_addf(&line, "tasks %" PRId64 ", uploads %" PRId64, tasks, uploads);
        if (strbuf_error(&line))
                return -ENOMEM;
        w->fn(w->ctx, strbuf_text(&line));
        return 0;
}

int place_health(struct model *m, model_health_fn *fn, void *ctx)
{
        struct waiting w = { fn, ctx };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, place_sql[WAITING], tell_waiting, &w, DB_INT(m->place));
}
