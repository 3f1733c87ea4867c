/* SPDX-License-Identifier: MIT */
/*
 * What follows from the table of one kind alone: a row by its number, and whether the table is sound.
 */

#include "fs/tree/kind.h"

#include <string.h>

/*
 * A walk, although each getattr of a control file makes one or two: tables have some forty rows at the most, and to go
 * through the longest takes 50 ns, a thousandth of such a request. An index would have to be built at start and handed
 * to all who ask.
 */
const struct entry *kind_entry(const struct dir_kind *kind, unsigned number)
{
        for (const struct entry *e = kind->entries; e && e->name; e++)
                if (e->number == number)
                        return e;
        return NULL;
}

static void kind_require(bool ok, const struct dir_kind *kind, const char *entry, const char *what)
{
        if (ok)
                return;
        (void)fprintf(stderr, "imagefs: the table of %s is wrong at %s: %s\n", kind->name, entry, what);
        abort();
}

static void kind_check_entry(const struct dir_kind *kind, const struct entry *e)
{
        kind_require(e->number > 0 && e->number <= ENTRY_NUMBER_MAX, kind, e->name,
                     "a number that an inode number cannot tell apart");
        kind_require(name_is_valid(e->name), kind, e->name, "not a name");
        kind_require(e->help && e->help[0], kind, e->name, "no help line");
        kind_require(!e->dir || (!e->show && !e->store && !e->blob), kind, e->name, "a directory with content");
        kind_require(!e->text == !e->measure && !(e->text && e->show), kind, e->name, "a long text without a size");
        kind_require(!(e->flags & ENTRY_LINE) || e->show, kind, e->name, "an attribute that cannot be read");
        for (const struct entry *other = kind->entries; other < e; other++) {
                kind_require(strcmp(other->name, e->name) != 0, kind, e->name, "there twice");
                kind_require(other->number != e->number, kind, e->name, "the number of another");
        }
}

void kind_check(const struct dir_kind *kind)
{
        kind_require(kind->object, kind, "its head", "nobody owns it");
        kind_require(!kind->list || kind->find, kind, "its head", "lists what cannot be found");
        kind_require(!kind->is_ready == !kind->make_ready, kind, "its head", "awaits what nobody makes");
        kind_require(!kind->target || kind->child == KIND_NONE, kind, "its head", "links and directories at once");
        for (const struct entry *e = kind->entries; e && e->name; e++)
                kind_check_entry(kind, e);
}
