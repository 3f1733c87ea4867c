/* SPDX-License-Identifier: MIT */

#include "blobstore/base/log.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Long enough for any message with two paths in it; what is longer is cut. */
#define LOG_LINE_MAX 2048

static atomic_int log_level = LOG_WARNING;
static atomic_int log_sink = LOG_TO_USER;
static atomic_bool log_to_journal; /* standard error is the journal's */
static const char *_Atomic log_program = "imagefs";

/* systemd says which file the journal's end is, so that who redirects standard error is not taken for it. */
static bool log_is_journal(void)
{
        const char *text = getenv("JOURNAL_STREAM");
        uintmax_t dev, ino;
        struct stat st;

        return text && sscanf(text, "%ju:%ju", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
               dev == (uintmax_t)st.st_dev && ino == (uintmax_t)st.st_ino;
}

void log_setup(const char *program, int level, enum log_sink sink)
{
        atomic_store(&log_program, program);
        atomic_store(&log_level, level);
        atomic_store(&log_to_journal, log_is_journal());
        if (sink == LOG_TO_SYSLOG)
                openlog(program, LOG_PID | LOG_NDELAY, LOG_DAEMON);
        atomic_store(&log_sink, (int)sink);
}

bool log_shows(int level)
{
        return level <= atomic_load(&log_level);
}

static void log_make_clean(char *line)
{
        for (; *line; line++)
                if ((unsigned char)*line < ' ' || *line == 0x7f)
                        *line = ' ';
}

/* Nothing can be done where it cannot be written: there is nowhere left to report to. */
static void log_to_stderr(int level, const char *line)
{
        const char *program = atomic_load(&log_program);
        const time_t now = time(NULL);
        char when[32] = "";
        struct tm tm;

        if (atomic_load(&log_to_journal)) {
                (void)fprintf(stderr, "<%d>%s\n", level, line);
                return;
        }
        if (atomic_load(&log_sink) == LOG_TO_FILE && gmtime_r(&now, &tm))
                (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ ", &tm);
        (void)fprintf(stderr, "%s%s: %s\n", when, program, line);
}

void log_write(int level, int error, const char *fmt, ...)
{
        char line[LOG_LINE_MAX];
        va_list ap;
        int n;

        if (!log_shows(level))
                return;

        va_start(ap, fmt);
        n = vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        if (n < 0)
                return;

        if (error && (size_t)n < sizeof(line))
                (void)snprintf(line + n, sizeof(line) - (size_t)n, ": %s", strerror(error < 0 ? -error : error));
        log_make_clean(line);

        if (atomic_load(&log_sink) == LOG_TO_SYSLOG)
                syslog(level, "%s", line);
        else
                log_to_stderr(level, line);
}
