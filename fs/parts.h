/* SPDX-License-Identifier: MIT */
#ifndef FS_PARTS_H
#define FS_PARTS_H

/* What the rooms of fs/ keep for a mount (struct fs), made and released together. */

struct fs;
struct split_slots;

/* HANDLES_FD as handles_new() has it, and SLOTS as splits_new(). -ENOMEM; what was made is released by parts_free(). */
int parts_new(struct fs *fs, int handles_fd, struct split_slots *slots);
/* After the session; all but temporary files, which go before the model does. */
void parts_free(struct fs *fs);

#endif
