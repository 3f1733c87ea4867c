/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_FILES_H
#define FS_OPS_FILES_H

struct fs;

/*
 * Opens again what must count as open, of what an earlier process had, and ends the rest of what was on its way in: before
 * the first request is served.
 */
int files_take_up(struct fs *fs);

#endif
