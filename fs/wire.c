/* SPDX-License-Identifier: MIT */

#include "fs/wire.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/order.h"
#include "fs/tree/req.h"

/* linux/fuse.h has these since 6.9. */
#define RESENDS_FLAG2 (1U << 7) /* FUSE_HAS_RESEND, of the upper half */
#define RESEND        7 /* FUSE_NOTIFY_RESEND */
#define RESENT        (UINT64_C(1) << 63) /* FUSE_UNIQUE_RESEND */

/* Where the beginning stands, of a session that goes on: libfuse reads it, and its answer goes nowhere. */
enum { INIT_OF_KERNEL, INIT_TO_READ, INIT_TO_ANSWER };

/* The kernel's INIT, for the processes to come. */
static void keep_init(struct lasting_memory *m, const void *buf, size_t n)
{
        struct {
                struct fuse_in_header header;
                struct fuse_init_in init;
        } in = { 0 };

        if (n > sizeof(m->init))
                return;
        memcpy(&in, buf, n < sizeof(in) ? n : sizeof(in));
        if (in.header.opcode != FUSE_INIT)
                return;
        memcpy(m->init, buf, n);
        if ((in.init.flags & FUSE_INIT_EXT) && (in.init.flags2 & RESENDS_FLAG2))
                atomic_store(&m->resends, 1);
        atomic_store(&m->init_bytes, (uint32_t)n);
}

/*
 * A process that is killed while the kernel copies a request to memory that is not there yet has the request fail with EIO:
 * seen once in some 40 kills under load. So the memory is there before, which libfuse has for each thread: 1 MiB.
 */
static void have_memory(void *buf, size_t size)
{
        static _Thread_local const void *had;
        const size_t page = 4096;
        volatile char *bytes = buf;

        if (buf == had)
                return;
        for (size_t i = 0; i < size; i += page)
                bytes[i] = 0;
        had = buf;
}

static ssize_t wire_read(int fd, void *buf, size_t size, void *userdata)
{
        struct wire *w = ((struct fs *)userdata)->wire;
        struct fuse_in_header header;
        ssize_t n;

        if (w->init == INIT_TO_READ) {
                n = atomic_load(&w->lasting->memory->init_bytes);
                memcpy(buf, w->lasting->memory->init, (size_t)n);
                nosec_look(&w->nosec, buf, (size_t)n);
                w->init = INIT_TO_ANSWER;
                return n;
        }
        if (w->lasting)
                have_memory(buf, size);
        n = read(fd, buf, size);
        if (n < (ssize_t)sizeof(header))
                return n;
        memcpy(&header, buf, sizeof(header));
        order_note_request(buf, (size_t)n);
        nosec_look(&w->nosec, buf, (size_t)n);
        if (w->lasting)
                resent_begin(&w->lasting->memory->notes, header.unique & ~RESENT, header.unique & RESENT);
        if (w->lasting && atomic_load_explicit(&w->lasting->memory->init_bytes, memory_order_relaxed) == 0)
                keep_init(w->lasting->memory, buf, (size_t)n);
        return n;
}

static ssize_t wire_writev(int fd, struct iovec *iov, int count, void *userdata)
{
        struct wire *w = ((struct fs *)userdata)->wire;
        ssize_t n = 0;

        nosec_amend(&w->nosec, iov, count);
        if (w->init == INIT_TO_ANSWER) {
                for (int i = 0; i < count; i++)
                        n += (ssize_t)iov[i].iov_len;
                return n;
        }
        order_note_answer(iov, count);
        /* Not writev(3): the address sanitizer's looks at the bytes once sent, when their file may be closed. */
        return syscall(SYS_writev, fd, iov, count);
}

static const struct fuse_custom_io wire_io = { .read = wire_read, .writev = wire_writev };

int wire_arrange(struct fuse_session *session, struct wire *w)
{
        if (!w->lasting && !nosec_is_needed() && ORDER_IS_SEEN)
                return 0;
        return fuse_session_custom_io(session, &wire_io, fuse_session_fd(session)) == 0 ? 0 : -ENOSYS;
}

int wire_take_over(struct fuse_session *session, struct wire *w)
{
        const struct fuse_out_header resend = { .len = sizeof(resend), .error = RESEND };
        struct fuse_buf buf = { 0 };
        int r;

        if (fuse_session_custom_io(session, &wire_io, w->lasting->fuse_fd) != 0)
                return -ENOSYS;
        w->lasting->fuse_fd = -1; /* the session's now */
        w->init = INIT_TO_READ;
        r = fuse_session_receive_buf(session, &buf);
        if (r > 0)
                fuse_session_process_buf(session, &buf);
        free(buf.mem);
        if (r <= 0)
                return r < 0 ? r : -EPROTO;
        w->init = INIT_OF_KERNEL;
        return write(fuse_session_fd(session), &resend, sizeof(resend)) == sizeof(resend) ? 0 : -errno;
}
