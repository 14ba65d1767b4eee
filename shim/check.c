/* SPDX-License-Identifier: BSD-3-Clause */
/* What this machine can do for SCTP: the kernel, each socket option, an association, limits. */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 3000, LABEL = 28 };

static const char *error_name(int error)
{
    const char *name = strerrorname_np(error);

    return name ? name : "unknown error";
}

/* What it means when socket() refuses SCTP. */
static const char *explain(int error)
{
    switch (error) {
    case EPROTONOSUPPORT:
    case ESOCKTNOSUPPORT:
        return "the kernel has no SCTP, or its module is not loaded (as root: modprobe sctp)";
    case EACCES:
    case EPERM:
        return "a security policy of this system or container forbids SCTP";
    case EAFNOSUPPORT:
        return "the kernel lacks this address family";
    default:
        return "the kernel refuses SCTP sockets";
    }
}

static int sctp_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
}

static void say(const char *verdict, const char *what, const char *text)
{
    printf("%-5s %-*s %s\n", verdict, LABEL, what, text);
}

static bool check_family(int family, const char *what)
{
    int fd = sctp_socket(family);
    char text[200];

    if (fd < 0) {
        snprintf(text, sizeof(text), "%s: %s", error_name(errno), explain(errno));
        say("no", what, text);
        return false;
    }
    close(fd);
    say("ok", what, "sockets can be made");
    return true;
}

/* One socket option as the library sets it on a new socket. */
static void try_option(int fd, int name, const char *label, const void *value, size_t size)
{
    char text[200];

    if (setsockopt(fd, IPPROTO_SCTP, name, value, (socklen_t)size) == 0) {
        say("ok", label, "can be set");
        return;
    }
    snprintf(text, sizeof(text), "cannot be set (%s): connections run without it",
             error_name(errno));
    say("warn", label, text);
}

static void check_options(int fd, const struct options *o)
{
    int on = 1;
    struct sctp_initmsg init = {(uint16_t)o->ostreams, (uint16_t)o->istreams,
                                (uint16_t)o->init_attempts, (uint16_t)o->init_timeout};
    struct sctp_rtoinfo rto = {
        .srto_initial = o->rto_initial, .srto_max = o->rto_max, .srto_min = o->rto_min};
    struct sctp_assocparams assoc = {.sasoc_asocmaxrxt = (uint16_t)o->assoc_max_retrans};
    struct sctp_sack_info sack = {.sack_delay = o->sack_delay,
                                  .sack_freq = o->sack_delay ? o->sack_freq : 1};
    struct sctp_paddrparams path = {.spp_flags = SPP_HB_DISABLE};
    struct sctp_paddrparams mtu = {.spp_flags = SPP_PMTUD_DISABLE, .spp_pathmtu = 16384};
    struct sctp_setadaptation adaptation = {1};
    struct sctp_sndinfo send = {.snd_sid = (uint16_t)o->stream, .snd_ppid = htonl(o->ppid)};

    try_option(fd, SCTP_NODELAY, "SCTP_NODELAY", &on, sizeof(on));
    try_option(fd, SCTP_INITMSG, "SCTP_INITMSG", &init, sizeof(init));
    try_option(fd, SCTP_RTOINFO, "SCTP_RTOINFO", &rto, sizeof(rto));
    try_option(fd, SCTP_ASSOCINFO, "SCTP_ASSOCINFO", &assoc, sizeof(assoc));
    try_option(fd, SCTP_DELAYED_SACK, "SCTP_DELAYED_SACK", &sack, sizeof(sack));
    try_option(fd, SCTP_PEER_ADDR_PARAMS, "SCTP_PEER_ADDR_PARAMS", &path, sizeof(path));
    try_option(fd, SCTP_PEER_ADDR_PARAMS, "path MTU", &mtu, sizeof(mtu));
    try_option(fd, SCTP_ADAPTATION_LAYER, "SCTP_ADAPTATION_LAYER", &adaptation,
               sizeof(adaptation));
    try_option(fd, SCTP_DEFAULT_SNDINFO, "SCTP_DEFAULT_SNDINFO", &send, sizeof(send));
}

/* The kernel doubles what it is asked for and keeps silent about what it did not give. */
static void check_buffer(int fd, int name, const char *label, const char *limit, uint32_t wanted)
{
    int value = (int)wanted;
    socklen_t size = sizeof(value);
    char text[200];

    setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value));
    if (getsockopt(fd, SOL_SOCKET, name, &value, &size) != 0) {
        say("warn", label, error_name(errno));
        return;
    }
    if ((uint32_t)value / 2 >= wanted) {
        snprintf(text, sizeof(text), "%" PRIu32 " bytes", wanted);
        say("ok", label, text);
        return;
    }
    snprintf(text, sizeof(text),
             "%d of the configured %" PRIu32 " bytes; for all: sysctl -w %s=%" PRIu32, value / 2,
             wanted, limit, wanted);
    say("warn", label, text);
}

static bool wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    return poll(&p, 1, PATIENCE_MS) == 1 && (p.revents & events);
}

/* Connects `client` to `server`, sends a few bytes across; NULL, or what went wrong. */
static const char *associate(int server, int client)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    char bytes[6] = "";
    const char *wrong = NULL;
    int accepted;

    if (bind(server, (struct sockaddr *)&address, sizeof(address)) != 0)
        return "bind";
    if (listen(server, 1) != 0 || getsockname(server, (struct sockaddr *)&address, &size) != 0)
        return "listen";
    if (connect(client, (struct sockaddr *)&address, sizeof(address)) != 0 && errno != EINPROGRESS)
        return "connect";
    errno = 0; /* from here on a wait that ends without an answer is the likely failure */
    if (!wait_for(server, POLLIN) || (accepted = accept4(server, NULL, NULL, SOCK_CLOEXEC)) < 0)
        return "accept";
    if (!wait_for(client, POLLOUT) || send(client, "hello", 5, MSG_NOSIGNAL) != 5)
        wrong = "send";
    else if (!wait_for(accepted, POLLIN) || recv(accepted, bytes, sizeof(bytes), 0) != 5 ||
             strcmp(bytes, "hello") != 0)
        wrong = "receive";
    close(accepted);
    return wrong;
}

static bool check_association(void)
{
    int server, client;
    const char *wrong;
    char text[200];

    errno = 0;
    server = sctp_socket(AF_INET);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_SCTP);
    wrong = server < 0 || client < 0 ? "socket" : associate(server, client);
    if (wrong)
        snprintf(text, sizeof(text), "%s fails (%s); is protocol 132 filtered?", wrong,
                 errno ? error_name(errno) : "no answer in time");
    say(wrong ? "no" : "ok", "loopback",
        wrong ? text : "an association over 127.0.0.1 carries bytes");
    if (server >= 0)
        close(server);
    if (client >= 0)
        close(client);
    return !wrong;
}

/* Settings of the system that change what SCTP does and that no socket option overrides here. */
static void show_sysctls(void)
{
    static const char *const names[] = {"auth_enable", "addip_enable",      "reconf_enable",
                                        "udp_port",    "encap_port",        "default_auto_asconf",
                                        "sctp_mem",    "addr_scope_policy", "rwnd_update_shift"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[64], label[48], value[64] = "";
        FILE *file;
        snprintf(path, sizeof(path), "/proc/sys/net/sctp/%s", names[i]);
        file = fopen(path, "re");
        if (!file)
            continue; /* older kernels lack some of them */
        if (fgets(value, sizeof(value), file)) {
            value[strcspn(value, "\n")] = '\0';
            for (char *tab = value; (tab = strchr(tab, '\t')); tab++)
                *tab = ' ';
            snprintf(label, sizeof(label), "net.sctp.%s", names[i]);
            say("is", label, value);
        }
        fclose(file);
    }
}

/* Loads the library into a second copy of this program, as the launcher would. */
static bool check_library(const char *library)
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (nowhere >= 0)
            dup2(nowhere, STDERR_FILENO);
        setenv("LD_PRELOAD", library, 1);
        execl("/proc/self/exe", "sctpshim-tool", "loaded", (char *)NULL);
        _exit(TOOL_NOT_FOUND);
    }
    if (child > 0)
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
    say(status == 0 ? "ok" : "no", "library",
        status == 0 ? library : "cannot be loaded into a program");
    if (status != 0)
        say("", "", library);
    return status == 0;
}

static int find_library(struct dl_phdr_info *info, size_t size, void *user)
{
    static const char name[] = "libsctpshim.so";
    size_t length = strlen(info->dlpi_name);

    (void)size;
    (void)user;
    return length >= sizeof(name) - 1 &&
           strcmp(info->dlpi_name + length - (sizeof(name) - 1), name) == 0;
}

int check_loaded(void)
{
    return dl_iterate_phdr(find_library, NULL) ? TOOL_OK : TOOL_BAD;
}

int check_usable(void)
{
    int fd = sctp_socket(AF_INET);

    if (fd >= 0) {
        close(fd);
        return TOOL_OK;
    }
    fprintf(stderr, "sctpshim: SCTP cannot be used (%s): %s\n", error_name(errno),
            explain(errno));
    return TOOL_NO_SCTP;
}

int check_machine(const struct options *configured, const char *library)
{
    bool usable = check_family(AF_INET, "SCTP over IPv4");
    bool loads;

    if (usable) {
        int fd = sctp_socket(AF_INET);
        check_family(AF_INET6, "SCTP over IPv6");
        usable = check_association();
        check_options(fd, configured);
        check_buffer(fd, SO_SNDBUF, "SNDBUF", "net.core.wmem_max", configured->sndbuf);
        check_buffer(fd, SO_RCVBUF, "RCVBUF", "net.core.rmem_max", configured->rcvbuf);
        show_sysctls();
        close(fd);
    }
    loads = !library || check_library(library);
    fflush(stdout);
    if (!usable && check_usable() == TOOL_OK)
        fputs("sctpshim: SCTP cannot be used: sockets can be made but not connected\n", stderr);
    if (!loads)
        fputs("sctpshim: SCTP cannot be used: the library does not load\n", stderr);
    if (usable && loads)
        puts("SCTP can be used");
    return !usable ? TOOL_NO_SCTP : loads ? TOOL_OK : TOOL_NOT_EXECUTABLE;
}
