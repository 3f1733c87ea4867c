/* SPDX-License-Identifier: MIT */

/* Making, renaming and removing instances. Those that are made from an image: instance_disks.c. */

#include <errno.h>
#include <stdio.h>

#include "model/core/object_row.h"
#include "model/core/region_row.h"
#include "model/machine/instance_life.h"
#include "model/machine/instance_row.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_row.h"

enum { GET_OBJECT, RENAME, ERASE };

static const char *const instance_make_sql[] = {
        [GET_OBJECT] = "SELECT " OBJECT_COLUMNS("instance") " FROM instance WHERE id = ?1",
        [RENAME] = "UPDATE instance SET handle = ?2, name = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
        [ERASE] = "DELETE FROM instance WHERE id = ?1",
};
const struct db_statements instance_make_statements = DB_STATEMENTS(instance_make_sql);

int instance_create(struct model *m, const struct caller *c, uint64_t region, const char *handle, struct diag *diag,
                    uint64_t *ret)
{
        struct instance instance = { .o = { .uid = c->uid, .gid = c->gid }, .region = region, .type = TYPE_CLOUD };
        struct region place;
        DB_TXN(t);
        int r;

        r = object_check_name(handle, "instance", diag);
        if (r == 0)
                r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = region_load(&t, region, &place);
        if (r < 0)
                return r;
        (void)snprintf(instance.o.handle, sizeof(instance.o.handle), "%s", handle);
        r = instance_insert(&t, &instance, diag);
        if (r == 0)
                r = db_commit(&t);
        if (r < 0)
                return r;
        changes_send(m, OBJECT_INSTANCE, instance.o.id);
        *ret = instance.o.id;
        return 0;
}

int instance_rename(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag)
{
        int r;

        r = object_check_name(handle, "instance", diag);
        if (r == 0)
                r = object_rename(m, OBJECT_INSTANCE, instance_make_sql[GET_OBJECT], instance_make_sql[RENAME], c, id,
                                  handle, diag);
        return r == -EEXIST ? instance_refuse_taken(handle, diag) : r;
}

static int remove_instance(struct model *m, const struct caller *c, uint64_t id, struct changes *ch, struct db_owed *owed,
                           struct diag *diag)
{
        struct instance instance;
        LOCK_SCOPE(volumes_gate(m, OBJECT_INSTANCE, id));
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = instance_load(&t, id, &instance);
        if (r == 0)
                r = object_refuse_other(&instance.o, c, "remove it", diag);
        if (r == 0)
                r = instance_life_ask(m, &t, &instance, INSTANCE_REMOVE, diag);
        if (r == 0)
                r = volume_erase_of_instance(&t, id, ch);
        if (r == 0)
                r = db_run_one(&t, instance_make_sql[ERASE], DB_INT(id));
        if (r < 0)
                return r;
        changes_add(ch, OBJECT_INSTANCE, id);
        changes_add(ch, OBJECT_IMAGE, instance.image);
        changes_add(ch, OBJECT_IMAGE, instance.cdrom);
        return db_commit_early(&t, owed);
}

int instance_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag)
{
        struct changes ch = { 0 };
        struct db_owed owed;
        int r;

        r = remove_instance(m, c, id, &ch, &owed, diag);
        if (r == 0)
                r = db_await(&owed);
        if (r == 0)
                changes_tell(m, &ch);
        return r;
}
