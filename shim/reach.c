/* SPDX-License-Identifier: BSD-3-Clause */
/* sctpshim check HOST PORT: who answers there, by which protocol, and what the library would do. */
#define _GNU_SOURCE
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/sctp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel/address.h"
#include "ledger.h"
#include "params.h"

enum { PATIENCE_MS = 3000, ADDRESSES = 8, REGISTERED_UDP = 9899, TEXT = 512, LABEL = 52 };

/* What was found at one address. */
struct found {
    enum reason reason; /* of SCTP's: REASON_NONE where it answers */
    bool tcp;
};

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static char *format(const union address *at, char *text)
{
    char address[INET6_ADDRSTRLEN];
    bool six = at->any.sa_family == AF_INET6;

    inet_ntop(at->any.sa_family, six ? (const void *)&at->in6.sin6_addr : &at->in.sin_addr, address,
              sizeof address);
    snprintf(text, TEXT, six ? "[%s]:%u" : "%s:%u", address, ntohs(at->in.sin_port));
    return text;
}

static void say(const char *verdict, const union address *at, const char *way, const char *what)
{
    char name[TEXT], label[2 * TEXT];

    snprintf(label, sizeof label, "%s over %s", format(at, name), way);
    printf("%-5s %-*s %s\n", verdict, LABEL, label, what);
}

/* An errno, 0 when it is connected. */
static int connect_within(int fd, const union address *to, int ms)
{
    struct pollfd poll_for = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;

    if (connect(fd, &to->any, address_len(to)) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    if (poll(&poll_for, 1, ms) != 1)
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

/* "192.0.2.1 198.51.100.1" of one end of an association. */
static void list_addresses(int fd, int name, char *text, size_t size)
{
    union {
        struct sctp_getaddrs head;
        char room[4096];
    } all = {.head = {.assoc_id = 0}};
    socklen_t len = sizeof all;
    const unsigned char *at = all.head.addrs;
    size_t used = 0;

    text[0] = '\0';
    if (getsockopt(fd, IPPROTO_SCTP, name, &all, &len) < 0)
        return;
    for (unsigned i = 0; i < all.head.addr_num && used < size; i++) {
        union address address;
        char name_text[INET6_ADDRSTRLEN];
        sa_family_t family;

        memcpy(&family, at, sizeof family);
        memset(&address, 0, sizeof address);
        memcpy(&address, at, family == AF_INET6 ? sizeof address.in6 : sizeof address.in);
        at += address_len(&address);
        inet_ntop(family,
                  family == AF_INET6 ? (const void *)&address.in6.sin6_addr : &address.in.sin_addr,
                  name_text, sizeof name_text);
        used += (size_t)snprintf(text + used, size - used, " %s", name_text);
    }
}

static void say_up(const union address *to, const char *way, int fd, double ms)
{
    char locals[TEXT], peers[TEXT], text[3 * TEXT];

    list_addresses(fd, SCTP_GET_LOCAL_ADDRS, locals, sizeof locals);
    list_addresses(fd, SCTP_GET_PEER_ADDRS, peers, sizeof peers);
    snprintf(text, sizeof text, "an association in %.1f ms, from%s to%s", ms, locals, peers);
    say("ok", to, way, text);
}

static const char *name_of(int error)
{
    return strerrorname_np(error) ? strerrorname_np(error) : "unknown error";
}

/* With an ICMP error's meaning, as the library has it. */
static enum reason try_sctp(const union address *to, uint16_t udp, const char *way, int ms)
{
    struct sctp_udpencaps encaps = {.sue_address.ss_family = to->any.sa_family,
                                    .sue_port = htons(udp)};
    static const int on = 1;
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_SCTP);
    double begun = now_ms();
    char text[TEXT];
    int error = fd < 0 ? errno : 0;

    if (fd < 0) {
        snprintf(text, sizeof text, "no socket (%s)", name_of(error));
        say("no", to, way, text);
        return REASON_NO_SCTP;
    }
    setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    if (to->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
    if (udp && setsockopt(fd, IPPROTO_SCTP, SCTP_REMOTE_UDP_ENCAPS_PORT, &encaps, sizeof encaps) < 0)
        error = errno;
    error = error ? error : connect_within(fd, to, ms);
    if (!error) {
        say_up(to, way, fd, now_ms() - begun);
    } else {
        snprintf(text, sizeof text, "%s after %.1f ms: %s", name_of(error), now_ms() - begun,
                 reason_table[reason_of_error(error)].text);
        say("no", to, way, text);
    }
    close(fd);
    return error ? reason_of_error(error) : REASON_NONE;
}

/* ---- The userspace stack, which is the library's to reach ---- */

/* A connect of a process that has the library: its errno, or that of what went wrong before. */
static int knock(const char *library, const union address *to)
{
    char command[64], address[TEXT], line[64] = "";
    int ends[2], error = EIO;
    pid_t child;
    FILE *answer;

    if (pipe(ends) < 0)
        return errno;
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        setenv("LD_PRELOAD", library, 1);
        setenv("SCTPSHIM_STACK", "userspace", 1);
        setenv("SCTPSHIM_ACTION", "sctp", 1);
        inet_ntop(to->any.sa_family,
                  to->any.sa_family == AF_INET6 ? (const void *)&to->in6.sin6_addr
                                                : &to->in.sin_addr, address, sizeof address);
        snprintf(command, sizeof command, "%u", ntohs(to->in.sin_port));
        execl("/proc/self/exe", "sctpshim-tool", "knock", address, command, (char *)NULL);
        _exit(TOOL_NOT_FOUND);
    }
    close(ends[1]);
    answer = fdopen(ends[0], "re");
    if (answer && fgets(line, sizeof line, answer))
        error = atoi(line);
    if (answer)
        fclose(answer);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return error;
}

int knock_command(const char *address, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    union address to;
    struct addrinfo *found;
    int fd;

    if (getaddrinfo(address, port, &hints, &found) != 0)
        return TOOL_USAGE;
    memset(&to, 0, sizeof to);
    memcpy(&to, found->ai_addr, found->ai_addrlen < sizeof to ? found->ai_addrlen : sizeof to);
    fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    printf("%d\n", fd < 0 ? errno : connect_within(fd, &to, PATIENCE_MS));
    return TOOL_OK;
}

static enum reason try_userspace(const char *library, const union address *to)
{
    double begun = now_ms();
    int error = knock(library, to);
    char text[TEXT];

    snprintf(text, sizeof text, "%s %.1f ms, the start of sctpshimd included",
             error ? name_of(error) : "an association in", now_ms() - begun);
    say(error ? "no" : "ok", to, "SCTP of sctpshimd", text);
    return error ? reason_of_error(error) : REASON_NONE;
}

/* ---- TCP, and the conclusion ---- */

static bool try_tcp(const union address *to)
{
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    double begun = now_ms();
    int error = fd < 0 ? errno : connect_within(fd, to, PATIENCE_MS);
    char text[TEXT];

    if (error)
        snprintf(text, sizeof text, "%s after %.1f ms", name_of(error), now_ms() - begun);
    else
        snprintf(text, sizeof text, "a connection in %.1f ms", now_ms() - begun);
    say(error ? "no" : "ok", to, "TCP", text);
    if (fd >= 0)
        close(fd);
    return !error;
}

/* What the rules say of a program without a name. */
static const struct options *options_for(const struct config *config, const union address *to,
                                         const char **rule)
{
    const struct rule_process process = {.called = "", .file = "", .uid = geteuid()};
    struct rule_use use = {.roles = ROLE_CONNECT};

    *rule = "no rule";
    if (rule_name(&use.remote, &to->any))
        for (unsigned number = 1; number <= config->rules.count; number++) {
            const struct rule *one = rule_numbered(&config->rules, number);

            if (rule_matches_process(one, &process) && rule_matches_use(one, &use)) {
                *rule = one->name;
                return &one->options;
            }
        }
    return &config->options;
}

/* An earlier connect's verdict, and from now on this one's. */
static uint32_t consult(const struct options *o, const union address *to, enum reason found,
                        enum reason *known)
{
    uint32_t most = reason_table[found].seconds, left = 0;
    struct sockaddr_in6 name;
    struct ledger ledger;

    if (!o->fallback_lifetime || !rule_name(&name, &to->any) || !ledger_open_here(&ledger, true))
        return 0;
    left = ledger_verdict(&ledger, &name, known);
    ledger_judge(&ledger, &name, found,
                 most < o->fallback_lifetime ? most : o->fallback_lifetime);
    ledger_close(&ledger);
    return left;
}

/* One line: what becomes of a connect, and why. */
static void conclude(const struct config *config, const union address *to, const struct found *found)
{
    const char *rule, *why = reason_table[found->reason].text;
    const struct options *o = options_for(config, to, &rule);
    enum reason known = REASON_NONE;
    char name[TEXT];
    uint32_t left;

    printf("%s: ", format(to, name));
    switch (o->action) {
    case ACTION_TCP:
        printf("TCP, for action is tcp (%s)\n", rule);
        return;
    case ACTION_SCTP:
        if (found->reason == REASON_NO_SCTP)
            printf("TCP, whatever action = sctp wants (%s): %s\n", rule, why);
        else if (found->reason)
            printf("fails, for action is sctp (%s), which never takes TCP: %s\n", rule, why);
        else
            printf("SCTP, for action is sctp (%s)\n", rule);
        return;
    default:
        left = consult(o, to, found->reason, &known);
        printf("%s, for action is prefer-sctp (%s): %s", found->reason ? "TCP" : "SCTP", rule, why);
        if (found->reason && !found->tcp)
            printf("; nor does TCP answer");
        if (left && known != found->reason)
            printf("; until now an earlier verdict said: %s", reason_table[known].word);
        puts("");
    }
}

/* Is it through the userspace stack that the library goes? Says why not where it cannot. */
static bool goes_through_broker(const struct config *config)
{
    struct options o = config->options;
    int fd = o.stack == STACK_USERSPACE ? -1
                                        : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);

    if (fd >= 0)
        close(fd);
    return fd < 0 && o.stack != STACK_KERNEL && check_usable(&o) == TOOL_OK;
}

static void try_address(const struct config *config, const char *library, const union address *to)
{
    const char *rule;
    const struct options *o = options_for(config, to, &rule);
    bool bounded = o->action == ACTION_PREFER && o->fallback_timeout;
    int ms = bounded ? (int)o->fallback_timeout : PATIENCE_MS;
    uint16_t udp = (uint16_t)(o->udp_encaps ? o->udp_encaps : REGISTERED_UDP);
    struct found found;
    enum reason encapsulated = REASON_LOCAL;

    if (goes_through_broker(config)) {
        found.reason = try_userspace(library, to);
        found.tcp = try_tcp(to);
        conclude(config, to, &found);
        return;
    }
    found.reason = try_sctp(to, 0, "SCTP", ms);
    if (sctp_setting("udp_port") > 0)
        encapsulated = try_sctp(to, udp, "SCTP in UDP", ms);
    else if (found.reason != REASON_NO_SCTP)
        say("is", to, "SCTP in UDP", "not tried: net.sctp.udp_port is 0 here");
    if (o->udp_encaps)
        found.reason = sctp_setting("udp_port") > 0 ? encapsulated : found.reason;
    found.tcp = try_tcp(to);
    conclude(config, to, &found);
}

int reach_command(const struct config *config, const char *library, const char *host,
                  const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    int error = getaddrinfo(host, port, &hints, &list), count = 0;

    if (error) {
        fprintf(stderr, "sctpshim: check: %s port %s: %s\n", host, port, gai_strerror(error));
        return TOOL_USAGE;
    }
    for (const struct addrinfo *at = list; at && count < ADDRESSES; at = at->ai_next, count++) {
        union address to;

        memset(&to, 0, sizeof to);
        memcpy(&to, at->ai_addr, at->ai_addrlen < sizeof to ? at->ai_addrlen : sizeof to);
        try_address(config, library, &to);
    }
    freeaddrinfo(list);
    return TOOL_OK;
}
