/* SPDX-License-Identifier: MIT */

/*
 * The machine may have to ask another one for a user's name (LDAP, SSSD), or who has a name, and that one may never answer.
 * So it is asked by a few threads that do nothing else, and whoever wants to know waits for half a second at the most, for
 * who has a name two; not even that once all of those threads have got no answer for as long. What was told counts for half a
 * second. After that, where the machine does not answer, a name is given for as long as it does not, a number where it
 * never did; who has a name, which decides what is hers, for a minute.
 *
 * Threads that all wait for are not to wait for that: where each answer takes a moment, half a second's names would cost
 * them one moment after the other. They take what was told within the last minute, which is asked for again beside them, and
 * wait for a tenth of a second where nothing was.
 *
 * Names are users' to choose: those who have them are asked for by other threads than the names of who is there. One user
 * has half of them at the most: she who asks for names that nobody answers for keeps only herself from new ones.
 *
 * A thread that is not answered cannot be stopped: none is waited for, and the last one frees what all share.
 */

#include "model/core/user_name.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "model/core/object.h"
#include "model/core/state.h"
#include "model/core/user.h"

#define SECOND_NS   INT64_C(1000000000)
#define FRESH_NS    (SECOND_NS / 2)
#define PATIENCE_NS (SECOND_NS / 2)
#define SOON_NS     (SECOND_NS / 10)
#define FIND_PATIENCE_NS (2 * SECOND_NS)
#define KEPT_NS          (60 * SECOND_NS)
#define N_THREADS   USER_NAMES_ALL
#define N_BUCKETS   1024
#define NAMES_MAX   4096 /* which take some 700 KiB */

struct name {
        LIST_ENTRY(name) same; /* bucket */
        TAILQ_ENTRY(name) link; /* in order, as they were made */
        STAILQ_ENTRY(name) next; /* in asked */
        uid_t uid; /* that it is of */
        int64_t asked_ns; /* 0: nobody asks for it */
        uid_t by; /* who asked for it, whose share of the threads it takes */
        bool at_work; /* not in asked any more */
        int64_t told_ns; /* 0: never */
        unsigned wanted; /* by how many that wait for it */
        int r; /* that was told: 0 or -ENOENT, or another error, where that is all that was */
        char text[NAME_LEN_MAX + 1];
        char of[]; /* what who has it is asked for by; "": it is the number's name */
};

struct user_names {
        atomic_uint refs; /* the owner's and each thread's */
        pthread_mutex_t mutex; /* of all below */
        pthread_cond_t more, told;
        bool stopped;
        LIST_HEAD(, name) buckets[N_BUCKETS];
        TAILQ_HEAD(, name) order;
        size_t n;
        STAILQ_HEAD(, name) asked;
        unsigned n_asked;
        unsigned n_threads, n_idle;
        unsigned of_one_user; /* threads that may wait for names that one user asked for */
        struct {
                int64_t since_ns; /* that it waits for an answer; 0: it does not */
                uid_t by; /* for whom */
        } threads[N_THREADS];
};

static int64_t now_ns(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
        return ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

int user_names_new(unsigned of_one_user, struct user_names **ret)
{
        struct user_names *names = calloc(1, sizeof(*names));

        if (!names)
                return -ENOMEM;
        atomic_init(&names->refs, 1);
        (void)pthread_mutex_init(&names->mutex, NULL); /* cannot fail without attributes */
        cond_init(&names->more);
        cond_init(&names->told);
        TAILQ_INIT(&names->order);
        STAILQ_INIT(&names->asked);
        names->of_one_user = of_one_user;
        *ret = names;
        return 0;
}

static void drop_name(struct user_names *names, struct name *name)
{
        LIST_REMOVE(name, same);
        TAILQ_REMOVE(&names->order, name, link);
        names->n--;
        free(name);
}

static void drop_ref(struct user_names *names)
{
        if (atomic_fetch_sub(&names->refs, 1) > 1)
                return;
        while (!TAILQ_EMPTY(&names->order))
                drop_name(names, TAILQ_FIRST(&names->order));
        (void)pthread_cond_destroy(&names->told);
        (void)pthread_cond_destroy(&names->more);
        (void)pthread_mutex_destroy(&names->mutex);
        free(names);
}

void user_names_free(struct user_names *names)
{
        if (!names)
                return;
        {
                LOCK_SCOPE(&names->mutex);
                names->stopped = true;
                (void)pthread_cond_broadcast(&names->more);
        }
        drop_ref(names);
}

/* ---- who asks the machine ---- */

static void take_answer(struct user_names *names, struct name *name, int r, uid_t uid, const char *text)
{
        if (r == 0 || r == -ENOENT || !name->told_ns || name->of[0]) { /* else it could not say: it is as it was */
                (void)snprintf(name->text, sizeof(name->text), "%s", text);
                name->uid = uid;
                name->r = r;
        }
        name->told_ns = now_ns();
        name->asked_ns = 0;
        name->at_work = false;
        (void)pthread_cond_broadcast(&names->told);
}

/* Gives the mutex back meanwhile. */
static void ask(struct user_names *names, unsigned thread, struct name *name)
{
        char text[NAME_LEN_MAX + 1] = "";
        uid_t uid = name->uid;
        int r = 0;

        name->at_work = true;
        names->threads[thread].by = name->by;
        names->threads[thread].since_ns = now_ns();
        unlock(&names->mutex);
        if (name->of[0])
                r = user_ask_uid(name->of, &uid);
        if (r == 0)
                r = user_ask_name(uid, text, sizeof(text));
        if (name->of[0] && text[0]) /* whom nobody has a name for is called by her number */
                r = 0;
        lock(&names->mutex);
        names->threads[thread].since_ns = 0;
        take_answer(names, name, r, uid, text);
}

/* How many threads wait for an answer for the user, and since when the last of them has; with the mutex held. */
static unsigned waiting_for(const struct user_names *names, uid_t by, int64_t *ret_last_ns)
{
        unsigned n = 0;

        *ret_last_ns = 0;
        for (unsigned i = 0; i < N_THREADS; i++) {
                if (!names->threads[i].since_ns || names->threads[i].by != by)
                        continue;
                n++;
                if (names->threads[i].since_ns > *ret_last_ns)
                        *ret_last_ns = names->threads[i].since_ns;
        }
        return n;
}

static bool has_share(const struct user_names *names, uid_t by)
{
        int64_t last_ns;

        return waiting_for(names, by, &last_ns) >= names->of_one_user;
}

/* Those that can not are few: of each user there is one for each that waits. */
static struct name *take_next(struct user_names *names)
{
        struct name *name;

        STAILQ_FOREACH(name, &names->asked, next) {
                if (has_share(names, name->by))
                        continue;
                STAILQ_REMOVE(&names->asked, name, name, next);
                names->n_asked--;
                return name;
        }
        return NULL;
}

static void *work(void *arg)
{
        struct user_names *names = arg;

        thread_set_name("user-names");
        thread_set_nice(THREAD_NICE_REQUESTS); /* they wait for it */
        {
                LOCK_SCOPE(&names->mutex);
                const unsigned thread = names->n_threads++;
                struct name *name;

                while (!names->stopped) {
                        name = take_next(names);
                        if (name) {
                                ask(names, thread, name);
                                continue;
                        }
                        names->n_idle++;
                        (void)pthread_cond_wait(&names->more, &names->mutex);
                        names->n_idle--;
                }
        }
        drop_ref(names);
        return NULL;
}

/* With the mutex held, as all below. Where none can be started, those that there are come to it. */
static void start_thread(struct user_names *names)
{
        pthread_t thread;

        atomic_fetch_add(&names->refs, 1);
        if (thread_start(&thread, work, names) == 0)
                (void)pthread_detach(thread); /* cannot fail of a thread that nobody joins */
        else
                atomic_fetch_sub(&names->refs, 1);
}

/* ---- who wants to know ---- */

/* FNV-1a */
static size_t bucket_of(uid_t uid, const char *of)
{
        uint32_t hash = UINT32_C(0x811c9dc5);

        for (const char *at = of; *at; at++)
                hash = (hash ^ (uint8_t)*at) * UINT32_C(0x01000193);
        return (of[0] ? hash : uid) % N_BUCKETS;
}

/* OF is "", or UID is of no meaning. */
static struct name *find(struct user_names *names, uid_t uid, const char *of)
{
        struct name *name;

        LIST_FOREACH(name, &names->buckets[bucket_of(uid, of)], same) {
                if ((of[0] || name->uid == uid) && strcmp(name->of, of) == 0)
                        return name;
        }
        return NULL;
}

/* Those that can not are few: a thread is at them, or somebody waits. */
static struct name *first_that_can_go(struct user_names *names)
{
        struct name *name;

        TAILQ_FOREACH(name, &names->order, link) {
                if (!name->asked_ns && !name->wanted)
                        return name;
        }
        return NULL;
}

/* NULL: there is no memory, or none of them can go. */
static struct name *make(struct user_names *names, uid_t uid, const char *of)
{
        const size_t size = strlen(of) + 1;
        struct name *name;

        if (names->n == NAMES_MAX) {
                name = first_that_can_go(names);
                if (!name)
                        return NULL;
                drop_name(names, name);
        }
        name = calloc(1, sizeof(*name) + size);
        if (!name)
                return NULL;
        name->uid = uid;
        memcpy(name->of, of, size);
        LIST_INSERT_HEAD(&names->buckets[bucket_of(uid, of)], name, same);
        TAILQ_INSERT_TAIL(&names->order, name, link);
        names->n++;
        return name;
}

/*
 * Has a thread come to it, if one is free or can be started: one that is called is idle until it has come. It is asked for in
 * the name of who wants it, unless that of who did before does as well.
 */
static void want(struct user_names *names, struct name *name, uid_t by)
{
        if (!name->asked_ns) {
                name->asked_ns = now_ns();
                name->by = by;
                STAILQ_INSERT_TAIL(&names->asked, name, next);
                names->n_asked++;
        } else if (!name->at_work && has_share(names, name->by)) {
                name->by = by;
        }
        if (names->n_idle > 0)
                (void)pthread_cond_signal(&names->more);
        if (names->n_idle < names->n_asked && atomic_load(&names->refs) <= N_THREADS)
                start_thread(names);
}

/* Until when it is worth waiting: until a thread has waited too long for the name, or all that it may have, for others. */
static int64_t worth_until(const struct user_names *names, const struct name *name, int64_t patience_ns)
{
        int64_t last_ns;

        if (name->at_work)
                return name->asked_ns + patience_ns;
        if (waiting_for(names, name->by, &last_ns) >= names->of_one_user)
                return last_ns + patience_ns;
        last_ns = 0;
        for (unsigned i = 0; i < N_THREADS; i++) {
                if (!names->threads[i].since_ns)
                        return name->asked_ns + patience_ns;
                last_ns = names->threads[i].since_ns > last_ns ? names->threads[i].since_ns : last_ns;
        }
        return last_ns + patience_ns;
}

/* Nobody waits for it any more: those who do come to a thread before. */
static void leave(struct user_names *names, struct name *name)
{
        if (name->wanted || !name->asked_ns || name->at_work)
                return;
        STAILQ_REMOVE(&names->asked, name, name, next);
        names->n_asked--;
        name->asked_ns = 0;
}

/* Was it told? */
static bool wait_for(struct user_names *names, struct name *name, int64_t patience_ns)
{
        const int64_t asked_ns = name->asked_ns;
        int64_t until_ns;
        bool told;

        name->wanted++;
        while (name->asked_ns == asked_ns) {
                until_ns = worth_until(names, name, patience_ns);
                if (now_ns() >= until_ns)
                        break;
                (void)pthread_cond_timedwait(&names->told, &names->mutex,
                                             &(struct timespec){ until_ns / SECOND_NS, until_ns % SECOND_NS });
        }
        told = name->asked_ns != asked_ns;
        name->wanted--;
        leave(names, name);
        return told;
}

/* As it was told now, or else (*RET_NOW is false) before, or not at all. NULL: there is no memory. */
static struct name *get(struct user_names *names, uid_t by, uid_t uid, const char *of, int64_t patience_ns, bool *ret_now)
{
        struct name *name = find(names, uid, of) ?: make(names, uid, of);

        *ret_now = true;
        if (name && (!name->told_ns || now_ns() - name->told_ns >= FRESH_NS)) {
                want(names, name, by);
                *ret_now = wait_for(names, name, patience_ns);
        }
        return name;
}

static void give(const struct name *name, uid_t uid, char *buf, size_t size)
{
        if (name && name->told_ns)
                (void)snprintf(buf, size, "%s", name->text);
        else
                (void)snprintf(buf, size, "%u", uid);
}

void user_name(struct model *m, uid_t uid, char *buf, size_t size)
{
        struct user_names *names = m->user_names;
        bool now;
        LOCK_SCOPE(&names->mutex);

        give(get(names, 0, uid, "", PATIENCE_NS, &now), uid, buf, size);
}

/* Is a thread free for one that nobody waits for? Else it would be asked for when those that are waited for are. */
static bool has_time(const struct user_names *names)
{
        return names->n_asked == 0 && (names->n_idle > 0 || atomic_load(&names->refs) <= N_THREADS);
}

void user_name_soon(struct model *m, uid_t uid, char *buf, size_t size)
{
        struct user_names *names = m->user_names;
        struct name *name;
        int64_t age_ns;
        bool now;
        LOCK_SCOPE(&names->mutex);

        name = find(names, uid, "");
        age_ns = name && name->told_ns ? now_ns() - name->told_ns : KEPT_NS;
        if (age_ns >= KEPT_NS)
                name = get(names, 0, uid, "", SOON_NS, &now);
        else if (age_ns >= FRESH_NS && !name->asked_ns && has_time(names))
                want(names, name, 0);
        give(name, uid, buf, size);
}

int user_find(struct model *m, uid_t by, const char *user, struct diag *diag, uid_t *ret, char *ret_name)
{
        struct user_names *names = m->user_numbers;
        const struct name *name;
        bool now;
        LOCK_SCOPE(&names->mutex);

        if (!user[0])
                return -ENOENT;
        name = get(names, by, 0, user, FIND_PATIENCE_NS, &now);
        if (!name)
                return -ENOMEM;
        if (!now && (!name->told_ns || name->r < 0 || now_ns() - name->told_ns >= KEPT_NS))
                return diag_set(diag, -EBUSY,
                                "this machine, which may ask another for it, does not say who %s is: try again later", user);
        if (name->r < 0)
                return name->r;
        *ret = name->uid;
        (void)snprintf(ret_name, NAME_LEN_MAX + 1, "%s", name->text);
        return 0;
}

static void put_in(struct model *m, struct diag *diag, void (*get_name)(struct model *m, uid_t uid, char *buf, size_t size))
{
        char name[NAME_LEN_MAX + 1], text[DIAG_TEXT_MAX];

        if (!diag->user_digits)
                return;
        get_name(m, diag->user, name, sizeof(name));
        if (snprintf(text, sizeof(text), "%.*s%s%s", (int)diag->user_at, diag->text, name,
                     diag->text + diag->user_at + diag->user_digits) < (int)sizeof(text))
                memcpy(diag->text, text, sizeof(text));
        diag->user_digits = 0;
}

void user_name_in(struct model *m, struct diag *diag)
{
        put_in(m, diag, user_name);
}

void user_name_in_soon(struct model *m, struct diag *diag)
{
        put_in(m, diag, user_name_soon);
}
