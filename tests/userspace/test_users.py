# SPDX-License-Identifier: BSD-3-Clause
"""Programs that change their user, and users whom a broker does not know: all of it needs root."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hosts import LIMIT, PEER, until

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

SERVER = """if True:
    import os, socket, sys
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(5)
    {become}
    print("listens", s.getsockname()[1], flush=True)
    while True:
        c, peer = s.accept()
        c.sendall(f"{{peer[1]}} {{c.getpeername()[1]}}".encode())
        c.close()
"""
CLIENT = """if True:
    import socket, sys
    s = socket.create_connection(("127.0.0.1", {port}))
    print(s.recv(100).decode(), s.getsockname()[1])
"""


def served(host, become):
    """What a server that has done this knows of its client: the port, twice, then what it really is."""
    server = host.start(sys.executable, "-c", SERVER.format(become=become))
    port = server.stdout.readline().split()[1]
    done = host.run(sys.executable, "-c", CLIENT.format(port=port))
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("become", [
    f"os.setgid({NOBODY}); os.setuid({NOBODY})",
    "os.chroot('/proc/self/fdinfo')",
    f"os.chroot('/proc/self/fdinfo'); os.setgid({NOBODY}); os.setuid({NOBODY})",
    f"os.environ.clear(); os.setgid({NOBODY}); os.setuid({NOBODY})",
], ids=["user", "root directory", "both", "environment"])
def test_a_worker_that_has_changed_accepts(host, become):
    first, second, real = served(host, become)
    assert first == second == real


def as_nobody(host, *command, **settings):
    return subprocess.run([*host.entry, "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                           "--clear-groups", *map(str, command)], text=True, capture_output=True,
                          timeout=LIMIT, check=False, env={**host.environment, **settings})


@pytest.fixture(scope="module")
def for_all(top):
    """Copies of what was built that every user can read."""
    directory = Path(tempfile.mkdtemp(prefix="sctpshim-users-"))
    directory.chmod(0o755)
    for name in ("libsctpshim.so", "sctpshimd", "tests/userspace/ask"):
        subprocess.run(["install", "-m", "755", top / "build" / name, directory], check=True)
    yield directory
    shutil.rmtree(directory)


def test_another_user_gets_names_only(host, for_all):
    """What root's broker says to whom: its counts are nobody else's business."""
    host.broker("--foreground")
    until(host.status, "it runs")
    for question, answer in ((["status"], "nothing"), (["names", "127.83.0.9", 1], "answer ENOENT"),
                             (["listen", "127.83.0.1", 80], "nothing"),
                             (["connect", "127.83.0.9", 1, "127.0.0.1", 9], "nothing")):
        assert as_nobody(host, for_all / "ask", 0, *question).stdout == f"{answer}\n", question


def brokers(host):
    """The pids of all users' brokers."""
    lines = host.plain("ss", "-Hlxp").splitlines()
    return [int(line.partition("pid=")[2].split(",")[0]) for line in lines
            if "@sctpshim-broker-" in line]


@pytest.mark.parametrize("options, count", [((), 2), (("--shared",), 1)], ids=["own", "shared"])
def test_another_users_programs(host, for_all, options, count):
    """They have a broker of their own, unless root's serves all; both ways they are connected."""
    broker = host.broker("--foreground", *options)
    until(host.status, "it runs")
    port = host.peer("echo", "127.0.0.1").stdout.readline().split()[1]
    done = as_nobody(host, sys.executable, "-c", f"""if True:
        import socket
        s = socket.create_connection(("127.0.0.1", {port}))
        s.sendall(b"hello")
        print(s.recv(10), s.getpeername())""", LD_PRELOAD=f"{for_all}/libsctpshim.so",
                     SCTPSHIM_LOG_FILE="")
    running = brokers(host)
    for pid in running:
        if pid != broker.pid:
            os.kill(pid, signal.SIGTERM)
    assert done.stdout == f"b'hello' ('127.0.0.1', {port})\n", done.stderr
    assert len(running) == count


def test_nobody_is_called_in_anothers_name(host, for_all):
    """Who asks a shared broker for a connection of a socket that is not his gets none there."""
    host.broker("--foreground", "--shared")
    until(host.status, "it runs")
    echo, victim = host.peer("echo", "127.0.0.1"), host.peer("echo", "127.0.0.1")
    port, at = (server.stdout.readline().split()[1] for server in (echo, victim))
    line = next(line for line in host.plain("ss", "-Htln").splitlines() if f":{at} " in line)
    leg = line.split()[3].rpartition(":")[0]
    question = ["connect", leg, at, "127.0.0.1", port]
    assert as_nobody(host, for_all / "ask", 0, *question).stdout == "answer 0\n"
    until(lambda: "2 made, 2 came" in host.status() or "1 made, 1 came" in host.status(),
          "the association is there")
    until(lambda: ": 0 associations, 0 legs" in host.status(), "it is given up")
    # The first one that the victim has is an honest one.
    assert "got hello" in host.run(sys.executable, PEER, "names", "127.0.0.1", at).stdout
    victim.kill()
    assert victim.stdout.read().count("accepted") == 1
