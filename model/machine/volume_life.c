/* SPDX-License-Identifier: MIT */

/*
 * The life of a disk. Of what holds of it only its place and size are in its row; who writes is known to the gate, and
 * what its instance does to that. They are asked for where the verb does not apply with them.
 */

#include "model/machine/volume_life.h"

#include <errno.h>
#include <stdio.h>

#include "model/core/place.h"
#include "model/core/task_row.h"
#include "model/machine/instance_life.h"
#include "model/machine/instance_row.h"
#include "model/machine/volume_gate_priv.h"

#define S(state)  (1u << VOLUME_##state)
#define ANY_PLACE (S(SYSTEM) | S(ATTACHED) | S(FREE))
#define ELSE      S(ELSEWHERE) /* what is done to its row alone */

#define T(verb, from, to) { VOLUME_##verb, from, LIFE_NONE, to, LIFE_NONE, LIFE_NO_TASK, NULL }

static const struct life_row rows[] = {
        T(OPEN,      ANY_PLACE | S(UNSIZED) | S(RUNS) | S(BESIDE) | S(WRITTEN), LIFE_STAY),
        T(RESIZE,    ANY_PLACE | S(UNSIZED) | S(BESIDE),                        LIFE_STAY),
        T(ATTACH,    S(FREE),                                                   VOLUME_ATTACHED),
        /* of an instance of which more was asked before */
        T(DETACH,    S(ATTACHED) | ELSE | S(UNSIZED) | S(RUNS) | S(BESIDE) | S(WRITTEN) | S(READ), VOLUME_FREE),
        { VOLUME_SNAPSHOT, ANY_PLACE, VOLUME_READ, LIFE_STAY, LIFE_STAY, TASK_DISK_SNAPSHOT, NULL },
        T(HAND_OVER, S(FREE) | ELSE | S(UNSIZED),                               LIFE_STAY),
        T(REMOVE,    S(FREE) | ELSE | S(UNSIZED),                               LIFE_GONE),
};

static int refuse_read(const struct life_subject *s, const struct volume *v, struct diag *diag)
{
        char whose[NAME_LEN_MAX + sizeof(" is")];
        struct task task;
        int r;

        r = task_active_of_volume(s->t, v->o.id, &task);
        if (r == -ENOENT && v->instance)
                r = task_active_of_instance(s->t, v->instance, &task);
        if (r < 0)
                return r;
        (void)snprintf(whose, sizeof(whose), "%s is", v->o.handle);
        return task_refuse(&task, 0, whose, diag);
}

static int refuse_elsewhere(const struct life_subject *s, const struct volume *v, struct diag *diag)
{
        char is[NAME_LEN_MAX + sizeof(" is")];

        (void)snprintf(is, sizeof(is), "%s is", v->o.handle);
        return place_refuse(s->t, v->place, is, diag);
}

static int refuse_place(const struct volume *v, unsigned verb, unsigned state, struct diag *diag)
{
        switch (verb) {
        case VOLUME_ATTACH:
                if (state == VOLUME_SYSTEM)
                        return diag_set(diag, -EBUSY, "%s is the system disk of %s, which stays there: attach a disk "
                                        "that is made of a snapshot of it (mkdir disks/%s/snapshots/<name>, then mkdir "
                                        "snapshots/<name>/disks/<disk>)", v->o.handle, v->instance_handle, v->o.handle);
                return diag_set(diag, -EBUSY, "%s is in use, as %s of %s: detach it there first (echo %s > "
                                "instances/%s/detach)", v->o.handle, v->device, v->instance_handle, v->device,
                                v->instance_handle);
        case VOLUME_DETACH:
                return diag_set(diag, -EINVAL, "%s is the system disk, which stays: it goes with its instance (rmdir), and "
                                "writing image makes a new one", v->device);
        case VOLUME_HAND_OVER:
                return diag_set(diag, -EBUSY, "%s is %s of %s: hand that over%s", v->o.handle, v->device,
                                v->instance_handle, state == VOLUME_SYSTEM ? "" : ", or detach it first");
        }
        if (state == VOLUME_SYSTEM)
                return diag_set(diag, -EBUSY, "%s is the system disk of %s, and goes with that (rmdir instances/%s)",
                                v->o.handle, v->instance_handle, v->instance_handle);
        return diag_set(diag, -EBUSY, "%s is %s of %s: detach it first (echo %s > detach)", v->o.handle, v->device,
                        v->instance_handle, v->device);
}

static int refuse(const struct life_subject *s, unsigned verb, unsigned state, struct diag *diag)
{
        const struct volume *v = s->object;
        struct instance instance;
        int r;

        switch ((enum volume_state)state) {
        case VOLUME_ELSEWHERE:
                return refuse_elsewhere(s, v, diag);
        case VOLUME_UNSIZED:
                if (verb == VOLUME_SNAPSHOT)
                        return diag_set(diag, -EBUSY, "%s has no size yet, and so there is nothing to keep",
                                        v->o.handle);
                return diag_set(diag, -EBUSY, "%s has no size yet: write one first (echo 20G > disks/%s/size)",
                                v->o.handle, v->o.handle);
        case VOLUME_RUNS:
        case VOLUME_BESIDE:
                r = instance_load(s->t, v->instance, &instance);
                if (r < 0)
                        return r;
                return instance_life.refuse(&(struct life_subject){ .m = s->m, .t = s->t, .object = &instance },
                                            INSTANCE_USE_DISK, state == VOLUME_RUNS ? INSTANCE_RUNNING : INSTANCE_READ,
                                            diag);
        case VOLUME_WRITTEN:
                return diag_set(diag, -EBUSY, "%s is open for writing: close it first", v->o.handle);
        case VOLUME_READ:
                return refuse_read(s, v, diag);
        case VOLUME_SYSTEM:
        case VOLUME_ATTACHED:
        case VOLUME_FREE:
        case VOLUME_STATE_COUNT:
                break;
        }
        return refuse_place(v, verb, state, diag);
}

const struct life volume_life = { .rows = rows, .n_rows = sizeof(rows) / sizeof(rows[0]), .refuse = refuse };

/* What holds of it, as far as that is WANTED. */
static int find_states(struct model *m, struct db_txn *t, const struct volume *v, const struct volume_file *own,
                       unsigned wanted, unsigned *ret)
{
        struct instance instance;
        unsigned holds = v->instance == 0 ? S(FREE) : v->system ? S(SYSTEM) : S(ATTACHED);
        int r;

        if (wanted & S(ELSEWHERE) && place_is_elsewhere(m, v->place))
                holds |= S(ELSEWHERE);
        if (v->size_bytes == 0)
                holds |= S(UNSIZED);
        if (v->instance && wanted & (S(RUNS) | S(BESIDE))) {
                r = instance_load(t, v->instance, &instance);
                if (r < 0)
                        return r;
                if (instance.power || volumes_are_written(m, v->instance, own))
                        holds |= S(RUNS);
                if (instance.busy)
                        holds |= S(BESIDE);
        }
        if (wanted & S(WRITTEN) && volume_is_written(m, v->o.id, own))
                holds |= S(WRITTEN);
        if (v->busy)
                holds |= S(READ);
        *ret = holds;
        return 0;
}

int volume_life_ask(struct model *m, struct db_txn *t, const struct volume *v, const struct volume_file *own,
                    enum volume_verb verb, struct diag *diag)
{
        const struct life_subject s = { .m = m, .t = t, .object = v };
        const struct life_row *row;
        unsigned holds;
        int r;

        r = find_states(m, t, v, own, life_hindrances(&volume_life, verb), &holds);
        return r < 0 ? r : life_ask(&volume_life, &s, verb, holds, diag, &row);
}

enum task_kind volume_life_task(enum volume_verb verb)
{
        size_t i = 0;

        while (rows[i].verb != verb)
                i++;
        return rows[i].task;
}
