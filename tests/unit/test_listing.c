/* SPDX-License-Identifier: MIT */

#include <limits.h>
#include <stdatomic.h>
#include <time.h>

#include "model/core/region.h"
#include "model/image/listing.h"
#include "model/image/share.h"
#include "model/image/xlsx.h"
#include "tests/lib/expect.h"
#include "tests/lib/library.h"

#define HEADER                                                                                            \
        "class,directory,id,name,description,labels,status,type,encrypted,features,os,platform,platform-version," \
        "architecture,size,owner,project-group,created\n"
#define HEADER_OF_ALL "region," HEADER

static void add_text(struct text *t, struct strbuf *out)
{
        CLEANUP_FREE char *buf = malloc(text_size(t) + 1);

        assert_non_null(buf);
        strbuf_add_bytes(out, text_get(t, 0, text_size(t), buf), text_size(t));
        text_unref(t);
}

static int get(struct library *l, const struct caller *c, uint64_t region, enum listing_format format, int64_t asked_us,
               struct text **ret)
{
        int64_t changed_us;

        return listing_get(l->m, c, region, format, asked_us, library_diag(l), ret, &changed_us);
}

static char *list_of(struct library *l, const struct caller *c, uint64_t region, enum listing_format format)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        struct text *t;

        assert_ok(get(l, c, region, format, LISTING_NOW, &t));
        add_text(t, &out);
        return strbuf_take(&out);
}

static char *list(struct library *l, const struct caller *c, enum listing_format format)
{
        return list_of(l, c, l->region, format);
}

/* Of all regions. */
static char *csv_of_all(struct library *l, const struct caller *c)
{
        return list_of(l, c, LISTING_ALL_REGIONS, LISTING_CSV);
}

static char *csv(struct library *l, const struct caller *c)
{
        return list(l, c, LISTING_CSV);
}

static char *json(struct library *l, const struct caller *c)
{
        return list(l, c, LISTING_JSON);
}

/* Makes an image whose row is the same in every run. */
static void make(struct library *l)
{
        uint64_t id = library_image(l, "web"), blob = library_blob(l, "0123456789", 10);

        library_sql(l,
                    "UPDATE image SET ident = 'img-1', name = 'a \"b\", c', os = 'linux', platform = 'Debian', "
                    "platform_version = '12', architecture = 'x86_64', features = 'cloud-init qemu-ga', encrypted = 1, "
                    "project_group = 'g', status = 'available', created = 1700000000000000, "
                    "description = 'two' || char(10) || '\"lines\"', labels = 'a=1' || char(10) || 'b=2' WHERE id = %lld",
                    (long long)id);
        library_sql(l, "INSERT INTO image_disk (image, device, role, blob) VALUES (%lld, 'vda', 'system', %lld)",
                    (long long)id, (long long)blob);
}

static void test_an_empty_region(void **state)
{
        CLEANUP_FREE char *c = csv(*state, &((struct library *)*state)->alice);
        CLEANUP_FREE char *j = json(*state, &((struct library *)*state)->alice);

        assert_string_equal(c, HEADER);
        assert_string_equal(j, "[]\n");
}

static void test_csv_quotes_what_needs_it(void **state)
{
        struct library *l = *state;
        CLEANUP_FREE char *text = NULL;

        make(l);
        text = csv(l, &l->alice);
        assert_string_equal(
                text, HEADER
                "private,web,img-1,\"a \"\"b\"\", c\",\"two\n\"\"lines\"\"\",\"a=1\nb=2\",available,cloud,yes,"
                "cloud-init qemu-ga,linux,Debian,12,x86_64,10,61001,g,2023-11-14T22:13:20Z\n");
}

static void test_json_has_numbers_and_booleans(void **state)
{
        struct library *l = *state;
        CLEANUP_FREE char *text = NULL;

        make(l);
        (void)library_image(l, "x");
        text = json(l, &l->alice);
        assert_contains(text, "[\n  {\"class\": \"private\", \"directory\": \"web\", \"id\": \"img-1\", "
                              "\"name\": \"a \\\"b\\\", c\", \"description\": \"two\\n\\\"lines\\\"\", "
                              "\"labels\": \"a=1\\nb=2\", \"status\": \"available\"");
        assert_contains(text, "\"encrypted\": true");
        assert_contains(text, "\"size\": 10, \"owner\": \"61001\"");
        assert_contains(text, "},\n  {\"class\": \"private\", \"directory\": \"x\"");
        assert_true(strcmp(text + strlen(text) - 5, "\"}\n]\n") == 0);
}

static void test_shows_what_the_caller_may_enter(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "hers");
        struct caller group = { .uid = 7, .gid = l->alice.gid };
        const mode_t shared = 0750, closed = 0;
        char *text;

        assert_ok(image_create(l->m, &l->admin, l->region, CLASS_PUBLIC, "everybodys", library_diag(l), &id));
        text = csv(l, &l->bob);
        assert_contains(text, "everybodys");
        assert_null(strstr(text, "hers"));
        free(text);

        text = csv(l, &l->admin);
        assert_contains(text, "private,hers");
        free(text);

        text = csv(l, &group);
        assert_null(strstr(text, "hers"));
        free(text);
        id = (uint64_t)library_sql_int(l, "SELECT id FROM image WHERE handle = 'hers'");
        assert_ok(model_set_access(l->m, &l->alice, OBJECT_IMAGE, id, &shared, NULL, NULL, library_diag(l)));
        text = csv(l, &group);
        assert_contains(text, "private,hers");
        free(text);

        assert_ok(model_set_access(l->m, &l->alice, OBJECT_IMAGE, id, &closed, NULL, NULL, library_diag(l)));
        text = csv(l, &l->alice);
        assert_null(strstr(text, "private,hers"));
        free(text);
}

static unsigned count_rows(const char *text)
{
        unsigned n = 0;

        for (; (text = strchr(text, '\n')); text++)
                n++;
        return n;
}

/* Those of one region and of all: the same rows, with the region's name, ordered by it. */
static void test_all_regions(void **state)
{
        struct library *l = *state;
        uint64_t east, id;
        char *text;

        text = csv_of_all(l, &l->alice);
        assert_string_equal(text, HEADER_OF_ALL);
        free(text);
        assert_ok(region_create(l->m, &l->admin, "an-east", library_diag(l), &east));
        library_sql(l, "UPDATE region SET handle = 'north' WHERE id = %lld", (long long)l->region);
        (void)library_image(l, "web");
        assert_ok(image_create(l->m, &l->alice, east, CLASS_PRIVATE, "zoo", library_diag(l), &id));
        assert_ok(image_create(l->m, &l->bob, east, CLASS_PRIVATE, "his", library_diag(l), &id));
        assert_ok(image_create(l->m, &l->admin, east, CLASS_PUBLIC, "base", library_diag(l), &id));

        text = csv_of_all(l, &l->alice);
        assert_int_equal(strncmp(text, HEADER_OF_ALL "an-east,private,zoo,", strlen(HEADER_OF_ALL) + 20), 0);
        assert_contains(text, "\nan-east,public,base,");
        assert_contains(text, "\nnorth,private,web,");
        assert_true(strstr(text, "an-east,public") < strstr(text, "north,private"));
        assert_null(strstr(text, "his"));
        free(text);
        text = csv_of_all(l, &l->bob);
        assert_contains(text, "\nan-east,private,his,");
        assert_null(strstr(text, "zoo"));
        assert_null(strstr(text, "web"));
        free(text);
        text = csv_of_all(l, &l->admin);
        assert_contains(text, "his");
        assert_contains(text, "zoo");
        free(text);
        text = list_of(l, &l->alice, LISTING_ALL_REGIONS, LISTING_JSON);
        assert_contains(text, "[\n  {\"region\": \"an-east\", \"class\": \"private\", \"directory\": \"zoo\"");
        free(text);
}

/* What is shared with a user in one region is so in the list of all. */
static void test_shared_in_all_regions(void **state)
{
        struct library *l = *state;
        uint64_t image, share;
        char *text;

        make(l);
        image = (uint64_t)library_sql_int(l, "SELECT id FROM image WHERE handle = 'web'");
        text = csv_of_all(l, &l->bob);
        assert_string_equal(text, HEADER_OF_ALL);
        free(text);
        assert_ok(share_create(l->m, &l->alice, image, "61002", library_diag(l), &share));
        text = csv_of_all(l, &l->bob);
        assert_contains(text, ",shared,web,img-1,");
        free(text);
        text = csv_of_all(l, &l->alice);
        assert_contains(text, ",private,web,img-1,");
        free(text);
        assert_ok(share_remove(l->m, &l->alice, share, library_diag(l)));
        text = csv_of_all(l, &l->bob);
        assert_string_equal(text, HEADER_OF_ALL);
        free(text);
}

/* One row for each reader, in the class where she finds it. */
static void test_what_is_shared_has_a_class_of_its_own(void **state)
{
        const struct caller group = { .uid = 61002, .gid = 61001 };
        const mode_t open = 0750;
        struct library *l = *state;
        uint64_t image, share;
        char *text;

        make(l);
        library_sql(l, "UPDATE image SET description = '', labels = ''"); /* a row is a line */
        (void)library_image(l, "zoo");
        image = (uint64_t)library_sql_int(l, "SELECT id FROM image WHERE handle = 'web'");
        assert_ok(share_create(l->m, &l->alice, image, "61002", library_diag(l), &share));
        text = csv(l, &l->bob);
        assert_contains(text, "\nshared,web,img-1,");
        assert_int_equal(count_rows(text), 2);
        free(text);
        text = csv(l, &l->alice);
        assert_contains(text, "\nprivate,web,img-1,");
        assert_int_equal(count_rows(text), 3);
        free(text);
        text = csv(l, &l->admin);
        assert_contains(text, "\nprivate,web,img-1,");
        assert_int_equal(count_rows(text), 3);
        free(text);
        assert_ok(model_set_access(l->m, &l->alice, OBJECT_IMAGE, image, &open, NULL, NULL, library_diag(l)));
        text = csv(l, &group);
        assert_contains(text, "\nshared,web,img-1,");
        assert_int_equal(count_rows(text), 2);
        free(text);

        assert_ok(share_remove(l->m, &l->alice, share, library_diag(l)));
        text = csv(l, &l->bob);
        assert_int_equal(count_rows(text), 1);
        free(text);
        text = csv(l, &group);
        assert_contains(text, "\nprivate,web,img-1,");
        free(text);
}

/* ---- what is kept ---- */

static int64_t version(struct library *l)
{
        return library_sql_int(l, "SELECT lists FROM region WHERE id = %lld", (long long)l->region);
}

static int64_t version_of_all(struct library *l)
{
        return library_sql_int(l, "SELECT lists FROM library");
}

static uint64_t measure(struct library *l, const struct caller *c, enum listing_format format)
{
        int64_t changed_us = -1;
        uint64_t size = 0;

        assert_ok(listing_measure(l->m, c, l->region, format, LISTING_NOW, library_diag(l), &size, &changed_us));
        return size;
}

static void test_the_size_is_that_of_the_text(void **state)
{
        struct library *l = *state;

        make(l);
        for (enum listing_format f = 0; f < LISTING_FORMATS; f++) {
                CLEANUP_STRBUF struct strbuf first = { 0 }, again = { 0 };
                struct text *t;

                if (f == LISTING_XLSX && !xlsx_is_supported())
                        continue;
                assert_int_equal(measure(l, &l->alice, f), measure(l, &l->alice, f));
                assert_ok(get(l, &l->alice, l->region, f, LISTING_NOW, &t));
                add_text(t, &first);
                assert_ok(get(l, &l->alice, l->region, f, LISTING_NOW, &t));
                add_text(t, &again);
                assert_int_equal(first.len, measure(l, &l->alice, f));
                assert_int_equal(again.len, first.len);
                assert_memory_equal(again.text, first.text, first.len);
        }
}

/* Whatever changes a row, a list that was kept is out of date. */
static void test_every_change_of_a_row_is_noticed(void **state)
{
        static const char *const changes[] = {
                "UPDATE image SET name = 'other'",
                "UPDATE image SET status = 'error'",
                "UPDATE image SET mode = 493",
                "UPDATE image SET uid = 0",
                "UPDATE image_disk SET device = 'vdb'",
                "DELETE FROM image_disk",
                "INSERT INTO image_disk (image, device, role) SELECT id, 'vdc', 'system' FROM image",
                "DELETE FROM image_disk",
                "INSERT INTO share (image, region, uid, created) SELECT id, region, 7, 0 FROM image",
                "DELETE FROM share",
                "DELETE FROM image",
        };
        struct library *l = *state;
        int64_t before, before_all;

        make(l);
        for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
                before = version(l);
                before_all = version_of_all(l);
                library_sql(l, "%s", changes[i]);
                if (version(l) <= before || version_of_all(l) <= before_all)
                        fail_msg("not noticed: %s", changes[i]);
        }
        before = version(l);
        (void)library_image(l, "web");
        assert_true(version(l) > before);
}

/* Those who look on in the next test. Images begin as alice's alone; MEMBER is in group 3, and is nothing else. */
enum { ALICE = 1, BOB = 2, MEMBER = 4, STRANGER = 8, ADMIN = 16, EVERYBODY = 31 };

static bool in_three(const struct caller *c, gid_t gid)
{
        (void)c;
        return gid == 3;
}

/* Which of them are given another text than before, of one region's list or of all. */
static unsigned find_changed(struct library *l, uint64_t region, struct text *kept[])
{
        const struct caller who[] = { l->alice, l->bob, { .uid = 7, .gid = 7, .in_group = in_three },
                                      { .uid = 8, .gid = 8 }, l->admin };
        unsigned changed = 0;

        for (unsigned i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
                struct text *t;

                assert_ok(get(l, &who[i], region, LISTING_JSON, LISTING_NOW, &t));
                changed |= (t != kept[i]) << i;
                text_unref(kept[i]); /* not before, or the next could lie in the same place */
                kept[i] = t;
        }
        return changed;
}

/*
 * A list is out of date for who could see the image before the change, or can after it, and for nobody else: one user's
 * work on what is hers used to have everybody's list made again.
 */
static void test_a_change_is_one_for_who_sees_it(void **state)
{
        static const struct {
                const char *sql;
                unsigned sees;
        } steps[] = {
                { "UPDATE image SET name = 'a'", ALICE },
                { "UPDATE image SET status = 'pending'", ALICE },
                { "INSERT INTO image_disk (image, device, role, blob) SELECT image.id, 'vdc', 'system', blob.id "
                  "FROM image, blob", ALICE },
                { "DELETE FROM image_disk WHERE device = 'vdc'", ALICE },
                { "INSERT INTO share (image, region, uid, created) SELECT id, region, 61002, 0 FROM image", BOB },
                { "UPDATE image SET name = 'b'", ALICE | BOB },
                { "DELETE FROM share", BOB },
                { "UPDATE image SET name = 'c'", ALICE },
                { "UPDATE image SET gid = 3", ALICE },
                { "UPDATE image SET mode = 488", ALICE | MEMBER }, /* 0750 */
                { "UPDATE image SET name = 'd'", ALICE | MEMBER },
                { "UPDATE image SET gid = 4", ALICE | MEMBER },
                { "UPDATE image SET name = 'e'", ALICE },
                { "UPDATE image SET mode = 449", EVERYBODY }, /* 0701 */
                { "UPDATE image SET name = 'f'", EVERYBODY },
                { "UPDATE image SET mode = 448", EVERYBODY },
                { "UPDATE image SET uid = 61002", ALICE | BOB },
                { "UPDATE image SET name = 'g'", BOB },
                { "INSERT INTO share (image, region, uid, created) SELECT id, region, 8, 0 FROM image", STRANGER },
                { "PRAGMA foreign_keys = ON; DELETE FROM image", BOB | STRANGER },
        };
        struct library *l = *state;
        struct text *kept[5] = { 0 }, *kept_of_all[5] = { 0 };
        uint64_t east, id;

        make(l);
        assert_ok(region_create(l->m, &l->admin, "an-east", library_diag(l), &east));
        assert_int_equal(find_changed(l, l->region, kept), EVERYBODY);
        assert_int_equal(find_changed(l, LISTING_ALL_REGIONS, kept_of_all), EVERYBODY);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
                /* the administrator sees all, and may be told of more than there is */
                const unsigned sees = steps[i].sees | ADMIN;
                unsigned changed, changed_of_all;

                library_sql(l, "%s", steps[i].sql);
                changed = find_changed(l, l->region, kept) | ADMIN;
                changed_of_all = find_changed(l, LISTING_ALL_REGIONS, kept_of_all) | ADMIN;
                if (changed != sees || changed_of_all != sees)
                        fail_msg("%s: made for %u, of all regions for %u, not %u", steps[i].sql, changed,
                                 changed_of_all, sees);
        }
        assert_ok(image_create(l->m, &l->alice, east, CLASS_PRIVATE, "zoo", library_diag(l), &id));
        assert_int_equal(find_changed(l, l->region, kept), 0);
        assert_int_equal(find_changed(l, LISTING_ALL_REGIONS, kept_of_all), ALICE | ADMIN);
        assert_ok(region_rename(l->m, &l->admin, east, "elsewhere", library_diag(l)));
        assert_int_equal(find_changed(l, LISTING_ALL_REGIONS, kept_of_all), EVERYBODY);
        library_sql(l, "DELETE FROM image");
        assert_ok(region_remove(l->m, &l->admin, east, library_diag(l)));
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM audience WHERE region = %lld", (long long)east), 0);
        assert_int_equal(find_changed(l, LISTING_ALL_REGIONS, kept_of_all) & (BOB | STRANGER), 0);
        for (size_t i = 0; i < 5; i++) {
                text_unref(kept[i]);
                text_unref(kept_of_all[i]);
        }
}

/* A region's name is in the list of all: its text, and its time. */
static void test_a_region_is_renamed(void **state)
{
        struct library *l = *state;
        int64_t changed_us, then_us;
        uint64_t size;
        char *text;

        (void)library_image(l, "web");
        free(csv_of_all(l, &l->alice));
        assert_ok(listing_measure(l->m, &l->alice, LISTING_ALL_REGIONS, LISTING_CSV, LISTING_NOW, library_diag(l),
                                  &size, &changed_us));
        assert_ok(region_rename(l->m, &l->admin, l->region, "elsewhere", library_diag(l)));
        text = csv_of_all(l, &l->alice);
        assert_contains(text, "\nelsewhere,private,web,");
        assert_ok(listing_measure(l->m, &l->alice, LISTING_ALL_REGIONS, LISTING_CSV, LISTING_NOW, library_diag(l),
                                  &size, &then_us));
        assert_int_equal(size, strlen(text));
        assert_true(then_us > changed_us);
        free(text);
}

/* The numbers alone say whether a list is to be made again: put back by hand, its user does not see the change. */
static void test_an_unchanged_list_is_not_made_again(void **state)
{
        struct library *l = *state;
        char *text;

        make(l);
        free(csv(l, &l->alice));
        library_sql(l, "CREATE TEMP TABLE before AS SELECT * FROM audience; UPDATE image SET name = 'unseen'; "
                       "REPLACE INTO audience SELECT * FROM before");
        text = csv(l, &l->alice);
        assert_null(strstr(text, "unseen"));
        assert_int_equal(measure(l, &l->alice, LISTING_CSV), strlen(text));
        free(text);
        text = csv(l, &l->admin); /* his was not made yet */
        assert_contains(text, "unseen");
        free(text);
        library_sql(l, "UPDATE audience SET lists = lists + 1");
        text = csv(l, &l->alice);
        assert_contains(text, "unseen");
        free(text);
}

/* Shows what it is out of date for, and to whom. */
static void test_kept_lists_follow_changes(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        const mode_t open = 0755;
        char *text;

        text = csv(l, &l->bob);
        assert_string_equal(text, HEADER);
        free(text);
        assert_ok(model_set_access(l->m, &l->alice, OBJECT_IMAGE, id, &open, NULL, NULL, library_diag(l)));
        text = csv(l, &l->bob);
        assert_contains(text, "private,web");
        free(text);
        assert_ok(image_set(l->m, &l->alice, id, IMAGE_FIELD_NAME, "another", library_diag(l)));
        text = csv(l, &l->bob);
        assert_contains(text, ",another,");
        free(text);
        text = csv(l, &l->alice);
        assert_contains(text, ",another,");
        free(text);
}

static void test_the_time_is_that_of_the_last_row(void **state)
{
        struct library *l = *state;
        int64_t changed_us = -1;
        const long long then_us = 4000000000000000; /* to come: an image that was left queued long ago is removed */
        uint64_t size, id;

        assert_ok(listing_measure(l->m, &l->alice, l->region, LISTING_CSV, LISTING_NOW, library_diag(l), &size,
                                  &changed_us));
        assert_int_equal(changed_us, 0);
        id = library_image(l, "web");
        (void)library_image(l, "x");
        library_sql(l, "UPDATE image SET updated = %lld + (id = %lld)", then_us, (long long)id);
        assert_ok(listing_measure(l->m, &l->alice, l->region, LISTING_CSV, LISTING_NOW, library_diag(l), &size,
                                  &changed_us));
        assert_int_equal(changed_us, then_us + 1);
        assert_ok(listing_measure(l->m, &l->bob, l->region, LISTING_CSV, LISTING_NOW, library_diag(l), &size,
                                  &changed_us));
        assert_int_equal(changed_us, 0); /* another's images do not show */
}

/* The same user and group, once with one more: neither is given the other's list. */
static void test_groups_of_the_caller_decide(void **state)
{
        struct library *l = *state;
        const struct caller plain = { .uid = 7, .gid = 7 }, member = { .uid = 7, .gid = 7, .in_group = in_three };
        uint64_t id = library_image(l, "team");
        char *text;

        library_sql(l, "UPDATE image SET gid = 3, mode = 504 WHERE id = %lld", (long long)id); /* 0770 */
        for (int round = 0; round < 2; round++) {
                text = csv(l, &plain);
                assert_string_equal(text, HEADER);
                free(text);
                assert_int_equal(measure(l, &plain, LISTING_CSV), strlen(HEADER));
                text = csv(l, &member);
                assert_contains(text, "private,team");
                free(text);
                assert_true(measure(l, &member, LISTING_CSV) > strlen(HEADER));
        }
}

static struct library *meddling; /* in_group() has nothing else to know it by */
static const char *meddle_sql;
static unsigned meddle_at;

/* Is asked first when it is looked for a kept list, then in the transaction that the first rows are read in. */
static bool meddle(const struct caller *c, gid_t gid)
{
        (void)c;
        if (--meddle_at == 0)
                library_sql(meddling, "%s", meddle_sql);
        return gid == 3;
}

/* A list is of one moment, although a long one is not read in one transaction: what is renamed meanwhile is in it once. */
static void test_changes_while_it_is_read(void **state)
{
        struct library *l = *state;
        const struct caller member = { .uid = 7, .gid = 7, .in_group = meddle };
        const uint64_t of[] = { l->region, LISTING_ALL_REGIONS };

        (void)library_image(l, "team");
        library_sql(l, "WITH RECURSIVE f(n) AS (SELECT 1001 UNION ALL SELECT n + 1 FROM f WHERE n < 4500) "
                       "INSERT INTO image (ident, region, class, handle, uid, gid, mode, created, updated, source, name, "
                       "status, type) SELECT 'i' || n, region, class, 'h' || n, uid, 3, 488, created, updated, "
                       "source, name, status, type FROM image, f");
        meddling = l;
        for (unsigned i = 0; i < 2; i++) {
                char *text;

                meddle_sql = i == 0 ? "UPDATE image SET handle = 'a' WHERE handle = 'h4400'" :
                                      "UPDATE image SET handle = 'h4400' WHERE handle = 'a'";
                meddle_at = 2;
                text = list_of(l, &member, of[i], LISTING_CSV);
                assert_int_equal(meddle_at, UINT_MAX); /* once more: it was read again */
                assert_int_equal(count_rows(text), 3501);
                assert_non_null(strstr(text, ",i4400,"));
                assert_null(strstr(strstr(text, ",i4400,") + 1, ",i4400,"));
                free(text);
        }
        /* and every other one as often, whatever the length of a portion */
        library_sql(l, "DELETE FROM image WHERE handle >= 'h3001'");
        for (unsigned i = 0; i < 2; i++) {
                CLEANUP_FREE char *text = list_of(l, &l->admin, of[i], LISTING_CSV);

                assert_int_equal(count_rows(text), 2001);
                for (unsigned n = 1001; n <= 3000; n++) {
                        char ident[16];

                        (void)snprintf(ident, sizeof(ident), ",i%u,", n);
                        if (!strstr(text, ident))
                                fail_msg("%s is not there", ident);
                }
        }
}

/* More callers than there are places, and more text than is kept: each still gets its own. */
static void test_lists_push_each_other_out(void **state)
{
        struct library *l = *state;
        const mode_t open = 0755;

        assert_ok(model_set_access(l->m, &l->alice, OBJECT_IMAGE, library_image(l, "web"), &open, NULL, NULL,
                                   library_diag(l)));
        library_sql(l, "WITH RECURSIVE f(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM f WHERE n < 1500) "
                       "INSERT INTO image (ident, region, class, handle, uid, gid, mode, created, updated, source, name, "
                       "status, type) SELECT 'i' || n, region, class, 'h' || n, uid, gid, mode, created, updated, "
                       "source, printf('%%.120c', 'n'), status, type FROM image, f");
        for (uid_t i = 0; i < 150; i++) {
                const struct caller c = { .uid = 5000 + i % 140, .gid = 7 };
                CLEANUP_FREE char *text = json(l, &c);

                assert_int_equal(strlen(text), measure(l, &c, LISTING_JSON));
                assert_contains(text, "\"directory\": \"h1500\"");
        }
}

static int64_t coarse_now_us(void)
{
        struct timespec t;

        assert_int_equal(clock_gettime(CLOCK_MONOTONIC_COARSE, &t), 0);
        return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static char *csv_asked_for(struct library *l, int64_t asked_us)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        struct text *t;

        assert_ok(get(l, &l->alice, l->region, LISTING_CSV, asked_us, &t));
        add_text(t, &out);
        return strbuf_take(&out);
}

/*
 * Of twenty who wait for a list while images change, each had one made: the last waited for twenty. One that was begun
 * after they asked is good for all of them, and for nobody who asked later, be it by less than the clock tells.
 */
static void test_a_list_is_good_for_who_asked_before_it_was_begun(void **state)
{
        struct library *l = *state;
        const int64_t before_us = coarse_now_us() - 1;
        CLEANUP_FREE char *one = NULL, *same = NULL, *two = NULL, *three = NULL;
        int64_t after_us;

        (void)library_image(l, "one");
        one = csv(l, &l->alice);
        after_us = coarse_now_us();
        (void)library_image(l, "two");
        same = csv_asked_for(l, before_us);
        assert_string_equal(same, one);
        two = csv_asked_for(l, after_us);
        assert_contains(two, ",two,");
        (void)library_image(l, "three");
        three = csv(l, &l->alice);
        assert_contains(three, ",three,");
}

struct reader {
        struct library *l;
        atomic_bool *done;
        enum listing_format format;
        pthread_t thread;
};

static void *read_lists(void *arg)
{
        const struct reader *reader = arg;
        struct library *l = reader->l;

        while (!atomic_load(reader->done)) {
                struct text *t;
                int64_t changed_us;
                uint64_t size;

                if (listing_get(l->m, &l->alice, l->region, reader->format, LISTING_NOW, NULL, &t, &changed_us) < 0 ||
                    text_size(t) == 0 ||
                    listing_measure(l->m, &l->alice, l->region, reader->format, LISTING_NOW, NULL, &size, &changed_us) <
                            0)
                        abort();
                text_unref(t);
        }
        return NULL;
}

/* What was written is in the next list, whoever else makes lists at the time. */
static void test_many_threads(void **state)
{
        struct library *l = *state;
        struct reader readers[4];
        atomic_bool done = false;
        uint64_t id = library_image(l, "web");

        for (size_t i = 0; i < 4; i++) {
                readers[i] = (struct reader){ .l = l, .done = &done, .format = i % 2 ? LISTING_JSON : LISTING_CSV };
                assert_int_equal(pthread_create(&readers[i].thread, NULL, read_lists, &readers[i]), 0);
        }
        for (int i = 0; i < 200; i++) {
                CLEANUP_FREE char *text = NULL;
                char name[16];

                (void)snprintf(name, sizeof(name), "name-%d", i);
                assert_ok(image_set(l->m, &l->alice, id, IMAGE_FIELD_NAME, name, library_diag(l)));
                text = csv(l, &l->alice);
                assert_contains(text, name);
        }
        atomic_store(&done, true);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
}

static void test_no_region(void **state)
{
        struct library *l = *state;
        struct text *t;

        assert_err(get(l, &l->alice, l->region + 1, LISTING_CSV, LISTING_NOW, &t), -ENOENT);
}

static void test_spreadsheets_may_be_left_out(void **state)
{
        struct library *l = *state;
        struct text *t;

        if (xlsx_is_supported())
                skip();
        assert_err(get(l, &l->alice, l->region, LISTING_XLSX, LISTING_NOW, &t), -EOPNOTSUPP);
        assert_contains(l->diag.text, "images.csv");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_an_empty_region),
                TEST(test_csv_quotes_what_needs_it),
                TEST(test_json_has_numbers_and_booleans),
                TEST(test_shows_what_the_caller_may_enter),
                TEST(test_all_regions),
                TEST(test_shared_in_all_regions),
                TEST(test_what_is_shared_has_a_class_of_its_own),
                TEST(test_the_size_is_that_of_the_text),
                TEST(test_every_change_of_a_row_is_noticed),
                TEST(test_a_change_is_one_for_who_sees_it),
                TEST(test_a_region_is_renamed),
                TEST(test_an_unchanged_list_is_not_made_again),
                TEST(test_kept_lists_follow_changes),
                TEST(test_the_time_is_that_of_the_last_row),
                TEST(test_groups_of_the_caller_decide),
                TEST(test_changes_while_it_is_read),
                TEST(test_lists_push_each_other_out),
                TEST(test_a_list_is_good_for_who_asked_before_it_was_begun),
                TEST(test_many_threads),
                TEST(test_no_region),
                TEST(test_spreadsheets_may_be_left_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
