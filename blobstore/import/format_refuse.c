/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <stdarg.h>

#include "blobstore/base/block.h"
#include "blobstore/import/format_priv.h"

int format_refuse(struct strbuf *reason, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        strbuf_vaddf(reason, fmt, ap);
        va_end(ap);
        return -EINVAL;
}

int format_refuse_size(struct strbuf *reason)
{
        return format_refuse(reason, "the disk in this file is larger than %llu TiB",
                             (unsigned long long)(BLOB_SIZE_MAX >> 40));
}

int format_refuse_growth(struct strbuf *reason, const char *title)
{
        return format_refuse(reason, "this %s file holds far more than a disk that is compressed does: if it is meant, "
                             "convert it with qemu-img convert -O qcow2, without -c", title);
}
