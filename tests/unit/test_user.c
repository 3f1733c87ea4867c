/* SPDX-License-Identifier: MIT */
/*
 * The machine may have to ask another for a user's name, and that one may take its time, or never answer. Here it begins two
 * transactions, and takes the gate of disks: where one is held already, by whoever waits for the name, it comes to no name.
 */

#include <crypt.h>
#include <pwd.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/strbuf.h"
#include "model/core/quota.h"
#include "model/core/state.h"
#include "model/core/user_name.h"
#include "model/image/share.h"
#include "model/machine/volume_gate.h"
#include "model/work/batch.h"
#include "tests/lib/machine.h"

static struct model *model; /* asked by whoever looks up a name */
static unsigned lookups, hashes;

/* Users that have a name, and those of whom the machine says it when it is let. */
#define NAMED 70000
#define SLOW  80000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool hangs;
static unsigned hanging;

static void take_all(void)
{
        for (enum db_mode mode = DB_READ; mode <= DB_WRITE; mode++) {
                DB_TXN(t);

                assert_ok(db_begin(model->db, mode, &t));
        }
        if (model->volumes) { /* nor is anybody kept from the disks meanwhile */
                pthread_mutex_t *gate = volumes_gate(model, OBJECT_NONE, 0);

                assert_int_equal(pthread_mutex_trylock(gate), 0);
                (void)pthread_mutex_unlock(gate);
        }
}

static void set_hangs(bool on)
{
        LOCK_SCOPE(&mutex);
        hangs = on;
        (void)pthread_cond_broadcast(&changed);
}

static void wait_hanging(unsigned n)
{
        LOCK_SCOPE(&mutex);
        while (hanging != n)
                (void)pthread_cond_wait(&changed, &mutex);
}

static unsigned hanging_now(void)
{
        LOCK_SCOPE(&mutex);
        return hanging;
}

static void be_slow(void)
{
        LOCK_SCOPE(&mutex);
        hanging++;
        (void)pthread_cond_broadcast(&changed);
        while (hangs)
                (void)pthread_cond_wait(&changed, &mutex);
        hanging--;
        (void)pthread_cond_broadcast(&changed);
}

static _Atomic int64_t clock_ns; /* that it stands at; 0: it goes */

/* In place of the C library's. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
        const int64_t ns = atomic_load(&clock_ns);

        if (!ns || id != CLOCK_MONOTONIC)
                return (int)syscall(SYS_clock_gettime, id, ret);
        *ret = (struct timespec){ ns / 1000000000, ns % 1000000000 };
        return 0;
}

static void stop_clock(unsigned in_seconds)
{
        struct timespec ts;

        assert_int_equal(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts), 0);
        atomic_store(&clock_ns, (ts.tv_sec + in_seconds) * INT64_C(1000000000) + ts.tv_nsec);
}

static void go_on_clock(void)
{
        atomic_store(&clock_ns, 0);
}

/* In place of the C library's. */
int getpwuid_r(uid_t uid, struct passwd *entry, char *buf, size_t size, struct passwd **ret)
{
        if (uid >= SLOW)
                be_slow();
        else
                take_all();
        lookups++;
        *ret = NULL;
        if (uid < NAMED)
                return 0;
        (void)snprintf(buf, size, "user-%u", uid);
        *entry = (struct passwd){ .pw_uid = uid, .pw_name = buf };
        *ret = entry;
        return 0;
}

/* Likewise. Those called slow-N have the numbers from SLOW on, where they are called something else. */
int getpwnam_r(const char *name, struct passwd *entry, char *buf, size_t size, struct passwd **ret)
{
        *ret = NULL;
        if (strncmp(name, "slow-", 5) != 0) {
                take_all();
                return 0;
        }
        be_slow();
        (void)snprintf(buf, size, "%s", name);
        *entry = (struct passwd){ .pw_uid = SLOW + (uid_t)(name[5] - '0'), .pw_name = buf };
        *ret = entry;
        return 0;
}

/* In place of the library's. There is no such method. */
char *crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
        (void)phrase;
        (void)setting;
        (void)data;
        take_all();
        hashes++;
        return NULL;
}

static int setup(void **state)
{
        struct library *l;

        if (library_setup(state) < 0)
                return -1;
        l = *state;
        model = l->m;
        lookups = 0;
        return 0;
}

/* That the next one is asked for, however soon. */
static void forget_names(void)
{
        user_names_free(model->user_names);
        user_names_free(model->user_numbers);
        assert_ok(user_names_new(USER_NAMES_ALL, &model->user_names));
        assert_ok(user_names_new(USER_NAMES_OF_ONE_USER, &model->user_numbers));
}

static void test_a_quota(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 1 << 20), s;

        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=0", library_diag(l)));
        assert_refused(l, volume_snapshot(l->m, &l->alice, id, "s1", library_diag(l), &s), -EDQUOT);
        assert_contains(l->diag.text, "for 61001");
        user_name_in(l->m, &l->diag);
        assert_contains(l->diag.text, "for 61001: have the limit raised");
        assert_int_equal(lookups, 1);

        /* The change that was refused is not there, and the next one is not in its way. */
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=1", library_diag(l)));
        assert_int_equal(work_snapshots(l, l->region), 0);
        assert_ok(volume_snapshot(l->m, &l->alice, id, "s1", library_diag(l), &s));
        machine_wait_volume(l, id);
}

/* To hash one takes milliseconds. */
static void test_a_password(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", ""), "vm");

        assert_true(machine_set(l, id, INSTANCE_FIELD_PASSWORD, "secret") < 0);
        assert_int_equal(hashes, 1);
}

static int look_up(void *ctx, const struct object *o)
{
        char name[32];

        (void)ctx;
        forget_names();
        user_name(model, o->uid, name, sizeof(name));
        return 0;
}

static void test_an_image_that_others_have_instances_of(void **state)
{
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "local", ""), id;
        struct object o;

        assert_ok(instance_create_from_image(l->m, &l->admin, image, "vm", library_diag(l), &id));
        assert_refused(l, image_remove(l->m, &l->alice, image, library_diag(l)), -EBUSY);
        user_name_in(l->m, &l->diag);
        assert_contains(l->diag.text, "an instance of 0 was made");
        assert_refused(l, batch_run(l->m, &l->alice, l->region, "delete web", library_diag(l)), -EBUSY);
        forget_names();
        user_name_in(l->m, &l->diag);
        assert_int_equal(lookups, 2);
        assert_ok(instance_each_other_user_of_image(l->m, image, l->alice.uid, look_up, NULL));
        assert_int_equal(lookups, 3);
        assert_ok(image_find(l->m, l->region, CLASS_PRIVATE, "web", &o));
}

static int look_up_refused(void *ctx, const struct refusal *r)
{
        char name[32];

        (void)ctx;
        assert_string_equal(r->sentence, "no");
        forget_names();
        user_name(model, r->uid, name, sizeof(name));
        return 0;
}

static void test_refusals(void **state)
{
        struct library *l = *state;

        refusal_record(l->m, &l->alice, OBJECT_NONE, 0, -EINVAL, "/", "mkdir x", "no");
        refusal_record(l->m, &l->bob, OBJECT_NONE, 0, -EINVAL, "/", "mkdir x", "no");
        assert_ok(refusal_each(l->m, &l->admin, look_up_refused, NULL));
        assert_int_equal(lookups, 2);
}

static void assert_name(uid_t uid, const char *name)
{
        char text[32];

        user_name(model, uid, text, sizeof(text));
        assert_string_equal(text, name);
}

static void test_a_name_is_not_asked_for_each_time(void **state)
{
        (void)state;
        assert_name(NAMED, "user-70000");
        for (int i = 0; i < 1000; i++)
                assert_name(NAMED, "user-70000");
        assert_true(lookups < 100);
        assert_name(1, "1");
}

/*
 * They waited each time that it was half a second old, while the machine took its time. The clock stands here, by which whoever
 * waits does so for ever.
 */
static void test_threads_that_answer_requests_take_what_was_told(void **state)
{
        char text[32];

        (void)state;
        assert_name(SLOW, "user-80000");
        set_hangs(true);
        stop_clock(30);
        user_name_soon(model, SLOW, text, sizeof(text));
        assert_string_equal(text, "user-80000");
        wait_hanging(1); /* it is asked for all the same */
        user_name_soon(model, SLOW, text, sizeof(text));
        assert_string_equal(text, "user-80000");
        go_on_clock();

        /* nor is what nobody has said waited for any more, when it has been for a while */
        user_name_soon(model, SLOW + 1, text, sizeof(text));
        assert_string_equal(text, "80001");
        stop_clock(1);
        user_name_soon(model, SLOW + 1, text, sizeof(text));
        assert_string_equal(text, "80001");
        go_on_clock();
        set_hangs(false);
        wait_hanging(0);
        do
                user_name_soon(model, SLOW + 1, text, sizeof(text));
        while (strcmp(text, "80001") == 0);
        assert_string_equal(text, "user-80001");
}

static void *ask_slow(void *arg)
{
        char text[32];

        user_name(model, SLOW + (uid_t)(uintptr_t)arg, text, sizeof(text));
        return NULL;
}

/* None of these came back. */
static void test_a_machine_that_does_not_answer_has_nobody_wait(void **state)
{
        pthread_t threads[4];
        char text[32];

        (void)state;
        set_hangs(true);
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, ask_slow, (void *)(uintptr_t)i), 0);
        wait_hanging(4); /* all that there are */
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (unsigned i = 4; i < 5000; i++) { /* more than are kept */
                (void)snprintf(text, sizeof(text), "%u", SLOW + i);
                assert_name(SLOW + i, text);
        }
        assert_name(NAMED, "70000");

        set_hangs(false);
        do
                user_name(model, SLOW, text, sizeof(text));
        while (strcmp(text, "80000") == 0);
        assert_string_equal(text, "user-80000");
        wait_hanging(0);
}

static void test_a_name_that_was_told_is_kept_for_when_there_is_no_answer(void **state)
{
        (void)state;
        assert_name(SLOW, "user-80000");
        set_hangs(true);
        do /* until it is old enough to be asked for again */
                assert_name(SLOW, "user-80000");
        while (hanging_now() == 0);
        assert_name(SLOW, "user-80000");
        set_hangs(false);
        wait_hanging(0);
}

/* What is looked up by then is no longer anybody's. */
static void test_closing_does_not_wait_for_names(void **state)
{
        (void)state;
        set_hangs(true);
        assert_name(SLOW, "80000");
        wait_hanging(1);
        forget_names();
        assert_int_equal(hanging_now(), 1);
        set_hangs(false);
        wait_hanging(0);
}

static int find_by(uid_t by, const char *user, uid_t *ret)
{
        char name[NAME_LEN_MAX + 1];
        struct diag diag = { 0 };
        int r = user_find(model, by, user, &diag, ret, name);

        if (r == 0)
                assert_int_equal(*ret, SLOW + (uid_t)(user[5] - '0'));
        else
                assert_true((r == -EBUSY) == (strstr(diag.text, "does not say who ") != NULL));
        return r;
}

static int find(const char *user, uid_t *ret)
{
        return find_by(0, user, ret);
}

/* Of a machine that does answer, if late. */
static int find_in_time(const char *user, uid_t *ret)
{
        int r;

        do
                r = find(user, ret);
        while (r == -EBUSY);
        return r;
}

/* Each for another user. */
static void *find_slow(void *arg)
{
        const char *user = arg;
        uid_t uid;

        do
                assert_err(find_by((uid_t)user[5], user, &uid), -EBUSY);
        while (hanging_now() < 4);
        return NULL;
}

/* These waited for ever, and a directory with them, which the kernel lets nobody else into meanwhile. */
static void test_who_has_a_name_is_waited_for_so_long(void **state)
{
        static char unknown[][7] = { "slow-1", "slow-2", "slow-3" };
        struct library *l = *state;
        uint64_t image = machine_image(l, "web", "local", ""), id;
        char name[NAME_LEN_MAX + 1];
        pthread_t threads[3];
        uid_t uid;

        assert_err(find_in_time("nobody-at-all", &uid), -ENOENT);
        assert_ok(user_find(l->m, 0, "70000", library_diag(l), &uid, name));
        assert_int_equal(uid, NAMED);
        assert_string_equal(name, "user-70000");
        assert_ok(find_in_time("slow-0", &uid));

        set_hangs(true);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, find_slow, unknown[i]), 0);
        do /* who was told within the last minute is known, and asked for again where that is some time ago */
                assert_ok(find("slow-0", &uid));
        while (hanging_now() < 4);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);

        /* Nobody is asked any more, and nobody waits. */
        assert_err(find("slow-4", &uid), -EBUSY);
        assert_refused(l, share_create(l->m, &l->alice, image, "slow-5", library_diag(l), &id), -EBUSY);
        assert_refused(l, quota_set_line(l->m, &l->admin, l->region, "slow-6 snapshots limit=1", library_diag(l)), -EBUSY);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM share"), 0);
        assert_name(NAMED, "user-70000");

        set_hangs(false);
        wait_hanging(0);
        assert_ok(find_in_time("slow-4", &uid));
}

/* Four names that one user had asked for had all that ask, and nobody else's were found. */
static void test_one_user_does_not_have_all_that_ask_who_has_a_name(void **state)
{
        static const char *const unknown[] = { "slow-1", "slow-2", "slow-3", "slow-4" };
        const unsigned n = sizeof(unknown) / sizeof(unknown[0]);
        uid_t uid;

        (void)state;
        set_hangs(true);
        for (unsigned i = 0; i < n; i++)
                assert_err(find_by(1, unknown[i], &uid), -EBUSY);
        assert_int_equal(hanging_now(), USER_NAMES_OF_ONE_USER);
        assert_err(find_by(2, "nobody-at-all", &uid), -ENOENT);
        /* Who wants what another waits for in vain has it asked for. */
        assert_err(find_by(2, unknown[n - 1], &uid), -EBUSY);
        assert_int_equal(hanging_now(), USER_NAMES_OF_ONE_USER + 1);

        set_hangs(false);
        wait_hanging(0);
        assert_ok(find_in_time(unknown[0], &uid));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_a_quota),
                TEST(test_a_password),
                TEST(test_an_image_that_others_have_instances_of),
                TEST(test_refusals),
                TEST(test_a_name_is_not_asked_for_each_time),
                TEST(test_threads_that_answer_requests_take_what_was_told),
                TEST(test_a_machine_that_does_not_answer_has_nobody_wait),
                TEST(test_a_name_that_was_told_is_kept_for_when_there_is_no_answer),
                TEST(test_closing_does_not_wait_for_names),
                TEST(test_who_has_a_name_is_waited_for_so_long),
                TEST(test_one_user_does_not_have_all_that_ask_who_has_a_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
