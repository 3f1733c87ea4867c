/* SPDX-License-Identifier: MIT */

#include "fs/flags.h"

#include <stdio.h>
#include <string.h>

#include "blobstore/base/parse.h"

static void flags_help(const struct flags *f)
{
        (void)printf("%s\n\n%s\n", f->usage, f->about);
        for (size_t i = 0; i < f->n; i++)
                if (f->table[i].help)
                        (void)printf("%s  %-20s %s\n", i == 0 ? "\n" : "", f->table[i].name, f->table[i].help);
}

static enum flags_result flags_wrong(const struct flags *f, const char *what, const char *text)
{
        (void)fprintf(stderr, "imagefs: %s: %s; usage: %s\n", text, what, f->usage);
        return FLAGS_WRONG;
}

/* The flag of that name that wants a number, or a word; NULL: there is none. */
static const struct flag *flags_find_valued(const struct flags *f, const char *name)
{
        for (size_t i = 0; i < f->n; i++)
                if ((f->table[i].number || f->table[i].text) && strcmp(f->table[i].name, name) == 0)
                        return &f->table[i];
        return NULL;
}

/* NAME is of N bytes. */
static bool flags_take(const struct flags *f, const char *name, size_t n)
{
        for (size_t i = 0; i < f->n; i++) {
                const struct flag *flag = &f->table[i];

                if (strlen(flag->name) != n || strncmp(flag->name, name, n) != 0)
                        continue;
                if (flag->set)
                        *flag->set = true;
                return true;
        }
        return false;
}

/* -ay is -a -y. */
static bool flags_take_letters(const struct flags *f, const char *letters)
{
        for (; *letters; letters++)
                if (!flags_take(f, (const char[]){ '-', *letters }, 2))
                        return false;
        return true;
}

enum flags_result flags_parse(const struct flags *f, int argc, char **argv, const char **ret_word)
{
        bool words_only = false;

        *ret_word = NULL;
        for (int i = 1; i < argc; i++) {
                const char *arg = argv[i];
                const struct flag *flag = words_only ? NULL : flags_find_valued(f, arg);

                if (!words_only && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)) {
                        flags_help(f);
                        return FLAGS_HELP;
                }
                if (flag && flag->text) {
                        if (i + 1 == argc)
                                return flags_wrong(f, "wants a word after it", arg);
                        *flag->text = argv[++i];
                } else if (flag) {
                        if (i + 1 == argc || parse_u64(argv[++i], flag->number) < 0)
                                return flags_wrong(f, "wants a number after it", arg);
                } else if (!words_only && strcmp(arg, "--") == 0) {
                        words_only = true;
                } else if (words_only || arg[0] != '-' || !arg[1]) {
                        if (*ret_word)
                                return flags_wrong(f, "one argument too many", arg);
                        *ret_word = arg;
                } else if (!flags_take(f, arg, strlen(arg)) && (arg[1] == '-' || !flags_take_letters(f, arg + 1))) {
                        return flags_wrong(f, "no such option", arg);
                }
        }
        return *ret_word ? FLAGS_OK : flags_wrong(f, "missing", f->word ?: "STORE");
}
