/* SPDX-License-Identifier: BSD-3-Clause */
/* The real libc functions: raw system calls first, the resolved symbols once they are known. */
#include "libc.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

_Static_assert(sizeof(long) == 8, "the raw system calls are written for 64-bit ABIs");

/* libc's syscall() cannot serve here: its name is one of our own hooks. */
long raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long result __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc 0"
                     : "+r"(result)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
#else
#error "raw_syscall() needs the system call instruction of this architecture"
#endif
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

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

#define RAW_FUNCTION(ret, name, proto, call)                                                  \
    static ret stand_in_##name proto { return (ret)(call); }
#define HOOK(ret, name, proto, args, op, raw) RAW_FUNCTION(ret, name, proto, raw)
#define SPECIAL(ret, name, proto, args, raw) RAW_FUNCTION(ret, name, proto, raw)
#define TWIN(ret, name, proto, call, raw)                                                     \
    static ret stand_in_##name proto { (void)size; return (ret)(raw); }
#define ALIAS(alias, name)
#define BARE(name)
#include "hooks.def"
#undef HOOK
#undef SPECIAL
#undef TWIN

#define HOOK(ret, name, ...) .name = stand_in_##name,
#define SPECIAL HOOK
#define TWIN HOOK
struct libc libc = {
#include "hooks.def"
};
#undef HOOK

static const struct {
    const char *name;
    void (**function)(void);
} symbols[] = {
#define HOOK(ret, name, ...) {#name, (void (**)(void))(void *)&libc.name},
#include "hooks.def"
#undef HOOK
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
