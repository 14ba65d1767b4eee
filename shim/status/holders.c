/* SPDX-License-Identifier: BSD-3-Clause */
/* Which processes hold the sockets, as far as the caller may see: /proc/PID/fd. */
#define _GNU_SOURCE
#include "snapshot.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *open_in(int directory, const char *name)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

    if (fd >= 0 && !file)
        close(fd);
    return file;
}

static void read_program(int process, char *into, size_t size)
{
    FILE *file = open_in(process, "comm");

    if (!file || !fgets(into, (int)size, file))
        snprintf(into, size, "?");
    into[strcspn(into, "\n")] = '\0';
    /* Programs choose it, and it may end on a terminal. */
    for (char *at = into; *at; at++)
        if (iscntrl((unsigned char)*at))
            *at = '?';
    if (file)
        fclose(file);
}

/* Is the library mapped? */
static int has_library(int process)
{
    FILE *maps = open_in(process, "maps");
    char *line = NULL;
    size_t room = 0;
    bool found = false;

    if (!maps)
        return UNKNOWN;
    while (!found && getline(&line, &room, maps) > 0)
        found = strstr(line, "/libsctpshim.so") != NULL;
    free(line);
    fclose(maps);
    return found;
}

void holder_name(struct holder *holder)
{
    char path[32];
    int process;

    snprintf(path, sizeof path, "/proc/%d", (int)holder->pid);
    process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    read_program(process, holder->program, sizeof holder->program);
    if (process >= 0)
        close(process);
}

static void add_holder(struct entry *entry, const struct holder *process, int fd)
{
    struct holder *holder = entry->holder_count ? &entry->holders[entry->holder_count - 1] : NULL;

    if (!holder || holder->pid != process->pid) {
        entry->holders = more(entry->holders, entry->holder_count, sizeof *entry->holders);
        holder = &entry->holders[entry->holder_count++];
        *holder = *process;
    }
    holder->fds = more(holder->fds, holder->fd_count, sizeof *holder->fds);
    holder->fds[holder->fd_count++] = fd;
}

static int by_inode(const void *left, const void *right)
{
    const struct entry *a = *(struct entry *const *)left, *b = *(struct entry *const *)right;

    return (a->inode > b->inode) - (a->inode < b->inode);
}

/* All entries, by inode. */
struct index {
    struct entry **entry;
    size_t count;
};

static struct index make_index(const struct snapshot *of)
{
    struct index index = {calloc(of->count ? of->count : 1, sizeof *index.entry), 0};

    /* Sockets that nobody holds any more have no inode. */
    for (size_t i = 0; index.entry && i < of->count; i++)
        if (of->entries[i].inode)
            index.entry[index.count++] = &of->entries[i];
    if (index.count)
        qsort(index.entry, index.count, sizeof *index.entry, by_inode);
    return index;
}

/* The first entry of that socket; others follow. NULL when it is none of SCTP's. */
static struct entry **find(const struct index *index, unsigned long inode)
{
    size_t low = 0, high = index->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (index->entry[middle]->inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return low < index->count && index->entry[low]->inode == inode ? &index->entry[low] : NULL;
}

/* One descriptor of a process, of which more is asked when it is the first one of interest. */
static void look_at_fd(const struct index *index, struct holder *process, int directory, int fds,
                       const char *name)
{
    char target[64];
    ssize_t length = readlinkat(fds, name, target, sizeof target - 1);
    unsigned long inode;
    struct entry **entry;

    if (length < 0)
        return;
    target[length] = '\0';
    if (sscanf(target, "socket:[%lu]", &inode) != 1 || !(entry = find(index, inode)))
        return;
    if (!process->program[0]) {
        read_program(directory, process->program, sizeof process->program);
        process->library = has_library(directory);
    }
    for (; entry < index->entry + index->count && (*entry)->inode == inode; entry++)
        add_holder(*entry, process, atoi(name));
}

static void look_at_process(const struct index *index, int proc, const char *name)
{
    struct holder process = {.pid = atoi(name), .library = UNKNOWN};
    int directory = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fds = directory < 0 ? -1 : openat(directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fds < 0 ? NULL : fdopendir(fds);

    if (list) {
        for (struct dirent *one; (one = readdir(list));)
            if (isdigit((unsigned char)one->d_name[0]))
                look_at_fd(index, &process, directory, fds, one->d_name);
        closedir(list);
    } else if (fds >= 0) {
        close(fds);
    }
    if (directory >= 0)
        close(directory);
}

static size_t without_holder(const struct snapshot *of)
{
    size_t count = 0;

    for (size_t i = 0; i < of->count; i++)
        count += !of->entries[i].reason && of->entries[i].inode && !of->entries[i].holder_count;
    return count;
}

void holders_find(struct snapshot *into)
{
    struct index index = make_index(into);
    DIR *proc = opendir("/proc");
    size_t left;

    if (proc) {
        for (struct dirent *one; (one = readdir(proc));)
            /* What this process has borrowed does not count. */
            if (isdigit((unsigned char)one->d_name[0]) && atoi(one->d_name) != getpid())
                look_at_process(&index, dirfd(proc), one->d_name);
        closedir(proc);
    }
    free(index.entry);
    left = without_holder(into);
    if (left)
        snapshot_miss(into,
                      "programs, rules, MTU, failovers, and cwnd and srtt of all but primary paths, of %zu "
                      "socket%s: held by processes that cannot be seen from here%s",
                      left, left == 1 ? "" : "s", geteuid() ? " (run as root)" : "");
}
