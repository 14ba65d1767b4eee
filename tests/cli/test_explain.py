# SPDX-License-Identifier: BSD-3-Clause
"""`sctpshim explain` and what `check-config` and the launcher say of rules."""

import pytest

RULES = """\
chunk = 8k
log_file = /tmp/x
[rule web]
program = nginx, sh*
action = tcp
[rule dns]
role = connect
port = 53
action = tcp
[rule net]
address = 192.0.2.0/24, 2001:db8::/32
sndbuf = 2m
"""


@pytest.fixture
def config(tmp_path):
    """A file with these rules."""
    file = tmp_path / "rules.conf"
    file.write_text(RULES)
    return file


def explain(run, config, *arguments, **settings):
    """The lines that it prints."""
    done = run("explain", *arguments, SCTPSHIM_CONFIG=config, **settings)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.replace(f"{config}", "F").splitlines()


def test_without_a_use_it_says_what_rules_depend_on(run, config):
    assert explain(run, config, "/usr/bin/env")[2:] == [
        "rule web (F:3): does not match by its program",
        "rule dns (F:6): may match, by role, port: action tcp (F:9)",
        "rule net (F:10): may match, by address: action sctp (default)",
        "    sndbuf = 2m (F:12)",
        "    chunk = 8k (F:1)",
        "no rule: action sctp (default)",
        "    chunk = 8k (F:1)",
        "the whole process:",
        "    log_file = /tmp/x (F:2)",
        "it can be preloaded",
    ]


def test_options_are_in_the_tables_order_and_from_their_place(run, config):
    lines = explain(run, config, "--connect", "192.0.2.7:80", "/usr/bin/env", SCTPSHIM_PPID=7,
                    SCTPSHIM_CHUNK="4k")
    at = lines.index("rule net (F:10): matches: action sctp (default)")
    assert lines[at + 1:at + 4] == [
        "    sndbuf = 2m (F:12)", "    chunk = 4k (SCTPSHIM_CHUNK)", "    ppid = 7 (SCTPSHIM_PPID)"]


@pytest.mark.parametrize("flags, last", [
    (("--connect", "198.51.100.1:53"), "rule dns (F:6): matches: action tcp (F:9)"),
    (("--listen", "198.51.100.1:53"), "no rule: action sctp (default)"),
    (("--connect=[2001:db8::1]:80",), "rule net (F:10): matches: action sctp (default)"),
    (("--listen=[::]:80",), "no rule: action sctp (default)"),
    (("--listen=0.0.0.0:80",), "no rule: action sctp (default)"),
])
def test_a_use_decides(run, config, flags, last):
    lines = explain(run, config, *flags, "/usr/bin/env")
    decisions = [line for line in lines if "action" in line]
    assert decisions == [last]


def test_a_program_decides(run, config):
    lines = explain(run, config, "sh", "-c", "true")
    assert lines[0].startswith("sh: program /")
    assert lines[1] == "rule web (F:3): matches: action tcp (F:5)"
    assert "rule dns" not in "".join(lines)


def test_a_script_is_called_by_its_name_and_is_its_interpreter(run, config, tmp_path):
    script = tmp_path / "nginx"
    script.write_text("#! /usr/bin/env python3\n")
    script.chmod(0o755)
    lines = explain(run, config, script)
    assert lines[0] == f"{script}: program /usr/bin/env"
    assert lines[1] == "it is started by env, which becomes another program: explain that one"
    assert lines[2].startswith("rule web (F:3): matches")


def test_what_cannot_be_preloaded_is_said(run, config, compiled):
    static = compiled("static-program", "int main(void) { return 0; }", "-static")
    done = run("explain", static, SCTPSHIM_CONFIG=config)
    assert done.returncode == 1
    assert done.stderr == f"sctpshim: {static} cannot be preloaded: it is statically linked\n"
    assert "no rule: action sctp (default)" in done.stdout
    assert run("explain", "no-such-command").returncode == 127


@pytest.mark.parametrize("arguments", [
    (), ("--connect",), ("--connect", "192.0.2.1", "sh"), ("--connect", "192.0.2.1:70000", "sh"),
    ("--connect", "192.0.2.1:", "sh"), ("--connect", "2001:db8::1:80", "sh"),
    ("--connect", "[2001:db8::1:80", "sh"), ("--bind", "192.0.2.1:1", "sh"),
    ("--connect", "192.0.2.1:1", "--listen", "192.0.2.1:1", "sh"), ("--connect", "192.0.2.1:1")])
def test_wrong_usage(run, arguments):
    done = run("explain", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sctpshim: explain: expected [--connect")


def test_mistakes_are_shown_beside(run, tmp_path):
    file = tmp_path / "bad.conf"
    file.write_text("[rule a]\nport = http\n")
    done = run("explain", "sh", SCTPSHIM_CONFIG=file)
    assert done.returncode == 0
    assert done.stderr.startswith(f"sctpshim: {file}:2: port: expected ports and ranges")
    assert "rule a" not in done.stdout


def test_check_config_covers_rules(run, tmp_path):
    file = tmp_path / "bad.conf"
    file.write_text("[rule a]\naddress = 192.0.2.7/24\nchunk = 1\n[rule b]\nlog = debug\n"
                    "rto_min = 2000\n")
    done = run("check-config", file)
    assert done.returncode == 1
    assert done.stdout == (
        f"{file}:2: address: expected IPv4 or IPv6 addresses, with /PREFIX (of a network's first "
        "address) and !, got '192.0.2.7/24'\n"
        f"{file}:3: chunk: expected a size from 1k to 64k, got '1'\n"
        f"{file}:1: rule a is ignored: without what is wrong it might match too much\n"
        f"{file}:5: log: expected an option of single sockets: this one is the whole process's, "
        "got 'debug'\n"
        f"{file}:6: rto_min: expected at most rto_initial (1000), got '2000'\n")
    good = tmp_path / "good.conf"
    good.write_text(RULES)
    assert run("check-config", good).returncode == 0
