/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The load that the benchmark measures, as ordinary TCP programs make it: blocking calls for one
 * connection, epoll for many. Over TCP and under the shim it is the same code; -n makes it a native
 * SCTP program, -m one that makes as many system calls as the library does.
 *
 *   load [-n|-m] serve ADDRESS PORT                           until it is killed
 *   load [-n|-m] bulk ADDRESS PORT SIZE MILLISECONDS          one-way, in writes of SIZE bytes
 *   load [-n|-m] request ADDRESS PORT SIZE REPLY COUNT        to and fro, one at a time
 *   load [-n|-m] churn ADDRESS PORT COUNT                     connect, one request, close
 *   load [-n|-m] crowd ADDRESS PORT CONNECTIONS MILLISECONDS  many at once; 0: they only exist
 *   load [-n|-m] pour ADDRESS PORT                            a server for storm
 *   load [-n|-m] storm ADDRESS PORT RATE BYTES SECONDS MOST   connections a second, come what may
 *
 * Each client prints one JSON object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static const struct mode {
    const char *name;
    int words;
    int (*run)(int argc, char **argv);
} modes[] = {
    {"serve", 2, serve}, {"bulk", 4, bulk}, {"request", 5, request}, {"churn", 3, churn},
    {"crowd", 4, crowd}, {"pour", 2, pour},   {"storm", 6, storm},
};

_Noreturn void fail(const char *what)
{
    fprintf(stderr, "load: ");
    perror(what);
    exit(1);
}

long number(const char *text, long low, long high)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "load: expected a number from %ld to %ld, got '%s'\n", low, high, text);
        exit(2);
    }
    return value;
}

void *memory(size_t size)
{
    void *block = calloc(1, size);

    if (block == NULL)
        fail("memory");
    return block;
}

int main(int argc, char **argv)
{
    argc--, argv++;
    if (argc && (strcmp(*argv, "-n") == 0 || strcmp(*argv, "-m") == 0)) {
        native = true;
        more_calls = (*argv)[1] == 'm';
        argc--, argv++;
    }
    for (size_t i = 0; argc && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(*argv, modes[i].name) == 0 && argc - 1 == modes[i].words)
            return modes[i].run(argc - 1, argv + 1);
    fprintf(stderr, "usage: load [-n|-m] serve|bulk|request|churn|crowd|pour|storm ADDRESS PORT "
                    "[NUMBER...]\n");
    return 2;
}
