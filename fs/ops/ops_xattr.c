/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes: user.imagefs.<file> of a directory mirrors the one-line files in it, read-only, so that
 * `getfattr -d` shows an object at a glance and copies with attributes keep what an image was.
 */

#include <linux/limits.h>
#include <string.h>

#include "fs/ops/attr.h"
#include "fs/ops/guest.h"
#include "fs/ops/ops_priv.h"
#include "fs/ops/permit.h"
#include "fs/ops/reply.h"
#include "fs/tree/guest.h"

#define XATTR_PREFIX "user.imagefs."

/*
 * The entry that an attribute's name stands for. -ENODATA.
 *
 * -EOPNOTSUPP: labels and access lists, which there are none of anywhere here. `ls -l` asks for three of each entry, 60
 * % and more of what it does; after this answer it does not ask again for any file of the mount.
 */
static int xattr_find(struct req *rq, fuse_ino_t ino, const char *name, struct node *ret)
{
        struct node n = node_of(ino);
        const struct dir_kind *kind = tree_kind(n.kind);

        if (strncmp(name, "user.", strlen("user.")) != 0)
                return -EOPNOTSUPP;
        if (!kind || n.row != 0 || strncmp(name, XATTR_PREFIX, strlen(XATTR_PREFIX)) != 0)
                return -ENODATA;
        name += strlen(XATTR_PREFIX);
        for (const struct entry *e = kind->entries; e && e->name; e++) {
                rq->entry = e;
                rq->oid = n.oid;
                if ((e->flags & ENTRY_LINE) && strcmp(e->name, name) == 0 && (!e->visible || e->visible(rq))) {
                        n.row = e->number;
                        *ret = n;
                        return 0;
                }
        }
        return -ENODATA;
}

static void xattr_reply(struct req *rq, const struct strbuf *value, size_t size)
{
        if (size == 0)
                (void)fuse_reply_xattr(rq->fuse, value->len);
        else if (size < value->len)
                reply_error(rq, -ERANGE);
        else
                (void)fuse_reply_buf(rq->fuse, strbuf_text(value), value->len);
}

static void getxattr_now(fuse_req_t fuse, fuse_ino_t ino, const char *name, size_t size)
{
        CLEANUP_STRBUF struct strbuf value = { 0 };
        CLEANUP_REQ struct req rq;
        struct node n;
        int r;

        req_init(&rq, fuse);
        r = xattr_find(&rq, ino, name, &n);
        if (r == 0)
                r = permit(&rq, node_of(ino), PERMIT_READ);
        if (r == 0)
                r = attr_text(&rq, n, &value);
        if (r < 0) {
                reply_error(&rq, r);
                return;
        }
        if (value.len && value.text[value.len - 1] == '\n')
                value.len--;
        xattr_reply(&rq, &value, size);
}

void ops_getxattr(fuse_req_t fuse, fuse_ino_t ino, const char *name, size_t size)
{
        if (guest_is_node(node_of(ino)) && strcmp(name, GUEST_XATTR) == 0)
                later_run(fuse, LATER_LOOK, guest_getxattr, ino, size, 0, NULL);
        else
                getxattr_now(fuse, ino, name, size);
}

/*
 * Who gives a buffer that need not hold even one name is not out for names: the `ls -l` of Debian 13 looks with 152
 * bytes for access lists and labels. The kernel keeps no answers, and that of an image takes three requests, since the
 * list is longer and has to be whole wherever it is given: 10 000 images took 20 times as long as without. So what has
 * no attributes answers such a look as xattr_find() does. `ls` begins with the directory that it lists, takes "not
 * supported" for the word of the whole mount, and looks at nothing in it. To all others none are none: getfattr and tar
 * report the other answer as a failure.
 */
#define XATTR_LOOK_BYTES XATTR_NAME_MAX

void ops_listxattr(fuse_req_t fuse, fuse_ino_t ino, size_t size)
{
        CLEANUP_STRBUF struct strbuf names = { 0 };
        CLEANUP_REQ struct req rq;
        struct node n = node_of(ino);
        const struct dir_kind *kind = tree_kind(n.kind);

        req_init(&rq, fuse);
        if (guest_is_node(n))
                strbuf_add_bytes(&names, GUEST_XATTR, sizeof(GUEST_XATTR));
        for (const struct entry *e = kind && n.row == 0 ? kind->entries : NULL; e && e->name; e++) {
                rq.entry = e;
                rq.oid = n.oid;
                if ((e->flags & ENTRY_LINE) && (!e->visible || e->visible(&rq))) {
                        strbuf_add(&names, XATTR_PREFIX);
                        strbuf_add_bytes(&names, e->name, strlen(e->name) + 1);
                }
        }
        if (strbuf_error(&names) < 0)
                reply_error(&rq, strbuf_error(&names));
        else if (names.len == 0 && size > 0 && size <= XATTR_LOOK_BYTES)
                reply_error(&rq, -EOPNOTSUPP);
        else
                xattr_reply(&rq, &names, size);
}

/* Ours are read-only, and there is no place for others; tools that copy attributes take the second answer as a no. */
static void xattr_refuse(fuse_req_t fuse, fuse_ino_t ino, const char *name)
{
        CLEANUP_REQ struct req rq;

        req_init(&rq, fuse);
        rq.doing = (struct doing){ .verb = "setfattr", .in = node_of(ino), .name = name };
        if (strncmp(name, XATTR_PREFIX, strlen(XATTR_PREFIX)) == 0)
                reply_refusal(&rq, node_of(ino),
                           diag_set(&rq.diag, -EPERM, "attributes are read-only: write to the file %s",
                                    name + strlen(XATTR_PREFIX)));
        else
                reply_error(&rq, -EOPNOTSUPP);
}

void ops_setxattr(fuse_req_t fuse, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
        (void)value;
        (void)size;
        (void)flags;
        xattr_refuse(fuse, ino, name);
}

void ops_removexattr(fuse_req_t fuse, fuse_ino_t ino, const char *name)
{
        xattr_refuse(fuse, ino, name);
}
