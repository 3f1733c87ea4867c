/* SPDX-License-Identifier: MIT */
#ifndef FS_PARTS_H
#define FS_PARTS_H

/* What the rooms of fs/ keep for a mount (struct fs), made and released together. */

struct fs;

/* HANDLES_FD as handles_new() has it. -ENOMEM; what was made is released by parts_free(). */
int parts_new(struct fs *fs, int handles_fd);
/* After the session; all but temporary files, which go before the model does. */
void parts_free(struct fs *fs);

#endif
