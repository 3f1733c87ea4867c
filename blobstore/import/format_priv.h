/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_FORMAT_PRIV_H
#define BLOBSTORE_IMPORT_FORMAT_PRIV_H

/*
 * Between the files of this directory: one row per format that is read, and the
 * two ways of reading: the file's own bytes, and qemu. source.h is what others include.
 */

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "blobstore/import/source.h"
#include "blobstore/import/walk_priv.h"

/* How an open source is read; each implementation's struct begins with a struct image_source. */
struct source_ops {
        int (*next)(struct image_source *s, const void **ret_buf, uint64_t *ret_len, struct strbuf *reason);
        void (*close)(struct image_source *s);
};

struct image_source {
        const struct source_ops *ops;
};

struct format {
        const char *name; /* as the attribute `format` has it */
        const char *title; /* as a sentence calls it */
        const char *driver; /* qemu's name, with options; pinned, never probed. NULL: its bytes are the disk's */

        /* Judges what the header says, without running anything; what it finds goes into *ret. -EINVAL. */
        int (*check)(struct walk *w, struct image_probe *ret, struct strbuf *reason);
        /* Before qemu reads it: does all that the tables name lie in the file? -EINVAL. */
        int (*walk)(struct walk *w, struct strbuf *reason);
};

/*
 * What a small file may hold, compressed: any file GROWTH_FREE_BYTES, and a larger one so many times its own bytes, of
 * which fewer may be other than zero, as those take space. gzip comes to 1032 times with zeros. At these factors even
 * a disk of nothing but one byte does not keep a processor busy for long.
 */
#define GROWTH_FREE_BYTES   (UINT64_C(64) << 20)
#define GROWTH_TOTAL_FACTOR 2048
#define GROWTH_DATA_FACTOR  128

static inline uint64_t growth_limit(uint64_t file_bytes, uint64_t factor)
{
        return GROWTH_FREE_BYTES + factor * file_bytes;
}

/* The row of a format that has been decided; not for IMAGE_FORMAT_AUTO. */
const struct format *format_get(enum image_format f);

/* Appends the sentence; gives -EINVAL. */
int format_refuse(struct strbuf *reason, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Likewise, of a disk of more than BLOB_SIZE_MAX. */
int format_refuse_size(struct strbuf *reason);

/* Likewise, of a file that holds more than its growth_limit(). */
int format_refuse_growth(struct strbuf *reason, const char *title);

/* raw.c; FD's first size_bytes are the disk */
int raw_check(struct walk *w, struct image_probe *ret, struct strbuf *reason);
int raw_open(int fd, const struct image_probe *probe, struct image_source **ret, struct strbuf *reason);

int iso_check(struct walk *w, struct image_probe *ret, struct strbuf *reason);

/* qcow2.c vmdk.c vhd.c vhdx.c vdi.c */
int qcow2_check(struct walk *w, struct image_probe *ret, struct strbuf *reason);
int qcow2_walk(struct walk *w, struct strbuf *reason);
int vmdk_check(struct walk *w, struct image_probe *ret, struct strbuf *reason);
int vmdk_walk(struct walk *w, struct strbuf *reason);
int vhd_check(struct walk *w, struct image_probe *ret, struct strbuf *reason);
int vhd_walk(struct walk *w, struct strbuf *reason);
int vhdx_check(struct walk *w, struct image_probe *ret, struct strbuf *reason);
int vhdx_walk(struct walk *w, struct strbuf *reason);
int vdi_check(struct walk *w, struct image_probe *ret, struct strbuf *reason);
int vdi_walk(struct walk *w, struct strbuf *reason);

/* qemu.c */
struct qemu_opts {
        const char *driver; /* as in struct format */
        const char *title;
        uint64_t size_bytes; /* that the header promised; anything else is refused */
        uint64_t file_bytes;
        uint64_t data_bytes; /* of the disk that is to be read; decides with file_bytes how long the child may work */
        uint8_t *map; /* of data, as in struct walk, where the driver does not tell holes; taken over on success */
        uint64_t map_block_bytes;
        int timeout_ms; /* for one answer; 0: a minute */
};
int qemu_open(int fd, const struct qemu_opts *opts, struct image_source **ret, struct strbuf *reason);

static inline uint16_t get_be16(const uint8_t *p)
{
        uint16_t v;

        memcpy(&v, p, sizeof(v));
        return be16toh(v);
}

static inline uint32_t get_be32(const uint8_t *p)
{
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return be32toh(v);
}

static inline uint64_t get_be64(const uint8_t *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return be64toh(v);
}

#endif
