/* SPDX-License-Identifier: MIT */

#include "model/image/xlsx.h"

#include "tests/lib/expect.h"

#ifdef HAVE_XLSX

#include <zlib.h>

static const struct xlsx_column two_columns[] = { { "name", 20 }, { "size", 10 } };

static unsigned get16(const unsigned char *p)
{
        return p[0] | (unsigned)p[1] << 8;
}

static uint32_t get32(const unsigned char *p)
{
        return get16(p) | (uint32_t)get16(p + 2) << 16;
}

/* A part of the archive, found by way of its directory, with every number in it checked. */
static char *part(const struct spool *out, const char *name)
{
        const unsigned char *base = (const unsigned char *)out->buf.text, *end = base + out->buf.len - 22, *p;
        unsigned n;

        assert_memory_equal(end, "PK\5\6", 4);
        n = get16(end + 10);
        p = base + get32(end + 16);
        assert_ptr_equal(p + get32(end + 12), end);
        for (unsigned i = 0; i < n; i++, p += 46 + get16(p + 28)) {
                const unsigned char *local = base + get32(p + 42);
                uint32_t packed = get32(p + 20), size = get32(p + 24);
                z_stream z = { 0 };
                char *text;

                assert_memory_equal(p, "PK\1\2", 4);
                assert_memory_equal(local, "PK\3\4", 4);
                assert_memory_equal(local + 4, p + 6, 26); /* both say the same */
                assert_memory_equal(local + 30, p + 46, get16(p + 28));
                if (get16(p + 28) != strlen(name) || memcmp(p + 46, name, strlen(name)) != 0)
                        continue;
                text = calloc(1, (size_t)size + 1);
                assert_non_null(text);
                assert_int_equal(inflateInit2(&z, -MAX_WBITS), Z_OK);
                z.next_in = (unsigned char *)local + 30 + strlen(name);
                z.avail_in = packed;
                z.next_out = (unsigned char *)text;
                z.avail_out = size + 1;
                assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
                assert_int_equal(z.total_in, packed);
                assert_int_equal(z.total_out, size);
                assert_int_equal(crc32_z(0, (unsigned char *)text, size), get32(p + 16));
                (void)inflateEnd(&z);
                return text;
        }
        fail_msg("no part %s", name);
        return NULL;
}

static void write_sheet(const char *const *names, size_t n, struct spool *out)
{
        struct xlsx *x;

        assert_ok(xlsx_new("images", two_columns, 2, out, &x));
        for (size_t i = 0; i < n; i++) {
                xlsx_add_text(x, names[i]);
                xlsx_add_number(x, (int64_t)i << 40);
                assert_ok(xlsx_end_row(x));
        }
        assert_ok(xlsx_finish(x));
        xlsx_free(x);
}

static char *sheet_of(const char *name)
{
        CLEANUP(spool_done) struct spool out = SPOOL_IN_MEMORY;

        write_sheet(&name, 1, &out);
        return part(&out, "xl/worksheets/sheet1.xml");
}

static void test_parts_are_there(void **state)
{
        static const char *const names[] = { "[Content_Types].xml", "_rels/.rels", "xl/_rels/workbook.xml.rels",
                                             "xl/styles.xml", "xl/workbook.xml" };
        CLEANUP(spool_done) struct spool out = SPOOL_IN_MEMORY;

        (void)state;
        write_sheet(NULL, 0, &out);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                CLEANUP_FREE char *text = part(&out, names[i]);

                assert_true(strncmp(text, "<?xml ", 6) == 0);
        }
}

static void test_heading_is_frozen(void **state)
{
        CLEANUP_FREE char *text = sheet_of("web");

        (void)state;
        assert_contains(text, "<pane ySplit=\"1\" topLeftCell=\"A2\" activePane=\"bottomLeft\" state=\"frozen\"/>");
        assert_contains(text, "<col min=\"1\" max=\"1\" width=\"20\" customWidth=\"1\"/>");
        assert_contains(text, "<row r=\"1\"><c r=\"A1\" s=\"2\" t=\"inlineStr\"><is><t xml:space=\"preserve\">name</t>");
}

static void test_numbers_are_numbers(void **state)
{
        const char *const names[] = { "a", "b" };
        CLEANUP(spool_done) struct spool out = SPOOL_IN_MEMORY;
        CLEANUP_FREE char *text = NULL;

        (void)state;
        write_sheet(names, 2, &out);
        text = part(&out, "xl/worksheets/sheet1.xml");
        assert_contains(text, "<c r=\"B3\" s=\"0\"><v>1099511627776</v></c></row></sheetData></worksheet>");
}

static void test_text_is_text(void **state)
{
        static const struct {
                const char *text, *xml;
        } cells[] = {
                { "", "" },
                { "=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0" },
                { " two  blanks ", " two  blanks " },
                { "<&>\"", "&lt;&amp;&gt;\"" },
                { "]]>", "]]&gt;" },
                { "a\tb\nc\x01", "a\tb\nc_x0001_" },
                { "_x0041_", "_x005F_x0041_" },
                { "_x004", "_x004" },
                { "_xyz1_ _x00410_", "_xyz1_ _x00410_" },
                { "\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd", "_xFFFE__xFFFF_\xef\xbf\xbd" },
                { "名前\xf0\x9f\x98\x80", "名前\xf0\x9f\x98\x80" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
                CLEANUP_FREE char *text = sheet_of(cells[i].text);
                char want[256];

                (void)snprintf(want, sizeof(want),
                               "<c r=\"A2\" s=\"1\" t=\"inlineStr\"><is><t xml:space=\"preserve\">%s</t></is></c>",
                               cells[i].xml);
                assert_contains(text, want);
        }
}

static void test_same_cells_make_the_same_bytes(void **state)
{
        const char *const names[] = { "a", "b", "c" };
        CLEANUP(spool_done) struct spool one = SPOOL_IN_MEMORY, two = SPOOL_IN_MEMORY;

        (void)state;
        write_sheet(names, 3, &one);
        write_sheet(names, 3, &two);
        assert_int_equal(one.buf.len, two.buf.len);
        assert_memory_equal(one.buf.text, two.buf.text, one.buf.len);
}

/* Many pieces of XML, so that the compressor is fed in steps; and the last row that there may be. */
static void test_all_rows_that_programs_take(void **state)
{
        CLEANUP(spool_done) struct spool out = SPOOL_IN_MEMORY;
        CLEANUP_FREE char *text = NULL;
        struct xlsx *x;

        (void)state;
        assert_ok(xlsx_new("images", two_columns, 1, &out, &x));
        for (unsigned i = 1; i < XLSX_ROWS_MAX; i++) {
                xlsx_add_text(x, "web");
                assert_ok(xlsx_end_row(x));
        }
        assert_ok(xlsx_finish(x));
        xlsx_free(x);
        text = part(&out, "xl/worksheets/sheet1.xml");
        assert_contains(text + strlen(text) - 150, "<c r=\"A1048576\" s=\"1\" t=\"inlineStr\"><is>"
                                                   "<t xml:space=\"preserve\">web</t></is></c></row></sheetData>");
}

static void test_more_rows_are_refused(void **state)
{
        CLEANUP(spool_done) struct spool out = SPOOL_IN_MEMORY;
        struct xlsx *x;

        (void)state;
        assert_ok(xlsx_new("images", two_columns, 1, &out, &x));
        for (unsigned i = 1; i < XLSX_ROWS_MAX; i++) {
                xlsx_add_text(x, "");
                assert_ok(xlsx_end_row(x));
        }
        xlsx_add_text(x, "");
        assert_err(xlsx_end_row(x), -EFBIG);
        assert_err(xlsx_finish(x), -EFBIG);
        xlsx_free(x);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parts_are_there),
                cmocka_unit_test(test_heading_is_frozen),
                cmocka_unit_test(test_numbers_are_numbers),
                cmocka_unit_test(test_text_is_text),
                cmocka_unit_test(test_same_cells_make_the_same_bytes),
                cmocka_unit_test(test_all_rows_that_programs_take),
                cmocka_unit_test(test_more_rows_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
        (void)puts("SKIP: built without zlib");
        return 77;
}

#endif
