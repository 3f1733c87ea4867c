/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <stdarg.h>

#include "blobstore/import/format_priv.h"

int format_refuse(struct strbuf *reason, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        strbuf_vaddf(reason, fmt, ap);
        va_end(ap);
        return -EINVAL;
}
