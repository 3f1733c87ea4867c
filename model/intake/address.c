/* SPDX-License-Identifier: MIT */
/*
 * A table of prefixes (IANA's special-purpose registries). It is asked about the number that is connected to, after
 * names were resolved and redirects followed, so that no name can be made to mean something else in between. An IPv4
 * address that is written inside an IPv6 one counts as what it is.
 */

#include "model/intake/address.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct prefix {
        uint8_t bytes[16];
        unsigned bits;
        enum address_reach reach;
};

/* The first that fits decides. */
static const struct prefix v4[] = {
        { { 169, 254 }, 16, ADDRESS_NEVER }, /* link-local: clouds' metadata */
        { { 100, 100, 100, 200 }, 32, ADDRESS_NEVER }, /* metadata elsewhere, as the next two */
        { { 168, 63, 129, 16 }, 32, ADDRESS_NEVER },
        { { 192, 0, 0, 192 }, 32, ADDRESS_NEVER },
        { { 224 }, 3, ADDRESS_NEVER }, /* groups, reserved, broadcast */
        { { 0 }, 8, ADDRESS_PRIVATE }, /* this machine */
        { { 127 }, 8, ADDRESS_PRIVATE },
        { { 10 }, 8, ADDRESS_PRIVATE },
        { { 172, 16 }, 12, ADDRESS_PRIVATE },
        { { 192, 168 }, 16, ADDRESS_PRIVATE },
        { { 100, 64 }, 10, ADDRESS_PRIVATE }, /* carriers' */
        { { 192, 0, 0 }, 24, ADDRESS_PRIVATE },
        { { 198, 18 }, 15, ADDRESS_PRIVATE }, /* benchmarks */
};

static const struct prefix v6[] = {
        { { 0xfe, 0x80 }, 10, ADDRESS_NEVER }, /* link-local */
        { { 0xff }, 8, ADDRESS_NEVER }, /* groups */
        { { 0xfd, 0x00, 0x0e, 0xc2, [15] = 0x54, [14] = 0x02 }, 128, ADDRESS_NEVER }, /* metadata */
        { { 0xfc }, 7, ADDRESS_PRIVATE },
        { { 0xfe, 0xc0 }, 10, ADDRESS_PRIVATE }, /* what fc00::/7 was before */
        { { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, ADDRESS_PRIVATE }, /* NAT64 of the site, to wherever it likes */
        { { 0x5f }, 16, ADDRESS_PRIVATE }, /* segments of a route */
};

/* Where an IPv4 address follows a prefix. */
static const struct prefix v4_inside[] = {
        { { [10] = 0xff, [11] = 0xff }, 96, ADDRESS_PUBLIC }, /* mapped */
        { { 0x00, 0x64, 0xff, 0x9b }, 96, ADDRESS_PUBLIC }, /* NAT64 */
        { { 0x20, 0x02 }, 16, ADDRESS_PUBLIC }, /* 6to4 */
        { { 0 }, 96, ADDRESS_PUBLIC }, /* as it was once written; ::1 is this machine as 0.0.0.1 is */
};

static bool fits(const uint8_t *address, const struct prefix *p)
{
        const unsigned whole = p->bits / 8, rest = p->bits % 8;

        return memcmp(address, p->bytes, whole) == 0 &&
               (rest == 0 || (address[whole] ^ p->bytes[whole]) >> (8 - rest) == 0);
}

#define N_OF(table) (sizeof(table) / sizeof((table)[0]))

static enum address_reach look_up(const uint8_t *address, const struct prefix *table, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (fits(address, &table[i]))
                        return table[i].reach;

        return ADDRESS_PUBLIC;
}

enum address_reach address_classify(const struct sockaddr *sa)
{
        uint8_t address[16];

        switch (sa->sa_family) {
        case AF_INET:
                memcpy(address, &((const struct sockaddr_in *)sa)->sin_addr, 4);
                return look_up(address, v4, N_OF(v4));
        case AF_INET6:
                memcpy(address, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
                for (size_t i = 0; i < N_OF(v4_inside); i++)
                        if (fits(address, &v4_inside[i]))
                                return look_up(address + v4_inside[i].bits / 8, v4, N_OF(v4));
                return look_up(address, v6, N_OF(v6));
        default:
                return ADDRESS_NEVER; /* a socket of this machine, and the like */
        }
}
