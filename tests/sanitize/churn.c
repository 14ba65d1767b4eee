/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Four threads open and close connections to four others, all as fast as they can: numbers that
 * one thread closes are at once another's. Ends with 0 when each byte has come back.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS = 4, TURNS = 300 };

static struct sockaddr_in name = {.sin_family = AF_INET};
static int listener;

/* Each returns how many of its turns have gone wrong. */
static void *serve(void *argument)
{
    intptr_t wrong = 0;

    (void)argument;
    for (int i = 0; i < TURNS; i++) {
        char byte;
        int fd = accept(listener, NULL, NULL);

        wrong += recv(fd, &byte, 1, 0) != 1 || send(fd, &byte, 1, MSG_NOSIGNAL) != 1;
        close(fd);
    }
    return (void *)wrong;
}

static void *ask(void *argument)
{
    intptr_t wrong = 0;

    (void)argument;
    for (int i = 0; i < TURNS; i++) {
        char byte = (char)i, answer = (char)(i + 1);
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        wrong += connect(fd, (struct sockaddr *)&name, sizeof name) < 0 ||
                 send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &answer, 1, 0) != 1 ||
                 answer != byte;
        close(fd);
    }
    return (void *)wrong;
}

int main(void)
{
    pthread_t threads[2 * PAIRS];
    socklen_t len = sizeof name;
    intptr_t wrong = 0;

    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0 || listen(listener, 64) < 0 ||
        getsockname(listener, (struct sockaddr *)&name, &len) < 0)
        return 2;
    for (int i = 0; i < 2 * PAIRS; i++)
        if (pthread_create(&threads[i], NULL, i % 2 ? ask : serve, NULL))
            return 2;
    for (int i = 0; i < 2 * PAIRS; i++) {
        void *result;

        pthread_join(threads[i], &result);
        wrong += (intptr_t)result;
    }
    return wrong != 0;
}
