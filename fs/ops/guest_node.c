/* SPDX-License-Identifier: MIT */
/*
 * A guest's files have the owners, sizes and times that they have there. Their modes let everybody read, too: what they say
 * is said of the guest's users, who are not those of this machine, and who may read an image's disk may read all that is on
 * it. So who may come in is for the image's directory to say, and is asked at each lookup, opening and listing, as it is for
 * the disk itself; for the kernel (default_permissions) a file of the guest's root would else be closed to the image's
 * owner. What the guest's modes are exactly is an attribute.
 */

#include "fs/ops/guest_node.h"

#include "fs/ops/guest_slots.h"

int guest_node_go_on(void *ctx)
{
        const struct req *rq = ctx;

        return (rq->fuse && fuse_req_interrupted(rq->fuse)) || atomic_load(&rq->fs->stopping) ? -EINTR : 0;
}

struct guest_asker guest_node_asker_of(struct req *rq, const struct guest_at *at)
{
        return (struct guest_asker){ .at = *at, .uid = rq->caller.uid, .asker = { .go_on = guest_node_go_on, .ctx = rq } };
}

int guest_node_asker(struct req *rq, struct node n, struct guest_asker *ret)
{
        struct guest_at at;

        if (!guest_slots_find(rq->fs, n, &at))
                return -ESTALE;
        *ret = guest_node_asker_of(rq, &at);
        return 0;
}

int guest_node_refuse_change(struct req *rq, struct node n)
{
        return guest_is_of(n) ? diag_set(&rq->diag, -EROFS, "what is in an image or a snapshot never changes: make a machine from "
                                         "it, and change it there") :
                                0;
}

/* ---- numbers ---- */

/* SplitMix64's, by which neighbours go far apart. */
static uint64_t mix(uint64_t x)
{
        x += UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        return x ^ x >> 31;
}

static uint64_t mix_place(const struct guest_at *at)
{
        return mix(ino_hide(at->id) << 9 | (uint64_t)at->number << 1 | at->snapshot);
}

/*
 * What stat(2) says, which is the same after a remount, and not the slot's: 58 bits by chance, so that among a million files
 * two are the same in one case of some hundred thousand.
 */
ino_t guest_node_number(enum node_kind kind, const struct guest_at *at, uint32_t number)
{
        return (uint64_t)kind << (OID_BITS + ROW_BITS) | mix(mix_place(at) ^ number) >> KIND_BITS;
}

uint64_t guest_node_generation(const struct guest_at *at)
{
        return (uint32_t)mix_place(at);
}

/* ---- attributes ---- */

static struct timespec time_of(int64_t s, uint32_t ns)
{
        return (struct timespec){ .tv_sec = s, .tv_nsec = ns };
}

static bool is_dir(const struct guest_attr *a)
{
        return S_ISDIR(a->mode);
}

/* What is neither file nor directory nor link is an empty file. */
mode_t guest_node_mode(const struct guest_attr *a)
{
        const mode_t type = is_dir(a) ? S_IFDIR : S_ISLNK(a->mode) ? S_IFLNK : S_IFREG;

        return type | (a->mode & 07777) | (is_dir(a) ? 0555 : 0444);
}

void guest_node_stat(enum node_kind kind, const struct guest_at *at, const struct guest_attr *a, struct stat *ret)
{
        const bool empty = !is_dir(a) && !S_ISLNK(a->mode) && !S_ISREG(a->mode);

        *ret = (struct stat){
                .st_ino = guest_node_number(kind, at, a->node),
                .st_mode = guest_node_mode(a),
                .st_nlink = a->nlink,
                .st_uid = a->uid,
                .st_gid = a->gid,
                .st_size = empty ? 0 : (off_t)a->size,
                .st_blocks = empty ? 0 : (blkcnt_t)a->blocks,
                .st_blksize = 4096,
                .st_atim = time_of(a->atime_s, a->atime_ns),
                .st_mtim = time_of(a->mtime_s, a->mtime_ns),
                .st_ctim = time_of(a->ctime_s, a->ctime_ns),
        };
}

int guest_node_attr(struct req *rq, struct node n, struct stat *ret, double *ret_timeout)
{
        struct guest_asker a;
        struct guest_attr attr;
        int r;

        r = guest_node_asker(rq, n, &a);
        if (r == 0)
                r = guest_stat(rq->fs->model, &a, guest_number(n), &rq->diag, &attr);
        if (r < 0)
                return r;
        guest_node_stat(n.kind, &a.at, &attr, ret);
        *ret_timeout = GUEST_TIMEOUT;
        return 0;
}

int guest_node_target(struct req *rq, struct node n, struct strbuf *out)
{
        char target[GUEST_LINK_MAX + 1];
        struct guest_asker a;
        int r;

        r = guest_node_asker(rq, n, &a);
        if (r == 0)
                r = guest_link(rq->fs->model, &a, guest_number(n), &rq->diag, target);
        if (r < 0)
                return r;
        strbuf_add(out, target);
        return strbuf_error(out);
}
