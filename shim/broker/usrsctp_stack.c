/* SPDX-License-Identifier: BSD-3-Clause */
/* The stack over libusrsctp as a whole: its start and its clock. */
#include <stdarg.h>
#include <sys/uio.h>

#include "loop.h"
#include "packets.h"
#include "usrsctp_internal.h"
#include "usrsctp_io.h"
#include "usrsctp_socket.h"

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
    return usrsctp_public ? "libusrsctp " USRSCTP_VERSION ", over its public functions"
                          : "libusrsctp " USRSCTP_VERSION;
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

void usrsctp_begin(uint16_t port)
{
    usrsctp_init_nothreads(port, usrsctp_public, NULL);
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
}

void stack_start(const struct stack_user *told)
{
    user = told;
    listen_start(told);
    usrsctp_begin(packets_port());
    last_tick = loop_now();
    input_start();
}
