/* SPDX-License-Identifier: BSD-3-Clause */
/* Asks a user's broker what nobody but the library asks, with names of one's own choice. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/protocol.h"
#include "userspace/rendezvous.h"

static union address name_of(const char *host, const char *port)
{
    union address name = {.in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))}};

    if (inet_pton(AF_INET, host, &name.in.sin_addr) != 1)
        exit(2);
    return name;
}

static enum request_kind kind_of(const char *word)
{
    return strcmp(word, "connect") == 0 ? REQUEST_CONNECT
           : strcmp(word, "listen") == 0 ? REQUEST_LISTEN
           : strcmp(word, "names") == 0  ? REQUEST_NAMES
                                         : REQUEST_STATUS;
}

int main(int argc, char **argv)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    struct sockaddr_un where;
    struct request request;
    struct answer answer;
    ssize_t len;

    if (argc != 3 && argc != 5 && argc != 7) {
        fputs("usage: ask UID KIND [LEG PORT [REMOTE PORT]]\n", stderr);
        return 2;
    }
    request_begin(&request, kind_of(argv[2]));
    if (argc > 3)
        request.leg = name_of(argv[3], argv[4]);
    if (request.kind == REQUEST_LISTEN)
        request.local = name_of("0.0.0.0", argv[4]);
    if (argc > 5) {
        request.remote = name_of(argv[5], argv[6]);
        request.local.any.sa_family = AF_INET;
    }
    parameters_take(&request.parameters, &options_default);
    len = rendezvous_abroad(&where, LEG_NET, (uid_t)atoi(argv[1]));
    if (connect(fd, (struct sockaddr *)&where, (socklen_t)len) != 0 ||
        send(fd, &request, sizeof request, 0) != (ssize_t)sizeof request) {
        perror("ask");
        return 1;
    }
    len = recv(fd, &answer, sizeof answer, 0);
    if (len == (ssize_t)sizeof answer)
        printf("answer %s\n", answer.error ? strerrorname_np(answer.error) : "0");
    else
        puts("nothing");
    return 0;
}
