/* SPDX-License-Identifier: MIT */
#ifndef FS_FLAGS_H
#define FS_FLAGS_H

/* The line of a sub-command that takes one word and some flags. Its --help is printed from the table that it is read with. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flag {
        const char *name; /* "--repair", "-a"; a single letter may be grouped with others */
        const char *help; /* NULL: taken for its callers' sake, and not shown */
        bool *set; /* NULL: without effect */
        uint64_t *number; /* it is followed by a number, as a word of its own; NULL: it is not */
        const char **text; /* likewise by any word, which is borrowed from the line */
};

struct flags {
        const char *usage; /* "imagefs check STORE [--repair]" */
        const char *about; /* one line */
        const char *word; /* what the word is; NULL: a STORE */
        const struct flag *table;
        size_t n;
};

enum flags_result {
        FLAGS_OK,
        FLAGS_HELP, /* was asked for, and printed */
        FLAGS_WRONG, /* said on standard error */
};

/* Reads what follows ARGV[0]; *ret_word is borrowed from it, and always there with FLAGS_OK. */
enum flags_result flags_parse(const struct flags *f, int argc, char **argv, const char **ret_word);

#endif
