# SPDX-License-Identifier: BSD-3-Clause
"""What the launcher does to a command: preload, environment, process, places it works from."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

SHOW = ("sh", "-c", 'printf "%s" "$LD_PRELOAD"')
EMPTY = "int sctpshim_test_nothing;"


def preload(run, *arguments, **keywords):
    """The entries of LD_PRELOAD in the command's environment."""
    done = run("--action=tcp", *arguments, *SHOW, **keywords)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split(":")


def copy_tree(top, directory):
    """Launcher, tool and library in a source tree of their own; the launcher."""
    for name in ("scripts/sctpshim", "build/libsctpshim.so", "build/sctpshim-tool"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(top / name, directory / name)
    return directory / "scripts/sctpshim"


@pytest.fixture
def libraries(compiled):
    """Real shared libraries under names that the launcher knows, and one that it does not."""
    return {name: str(compiled(name, EMPTY, "-shared", "-fPIC"))
            for name in ("libasan.so.8", "libubsan.so.1", "libclang_rt.tsan-x86_64.so", "libx.so")}


def test_preloads_the_library_by_its_absolute_path(run, library):
    assert preload(run) == [str(library)]


def test_library_is_really_loaded(run, tool):
    assert run("--action=tcp", str(tool), "loaded").returncode == 0
    assert subprocess.run([tool, "loaded"], check=False).returncode == 1


def test_keeps_what_is_preloaded(run, library, libraries):
    other = libraries["libx.so"]
    assert preload(run, LD_PRELOAD=f"libm.so.6 {other}") == [str(library), "libm.so.6", other]


def test_sanitizer_runtimes_stay_first(run, library, libraries):
    asan, ubsan, tsan, other = (libraries[name] for name in (
        "libasan.so.8", "libubsan.so.1", "libclang_rt.tsan-x86_64.so", "libx.so"))
    assert preload(run, LD_PRELOAD=f"{other}:{asan} {ubsan}:{tsan}") == [
        asan, ubsan, tsan, str(library), other]


def test_twice_is_once(run, launcher, library, libraries):
    other = libraries["libx.so"]
    assert preload(run, launcher, LD_PRELOAD=other) == [str(library), other]
    assert preload(run, LD_PRELOAD=f"{other} {library}") == [str(library), other]


def test_another_copy_of_the_library_is_replaced(run, library, top, tmp_path):
    other = tmp_path / "libsctpshim.so"
    shutil.copy(library, other)
    assert preload(run, LD_PRELOAD=str(other)) == [str(library)]


def test_helpers_do_not_run_under_the_preload(run, compiled, public):
    spy = compiled("libspy.so", """
        #define _GNU_SOURCE
        #include <errno.h>
        #include <stdio.h>
        #include <stdlib.h>
        __attribute__((constructor)) static void tell(void)
        {
            FILE *f = fopen(getenv("SPY"), "a");
            fprintf(f, "%s\\n", program_invocation_short_name);
            fclose(f);
        }""", "-shared", "-fPIC")
    seen = public / "seen"
    # The launcher's own shell, which the caller preloads into; then only the command.
    assert run("--action=tcp", "--", "env", LD_PRELOAD=spy, SPY=seen).returncode == 0
    assert seen.read_text().split() == ["sh", "env"]


def test_becomes_the_command(launcher, shim_env):
    with subprocess.Popen([launcher, "--action=tcp", "sh", "-c", "echo $$"], env=shim_env,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.communicate(timeout=60)[0] == f"{process.pid}\n"


def test_exit_status_is_the_commands(run):
    assert run("--action=tcp", "sh", "-c", "exit 37").returncode == 37
    assert run("--action=tcp", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM


def test_input_and_arguments_pass_unchanged(launcher, shim_env):
    words = ["", "a b", "*", "--chunk=1", "--", "'\"\\$HOME", "new\nline", "-"]
    done = subprocess.run([launcher, "--action=tcp", "--", "sh", "-c",
                           'cat; for word; do printf "<%s>" "$word"; done', "sh", *words],
                          env=shim_env, input="in put\n", text=True, capture_output=True,
                          timeout=60, check=False)
    assert done.stdout == "in put\n" + "".join(f"<{word}>" for word in words)
    assert done.stderr == ""


def test_runs_with_sctp_and_nothing_to_say(run, sctp):
    done = run("true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_subcommand_run_and_dashes_lead_to_commands_of_any_name(run, tmp_path):
    command = tmp_path / "check"
    command.write_text("#!/bin/sh\necho command $#\n")
    command.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    for words in (["run", "--action=tcp", "check"], ["--action=tcp", "--", "check"],
                  ["--action=tcp", "run", "--", "check"]):
        done = run(*words, "--force", "x", PATH=path)
        assert (done.stdout, done.stderr) == ("command 2\n", "")


def test_flags_are_variables_for_the_command(run, tmp_path):
    done = run("--action=tcp", "--chunk=8k", "--SACK-DELAY", "20", "--rto_min=200",
               "--log-file=some file", "--config", "c.conf", "sh", "-c",
               "env | grep ^SCTPSHIM_ | sort", cwd=tmp_path,
               SCTPSHIM_CHUNK="1k", SCTPSHIM_PPID="7")
    # c.conf does not exist: the library says so, in the file that it was given.
    assert done.stdout == (f"SCTPSHIM_ACTION=tcp\nSCTPSHIM_CHUNK=8k\n"
                           f"SCTPSHIM_CONFIG={tmp_path}/c.conf\n"
                           f"SCTPSHIM_LOG_FILE={tmp_path}/some file\nSCTPSHIM_PPID=7\n"
                           f"SCTPSHIM_RTO_MIN=200\nSCTPSHIM_SACK_DELAY=20\n")
    assert done.stderr == ""
    assert "SCTPSHIM_CONFIG: expected a readable file (ENOENT)" in (
        tmp_path / "some file").read_text()


def test_config_becomes_absolute(run, tmp_path):
    (tmp_path / "c.conf").write_text("[sctpshim]\n")
    done = run("--action=tcp", "sh", "-c", 'cd /; echo "$SCTPSHIM_CONFIG"; true',
               cwd=tmp_path, SCTPSHIM_CONFIG="c.conf")
    assert (done.stdout, done.stderr) == (f"{tmp_path}/c.conf\n", "")


def test_works_through_symbolic_links(run, launcher, library, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/first").symlink_to(launcher)
    (tmp_path / "bin/second").symlink_to("first")
    assert preload(run, program=tmp_path / "bin/second") == [str(library)]


def test_works_installed(run, installed, tool):
    prefix = installed.parents[1]
    assert preload(run, program=installed) == [f"{prefix}/lib/sctpshim/libsctpshim.so"]
    assert run("--action=tcp", str(tool), "loaded", program=installed).returncode == 0
    for name in ("share/man/man1/sctpshim.1", "share/man/man5/sctpshim.conf.5",
                 "share/sctpshim/sctpshim.conf", "libexec/sctpshim/sctpshim-tool"):
        assert (prefix / name).is_file(), name
    assert run("--version", program=installed).stdout.startswith("sctpshim ")


def test_works_below_a_directory_with_blanks(run, top, tmp_path, tool):
    there = tmp_path / "a  dir 'with' blanks"
    copy = copy_tree(top, there)
    assert preload(run, program=copy) == ["libsctpshim.so"]
    assert run("--action=tcp", str(tool), "loaded", program=copy).returncode == 0
    # Once more inside of itself, and with a search path of the caller's.
    done = run("--action=tcp", copy, "sh", "-c", 'echo "$LD_LIBRARY_PATH"', program=copy,
               LD_LIBRARY_PATH="/opt")
    assert done.stdout == f"{there}/build:/opt\n"
    assert run("--action=tcp", copy, str(tool), "loaded", program=copy).returncode == 0


@pytest.mark.parametrize("name", ["with:colon", "with blank; and semicolon"])
def test_a_directory_that_no_variable_can_hold_is_refused(run, top, tmp_path, name):
    copy = copy_tree(top, tmp_path / name)
    done = run("--action=tcp", "true", program=copy)
    assert done.returncode == 126
    assert done.stderr == (f"sctpshim: the library cannot be preloaded from {tmp_path}/{name}/"
                           "build/libsctpshim.so: rename the directory\n")


@pytest.mark.parametrize("part", ["libsctpshim.so", "sctpshim-tool"])
def test_a_missing_part_is_named(run, top, tmp_path, part):
    copy = copy_tree(top, tmp_path / "tree")
    missing = tmp_path / "tree/build" / part
    missing.unlink()
    done = run("--force", "true", program=copy)
    assert done.returncode == 126
    assert done.stderr == f"sctpshim: {missing} is missing; build it with make, or install again\n"


def test_help_needs_nothing_built(run, launcher, tmp_path):
    (tmp_path / "scripts").mkdir()
    copy = Path(shutil.copy(launcher, tmp_path / "scripts/sctpshim"))
    done = run("--help", program=copy)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: sctpshim [run]")
    assert done.stderr == ""


def test_version(run):
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    name, version = done.stdout.split()
    assert name == "sctpshim" and all(part.isdigit() for part in version.split("."))
