/* SPDX-License-Identifier: MIT */

/*
 * The table of formats that are read, and the public functions over it. A new
 * format is a row here, its signature's format in probe.c, and a file that checks
 * its header.
 */

#include "blobstore/formats/source.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#include "blobstore/formats/format.h"

static const struct format formats[] = {
        [IMAGE_FORMAT_AUTO] = { .name = "auto" },
        [IMAGE_FORMAT_RAW] = { .name = "raw", .check = raw_check, .open = raw_open },
        [IMAGE_FORMAT_QCOW2] = { .name = "qcow2", .check = qcow2_check, .open = qcow2_open },
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

int format_refuse(struct strbuf *reason, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        strbuf_vaddf(reason, fmt, ap);
        va_end(ap);
        return -EINVAL;
}

int image_source_open(int fd, const struct image_probe *probe, struct image_source **ret, struct strbuf *reason)
{
        return format_get(probe->format)->open(fd, probe, ret, reason);
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
