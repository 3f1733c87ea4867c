/* SPDX-License-Identifier: MIT */
/*
 * Where something can never be made, the refusal names what can: a line for each kind of directory. A kind that has
 * none sends its reader to the README.
 */

#include "fs/tree/ways.h"

#include <errno.h>
#include <stddef.h>

#define SEES_README "the README at the top of the mount says what is made where"
#define INSTANCES   "a machine is made with mkdir instances/<name>"
#define SNAPSHOTS   "a snapshot is taken with mkdir disks/<disk>/snapshots/<name>"
#define ONLY_READ_OCI "oci/ is the image as others read it: skopeo copy oci:<here> docker://… takes it to a registry"
#define ONLY_SHOWS  "what is in it comes and goes by itself"

static const char *const ways[KIND_COUNT] = {
        [KIND_ROOT] = "a region is made with mkdir regions/<name>",
        [KIND_INFO] = "info/ shows how things are; limits are changed by writing to info/limits",
        [KIND_REGIONS] = "a region is made with mkdir regions/<name>",
        [KIND_TASKS] = "tasks are made by operations, such as mkdir private/<image>/copies/<region>",
        [KIND_TASK] = "a task shows how its operation goes; rmdir cancels or forgets it",
        [KIND_REGION] = "an image is made with mkdir or cp in private/, a machine with mkdir in instances/, a disk "
                        "with mkdir in disks/",
        [KIND_IMAGES] = "an image is made with mkdir <name>, or with cp of a disk file such as web.qcow2",
        [KIND_IMAGE] = "its disk goes into upload while it is queued, values into the files that ls shows, and mkdir "
                       "makes something in instances/, copies/, shares/ and download/",
        [KIND_IMAGE_DISKS] = "the disks of an image come with what is imported, and never change; while it is queued, a "
                             "data disk is added with mkdir disks/vdb",
        [KIND_IMAGE_DISK] = "the data disk goes into upload; rmdir gives it up",
        [KIND_IMAGE_SNAPSHOTS] = "these links follow the device mapping; " SNAPSHOTS,
        [KIND_COPIES] = "the image is copied with mkdir copies/<region>",
        [KIND_COPY_TARGETS] = "copy-targets/<id>,<id>… is there to be read",
        [KIND_EVENTS_AFTER] = "events-after/<seq> is there to be read",
        [KIND_COPY] = "a copy shows how it goes; rmdir cancels or forgets it",
        [KIND_SNAPSHOTS] = SNAPSHOTS,
        [KIND_SNAPSHOT] = "values go into the files that ls shows; a disk is made of it with mkdir disks/<name> in it",
        [KIND_SNAPSHOT_CHANGED] = "changed/<another snapshot> is there to be read",
        [KIND_SNAPSHOT_VOLUMES] = "a disk is made of the snapshot with mkdir disks/<name>",
        [KIND_VOLUMES] = "a disk is made with mkdir disks/<name>; then its size is written into size, and its bytes "
                         "into data.raw",
        [KIND_VOLUME] = "values go into the files that ls shows, bytes into data.raw; a snapshot is taken with mkdir "
                        "snapshots/<name>",
        [KIND_SNAPSHOT_VOLUME] = "a snapshot of the disk is taken with mkdir snapshots/<name>",
        [KIND_VOLUME_SNAPSHOTS] = "a snapshot is taken with mkdir snapshots/<name>",
        [KIND_VOLUME_SNAPSHOT] = "a disk is made of it with mkdir disks/<name> in it",
        [KIND_IMAGE_INSTANCES] = INSTANCES,
        [KIND_IMAGE_INSTANCE] = "an image is made of the machine with mkdir images/<name>",
        [KIND_INSTANCES] = INSTANCES,
        [KIND_INSTANCE] = "values go into the files that ls shows; an image is made of the machine with mkdir "
                          "images/<name>",
        [KIND_INSTANCE_DISKS] = "a disk comes here with echo <disk> > attach; it is made with mkdir disks/<disk> in "
                                "the region",
        [KIND_INSTANCE_IMAGES] = "an image is made of the machine with mkdir images/<name>",
        [KIND_INSTANCE_IMAGE] = "values go into the files that ls shows",
        [KIND_DOWNLOADS] = "an address is made with mkdir download/<disk>.qcow2 or download/<disk>.raw",
        [KIND_DOWNLOAD] = "its address is in url; rmdir ends it",
        [KIND_SHARES] = "the image is shared with mkdir shares/<user>",
        [KIND_SHARE] = "rmdir ends the share",
        [KIND_FAMILIES] = "a family is there while an image has it: echo <family> > private/<image>/family",
        [KIND_FAMILY] = "these links follow the images' families: echo <family> > private/<image>/family",
        [KIND_FOLLOWS] = "an upstream is followed with mkdir follows/<name>; then its address is written into url",
        [KIND_FOLLOW] = "values go into the files that ls shows; echo now > run looks at once",
        [KIND_FOLLOW_IMAGES] = "these links follow what was imported: echo now > run looks whether there is something new",
        [KIND_OCI] = ONLY_READ_OCI,
        [KIND_OCI_BLOBS] = ONLY_READ_OCI,
        [KIND_OCI_SHA256] = ONLY_READ_OCI,
        [KIND_SHARED] = "images come here when their owner shares them, with mkdir private/<image>/shares/<user>",
        [KIND_SHARED_IMAGE] = "a shared image is there to be read, and to make machines from: mkdir instances/<name>",
        [KIND_SHARED_DISKS] = "the disks of an image never change",
        [KIND_SHARED_INSTANCES] = INSTANCES,
        [KIND_SHARED_INSTANCE] = "an image is made of the machine with mkdir images/<name>",
};

const char *ways_in(enum node_kind kind)
{
        return (unsigned)kind < KIND_COUNT && ways[kind] ? ways[kind] : SEES_README;
}

const char *ways_out(int error)
{
        static const struct {
                int error;
                const char *text;
        } outs[] = {
                { ENOENT, "what this needs is not there any more: ls shows what is" },
                { ESTALE, "it was removed meanwhile: ls shows what is there" },
                { EEXIST, "the name is taken: choose another one" },
                { EBUSY, "it is in use: try again later" },
                { ENOSPC, "the disk is full: delete something, or have it enlarged" },
                { ENOMEM, "the machine has not enough memory: try again later" },
                { EMFILE, "too many files are open: close some" },
                { EACCES, "ask its owner, or the administrator" },
                { EROFS, "it can only be read" },
                { EIO, "the library's disk failed, or its data is damaged: run imagefs check" },
                { EBADMSG, "the library's data is damaged: run imagefs check" },
        };

        for (size_t i = 0; i < sizeof(outs) / sizeof(outs[0]); i++)
                if (outs[i].error == -error)
                        return outs[i].text;
        return "not possible here: " SEES_README;
}
