/* SPDX-License-Identifier: MIT */

/*
 * Owners and permission bits of objects, as chmod and chown on their directories set them. Who may enter what is for
 * the kernel to decide by these bits; here they are only kept. For what goes along to a new owner see handover.c.
 */

#include "model/machine/access.h"

#include <errno.h>

#include "model/core/changes.h"
#include "model/core/clock.h"
#include "model/core/object_row.h"
#include "model/machine/handover.h"
#include "model/machine/volume_gate.h"

#define ACCESS_BITS 0777 /* set-id and sticky bits mean nothing here */

enum {
        GET, /* + an object_kind */
        SET = GET + OBJECT_FOLLOW + 1,
};

#define SELECT_ACCESS(table) "SELECT " OBJECT_COLUMNS(table) " FROM " table " WHERE id = ?1"
#define UPDATE_ACCESS(table)                                                                              \
        "UPDATE " table " SET uid = ?2, gid = ?3, mode = ?4, updated = max(?5, updated + 1) WHERE id = ?1"

static const char *const access_sql[] = {
        [GET + OBJECT_REGION] = SELECT_ACCESS("region"),
        [GET + OBJECT_IMAGE] = SELECT_ACCESS("image"),
        [GET + OBJECT_SNAPSHOT] = SELECT_ACCESS("snapshot"),
        [GET + OBJECT_TASK] = "SELECT id, ident, uid, gid, mode, created, ifnull(finished, created), 0, 0 FROM task "
                              "WHERE id = ?1",
        [GET + OBJECT_INSTANCE] = SELECT_ACCESS("instance"),
        [GET + OBJECT_VOLUME] = SELECT_ACCESS("volume"),
        [GET + OBJECT_FOLLOW] = SELECT_ACCESS("follow"),
        [SET + OBJECT_REGION] = UPDATE_ACCESS("region"),
        [SET + OBJECT_IMAGE] = UPDATE_ACCESS("image"),
        [SET + OBJECT_SNAPSHOT] = UPDATE_ACCESS("snapshot"),
        /* keeps no such time */
        [SET + OBJECT_TASK] = "UPDATE task SET uid = ?2, gid = ?3, mode = ?4 WHERE id = ?1 AND ?5 > 0",
        [SET + OBJECT_INSTANCE] = UPDATE_ACCESS("instance"),
        [SET + OBJECT_VOLUME] = UPDATE_ACCESS("volume"),
        [SET + OBJECT_FOLLOW] = UPDATE_ACCESS("follow"),
};
const struct db_statements access_statements = DB_STATEMENTS(access_sql);

static int set_access(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, const mode_t *mode,
                      const uid_t *uid, const gid_t *gid, struct db_owed *owed, struct diag *diag)
{
        struct object o;
        LOCK_SCOPE(volumes_gate(m, kind, id));
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = db_one(&t, access_sql[GET + kind], object_load_row, &o, DB_INT(id));
        if (r < 0)
                return r;
        if (!c->admin && c->uid != o.uid)
                return diag_set(diag, -EPERM, "%s: only its owner and the administrator change its access", o.handle);

        if (uid && *uid != o.uid) {
                if (!c->admin)
                        return diag_set(diag, -EPERM, "%s: only the administrator hands it over", o.handle);
                r = handover(m, &t, kind, id, *uid, gid, diag);
                if (r < 0)
                        return r;
                o.uid = *uid;
        }
        if (gid)
                o.gid = *gid;
        if (mode)
                o.mode = *mode & ACCESS_BITS;
        r = db_run(&t, access_sql[SET + kind], DB_INT(id), DB_INT(o.uid), DB_INT(o.gid), DB_INT(o.mode),
                   DB_INT(clock_now_us()));
        return r < 0 ? r : db_commit_early(&t, owed);
}

int model_set_access(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, const mode_t *mode,
                     const uid_t *uid, const gid_t *gid, struct diag *diag)
{
        struct db_owed owed;
        int r;

        if (!access_sql[GET + kind])
                return -EINVAL;
        r = set_access(m, c, kind, id, mode, uid, gid, &owed, diag);
        if (r == 0)
                r = db_await(&owed);
        if (r == 0)
                changes_send(m, kind, id);
        return r;
}
