/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_PULL_H
#define MODEL_INTAKE_PULL_H

/*
 * One try to get a file, or the rest of one, from a server. What is worth another try and when is its caller's to
 * decide. Private to model/.
 */

#include <stdbool.h>
#include <stdint.h>

#include "blobstore/base/strbuf.h"
#include "model/intake/url.h"

#define PULL_SIZE_UNKNOWN UINT64_MAX

/* What a server says of a file, by which to know it again. */
struct pull_version {
        char etag[256]; /* "" without one, as the next */
        char modified[64];
        uint64_t size;
};

struct pull {
        const struct url *url;
        bool has_sum; /* what came is going to be checked: https may lead to http */
        bool reach_private; /* it may come from this machine and the networks of the site */
        unsigned stall_s; /* a server that sends next to nothing for that long is given up */

        uint64_t have; /* bytes that are there, of the version that follows; 0: from the start */
        struct pull_version version;
        bool unless_same; /* nothing is wanted of that version */

        /* All of these may end the try with a negative errno, which is returned. */
        int (*begin)(void *ctx, uint64_t off, const struct pull_version *v); /* bytes from OFF on come: HAVE or 0 */
        int (*write)(void *ctx, const void *bytes, size_t n);
        int (*poll)(void *ctx); /* every second, and more often */
        void *ctx;
};

/*
 * 0: all is there. -EALREADY: it is the same version, as the server tells. -EAGAIN: it may go better later. -ESTALE: what is there is of another version: begin at the start.
 * -EPROTO, -EFBIG: it will not go better; -EOPNOTSUPP: not in this build. REASON has a sentence.
 */
int pull_run(const struct pull *pull, struct strbuf *reason);

/* Can this build do it? */
bool pull_is_supported(void);

#endif
