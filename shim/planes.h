/* SPDX-License-Identifier: BSD-3-Clause */
/* What not every plane can honour: the PLANE rows of options.def. */
#ifndef SCTPSHIM_PLANES_H
#define SCTPSHIM_PLANES_H

#include "options.h"

/* Where an association is, and sets of these. */
enum plane {
    PLANE_DIRECT = 1,    /* a kernel's SCTP socket in the program */
    PLANE_LEG = 2,       /* one in a broker */
    PLANE_USERSPACE = 4, /* the broker's own stack */
    PLANE_KERNEL = PLANE_DIRECT | PLANE_LEG,
    PLANE_PATHS = PLANE_DIRECT | PLANE_USERSPACE,
};

struct option_plane {
    enum option_id option;
    enum plane planes; /* that honour it */
    const char *why;   /* the others do not, in words */
};

/* NULL: all honour it. */
const struct option_plane *option_plane(enum option_id option);

/* What this plane cannot honour becomes what it is by default. */
void plane_reset(enum plane plane, struct options *o);

/* Logs what is not as it is by default, each once in a process. Keeps errno. */
void plane_warn(enum plane plane, const struct options *o);

#endif
