/* SPDX-License-Identifier: MIT */

/*
 * The table of formats that are read, and the public functions over it. A new
 * format is a row here, its signature's format in probe.c, and a file in judge/ that
 * checks its header and walks over its tables.
 */

#include "blobstore/import/source.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/import/format_priv.h"

static const struct format formats[] = {
        [IMAGE_FORMAT_AUTO] = { .name = "auto" },
        [IMAGE_FORMAT_RAW] = { "raw", "raw", NULL, false },
        [IMAGE_FORMAT_QCOW2] = { "qcow2", "qcow2", "qcow2", true },
        [IMAGE_FORMAT_VMDK] = { "vmdk", "VMDK", "vmdk", true },
        /* The geometry, which qemu prefers for writers that it does not know, may leave out the end of the disk. */
        [IMAGE_FORMAT_VHD] = { "vhd", "VHD", "vpc,force_size_calc=current_size", true },
        [IMAGE_FORMAT_VHDX] = { "vhdx", "VHDX", "vhdx", true },
        [IMAGE_FORMAT_VDI] = { "vdi", "VDI", "vdi", true },
        [IMAGE_FORMAT_ISO] = { "iso", "ISO 9660", NULL, true },
        [IMAGE_FORMAT_OVA] = { "ova", "OVA", NULL, false },
};

#define N_FORMATS (sizeof(formats) / sizeof(formats[0]))

const char *image_format_name(enum image_format f)
{
        assert((size_t)f < N_FORMATS);
        return formats[f].name;
}

int image_format_parse(const char *name, enum image_format *ret)
{
        for (size_t i = 0; i < N_FORMATS; i++) {
                if (strcmp(name, formats[i].name) == 0) {
                        *ret = (enum image_format)i;
                        return 0;
                }
        }
        return -EINVAL;
}

const struct format *format_get(enum image_format f)
{
        assert(f != IMAGE_FORMAT_AUTO && (size_t)f < N_FORMATS);
        return &formats[f];
}

int image_source_open(int fd, const struct image_probe *probe, struct image_source **ret, struct strbuf *reason)
{
        const struct format *f = format_get(probe->format);
        struct qemu_opts opts = { .driver = f->driver, .title = f->title, .size_bytes = probe->size_bytes };
        CLEANUP(judgement_done) struct judgement j = { 0 };
        struct stat st;
        int r;

        if (probe->flat || !f->driver)
                return raw_open(fd, probe, ret, reason);

        if (fstat(fd, &st) < 0)
                return -errno;
        r = judge_file(fd, f, true, 0, &j, reason);
        if (r == 0 && (j.judged.size_bytes != probe->size_bytes || j.judged.flat))
                r = format_refuse(reason, "the file has changed since it was looked at");
        opts.file_bytes = (uint64_t)st.st_size;
        if (r == 0 && j.data_bytes > growth_limit(opts.file_bytes, GROWTH_TOTAL_FACTOR))
                r = format_refuse_growth(reason, f->title);
        if (r < 0)
                return r;
        opts.data_bytes = j.data_bytes;
        opts.map = j.map;
        opts.map_block_bytes = j.block_bytes;
        r = qemu_open(fd, &opts, ret, reason);
        if (r == 0)
                j.map = NULL; /* the source's now */
        return r;
}

void image_source_close(struct image_source *s)
{
        if (s)
                s->ops->close(s);
}

int image_source_next(struct image_source *s, const void **ret_buf, uint64_t *ret_len, struct strbuf *reason)
{
        return s->ops->next(s, ret_buf, ret_len, reason);
}
