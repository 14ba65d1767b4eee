/* SPDX-License-Identifier: BSD-3-Clause */
/* The log: shape of a line, levels, where lines go and where they must not go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

static char directory[] = "/tmp/sctpshim-unit-XXXXXX";
static char log_path[128];
static int real_stderr;
static char prefix[128]; /* what each line begins with */

/* Everything that reaches fd 2 between these two calls, which cmocka needs back for failures. */
static int capture_begin(void)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(dup2(fds[1], 2), 2);
    close(fds[1]);
    return fds[0];
}

static const char *capture_end(int fd)
{
    static char text[4096];
    ssize_t n;

    assert_int_equal(dup2(real_stderr, 2), 2);
    n = read(fd, text, sizeof(text) - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
    return text;
}

static const char *file_text(const char *path)
{
    static char text[4096];
    int fd = open(path, O_RDONLY);
    ssize_t n;

    assert_true(fd >= 0);
    n = read(fd, text, sizeof(text) - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
    return text;
}

static void a_line_names_process_program_and_level(void **state)
{
    char expected[512];
    int fd = capture_begin();
    const char *text;

    (void)state;
    log_error("cannot %s %d", "do", 7);
    log_warn("second");
    text = capture_end(fd);
    snprintf(expected, sizeof(expected), "%serror: cannot do 7\n%swarn: second\n", prefix, prefix);
    assert_string_equal(text, expected);
}

static int evaluations;

static int evaluated(void)
{
    return ++evaluations;
}

static void levels_below_cost_no_evaluation(void **state)
{
    int fd = capture_begin();
    const char *text;

    (void)state;
    evaluations = 0;
    for (options.log = LOG_LEVEL_OFF; options.log <= LOG_LEVEL_DEBUG; options.log++) {
        log_error("%d", evaluated());
        log_warn("%d", evaluated());
        log_info("%d", evaluated());
        log_debug("%d", evaluated());
    }
    text = capture_end(fd);
    assert_int_equal(evaluations, 0 + 1 + 2 + 3 + 4);
    for (int i = 1; i <= 10; i++) {
        char word[16];
        snprintf(word, sizeof(word), ": %d\n", i);
        assert_non_null(strstr(text, word));
    }
    assert_null(strstr(text, ": 11\n"));
}

static void once_is_once_per_place(void **state)
{
    char expected[512];
    int fd = capture_begin();

    (void)state;
    options.log = LOG_LEVEL_ERROR;
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            options.log = LOG_LEVEL_WARN;
        log_warn_once("first seen at %d", i);
        log_error_once("other place %d", i);
    }
    snprintf(expected, sizeof(expected), "%serror: other place 0\n%swarn: first seen at 1\n", prefix,
             prefix);
    assert_string_equal(capture_end(fd), expected);
}

static void errno_is_kept(void **state)
{
    int fd = capture_begin();

    (void)state;
    errno = 4711;
    log_error("to stderr");
    int after_stderr = errno;
    strcpy(options.log_file, log_path);
    log_error("to a file");
    int after_file = errno;
    strcpy(options.log_file, "/nonexistent/log");
    log_error("to nowhere");
    int after_nowhere = errno;
    close(2);
    log_error("to less");
    int after_less = errno;
    capture_end(fd);
    assert_int_equal(after_stderr, 4711);
    assert_int_equal(after_file, 4711);
    assert_int_equal(after_nowhere, 4711);
    assert_int_equal(after_less, 4711);
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    char message[2000];
    const char *text;
    int fd = capture_begin();

    (void)state;
    memset(message, 'm', sizeof(message));
    message[sizeof(message) - 1] = '\0';
    log_error("%s", message);
    text = capture_end(fd);
    assert_int_equal(strlen(text), 512);
    assert_ptr_equal(strchr(text, '\n'), text + 511);
}

static void a_message_cannot_forge_a_second_line(void **state)
{
    char expected[512];
    int fd = capture_begin();

    (void)state;
    log_error("a\nsctpshim[1] x: error: b\r\x1b[2J\x7f \xc3\xa4");
    snprintf(expected, sizeof(expected),
             "%serror: a?sctpshim[1] x: error: b??[2J? \xc3\xa4\n", prefix);
    assert_string_equal(capture_end(fd), expected);
}

static void a_socket_as_stderr_gets_nothing(void **state)
{
    int pair[2];
    char byte;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(dup2(pair[1], 2), 2);
    log_error("must not reach the peer");
    assert_int_equal(dup2(real_stderr, 2), 2);
    assert_int_equal(recv(pair[0], &byte, 1, MSG_DONTWAIT), -1);
    close(pair[0]);
    close(pair[1]);
}

static void the_journal_is_the_socket_that_does(void **state)
{
    int pair[2];
    char stream[64], text[256] = "", expected[512];
    struct stat s;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(fstat(pair[1], &s), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)s.st_dev,
             (unsigned long long)s.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_start();
    unsetenv("JOURNAL_STREAM");
    assert_int_equal(dup2(pair[1], 2), 2);
    log_error("for the journal");
    assert_int_equal(dup2(pair[0], 2), 2);
    log_error("for the other end, which is not it");
    assert_int_equal(dup2(real_stderr, 2), 2);
    assert_true(recv(pair[0], text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
    snprintf(expected, sizeof(expected), "%serror: for the journal\n", prefix);
    assert_string_equal(text, expected);
    assert_int_equal(recv(pair[1], text, sizeof(text), MSG_DONTWAIT), -1);
    close(pair[0]);
    close(pair[1]);
}

static void a_dead_pipe_as_stderr_kills_nobody(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(dup2(fds[1], 2), 2);
    close(fds[0]);
    close(fds[1]);
    log_error("SIGPIPE would end this test");
    assert_int_equal(dup2(real_stderr, 2), 2);
}

/* With fd 2 closed the next file that the program opens is fd 2: nothing may be left there. */
static void a_closed_stderr_stays_closed(void **state)
{
    int closed;

    (void)state;
    close(2);
    log_error("to nobody");
    strcpy(options.log_file, log_path);
    log_error("to the file");
    closed = fcntl(2, F_GETFD) == -1;
    assert_int_equal(dup2(real_stderr, 2), 2);
    assert_true(closed);
}

static void a_file_is_appended_to_and_not_kept_open(void **state)
{
    char expected[512];
    int fd, lowest;

    (void)state;
    strcpy(options.log_file, log_path);
    unlink(log_path);
    lowest = open("/dev/null", O_RDONLY);
    close(lowest);
    fd = capture_begin();
    log_error("one");
    log_error("two");
    assert_string_equal(capture_end(fd), "");
    snprintf(expected, sizeof(expected), "%serror: one\n%serror: two\n", prefix, prefix);
    assert_string_equal(file_text(log_path), expected);
    fd = open("/dev/null", O_RDONLY);
    close(fd);
    assert_int_equal(fd, lowest);
    /* Rotated away: the next line makes a new file. */
    unlink(log_path);
    log_error("three");
    snprintf(expected, sizeof(expected), "%serror: three\n", prefix);
    assert_string_equal(file_text(log_path), expected);
}

/* In a child, because "once" is once per process and other tests fall back too. */
static void fall_back_in_child(void)
{
    strcpy(options.log_file, "/nonexistent/log");
    log_error("first");
    log_error("second");
    strcpy(options.log_file, log_path);
    log_error("third");
    _exit(0);
}

static void a_file_that_cannot_be_opened_is_told_once(void **state)
{
    static char self[4096];
    int fd = capture_begin();
    const char *text;

    (void)state;
    unlink(log_path);
    snprintf(self, sizeof(self), "'%s' fall-back", program_invocation_name);
    setenv("SCTPSHIM_UNIT_LOG", log_path, 1);
    assert_int_equal(system(self), 0);
    unsetenv("SCTPSHIM_UNIT_LOG");
    text = capture_end(fd);
    assert_non_null(strstr(text, "error: LOG_FILE: cannot open '/nonexistent/log' (ENOENT), "
                                 "lines are lost until I can\nsctpshim["));
    assert_non_null(strstr(text, "error: first\n"));
    assert_null(strstr(text, "second"));
    assert_null(strstr(text, "third"));
    assert_non_null(strstr(file_text(log_path), "error: third\n"));
    assert_null(strstr(file_text(log_path), "second"));
}

static void a_fifo_without_a_reader_does_not_block(void **state)
{
    char fifo[128];

    (void)state;
    snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    strcpy(options.log_file, fifo);
    alarm(5);
    log_error("nobody reads this");
    alarm(0);
    assert_int_equal(unlink(fifo), 0);
}

static int reset(void **state)
{
    (void)state;
    options = options_default;
    return 0;
}

static int begin(void **state)
{
    (void)state;
    real_stderr = fcntl(2, F_DUPFD_CLOEXEC, 10);
    snprintf(prefix, sizeof(prefix), "sctpshim[%ld] %s: ", (long)getpid(),
             program_invocation_short_name);
    if (!mkdtemp(directory))
        return -1;
    snprintf(log_path, sizeof(log_path), "%s/log", directory);
    return real_stderr < 0 ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    unlink(log_path);
    return rmdir(directory);
}

int main(int argc, char **argv)
{
#define TEST(function) cmocka_unit_test_setup(function, reset)
    const struct CMUnitTest tests[] = {
        TEST(a_line_names_process_program_and_level),
        TEST(levels_below_cost_no_evaluation),
        TEST(once_is_once_per_place),
        TEST(errno_is_kept),
        TEST(a_long_line_is_cut_and_still_ends),
        TEST(a_message_cannot_forge_a_second_line),
        TEST(a_socket_as_stderr_gets_nothing),
        TEST(the_journal_is_the_socket_that_does),
        TEST(a_dead_pipe_as_stderr_kills_nobody),
        TEST(a_closed_stderr_stays_closed),
        TEST(a_file_is_appended_to_and_not_kept_open),
        TEST(a_file_that_cannot_be_opened_is_told_once),
        TEST(a_fifo_without_a_reader_does_not_block),
    };

    if (argc > 1 && strcmp(argv[1], "fall-back") == 0 && getenv("SCTPSHIM_UNIT_LOG")) {
        snprintf(log_path, sizeof(log_path), "%s", getenv("SCTPSHIM_UNIT_LOG"));
        fall_back_in_child();
    }
    return cmocka_run_group_tests_name("log", tests, begin, end);
}
