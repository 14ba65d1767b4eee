/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plays scripts of socket calls: directs the processes of each, one step at a time, and prints
 * what each step showed. The same scripts are played over TCP and, preloaded, under the shim.
 *
 *     player SCRIPTS SETTLE LIMIT
 *
 * SCRIPTS holds lines "seq NUMBER" and below each its steps, "ROLE VERB ARGUMENT...". SETTLE is
 * the microseconds of rest after each step, LIMIT the milliseconds that a step may take: one that
 * takes longer "blocks", and ends its script.
 *
 * Verbs that are not one process's (all others are party.c's):
 *     A !VERB ...              begins the call and goes on; "blocked" unless it ends at once
 *     A join                   what the call begun last came to
 *     A pump c0 HOW N B s0 HOW CHUNK   A sends N bytes while B reads them and all before them
 *     A pass c0 B c0.1         A's descriptor goes to B through a Unix socket
 *     A kill, A exit           the process ends, by signal or by itself; done when it is gone
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STEPS = 200, LINE = 120, WORDS = 10, PORTS = 64, BLOCKED_MS = 30 };

struct role {
    pid_t pid;
    bool busy;             /* carries out a call that has not been answered */
    bool answered;         /* the answer is here, and nobody has asked for it */
    struct answer answer;
    char line[LINE];       /* that call */
};

struct play {
    struct role roles[ROLES];
    uint64_t sent[ENDS];   /* by this end */
    uint64_t read[ENDS];   /* by this end */
    uint16_t listening[ENDS];
    uint16_t ports[PORTS]; /* in the order in which they were seen */
    int port_count;
    bool over;
};

static long settle_us, limit_ms;
static const char *corrupted; /* a verb whose observations are falsified, to test the comparison */
static int corruptions;

static void __attribute__((noreturn)) die(const char *what)
{
    perror(what);
    exit(70);
}

static void place(int fd, int at)
{
    if (fd < 0 || dup2(fd, at) < 0)
        die("descriptor");
    close(fd);
}

static void open_channels(void)
{
    int fds[2];

    for (int role = 0; role < ROLES; role++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
            die("socketpair");
        place(fds[0], FD_INBOX_OUT + role);
        place(fds[1], FD_INBOX_IN + role);
    }
}

/* ---- commands and answers ---- */

static int command_pipes[ROLES], answers;

static void open_pipes(void)
{
    int fds[2];

    for (int role = 0; role < ROLES; role++) {
        if (pipe(fds) < 0)
            die("pipe");
        place(fds[0], FD_COMMANDS + role);
        command_pipes[role] = fds[1];
        if (fcntl(fds[1], F_SETFD, FD_CLOEXEC) < 0)
            die("fcntl");
    }
    if (pipe(fds) < 0)
        die("pipe");
    place(fds[1], FD_ANSWERS);
    answers = fds[0];
    if (fcntl(answers, F_SETFD, FD_CLOEXEC) < 0)
        die("fcntl");
}

static void close_pipes(void)
{
    for (int role = 0; role < ROLES; role++)
        close(command_pipes[role]);
    close(answers);
}

static int peer_of(int end)
{
    return end < CONNECTIONS ? end + CONNECTIONS : end - CONNECTIONS;
}

static int split(char *line, char *words[WORDS])
{
    char *save, *word;
    int count = 0;

    for (word = strtok_r(line, " ", &save); word && count < WORDS;
         word = strtok_r(NULL, " ", &save))
        words[count++] = word;
    return count;
}

static int word_slot(const char *line, int index)
{
    char copy[LINE], *words[WORDS] = {NULL};
    int count;

    snprintf(copy, sizeof copy, "%s", line);
    count = split(copy, words);
    return index < count ? slot_number(words[index]) : -1;
}

static bool begins(const char *line, const char *verb)
{
    size_t length = strlen(verb);

    return strncmp(line, verb, length) == 0 && (line[length] == ' ' || line[length] == '\0');
}

static bool is_send(const char *line)
{
    return begins(line, "send") || begins(line, "sendall");
}

static bool is_read(const char *line)
{
    return begins(line, "recv") || begins(line, "drain");
}

static void order(struct play *play, int role, const char *line, uint64_t coming)
{
    struct command command = {.at = 0};
    int slot = word_slot(line, 1), end = slot < 0 ? -1 : slot / COPIES, listener;

    snprintf(command.line, sizeof command.line, "%s", line);
    snprintf(play->roles[role].line, LINE, "%s", line);
    if (end >= 0 && end < 2 * CONNECTIONS) {
        command.stream = (uint32_t)(is_read(line) ? peer_of(end) : end);
        command.at = is_read(line) ? play->read[end] : play->sent[end];
        command.expect = play->sent[peer_of(end)] + coming - play->read[end];
    }
    listener = begins(line, "connect") ? word_slot(line, 2) : -1;
    if (listener >= 0)
        command.port = play->listening[listener / COPIES];
    play->roles[role].busy = true;
    if (write(command_pipes[role], &command, sizeof command) != sizeof command)
        die("command");
}

static void account(struct play *play, struct role *role)
{
    int slot = word_slot(role->line, 1), end = slot < 0 ? -1 : slot / COPIES;

    if (end < 0)
        return;
    if (is_send(role->line))
        play->sent[end] += (uint64_t)role->answer.moved;
    else if (is_read(role->line))
        play->read[end] += (uint64_t)role->answer.moved;
    else if (begins(role->line, "listen"))
        play->listening[end] = role->answer.port;
}

static int64_t milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for this role's answer; those of others are kept. */
static bool await(struct play *play, int role, long limit)
{
    int64_t until = milliseconds() + limit;

    while (!play->roles[role].answered) {
        struct pollfd wait = {.fd = answers, .events = POLLIN};
        int64_t left = until - milliseconds();
        struct answer answer;

        if (left < 0 || poll(&wait, 1, (int)left) <= 0)
            return false;
        if (read(answers, &answer, sizeof answer) != sizeof answer)
            die("answer");
        play->roles[answer.role].answer = answer;
        play->roles[answer.role].answered = true;
        account(play, &play->roles[answer.role]);
    }
    play->roles[role].answered = play->roles[role].busy = false;
    return true;
}

/* Ports are called by the order in which they are seen, listeners by their names. */
static void port_text(struct play *play, uint16_t port, char *text, size_t size)
{
    int i = 0;

    for (int end = 2 * CONNECTIONS; port && end < ENDS; end++)
        if (play->listening[end] == port) {
            slot_name(end * COPIES, text);
            return;
        }
    while (port && i < play->port_count && play->ports[i] != port)
        i++;
    if (port && i == play->port_count && i < PORTS)
        play->ports[play->port_count++] = port;
    snprintf(text, size, port ? "port %c" : "port 0", 'a' + i);
}

static void print_answer(struct play *play, const struct answer *answer)
{
    const char *mark = strstr(answer->text, "%0");
    char name[16];

    if (!mark) {
        fputs(answer->text, stdout);
        return;
    }
    port_text(play, answer->port, name, sizeof name);
    printf("%.*s%s%s", (int)(mark - answer->text), answer->text, name, mark + 2);
}

static void corrupt(struct answer *answer, const char *line)
{
    if (corrupted && begins(line, corrupted) && answer->text[0] != 'n' && ++corruptions == 2)
        snprintf(answer->text, sizeof answer->text, "corrupted");
}

/* Waits for the answer and prints it; without one the script is over. */
static void conclude(struct play *play, int role)
{
    if (!await(play, role, limit_ms)) {
        fputs("blocks", stdout);
        play->over = true;
        return;
    }
    corrupt(&play->roles[role].answer, play->roles[role].line);
    print_answer(play, &play->roles[role].answer);
}

/* ---- steps ---- */

/* Has the process taken its command and gone to sleep over it? */
static bool sleeps(const struct role *role, int commands)
{
    char path[32], text[256];
    const char *name_end;
    int unread = 1, fd;
    ssize_t length;

    if (ioctl(commands, FIONREAD, &unread) < 0 || unread)
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)role->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    text[length < 0 ? 0 : length] = '\0';
    name_end = strrchr(text, ')');
    return name_end && name_end[1] && name_end[2] == 'S';
}

static void step_begin(struct play *play, int role, const char *line)
{
    int64_t until = milliseconds() + BLOCKED_MS;

    order(play, role, line, 0);
    while (!await(play, role, 0)) {
        if (milliseconds() > until || sleeps(&play->roles[role], FD_COMMANDS + role)) {
            if (await(play, role, 0)) /* it sleeps because it has answered */
                break;
            fputs("blocked", stdout);
            return;
        }
        sched_yield();
    }
    play->roles[role].answered = true; /* for the join */
    fputs("done", stdout);
}

static void step_join(struct play *play, int role)
{
    conclude(play, role);
}

static void step_pump(struct play *play, int sender, char *words[WORDS])
{
    int reader = words[5][0] - 'A';
    char line[LINE];

    snprintf(line, sizeof line, "sendall %s %s %s", words[2], words[3], words[4]);
    order(play, sender, line, 0);
    snprintf(line, sizeof line, "drain %s %s %s", words[6], words[7], words[8]);
    order(play, reader, line, strtoull(words[4], NULL, 10));
    conclude(play, sender);
    fputs(" / ", stdout);
    conclude(play, reader);
}

static void step_pass(struct play *play, int role, char *words[WORDS])
{
    char line[LINE];
    int to = words[3][0] - 'A';

    snprintf(line, sizeof line, "give %s %s", words[2], words[3]);
    order(play, role, line, 0);
    conclude(play, role);
    if (play->over || strcmp(play->roles[role].answer.text, "ok") != 0)
        return;
    fputs(", ", stdout);
    snprintf(line, sizeof line, "take %s", words[4]);
    order(play, to, line, 0);
    conclude(play, to);
}

/* The process has closed everything by the time that its pidfd becomes readable. */
static void step_end(struct play *play, int role, bool by_signal)
{
    int pidfd = (int)syscall(SYS_pidfd_open, play->roles[role].pid, 0);
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};

    if (pidfd < 0)
        die("pidfd_open");
    if (by_signal)
        kill(play->roles[role].pid, SIGKILL);
    else
        order(play, role, "exit", 0);
    fputs(poll(&wait, 1, (int)limit_ms) == 1 ? "gone" : "lives", stdout);
    close(pidfd);
    play->roles[role] = (struct role){.pid = 0};
}

static void step_fork(struct play *play, int role, const char *line, char *words[WORDS])
{
    int child = words[2][0] - 'A';

    order(play, role, line, 0);
    conclude(play, role);
    play->roles[child] = (struct role){.pid = play->roles[role].answer.pid};
}

static bool well_formed(const struct play *play, char *words[WORDS], int count)
{
    int role = count ? words[0][0] - 'A' : -1;

    if (count < 2 || role < 0 || role >= ROLES || !play->roles[role].pid)
        return false;
    if (strcmp(words[1], "join") == 0)
        return play->roles[role].busy || play->roles[role].answered;
    if (strcmp(words[1], "kill") == 0)
        return true;
    if (play->roles[role].busy || play->roles[role].answered)
        return false;
    if (strcmp(words[1], "pump") == 0)
        return count == 9 && play->roles[words[5][0] - 'A'].pid &&
               !play->roles[words[5][0] - 'A'].busy && words[5][0] != words[0][0];
    if (strcmp(words[1], "pass") == 0)
        return count == 5 && play->roles[words[3][0] - 'A'].pid &&
               !play->roles[words[3][0] - 'A'].busy;
    if (strcmp(words[1], "fork") == 0)
        return count == 3 && !play->roles[words[2][0] - 'A'].pid;
    return true;
}

static void step(struct play *play, const char text[LINE])
{
    char copy[LINE], *words[WORDS] = {NULL};
    const char *line = text + 2;
    int count, role;

    memcpy(copy, text, LINE);
    count = split(copy, words);
    if (!well_formed(play, words, count)) {
        fputs("-", stdout); /* what it stands on was taken out by shrinking */
        return;
    }
    role = words[0][0] - 'A';
    if (words[1][0] == '!')
        step_begin(play, role, line + 1);
    else if (strcmp(words[1], "join") == 0)
        step_join(play, role);
    else if (strcmp(words[1], "pump") == 0)
        step_pump(play, role, words);
    else if (strcmp(words[1], "pass") == 0)
        step_pass(play, role, words);
    else if (strcmp(words[1], "kill") == 0 || strcmp(words[1], "exit") == 0)
        step_end(play, role, words[1][0] == 'k');
    else if (strcmp(words[1], "fork") == 0)
        step_fork(play, role, line, words);
    else {
        order(play, role, line, 0);
        conclude(play, role);
    }
}

/* ---- scripts ---- */

static pid_t start(int role)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        close_pipes();
        party_serve(role);
        _exit(0);
    }
    return pid;
}

static void end_all(const struct play *play)
{
    for (int role = 0; role < ROLES; role++)
        if (play->roles[role].pid)
            kill(play->roles[role].pid, SIGKILL);
    while (wait(NULL) > 0 || errno == EINTR)
        ;
}

static void rest(void)
{
    struct timespec span = {settle_us / 1000000, settle_us % 1000000 * 1000};

    if (settle_us)
        nanosleep(&span, NULL);
}

static void play_script(char lines[STEPS][LINE], int count)
{
    struct play play;

    memset(&play, 0, sizeof play);
    corruptions = 0;
    open_channels();
    open_pipes();
    fflush(stdout);
    for (int role = 0; role < 2; role++)
        play.roles[role].pid = start(role);
    for (int i = 0; i < count && !play.over; i++) {
        step(&play, lines[i]);
        putchar('\n');
        rest();
    }
    end_all(&play);
    close_pipes();
}

static void play_all(FILE *scripts)
{
    static char lines[STEPS][LINE];
    char line[LINE];
    int count = 0;
    bool more = fgets(line, sizeof line, scripts) != NULL;

    while (more) {
        line[strcspn(line, "\n")] = '\0';
        printf("%s\n", line);
        count = 0;
        while ((more = fgets(line, sizeof line, scripts) != NULL) && !begins(line, "seq")) {
            line[strcspn(line, "\n")] = '\0';
            if (count == STEPS)
                die("too many steps");
            memcpy(lines[count++], line, sizeof line);
        }
        play_script(lines, count);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    FILE *scripts;

    if (argc > 2 && strcmp(argv[1], "--party") == 0) {
        party_resume(atoi(argv[2]), argc - 3, argv + 3);
        return 0;
    }
    if (argc != 4 || !(scripts = fopen(argv[1], "re"))) {
        fputs("usage: player SCRIPTS SETTLE LIMIT\n", stderr);
        return 64;
    }
    settle_us = atol(argv[2]);
    limit_ms = atol(argv[3]);
    corrupted = getenv("FUZZ_CORRUPT");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    place(memfd_create("pattern", 0), FD_PATTERN);
    pattern_make();
    play_all(scripts);
    return 0;
}
