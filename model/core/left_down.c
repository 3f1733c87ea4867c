/* SPDX-License-Identifier: MIT */

#include "model/core/left_down.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "model/core/state.h"

#define LEFT_DOWN_FILE "left-down"
#define SENTENCE_MAX   512

int left_down_note(const char *store, const char *sentence)
{
        CLEANUP_CLOSE int fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return write_file_durable(fd, LEFT_DOWN_FILE, sentence, strlen(sentence), 0600);
}

void left_down_recall(struct model *m)
{
        CLEANUP_CLOSE int fd = openat(m->dir_fd, LEFT_DOWN_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        char sentence[SENTENCE_MAX] = { 0 };

        if (fd < 0 || pread_full(fd, sentence, sizeof(sentence) - 1, 0) < 0)
                return;
        sentence[strcspn(sentence, "\n")] = '\0';
        m->left_down = strdup(sentence); /* without memory nobody is told */
        (void)unlinkat(m->dir_fd, LEFT_DOWN_FILE, 0); /* else it is told again, with its time */
}

void left_down_health(struct model *m, model_health_fn *fn, void *ctx)
{
        if (m->left_down && m->left_down[0])
                fn(ctx, m->left_down);
}
