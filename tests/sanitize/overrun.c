/* SPDX-License-Identifier: BSD-3-Clause */
/* Receives four bytes into three: a sanitizer that sees socket calls through the shim says so. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t len = sizeof name;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    char *buffer = malloc(3);
    int server;

    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!buffer || bind(listener, (struct sockaddr *)&name, sizeof name) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&name, &len) < 0 ||
        connect(client, (struct sockaddr *)&name, sizeof name) < 0 ||
        (server = accept(listener, NULL, NULL)) < 0 || send(client, "abcd", 4, 0) != 4)
        return 2;
    usleep(100000);
    return recv(server, buffer, 4, 0) == 4 ? 0 : 3;
}
