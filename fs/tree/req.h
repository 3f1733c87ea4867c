/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_REQ_H
#define FS_TREE_REQ_H

/* What the files of fs/ share: the mounted file system, and one request to it. */

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdatomic.h>

#include "blobstore/base/strbuf.h"
#include "fs/tree/counts.h"
#include "fs/tree/node.h"
#include "fs/tree/pace.h"
#include "model/core/damage.h"
#include "model/core/quota.h"
#include "model/core/region.h"
#include "model/core/verified.h"
#include "model/image/image.h"
#include "model/image/listing.h"
#include "model/image/share.h"
#include "model/image/snapshot.h"
#include "model/intake/follow.h"
#include "model/machine/instance.h"
#include "model/machine/volume.h"
#include "model/model.h"
#include "model/work/batch.h"
#include "model/work/convert.h"
#include "model/work/copy.h"
#include "model/work/instance_warning.h"
#include "model/work/tasks.h"

struct aliases;
struct partings;
struct dir_kind;
struct http;
struct frozens;
struct gates;
struct guest_at;
struct guest_slots;
struct guest_walks;
struct grants;
struct handles;
struct later;
struct ocis;
struct repeats;
struct scratches;
struct selections;
struct split_slots;
struct splits;
struct spread;
struct waiters;
struct followers;
struct walks;
struct watch;
struct watchdog;
struct wire;

/* The rooms above keep here what they have for the mount: what it points to is known to its own file only. */
struct fs {
        struct model *model;
        struct http *http; /* NULL: no downloads */
        struct fuse_session *session;
        const char *mountpoint; /* absolute */
        uid_t uid; /* who mounted: administrator, and owner of what belongs to nobody else */
        gid_t gid;
        atomic_bool stopping; /* the mount has ended: whoever is at work gives up */
        int64_t born_us; /* when the library was made: the time of what never changes */
        struct counts counts; /* for info/metrics */
        struct pace pace; /* who asks without end */
        atomic_uint_fast64_t names_left; /* how often rename(2) and rmdir(2) have taken a directory from its name */

        struct selections *selections; /* tree/selection.c */
        struct ocis *ocis; /* tree/ocis.c */
        struct scratches *scratches; /* tree/scratch.c */
        struct aliases *aliases; /* ops/alias.c */
        struct partings *partings; /* ops/parting.c */
        struct splits *splits; /* ops/split.c */
        struct walks *walks; /* ops/removal.c */
        struct frozens *frozens; /* ops/frozen.c */
        struct grants *grants; /* ops/grant.c */
        struct handles *handles; /* ops/handles.c */
        struct guest_slots *guest_slots; /* ops/guest_slots.c */
        bool (*guest_find_slot)(struct fs *fs, struct node n, struct guest_at *ret); /* likewise; NULL: there are none */
        struct guest_walks *guest_walks; /* ops/guest_walks.c */
        struct waiters *waiters; /* ops/wait.c */
        struct followers *followers; /* ops/follow.c */
        struct gates *gates; /* ops/gate.c */
        struct later *later; /* ops/later.c */
        struct repeats *repeats; /* ops/repeats.c */
        struct spread *spread; /* ops/spread.c */
        struct watch *watch; /* tree/watch.c */
        struct watchdog *watchdog; /* ops/watchdog.c */
        atomic_flag read_ahead_raised; /* ops/read_ahead.c */
        struct wire *wire; /* wire.c */
};

/* What the user does, in the words of last-error: "mkdir shares/alice", "rename a to b". NULL: nothing to say. */
struct doing {
        const char *verb;
        struct node in; /* the directory that NAME is in */
        const char *name; /* NULL: it is done to the node itself */
        const char *to; /* its new name, and the directory that it goes to */
        struct node to_in;
};

/*
 * One request of the kernel's. Handlers fill it, call one function and reply once. Objects are loaded once for a
 * request, however many control files are shown from them.
 */
struct req {
        struct fs *fs;
        struct doing doing;
        fuse_req_t fuse; /* NULL in tests */
        struct caller caller;
        gid_t *groups; /* of the caller, from when they were asked for; NULL: not yet, or unknown */
        int n_groups;
        const struct entry *entry; /* while one is shown or stored */
        const struct dir_kind *dir; /* of the directory that it is in, and its oid */
        uint64_t oid;
        struct diag diag;
        struct image *image;
        struct snapshot *snapshot;
        struct task *task;
        struct region *region;
        struct instance *instance;
        struct volume *volume;
        struct follow *follow;
        size_t stored_bytes; /* of what is stored, where zeros may be in it */
};

void req_init(struct req *rq, fuse_req_t fuse);
/* For what that user did before. FUSE, who asks now, may be NULL; only where it is the same user her groups are known. */
void req_init_as(struct req *rq, struct fs *fs, fuse_req_t fuse, uid_t uid, gid_t gid);
void req_done(struct req *rq);
#define CLEANUP_REQ CLEANUP(req_done)

/* The object with the request's oid, or the one given. Borrowed until req_done(); forgotten by req_forget(). */
int req_image(struct req *rq, uint64_t id, const struct image **ret);
int req_snapshot(struct req *rq, uint64_t id, const struct snapshot **ret);
int req_task(struct req *rq, uint64_t id, const struct task **ret);
int req_region(struct req *rq, uint64_t id, const struct region **ret);
int req_instance(struct req *rq, uint64_t id, const struct instance **ret);
int req_volume(struct req *rq, uint64_t id, const struct volume **ret);
int req_follow(struct req *rq, uint64_t id, const struct follow **ret);
/* After a change: what was loaded is out of date. */
void req_forget(struct req *rq);

#endif
