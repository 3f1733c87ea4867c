/* SPDX-License-Identifier: MIT */

/*
 * How many objects a user may have in a region, and how large disks. What is used is counted by triggers of the
 * schema, in the transaction that makes or removes the object; here it is only compared. The limit that counts is the
 * most particular one: the user's in the region, the region's, the library's, the built-in one.
 */

#include "model/core/quota.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/strbuf.h"
#include "model/core/changes.h"
#include "model/core/limits_row.h"
#include "model/core/quota_row.h"
#include "model/core/region_row.h"
#include "model/core/user_name.h"

#define USER_NAME_MAX 255

enum { USED, LIMIT, USERS };

static const char *const quota_sql[] = {
        [USED] = "SELECT used FROM usage WHERE region = ?1 AND uid = ?2 AND key = ?3",
        [LIMIT] = "SELECT value FROM quota_limit "
                  "WHERE ifnull(region, 0) = ?1 AND ifnull(uid, -1) IN (?2, -1) AND key = ?3 "
                  "ORDER BY uid IS NULL LIMIT 1",
        [USERS] = "SELECT uid FROM usage WHERE region = ?1 AND used > 0 "
                  "UNION SELECT uid FROM quota_limit WHERE region = ?1 AND uid IS NOT NULL ORDER BY uid",
};
const struct db_statements quota_statements = DB_STATEMENTS(quota_sql);

/* How sentences call what is counted: one of one, and all other numbers. */
static const struct {
        const char *one, *many;
} nouns[LIMIT_QUOTAS] = {
        [LIMIT_PRIVATE_IMAGES] = { "private image", "private images" },
        [LIMIT_SNAPSHOTS] = { "snapshot", "snapshots" },
        [LIMIT_SHARED_IMAGES] = { "shared image", "shared images" },
        [LIMIT_INSTANCES] = { "instance", "instances" },
        [LIMIT_DISKS] = { "disk", "disks" },
        [LIMIT_DISK_BYTES] = { "byte of disks", "bytes of disks" },
};

int quota_read(struct db_txn *t, uint64_t region, uid_t uid, enum limit q, struct quota *ret)
{
        const char *key = limit_name(q);
        struct quota quota;
        int64_t n = 0;
        int r;

        r = db_int(t, quota_sql[USED], &n, DB_INT(region), DB_INT(uid), DB_TEXT(key));
        if (r < 0 && r != -ENOENT)
                return r;
        quota.used = (uint64_t)n;

        r = db_int(t, quota_sql[LIMIT], &n, DB_INT(region), DB_INT(uid), DB_TEXT(key));
        if (r == 0)
                quota.limit = (uint64_t)n;
        else if (r == -ENOENT)
                r = limit_read(t, q, &quota.limit);
        if (r < 0)
                return r;
        *ret = quota;
        return 0;
}

/* The rule and the numbers, and the way out: to delete as many as it takes, if there are so many. */
static int refuse(const struct region *place, uid_t uid, enum limit q, const struct quota *quota, uint64_t more,
                  struct diag *diag)
{
        const uint64_t over = quota->used > quota->limit ? quota->used - quota->limit + more :
                                                           more - (quota->limit - quota->used);
        char needs[48] = "", delete[64] = "", end[160];

        if (more > 1 || q == LIMIT_DISK_BYTES)
                (void)snprintf(needs, sizeof(needs), ", and this needs %llu", (unsigned long long)more);
        if (over <= quota->used && q == LIMIT_DISK_BYTES)
                (void)snprintf(delete, sizeof(delete), "delete disks of %llu byte%s, or ", (unsigned long long)over,
                               over == 1 ? "" : "s");
        else if (over <= quota->used && over > 1)
                (void)snprintf(delete, sizeof(delete), "delete %llu, or ", (unsigned long long)over);
        else if (over <= quota->used)
                (void)snprintf(delete, sizeof(delete), "delete one, or ");
        (void)snprintf(end, sizeof(end), "%s: %shave the limit raised", needs, delete);
        return diag_set_user(diag, -EDQUOT, uid, end, "%s has %llu of %llu %s for ", place->o.handle,
                             (unsigned long long)quota->used, (unsigned long long)quota->limit,
                             quota->limit == 1 ? nouns[q].one : nouns[q].many);
}

int quota_check(struct db_txn *t, uint64_t region, uid_t uid, enum limit q, uint64_t more, struct diag *diag)
{
        struct region place;
        struct quota quota;
        int r;

        if (more == 0)
                return 0;
        r = quota_read(t, region, uid, q, &quota);
        if (r < 0)
                return r;
        if (quota.used <= quota.limit && more <= quota.limit - quota.used)
                return 0;

        r = region_load(t, region, &place);
        if (r < 0)
                return r;
        db_end(t);
        return refuse(&place, uid, q, &quota, more, diag);
}

int quota_get(struct model *m, uint64_t region, uid_t uid, enum limit q, struct quota *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : quota_read(&t, region, uid, q, ret);
}

static int add_user(void *ctx, const struct db_row *row)
{
        uid_t uid = (uid_t)db_row_int(row, 0);

        strbuf_add_bytes(ctx, &uid, sizeof(uid));
        return strbuf_error(ctx);
}

int quota_each(struct model *m, uint64_t region, quota_fn *fn, void *ctx)
{
        CLEANUP_STRBUF struct strbuf users = { 0 };
        const uid_t *uid;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = db_each(&t, quota_sql[USERS], add_user, &users, DB_INT(region));
        }
        uid = (const uid_t *)users.text;
        for (size_t i = 0; i < users.len / sizeof(*uid) && r == 0; i++) {
                for (enum limit q = 0; q < LIMIT_QUOTAS && r == 0; q++) {
                        struct quota quota;

                        r = quota_get(m, region, uid[i], q, &quota);
                        if (r == 0)
                                r = fn(ctx, uid[i], q, &quota);
                }
        }
        return r;
}

struct command {
        char user[USER_NAME_MAX + 1]; /* "": the region's default */
        enum limit quota;
        char value[32];
};

/* "[USER] KEY limit=N" */
static int parse_command(const char *line, struct command *ret)
{
        char word[3][USER_NAME_MAX + 1];
        const char *key, *value;
        int end[3] = { 0 };
        int n;

        n = sscanf(line, "%255s%n %255s%n %255s%n", word[0], &end[0], word[1], &end[1], word[2], &end[2]);
        if (n < 2 || line[end[n - 1] + strspn(line + end[n - 1], " ")])
                return -EINVAL;
        key = word[n - 2];
        value = word[n - 1];
        (void)snprintf(ret->user, sizeof(ret->user), "%s", n == 3 ? word[0] : "");
        if (limit_parse_name(key, &ret->quota) < 0 || ret->quota >= LIMIT_QUOTAS ||
            strncmp(value, "limit=", strlen("limit=")) != 0)
                return -EINVAL;
        n = snprintf(ret->value, sizeof(ret->value), "%s", value + strlen("limit="));
        return n < (int)sizeof(ret->value) ? 0 : -EINVAL;
}

int quota_set_line(struct model *m, const struct caller *c, uint64_t region, const char *line, struct diag *diag)
{
        struct command cmd;
        char name[NAME_LEN_MAX + 1];
        uint64_t limit;
        uid_t uid = 0;
        DB_TXN(t);
        int r;

        if (!c->admin)
                return diag_set(diag, -EPERM, "quota: only the administrator changes it");
        if (parse_command(line, &cmd) < 0)
                return diag_set(diag, -EINVAL,
                                "quota: write \"private-images limit=20\" for everybody in the region or "
                                "\"alice private-images limit=20\"");
        r = limit_parse_value(cmd.quota, cmd.value, &limit, diag);
        if (r < 0)
                return r;
        if (cmd.user[0]) {
                r = user_find(m, c->uid, cmd.user, diag, &uid, name);
                if (r == -ENOENT)
                        return diag_set(diag, r, "quota: there is no user %s", cmd.user);
                if (r < 0)
                        return r;
        }

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = limit_write(&t, region, cmd.user[0] ? &uid : NULL, cmd.quota, limit);
        if (r == -EBUSY) /* the foreign key */
                r = -ENOENT;
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_REGION, region);
        return r;
}
