/* SPDX-License-Identifier: MIT */

/*
 * Which system is installed on a disk, as far as it says so itself: os-release(5), the processor that /bin/sh is for, and
 * by which firmware the disk can be started. What cannot be told is left out.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/import/inside_reader/inside_reader.h"

#define OS_RELEASE_MAX (64 << 10)

/* GPT's types of partitions, as areas.c writes them. */
#define TYPE_EFI       "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
#define TYPE_BIOS_BOOT "21686148-6449-6e6f-744e-656564454649"
#define TYPE_MICROSOFT "e3c9e316-0b5c-4db8-817d-f92df00215ae" /* reserved by Windows */
#define TYPE_MBR_EFI   "0xef"

static bool has_type(const struct guest_disk *d, const char *type)
{
        for (size_t i = 0; i < d->n_areas; i++) {
                if (strcmp(d->area[i].type, type) == 0)
                        return true;
        }
        return false;
}

static bool has_fs(const struct guest_disk *d, const char *fs)
{
        for (size_t i = 0; i < d->n_areas; i++) {
                if (d->area[i].fs && strcmp(d->area[i].fs, fs) == 0)
                        return true;
        }
        return false;
}

/*
 * What has an EFI system partition starts by that, even where a BIOS could start it, too. Without one it is the boot
 * program in the MBR, or in the partition that GPT has for it.
 */
static void find_boot_mode(const struct guest_disk *d, struct inside_system *ret)
{
        if (has_type(d, TYPE_EFI) || has_type(d, TYPE_MBR_EFI))
                memcpy(ret->boot_mode, "uefi", sizeof("uefi"));
        else if (has_type(d, TYPE_BIOS_BOOT) || (d->boot_code && d->n_areas > 1))
                memcpy(ret->boot_mode, "bios", sizeof("bios"));
}

/* ---- os-release ---- */

/* The value of KEY, where it has one, without quotes and what they protect. */
static void get_value(const char *text, const char *key, char *ret, size_t size)
{
        const size_t n = strlen(key);

        for (const char *line = text; line; line = strchr(line, '\n')) {
                size_t len = 0;
                char quote = 0;

                line += *line == '\n';
                if (strncmp(line, key, n) != 0 || line[n] != '=')
                        continue;
                for (const char *p = line + n + 1; *p && *p != '\n' && len + 1 < size; p++) {
                        if (!quote && (*p == '"' || *p == '\''))
                                quote = *p;
                        else if (*p == quote)
                                break;
                        else if (*p != '\\' || !p[1] || p[1] == '\n')
                                ret[len++] = *p;
                        else
                                ret[len++] = *++p;
                }
                ret[len] = '\0';
                return;
        }
}

/* What is said in a word, where os-release has a sentence for it. */
static const struct {
        const char *id, *platform;
} platforms[] = {
        { "debian", "Debian" },
        { "ubuntu", "Ubuntu" },
        { "fedora", "Fedora" },
        { "centos", "CentOS" },
        { "rhel", "Red Hat" },
        { "rocky", "Rocky Linux" },
        { "almalinux", "AlmaLinux" },
        { "ol", "Oracle Linux" },
        { "amzn", "Amazon Linux" },
        { "opensuse-leap", "openSUSE" },
        { "opensuse-tumbleweed", "openSUSE" },
        { "sles", "SUSE" },
        { "alpine", "Alpine" },
        { "arch", "Arch" },
        { "gentoo", "Gentoo" },
        { "kylin", "Kylin" },
        { "openEuler", "openEuler" },
};

static void read_os_release(const char *text, struct inside_system *ret)
{
        char id[64] = "";

        get_value(text, "ID", id, sizeof(id));
        get_value(text, "NAME", ret->platform, sizeof(ret->platform));
        get_value(text, "VERSION_ID", ret->platform_version, sizeof(ret->platform_version));
        for (size_t i = 0; i < sizeof(platforms) / sizeof(platforms[0]); i++) {
                if (strcmp(platforms[i].id, id) == 0)
                        (void)snprintf(ret->platform, sizeof(ret->platform), "%s", platforms[i].platform);
        }
        (void)snprintf(ret->os, sizeof(ret->os), "%s", strcmp(id, "kylin") == 0 ? "kylin" : "linux");
}

/* ---- the file system ---- */

/* An ELF file of 64 bits says its processor; little-endian, as both that images may have. */
static void read_machine(struct ext *e, struct inside_system *ret)
{
        static const struct {
                uint8_t machine;
                const char *name;
        } machines[] = { { 62, "x86_64" }, { 183, "aarch64" } };
        uint8_t head[20];

        if (!ext_read_start(e, "/bin/sh", head, sizeof(head)) || memcmp(head, "\177ELF\2\1", 6) != 0 || head[19] != 0)
                return;
        for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
                if (head[18] == machines[i].machine)
                        (void)snprintf(ret->architecture, sizeof(ret->architecture), "%s", machines[i].name);
        }
}

/* The root file system is the first that says what system it is. */
static bool read_root(struct ext *e, struct inside_system *ret)
{
        size_t len;
        char *text = ext_read_file(e, "/etc/os-release", OS_RELEASE_MAX, &len);

        if (!text)
                text = ext_read_file(e, "/usr/lib/os-release", OS_RELEASE_MAX, &len);
        if (!text)
                return false;
        read_os_release(text, ret);
        free(text);
        read_machine(e, ret);
        return true;
}

void find_system(struct guest_disk *d, struct inside_system *ret)
{
        disk_list_areas(d);
        find_boot_mode(d, ret);
        for (size_t i = 0; i < d->n_areas; i++) {
                struct ext *e = d->area[i].ext ? ext_open(&d->area[i]) : NULL;
                const bool found = e && read_root(e, ret);

                ext_close(e);
                if (found)
                        return;
        }
        if (has_type(d, TYPE_EFI) && has_type(d, TYPE_MICROSOFT) && has_fs(d, "ntfs"))
                memcpy(ret->os, "windows", sizeof("windows"));
}
