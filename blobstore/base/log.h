/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_LOG_H
#define BLOBSTORE_BASE_LOG_H

/*
 * One line per event to standard error, or to syslog once the daemon has left
 * the terminal. The level is process-wide, as standard error is. Libraries stay
 * silent above LOG_DEBUG; the outermost layer logs a failure once, without the
 * content of anybody's files. Any thread may log.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <syslog.h>

/*
 * Where lines go, and what they look like there. What standard error leads to is found out: the journal has a time and a
 * name for each line, and wants its priority before it, as sd-daemon(3) has it.
 */
enum log_sink {
        LOG_TO_USER, /* "imagefs: …" to standard error: whoever called the program reads it */
        LOG_TO_FILE, /* "2026-11-22T10:00:00Z imagefs: …" to standard error: it is kept */
        LOG_TO_SYSLOG,
};

/* Shows messages up to LEVEL (LOG_ERR … LOG_DEBUG), as PROGRAM's, which stays the caller's and unchanged. */
void log_setup(const char *program, int level, enum log_sink sink);

/* Would it be shown? Saves making what is not. */
bool log_shows(int level);

/* Control characters in what is logged become spaces: one event stays one line. */
void log_write(int level, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define log_debug(...)   log_write(LOG_DEBUG, 0, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, 0, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, 0, __VA_ARGS__)
#define log_error(...)   log_write(LOG_ERR, 0, __VA_ARGS__)

/* Logs "MESSAGE: STRERROR" and gives back ERROR (a negative errno), so that a caller can return it. */
#define log_errno(error, ...)                                   \
        ({                                                      \
                int log_errno_ = (error);                       \
                log_write(LOG_ERR, log_errno_, __VA_ARGS__);    \
                log_errno_;                                     \
        })

#endif
