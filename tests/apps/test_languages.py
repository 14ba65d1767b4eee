# SPDX-License-Identifier: BSD-3-Clause
"""What the standard libraries of languages make of a socket: buffers, threads, event loops,
half-close, sendfile, connections that change processes."""

import subprocess

import pytest

from exchange import HERE, PYTHON, echo
from programs import MB, free_port, sha256

PROGRAMS = HERE / "languages"
RUBY, NODE = ["ruby", PROGRAMS / "http.rb"], ["node", PROGRAMS / "http.js"]
long = pytest.mark.long


def test_perl(app, payload):
    """IO::Socket: buffered handles, a child for each connection."""
    echo(app, ["perl", PROGRAMS / "echo.pl"], payload)


def test_asyncio(app, payload):
    """Python's asyncio streams."""
    echo(app, [PYTHON, PROGRAMS / "echo_asyncio.py"], payload)


def test_fd_passing(app, payload):
    """Connections that go to another process by SCM_RIGHTS, at the server and half-way through."""
    echo(app, [PYTHON, PROGRAMS / "echo_passing.py"], payload)


def test_multiprocessing(app, payload):
    """multiprocessing.connection and a Manager over AF_INET."""
    script, port, source = PROGRAMS / "processes.py", free_port(), payload(4 * MB)
    app.start(PYTHON, script, "listener", port, port=port)
    with app.carries(8 * MB, port=port):
        assert app.run(PYTHON, script, "connect", port, source).decode() == sha256(source)
    port = free_port()
    app.start(PYTHON, script, "manager", port, port=port)
    with app.carries(2 * MB, connections=5):
        assert app.run(PYTHON, script, "workers", port, payload(MB)) == b"4 x " + \
            sha256(payload(MB)).encode()


@long
def test_ruby(app, payload):
    """Ruby's TCPServer with threads, IO.copy_stream."""
    echo(app, ["ruby", PROGRAMS / "echo.rb"], payload)


@long
def test_node(app, payload):
    """Node's net module."""
    echo(app, ["node", PROGRAMS / "echo.js"], payload)


@long
@pytest.mark.parametrize("policy", ["rr", "none"])
def test_node_cluster(app, payload, policy):
    """Node's cluster: workers are handed connections, or share the listening socket."""
    app.environment.update(ECHO_WORKERS="2", NODE_CLUSTER_SCHED_POLICY=policy)
    echo(app, ["node", PROGRAMS / "echo.js"], payload)


@pytest.fixture(scope="session")
def classes(public):
    """The compiled Java programs."""
    directory = public / "java"
    subprocess.run(["javac", "-d", directory, *PROGRAMS.glob("*.java")], check=True, timeout=170)
    return directory


@long
@pytest.mark.parametrize("program", ["Echo", "EchoNio"])
def test_java(app, payload, classes, program):
    """Java's Socket with threads, and NIO with a Selector and transferTo."""
    echo(app, ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes,
               program], payload)


@pytest.mark.parametrize("server, client", [
    pytest.param([PYTHON, HERE / "upload_server.py"], ["bash", PROGRAMS / "http.bash"], id="bash"),
    pytest.param(RUBY, RUBY, id="ruby", marks=long),
    pytest.param(NODE, NODE, id="node", marks=long)])
def test_http(app, payload, server, client):
    """A language's HTTP at both ends: 8 MB up, other 8 MB down."""
    up, down, copy = payload(8 * MB), payload(8 * MB, 8 * MB), app.directory / "copy"
    port = free_port()
    role = [] if server[0] == PYTHON else ["server"]
    app.start(*server, *role, port, up.parent, port=port)
    with app.carries(16 * MB, port=port):
        answer = app.run(*client, "client", port, up, down.name, copy)
    assert answer.decode() == sha256(up)
    assert sha256(copy) == sha256(down)
