/* SPDX-License-Identifier: BSD-3-Clause */
/* Is the library that is linked here the one whose insides usrsctp_internal.h describes? */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../log.h"
#include "usrsctp_internal.h"
#include "usrsctp_io.h"
#include "usrsctp_mbufs.h"
#include "usrsctp_socket.h"
#include "usrsctp_timers.h"

/* An association to ourselves that is given up before its first packet leaves. */
static const char *test_connect(struct socket *socket, union address *to,
                                const struct options *o)
{
    struct usrsctp_io_probe *probe = &usrsctp_io_probe;

    if (!mbufs_are_known())
        return "its mbufs";
    if (!timers_are_known())
        return "its timers";
    if (!usrsctp_io_know(to))
        return "its list of addresses";
    if (usrsctp_bind(socket, &to->any, address_len(to)) < 0)
        return "bind";
    address_set_port(to, htons(9));
    socket_set_path(socket, to, o);
    if (usrsctp_connect(socket, &to->any, address_len(to)) < 0 && errno != EINPROGRESS)
        return "connect";
    if (probe->packets != 1 || probe->chunk != CHUNK_INIT)
        return "its packets do not come to us";
    if (!probe->checksums || !probe->checksum_right)
        return "its checksums are not ours";
    if (!messages_are_known(socket))
        return "its messages";
    if (probe->from.in.sin_addr.s_addr != to->in.sin_addr.s_addr ||
        probe->to.in.sin_addr.s_addr != to->in.sin_addr.s_addr)
        return "its packets' addresses";
    return NULL;
}

static bool self_test(void)
{
    union address to = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    struct options used = options_default;
    struct socket *socket;
    const char *wrong = "socket";

    used.udp_encaps = udp_port(&options_default);
    usrsctp_io_probe.held = true;
    socket = socket_make(AF_INET, false, &used);
    if (socket) {
        wrong = test_connect(socket, &to, &used);
        socket_reset_on_close(socket);
        usrsctp_close(socket);
    }
    usrsctp_io_probe.held = false;
    if (wrong)
        log_error("this libusrsctp is not as expected (%s)", wrong);
    return !wrong;
}

/*
 * In a process of its own, which the library may take down when it is another one. Where there can
 * be none it is believed: it is what make has found.
 */
bool stack_fits(void)
{
    pid_t child;
    int status;

    signal(SIGCHLD, SIG_DFL);
    child = fork();
    if (child == 0) {
        usrsctp_begin((uint16_t)udp_port(&options_default));
        _exit(!self_test());
    }
    return child < 0 || (waitpid(child, &status, 0) == child && status == 0);
}
