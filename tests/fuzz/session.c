/* SPDX-License-Identifier: MIT */

/*
 * Requests of any bytes, as far as the kernel makes such: it never lies about lengths, names end and have no slash, and a
 * file is one that was opened and not released. The input is a list of them; which node, file and name each has is mostly
 * said by number, among those that earlier answers told of.
 */

#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/lib/fuzz.h"
#include "tests/fuzz/lib/session.h"

#define REQUESTS_MAX 40
#define NODES        64
#define FILES        16
#define SIZE_MAX_IN  4096

/* What the arguments begin with, and what comes behind them. */
enum shape { NODE, FILE_OPEN, DIR_OPEN, NAME, TWO_NAMES, NAME_AND_BYTES };

static const struct request {
        uint32_t opcode;
        size_t args; /* bytes before names and data */
        enum shape shape;
} requests[] = {
        { FUSE_LOOKUP, 0, NAME },
        { FUSE_GETATTR, sizeof(struct fuse_getattr_in), NODE },
        { FUSE_SETATTR, sizeof(struct fuse_setattr_in), NODE },
        { FUSE_READLINK, 0, NODE },
        { FUSE_MKNOD, sizeof(struct fuse_mknod_in), NAME },
        { FUSE_MKDIR, sizeof(struct fuse_mkdir_in), NAME },
        { FUSE_UNLINK, 0, NAME },
        { FUSE_RMDIR, 0, NAME },
        { FUSE_RENAME2, sizeof(struct fuse_rename2_in), TWO_NAMES },
        { FUSE_LINK, sizeof(struct fuse_link_in), NAME },
        { FUSE_SYMLINK, 0, TWO_NAMES },
        { FUSE_OPEN, sizeof(struct fuse_open_in), NODE },
        { FUSE_CREATE, sizeof(struct fuse_create_in), NAME },
        { FUSE_OPENDIR, sizeof(struct fuse_open_in), NODE },
        { FUSE_READ, sizeof(struct fuse_read_in), FILE_OPEN },
        { FUSE_WRITE, sizeof(struct fuse_write_in), FILE_OPEN },
        { FUSE_FLUSH, sizeof(struct fuse_flush_in), FILE_OPEN },
        { FUSE_FSYNC, sizeof(struct fuse_fsync_in), FILE_OPEN },
        { FUSE_LSEEK, sizeof(struct fuse_lseek_in), FILE_OPEN },
        { FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in), FILE_OPEN },
        { FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in), FILE_OPEN },
        { FUSE_RELEASE, sizeof(struct fuse_release_in), FILE_OPEN },
        { FUSE_READDIR, sizeof(struct fuse_read_in), DIR_OPEN },
        { FUSE_READDIRPLUS, sizeof(struct fuse_read_in), DIR_OPEN },
        { FUSE_RELEASEDIR, sizeof(struct fuse_release_in), DIR_OPEN },
        { FUSE_STATFS, 0, NODE },
        { FUSE_SETXATTR, FUSE_COMPAT_SETXATTR_IN_SIZE, NAME_AND_BYTES },
        { FUSE_GETXATTR, sizeof(struct fuse_getxattr_in), NAME },
        { FUSE_LISTXATTR, sizeof(struct fuse_getxattr_in), NODE },
        { FUSE_REMOVEXATTR, 0, NAME },
};
#define N_REQUESTS (sizeof(requests) / sizeof(requests[0]))

/* Names that are there, or mean something. One that begins with another byte is as the input has it. */
static const char *const names[] = {
        "regions", "r1", "private", "web", "new", "recycle", "instances", "vm1", "disks", "data", "vda.raw", "vda", "data.raw",
        "snapshots", "images", "image2", "shares", "shared", "copies", "download", "vda.qcow2", "upload", "name", "description",
        "labels", "features", "metadata.json", "power", "attach", "detach", "cdrom", "size", "password", "ssh-keys", "hostname",
        "user-data", "network-config", "seed.iso", "batch", "copy-targets", "store", "quota", "quota-by-user", "info", "limits",
        "errors", "health", "tasks", "wait", "images.csv", "images.json", "images.xlsx", "import-url", "convert", "iso",
        "public", "marketplace", "r2", "web.raw", ".hidden", "web.part", "os", "type", "user.imagefs.name", "last-error",
        "used-by", "checksum", "r1-2", "alice", "61002", "families", "follows", "family", "lifecycle", "protected", "partitions", "guest",
        "packages", "oci", "blobs", "sha256", "index.json", "sums", "run",
};
#define N_NAMES (sizeof(names) / sizeof(names[0]))

struct open_file {
        uint64_t fh, node;
        uint32_t flags;
        bool directory, used;
};

struct run {
        struct session *s;
        struct input in;
        enum session_user user;
        uint64_t node[NODES];
        size_t n_nodes;
        struct open_file file[FILES];
        size_t next_node, next_file; /* to be replaced */
        uint8_t bytes[2 * SIZE_MAX_IN]; /* of the request at hand */
        size_t n;
};

static uint64_t take_node(struct run *run)
{
        return run->node[input_number(&run->in, 1) % run->n_nodes];
}

static void learn_node(struct run *run, uint64_t node)
{
        if (node == 0)
                return;
        for (size_t i = 0; i < run->n_nodes; i++)
                if (run->node[i] == node)
                        return;
        if (run->n_nodes < NODES)
                run->node[run->n_nodes++] = node;
        else
                run->node[1 + run->next_node++ % (NODES - 1)] = node;
}

static struct open_file *take_file(struct run *run, bool directory)
{
        size_t first = input_number(&run->in, 1);

        for (size_t i = 0; i < FILES; i++) {
                struct open_file *f = &run->file[(first + i) % FILES];

                if (f->used && f->directory == directory)
                        return f;
        }
        return NULL;
}

static void add_bytes(struct run *run, const void *bytes, size_t n)
{
        MUST(n <= sizeof(run->bytes) - run->n);
        memcpy(run->bytes + run->n, bytes, n);
        run->n += n;
}

/* A length, and so many bytes. */
static size_t add_input(struct run *run, size_t max)
{
        size_t want = input_number(&run->in, 2) % (max + 1), n;
        const uint8_t *at = input_bytes(&run->in, want, &n);

        if (n > 0)
                add_bytes(run, at, n);
        return n;
}

static void add_name(struct run *run)
{
        uint64_t first = input_number(&run->in, 1);
        char name[256];
        size_t n = 0;

        if (first < N_NAMES) {
                add_bytes(run, names[first], strlen(names[first]) + 1);
                return;
        }
        for (n = 0; n < first - N_NAMES && run->in.left > 0; n++) {
                name[n] = (char)input_number(&run->in, 1);
                if (name[n] == '\0' || name[n] == '/')
                        name[n] = '_';
        }
        if (n == 0)
                name[n++] = 'x';
        name[n] = '\0';
        add_bytes(run, name, n + 1);
}

/* What the kernel would not send: lengths that are not so, files that are not open, and directories by another's number. */
static void make_right(struct run *run, const struct request *rq, const struct open_file *f, const struct open_file *other)
{
        union {
                struct fuse_read_in read;
                struct fuse_write_in write;
                struct fuse_getattr_in getattr;
                struct fuse_setattr_in setattr;
                struct fuse_getxattr_in getxattr;
                struct fuse_rename2_in rename;
                struct fuse_link_in link;
                struct fuse_open_in open;
                struct fuse_create_in create;
                struct fuse_copy_file_range_in copy;
                struct fuse_lseek_in seek;
                uint64_t fh;
                uint8_t bytes[128];
        } args = { 0 };

        memcpy(args.bytes, run->bytes, rq->args);
        switch (rq->opcode) {
        case FUSE_GETATTR:
                args.getattr.getattr_flags = 0;
                break;
        case FUSE_SETATTR:
                args.setattr.valid &= ~(uint32_t)FATTR_FH;
                break;
        case FUSE_READ:
        case FUSE_READDIR:
        case FUSE_READDIRPLUS:
                args.read.size %= 128 << 10;
                args.read.offset &= INT64_MAX;
                break;
        case FUSE_GETXATTR:
        case FUSE_LISTXATTR:
                args.getxattr.size %= 64 << 10;
                break;
        case FUSE_RENAME2:
                args.rename.newdir = run->node[args.rename.newdir % run->n_nodes];
                break;
        case FUSE_LINK:
                args.link.oldnodeid = run->node[args.link.oldnodeid % run->n_nodes];
                break;
        case FUSE_OPEN:
        case FUSE_OPENDIR:
                args.open.flags &= O_ACCMODE | O_APPEND | O_TRUNC | O_NONBLOCK | O_DIRECT | O_SYNC;
                break;
        case FUSE_CREATE:
                args.create.flags &= O_ACCMODE | O_APPEND | O_TRUNC | O_EXCL;
                args.create.flags |= O_CREAT;
                break;
        case FUSE_LSEEK:
                args.seek.offset &= INT64_MAX;
                args.seek.whence = args.seek.whence % 2 ? SEEK_DATA : SEEK_HOLE;
                break;
        case FUSE_WRITE:
                args.write.size = (uint32_t)(run->n - rq->args);
                args.write.offset &= INT64_MAX >> 1;
                break;
        case FUSE_COPY_FILE_RANGE:
                args.copy.nodeid_out = other->node;
                args.copy.fh_out = other->fh;
                args.copy.off_in &= INT64_MAX >> 1;
                args.copy.off_out &= INT64_MAX >> 1;
                args.copy.len &= INT64_MAX >> 1;
                args.copy.flags = 0;
                break;
        default:
                break;
        }
        if (f) /* it stands first in all of them */
                args.fh = f->fh;
        memcpy(run->bytes, args.bytes, rq->args);
}

static void release(struct run *run, struct open_file *f)
{
        const struct fuse_release_in in = { .fh = f->fh, .flags = f->flags };

        f->used = false;
        MUST(session_ask(run->s, f->directory ? FUSE_RELEASEDIR : FUSE_RELEASE, f->node, run->user, &in, sizeof(in))->error == 0);
}

static void learn_file(struct run *run, uint64_t node, const uint8_t *opened, bool directory, uint32_t flags)
{
        struct fuse_open_out out;
        struct open_file *f = &run->file[run->next_file++ % FILES];

        memcpy(&out, opened, sizeof(out));
        if (f->used)
                release(run, f);
        *f = (struct open_file){ .fh = out.fh, .node = node, .directory = directory, .used = true, .flags = flags };
}

static void learn(struct run *run, const struct request *rq, uint64_t node, const struct answer *a)
{
        struct fuse_entry_out entry;
        const struct fuse_open_in *in = (const void *)run->bytes; /* and of CREATE */

        switch (rq->opcode) {
        case FUSE_LOOKUP:
        case FUSE_MKNOD:
        case FUSE_MKDIR:
        case FUSE_CREATE:
        case FUSE_LINK:
        case FUSE_SYMLINK:
                MUST(a->n >= sizeof(entry));
                memcpy(&entry, a->bytes, sizeof(entry));
                learn_node(run, entry.nodeid);
                if (rq->opcode == FUSE_CREATE) {
                        MUST(a->n == sizeof(entry) + sizeof(struct fuse_open_out));
                        learn_file(run, entry.nodeid, a->bytes + sizeof(entry), false, in->flags);
                }
                break;
        case FUSE_OPEN:
        case FUSE_OPENDIR:
                MUST(a->n == sizeof(struct fuse_open_out));
                learn_file(run, node, a->bytes, rq->opcode == FUSE_OPENDIR, in->flags);
                break;
        default:
                break;
        }
}

static void ask(struct run *run)
{
        const struct request *rq = &requests[input_number(&run->in, 1) % N_REQUESTS];
        struct open_file *f = NULL, *other = NULL;
        const struct answer *a;
        uint64_t node;
        size_t n;

        if (rq->shape == FILE_OPEN || rq->shape == DIR_OPEN) {
                f = take_file(run, rq->shape == DIR_OPEN);
                other = rq->opcode == FUSE_COPY_FILE_RANGE ? take_file(run, false) : NULL;
                if (!f)
                        return;
        }
        node = f ? f->node : take_node(run);
        run->n = 0;
        n = add_input(run, rq->args); /* what is left out are zeros */
        memset(run->bytes + n, 0, rq->args - n);
        run->n = rq->args;
        if (rq->shape == NAME || rq->shape == TWO_NAMES || rq->shape == NAME_AND_BYTES)
                add_name(run);
        if (rq->shape == TWO_NAMES)
                add_name(run);
        if (rq->shape == NAME_AND_BYTES) {
                uint32_t size = (uint32_t)add_input(run, SIZE_MAX_IN);

                memcpy(run->bytes, &size, sizeof(size));
        }
        if (rq->opcode == FUSE_WRITE)
                (void)add_input(run, SIZE_MAX_IN);
        make_right(run, rq, f, other);
        if (rq->opcode == FUSE_RELEASE || rq->opcode == FUSE_RELEASEDIR) {
                release(run, f);
                return;
        }
        a = session_ask(run->s, rq->opcode, node, run->user, run->bytes, run->n);
        if (a->error == 0)
                learn(run, rq, node, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct run run;

        run = (struct run){ .s = session_get(), .in = { data, size }, .n_nodes = 1, .node = { FUSE_ROOT_ID } };
        for (unsigned i = 0; i < REQUESTS_MAX && run.in.left > 0; i++) {
                run.user = input_number(&run.in, 1) % SESSION_USERS;
                ask(&run);
        }
        for (size_t i = 0; i < FILES; i++)
                if (run.file[i].used)
                        release(&run, &run.file[i]);
        return 0;
}
