/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_HOSTS_H
#define MODEL_CORE_HOSTS_H

/* Which hosts serve the library. */

#include <stdint.h>

struct model;

struct host {
        const char *name, *version, *directory; /* borrowed until the callback returns */
        int64_t lease_us; /* until when it serves unless it renews that; 0: it has no lease */
};

/*
 * Calls FN for the host that serves, first, and each that did. Where the catalogue is in a directory that is this one alone, which
 * needs no lease. Stops at a negative value, which it gives.
 */
typedef int host_fn(void *ctx, const struct host *host);
int host_each(struct model *m, host_fn *fn, void *ctx);

#endif
