/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_FOLLOW_H
#define MODEL_INTAKE_FOLLOW_H

/*
 * Following an upstream: an address that is looked at now and then, and whose file is imported when it has changed. What is
 * imported is an image as any other, its owner's; the newest of them are kept.
 *
 *      idle ──due, or `now`──► running ──► idle          nothing new, or an image more
 *                                 └──────► error         it says why; the next run is at its time
 *      idle, error ──paused──► paused ──idle──► idle
 */

#include "blobstore/base/strbuf.h"
#include "model/image/image.h"
#include "model/intake/fetch.h"

enum follow_status { FOLLOW_IDLE, FOLLOW_RUNNING, FOLLOW_ERROR, FOLLOW_PAUSED, FOLLOW_STATUS_COUNT };

const char *follow_status_name(enum follow_status s); /* static */

struct follow {
        struct object o;
        uint64_t region;
        char url[FETCH_SHOWN_MAX + 1]; /* as far as it may be shown, as the next one; "" where there is none */
        char sums[FETCH_SHOWN_MAX + 1];
        uint64_t every_hours;
        uint64_t keep;
        char family[NAME_LEN_MAX + 1];
        enum follow_status status;
        char error[DIAG_TEXT_MAX]; /* what the last run has to say */
        int64_t ended_us, last_run_us, next_run_us; /* 0: not yet, or not at all */
};

int follow_get(struct model *m, uint64_t id, struct follow *ret); /* -ENOENT */
int follow_get_object(struct model *m, uint64_t id, struct object *ret);
int follow_find(struct model *m, uint64_t region, const char *handle, struct object *ret);
int follow_each(struct model *m, uint64_t region, object_fn *fn, void *ctx);

/* -EDQUOT: the user has as many in the region as info/limits lets her. */
int follow_create(struct model *m, const struct caller *c, uint64_t region, const char *handle, struct diag *diag,
                  uint64_t *ret);
/* The images stay. -EBUSY while it is running. */
int follow_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag);
int follow_rename(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag);

/* Those that it imported and that are in private/. */
int follow_each_image(struct model *m, uint64_t id, object_fn *fn, void *ctx);

/* As written to the files. "" for an address, a keyring or a family: none. -EINVAL, -EBUSY while it is running. */
int follow_set_url(struct model *m, const struct caller *c, uint64_t id, const char *text, struct diag *diag);
int follow_set_sums(struct model *m, const struct caller *c, uint64_t id, const char *text, struct diag *diag);
int follow_set_every(struct model *m, uint64_t id, const char *text, struct diag *diag);
int follow_set_keep(struct model *m, uint64_t id, const char *text, struct diag *diag);
int follow_set_family(struct model *m, uint64_t id, const char *text, struct diag *diag);
int follow_set_status(struct model *m, uint64_t id, const char *text, struct diag *diag);
/* N bytes, armoured or not. 1: they end before their end, and nothing was set. */
int follow_set_keyring(struct model *m, uint64_t id, const char *bytes, size_t n, struct diag *diag);
/* Armoured. */
int follow_add_keyring(struct model *m, uint64_t id, struct strbuf *out);

/* "now", as written to run. */
int follow_start(struct model *m, uint64_t id, const char *text, struct diag *diag);

#endif
