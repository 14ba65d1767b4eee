/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the load program share. Sizes are bytes, times nanoseconds. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a connection is for; its first bytes say it. */
enum kind {
    KIND_SINK,  /* the server reads until the end */
    KIND_REPLY, /* it answers each request, one connection after the other */
    KIND_CROWD, /* the same, among many connections at once */
};

struct header {
    uint32_t kind, request, reply; /* host order: both ends are this program on one machine */
};

enum { LARGEST = 1 << 20 };

/* transport.c */
/* Native SCTP, tuned by hand, in place of what the program would ask for as a TCP program. */
extern bool native;
/* And with a connection's number of system calls brought to the library's, to see what those cost. */
extern bool more_calls;
int listen_at(const char *address, const char *port);
int accept_next(int listener); /* -1 when there is none */
int connect_at(const char *address, const char *port);
/* A non-blocking one, which is writable when it has come to something; -1 with errno. */
int begin_connect_at(const char *address, const char *port);
void set_nonblocking(int fd);
/* All of it, or false with errno. A native sender splits it into messages. */
bool send_some(int fd, const void *from, size_t len);
/* The same, or the end of the process. */
void send_all(int fd, const void *from, size_t len);
/* All of it; false when the stream ended, in whatever way, before the first byte. */
bool receive_all(int fd, void *to, size_t len);
/* Connects and says what for. */
int open_for(const char *address, const char *port, struct header header);

/* clock.c */
int64_t now_ns(void);
/* CPU time that the whole machine has used since it started. */
int64_t machine_cpu_ns(void);
/* Sorts, and prints count, minimum, median, 99th percentile, maximum and mean as JSON members. */
void print_times(int64_t *samples, size_t count);

/* crowd.c: so many descriptors, and some more */
void raise_limit(long connections);

_Noreturn void fail(const char *what);
long number(const char *text, long low, long high);
void *memory(size_t size);

/* The modes; each takes the words after its own. */
int serve(int argc, char **argv);
int bulk(int argc, char **argv);
int request(int argc, char **argv);
int churn(int argc, char **argv);
int crowd(int argc, char **argv);
int pour(int argc, char **argv);
int storm(int argc, char **argv);

#endif
