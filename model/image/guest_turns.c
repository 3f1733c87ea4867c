/* SPDX-License-Identifier: MIT */

#include "model/image/guest_turns.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "blobstore/base/lock.h"

/* Who has a turn, waits for one, or has none for a while. */
struct user {
        LIST_ENTRY(user) link;
        uid_t uid;
        unsigned has, waits;
        int64_t moved_us; /* when the first of what she has was taken, or one was given back */
        int64_t none_us; /* before this */
};

struct guest_turns {
        int64_t stuck_us, none_us;
        pthread_mutex_t mutex; /* of all below */
        pthread_cond_t given;
        unsigned has;
        LIST_HEAD(, user) users;
};

int guest_turns_new(int64_t stuck_us, int64_t none_us, struct guest_turns **ret)
{
        struct guest_turns *ts = calloc(1, sizeof(*ts));

        if (!ts)
                return -ENOMEM;
        ts->stuck_us = stuck_us;
        ts->none_us = none_us;
        (void)pthread_mutex_init(&ts->mutex, NULL); /* cannot fail without attributes */
        cond_init(&ts->given);
        LIST_INIT(&ts->users);
        *ret = ts;
        return 0;
}

void guest_turns_free(struct guest_turns *ts)
{
        struct user *u;

        if (!ts)
                return;
        while ((u = LIST_FIRST(&ts->users))) {
                LIST_REMOVE(u, link);
                free(u);
        }
        (void)pthread_cond_destroy(&ts->given);
        (void)pthread_mutex_destroy(&ts->mutex);
        free(ts);
}

static int64_t now_us(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- with the mutex held ---- */

/* The others are looked at, too: those of whom nothing has to be known any more go. */
static struct user *find(struct guest_turns *ts, uid_t uid, int64_t now)
{
        struct user *found = NULL, *next;

        for (struct user *u = LIST_FIRST(&ts->users); u; u = next) {
                next = LIST_NEXT(u, link);
                if (u->uid == uid) {
                        found = u;
                } else if (u->has == 0 && u->waits == 0 && now >= u->none_us) {
                        LIST_REMOVE(u, link);
                        free(u);
                }
        }
        return found;
}

static struct user *add(struct guest_turns *ts, uid_t uid)
{
        struct user *u = calloc(1, sizeof(*u));

        if (!u)
                return NULL;
        u->uid = uid;
        LIST_INSERT_HEAD(&ts->users, u, link);
        return u;
}

static void wait_until(struct guest_turns *ts, int64_t us)
{
        const struct timespec due = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

        (void)pthread_cond_timedwait(&ts->given, &ts->mutex, &due); /* the caller looks what has come of it */
}

/* Is there one for her? Waits as long as there may be. */
static bool wait_for_turn(struct guest_turns *ts, struct user *u)
{
        const int64_t come_us = now_us();

        for (;;) {
                const int64_t now = now_us();
                const bool all_hers = u->has == GUEST_TURNS_OF_ONE_USER;
                const int64_t due_us = (all_hers ? u->moved_us : come_us) + ts->stuck_us;

                if (now < u->none_us)
                        return false;
                if (!all_hers && ts->has < GUEST_TURNS_OF_ALL)
                        return true;
                if (now >= due_us)
                        return false;
                wait_until(ts, due_us);
        }
}

/* ---- for all ---- */

bool guest_turns_take(struct guest_turns *ts, uid_t uid)
{
        struct user *u;
        bool taken;
        LOCK_SCOPE(&ts->mutex);

        u = find(ts, uid, now_us());
        if (!u)
                u = add(ts, uid);
        if (!u)
                return false;
        u->waits++;
        taken = wait_for_turn(ts, u);
        u->waits--;
        if (!taken)
                return false;
        if (u->has++ == 0)
                u->moved_us = now_us();
        ts->has++;
        return true;
}

void guest_turns_give(struct guest_turns *ts, uid_t uid, bool kept_busy)
{
        const int64_t now = now_us();
        struct user *u;
        LOCK_SCOPE(&ts->mutex);

        u = find(ts, uid, now);
        ts->has--;
        u->has--;
        u->moved_us = now;
        if (kept_busy)
                u->none_us = now + ts->none_us;
        (void)pthread_cond_broadcast(&ts->given);
}
