/* SPDX-License-Identifier: MIT */

#include "fs/ops/reply_buffer.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_key_t reply_buffer_key;
static pthread_once_t reply_buffer_once = PTHREAD_ONCE_INIT;

struct reply_buffer {
        size_t size;
        char bytes[];
};

static void reply_buffer_init(void)
{
        if (pthread_key_create(&reply_buffer_key, free) != 0)
                abort();
}

char *reply_buffer(size_t size)
{
        struct reply_buffer *b;

        (void)pthread_once(&reply_buffer_once, reply_buffer_init); /* cannot fail with a valid control */
        b = pthread_getspecific(reply_buffer_key);
        if (b && b->size >= size)
                return b->bytes;

        free(b);
        b = malloc(sizeof(*b) + size);
        if (b)
                b->size = size;
        if (pthread_setspecific(reply_buffer_key, b) != 0) {
                free(b);
                return NULL;
        }
        return b ? b->bytes : NULL;
}
