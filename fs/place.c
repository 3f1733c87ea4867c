/* SPDX-License-Identifier: MIT */

#include "fs/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "model/model.h"

static int name_of(const char *address, struct diag *diag, char **ret)
{
        const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
        CLEANUP_FREE char *base = NULL;
        int n;

        if (state && state[0] == '/')
                n = asprintf(&base, "%s/imagefs", state);
        else if (getuid() == 0)
                n = asprintf(&base, "/var/lib/imagefs");
        else if (home && home[0] == '/')
                n = asprintf(&base, "%s/.local/state/imagefs", home);
        else
                return diag_set(diag, -ENOENT, "where is what this host has of the library? Set HOME, or XDG_STATE_HOME");
        return n < 0 ? -ENOMEM : model_directory_of(base, address, diag, ret);
}

int place_of(const char *address, struct diag *diag, char **ret)
{
        int r;

        r = name_of(address, diag, ret);
        return r < 0 ? r : model_make_above(*ret, diag);
}

int place_find(const char *word, struct diag *diag, char **ret)
{
        int r;

        if (!model_is_address(word)) {
                *ret = strdup(word);
                return *ret ? 0 : -ENOMEM;
        }
        r = name_of(word, diag, ret);
        explicit_bzero((char *)(uintptr_t)word, strlen(word));
        if (r == 0 && access(*ret, F_OK) < 0 && errno == ENOENT)
                return diag_set(diag, -ENOENT, "%s: this host has nothing of that library: mount it by that address, which makes it", *ret);
        return r;
}
