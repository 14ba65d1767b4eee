/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moves bytes through a loopback connection and counts what the calls did to the process: heap
 * use and errno. Prints "mallocs N errno E bytes B".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

void *__libc_malloc(size_t size);

static atomic_int mallocs;

void *malloc(size_t size)
{
    mallocs++;
    return __libc_malloc(size);
}

int main(void)
{
    static char data[100000], got[100000];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), server;
    size_t bytes = 0;
    int before;

    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&at, &len))
        return 1;
    before = mallocs;
    errno = 4242;
    if (connect(client, (struct sockaddr *)&at, sizeof at))
        return 1;
    server = accept(listener, NULL, NULL);
    for (int round = 0; round < 20; round++) {
        ssize_t n = write(client, data, sizeof data);

        if (n != (ssize_t)sizeof data)
            return 1;
        for (size_t left = sizeof data; left; left -= (size_t)n, bytes += (size_t)n)
            if ((n = read(server, got, left)) <= 0)
                return 1;
    }
    if (errno != 4242) {
        printf("errno %d\n", errno);
        return 1;
    }
    printf("mallocs %d errno %d bytes %zu\n", mallocs - before, errno, bytes);
    return 0;
}
