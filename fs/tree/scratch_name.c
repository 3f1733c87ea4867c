/* SPDX-License-Identifier: MIT */

/* By which names temporary files are known, and where there are any. */

#include "fs/tree/scratch.h"

#include <fnmatch.h>

/*
 * What tools call them. Not vim's 4913, which asks whether files can be renamed here as elsewhere: where it cannot be made,
 * vim writes the file itself.
 */
static const char *const names[] = {
        ".*", /* rsync, Ansible, most libraries; vim's .x.swp */
        "sed??????", /* sed -i */
        "tmp.*", /* mktemp */
        "tmp????????", /* Python's tempfile */
        "*.tmp",
        "*~", /* what an editor keeps of the one before */
        "*.part", /* Firefox, curl and others */
        "*.partial", /* rclone */
        "*.crdownload", /* Chromium */
        "*.filepart", /* WinSCP */
};

bool scratch_is_name(const char *name)
{
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (fnmatch(names[i], name, 0) == 0)
                        return true;
        return false;
}

/* What is shared has a file to write, too, but only to say why not. */
static bool has_values(const struct dir_kind *kind)
{
        for (const struct entry *e = kind->entries; e && e->name; e++)
                if (e->store && !(e->flags & (ENTRY_UPLOAD | ENTRY_DISK)))
                        return !kind->enter;
        return false;
}

bool scratch_goes_in(const struct dir_kind *kind)
{
        return kind->draft || has_values(kind);
}
