/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_UNPACKER_STREAM_H
#define BLOBSTORE_IMPORT_UNPACKER_STREAM_H

/*
 * What imagefs-unpack writes to descriptor 4: frames, in the order and number of bytes of this machine, since both ends
 * are on it. The reader trusts none of it.
 */

#include <stdint.h>

#define UNPACK_INPUT_FD   3
#define UNPACK_OUTPUT_FD  4
#define UNPACK_FRAME_MAX  (256 << 10)

enum unpack_frame {
        UNPACK_DISK = 1, /* the number of a disk, as a byte; its data follows */
        UNPACK_DATA, /* of the disk */
        UNPACK_HINT, /* "os=…", "platform=…", "description=…" */
        UNPACK_REFUSED, /* a sentence; the last frame */
        UNPACK_END, /* all was there and right; the last frame */
};

struct unpack_header {
        uint32_t frame;
        uint32_t len; /* of what follows, at most UNPACK_FRAME_MAX */
};

#endif
