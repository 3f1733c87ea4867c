/* SPDX-License-Identifier: MIT */

/*
 * imagefs-inside: answers one question about what is inside a disk, or many about its files. The daemon runs it as it runs qemu-nbd: without
 * privileges, files, network, and with bounded memory and time. All it knows comes through the socket (protocol.h), and
 * it is not believed there.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blobstore/import/inside_reader/files.h"
#include "blobstore/import/inside_reader/inside_reader.h"
#include "blobstore/import/inside_reader/protocol.h"

static void say(const struct inside_packet *p, size_t n)
{
        if (send(INSIDE_SOCKET_FD, p, INSIDE_PACKET_SIZE(n), MSG_NOSIGNAL) != (ssize_t)INSIDE_PACKET_SIZE(n))
                _exit(1);
}

void guest_fetch(uint32_t disk, void *buf, size_t n, uint64_t off)
{
        const struct inside_packet p = { .kind = INSIDE_READ, .len = (uint32_t)n, .off = off };

        (void)disk; /* there is but one */
        say(&p, 0);
        if (recv(INSIDE_SOCKET_FD, buf, n, MSG_TRUNC) != (ssize_t)n)
                _exit(1);
}

/* ---- partitions ---- */

static void say_part(const struct area *a)
{
        struct inside_packet p = { .kind = INSIDE_PART };

        p.part = (struct inside_part){ .number = a->number, .off = a->off, .len = a->len };
        (void)snprintf(p.part.type, sizeof(p.part.type), "%s", a->type);
        (void)snprintf(p.part.fs, sizeof(p.part.fs), "%s", a->fs ? a->fs : "");
        memcpy(p.part.label, a->name[TAG_LABEL], sizeof(p.part.label));
        for (size_t i = 0; i < sizeof(p.part.uuid) - 1 && a->name[TAG_UUID][i]; i++) {
                const char c = a->name[TAG_UUID][i];

                p.part.uuid[i] = (char)(c > ' ' && c <= '~' ? c : '?'); /* LUKS has it as a text */
        }
        say(&p, sizeof(p.part));
}
_Static_assert(sizeof(((struct inside_part *)0)->label) == VALUE_MAX, "a label fits");

/* The disk itself is told of where it has more than partitions. */
static int say_partitions(struct guest_disk *d)
{
        disk_list_areas(d);
        for (size_t i = 0; i < d->n_areas; i++) {
                if (d->area[i].number > 0 || d->area[i].fs)
                        say_part(&d->area[i]);
        }
        return 0;
}

/* ---- the system, and its packages ---- */

static int say_system(struct guest_disk *d)
{
        struct inside_packet p = { .kind = INSIDE_FOUND };

        find_system(d, &p.system);
        say(&p, sizeof(p.system));
        return 0;
}

static int say_packages(struct guest_disk *d)
{
        struct inside_packet p = { .kind = INSIDE_LINES };
        struct packages packages = { 0 };
        int r;

        r = find_packages(d, &packages);
        for (size_t i = 0; r == 0 && i < packages.n; i++) {
                const size_t n = strlen(packages.line[i]);

                if (n > sizeof(p.lines) - p.len) {
                        say(&p, p.len);
                        p.len = 0;
                }
                memcpy(p.lines + p.len, packages.line[i], n);
                p.len += (uint32_t)n;
        }
        if (p.len > 0)
                say(&p, p.len);
        return r; /* and what was taken goes with the process */
}

int main(void)
{
        static int (*const answers[])(struct guest_disk *d) = {
                [INSIDE_PARTITIONS] = say_partitions,
                [INSIDE_SYSTEM] = say_system,
                [INSIDE_PACKAGES] = say_packages,
        };
        static struct guest_disk disk;
        struct inside_packet end = { .kind = INSIDE_END };
        struct inside_hello hello;

        if (recv(INSIDE_SOCKET_FD, &hello, sizeof(hello), 0) != sizeof(hello))
                return 2;
        if (hello.question < INSIDE_PARTITIONS || hello.question > INSIDE_FILES)
                return 2;
        disk.size_bytes = hello.size_bytes;
        if (hello.question == INSIDE_FILES)
                return serve_files(&disk, &hello);
        end.len = (uint32_t)-answers[hello.question](&disk);
        say(&end, 0);
        return 0;
}
