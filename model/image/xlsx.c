/* SPDX-License-Identifier: MIT */
/*
 * A workbook is a zip archive of XML parts (ECMA-376): five small ones that are always the same, and the sheet, which
 * is compressed as its rows come. Nothing in it says when it was made.
 *
 * Why not libxlsxwriter: it makes every part in a temporary file first and does not look whether that could be written.
 * On a full /tmp it gives a sheet that ends in the middle, and says that all went well (1.1.4).
 *
 * Texts are written into the sheet as strings of cells formatted as text, so that no program takes one for a formula,
 * not even after somebody edited the cell. There is no other sheet, no shared table of strings, no ZIP64.
 */

#include "model/image/xlsx.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PARTS_MAX 6
/* Of XML, before it is compressed; and compressed, before it goes to the result. */
#define PIECE_BYTES ((size_t)32 << 10)
/* The fastest is twice as fast as the usual one, for a quarter more bytes. */
#define LEVEL 1

/* 1 January 1980, 0:00, as MS-DOS writes it: the earliest there is. */
#define ZIP_DATE 0x0021

#define ZIP_LOCAL_BYTES 30
#define ZIP_SIZES_AT    14 /* in a local header: CRC, compressed size, size */

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
#define MAIN_NS  "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
#define REL_NS   "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
#define TYPE(of) "application/vnd.openxmlformats-officedocument.spreadsheetml." of "+xml"

/* The formats of cells, in the order of cellXfs below. */
enum style { STYLE_NUMBER, STYLE_TEXT, STYLE_HEADING };
static const char *const style_attributes[] = { " s=\"0\"", " s=\"1\"", " s=\"2\"" };

static const char letters[XLSX_COLUMNS_MAX + 1] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

static const struct {
        const char *name, *text;
} fixed_parts[] = {
        { "[Content_Types].xml",
          XML_HEAD "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">"
                   "<Default Extension=\"rels\" "
                   "ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>"
                   "<Default Extension=\"xml\" ContentType=\"application/xml\"/>"
                   "<Override PartName=\"/xl/workbook.xml\" ContentType=\"" TYPE("sheet.main") "\"/>"
                   "<Override PartName=\"/xl/styles.xml\" ContentType=\"" TYPE("styles") "\"/>"
                   "<Override PartName=\"/xl/worksheets/sheet1.xml\" ContentType=\"" TYPE("worksheet") "\"/></Types>" },
        { "_rels/.rels",
          XML_HEAD "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">"
                   "<Relationship Id=\"rId1\" Type=\"" REL_NS "/officeDocument\" Target=\"xl/workbook.xml\"/>"
                   "</Relationships>" },
        { "xl/_rels/workbook.xml.rels",
          XML_HEAD "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">"
                   "<Relationship Id=\"rId1\" Type=\"" REL_NS "/worksheet\" Target=\"worksheets/sheet1.xml\"/>"
                   "<Relationship Id=\"rId2\" Type=\"" REL_NS "/styles\" Target=\"styles.xml\"/></Relationships>" },
        { "xl/styles.xml",
          XML_HEAD "<styleSheet xmlns=\"" MAIN_NS "\">"
                   "<fonts count=\"2\"><font><sz val=\"11\"/><name val=\"Calibri\"/></font>"
                   "<font><b/><sz val=\"11\"/><name val=\"Calibri\"/></font></fonts>"
                   "<fills count=\"2\"><fill><patternFill patternType=\"none\"/></fill>"
                   "<fill><patternFill patternType=\"gray125\"/></fill></fills>"
                   "<borders count=\"1\"><border><left/><right/><top/><bottom/><diagonal/></border></borders>"
                   "<cellStyleXfs count=\"1\">"
                   "<xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" borderId=\"0\"/></cellStyleXfs>"
                   "<cellXfs count=\"3\">"
                   "<xf numFmtId=\"1\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\"/>"
                   "<xf numFmtId=\"49\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\"/>"
                   "<xf numFmtId=\"49\" fontId=\"1\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\" "
                   "applyFont=\"1\"/></cellXfs>"
                   "<cellStyles count=\"1\"><cellStyle name=\"Normal\" xfId=\"0\" builtinId=\"0\"/></cellStyles>"
                   "</styleSheet>" },
};
#define N_FIXED_PARTS (sizeof(fixed_parts) / sizeof(fixed_parts[0]))
_Static_assert(N_FIXED_PARTS + 2 <= PARTS_MAX, "every part needs its place in the directory");

struct part {
        const char *name;
        uint32_t crc;
        uint64_t size, packed, at;
};

struct xlsx {
        struct spool *out;
        struct strbuf xml; /* of the present part, not compressed yet */
        struct part parts[PARTS_MAX];
        unsigned n_parts;
        unsigned n_columns;
        unsigned row, column; /* of the next cell */
        char row_number[16]; /* as readers count, and the quote after it */
        z_stream deflate;
        bool deflating;
        int error; /* the first */
        unsigned char packed[PIECE_BYTES];
};

bool xlsx_is_supported(void)
{
        return true;
}

/* ---- the archive ---- */

static void put16(struct strbuf *out, unsigned v)
{
        const unsigned char bytes[] = { v & 0xff, v >> 8 & 0xff };

        strbuf_add_bytes(out, bytes, sizeof(bytes));
}

static void put32(struct strbuf *out, uint64_t v)
{
        put16(out, v & 0xffff);
        put16(out, v >> 16 & 0xffff);
}

/* What a local header and the directory say alike: version, flags, method, time, date, CRC, sizes, name's length. */
static void put_part(struct strbuf *out, const struct part *p)
{
        put16(out, 20);
        put16(out, 0);
        put16(out, 8); /* deflate */
        put16(out, 0);
        put16(out, ZIP_DATE);
        put32(out, p->crc);
        put32(out, p->packed);
        put32(out, p->size);
        put16(out, (unsigned)strlen(p->name));
        put16(out, 0); /* nothing extra */
}

static int check(struct xlsx *x)
{
        if (!x->error)
                x->error = strbuf_error(&x->xml);
        if (!x->error)
                x->error = spool_error(x->out);
        if (!x->error && spool_size(x->out) > UINT32_MAX / 2)
                x->error = -EFBIG;
        return x->error;
}

/* Compresses what there is of the part; to its end with Z_FINISH. */
static void pack(struct xlsx *x, int flush)
{
        struct part *p = &x->parts[x->n_parts - 1];
        z_stream *z = &x->deflate;

        if (check(x) < 0)
                return;
        p->crc = (uint32_t)crc32_z(p->crc, (const unsigned char *)strbuf_text(&x->xml), x->xml.len);
        p->size += x->xml.len;
        z->next_in = (unsigned char *)x->xml.text;
        z->avail_in = (unsigned)x->xml.len;
        do {
                z->next_out = x->packed;
                z->avail_out = sizeof(x->packed);
                (void)deflate(z, flush); /* says when it is done; it cannot fail with a stream that is there */
                strbuf_add_bytes(&x->out->buf, x->packed, sizeof(x->packed) - z->avail_out);
                spool_step(x->out);
        } while (z->avail_out == 0);
        strbuf_reset(&x->xml);
        if (p->size > UINT32_MAX && !x->error)
                x->error = -EFBIG;
}

static void begin_part(struct xlsx *x, const char *name)
{
        struct part *p = &x->parts[x->n_parts++];

        *p = (struct part){ .name = name, .at = spool_size(x->out) };
        strbuf_add_bytes(&x->out->buf, "PK\3\4", 4);
        put_part(&x->out->buf, p);
        strbuf_add(&x->out->buf, name);
        (void)deflateReset(&x->deflate); /* fails only where there is no stream */
}

/* What the header could not say when it was written is put into it. */
static void end_part(struct xlsx *x)
{
        struct part *p = &x->parts[x->n_parts - 1];
        CLEANUP_STRBUF struct strbuf sizes = { 0 };

        pack(x, Z_FINISH);
        p->packed = spool_size(x->out) - p->at - ZIP_LOCAL_BYTES - strlen(p->name);
        put32(&sizes, p->crc);
        put32(&sizes, p->packed);
        put32(&sizes, p->size);
        if (strbuf_error(&sizes) && !x->error)
                x->error = strbuf_error(&sizes);
        if (check(x) == 0)
                spool_patch(x->out, p->at + ZIP_SIZES_AT, sizes.text, sizes.len);
}

static void put_directory(struct xlsx *x)
{
        struct strbuf *out = &x->out->buf;
        const uint64_t at = spool_size(x->out);
        uint64_t n;

        for (unsigned i = 0; i < x->n_parts; i++) {
                strbuf_add_bytes(out, "PK\1\2", 4);
                put16(out, 20); /* made by the same version, on MS-DOS: no modes */
                put_part(out, &x->parts[i]);
                put16(out, 0); /* no comment */
                put16(out, 0); /* the first disk */
                put16(out, 0);
                put32(out, 0); /* no attributes */
                put32(out, x->parts[i].at);
                strbuf_add(out, x->parts[i].name);
        }
        n = spool_size(x->out) - at;
        strbuf_add_bytes(out, "PK\5\6", 4);
        put32(out, 0);
        put16(out, x->n_parts);
        put16(out, x->n_parts);
        put32(out, n);
        put32(out, at);
        put16(out, 0);
}

/* ---- the sheet ---- */

/* Is this "_xHHHH_", which readers take for a character? */
static bool is_escape(const char *p)
{
        return p[0] == '_' && p[1] == 'x' && strspn(p + 2, "0123456789abcdefABCDEF") >= 4 && p[6] == '_';
}

/*
 * Characters that XML cannot have, or gives back as others, are written as _xHHHH_, and the underscore of a text that
 * says this itself likewise: one name with such a character must not make the list unreadable.
 */
static void add_escaped(struct strbuf *out, const char *text)
{
        while (*text) {
                size_t plain = strcspn(text, "&<>_\xef"
                                             "\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0d\x0e\x0f\x10"
                                             "\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f");

                strbuf_add_bytes(out, text, plain);
                text += plain;
                if (strncmp(text, "\xef\xbf\xbe", 3) == 0 || strncmp(text, "\xef\xbf\xbf", 3) == 0) {
                        strbuf_addf(out, "_xFFF%c_", text[2] == '\xbe' ? 'E' : 'F');
                        text += 3;
                        continue;
                }
                switch (*text) {
                case '\0':
                        return;
                case '&':
                        strbuf_add(out, "&amp;");
                        break;
                case '<':
                        strbuf_add(out, "&lt;");
                        break;
                case '>':
                        strbuf_add(out, "&gt;");
                        break;
                case '_':
                        strbuf_add(out, is_escape(text) ? "_x005F_" : "_");
                        break;
                default:
                        if ((unsigned char)*text < 0x20)
                                strbuf_addf(out, "_x%04X_", (unsigned char)*text);
                        else
                                strbuf_add_bytes(out, text, 1);
                }
                text++;
        }
}

/* No printf() for cells: it took longer than all the rest. */
static void begin_cell(struct xlsx *x, enum style style)
{
        assert(x->column < x->n_columns);
        if (x->column == 0) {
                (void)snprintf(x->row_number, sizeof(x->row_number), "%u\"", x->row + 1);
                strbuf_add(&x->xml, "<row r=\"");
                strbuf_add(&x->xml, x->row_number);
                strbuf_add(&x->xml, ">");
        }
        strbuf_add(&x->xml, "<c r=\"");
        strbuf_add_bytes(&x->xml, &letters[x->column], 1);
        strbuf_add(&x->xml, x->row_number);
        strbuf_add(&x->xml, style_attributes[style]);
        x->column++;
}

static void add_text(struct xlsx *x, enum style style, const char *text)
{
        begin_cell(x, style);
        strbuf_add(&x->xml, " t=\"inlineStr\"><is><t xml:space=\"preserve\">");
        add_escaped(&x->xml, text);
        strbuf_add(&x->xml, "</t></is></c>");
}

void xlsx_add_text(struct xlsx *x, const char *text)
{
        add_text(x, STYLE_TEXT, text);
}

void xlsx_add_number(struct xlsx *x, int64_t number)
{
        begin_cell(x, STYLE_NUMBER);
        strbuf_addf(&x->xml, "><v>%lld</v></c>", (long long)number);
}

int xlsx_end_row(struct xlsx *x)
{
        assert(x->column == x->n_columns);
        if (x->row == XLSX_ROWS_MAX && !x->error)
                x->error = -EFBIG;
        strbuf_add(&x->xml, "</row>");
        x->row++;
        x->column = 0;
        if (x->xml.len >= PIECE_BYTES)
                pack(x, Z_NO_FLUSH);
        return check(x);
}

/* ---- the workbook ---- */

void xlsx_free(struct xlsx *x)
{
        if (!x)
                return;
        if (x->deflating)
                (void)deflateEnd(&x->deflate); /* says only that the stream was not finished */
        strbuf_done(&x->xml);
        free(x);
}
DEFINE_CLEANUP(struct xlsx *, cleanup_xlsx, xlsx_free)

int xlsx_new(const char *sheet, const struct xlsx_column *columns, unsigned n_columns, struct spool *out,
             struct xlsx **ret)
{
        CLEANUP(cleanup_xlsx) struct xlsx *x = NULL;
        int r;

        assert(n_columns > 0 && n_columns <= XLSX_COLUMNS_MAX && spool_size(out) == 0);
        x = calloc(1, sizeof(*x));
        if (!x)
                return -ENOMEM;
        x->out = out;
        x->n_columns = n_columns;
        /* negative: without zlib's own header, as an archive has it */
        if (deflateInit2(&x->deflate, LEVEL, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
                return -ENOMEM;
        x->deflating = true;

        for (unsigned i = 0; i < N_FIXED_PARTS; i++) {
                begin_part(x, fixed_parts[i].name);
                strbuf_add(&x->xml, fixed_parts[i].text);
                end_part(x);
        }
        begin_part(x, "xl/workbook.xml");
        strbuf_addf(&x->xml, XML_HEAD "<workbook xmlns=\"" MAIN_NS "\" xmlns:r=\"" REL_NS "\"><sheets>"
                                      "<sheet name=\"%s\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>", sheet);
        end_part(x);

        begin_part(x, "xl/worksheets/sheet1.xml");
        strbuf_add(&x->xml, XML_HEAD "<worksheet xmlns=\"" MAIN_NS "\"><sheetViews>"
                                     "<sheetView tabSelected=\"1\" workbookViewId=\"0\"><pane ySplit=\"1\" "
                                     "topLeftCell=\"A2\" activePane=\"bottomLeft\" state=\"frozen\"/></sheetView>"
                                     "</sheetViews><cols>");
        for (unsigned i = 0; i < n_columns; i++)
                strbuf_addf(&x->xml, "<col min=\"%u\" max=\"%u\" width=\"%u\" customWidth=\"1\"/>", i + 1, i + 1,
                            columns[i].width);
        strbuf_add(&x->xml, "</cols><sheetData>");
        for (unsigned i = 0; i < n_columns; i++)
                add_text(x, STYLE_HEADING, columns[i].title);
        r = xlsx_end_row(x);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x);
        return 0;
}

int xlsx_finish(struct xlsx *x)
{
        strbuf_add(&x->xml, "</sheetData></worksheet>");
        end_part(x);
        put_directory(x);
        return check(x);
}
