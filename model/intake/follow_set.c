/* SPDX-License-Identifier: MIT */

/*
 * What is written to the files of an upstream. An address begins anew what was seen; a run never begins by itself before
 * the time between two has gone by, so that there is time to write the rest.
 */

#include <errno.h>
#include <string.h>

#include "blobstore/base/parse.h"
#include "blobstore/import/keyring.h"
#include "model/core/clock.h"
#include "model/core/object_row.h"
#include "model/intake/follow_row.h"
#include "model/intake/url.h"

#define KEEP_MAX       1000
#define EVERY_DAYS_MAX 30
#define HOUR_US        (INT64_C(3600) * 1000000)

enum { SET_URL, SET_SUMS, SET_EVERY, SET_KEEP, SET_FAMILY, SET_KEYRING, SET_STATUS };

#define UPDATED ", updated = max(?2, updated + 1) WHERE id = ?1"

static const char *const follow_set_sql[] = {
        [SET_URL] = "UPDATE follow SET url = ?3, url_private = ?4, next_run = ?5, etag = '', modified = ''" UPDATED,
        [SET_SUMS] = "UPDATE follow SET sums = ?3, sums_private = ?4, etag = '', modified = '', signed = 0" UPDATED,
        [SET_EVERY] = "UPDATE follow SET every = ?3, next_run = ?4" UPDATED,
        [SET_KEEP] = "UPDATE follow SET keep = ?3" UPDATED,
        [SET_FAMILY] = "UPDATE follow SET family = ?3" UPDATED,
        [SET_KEYRING] = "UPDATE follow SET keyring = ?3, etag = '', modified = '', signed = 0" UPDATED,
        [SET_STATUS] = "UPDATE follow SET status = ?3, error = ''" UPDATED,
};
const struct db_statements follow_set_statements = DB_STATEMENTS(follow_set_sql);

/* A change of one that is not running. The caller fills in what it does between the two. */
static int begin(struct model *m, uint64_t id, struct db_txn *t, struct follow_row *ret, struct diag *diag)
{
        int r;

        r = db_begin(m->db, DB_WRITE, t);
        if (r == 0)
                r = follow_load(t, id, ret);
        return r < 0 ? r : follow_refuse_running(t, ret, diag);
}

static int end(struct model *m, uint64_t id, struct db_txn *t)
{
        struct changes ch = { 0 };
        int r = db_commit(t);

        if (r < 0)
                return r;
        changes_add(&ch, OBJECT_FOLLOW, id);
        changes_tell(m, &ch); /* it may be due at another time */
        return 0;
}

/* ---- addresses ---- */

static int read_address(struct model *m, const struct caller *c, const char *text, struct follow_address *ret,
                        struct diag *diag)
{
        const char *slash;
        struct url url;
        int r;

        *ret = (struct follow_address){ .reach_private = c->admin || m->import_private };
        if (!text[0])
                return 0;
        if (!pull_is_supported())
                return diag_set(diag, -EOPNOTSUPP, "this imagefs was built without libcurl, and fetches nothing");
        if (strlen(text) > URL_MAX)
                return diag_set(diag, -EINVAL, "the address is longer than %d bytes", URL_MAX);
        r = url_parse(text, &url, diag);
        if (r < 0)
                return r;
        slash = strrchr(url.shown, '/');
        if (!slash || slash[1] == '\0' || slash[1] == '?')
                return diag_set(diag, -EINVAL, "the address must end with the name of a file");
        return secret_seal(m, text, ret->sealed, sizeof(ret->sealed));
}

int follow_set_url(struct model *m, const struct caller *c, uint64_t id, const char *text, struct diag *diag)
{
        struct follow_address url;
        struct follow_row f;
        int64_t next_us = 0;
        DB_TXN(t);
        int r;

        r = read_address(m, c, text, &url, diag);
        if (r == 0)
                r = begin(m, id, &t, &f, diag);
        if (r < 0)
                return r;
        if (url.sealed[0])
                next_us = follow_next(clock_now_us(), f.every_us);
        r = db_run_one(&t, follow_set_sql[SET_URL], DB_INT(id), DB_INT(clock_now_us()), DB_TEXT(url.sealed),
                       DB_INT(url.reach_private), DB_INT(next_us));
        return r < 0 ? r : end(m, id, &t);
}

int follow_set_sums(struct model *m, const struct caller *c, uint64_t id, const char *text, struct diag *diag)
{
        struct follow_address sums;
        struct follow_row f;
        DB_TXN(t);
        int r;

        r = read_address(m, c, text, &sums, diag);
        if (r == 0)
                r = begin(m, id, &t, &f, diag);
        if (r == 0)
                r = db_run_one(&t, follow_set_sql[SET_SUMS], DB_INT(id), DB_INT(clock_now_us()), DB_TEXT(sums.sealed),
                               DB_INT(sums.reach_private));
        return r < 0 ? r : end(m, id, &t);
}

/* ---- numbers and words ---- */

static int parse_every(const char *text, int64_t *ret_us)
{
        const size_t n = strlen(text);
        char number[8] = "";
        uint64_t count;
        int64_t unit_us;

        if (n < 2 || n > sizeof(number))
                return -EINVAL;
        memcpy(number, text, n - 1);
        if (parse_u64(number, &count) < 0)
                return -EINVAL;
        unit_us = text[n - 1] == 'h' ? HOUR_US : text[n - 1] == 'd' ? 24 * HOUR_US : 0;
        if (unit_us == 0 || count == 0 || count > (uint64_t)(EVERY_DAYS_MAX * 24 * HOUR_US / unit_us))
                return -EINVAL;
        *ret_us = (int64_t)count * unit_us;
        return 0;
}

int follow_set_every(struct model *m, uint64_t id, const char *text, struct diag *diag)
{
        const int64_t now_us = clock_now_us();
        struct follow_row f;
        int64_t every_us;
        DB_TXN(t);
        int r;

        if (parse_every(text, &every_us) < 0)
                return diag_set(diag, -EINVAL, "every: from 1h to %dd, hours or days", EVERY_DAYS_MAX);
        r = begin(m, id, &t, &f, diag);
        if (r == 0)
                r = db_run_one(&t, follow_set_sql[SET_EVERY], DB_INT(id), DB_INT(now_us), DB_INT(every_us),
                               DB_INT(f.next_run_us ? follow_next(f.last_run_us ? f.last_run_us : now_us, every_us) : 0));
        return r < 0 ? r : end(m, id, &t);
}

int follow_set_keep(struct model *m, uint64_t id, const char *text, struct diag *diag)
{
        struct follow_row f;
        uint64_t keep;
        DB_TXN(t);
        int r;

        if (parse_u64(text, &keep) < 0 || keep == 0 || keep > KEEP_MAX)
                return diag_set(diag, -EINVAL, "keep: how many images of it are kept, from 1 to %d", KEEP_MAX);
        r = begin(m, id, &t, &f, diag);
        if (r == 0)
                r = db_run_one(&t, follow_set_sql[SET_KEEP], DB_INT(id), DB_INT(clock_now_us()), DB_INT(keep));
        return r < 0 ? r : end(m, id, &t);
}

int follow_set_family(struct model *m, uint64_t id, const char *text, struct diag *diag)
{
        struct follow_row f;
        DB_TXN(t);
        int r = 0;

        if (text[0])
                r = object_check_name(text, "family", diag);
        if (r == 0)
                r = begin(m, id, &t, &f, diag);
        if (r == 0)
                r = db_run_one(&t, follow_set_sql[SET_FAMILY], DB_INT(id), DB_INT(clock_now_us()), DB_TEXT(text));
        return r < 0 ? r : end(m, id, &t);
}

int follow_set_status(struct model *m, uint64_t id, const char *text, struct diag *diag)
{
        struct follow_row f;
        DB_TXN(t);
        int r;

        if (strcmp(text, "idle") != 0 && strcmp(text, "paused") != 0)
                return diag_set(diag, -EINVAL, "status: write paused, so that it does not run, or idle, so that it does");
        r = begin(m, id, &t, &f, diag);
        if (r == 0)
                r = db_run_one(&t, follow_set_sql[SET_STATUS], DB_INT(id), DB_INT(clock_now_us()), DB_TEXT(text));
        return r < 0 ? r : end(m, id, &t);
}

int follow_set_keyring(struct model *m, uint64_t id, const char *bytes, size_t n, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf packets = { 0 }, armoured = { 0 }, reason = { 0 };
        struct follow_row f;
        DB_TXN(t);
        int r = 0;

        if (n > 0 && !(n == 1 && bytes[0] == '\n'))
                r = keyring_read(bytes, n, &packets, &reason);
        if (r > 0)
                return r;
        if (r < 0)
                return diag_set(diag, r, "keyring: %s", strbuf_text(&reason));
        keyring_print(strbuf_text(&packets), packets.len, &armoured);
        r = strbuf_error(&armoured);
        if (r == 0)
                r = begin(m, id, &t, &f, diag);
        if (r == 0)
                r = db_run_one(&t, follow_set_sql[SET_KEYRING], DB_INT(id), DB_INT(clock_now_us()),
                               DB_TEXT(strbuf_text(&armoured)));
        return r < 0 ? r : end(m, id, &t);
}

/* ---- run ---- */

int follow_start(struct model *m, uint64_t id, const char *text, struct diag *diag)
{
        struct changes ch = { 0 };
        struct follow_row f;
        DB_TXN(t);
        int r;

        if (strcmp(text, "now") != 0)
                return diag_set(diag, -EINVAL, "run: write now");
        r = begin(m, id, &t, &f, diag);
        if (r < 0)
                return r;
        if (f.status == FOLLOW_PAUSED)
                return diag_set(diag, -EBUSY, "%s is paused: write idle to status first", f.o.handle);
        if (!f.url.sealed[0])
                return diag_set(diag, -EINVAL, "%s follows nothing yet: write an address to url first", f.o.handle);
        r = follow_submit(&t, &f, &ch);
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                changes_tell(m, &ch);
        return r;
}
