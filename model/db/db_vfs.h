/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_VFS_H
#define MODEL_DB_DB_VFS_H

/*
 * Databases that one process owns: the index of a database's WAL lies in this process's memory instead of a mapped file,
 * and everybody else is kept out for as long as a connection is open here. A connection of another process, or one of
 * this process that was opened without this VFS, gets SQLITE_BUSY; so does the first one here while another program has
 * the database open. Of a file system that can only be read, readers are let in. Without memory for the index it is SQLITE_NOMEM.
 */

#define DB_VFS "imagefs" /* for sqlite3_open_v2() */

/*
 * Makes it known to sqlite, above the VFS that is sqlite's default at the first call; later calls do nothing. -ENOMEM.
 * Any thread. Connections to the same file may belong to different threads.
 */
int db_vfs_register(void);

#endif
