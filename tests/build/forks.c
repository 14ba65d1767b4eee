/* SPDX-License-Identifier: BSD-3-Clause */
/* Each way to make a process, through the hooks: children run, and their status comes back. */
#include <pty.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int failures;

static void expect(const char *name, int status, int code)
{
    int good = WIFEXITED(status) && WEXITSTATUS(status) == code;

    printf("%s %s\n", name, good ? "ok" : "FAILED");
    failures += !good;
}

static int wait_for(pid_t pid)
{
    int status = -1;

    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return status;
}

/* A frame between main() and vfork(): the child's return must not spoil it for the parent. */
static __attribute__((noinline)) pid_t vforked(volatile int *shared)
{
    volatile char local[64];
    pid_t pid;

    memset((void *)local, 'p', sizeof local);
    pid = vfork();
    if (pid == 0) {
        *shared = 42;
        _exit(7);
    }
    return local[0] == 'p' && local[63] == 'p' ? pid : -1;
}

static int cloned(void *argument)
{
    return *(int *)argument;
}

int main(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    char *const argv[] = {"sh", "-c", "exit 5", NULL};
    volatile int shared = 0;
    int status, terminal, nine = 9;
    char line[32] = "";
    FILE *pipe;
    pid_t pid = fork();

    if (pid == 0)
        _exit(3);
    expect("fork", wait_for(pid), 3);
    pid = vforked(&shared);
    expect("vfork", wait_for(pid), 7);
    expect("vfork's memory", shared == 42 ? 0 : -1, 0);
    status = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
    expect("posix_spawn", status ? -1 : wait_for(pid), 5);
    status = posix_spawnp(&pid, "sh", NULL, NULL, argv, environ);
    expect("posix_spawnp", status ? -1 : wait_for(pid), 5);
    pid = clone(cloned, stack + sizeof stack, SIGCHLD, &nine);
    expect("clone", wait_for(pid), 9);
    expect("system", system("exit 6"), 6);
    pipe = popen("echo piped; exit 4", "r");
    if (pipe && !fgets(line, sizeof line, pipe))
        line[0] = 0;
    expect("popen", pipe ? pclose(pipe) : -1, 4);
    expect("popen's output", strcmp(line, "piped\n") == 0 ? 0 : -1, 0);
    pid = forkpty(&terminal, NULL, NULL, NULL);
    if (pid == 0)
        _exit(isatty(0) ? 2 : 1);
    expect("forkpty", wait_for(pid), 2);
    return failures;
}
