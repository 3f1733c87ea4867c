/* SPDX-License-Identifier: MIT */

#include "tests/fuzz/lib/session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "fs/ops/later.h"
#include "fs/ops/ops.h"
#include "fs/ops/spread.h"
#include "fs/ops/wait.h"
#include "fs/parts.h"
#include "fs/tree/metrics.h"
#include "fs/tree/req.h"
#include "fs/tree/scratch.h"
#include "fs/wire.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/lib/machine.h"

/* What libcrypto keeps for each thread and gives back when it likes. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
        return "leak:CRYPTO_zalloc\n";
}

/* A library takes a second to be made, an input a millisecond; what many inputs have left makes the next ones slower. */
#define CALLS_MAX      2000
#define REQUEST_MAX    ((size_t)64 << 10)
#define ANSWER_SECONDS 1 /* then it is interrupted, */
#define LAST_SECONDS   60 /* and then it must come */

struct session {
        struct library l;
        struct fs fs;
        struct wire wire;
        struct fuse_session *fuse;
        unsigned calls;

        pthread_mutex_t mutex;
        pthread_cond_t answered;
        uint64_t asked; /* the number of the request; under the mutex, as the next */
        bool is_answered;
        struct answer answer;
};

/* ---- the wire ---- */

static ssize_t nothing_to_read(int fd, void *buf, size_t size, void *userdata)
{
        (void)fd;
        (void)buf;
        (void)size;
        (void)userdata;
        return -EAGAIN;
}

static ssize_t take_answer(int fd, struct iovec *iov, int count, void *userdata)
{
        struct session *s = (struct session *)((char *)userdata - offsetof(struct session, fs));
        struct fuse_out_header header;
        size_t total = 0;

        (void)fd;
        for (int i = 0; i < count; i++)
                total += iov[i].iov_len;
        MUST(iov[0].iov_len >= sizeof(header));
        memcpy(&header, iov[0].iov_base, sizeof(header));
        MUST(header.len == total);
        LOCK_SCOPE(&s->mutex);
        if (header.unique != s->asked) /* news, or the answer to who was interrupted */
                return (ssize_t)total;
        MUST(!s->is_answered && header.error <= 0 && header.error > -4096);
        s->answer.error = header.error;
        s->answer.n = 0;
        for (int i = 0; i < count; i++) {
                size_t skip = i == 0 ? sizeof(header) : 0;

                MUST(s->answer.n + iov[i].iov_len - skip <= ANSWER_MAX);
                if (iov[i].iov_len > skip) /* all of it is read, for the sanitizer to see */
                        memcpy(s->answer.bytes + s->answer.n, (char *)iov[i].iov_base + skip, iov[i].iov_len - skip);
                s->answer.n += iov[i].iov_len - skip;
        }
        s->is_answered = true;
        (void)pthread_cond_broadcast(&s->answered);
        return (ssize_t)total;
}

static const struct fuse_custom_io io = { .read = nothing_to_read, .writev = take_answer };

static void send_request(struct session *s, uint32_t opcode, uint64_t unique, uint64_t node, enum session_user user,
                         const void *bytes, size_t n)
{
        static const uint32_t uids[SESSION_USERS] = { 0, 61001, 61002 };
        const struct fuse_in_header header = {
                .len = (uint32_t)(sizeof(header) + n),
                .opcode = opcode,
                .unique = unique,
                .nodeid = node,
                .uid = uids[user],
                .gid = uids[user],
                .pid = (uint32_t)getpid(),
        };
        struct fuse_buf buf = { .size = header.len, .mem = malloc(header.len) };

        MUST(buf.mem);
        memcpy(buf.mem, &header, sizeof(header));
        if (n > 0)
                memcpy((char *)buf.mem + sizeof(header), bytes, n);
        fuse_session_process_buf(s->fuse, &buf);
        free(buf.mem);
}

static bool wait_for_answer(struct session *s, int seconds)
{
        struct timespec until;
        LOCK_SCOPE(&s->mutex);

        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += seconds;
        while (!s->is_answered)
                if (pthread_cond_timedwait(&s->answered, &s->mutex, &until) != 0)
                        break;
        return s->is_answered;
}

const struct answer *session_ask(struct session *s, uint32_t opcode, uint64_t node, enum session_user user, const void *bytes,
                                 size_t n)
{
        struct fuse_interrupt_in interrupt;

        MUST(n <= REQUEST_MAX);
        lock(&s->mutex);
        interrupt.unique = s->asked = s->asked + 2; /* those of interrupts are odd */
        s->is_answered = false;
        unlock(&s->mutex);
        send_request(s, opcode, interrupt.unique, node, user, bytes, n);
        if (wait_for_answer(s, ANSWER_SECONDS))
                return &s->answer;
        send_request(s, FUSE_INTERRUPT, interrupt.unique + 1, 0, user, &interrupt, sizeof(interrupt));
        MUST(wait_for_answer(s, LAST_SECONDS));
        return &s->answer;
}

/* ---- making it ---- */

static void fill_library(struct library *l)
{
        uint64_t image = machine_image(l, "web", NULL, "");

        (void)machine_make(l, image, "vm1");
        (void)machine_volume(l, "data", 1 << 20);
        (void)library_image(l, "new");
}

static void make_fs(struct session *s)
{
        struct fs *fs = &s->fs;

        MUST(parts_new(fs, -1, NULL) == 0);
        metrics_begin(&fs->counts);
        fs->wire = &s->wire;
        fs->model = s->l.m;
        fs->born_us = model_born_us(fs->model);
        fs->mountpoint = "/nowhere";
}

static void make_fuse(struct session *s)
{
        const struct fuse_init_in init = {
                .major = FUSE_KERNEL_VERSION,
                .minor = 36,
                .max_readahead = 1 << 20,
                .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS | FUSE_EXPORT_SUPPORT | FUSE_ATOMIC_O_TRUNC |
                         FUSE_PARALLEL_DIROPS,
        };
        char *argv[] = { (char *)"fuzz", NULL };
        struct fuse_args args = FUSE_ARGS_INIT(1, argv);

        s->fuse = fuse_session_new(&args, &ops, sizeof(ops), &s->fs);
        MUST(s->fuse);
        MUST(fuse_session_custom_io(s->fuse, &io, open("/dev/null", O_RDWR | O_CLOEXEC)) == 0);
        s->fs.session = s->fuse;
        MUST(session_ask(s, FUSE_INIT, 0, SESSION_ROOT, &init, sizeof(init))->error == 0);
        fuse_opt_free_args(&args);
}

static struct session *session_make(void)
{
        struct session *s = calloc(1, sizeof(*s));

        MUST(s);
        MUST(pthread_mutex_init(&s->mutex, NULL) == 0 && pthread_cond_init(&s->answered, NULL) == 0);
        library_make(&s->l);
        fill_library(&s->l);
        make_fs(s);
        make_fuse(s);
        return s;
}

/* In the order of fs/mount.c. */
static void session_remove(struct session *s)
{
        struct fs *fs = &s->fs;

        wait_shutdown(fs->waiters);
        atomic_store(&fs->stopping, true);
        later_stop(fs->later);
        spread_free(TAKE_PTR(fs->spread));
        scratches_free(fs->scratches);
        library_close(&s->l);
        fuse_session_destroy(s->fuse);
        parts_free(fs);
        library_remove(&s->l);
        (void)pthread_cond_destroy(&s->answered);
        (void)pthread_mutex_destroy(&s->mutex);
        free(s);
}

static struct session *session;

static void remove_last(void)
{
        session_remove(session);
}

struct session *session_get(void)
{
        static bool prepared;

        if (!prepared) {
                /* else it would end before the session's threads do, which use it to their end */
                MUST(OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL) == 1 && atexit(remove_last) == 0);
                prepared = true;
        }
        if (session && ++session->calls > CALLS_MAX) {
                session_remove(session);
                session = NULL;
        }
        if (!session)
                session = session_make();
        return session;
}
