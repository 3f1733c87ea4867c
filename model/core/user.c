/* SPDX-License-Identifier: MIT */

/* Users by name and number, as the machine's user database has them. Tells nothing of who may do what. */

#include "model/core/user.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/parse.h"

#define ENTRY_BYTES_FIRST 1024
#define ENTRY_BYTES_MAX   (1024 * 1024)

/* Looks up by NAME, or by UID where it is NULL; *ret_entry borrows from *ret_buf, to be freed by the caller. */
static int lookup(const char *name, uid_t uid, struct passwd *ret_entry, char **ret_buf)
{
        for (size_t size = ENTRY_BYTES_FIRST; size <= ENTRY_BYTES_MAX; size *= 4) {
                CLEANUP_FREE char *buf = malloc(size);
                struct passwd *found;
                int r;

                if (!buf)
                        return -ENOMEM;
                if (name)
                        r = getpwnam_r(name, ret_entry, buf, size, &found);
                else
                        r = getpwuid_r(uid, ret_entry, buf, size, &found);
                if (r == ERANGE)
                        continue;
                if (r != 0)
                        return -r;
                if (!found)
                        return -ENOENT;
                *ret_buf = TAKE_PTR(buf);
                return 0;
        }
        return -ERANGE;
}

int user_ask_name(uid_t uid, char *buf, size_t size)
{
        CLEANUP_FREE char *entry_buf = NULL;
        struct passwd entry;
        int r;

        r = lookup(NULL, uid, &entry, &entry_buf);
        if (r == 0 && !entry.pw_name[0])
                r = -ENOENT;
        if (r == 0)
                (void)snprintf(buf, size, "%s", entry.pw_name);
        else
                (void)snprintf(buf, size, "%u", uid);
        return r;
}

int user_ask_uid(const char *name, uid_t *ret)
{
        CLEANUP_FREE char *entry_buf = NULL;
        struct passwd entry;
        uint64_t number;
        int r;

        r = lookup(name, 0, &entry, &entry_buf);
        if (r == 0) {
                *ret = entry.pw_uid;
                return 0;
        }
        if (parse_u64(name, &number) < 0)
                return r;
        if (number >= (uid_t)-1) /* which means nobody */
                return -ENOENT;
        *ret = (uid_t)number;
        return 0;
}
