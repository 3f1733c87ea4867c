/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_GUEST_READER_EXT_PRIV_H
#define BLOBSTORE_IMPORT_GUEST_READER_EXT_PRIV_H

/* Between the files that read by libext2fs. */

#include <ext2fs/ext2fs.h>

#include "blobstore/import/guest_reader/reader.h"

struct ext {
        ext2_filsys fs;
};

#endif
