/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_ADDRESS_H
#define MODEL_INTAKE_ADDRESS_H

/*
 * Where an import may connect to. The daemon stands where its users do not: on a server's own network, often as root.
 * What answers there without asking who it is must not be handed out as a disk image. Private to model/.
 */

#include <sys/socket.h>

enum address_reach {
        ADDRESS_PUBLIC,
        ADDRESS_PRIVATE, /* this machine, and networks of the site: for the administrator, and where he allows it */
        ADDRESS_NEVER, /* link-local and group addresses, and where clouds tell machines their secrets */
};

enum address_reach address_classify(const struct sockaddr *sa);

#endif
