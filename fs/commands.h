/* SPDX-License-Identifier: MIT */
#ifndef FS_COMMANDS_H
#define FS_COMMANDS_H

/* What imagefs does besides serving. ARGV[0] is the command's name; each gives an exit status. */

int command_init(int argc, char **argv);
int command_check(int argc, char **argv);
int command_migrate(int argc, char **argv);
int command_scrub(int argc, char **argv);
int command_stat(int argc, char **argv);
int command_top(int argc, char **argv);
/* As fsck(8) calls it: another line, the same statuses. */
int command_fsck(int argc, char **argv);

#endif
