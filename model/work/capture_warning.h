/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_CAPTURE_WARNING_H
#define MODEL_WORK_CAPTURE_WARNING_H

/* What the owner of an image made of an instance should know before making a machine of it. Private to model/. */

#include "model/core/state.h"
#include "model/machine/instance.h"

struct capture_look {
        struct model *m;
        uint64_t instance;
        bool (*stays)(void *ctx, const struct volume *v); /* does it go along into the image? */
        int (*go_on)(void *ctx); /* asked now and then: 0, -ECANCELED or -EINTR */
        void *ctx;
};

/*
 * Adds a sentence to RET where the /etc/fstab of the instance asks for disks that do not go along. That there is none
 * is not promised: what cannot be found out is no reason to fail. The only errors are GO_ON's.
 */
int capture_look(const struct capture_look *what, struct strbuf *ret);

#endif
