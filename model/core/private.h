/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_PRIVATE_H
#define MODEL_CORE_PRIVATE_H

/*
 * Takes from what lies in the directory, files and directories, every right that others than its owner have. Nothing
 * further below can be reached then. Links are not followed; what belongs to somebody else, or lies on a file system
 * without such rights, is left as it is. Any thread.
 */
void private_entries(int dir_fd);

#endif
