/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules: their text and its mistakes, what they match, the order among them, their options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

#include "collect.h"
#include "config.h"

static struct config whole;
static struct collected messages;

static void begin(void)
{
    memset(&messages, 0, sizeof(messages));
    config_begin(&whole);
}

static void add(enum place place, const char *text)
{
    config_parse_text(text, strlen(text), place, place == PLACE_USER ? "user" : "f.conf", &whole,
                      collect, &messages);
}

static void finish(const char *expected)
{
    config_finish(&whole, collect, &messages);
    assert_string_equal(messages.text, expected);
}

static void expect(const char *text, const char *expected)
{
    begin();
    add(PLACE_CONFIG, text);
    finish(expected);
}

static const struct rule *rule(unsigned number)
{
    assert_in_range(number, 1, whole.rules.count);
    return rule_numbered(&whole.rules, number);
}

static struct sockaddr_in6 end_of(const char *address, uint16_t port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } name = {0};
    struct sockaddr_in6 end;

    if (strchr(address, ':')) {
        name.in6.sin6_family = AF_INET6;
        name.in6.sin6_port = htons(port);
        assert_int_equal(inet_pton(AF_INET6, address, &name.in6.sin6_addr), 1);
    } else {
        name.in.sin_family = AF_INET;
        name.in.sin_port = htons(port);
        assert_int_equal(inet_pton(AF_INET, address, &name.in.sin_addr), 1);
    }
    assert_true(rule_name(&end, &name.any));
    return end;
}

static bool connects(unsigned number, const char *address, uint16_t port)
{
    struct rule_use use = {.roles = ROLE_CONNECT, .remote = end_of(address, port)};

    return rule_matches_use(rule(number), &use);
}

static bool listens(unsigned number, const char *address, uint16_t port)
{
    struct rule_use use = {.roles = ROLE_LISTEN, .local = end_of(address, port)};

    return rule_matches_use(rule(number), &use);
}

static bool is_program(unsigned number, const char *called, const char *file)
{
    struct rule_process process = {called, file, 1000};

    return rule_matches_process(rule(number), &process);
}

static void a_rule_has_matchers_and_options(void **state)
{
    (void)state;
    expect("chunk = 8k\n"
           "[rule dns-over_tcp.1]  # a comment\n"
           "role = connect\n"
           "PORT = 53, 853 5353-5355\n"
           "address = 192.0.2.0/24 2001:db8::/32\n"
           "address = 198.51.100.7\n"
           "action = tcp\n"
           "ppid = 7\n"
           "[sctpshim]\n"
           "ppid = 3\n",
           "");
    assert_int_equal(whole.rules.count, 1);
    assert_string_equal(rule(1)->name, "dns-over_tcp.1");
    assert_int_equal(rule(1)->where.line, 2);
    assert_int_equal(rule(1)->roles, ROLE_CONNECT);
    assert_int_equal(rule(1)->port_count, 3);
    assert_int_equal(rule(1)->address_count, 3);
    assert_int_equal(rule(1)->options.action, ACTION_TCP);
    assert_int_equal(rule(1)->options.ppid, 7);
    assert_int_equal(rule(1)->options.chunk, 8192);
    assert_int_equal(whole.options.action, ACTION_SCTP);
    assert_int_equal(whole.options.ppid, 3);
}

static void addresses_match_by_prefix(void **state)
{
    (void)state;
    expect("[rule a]\naddress = 192.0.2.128/25, 2001:db8::/33, 203.0.113.9\n", "");
    assert_true(connects(1, "192.0.2.128", 1));
    assert_true(connects(1, "192.0.2.255", 1));
    assert_false(connects(1, "192.0.2.127", 1));
    assert_false(connects(1, "192.0.3.128", 1));
    assert_true(connects(1, "203.0.113.9", 1));
    assert_false(connects(1, "203.0.113.8", 1));
    assert_true(connects(1, "2001:db8:7fff::1", 1));
    assert_false(connects(1, "2001:db8:8000::1", 1));
    assert_true(connects(1, "::ffff:192.0.2.200", 1));
}

static void families_are_apart(void **state)
{
    (void)state;
    expect("[rule four]\naddress = 0.0.0.0/0\n[rule six]\naddress = ::/0\n"
           "[rule mapped]\naddress = ::ffff:192.0.2.0/120\n[rule none]\naddress = ::\n", "");
    assert_true(connects(1, "192.0.2.1", 1));
    assert_true(connects(1, "::ffff:192.0.2.1", 1));
    assert_false(connects(1, "2001:db8::1", 1));
    assert_false(connects(2, "192.0.2.1", 1));
    assert_true(connects(2, "::1", 1));
    assert_true(connects(3, "192.0.2.1", 1));
    assert_false(connects(3, "192.0.3.1", 1));
    assert_true(listens(4, "::", 1));
    assert_false(listens(4, "0.0.0.0", 1));
}

static void a_wildcard_listener_is_in_no_smaller_net(void **state)
{
    (void)state;
    expect("[rule net]\naddress = 192.0.2.0/24\n[rule all]\naddress = 0.0.0.0/0\n"
           "[rule others]\naddress = !127.0.0.0/8\n", "");
    assert_false(listens(1, "0.0.0.0", 80));
    assert_true(listens(1, "192.0.2.1", 80));
    assert_true(listens(2, "0.0.0.0", 80));
    assert_true(listens(3, "0.0.0.0", 80));
    assert_false(listens(3, "127.0.0.1", 80));
}

static void negated_entries_take_away(void **state)
{
    (void)state;
    expect("[rule a]\naddress = !192.0.2.7, 192.0.2.0/24\nport = 1-1023 !80\n"
           "[rule b]\nport = !53\n", "");
    assert_true(connects(1, "192.0.2.8", 81));
    assert_false(connects(1, "192.0.2.7", 81));
    assert_false(connects(1, "192.0.2.8", 80));
    assert_false(connects(1, "192.0.2.8", 1024));
    assert_false(connects(1, "198.51.100.1", 81));
    assert_true(connects(2, "198.51.100.1", 54));
    assert_false(connects(2, "198.51.100.1", 53));
}

static void ranges_include_their_ends(void **state)
{
    (void)state;
    expect("[rule a]\nport = 8000-8080\n[rule b]\nport = 1-65535\n", "");
    assert_false(connects(1, "192.0.2.1", 7999));
    assert_true(connects(1, "192.0.2.1", 8000));
    assert_true(connects(1, "192.0.2.1", 8080));
    assert_false(connects(1, "192.0.2.1", 8081));
    assert_false(listens(2, "0.0.0.0", 0)); /* no port yet */
}

static void roles_look_at_their_end(void **state)
{
    struct rule_use unknown = {.roles = ROLE_CONNECT | ROLE_LISTEN};

    (void)state;
    expect("[rule c]\nrole = connect\nport = 53\n[rule l]\nrole = listen\nport = 53\n"
           "[rule both]\nport = 53\n[rule any]\n", "");
    assert_true(connects(1, "192.0.2.1", 53));
    assert_false(listens(1, "192.0.2.1", 53));
    assert_false(connects(2, "192.0.2.1", 53));
    assert_true(listens(2, "192.0.2.1", 53));
    assert_true(connects(3, "192.0.2.1", 53));
    assert_true(listens(3, "192.0.2.1", 53));
    unknown.remote = end_of("192.0.2.1", 40000);
    unknown.local = end_of("192.0.2.2", 53);
    assert_false(rule_matches_use(rule(1), &unknown));
    assert_true(rule_matches_use(rule(2), &unknown));
    assert_true(rule_matches_use(rule(3), &unknown));
    assert_true(rule_matches_any_use(rule(4)));
    assert_false(rule_matches_any_use(rule(3)));
}

static void programs_match_by_name_or_path(void **state)
{
    (void)state;
    expect("[rule name]\nprogram = nginx, redis-*\n[rule path]\nprogram = /opt/*/bin/python3*\n"
           "[rule others]\nprogram = !curl\n[rule class]\nprogram = py[a-z]hon3.1?\n", "");
    assert_true(is_program(1, "/usr/sbin/nginx", "/usr/sbin/nginx"));
    assert_true(is_program(1, "nginx", "/usr/sbin/nginx-debug"));
    assert_true(is_program(1, "/usr/bin/redis", "/usr/bin/redis-check-rdb"));
    assert_false(is_program(1, "/usr/bin/redis", "/usr/bin/redis"));
    assert_false(is_program(1, "/nginx/x", "/nginx/x"));
    assert_true(is_program(2, "x", "/opt/a/bin/python3.13"));
    assert_false(is_program(2, "x", "/opt/a/b/bin/python3.13"));
    assert_false(is_program(2, "x", "/usr/bin/python3"));
    assert_true(is_program(3, "/usr/bin/wget", "/usr/bin/wget"));
    assert_false(is_program(3, "./curl", "/usr/bin/other"));
    assert_true(is_program(4, "/usr/bin/script", "/usr/bin/python3.13"));
}

static void users_match_by_number(void **state)
{
    (void)state;
    expect("[rule a]\nuid = 0, 1000-1999 !1500\n", "");
    assert_true(is_program(1, "x", "/x"));
    struct rule_process process = {"x", "/x", 1500};
    assert_false(rule_matches_process(rule(1), &process));
    process.uid = 0;
    assert_true(rule_matches_process(rule(1), &process));
    process.uid = 999;
    assert_false(rule_matches_process(rule(1), &process));
}

/* Never more than was meant: the rule is gone, the rest of the file is not. */
static void a_mistake_in_a_matcher_ends_the_rule(void **state)
{
    static const char *const bad[][3] = {
        {"port", "0", "ports and ranges from 1 to 65535, with !"},
        {"port", "65536", "ports and ranges from 1 to 65535, with !"},
        {"port", "90-80", "ports and ranges from 1 to 65535, with !"},
        {"port", "80-", "ports and ranges from 1 to 65535, with !"},
        {"port", "http", "ports and ranges from 1 to 65535, with !"},
        {"port", "", "ports and ranges from 1 to 65535, with !"},
        {"port", "80,,!", "ports and ranges from 1 to 65535, with !"},
        {"port", "4294967376", "ports and ranges from 1 to 65535, with !"},
        {"role", "server", "connect or listen"},
        {"uid", "root", "numbers of users and ranges of them, with !"},
        {"program", "bin/nginx", "names or absolute paths of programs, with * ? [] and !"},
        {"program", "!", "names or absolute paths of programs, with * ? [] and !"},
        {"address", "192.0.2.7/24",
         "IPv4 or IPv6 addresses, with /PREFIX (of a network's first address) and !"},
        {"address", "192.0.2.0/33",
         "IPv4 or IPv6 addresses, with /PREFIX (of a network's first address) and !"},
        {"address", "::/129",
         "IPv4 or IPv6 addresses, with /PREFIX (of a network's first address) and !"},
        {"address", "::ffff:0.0.0.0/64",
         "IPv4 or IPv6 addresses, with /PREFIX (of a network's first address) and !"},
        {"address", "192.0.2.0/",
         "IPv4 or IPv6 addresses, with /PREFIX (of a network's first address) and !"},
        {"address", "localhost",
         "IPv4 or IPv6 addresses, with /PREFIX (of a network's first address) and !"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[256], expected[512];

        snprintf(text, sizeof(text), "[rule a]\naction = tcp\n%s = %s\n[rule b]\nport = 1\n",
                 bad[i][0], bad[i][1]);
        snprintf(expected, sizeof(expected),
                 "f.conf:3: %s: expected %s, got '%s'\n"
                 "f.conf:1: rule a is ignored: without what is wrong it might match too much\n",
                 bad[i][0], bad[i][2], bad[i][1]);
        expect(text, expected);
        assert_int_equal(whole.rules.count, 1);
        assert_string_equal(rule(1)->name, "b");
    }
}

static void what_may_have_been_a_matcher_ends_the_rule_too(void **state)
{
    (void)state;
    expect("[rule a]\nadress = 192.0.2.1\n",
           "f.conf:2: adress: expected the name of a matcher or an option (did you mean "
           "address?), got '192.0.2.1'\n"
           "f.conf:1: rule a is ignored: without what is wrong it might match too much\n");
    expect("[rule a]\naddress 192.0.2.1\n",
           "f.conf:2: expected name = value, got 'address 192.0.2.1'\n"
           "f.conf:1: rule a is ignored: without what is wrong it might match too much\n");
    assert_int_equal(whole.rules.count, 0);
    expect("port = 53\n", "f.conf:1: port: expected the name of an option, got '53'\n");
}

static void a_mistake_in_an_option_leaves_the_rule(void **state)
{
    (void)state;
    expect("chunk = 8k\n[rule a]\nport = 53\nchunk = 1\nlog = debug\n",
           "f.conf:4: chunk: expected a size from 1k to 64k, got '1'\n"
           "f.conf:5: log: expected an option of single sockets: this one is the whole process's, "
           "got 'debug'\n");
    assert_int_equal(whole.rules.count, 1);
    assert_int_equal(rule(1)->options.chunk, 8192);
    assert_int_equal(rule(1)->options.log, LOG_LEVEL_WARN);
}

static void headings_must_be_right(void **state)
{
    (void)state;
    expect("[rule]\nport = 1\n[rule a b]\nport = 1\n[rule a]\n[rule a]\nport = 2\n[rule  c ]\n"
           "[rule a123456789012345678901234567890123]\n",
           "f.conf:1: expected section [sctpshim] or [rule NAME], got '[rule]'\n"
           "f.conf:3: expected section [sctpshim] or [rule NAME], got '[rule a b]'\n"
           "f.conf:6: expected a name that no other rule of this file has, got '[rule a]'\n"
           "f.conf:9: expected section [sctpshim] or [rule NAME], got "
           "'[rule a123456789012345678901234567890123]'\n");
    assert_int_equal(whole.rules.count, 2);
    assert_string_equal(rule(2)->name, "c");
}

static void there_are_limits(void **state)
{
    static char text[8192];
    char *p = text;

    (void)state;
    for (int i = 0; i < 65; i++)
        p += sprintf(p, "[rule r%d]\nport = %d\n", i, i + 1);
    expect(text, "f.conf:129: expected no more than 64 rules, got '[rule r64]'\n");
    assert_int_equal(whole.rules.count, 64);
    p = text + sprintf(text, "[rule a]\n");
    for (int i = 0; i < 65; i++)
        p += sprintf(p, "address = 192.0.2.%d\n", i);
    begin();
    add(PLACE_CONFIG, text);
    assert_int_equal(messages.count, 2);
    assert_int_equal(whole.rules.count, 0);
}

static void stronger_files_rules_come_first(void **state)
{
    (void)state;
    begin();
    add(PLACE_SYSTEM, "[rule s1]\nport = 1\n[rule s2]\n");
    add(PLACE_USER, "[rule u1]\nport = 1\n[rule s1]\n");
    add(PLACE_CONFIG, "[rule c1]\n");
    finish("");
    assert_int_equal(whole.rules.count, 5);
    assert_string_equal(rule(1)->name, "c1");
    assert_string_equal(rule(2)->name, "u1");
    assert_string_equal(rule(3)->name, "s1");
    assert_int_equal(rule(3)->where.place, PLACE_USER);
    assert_string_equal(rule(4)->name, "s1");
    assert_int_equal(rule(4)->where.place, PLACE_SYSTEM);
    assert_string_equal(rule(5)->name, "s2");
}

static void a_rule_has_the_rest_from_below(void **state)
{
    char *environment[] = {"SCTPSHIM_CHUNK=4k", "SCTPSHIM_ACTION=sctp", NULL};

    (void)state;
    begin();
    add(PLACE_SYSTEM, "[rule s]\nport = 1\nchunk = 2k\naction = tcp\nppid = 9\n");
    add(PLACE_USER, "sack_delay = 20\nppid = 5\n");
    assert_int_equal(config_parse_environment(environment, &whole, collect, &messages), 0);
    finish("");
    assert_int_equal(rule(1)->options.chunk, 4096); /* a variable is stronger than a rule */
    assert_int_equal(rule(1)->options.action, ACTION_SCTP);
    assert_int_equal(rule(1)->options.sack_delay, 20);
    assert_int_equal(rule(1)->options.ppid, 9);
    assert_int_equal(rule(1)->origin[OPTION_CHUNK].place, PLACE_ENVIRONMENT);
    assert_int_equal(rule(1)->origin[OPTION_SACK_DELAY].place, PLACE_USER);
    assert_int_equal(rule(1)->origin[OPTION_SACK_DELAY].line, 1);
    assert_int_equal(rule(1)->origin[OPTION_PPID].place, PLACE_SYSTEM);
    assert_int_equal(rule(1)->origin[OPTION_PPID].line, 5);
    assert_int_equal(rule(1)->origin[OPTION_RTO_MIN].place, PLACE_DEFAULT);
}

static void relations_hold_in_each_rule(void **state)
{
    char *environment[] = {"SCTPSHIM_RTO_MIN=900", NULL};

    (void)state;
    begin();
    add(PLACE_CONFIG, "[rule a]\nport = 1\nrto_initial = 500\n[rule b]\nport = 2\n"
                      "rto_initial = 2000\nstream = 20\n");
    assert_int_equal(config_parse_environment(environment, &whole, collect, &messages), 0);
    finish("f.conf:3: rto_initial: expected at least rto_min (900), got '500'\n"
           "f.conf:7: stream: expected less than ostreams (10), got '20'\n");
    assert_int_equal(rule(1)->options.rto_initial, 1000);
    assert_int_equal(rule(2)->options.rto_initial, 2000);
    assert_int_equal(rule(2)->options.stream, 0);
}

static unsigned find(unsigned role, const char *address, uint16_t port)
{
    struct rule_use use = {.roles = role};

    use.remote = use.local = end_of(address, port);
    return rules_find(&use);
}

static void the_first_rule_in_force_is_found(void **state)
{
    static const struct rule_process process = {"/usr/bin/curl", "/usr/bin/curl", 0};

    (void)state;
    expect("[rule other]\nprogram = wget\n[rule dns]\nport = 53\naction = tcp\n"
           "[rule net]\naddress = 192.0.2.0/24\nchunk = 4k\n", "");
    rules_enforce(&whole.rules, &process);
    assert_int_equal(find(ROLE_CONNECT, "192.0.2.1", 53), 2);
    assert_int_equal(find(ROLE_LISTEN, "192.0.2.1", 54), 3);
    assert_int_equal(find(ROLE_CONNECT, "198.51.100.1", 54), 0);
    assert_int_equal(rule_options[2]->action, ACTION_TCP);
    assert_int_equal(rule_options[3]->chunk, 4096);
    assert_ptr_equal(rule_options[0], &options);
    assert_true(rule_birth.open);
    assert_int_equal(rule_birth.rule, 0);
    assert_true(rule_birth.may_be[ACTION_SCTP] && rule_birth.may_be[ACTION_TCP]);
}

static void a_birth_may_be_decided(void **state)
{
    static const struct rule_process process = {"/usr/bin/curl", "/usr/bin/curl", 0};

    (void)state;
    expect("[rule web]\nprogram = curl\naction = tcp\n[rule rest]\nport = 1\n", "");
    rules_enforce(&whole.rules, &process);
    assert_false(rule_birth.open);
    assert_int_equal(rule_birth.rule, 1);
    assert_false(rule_birth.may_be[ACTION_SCTP]);
    expect("[rule web]\nport = 1\nchunk = 2k\n[rule rest]\nppid = 4\n", "");
    rules_enforce(&whole.rules, &process);
    assert_true(rule_birth.open);
    assert_int_equal(rule_birth.rule, 2);
    assert_false(rule_birth.may_be[ACTION_TCP]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_has_matchers_and_options),
        cmocka_unit_test(addresses_match_by_prefix),
        cmocka_unit_test(families_are_apart),
        cmocka_unit_test(a_wildcard_listener_is_in_no_smaller_net),
        cmocka_unit_test(negated_entries_take_away),
        cmocka_unit_test(ranges_include_their_ends),
        cmocka_unit_test(roles_look_at_their_end),
        cmocka_unit_test(programs_match_by_name_or_path),
        cmocka_unit_test(users_match_by_number),
        cmocka_unit_test(a_mistake_in_a_matcher_ends_the_rule),
        cmocka_unit_test(what_may_have_been_a_matcher_ends_the_rule_too),
        cmocka_unit_test(a_mistake_in_an_option_leaves_the_rule),
        cmocka_unit_test(headings_must_be_right),
        cmocka_unit_test(there_are_limits),
        cmocka_unit_test(stronger_files_rules_come_first),
        cmocka_unit_test(a_rule_has_the_rest_from_below),
        cmocka_unit_test(relations_hold_in_each_rule),
        cmocka_unit_test(the_first_rule_in_force_is_found),
        cmocka_unit_test(a_birth_may_be_decided),
    };

    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
