/* SPDX-License-Identifier: MIT */

/*
 * What is found in an instance's disks (capture_warning.c) is kept with what it was found of: which disks there are,
 * when they last changed, which of them image-disks selects. Walking tools ask for the size and then for the text, of
 * every instance there is: they find it here. A file system that was made to keep its reader busy is not looked at
 * again soon, whatever is written to it meanwhile.
 *
 * A fixed number of instances has a place here, each in the one that its id says; another takes that over.
 */

#include "model/work/instance_warning.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/strbuf.h"
#include "model/image/image_disk_row.h"
#include "model/image/lifecycle.h"
#include "model/machine/instance_row.h"
#include "model/work/capture_warning.h"
#include "model/work/outlooks.h"

#define PLACES 1024

/* Who was kept busy for longer than this comes back after so many times as long. */
#define BUSY_US  1000000
#define PATIENCE 100

struct outlook {
        uint64_t instance; /* 0: the place is free */
        char *of; /* what it was found of */
        char *text;
        int64_t again_us; /* by the monotonic clock: not before this */
};

struct outlooks {
        pthread_mutex_t mutex;
        struct outlook place[PLACES]; /* under the mutex */
};

int outlooks_new(struct outlooks **ret)
{
        struct outlooks *os = calloc(1, sizeof(*os));

        if (!os)
                return -ENOMEM;
        (void)pthread_mutex_init(&os->mutex, NULL); /* cannot fail without attributes */
        *ret = os;
        return 0;
}

void outlooks_free(struct outlooks *os)
{
        if (!os)
                return;
        for (size_t i = 0; i < PLACES; i++) {
                free(os->place[i].of);
                free(os->place[i].text);
        }
        (void)pthread_mutex_destroy(&os->mutex);
        free(os);
}

/* ---- what is looked at ---- */

struct subject {
        struct model *m;
        struct instance instance;
        struct {
                uint64_t id, size_bytes;
                char device[8];
        } disk[DISKS_MAX];
        size_t n;
        struct strbuf of;
        int64_t changed_us;
};

static void subject_done(struct subject *s)
{
        strbuf_done(&s->of);
}

static int add_disk(void *ctx, const struct volume *v)
{
        struct subject *s = ctx;

        if (s->n == DISKS_MAX)
                return -E2BIG;
        s->disk[s->n].id = v->o.id;
        s->disk[s->n].size_bytes = v->size_bytes;
        memcpy(s->disk[s->n++].device, v->device, sizeof(v->device));
        return 0;
}

/* When the disk was last written to; one that cannot be opened is looked at as one that never changes. */
static int64_t changed_us(struct model *m, uint64_t volume)
{
        struct volume_file *f;
        int64_t us = 0;

        if (volume_open(m, volume, false, NULL, &f) < 0)
                return 0;
        if (volume_disk(f))
                us = disk_get_changed_us(volume_disk(f));
        volume_close(f);
        return us;
}

static int load_subject(struct model *m, uint64_t id, struct subject *s)
{
        int r;

        s->m = m;
        r = instance_get(m, id, &s->instance);
        if (r == 0)
                r = instance_volumes(m, id, add_disk, s);
        if (r < 0)
                return r;
        strbuf_add(&s->of, s->instance.image_disks);
        for (size_t i = 0; i < s->n; i++) {
                const int64_t us = s->disk[i].size_bytes > 0 ? changed_us(m, s->disk[i].id) : 0;

                if (us > s->changed_us)
                        s->changed_us = us;
                strbuf_addf(&s->of, ";%s %llu %llu %lld", s->disk[i].device, (unsigned long long)s->disk[i].id,
                            (unsigned long long)s->disk[i].size_bytes, (long long)us);
        }
        return strbuf_error(&s->of);
}

/* ---- what is kept ---- */

static int64_t now_us(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool find_kept(struct outlooks *os, const struct subject *s, struct strbuf *out)
{
        const struct outlook *o = &os->place[s->instance.o.id % PLACES];
        LOCK_SCOPE(&os->mutex);

        if (o->instance != s->instance.o.id)
                return false;
        if (strcmp(o->of, strbuf_text(&s->of)) != 0 && now_us() >= o->again_us)
                return false;
        strbuf_add(out, o->text);
        return true;
}

/* Without memory for it, nothing is kept. */
static void keep(struct outlooks *os, const struct subject *s, const char *text, int64_t again_us)
{
        struct outlook *o = &os->place[s->instance.o.id % PLACES];
        CLEANUP_FREE char *new_of = strdup(strbuf_text(&s->of));
        CLEANUP_FREE char *new_text = strdup(text);
        LOCK_SCOPE(&os->mutex);

        if (!new_of || !new_text)
                return;
        free(o->of);
        free(o->text);
        *o = (struct outlook){ .instance = s->instance.o.id, .again_us = again_us };
        o->of = TAKE_PTR(new_of);
        o->text = TAKE_PTR(new_text);
}

/* ---- looking ---- */

struct question {
        const struct subject *s;
        int (*go_on)(void *ctx);
        void *ctx;
};

static bool is_selected(void *ctx, const struct volume *v)
{
        const struct question *q = ctx;

        return instance_selects(q->s->instance.image_disks, v);
}

static int ask_go_on(void *ctx)
{
        const struct question *q = ctx;

        return q->go_on(q->ctx);
}

static int look(const struct subject *s, int (*go_on)(void *ctx), void *ctx, struct strbuf *out)
{
        struct question q = { .s = s, .go_on = go_on, .ctx = ctx };
        const struct capture_look what = {
                .m = s->m,
                .instance = s->instance.o.id,
                .stays = is_selected,
                .go_on = ask_go_on,
                .ctx = &q,
        };
        CLEANUP_STRBUF struct strbuf text = { 0 };
        const int64_t begun_us = now_us();
        int64_t took_us;
        int r;

        r = capture_look(&what, &text);
        if (r == 0 && text.len > 0)
                strbuf_add(&text, "\n");
        if (r == 0)
                r = strbuf_error(&text);
        if (r < 0)
                return r;
        took_us = now_us() - begun_us;
        keep(s->m->outlooks, s, strbuf_text(&text), took_us > BUSY_US ? begun_us + took_us * PATIENCE : 0);
        strbuf_add_bytes(out, strbuf_text(&text), text.len);
        return 0;
}

int instance_get_warnings(struct model *m, uint64_t id, int (*go_on)(void *ctx), void *ctx, struct strbuf *out,
                          int64_t *ret_changed_us)
{
        CLEANUP(subject_done) struct subject s = { 0 };
        int64_t of_image_us = 0;
        int r;

        r = load_subject(m, id, &s);
        if (r == 0 && s.n > 0 && !find_kept(m->outlooks, &s, out))
                r = look(&s, go_on, ctx, out);
        if (r == 0 && s.instance.image && s.instance.image_open)
                r = lifecycle_get_warning(m, s.instance.image, out, &of_image_us);
        if (r == 0)
                *ret_changed_us = s.changed_us > of_image_us ? s.changed_us : of_image_us;
        return r;
}
