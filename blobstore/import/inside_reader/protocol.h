/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_INSIDE_READER_PROTOCOL_H
#define BLOBSTORE_IMPORT_INSIDE_READER_PROTOCOL_H

/*
 * Between imagefs-inside and who runs it: a SOCK_SEQPACKET pair, and on it structs of this machine, since both ends are
 * on it. A hello comes first; then the child asks for bytes, and a request to read is answered by a packet of as many;
 * what it finds it says in further packets, and in the end that this is all. What cannot be answered closes the socket.
 */

#include "blobstore/import/guest_reader/reader.h"
#include "blobstore/import/inside.h"

#define INSIDE_SOCKET_FD    3
#define INSIDE_READ_MAX     GUEST_READ_MAX
#define INSIDE_LINES_MAX    ((size_t)16 << 10) /* of one packet */
#define INSIDE_TEXT_MAX     ((size_t)4 << 20) /* of all: 100 000 packages */
#define INSIDE_REQUESTS_MAX (64u << 10)

enum inside_question {
        INSIDE_PARTITIONS = 1,
        INSIDE_SYSTEM,
        INSIDE_PACKAGES,
        INSIDE_FILES, /* none, but many: guest_files_priv.h */
};

struct inside_hello {
        uint32_t question;
        uint32_t fat; /* of files: whether it is that, or ext */
        uint64_t size_bytes;
        uint64_t off, len; /* of files: the partition */
};

enum inside_kind {
        INSIDE_READ = 1, /* LEN bytes at OFF are wanted */
        INSIDE_PART,
        INSIDE_FOUND, /* the system */
        INSIDE_LINES, /* LEN bytes of them */
        INSIDE_END, /* LEN is an errno */
        INSIDE_ANSWER, /* guest_files_priv.h */
};

struct inside_packet {
        uint32_t kind;
        uint32_t len;
        uint64_t off;
        union {
                struct inside_part part;
                struct inside_system system;
                char lines[INSIDE_LINES_MAX];
        };
};
/* How long a packet is that holds N bytes of the union. */
#define INSIDE_PACKET_SIZE(n) (offsetof(struct inside_packet, lines) + (n))

#endif
