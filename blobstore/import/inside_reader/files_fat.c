/* SPDX-License-Identifier: MIT */

/*
 * Files of FAT12, FAT16 and FAT32 with long names (VFAT), as Linux shows them: which of the three it is, modes, times (taken as
 * UTC), short names of code page 437. What a name cannot be here is a question mark in it.
 *
 * A file's number is the place of its entry, in units of an entry; two names never share one. Clusters are followed no
 * further than a directory may be long, or a file is, so that chains in a circle end.
 */

#include "blobstore/import/inside_reader/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "blobstore/base/bytes.h"

#define ENTRY          32u
#define ROOT           1u /* the place of no entry: the first sector has it */
#define DIRECTORY_MAX  (UINT64_C(2) << 20)
#define CLUSTERS_MAX   (64u << 10) /* that one question about a file goes through beyond what is asked */
#define UNITS_OF_ENTRY 13
#define UNITS_MAX      (20 * UNITS_OF_ENTRY)

enum attribute {
        ATTR_RO = 0x01,
        ATTR_LABEL = 0x08,
        ATTR_DIR = 0x10,
        ATTR_LONG = 0x0f,
};

struct fat {
        const struct area *area;
        unsigned bits; /* 12, 16, 32 */
        uint32_t cluster_bytes;
        uint32_t clusters; /* numbered from 2 on */
        uint64_t table, data; /* where they are */
        uint64_t root; /* of 12 and 16, where the root's entries are */
        uint32_t root_bytes, root_cluster; /* the other is 0 */
        /* Where the last question about a file came to, so that reading on does not begin at its beginning. */
        uint32_t seen_first, seen_index, seen;
};

/* A chain of clusters, or the root of FAT12 and FAT16. */
struct chain {
        uint32_t first; /* 0: that root */
        uint32_t index, cluster; /* where it is now */
};

/* ---- the file system ---- */

static bool is_power_of_2(uint32_t n)
{
        return n && (n & (n - 1)) == 0;
}

/* False: it is none, or does not fit into the partition. */
static bool read_sizes(struct fat *f, const uint8_t *p)
{
        const uint32_t sector = get_le16(p + 11), per_cluster = p[13], tables = p[16];
        const uint32_t table = get_le16(p + 22) ? get_le16(p + 22) : get_le32(p + 36);
        const uint32_t total = get_le16(p + 19) ? get_le16(p + 19) : get_le32(p + 32);
        const bool is_32 = get_le16(p + 22) == 0;
        const uint64_t roots = ((uint64_t)get_le16(p + 17) * ENTRY + sector - 1) / (sector ? sector : 1);
        const uint64_t data = get_le16(p + 14) + (uint64_t)tables * table + roots;
        const unsigned active = is_32 && (p[40] & 0x80) ? p[40] & 0xf : 0;
        uint64_t clusters, room;

        if (!is_power_of_2(sector) || sector < 512 || sector > 4096 || !is_power_of_2(per_cluster) || tables == 0 ||
            active >= tables || table == 0 || get_le16(p + 14) == 0 || total <= data ||
            (uint64_t)total * sector > f->area->len)
                return false;
        f->cluster_bytes = sector * per_cluster;
        f->table = (uint64_t)sector * (get_le16(p + 14) + (uint64_t)active * table);
        f->data = data * sector;
        clusters = (total - data) / per_cluster;
        f->bits = is_32 ? 32 : clusters > 0xff4 ? 16 : 12;
        room = (uint64_t)table * sector * 8 / f->bits; /* entries, two of which are of no cluster */
        f->clusters = (uint32_t)(clusters + 2 > room ? room - 2 : clusters);
        f->root = is_32 ? 0 : f->data - roots * sector;
        f->root_bytes = is_32 ? 0 : (uint32_t)get_le16(p + 17) * ENTRY;
        f->root_cluster = is_32 ? get_le32(p + 44) : 0;
        return room > 2;
}

static void *open_fat(const struct area *a)
{
        struct fat *f = calloc(1, sizeof(*f));
        uint8_t sector[512];

        if (!f)
                return NULL;
        f->area = a;
        if (area_read(a, sector, sizeof(sector), 0) && read_sizes(f, sector))
                return f;
        free(f);
        return NULL;
}

static void close_fat(void *fs)
{
        free(fs);
}

static uint32_t root_fat(void *fs)
{
        (void)fs;
        return ROOT;
}

static bool is_cluster(const struct fat *f, uint32_t cluster)
{
        return cluster >= 2 && cluster - 2 < f->clusters;
}

/* Of one, the next: 0 at the end; -EUCLEAN. */
static int follow(const struct fat *f, uint32_t cluster, uint32_t *ret)
{
        const uint64_t at = f->table + (f->bits == 12 ? cluster + cluster / 2 : (uint64_t)cluster * (f->bits / 8));
        uint8_t p[4] = { 0 };
        uint32_t next;

        if (!area_read(f->area, p, f->bits == 32 ? 4 : 2, at))
                return -EUCLEAN;
        next = f->bits == 32 ? get_le32(p) & 0x0fffffff : get_le16(p);
        if (f->bits == 12)
                next = cluster & 1 ? next >> 4 : next & 0xfff;
        if (next >= (f->bits == 12 ? 0xff8 : f->bits == 16 ? 0xfff8 : 0x0ffffff8))
                next = 0;
        else if (!is_cluster(f, next))
                return -EUCLEAN;
        *ret = next;
        return 0;
}

/* Where the cluster number INDEX of the chain is. 1: it ends before. */
static int find_cluster(const struct fat *f, struct chain *c, uint32_t index, uint64_t *ret)
{
        if (c->first == 0) {
                *ret = f->root + (uint64_t)index * f->cluster_bytes;
                return (uint64_t)index * f->cluster_bytes < f->root_bytes ? 0 : 1;
        }
        if (index < c->index || c->cluster == 0) {
                if (!is_cluster(f, c->first))
                        return -EUCLEAN;
                c->index = 0;
                c->cluster = c->first;
        }
        while (c->index < index) {
                uint32_t next;
                int r = follow(f, c->cluster, &next);

                if (r < 0)
                        return r;
                if (next == 0)
                        return 1;
                c->cluster = next;
                c->index++;
        }
        *ret = f->data + (uint64_t)(c->cluster - 2) * f->cluster_bytes;
        return 0;
}

/* ---- entries ---- */

static uint32_t first_cluster(const struct fat *f, const uint8_t *entry)
{
        return get_le16(entry + 26) | (f->bits == 32 ? (uint32_t)get_le16(entry + 20) << 16 : 0);
}

static bool is_file(const uint8_t *entry)
{
        return entry[0] != 0 && entry[0] != 0xe5 && !(entry[11] & ATTR_LABEL);
}

/* Of what was told to be one, as a file; not the root. */
static int read_entry(const struct fat *f, uint32_t node, uint8_t ret[ENTRY])
{
        const uint64_t at = (uint64_t)node * ENTRY;

        if (at < (f->root_bytes ? f->root : f->data) || !area_read(f->area, ret, ENTRY, at) || !is_file(ret))
                return -EUCLEAN;
        return 0;
}

static int find_chain(const struct fat *f, uint32_t dir, struct chain *ret)
{
        uint8_t entry[ENTRY];
        int r;

        *ret = (struct chain){ .first = f->root_cluster };
        if (dir == ROOT)
                return 0;
        r = read_entry(f, dir, entry);
        if (r < 0)
                return r;
        if (!(entry[11] & ATTR_DIR))
                return -ENOTDIR;
        ret->first = first_cluster(f, entry);
        return ret->first ? 0 : -EUCLEAN;
}

static int64_t time_of(uint16_t date, uint16_t time)
{
        struct tm tm = {
                .tm_year = 80 + (date >> 9),
                .tm_mon = (date >> 5 & 0xf) ? (date >> 5 & 0xf) - 1 : 0,
                .tm_mday = (date & 0x1f) ? date & 0x1f : 1,
                .tm_hour = time >> 11,
                .tm_min = time >> 5 & 0x3f,
                .tm_sec = (time & 0x1f) * 2,
        };

        return timegm(&tm);
}

static int measure_dir(const struct fat *f, uint32_t dir, uint64_t *ret)
{
        struct chain c;
        uint32_t n = 0;
        uint64_t at;
        int r;

        r = find_chain(f, dir, &c);
        if (r == 0 && c.first == 0) {
                *ret = f->root_bytes;
                return 0;
        }
        while (r == 0 && (uint64_t)n * f->cluster_bytes <= DIRECTORY_MAX) {
                r = find_cluster(f, &c, n, &at);
                n += r == 0;
        }
        *ret = (uint64_t)n * f->cluster_bytes;
        return r < 0 ? r : r == 1 ? 0 : -EUCLEAN;
}

static int stat_fat(void *fs, uint32_t node, struct guest_attr *ret)
{
        const struct fat *f = fs;
        uint8_t entry[ENTRY] = { [11] = ATTR_DIR };
        int r = 0;

        if (node != ROOT)
                r = read_entry(f, node, entry);
        if (r < 0)
                return r;
        *ret = (struct guest_attr){ .node = node, .nlink = 1 };
        ret->mode = entry[11] & ATTR_DIR ? S_IFDIR | 0755 : S_IFREG | (entry[11] & ATTR_RO ? 0555 : 0755);
        ret->size = get_le32(entry + 28);
        if (node != ROOT) {
                ret->mtime_s = ret->ctime_s = time_of(get_le16(entry + 24), get_le16(entry + 22));
                ret->atime_s = time_of(get_le16(entry + 18), 0);
        }
        if (entry[11] & ATTR_DIR)
                r = measure_dir(f, node, &ret->size);
        ret->blocks = (ret->size + f->cluster_bytes - 1) / f->cluster_bytes * (f->cluster_bytes / 512);
        return r;
}

/* ---- names ---- */

/* What code page 437 has from 0x80 on. */
static const uint16_t code_page[128] = {
        0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec,
        0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2,
        0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310,
        0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556,
        0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c,
        0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559,
        0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df,
        0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229,
        0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2,
        0x25a0, 0x00a0,
};

struct name {
        size_t n;
        bool full; /* and more was to be added */
        char bytes[GUEST_NAME_MAX];
};

static void add_character(struct name *name, uint32_t c)
{
        char out[4];
        size_t n = 0;

        if (c < 0x20 || c == '/')
                c = '?';
        if (c >= 0x10000)
                out[n++] = (char)(0xf0 | c >> 18);
        else if (c >= 0x800)
                out[n++] = (char)(0xe0 | c >> 12);
        else if (c >= 0x80)
                out[n++] = (char)(0xc0 | c >> 6);
        if (c >= 0x10000)
                out[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        if (c >= 0x800)
                out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        out[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
        if (n > sizeof(name->bytes) - name->n) {
                name->full = true;
                return;
        }
        memcpy(name->bytes + name->n, out, n);
        name->n += n;
}

/* The entries before that of the file, which have its long name from its end on. */
struct long_name {
        unsigned left; /* that are to follow */
        unsigned entries;
        uint8_t sum;
        uint16_t unit[UNITS_MAX];
};

static void add_long(struct long_name *l, const uint8_t *entry)
{
        static const uint8_t places[UNITS_OF_ENTRY] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };
        const unsigned number = entry[0] & 0x3f;

        if (entry[0] & 0x40)
                *l = (struct long_name){ .left = number, .entries = number, .sum = entry[13] };
        if (number == 0 || number > UNITS_MAX / UNITS_OF_ENTRY || number != l->left || entry[13] != l->sum) {
                l->entries = 0;
                return;
        }
        for (unsigned i = 0; i < UNITS_OF_ENTRY; i++)
                l->unit[(number - 1) * UNITS_OF_ENTRY + i] = get_le16(entry + places[i]);
        l->left--;
}

static uint8_t sum_of(const uint8_t *entry)
{
        uint8_t sum = 0;

        for (unsigned i = 0; i < 11; i++)
                sum = (uint8_t)((sum >> 1 | sum << 7) + entry[i]);
        return sum;
}

/* False: it has none that can be used. */
static bool take_long(const struct long_name *l, const uint8_t *entry, struct name *ret)
{
        const unsigned n = l->entries * UNITS_OF_ENTRY;

        if (l->entries == 0 || l->left != 0 || l->sum != sum_of(entry))
                return false;
        *ret = (struct name){ 0 };
        for (unsigned i = 0; i < n && l->unit[i]; i++) {
                uint32_t c = l->unit[i];

                if (c >= 0xd800 && c < 0xdc00 && i + 1 < n && l->unit[i + 1] >= 0xdc00 && l->unit[i + 1] < 0xe000)
                        c = 0x10000 + ((c - 0xd800) << 10) + (l->unit[++i] - 0xdc00u);
                else if (c >= 0xd800 && c < 0xe000)
                        c = '?';
                add_character(ret, c);
        }
        return ret->n > 0 && !ret->full;
}

static void add_short(struct name *name, const uint8_t *p, size_t n, bool lower)
{
        while (n > 0 && p[n - 1] == ' ')
                n--;
        for (size_t i = 0; i < n; i++) {
                const uint8_t c = p[i];

                add_character(name, c >= 0x80 ? code_page[c - 0x80] : lower && c >= 'A' && c <= 'Z' ? c + 32u : c);
        }
}

static void take_short(const uint8_t *entry, struct name *ret)
{
        uint8_t base[8];

        memcpy(base, entry, sizeof(base));
        if (base[0] == 0x05) /* since 0xe5 marks what was removed */
                base[0] = 0xe5;
        *ret = (struct name){ 0 };
        add_short(ret, base, sizeof(base), entry[12] & 0x08);
        if (memcmp(entry + 8, "   ", 3) == 0)
                return;
        add_character(ret, '.');
        add_short(ret, entry + 8, 3, entry[12] & 0x10);
}

static bool is_dots(const struct name *n)
{
        return n->n == 0 || (n->bytes[0] == '.' && (n->n == 1 || (n->n == 2 && n->bytes[1] == '.')));
}

/* ---- directories ---- */

struct walk {
        const struct fat *f;
        struct long_name before;
        file_name_fn *fn;
        void *ctx;
};

/* The entry at AT of the partition, POS in the directory. What is not 0 ends it; -ENOENT: the directory's end. */
static int walk_entry(struct walk *w, const uint8_t *entry, uint64_t at, uint64_t pos)
{
        struct name name;
        int r = 0;

        if (entry[0] == 0)
                return -ENOENT;
        if (entry[0] != 0xe5 && (entry[11] & 0x3f) == ATTR_LONG) {
                add_long(&w->before, entry);
                return 0;
        }
        if (is_file(entry)) {
                if (!take_long(&w->before, entry, &name) || is_dots(&name))
                        take_short(entry, &name);
                if (at / ENTRY > UINT32_MAX)
                        return -EUCLEAN;
                if (!is_dots(&name))
                        r = w->fn(w->ctx, &(struct file_name){ .name = name.bytes, .len = name.n, .next = pos + ENTRY,
                                                               .node = (uint32_t)(at / ENTRY),
                                                               .type = entry[11] & ATTR_DIR ? S_IFDIR : S_IFREG });
        }
        w->before.entries = 0;
        return r;
}

static int walk_fat(void *fs, uint32_t dir, uint64_t pos, file_name_fn *fn, void *ctx)
{
        struct walk w = { .f = fs, .fn = fn, .ctx = ctx };
        uint8_t entry[ENTRY];
        struct chain c;
        uint64_t at;
        int r;

        r = find_chain(w.f, dir, &c);
        for (pos -= pos % ENTRY; r == 0; pos += ENTRY) {
                const uint32_t in = (uint32_t)(pos % w.f->cluster_bytes);

                if (c.first == 0 && pos >= w.f->root_bytes)
                        return 0;
                r = find_cluster(w.f, &c, (uint32_t)(pos / w.f->cluster_bytes), &at);
                if (r == 0 && pos >= DIRECTORY_MAX)
                        r = -EUCLEAN; /* one that is full ends there */
                if (r != 0)
                        return r < 0 ? r : 0;
                r = area_read(w.f->area, entry, sizeof(entry), at + in) ? walk_entry(&w, entry, at + in, pos) : -EUCLEAN;
        }
        return r == -ENOENT ? 0 : r;
}

/* ".." is a directory's second entry, and has 0 for the root. */
static int is_in_fat(void *fs, uint32_t node, uint32_t dir)
{
        const struct fat *f = fs;
        struct chain c, above;
        uint8_t entry[ENTRY];
        uint64_t at;
        int r;

        r = find_chain(f, node, &c);
        if (r == 0)
                r = find_chain(f, dir, &above);
        if (r == 0)
                r = find_cluster(f, &c, 0, &at);
        if (r != 0 || !area_read(f->area, entry, sizeof(entry), at + ENTRY) || memcmp(entry, "..         ", 11) != 0)
                return -EUCLEAN;
        if (dir == ROOT && first_cluster(f, entry) == 0)
                return 0;
        return first_cluster(f, entry) == above.first ? 0 : -EUCLEAN;
}

/* ---- where files are ---- */

static bool add_cluster(struct guest_map *m, uint64_t off, uint32_t len, uint64_t at)
{
        struct guest_extent *last = m->n > 0 ? &m->extent[m->n - 1] : NULL;

        if (last && last->at + last->len == at) {
                last->len += len;
                return true;
        }
        if (m->n == GUEST_EXTENTS_MAX)
                return false;
        m->extent[m->n++] = (struct guest_extent){ .off = off, .len = len, .at = at };
        return true;
}

static int map_fat(void *fs, uint32_t node, uint64_t off, struct guest_map *m)
{
        struct fat *f = fs;
        uint8_t entry[ENTRY];
        uint32_t index = (uint32_t)(off / f->cluster_bytes), all, end;
        struct chain c;
        uint64_t at;
        int r;

        r = node == ROOT ? -EINVAL : read_entry(f, node, entry);
        if (r == 0 && (entry[11] & ATTR_DIR))
                r = -EINVAL;
        if (r < 0)
                return r;
        all = (uint32_t)(((uint64_t)get_le32(entry + 28) + f->cluster_bytes - 1) / f->cluster_bytes);
        c.first = first_cluster(f, entry);
        if (all > f->clusters || (all > 0 && c.first == 0))
                return -EUCLEAN;
        c.index = c.first == f->seen_first ? f->seen_index : 0;
        c.cluster = c.first == f->seen_first ? f->seen : 0;
        end = all - index > CLUSTERS_MAX && index < all ? index + CLUSTERS_MAX : all;
        for (; index < end; index++) {
                r = find_cluster(f, &c, index, &at);
                if (r != 0)
                        return -EUCLEAN;
                if (!add_cluster(m, (uint64_t)index * f->cluster_bytes, f->cluster_bytes, at))
                        break;
        }
        f->seen_first = c.first;
        f->seen_index = c.index;
        f->seen = c.cluster;
        m->end = index < all ? (uint64_t)index * f->cluster_bytes : UINT64_MAX;
        return 0;
}

static int link_fat(void *fs, uint32_t node, char *ret, size_t *ret_len)
{
        (void)fs;
        (void)node;
        (void)ret;
        (void)ret_len;
        return -EINVAL;
}

const struct files_ops fat_files = {
        .open = open_fat,
        .close = close_fat,
        .root = root_fat,
        .stat = stat_fat,
        .walk = walk_fat,
        .is_in = is_in_fat,
        .link = link_fat,
        .map = map_fat,
};
