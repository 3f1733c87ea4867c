/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/block_slots.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/hash/hash.h"

/* What begins and ends within a block has two of them in part. */
#define READ_BLOCKS_MAX (BLOCK_READ_MAX / BLOB_BLOCK_SIZE + 1)
#define WRITE_BLOCKS_MAX 64

uint64_t block_slots_seed(const struct blob_id *id)
{
        return get_le64(id->bytes) ^ get_le64(id->bytes + 8);
}

/* Never 0: that is a slot without a block. */
static uint64_t block_sum(uint64_t seed, uint64_t block, const void *bytes)
{
        uint64_t sum = hash64(bytes, BLOB_BLOCK_SIZE, seed + block * UINT64_C(0x9e3779b97f4a7c15));

        return sum ? sum : 1;
}

/* ---- reading ---- */

/* Blocks on their way into the caller's buffer; those at both ends may be wanted in part. */
struct block_read {
        uint64_t first;
        size_t blocks;
        uint8_t *at[READ_BLOCKS_MAX];
        uint8_t sums[READ_BLOCKS_MAX][8];
        uint8_t head[BLOB_BLOCK_SIZE], tail[BLOB_BLOCK_SIZE];
};

static void block_read_prepare(struct block_read *rd, uint8_t *buf, size_t n, uint64_t off)
{
        uint64_t end = off + n;

        rd->first = off / BLOB_BLOCK_SIZE;
        rd->blocks = (size_t)((end - 1) / BLOB_BLOCK_SIZE - rd->first + 1);
        memset(rd->sums, 0, sizeof(rd->sums)); /* what lies behind the file's end is not there */
        for (size_t i = 0; i < rd->blocks; i++) {
                uint64_t pos = (rd->first + i) * BLOB_BLOCK_SIZE;

                rd->at[i] = pos < off ? rd->head : pos + BLOB_BLOCK_SIZE > end ? rd->tail : buf + (pos - off);
        }
}

static int block_read_load(struct block_read *rd, int fd)
{
        struct iovec iov[2 * READ_BLOCKS_MAX];

        for (size_t i = 0; i < rd->blocks; i++) {
                iov[2 * i] = (struct iovec){ rd->at[i], BLOB_BLOCK_SIZE };
                iov[2 * i + 1] = (struct iovec){ rd->sums[i], sizeof(rd->sums[i]) };
        }
        return preadv(fd, iov, (int)(2 * rd->blocks), (off_t)(rd->first * BLOCK_SLOT_SIZE)) < 0 ? -errno : 0;
}

int block_slots_read(const struct block_slots *s, void *buf, size_t n, uint64_t off, uint64_t *ret_block)
{
        uint8_t *out = buf;
        struct block_read rd;
        uint64_t sum;
        size_t part;
        int r;

        block_read_prepare(&rd, out, n, off);
        *ret_block = rd.first;
        r = block_read_load(&rd, s->fd);
        if (r < 0)
                return r;
        for (size_t i = 0; i < rd.blocks; i++) {
                *ret_block = rd.first + i;
                sum = get_le64(rd.sums[i]);
                if (sum == 0)
                        return 0;
                if (sum != block_sum(s->seed, rd.first + i, rd.at[i]))
                        return -EBADMSG;
        }
        part = (size_t)(off % BLOB_BLOCK_SIZE);
        if (rd.at[0] == rd.head)
                memcpy(out, rd.head + part, n < BLOB_BLOCK_SIZE - part ? n : BLOB_BLOCK_SIZE - part);
        part = (size_t)((off + n) % BLOB_BLOCK_SIZE);
        if (rd.at[rd.blocks - 1] == rd.tail)
                memcpy(out + n - part, rd.tail, part);
        return 1;
}

/* ---- writing ---- */

static int block_slots_write_some(const struct block_slots *s, const uint8_t *bytes, size_t n, uint64_t block)
{
        uint8_t sums[WRITE_BLOCKS_MAX][8], last[BLOB_BLOCK_SIZE];
        struct iovec iov[2 * WRITE_BLOCKS_MAX];
        size_t blocks = 0;
        ssize_t put;

        for (size_t pos = 0; pos < n; pos += BLOB_BLOCK_SIZE, blocks++) {
                const uint8_t *from = bytes + pos;

                if (n - pos < BLOB_BLOCK_SIZE) {
                        memset(last, 0, sizeof(last));
                        memcpy(last, from, n - pos);
                        from = last;
                }
                put_le64(sums[blocks], block_sum(s->seed, block + blocks, from));
                iov[2 * blocks] = (struct iovec){ (void *)(uintptr_t)from, BLOB_BLOCK_SIZE };
                iov[2 * blocks + 1] = (struct iovec){ sums[blocks], sizeof(sums[blocks]) };
        }
        put = pwritev(s->fd, iov, (int)(2 * blocks), (off_t)(block * BLOCK_SLOT_SIZE));
        if (put < 0)
                return -errno;
        return (size_t)put == blocks * BLOCK_SLOT_SIZE ? 0 : -ENOSPC;
}

int block_slots_write(const struct block_slots *s, const void *bytes, size_t n, uint64_t off)
{
        const size_t most = (size_t)WRITE_BLOCKS_MAX * BLOB_BLOCK_SIZE;
        size_t part;
        int r = 0;

        for (size_t pos = 0; r == 0 && pos < n; pos += part) {
                part = n - pos < most ? n - pos : most;
                r = block_slots_write_some(s, (const uint8_t *)bytes + pos, part, (off + pos) / BLOB_BLOCK_SIZE);
        }
        return r;
}

int block_slots_punch(int fd, uint64_t stretch)
{
        return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(stretch * STRETCH_BYTES),
                         (off_t)STRETCH_BYTES) < 0 ? -errno : 0;
}

/* ---- what there is ---- */

int block_slots_each_run(int fd, block_run_fn *fn, void *ctx)
{
        off_t data, hole = 0;
        int r = 0;

        while (r == 0 && (data = lseek(fd, hole, SEEK_DATA)) >= 0) {
                uint64_t first, end;

                hole = lseek(fd, data, SEEK_HOLE);
                if (hole < 0)
                        return -errno;
                first = ((uint64_t)data + BLOCK_SLOT_SIZE - 1) / BLOCK_SLOT_SIZE;
                end = (uint64_t)hole / BLOCK_SLOT_SIZE;
                if (end > first)
                        r = fn(ctx, first, end - first);
        }
        return r < 0 || errno == ENXIO ? r : -errno;
}
