/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines of a library that lives in other people's programs: one write(2) per line, no lock,
 * no heap, errno kept, arguments evaluated only when the level is on. For an error number print
 * strerrorname_np(errno), which unlike %m and strerror() touches no locale.
 */
#ifndef SCTPSHIM_LOG_H
#define SCTPSHIM_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

#include "options.h"

#define log_enabled(level) (__builtin_expect(options.log >= (uint32_t)(level), 0))

#define log_at(level, ...)                                                                         \
    do {                                                                                           \
        if (log_enabled(level))                                                                    \
            log_line((level), __VA_ARGS__);                                                        \
    } while (0)

/* At most once per place in the source and per process (a fork counts as the same one). */
#define log_at_once(level, ...)                                                                    \
    do {                                                                                           \
        static atomic_flag log_said = ATOMIC_FLAG_INIT;                                            \
        if (log_enabled(level) && !atomic_flag_test_and_set(&log_said))                            \
            log_line((level), __VA_ARGS__);                                                        \
    } while (0)

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#define log_error_once(...) log_at_once(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn_once(...) log_at_once(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info_once(...) log_at_once(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug_once(...) log_at_once(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Notes whether stderr leads to the systemd journal, the one socket that lines are written to.
 * config_load() calls it; lines logged before go to a stderr that is no socket, or nowhere.
 */
void log_start(void);

/* Writes one line whatever options.log says; use the macros. */
void log_line(unsigned level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
