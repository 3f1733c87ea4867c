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

#include "blobstore/import/judge/answer.h"
#include "blobstore/import/source.h"

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
        bool judged; /* has a header that says more than the signature; who knows it by its name is judge/formats.c */
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
int raw_open(int fd, const struct image_probe *probe, struct image_source **ret, struct strbuf *reason);

/* reach.c; -ENOMEM, or the file could not be read */
int reach_find(int fd, struct image_reach *ret);

/* judge.c */
struct judgement {
        struct judged judged; /* also of a file that is refused, as far as it is known */
        uint64_t data_bytes; /* of the disk that is not a hole, as all below where the tables were asked about */
        uint64_t block_bytes;
        uint8_t *map; /* a bit per block_bytes of the disk that are data; NULL where qemu tells the holes */
};

/*
 * Has the child judge the header of the file FD of the format F, or all of its tables, too, for LIMIT_MS at the most
 * (0: as long as it may take at all). -EINVAL: it may not be read; -EOPNOTSUPP: there is no child to be had; -ETIMEDOUT.
 * Release with judgement_done().
 */
int judge_file(int fd, const struct format *f, bool tables, int limit_ms, struct judgement *ret, struct strbuf *reason);
void judgement_done(struct judgement *j);

/* qemu.c */
struct qemu_opts {
        const char *driver; /* as in struct format */
        const char *title;
        uint64_t size_bytes; /* that the header promised; anything else is refused */
        uint64_t file_bytes;
        uint64_t data_bytes; /* of the disk that is to be read; decides with file_bytes how long the child may work */
        uint8_t *map; /* of data, as in struct judgement, where the driver does not tell holes; taken over on success */
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
