/* SPDX-License-Identifier: MIT */

/*
 * The life of an instance:
 *
 *      stopped ──start──► running ──stop──► stopped
 *
 * An instance whose disk is open for writing runs as well, whatever its row says, and one whose disks a task reads is
 * left alone until that has ended.
 */

#include "model/machine/instance_life.h"

#include <errno.h>
#include <stdio.h>

#include "model/core/place.h"
#include "model/core/task_row.h"
#include "model/machine/instance_row.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_row.h"

enum { GUEST_DISK };

static const char *const instance_life_sql[] = {
        [GUEST_DISK] = "SELECT id FROM volume WHERE instance = ?1 AND made_with = 0 ORDER BY device LIMIT 1",
};
const struct db_statements instance_life_statements = DB_STATEMENTS(instance_life_sql);

/* A disk stays with its machine: one that has others' attached gives them back first. */
static int guard_no_guests(const struct life_subject *s, struct diag *diag)
{
        const struct instance *instance = s->object;
        struct volume guest;
        int64_t disk;
        int r;

        r = db_int(s->t, instance_life_sql[GUEST_DISK], &disk, DB_INT(instance->o.id));
        if (r == -ENOENT)
                return 0;
        if (r == 0)
                r = volume_load(s->t, (uint64_t)disk, &guest);
        if (r < 0)
                return r;
        return diag_set(diag, -EBUSY, "%s has a disk attached that was not made with it, %s as %s: detach that first "
                        "(echo %s > detach)", instance->o.handle, guest.o.handle, guest.device, guest.device);
}

static int refuse_read(const struct life_subject *s, const struct instance *instance, struct diag *diag)
{
        char whose[NAME_LEN_MAX + sizeof("a disk of  is")];
        struct task task;
        int r;

        r = task_active_of_instance(s->t, instance->o.id, &task);
        if (r < 0)
                return r;
        (void)snprintf(whose, sizeof(whose), "a disk of %s is", instance->o.handle);
        return task_refuse(&task, 0, whose, diag);
}

/* Who writes to a disk keeps tasks from that one: a machine that runs already may as well be started. */
static int guard_unread(const struct life_subject *s, struct diag *diag)
{
        const struct instance *instance = s->object;

        if (!instance->busy || volumes_are_written(s->m, instance->o.id, NULL))
                return 0;
        return refuse_read(s, instance, diag);
}

#define S(state) (1u << INSTANCE_##state)
#define ELSE     S(ELSEWHERE) /* what is done to its row alone */
#define ANY      (ELSE | S(STOPPED) | S(RUNNING) | S(BARE) | S(WRITTEN) | S(READ))
#define IDLE     (S(STOPPED) | S(BARE))

#define T(verb, from, to, guard) { INSTANCE_##verb, from, LIFE_NONE, to, LIFE_NONE, LIFE_NO_TASK, guard }

static const struct life_row rows[] = {
        /* verb       from                       to                guard */
        T(DESCRIBE,   ANY,                       LIFE_STAY,        NULL),
        T(START,      S(STOPPED) | S(WRITTEN) | S(READ), INSTANCE_RUNNING, guard_unread),
        T(STOP,       ANY & ~S(STOPPED),         INSTANCE_STOPPED, NULL),
        T(REBUILD,    IDLE,                      LIFE_STAY,        NULL),
        T(SET_TYPE,   IDLE | ELSE,               LIFE_STAY,        NULL),
        T(ATTACH,     IDLE,                      LIFE_STAY,        NULL),
        T(DETACH,     IDLE | ELSE,               LIFE_STAY,        NULL),
        T(USE_DISK,   IDLE,                      LIFE_STAY,        NULL),
        { INSTANCE_CAPTURE, IDLE, INSTANCE_READ, LIFE_STAY, LIFE_STAY, TASK_CAPTURE, NULL },
        T(HAND_OVER,  IDLE | ELSE,               LIFE_STAY,        guard_no_guests),
        T(REMOVE,     IDLE | ELSE,               LIFE_GONE,        NULL),
};

static int refuse(const struct life_subject *s, unsigned verb, unsigned state, struct diag *diag)
{
        const struct instance *instance = s->object;
        char are[NAME_LEN_MAX + sizeof("the disks of  are")];

        switch ((enum instance_state)state) {
        case INSTANCE_ELSEWHERE:
                (void)snprintf(are, sizeof(are), "the disks of %s are", instance->o.handle);
                return place_refuse(s->t, instance->place, are, diag);
        case INSTANCE_STOPPED:
                return diag_set(diag, -EBUSY, "%s is stopped already", instance->o.handle);
        case INSTANCE_BARE:
                return diag_set(diag, -EBUSY, "%s has no disks yet: write an image to image first", instance->o.handle);
        case INSTANCE_READ:
                return refuse_read(s, instance, diag);
        case INSTANCE_RUNNING:
        case INSTANCE_WRITTEN:
        case INSTANCE_STATE_COUNT:
                break;
        }
        if (verb == INSTANCE_START)
                return diag_set(diag, -EBUSY, "%s is running already", instance->o.handle);
        if (instance->power)
                return diag_set(diag, -EBUSY, "%s is running: stop it first (echo stop > power)", instance->o.handle);
        return diag_set(diag, -EBUSY, "%s is running: a disk of it is open for writing, which has to be closed first",
                        instance->o.handle);
}

const struct life instance_life = { .rows = rows, .n_rows = sizeof(rows) / sizeof(rows[0]), .refuse = refuse };

int instance_life_ask(struct model *m, struct db_txn *t, const struct instance *instance, enum instance_verb verb,
                      struct diag *diag)
{
        const struct life_subject s = { .m = m, .t = t, .object = instance };
        unsigned holds = instance->power ? S(RUNNING) : S(STOPPED);
        const struct life_row *row;

        if (place_is_elsewhere(m, instance->place))
                holds |= S(ELSEWHERE);
        if (instance->bare)
                holds |= S(BARE);
        if (volumes_are_written(m, instance->o.id, NULL))
                holds |= S(WRITTEN);
        if (instance->busy)
                holds |= S(READ);
        return life_ask(&instance_life, &s, verb, holds, diag, &row);
}

int instance_load_for(struct model *m, struct db_txn *t, uint64_t id, enum instance_verb verb, struct diag *diag,
                      struct instance *ret)
{
        int r;

        r = instance_load(t, id, ret);
        return r < 0 ? r : instance_life_ask(m, t, ret, verb, diag);
}
