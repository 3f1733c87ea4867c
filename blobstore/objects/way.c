/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/way.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/objects/s3_place.h"

/* Who reads waits with a machine behind; who writes has the bytes on a disk of ours meanwhile. */
#define READ_DEADLINE_MS  20000
#define WRITE_DEADLINE_MS 60000
#define STALL_MS          10000

static int client_new(const struct s3_place *place, const struct s3_keys *keys, unsigned deadline_ms, struct s3 **ret)
{
        const struct s3_opts opts = { .place = *place, .keys = keys, .deadline_ms = deadline_ms, .stall_ms = STALL_MS };

        return s3_new(&opts, ret);
}

void way_free(struct way *way)
{
        if (!way)
                return;
        s3_free(way->reads);
        s3_free(way->writes);
        free(way);
}

int way_new(const char *place, struct way **ret, struct strbuf *why)
{
        struct s3_place where;
        struct s3_keys keys;
        struct way *way;
        int r;

        if (!s3_is_supported()) {
                strbuf_add(why, "this imagefs was built without libcurl, and knows no buckets");
                return -EOPNOTSUPP;
        }
        r = s3_place_parse(place, &where, why);
        if (r == 0)
                r = s3_keys_find(where.profile, &keys, why);
        if (r < 0)
                return r;
        way = calloc(1, sizeof(*way));
        r = way ? client_new(&where, &keys, READ_DEADLINE_MS, &way->reads) : -ENOMEM;
        if (r == 0)
                r = client_new(&where, &keys, WRITE_DEADLINE_MS, &way->writes);
        explicit_bzero(&keys, sizeof(keys));
        if (r < 0)
                way_free(way);
        else
                *ret = way;
        return r;
}
