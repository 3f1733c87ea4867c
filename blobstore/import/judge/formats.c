/* SPDX-License-Identifier: MIT */

/* The formats that have something to judge. */

#include "blobstore/import/judge/judge.h"

static const struct judge_format formats[] = {
        { "qcow2", "qcow2", qcow2_check, qcow2_walk },
        { "vmdk", "VMDK", vmdk_check, vmdk_walk },
        { "vhd", "VHD", vhd_check, vhd_walk },
        { "vhdx", "VHDX", vhdx_check, vhdx_walk },
        { "vdi", "VDI", vdi_check, vdi_walk },
        { "iso", "ISO 9660", iso_check, NULL },
};

const struct judge_format *judge_format_find(const char *name)
{
        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
                if (strcmp(name, formats[i].name) == 0)
                        return &formats[i];
        }
        return NULL;
}
