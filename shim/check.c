/* SPDX-License-Identifier: BSD-3-Clause */
/* What this machine can do for SCTP: the kernel, each socket option, an association, limits. */
#define _GNU_SOURCE
#include "tool.h"

#include "offload.h"
#include "params.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
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

enum { PATIENCE_MS = 3000, LABEL = 32 };

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

/* One socket option as the library sets it. */
static void try_option(const struct param_sink *sink, int name, const char *what,
                       const void *value, size_t size)
{
    static const char *last;
    char text[200];

    if (setsockopt(sink->fd, IPPROTO_SCTP, name, value, (socklen_t)size) == 0) {
        if (what != last) /* an option may take several calls */
            say("ok", what, "can be set");
        last = what;
        return;
    }
    snprintf(text, sizeof(text), "cannot be set (%s): connections run without it",
             error_name(errno));
    say("warn", what, text);
}

static void show_failure(const struct param_sink *sink, const char *what, const char *why)
{
    (void)sink;
    say("warn", what, why);
}

/* The options as configured; then those of others that are not, with a value that is harmless. */
static struct options every_option(const struct options *configured)
{
    struct options o = *configured;

#define DEFAULT(field, value)                                                                      \
    if (o.field == options_default.field)                                                          \
    o.field = (value)
    DEFAULT(pathmtu, 1400);
    DEFAULT(probe_interval, 5000);
    DEFAULT(maxseg, 1000);
    DEFAULT(max_burst, 8);
    DEFAULT(dscp, 46);
    DEFAULT(flowlabel, 1);
    DEFAULT(udp_encaps, 9899);
    DEFAULT(ecn, SWITCH_YES);
    DEFAULT(pr_sctp, SWITCH_YES);
    DEFAULT(asconf, SWITCH_YES);
    DEFAULT(auto_asconf, 1);
    DEFAULT(auth, AUTH_DATA);
    DEFAULT(stream, 1);
    DEFAULT(lifetime, 1000);
    DEFAULT(scheduler, SCHEDULER_RR);
    DEFAULT(partial_delivery, 4096);
    DEFAULT(interleaving, 1);
#undef DEFAULT
    return o;
}

static void check_options(const struct options *configured)
{
    const struct options o = every_option(configured);
    const struct sockaddr_in any = {.sin_family = AF_INET};
    struct param_sink sink = {.set = try_option, .fail = show_failure, .fd = sctp_socket(AF_INET)};

    params_mark(&sink);
    params_socket(&sink, &o);
    if (bind(sink.fd, (const struct sockaddr *)&any, sizeof(any)) == 0)
        params_bound(&sink, &o);
    close(sink.fd);
}

/* UDP encapsulation is more than a socket option. */
static void check_encapsulation(const struct options *configured)
{
    const char *level = params_udp_port(configured) ? "warn" : "is";
    char interfaces[200], text[300];
    long port = sctp_setting("udp_port");

    if (port > 0)
        snprintf(text, sizeof(text), "SCTP is taken from UDP port %ld", port);
    else
        snprintf(text, sizeof(text), "%s: SCTP goes out as IP protocol 132, whatever UDP_ENCAPS is",
                 port ? "this kernel has none" : "off (net.sctp.udp_port is 0)");
    say(port > 0 ? "ok" : level, "UDP encapsulation", text);
    if (!offload_spoils(interfaces, sizeof(interfaces)))
        return;
    snprintf(text, sizeof(text), "very slow on %s, which cannot cut SCTP packets; for each: "
             "ethtool -K INTERFACE gso off", interfaces);
    say(level, "UDP encapsulation", text);
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

/* The brokers' programs lie beside this one. */
bool find_broker(const char *name, char *path, size_t size)
{
    size_t room = strlen(name) + 1;
    ssize_t len = readlink("/proc/self/exe", path, size - room);
    char *slash;

    if (len <= 0)
        return false;
    path[len] = '\0';
    slash = strrchr(path, '/');
    memcpy(slash + 1, name, room);
    return access(path, X_OK) == 0;
}

/* What programs hold here (LEG), and so which broker they need; NULL: none, but kernel SCTP. */
static const char *broker_for(const struct options *configured, bool kernel)
{
    if (configured->stack == STACK_USERSPACE)
        return "sctpshimd";
    if (configured->stack == STACK_KERNEL || kernel)
        return configured->leg == LEG_TCP ? "sctpshimd-kernel" : NULL;
    return configured->leg == LEG_DIRECT ? NULL : "sctpshimd";
}

int check_usable(const struct options *configured)
{
    bool userspace = configured->stack == STACK_USERSPACE;
    int fd = sctp_socket(AF_INET), error = errno;
    const char *broker = broker_for(configured, fd >= 0);
    char path[PATH_MAX];
    bool found = broker && find_broker(broker, path, sizeof(path));

    if (fd >= 0)
        close(fd);
    /* The kernel's broker needs the kernel's SCTP, the other one nothing. */
    if (broker ? found && (fd >= 0 || strcmp(broker, "sctpshimd") == 0) : fd >= 0)
        return TOOL_OK;
    if (broker && !found && (fd >= 0 || userspace))
        fprintf(stderr, "sctpshim: %s cannot be used: %s is missing%s\n",
                userspace ? "STACK=userspace" : "LEG=tcp", path,
                userspace ? "; build it with libusrsctp-dev installed" : "");
    else
        fprintf(stderr, "sctpshim: SCTP cannot be used (%s): %s%s\n", error_name(error),
                explain(error), broker && configured->stack != STACK_KERNEL
                                    ? ", and there is no userspace stack (sctpshimd)" : "");
    return TOOL_NO_SCTP;
}

/* Asks the broker's program what it is; false: it cannot be used. */
static bool check_broker(const char *name, const char *label, const char *missing)
{
    char path[PATH_MAX], command[PATH_MAX + 16], version[200] = "";
    FILE *answer;

    if (!find_broker(name, path, sizeof(path))) {
        say("no", label, missing);
        return false;
    }
    snprintf(command, sizeof(command), "'%s' --version", path);
    answer = popen(command, "re");
    if (answer && fgets(version, sizeof(version), answer))
        version[strcspn(version, "\n")] = '\0';
    if (!answer || pclose(answer) != 0) {
        say("no", label, "its program does not run");
        return false;
    }
    say("ok", label, version);
    return true;
}

/* Which stack, and what programs hold, and why. */
static void explain_choice(const struct options *configured, bool kernel)
{
    bool userspace = configured->stack == STACK_USERSPACE ||
                     (configured->stack == STACK_AUTO && !kernel);

    say("is", "STACK",
        configured->stack == STACK_USERSPACE ? "userspace: as configured"
        : configured->stack == STACK_KERNEL  ? "kernel: as configured"
        : kernel                             ? "auto: the kernel's SCTP"
                                             : "auto: userspace, for the kernel has none");
    say("is", "LEG",
        configured->leg == LEG_TCP && !userspace ? "tcp: TCP sockets, over sctpshimd-kernel"
        : configured->leg == LEG_TCP             ? "tcp: TCP sockets, over sctpshimd"
        : configured->leg == LEG_DIRECT && !userspace ? "direct: SCTP sockets, as configured"
        : configured->stack == STACK_USERSPACE   ? "tcp: the userspace stack has no other"
        : configured->leg == LEG_DIRECT          ? "direct: nothing, for the kernel has no SCTP"
        : userspace                              ? "auto: TCP sockets, over sctpshimd"
                                                 : "auto: SCTP sockets");
}

/* Both brokers, and the choice between all there is. Can it be a leg that programs hold? */
static bool check_legs(const struct options *configured, bool kernel)
{
    const char *wanted = broker_for(configured, kernel);
    bool userspace = check_broker("sctpshimd", "userspace stack",
                                  "sctpshimd was not built (libusrsctp-dev) or not installed");
    bool leg = check_broker("sctpshimd-kernel", "legs to the kernel's",
                            "sctpshimd-kernel is not installed");

    explain_choice(configured, kernel);
    if (!wanted)
        return false;
    return strcmp(wanted, "sctpshimd") == 0 ? userspace : leg && kernel;
}

int check_machine(const struct options *configured, const char *library)
{
    bool kernel = check_family(AF_INET, "SCTP over IPv4");
    bool leg = check_legs(configured, kernel), wants_leg = broker_for(configured, kernel);
    bool usable = kernel && configured->stack != STACK_USERSPACE, loads;

    if (usable) {
        int fd = sctp_socket(AF_INET);
        check_family(AF_INET6, "SCTP over IPv6");
        usable = check_association();
        check_options(configured);
        check_encapsulation(configured);
        check_buffer(fd, SO_SNDBUF, "SNDBUF", "net.core.wmem_max", configured->sndbuf);
        check_buffer(fd, SO_RCVBUF, "RCVBUF", "net.core.rmem_max", configured->rcvbuf);
        show_sysctls();
        close(fd);
    }
    usable = wants_leg ? leg : usable;
    loads = !library || check_library(library);
    fflush(stdout);
    if (!usable && check_usable(configured) == TOOL_OK)
        fputs("sctpshim: SCTP cannot be used: sockets can be made but not connected\n", stderr);
    if (!loads)
        fputs("sctpshim: SCTP cannot be used: the library does not load\n", stderr);
    if (usable && loads)
        puts("SCTP can be used");
    return !usable ? TOOL_NO_SCTP : loads ? TOOL_OK : TOOL_NOT_EXECUTABLE;
}
