/* SPDX-License-Identifier: MIT */
/* The tables of the tree: consistent, complete, and inode numbers that tell every node apart. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/tree/tree.h"

static void test_tables_are_consistent(void **state)
{
        (void)state;
        tree_check(); /* aborts when they are not */
}

static void test_root_has_the_number_that_the_protocol_wants(void **state)
{
        struct node n = node_of(FUSE_ROOT_ID);

        (void)state;
        assert_int_equal(n.kind, KIND_ROOT);
        assert_int_equal(n.row, 0);
        assert_int_equal(node_ino(n), FUSE_ROOT_ID);
}

static void test_numbers_and_nodes_are_the_same_thing(void **state)
{
        static const uint64_t oids[] = { 1, 2, 4711, (UINT64_C(1) << OID_BITS) - 1 };
        static const unsigned rows[] = { 0, 1, 7, ROW_CHILD };

        (void)state;
        for (unsigned k = 0; k < KIND_COUNT; k++)
                for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
                        for (size_t o = 0; o < sizeof(oids) / sizeof(oids[0]); o++) {
                                struct node n = { .kind = (enum node_kind)k, .row = rows[r], .oid = oids[o] };
                                struct node back = node_of(node_ino(n));

                                assert_int_equal(back.kind, n.kind);
                                assert_int_equal(back.row, n.row);
                                assert_int_equal(back.oid, n.oid);
                        }
}

static void test_numbers_that_are_no_node_have_no_entry(void **state)
{
        (void)state;
        assert_null(tree_entry((struct node){ .kind = KIND_IMAGE, .row = 0, .oid = 1 }));
        assert_null(tree_entry((struct node){ .kind = KIND_IMAGE, .row = 500, .oid = 1 }));
        assert_null(tree_entry((struct node){ .kind = KIND_IMAGE, .row = ROW_CHILD, .oid = 1 }));
        assert_null(tree_entry(node_of(UINT64_MAX)));
        assert_null(tree_kind(node_of(UINT64_MAX).kind));
        assert_string_equal(tree_entry((struct node){ .kind = KIND_IMAGE, .row = 1, .oid = 1 })->name, "id");
}

static void test_printed_tree_shows_every_entry_with_its_help(void **state)
{
        CLEANUP_FREE char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        (void)state;
        assert_non_null(f);
        tree_print(f);
        assert_int_equal(fclose(f), 0);
        for (unsigned k = 0; k < KIND_COUNT; k++)
                for (const struct entry *e = tree_kind((enum node_kind)k)->entries; e && e->name; e++) {
                        assert_non_null(strstr(text, e->name));
                        assert_non_null(strstr(text, e->help));
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tables_are_consistent),
                cmocka_unit_test(test_root_has_the_number_that_the_protocol_wants),
                cmocka_unit_test(test_numbers_and_nodes_are_the_same_thing),
                cmocka_unit_test(test_numbers_that_are_no_node_have_no_entry),
                cmocka_unit_test(test_printed_tree_shows_every_entry_with_its_help),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
