/* SPDX-License-Identifier: MIT */

/*
 * The numbers that an administrator may change, their names and what they are until somebody does. What was
 * changed stands in quota_limit: for the whole library here, for a region or one user in it in quota.c.
 */

#include "model/core/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/core/jobs.h"
#include "model/core/limits_row.h"

enum { READ, WRITE };

static const char *const limits_sql[] = {
        [READ] = "SELECT value FROM quota_limit WHERE ifnull(region, 0) = 0 AND ifnull(uid, -1) = -1 AND key = ?1",
        [WRITE] = "INSERT INTO quota_limit (region, uid, key, value) VALUES (?1, ?2, ?3, ?4) "
                  "ON CONFLICT (ifnull(region, 0), ifnull(uid, -1), key) DO UPDATE SET value = excluded.value",
};
const struct db_statements limits_statements = DB_STATEMENTS(limits_sql);

#define NUMBER_MAX 1000000 /* as days it still fits in microseconds */
#define BYTES_MAX  (UINT64_C(1) << 60) /* a sum of sizes within it, and one size more, fit into a column */

static const struct {
        const char *name;
        uint64_t value;
        bool bytes;
} limits[LIMIT_COUNT] = {
        [LIMIT_PRIVATE_IMAGES] = { "private-images", 5 },
        [LIMIT_SNAPSHOTS] = { "snapshots", 20 },
        [LIMIT_SHARED_IMAGES] = { "shared-images", 5 },
        [LIMIT_INSTANCES] = { "instances", 50 },
        [LIMIT_DISKS] = { "disks", 50 },
        [LIMIT_DISK_BYTES] = { "disk-bytes", UINT64_C(10) << 40, .bytes = true },
        [LIMIT_SHARES_PER_IMAGE] = { "shares-per-image", 5 },
        [LIMIT_IMAGES_PER_BATCH] = { "images-per-batch", 5 },
        [LIMIT_DOWNLOAD_HOURS] = { "download-hours", 24 },
        [LIMIT_RECYCLE_DAYS] = { "recycle-days", 30 },
        [LIMIT_ENDED_TASKS] = { "ended-tasks", 100 },
        [LIMIT_UNNAMED_DAYS] = { "unnamed-days", 30 },
        [LIMIT_SCRUB_DAYS] = { "scrub-days", 30 },
        [LIMIT_EVENTS] = { "events", 10000 },
        [LIMIT_FOLLOWS] = { "follows", 20 },
};

const char *limit_name(enum limit l)
{
        return limits[l].name;
}

int limit_parse_name(const char *name, enum limit *ret)
{
        for (enum limit l = 0; l < LIMIT_COUNT; l++) {
                if (strcmp(name, limits[l].name) == 0) {
                        *ret = l;
                        return 0;
                }
        }
        return -EINVAL;
}

int limit_parse_value(enum limit l, const char *text, uint64_t *ret, struct diag *diag)
{
        uint64_t value;

        if (limits[l].bytes) {
                if (parse_size(text, &value) < 0 || value > BYTES_MAX)
                        return diag_set(diag, -EINVAL, "%s: bytes, or a number with K, M, G or T, up to %lluT",
                                        limits[l].name, (unsigned long long)(BYTES_MAX >> 40));
        } else if (parse_u64(text, &value) < 0 || value > NUMBER_MAX) {
                return diag_set(diag, -EINVAL, "%s: a whole number from 0 to %d", limits[l].name, NUMBER_MAX);
        }
        *ret = value;
        return 0;
}

int limit_write(struct db_txn *t, uint64_t region, const uid_t *uid, enum limit l, uint64_t value)
{
        int r = db_run(t, limits_sql[WRITE], DB_ID(region), uid ? DB_INT(*uid) : DB_NULL, DB_TEXT(limits[l].name),
                       DB_INT(value));

        return r < 0 ? r : 0;
}

int limit_read(struct db_txn *t, enum limit l, uint64_t *ret)
{
        int64_t value;
        int r;

        r = db_int(t, limits_sql[READ], &value, DB_TEXT(limits[l].name));
        if (r == -ENOENT)
                *ret = limits[l].value;
        else if (r < 0)
                return r;
        else
                *ret = (uint64_t)value;
        return 0;
}

int limit_get(struct model *m, enum limit l, uint64_t *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : limit_read(&t, l, ret);
}

int limit_set_line(struct model *m, const struct caller *c, const char *line, struct diag *diag)
{
        char key[32], value[32];
        enum limit l = LIMIT_COUNT;
        uint64_t number;
        DB_TXN(t);
        int end = 0;
        int r;

        if (!c->admin)
                return diag_set(diag, -EPERM, "limits: only the administrator changes them");
        if (sscanf(line, "%31s %31s %n", key, value, &end) != 2 || line[end] || limit_parse_name(key, &l) < 0)
                return diag_set(diag, -EINVAL, "limits: write a name that info/limits shows and a number, such as "
                                               "\"recycle-days 30\"");
        r = limit_parse_value(l, value, &number, diag);
        if (r == 0)
                r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = limit_write(&t, 0, NULL, l, number);
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                jobs_wake(m); /* recycled images and ended tasks may be due now */
        return r;
}
