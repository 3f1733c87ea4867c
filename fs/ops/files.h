/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_FILES_H
#define FS_OPS_FILES_H

struct fs;

/* Opens again what must count as open, of what an earlier process had: before the first request is served. */
void files_take_up(struct fs *fs);

#endif
