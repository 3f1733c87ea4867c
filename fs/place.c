/* SPDX-License-Identifier: MIT */

#include "fs/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "model/model.h"

int place_of(const char *address, struct diag *diag, char **ret)
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
