/* SPDX-License-Identifier: MIT */

#include "model/core/turns.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "blobstore/base/lock.h"

struct turn {
        unsigned lane;
        uid_t uid;
        uint64_t number;
};

struct turns {
        pthread_mutex_t mutex; /* of all below */
        struct turn *turns; /* the last one of each user */
        size_t n;
        uint64_t last;
};

int turns_new(struct turns **ret)
{
        struct turns *ts = calloc(1, sizeof(*ts));

        if (!ts)
                return -ENOMEM;
        (void)pthread_mutex_init(&ts->mutex, NULL); /* cannot fail without attributes */
        *ret = ts;
        return 0;
}

void turns_free(struct turns *ts)
{
        if (!ts)
                return;
        (void)pthread_mutex_destroy(&ts->mutex);
        free(ts->turns);
        free(ts);
}

static struct turn *find(struct turns *ts, unsigned lane, uid_t uid)
{
        for (size_t i = 0; i < ts->n; i++) {
                if (ts->turns[i].lane == lane && ts->turns[i].uid == uid)
                        return &ts->turns[i];
        }
        return NULL;
}

uint64_t turns_last(struct turns *ts, unsigned lane, uid_t uid)
{
        const struct turn *turn;
        LOCK_SCOPE(&ts->mutex);

        turn = find(ts, lane, uid);
        return turn ? turn->number : 0;
}

void turns_take(struct turns *ts, unsigned lane, uid_t uid)
{
        struct turn *turn, *grown;
        LOCK_SCOPE(&ts->mutex);

        turn = find(ts, lane, uid);
        if (!turn) {
                grown = reallocarray(ts->turns, ts->n + 1, sizeof(*grown));
                if (!grown)
                        return; /* then it is hers again a little early */
                ts->turns = grown;
                turn = &grown[ts->n++];
        }
        *turn = (struct turn){ .lane = lane, .uid = uid, .number = ++ts->last };
}
