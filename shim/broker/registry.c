/* SPDX-License-Identifier: BSD-3-Clause */
/* The registry is an array of records, those of zeros free. */
#include "registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../log.h"

struct record {
    uint64_t socket; /* 0: nobody's */
    struct caller who;
    struct request request;
};

enum { MOST = 4096 };

static int file = -1;
static bool taken[MOST];

static int open_own(const char *path)
{
    struct stat is;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0 && fstat(fd, &is) == 0 && S_ISREG(is.st_mode) && is.st_uid == geteuid() &&
        !(is.st_mode & 077))
        return fd;
    log_warn("cannot use %s: %s; after a crash nobody will know who listens", path,
             fd < 0 ? strerrorname_np(errno) : "not this user's alone");
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool is_valid(const struct record *record)
{
    return record->socket && request_valid(&record->request, sizeof record->request) &&
           record->request.kind == REQUEST_LISTEN;
}

void registry_open(const char *path, void (*told)(const struct request *request,
                                                  const struct caller *who, uint64_t socket))
{
    struct record *left = calloc(MOST, sizeof *left);
    ssize_t len;

    file = open_own(path);
    len = file >= 0 && left ? pread(file, left, MOST * sizeof *left, 0) : 0;
    if (file >= 0 && ftruncate(file, 0) != 0)
        log_warn("cannot empty %s: %s", path, strerrorname_np(errno));
    for (ssize_t i = 0; i < len / (ssize_t)sizeof *left; i++)
        if (is_valid(&left[i]))
            told(&left[i].request, &left[i].who, left[i].socket);
    free(left);
}

static bool put(int place, const struct record *record)
{
    return pwrite(file, record, sizeof *record, (off_t)place * (off_t)sizeof *record) ==
           (ssize_t)sizeof *record;
}

int registry_note(const struct request *request, const struct caller *who, uint64_t socket)
{
    struct record record;
    int place = 0;

    while (place < MOST && taken[place])
        place++;
    if (file < 0 || place == MOST)
        return -1;
    memset(&record, 0, sizeof record); /* with what lies between the fields */
    record.socket = socket;
    record.who = *who;
    record.request = *request;
    taken[place] = put(place, &record);
    return taken[place] ? place : -1;
}

void registry_clear(int place)
{
    static const struct record nobody;

    if (place < 0)
        return;
    put(place, &nobody);
    taken[place] = false;
}
