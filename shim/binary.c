/* SPDX-License-Identifier: BSD-3-Clause */
/* Tells whether the dynamic loader will preload a library into a command, and if not, why. */
#define _GNU_SOURCE
#include "tool.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
    HEADERS_MAX = 128,    /* program headers looked at; real programs have about a dozen */
    NOTES_MAX = 4096,     /* bytes of one note segment */
    INTERPRETERS_MAX = 5, /* scripts that run scripts, as the kernel counts them */
};

/* What the loader looks at in an ELF file. */
struct program {
    ElfW(Ehdr) header;
    char loader[PATH_MAX]; /* "" when there is none: nothing will preload anything */
    bool go;
};

static bool read_at(int fd, void *buffer, size_t size, uint64_t offset)
{
    return offset <= INT64_MAX && pread(fd, buffer, size, (off_t)offset) == (ssize_t)size;
}

/* A Go program carries its build identifier as a note of the owner "Go". */
static bool is_go_note(const char *notes, size_t size)
{
    size_t at = 0;

    while (at + sizeof(ElfW(Nhdr)) + 4 <= size) {
        ElfW(Nhdr) note;
        memcpy(&note, notes + at, sizeof(note));
        at += sizeof(note);
        if (note.n_namesz == 4 && memcmp(notes + at, "Go\0", 4) == 0)
            return true;
        if (note.n_namesz > size || note.n_descsz > size)
            return false;
        at += ((size_t)note.n_namesz + 3) / 4 * 4 + ((size_t)note.n_descsz + 3) / 4 * 4;
    }
    return false;
}

static void read_segment(int fd, const ElfW(Phdr) *segment, struct program *program)
{
    char notes[NOTES_MAX];
    size_t size = segment->p_filesz;

    if (segment->p_type == PT_INTERP && size > 0 && size < sizeof(program->loader)) {
        if (read_at(fd, program->loader, size, segment->p_offset))
            program->loader[size] = '\0';
    } else if (segment->p_type == PT_NOTE) {
        size = size < sizeof(notes) ? size : sizeof(notes);
        if (read_at(fd, notes, size, segment->p_offset) && is_go_note(notes, size))
            program->go = true;
    }
}

static void read_program(int fd, struct program *program)
{
    memset(program, 0, sizeof(*program));
    if (!read_at(fd, &program->header, sizeof(program->header), 0) ||
        program->header.e_phentsize != sizeof(ElfW(Phdr)))
        return;
    for (unsigned i = 0; i < program->header.e_phnum && i < HEADERS_MAX; i++) {
        ElfW(Phdr) segment;
        if (!read_at(fd, &segment, sizeof(segment), program->header.e_phoff + i * sizeof(segment)))
            return;
        read_segment(fd, &segment, program);
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int refuse(const char *path, const char *why)
{
    fprintf(stderr, "sctpshim: %s cannot be preloaded: %s\n", path, why);
    return TOOL_BAD;
}

/*
 * The kernel tells the loader to ignore LD_PRELOAD when the program gets rights that its caller
 * lacks (AT_SECURE). It gives none on nosuid file systems and under no_new_privs.
 */
static int check_privilege(int fd, const char *path, const struct stat *s)
{
    struct statvfs fs;

    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ||
        (fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_NOSUID)))
        return TOOL_OK;
    if ((s->st_mode & S_ISUID) && s->st_uid != getuid())
        return refuse(path, "it is set-uid, and the system ignores LD_PRELOAD for such programs");
    if ((s->st_mode & S_ISGID) && (s->st_mode & S_IXGRP) && s->st_gid != getgid())
        return refuse(path, "it is set-gid, and the system ignores LD_PRELOAD for such programs");
    if (getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0)
        return refuse(path, "it has file capabilities, and the system ignores LD_PRELOAD for such "
                            "programs");
    return TOOL_OK;
}

static int check_elf(int fd, const char *path)
{
    struct program own, other;
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    char why[PATH_MAX * 2 + 100];

    read_program(self, &own);
    if (self >= 0)
        close(self);
    read_program(fd, &other);
    if (self >= 0 && other.header.e_ident[EI_CLASS] != own.header.e_ident[EI_CLASS])
        return refuse(path, own.header.e_ident[EI_CLASS] == ELFCLASS64
                                ? "it is a 32-bit program and the library a 64-bit one"
                                : "it is a 64-bit program and the library a 32-bit one");
    if (self >= 0 && other.header.e_machine != own.header.e_machine)
        return refuse(path, "it is a program for another processor");
    if (other.go)
        return refuse(path, "it is a Go program, which makes its system calls without the C "
                            "library");
    /* The loader itself, called by name to run a program, obeys LD_PRELOAD too. */
    if (!other.loader[0] && strncmp(base_name(path), "ld-", 3) != 0)
        return refuse(path, "it is statically linked");
    if (other.loader[0] && own.loader[0] &&
        strcmp(base_name(other.loader), base_name(own.loader)) != 0) {
        snprintf(why, sizeof(why), "its loader is %s and the library's is %s", other.loader,
                 own.loader);
        return refuse(path, why);
    }
    return TOOL_OK;
}

/* The interpreter of a script, in place: `#! /bin/sh -e` becomes `/bin/sh`. */
static const char *interpreter(char *line)
{
    char *start = line + 2 + strspn(line + 2, " \t");

    start[strcspn(start, " \t\r\n")] = '\0';
    return start;
}

static int check_file(const char *path, unsigned depth)
{
    char start[PATH_MAX] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat s;
    int status;

    /* A program may be executable and not readable: nothing then speaks against it. */
    if (fd < 0)
        return TOOL_OK;
    if (fstat(fd, &s) != 0 || pread(fd, start, sizeof(start) - 1, 0) < 0)
        status = TOOL_OK;
    else if (memcmp(start, ELFMAG, SELFMAG) == 0)
        status = (status = check_privilege(fd, path, &s)) != TOOL_OK ? status : check_elf(fd, path);
    else if (start[0] == '#' && start[1] == '!' && depth < INTERPRETERS_MAX)
        status = check_file(interpreter(start), depth + 1); /* scripts are never set-uid */
    else
        status = TOOL_OK; /* a shell will run it, or the kernel complain about it */
    close(fd);
    return status;
}

static bool executable(const char *path)
{
    struct stat s;

    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && access(path, X_OK) == 0;
}

/* Looks for a command as execvp() does; the exit status, and where it is. */
static int find_command(const char *command, char *found, size_t size)
{
    const char *path = getenv("PATH");
    int status = TOOL_NOT_FOUND;

    if (strchr(command, '/')) {
        snprintf(found, size, "%s", command);
        return executable(found)      ? TOOL_OK
               : access(found, F_OK) ? TOOL_NOT_FOUND
                                      : TOOL_NOT_EXECUTABLE;
    }
    for (const char *p = path ? path : "/bin:/usr/bin"; p && command[0];) {
        size_t length = strcspn(p, ":");
        snprintf(found, size, "%.*s%s%s", (int)length, p, length ? "/" : "./", command);
        if (executable(found))
            return TOOL_OK;
        if (access(found, F_OK) == 0)
            status = TOOL_NOT_EXECUTABLE;
        p = p[length] ? p + length + 1 : NULL;
    }
    return status;
}

static int locate(const char *command, char *path, size_t size)
{
    int status = find_command(command, path, size);

    if (status == TOOL_NOT_FOUND)
        fprintf(stderr, "sctpshim: %s: command not found\n", command);
    else if (status == TOOL_NOT_EXECUTABLE)
        fprintf(stderr, "sctpshim: %s: not an executable file\n", command);
    return status;
}

int check_binary(const char *command)
{
    char path[PATH_MAX];
    int status = locate(command, path, sizeof(path));

    return status == TOOL_OK ? check_file(path, 0) : status;
}

/* Goes on to the interpreter while it is a script's path that is there. */
static void follow(char *path, size_t size)
{
    for (unsigned depth = 0; depth < INTERPRETERS_MAX; depth++) {
        char start[PATH_MAX] = "";
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        bool script = fd >= 0 && pread(fd, start, sizeof(start) - 1, 0) > 0 && start[0] == '#' &&
                      start[1] == '!';

        if (fd >= 0)
            close(fd);
        if (!script)
            return;
        snprintf(path, size, "%s", interpreter(start));
    }
}

int command_files(const char *command, char *called, char *file, size_t size)
{
    char path[PATH_MAX], real[PATH_MAX];
    int status = locate(command, called, size);

    if (status != TOOL_OK)
        return status;
    snprintf(path, sizeof(path), "%s", called);
    follow(path, sizeof(path));
    snprintf(file, size, "%s", realpath(path, real) ? real : path);
    return TOOL_OK;
}
