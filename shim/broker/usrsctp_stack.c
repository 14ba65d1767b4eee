/* SPDX-License-Identifier: BSD-3-Clause */
/* The stack over libusrsctp as a whole: its start, its clock, and whether it is the right one. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <usrsctp.h>

#include "../log.h"
#include "loop.h"
#include "packets.h"
#include "usrsctp_internal.h"
#include "usrsctp_io.h"
#include "usrsctp_mbufs.h"
#include "usrsctp_socket.h"
#include "usrsctp_timers.h"

enum {
    TICK = 10,      /* ms between two looks at the timers while there are associations */
    REST = 1000,    /* and while there are none */
};

static const struct stack_user *user;
static int64_t last_tick;

unsigned stack_count(void)
{
    struct sctpstat counts;

    usrsctp_get_stat(&counts);
    return counts.sctps_currestab > usrsctp_associations ? counts.sctps_currestab
                                                        : usrsctp_associations;
}

int stack_patience(void)
{
    return wakes_due() ? 0 : stack_count() ? TICK : REST;
}

void stack_turn(void)
{
    int64_t passed = loop_now() - last_tick;

    if (passed >= TICK) {
        usrsctp_handle_timers((uint32_t)passed);
        last_tick = loop_now();
    }
    listen_take_arrivals();
    wakes_turn(user->woken);
    packets_flush();
}

/* ---- Start ---- */

const char *stack_version(void)
{
    return "libusrsctp " USRSCTP_VERSION;
}

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

/* Is the library linked here the one whose insides usrsctp_internal.h describes? */
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
        log_error("this libusrsctp is not as expected (%s): build again", wrong);
    return !wrong;
}

/*
 * The library's pthread_create(). Of its threads usrsctp_init_nothreads() leaves one, which walks
 * through associations when a host's addresses change or a message goes to all; neither happens
 * here.
 */
int usrsctp_no_thread(void)
{
    return 0;
}

/*
 * Its pthread_mutex_lock(), _trylock() and _unlock(): there is nobody to lock out, and a packet
 * takes some twenty, a search among associations one of each.
 */
int usrsctp_no_lock(void)
{
    return 0;
}

int usrsctp_no_trylock(void)
{
    return 0;
}

int usrsctp_no_unlock(void)
{
    return 0;
}

bool stack_start(const struct stack_user *told)
{
    user = told;
    listen_start(told);
    usrsctp_init_nothreads(packets_port(), NULL, NULL);
    /* Only what we use; nothing that could be offered to a peer and not be understood here. */
    usrsctp_sysctl_set_sctp_asconf_enable(0);
    usrsctp_sysctl_set_sctp_auto_asconf(0);
    usrsctp_sysctl_set_sctp_auth_enable(0);
    usrsctp_sysctl_set_sctp_ecn_enable(0);
    usrsctp_sysctl_set_sctp_pr_enable(0);
    usrsctp_sysctl_set_sctp_reconfig_enable(0);
    usrsctp_sysctl_set_sctp_cmt_on_off(1); /* may be set per socket, and is */
    usrsctp_sysctl_set_sctp_max_chunks_on_queue(65536);
    usrsctp_sysctl_set_sctp_do_drain(0); /* what has been acknowledged is never dropped */
    usrsctp_sysctl_set_sctp_L2_abc_variable(RUN_PACKETS); /* that one acknowledgement may be for */
    last_tick = loop_now();
    input_start();
    return self_test();
}
