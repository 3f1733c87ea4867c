/* SPDX-License-Identifier: MIT */
/*
 * A few sentences, of which the one that was said longest ago makes room for the next: as many as there may be blob stores
 * out of order at a time. With more of them each is said more often, and nothing is kept back that was never said.
 */

#include "fs/ops/repeats.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/lock.h"

#define REPEATS_MAX 32

struct said {
        char *text; /* NULL: none */
        int64_t at_us;
        uint64_t kept_back;
};

struct repeats {
        pthread_mutex_t mutex; /* of the rest; a leaf */
        struct said all[REPEATS_MAX];
};

int repeats_new(struct repeats **ret)
{
        struct repeats *r = calloc(1, sizeof(*r));

        if (!r)
                return -ENOMEM;
        (void)pthread_mutex_init(&r->mutex, NULL); /* cannot fail without attributes */
        *ret = r;
        return 0;
}

void repeats_free(struct repeats *r)
{
        if (!r)
                return;
        for (size_t i = 0; i < REPEATS_MAX; i++)
                free(r->all[i].text);
        (void)pthread_mutex_destroy(&r->mutex);
        free(r);
}

/* That of TEXT, or the one that makes room for it. */
static struct said *find(struct repeats *r, const char *text)
{
        struct said *oldest = &r->all[0];

        for (size_t i = 0; i < REPEATS_MAX; i++) {
                struct said *s = &r->all[i];

                if (s->text && strcmp(s->text, text) == 0)
                        return s;
                if (oldest->text && (!s->text || s->at_us < oldest->at_us))
                        oldest = s;
        }
        free(oldest->text);
        *oldest = (struct said){ .text = strdup(text), .at_us = INT64_MIN };
        return oldest;
}

bool repeats_may_say(struct repeats *r, const char *text, int64_t now_us, uint64_t *ret_before)
{
        struct said *s;
        LOCK_SCOPE(&r->mutex);

        s = find(r, text);
        if (s->at_us != INT64_MIN && now_us - s->at_us < INT64_C(1000000) * REPEATS_SECONDS) {
                s->kept_back++;
                return false;
        }
        *ret_before = s->kept_back;
        s->kept_back = 0;
        s->at_us = now_us;
        return true;
}
