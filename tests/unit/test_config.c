/* SPDX-License-Identifier: BSD-3-Clause */
/* Configuration: the file format, its messages, the environment, relations, layers, privilege. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect.h"
#include "config.h"

static struct config whole;
#define parsed whole.options
static struct collected messages;

/* Parses `text` from the defaults and expects exactly these messages. */
static void expect_bytes(const char *text, size_t length, const char *expected)
{
    memset(&messages, 0, sizeof(messages));
    config_begin(&whole);
    unsigned mistakes = config_parse_text(text, length, PLACE_CONFIG, "f.conf", &whole, collect,
                                          &messages);
    mistakes += config_finish(&whole, collect, &messages);
    assert_string_equal(messages.text, expected);
    assert_int_equal(mistakes, messages.count);
}

static void expect(const char *text, const char *expected)
{
    expect_bytes(text, strlen(text), expected);
}

static void a_good_file_says_nothing(void **state)
{
    (void)state;
    expect("# comment\n"
           "; another\n"
           "\n"
           "[sctpshim]\n"
           "action = tcp\n"
           "  chunk=16k   ; indented, and a comment behind\n"
           "SACK-DELAY : 20\r\n"
           "\tlog_file = /var/log/a b.log\n"
           "ppid = 0x2e",
           "");
    assert_int_equal(parsed.action, ACTION_TCP);
    assert_int_equal(parsed.chunk, 16384);
    assert_int_equal(parsed.sack_delay, 20);
    assert_string_equal(parsed.log_file, "/var/log/a b.log");
    assert_int_equal(parsed.ppid, 46);
    assert_int_equal(parsed.sndbuf, options_default.sndbuf);
}

static void the_heading_may_be_missing_or_come_twice(void **state)
{
    (void)state;
    expect("\xef\xbb\xbf" "chunk = 16k\n[sctpshim] ; ours\nrto_min = 100\n[sctpshim]\nppid = 7", "");
    assert_int_equal(parsed.chunk, 16384);
    assert_int_equal(parsed.rto_min, 100);
    assert_int_equal(parsed.ppid, 7);
}

static void an_empty_file_is_a_good_one(void **state)
{
    (void)state;
    expect("", "");
    expect("\n\n \n", "");
    expect("[sctpshim]", "");
    assert_memory_equal(&parsed, &options_default, sizeof(parsed));
}

static void the_last_line_wins(void **state)
{
    (void)state;
    expect("ppid = 1\nppid = 2\nppid = x\n",
           "f.conf:3: ppid: expected a number from 0 to 0xfffffffe, got 'x'\n");
    assert_int_equal(parsed.ppid, 2);
}

static void a_bad_value_is_named_with_its_place(void **state)
{
    (void)state;
    expect("[sctpshim]\n"
           "\n"
           "# a comment\n"
           "chunk = 1000k\n"
           "action=udp\n"
           "   nodelay = maybe\n"
           "sack_delay = 501\n"
           "log_file = here.log\n"
           "ostreams =\n",
           "f.conf:4: chunk: expected a size from 1k to 64k, got '1000k'\n"
           "f.conf:5: action: expected sctp, tcp or prefer-sctp, got 'udp'\n"
           "f.conf:6: nodelay: expected yes or no, got 'maybe'\n"
           "f.conf:7: sack_delay: expected milliseconds from 0 to 500, got '501'\n"
           "f.conf:8: log_file: expected an absolute path of at most 255 bytes, or nothing, "
           "got 'here.log'\n"
           "f.conf:9: ostreams: expected a number from 1 to 65535, got ''\n");
    assert_memory_equal(&parsed, &options_default, sizeof(parsed));
}

static void an_unknown_name_is_reported(void **state)
{
    (void)state;
    expect("chunks = 16k\nfrobnicate = 1\n",
           "f.conf:1: chunks: expected the name of an option (did you mean chunk?), got '16k'\n"
           "f.conf:2: frobnicate: expected the name of an option, got '1'\n");
    assert_memory_equal(&parsed, &options_default, sizeof(parsed));
}

static void lines_without_a_pair_are_reported_each(void **state)
{
    (void)state;
    expect("chunk\n= 16k\nchunk ; = 16k\n  rto_min\nppid = 3\nlast",
           "f.conf:1: expected name = value, got 'chunk'\n"
           "f.conf:2: expected name = value, got '= 16k'\n"
           "f.conf:3: expected name = value, got 'chunk ; = 16k'\n"
           "f.conf:4: expected name = value, got 'rto_min'\n"
           "f.conf:6: expected name = value, got 'last'\n");
    assert_int_equal(parsed.ppid, 3);
    assert_int_equal(parsed.chunk, options_default.chunk);
}

static void indented_lines_do_not_continue_a_value(void **state)
{
    (void)state;
    expect("ppid = 1\n  rto_min = 200\n",  "");
    assert_int_equal(parsed.ppid, 1);
    assert_int_equal(parsed.rto_min, 200);
}

static void other_sections_are_reported_once_and_skipped(void **state)
{
    (void)state;
    expect("[web]\nchunk = 16k\nnonsense\naction = tcp\n[sctpshim]\nppid = 9\n[sctpshim",
           "f.conf:1: expected section [sctpshim] or [rule NAME], got '[web]'\n"
           "f.conf:7: expected section [sctpshim] or [rule NAME], got '[sctpshim'\n");
    assert_int_equal(parsed.chunk, options_default.chunk);
    assert_int_equal(parsed.action, ACTION_SCTP);
    assert_int_equal(parsed.ppid, 9);
    expect("[sctpshim] chunk = 16k\n[ sctpshim ]\n[]\n[SCTPSHIM]\n",
           "f.conf:1: expected section [sctpshim] or [rule NAME], got '[sctpshim] chunk = 16k'\n"
           "f.conf:2: expected section [sctpshim] or [rule NAME], got '[ sctpshim ]'\n"
           "f.conf:3: expected section [sctpshim] or [rule NAME], got '[]'\n"
           "f.conf:4: expected section [sctpshim] or [rule NAME], got '[SCTPSHIM]'\n");
}

/* inih would take the end of a long line for a line of its own. */
static void a_long_line_is_one_mistake(void **state)
{
    char text[600];
    char *p = text + sprintf(text, "log_file = ");

    (void)state;
    memset(p, '/', 300);
    strcpy(p + 300, " ppid = 5\nrto_min = 200\n");
    memset(&messages, 0, sizeof(messages));
    config_begin(&whole);
    assert_int_equal(1, config_parse_text(text, strlen(text), PLACE_CONFIG, "f.conf", &whole,
                                          collect, &messages));
    assert_non_null(strstr(messages.text, "f.conf:1: expected a line of at most 198 bytes, got "
                                          "'log_file = ///"));
    assert_int_equal(parsed.ppid, 0);
    assert_int_equal(parsed.rto_min, 200);
}

/* The longest line that is let through, and the shortest that is not. */
static void the_limit_of_a_line_is_exact(void **state)
{
    char text[256];

    (void)state;
    for (int length = 190; length <= 205; length++) {
        memset(text, 'a', sizeof(text));
        memcpy(text, "log_file = /", 12);
        text[length] = '\n';
        memset(&messages, 0, sizeof(messages));
        config_begin(&whole);
        unsigned mistakes = config_parse_text(text, (size_t)length + 1, PLACE_CONFIG, "f", &whole,
                                              collect, &messages);
        assert_int_equal(mistakes, length > 198);
        assert_int_equal(strlen(parsed.log_file), length > 198 ? 0 : length - 11);
    }
}

static void zero_bytes_are_reported(void **state)
{
    static const char text[] = "ppid = 5\0\nchunk = 16k\n";

    (void)state;
    expect_bytes(text, sizeof(text) - 1,
                 "f.conf:1: expected text without zero bytes, got 'ppid = 5'\n");
    assert_int_equal(parsed.ppid, 0);
    assert_int_equal(parsed.chunk, 16384);
}

static void long_values_are_cut_in_messages(void **state)
{
    char text[200] = "ppid = ";

    (void)state;
    memset(text + 7, '1', 120);
    memset(&messages, 0, sizeof(messages));
    config_begin(&whole);
    config_parse_text(text, strlen(text), PLACE_CONFIG, "f", &whole, collect, &messages);
    assert_int_equal(messages.count, 1);
    assert_non_null(strstr(messages.text, "1111...'\n"));
    assert_in_range(strlen(messages.text), 100, 200);
}

static void parsing_needs_no_report(void **state)
{
    (void)state;
    config_begin(&whole);
    assert_int_equal(2, config_parse_text("a\nb=1\nppid=1", 12, PLACE_CONFIG, "f", &whole, NULL,
                                          NULL));
    assert_int_equal(parsed.ppid, 1);
}

static void relations_are_checked_after_the_last_line(void **state)
{
    (void)state;
    expect("rto_min = 2000\nrto_initial = 3000\n", "");
    assert_int_equal(parsed.rto_min, 2000);
    expect("stream = 20\nostreams = 21\n", "");
    assert_int_equal(parsed.stream, 20);
    expect("chunk = 64k\nsndbuf = 64k", "");
}

static void a_broken_relation_keeps_the_lower_value(void **state)
{
    (void)state;
    expect("ppid = 1\nrto_min = 2000\n",
           "f.conf:2: rto_min: expected at most rto_initial (1000), got '2000'\n");
    assert_int_equal(parsed.rto_min, 200);
    assert_int_equal(parsed.ppid, 1);
    expect("stream = 10\n", "f.conf:1: stream: expected less than ostreams (10), got '10'\n");
    assert_int_equal(parsed.stream, 0);
    expect("\nsndbuf = 16k\n", "f.conf:2: sndbuf: expected at least chunk (64k), got '16k'\n");
    assert_int_equal(parsed.sndbuf, 1572864);
    expect("rto_max = 500\n",
           "f.conf:1: rto_max: expected at least rto_initial (1000), got '500'\n");
    assert_int_equal(parsed.rto_max, 5000);
}

/* Taking one value back may break the next relation: the result must hold all of them. */
static void broken_relations_end_in_a_sound_state(void **state)
{
    (void)state;
    expect("rto_min = 2000\nrto_initial = 3000\nrto_max = 2500\n",
           "f.conf:2: rto_initial: expected at most rto_max (2500), got '3000'\n"
           "f.conf:1: rto_min: expected at most rto_initial (1000), got '2000'\n");
    assert_int_equal(parsed.rto_min, 200);
    assert_int_equal(parsed.rto_initial, 1000);
    assert_int_equal(parsed.rto_max, 2500);
    expect("stream = 100\nostreams = 50\n",
           "f.conf:1: stream: expected less than ostreams (50), got '100'\n");
    assert_int_equal(parsed.ostreams, 50);
    assert_int_equal(parsed.stream, 0);
}

static void expect_environment(char *const *environment, const char *expected)
{
    memset(&messages, 0, sizeof(messages));
    config_begin(&whole);
    unsigned mistakes = config_parse_environment(environment, &whole, collect, &messages);
    assert_string_equal(messages.text, expected);
    assert_int_equal(mistakes, messages.count);
}

static void variables_set_options(void **state)
{
    char *environment[] = {"PATH=/bin",         "SCTPSHIM_CHUNK=8k", "SCTPSHIM_LOG=debug",
                           "SCTPSHIM_CHUNK=9k", "CHUNK=7k",          "SCTPSHIM_CONFIG=/x",
                           "XSCTPSHIM_PPID=1",  NULL};

    (void)state;
    expect_environment(environment, "");
    assert_int_equal(parsed.chunk, 8192);
    assert_int_equal(parsed.log, LOG_LEVEL_DEBUG);
    assert_int_equal(parsed.ppid, 0);
    expect_environment(NULL, "");
}

static void bad_variables_are_reported(void **state)
{
    char *environment[] = {"SCTPSHIM_CHUNK=1",  "SCTPSHIM_CHUNKS=2k", "SCTPSHIM_chunk=2k",
                           "SCTPSHIM_=1",       "SCTPSHIM_PPID=",     "SCTPSHIM_FROBNICATE=1",
                           "SCTPSHIM_STREAM=12", "SCTPSHIM_PPID",     "SCTPSHIM_CONFIGS=1",
                           NULL};

    (void)state;
    expect_environment(
        environment,
        "environment: SCTPSHIM_CHUNK: expected a size from 1k to 64k, got '1'\n"
        "environment: SCTPSHIM_CHUNKS: expected the name of a variable "
        "(did you mean SCTPSHIM_CHUNK?), got '2k'\n"
        "environment: SCTPSHIM_chunk: expected the name of a variable "
        "(did you mean SCTPSHIM_CHUNK?), got '2k'\n"
        "environment: SCTPSHIM_: expected the name of a variable, got '1'\n"
        "environment: SCTPSHIM_PPID: expected a number from 0 to 0xfffffffe, got ''\n"
        "environment: SCTPSHIM_FROBNICATE: expected the name of a variable, got '1'\n"
        "environment: SCTPSHIM_CONFIGS: expected the name of a variable, got '1'\n"
        "environment: SCTPSHIM_STREAM: expected less than SCTPSHIM_OSTREAMS (10), got '12'\n");
    assert_memory_equal(&parsed, &options_default, sizeof(parsed));
}

static void a_message_is_one_line_of_text(void **state)
{
    char *environment[] = {"SCTPSHIM_LOG=\x1b[2J\nsctpshim: all is well", "SCTPSHIM_A\nB=1", NULL};

    (void)state;
    expect_environment(environment,
                       "environment: SCTPSHIM_LOG: expected off, error, warn, info or debug, "
                       "got '?[2J?sctpshim: all is well'\n"
                       "environment: SCTPSHIM_A?B: expected the name of a variable, got '1'\n");
}

static char directory[] = "/tmp/sctpshim-unit-XXXXXX";

static const char *put(const char *name, const char *text)
{
    static char paths[4][128];
    static int n;
    char *path = paths[n++ % 4];
    FILE *f;

    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return path;
}

static unsigned read_layers(const struct config_layers *layers)
{
    memset(&messages, 0, sizeof(messages));
    config_begin(&whole);
    return config_read_layers(layers, &whole, collect, &messages);
}

static void upper_layers_win(void **state)
{
    char *environment[] = {"SCTPSHIM_PPID=4", NULL};
    struct config_layers layers = {
        .system_file = put("system", "ppid=1\nchunk=1k\nsack_delay=1\nrto_min=101\n"),
        .user_file = put("user", "ppid=2\nchunk=2k\nsack_delay=2\n"),
        .config_file = put("config", "ppid=3\nchunk=3k\n"),
        .environment = environment,
    };

    (void)state;
    assert_int_equal(read_layers(&layers), 0);
    assert_int_equal(parsed.ppid, 4);
    assert_int_equal(parsed.chunk, 3072);
    assert_int_equal(parsed.sack_delay, 2);
    assert_int_equal(parsed.rto_min, 101);
    assert_int_equal(parsed.rto_max, 5000);
}

static void a_bad_value_keeps_the_next_lower_layer(void **state)
{
    char *environment[] = {"SCTPSHIM_CHUNK=99m", "SCTPSHIM_RTO_MIN=5000", NULL};
    char expected[512];
    struct config_layers layers = {
        .system_file = put("system", "chunk=1k\nrto_min=200\nrto_initial=400\n"),
        .user_file = put("user", "chunk=2k\nrto_initial=100\n"),
        .environment = environment,
    };

    (void)state;
    assert_int_equal(read_layers(&layers), 3);
    assert_int_equal(parsed.chunk, 2048);
    assert_int_equal(parsed.rto_min, 200);
    assert_int_equal(parsed.rto_initial, 400);
    snprintf(expected, sizeof(expected),
             "%s:2: rto_initial: expected at least rto_min (200), got '100'\n"
             "environment: SCTPSHIM_CHUNK: expected a size from 1k to 64k, got '99m'\n"
             "environment: SCTPSHIM_RTO_MIN: expected at most SCTPSHIM_RTO_INITIAL (400), "
             "got '5000'\n",
             layers.user_file);
    assert_string_equal(messages.text, expected);
}

static void files_that_need_not_exist_are_silent(void **state)
{
    struct config_layers layers = {
        .system_file = "/nonexistent/sctpshim.conf",
        .user_file = "/dev/null/sctpshim.conf",
    };

    (void)state;
    assert_int_equal(read_layers(&layers), 0);
    assert_memory_equal(&parsed, &options_default, sizeof(parsed));
}

static void a_file_asked_for_must_exist(void **state)
{
    char *environment[] = {"SCTPSHIM_CONFIG=/nonexistent/x", "SCTPSHIM_PPID=4", NULL};
    struct config_layers layers = {.config_file = "/nonexistent/x", .environment = environment};

    (void)state;
    assert_int_equal(read_layers(&layers), 1);
    assert_string_equal(messages.text, "environment: SCTPSHIM_CONFIG: expected a readable file "
                                       "(ENOENT), got '/nonexistent/x'\n");
    assert_int_equal(parsed.ppid, 4);
    memset(&messages, 0, sizeof(messages));
    assert_int_equal(1, config_read_file("/nonexistent/x", &whole, collect, &messages));
    assert_string_equal(messages.text,
                        "/nonexistent/x: expected a readable file (ENOENT), got "
                        "'/nonexistent/x'\n");
}

static void what_is_no_file_is_reported(void **state)
{
    struct config_layers layers = {.user_file = directory};
    char fifo[128];
    char expected[512];

    (void)state;
    assert_int_equal(read_layers(&layers), 1);
    snprintf(expected, sizeof(expected), "%s: expected a readable file (EISDIR), got '%s'\n",
             directory, directory);
    assert_string_equal(messages.text, expected);
    layers.user_file = "/dev/zero";
    assert_int_equal(read_layers(&layers), 1);
    /* Nobody writes to this FIFO: reading it must not wait for anyone. */
    snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    layers.user_file = fifo;
    assert_int_equal(read_layers(&layers), 1);
    assert_int_equal(unlink(fifo), 0);
}

static void a_huge_file_is_reported(void **state)
{
    char path[128];
    char expected[512];
    struct config_layers layers = {.config_file = path};

    (void)state;
    snprintf(path, sizeof(path), "%s", put("huge", "ppid = 1\n"));
    assert_int_equal(truncate(path, 65535), 0);
    read_layers(&layers);
    assert_int_equal(parsed.ppid, 1);
    assert_int_equal(truncate(path, 1 << 20), 0);
    assert_int_equal(read_layers(&layers), 1);
    snprintf(expected, sizeof(expected), "environment: SCTPSHIM_CONFIG: expected a file of less "
                                         "than 65536 bytes, got '%s'\n", path);
    assert_string_equal(messages.text, expected);
    assert_int_equal(parsed.ppid, 0);
}

static void layers_are_found(void **state)
{
    char *home[] = {"HOME=/home/u", "SCTPSHIM_CONFIG=some.conf", NULL};
    char *xdg[] = {"HOME=/home/u", "XDG_CONFIG_HOME=/cfg", "SCTPSHIM_CONFIG=", NULL};
    char *relative[] = {"HOME=/home/u", "XDG_CONFIG_HOME=cfg", NULL};
    char *nothing[] = {"HOME=", "HOMES=/x", NULL};
    struct config_layers layers;

    (void)state;
    config_find(&layers, home, false);
    assert_string_equal(layers.system_file, SYSCONFDIR "/sctpshim.conf");
    assert_string_equal(layers.user_file, "/home/u/.config/sctpshim/sctpshim.conf");
    assert_string_equal(layers.config_file, "some.conf");
    assert_ptr_equal(layers.environment, home);
    config_find(&layers, xdg, false);
    assert_string_equal(layers.user_file, "/cfg/sctpshim/sctpshim.conf");
    assert_null(layers.config_file);
    config_find(&layers, relative, false);
    assert_string_equal(layers.user_file, "/home/u/.config/sctpshim/sctpshim.conf");
    config_find(&layers, nothing, false);
    assert_null(layers.user_file);
}

static void a_path_that_does_not_fit_is_no_path(void **state)
{
    char home[2048] = "HOME=/";
    char *environment[] = {home, NULL};
    struct config_layers layers;

    (void)state;
    memset(home + 6, 'x', sizeof(home) - 7);
    config_find(&layers, environment, false);
    assert_null(layers.user_file);
}

static void privileged_programs_obey_only_the_system(void **state)
{
    char *environment[] = {"HOME=/home/u", "SCTPSHIM_CONFIG=/x", "SCTPSHIM_PPID=4", NULL};
    struct config_layers layers;

    (void)state;
    config_find(&layers, environment, true);
    assert_string_equal(layers.system_file, SYSCONFDIR "/sctpshim.conf");
    assert_null(layers.user_file);
    assert_null(layers.config_file);
    assert_null(layers.environment);
    layers.system_file = put("system", "chunk=4k\n");
    assert_int_equal(read_layers(&layers), 0);
    assert_int_equal(parsed.chunk, 4096);
    assert_int_equal(parsed.ppid, 0);
}

static void loading_keeps_errno_and_no_descriptor(void **state)
{
    int lowest = open("/dev/null", O_RDONLY);

    (void)state;
    assert_true(lowest >= 0);
    close(lowest);
    setenv("SCTPSHIM_CONFIG", put("load", "rto_min = 123\nlog = off\nmistake\n"), 1);
    setenv("HOME", "/nonexistent", 1);
    unsetenv("XDG_CONFIG_HOME");
    errno = 4711;
    config_load();
    assert_int_equal(errno, 4711);
    assert_int_equal(options.rto_min, 123);
    assert_int_equal(options.log, LOG_LEVEL_OFF);
    int again = open("/dev/null", O_RDONLY);
    assert_int_equal(again, lowest);
    close(again);
}

/* The mistakes go where the configuration says, even when it says so after the mistake. */
static void loading_logs_mistakes_where_told(void **state)
{
    char text[512], file[128], config[128], line[1024] = "";
    FILE *f;

    (void)state;
    snprintf(file, sizeof(file), "%s/log", directory);
    snprintf(text, sizeof(text), "chunk = 3\nlog_file = %s\n", file);
    snprintf(config, sizeof(config), "%s", put("load", text));
    setenv("SCTPSHIM_CONFIG", config, 1);
    setenv("HOME", "/nonexistent", 1);
    config_load();
    f = fopen(file, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    snprintf(text, sizeof(text), " error: %s:1: chunk: expected a size from 1k to 64k, got '3'\n",
             config);
    assert_non_null(strstr(line, text));
    assert_null(fgets(line, sizeof(line), f));
    fclose(f);
    assert_int_equal(options.chunk, options_default.chunk);
}

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -r '%s'", directory);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_says_nothing),
        cmocka_unit_test(the_heading_may_be_missing_or_come_twice),
        cmocka_unit_test(an_empty_file_is_a_good_one),
        cmocka_unit_test(the_last_line_wins),
        cmocka_unit_test(a_bad_value_is_named_with_its_place),
        cmocka_unit_test(an_unknown_name_is_reported),
        cmocka_unit_test(lines_without_a_pair_are_reported_each),
        cmocka_unit_test(indented_lines_do_not_continue_a_value),
        cmocka_unit_test(other_sections_are_reported_once_and_skipped),
        cmocka_unit_test(a_long_line_is_one_mistake),
        cmocka_unit_test(the_limit_of_a_line_is_exact),
        cmocka_unit_test(zero_bytes_are_reported),
        cmocka_unit_test(long_values_are_cut_in_messages),
        cmocka_unit_test(parsing_needs_no_report),
        cmocka_unit_test(relations_are_checked_after_the_last_line),
        cmocka_unit_test(a_broken_relation_keeps_the_lower_value),
        cmocka_unit_test(broken_relations_end_in_a_sound_state),
        cmocka_unit_test(variables_set_options),
        cmocka_unit_test(bad_variables_are_reported),
        cmocka_unit_test(a_message_is_one_line_of_text),
        cmocka_unit_test(upper_layers_win),
        cmocka_unit_test(a_bad_value_keeps_the_next_lower_layer),
        cmocka_unit_test(files_that_need_not_exist_are_silent),
        cmocka_unit_test(a_file_asked_for_must_exist),
        cmocka_unit_test(what_is_no_file_is_reported),
        cmocka_unit_test(a_huge_file_is_reported),
        cmocka_unit_test(layers_are_found),
        cmocka_unit_test(a_path_that_does_not_fit_is_no_path),
        cmocka_unit_test(privileged_programs_obey_only_the_system),
        cmocka_unit_test(loading_keeps_errno_and_no_descriptor),
        cmocka_unit_test(loading_logs_mistakes_where_told),
    };

    return cmocka_run_group_tests_name("config", tests, make_directory, remove_directory);
}
