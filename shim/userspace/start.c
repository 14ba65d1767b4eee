/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting the broker. Plain system calls throughout: the program's thread must not be cancelled
 * here, its handlers run as in any slow call, and its children must not be confused by one of ours.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../libc.h"
#include "internal.h"
#include "rendezvous.h"

/* ---- Where the broker's program is ---- */

/* One for each stack; "" until it is looked for, and when there is none. */
static char broker_paths[2][1024];

static bool try_path(char *path, const char *directory, size_t len, const char *below,
                     const char *name)
{
    int n = snprintf(path, sizeof broker_paths[0], "%.*s%s/%s", (int)len, directory, below, name);

    if (n > 0 && (size_t)n < sizeof broker_paths[0] && access(path, X_OK) == 0)
        return true;
    path[0] = '\0';
    return false;
}

/* Beside the library in a build tree, else where `make install` puts it; NULL. */
static const char *broker_path(uint32_t network)
{
    bool kernel = network == LEG_NET_KERNEL, found;
    const char *slash, *name = kernel ? "sctpshimd-kernel" : "sctpshimd";
    char *path = broker_paths[kernel];
    Dl_info self;
    size_t len;

    if (path[0])
        return path;
    if (!dladdr(broker_paths, &self) || !self.dli_fname || self.dli_fname[0] != '/')
        return NULL;
    slash = strrchr(self.dli_fname, '/');
    len = (size_t)(slash - self.dli_fname);
    found = try_path(path, self.dli_fname, len, "", name) ||
            try_path(path, self.dli_fname, len, "/../../libexec/sctpshim", name);
    return found ? path : NULL;
}

bool broker_exists(uint32_t network)
{
    return broker_path(network) != NULL;
}

/* ---- Starting it ---- */

enum { MOST_VARIABLES = 64, STACK = 2 * 65536 };

/* What is of use to the broker; never a library to preload. */
static void choose_environment(char **chosen)
{
    static const char *const kept[] = {"SCTPSHIM_", "XDG_CONFIG_HOME=", "HOME=", "TZ="};
    size_t count = 0;

    if (rendezvous_runtime[0])
        chosen[count++] = rendezvous_runtime;
    for (char **at = environ; at && *at && count < MOST_VARIABLES - 1; at++)
        for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
            if (strncmp(*at, kept[i], strlen(kept[i])) == 0) {
                chosen[count++] = *at;
                break;
            }
    chosen[count] = NULL;
}

/*
 * Two processes in the program's memory, each on a stack of its own, while the program's thread
 * waits. The first is a child that ends without a signal and that no wait() of the program's sees;
 * it only makes the second, which so is nobody's child, and becomes the broker.
 */
struct birth {
    const char *path;
    char *environment[MOST_VARIABLES];
    char *stack;
    int ready; /* closed when the broker can be asked, or when there will be none */
};

enum { READY_FD = 3, SLOW = 10 /* seconds */ };

static int become_broker(void *argument)
{
    struct birth *birth = argument;
    char *arguments[] = {(char *)birth->path, "--ready-fd=3", NULL};

    if (birth->ready == READY_FD)
        raw(SYS_fcntl, READY_FD, F_SETFD, 0, 0, 0, 0);
    else
        raw(SYS_dup3, birth->ready, READY_FD, 0, 0, 0, 0);
    raw(SYS_close_range, READY_FD + 1, ~0U, 0, 0, 0, 0);
    raw(SYS_execve, birth->path, arguments, birth->environment, 0, 0, 0);
    raw(SYS_exit_group, 127, 0, 0, 0, 0, 0);
    return 0;
}

static int bear(void *argument)
{
    struct birth *birth = argument;

    clone(become_broker, birth->stack + STACK / 2, CLONE_VM | CLONE_VFORK, birth);
    raw(SYS_exit, 0, 0, 0, 0, 0, 0);
    return 0;
}

static void wait_until_ready(int fd)
{
    struct timespec limit = {.tv_sec = SLOW};
    struct pollfd poll = {.fd = fd, .events = POLLIN};

    while (raw(SYS_ppoll, &poll, 1, &limit, NULL, 0, 0) < 0 && errno == EINTR)
        ;
}

bool broker_start(uint32_t network)
{
    struct birth birth = {.path = broker_path(network)};
    sigset_t all, old;
    int ends[2], child;

    if (!birth.path)
        return false;
    birth.stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (birth.stack == MAP_FAILED)
        return false;
    if (raw(SYS_pipe2, ends, O_CLOEXEC, 0, 0, 0, 0) < 0) {
        munmap(birth.stack, STACK);
        return false;
    }
    choose_environment(birth.environment);
    birth.ready = ends[1];
    sigfillset(&all);
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, _NSIG / 8, 0, 0);
    child = clone(bear, birth.stack + STACK, CLONE_VM | CLONE_VFORK, &birth);
    if (child > 0)
        while (raw(SYS_wait4, child, NULL, __WCLONE, NULL, 0, 0) < 0 && errno == EINTR)
            ;
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, _NSIG / 8, 0, 0);
    raw(SYS_close, ends[1], 0, 0, 0, 0, 0);
    if (child > 0)
        wait_until_ready(ends[0]);
    raw(SYS_close, ends[0], 0, 0, 0, 0, 0);
    munmap(birth.stack, STACK);
    return child > 0;
}
