/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SCTP socket options that the configured options stand for (RFC 6458; linux/sctp.h). One
 * list, and who asks for it says what is done with each: the library sets them, `sctpshim check`
 * tries them.
 */
#ifndef SCTPSHIM_PARAMS_H
#define SCTPSHIM_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/adaptation.h"
#include "options.h"

struct sctp_paddrinfo; /* <netinet/sctp.h>, beside which usrsctp's own header cannot stand */

/* Where they go to. `what` names the configured options in the words of a message. */
struct param_sink {
    /* A socket option of level IPPROTO_SCTP. */
    void (*set)(const struct param_sink *sink, int name, const char *what, const void *value,
                size_t len);
    /* One that there is no value for. */
    void (*fail)(const struct param_sink *sink, const char *what, const char *why);
    int fd;
};

/* What makes it a shim's, for the peer and for who gets it: its announcement (docs/wire.md). */
void params_mark(const struct param_sink *to);
/* What a socket gets, before bind(), listen() and connect(). Accepted ones inherit it. */
void params_socket(const struct param_sink *to, const struct options *o);
/* Would a socket that got the ones keep what the others do not name? Then it takes a new one. */
bool params_stick(const struct options *from, const struct options *to);
/* What only a socket can be given that is bound, and to a wildcard. */
void params_bound(const struct param_sink *to, const struct options *o);
/* What only an association can be given, which has so many outgoing streams. */
void params_association(const struct param_sink *to, const struct options *o, unsigned streams);

/*
 * A path MTU, in bytes, instead of what the kernel discovers: for all paths of the association, or,
 * where they may differ, for this one.
 */
void params_path_mtu(const struct param_sink *to, const struct sctp_paddrinfo *path, uint32_t mtu,
                     bool differ);

/* auth.c: RFC 4895 and what stands on it. Part of params_socket(). */
void params_auth(const struct param_sink *to, const struct options *o);
/* Reads the key file now, while the process may; later sockets use what was read. */
void auth_load(const struct options *o);

/* For sockets without a connection: none are sent, and those to come have this interval, ms. */
void params_heartbeats(const struct param_sink *to, uint32_t interval);
/* Does the configuration speak of several paths? Then connections may have them. */
bool paths_are_wanted(const struct options *o);
/* Interval of heartbeats where there are several paths, ms; 0 for none. */
uint32_t paths_heartbeat(const struct options *o);
/* The least RTO_MIN, in ms, as long as the peer is not known to be a shim. */
uint32_t params_rto_floor(const struct options *o);

/* The UDP port of an encapsulating socket, 0 for none. */
static inline uint16_t params_udp_port(const struct options *o)
{
    return o->udp_encaps <= UINT16_MAX ? (uint16_t)o->udp_encaps : 0;
}

/* What the system's setting is, or -1 where there is none: net.sctp.NAME. */
long sctp_setting(const char *name);

static inline void param_set(const struct param_sink *to, int name, const char *what,
                             const void *value, size_t len)
{
    to->set(to, name, what, value, len);
}

#endif
