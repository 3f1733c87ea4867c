/* SPDX-License-Identifier: MIT */

#include "blobstore/base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Long enough for any message with two paths in it; what is longer is cut. */
#define LOG_LINE_MAX 2048

static atomic_int log_level = LOG_WARNING;
static atomic_bool log_to_syslog;

void log_setup(const char *program, int level, bool to_syslog)
{
        atomic_store(&log_level, level);
        if (to_syslog)
                openlog(program, LOG_PID | LOG_NDELAY, LOG_DAEMON);
        atomic_store(&log_to_syslog, to_syslog);
}

void log_write(int level, int error, const char *fmt, ...)
{
        char line[LOG_LINE_MAX];
        va_list ap;
        int n;

        if (level > atomic_load(&log_level))
                return;

        va_start(ap, fmt);
        n = vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        if (n < 0)
                return;

        if (error && (size_t)n < sizeof(line))
                (void)snprintf(line + n, sizeof(line) - (size_t)n, ": %s", strerror(error < 0 ? -error : error));

        if (atomic_load(&log_to_syslog))
                syslog(level, "%s", line);
        else
                (void)fprintf(stderr, "imagefs: %s\n", line); /* there is nowhere left to report to */
}
