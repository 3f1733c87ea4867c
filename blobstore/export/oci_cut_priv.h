/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_EXPORT_OCI_CUT_PRIV_H
#define BLOBSTORE_EXPORT_OCI_CUT_PRIV_H

/* Disks as pieces, each of which is a layer of an OCI image: a tar archive with this one file. See the .c for the rule. */

#include "blobstore/export/oci.h"
#include "blobstore/hash/sha256.h"

/* A piece is called by so many bytes of its SHA-256, in hexadecimal digits. */
#define OCI_NAME_SIZE 20

/*
 * As many as there are at most. Registries take manifests of up to 4 MiB, of which each layer takes 150 bytes, but clients
 * ask for every layer by itself. Fewer would be larger, and the next release share less: see the .c for what that costs.
 */
#define OCI_PIECES_MAX 8000

struct oci_piece {
        uint64_t off; /* on its disk, a multiple of the block size */
        uint32_t len;
        uint32_t disk;
        uint8_t name[OCI_NAME_SIZE];
        uint8_t digest[SHA256_SIZE]; /* of the layer */
};

struct oci_pieces {
        struct oci_piece *piece; /* in the order of disks and offsets */
        size_t n;
};

/* -E2BIG: more data than fits into one image. What PROGRESS gives, and reading; *ret is to be freed with oci_pieces_done(). */
int oci_cut(const struct oci_disk *disks, size_t n, blob_progress_fn *progress, void *ctx, struct oci_pieces *ret);
void oci_pieces_done(struct oci_pieces *p);

/* ---- tar(5), as POSIX has it ---- */

#define OCI_TAR_BLOCK 512
/* Zeros that follow a file of LEN bytes: up to a whole block, and two more, which end the archive. */
static inline size_t oci_tar_tail(uint64_t len)
{
        return (size_t)(-len % OCI_TAR_BLOCK) + 2 * (size_t)OCI_TAR_BLOCK;
}

/* The header of a file of root's that nobody writes, as old as time. PATH has at most 100 bytes. */
void oci_tar_header(const char *path, uint64_t len, uint8_t ret[OCI_TAR_BLOCK]);
/* "pieces/<40 digits>" */
#define OCI_PIECE_PATH_SIZE (sizeof("pieces/") + 2 * OCI_NAME_SIZE)
void oci_piece_path(const struct oci_piece *p, char ret[OCI_PIECE_PATH_SIZE]);

/* 2 N digits and a zero. */
void oci_hex(const uint8_t *bytes, size_t n, char *ret);

#endif
