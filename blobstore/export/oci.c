/* SPDX-License-Identifier: MIT */

/*
 * The image: its layers are
 *
 *      the maps        disks/<device>.map of each disk: a line `size <bytes>`, and a line `<block> <piece>` for each piece
 *                      of it in order, where a block has 4096 bytes
 *      the pieces      pieces/<piece>, each in a layer of its own, once however often it is on the disks
 *
 * as uncompressed tar archives, so that no version of a compressor changes a digest; clients compress what they send.
 * What is unpacked is put together by writing each piece at its place, in any order, into a file of that size.
 *
 * The blobs are the manifest, the configuration, the maps, and the pieces.
 */

#include "blobstore/export/oci.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/strbuf.h"
#include "blobstore/export/export_priv.h"
#include "blobstore/export/oci_cut_priv.h"

#define TYPE_INDEX    "application/vnd.oci.image.index.v1+json"
#define TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define TYPE_CONFIG   "application/vnd.oci.image.config.v1+json"
#define TYPE_LAYER    "application/vnd.oci.image.layer.v1.tar"

/* The name in the layout, which oras wants and skopeo does without. */
#define REF_NAME "latest"

enum { MANIFEST, CONFIG, MAPS, MADE_COUNT };

/* A blob that is made here as a whole. */
struct made {
        char *bytes;
        size_t n;
        uint8_t digest[SHA256_SIZE];
};

struct oci {
        atomic_uint refs;
        struct made made[MADE_COUNT];
        struct oci_pieces pieces;
        uint32_t *layers; /* the first piece of each content, in order */
        size_t n_layers;
        uint32_t *sorted; /* blobs by digest */
};

unsigned oci_blobs(const struct oci *o)
{
        return (unsigned)(MADE_COUNT + o->n_layers);
}

static const struct oci_piece *piece_of(const struct oci *o, unsigned number)
{
        return &o->pieces.piece[o->layers[number - MADE_COUNT]];
}

static const uint8_t *digest_of(const struct oci *o, unsigned number)
{
        return number < MADE_COUNT ? o->made[number].digest : piece_of(o, number)->digest;
}

void oci_digest(const struct oci *o, unsigned number, char ret[OCI_DIGEST_SIZE])
{
        oci_hex(digest_of(o, number), SHA256_SIZE, ret);
}

uint64_t oci_size(const struct oci *o, unsigned number)
{
        const struct oci_piece *p;

        if (number < MADE_COUNT)
                return o->made[number].n;
        p = piece_of(o, number);
        return OCI_TAR_BLOCK + p->len + oci_tar_tail(p->len);
}

unsigned oci_disk_of(const struct oci *o, unsigned number)
{
        return number < MADE_COUNT ? 0 : piece_of(o, number)->disk;
}

/* ---- making ---- */

/* Takes what FROM holds. */
static int set_made(struct made *m, struct strbuf *from)
{
        m->n = from->len;
        m->bytes = strbuf_take(from);
        return m->bytes ? sha256(m->bytes, m->n, m->digest) : -ENOMEM;
}

static int compare_pieces(const void *a, const void *b, void *ctx)
{
        const struct oci_pieces *all = ctx;
        const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
        const int r = memcmp(all->piece[left].digest, all->piece[right].digest, SHA256_SIZE);

        return r ? r : left < right ? -1 : left > right;
}

static int compare_numbers(const void *a, const void *b)
{
        const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

        return left < right ? -1 : left > right;
}

/* What is on the disks several times is one layer, where it is first. */
static int find_layers(struct oci *o)
{
        const struct oci_piece *piece = o->pieces.piece;

        o->layers = calloc(o->pieces.n + 1, sizeof(*o->layers));
        if (!o->layers)
                return -ENOMEM;
        for (size_t i = 0; i < o->pieces.n; i++)
                o->layers[i] = (uint32_t)i;
        qsort_r(o->layers, o->pieces.n, sizeof(*o->layers), compare_pieces, &o->pieces);
        for (size_t i = 0; i < o->pieces.n; i++)
                if (o->n_layers == 0 || memcmp(piece[o->layers[o->n_layers - 1]].digest, piece[o->layers[i]].digest,
                                               SHA256_SIZE) != 0)
                        o->layers[o->n_layers++] = o->layers[i];
        qsort(o->layers, o->n_layers, sizeof(*o->layers), compare_numbers);
        return 0;
}

static void add_file(struct strbuf *tar, const char *path, const struct strbuf *text)
{
        static const char zeros[3 * OCI_TAR_BLOCK];
        uint8_t header[OCI_TAR_BLOCK];

        oci_tar_header(path, text->len, header);
        strbuf_add_bytes(tar, header, sizeof(header));
        strbuf_add_bytes(tar, strbuf_text(text), text->len);
        strbuf_add_bytes(tar, zeros, oci_tar_tail(text->len) - 2 * OCI_TAR_BLOCK);
}

/* Of disk NUMBER. */
static int add_map(struct strbuf *tar, const struct oci *o, const struct oci_disk *disk, size_t number)
{
        CLEANUP_STRBUF struct strbuf map = { 0 };
        char digits[2 * OCI_NAME_SIZE + 1], path[64];

        strbuf_addf(&map, "size %llu\n", (unsigned long long)blob_get_info(disk->blob)->size_bytes);
        for (size_t i = 0; i < o->pieces.n; i++) {
                const struct oci_piece *p = &o->pieces.piece[i];

                if (p->disk != number)
                        continue;
                oci_hex(p->name, OCI_NAME_SIZE, digits);
                strbuf_addf(&map, "%llu %s\n", (unsigned long long)(p->off / BLOB_BLOCK_SIZE), digits);
        }
        (void)snprintf(path, sizeof(path), "disks/%s.map", disk->device);
        add_file(tar, path, &map);
        return strbuf_error(&map);
}

static int make_maps(struct oci *o, const struct oci_disk *disks, size_t n)
{
        static const char end[2 * OCI_TAR_BLOCK];
        CLEANUP_STRBUF struct strbuf tar = { 0 };
        int r = 0;

        for (size_t i = 0; r == 0 && i < n; i++)
                r = add_map(&tar, o, &disks[i], i);
        strbuf_add_bytes(&tar, end, sizeof(end));
        return r < 0 ? r : set_made(&o->made[MAPS], &tar);
}

static int make_config(struct oci *o, const struct oci_platform *platform)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        char digest[OCI_DIGEST_SIZE];

        strbuf_addf(&out, "{\"architecture\":\"%s\",\"os\":\"%s\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[",
                    platform->architecture, platform->os);
        for (unsigned i = MAPS; i < oci_blobs(o); i++) {
                oci_digest(o, i, digest);
                strbuf_addf(&out, "%s\"sha256:%s\"", i > MAPS ? "," : "", digest);
        }
        strbuf_add(&out, "]}}");
        return set_made(&o->made[CONFIG], &out);
}

static void add_descriptor(struct strbuf *out, const struct oci *o, unsigned number, const char *type)
{
        char digest[OCI_DIGEST_SIZE];

        oci_digest(o, number, digest);
        strbuf_addf(out, "{\"mediaType\":\"%s\",\"digest\":\"sha256:%s\",\"size\":%llu", type, digest,
                    (unsigned long long)oci_size(o, number));
}

static int make_manifest(struct oci *o)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };

        strbuf_add(&out, "{\"schemaVersion\":2,\"mediaType\":\"" TYPE_MANIFEST "\",\"config\":");
        add_descriptor(&out, o, CONFIG, TYPE_CONFIG);
        strbuf_add(&out, "},\"layers\":[");
        for (unsigned i = MAPS; i < oci_blobs(o); i++) {
                add_descriptor(&out, o, i, TYPE_LAYER);
                strbuf_add(&out, i + 1 < oci_blobs(o) ? "}," : "}");
        }
        strbuf_add(&out, "]}");
        return set_made(&o->made[MANIFEST], &out);
}

void oci_add_index(const struct oci *o, struct strbuf *out)
{
        strbuf_add(out, "{\"schemaVersion\":2,\"mediaType\":\"" TYPE_INDEX "\",\"manifests\":[");
        add_descriptor(out, o, MANIFEST, TYPE_MANIFEST);
        strbuf_add(out, ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" REF_NAME "\"}}]}\n");
}

static int compare_digests(const void *a, const void *b, void *ctx)
{
        return memcmp(digest_of(ctx, *(const uint32_t *)a), digest_of(ctx, *(const uint32_t *)b), SHA256_SIZE);
}

static int sort_blobs(struct oci *o)
{
        o->sorted = calloc(oci_blobs(o), sizeof(*o->sorted));
        if (!o->sorted)
                return -ENOMEM;
        for (unsigned i = 0; i < oci_blobs(o); i++)
                o->sorted[i] = i;
        qsort_r(o->sorted, oci_blobs(o), sizeof(*o->sorted), compare_digests, o);
        return 0;
}

DEFINE_CLEANUP(struct oci *, oci_unrefp, oci_unref)

int oci_make(const struct oci_disk *disks, size_t n, const struct oci_platform *platform, blob_progress_fn *progress,
             void *ctx, struct oci **ret)
{
        CLEANUP(oci_unrefp) struct oci *o = calloc(1, sizeof(*o));
        int r;

        if (!o)
                return -ENOMEM;
        o->refs = 1;
        r = oci_cut(disks, n, progress, ctx, &o->pieces);
        if (r == 0)
                r = find_layers(o);
        if (r == 0)
                r = make_maps(o, disks, n);
        if (r == 0)
                r = make_config(o, platform);
        if (r == 0)
                r = make_manifest(o);
        if (r == 0)
                r = sort_blobs(o);
        if (r == 0)
                *ret = TAKE_PTR(o);
        return r;
}

struct oci *oci_ref(struct oci *o)
{
        atomic_fetch_add(&o->refs, 1);
        return o;
}

void oci_unref(struct oci *o)
{
        if (!o || atomic_fetch_sub(&o->refs, 1) > 1)
                return;
        for (unsigned i = 0; i < MADE_COUNT; i++)
                free(o->made[i].bytes);
        oci_pieces_done(&o->pieces);
        free(o->layers);
        free(o->sorted);
        free(o);
}

size_t oci_bytes(const struct oci *o)
{
        size_t n = sizeof(*o) + o->pieces.n * (sizeof(*o->pieces.piece) + sizeof(*o->layers)) +
                   oci_blobs(o) * sizeof(*o->sorted);

        for (unsigned i = 0; i < MADE_COUNT; i++)
                n += o->made[i].n;
        return n;
}

/* ---- reading ---- */

int oci_find(const struct oci *o, const char *digest, unsigned *ret)
{
        unsigned first = 0, end = oci_blobs(o);
        char found[OCI_DIGEST_SIZE];

        while (first < end) {
                const unsigned middle = first + (end - first) / 2;
                int r;

                oci_digest(o, o->sorted[middle], found);
                r = strcmp(digest, found);
                if (r == 0) {
                        *ret = o->sorted[middle];
                        return 0;
                }
                if (r < 0)
                        end = middle;
                else
                        first = middle + 1;
        }
        return -ENOENT;
}

int oci_open(const struct oci *o, unsigned number, struct blob *b, struct export **ret)
{
        uint8_t header[OCI_TAR_BLOCK];
        char path[OCI_PIECE_PATH_SIZE];
        const struct oci_piece *p;

        if (number < MADE_COUNT)
                return export_open_between(b, &(struct export_between){ o->made[number].bytes, o->made[number].n, 0, 0, 0 },
                                           ret);
        p = piece_of(o, number);
        oci_piece_path(p, path);
        oci_tar_header(path, p->len, header);
        return export_open_between(b, &(struct export_between){ header, sizeof(header), p->off, p->len,
                                                                oci_tar_tail(p->len) }, ret);
}
