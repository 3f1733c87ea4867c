/* SPDX-License-Identifier: MIT */

/*
 * imagefs-fstab: reads /etc/fstab from the first of a machine's disks, and says which of its lines name something on a
 * disk that a machine made of the image would not have. The daemon runs it as it runs qemu-nbd: without privileges,
 * files, network, and with bounded memory and time. All it knows comes through the socket (protocol.h).
 *
 * What a line names is told with certainty or not at all. A device of a disk that stays is there, and one of any other
 * disk is not: devices keep their names. What has a UUID or label is missing where it is seen on a disk that is left
 * out, and on none that stays; a name that is seen nowhere may belong to something that cannot be read here. A disk
 * that stays brings its contents along, and so is no reason to warn of. Disks are looked at only as far as a line asks
 * for it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blobstore/import/fstab_reader/protocol.h"
#include "blobstore/import/fstab_reader/reader.h"

struct machine {
        size_t n;
        struct guest_disk disk[FSTAB_DISKS_MAX];
        unsigned found;
};

void guest_fetch(uint32_t disk, void *buf, size_t n, uint64_t off)
{
        struct fstab_request q = { .kind = FSTAB_READ, .disk = disk, .off = off, .len = (uint32_t)n };

        if (send(FSTAB_SOCKET_FD, &q, sizeof(q), MSG_NOSIGNAL) != sizeof(q) ||
            recv(FSTAB_SOCKET_FD, buf, n, MSG_TRUNC) != (ssize_t)n)
                _exit(1);
}

static bool has_name(struct guest_disk *d, enum tag tag, const char *value)
{
        disk_list_areas(d);
        for (size_t i = 0; i < d->n_areas; i++) {
                const char *name = d->area[i].name[tag];

                if (tag == TAG_UUID || tag == TAG_PARTUUID ? strcasecmp(name, value) == 0 : strcmp(name, value) == 0)
                        return true;
        }
        return false;
}

/* The device of a disk that is left out and that the line needs; false: there is none. */
static bool find_missing(struct machine *m, const struct want *w, char device[8])
{
        if (w->tag == TAG_DEVICE) {
                (void)snprintf(device, 8, "%.3s", w->value);
                for (size_t i = 0; i < m->n; i++) {
                        if (m->disk[i].stays && strcmp(m->disk[i].device, device) == 0)
                                return false;
                }
                return true;
        }
        for (size_t i = 0; i < m->n; i++) {
                if (m->disk[i].stays && has_name(&m->disk[i], w->tag, w->value))
                        return false;
        }
        for (size_t i = 0; i < m->n; i++) {
                if (!m->disk[i].stays && has_name(&m->disk[i], w->tag, w->value)) {
                        memcpy(device, m->disk[i].device, 8);
                        return true;
                }
        }
        return false;
}

static void judge(void *ctx, const struct want *w)
{
        struct fstab_request q = { .kind = FSTAB_FOUND, .found.swap = w->swap };
        struct machine *m = ctx;

        if (m->found == FSTAB_FINDINGS_MAX || !find_missing(m, w, q.found.device))
                return;
        (void)snprintf(q.found.source, sizeof(q.found.source), "%s", w->source);
        (void)snprintf(q.found.target, sizeof(q.found.target), "%s", w->target);
        if (send(FSTAB_SOCKET_FD, &q, sizeof(q), MSG_NOSIGNAL) != sizeof(q))
                _exit(1);
        m->found++;
}

static bool receive_hello(struct machine *m)
{
        struct fstab_hello hello;

        if (recv(FSTAB_SOCKET_FD, &hello, sizeof(hello), 0) != sizeof(hello))
                return false;
        m->n = hello.n_disks;
        for (size_t i = 0; i < m->n; i++) {
                struct guest_disk *d = &m->disk[i];

                memcpy(d->device, hello.disk[i].device, sizeof(d->device));
                d->stays = hello.disk[i].stays;
                d->number = (uint32_t)i;
                d->size_bytes = hello.disk[i].size_bytes;
        }
        return m->n > 0;
}

/* The root file system is the one that has the file. */
static char *find_fstab(struct guest_disk *system, size_t *ret_len)
{
        char *text = NULL;

        disk_list_areas(system);
        for (size_t i = 0; i < system->n_areas && !text; i++) {
                struct ext *e = system->area[i].ext ? ext_open(&system->area[i]) : NULL;

                text = e ? ext_read_file(e, "/etc/fstab", FSTAB_BYTES_MAX, ret_len) : NULL;
                ext_close(e);
        }
        return text;
}

int main(void)
{
        static struct machine machine;
        size_t len;
        char *text;

        if (!receive_hello(&machine))
                return 2;
        text = find_fstab(&machine.disk[0], &len);
        if (text)
                fstab_each_want(text, len, judge, &machine);
        free(text);
        return 0;
}
