/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a user's broker is found: a socket in a directory of the user's own, named by the network. */
#ifndef SCTPSHIM_USERSPACE_RENDEZVOUS_H
#define SCTPSHIM_USERSPACE_RENDEZVOUS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/*
 * $XDG_RUNTIME_DIR/sctpshim, /run/sctpshim for root, else /tmp/sctpshim-UID. A network namespace
 * has its own broker: its number is part of the names; so is the stack, see leg_network.
 */
struct rendezvous {
    struct sockaddr_un socket; /* broker-NET.sock, kernel-NET.sock */
    char lock[sizeof((struct sockaddr_un *)0)->sun_path];
    char registry[sizeof((struct sockaddr_un *)0)->sun_path + sizeof ".listeners"];
    char directory[sizeof((struct sockaddr_un *)0)->sun_path];
    uid_t owner; /* who asks: the effective user */
};

/*
 * "XDG_RUNTIME_DIR=..." as it was at start-up, or "": programs empty their environment, and mean no
 * other directory by that. To be remembered once.
 */
extern char rendezvous_runtime[];
void rendezvous_start(void);

/* The directory alone. */
bool rendezvous_directory(struct rendezvous *where, char *const *environment);
/* False, with errno, where the name would be too long. No heap memory, no locks. */
bool rendezvous_find(struct rendezvous *where, uint32_t leg_net, char *const *environment);

/*
 * The second name of a user's broker, an abstract one: it is there for who has changed his user or
 * root directory since, and for a service manager that listens in the broker's place. Others could
 * have taken it first, so that who connects to it looks who is there. Returns its length.
 */
socklen_t rendezvous_abroad(struct sockaddr_un *name, uint32_t leg_net, uid_t uid);

/*
 * Is it a directory of this user's that nobody else can enter? Made if it is missing and `make` is
 * set. False with errno; EPERM when it is somebody else's or open to others.
 */
bool rendezvous_enter(const struct rendezvous *where, bool make);

#endif
