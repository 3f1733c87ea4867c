/* SPDX-License-Identifier: MIT */
/*
 * Requests on names.
 *
 * Names are looked up in the tables first, then among what the directory's kind finds. The same name is the same object
 * for every caller: who may not enter is stopped by the mode bits (default_permissions is always on), or where those
 * cannot say it by the answers to all other requests (permit.h), but never by ENOENT, which would throw the entry out
 * of the kernel's cache for everybody.
 */

#include <fcntl.h>
#include <string.h>

#include "fs/ops/alias.h"
#include "fs/ops/attr.h"
#include "fs/ops/grant.h"
#include "fs/ops/guest.h"
#include "fs/ops/guest_node.h"
#include "fs/ops/guest_slots.h"
#include "fs/ops/later.h"
#include "fs/ops/ops_priv.h"
#include "fs/ops/parting.h"
#include "fs/ops/permit.h"
#include "fs/ops/ready.h"
#include "fs/ops/removal.h"
#include "fs/ops/reply.h"
#include "fs/ops/resent.h"
#include "fs/ops/scratch_file.h"
#include "fs/ops/split.h"
#include "fs/tree/parent.h"
#include "fs/tree/scratch.h"
#include "fs/tree/ways.h"

static int ops_resolve_child(struct req *rq, const struct dir_kind *kind, struct node dir, const char *name,
                             struct node *ret, struct object *ret_object)
{
        struct child c = { 0 };
        int r;

        if (!kind->find)
                return -ENOENT;
        r = kind->find(rq, dir.oid, name, &c, ret_object);
        if (r < 0)
                return r;
        *ret = tree_child(dir, &c);
        return 0;
}

static int ops_find(struct req *rq, fuse_ino_t parent, const char *name, struct node *ret, struct object *ret_object)
{
        struct node dir = node_of(parent);
        const struct dir_kind *kind = tree_kind(dir.kind);
        int r;

        ret_object->id = 0;
        if (!kind || dir.row != 0)
                return -ENOTDIR;
        if (parting_find(rq->fs->partings, parent, name, fuse_req_ctx(rq->fuse), ret))
                return 0;
        r = split_find(rq->fs->splits, parent, name, fuse_req_ctx(rq->fuse), ret);
        if (r != 0)
                return r < 0 ? r : 0;

        for (const struct entry *e = kind->entries; e && e->name; e++) {
                if (strcmp(e->name, name) != 0)
                        continue;
                if (e->dir) {
                        *ret = tree_subdir(e, dir);
                        return 0;
                }
                rq->entry = e;
                rq->oid = dir.oid;
                if (e->visible && !e->visible(rq))
                        return -ENOENT;
                *ret = (struct node){ .kind = dir.kind, .row = e->number, .oid = dir.oid };
                return 0;
        }

        r = ops_resolve_child(rq, kind, dir, name, ret, ret_object);
        if (r == -ENOENT && scratch_find(rq->fs->scratches, parent, name, rq->caller.uid, ret))
                return 0;
        if (r == -ENOENT && alias_find(rq->fs->aliases, parent, name, fuse_req_ctx(rq->fuse), ret))
                return 0;
        return r;
}

/*
 * The child of a directory by name: node, and its object where that came along (else ret_object->id is 0). -ENOENT.
 *
 * In a directory that is closed to the caller, sub-directories are found all the same: an error would throw them out
 * of the kernel's cache for everybody, and leave working directories deleted. They are as closed, and the rest is
 * -EACCES.
 */
static int ops_resolve(struct req *rq, fuse_ino_t parent, const char *name, struct node *ret, struct object *ret_object)
{
        int found = ops_find(rq, parent, name, ret, ret_object);
        int r;

        if (found == 0 && ret->row == 0)
                return 0;
        r = permit_enter(rq, node_of(parent));
        if (r == 0 && (found == 0 || found == -ENOENT))
                r = grant_enter(rq, node_of(parent), found == 0 ? ret : NULL);
        return r < 0 ? r : found;
}

static bool is_dots(const char *name)
{
        return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/*
 * "." and ".." of what is known by its number alone: the kernel has forgotten it, and a server of a network file system, or
 * open_by_handle_at(2), has not. An image that has been elsewhere since is another directory. Nothing is said of what is
 * not shown; who may do what with it is for the modes.
 */
static int ops_resolve_number(struct req *rq, fuse_ino_t ino, bool above, struct node *ret)
{
        const struct dir_kind *kind;
        const struct entry *entry;
        struct object o;
        int r = 0;

        *ret = node_of(ino);
        if (above)
                r = parent_find(rq, *ret, ret);
        kind = tree_kind(ret->kind);
        if (r == 0 && !kind)
                r = -ESTALE;
        if (r < 0)
                return r;
        entry = tree_entry(*ret);
        rq->entry = entry;
        rq->oid = ret->oid;
        if (ret->row != 0 && ret->row != ROW_CHILD && (!entry || entry->dir || (entry->visible && !entry->visible(rq))))
                return -ESTALE;
        r = attr_object(rq, *ret, &o);
        if (r == 0 && kind->object_kind == OBJECT_IMAGE && ret->row == 0) {
                if (node_row(*ret) != node_row((struct node){ .place = o.places }))
                        return -ESTALE;
                ret->place = o.places;
        }
        return r;
}

/* What is known by its number alone may be in a guest: the kernel counts how often it was told of it. */
static void reply_found(struct req *rq, struct node n, struct fuse_entry_param *e)
{
        struct guest_at at;

        if (guest_is_node(n) && guest_slots_find(rq->fs, n, &at))
                e->generation = guest_node_generation(&at);
        guest_slots_told(rq->fs, n);
        if (fuse_reply_entry(rq->fuse, e) != 0)
                guest_slots_forgotten(rq->fs, n, 1);
}

static void lookup_now(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        CLEANUP_REQ struct req rq;
        struct fuse_entry_param e;
        struct object o;
        struct node n;
        int r;

        req_init(&rq, fuse);
        rq.doing = (struct doing){ .verb = "look up", .in = node_of(parent), .name = name };
        if (is_dots(name)) {
                o.id = 0;
                r = ops_resolve_number(&rq, parent, name[1] == '.', &n);
        } else {
                r = ops_resolve(&rq, parent, name, &n, &o);
        }
        if (r == 0)
                r = reply_fill_entry(&rq, n, &o, &e);
        if (r == -ESTALE) /* gone between the two steps */
                r = -ENOENT;
        if (r == -ENOENT || r == -ENOTDIR || r == -EACCES)
                reply_error(&rq, r);
        else if (r < 0)
                reply_refusal(&rq, node_of(parent), r);
        else
                reply_found(&rq, n, &e);
}

static void lookup_ready(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        if (ready_make(fuse, node_of(parent), "look up"))
                lookup_now(fuse, parent, name);
}

void ops_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        const struct dir_kind *kind = tree_kind(node_of(parent).kind);
        const struct fs *fs = fuse_req_userdata(fuse);

        if (guest_is_of(node_of(parent)))
                later_run_name(fuse, LATER_LOOK, is_dots(name) ? lookup_now : guest_lookup, parent, name);
        else if (ready_awaits(fuse, node_of(parent), name))
                later_run_name(fuse, LATER_COMPARE, lookup_ready, parent, name);
        else if (kind && kind->looks)
                later_run_name(fuse, LATER_LOOK, lookup_now, parent, name);
        else if (kind && kind->users)
                later_run_name(fuse, LATER_USERS, lookup_now, parent, name);
        else if (!split_awaits(fs->splits, fuse, parent, name, lookup_now))
                lookup_now(fuse, parent, name);
}

/* The answer to a mkdir(2) that an earlier process did. */
static void reply_made(struct req *rq, fuse_ino_t parent, const char *name)
{
        struct fuse_entry_param e;
        struct object o;
        struct node n;
        int r;

        r = ops_resolve(rq, parent, name, &n, &o);
        if (r == 0)
                r = reply_fill_entry(rq, n, &o, &e);
        if (r < 0)
                reply_error(rq, r);
        else
                (void)fuse_reply_entry(rq->fuse, &e);
}

/* CHILD is what was made; R: or why not. SAY: it has not been said yet that it was done. */
static void mkdir_answer(struct req *rq, struct node dir, int r, uint64_t child, bool say)
{
        struct fuse_entry_param e;

        if (r == 0) {
                req_forget(rq);
                r = reply_fill_entry(rq, tree_child(dir, &(struct child){ .oid = child, .type = DT_DIR }), NULL, &e);
        }
        if (r < 0) {
                reply_refusal(rq, dir, r);
                return;
        }
        if (say)
                reply_done(rq, dir);
        (void)fuse_reply_entry(rq->fuse, &e);
}

/* The second request for one. */
static void mkdir_again(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        struct split_result done = { .r = -ENOMEM };
        CLEANUP_REQ struct req rq;
        int r;

        req_init(&rq, fuse);
        rq.doing = (struct doing){ .verb = "mkdir", .in = node_of(parent), .name = name };
        (void)split_take(rq.fs->splits, parent, name, fuse_req_ctx(fuse), &done);
        r = done.inherited ? model_settle(rq.fs->model) : done.r;
        if (r == 0 && done.inherited)
                reply_made(&rq, parent, name);
        else
                mkdir_answer(&rq, node_of(parent), r, done.child, false);
}

static void mkdir_now(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        CLEANUP_REQ struct req rq;
        struct node dir = node_of(parent);
        const struct dir_kind *kind = tree_kind(dir.kind);
        uint64_t child = 0;
        int r;

        req_init(&rq, fuse);
        if (split_is_second(rq.fs->splits, fuse, parent, name, mkdir_again))
                return;
        rq.doing = (struct doing){ .verb = "mkdir", .in = dir, .name = name };
        if (resent_was_done()) {
                reply_made(&rq, parent, name);
                return;
        }
        r = permit_change(&rq, dir);
        if (r == 0) {
                if (!kind->make) {
                        r = diag_set(&rq.diag, -EPERM, "directories cannot be made here: %s", ways_in(dir.kind));
                } else {
                        split_begin(&rq, &(struct split_change){ .kind = SPLIT_MADE, .parent = parent, .name = name });
                        r = kind->make(&rq, dir.oid, name, &child);
                        if (r == 0 && !rq.fuse)
                                reply_done(&rq, dir); /* looks users up, for which nobody keeps the directory now */
                        if (split_end(&rq, r, child))
                                return;
                }
        }
        if (r == -EEXIST && resent_may_be_done())
                reply_made(&rq, parent, name);
        else
                mkdir_answer(&rq, dir, r, child, true);
}

/* Calls FN, where that looks users up by a thread of the lane for it. */
static void change(fuse_req_t fuse, enum later_lane lane, later_name_fn *fn, fuse_ino_t parent, const char *name)
{
        const struct dir_kind *kind = tree_kind(node_of(parent).kind);

        if (kind && kind->users)
                later_run_name(fuse, lane, fn, parent, name);
        else
                fn(fuse, parent, name);
}

void ops_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode)
{
        (void)mode; /* new objects are their maker's alone; chmod opens them */
        change(fuse, LATER_FIND, mkdir_now, parent, name);
}

/* A step on the way to the end of the whole: answered as done, and nothing is. false: it is none. */
static bool ops_bury(struct req *rq, fuse_ino_t parent, const char *name, struct node n)
{
        int r;

        if (!removal_has(rq, node_of(parent), name, n.row != 0))
                return false;
        r = parting_bury(rq->fs->partings, parent, name, fuse_req_ctx(rq->fuse), n.row != 0);
        reply_error(rq, r < 0 ? r : -ESTALE);
        return true;
}

/* The second request for what makes nothing. */
static void change_again(fuse_req_t fuse, fuse_ino_t parent, const char *name, const char *verb)
{
        struct split_result done = { .r = -ENOMEM };
        CLEANUP_REQ struct req rq;
        int r;

        req_init(&rq, fuse);
        rq.doing = (struct doing){ .verb = verb, .in = node_of(parent), .name = name };
        (void)split_take(rq.fs->splits, parent, name, fuse_req_ctx(fuse), &done);
        r = done.inherited ? model_settle(rq.fs->model) : done.r;
        if (r < 0)
                reply_refusal(&rq, node_of(parent), r);
        else
                reply_error(&rq, 0);
}

static void rmdir_again(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        change_again(fuse, parent, name, "rmdir");
}

static void rename_again(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        change_again(fuse, parent, name, "rename");
}

static void rmdir_now(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        CLEANUP_REQ struct req rq;
        const struct dir_kind *kind = tree_kind(node_of(parent).kind);
        struct node n = node_of(parent);
        struct object o;
        int r;

        req_init(&rq, fuse);
        if (split_is_second(rq.fs->splits, fuse, parent, name, rmdir_again))
                return;
        rq.doing = (struct doing){ .verb = "rmdir", .in = n, .name = name };
        if (resent_was_done()) {
                reply_error(&rq, kind && kind->parting ? -ESTALE : 0);
                return;
        }
        if (parting_end(rq.fs->partings, parent, name, fuse_req_ctx(fuse))) {
                reply_error(&rq, 0);
                return;
        }
        r = permit_change(&rq, n);
        if (r == 0)
                r = ops_resolve(&rq, parent, name, &n, &o);
        if (r == 0) {
                if (n.row != 0) {
                        r = diag_set(&rq.diag, -ENOTDIR, "%s is not a directory", name);
                } else if (ops_bury(&rq, parent, name, n)) {
                        return;
                } else if (!kind->remove || n.kind != kind->child) {
                        r = diag_set(&rq.diag, -EPERM, "%s belongs to what it is in, and goes with it", name);
                } else {
                        split_begin(&rq, &(struct split_change){ .kind = SPLIT_REMOVED, .parent = parent, .name = name });
                        r = kind->remove(&rq, n.oid);
                        if (r == 0) {
                                atomic_fetch_add(&rq.fs->names_left, 1);
                                scratch_drop_in(rq.fs->scratches, n);
                        }
                        if (r == 0 && !rq.fuse)
                                reply_done(&rq, node_of(parent)); /* likewise */
                        if (split_end(&rq, r, 0))
                                return;
                }
        }
        if (r == -ENOENT && resent_may_be_done()) {
                reply_error(&rq, 0);
                return;
        }
        if (r == 0 && kind->parting)
                r = parting_begin(rq.fs->partings, parent, name, fuse_req_ctx(fuse),
                                  (struct node){ .kind = kind->parting, .oid = n.oid });
        if (r < 0) {
                reply_refusal(&rq, n, r);
                return;
        }
        reply_done(&rq, node_of(parent));
        reply_error(&rq, kind->parting ? -ESTALE : 0);
}

void ops_rmdir(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        change(fuse, LATER_USERS, rmdir_now, parent, name);
}

/*
 * Was NAME a temporary file that the process before this one has removed, or renamed, without coming to say so? Of those nothing is
 * committed. The kernel had found it when it asked.
 */
static bool ops_has_gone_before(const char *name)
{
        return resent_is() && scratch_is_name(name);
}

/* A temporary file gets the name that it is for, or another of its own. */
static int ops_rename_scratch(struct req *rq, struct node n, fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
        struct node existing;
        struct object o;
        int r;

        if (flags & ~(unsigned)RENAME_NOREPLACE)
                return diag_set(&rq->diag, -EINVAL, "two names cannot be exchanged here");
        r = ops_resolve(rq, new_parent, new_name, &existing, &o);
        if (r < 0 && r != -ENOENT)
                return r;
        return scratch_file_rename(rq, n, new_parent, new_name, r == 0 ? &existing : NULL);
}

/* The temporary file NAME is an image now, and is gone. true: its request has been answered; else *RET is what came of it. */
static bool ops_settle_image(struct req *rq, fuse_ino_t parent, const char *name, const char *new_name, int *ret)
{
        const struct node file = parting_stand_in(rq->fs->partings, true);

        split_begin(rq, &(struct split_change){ .kind = SPLIT_RENAMED, .parent = parent, .name = name, .to = new_name,
                                                .found = node_ino(file) });
        split_committed(); /* it is, all but durable */
        *ret = model_settle(rq->fs->model);
        if (*ret == 0 && !rq->fuse)
                reply_done(rq, node_of(parent)); /* may look users up, for which nobody keeps the directory now */
        return split_end(rq, *ret, 0);
}

static int ops_refuse_taken(struct req *rq, const struct dir_kind *to, uint64_t oid, const char *name)
{
        if (to->taken)
                return to->taken(rq, oid, name);
        return diag_set(&rq->diag, -EEXIST, "%s is taken: choose another name, or remove it first", name);
}

/* true: its request has been answered; else *RET is what came of it. */
static bool ops_rename_object(struct req *rq, fuse_ino_t parent, const char *name, struct node n, fuse_ino_t new_parent,
                              const char *new_name, int *ret)
{
        if (parent == new_parent)
                split_begin(rq, &(struct split_change){ .kind = SPLIT_RENAMED, .parent = parent, .name = name,
                                                        .to = new_name, .found = node_ino(n) });
        *ret = tree_kind(node_of(parent).kind)->rename(rq, n.oid, node_of(new_parent), new_name);
        if (*ret == 0)
                atomic_fetch_add(&rq->fs->names_left, 1);
        if (parent != new_parent)
                return false;
        if (*ret == 0 && !rq->fuse)
                reply_done(rq, n); /* looks users up, for which nobody keeps the directory now */
        return split_end(rq, *ret, 0);
}

void ops_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                       const char *new_name, unsigned flags)
{
        CLEANUP_REQ struct req rq;
        const struct dir_kind *kind = tree_kind(node_of(parent).kind), *to = tree_kind(node_of(new_parent).kind);
        struct node n = node_of(parent), existing;
        struct object o;
        int r;

        req_init(&rq, fuse);
        if (split_is_second(rq.fs->splits, fuse, parent, name, rename_again))
                return;
        rq.doing = (struct doing){ .verb = "rename", .in = n, .name = name, .to = new_name, .to_in = node_of(new_parent) };
        if (resent_was_done()) {
                scratch_file_was_renamed(&rq, parent, name);
                reply_error(&rq, 0);
                return;
        }
        r = permit_change(&rq, n);
        if (r == 0)
                r = permit_change(&rq, node_of(new_parent));
        if (r == 0) {
                r = ops_resolve(&rq, parent, name, &n, &o);
                if (r == -ENOENT && ops_has_gone_before(name)) {
                        reply_error(&rq, 0);
                        return;
                }
        }
        if (r == 0 && n.kind == KIND_SCRATCH) {
                r = ops_rename_scratch(&rq, n, new_parent, new_name, flags);
                n = node_of(new_parent); /* whose the answer is */
                if (r > 0 && ops_settle_image(&rq, parent, name, new_name, &r))
                        return;
        } else if (r == 0) {
                if (flags & ~(unsigned)RENAME_NOREPLACE)
                        r = diag_set(&rq.diag, -EINVAL, "two names cannot be exchanged here");
                else if (n.row != 0 || !kind->rename || n.kind != kind->child)
                        r = diag_set(&rq.diag, -EPERM, "%s cannot be renamed or moved: it belongs to what it is in", name);
                else if (parent == new_parent && strcmp(name, new_name) == 0)
                        r = 0;
                else if (node_of(new_parent).kind == kind->child) /* mv into the one whose name it was to get */
                        r = diag_set(&rq.diag, -EPERM, "there is one of that name, which holds no other: choose a name that is "
                                     "free");
                else if (to && to->child == kind->child && ops_resolve(&rq, new_parent, new_name, &existing, &o) == 0)
                        r = ops_refuse_taken(&rq, to, node_of(new_parent).oid, new_name);
                else if (ops_rename_object(&rq, parent, name, n, new_parent, new_name, &r))
                        return;
        }
        if (r == -ENOENT && resent_may_be_done())
                r = 0;
        if (r < 0) {
                reply_refusal(&rq, n, r);
                return;
        }
        reply_done(&rq, n);
        reply_error(&rq, 0);
}

/* What the tree never takes. A name that is there already never gets here: the kernel answers EEXIST itself. */
static void ops_refuse_new(fuse_req_t fuse, fuse_ino_t parent, const char *verb, const char *name, const char *sentence)
{
        CLEANUP_REQ struct req rq;

        req_init(&rq, fuse);
        rq.doing = (struct doing){ .verb = verb, .in = node_of(parent), .name = name };
        reply_refusal(&rq, node_of(parent),
                      diag_set(&rq.diag, -EPERM, "%s: %s", sentence, ways_in(node_of(parent).kind)));
}

void ops_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
        CLEANUP_REQ struct req rq;
        struct node dir = node_of(parent), n = dir;
        const struct entry *entry;
        struct object o;
        int r;

        req_init(&rq, fuse);
        rq.doing = (struct doing){ .verb = "rm", .in = dir, .name = name };
        if (parting_end(rq.fs->partings, parent, name, fuse_req_ctx(fuse))) {
                reply_error(&rq, 0);
                return;
        }
        r = permit_change(&rq, dir);
        if (r == 0)
                r = ops_resolve(&rq, parent, name, &n, &o);
        if (r == 0 && n.kind == KIND_SCRATCH) {
                reply_error(&rq, scratch_file_remove(&rq, n));
                return;
        }
        if (r == 0 && ops_bury(&rq, parent, name, n))
                return;
        if (r == -ENOENT && ops_has_gone_before(name)) {
                reply_error(&rq, 0);
                return;
        }
        if (r == 0) {
                entry = tree_entry(n);
                r = diag_set(&rq.diag, -EPERM,
                             "generated files cannot be removed: rmdir removes the directory with them, as does rm -r of it%s",
                             entry && entry->store ? "; what it holds is changed by writing to it: cat FILE > NAME" : "");
        }
        reply_refusal(&rq, dir, r);
}

void ops_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
        (void)mode;
        (void)rdev;
        ops_refuse_new(fuse, parent, "mknod", name, "special files cannot be made here");
}

void ops_symlink(fuse_req_t fuse, const char *target, fuse_ino_t parent, const char *name)
{
        (void)target;
        ops_refuse_new(fuse, parent, "ln -s", name, "links cannot be made here");
}

void ops_link(fuse_req_t fuse, fuse_ino_t ino, fuse_ino_t new_parent, const char *name)
{
        (void)ino;
        ops_refuse_new(fuse, new_parent, "ln", name, "links cannot be made here");
}
