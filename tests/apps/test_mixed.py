# SPDX-License-Identifier: BSD-3-Clause
"""Real programs under prefer-sctp: with peers that have no shim, with each other, and through
filters that keep SCTP away."""

import contextlib
import os
from pathlib import Path

import pytest

import evidence
from exchange import HERE, PYTHON, start_upload_server
from filters import filtering
from programs import MB, Programs, free_port, sha256
from test_languages import classes                                           # noqa: F401
from test_nginx import start_nginx
from test_openssh import CONFIG as SSHD

LANGUAGES = HERE / "languages"
# Name: what the server is, what the client is, the filter between, what carries the bytes.
COMBINATIONS = {
    "to tcp": ("tcp", "both", None, "tcp"),
    "from tcp": ("both", "tcp", None, "tcp"),
    "shimmed": ("both", "both", None, "sctp"),
    "dropped": ("both", "both", "drop", "tcp"),
    "rejected": ("both", "both", "protocol", "tcp"),
    "black hole": ("both", "both", "drop answers", "tcp"),
}


def combined(*short):
    """Over these combinations in `make check`; over all of them in check-long."""
    return pytest.mark.parametrize("sides", [name if name in short else pytest.param(
        name, marks=pytest.mark.long) for name in COMBINATIONS], indirect=True)


# The others differ in what the kernel answers, not in what this program does: curl shows them.
either = combined("to tcp", "from tcp")


class Sides:
    """The server's and the client's way of starting programs, and what is to carry the bytes."""

    def __init__(self, combination, directory, launcher):
        server, client, self.filter, self.carrier = COMBINATIONS[combination]
        self.server = Programs(server, directory / "server", launcher)
        self.client = Programs(client, directory / "client", launcher)
        for programs in (self.server, self.client):
            programs.directory.mkdir()
            runtime = programs.directory / "run"
            runtime.mkdir(mode=0o700)
            programs.environment.update(SCTPSHIM_ACTION="prefer-sctp", SCTPSHIM_STACK="auto",
                                        XDG_RUNTIME_DIR=str(runtime),
                                        SCTPSHIM_FALLBACK_TIMEOUT="200")

    @contextlib.contextmanager
    def carries(self, connections=1, plain=0):
        """The right protocol has made so many connections; beside PLAIN ones of TCP's."""
        with evidence.counted() as seen:
            yield
        sctp, tcp = seen.sctp["PassiveEstabs"], seen.tcp["ActiveOpens"] - plain
        assert (sctp, tcp) == ((connections, 0) if self.carrier == "sctp" else (0, connections))


@pytest.fixture
def sides(request, tmp_path, launcher):
    """Both, with their filter."""
    if os.geteuid() != 0:
        pytest.skip("filters and counters need root")
    both = Sides(request.param, tmp_path, launcher)
    try:
        with filtering(both.filter) if both.filter else contextlib.nullcontext():
            yield both
    finally:
        both.client.stop()
        both.server.stop()


@combined("to tcp", "from tcp", "shimmed", "dropped")
def test_curl_and_nginx(sides, payload):
    source, copy = payload(MB), sides.client.directory / "copy"
    port = start_nginx(sides.server, source.parent, "sendfile on;")
    for _ in range(2):
        with sides.carries():
            sides.client.run("curl", "-sS", "--fail", "-o", copy,
                             f"http://127.0.0.1:{port}/files/{source.name}")
        assert sha256(copy) == sha256(source)


@combined("to tcp", "dropped")
def test_nginx_upstream(sides, payload):
    """nginx registers its client sockets in an epoll before it connects them."""
    source, copy = payload(MB), sides.client.directory / "copy"
    upstream = start_upload_server(sides.server, source.parent)
    port = start_nginx(sides.client, source.parent, upstream=upstream)
    plain = Programs("tcp", sides.client.directory, sides.client.launcher)
    for _ in range(2):
        with sides.carries(plain=1):
            plain.run("curl", "-sS", "--fail", "-o", copy,
                      f"http://127.0.0.1:{port}/upstream/{source.name}")
        assert sha256(copy) == sha256(source)


@either
def test_redis(sides, payload):
    port, source = free_port(), payload(MB)
    sides.server.start("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                       "--appendonly", "no", "--dir", sides.server.directory, port=port)
    cli = ["redis-cli", "-h", "127.0.0.1", "-p", port]
    with sides.carries(2):
        with open(source, "rb") as stream:
            assert sides.client.run(*cli, "-x", "set", "big", stdin=stream) == b"OK\n"
        assert sha256(sides.client.run(*cli, "--raw", "get", "big")[:-1]) == sha256(source)


@either
def test_ssh(sides, keys, payload):
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port, source = free_port(), payload(MB)
    config = sides.server.directory / "sshd_config"
    config.write_text(SSHD.format(port=port, directory=keys))
    sides.server.start("/usr/sbin/sshd", "-D", "-e", "-f", config, port=port)
    with sides.carries(), open(source, "rb") as stream:
        output = sides.client.run(
            "ssh", "-F", "none", "-i", keys / "user_key", "-o", f"Port={port}", "-o",
            "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o",
            f"UserKnownHostsFile={sides.client.directory}/known", "127.0.0.1", "cat",
            stdin=stream)
    assert sha256(output) == sha256(source)


def echoes(sides, program, payload):
    """An echo server and its client: 1 MB there and back."""
    port, source, copy = free_port(), payload(MB), sides.client.directory / "copy"
    sides.server.start(*program, "server", port, port=port)
    with sides.carries():
        sides.client.run(*program, "client", port, source, copy)
    assert sha256(copy) == sha256(source)


@either
def test_asyncio(sides, payload):
    echoes(sides, [PYTHON, LANGUAGES / "echo_asyncio.py"], payload)


@pytest.mark.long
@either
def test_node(sides, payload):
    echoes(sides, ["node", LANGUAGES / "echo.js"], payload)


@pytest.mark.long
@either
def test_java_nio(sides, payload, classes):                                  # noqa: F811
    echoes(sides, ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
                   classes, "EchoNio"], payload)
