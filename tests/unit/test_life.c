/* SPDX-License-Identifier: MIT */

/*
 * The tables of lives: of all four what leads where, and of snapshots, instances and disks what each verb says in each
 * state (of images: test_image_life.c). A change of a table must change this too.
 */

#include "model/core/life.h"

#include <string.h>

#include "blobstore/base/strbuf.h"
#include "model/image/image_life.h"
#include "model/image/snapshot_life.h"
#include "model/image/snapshot_row.h"
#include "model/machine/instance_life.h"
#include "model/machine/instance_row.h"
#include "model/machine/volume_life.h"
#include "model/machine/volume_row.h"
#include "tests/lib/machine.h"

/* ---- work: through what it leads, and where ---- */

static const char *const image_states[] = {
        [IMAGE_QUEUED] = "queued",       [IMAGE_UPLOADING] = "uploading", [IMAGE_PENDING] = "pending",
        [IMAGE_REPLICATING] = "replicating", [IMAGE_AVAILABLE] = "available", [IMAGE_ERROR] = "error",
        [IMAGE_DELETING] = "deleting",   [IMAGE_DELETED] = "deleted",     [IMAGE_LIFE_BACK] = "back",
};
static const char *const snapshot_states[] = { "creating", "available" };
static const char *const instance_states[] = { "elsewhere", "stopped", "running", "bare", "written", "read" };
static const char *const volume_states[] = { "system", "attached", "free",    "elsewhere",
                                             "unsized", "runs", "beside",   "written", "read" };

static const struct {
        const char *name;
        const struct life *life;
        const char *const *states;
        unsigned n_states, n_verbs;
} lives[] = {
        { "image", &image_life, image_states, IMAGE_STATUS_COUNT + 1, VERB_COUNT },
        { "snapshot", &snapshot_life, snapshot_states, SNAPSHOT_STATE_COUNT, SNAPSHOT_VERB_COUNT },
        { "instance", &instance_life, instance_states, INSTANCE_STATE_COUNT, INSTANCE_VERB_COUNT },
        { "disk", &volume_life, volume_states, VOLUME_STATE_COUNT, VOLUME_VERB_COUNT },
};
#define N_LIVES (sizeof(lives) / sizeof(lives[0]))

static const char golden_work[] =
        "image: queued, by way of uploading to -, or error\n"
        "image: queued, by way of uploading to -, or error: fetch\n"
        "image: error, by way of uploading to -, or error: fetch\n"
        "image: uploading, by way of pending to available, or error: import\n"
        "image: new, by way of pending to available, or error: convert\n"
        "image: new, by way of pending to available, or error: copy\n"
        "image: new, by way of pending to available, or error: capture\n"
        "image: pending replicating, by way of replicating to available, or error\n"
        "snapshot: new, by way of creating to available, or gone: disk-snapshot\n"
        "snapshot: new, by way of creating to available, or gone\n"
        "instance: stopped bare, by way of read to stay, or stay: capture\n"
        "disk: system attached free, by way of read to stay, or stay: disk-snapshot\n";

static const char *state_name(const char *const *states, unsigned state)
{
        switch (state) {
        case LIFE_NEW:
                return "new";
        case LIFE_STAY:
                return "stay";
        case LIFE_GONE:
                return "gone";
        case LIFE_NONE:
                return "-";
        }
        return states[state];
}

static void test_what_work_leads_to(void **state)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };

        (void)state;
        for (size_t l = 0; l < N_LIVES; l++) {
                for (size_t i = 0; i < lives[l].life->n_rows; i++) {
                        const struct life_row *row = &lives[l].life->rows[i];
                        const char *sep = " ";

                        if (row->via == LIFE_NONE) {
                                assert_int_equal(row->fail, LIFE_NONE);
                                assert_int_equal(row->task, LIFE_NO_TASK);
                                continue;
                        }
                        strbuf_addf(&out, "%s:", lives[l].name);
                        for (unsigned s = 0; s <= LIFE_NEW; s++) {
                                if (row->from & 1u << s)
                                        strbuf_addf(&out, "%s%s", sep, state_name(lives[l].states, s));
                        }
                        strbuf_addf(&out, ", by way of %s to %s, or %s", state_name(lives[l].states, row->via),
                                    state_name(lives[l].states, row->to), state_name(lives[l].states, row->fail));
                        if (row->task != LIFE_NO_TASK)
                                strbuf_addf(&out, ": %s", task_kind_name(row->task));
                        strbuf_add(&out, "\n");
                }
        }
        assert_string_equal(strbuf_text(&out), golden_work);
}

static void test_tables_say_each_thing_once(void **state)
{
        (void)state;
        for (size_t l = 0; l < N_LIVES; l++) {
                const struct life *life = lives[l].life;

                for (unsigned v = 0; v < lives[l].n_verbs; v++) {
                        if (life == &image_life && (v == VERB_FINISH || v == VERB_FAIL))
                                continue; /* follow from the other rows */
                        assert_int_not_equal(~life_hindrances(life, v), 0); /* it has a row */
                }
                for (size_t i = 0; i < life->n_rows; i++) {
                        const struct life_row *a = &life->rows[i];

                        for (size_t j = i + 1; j < life->n_rows; j++) {
                                const struct life_row *b = &life->rows[j];

                                if (a->verb == b->verb)
                                        assert_int_equal(a->from & b->from, 0);
                                if (a->via != LIFE_NONE && a->via == b->via) {
                                        assert_int_equal(a->to, b->to);
                                        assert_int_equal(a->fail, b->fail);
                                }
                        }
                }
        }
}

/* ---- what a verb says in a state ---- */

struct world {
        struct library *l;
        uint64_t image, instance, other, volume, free, snapshot;
        struct volume_file *file;
};

static void add_task(struct library *l, const char *kind, uint64_t instance, uint64_t volume)
{
        library_sql(l, "INSERT INTO task (ident, kind, status, image_ident, region, region_name, instance, volume, "
                       "uid, gid, mode, created) VALUES ('task-x', '%s', 'running', '', %lld, 'r1', nullif(%lld, 0), "
                       "nullif(%lld, 0), 0, 0, 0, 1)",
                    kind, (long long)l->region, (long long)instance, (long long)volume);
}

/* With another host, which serves no more. */
static void take_away(struct library *l, uint64_t volume)
{
        library_sql(l, "INSERT OR IGNORE INTO place (ident, host, directory) VALUES ('p', 'other', '/there')");
        library_sql(l, "UPDATE volume SET place = (SELECT id FROM place WHERE ident = 'p') WHERE id = %lld", (long long)volume);
}

static void open_for_writing(struct world *w, uint64_t volume)
{
        assert_ok(volume_open(w->l->m, volume, true, library_diag(w->l), &w->file));
}

/* Brings things back to where they were: a stopped instance with two disks, one disk free. */
static void settle(struct world *w)
{
        volume_close(w->file);
        w->file = NULL;
        library_sql(w->l, "DELETE FROM task WHERE ident = 'task-x'");
        library_sql(w->l, "UPDATE volume SET place = (SELECT min(id) FROM place)");
        library_sql(w->l, "UPDATE instance SET power = 0, image = %lld WHERE id = %lld", (long long)w->image,
                    (long long)w->instance);
        library_sql(w->l, "UPDATE volume SET role = 'system' WHERE instance = %lld AND device = 'vda'",
                    (long long)w->instance);
}

static struct world make_world(struct library *l)
{
        struct world w = { .l = l };

        w.image = machine_image(l, "web", "cloud", "vdb");
        w.instance = machine_make(l, w.image, "vm1");
        w.volume = machine_disk(l, w.instance, "vdb").o.id;
        w.free = machine_volume(l, "d1", 8192);
        w.other = machine_volume(l, "d2", 0);
        w.snapshot = (uint64_t)library_sql_int(l, "SELECT min(id) FROM snapshot");
        /* So that nothing refers to it, and only its own state matters. */
        library_sql(l, "UPDATE image_disk SET blob = (SELECT blob FROM snapshot WHERE id = image_disk.snapshot), "
                       "snapshot = NULL WHERE snapshot = %lld", (long long)w.snapshot);
        return w;
}

static void add_cell(struct strbuf *out, const char *cell, bool last)
{
        if (last)
                strbuf_addf(out, "%s\n", cell);
        else
                strbuf_addf(out, "%-10s", cell);
}

/*
 * "-" for a refusal, which has a sentence and is EBUSY, but for WRONG: that is no request that could ever be carried
 * out.
 */
static const char *cell_of(struct library *l, int r)
{
        if (r == 0) {
                assert_string_equal(l->diag.text, "");
                return "yes";
        }
        assert_true(r == -EBUSY || r == -EINVAL);
        assert_true(l->diag.text[0] != '\0' && !strstr(l->diag.text, "(null)"));
        return r == -EBUSY ? "-" : "wrong";
}

static void test_snapshots(void **state)
{
        static const char golden[] = "creating  available\n"
                                     "-         yes\n" /* SNAPSHOT_CLONE */
                                     "-         yes\n" /* SNAPSHOT_HAND_OVER */
                                     "-         yes\n"; /* SNAPSHOT_REMOVE */
        CLEANUP_STRBUF struct strbuf out = { 0 };
        struct library *l = *state;
        struct world w = make_world(l);

        strbuf_add(&out, "creating  available\n");
        for (enum snapshot_verb v = SNAPSHOT_CLONE; v < SNAPSHOT_VERB_COUNT; v++) {
                for (enum snapshot_state s = 0; s < SNAPSHOT_STATE_COUNT; s++) {
                        struct snapshot snapshot;
                        DB_TXN(t);

                        assert_ok(db_begin(l->m->db, DB_READ, &t));
                        assert_ok(snapshot_load(&t, w.snapshot, &snapshot));
                        snapshot.available = s == SNAPSHOT_AVAILABLE;
                        add_cell(&out, cell_of(l, snapshot_life_ask(&t, &l->alice, &snapshot, v, library_diag(l))),
                                 s + 1 == SNAPSHOT_STATE_COUNT);
                }
        }
        assert_string_equal(strbuf_text(&out), golden);
        settle(&w);
}

static void enter_instance_state(struct world *w, enum instance_state s)
{
        settle(w);
        switch (s) {
        case INSTANCE_ELSEWHERE:
                library_sql(w->l, "UPDATE volume SET place = NULL WHERE instance = %lld", (long long)w->instance);
                take_away(w->l, w->volume);
                break;
        case INSTANCE_RUNNING:
                library_sql(w->l, "UPDATE instance SET power = 1 WHERE id = %lld", (long long)w->instance);
                break;
        case INSTANCE_BARE:
                library_sql(w->l, "UPDATE instance SET image = NULL WHERE id = %lld", (long long)w->instance);
                library_sql(w->l, "UPDATE volume SET role = 'data' WHERE instance = %lld", (long long)w->instance);
                break;
        case INSTANCE_WRITTEN:
                open_for_writing(w, w->volume);
                break;
        case INSTANCE_READ:
                add_task(w->l, "capture", w->instance, 0);
                break;
        case INSTANCE_STOPPED:
        case INSTANCE_STATE_COUNT:
                break;
        }
}

static void test_instances(void **state)
{
        static const char golden[] = "elsewhere stopped   running   bare      written   read\n"
                                     "yes       yes       yes       yes       yes       yes\n" /* DESCRIBE */
                                     "-         yes       -         -         yes       -\n" /* START */
                                     "-         -         yes       -         -         -\n" /* STOP */
                                     "-         yes       -         yes       -         -\n" /* REBUILD */
                                     "yes       yes       -         yes       -         -\n" /* SET_TYPE */
                                     "-         yes       -         yes       -         -\n" /* ATTACH */
                                     "yes       yes       -         yes       -         -\n" /* DETACH */
                                     "-         yes       -         yes       -         -\n" /* USE_DISK */
                                     "-         yes       -         yes       -         -\n" /* CAPTURE */
                                     "yes       yes       -         yes       -         -\n" /* HAND_OVER */
                                     "yes       yes       -         yes       -         -\n"; /* REMOVE */
        CLEANUP_STRBUF struct strbuf out = { 0 };
        struct library *l = *state;
        struct world w = make_world(l);

        strbuf_add(&out, "elsewhere stopped   running   bare      written   read\n");
        for (enum instance_verb v = 0; v < INSTANCE_VERB_COUNT; v++) {
                for (enum instance_state s = 0; s < INSTANCE_STATE_COUNT; s++) {
                        struct instance instance;
                        DB_TXN(t);
                        int r;

                        enter_instance_state(&w, s);
                        assert_ok(db_begin(l->m->db, DB_READ, &t));
                        r = instance_load_for(l->m, &t, w.instance, v, library_diag(l), &instance);
                        add_cell(&out, cell_of(l, r), s + 1 == INSTANCE_STATE_COUNT);
                }
        }
        assert_string_equal(strbuf_text(&out), golden);
        settle(&w);
}

/* Gives the disk that is in that state. */
static uint64_t enter_volume_state(struct world *w, enum volume_state s)
{
        settle(w);
        switch (s) {
        case VOLUME_SYSTEM:
                return machine_disk(w->l, w->instance, "vda").o.id;
        case VOLUME_ELSEWHERE:
                take_away(w->l, w->free);
                return w->free;
        case VOLUME_UNSIZED:
                return w->other;
        case VOLUME_RUNS:
                library_sql(w->l, "UPDATE instance SET power = 1 WHERE id = %lld", (long long)w->instance);
                return w->volume;
        case VOLUME_BESIDE:
                add_task(w->l, "disk-snapshot", w->instance, machine_disk(w->l, w->instance, "vda").o.id);
                return w->volume;
        case VOLUME_WRITTEN:
                open_for_writing(w, w->free);
                return w->free;
        case VOLUME_READ:
                add_task(w->l, "disk-snapshot", 0, w->free);
                return w->free;
        case VOLUME_ATTACHED:
                return w->volume;
        case VOLUME_FREE:
        case VOLUME_STATE_COUNT:
                break;
        }
        return w->free;
}

static void test_disks(void **state)
{
        static const char golden[] =
                "system    attached  free      elsewhere unsized   runs      beside    written   read\n"
                "yes       yes       yes       -         yes       yes       yes       yes       -\n" /* OPEN */
                "yes       yes       yes       -         yes       -         yes       -         -\n" /* RESIZE */
                "-         -         yes       -         -         -         -         -         -\n" /* ATTACH */
                "wrong     yes       wrong     wrong     wrong     yes       yes       wrong     wrong\n" /* DETACH */
                "yes       yes       yes       -         -         -         -         -         -\n" /* SNAPSHOT */
                "-         -         yes       yes       yes       -         -         -         -\n" /* HAND_OVER */
                "-         -         yes       yes       yes       -         -         -         -\n"; /* REMOVE */
        CLEANUP_STRBUF struct strbuf out = { 0 };
        struct library *l = *state;
        struct world w = make_world(l);

        strbuf_add(&out, "system    attached  free      elsewhere unsized   runs      beside    written   read\n");
        for (enum volume_verb v = 0; v < VOLUME_VERB_COUNT; v++) {
                for (enum volume_state s = 0; s < VOLUME_STATE_COUNT; s++) {
                        uint64_t id = enter_volume_state(&w, s);
                        struct volume volume;
                        DB_TXN(t);

                        assert_ok(db_begin(l->m->db, DB_READ, &t));
                        assert_ok(volume_load(&t, id, &volume));
                        add_cell(&out, cell_of(l, volume_life_ask(l->m, &t, &volume, NULL, v, library_diag(l))),
                                 s + 1 == VOLUME_STATE_COUNT);
                }
        }
        assert_string_equal(strbuf_text(&out), golden);
        settle(&w);
}

/* Of several things that stand against a verb the first is told, which says what to do first. */
static void test_the_first_hindrance_is_told(void **state)
{
        struct library *l = *state;
        struct world w = make_world(l);
        struct instance instance;
        struct volume volume;

        open_for_writing(&w, w.volume);
        {
                DB_TXN(t);

                assert_ok(db_begin(l->m->db, DB_READ, &t));
                assert_ok(volume_load(&t, w.volume, &volume));
                assert_err(volume_life_ask(l->m, &t, &volume, NULL, VOLUME_REMOVE, library_diag(l)), -EBUSY);
                assert_contains(l->diag.text, "detach it first");
                assert_err(volume_life_ask(l->m, &t, &volume, NULL, VOLUME_RESIZE, library_diag(l)), -EBUSY);
                assert_contains(l->diag.text, "a disk of it is open for writing");
                assert_ok(volume_life_ask(l->m, &t, &volume, w.file, VOLUME_RESIZE, library_diag(l)));
                assert_err(instance_load_for(l->m, &t, w.instance, INSTANCE_REMOVE, library_diag(l), &instance),
                           -EBUSY);
                assert_contains(l->diag.text, "a disk of it is open for writing");
        }
        settle(&w);
}

/* One disk is being read, and another one written to, so that the machine runs: starting it is no news to the first. */
static void test_what_runs_by_a_writer_may_be_started_beside_a_reader(void **state)
{
        struct library *l = *state;
        struct world w = make_world(l);
        struct instance instance;
        uint64_t vda = machine_disk(l, w.instance, "vda").o.id;

        add_task(l, "disk-snapshot", w.instance, vda);
        {
                DB_TXN(t);

                assert_ok(db_begin(l->m->db, DB_READ, &t));
                assert_err(instance_load_for(l->m, &t, w.instance, INSTANCE_START, library_diag(l), &instance), -EBUSY);
                assert_contains(l->diag.text, "is being read for a snapshot: wait for it");
        }
        open_for_writing(&w, w.volume);
        {
                DB_TXN(t);

                assert_ok(db_begin(l->m->db, DB_READ, &t));
                assert_ok(instance_load_for(l->m, &t, w.instance, INSTANCE_START, library_diag(l), &instance));
        }
        settle(&w);
}

/* Or a sentence would say "(null)". */
static void test_every_verb_has_its_word(void **state)
{
        (void)state;
        for (enum image_verb v = 0; v < VERB_COUNT; v++)
                assert_non_null(image_life_words[v]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_work_leads_to),
                cmocka_unit_test(test_tables_say_each_thing_once),
                TEST(test_snapshots),
                TEST(test_instances),
                TEST(test_disks),
                TEST(test_the_first_hindrance_is_told),
                TEST(test_what_runs_by_a_writer_may_be_started_beside_a_reader),
                cmocka_unit_test(test_every_verb_has_its_word),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
