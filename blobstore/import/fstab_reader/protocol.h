/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_FSTAB_READER_PROTOCOL_H
#define BLOBSTORE_IMPORT_FSTAB_READER_PROTOCOL_H

/*
 * Between imagefs-fstab and who runs it: a SOCK_SEQPACKET pair, and on it structs of this machine, since both ends are
 * on it. A hello comes first; then the child asks, and a request to read is answered by a packet of as many bytes.
 * What cannot be answered closes the socket.
 */

#include "blobstore/import/fstab.h"
#include "blobstore/import/guest_reader/reader.h"

#define FSTAB_SOCKET_FD    3
#define FSTAB_READ_MAX     GUEST_READ_MAX
#define FSTAB_REQUESTS_MAX 512

struct fstab_hello {
        uint32_t n_disks;
        struct fstab_disk disk[FSTAB_DISKS_MAX];
};

enum fstab_request_kind {
        FSTAB_READ = 1,
        FSTAB_FOUND,
};

struct fstab_request {
        uint32_t kind;
        uint32_t disk; /* READ */
        uint64_t off;
        uint32_t len;
        struct fstab_finding found; /* FOUND */
};

#endif
