/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffered streams over our sockets. libc's own read and write the descriptor inside libc, where
 * no hook sees it; ours are fopencookie() streams that call the hooks.
 */
#ifndef SCTPSHIM_STREAMS_H
#define SCTPSHIM_STREAMS_H

#include <stdio.h>

/* fdopen() for a socket of ours. */
FILE *streams_open(int fd, const char *mode);

/*
 * Descriptor 0, 1 or 2 may have become a socket of ours, or be one no more: stdin, stdout or
 * stderr follows. Any other number is none of its business. Keeps errno.
 */
void streams_follow(int fd);

/* The same for what the program starts with. */
void streams_start(void);

/* fclose() and freopen(), for any stream. */
int streams_close(FILE *stream);
FILE *streams_reopen(const char *path, const char *mode, FILE *stream);

#endif
