# SPDX-License-Identifier: BSD-3-Clause
"""memcached's text protocol: worker threads over libevent, pipelined commands, large values."""

import os
import subprocess

import pytest

from programs import MB, free_port, sha256


@pytest.fixture
def memcached(app):
    """The words of a client for a running server: what goes in on stdin is sent to it."""
    port = free_port()
    user = ["-u", "root"] if os.geteuid() == 0 else []
    app.start("memcached", *user, "-l", "127.0.0.1", "-p", port, "-U", 0, "-m", 128, "-I", "8m",
              "-t", 2, port=port)
    return ["nc", "127.0.0.1", port]


def test_value(app, memcached, payload):
    """A value of 4 MB goes in over one connection and comes out over another."""
    source = payload(4 * MB)
    data = source.read_bytes()
    with app.carries(8 * MB, connections=2):
        stored = app.run(*memcached, input=b"set key 7 0 %d\r\n%s\r\nquit\r\n" % (len(data), data))
        answer = app.run(*memcached, input=b"get key\r\nquit\r\n")
    assert stored == b"STORED\r\n"
    start = b"VALUE key 7 %d\r\n" % len(data)
    assert answer.startswith(start) and answer.endswith(b"\r\nEND\r\n")
    assert sha256(answer[len(start):-len(b"\r\nEND\r\n")]) == sha256(source)


def test_pipelined_counters(app, memcached):
    """Four clients at a time pipeline 1000 increments each; none is lost."""
    count, commands = 1000, app.directory / "commands"
    commands.write_bytes(b"incr n 1\r\n" * count + b"quit\r\n")
    with app.carries(4 * count * 10, connections=6):
        assert app.run(*memcached, input=b"set n 0 0 1\r\n0\r\nquit\r\n") == b"STORED\r\n"
        clients = []
        for number in range(4):
            with open(commands, "rb") as source, open(app.directory / f"{number}", "wb") as sink:
                clients.append(app.background(*memcached, stdin=source, stdout=sink,
                                              stderr=subprocess.DEVNULL))
        assert [client.wait() for client in clients] == [0] * 4
        total = app.run(*memcached, input=b"get n\r\nquit\r\n").split()
    assert int(total[4]) == 4 * count
    for number in range(4):
        answers = [int(line) for line in (app.directory / f"{number}").read_text().split()]
        assert len(answers) == count and answers == sorted(set(answers))
