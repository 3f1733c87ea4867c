/* SPDX-License-Identifier: MIT */

#include "fs/reply_buffer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/tree.h"

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

int reply_buffer_gather(struct fuse_bufvec *in, size_t size, const void **ret)
{
        struct fuse_bufvec out = FUSE_BUFVEC_INIT(size);
        ssize_t n;

        if (in->count == 1 && !(in->buf[0].flags & FUSE_BUF_IS_FD)) {
                *ret = (const char *)in->buf[0].mem + in->off;
                return 0;
        }
        out.buf[0].mem = reply_buffer(size);
        if (!out.buf[0].mem)
                return -ENOMEM;
        n = fuse_buf_copy(&out, in, 0);
        if (n < 0)
                return (int)n;
        *ret = out.buf[0].mem;
        return (size_t)n == size ? 0 : -EIO;
}
