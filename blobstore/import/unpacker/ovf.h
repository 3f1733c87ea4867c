/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_UNPACKER_OVF_H
#define BLOBSTORE_IMPORT_UNPACKER_OVF_H

/*
 * The description in an OVA (DMTF DSP0243): which members are the machine's disks, and what it says of the machine. It
 * is read by expat; a document type, and with it all entities but XML's own, is refused.
 */

#include <stddef.h>

#define OVF_DISKS_MAX 26 /* vda to vdz */
#define OVF_FILES_MAX 64
#define OVF_VALUE_MAX 256

struct ovf {
        size_t n_files;
        struct {
                char id[OVF_VALUE_MAX];
                char name[OVF_VALUE_MAX];
        } file[OVF_FILES_MAX];
        size_t n_disks;
        size_t disk[OVF_DISKS_MAX]; /* of the files, in the order of the disks */
        char system[OVF_VALUE_MAX]; /* the machine's name */
        char os[OVF_VALUE_MAX];
};

/* Refuses what it does not like. TEXT ends with a NUL, and has less than 2 GiB. */
void ovf_parse(const char *text, struct ovf *ret);

#endif
