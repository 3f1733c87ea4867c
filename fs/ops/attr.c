/* SPDX-License-Identifier: MIT */
/*
 * Attributes of nodes. Generated files have their true size, since tar and rsync store nothing of a file of size 0:
 * their text is made to be measured. Everything about blobs comes from the database; no listing opens one.
 *
 * Times are the object's: they survive a remount and change only with it.
 */

#include "fs/ops/attr.h"

#include "fs/ops/alias.h"
#include "fs/ops/grant.h"
#include "fs/ops/guest_node.h"
#include "model/intake/upload.h"

/* Blobs never change, and their numbers are never used again. */
#define ATTR_TIMEOUT_BLOB 86400.0
/*
 * Directories: what a worker changes shows at the latest after this. After it a stat(2) is a request again, four fifths
 * of whose processor time is the kernel's way here and back. To tell the kernel of changes would not allow for more: an
 * answer that the notification overtakes is believed for all its time.
 */
#define ATTR_TIMEOUT_DIR 1.0
/* Control files: the daemon changes them, and size and text must agree. */
#define ATTR_TIMEOUT_CTL 0.0

int attr_object(struct req *rq, struct node n, struct object *ret)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        int r;

        if (!kind)
                return -ESTALE;
        if (n.row == ROW_CHILD && kind->child_object)
                r = kind->child_object(rq, n.oid, ret);
        else
                r = kind->object(rq, n.oid, ret);
        return r == -ENOENT ? -ESTALE : r;
}

bool attr_is_long(struct node n)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        const struct entry *entry = tree_entry(n);

        return (n.row == ROW_CHILD && kind && kind->show_child) || (entry && (entry->text || (entry->flags & ENTRY_USERS)));
}

bool attr_is_found(struct node n)
{
        const struct dir_kind *kind = tree_kind(n.kind);

        return guest_is_node(n) || (n.row == ROW_CHILD && kind && kind->looks);
}

double attr_entry_timeout(struct node n, double timeout)
{
        const struct entry *entry = tree_entry(n);

        /* who may enter is asked at every lookup: the cache is everybody's; and so is what only one is to see */
        if (n.kind == KIND_SHARED_PARTING || n.kind == KIND_BURIED)
                return 0;
        /* another image for another reader, and at any moment */
        if (n.kind == KIND_FAMILY && n.row == ROW_CHILD)
                return 0;
        /* the name is that of the next CD, too, at once */
        if (n.kind == KIND_INSTANCE_DISKS && n.row == ROW_CHILD)
                return 0;
        /* a disk that is made anew is another file, which a machine's next command is to find */
        if (entry && (entry->flags & ENTRY_DISK))
                return 0;
        return n.row != 0 && tree_kind(n.kind)->enter ? 0 : timeout;
}

int attr_text(struct req *rq, struct node n, struct strbuf *out)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        const struct entry *entry = tree_entry(n);
        int r = -ENODATA;

        if (guest_is_node(n))
                r = guest_node_target(rq, n, out);
        else if (n.row == ROW_CHILD && kind && kind->target)
                r = kind->target(rq, n.oid, out);
        else if (n.row == ROW_CHILD && kind && kind->show_child)
                r = kind->show_child(rq, n.oid, out);
        else if (n.row == ROW_CHILD && n.kind == KIND_EVENTS_AFTER)
                r = 0; /* it is made as it is read */
        else if (entry && !entry->dir && !entry->blob) {
                rq->entry = entry;
                rq->dir = kind;
                rq->oid = n.oid;
                r = entry->show ? entry->show(rq, out) : 0;
        }
        if (r == -ENOENT)
                return -ESTALE;
        if (r < 0)
                return r;
        return strbuf_error(out);
}

void attr_access(struct req *rq, struct node n, struct object *o)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        const struct entry *entry = tree_entry(n);

        if (n.row == 0) {
                o->mode = kind->mode ? kind->mode : o->mode;
        } else if (!entry) {
                o->mode = kind->target ? 0777 : kind->measure_child ? o->mode : 0444;
        } else if (entry->blob) {
                o->mode = 0444;
        } else if (entry->flags & ENTRY_ADMIN) {
                o->mode = entry->mode;
                o->uid = rq->fs->uid;
                o->gid = rq->fs->gid;
        } else {
                o->mode &= entry->mode;
        }
}

static struct timespec attr_time(int64_t us)
{
        return (struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };
}

static void attr_set_times(struct stat *st, int64_t us)
{
        st->st_atim = st->st_mtim = st->st_ctim = attr_time(us);
}

void attr_set_text(struct stat *st, uint64_t size, int64_t changed_us)
{
        st->st_size = (off_t)size;
        st->st_blocks = (blkcnt_t)((size + 511) / 512);
        if (changed_us)
                attr_set_times(st, changed_us);
}

static int attr_blob(struct req *rq, const struct blob_ops *ops, uint64_t oid, struct stat *st)
{
        struct blob_file file;
        int r;

        r = ops->info(rq, oid, &file);
        if (r < 0)
                return r == -ENOENT ? -ESTALE : r;

        st->st_size = (off_t)file.size_bytes;
        st->st_blocks = (blkcnt_t)((file.space_bytes + 511) / 512);
        st->st_blksize = ATTR_PIECE;
        attr_set_times(st, file.time_us);
        return 0;
}

/* Sizes of what is generated: what costs work to generate is not listed. */
static int attr_measure(struct req *rq, struct node n, struct stat *st)
{
        CLEANUP_STRBUF struct strbuf text = { 0 };
        int r;

        r = attr_text(rq, n, &text);
        if (r < 0)
                return r;
        attr_set_text(st, text.len, 0);
        return 0;
}

/* The same, for an entry that knows its text's size by itself. */
static int attr_ask(struct req *rq, const struct entry *entry, struct stat *st)
{
        int64_t changed_us = 0;
        uint64_t size;
        int r;

        r = entry->measure(rq, &size, &changed_us);
        if (r < 0)
                return r == -ENOENT ? -ESTALE : r;
        attr_set_text(st, size, changed_us);
        return 0;
}

/* Size, space taken and links of a disk's file. -ENOENT. */
static int attr_disk(struct req *rq, uint64_t volume, struct stat *st)
{
        struct volume_file *f;
        const struct volume *v;
        int r;

        r = req_volume(rq, volume, &v);
        if (r < 0)
                return r;
        st->st_size = (off_t)v->size_bytes;
        st->st_blksize = ATTR_PIECE;
        st->st_nlink = v->cloud && v->instance ? 2 : 1;
        if (!v->size_bytes)
                return 0;
        r = volume_open(rq->fs->model, volume, false, NULL, &f);
        if (r == -EIO || r == -EBADMSG) {
                /* It is there all the same; without blocks, tar would take it for a hole, and not try to read it. */
                st->st_blocks = (blkcnt_t)((v->size_bytes + 511) / 512);
                return 0;
        }
        if (r < 0)
                return r;
        if (volume_disk(f)) {
                int64_t us = disk_get_changed_us(volume_disk(f));

                st->st_blocks = (blkcnt_t)((disk_get_data_bytes(volume_disk(f)) + 511) / 512);
                if (us) /* else nobody has written to it, and its row says since when it is as it is */
                        st->st_mtim = st->st_ctim = attr_time(us);
        }
        volume_close(f);
        return 0;
}

static int attr_child(struct req *rq, struct node n, const struct dir_kind *kind, struct stat *st, double *timeout)
{
        if (kind->blob) {
                *timeout = ATTR_TIMEOUT_BLOB;
                return attr_blob(rq, kind->blob, n.oid, st);
        }
        if (!kind->target)
                *timeout = ATTR_TIMEOUT_CTL;
        if (n.kind == KIND_FAMILY)
                *timeout = 0; /* the length of where it leads to */
        if (kind->measure_child)
                return kind->measure_child(rq, n.oid, st);
        return attr_measure(rq, n, st);
}

static int attr_entry(struct req *rq, struct node n, const struct entry *entry, struct stat *st, double *timeout)
{
        if (entry->blob) {
                *timeout = ATTR_TIMEOUT_BLOB;
                return attr_blob(rq, entry->blob, n.oid, st);
        }

        *timeout = ATTR_TIMEOUT_CTL;
        rq->entry = entry;
        rq->dir = tree_kind(n.kind);
        rq->oid = n.oid;
        if (entry->changed_us)
                attr_set_times(st, entry->changed_us(rq));
        if (entry->flags & ENTRY_DISK) {
                int r = attr_disk(rq, n.oid, st);

                *timeout = ATTR_TIMEOUT_DIR;
                return r == -ENOENT ? -ESTALE : r;
        }
        if (entry->flags & ENTRY_UPLOAD) {
                st->st_blksize = ATTR_PIECE;
                if (n.kind == KIND_IMAGE)
                        st->st_size = (off_t)(upload_size(rq->fs->model, n.oid) ?: alias_size(rq->fs->aliases, n.oid));
                st->st_blocks = (st->st_size + 511) / 512;
                return 0;
        }
        return entry->flags & ENTRY_WAIT ? 0 : attr_measure(rq, n, st);
}

static mode_t attr_type(struct node n)
{
        return n.row == 0 ? S_IFDIR : n.row == ROW_CHILD && tree_kind(n.kind)->target ? S_IFLNK : S_IFREG;
}

int attr_get(struct req *rq, struct node n, const struct object *object, struct stat *ret, double *ret_timeout)
{
        const struct dir_kind *kind = tree_kind(n.kind);
        const struct entry *entry = tree_entry(n);
        struct object own;
        struct stat st = { 0 };
        int r;

        if (guest_is_node(n))
                return guest_node_attr(rq, n, ret, ret_timeout);
        if (!kind || (n.row && n.row != ROW_CHILD && !entry) || (entry && entry->dir))
                return -ESTALE;
        if (object) {
                own = *object;
        } else {
                r = attr_object(rq, n, &own);
                if (r < 0)
                        return r;
        }
        attr_access(rq, n, &own);
        grant_show(rq, n, &own);

        st.st_ino = node_number(n);
        st.st_mode = attr_type(n) | own.mode;
        st.st_nlink = 1; /* as btrfs has it: says nothing about sub-directories, so that find looks for itself */
        st.st_uid = own.uid;
        st.st_gid = own.gid;
        st.st_blksize = 4096;
        attr_set_times(&st, own.updated_us);
        *ret_timeout = ATTR_TIMEOUT_DIR;

        r = 0;
        if (n.row == 0 && kind->size)
                st.st_size = (off_t)own.size_bytes;
        if (attr_is_long(n))
                *ret_timeout = ATTR_TIMEOUT_CTL;
        else if (n.row == ROW_CHILD)
                r = attr_child(rq, n, kind, &st, ret_timeout);
        else if (n.row != 0)
                r = attr_entry(rq, n, entry, &st, ret_timeout);
        if (r < 0)
                return r;
        *ret = st;
        return 0;
}

int attr_get_long(struct req *rq, struct node n, struct stat *ret, double *ret_timeout)
{
        const struct entry *entry = tree_entry(n);
        int r;

        r = attr_get(rq, n, NULL, ret, ret_timeout);
        if (r < 0)
                return r;
        rq->entry = entry;
        rq->dir = tree_kind(n.kind);
        rq->oid = n.oid;
        if (entry && entry->changed_us)
                attr_set_times(ret, entry->changed_us(rq));
        return entry && entry->measure ? attr_ask(rq, entry, ret) : attr_measure(rq, n, ret);
}
