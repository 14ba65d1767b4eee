/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a broker is asked: its control sockets, and the lock under which there is only one. */
#include "doors.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../log.h"
#include "../userspace/inquiry.h"
#include "../userspace/rendezvous.h"
#include "control.h"

enum { MOST_DOORS = 8, PASSED_FD = 3 /* the first one; sd_listen_fds(3) */ };

static struct rendezvous where;
static int doors[MOST_DOORS];
static size_t count, passed;

const char *doors_name(void)
{
    return where.socket.sun_path;
}

const char *doors_registry(void)
{
    return where.registry;
}

bool doors_passed(void)
{
    return passed > 0;
}

/* Under the lock there is one who looks whether another one listens, and then does. */
static int take_lock(int how)
{
    int fd = open(where.lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0 && flock(fd, LOCK_EX | how) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/*
 * A full queue is a broker too, and so is one that takes its time. One that is being killed can be
 * connected to until its last descriptor is closed, but answers no more: it hangs up.
 */
static bool somebody_listens(void)
{
    struct request request;
    struct answer answer;

    request_begin(&request, REQUEST_STATUS);
    return inquire(&where, &request, &answer) || errno == EAGAIN;
}

/* At this name; -1 with errno. */
static int listen_at(const struct sockaddr_un *name, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

    if (fd >= 0 && bind(fd, (const struct sockaddr *)name, len) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

static bool open_own(void)
{
    mode_t mask = umask(0177);
    int fd;

    unlink(where.socket.sun_path);
    fd = listen_at(&where.socket, sizeof where.socket);
    umask(mask);
    if (fd < 0) {
        log_error("cannot listen at %s: %s", where.socket.sun_path, strerrorname_np(errno));
        return false;
    }
    doors[count++] = fd;
    return true;
}

/* Where another one, or the service manager, has this name already, we are not asked by it. */
static void open_abroad(void)
{
    struct sockaddr_un name;
    socklen_t len = rendezvous_abroad(&name, leg_network, geteuid());
    int fd = listen_at(&name, len);

    if (fd >= 0)
        doors[count++] = fd;
    else if (!passed)
        log_warn("cannot listen at @%s: %s; programs that have changed their user or root "
                 "directory cannot ask", name.sun_path + 1, strerrorname_np(errno));
}

static int number(const char *variable)
{
    const char *text = getenv(variable);

    return text ? atoi(text) : 0;
}

static bool is_control_socket(int fd)
{
    int domain = 0, type = 0, listens = 0;
    socklen_t len = sizeof(int);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens;
}

static bool take_passed(void)
{
    int many = number("LISTEN_PID") == (int)getpid() ? number("LISTEN_FDS") : 0;

    for (int fd = PASSED_FD; fd < PASSED_FD + many; fd++) {
        if (count == MOST_DOORS - 2 || !is_control_socket(fd)) {
            log_error("descriptor %d that was passed is no listening SOCK_SEQPACKET socket", fd);
            return false;
        }
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        doors[count++] = fd;
    }
    passed = count;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return true;
}

enum doors doors_open(void)
{
    enum doors result = DOORS_FAILED;
    int lock;

    if (!take_passed())
        return DOORS_FAILED;
    if (!rendezvous_find(&where, leg_network, environ) || !rendezvous_enter(&where, true)) {
        log_error("cannot use %s: %s", where.directory, strerrorname_np(errno));
        return DOORS_FAILED;
    }
    lock = take_lock(0);
    if (lock < 0) {
        log_error("cannot lock %s: %s", where.lock, strerrorname_np(errno));
        return DOORS_FAILED;
    }
    if (somebody_listens()) {
        result = DOORS_TAKEN;
    } else if (open_own()) {
        open_abroad();
        result = DOORS_OPEN;
    }
    close(lock);
    return result;
}

void doors_serve(void)
{
    for (size_t i = 0; i < count; i++)
        control_open(doors[i]);
}

bool doors_close(void)
{
    int lock = take_lock(LOCK_NB);

    if (lock < 0 || control_knock()) {
        if (lock >= 0)
            close(lock);
        return false;
    }
    unlink(where.socket.sun_path);
    return true;
}

bool doors_show(void)
{
    struct request request;
    struct answer answer;

    request_begin(&request, REQUEST_STATUS);
    if (!rendezvous_find(&where, leg_network, environ) || !rendezvous_enter(&where, false) ||
        !inquire(&where, &request, &answer)) {
        fprintf(stderr, "sctpshimd: none runs here (%s)\n", where.socket.sun_path);
        return false;
    }
    printf("%s pid %u, at %s\n", answer.text, answer.pid, where.socket.sun_path);
    return true;
}

/* "python3 1234" */
static void print_program(uint32_t pid)
{
    char path[40], name[20] = "";
    FILE *file;

    snprintf(path, sizeof path, "/proc/%u/comm", pid);
    file = pid ? fopen(path, "re") : NULL;
    if (file && fgets(name, sizeof name, file))
        name[strcspn(name, "\n")] = '\0';
    if (file)
        fclose(file);
    if (pid)
        printf("  %s %u\n", name[0] ? name : "process", pid);
    else
        puts("  a program that listened before this broker");
}

bool doors_list(void)
{
    struct request request;
    struct answer answer;

    if (!doors_show())
        return false;
    request_begin(&request, REQUEST_LIST);
    while (inquire(&where, &request, &answer) && !answer.error) {
        char local[ADDRESS_TEXT], remote[ADDRESS_TEXT];

        printf("%-11s %s-%s", answer.text, address_format(&answer.local, local),
               address_format(&answer.remote, remote));
        print_program(answer.program);
        request.position = answer.position;
    }
    return true;
}
