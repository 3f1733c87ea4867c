/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_JUDGE_ANSWER_H
#define BLOBSTORE_IMPORT_JUDGE_ANSWER_H

/*
 * What imagefs-judge writes to descriptor 4: the answer, as a struct of this machine, since both ends are on it; the
 * sentence of a refusal; and the map. The reader trusts none of it.
 */

#include <stdint.h>

#define JUDGE_INPUT_FD  3
#define JUDGE_OUTPUT_FD 4

/* A bit per block, and a byte more. */
#define JUDGE_MAP_BYTES(size_bytes, block_bytes) ((size_bytes) / (block_bytes) / 8 + 1)

/* What a header says. */
struct judged {
        uint64_t size_bytes; /* virtual */
        uint32_t encrypted; /* 0 or not, as the next; no bool, since what a reader finds in it may be anything */
        uint32_t flat; /* although the format has tables: the file's first size_bytes bytes are the disk */
};

struct judge_answer {
        int32_t error; /* 0, or a negative errno with a sentence */
        uint32_t sentence_bytes;
        struct judged judged;
        /* Of the tables, where these were asked about: as in struct walk. */
        uint64_t data_bytes;
        uint64_t block_bytes;
        uint64_t map_bytes; /* 0: qemu tells the holes */
};

#endif
