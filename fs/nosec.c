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

bool nosec_is_needed(void)
{
        return false; /* ops_init() asks for it */
}

void nosec_look(struct nosec *nosec, const void *buf, size_t n)
{
        (void)nosec;
        (void)buf;
        (void)n;
}

void nosec_amend(struct nosec *nosec, struct iovec *iov, int count)
{
        (void)nosec;
        (void)iov;
        (void)count;
}

#else

#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>

/* The exchange: INIT is read first, by one thread, and answered by it before anything else is. */
enum { NOSEC_WAITING, NOSEC_OFFERED, NOSEC_OVER };

bool nosec_is_needed(void)
{
        return true;
}

void nosec_look(struct nosec *nosec, const void *buf, size_t n)
{
        struct {
                struct fuse_in_header header;
                struct fuse_init_in init;
        } in;

        if (atomic_load_explicit(&nosec->state, memory_order_relaxed) != NOSEC_WAITING)
                return;
        memset(&in, 0, sizeof(in));
        memcpy(&in, buf, n < sizeof(in) ? n : sizeof(in));
        atomic_store(&nosec->state, in.header.opcode == FUSE_INIT && (in.init.flags & FUSE_HANDLE_KILLPRIV_V2) ?
                                         NOSEC_OFFERED :
                                         NOSEC_OVER);
}

void nosec_amend(struct nosec *nosec, struct iovec *iov, int count)
{
        struct fuse_out_header header;
        struct fuse_init_out init;
        int offered = NOSEC_OFFERED;

        if (atomic_load_explicit(&nosec->state, memory_order_relaxed) != NOSEC_OFFERED ||
            !atomic_compare_exchange_strong(&nosec->state, &offered, NOSEC_OVER) || count != 2 ||
            iov[1].iov_len < sizeof(init))
                return;
        memcpy(&header, iov[0].iov_base, sizeof(header));
        memcpy(&init, iov[1].iov_base, sizeof(init));
        if (header.error == 0) {
                init.flags |= FUSE_HANDLE_KILLPRIV_V2;
                memcpy(iov[1].iov_base, &init, sizeof(init));
        }
}

#endif
