/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a call costs more because it passes through a preloaded library, for read() and write() on
 * a descriptor that is no socket.
 *
 *   hookcost ROUNDS CALLS
 *
 * In one process, batches of CALLS calls of the name as the program sees it (the preloaded
 * library's, if there is one) and of libc's own function alternate, ROUNDS times; of each the
 * fastest batch counts, since everything else that happens on a machine only makes a batch slower.
 * Run without a preloaded library both names are one function: that is the measurement's own error.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef ssize_t read_fn(int, void *, size_t);
typedef ssize_t write_fn(int, const void *, size_t);

struct functions {
    read_fn *read;
    write_fn *write;
};

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "hookcost: %s: %s\n", what, why);
    exit(1);
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *symbol(void *handle, const char *name)
{
    void *address = dlsym(handle, name);

    if (address == NULL)
        fail(name, dlerror());
    return address;
}

static struct functions functions_of(void *handle)
{
    struct functions f;
    void *address = symbol(handle, "read");

    memcpy(&f.read, &address, sizeof address); /* ISO C has no cast for it */
    address = symbol(handle, "write");
    memcpy(&f.write, &address, sizeof address);
    return f;
}

static double read_batch(const struct functions *f, int fd, long calls)
{
    char byte;
    double start = now_ns();

    for (long i = 0; i < calls; i++)
        if (f->read(fd, &byte, 1) != 1)
            fail("read", "unexpected result");
    return (now_ns() - start) / (double)calls;
}

static double write_batch(const struct functions *f, int fd, long calls)
{
    double start = now_ns();

    for (long i = 0; i < calls; i++)
        if (f->write(fd, "x", 1) != 1)
            fail("write", "unexpected result");
    return (now_ns() - start) / (double)calls;
}

typedef double batch_fn(const struct functions *, int, long);

static void compare(const char *name, batch_fn *batch, int fd, const struct functions *seen,
                    const struct functions *libc, long rounds, long calls)
{
    double through = 1e12, direct = 1e12;

    for (long i = 0; i < rounds; i++) {
        double a, b;

        /* Take turns in going first, so that neither always profits from the other's warm-up. */
        if (i % 2 == 0) {
            a = batch(seen, fd, calls);
            b = batch(libc, fd, calls);
        } else {
            b = batch(libc, fd, calls);
            a = batch(seen, fd, calls);
        }
        through = a < through ? a : through;
        direct = b < direct ? b : direct;
    }
    printf("\"%s\": {\"seen_ns\": %.2f, \"libc_ns\": %.2f, \"difference_ns\": %.2f}", name, through,
           direct, through - direct);
}

int main(int argc, char **argv)
{
    long rounds = argc == 3 ? atol(argv[1]) : 0, calls = argc == 3 ? atol(argv[2]) : 0;
    int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
    void *handle = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    struct functions seen, libc;

    if (rounds < 1 || calls < 1)
        fail("usage", "hookcost ROUNDS CALLS");
    if (zero < 0 || null < 0)
        fail("/dev/zero or /dev/null", "cannot be opened");
    if (handle == NULL)
        fail("libc.so.6", dlerror());
    seen = functions_of(RTLD_DEFAULT);
    libc = functions_of(handle);
    printf("{\"intercepted\": %s, ", seen.read == libc.read ? "false" : "true");
    compare("read", read_batch, zero, &seen, &libc, rounds, calls);
    printf(", ");
    compare("write", write_batch, null, &seen, &libc, rounds, calls);
    printf("}\n");
    return 0;
}
