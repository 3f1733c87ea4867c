/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_INSIDE_READER_FILES_H
#define BLOBSTORE_IMPORT_INSIDE_READER_FILES_H

/*
 * What questions about files are answered by, a set for each kind of file system. Each gives 0 or a negative errno:
 * -EUCLEAN: what is there makes no sense; -EOPNOTSUPP: it is encrypted or compressed; -ENOTDIR; -EINVAL: of another type.
 */

#include "blobstore/import/guest_files_priv.h"
#include "blobstore/import/guest_reader/reader.h"

/* A name in a directory, and where the next one begins. */
struct file_name {
        const char *name;
        size_t len;
        uint32_t node;
        uint32_t type; /* S_IFDIR …; 0: it is not said */
        uint64_t next;
};
/* What is not 0 ends it, and is what is given. */
typedef int file_name_fn(void *ctx, const struct file_name *n);

struct files_ops {
        void *(*open)(const struct area *a); /* NULL: it cannot be read */
        void (*close)(void *fs);
        uint32_t (*root)(void *fs);
        int (*stat)(void *fs, uint32_t node, struct guest_attr *ret);
        /* From POS on, without "." and "..". */
        int (*walk)(void *fs, uint32_t dir, uint64_t pos, file_name_fn *fn, void *ctx);
        /* Some of them, with that name among them if it is there, where an index knows more of it. NULL, or -ENOSYS: none does. */
        int (*walk_to)(void *fs, uint32_t dir, const char *name, size_t len, file_name_fn *fn, void *ctx);
        /* Is NODE, a directory, in DIR by its own account? So that no circle is gone round. */
        int (*is_in)(void *fs, uint32_t node, uint32_t dir);
        int (*link)(void *fs, uint32_t node, char *ret, size_t *ret_len); /* of GUEST_LINK_MAX bytes */
        int (*map)(void *fs, uint32_t node, uint64_t off, struct guest_map *ret);
};

/* A directory of more is taken for one that has no end. */
#define DIRECTORY_BYTES_MAX (UINT64_C(1) << 30)

extern const struct files_ops ext_files, fat_files;

/* Answers until nobody asks any more. */
int serve_files(struct guest_disk *d, const struct inside_hello *hello);

#endif
