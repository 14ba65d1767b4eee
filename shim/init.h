/* SPDX-License-Identifier: BSD-3-Clause */
/* Start-up: the constructor, or the first socket() if that comes earlier. */
#ifndef SCTPSHIM_INIT_H
#define SCTPSHIM_INIT_H

#include <stdbool.h>

/* Resolves libc and reads the configuration once. False while another call is still at it. */
bool shim_ready(void);

#endif
