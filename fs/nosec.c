/* SPDX-License-Identifier: MIT */
/*
 * Before each write(2) the kernel wants to know whether the file has capabilities that the write must take away, and
 * asks the daemon: every WRITE comes with a GETXATTR of its own. A file system that has no such files says
 * FUSE_HANDLE_KILLPRIV_V2 in its reply to INIT (linux/fuse.h, protocol 7.33), and is asked once for each inode.
 *
 * libfuse up to 3.15 has no name for that flag and would refuse it, so it is added to the reply on its way out. Only
 * the INIT exchange is looked at; all other messages pass.
 */

#include "fs/nosec.h"

#include "fs/tree/req.h"

#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2

void nosec_arrange(struct fuse_session *session)
{
        (void)session; /* ops_init() asks for it */
}

#else

#include <linux/fuse.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The exchange: INIT is read first, by one thread, and answered by it before anything else is. */
enum { NOSEC_WAITING, NOSEC_OFFERED, NOSEC_OVER };

static ssize_t nosec_read(int fd, void *buf, size_t size, void *userdata)
{
        struct nosec *nosec = ((struct fs *)userdata)->nosec;
        ssize_t n = read(fd, buf, size);
        struct {
                struct fuse_in_header header;
                struct fuse_init_in init;
        } in;

        if (n < 0 || atomic_load_explicit(&nosec->state, memory_order_relaxed) != NOSEC_WAITING)
                return n;
        memset(&in, 0, sizeof(in));
        memcpy(&in, buf, (size_t)n < sizeof(in) ? (size_t)n : sizeof(in));
        atomic_store(&nosec->state, in.header.opcode == FUSE_INIT && (in.init.flags & FUSE_HANDLE_KILLPRIV_V2) ?
                                         NOSEC_OFFERED :
                                         NOSEC_OVER);
        return n;
}

static ssize_t nosec_writev(int fd, struct iovec *iov, int count, void *userdata)
{
        struct nosec *nosec = ((struct fs *)userdata)->nosec;
        int offered = NOSEC_OFFERED;

        if (atomic_load_explicit(&nosec->state, memory_order_relaxed) == NOSEC_OFFERED &&
            atomic_compare_exchange_strong(&nosec->state, &offered, NOSEC_OVER) && count == 2 &&
            iov[1].iov_len >= sizeof(struct fuse_init_out)) {
                struct fuse_out_header header;
                struct fuse_init_out init;

                memcpy(&header, iov[0].iov_base, sizeof(header));
                memcpy(&init, iov[1].iov_base, sizeof(init));
                if (header.error == 0) {
                        init.flags |= FUSE_HANDLE_KILLPRIV_V2;
                        memcpy(iov[1].iov_base, &init, sizeof(init));
                }
        }
        /* Not writev(3): the address sanitizer's looks at the bytes once sent, when their file may be closed. */
        return syscall(SYS_writev, fd, iov, count);
}

void nosec_arrange(struct fuse_session *session)
{
        static const struct fuse_custom_io io = { .read = nosec_read, .writev = nosec_writev };

        (void)fuse_session_custom_io(session, &io, fuse_session_fd(session)); /* as it was, if it cannot be had */
}

#endif
