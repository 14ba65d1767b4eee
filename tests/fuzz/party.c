/* SPDX-License-Identifier: BSD-3-Clause */
/* A process of a script: carries out one socket call at a time and says what came of it. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    PERIOD = 65521, /* of the bytes that all streams are cut from */
    STRIDE = 7919,  /* between the beginnings of two streams */
    PATTERN_SIZE = PERIOD + BYTES_MAX,
    WORDS = 8,
    PARTS = 3,
};

/* One command while it is carried out. */
struct call {
    const struct command *command;
    struct answer *answer;
    char *words[WORDS]; /* the verb, the slot, and what the verb takes */
    int slot;
    int fd;
};

static struct {
    int role;
    int fds[SLOTS];
    int epoll;
} self;

static const unsigned char *pattern;
static unsigned char received[BYTES_MAX];
static volatile sig_atomic_t broken_pipes;

static void count_broken_pipe(int signal)
{
    (void)signal;
    broken_pipes++;
}

/* ---- names ---- */

int slot_number(const char *name)
{
    int end = name[0] ? name[1] - '0' : -1, copy = 0;

    if (name[0] == 's')
        end += CONNECTIONS;
    else if (name[0] == 'l')
        end += 2 * CONNECTIONS;
    else if (name[0] != 'c')
        return -1;
    if (name[1] && name[2] == '.')
        copy = name[3] - '0';
    if (end < 0 || end >= ENDS || copy < 0 || copy >= COPIES)
        return -1;
    return end * COPIES + copy;
}

void slot_name(int slot, char name[8])
{
    int end = slot / COPIES, copy = slot % COPIES;

    snprintf(name, 8, copy ? "%c%d.%d" : "%c%d", "csl"[end / CONNECTIONS], end % CONNECTIONS, copy);
}

struct name {
    const char *word;
    int value;
};

static const struct name poll_names[] = {
    {"IN", POLLIN},   {"PRI", POLLPRI}, {"OUT", POLLOUT},     {"ERR", POLLERR},
    {"HUP", POLLHUP}, {"NVAL", POLLNVAL}, {"RDHUP", POLLRDHUP}, {NULL, 0}};

static const struct name epoll_names[] = {
    {"IN", EPOLLIN},   {"PRI", EPOLLPRI}, {"OUT", EPOLLOUT}, {"ERR", EPOLLERR}, {"HUP", EPOLLHUP},
    {"RDHUP", EPOLLRDHUP}, {"ET", (int)EPOLLET}, {"ONESHOT", EPOLLONESHOT}, {NULL, 0}};

static const struct name message_names[] = {
    {"PEEK", MSG_PEEK},   {"DONTWAIT", MSG_DONTWAIT}, {"WAITALL", MSG_WAITALL},
    {"TRUNC", MSG_TRUNC}, {"NOSIGNAL", MSG_NOSIGNAL}, {"MORE", MSG_MORE},
    {"CTRUNC", MSG_CTRUNC}, {"EOR", MSG_EOR}, {NULL, 0}};

/* "IN+OUT", or "-" for nothing, as a set of bits. */
static int bits_of(const char *words, const struct name *names)
{
    char copy[64], *save, *word;
    int bits = 0;

    snprintf(copy, sizeof copy, "%s", words);
    for (word = strtok_r(copy, "+", &save); word; word = strtok_r(NULL, "+", &save))
        for (const struct name *name = names; name->word; name++)
            if (strcmp(name->word, word) == 0)
                bits |= name->value;
    return bits;
}

static void bits_text(int bits, const struct name *names, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (const struct name *name = names; name->word; name++)
        if (bits & name->value && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? "+" : "", name->word);
    if (!used)
        snprintf(text, size, "-");
}

/* ---- observations ---- */

static void __attribute__((format(printf, 2, 3))) say(struct call *call, const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(call->answer->text);

    va_start(arguments, format);
    vsnprintf(call->answer->text + used, sizeof call->answer->text - used, format, arguments);
    va_end(arguments);
}

static void say_error(struct call *call)
{
    const char *name = strerrorname_np(errno);

    say(call, "%s", name ? name : "E?");
}

/* "ok" or errno's name. */
static void say_result(struct call *call, int result)
{
    if (result < 0)
        say_error(call);
    else
        say(call, "ok");
}

static long number(const struct call *call, int word)
{
    return call->words[word] ? strtol(call->words[word], NULL, 10) : 0;
}

static const char *text(const struct call *call, int word)
{
    return call->words[word] ? call->words[word] : "-";
}

/* ---- bytes ---- */

void pattern_map(void)
{
    pattern = mmap(NULL, PATTERN_SIZE, PROT_READ, MAP_SHARED, FD_PATTERN, 0);
    if (pattern == MAP_FAILED)
        abort();
}

void pattern_make(void)
{
    unsigned char *bytes;
    uint32_t state = 2463534242U;

    if (ftruncate(FD_PATTERN, PATTERN_SIZE) < 0)
        abort();
    bytes = mmap(NULL, PATTERN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, FD_PATTERN, 0);
    if (bytes == MAP_FAILED)
        abort();
    for (size_t i = 0; i < PATTERN_SIZE; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes[i] = i < PERIOD ? (unsigned char)(state >> 7) : bytes[i - PERIOD];
    }
    munmap(bytes, PATTERN_SIZE);
}

/* Where the bytes of a stream from a position on begin: in memory and in the pattern's file. */
static size_t pattern_offset(uint32_t stream, uint64_t at)
{
    return (size_t)((at + (uint64_t)stream * STRIDE) % PERIOD);
}

/* Cuts n bytes at base into three vectors, an empty one among them when n is odd. */
static void cut(const unsigned char *base, size_t n, struct iovec parts[PARTS])
{
    size_t first = n % 2 ? n / 3 : 0, second = n / 2 - first / 2;

    parts[0] = (struct iovec){(void *)base, first};
    parts[1] = (struct iovec){(void *)(base + first), second};
    parts[2] = (struct iovec){(void *)(base + first + second), n - first - second};
}

static ssize_t send_file(int fd, size_t n, size_t offset)
{
    off_t from = (off_t)offset;

    return sendfile(fd, FD_PATTERN, &from, n);
}

/* In three messages; the bytes, and the messages in *taken. */
static ssize_t send_many(int fd, const unsigned char *from, size_t n, int flags, int *taken)
{
    struct mmsghdr messages[PARTS];
    struct iovec parts[PARTS];
    ssize_t sum = 0;

    cut(from, n, parts);
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < PARTS; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    *taken = sendmmsg(fd, messages, PARTS, flags);
    for (int i = 0; i < *taken; i++)
        sum += messages[i].msg_len;
    return *taken < 0 ? -1 : sum;
}

static ssize_t send_by(struct call *call, const char *how, size_t n, uint64_t at, int flags)
{
    size_t offset = pattern_offset(call->command->stream, at);
    const unsigned char *from = pattern + offset;
    struct iovec parts[PARTS];
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = PARTS};
    ssize_t sent;
    int taken;

    cut(from, n, parts);
    if (strcmp(how, "write") == 0)
        return write(call->fd, from, n);
    if (strcmp(how, "writev") == 0)
        return writev(call->fd, parts, PARTS);
    if (strcmp(how, "send") == 0)
        return send(call->fd, from, n, flags);
    if (strcmp(how, "sendto") == 0)
        return sendto(call->fd, from, n, flags, NULL, 0);
    if (strcmp(how, "sendmsg") == 0)
        return sendmsg(call->fd, &message, flags);
    if (strcmp(how, "sendfile") == 0)
        return send_file(call->fd, n, offset);
    sent = send_many(call->fd, from, n, flags, &taken);
    if (sent >= 0)
        say(call, "%d messages ", taken);
    return sent;
}

static void say_signals(struct call *call)
{
    if (broken_pipes)
        say(call, " SIGPIPE%s", broken_pipes > 1 ? " twice" : "");
    broken_pipes = 0;
}

/* send SLOT HOW N FLAGS */
static void do_send(struct call *call)
{
    size_t n = (size_t)number(call, 3);
    int flags = bits_of(text(call, 4), message_names);
    ssize_t sent = send_by(call, text(call, 2), n, call->command->at, flags);

    if (sent < 0)
        say_error(call);
    else if ((size_t)sent == n)
        say(call, "all");
    else
        say(call, sent ? "part" : "nothing");
    say_signals(call);
    call->answer->moved = sent > 0 ? sent : 0;
}

static int64_t milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool wait_ready(int fd, short events, int64_t until)
{
    struct pollfd wait = {.fd = fd, .events = events};
    int64_t left = until - milliseconds();

    return left > 0 && poll(&wait, 1, (int)left) > 0;
}

/* sendall SLOT HOW N: in as many calls as it takes. Of several messages the empty one may be all
 * that there is room for. */
static void do_sendall(struct call *call)
{
    size_t n = (size_t)number(call, 3), done = 0;
    int64_t until = milliseconds() + WAIT_MS;
    ssize_t sent = 0;

    while (done < n) {
        sent = send_by(call, text(call, 2), n - done, call->command->at + done, 0);
        call->answer->text[0] = '\0'; /* how many calls is left to timing */
        if (sent > 0)
            done += (size_t)sent;
        else if ((sent < 0 && errno != EAGAIN) || !wait_ready(call->fd, POLLOUT, until))
            break;
    }
    if (done < n && sent < 0)
        say_error(call);
    else
        say(call, done == n ? "all" : "part");
    say_signals(call);
    call->answer->moved = (int64_t)done;
}

static bool right_bytes(struct call *call, size_t n, uint64_t at)
{
    const unsigned char *right = pattern + pattern_offset(call->command->stream, at);

    if (memcmp(received, right, n) == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (received[i] != right[i]) {
            say(call, "wrong bytes from %zu of %zu on ", i, n);
            break;
        }
    return false;
}

static ssize_t receive_many(struct call *call, size_t n, int flags)
{
    struct mmsghdr messages[PARTS];
    struct iovec parts[PARTS];
    ssize_t sum = 0;
    int taken;

    cut(received, n, parts);
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < PARTS; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    taken = recvmmsg(call->fd, messages, PARTS, flags, NULL);
    if (taken < 0)
        return -1;
    say(call, "%d messages", taken);
    for (int i = 0; i < taken; i++) { /* what fell short of its part is moved up to the rest */
        if (flags & MSG_PEEK) /* each begins with the same byte */
            sum = 0;
        say(call, " %u", messages[i].msg_len);
        memmove(received + sum, parts[i].iov_base, messages[i].msg_len);
        sum += messages[i].msg_len;
    }
    say(call, " sum ");
    return sum;
}

static ssize_t receive_message(struct call *call, struct iovec parts[PARTS], int flags)
{
    char control[64], shown[64];
    struct sockaddr_in name;
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = PARTS, .msg_control = control,
                             .msg_controllen = sizeof control, .msg_name = &name,
                             .msg_namelen = sizeof name};
    ssize_t got = recvmsg(call->fd, &message, flags);

    if (got >= 0 && (message.msg_flags || message.msg_controllen || message.msg_namelen)) {
        bits_text(message.msg_flags, message_names, shown, sizeof shown);
        say(call, "(flags %s control %zu name %u) ", shown, message.msg_controllen,
            message.msg_namelen);
    }
    return got;
}

static ssize_t receive_by(struct call *call, const char *how, size_t n, int flags)
{
    struct iovec parts[PARTS];

    cut(received, n, parts);
    if (strcmp(how, "read") == 0)
        return read(call->fd, received, n);
    if (strcmp(how, "readv") == 0)
        return readv(call->fd, parts, PARTS);
    if (strcmp(how, "recv") == 0)
        return recv(call->fd, received, n, flags);
    if (strcmp(how, "recvfrom") == 0) {
        struct sockaddr_in name;
        socklen_t len = sizeof name;
        ssize_t got = recvfrom(call->fd, received, n, flags, (struct sockaddr *)&name, &len);

        if (got >= 0 && len)
            say(call, "(name %u) ", len);
        return got;
    }
    if (strcmp(how, "recvmsg") == 0)
        return receive_message(call, parts, flags);
    return receive_many(call, n, flags);
}

/* recv SLOT HOW N FLAGS */
static void do_recv(struct call *call)
{
    int flags = bits_of(text(call, 4), message_names);
    size_t n = (size_t)number(call, 3);
    ssize_t got = receive_by(call, text(call, 2), n, flags);

    if (got < 0) {
        say_error(call);
        return;
    }
    if (flags & MSG_TRUNC || right_bytes(call, (size_t)got, call->command->at))
        say(call, "%zd", got);
    call->answer->moved = flags & MSG_PEEK ? 0 : got;
}

/* drain SLOT HOW CHUNK: all that was sent and not read, in calls of at most CHUNK bytes. */
static void do_drain(struct call *call)
{
    uint64_t done = 0, all = call->command->expect;
    size_t chunk = (size_t)number(call, 3);
    int64_t until = milliseconds() + WAIT_MS;
    ssize_t got = 0;

    while (done < all) {
        size_t want = all - done < chunk ? (size_t)(all - done) : chunk;

        got = receive_by(call, text(call, 2), want, 0);
        call->answer->text[0] = '\0'; /* how many calls is left to timing */
        if (got > 0 && !right_bytes(call, (size_t)got, call->command->at + done))
            break;
        if (got > 0)
            done += (uint64_t)got;
        else if (got == 0 || errno != EAGAIN || !wait_ready(call->fd, POLLIN, until))
            break;
    }
    if (done < all && got < 0)
        say_error(call);
    else if (done < all)
        say(call, got ? "" : "end of file early");
    else
        say(call, "all");
    call->answer->moved = (int64_t)done;
}

/* fionread SLOT */
static void do_fionread(struct call *call)
{
    int count = -1;

    if (ioctl(call->fd, FIONREAD, &count) < 0)
        say_error(call);
    else
        say(call, "%d", count);
}

/* ---- births ---- */

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void keep(int slot, int fd)
{
    if (self.fds[slot] >= 0)
        close(self.fds[slot]);
    self.fds[slot] = fd;
}

/* Without Nagle's delay, so that what was sent has arrived when the next step begins. */
static int new_socket(int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0), on = 1;

    if (fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        abort();
    return fd;
}

/* socket SLOT FLAGS */
static void do_socket(struct call *call)
{
    int fd = new_socket(strstr(text(call, 2), "NONBLOCK") ? SOCK_NONBLOCK : 0);

    say_result(call, fd < 0 ? -1 : 0);
    keep(call->slot, fd);
}

static int listening_port(int fd)
{
    struct sockaddr_in name;
    socklen_t len = sizeof name;

    return getsockname(fd, (struct sockaddr *)&name, &len) < 0 ? 0 : ntohs(name.sin_port);
}

/* listen SLOT BACKLOG: a new socket, bound to some port. */
static void do_listen(struct call *call)
{
    struct sockaddr_in name = loopback(0);
    int fd = new_socket(0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0 ||
        listen(fd, (int)number(call, 2)) < 0) {
        say_error(call);
        return;
    }
    keep(call->slot, fd);
    call->answer->port = (uint16_t)listening_port(fd);
    say_result(call, 0);
}

/* connect SLOT LISTENER */
static void do_connect(struct call *call)
{
    struct sockaddr_in name = loopback(call->command->port);

    say_result(call, connect(call->fd, (struct sockaddr *)&name, sizeof name));
}

/* accept LISTENER SLOT FLAGS */
static void do_accept(struct call *call)
{
    int slot = slot_number(text(call, 2));
    int flags = strstr(text(call, 3), "NONBLOCK") ? SOCK_NONBLOCK : 0;
    struct sockaddr_in name = {0};
    socklen_t len = sizeof name;
    int fd = accept4(call->fd, (struct sockaddr *)&name, &len, flags);

    if (fd < 0) {
        say_error(call);
        return;
    }
    keep(slot, fd);
    call->answer->port = ntohs(name.sin_port);
    say(call, "length %u from %%0", len);
}

/* nonblock SLOT 0|1 */
static void do_nonblock(struct call *call)
{
    int flags = fcntl(call->fd, F_GETFL);

    flags = number(call, 2) ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    say_result(call, fcntl(call->fd, F_SETFL, flags));
}

/* getpeername SLOT, getsockname SLOT */
static void do_name(struct call *call)
{
    struct sockaddr_in name = {0};
    socklen_t len = sizeof name;
    bool peer = strcmp(call->words[0], "getpeername") == 0;
    int result = peer ? getpeername(call->fd, (struct sockaddr *)&name, &len)
                      : getsockname(call->fd, (struct sockaddr *)&name, &len);

    if (result < 0) {
        say_error(call);
        return;
    }
    call->answer->port = ntohs(name.sin_port);
    say(call, "length %u %s %%0", len, name.sin_addr.s_addr ? "loopback" : "any");
}

/* ---- options ---- */

static const struct {
    const char *name;
    int level, option;
} options[] = {{"SO_ERROR", SOL_SOCKET, SO_ERROR},
               {"SO_TYPE", SOL_SOCKET, SO_TYPE},
               {"SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL},
               {"SO_DOMAIN", SOL_SOCKET, SO_DOMAIN},
               {"SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN},
               {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE},
               {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR},
               {"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE},
               {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY},
               {"TCP_CORK", IPPROTO_TCP, TCP_CORK},
               {"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE},
               {"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL},
               {"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT},
               {"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT},
               {"TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT},
               {"TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2},
               {"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT}};

static int option_number(struct call *call)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (strcmp(options[i].name, text(call, 2)) == 0)
            return (int)i;
    abort();
}

/* getopt SLOT NAME */
static void do_getopt(struct call *call)
{
    int i = option_number(call), value = -1;
    socklen_t len = sizeof value;

    if (getsockopt(call->fd, options[i].level, options[i].option, &value, &len) < 0)
        say_error(call);
    else if (options[i].option == SO_ERROR && options[i].level == SOL_SOCKET && value)
        say(call, "%s", strerrorname_np(value));
    else
        say(call, "%d", value);
}

/* setopt SLOT NAME VALUE */
static void do_setopt(struct call *call)
{
    int i = option_number(call), value = (int)number(call, 3);

    say_result(call, setsockopt(call->fd, options[i].level, options[i].option, &value,
                                sizeof value));
}

/* linger SLOT on seconds */
static void do_linger(struct call *call)
{
    struct linger linger = {(int)number(call, 2), (int)number(call, 3)};

    say_result(call, setsockopt(call->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

/* ---- waiting ---- */

/* poll SLOT BITS MILLISECONDS */
static void do_poll(struct call *call)
{
    struct pollfd wait = {.fd = call->fd, .events = (short)bits_of(text(call, 2), poll_names)};
    char shown[64];
    int ready = poll(&wait, 1, (int)number(call, 3));

    if (ready < 0) {
        say_error(call);
        return;
    }
    bits_text(wait.revents, poll_names, shown, sizeof shown);
    say(call, "%s", shown);
    if ((ready > 0) != (wait.revents != 0))
        say(call, " but returned %d", ready);
}

/* select SLOT */
static void do_select(struct call *call)
{
    struct timeval none = {0, 0};
    fd_set sets[3];
    int ready;

    for (int i = 0; i < 3; i++) {
        FD_ZERO(&sets[i]);
        FD_SET(call->fd, &sets[i]);
    }
    ready = select(call->fd + 1, &sets[0], &sets[1], &sets[2], &none);
    if (ready < 0) {
        say_error(call);
        return;
    }
    say(call, "%d", ready);
    for (int i = 0; i < 3; i++)
        if (FD_ISSET(call->fd, &sets[i]))
            say(call, " %s", ((const char *[]){"read", "write", "except"})[i]);
}

/* epadd|epmod|epdel SLOT BITS */
static void do_epctl(struct call *call)
{
    static const int operations[] = {['a'] = EPOLL_CTL_ADD, ['m'] = EPOLL_CTL_MOD,
                                     ['d'] = EPOLL_CTL_DEL};
    struct epoll_event event = {.events = (uint32_t)bits_of(text(call, 2), epoll_names),
                                .data.u32 = (uint32_t)call->slot};

    if (self.epoll < 0)
        self.epoll = epoll_create1(0);
    say_result(call, epoll_ctl(self.epoll, operations[(unsigned char)call->words[0][2]], call->fd,
                               &event));
}

static int by_slot(const void *left, const void *right)
{
    const struct epoll_event *a = left, *b = right;

    return (a->data.u32 > b->data.u32) - (a->data.u32 < b->data.u32);
}

/* epwait MILLISECONDS */
static void do_epwait(struct call *call)
{
    struct epoll_event events[16];
    int n = self.epoll < 0 ? 0 : epoll_wait(self.epoll, events, 16, (int)number(call, 1));

    if (n < 0) {
        say_error(call);
        return;
    }
    qsort(events, (size_t)n, sizeof events[0], by_slot);
    for (int i = 0; i < n; i++) {
        char name[8], shown[64];

        slot_name((int)events[i].data.u32, name);
        bits_text((int)events[i].events, epoll_names, shown, sizeof shown);
        say(call, "%s%s:%s", i ? " " : "", name, shown);
    }
    if (n == 0)
        say(call, "nothing");
}

/* ---- ends ---- */

/* shutdown SLOT RD|WR|RDWR */
static void do_shutdown(struct call *call)
{
    const char *how = text(call, 2);

    say_result(call, shutdown(call->fd, strcmp(how, "RD") == 0   ? SHUT_RD
                                        : strcmp(how, "WR") == 0 ? SHUT_WR
                                                                 : SHUT_RDWR));
}

/* close SLOT */
static void do_close(struct call *call)
{
    say_result(call, close(call->fd));
    self.fds[call->slot] = -1;
}

/* disconnect SLOT */
static void do_disconnect(struct call *call)
{
    struct sockaddr name = {.sa_family = AF_UNSPEC};

    say_result(call, connect(call->fd, &name, sizeof name));
}

/* ---- copies ---- */

/* dup SLOT COPY, dup2 SLOT COPY, dupfd SLOT COPY */
static void do_dup(struct call *call)
{
    int to = slot_number(text(call, 2)), fd;

    if (strcmp(call->words[0], "dup2") == 0 && self.fds[to] >= 0) {
        say_result(call, dup2(call->fd, self.fds[to]));
        return;
    }
    fd = strcmp(call->words[0], "dupfd") == 0 ? fcntl(call->fd, F_DUPFD, 50) : dup(call->fd);
    say_result(call, fd);
    keep(to, fd);
}

static void send_answer(const struct answer *answer)
{
    if (write(FD_ANSWERS, answer, sizeof *answer) != sizeof *answer)
        _exit(3);
}

/* fork ROLE: the child goes on as that role. */
static void do_fork(struct call *call)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (self.epoll >= 0)
            close(self.epoll);
        self.epoll = -1;
        party_serve(call->words[1][0] - 'A');
        _exit(0);
    }
    call->answer->pid = pid;
    say_result(call, pid);
}

/* exec: this process begins anew with its descriptors. */
static void do_exec(struct call *call)
{
    char texts[SLOTS][16], role[4], *arguments[SLOTS + 4] = {"player", "--party", role};
    int count = 3;

    if (self.epoll >= 0)
        close(self.epoll);
    snprintf(role, sizeof role, "%d", self.role);
    for (int slot = 0; slot < SLOTS; slot++)
        if (self.fds[slot] >= 0) {
            snprintf(texts[slot], sizeof texts[slot], "%d:%d", slot, self.fds[slot]);
            arguments[count++] = texts[slot];
        }
    execv("/proc/self/exe", arguments);
    say_error(call);
}

/* give SLOT ROLE: the descriptor goes into that role's inbox. */
static void do_give(struct call *call)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}}; /* padding is sent too */
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &call->fd, sizeof(int));
    say_result(call, (int)sendmsg(FD_INBOX_OUT + call->words[2][0] - 'A', &message, 0));
}

/* take SLOT */
static void do_take(struct call *call)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    int fd = -1;

    if (recvmsg(FD_INBOX_IN + self.role, &message, MSG_DONTWAIT) == 1 && CMSG_FIRSTHDR(&message))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    say_result(call, fd);
    keep(call->slot, fd);
}

static void do_exit(struct call *call)
{
    (void)call;
    _exit(0);
}

/* ---- the process ---- */

static const struct verb {
    const char *name;
    void (*run)(struct call *);
    enum { NEW, OPEN, NONE } slot; /* of words[1]: made by it, must be there, is not one */
} verbs[] = {{"socket", do_socket, NEW},      {"listen", do_listen, NEW},
             {"connect", do_connect, OPEN},   {"accept", do_accept, OPEN},
             {"nonblock", do_nonblock, OPEN}, {"getpeername", do_name, OPEN},
             {"getsockname", do_name, OPEN},  {"getopt", do_getopt, OPEN},
             {"setopt", do_setopt, OPEN},     {"linger", do_linger, OPEN},
             {"send", do_send, OPEN},         {"sendall", do_sendall, OPEN},
             {"recv", do_recv, OPEN},         {"drain", do_drain, OPEN},
             {"fionread", do_fionread, OPEN}, {"poll", do_poll, OPEN},
             {"select", do_select, OPEN},     {"epadd", do_epctl, OPEN},
             {"epmod", do_epctl, OPEN},       {"epdel", do_epctl, OPEN},
             {"epwait", do_epwait, NONE},     {"shutdown", do_shutdown, OPEN},
             {"close", do_close, OPEN},       {"disconnect", do_disconnect, OPEN},
             {"dup", do_dup, OPEN},           {"dup2", do_dup, OPEN},
             {"dupfd", do_dup, OPEN},         {"fork", do_fork, NONE},
             {"exec", do_exec, NONE},         {"give", do_give, OPEN},
             {"take", do_take, NEW},          {"exit", do_exit, NONE}};

static void carry_out(const struct verb *verb, struct call *call)
{
    call->slot = verb->slot == NONE ? -1 : slot_number(text(call, 1));
    call->fd = call->slot < 0 ? -1 : self.fds[call->slot];
    if (verb->slot != NONE && call->slot < 0)
        say(call, "what is %s?", text(call, 1));
    else if (verb->slot == OPEN && call->fd < 0)
        say(call, "no such descriptor");
    else
        verb->run(call);
}

static void obey(const struct command *command, struct answer *answer)
{
    struct call call = {.command = command, .answer = answer};
    char line[sizeof command->line], *save, *word;
    int count = 0;

    memcpy(line, command->line, sizeof line);
    for (word = strtok_r(line, " ", &save); word && count < WORDS;
         word = strtok_r(NULL, " ", &save))
        call.words[count++] = word;
    for (size_t i = 0; count && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, call.words[0]) == 0) {
            carry_out(&verbs[i], &call);
            return;
        }
    say(&call, "what is %s?", count ? call.words[0] : "nothing");
}

void party_serve(int role)
{
    struct command command;

    if (!pattern) {
        pattern_map();
        for (int slot = 0; slot < SLOTS; slot++)
            self.fds[slot] = -1;
        self.epoll = -1;
    }
    self.role = role;
    signal(SIGPIPE, count_broken_pipe);
    while (read(FD_COMMANDS + role, &command, sizeof command) == sizeof command) {
        struct answer answer = {.role = self.role};

        obey(&command, &answer);
        send_answer(&answer);
    }
}

void party_resume(int role, int count, char **slots)
{
    struct answer answer = {.role = role, .text = "ok"};

    pattern_map();
    for (int slot = 0; slot < SLOTS; slot++)
        self.fds[slot] = -1;
    self.epoll = -1;
    for (int i = 0; i < count; i++) {
        int slot, fd;

        if (sscanf(slots[i], "%d:%d", &slot, &fd) == 2 && slot >= 0 && slot < SLOTS)
            self.fds[slot] = fd;
    }
    send_answer(&answer);
    party_serve(role);
}
