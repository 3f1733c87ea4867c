/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_INO_H
#define FS_TREE_INO_H

/*
 * Ids of objects as inode numbers show them. Ids are counted up, so that whoever sees two of them knows how many objects
 * others made in between: numbers show a permutation of the 48 bits that only the library's key tells. It is the block
 * cipher Speck48/96 (Beaulieu and others, "The SIMON and SPECK Families of Lightweight Block Ciphers", 2013): small
 * enough for each answer to the kernel, and a permutation, so that two ids never meet.
 *
 * The key is the process's, which has one library.
 */

#include <stdint.h>

#define INO_KEY_SIZE 12

/* Before any other thread asks. Without a key ids are shown as they are. */
void ino_set_key(const uint8_t key[INO_KEY_SIZE]);
void ino_forget_key(void);

/* ID and what is shown of it have 48 bits. */
uint64_t ino_hide(uint64_t id);
uint64_t ino_find(uint64_t shown);

#endif
