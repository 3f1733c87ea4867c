/* SPDX-License-Identifier: MIT */

/*
 * The qcow2 file (version 3, see qemu's docs/interop/qcow2.txt) that a blob also is. Nothing of it is stored: each byte
 * follows from the blob's size and map, so that it is the same file each time, and a download of it can be taken up
 * again. Clusters are of 64 KiB, and the file is made of these parts, each of whole clusters:
 *
 *      header
 *      refcount table      u64 per refcount block: its offset
 *      refcount blocks     u16 per cluster of the file: 1
 *      L1 table            u64 per span (512 MiB) of the disk: the offset of its L2 table, or 0 where it is a hole
 *      L2 tables           of each span with data, in their order; u64 per cluster of the span: its offset, or 0
 *      data                of each cluster with data, in their order
 *
 * So a cluster of the disk and its place in the file are number and rank (clusters.h). What is kept in memory is the
 * numbers of the spans with data, half a megabyte for the largest disk there can be.
 *
 * The disk's size is a multiple of the sector in this format: a blob of an odd size gets zeros at its end.
 */

#include "blobstore/export/qcow2_view_priv.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/blobs/clusters.h"

#define CLUSTER       BLOB_CLUSTER_SIZE
#define CLUSTER_BITS  16
#define SECTOR        512
#define SPAN_CLUSTERS (BLOB_SPAN_SIZE / CLUSTER)

#define ENTRY_SIZE         8
#define REFCOUNT_SIZE      2
#define REFCOUNT_ORDER     4 /* as a power of two, in bits */
#define CLUSTER_ENTRIES    (CLUSTER / ENTRY_SIZE)
#define CLUSTER_REFCOUNTS  (CLUSTER / REFCOUNT_SIZE)

#define HEADER_SIZE 104
#define QCOW2_MAGIC 0x514649fb
#define ENTRY_OURS  (UINT64_C(1) << 63) /* its cluster has a refcount of 1 */

_Static_assert(SPAN_CLUSTERS == CLUSTER_ENTRIES, "a span is what one L2 table covers");
_Static_assert(CLUSTER == 1 << CLUSTER_BITS, "the header says so");

enum part { HEADER, REFCOUNT_TABLE, REFCOUNT_BLOCKS, L1_TABLE, L2_TABLES, DATA, PART_COUNT };

struct layout {
        uint64_t disk_bytes;
        uint64_t l1_entries;
        uint64_t begin[PART_COUNT + 1]; /* cluster of the file in which each part begins, and the file ends */
};

struct qcow2_view {
        struct blob *blob;
        struct layout layout;
        uint64_t n_spans;
        uint32_t spans[]; /* numbers of those with data, ascending */
};

static uint64_t div_up(uint64_t n, uint64_t by)
{
        return n / by + (n % by != 0);
}

static void layout_make(const struct blob_info *info, struct layout *ret)
{
        uint64_t clusters[PART_COUNT] = { [HEADER] = 1 }, others, total, blocks;

        ret->disk_bytes = div_up(info->size_bytes, SECTOR) * SECTOR;
        ret->l1_entries = div_up(ret->disk_bytes, BLOB_SPAN_SIZE);
        clusters[L1_TABLE] = div_up(ret->l1_entries, CLUSTER_ENTRIES);
        clusters[L2_TABLES] = info->data_spans;
        clusters[DATA] = info->data_clusters;
        others = clusters[HEADER] + clusters[L1_TABLE] + clusters[L2_TABLES] + clusters[DATA];

        /* The refcounts count themselves too. */
        do {
                blocks = clusters[REFCOUNT_BLOCKS];
                total = others + clusters[REFCOUNT_TABLE] + clusters[REFCOUNT_BLOCKS];
                clusters[REFCOUNT_BLOCKS] = div_up(total, CLUSTER_REFCOUNTS);
                clusters[REFCOUNT_TABLE] = div_up(clusters[REFCOUNT_BLOCKS], CLUSTER_ENTRIES);
        } while (clusters[REFCOUNT_BLOCKS] != blocks);

        ret->begin[0] = 0;
        for (unsigned i = 0; i < PART_COUNT; i++)
                ret->begin[i + 1] = ret->begin[i] + clusters[i];
}

uint64_t qcow2_view_size(const struct blob_info *info)
{
        struct layout l;

        layout_make(info, &l);
        return l.begin[PART_COUNT] * CLUSTER;
}

/* ---- open ---- */

/* Finds the spans with data: one step in the map for each. */
static int view_find_spans(struct qcow2_view *v)
{
        const struct blob_info *info = blob_get_info(v->blob);
        uint64_t off = 0, n = 0;
        int r;

        while ((r = blob_seek(v->blob, off, SEEK_DATA, &off)) == 0) {
                if (n == v->n_spans)
                        return -EBADMSG;
                v->spans[n++] = (uint32_t)(off / BLOB_SPAN_SIZE);
                off = (off / BLOB_SPAN_SIZE + 1) * BLOB_SPAN_SIZE;
        }
        if (r != -ENXIO)
                return r;
        return n == v->n_spans && n <= info->data_clusters ? 0 : -EBADMSG;
}

int qcow2_view_open(struct blob *b, struct qcow2_view **ret)
{
        const struct blob_info *info = blob_get_info(b);
        CLEANUP_FREE struct qcow2_view *v = NULL;
        int r;

        if (info->data_spans > div_up(info->size_bytes, BLOB_SPAN_SIZE))
                return -EBADMSG;
        v = calloc(1, sizeof(*v) + info->data_spans * sizeof(v->spans[0]));
        if (!v)
                return -ENOMEM;
        v->blob = b;
        v->n_spans = info->data_spans;
        layout_make(info, &v->layout);
        r = view_find_spans(v);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

void qcow2_view_close(struct qcow2_view *v)
{
        free(v);
}

/* ---- the parts ---- */

/* A piece of one part that is wanted: N bytes from byte OFF of the part. */
struct piece {
        uint8_t *buf; /* zeroed, but for data */
        uint64_t off;
        size_t n;
};

/* Puts the part of the LEN bytes at byte AT of the part that is wanted. */
static void piece_put(const struct piece *p, uint64_t at, const void *bytes, size_t len)
{
        uint64_t from = at > p->off ? at : p->off;
        uint64_t to = at + len < p->off + p->n ? at + len : p->off + p->n;

        if (from < to)
                memcpy(p->buf + (from - p->off), (const uint8_t *)bytes + (from - at), (size_t)(to - from));
}

static void piece_put_entry(const struct piece *p, uint64_t i, uint64_t value)
{
        value = htobe64(value);
        piece_put(p, i * ENTRY_SIZE, &value, sizeof(value));
}

/* Numbers of entries of SIZE that are wanted, of N that there are: from *ret_first up to before what is returned. */
static uint64_t piece_entries(const struct piece *p, size_t size, uint64_t n, uint64_t *ret_first)
{
        uint64_t end = div_up(p->off + p->n, size);

        *ret_first = p->off / size;
        return end < n ? end : n;
}

static uint64_t part_offset(const struct layout *l, enum part part, uint64_t cluster)
{
        return (l->begin[part] + cluster) * CLUSTER;
}

static uint64_t part_clusters(const struct layout *l, enum part part)
{
        return l->begin[part + 1] - l->begin[part];
}

static int view_header(const struct qcow2_view *v, const struct piece *p)
{
        const struct layout *l = &v->layout;
        /*
         * In the order of the format, each big endian. What is not here is 0: a backing file, encryption, snapshots,
         * features.
         */
        struct {
                uint32_t magic, version;
                uint64_t backing_offset;
                uint32_t backing_size, cluster_bits;
                uint64_t size;
                uint32_t encryption, l1_entries;
                uint64_t l1_offset, refcount_table_offset;
                uint32_t refcount_table_clusters, snapshots;
                uint64_t snapshots_offset, incompatible, compatible, autoclear;
                uint32_t refcount_order, header_size;
        } h = {
                .magic = htobe32(QCOW2_MAGIC),
                .version = htobe32(3),
                .cluster_bits = htobe32(CLUSTER_BITS),
                .size = htobe64(l->disk_bytes),
                .l1_entries = htobe32((uint32_t)l->l1_entries),
                .l1_offset = htobe64(part_offset(l, L1_TABLE, 0)),
                .refcount_table_offset = htobe64(part_offset(l, REFCOUNT_TABLE, 0)),
                .refcount_table_clusters = htobe32((uint32_t)part_clusters(l, REFCOUNT_TABLE)),
                .refcount_order = htobe32(REFCOUNT_ORDER),
                .header_size = htobe32(HEADER_SIZE),
        };
        _Static_assert(sizeof(h) == HEADER_SIZE, "the header is as long as it says");

        piece_put(p, 0, &h, sizeof(h)); /* zeros follow: no extensions */
        return 0;
}

static int view_refcount_table(const struct qcow2_view *v, const struct piece *p)
{
        uint64_t i, end = piece_entries(p, ENTRY_SIZE, part_clusters(&v->layout, REFCOUNT_BLOCKS), &i);

        for (; i < end; i++)
                piece_put_entry(p, i, part_offset(&v->layout, REFCOUNT_BLOCKS, i));
        return 0;
}

static int view_refcount_blocks(const struct qcow2_view *v, const struct piece *p)
{
        uint64_t i, end = piece_entries(p, REFCOUNT_SIZE, v->layout.begin[PART_COUNT], &i);
        const uint16_t one = htobe16(1);

        for (; i < end; i++)
                piece_put(p, i * REFCOUNT_SIZE, &one, sizeof(one));
        return 0;
}

static int view_l1_table(const struct qcow2_view *v, const struct piece *p)
{
        uint64_t first, end = piece_entries(p, ENTRY_SIZE, v->layout.l1_entries, &first);

        for (uint64_t i = 0; i < v->n_spans && v->spans[i] < end; i++)
                if (v->spans[i] >= first)
                        piece_put_entry(p, v->spans[i], part_offset(&v->layout, L2_TABLES, i) | ENTRY_OURS);
        return 0;
}

static int view_l2_tables(const struct qcow2_view *v, const struct piece *p)
{
        uint64_t table, first, end = piece_entries(p, ENTRY_SIZE, v->n_spans * SPAN_CLUSTERS, &first);
        uint64_t cluster, rank, begin;
        struct clusters walk;
        int r;

        for (table = first / SPAN_CLUSTERS; table * SPAN_CLUSTERS < end; table++) {
                begin = v->spans[table] * SPAN_CLUSTERS;
                r = clusters_seek(v->blob, begin + (table * SPAN_CLUSTERS < first ? first % SPAN_CLUSTERS : 0), &walk);
                while (r == 0 && (r = clusters_next(&walk, &cluster, &rank)) > 0) {
                        uint64_t i = table * SPAN_CLUSTERS + (cluster - begin);

                        if (cluster >= begin + SPAN_CLUSTERS || i >= end)
                                break;
                        piece_put_entry(p, i, part_offset(&v->layout, DATA, rank) | ENTRY_OURS);
                        r = 0;
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Clusters that touch on the disk are read at once. */
static int view_data(const struct qcow2_view *v, const struct piece *p)
{
        uint64_t rank, cluster, begin, run, skip = p->off % CLUSTER;
        struct clusters walk;
        size_t done = 0, part;
        ssize_t got;
        int r;

        r = clusters_seek_rank(v->blob, p->off / CLUSTER, &walk);
        if (r < 0)
                return r;
        r = clusters_next(&walk, &cluster, &rank);
        while (done < p->n) {
                if (r < 0)
                        return r;
                if (r == 0 || rank != (p->off + done) / CLUSTER)
                        return -EBADMSG;
                begin = cluster;
                for (run = CLUSTER; (r = clusters_next(&walk, &cluster, &rank)) > 0; run += CLUSTER)
                        if (cluster != begin + run / CLUSTER || run - skip >= p->n - done)
                                break;

                part = run - skip < p->n - done ? (size_t)(run - skip) : p->n - done;
                got = blob_pread(v->blob, p->buf + done, part, begin * CLUSTER + skip);
                if (got < 0)
                        return (int)got;
                memset(p->buf + done + got, 0, part - (size_t)got); /* the disk ends within its last cluster */
                done += part;
                skip = 0;
        }
        return 0;
}

ssize_t qcow2_view_pread(struct qcow2_view *v, void *buf, size_t n, uint64_t off)
{
        static int (*const views[PART_COUNT])(const struct qcow2_view *, const struct piece *) = {
                [HEADER] = view_header,
                [REFCOUNT_TABLE] = view_refcount_table,
                [REFCOUNT_BLOCKS] = view_refcount_blocks,
                [L1_TABLE] = view_l1_table,
                [L2_TABLES] = view_l2_tables,
                [DATA] = view_data,
        };
        const struct layout *l = &v->layout;
        uint64_t size = l->begin[PART_COUNT] * CLUSTER;
        size_t done = 0;
        int r;

        if (off >= size)
                return 0;
        if (n > SSIZE_MAX)
                n = SSIZE_MAX;
        if (n > size - off)
                n = (size_t)(size - off);

        for (unsigned part = 0; done < n; part++) {
                uint64_t begin = l->begin[part] * CLUSTER, end = l->begin[part + 1] * CLUSTER;
                struct piece p = { .buf = (uint8_t *)buf + done, .off = off + done - begin };

                if (off + done >= end)
                        continue;
                p.n = n - done < end - off - done ? n - done : (size_t)(end - off - done);
                if (part != DATA)
                        memset(p.buf, 0, p.n);
                r = views[part](v, &p);
                if (r < 0)
                        return r;
                done += p.n;
        }
        return (ssize_t)n;
}
