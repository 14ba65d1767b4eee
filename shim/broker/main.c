/* SPDX-License-Identifier: BSD-3-Clause */
/* sctpshimd: one process a user and network namespace, from the first connection to a while after. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../config.h"
#include "../log.h"
#include "control.h"
#include "doors.h"
#include "leg.h"
#include "services.h"

enum {
    STATUS_USAGE = 2,
    STATUS_FAILED = 1,
    IDLE = 30,      /* seconds without anything to do before it ends */
    SWEEP = 1000,   /* ms between two looks for listening sockets that are gone */
};

static int64_t busy_at, sweep_at;
static int idle_seconds = IDLE;
static unsigned listening;

static int usage(void)
{
    fputs("usage: sctpshimd [--foreground] [--idle=SECONDS] [--shared]\n"
          "       sctpshimd --status | --list | --version\n"
          "\n"
          "Carries the connections of programs under sctpshim on machines without kernel SCTP.\n"
          "The library starts it when it is needed; it ends when nothing is left to do.\n"
          "\n"
          "  --foreground    stay in the foreground, log to standard error\n"
          "  --idle=SECONDS  end after that long without anything to do (0: never; 30)\n"
          "  --shared        serve all users of this machine, not only this one's programs\n"
          "  --status        ask the one that runs here what it does (1: there is none)\n"
          "  --list          and which connections it has\n",
          stderr);
    return STATUS_USAGE;
}

/* Who started us may have them closed, or closed by exec(): no socket may get their place. */
static void fill_standard(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* The standard descriptors lead nowhere; no other one was inherited by then. */
static void leave_terminal(void)
{
    int nowhere = open("/dev/null", O_RDWR);

    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        dup2(nowhere, fd);
    if (nowhere > STDERR_FILENO)
        close(nowhere);
}

/*
 * By hand: the parent goes as soon as the control socket can be connected to. The library has made
 * us nobody's child already, and waits for the end of its pipe.
 */
static void detach(int ready)
{
    pid_t child = ready < 0 ? fork() : 0;

    if (child != 0)
        _exit(child > 0 ? 0 : STATUS_FAILED);
    setsid();
    if (ready >= 0)
        close(ready);
    leave_terminal();
    if (chdir("/") != 0)
        log_debug("cannot change to /");
}

static void signalled(struct source *source, uint32_t events)
{
    struct signalfd_siginfo info;

    (void)events;
    if (read(source->fd, &info, sizeof info) != sizeof info)
        return;
    log_info("ending on signal %u", info.ssi_signo);
    loop_stop();
}

static struct source signals = {.fd = -1, .ready = signalled};

static void catch_signals(void)
{
    sigset_t set;

    sigfillset(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* who started us may have blocked some */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    loop_watch(&signals, EPOLLIN);
}

/* Each leg is a descriptor, and so is each visitor. */
static void share_descriptors(void)
{
    enum { OWN = 128, PLENTY = 1 << 20 };
    struct rlimit files;
    unsigned most;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    most = files.rlim_cur < PLENTY ? (unsigned)files.rlim_cur : PLENTY;
    control_limit(most / 8);
    legs_limit(most > 2 * OWN ? most - most / 8 - OWN : OWN);
}

static bool end_if_idle(void)
{
    if (legs_count() || listening || control_visitors() || stack_count()) {
        busy_at = loop_now();
        return false;
    }
    if (!idle_seconds || loop_now() - busy_at < (int64_t)idle_seconds * 1000 || !doors_close())
        return false;
    log_info("ending: nothing to do for %d s", idle_seconds);
    return true;
}

static int before(void)
{
    return relay_waiting() ? 0 : stack_patience();
}

static void after(void)
{
    stack_take();
    stack_turn();
    services_turn();
    relay_turn();
    stack_flush();
    if (loop_now() >= sweep_at) {
        listening = legs_listening();
        sweep_at = loop_now() + SWEEP;
    }
    if (end_if_idle())
        loop_stop();
}

static int serve(bool foreground)
{
    static const struct loop_hooks hooks = {.before = before, .after = after};

    share_descriptors();
    if (!loop_start())
        return STATUS_FAILED;
    catch_signals();
    if (!stack_open())
        return STATUS_FAILED;
    if (!legs_start()) {
        log_error("cannot start: %s", strerrorname_np(errno));
        return STATUS_FAILED;
    }
    services_recall(doors_registry());
    doors_serve();
    busy_at = loop_now();
    log_info("sctpshimd " VERSION ": %s%s", stack_version(),
             foreground ? ", in the foreground" : "");
    loop_run(&hooks);
    legs_stop();
    return 0;
}

/*
 * This program's library has other insides than those that it was written for: the same over the
 * public functions alone is a program of its own.
 */
static int hand_over(char **argv)
{
    static const char other[] = "sctpshimd-conn";
    char path[PATH_MAX + sizeof other];
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
    char *name;

    path[len < 0 ? 0 : len] = '\0';
    name = strrchr(path, '/');
    if (name) {
        log_warn("going on as %s, which is slower and has one path", other);
        strcpy(name + 1, other);
        execv(path, argv);
    }
    log_error("cannot run %s: %s", other, strerrorname_np(errno));
    return STATUS_FAILED;
}

static int run(bool foreground, int ready)
{
    switch (doors_open()) {
    case DOORS_OPEN:
        break;
    case DOORS_TAKEN:
        if (foreground)
            log_error("there is one already, at %s", doors_name());
        return foreground ? STATUS_FAILED : 0;
    case DOORS_FAILED:
        return STATUS_FAILED;
    }
    foreground |= doors_passed();
    if (!foreground)
        detach(ready);
    return serve(foreground);
}

int main(int argc, char **argv)
{
    bool foreground = false;
    int ready = -1;

    fill_standard();
    leg_network = stack_leg_network;
    for (int i = 1; i < argc; i++) {
        char *end;

        if (strcmp(argv[i], "--foreground") == 0) {
            foreground = true;
        } else if (strncmp(argv[i], "--idle=", 7) == 0) {
            idle_seconds = (int)strtol(argv[i] + 7, &end, 10);
            if (*end || end == argv[i] + 7 || idle_seconds < 0)
                return usage();
        } else if (strcmp(argv[i], "--shared") == 0) {
            control_share();
        } else if (strcmp(argv[i], "--ready-fd=3") == 0) {
            ready = 3; /* as the library starts us; not for people */
        } else if (strcmp(argv[i], "--status") == 0) {
            return doors_show() ? 0 : STATUS_FAILED;
        } else if (strcmp(argv[i], "--list") == 0) {
            return doors_list() ? 0 : STATUS_FAILED;
        } else if (strcmp(argv[i], "--version") == 0) {
            printf("sctpshimd " VERSION ", %s\n", stack_version());
            return 0;
        } else {
            return usage();
        }
    }
    config_load();
    if (!stack_fits())
        return hand_over(argv);
    return run(foreground, ready);
}
