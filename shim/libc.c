/* SPDX-License-Identifier: BSD-3-Clause */
/* The real libc functions: raw system calls first, the resolved symbols once they are known. */
#include "libc.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "sharing.h"

/* Lets hooks.def write raw(SYS_x, args...) with up to six arguments of any scalar type. */
#define RAW7(n, a, b, c, d, e, f, ...)                                                        \
    raw_syscall((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define raw(...) RAW7(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

static int raw_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                     const sigset_t *mask)
{
    struct timespec left;

    if (timeout)
        left = *timeout; /* the system call writes the rest back, the function must not */
    return (int)raw(SYS_ppoll, fds, count, timeout ? &left : NULL, mask, _NSIG / 8);
}

static int raw_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    struct timespec wait = {timeout / 1000, timeout % 1000 * 1000000L};

    return raw_ppoll(fds, count, timeout < 0 ? NULL : &wait, NULL);
}

static int raw_select(int count, fd_set *reads, fd_set *writes, fd_set *errors,
                      struct timeval *timeout)
{
    struct timespec wait = {0};

    if (timeout)
        wait = (struct timespec){timeout->tv_sec, timeout->tv_usec * 1000};
    return (int)raw(SYS_pselect6, count, reads, writes, errors, timeout ? &wait : NULL, NULL);
}

static int raw_dup2(int fd, int to)
{
    if (fd == to)
        return raw(SYS_fcntl, fd, F_GETFD) < 0 ? -1 : fd;
    return (int)raw(SYS_dup3, fd, to, 0);
}

static int raw_vdprintf(int fd, const char *format, va_list args)
{
    char text[1024];
    int len = vsnprintf(text, sizeof text, format, args);

    if (len > (int)sizeof text - 1)
        len = sizeof text - 1;
    return len < 0 ? -1 : (int)raw(SYS_write, fd, text, len);
}

/* What is no system call does not wait for the constructor. Without such a function: failure. */
#define LATE(failure, name, ...)                                                              \
    (libc_resolve_late((void (**)(void))(void *)&libc.name) ? libc.name(__VA_ARGS__) : (failure))

static bool libc_resolve_late(void (**function)(void))
{
    void (*stand_in)(void) = *function;

    libc_resolve();
    if (*function == stand_in)
        errno = ENOSYS;
    return *function != stand_in;
}

#define RAW_FUNCTION(ret, name, proto, call)                                                  \
    static ret stand_in_##name proto { return (ret)(call); }
#define HOOK(ret, name, proto, args, op, raw) RAW_FUNCTION(ret, name, proto, raw)
#define SPECIAL(ret, name, proto, args, raw) RAW_FUNCTION(ret, name, proto, raw)
#define TWIN(ret, name, proto, call, raw)                                                     \
    static ret stand_in_##name proto { (void)size; return (ret)(raw); }
#include "hooks.def"

struct libc libc = {
#define HOOK(ret, name, ...) .name = stand_in_##name,
#define SPECIAL HOOK
#define TWIN HOOK
#include "hooks.def"
};

static const struct {
    const char *name;
    void (**function)(void);
} symbols[] = {
#define HOOK(ret, name, ...) {#name, (void (**)(void))(void *)&libc.name},
#define SPECIAL HOOK
#define TWIN HOOK
#define COUNTED(name) {#name, &counted_##name},
#include "hooks.def"
};

void libc_resolve(void)
{
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        union {
            void *object;
            void (*function)(void);
        } found = {dlsym(RTLD_NEXT, symbols[i].name)};

        if (found.object)
            __atomic_store_n(symbols[i].function, found.function, __ATOMIC_RELEASE);
    }
}
