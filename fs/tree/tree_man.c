/* SPDX-License-Identifier: MIT */
/*
 * All paths of the tree as a part of its manual page, imagefs-tree(7): what the tables say, in mdoc(7). A sub-section for
 * each kind of directory that always contains something, in the order of --print-tree; a kind that stands in several
 * places, at the first of them.
 */

#include "fs/tree/tree_man.h"

#include <string.h>

#include "fs/tree/tree.h"

#define PATH_SIZE 256

struct man {
        FILE *f;
        bool done[KIND_COUNT];
};

/* What is said of a file besides its help. */
static const struct {
        unsigned flag;
        const char *words;
} flag_words[] = {
        { ENTRY_UNLISTED, "not listed" },
        { ENTRY_TEXT, "several lines" },
        { ENTRY_COMMANDS, "several commands through one open" },
        { ENTRY_WAIT, "reading waits" },
        { ENTRY_LINE, "xattr" },
        { ENTRY_ADMIN, "the administrator\\(aqs to read" },
};

/* No line of a text may begin with what roff takes for a request, and a backslash is its own. */
static void man_text(FILE *f, const char *text)
{
        if (text[0] == '.' || text[0] == '\'')
                (void)fputs("\\&", f);
        for (; *text; text++)
                (void)(*text == '\\' ? fputs("\\e", f) : fputc(*text, f));
}

/* What may be done in a directory of that kind. */
static void man_verbs(const struct man *man, const struct dir_kind *kind)
{
        const struct {
                bool there;
                const char *word;
        } verbs[] = {
                { kind->make, "mkdir" },
                { kind->create, "cp of a file" },
                { kind->rename, "mv" },
                { kind->remove, "rmdir" },
        };

        for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
                if (verbs[i].there)
                        (void)fprintf(man->f, ", %s", verbs[i].word);
}

static void man_entry(const struct man *man, const struct entry *e)
{
        (void)fprintf(man->f, ".It Pa %s%s\n(%04o", e->name, e->dir ? "/" : "", (unsigned)e->mode);
        if (e->dir)
                man_verbs(man, tree_kind(e->dir));
        if (e->store)
                (void)fputs(e->show || e->text ? ", written" : ", written, reads as empty", man->f);
        if (e->visible)
                (void)fputs(", not always there", man->f);
        for (size_t i = 0; i < sizeof(flag_words) / sizeof(flag_words[0]); i++)
                if (e->flags & flag_words[i].flag)
                        (void)fprintf(man->f, ", %s", flag_words[i].words);
        (void)fputs(")\n", man->f);
        man_text(man->f, e->help);
        (void)fputc('\n', man->f);
}

static void man_kind(struct man *man, enum node_kind k, const char *path)
{
        const struct dir_kind *kind = tree_kind(k);
        char below[PATH_SIZE];

        if (man->done[k])
                return;
        man->done[k] = true;
        if (kind->entries) {
                (void)fprintf(man->f, ".Ss %s\n.Bl -tag -width device-mapping -compact\n", path);
                for (const struct entry *e = kind->entries; e->name; e++)
                        man_entry(man, e);
                (void)fputs(".El\n", man->f);
        }
        for (const struct entry *e = kind->entries; e && e->name; e++) {
                /* the classes hold the same kind of image, and private/ has most that can be done with one */
                if (!e->dir || (e->dir == KIND_IMAGES && e->arg != CLASS_PRIVATE))
                        continue;
                (void)snprintf(below, sizeof(below), "%s%s/", path, e->name);
                man_kind(man, e->dir, below);
        }
        if (kind->child != KIND_NONE) {
                (void)snprintf(below, sizeof(below), "%s%s/", path, kind->child_name);
                man_kind(man, kind->child, below);
        }
}

void tree_man_print(FILE *f)
{
        struct man man = { .f = f };

        man_kind(&man, KIND_ROOT, "/");
}
