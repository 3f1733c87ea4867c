/* SPDX-License-Identifier: MIT */

/*
 * Shares as rows. That they end with the image's being private, and what they count for, is kept by triggers of the
 * schema, so that no way of moving an image can forget it.
 *
 * Users are looked up by name outside of every transaction: the machine may have to ask another for them.
 */

#include "model/image/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "model/core/clock.h"
#include "model/core/limits_row.h"
#include "model/core/object_row.h"
#include "model/core/quota_row.h"
#include "model/core/region_row.h"
#include "model/core/user_name.h"
#include "model/image/image_life.h"
#include "model/image/image_row.h"
#include "model/image/share_row.h"

enum { GET, EACH, COUNT, INSERT, ERASE, ERASE_WITH, IS_WITH, FIND_IMAGE, EACH_IMAGE, EACH_IMAGE_OF };

/* The handle is the image's at first; with the user's name in its place a share is ready to be shown. */
#define SELECT                                                                                                  \
        "SELECT share.id, handle, image.uid, gid, mode, share.created, share.created, 0, 0, image, share.uid "      \
        "FROM share JOIN image ON image.id = share.image "
#define SELECT_IMAGE "SELECT " OBJECT_COLUMNS_IMAGE " FROM image "

static const char *const share_sql[] = {
        [GET] = SELECT "WHERE share.id = ?1",
        [EACH] = SELECT "WHERE share.image = ?1 ORDER BY share.id",
        [COUNT] = "SELECT count(*) FROM share WHERE image = ?1",
        [INSERT] = "INSERT INTO share (image, region, uid, created) VALUES (?1, ?2, ?3, ?4)",
        [ERASE] = "DELETE FROM share WHERE id = ?1",
        [ERASE_WITH] = "DELETE FROM share WHERE image = ?1 AND uid = ?2",
        [IS_WITH] = "SELECT EXISTS (SELECT 1 FROM share WHERE image = ?1 AND uid = ?2)",
        [FIND_IMAGE] = SELECT_IMAGE "WHERE region = ?1 AND class = 'private' AND handle = ?2 "
                       "AND EXISTS (SELECT 1 FROM share WHERE share.image = image.id)",
        [EACH_IMAGE] = SELECT_IMAGE "WHERE id IN (SELECT image FROM share WHERE region = ?1) ORDER BY handle",
        [EACH_IMAGE_OF] = SELECT_IMAGE "WHERE id IN (SELECT image FROM share WHERE region = ?1 AND uid = ?2) "
                          "ORDER BY handle",
};
const struct db_statements share_statements = DB_STATEMENTS(share_sql);

/* ---- loading ---- */

static int share_row(void *ctx, const struct db_row *row)
{
        struct share *s = ctx;

        object_fill(&s->o, row);
        s->image = (uint64_t)db_row_int(row, OBJECT_N_COLUMNS);
        s->uid = (uid_t)db_row_int(row, OBJECT_N_COLUMNS + 1);
        return 0;
}

int share_get(struct model *m, uint64_t id, struct share *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_one(&t, share_sql[GET], share_row, ret, DB_INT(id));
}

struct share_list {
        struct share *item;
        size_t n, size;
};

static void share_list_done(struct share_list *list)
{
        free(list->item);
}

static int list_row(void *ctx, const struct db_row *row)
{
        struct share_list *list = ctx;

        if (list->n == list->size) {
                size_t size = list->size ? 2 * list->size : 8;
                struct share *item = reallocarray(list->item, size, sizeof(*item));

                if (!item)
                        return -ENOMEM;
                list->item = item;
                list->size = size;
        }
        return share_row(&list->item[list->n++], row);
}

int share_each(struct model *m, uint64_t image, share_fn *fn, void *ctx)
{
        CLEANUP(share_list_done) struct share_list list = { 0 };
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = db_each(&t, share_sql[EACH], list_row, &list, DB_INT(image));
        }
        for (size_t i = 0; i < list.n && r == 0; i++) {
                struct share *s = &list.item[i];

                user_name(m, s->uid, s->o.handle, sizeof(s->o.handle));
                r = fn(ctx, s);
        }
        return r;
}

struct share_search {
        const char *user;
        struct share *ret;
};

static int search_step(void *ctx, const struct share *s)
{
        const struct share_search *search = ctx;

        if (strcmp(s->o.handle, search->user) != 0)
                return 0;
        *search->ret = *s;
        return 1;
}

/*
 * By what those are called whom it is shared with, and not by asking who USER is: that may be anything, and take its time,
 * while the kernel keeps everybody else from the directory. So it is found as it is listed.
 */
int share_find(struct model *m, uint64_t image, const char *user, struct share *ret)
{
        int r = share_each(m, image, search_step, &(struct share_search){ user, ret });

        return r < 0 ? r : r ? 0 : -ENOENT;
}

/* ---- what is shared ---- */

static int is_with(struct db_txn *t, uint64_t image, uid_t uid)
{
        int64_t found = 0;
        int r = db_int(t, share_sql[IS_WITH], &found, DB_INT(image), DB_INT(uid));

        return r < 0 ? r : found != 0;
}

int share_load_check(struct db_txn *t, const struct caller *c, uint64_t image, struct diag *diag)
{
        int r = is_with(t, image, c->uid);

        if (r != 0)
                return r < 0 ? r : 0;
        return diag_set(diag, -EACCES,
                        "this image is not shared with you: its owner can do that (mkdir shares/<user>)");
}

int share_check(struct model *m, const struct caller *c, uint64_t image, struct diag *diag)
{
        DB_TXN(t);
        int r;

        if (c->admin)
                return 0;
        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : share_load_check(&t, c, image, diag);
}

int share_find_image(struct model *m, uint64_t region, const char *handle, struct object *ret)
{
        return object_find(m, share_sql[FIND_IMAGE], region, handle, ret);
}

int share_each_image(struct model *m, const struct caller *c, uint64_t region, object_fn *fn, void *ctx)
{
        struct object_walk walk = { .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        if (c->admin)
                return object_each(m, share_sql[EACH_IMAGE], region, fn, ctx);
        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, share_sql[EACH_IMAGE_OF], object_row, &walk, DB_INT(region), DB_INT(c->uid));
}

/* ---- making and ending ---- */

static int find_user(struct model *m, const struct caller *c, const char *user, struct diag *diag, uid_t *ret)
{
        char name[NAME_LEN_MAX + 1];
        int r;

        r = user_find(m, c->uid, user, diag, ret, name);
        if (r == -ENOENT)
                return diag_set(diag, r, "shares: there is no user %s on this machine", user);
        if (r < 0)
                return r;
        if (strcmp(name, user) != 0)
                return diag_set(diag, -EINVAL, "shares: user %s is called %s here: mkdir shares/%s", user, name, name);
        return 0;
}

static int refuse_other(const struct object *image, const struct caller *c, struct diag *diag)
{
        return object_refuse_other(image, c, "say with whom it is shared", diag);
}

static int check_image(struct db_txn *t, const struct image *image, const struct caller *c, uid_t uid,
                       struct diag *diag)
{
        int r;

        r = refuse_other(&image->o, c, diag);
        if (r < 0)
                return r;
        if (image->source != CLASS_PRIVATE)
                return diag_set(diag, -EOPNOTSUPP, "%s is %s: only private images are shared",
                                image->o.handle, image_class_phrase(image->source));
        r = image_life_apply(t, image, VERB_SHARE_WORK, diag);
        if (r < 0)
                return r;
        if (uid == image->o.uid)
                return diag_set(diag, -EINVAL, "%s: it is that user's own", image->o.handle);
        return 0;
}

/* Says of the user no more than that: how many are shared with her is her own affair. */
static int check_user(struct db_txn *t, const struct image *image, const char *user, uid_t uid, struct diag *diag)
{
        struct region region;
        struct quota quota;
        int r;

        r = quota_read(t, image->region, uid, LIMIT_SHARED_IMAGES, &quota);
        if (r < 0 || quota.used < quota.limit)
                return r;
        r = region_load(t, image->region, &region);
        if (r < 0)
                return r;
        if (quota.limit == 0)
                return diag_set(diag, -EDQUOT, "%s accepts no shared images in %s: have the limit raised", user,
                                region.o.handle);
        return diag_set(diag, -EDQUOT,
                        "%s accepts at most %llu shared image%s in %s, and has %s: one has to end or be given back "
                        "(with rmdir in shared/), or the limit be raised",
                        user, (unsigned long long)quota.limit, quota.limit == 1 ? "" : "s", region.o.handle,
                        quota.limit == 1 ? "it" : "them");
}

static int check_limits(struct db_txn *t, const struct image *image, const char *user, uid_t uid, struct diag *diag)
{
        int64_t shares = 0;
        uint64_t limit;
        int r;

        r = is_with(t, image->o.id, uid);
        if (r > 0)
                return diag_set(diag, -EEXIST, "%s: it is shared with %s already", image->o.handle, user);
        if (r == 0)
                r = limit_read(t, LIMIT_SHARES_PER_IMAGE, &limit);
        if (r == 0)
                r = db_int(t, share_sql[COUNT], &shares, DB_INT(image->o.id));
        if (r < 0)
                return r;
        if ((uint64_t)shares >= limit)
                return diag_set(diag, -EDQUOT,
                                "%s is shared with %lld of %llu user%s: %shave the limit raised", image->o.handle,
                                (long long)shares, (unsigned long long)limit, limit == 1 ? "" : "s",
                                shares ? "end one with rmdir, or " : "");
        return check_user(t, image, user, uid, diag);
}

int share_create(struct model *m, const struct caller *c, uint64_t image_id, const char *user, struct diag *diag,
                 uint64_t *ret)
{
        struct image image;
        uint64_t id;
        uid_t uid;
        int r;

        r = find_user(m, c, user, diag, &uid);
        if (r < 0)
                return r;
        {
                DB_TXN(t);

                r = db_begin(m->db, DB_WRITE, &t);
                if (r == 0)
                        r = image_load(&t, image_id, &image);
                if (r == 0)
                        r = check_image(&t, &image, c, uid, diag);
                if (r == 0)
                        r = check_limits(&t, &image, user, uid, diag);
                if (r == 0)
                        r = db_run(&t, share_sql[INSERT], DB_INT(image_id), DB_INT(image.region), DB_INT(uid),
                                   DB_INT(clock_now_us()));
                if (r < 0)
                        return r;
                id = db_last_id(&t);
                r = db_commit(&t);
                if (r < 0)
                        return r;
        }
        changes_send(m, OBJECT_IMAGE, image_id);
        *ret = id;
        return 0;
}

int share_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag)
{
        struct share share;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = db_one(&t, share_sql[GET], share_row, &share, DB_INT(id));
        if (r == 0)
                r = refuse_other(&share.o, c, diag);
        if (r == 0)
                r = db_run(&t, share_sql[ERASE], DB_INT(id));
        if (r >= 0)
                r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_IMAGE, share.image);
        return r;
}

int share_give_back(struct model *m, const struct caller *c, uint64_t image, struct diag *diag)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r < 0)
                return r;
        r = db_run(&t, share_sql[ERASE_WITH], DB_INT(image), DB_INT(c->uid));
        if (r == 0 && c->admin)
                return diag_set(diag, -EPERM, "this image is shared with others, not with you: the share ends with "
                                              "rmdir private/<image>/shares/<user>");
        if (r == 0)
                return share_load_check(&t, c, image, diag);
        if (r > 0)
                r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_IMAGE, image);
        return r;
}
