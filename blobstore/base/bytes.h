/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_BYTES_H
#define BLOBSTORE_BASE_BYTES_H

/* Little-endian integers in buffers of any alignment, for what is written to disk; and bytes as hex digits. */

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t get_le16(const void *p)
{
        uint16_t v;

        memcpy(&v, p, sizeof(v));
        return le16toh(v);
}

static inline uint32_t get_le32(const void *p)
{
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return le32toh(v);
}

static inline uint64_t get_le64(const void *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return le64toh(v);
}

static inline void put_le32(void *p, uint32_t v)
{
        v = htole32(v);
        memcpy(p, &v, sizeof(v));
}

static inline void put_le64(void *p, uint64_t v)
{
        v = htole64(v);
        memcpy(p, &v, sizeof(v));
}

/* Two digits for each byte, and a zero after the last. */
static inline void put_hex(char *ret, const uint8_t *bytes, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                *ret++ = "0123456789abcdef"[bytes[i] >> 4];
                *ret++ = "0123456789abcdef"[bytes[i] & 15];
        }
        *ret = '\0';
}

#endif
