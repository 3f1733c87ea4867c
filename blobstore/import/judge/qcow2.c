/* SPDX-License-Identifier: MIT */

/*
 * What is checked of a qcow2 file before qemu sees it. Numbers are big endian.
 *
 *     0 magic "QFI\xfb"      4 version 2 or 3         8 backing file's offset     20 cluster bits
 *    24 virtual size        32 encryption method     36 entries of the L1 table  40 its offset
 *    48 refcount table      56 its clusters
 *    version 3:  72 incompatible features   96 refcount order   100 header length   104 compression type
 *    then extensions up to the end of the first cluster: type, length, data padded to 8
 *
 * The L1 table names L2 tables of one cluster each, whose entries name the clusters
 * of data:
 *
 *    bit 62 clear: bits 9 to 55 the offset, bit 0 "reads as zeros"; with extended
 *                  entries 8 bytes more, whose low 32 bits tell the allocated subclusters
 *    bit 62 set:   compressed; offset, and above it the sectors beyond the first
 *
 * The header decides what is refused for good: whatever names another file, whatever
 * is not known, whatever cannot be true. The walk goes over all tables (walk.h).
 *
 * The length of compressed data is known in sectors only, and a decoder takes zeros
 * for bytes that are missing and goes on. qemu-img pads what it writes to whole
 * sectors; a running qemu (a backup job) does not, and its file cannot be told from
 * one that lost a few hundred bytes. Such a file is refused, with what to do.
 *
 * Encrypted files are refused. Their ciphertext cannot be kept as a flat disk: it
 * depends on where each cluster lies in the file, and its key slots lie outside of
 * the disk. Decrypting takes the key, which is none of our business.
 * Internal snapshots are left behind: what is imported is the active state. Their list
 * is read all the same, here and by qemu, so its length is bounded.
 *
 * Compressed clusters lie byte by byte behind each other, and each takes at least what
 * is sure of its length. That still lets a small file claim a large disk; source.c
 * bounds what is claimed together.
 */

#include <errno.h>
#include <stdlib.h>

#include "blobstore/base/block.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/import/judge/judge.h"

#define HEADER_V2_BYTES 72
#define HEADER_V3_BYTES 104
#define HEADER_MAX      112
#define SNAPSHOT_BYTES  40 /* and what its lengths say */

/* Bits of the incompatible features. Dirty means that reference counts are stale, which does not matter for reading. */
#define FEATURE_CORRUPT     (UINT64_C(1) << 1)
#define FEATURE_DATA_FILE   (UINT64_C(1) << 2)
#define FEATURE_COMPRESSION (UINT64_C(1) << 3)
#define FEATURE_EXTENDED_L2 (UINT64_C(1) << 4)
#define FEATURES_KNOWN      UINT64_C(0x1f)

#define METHOD_AES          1 /* of encryption; 2 is LUKS */

#define EXTENSION_END       0
#define EXTENSION_DATA_FILE 0x44415441
#define EXTENSION_CRYPT     0x0537be77
#define EXTENSION_BITMAPS   0x23852875

/* As qemu has them. */
#define CLUSTER_BITS_MIN    9
#define CLUSTER_BITS_MAX    21
#define L1_BYTES_MAX        (UINT64_C(32) << 20)
#define REFTABLE_BYTES_MAX  (UINT64_C(8) << 20)
#define REFCOUNT_ORDER_MAX  6

/* qemu reads 65536 of each, which takes it minutes; who makes one a day has as many in three years. */
#define SNAPSHOTS_MAX       1024
#define BITMAPS_MAX         1024

#define OFFSET_MASK         UINT64_C(0x00fffffffffffe00)
#define ENTRY_COMPRESSED    (UINT64_C(1) << 62)
#define ENTRY_ZERO          UINT64_C(1)
#define SUBCLUSTERS         32
#define SECTOR              512

#define NAMES_DATA_FILE                                                      \
        "this qcow2 file names another file, which holds its data: "         \
        "convert it with qemu-img convert -O qcow2"

struct qcow2 {
        struct walk *walk; /* borrowed */
        uint64_t size_bytes;
        uint64_t cluster_bytes;
        uint64_t l1_offset;
        uint64_t snapshots_offset;
        uint64_t features;
        uint32_t cluster_bits;
        uint32_t l1_entries;
        uint32_t n_snapshots;
        uint32_t header_bytes;
        uint32_t version;
};

/* ---- the header ---- */

static int check_features(const uint8_t *h, const struct qcow2 *q, struct strbuf *reason)
{
        uint8_t compression = q->header_bytes > HEADER_V3_BYTES ? h[104] : 0;

        if (q->features & ~FEATURES_KNOWN)
                return format_refuse(reason, "this qcow2 file uses features that are not known here: convert it with "
                                     "qemu-img convert -O qcow2");
        if (q->features & FEATURE_DATA_FILE)
                return format_refuse(reason, NAMES_DATA_FILE);
        if (q->features & FEATURE_CORRUPT)
                return format_refuse(reason, "this qcow2 file is marked as corrupt: repair it with "
                                     "qemu-img check -r all");
        if (compression > 1 || (compression != 0) != !!(q->features & FEATURE_COMPRESSION))
                return format_refuse(reason, "this qcow2 file is compressed in a way that is not known here");
        return 0;
}

static int check_tables(const uint8_t *h, const struct qcow2 *q, struct strbuf *reason)
{
        unsigned entry_bits = q->features & FEATURE_EXTENDED_L2 ? 4 : 3;
        unsigned covered_bits = 2 * q->cluster_bits - entry_bits; /* by one L2 table: at most 39 */
        uint64_t reftable_offset = get_be64(h + 48);
        uint64_t reftable_bytes = (uint64_t)get_be32(h + 56) << q->cluster_bits;
        uint64_t l1_needed;

        if (q->size_bytes > BLOB_SIZE_MAX)
                return format_refuse_size(reason);
        if (q->size_bytes % SECTOR != 0)
                return walk_damaged(q->walk, reason, "its disk does not end with a sector");
        l1_needed = (q->size_bytes + (UINT64_C(1) << covered_bits) - 1) >> covered_bits;
        if (q->l1_entries > L1_BYTES_MAX / 8 || q->l1_entries < l1_needed)
                return walk_damaged(q->walk, reason, "its first table does not fit its size");
        if (q->l1_offset % q->cluster_bytes != 0 || (q->l1_entries && q->l1_offset == 0))
                return walk_damaged(q->walk, reason, "its first table is out of place");
        if (reftable_bytes == 0 || reftable_bytes > REFTABLE_BYTES_MAX || reftable_offset == 0 ||
            reftable_offset % q->cluster_bytes != 0)
                return walk_damaged(q->walk, reason, "its table of reference counts is out of place");
        if (!walk_has(q->walk, q->l1_offset, (uint64_t)q->l1_entries * 8) ||
            !walk_has(q->walk, reftable_offset, reftable_bytes))
                return walk_truncated(q->walk, reason);
        return 0;
}

/* What of the disk has changed since some backup is nothing that is kept, but qemu reads it. */
static int check_bitmaps(const struct qcow2 *q, uint64_t at, struct strbuf *reason)
{
        uint8_t n[4];
        int r;

        r = walk_read(q->walk, n, sizeof(n), at, reason);
        if (r == 0 && get_be32(n) > BITMAPS_MAX)
                r = format_refuse(reason, "the list of bitmaps in this qcow2 file is longer than %d: remove some with "
                                  "qemu-img bitmap --remove, or convert it with qemu-img convert -O qcow2, which leaves "
                                  "them behind", BITMAPS_MAX);
        return r;
}

/* Extensions are told by length, so one that is not known does no harm; three matter here. */
static int check_extensions(const struct qcow2 *q, bool *encrypted, struct strbuf *reason)
{
        uint64_t end = q->cluster_bytes;
        uint64_t at = q->header_bytes;
        uint8_t e[8];
        uint32_t type, len;
        int r;

        while (end - at >= sizeof(e)) {
                r = walk_read(q->walk, e, sizeof(e), at, reason);
                if (r < 0)
                        return r;
                type = get_be32(e);
                len = get_be32(e + 4);
                at += sizeof(e);
                if (type == EXTENSION_END)
                        return 0;
                if (len > end - at)
                        return walk_damaged(q->walk, reason, "a header extension is too long");
                if (type == EXTENSION_DATA_FILE)
                        return format_refuse(reason, NAMES_DATA_FILE);
                if (type == EXTENSION_CRYPT)
                        *encrypted = true;
                r = type == EXTENSION_BITMAPS ? check_bitmaps(q, at, reason) : 0;
                if (r < 0)
                        return r;
                at += len;
                at += (8 - at % 8) % 8;
                if (at > end)
                        at = end;
        }
        return 0;
}

static int parse_fields(const uint8_t *h, struct qcow2 *q, struct strbuf *reason)
{
        q->version = get_be32(h + 4);
        if (q->version != 2 && q->version != 3)
                return format_refuse(reason, "this is a qcow file of version %u, which is not accepted: convert it "
                                     "with qemu-img convert -O qcow2", q->version);
        if (get_be64(h + 8) != 0)
                return format_refuse(reason, "this qcow2 file names another file, its backing file: merge them with "
                                     "qemu-img convert -O qcow2");

        q->cluster_bits = get_be32(h + 20);
        if (q->cluster_bits < CLUSTER_BITS_MIN || q->cluster_bits > CLUSTER_BITS_MAX)
                return walk_damaged(q->walk, reason, "its cluster size is impossible");
        q->cluster_bytes = UINT64_C(1) << q->cluster_bits;
        q->size_bytes = get_be64(h + 24);
        q->l1_entries = get_be32(h + 36);
        q->l1_offset = get_be64(h + 40);
        q->n_snapshots = get_be32(h + 60);
        if (q->n_snapshots > SNAPSHOTS_MAX)
                return format_refuse(reason, "the list of snapshots in this qcow2 file is longer than %d: delete some "
                                     "with qemu-img snapshot -d, or convert it with qemu-img convert -O qcow2, which "
                                     "leaves them behind", SNAPSHOTS_MAX);
        q->snapshots_offset = get_be64(h + 64);
        q->header_bytes = HEADER_V2_BYTES;
        if (q->version == 3) {
                q->features = get_be64(h + 72);
                q->header_bytes = get_be32(h + 100);
                if (q->header_bytes < HEADER_V3_BYTES || q->header_bytes > q->cluster_bytes ||
                    q->header_bytes % 8 != 0 || get_be32(h + 96) > REFCOUNT_ORDER_MAX)
                        return walk_damaged(q->walk, reason, "its header makes no sense");
        }
        return 0;
}

static int read_header(struct walk *w, struct qcow2 *ret, bool *ret_encrypted, struct strbuf *reason)
{
        struct qcow2 q = { .walk = w };
        uint8_t h[HEADER_MAX] = { 0 };
        uint32_t method;
        bool encrypted;
        ssize_t n;
        int r;

        n = pread_full(w->fd, h, sizeof(h), 0);
        if (n < 0)
                return (int)n;
        if (n < HEADER_V2_BYTES || (get_be32(h + 4) == 3 && n < HEADER_V3_BYTES))
                return walk_truncated(w, reason);

        r = parse_fields(h, &q, reason);
        if (r < 0)
                return r;
        method = get_be32(h + 32);
        encrypted = method != 0;
        r = check_features(h, &q, reason);
        if (r == 0)
                r = check_extensions(&q, &encrypted, reason);
        if (r < 0)
                return r;
        *ret_encrypted = encrypted;
        if (encrypted)
                return format_refuse(reason, "this qcow2 file is encrypted%s, and cannot be read without its key: "
                                     "convert it, with the key, to a LUKS image (qemu-img convert -O luks), or decrypt "
                                     "it (qemu-img convert -O qcow2)",
                                     method == METHOD_AES ? " in the old way (AES)" : "");
        r = check_tables(h, &q, reason);
        if (r < 0)
                return r;
        *ret = q;
        return 0;
}

int qcow2_check(struct walk *w, struct judged *ret, struct strbuf *reason)
{
        bool encrypted = false;
        struct qcow2 q;
        int r;

        r = read_header(w, &q, &encrypted, reason);
        ret->encrypted = encrypted;
        if (r < 0)
                return r;
        ret->size_bytes = q.size_bytes;
        return 0;
}

/* ---- the tables ---- */

static int walk_compressed(struct qcow2 *q, uint64_t entry, struct strbuf *reason)
{
        unsigned sectors_at = 62 - (q->cluster_bits - 8);
        uint64_t offset = entry & ((UINT64_C(1) << sectors_at) - 1);
        uint64_t sectors = (entry & (ENTRY_COMPRESSED - 1)) >> sectors_at;
        uint64_t len = (sectors + 1) * SECTOR - offset % SECTOR;
        uint64_t sure = len > SECTOR ? len - SECTOR + 1 : 1; /* of its last sector a byte */

        if (!walk_has(q->walk, offset, len) && offset < q->walk->file_bytes &&
            offset + len - q->walk->file_bytes < SECTOR)
                return format_refuse(reason, "this qcow2 file ends inside a sector of compressed data, so that nobody "
                                     "can tell whether it is complete: rewrite it with qemu-img convert -O qcow2");
        if (!walk_has(q->walk, offset, len))
                return walk_truncated(q->walk, reason);
        q->walk->data_bytes += q->cluster_bytes;
        return walk_place(q->walk, sure, reason);
}

/* GUEST_BYTES: what of the cluster lies inside the disk. A file may end where those do. */
static int walk_standard(struct qcow2 *q, uint64_t entry, uint32_t allocated, uint64_t guest_bytes,
                         struct strbuf *reason)
{
        uint64_t offset = entry & OFFSET_MASK;
        uint64_t used = q->cluster_bytes;

        if (q->features & FEATURE_EXTENDED_L2)
                used = allocated ? (32 - (unsigned)__builtin_clz(allocated)) * (q->cluster_bytes / SUBCLUSTERS) : 0;
        else if (entry & ENTRY_ZERO)
                used = 0;
        if (offset == 0 || used == 0)
                return 0;

        if (offset % q->cluster_bytes != 0)
                return walk_damaged(q->walk, reason, "data is out of place");
        if (!walk_has(q->walk, offset, used < guest_bytes ? used : guest_bytes))
                return walk_truncated(q->walk, reason);
        q->walk->data_bytes += used;
        return walk_place(q->walk, q->cluster_bytes, reason);
}

/* TABLE has room for a cluster; GUEST is where on the disk its first entry is. */
static int walk_l2(struct qcow2 *q, uint8_t *table, uint64_t guest, struct strbuf *reason)
{
        size_t entry_bytes = q->features & FEATURE_EXTENDED_L2 ? 16 : 8;
        uint64_t left, entry;
        int r = 0;

        for (size_t at = 0; r == 0 && at < q->cluster_bytes && guest < q->size_bytes; at += entry_bytes) {
                entry = get_be64(table + at);
                left = q->size_bytes - guest;
                if (entry & ENTRY_COMPRESSED)
                        r = walk_compressed(q, entry, reason);
                else
                        r = walk_standard(q, entry, entry_bytes == 16 ? get_be32(table + at + 12) : 0, left, reason);
                guest += q->cluster_bytes;
        }
        return r;
}

static int walk_l1(struct qcow2 *q, uint8_t *table, struct strbuf *reason)
{
        uint64_t covered = q->cluster_bytes * (q->cluster_bytes / (q->features & FEATURE_EXTENDED_L2 ? 16 : 8));
        const uint8_t *entry;
        uint64_t offset;
        int r;

        for (uint64_t i = 0; i * covered < q->size_bytes; i++) {
                r = walk_entry(q->walk, q->l1_offset, i, 8, &entry, reason);
                if (r < 0)
                        return r;
                offset = get_be64(entry) & OFFSET_MASK;
                if (offset == 0)
                        continue;
                if (offset % q->cluster_bytes != 0)
                        return walk_damaged(q->walk, reason, "a table is out of place");
                r = walk_place(q->walk, q->cluster_bytes, reason);
                if (r == 0)
                        r = walk_read(q->walk, table, q->cluster_bytes, offset, reason);
                if (r == 0)
                        r = walk_l2(q, table, i * covered, reason);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Nobody wants them, but qemu reads their list before anything else: garbage of any length. */
static int walk_snapshots(const struct qcow2 *q, struct strbuf *reason)
{
        uint64_t at = q->snapshots_offset;
        uint8_t e[SNAPSHOT_BYTES];
        int r;

        for (uint32_t i = 0; i < q->n_snapshots; i++) {
                r = walk_read(q->walk, e, sizeof(e), at, reason);
                if (r < 0)
                        return r;
                /* Its first table, and the length of its name. */
                if (get_be64(e) % q->cluster_bytes != 0 || get_be16(e + 12) == 0)
                        return walk_damaged(q->walk, reason, "its list of snapshots makes no sense");
                if (!walk_has(q->walk, get_be64(e), (uint64_t)get_be32(e + 8) * 8))
                        return walk_truncated(q->walk, reason);
                at += sizeof(e) + get_be32(e + 36) + get_be16(e + 12) + get_be16(e + 14);
                at = (at + 7) / 8 * 8;
        }
        return 0;
}

int qcow2_walk(struct walk *w, struct strbuf *reason)
{
        CLEANUP_FREE uint8_t *table = NULL;
        bool encrypted;
        struct qcow2 q;
        int r;

        r = read_header(w, &q, &encrypted, reason);
        if (r < 0)
                return r;
        r = walk_snapshots(&q, reason);
        if (r < 0)
                return r;
        w->block_bytes = q.cluster_bytes;
        table = malloc(q.cluster_bytes);
        return table ? walk_l1(&q, table, reason) : -ENOMEM;
}
