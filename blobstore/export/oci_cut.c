/* SPDX-License-Identifier: MIT */

/*
 * Where a disk is cut depends on its bytes alone: not on how they came here, nor on how they are stored. So the same disk
 * is the same image everywhere, and the next release shares the layers of all that it did not change, wherever that has
 * moved to: a piece is called by its content, and the places stand in the disk's map (oci.c).
 *
 * A piece has some blocks at least, and ends where a file seems to, since what lies on two disks in different orders is
 * files; inside of large files where the hash of a block says so; or where it is full. At each level above a piece is twice
 * as long. The level is the lowest at which there are no more than OCI_PIECES_MAX. Zeros end a piece unless they are few,
 * and are in none: what a file system scatters in small blocks is gathered with what lies beside it.
 *
 * What a push of the next release sends, of disks of 2 GiB, in MiB: what more packages on a system changed, a few packages
 * on it, and a system with others made anew, of which the rest is elsewhere than before. Theirs are levels 2, 0 and 2.
 *
 *                              changed     level 0     level 1     level 2
 *      more packages               430         467         464         466
 *      a few                        39          54          63          76
 *      made anew                   364         447         476         526
 *      pieces of the first       13537       13537        9018        5170
 *
 * A release that has grown to another level than the one before shares little with it, once.
 *
 * All is read once; again from the beginning where there come to be too many pieces, up to which the level before reads
 * half as much. The memory is that of one piece.
 */

#include "blobstore/export/oci_cut_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/blobs/blob.h"
#include "blobstore/chunks/chunker.h"
#include "blobstore/hash/hash.h"

/* At the highest one a piece has up to 128 MiB, and an image some 100 GiB of data. */
#define LEVEL_MAX 9

/* So many blocks of zeros between data belong to the piece, at level 0. */
#define GAP_BLOCKS 4

/* Blocks of a piece, at level 0: at least, at most, and one in how many ends it inside of a file. */
#define PIECE_BLOCKS_MIN 4
#define PIECE_BLOCKS_MAX 64
#define PICKED_ONE_IN    64

/* Another hash than the one that the chunker looks at. */
#define LEVEL_SEED 1

#define READ_BYTES ((size_t)1 << 20)

struct cutter {
        unsigned level;
        struct oci_piece *pieces;
        size_t n;
        uint32_t disk;
        uint64_t off;   /* of the piece that is being gathered */
        size_t len;     /* its bytes; 0: there is none */
        uint64_t zeros; /* bytes of zeros after it, which belong to it if there is more soon */
        uint8_t *layer; /* the layer as it will be: a tar header, the bytes, zeros */
};

static size_t piece_max(const struct cutter *c)
{
        return (size_t)PIECE_BLOCKS_MAX * BLOB_BLOCK_SIZE << c->level;
}

void oci_hex(const uint8_t *bytes, size_t n, char *ret)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < n; i++) {
                *ret++ = digits[bytes[i] >> 4];
                *ret++ = digits[bytes[i] & 15];
        }
        *ret = '\0';
}

void oci_piece_path(const struct oci_piece *p, char ret[OCI_PIECE_PATH_SIZE])
{
        memcpy(ret, "pieces/", sizeof("pieces/") - 1);
        oci_hex(p->name, OCI_NAME_SIZE, ret + sizeof("pieces/") - 1);
}

void oci_tar_header(const char *path, uint64_t len, uint8_t ret[OCI_TAR_BLOCK])
{
        struct {
                char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
                char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
        } h = { .type = '0', .version = { '0', '0' } };
        unsigned sum = 0;

        _Static_assert(sizeof(h) == OCI_TAR_BLOCK, "the header is a block");
        memcpy(h.name, path, strnlen(path, sizeof(h.name))); /* the field may be full */
        (void)snprintf(h.mode, sizeof(h.mode), "%07o", 0444U);
        (void)snprintf(h.uid, sizeof(h.uid), "%07o", 0U);
        (void)snprintf(h.gid, sizeof(h.gid), "%07o", 0U);
        (void)snprintf(h.size, sizeof(h.size), "%011llo", (unsigned long long)len & 077777777777);
        (void)snprintf(h.mtime, sizeof(h.mtime), "%011o", 0U);
        memset(h.checksum, ' ', sizeof(h.checksum));
        memcpy(h.magic, "ustar", sizeof(h.magic));
        memcpy(ret, &h, sizeof(h));
        for (size_t i = 0; i < sizeof(h); i++)
                sum += ret[i];
        (void)snprintf(h.checksum, sizeof(h.checksum), "%06o", sum & 0777777); /* a zero, and the blank that is there */
        memcpy(ret, &h, sizeof(h));
}

/* What was gathered is a piece: without the zeros at its end, which are nobody's. */
static int end_piece(struct cutter *c)
{
        struct oci_piece *p = &c->pieces[c->n];
        const size_t tail = oci_tar_tail(c->len);
        uint8_t digest[SHA256_SIZE];
        char path[OCI_PIECE_PATH_SIZE];
        int r;

        c->zeros = 0;
        if (c->len == 0)
                return 0;
        if (c->n == OCI_PIECES_MAX)
                return -E2BIG;
        r = sha256(c->layer + OCI_TAR_BLOCK, c->len, digest);
        if (r < 0)
                return r;
        *p = (struct oci_piece){ .off = c->off, .len = (uint32_t)c->len, .disk = c->disk };
        memcpy(p->name, digest, sizeof(p->name));
        oci_piece_path(p, path);
        oci_tar_header(path, c->len, c->layer);
        memset(c->layer + OCI_TAR_BLOCK + c->len, 0, tail);
        r = sha256(c->layer, OCI_TAR_BLOCK + c->len + tail, p->digest);
        c->n++;
        c->len = 0;
        return r;
}

static int add_zeros(struct cutter *c, uint64_t n)
{
        c->zeros += n;
        return c->zeros > (uint64_t)GAP_BLOCKS * BLOB_BLOCK_SIZE << c->level ? end_piece(c) : 0;
}

/* Does the piece end with this block? */
static bool ends_piece(const struct cutter *c, const uint8_t *block, size_t n)
{
        if (c->len < (size_t)PIECE_BLOCKS_MIN * BLOB_BLOCK_SIZE << c->level)
                return false;
        return chunk_ends_file(block, n) || hash64(block, n, LEVEL_SEED) % ((uint64_t)PICKED_ONE_IN << c->level) == 0;
}

static int add_block(struct cutter *c, const uint8_t *block, size_t n, uint64_t off)
{
        int r = 0;

        if (block_is_zero(block, n))
                return add_zeros(c, n);
        if (c->len + c->zeros + n > piece_max(c))
                r = end_piece(c);
        if (r < 0)
                return r;
        if (c->len == 0) {
                c->off = off;
                c->zeros = 0;
        }
        memset(c->layer + OCI_TAR_BLOCK + c->len, 0, (size_t)c->zeros);
        c->len += (size_t)c->zeros;
        c->zeros = 0;
        memcpy(c->layer + OCI_TAR_BLOCK + c->len, block, n);
        c->len += n;
        return ends_piece(c, block, n) ? end_piece(c) : 0;
}

/* N bytes of the disk from OFF on. */
static int add_range(struct cutter *c, struct blob *b, uint8_t *buf, uint64_t off, size_t n)
{
        const ssize_t got = blob_pread(b, buf, n, off);
        int r = got < 0 ? (int)got : got < (ssize_t)n ? -EBADMSG : 0;

        for (size_t at = 0; r == 0 && at < n; at += BLOB_BLOCK_SIZE)
                r = add_block(c, buf + at, n - at < BLOB_BLOCK_SIZE ? n - at : BLOB_BLOCK_SIZE, off + at);
        return r;
}

struct passed {
        blob_progress_fn *progress;
        void *ctx;
        uint64_t done, total; /* bytes of data of all disks */
};

static int cut_disk(struct cutter *c, struct blob *b, uint8_t *buf, struct passed *p)
{
        const uint64_t size = blob_get_info(b)->size_bytes;
        uint64_t off = 0, data = 0, end;
        int r = 0;

        while (off < size && (r = blob_seek(b, off, SEEK_DATA, &data)) == 0) {
                data -= data % BLOB_BLOCK_SIZE;
                r = blob_seek(b, data, SEEK_HOLE, &end);
                if (r == 0 && data > off)
                        r = add_zeros(c, data - off);
                for (off = data; r == 0 && off < end;) {
                        const size_t n = end - off < READ_BYTES ? (size_t)(end - off) : READ_BYTES;

                        r = p->progress(p->ctx, p->done, p->total);
                        if (r == 0)
                                r = add_range(c, b, buf, off, n);
                        off += n;
                        p->done += n;
                }
                if (r < 0)
                        break;
        }
        return r == 0 || r == -ENXIO ? end_piece(c) : r;
}

/* -E2BIG: the next level has fewer pieces. */
static int cut_at(struct cutter *c, const struct oci_disk *disks, size_t n, uint8_t *buf, struct passed *p)
{
        CLEANUP_FREE uint8_t *layer = malloc(OCI_TAR_BLOCK + piece_max(c) + oci_tar_tail(1));
        int r = layer ? 0 : -ENOMEM;

        c->layer = layer;
        c->n = 0;
        c->len = 0;
        c->zeros = 0;
        p->done = 0;
        for (size_t i = 0; r == 0 && i < n; i++) {
                c->disk = (uint32_t)i;
                r = cut_disk(c, disks[i].blob, buf, p);
        }
        return r;
}

int oci_cut(const struct oci_disk *disks, size_t n, blob_progress_fn *progress, void *ctx, struct oci_pieces *ret)
{
        CLEANUP_FREE struct oci_piece *pieces = calloc(OCI_PIECES_MAX, sizeof(*pieces));
        CLEANUP_FREE uint8_t *buf = malloc(READ_BYTES);
        struct cutter c = { .pieces = pieces };
        struct passed p = { .progress = progress, .ctx = ctx };
        int r = -E2BIG;

        if (!pieces || !buf)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                p.total += blob_get_info(disks[i].blob)->data_bytes;
        for (; r == -E2BIG && c.level <= LEVEL_MAX; c.level++)
                r = cut_at(&c, disks, n, buf, &p);
        if (r < 0)
                return r;
        *ret = (struct oci_pieces){ .piece = TAKE_PTR(pieces), .n = c.n };
        return 0;
}

void oci_pieces_done(struct oci_pieces *p)
{
        free(p->piece);
        *p = (struct oci_pieces){ 0 };
}
