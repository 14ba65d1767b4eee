# SPDX-License-Identifier: BSD-3-Clause
"""prefer-sctp in user space: connects that the broker cannot make go on over TCP."""

import json
import sys

import pytest

ECHO = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    conn, _ = server.accept()
    conn.sendall(conn.recv(100))
"""
CLIENT = """
import json, os, select, socket, sys
port, kind = int(sys.argv[1]), sys.argv[2]
sock = socket.socket()
sock.setsockopt(6, 4, 77)                    # TCP_KEEPIDLE
sock.setsockopt(6, 1, 1)                     # TCP_NODELAY
sock.setsockopt(1, 9, 1)                     # SO_KEEPALIVE
sock.setsockopt(1, 7, 50000)                 # SO_SNDBUF
sock.setsockopt(0, 1, 0x10)                  # IP_TOS
epoll = select.epoll()
if kind != "blocking":
    sock.setblocking(False)
    epoll.register(sock, select.EPOLLOUT)
error = sock.connect_ex(("127.0.0.1", port))
if kind != "blocking":
    assert error == 115, error
    assert [(fd == sock.fileno(), bits & 4) for fd, bits in epoll.poll(20)] == [(True, 4)]
    error = sock.getsockopt(1, 4)
    sock.setblocking(True)
print(json.dumps({"error": error}), flush=True)
if not error:
    sock.sendall(b"ping")
    print(json.dumps({
        "answer": sock.recv(9).decode(), "peer": sock.getpeername()[1] == port,
        "options": [sock.getsockopt(6, 4), sock.getsockopt(6, 1) > 0, sock.getsockopt(1, 9),
                    sock.getsockopt(1, 7), sock.getsockopt(0, 1)]}), flush=True)
"""
KINDS = ["blocking", "epoll"]


def client(host, port, kind, **settings):
    """What the client shows, and the lines that are new in the log."""
    before = len(host.log().splitlines())
    done = host.run(sys.executable, "-c", CLIENT, str(port), kind, SCTPSHIM_ACTION="prefer-sctp",
                    **settings)
    assert done.returncode == 0, done.stderr
    seen = {}
    for line in done.stdout.splitlines():
        seen.update(json.loads(line))
    return seen, "\n".join(host.log().splitlines()[before:])


def server(host, shimmed):
    """An echo server's port."""
    if shimmed:
        process = host.start(sys.executable, "-c", ECHO)
    else:
        process = host.start_plain(sys.executable, "-c", ECHO)
    return int(process.stdout.readline())


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_without_sctp(host, kind):
    port = server(host, False)
    seen, log = client(host, port, kind)
    assert (seen["error"], seen["answer"], seen["peer"]) == (0, "ping", True)
    assert seen["options"] == [77, True, 1, 100000, 0x10]
    assert "over TCP: refused" in log
    seen, log = client(host, port, kind)
    assert (seen["error"], seen["answer"]) == (0, "ping")
    assert "over TCP: cached" in log


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_with_sctp(host, kind):
    port = server(host, True)
    for _ in range(2):
        seen, log = client(host, port, kind)
        assert (seen["error"], seen["answer"], seen["peer"]) == (0, "ping", True)
        assert "over TCP" not in log


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_there(host, kind):
    seen, log = client(host, 9, kind)
    assert seen == {"error": 111}
    assert "over TCP: refused" in log


def test_silence(two):
    """Something else has the other host's UDP port, and never answers: TCP after a while."""
    one, other = two
    text = ECHO.replace("127.0.0.1", "10.0.0.2").replace("import socket\n", """import socket
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("0.0.0.0", 9899))
""")
    port = int(other.start_plain(sys.executable, "-c", text).stdout.readline())
    for kind in KINDS:
        done = one.run(sys.executable, "-c", CLIENT.replace("127.0.0.1", "10.0.0.2"), str(port), kind,
                       SCTPSHIM_ACTION="prefer-sctp", SCTPSHIM_FALLBACK_TIMEOUT="300",
                       SCTPSHIM_FALLBACK_LIFETIME="0")
        assert '"answer": "ping"' in done.stdout, done.stderr
    assert one.log().count("over TCP: timeout") == 2
