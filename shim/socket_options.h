/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of one socket, for both planes. */
#ifndef SCTPSHIM_SOCKET_OPTIONS_H
#define SCTPSHIM_SOCKET_OPTIONS_H

#include "fd.h"
#include "rules.h"

/* Of the rule that matches it, or of none. Two loads, no lock. */
static inline const struct options *options_of(int fd)
{
    uint8_t rule = fd_info(fd)->rule; /* gcc would read an index without its atomicity */

    return rule_options[rule];
}

#endif
