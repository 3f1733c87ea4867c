/* SPDX-License-Identifier: MIT */
/* In place of pull.c, for a build without libcurl. */

#include <errno.h>

#include "model/intake/pull.h"

bool pull_is_supported(void)
{
        return false;
}

int pull_run(const struct pull *pull, struct strbuf *reason)
{
        (void)pull;
        strbuf_add(reason, "this imagefs was built without libcurl: fetch the file yourself, and cp it to upload");
        return -EOPNOTSUPP;
}
