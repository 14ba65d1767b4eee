/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds and reads the configuration files, and loads every layer into the options in force. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "layer.h"
#include "log.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif

#define CONFIG_VARIABLE VARIABLE_PREFIX "CONFIG"

/* A configuration file is not larger, whatever the path leads to. */
enum { FILE_LIMIT = 65536 };

/* Reads all of a regular file; the number of bytes or -1 with errno. */
static ssize_t slurp(int fd, char *buffer, size_t size)
{
    struct stat s;
    size_t used = 0;

    if (fstat(fd, &s) != 0)
        return -1;
    if (!S_ISREG(s.st_mode)) {
        errno = S_ISDIR(s.st_mode) ? EISDIR : EINVAL;
        return -1;
    }
    while (used < size) {
        /* syscall(): no cancellation point, and not one of the library's own hooks. */
        long n = syscall(SYS_read, fd, buffer + used, size - used);
        if (n == 0)
            return (ssize_t)used;
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0)
            used += (size_t)n;
    }
    errno = EFBIG;
    return -1;
}

/* Whether a file that cannot be opened is simply not there, as far as this process can see. */
static bool absent(const char *path, int error)
{
    struct stat s;

    if (error == ENOENT || error == ENOTDIR)
        return true;
    return error == EACCES && stat(path, &s) != 0;
}

static void unreadable(struct layer *layer, const char *path, int error)
{
    char expected[64];
    const char *name = strerrorname_np(error);

    if (error == EFBIG)
        snprintf(expected, sizeof(expected), "a file of less than %d bytes", FILE_LIMIT);
    else
        snprintf(expected, sizeof(expected), "a readable file (%s)", name ? name : "unknown error");
    layer_mistake(layer, 0, layer->place == PLACE_ENVIRONMENT ? CONFIG_VARIABLE : "", expected,
                  path);
}

/* `teller` is who names the file, for the messages about the file itself. */
static unsigned read_file(struct layer *teller, struct config *into, enum place place,
                          const char *path, bool optional)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    long fd = syscall(SYS_openat, AT_FDCWD, path, flags);
    char *buffer;
    ssize_t length;

    if (fd < 0) {
        if (!optional || !absent(path, errno))
            unreadable(teller, path, errno);
        return teller->mistakes;
    }
    /* Neither the heap, which may be the program's own, nor a thread's small stack. */
    buffer = mmap(NULL, FILE_LIMIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    length = buffer == MAP_FAILED ? -1 : slurp((int)fd, buffer, FILE_LIMIT);
    if (length < 0)
        unreadable(teller, path, errno);
    else
        teller->mistakes += config_parse_text(buffer, (size_t)length, place, path, into,
                                              teller->report, teller->user);
    if (buffer != MAP_FAILED)
        munmap(buffer, FILE_LIMIT);
    syscall(SYS_close, (int)fd);
    return teller->mistakes;
}

void config_begin(struct config *into)
{
    into->options = options_default;
    memset(into->origin, 0, sizeof(into->origin));
    memset(into->places, 0, sizeof(into->places));
    into->rules.count = 0;
}

unsigned config_read_file(const char *path, struct config *into, config_report *report,
                          void *user)
{
    struct layer teller;
    unsigned mistakes;

    config_begin(into);
    layer_begin(&teller, PLACE_CONFIG, path, into, report, user);
    mistakes = read_file(&teller, into, PLACE_CONFIG, path, false);
    return mistakes + config_finish(into, report, user);
}

static unsigned read_optional(const char *path, enum place place, struct config *into,
                              config_report *report, void *user)
{
    struct layer teller;

    if (!path)
        return 0;
    layer_begin(&teller, place, path, into, report, user);
    return read_file(&teller, into, place, path, true);
}

unsigned config_read_layers(const struct config_layers *layers, struct config *into,
                            config_report *report, void *user)
{
    unsigned mistakes;

    config_begin(into);
    mistakes = read_optional(layers->system_file, PLACE_SYSTEM, into, report, user);
    mistakes += read_optional(layers->user_file, PLACE_USER, into, report, user);
    if (layers->config_file) {
        struct layer teller;
        layer_begin(&teller, PLACE_ENVIRONMENT, "environment", into, report, user);
        mistakes += read_file(&teller, into, PLACE_CONFIG, layers->config_file, false);
    }
    mistakes += config_parse_environment(layers->environment, into, report, user);
    return mistakes + config_finish(into, report, user);
}

static const char *variable(char *const *environment, const char *name)
{
    size_t length = strlen(name);

    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    return NULL;
}

void config_find(struct config_layers *layers, char *const *environment, bool secure)
{
    const char *base = variable(environment, "XDG_CONFIG_HOME");
    const char *home = variable(environment, "HOME");
    const char *config = variable(environment, CONFIG_VARIABLE);
    int n = 0;

    memset(layers, 0, sizeof(*layers));
    layers->system_file = SYSCONFDIR "/sctpshim.conf";
    if (secure)
        return;
    layers->environment = environment;
    if (config && config[0])
        layers->config_file = config;
    /* The XDG specification has relative paths ignored. */
    if (base && base[0] == '/')
        n = snprintf(layers->user_path, sizeof(layers->user_path), "%s/sctpshim/sctpshim.conf",
                     base);
    else if (home && home[0] == '/')
        n = snprintf(layers->user_path, sizeof(layers->user_path),
                     "%s/.config/sctpshim/sctpshim.conf", home);
    if (n > 0 && (size_t)n < sizeof(layers->user_path))
        layers->user_file = layers->user_path;
}

static void report_to_log(void *user, const char *message)
{
    (void)user;
    log_error("%s", message);
}

void config_process(struct rule_process *process, char *buffer, size_t size)
{
    const char *called = (const char *)getauxval(AT_EXECFN);
    long length = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", buffer, size - 1);

    buffer[length < 0 ? 0 : length] = '\0';
    process->called = called ? called : "";
    process->file = buffer;
    process->uid = geteuid();
}

/*
 * Twice when there are mistakes: the first pass finds out whether and where to log, the second
 * one logs.
 */
void config_load(void)
{
    static struct config_layers layers;
    static struct config loaded;
    struct rule_process process;
    char path[1024];
    int saved = errno;

    log_start();
    config_find(&layers, environ, getauxval(AT_SECURE) != 0);
    if (config_read_layers(&layers, &loaded, NULL, NULL) > 0) {
        options = loaded.options;
        config_read_layers(&layers, &loaded, report_to_log, NULL);
    }
    options = loaded.options;
    if (loaded.rules.count)
        config_process(&process, path, sizeof(path));
    rules_enforce(&loaded.rules, &process);
    errno = saved;
}
