# SPDX-License-Identifier: BSD-3-Clause
"""Bad input and programs that cannot be preloaded: one clear line each, and what happens then."""

import os
import re
import shutil
import subprocess
import sys

import pytest

NOBODY = 65534
NO_SCTP = ("sctpshim: SCTP cannot be used (EPROTONOSUPPORT): the kernel has no SCTP, or its module "
           "is not loaded (as root: modprobe sctp)\n")
HELLO = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n"
PRINT_PROTOCOLS = ("import socket; print([socket.socket().getsockopt(1, 38) for i in range(3)])")
PRIVILEGED = "and the system ignores LD_PRELOAD for such programs"


def said(done, status, stderr):
    """The launcher ended like this and printed nothing on stdout."""
    assert done.stderr == stderr
    assert (done.returncode, done.stdout) == (status, "")


def usage(first=""):
    return (f"{first}usage: sctpshim [run] [--force] [--OPTION=VALUE ...] [--] COMMAND "
            "[ARGUMENT ...]\n")


# ---- The launcher's own arguments ----

@pytest.mark.parametrize("arguments", [[], ["--"], ["run"], ["--chunk=8k"], ["run", "--"]])
def test_no_command(run, arguments):
    said(run(*arguments), 2, usage())


@pytest.mark.parametrize("arguments, message", [
    (["--chnk=8k", "true"], "--chnk: no such option (did you mean --chunk?)"),
    (["--frobnicate", "1", "true"], "--frobnicate: no such option"),
    (["--chunk=1", "true"], "--chunk: expected a size from 1k to 64k, got '1'"),
    (["run", "--Chunk", "", "true"], "--Chunk: expected a size from 1k to 64k, got ''"),
    (["--action=udp", "true"], "--action: expected sctp, tcp or prefer-sctp, got 'udp'"),
    (["--nodelay=maybe", "true"], "--nodelay: expected yes or no, got 'maybe'"),
    (["--sack-delay=501", "true"],
     "--sack-delay: expected milliseconds from 0 to 500, got '501'"),
    (["--ppid=0xg", "true"], "--ppid: expected a number from 0 to 0xfffffffe, got '0xg'"),
])
def test_bad_option(run, arguments, message):
    said(run(*arguments), 2, f"sctpshim: {message}\n")


@pytest.mark.parametrize("arguments, message", [
    (["--chunk"], "--chunk: expected a value"),
    (["-x", "true"], "-x: no such option"),
    (["--config=", "true"], "--config: expected a file"),
    (["check", "x"], "check: expected nothing, or HOST PORT"),
])
def test_wrong_usage(run, arguments, message):
    said(run(*arguments), 2, usage(f"sctpshim: {message}\n"))


# ---- Commands ----

def test_command_that_does_not_exist(run, tmp_path):
    said(run("no-such-command"), 127, "sctpshim: no-such-command: command not found\n")
    said(run(f"{tmp_path}/none"), 127, f"sctpshim: {tmp_path}/none: command not found\n")
    said(run("--force", ""), 127, "sctpshim: : command not found\n")


def test_command_that_is_no_program(run, tmp_path):
    (tmp_path / "text").write_text("text")
    said(run(f"{tmp_path}/text"), 126, f"sctpshim: {tmp_path}/text: not an executable file\n")
    said(run(str(tmp_path)), 126, f"sctpshim: {tmp_path}: not an executable file\n")


def refused(run, command, why, **keywords):
    """Not run without --force, and run with it."""
    said(run(command, **keywords), 126, f"sctpshim: {why}\n")
    forced = run("--force", command, **keywords)
    assert (forced.returncode, forced.stdout) == (0, "hello\n")
    assert forced.stderr == f"sctpshim: {why}\n"


@pytest.mark.parametrize("flag", ["-static", "-static-pie"])
def test_static_program(run, compiled, flag):
    program = compiled(f"program{flag}", HELLO, flag)
    refused(run, program, f"{program} cannot be preloaded: it is statically linked")


def test_static_program_found_on_the_path(run, compiled):
    program = compiled("static-on-path", HELLO, "-static")
    refused(run, program.name, f"{program} cannot be preloaded: it is statically linked",
            PATH=f"/nonexistent:{program.parent}:{os.environ['PATH']}")


def test_script_of_a_static_interpreter(run, compiled, tmp_path):
    program = compiled("interpreter", HELLO, "-static")
    script = tmp_path / "script"
    script.write_text(f"#! {program} -x\n")
    script.chmod(0o755)
    refused(run, script, f"{program} cannot be preloaded: it is statically linked")


def test_go_program(run, compiled):
    note = ('__asm__(".pushsection .note.go.buildid,\\"a\\",@note\\n'
            '.long 4, 4, 4\\n.ascii \\"Go\\\\0\\\\0\\"\\n.ascii \\"test\\"\\n.popsection");\n')
    for flag in ("-static", "-pie"):
        program = compiled(f"go{flag}", note + HELLO, "-fPIE", flag)
        refused(run, program, f"{program} cannot be preloaded: it is a Go program, which makes its "
                "system calls without the C library")


def test_program_of_another_c_library(run, compiled, public):
    ordinary = compiled("ordinary", HELLO)
    own = re.search(rb"/[^\0]*/(ld-linux[^\0]*)", ordinary.read_bytes())
    loader = public / "ld-musl-test.so.1"
    loader.symlink_to(own.group(0).decode())
    program = compiled("musl", HELLO, f"-Wl,--dynamic-linker={loader}")
    refused(run, program, f"{program} cannot be preloaded: its loader is {loader} and the "
            f"library's is {own.group(0).decode()}")


@pytest.mark.parametrize("offset, value, why", [
    (4, 1, "it is a 32-bit program and the library a 64-bit one"),
    (18, 0xF3 ^ 0xFF, "it is a program for another processor"),
])
def test_program_of_another_machine(run, compiled, tmp_path, offset, value, why):
    contents = bytearray(compiled("ordinary-2", HELLO).read_bytes())
    contents[offset] = value
    program = tmp_path / "foreign"
    program.write_bytes(contents)
    program.chmod(0o755)
    said(run(program), 126, f"sctpshim: {program} cannot be preloaded: {why}\n")


def test_set_id_programs(run, compiled, public, root):
    for name, bit, kind in (("setuid", 0o4000, "set-uid"), ("setgid", 0o2000, "set-gid")):
        program = compiled(name, HELLO)
        os.chown(program, NOBODY, NOBODY)
        program.chmod(0o755 | bit)
        refused(run, program, f"{program} cannot be preloaded: it is {kind}, {PRIVILEGED}")
        # Set to who runs it anyway, it gains nothing and is an ordinary program.
        os.chown(program, os.getuid(), os.getgid())
        program.chmod(0o755 | bit)
        assert run("--action=tcp", program).stderr == ""


def test_program_with_capabilities(run, installed, compiled, root):
    program = compiled("capable", HELLO)
    # Revision 2, effective, CAP_NET_BIND_SERVICE permitted.
    os.setxattr(program, "security.capability",
                bytes.fromhex("01000002" "00040000" "00000000" "00000000" "00000000"))
    refused(run, program, f"{program} cannot be preloaded: it has file capabilities, {PRIVILEGED}",
            program=installed, user=NOBODY)
    assert run("--action=tcp", program).stderr == ""    # root gains nothing from it


def test_unreadable_program_is_run(run, installed, compiled, root):
    program = compiled("unreadable", HELLO)
    program.chmod(0o711)
    done = run("--action=tcp", program, program=installed, user=NOBODY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_scripts_and_the_loader_itself_are_run(run, compiled, tmp_path):
    program = compiled("ordinary-3", HELLO)
    loader = re.search(rb"/[^\0]*/ld-linux[^\0]*", program.read_bytes()).group(0).decode()
    bare = tmp_path / "bare"
    bare.write_text("echo hello\n")
    bare.chmod(0o755)
    for words in ([loader, program], [bare]):
        done = run("--action=tcp", *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


# ---- No SCTP in the kernel, and no other wanted ----

def test_no_sctp(run, no_sctp):
    said(run("--stack=kernel", "echo", "hello", before=no_sctp), 69, NO_SCTP)


def test_no_sctp_matters_only_to_sctp(run, no_sctp):
    assert run("--action=tcp", "echo", "hello", before=no_sctp).stdout == "hello\n"


def test_no_sctp_forced_runs_over_tcp_and_says_so_once(run, no_sctp):
    done = run("--stack=kernel", "--force", sys.executable, "-c", PRINT_PROTOCOLS, before=no_sctp)
    assert (done.returncode, done.stdout) == (0, "[6, 6, 6]\n")
    assert re.fullmatch(r"sctpshim\[\d+\] \S+: warn: no SCTP here \(EPROTONOSUPPORT\): "
                        r"this program's connections stay TCP\n", done.stderr)


def test_check_says_why_there_is_no_sctp(run, no_sctp, library):
    done = run("--stack=kernel", "check", before=no_sctp)
    assert (done.returncode, done.stderr) == (69, NO_SCTP)
    assert done.stdout.splitlines()[0].startswith("no    SCTP over IPv4 ")
    assert done.stdout.splitlines()[-1] == f"ok    {'library':32} {library}"


# ---- Configuration: the program runs, the library says one line ----

def logged(done, *messages):
    """The program ran, and these error lines are all that was logged."""
    assert (done.returncode, done.stdout) == (0, "hello\n")
    lines = done.stderr.splitlines()
    assert [re.sub(r"^sctpshim\[\d+\] echo: error: ", "", line) for line in lines] == [*messages]


def test_bad_value_in_the_environment(run):
    logged(run("--force", "echo", "hello", SCTPSHIM_CHUNK="99m"),
           "environment: SCTPSHIM_CHUNK: expected a size from 1k to 64k, got '99m'")


def test_unknown_variable(run):
    logged(run("--force", "echo", "hello", SCTPSHIM_CHUNKS="8k"),
           "environment: SCTPSHIM_CHUNKS: expected the name of a variable "
           "(did you mean SCTPSHIM_CHUNK?), got '8k'")


def test_options_that_do_not_go_together(run):
    logged(run("--force", "--stream=12", "echo", "hello"),
           "environment: SCTPSHIM_STREAM: expected less than SCTPSHIM_OSTREAMS (10), got '12'")


def test_bad_lines_in_files(run, tmp_path):
    user = tmp_path / "config/sctpshim/sctpshim.conf"
    user.parent.mkdir(parents=True)
    user.write_text("[sctpshim]\nsack_delay = 5s\n\nchunks = 8k\n")
    named = tmp_path / "named.conf"
    named.write_text("[web]\naction = tcp\n")
    logged(run("--force", "--config", named, "echo", "hello"),
           f"{user}:2: sack_delay: expected milliseconds from 0 to 500, got '5s'",
           f"{user}:4: chunks: expected the name of an option (did you mean chunk?), got '8k'",
           f"{named}:1: expected section [sctpshim] or [rule NAME], got '[web]'")


def test_config_that_is_missing(run, tmp_path):
    logged(run("--force", f"--config={tmp_path}/none", "echo", "hello"),
           "environment: SCTPSHIM_CONFIG: expected a readable file (ENOENT), got "
           f"'{tmp_path}/none'")


def test_config_that_is_a_directory(run, tmp_path):
    logged(run("--force", f"--config={tmp_path}", "echo", "hello"),
           f"environment: SCTPSHIM_CONFIG: expected a readable file (EISDIR), got '{tmp_path}'")


def test_config_that_may_not_be_read(run, installed, public, root):
    secret = public / "secret.conf"
    secret.write_text("[sctpshim]\n")
    secret.chmod(0o600)
    logged(run("--force", f"--config={secret}", "echo", "hello", program=installed, user=NOBODY,
               HOME="/", XDG_CONFIG_HOME="/nonexistent"),
           f"environment: SCTPSHIM_CONFIG: expected a readable file (EACCES), got '{secret}'")


def test_home_of_somebody_else_is_no_mistake(run, installed, public, root):
    """A daemon that dropped its privileges may still have root's HOME."""
    home = public / "home"
    (home / "config/sctpshim").mkdir(parents=True)
    (home / "config/sctpshim/sctpshim.conf").write_text("nonsense\n")
    home.chmod(0o700)
    logged(run("--force", "echo", "hello", program=installed, user=NOBODY,
               XDG_CONFIG_HOME=home / "config"))


def test_mistakes_are_silent_with_the_log_off(run):
    logged(run("--force", "--log=off", "echo", "hello", SCTPSHIM_CHUNK="99m"))


def test_mistakes_go_to_the_log_file(run, tmp_path):
    logged(run("--force", f"--log-file={tmp_path}/log", "echo", "hello", SCTPSHIM_CHUNK="99m"))
    assert "SCTPSHIM_CHUNK: expected" in (tmp_path / "log").read_text()


def test_log_file_that_cannot_be_opened(run, tmp_path):
    logged(run("--force", f"--log-file={tmp_path}/none/log", "echo", "hello",
               SCTPSHIM_CHUNK="99m", SCTPSHIM_PPID="-1"),
           f"LOG_FILE: cannot open '{tmp_path}/none/log' (ENOENT), lines are lost until I can",
           "environment: SCTPSHIM_CHUNK: expected a size from 1k to 64k, got '99m'")


def test_set_id_program_takes_no_orders_from_its_caller(compiled, public, library, root, shim_env):
    """AT_SECURE seen by the library itself: a set-uid program that was linked with it."""
    local = public / "libsctpshim.so"
    shutil.copy(library, local)
    local.chmod(0o755)
    program = compiled("linked", HELLO, "-Wl,--no-as-needed", str(local),
                       f"-Wl,-rpath,{public}")
    os.chown(program, NOBODY, NOBODY)
    for mode, lines in ((0o755, 1), (0o4755, 0)):
        program.chmod(mode)
        done = subprocess.run([program], env={**shim_env, "SCTPSHIM_CHUNK": "99m"}, text=True,
                              capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "hello\n")
        assert done.stderr.count("SCTPSHIM_CHUNK: expected") == lines
