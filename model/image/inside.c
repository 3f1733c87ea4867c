/* SPDX-License-Identifier: MIT */

/*
 * Answers are kept until others need their room, the one that was asked for longest ago going first. What could not be
 * told is kept as well, but where that was too much for the child: that is asked again after a hundred times as long as
 * it took, since it may have been the machine that was busy.
 */

#include "model/image/inside.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/parse.h"
#include "model/image/image_disk_row.h"
#include "model/image/inside_row.h"

#define KEPT_MAX       512
#define KEPT_BYTES_MAX ((size_t)4 << 20)
#define KEPT_ONE_MAX   (KEPT_BYTES_MAX / 8)
#define PATIENCE       100

_Static_assert(INSIDE_DISKS_MAX == DISKS_MAX, "each of an image's disks has its place");

enum question { PARTS, PACKAGES };

struct kept_answer {
        TAILQ_ENTRY(kept_answer) link;
        enum question question;
        bool snapshot;
        uint64_t id;
        int error; /* 0, or why there are no bytes */
        int64_t again_us; /* by the monotonic clock: not good any more after this; 0: always */
        size_t n;
        char bytes[];
};

struct insides {
        pthread_mutex_t mutex; /* of all below */
        TAILQ_HEAD(kept_answers, kept_answer) kept; /* what was asked for last is the first */
        size_t n, bytes;
};

int insides_new(struct insides **ret)
{
        struct insides *is = calloc(1, sizeof(*is));

        if (!is)
                return -ENOMEM;
        (void)pthread_mutex_init(&is->mutex, NULL); /* cannot fail without attributes */
        TAILQ_INIT(&is->kept);
        *ret = is;
        return 0;
}

/* With the mutex, as in the next. */
static void drop(struct insides *is, struct kept_answer *a)
{
        TAILQ_REMOVE(&is->kept, a, link);
        is->n--;
        is->bytes -= a->n;
        free(a);
}

void insides_free(struct insides *is)
{
        if (!is)
                return;
        while (!TAILQ_EMPTY(&is->kept))
                drop(is, TAILQ_FIRST(&is->kept));
        (void)pthread_mutex_destroy(&is->mutex);
        free(is);
}

static int64_t now_us(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct kept_answer *find(struct insides *is, const struct inside_subject *s, enum question q)
{
        struct kept_answer *a;

        TAILQ_FOREACH(a, &is->kept, link) {
                if (a->id == s->id && a->snapshot == s->snapshot && a->question == q)
                        return a;
        }
        return NULL;
}

static bool find_kept(struct insides *is, const struct inside_subject *s, enum question q, struct strbuf *out,
                      int *ret_error)
{
        struct kept_answer *a;
        LOCK_SCOPE(&is->mutex);

        a = find(is, s, q);
        if (!a || (a->again_us && now_us() >= a->again_us))
                return false;
        TAILQ_REMOVE(&is->kept, a, link);
        TAILQ_INSERT_HEAD(&is->kept, a, link);
        strbuf_add_bytes(out, a->bytes, a->n);
        *ret_error = a->error;
        return true;
}

/* Without memory for it, nothing is kept. */
static void keep(struct insides *is, const struct inside_subject *s, enum question q, int error, int64_t again_us,
                 const char *bytes, size_t n)
{
        struct kept_answer *new = n > KEPT_ONE_MAX ? NULL : malloc(sizeof(*new) + n), *old;
        LOCK_SCOPE(&is->mutex);

        if (!new)
                return;
        *new = (struct kept_answer){ .question = q, .snapshot = s->snapshot, .id = s->id, .error = error,
                                     .again_us = again_us, .n = n };
        if (n)
                memcpy(new->bytes, bytes, n);
        old = find(is, s, q);
        if (old)
                drop(is, old);
        while (is->n >= KEPT_MAX || is->bytes + n > KEPT_BYTES_MAX)
                drop(is, TAILQ_LAST(&is->kept, kept_answers));
        TAILQ_INSERT_HEAD(&is->kept, new, link);
        is->n++;
        is->bytes += n;
}

/* ---- which disks ---- */

struct gather {
        struct inside_subject *subject;
        size_t n;
};

static void fill_subject(struct inside_subject *s, const struct image_disk *d)
{
        *s = (struct inside_subject){ .id = d->id, .system = d->system, .blob = d->blob, .created_us = d->created_us };
        memcpy(s->device, d->device, sizeof(s->device));
}

static int add_subject(void *ctx, const struct image_disk *d)
{
        struct gather *g = ctx;

        if (!d->has_blob)
                return 0;
        if (g->n == INSIDE_DISKS_MAX)
                return -E2BIG;
        fill_subject(&g->subject[g->n++], d);
        return 0;
}

static int snapshot_subject(struct model *m, uint64_t id, struct inside_subject *ret)
{
        struct snapshot s;
        int r;

        r = snapshot_get(m, id, &s);
        if (r < 0)
                return r;
        if (!s.available)
                return -ENOENT;
        *ret = (struct inside_subject){ .snapshot = true, .id = id, .device = "vda", .system = true, .blob = s.blob,
                                        .created_us = s.o.created_us };
        return 0;
}

int inside_subjects(struct model *m, bool snapshot, uint64_t id, struct inside_subject ret[INSIDE_DISKS_MAX],
                    size_t *ret_n)
{
        struct gather g = { .subject = ret };
        int r;

        r = snapshot ? snapshot_subject(m, id, ret) : image_disk_each(m, id, add_subject, &g);
        if (r < 0 && !(snapshot && r == -ENOENT))
                return r;
        *ret_n = snapshot ? r == 0 : g.n;
        return 0;
}

int inside_subject_get(struct model *m, bool snapshot, uint64_t id, struct inside_subject *ret)
{
        struct image_disk d;
        uint64_t image;
        int r;

        if (snapshot)
                return snapshot_subject(m, id, ret);
        r = image_disk_get(m, id, &d, &image);
        if (r < 0)
                return r;
        if (!d.has_blob)
                return -ENOENT;
        fill_subject(ret, &d);
        return 0;
}

/* ---- looking ---- */

struct look {
        struct blob *blob;
        const struct inside_asker *asker;
};

static void look_done(struct look *l)
{
        blob_close(l->blob);
}

static int read_blob(void *ctx, void *buf, size_t n, uint64_t off)
{
        const struct look *l = ctx;
        ssize_t got;
        int r;

        r = l->asker->go_on(l->asker->ctx);
        if (r < 0)
                return r;
        got = blob_pread(l->blob, buf, n, off);
        return got < 0 ? (int)got : (size_t)got == n ? 0 : -EBADMSG;
}

static int ask(const struct inside_disk *disk, enum question q, struct strbuf *out)
{
        CLEANUP_FREE struct inside_parts *parts = NULL;
        int r;

        if (q == PACKAGES)
                return inside_list_packages(disk, out);
        parts = malloc(sizeof(*parts));
        if (!parts)
                return -ENOMEM;
        r = inside_find_partitions(disk, parts);
        if (r == 0)
                strbuf_add_bytes(out, parts->part, parts->n * sizeof(parts->part[0]));
        return r < 0 ? r : strbuf_error(out);
}

int inside_refuse(int error, struct diag *diag)
{
        switch (error) {
        case -ENOENT:
                return diag_set(diag, -EOPNOTSUPP,
                                "imagefs-inside, which looks into disks, is not installed with this imagefs");
        case -EOPNOTSUPP:
                return diag_set(diag, -EOPNOTSUPP,
                                "disks are looked into by a confined program only, and this kernel has no Landlock");
        case -ENOPKG:
                return diag_set(diag, -EOPNOTSUPP, "imagefs was built without libext2fs, which reads file systems");
        case -ENODATA:
                return diag_set(diag, -EOPNOTSUPP, "no packages of dpkg, rpm (with sqlite) or apk are in its file systems");
        case -ENOMEDIUM:
                return diag_set(diag, -EOPNOTSUPP,
                                "it has no file system that can be read here, in a partition or as a whole: ext2, ext3, ext4");
        case -EUCLEAN:
                return diag_set(diag, -EIO, "it could not be read to its end: what is in the disk is damaged, or too much");
        case -EBADMSG:
                return diag_set(diag, -EIO, "stored data is damaged: restore it from a copy, imagefs check names what "
                                "else is concerned");
        default:
                return error;
        }
}

/* What will be the same the next time. */
static bool is_found(int r)
{
        return r == 0 || r == -ENODATA || r == -ENOMEDIUM || r == -EUCLEAN;
}

static int get(struct model *m, const struct inside_subject *s, enum question q, const struct inside_asker *asker,
               struct diag *diag, struct strbuf *out)
{
        CLEANUP(look_done) struct look look = { .asker = asker };
        struct inside_disk disk = { .size_bytes = s->blob.size_bytes, .read = read_blob, .ctx = &look };
        const int64_t begun_us = now_us();
        int64_t again_us = 0;
        int r;

        if (find_kept(m->insides, s, q, out, &r))
                return inside_refuse(r, diag);
        r = s->snapshot ? snapshot_open(m, s->id, diag, &look.blob) : image_disk_open(m, s->id, diag, &look.blob);
        if (r < 0)
                return r;
        r = ask(&disk, q, out);
        if (r == -EUCLEAN)
                again_us = begun_us + (now_us() - begun_us) * PATIENCE;
        if (is_found(r))
                keep(m->insides, s, q, r, again_us, out->text, r == 0 ? out->len : 0);
        return inside_refuse(r, diag);
}

int inside_get_parts(struct model *m, const struct inside_subject *s, const struct inside_asker *asker,
                     struct diag *diag, struct inside_parts **ret)
{
        CLEANUP_STRBUF struct strbuf bytes = { 0 };
        struct inside_parts *parts;
        int r;

        r = get(m, s, PARTS, asker, diag, &bytes);
        if (r == 0)
                r = strbuf_error(&bytes);
        if (r < 0)
                return r;
        parts = malloc(sizeof(*parts));
        if (!parts)
                return -ENOMEM;
        parts->n = bytes.len / sizeof(parts->part[0]);
        memcpy(parts->part, strbuf_text(&bytes), bytes.len);
        *ret = parts;
        return 0;
}

int inside_get_packages(struct model *m, const struct inside_subject *s, const struct inside_asker *asker,
                        struct diag *diag, struct strbuf *out)
{
        CLEANUP_STRBUF struct strbuf lines = { 0 };
        int r;

        r = get(m, s, PACKAGES, asker, diag, &lines);
        if (r == 0)
                r = strbuf_error(&lines);
        if (r == 0)
                strbuf_add_bytes(out, lines.text, lines.len);
        return r;
}

/* ---- the table ---- */

/* As udev has labels, so that a line is words: spaces, backslashes and what is no text are \x and two digits. */
static void add_label(struct strbuf *out, const char *label)
{
        const bool clean = text_is_clean(label, strlen(label));

        for (const unsigned char *p = (const unsigned char *)label; *p; p++) {
                if ((*p > ' ' && *p <= '~' && *p != '\\') || (*p >= 0x80 && clean))
                        strbuf_add_bytes(out, p, 1);
                else
                        strbuf_addf(out, "\\x%02x", *p);
        }
}

void inside_add_part(struct strbuf *out, const char *device, const struct inside_part *p)
{
        strbuf_add(out, device);
        if (p->number)
                strbuf_addf(out, "%u", p->number);
        strbuf_addf(out, " start=%llu size=%llu type=%s fs=%s label=", (unsigned long long)p->off,
                    (unsigned long long)p->len, p->type, p->fs);
        add_label(out, p->label);
        strbuf_addf(out, " uuid=%s\n", p->uuid);
}
