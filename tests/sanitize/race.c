/* SPDX-License-Identifier: BSD-3-Clause */
/* One thread sends from an array that another changes: a thread sanitizer that works says so. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { TURNS = 2000 };

static char byte;
static struct iovec parts[1] = {{&byte, 1}};

static void *change(void *argument)
{
    (void)argument;
    for (int i = 0; i < TURNS; i++) {
        struct iovec *volatile part = parts;

        part->iov_len = 1;
    }
    return NULL;
}

int main(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t len = sizeof name;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t thread;

    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&name, &len) < 0 ||
        connect(client, (struct sockaddr *)&name, sizeof name) < 0 ||
        pthread_create(&thread, NULL, change, NULL))
        return 2;
    for (int i = 0; i < TURNS; i++)
        if (writev(client, parts, 1) != 1)
            return 3;
    pthread_join(thread, NULL);
    return 0;
}
