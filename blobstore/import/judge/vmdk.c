/* SPDX-License-Identifier: MIT */

/*
 * What is checked of a VMDK file before qemu sees it: one sparse extent with its
 * description inside, as VMware's and VirtualBox's exports are, plain or
 * stream-optimized. Numbers are little endian, places in sectors.
 *
 *     0 magic "KDMV"     4 version 1 to 3     8 flags             12 sectors of the disk
 *    20 of a grain      28 description       36 its sectors       44 entries of a grain table
 *    56 directory       77 compression
 *
 * A file that was written as a stream has its directory at the end, and says so
 * with a directory at AT_END; a copy of the header with the real place then lies in
 * the second last sector, between two markers. The two must agree in all else: qemu
 * goes by the first one until it looks for the directory, and where that has no
 * sectors it opens the description that it names, with whatever other files.
 *
 * The directory names grain tables, whose entries name grains: 0 is a hole, 1 is
 * zeros where the flags say so. A compressed grain begins with a marker: its sector
 * on the disk, the bytes that follow.
 *
 * The description is a text that names extents, and perhaps a parent. qemu looks for
 * the parent anywhere in it, and reads on up to QEMU_DESCRIPTION_BYTES where it does
 * not end as the header says. What names other files is refused here; that the child
 * could not open them does not make it a disk.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "blobstore/base/block.h"
#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/import/judge/judge.h"

#define SECTOR           UINT64_C(512)
#define HEADER_BYTES     512
#define AT_END           UINT64_MAX
#define FOOTER_BYTES     (3 * SECTOR)
#define MARKER_EOS       0
#define MARKER_FOOTER    3
#define MARKER_BYTES     12

#define FLAG_ZERO_GRAIN  (UINT32_C(1) << 2)
#define FLAG_COMPRESSED  (UINT32_C(1) << 16)
#define FLAG_MARKERS     (UINT32_C(1) << 17)
#define DEFLATE          1

#define GRAIN_SECTORS_MIN 8
#define GRAIN_SECTORS_MAX 4096
#define TABLE_ENTRIES_MAX 512
#define DIRECTORY_MAX     (UINT64_C(32) << 20) /* bytes */
#define DESCRIPTION_MAX   (UINT64_C(64) << 10) /* bytes */
#define QEMU_DESCRIPTION  SECTOR /* where qemu looks for it, whatever the header says */
#define QEMU_DESCRIPTION_BYTES (20 * SECTOR) /* and how far, up to a byte of zero */

#define ELSEWHERE "this VMDK names other files, which hold data of the disk: "  \
        "convert them together with qemu-img convert -O qcow2"
#define HAS_PARENT "this VMDK is the difference to another file, its parent: "  \
        "merge them with qemu-img convert -O qcow2"

struct vmdk {
        struct walk *walk; /* borrowed */
        uint64_t size_bytes;
        uint64_t grain_bytes;
        uint64_t directory; /* offset */
        uint64_t directory_entries;
        uint64_t description, description_bytes;
        uint32_t table_entries;
        bool compressed;
        bool zero_grains;
};

/* ---- the header ---- */

/* In all that says what the file is: from the version to the size of tables, and the compression. */
static bool headers_agree(const uint8_t *a, const uint8_t *b)
{
        return memcmp(a, b, 48) == 0 && memcmp(a + 77, b + 77, 2) == 0;
}

/* The header that counts: the one at the end, where the first one says so. */
static int find_header(const struct walk *w, uint8_t *h, struct strbuf *reason)
{
        uint8_t end[FOOTER_BYTES];
        int r;

        r = walk_read(w, h, HEADER_BYTES, 0, reason);
        if (r < 0 || get_le64(h + 56) != AT_END)
                return r;
        if (get_le64(h + 12) == 0)
                return format_refuse(reason, ELSEWHERE); /* the footer is not even looked at then */
        if (w->file_bytes % SECTOR != 0 || w->file_bytes < HEADER_BYTES + FOOTER_BYTES)
                return walk_truncated(w, reason);
        r = walk_read(w, end, sizeof(end), w->file_bytes - FOOTER_BYTES, reason);
        if (r < 0)
                return r;
        if (get_le32(end + 8) != 0 || get_le32(end + 12) != MARKER_FOOTER || memcmp(end + SECTOR, "KDMV", 4) != 0 ||
            get_le64(end + 2 * SECTOR) != 0 || get_le32(end + 2 * SECTOR + 8) != 0 ||
            get_le32(end + 2 * SECTOR + 12) != MARKER_EOS)
                return walk_truncated(w, reason);
        if (!headers_agree(h, end + SECTOR))
                return walk_damaged(w, reason, "its two headers do not agree");
        memcpy(h, end + SECTOR, HEADER_BYTES);
        return get_le64(h + 56) == AT_END ? walk_damaged(w, reason, "its directory is nowhere") : 0;
}

static int parse_header(const uint8_t *h, struct vmdk *v, struct strbuf *reason)
{
        uint32_t version = get_le32(h + 4);
        uint32_t flags = get_le32(h + 8);
        uint64_t sectors = get_le64(h + 12);
        uint64_t grain_sectors = get_le64(h + 20);
        uint64_t description = get_le64(h + 28);
        uint64_t description_sectors = get_le64(h + 36);
        uint64_t directory = get_le64(h + 56);
        unsigned compression = h[77] | (unsigned)h[78] << 8;
        uint64_t covered;

        if (version < 1 || version > 3)
                return format_refuse(reason, "this is a VMDK of version %u, which is not accepted: convert it with "
                                     "qemu-img convert -O qcow2", version);
        if (sectors == 0)
                return format_refuse(reason, ELSEWHERE); /* qemu would take the description for all there is */
        if (sectors > BLOB_SIZE_MAX / SECTOR)
                return format_refuse_size(reason);
        if (grain_sectors < GRAIN_SECTORS_MIN || grain_sectors > GRAIN_SECTORS_MAX ||
            (grain_sectors & (grain_sectors - 1)) != 0)
                return walk_damaged(v->walk, reason, "its grain size is impossible");
        v->size_bytes = sectors * SECTOR;
        v->grain_bytes = grain_sectors * SECTOR;

        v->table_entries = get_le32(h + 44);
        if (v->table_entries == 0 || v->table_entries > TABLE_ENTRIES_MAX)
                return walk_damaged(v->walk, reason, "the size of its tables is impossible");
        covered = v->table_entries * v->grain_bytes;
        v->directory_entries = (v->size_bytes + covered - 1) / covered;
        if (v->directory_entries * 4 > DIRECTORY_MAX)
                return walk_damaged(v->walk, reason, "its directory is too large");
        if (directory == 0 || directory >= UINT64_MAX / SECTOR)
                return walk_damaged(v->walk, reason, "its directory is out of place");
        v->directory = directory * SECTOR;
        if (!walk_has(v->walk, v->directory, v->directory_entries * 4))
                return walk_truncated(v->walk, reason);

        if (compression > DEFLATE || (compression == DEFLATE) != !!(flags & FLAG_COMPRESSED) ||
            (compression == DEFLATE) != !!(flags & FLAG_MARKERS))
                return format_refuse(reason, "this VMDK is compressed in a way that is not known here");
        v->compressed = compression == DEFLATE;
        v->zero_grains = flags & FLAG_ZERO_GRAIN;

        if (description == 0 || description_sectors == 0)
                return format_refuse(reason, "this VMDK is one part of several, and does not say which: convert them "
                                     "together with qemu-img convert -O qcow2");
        if (description_sectors > DESCRIPTION_MAX / SECTOR)
                return walk_damaged(v->walk, reason, "its description is too long");
        if (description >= UINT64_MAX / SECTOR)
                return walk_truncated(v->walk, reason);
        v->description = description * SECTOR;
        v->description_bytes = description_sectors * SECTOR;
        return 0;
}

/* ---- the description ---- */

/* What LINE says of KEY, or NULL. */
static const char *value_of(const char *line, const char *key)
{
        size_t n = strlen(key);

        if (strncasecmp(line, key, n) != 0)
                return NULL;
        line += n + strspn(line + n, " \t");
        if (*line != '=')
                return NULL;
        return line + 1 + strspn(line + 1, " \t");
}

static bool is_extent(const char *line)
{
        return strncasecmp(line, "RW ", 3) == 0 || strncasecmp(line, "RDONLY ", 7) == 0 ||
               strncasecmp(line, "NOACCESS ", 9) == 0;
}

struct description {
        bool known_type;
        unsigned extents, sparse;
};

static int judge_line(const char *line, struct description *d, struct strbuf *reason)
{
        unsigned long long sectors;
        const char *value;
        char kind[16];

        value = value_of(line, "parentCID");
        if (value && strncasecmp(value, "ffffffff", 8) != 0)
                return format_refuse(reason, HAS_PARENT);
        if (strcasestr(line, "parentFileNameHint"))
                return format_refuse(reason, HAS_PARENT);

        value = value_of(line, "createType");
        if (value) {
                value += *value == '"';
                d->known_type = strncasecmp(value, "monolithicSparse", 16) == 0 ||
                                strncasecmp(value, "streamOptimized", 15) == 0;
        }
        if (is_extent(line)) {
                d->extents++;
                d->sparse += sscanf(line, "%*s %llu %15s", &sectors, kind) == 2 && strcasecmp(kind, "SPARSE") == 0;
        }
        return 0;
}

/* TEXT is taken apart. */
static int judge_description(char *text, struct strbuf *reason)
{
        struct description d = { 0 };
        char *rest = NULL;
        int r;

        for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
                r = judge_line(line + strspn(line, " \t"), &d, reason);
                if (r < 0)
                        return r;
        }
        if (!d.known_type || d.extents != 1 || d.sparse != 1)
                return format_refuse(reason, ELSEWHERE);
        return 0;
}

/* What follows a byte of zero in the description is judged, too: nobody else need stop there. */
static int check_description(const struct vmdk *v, struct strbuf *reason)
{
        uint64_t left = v->walk->file_bytes - QEMU_DESCRIPTION;
        uint64_t seen = left < QEMU_DESCRIPTION_BYTES ? left : QEMU_DESCRIPTION_BYTES;
        uint64_t bytes = v->description_bytes > seen ? v->description_bytes : seen;
        CLEANUP_FREE char *text = NULL;
        int r;

        text = calloc(1, bytes + 1);
        if (!text)
                return -ENOMEM;
        r = walk_read(v->walk, text, bytes, QEMU_DESCRIPTION, reason);
        if (r < 0)
                return r;
        if (strnlen(text, bytes) < v->description_bytes)
                text[v->description_bytes] = '\0';
        for (uint64_t i = 0; i < v->description_bytes; i++) {
                if (text[i] == '\0')
                        text[i] = '\n';
        }
        return judge_description(text, reason);
}

static int read_header(struct walk *w, struct vmdk *ret, struct strbuf *reason)
{
        struct vmdk v = { .walk = w };
        uint8_t h[HEADER_BYTES];
        int r;

        r = find_header(w, h, reason);
        if (r == 0)
                r = parse_header(h, &v, reason);
        /* One text for us and another for qemu would be a way past this check. */
        if (r == 0 && v.description != QEMU_DESCRIPTION)
                r = walk_damaged(w, reason, "its description is out of place");
        if (r == 0)
                r = check_description(&v, reason);
        if (r < 0)
                return r;
        *ret = v;
        return 0;
}

int vmdk_check(struct walk *w, struct judged *ret, struct strbuf *reason)
{
        struct vmdk v;
        int r;

        r = read_header(w, &v, reason);
        if (r < 0)
                return r;
        ret->size_bytes = v.size_bytes;
        return 0;
}

/* ---- the tables ---- */

static int walk_compressed(struct vmdk *v, uint64_t offset, uint64_t guest, struct strbuf *reason)
{
        uint8_t marker[MARKER_BYTES];
        uint64_t len;
        int r;

        r = walk_read(v->walk, marker, sizeof(marker), offset, reason);
        if (r < 0)
                return r;
        len = get_le32(marker + 8);
        if (get_le64(marker) != guest / SECTOR || len == 0 || len > 2 * v->grain_bytes - MARKER_BYTES)
                return walk_damaged(v->walk, reason, "compressed data is out of place");
        len += MARKER_BYTES;
        if (!walk_has(v->walk, offset, len))
                return walk_truncated(v->walk, reason);
        return walk_place(v->walk, len, reason);
}

static int walk_table(struct vmdk *v, const uint8_t *table, uint64_t guest, struct strbuf *reason)
{
        int r;

        for (uint32_t i = 0; i < v->table_entries && guest < v->size_bytes; i++, guest += v->grain_bytes) {
                uint32_t sector = get_le32(table + 4 * i);
                uint64_t offset = sector * SECTOR;
                uint64_t left = v->size_bytes - guest;

                if (sector == 0 || (sector == 1 && v->zero_grains))
                        continue;
                v->walk->data_bytes += v->grain_bytes;
                if (v->compressed)
                        r = walk_compressed(v, offset, guest, reason);
                else if (!walk_has(v->walk, offset, left < v->grain_bytes ? left : v->grain_bytes))
                        r = walk_truncated(v->walk, reason);
                else
                        r = walk_place(v->walk, v->grain_bytes, reason);
                if (r < 0)
                        return r;
        }
        return 0;
}

int vmdk_walk(struct walk *w, struct strbuf *reason)
{
        uint8_t table[TABLE_ENTRIES_MAX * 4];
        const uint8_t *entry;
        struct vmdk v;
        int r;

        r = read_header(w, &v, reason);
        if (r < 0)
                return r;
        w->block_bytes = v.grain_bytes;

        for (uint64_t i = 0; i < v.directory_entries; i++) {
                uint64_t covered = v.table_entries * v.grain_bytes;
                uint32_t sector;

                r = walk_entry(w, v.directory, i, 4, &entry, reason);
                if (r < 0)
                        return r;
                sector = get_le32(entry);
                if (sector == 0)
                        continue;
                r = walk_place(w, v.table_entries * 4, reason);
                if (r == 0)
                        r = walk_read(w, table, v.table_entries * 4, sector * SECTOR, reason);
                if (r == 0)
                        r = walk_table(&v, table, i * covered, reason);
                if (r < 0)
                        return r;
        }
        return 0;
}
