/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/index_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/hash/hash.h"

#define STATE_NAME "state"
#define STATE_MAX 256

/* One line, and a hash of it, since an accident must not make numbers larger or smaller. */
static int state_format(const struct index_state *s, char ret[STATE_MAX])
{
        int n = snprintf(ret, STATE_MAX, "generation %" PRIu64 " token %016" PRIx64 " next-segment %" PRIu64 "\n",
                         s->generation, s->token, s->next_segment);

        return n + snprintf(ret + n, STATE_MAX - (size_t)n, "%016" PRIx64 "\n", hash64(ret, (size_t)n, 0));
}

int index_state_read(int dir_fd, struct index_state *ret)
{
        char text[STATE_MAX] = { 0 }, should[STATE_MAX];
        CLEANUP_CLOSE int fd = -1;
        struct index_state s;
        ssize_t n;

        fd = openat(dir_fd, STATE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        n = pread_full(fd, text, sizeof(text) - 1, 0);
        if (n < 0)
                return (int)n;
        /* What is not what would be written is damaged; so reading it may be lax. */
        if (sscanf(text, "generation %" SCNu64 " token %" SCNx64 " next-segment %" SCNu64, &s.generation, &s.token,
                   &s.next_segment) != 3)
                return -EUCLEAN;
        (void)state_format(&s, should);
        if (strcmp(text, should) != 0)
                return -EUCLEAN;
        *ret = s;
        return 0;
}

int index_state_write(int dir_fd, const struct index_state *state)
{
        char text[STATE_MAX];
        int n = state_format(state, text);

        return write_file_durable(dir_fd, STATE_NAME, text, (size_t)n, 0600);
}
