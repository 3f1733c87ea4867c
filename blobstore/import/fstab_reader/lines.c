/* SPDX-License-Identifier: MIT */

/*
 * The lines of /etc/fstab that a starting machine waits for. systemd gives a file system whose device is not there 90
 * seconds and then stops in its emergency shell, and others do much the same; for swap it waits and goes on. Not so
 * for lines with one of the options below. Lines that name no partition or file system that could be told from
 * outside (LVM, a path by hardware, a network) are no concern of this.
 */

#include <mntent.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/import/fstab_reader/reader.h"

static const char *const optional[] = { "noauto", "nofail", "_netdev", "x-systemd.automount" };

static const struct {
        const char *prefix;
        enum tag tag;
} spellings[] = {
        { "UUID=", TAG_UUID },
        { "LABEL=", TAG_LABEL },
        { "PARTUUID=", TAG_PARTUUID },
        { "PARTLABEL=", TAG_PARTLABEL },
        { "/dev/disk/by-uuid/", TAG_UUID },
        { "/dev/disk/by-label/", TAG_LABEL },
        { "/dev/disk/by-partuuid/", TAG_PARTUUID },
        { "/dev/disk/by-partlabel/", TAG_PARTLABEL },
        { "/dev/", TAG_DEVICE }, /* the last, as others begin with it */
};

/* A disk's, or with the number of a partition. */
static bool is_device(const char *text)
{
        return strncmp(text, "vd", 2) == 0 && text[2] >= 'a' && text[2] <= 'z' &&
               strspn(text + 3, "0123456789") == strlen(text + 3);
}

static bool parse_source(const char *source, char value[VALUE_MAX], enum tag *ret_tag)
{
        for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
                size_t n = strlen(spellings[i].prefix);
                const char *text = source + n;
                size_t len;

                if (strncmp(source, spellings[i].prefix, n) != 0)
                        continue;
                len = strlen(text);
                if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
                        text++;
                        len -= 2;
                }
                if (len == 0 || len >= VALUE_MAX)
                        return false;
                memcpy(value, text, len);
                value[len] = '\0';
                *ret_tag = spellings[i].tag;
                return spellings[i].tag != TAG_DEVICE || is_device(value);
        }
        return false;
}

static bool is_optional(const struct mntent *m)
{
        for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
                if (hasmntopt(m, optional[i]))
                        return true;
        }
        return false;
}

void fstab_each_want(char *text, size_t len, want_fn *fn, void *ctx)
{
        char line[4096], value[VALUE_MAX];
        struct mntent m;
        FILE *f;

        f = fmemopen(text, len, "r");
        if (!f)
                return;
        while (getmntent_r(f, &m, line, sizeof(line))) {
                struct want w = { .value = value, .source = m.mnt_fsname, .target = m.mnt_dir };

                w.swap = strcmp(m.mnt_type, "swap") == 0;
                if ((w.swap || w.target[0] == '/') && !is_optional(&m) && parse_source(w.source, value, &w.tag))
                        fn(ctx, &w);
        }
        (void)fclose(f);
}
