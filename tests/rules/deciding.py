# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the rules' tests: plain TCP's and plain SCTP's peers, and programs under rules."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).parent
IPPROTO_SCTP = 132


class Echo:
    """A server of one protocol that sends everything back, and notes how long each piece was."""

    def __init__(self, protocol, family=socket.AF_INET, port=0):
        self.pieces, self.peers = [], []
        self._listener = socket.socket(family, socket.SOCK_STREAM, protocol)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        self._listener.listen(128)
        self._listener.settimeout(0.1) # who waits in accept() keeps the port
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                sock, peer = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.peers.append(peer)
            threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, sock):
        with sock:
            try:
                while data := sock.recv(100000):
                    self.pieces.append(len(data))
                    sock.send(data)
            except OSError:
                pass

    def close(self):
        """No more."""
        self._listener.close()
        self._thread.join()


@pytest.fixture
def runtime(shim_env, tmp_path):
    """A runtime directory of the test's own, so that nothing is known from others; the ledger's."""
    place = tmp_path / "runtime"
    place.mkdir(mode=0o700)
    shim_env["XDG_RUNTIME_DIR"] = str(place)
    return place / "sctpshim"


@pytest.fixture
def tcp_echo():
    """A plain TCP server."""
    server = Echo(socket.IPPROTO_TCP)
    yield server
    server.close()


@pytest.fixture
def sctp_echo(sctp):
    """A plain SCTP server."""
    server = Echo(IPPROTO_SCTP)
    yield server
    server.close()


def free_port():
    """A port that neither protocol has on any address."""
    for _ in range(50):
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_STREAM,
                                                   IPPROTO_SCTP) as sctp:
            tcp.bind(("", 0))
            port = tcp.getsockname()[1]
            try:
                sctp.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free in both protocols")


@pytest.fixture
def port(sctp):
    """See free_port()."""
    return free_port()


class Played:
    """What a program has shown."""

    def __init__(self, done):
        self.stderr, self.seen = done.stderr, {}
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            self.seen.update(json.loads(line))

    def __getitem__(self, label):
        return self.seen[label]


@pytest.fixture
def play(library, shim_env, sctp, tmp_path):
    """A function: runs a Python text that shows values with see(label, value).

    RULES is a configuration file's text, or None for plain TCP; arguments follow the text as
    `args`. Keywords in capitals are settings. start() instead of calling gives the process.
    """
    def command(rules, text, *arguments, **settings):
        environment = {**shim_env, "PYTHONDONTWRITEBYTECODE": "",      # stage.py is compiled once
                       "PYTHONPATH": f"{HERE}:{HERE.parent / 'conformance'}",
                       **{f"SCTPSHIM_{name}": str(value) for name, value in settings.items()}}
        if rules is not None:
            file = tmp_path / "rules.conf"
            file.write_text(rules)
            environment.update(LD_PRELOAD=str(library), SCTPSHIM_CONFIG=str(file))
        text = f"from stage import *\n{text}"
        return [sys.executable, "-S", "-c", text, *map(str, arguments)], environment

    def run(rules, text, *arguments, **settings):
        words, environment = command(rules, text, *arguments, **settings)
        return Played(subprocess.run(words, env=environment, text=True, capture_output=True,
                                     stdin=subprocess.DEVNULL, timeout=100, check=False))

    def start(rules, text, *arguments, **settings):
        words, environment = command(rules, text, *arguments, **settings)
        return subprocess.Popen(words, env=environment, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    run.start = start
    return run
