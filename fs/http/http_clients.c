/* SPDX-License-Identifier: MIT */

#include "fs/http/http_clients.h"

#include <netinet/in.h>
#include <pthread.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct place {
        uint8_t address[16]; /* as IPv6 writes it; of that the first half, of IPv4 all */
        unsigned clients;
};

struct http_clients {
        pthread_mutex_t lock;
        unsigned limit;
        void *places; /* of struct place, by address: those from where somebody is there */
};

struct http_clients *http_clients_make(unsigned limit)
{
        struct http_clients *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        (void)pthread_mutex_init(&c->lock, NULL); /* cannot fail without attributes */
        c->limit = limit;
        return c;
}

void http_clients_free(struct http_clients *c)
{
        if (!c)
                return;
        tdestroy(c->places, free);
        (void)pthread_mutex_destroy(&c->lock);
        free(c);
}

static int compare(const void *a, const void *b)
{
        return memcmp(((const struct place *)a)->address, ((const struct place *)b)->address, 16);
}

static struct place place_of(const struct sockaddr *from)
{
        static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
        struct place p = { 0 };

        if (from->sa_family == AF_INET) {
                memcpy(p.address, mapped, sizeof(mapped));
                memcpy(p.address + 12, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
        } else if (from->sa_family == AF_INET6) {
                const uint8_t *address = ((const struct sockaddr_in6 *)(const void *)from)->sin6_addr.s6_addr;

                memcpy(p.address, address, memcmp(address, mapped, sizeof(mapped)) == 0 ? 16 : 8);
        }
        return p;
}

bool http_clients_admit(struct http_clients *c, const struct sockaddr *from)
{
        const struct place wanted = place_of(from);
        struct place **found;
        bool ok;

        (void)pthread_mutex_lock(&c->lock);
        found = tfind(&wanted, &c->places, compare);
        ok = !found || (*found)->clients < c->limit;
        (void)pthread_mutex_unlock(&c->lock);
        return ok;
}

/* The place, made where it is not there; NULL: no memory. */
static struct place *place_get(struct http_clients *c, const struct place *wanted)
{
        struct place **found = tfind(wanted, &c->places, compare), *made;

        if (found)
                return *found;
        made = malloc(sizeof(*made));
        if (!made)
                return NULL;
        *made = *wanted;
        if (tsearch(made, &c->places, compare))
                return made;
        free(made);
        return NULL;
}

bool http_clients_come(struct http_clients *c, const struct sockaddr *from)
{
        const struct place wanted = place_of(from);
        struct place *p;

        (void)pthread_mutex_lock(&c->lock);
        p = place_get(c, &wanted);
        if (p)
                p->clients++;
        (void)pthread_mutex_unlock(&c->lock);
        return p;
}

void http_clients_go(struct http_clients *c, const struct sockaddr *from)
{
        const struct place wanted = place_of(from);
        struct place **found;

        (void)pthread_mutex_lock(&c->lock);
        found = tfind(&wanted, &c->places, compare);
        if (found && --(*found)->clients == 0) {
                struct place *gone = *found;

                (void)tdelete(gone, &c->places, compare);
                free(gone);
        }
        (void)pthread_mutex_unlock(&c->lock);
}
