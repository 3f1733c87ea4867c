/* SPDX-License-Identifier: MIT */

/*
 * Landlock denies every file but the program, its libraries, and the files named by
 * the caller: of the rest of the system, too, which anybody may read, since what a
 * child is led to read comes out as what it was given. It denies TCP, abstract sockets and signals where the
 * kernel's ABI goes that far. The constants are here because the headers of the
 * oldest supported systems know ABI 2 only.
 *
 * The filter is a list of what is refused, not of what is allowed: the latter
 * differs by C library, processor and version, and breaks in somebody else's
 * distribution. What is on it is what Landlock does not govern: making sockets of
 * any family, processes (threads are fine), signals and other ways into foreign
 * processes, metadata of files by path (a daemon that is not root shares its
 * user's files with the child), System V objects that outlive it, and the
 * kernel's larger attack surfaces. io_uring is refused because it gets past filters.
 */

#include "blobstore/base/confine.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/confine_libraries.h"

/* struct landlock_ruleset_attr as of ABI 6; older kernels accept it while the fields they do not know are 0. */
struct ruleset_attr {
        uint64_t handled_access_fs;
        uint64_t handled_access_net;
        uint64_t scoped;
};

#define FS_ABI_1     ((UINT64_C(1) << 13) - 1)
#define FS_REFER     (UINT64_C(1) << 13)
#define FS_TRUNCATE  (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_TCP      UINT64_C(3) /* bind, connect */
#define SCOPE_ALL    UINT64_C(3) /* abstract sockets, signals */

/* Where the loader looks for libraries; not everywhere is there one. */
#define LOADER_CACHE "/etc/ld.so.cache"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__)
#define ARCH (BYTE_ORDER == LITTLE_ENDIAN ? AUDIT_ARCH_PPC64LE : AUDIT_ARCH_PPC64)
#elif defined(__s390x__)
#define ARCH AUDIT_ARCH_S390X
#elif defined(__i386__)
#define ARCH AUDIT_ARCH_I386
#elif defined(__arm__)
#define ARCH AUDIT_ARCH_ARM
#else
#error "name this processor's AUDIT_ARCH"
#endif

#ifdef __s390x__
#define CLONE_FLAGS_ARG 1
#else
#define CLONE_FLAGS_ARG 0
#endif

#define X32_BIT 0x40000000u

/* Answered with EPERM. Not every processor has each of them. */
static const uint32_t refused[] = {
        /* sockets: what the child needs, it has inherited */
#ifdef __NR_socketcall
        __NR_socketcall,
#endif
        __NR_socket, __NR_socketpair,
        /* processes */
#ifdef __NR_fork
        __NR_fork,
#endif
#ifdef __NR_vfork
        __NR_vfork,
#endif
        __NR_ptrace, __NR_process_vm_readv, __NR_process_vm_writev, __NR_kcmp, __NR_pidfd_open, __NR_pidfd_getfd,
        __NR_kill, __NR_tkill, __NR_tgkill, __NR_rt_sigqueueinfo, __NR_rt_tgsigqueueinfo, __NR_pidfd_send_signal,
        __NR_setpriority, __NR_ioprio_set, __NR_move_pages, __NR_migrate_pages, __NR_process_madvise,
        /* namespaces and mounts */
        __NR_unshare, __NR_setns, __NR_chroot, __NR_pivot_root, __NR_mount, __NR_umount2, __NR_open_tree,
        __NR_move_mount, __NR_fsopen, __NR_fsconfig, __NR_fsmount, __NR_fspick, __NR_mount_setattr,
        /* metadata of files */
#ifdef __NR_chmod
        __NR_chmod, __NR_chown, __NR_lchown, __NR_utimes, __NR_futimesat,
#endif
#ifdef __NR_utime
        __NR_utime,
#endif
#ifdef __NR_chown32
        __NR_chown32, __NR_lchown32, __NR_fchown32, __NR_truncate64, __NR_utimensat_time64,
#endif
        __NR_fchmod, __NR_fchmodat, 452 /* fchmodat2 */, __NR_fchown, __NR_fchownat, __NR_utimensat, __NR_setxattr,
        __NR_lsetxattr, __NR_fsetxattr, 463 /* setxattrat */, __NR_removexattr, __NR_lremovexattr, __NR_fremovexattr,
        466 /* removexattrat */, __NR_truncate, __NR_name_to_handle_at, __NR_open_by_handle_at, __NR_quotactl,
        /* objects that outlive a process */
#ifdef __NR_ipc
        __NR_ipc,
#endif
#ifdef __NR_shmget
        __NR_shmget, __NR_msgget, __NR_semget,
#endif
        __NR_mq_open, __NR_mq_unlink, __NR_add_key, __NR_request_key, __NR_keyctl,
        /* large surfaces */
        __NR_bpf, __NR_perf_event_open, __NR_userfaultfd, __NR_io_uring_setup, __NR_io_uring_enter,
        __NR_io_uring_register, __NR_personality,
};

_Static_assert(2 * sizeof(refused) / sizeof(refused[0]) + 24 <= CONFINE_FILTER_MAX, "the filter fits");

#define DATA(field)  ((uint32_t)offsetof(struct seccomp_data, field))
#define LOW_WORD(n)  (DATA(args) + 8 * (n) + (BYTE_ORDER == BIG_ENDIAN ? 4 : 0))
#define ERRNO(e)     (SECCOMP_RET_ERRNO | (e))
#define LOAD(off)    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (off))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))

static void add(struct confine *c, struct sock_filter insn)
{
        c->filter[c->filter_len++] = insn;
}

/* Goes on with the next instruction where the loaded word passes TEST against K, else skips SKIP of them. */
static void add_unless(struct confine *c, uint16_t test, uint32_t k, uint8_t skip)
{
        add(c, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, k, 0, skip));
}

static void add_return(struct confine *c, uint32_t what)
{
        add(c, (struct sock_filter)RETURN(what));
}

static void make_filter(struct confine *c)
{
        add(c, (struct sock_filter)LOAD(DATA(arch)));
        add(c, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
        add_return(c, SECCOMP_RET_KILL_PROCESS);

        add(c, (struct sock_filter)LOAD(DATA(nr)));
#ifdef __x86_64__
        add_unless(c, BPF_JGE, X32_BIT, 1);
        add_return(c, SECCOMP_RET_KILL_PROCESS);
#endif
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
                add_unless(c, BPF_JEQ, refused[i], 1);
                add_return(c, ERRNO(EPERM));
        }

        /* Its flags are behind a pointer, where a filter cannot look; the C library falls back to clone. */
        add_unless(c, BPF_JEQ, __NR_clone3, 1);
        add_return(c, ERRNO(ENOSYS));

        add_unless(c, BPF_JEQ, __NR_clone, 4);
        add(c, (struct sock_filter)LOAD(LOW_WORD(CLONE_FLAGS_ARG)));
        add_unless(c, BPF_JSET, CLONE_THREAD, 1);
        add_return(c, SECCOMP_RET_ALLOW);
        add_return(c, ERRNO(EPERM));

        /* Limits of its own only: pid 0. */
        add_unless(c, BPF_JEQ, __NR_prlimit64, 4);
        add(c, (struct sock_filter)LOAD(LOW_WORD(0)));
        add_unless(c, BPF_JEQ, 0, 1);
        add_return(c, SECCOMP_RET_ALLOW);
        add_return(c, ERRNO(EPERM));

        add_return(c, SECCOMP_RET_ALLOW);
}

static int make_ruleset(int *ret)
{
        struct ruleset_attr attr = { .handled_access_fs = FS_ABI_1 };
        long abi;
        long fd;

        abi = syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        if (abi < 1)
                return -EOPNOTSUPP; /* not built in, not enabled at boot, or filtered by a container */

        if (abi >= 2)
                attr.handled_access_fs |= FS_REFER;
        if (abi >= 3)
                attr.handled_access_fs |= FS_TRUNCATE;
        if (abi >= 4)
                attr.handled_access_net = NET_TCP;
        if (abi >= 5)
                attr.handled_access_fs |= FS_IOCTL_DEV;
        if (abi >= 6)
                attr.scoped = SCOPE_ALL;

        fd = syscall(__NR_landlock_create_ruleset, &attr, sizeof(attr), 0);
        if (fd < 0)
                return -errno;
        *ret = (int)fd;
        return 0;
}

static int allow(int ruleset_fd, int fd, uint64_t access)
{
        struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };

        if (syscall(__NR_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
                return -errno;
        return 0;
}

/* A file, and not what is below a directory. */
static int allow_path(int ruleset_fd, const char *path, uint64_t access)
{
        CLEANUP_CLOSE int fd = -1;
        struct stat st;

        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return S_ISREG(st.st_mode) ? allow(ruleset_fd, fd, access) : -EACCES;
}

static int allow_library(void *ctx, const char *path)
{
        const int *ruleset_fd = ctx;

        return allow_path(*ruleset_fd, path, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE);
}

int confine_prepare(const char *program, const int *file_fds, size_t n_files, struct confine *ret)
{
        CLEANUP_CLOSE int ruleset_fd = -1;
        int r;

        r = make_ruleset(&ruleset_fd);
        if (r < 0)
                return r;
        r = allow_path(ruleset_fd, program, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE);
        if (r == 0)
                r = confine_libraries_each(program, allow_library, &ruleset_fd);
        if (r < 0)
                return r;
        r = allow_path(ruleset_fd, LOADER_CACHE, LANDLOCK_ACCESS_FS_READ_FILE);
        if (r < 0 && r != -ENOENT)
                return r;
        for (size_t i = 0; i < n_files; i++) {
                r = allow(ruleset_fd, file_fds[i], LANDLOCK_ACCESS_FS_READ_FILE);
                if (r < 0)
                        return r;
        }

        ret->filter_len = 0;
        make_filter(ret);
        ret->ruleset_fd = TAKE_FD(ruleset_fd);
        return 0;
}

void confine_done(struct confine *c)
{
        cleanup_close(&c->ruleset_fd);
        c->ruleset_fd = -1;
}

int confine_enter(const struct confine *c)
{
        struct sock_fprog program = { .len = c->filter_len, .filter = (struct sock_filter *)c->filter };

        if (syscall(__NR_landlock_restrict_self, c->ruleset_fd, 0) < 0)
                return -errno;
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
                return -errno;
        return 0;
}
