# SPDX-License-Identifier: BSD-3-Clause
"""Tests of the harness itself: the guest has to be as good as running the command here.

They start guests, so they run outside of one: `make check` calls them on their own.
"""

import functools
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

GUEST = Path(__file__).with_name("guest")
LIMIT = 90
QEMU = {"GUEST": "qemu"}


@pytest.fixture
def temporary(tmp_path_factory):
    """A short directory for the harness's own files, which has to be empty afterwards."""
    directory = tmp_path_factory.mktemp("vm")
    yield directory
    assert not glob.glob(f"{directory}/sctpshim-vm.*"), "files were left behind"
    assert not guests(directory), "processes were left behind"


@pytest.fixture
def public():
    """A directory that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="sctpshim-test-") as directory:
        os.chmod(directory, 0o1777)
        yield Path(directory)


def guests(directory):
    """The processes of guests whose files are in DIRECTORY."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = Path(path).read_bytes()
        except OSError:
            continue
        if re.search(rb"linux\.uml|qemu-system", words) and os.fsencode(directory) in words:
            found.append(int(path.split("/")[2]))
    return found


@pytest.fixture
def guest(temporary):
    """A function that runs a command in a guest; options in a list of their own."""
    def run(*command, options=(), environment=None, **keywords):
        keywords.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([GUEST, *options, "--", *command], timeout=LIMIT, check=False,
                              capture_output=True,
                              env={**os.environ, "TMPDIR": str(temporary), **(environment or {})},
                              **keywords)
    return run


def test_arguments_environment_directory_and_status(guest, tmp_path):
    words = ["a b", "it's", 'say "x"', "two\nlines\n", "", "\\n $HOME `id` *", "-t", "\u00fc"]
    directory = tmp_path / "a directory's name"
    directory.mkdir()
    (directory / "show").write_text(
        "import os, sys\nprint(repr(sys.argv[1:]))\nprint(os.environ['SCTPSHIM_X'])\n"
        "print(os.getcwd())\nsys.exit(57)\n")
    done = guest("python3", "show", *words, cwd=directory, environment={"SCTPSHIM_X": "it's\n2"})
    assert done.stdout.decode() == f"{words!r}\nit's\n2\n{directory}\n"
    assert done.returncode == 57
    assert re.fullmatch(rb"tests/vm/run: running in a User-Mode Linux guest \(kernel [0-9.]+\)\n",
                        done.stderr)


def test_signal_status(guest):
    assert guest("sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL


def test_unknown_command(guest):
    done = guest("no-such-command")
    assert done.returncode == 127
    assert b"no-such-command: not found" in done.stderr


def test_output_is_whole_and_unchanged(guest):
    program = ("import os\n"
               "for i in range(3000):\n"
               "    os.write(1, bytes(range(256)) * 4)\n"
               "    os.write(2, b'\\r\\n\\t%d\\004\\003' % i)\n"
               "if os.fork() == 0:\n"                       # left running, holding the pipes
               "    import time\n"
               "    time.sleep(1000)\n")
    done = guest("python3", "-c", program)
    assert done.returncode == 0
    assert done.stdout == bytes(range(256)) * 12000
    said = done.stderr.partition(b"\n")[2]
    assert said == b"".join(b"\r\n\t%d\004\003" % i for i in range(3000))


def test_output_comes_while_the_command_runs(temporary):
    with subprocess.Popen([GUEST, "sh", "-c", "echo first; sleep 5; echo second"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL,
                          env={**os.environ, "TMPDIR": str(temporary)}) as process:
        assert process.stdout.readline() == b"first\n"
        seen = time.monotonic()
        assert process.stdout.readline() == b"second\n"
        assert time.monotonic() - seen > 1
        assert process.wait(LIMIT) == 0


def test_what_a_guest_has(guest):
    program = """set -ex
        python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)'
        for directory in /tmp /run /dev/shm; do
            [ "$(stat -f -c %T $directory)" = tmpfs ]
        done
        [ -c /dev/null ] && [ -c /dev/urandom ] && [ -c /dev/ptmx ] && [ -d /dev/pts ]
        echo x | cat /dev/stdin >/dev/stdout
        grep -q '^sctp_diag ' /proc/modules
        ip link add left type veth peer name right
        tc qdisc add dev left root netem delay 10ms
        ip -br address show lo | grep -q 127.0.0.1
        [ "$(ulimit -n)" = 1024 ] && [ "$(ulimit -Hn)" -ge 65536 ]
        [ -z "${TMPDIR-}" ] && [ "$(hostname)" = "$EXPECTED" ]
        python3 -c 'import os; os.getrandom(32)'"""
    done = guest("sh", "-c", program, environment={"EXPECTED": os.uname().nodename})
    assert (done.returncode, done.stdout) == (0, b"x\n"), done.stderr


def test_written_files_are_there_afterwards(guest, tmp_path):
    done = guest("sh", "-c", "head -c 5000000 /dev/zero >zeros; mkdir d; echo x >d/e", cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "zeros").read_bytes() == bytes(5000000)
    assert (tmp_path / "d/e").read_text() == "x\n"


def test_time_limit(guest):
    begin = time.monotonic()
    assert guest("true").returncode == 0
    boot = time.monotonic() - begin
    limit = 3 + round(2 * boot)
    done = guest("sh", "-c", "echo started; sleep 1000", options=["-t", str(limit)])
    assert done.returncode == 124
    assert done.stdout == b"started\n"
    assert f"timed out after {limit} s, guest killed".encode() in done.stderr
    assert time.monotonic() - begin < boot + limit + 60


def test_time_limit_while_booting(guest):
    done = guest("true", options=["-t", "1"])
    assert done.returncode == 124
    assert b"before the guest had booted" in done.stderr
    assert b"    Checking" in done.stderr                    # the console's last lines


def test_panic(guest):
    done = guest("sh", "-c", "echo started; sleep 1; echo c >/proc/sysrq-trigger; sleep 1000")
    assert done.returncode == 70
    assert done.stdout == b"started\n"
    assert b"the guest's kernel panicked" in done.stderr
    assert b"Kernel panic - not syncing: sysrq triggered crash" in done.stderr


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_interrupt(temporary, which):
    """Not ignored, as it is by what a shell has started in the background: by this test, perhaps."""
    with subprocess.Popen([GUEST, "sh", "-c", "echo started; sleep 1000"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "TMPDIR": str(temporary)},
                          preexec_fn=lambda: signal.signal(which, signal.SIG_DFL)) as process:
        assert process.stdout.readline() == b"started\n"
        process.send_signal(which)
        _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + which
    assert b"interrupted, guest stopped" in said


def test_killed_harness_takes_its_guest_along(tmp_path):
    with subprocess.Popen([GUEST, "sh", "-c", "echo started; sleep 1000"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL,
                          env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        assert process.stdout.readline() == b"started\n"
        assert guests(tmp_path)
        process.kill()
        process.wait(LIMIT)
    end = time.monotonic() + LIMIT
    while guests(tmp_path):
        assert time.monotonic() < end, "the guest runs on"
        time.sleep(0.1)


def test_two_at_once(temporary):
    environment = {**os.environ, "TMPDIR": str(temporary)}
    both = [subprocess.Popen([GUEST, "sh", "-c", f"echo {i}; sleep 3; exit {i}"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, env=environment) for i in (11, 22)]
    assert [p.communicate(timeout=LIMIT)[0] for p in both] == [b"11\n", b"22\n"]
    assert [p.returncode for p in both] == [11, 22]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root can")
def test_other_user(public):
    tree = public / "tree"
    shutil.copytree(GUEST.parent, tree / "tests/vm")
    tree.chmod(0o777)
    done = subprocess.run([tree / "tests/vm/guest", "sh", "-c", "id -u; echo x >file"],
                          user=65534, group=65534, extra_groups=[], cwd=tree, timeout=LIMIT,
                          capture_output=True, check=False, stdin=subprocess.DEVNULL,
                          env={"PATH": "/usr/bin:/bin", "TMPDIR": str(public)})
    assert (done.returncode, done.stdout) == (0, b"0\n"), done.stderr
    assert (tree / "file").stat().st_uid == 65534
    assert not glob.glob(f"{public}/sctpshim-vm.*")


@pytest.mark.parametrize("kind, packages, group", [
    ("uml", "user-mode-linux kmod", "test"),
    ("qemu", "qemu-system-x86 busybox-static kmod( linux-image-amd64)?", "qemu")])
def test_missing_packages_are_named(tmp_path, kind, packages, group):
    for name in ("sh", "dirname", "ip"):
        (tmp_path / name).symlink_to(shutil.which(name))
    copy = shutil.copytree(GUEST.parent, tmp_path / "tests/vm") / "guest"
    copy.write_text(copy.read_text().replace("PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin", ""))
    done = subprocess.run([copy, "true"], env={"PATH": str(tmp_path), "GUEST": kind}, text=True,
                          capture_output=True, timeout=LIMIT, check=False)
    assert done.returncode == 69
    assert re.search(f"needs: {packages}\n", done.stderr), done.stderr
    assert f"install with: scripts/setup {group}\n" in done.stderr


def test_unknown_kind(guest):
    done = guest("true", environment={"GUEST": "other"})
    assert done.returncode == 64
    assert b"GUEST: expected uml or qemu, got 'other'" in done.stderr


@pytest.mark.parametrize("options", [["-t", "soon"], ["-m", "much"], ["-x"], []])
def test_usage_errors(options):
    done = subprocess.run([GUEST, *options], capture_output=True, timeout=LIMIT, check=False)
    assert done.returncode == 64
    assert done.stderr


# ---- The QEMU guest ----

@functools.cache
def missing():
    """The packages that it lacks here."""
    done = subprocess.run([GUEST.with_name("qemu"), "missing"], check=True, timeout=LIMIT,
                          env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
                          capture_output=True, text=True)
    return done.stdout.split()


def qemu(test):
    """A test that boots it: slow, and only where everything for it is there."""
    skip = pytest.mark.skipif(missing(), reason=f"{' '.join(missing())} missing: scripts/setup qemu")
    return pytest.mark.long(skip(test))


@qemu
@pytest.mark.parametrize("command, status", [("true", 0), ("false", 1), ("kill -KILL $$", 137)])
def test_qemu_status(guest, command, status):
    done = guest("sh", "-c", command, environment=QEMU)
    assert (done.returncode, done.stdout) == (status, b""), done.stderr
    assert re.fullmatch(rb"tests/vm/run: running in a QEMU guest \(software emulation, processors: "
                        rb"[12], kernel \S+\)\n", done.stderr)


@qemu
def test_qemu_guest_has_what_the_benchmark_needs(guest, tmp_path):
    program = """set -ex
        /usr/bin/python3 -c 'from socket import *; socket(AF_INET, SOCK_STREAM, 132).listen()'
        grep -q 'model name.*QEMU' /proc/cpuinfo
        ip link add left type veth peer name right
        tc qdisc add dev left root netem delay 10ms
        [ "$(stat -f -c %T /tmp)" = tmpfs ]
        echo x >file"""
    done = guest("sh", "-c", program, cwd=tmp_path, environment=QEMU)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_text() == "x\n"


@qemu
def test_qemu_output_is_whole_and_apart(guest):
    program = "import os; os.write(2, b'\\r\\n\\004'); os.write(1, bytes(range(256)) * 500)"
    done = guest("/usr/bin/python3", "-c", program, environment=QEMU)
    assert (done.returncode, done.stdout) == (0, bytes(range(256)) * 500)
    assert done.stderr.partition(b"\n")[2] == b"\r\n\004"


@qemu
def test_qemu_time_limit(guest):
    done = guest("sh", "-c", "echo started; sleep 1000", options=["-t", "60"], environment=QEMU)
    assert (done.returncode, done.stdout) == (124, b"started\n"), done.stderr
    assert b"timed out after 60 s, guest killed" in done.stderr
