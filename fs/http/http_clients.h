/* SPDX-License-Identifier: MIT */
#ifndef FS_HTTP_HTTP_CLIENTS_H
#define FS_HTTP_HTTP_CLIENTS_H

/*
 * Whose the connections are: so many at once from one place, that nobody holds all there are. A place is an IPv4
 * address, or a network of 64 bits of IPv6, which is what one host is given and may choose its addresses in. For any
 * number of threads.
 */

#include <stdbool.h>
#include <sys/socket.h>

struct http_clients;

/* At most LIMIT for each place. NULL: no memory. */
struct http_clients *http_clients_make(unsigned limit);
void http_clients_free(struct http_clients *c); /* accepts NULL */

/* May one more come from there? Several that ask at the same moment may all be told so. */
bool http_clients_admit(struct http_clients *c, const struct sockaddr *from);

/* One is there, or has gone. One that there is no memory for is not counted, and false; it must not be told as gone. */
bool http_clients_come(struct http_clients *c, const struct sockaddr *from);
void http_clients_go(struct http_clients *c, const struct sockaddr *from);

#endif
