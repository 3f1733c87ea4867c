/* SPDX-License-Identifier: MIT */

#include "fs/ops/reply.h"

#include <inttypes.h>
#include <string.h>

#include "blobstore/base/log.h"
#include "fs/ops/attr.h"
#include "fs/ops/permit.h"
#include "fs/ops/repeats.h"
#include "fs/tree/dir.h"
#include "fs/tree/guest.h"
#include "fs/tree/path.h"
#include "fs/tree/tree.h"
#include "fs/tree/watch.h"
#include "fs/tree/ways.h"
#include "model/core/user_name.h"

void reply_error(struct req *rq, int error)
{
        /* the store's own word for damage is not one that users know */
        if (error == -EBADMSG || error == -EHOSTDOWN)
                error = -EIO;
        (void)fuse_reply_err(rq->fuse, -error); /* fails only when nobody waits for the answer any more */
}

/* The object whose last-error is to say it. */
struct answerable {
        enum object_kind kind; /* OBJECT_NONE: there is none */
        uint64_t id;
        char device[8]; /* of an instance's own disk, which has no directory to have a last-error in */
        bool shared; /* seen where those have it that it is shared with */
        bool open; /* may the caller know its name, as it is now? */
};

/* By then it has been said why something is refused: what is asked here would say it otherwise. */
static bool reply_is_open(struct req *rq, const struct dir_kind *kind, const struct object *o)
{
        if (rq->caller.admin)
                return true;
        if (kind->enter && kind->enter(rq, o) < 0)
                return false;
        return kind->mode || object_allows(o, &rq->caller, PERMIT_SEARCH);
}

static void reply_find_answerable(struct req *rq, struct node n, struct answerable *ret)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        const struct volume *v;
        struct object o;

        *ret = (struct answerable){ .kind = OBJECT_NONE };
        if (attr_object(rq, n, &o) < 0)
                return;
        ret->kind = kind->object_kind;
        ret->id = o.id;
        ret->shared = kind->enter && ret->kind == OBJECT_IMAGE && shared_shows(&o);
        ret->open = reply_is_open(rq, kind, &o);
        if (ret->kind != OBJECT_VOLUME || req_volume(rq, o.id, &v) < 0 || v->cloud)
                return;
        ret->kind = OBJECT_INSTANCE;
        ret->id = v->instance;
        (void)snprintf(ret->device, sizeof(ret->device), "%s", v->device);
}

/*
 * A disk of its own that is attached has two names, and the kernel does not say by which one it was come to: the machine
 * that it is in says it, too. false: it is no such disk.
 */
static bool reply_find_machine(struct req *rq, struct node n, const struct answerable *a, struct answerable *ret)
{
        const struct entry *entry = tree_entry(n);
        const struct volume *v;

        if (a->kind != OBJECT_VOLUME || rq->doing.name || !entry || !(entry->flags & ENTRY_DISK) ||
            req_volume(rq, a->id, &v) < 0 || !v->instance)
                return false;
        *ret = (struct answerable){ .kind = OBJECT_INSTANCE, .id = v->instance, .open = a->open };
        (void)snprintf(ret->device, sizeof(ret->device), "%s", v->device);
        return true;
}

static void reply_add_dir(struct strbuf *out, struct node dir, uint64_t id)
{
        const char *name = tree_subdir_name(dir, id);

        if (name)
                strbuf_addf(out, "%s/", name);
        else if (guest_is_node(dir)) /* what is known of a file there is its number */
                strbuf_add(out, "guest/…/");
}

/* A name that could be one, whole; of others the beginning. */
static void reply_add_name(struct strbuf *out, const char *name)
{
        size_t n = text_fit(name, NAME_LEN_MAX);

        strbuf_add_bytes(out, name, n);
        if (name[n])
                strbuf_add(out, "…");
}

/* What it was done to, where the object's directory is the working directory; "" is that directory itself. */
static void reply_add_relative(const struct req *rq, struct node n, const struct answerable *a, struct strbuf *out)
{
        const struct doing *d = &rq->doing;
        const struct entry *entry = tree_entry(n);

        if (d->name) {
                if (tree_kind(d->in.kind) && tree_kind(d->in.kind)->object_kind == a->kind)
                        reply_add_dir(out, d->in, a->id);
                reply_add_name(out, d->name);
        } else if (a->device[0]) {
                strbuf_addf(out, "disks/%s.raw", a->device);
        } else {
                reply_add_dir(out, (struct node){ .kind = n.kind, .oid = n.oid }, a->id);
                if (entry)
                        strbuf_add(out, entry->name);
                else if (out->len > 0)
                        out->text[--out->len] = '\0';
        }
}

static const char *reply_verb(const struct req *rq)
{
        return rq->doing.verb ?: "use";
}

/* What was done, in the words of last-error. */
static void reply_operation(const struct req *rq, struct node n, const struct answerable *a, struct diag *ret)
{
        CLEANUP_STRBUF struct strbuf path = { 0 };

        reply_add_relative(rq, n, a, &path);
        if (rq->doing.to) {
                strbuf_add(&path, " to ");
                reply_add_name(&path, rq->doing.to);
        }
        (void)diag_set(ret, -EINVAL, "%s%s%s", reply_verb(rq), path.len ? " " : "", strbuf_text(&path));
}

/* ---- the log ---- */

/* NAME in DIR, from the mount on. */
static void reply_add_path_in(struct req *rq, struct node dir, const char *name, struct strbuf *out)
{
        struct answerable a;

        reply_find_answerable(rq, dir, &a);
        (void)path_add(rq, a.kind, a.id, a.shared, out); /* gone meanwhile: the name alone is left */
        strbuf_add(out, "/");
        reply_add_dir(out, dir, a.id);
        reply_add_name(out, name);
}

void reply_add_path(struct req *rq, struct node n, struct strbuf *out)
{
        CLEANUP_STRBUF struct strbuf relative = { 0 };
        const struct doing *d = &rq->doing;
        struct answerable a;

        if (d->name) {
                reply_add_path_in(rq, d->in, d->name, out);
        } else {
                reply_find_answerable(rq, n, &a);
                (void)path_add(rq, a.kind, a.id, a.shared, out); /* likewise */
                reply_add_relative(rq, n, &a, &relative);
                strbuf_addf(out, "%s%s", relative.len || !out->len ? "/" : "", strbuf_text(&relative));
        }
        if (d->to) {
                strbuf_add(out, " to ");
                reply_add_path_in(rq, d->to_in, d->to, out);
        }
}

/* Of a store that is offline it is said once; of what else fails, once of each. */
static bool reply_may_say(struct req *rq, const char *path, const char *sentence, uint64_t *ret_before)
{
        CLEANUP_STRBUF struct strbuf what = { 0 };

        if (rq->diag.of_store)
                strbuf_add(&what, sentence);
        else
                strbuf_addf(&what, "%s: %s", path, sentence);
        return strbuf_error(&what) || repeats_may_say(rq->fs->repeats, strbuf_text(&what), watch_now_us(), ret_before);
}

/* Whole paths, for who reads what everybody did; ERROR 0: it was accepted. */
static void reply_log(struct req *rq, struct node n, int level, int error, const char *sentence)
{
        CLEANUP_STRBUF struct strbuf path = { 0 };
        char user[NAME_LEN_MAX + 1], before[64] = "";
        uint64_t n_before = 0;

        if (!log_shows(level))
                return;
        reply_add_path(rq, n, &path);
        if (level == LOG_ERR && !reply_may_say(rq, strbuf_text(&path), sentence, &n_before))
                return;
        if (n_before > 0)
                (void)snprintf(before, sizeof(before), " (and %" PRIu64 " times before)", n_before);
        user_name_soon(rq->fs->model, rq->caller.uid, user, sizeof(user));
        if (error)
                log_write(level, 0, "%s: %s %s: %s: %s%s", user, reply_verb(rq), strbuf_text(&path),
                          strerrorname_np(-error) ?: "E?", sentence, before);
        else
                log_write(level, 0, "%s: %s %s", user, reply_verb(rq), strbuf_text(&path));
}

/* What only the machine can be the cause of is for the administrator. */
static int reply_level(int error)
{
        return error == -EIO || error == -EBADMSG || error == -ENOMEM ? LOG_ERR : LOG_DEBUG;
}

void reply_refusal(struct req *rq, struct node n, int error)
{
        CLEANUP_STRBUF struct strbuf path = { 0 };
        const char *sentence = rq->diag.text;
        struct diag operation = { 0 }, in_machine = { 0 };
        struct answerable a, machine;
        char trouble[512];

        if (error == -EHOSTDOWN) /* the store's own word for a bucket that is away, likewise */
                error = diag_set(&rq->diag, -EIO, "the bucket that this lies in does not answer, or refuses: info/health says "
                                 "which one, and why");
        if (error == -EINTR) { /* who asked has gone */
                reply_error(rq, error);
                return;
        }
        user_name_in_soon(rq->fs->model, &rq->diag);
        if (!rq->diag.error && error == -EIO && model_catalogue_trouble(rq->fs->model, trouble, sizeof(trouble)))
                (void)diag_set(&rq->diag, error, "%s", trouble);
        if (!rq->diag.error)
                (void)diag_set(&rq->diag, error, "%s: %s", strerror(-error), ways_out(error));
        reply_find_answerable(rq, n, &a);
        reply_operation(rq, n, &a, &operation);
        if (a.open && path_add(rq, a.kind, a.id, a.shared, &path) == 0 && !path.len)
                strbuf_add(&path, "/");
        counts_add(&rq->fs->counts, COUNT_REFUSALS, 1);
        refusal_record(rq->fs->model, &rq->caller, a.kind, a.id, error, strbuf_text(&path), operation.text, sentence);
        if (reply_find_machine(rq, n, &a, &machine)) {
                reply_operation(rq, n, &machine, &in_machine);
                refusal_record_last(rq->fs->model, &rq->caller, machine.kind, machine.id, error, in_machine.text, sentence);
        }
        reply_log(rq, n, reply_level(error), error, sentence);
        reply_error(rq, error);
}

void reply_done(struct req *rq, struct node n)
{
        struct answerable a, machine;

        reply_log(rq, n, LOG_INFO, 0, NULL);
        if (!refusal_is_told(rq->fs->model, &rq->caller))
                return;
        reply_find_answerable(rq, n, &a);
        if (a.kind != OBJECT_NONE)
                refusal_over(rq->fs->model, &rq->caller, a.kind, a.id);
        if (reply_find_machine(rq, n, &a, &machine))
                refusal_over(rq->fs->model, &rq->caller, machine.kind, machine.id);
}

void reply_data(struct req *rq, const char *bytes, size_t n)
{
        counts_add(&rq->fs->counts, COUNT_READ_BYTES, n);
        (void)fuse_reply_buf(rq->fuse, bytes, n);
}

void reply_taken(struct req *rq, size_t n)
{
        counts_add(&rq->fs->counts, COUNT_WRITTEN_BYTES, n);
        (void)fuse_reply_write(rq->fuse, n);
}

int reply_fill_entry(struct req *rq, struct node n, const struct object *o, struct fuse_entry_param *ret)
{
        int r;

        *ret = (struct fuse_entry_param){ .ino = node_ino(n), .generation = node_generation(n) };
        r = attr_get(rq, n, o && o->id ? o : NULL, &ret->attr, &ret->attr_timeout);
        if (r < 0)
                return r;
        ret->entry_timeout = attr_entry_timeout(n, ret->attr_timeout);
        return 0;
}
