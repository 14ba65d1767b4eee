# SPDX-License-Identifier: BSD-3-Clause
"""OpenSSH: sshd re-executes itself, separates privileges, and sandboxes what reads the network."""

import os
import select
import subprocess
import termios
import time
from pathlib import Path

import pytest

from exchange import POST_AND_GET, post_and_get, start_upload_server
from programs import LIMIT, MB, free_port, sha256

# HOME: what the account's own shell files do (and how long they take) is no part of the test.
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
LogLevel VERBOSE
SetEnv HOME={directory}
"""


@pytest.fixture
def ssh(app, keys):
    """Start sshd; the options that ssh and scp need to reach it, and its port."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port, config = free_port(), app.directory / "sshd_config"
    config.write_text(CONFIG.format(port=port, directory=keys))
    app.start("/usr/sbin/sshd", "-D", "-e", "-f", config, port=port)
    options = ["-F", "none", "-i", str(keys / "user_key"), "-o", f"Port={port}"]
    for option in ("IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=no",
                   f"UserKnownHostsFile={app.directory}/known_hosts", "ConnectTimeout=20"):
        options += ["-o", option]
    return options, port


def test_command(app, ssh):
    """A command's input, output and exit status; the association as it is seen from inside."""
    options, port = ssh
    script = "cat; cat /proc/net/sctp/assocs; exit 7"
    with app.carries(1000):
        output = app.run("ssh", *options, "127.0.0.1", script, input=b"to and fro\n", status=7)
    lines = output.decode().splitlines()
    assert lines[0] == "to and fro"
    ports = [row.split()[11:13] for row in lines[2:]]
    assert any(str(port) in pair for pair in ports) == (app.transport == "sctp"), lines


def test_bulk_through_pipe(app, ssh, payload):
    """8 MB each way at the same time through `cat` on the other side."""
    options, port = ssh
    source = payload(8 * MB)
    with app.carries(16 * MB, port=port), open(source, "rb") as stream:
        output = app.run("ssh", *options, "127.0.0.1", "cat", stdin=stream)
    assert sha256(output) == sha256(source)


def test_scp(app, ssh, payload):
    """8 MB there and back again."""
    options, port = ssh
    source = payload(8 * MB)
    there, back = app.directory / "there", app.directory / "back"
    with app.carries(16 * MB, connections=2, port=port):
        app.run("scp", *options, source, f"127.0.0.1:{there}")
        app.run("scp", *options, f"127.0.0.1:{there}", back)
    assert sha256(there) == sha256(back) == sha256(source)


@pytest.mark.parametrize("kind", ["local", "remote", "dynamic"])
def test_forwarding(app, ssh, payload, kind):
    """-L, -R, -D: curl to an HTTP server through ssh and sshd; each hop is an association."""
    options, port = ssh
    server, forward = start_upload_server(app, payload(1).parent), free_port()
    there = f"127.0.0.1:{forward}:127.0.0.1:{server}"
    words = {"local": ["-L", there], "remote": ["-R", there],
             "dynamic": ["-D", f"127.0.0.1:{forward}"]}[kind]
    app.start("ssh", *options, "-o", "ExitOnForwardFailure=yes", "-N", *words, "127.0.0.1",
              port=forward)
    target, proxy = f"http://127.0.0.1:{forward}", []
    if kind == "dynamic":
        target, proxy = f"http://127.0.0.1:{server}", ["--socks5", f"127.0.0.1:{forward}"]
    with app.carries(3 * POST_AND_GET, connections=4, port=port):
        post_and_get(app, target, payload, *proxy)


class Terminal:
    """A program on a terminal of its own: what it shows, and what is typed."""

    def __init__(self, argv, environment):
        self.master, slave = os.openpty()
        self.resize(33, 101)
        self.process = subprocess.Popen(["setsid", "--ctty", "--wait", *argv], stdin=slave,
                                        stdout=slave, stderr=slave, env=environment)
        os.close(slave)
        self.shown = bytearray()

    def resize(self, rows, columns):
        """Change the window's size, which signals the program."""
        termios.tcsetwinsize(self.master, (rows, columns))

    def read(self):
        """Take what the program shows."""
        if select.select([self.master], [], [], 1)[0]:
            self.shown += os.read(self.master, 1 << 16)

    def type(self, keys):
        """Press these keys, slowly enough for the terminal."""
        while keys:
            keys = keys[os.write(self.master, keys[:1000]):]

    def expect(self, line, limit=LIMIT):
        """Wait until LINE is shown; what was shown before it."""
        line, end, searched = line + b"\r\n", time.monotonic() + limit, 0
        while (found := self.shown.find(line, max(0, searched - len(line)))) < 0:
            assert time.monotonic() < end, f"no {line!r}; the last shown: {self.shown[-500:]}"
            searched = len(self.shown)
            self.read()
        before, self.shown = self.shown[:found], self.shown[found + len(line):]
        return before

    def ask(self, command):
        """Run a command that shows one line; that line."""
        self.type(command + b"\r")
        return self.expect(b"")

    def finish(self):
        """The program's exit status, after its end."""
        status = self.process.wait(60)
        os.close(self.master)
        return status


@pytest.mark.long
def test_terminal(app, ssh, payload):
    """A shell on a terminal: window sizes, 3 MB shown, a key that interrupts, keys to a file."""
    options, _ = ssh
    source, typed = payload(MB), app.directory / "typed"
    with app.carries(MB):
        shell = Terminal(app.command("ssh", *options, "-tt", "127.0.0.1", "/bin/sh"),
                         app.environment)
        shell.type(b"PS1=; stty -echo; echo rea''dy\r")
        shell.expect(b"ready")
        assert shell.ask(b"stty size") == b"33 101"
        shell.resize(40, 120)
        while shell.ask(b"stty size") != b"40 120":
            time.sleep(0.2)
        shell.type(b"od -v -An -tx1 %s; echo en''d\r" % bytes(source))
        shown = shell.expect(b"end")
        shell.type(b"sleep 100; echo not interrupted\r")
        time.sleep(1)
        shell.type(b"\x03")
        shell.type(b"cat >%s; echo sto''red\r" % bytes(typed))
        shell.type(b"".join(b"line %d\r" % number for number in range(1000)) + b"\x04")
        before = shell.expect(b"stored")
        shell.type(b"exit 5\r")
        assert shell.finish() == 5
    assert bytes.fromhex(shown.decode()) == source.read_bytes()
    assert b"not interrupted" not in before
    assert typed.read_bytes() == b"".join(b"line %d\n" % number for number in range(1000))
