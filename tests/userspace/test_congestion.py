# SPDX-License-Identifier: BSD-3-Clause
"""Congestion control of legs: what paces is replaced, and no program can tell."""

import json
import sys
from pathlib import Path

import pytest

ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
SCRIPT = """
import json, os, socket, subprocess, sys
role, wish = sys.argv[1], sys.argv[2]
READ = "import socket; print(socket.socket(fileno=3).getsockopt(6, 13, 16).rstrip(bytes(1)).decode())"


def name(sock):
    return sock.getsockopt(6, 13, 16).rstrip(bytes(1)).decode()


def elsewhere(sock, **settings):
    # As another program has it: under the shim, or as the kernel does.
    fd = os.dup(sock.fileno())
    done = subprocess.run([sys.executable, "-c", READ], stdout=subprocess.PIPE, text=True, check=True,
                          env={**os.environ, **settings}, close_fds=False,
                          preexec_fn=lambda: os.dup2(fd, 3))
    os.close(fd)
    return done.stdout.strip()


def look(sock):
    return {"seen": name(sock), "in a child": elsewhere(sock),
            "the kernel's": elsewhere(sock, LD_PRELOAD="")}


sock = socket.socket()
if wish:
    sock.setsockopt(6, 13, wish.encode())
if role == "server":
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    print(sock.getsockname()[1], flush=True)
    seen = {"listener": look(sock)}
    conn, _ = sock.accept()
else:
    if role == "bound":
        sock.bind(("127.0.0.1", 0))
    sock.connect(("127.0.0.1", int(sys.argv[3])))
    conn, seen = sock, {}
conn.sendall(b"x")
assert conn.recv(1) == b"x"
seen["connected"] = look(conn)
for value in ("reno", seen["connected"]["seen"], "reno"):
    conn.setsockopt(6, 13, value.encode())
    assert name(conn) == value
print(json.dumps(seen))
"""


@pytest.fixture
def paced(host):
    """What the host's sockets have, which is nothing for a leg."""
    allowed = ALLOWED.read_text().split() if ALLOWED.exists() else []
    names = [name for name in allowed if name not in ("reno", "cubic")]
    if not names:
        pytest.skip(f"{ALLOWED}: a namespace may have nothing but {' '.join(allowed)}")
    host.plain("sh", "-c", f"echo {names[0]} >/proc/sys/net/ipv4/tcp_congestion_control")
    return names[0]


def meet(host, role, wish="", server_is_tcp=False, **settings):
    """What the client has seen, and the server."""
    start = host.start_plain if server_is_tcp else host.start
    server = start(sys.executable, "-c", SCRIPT, "server", wish)
    client = host.run(sys.executable, "-c", SCRIPT, role, wish, server.stdout.readline().strip(),
                      **settings)
    assert client.returncode == 0, client.stderr
    said, errors = server.communicate()
    assert server.returncode == 0, errors
    return json.loads(client.stdout)["connected"], json.loads(said)


def look(seen, kernels):
    return {"seen": seen, "in a child": seen, "the kernel's": kernels}


@pytest.mark.parametrize("role", ["client", "bound"])
def test_legs_do_not_pace(host, paced, role):
    client, server = meet(host, role)
    assert client == look(paced, "reno")
    assert server == {"listener": look(paced, "reno"), "connected": look(paced, "reno")}


@pytest.mark.parametrize("wish", ["reno", "paced"])
def test_what_the_program_has_set(host, paced, wish):
    """The default by name is the default."""
    name = paced if wish == "paced" else wish
    client, server = meet(host, "client", name)
    assert client == look(name, "reno")
    assert server == {"listener": look(name, "reno"), "connected": look(name, "reno")}


@pytest.mark.parametrize("role", ["client", "bound"])
@pytest.mark.parametrize("wish", ["", "reno"])
def test_over_tcp(host, paced, role, wish):
    """What goes over TCP after all has what TCP has."""
    client, _ = meet(host, role, wish, server_is_tcp=True, SCTPSHIM_ACTION="prefer-sctp")
    assert "over TCP: refused" in host.log()
    assert client == look(wish or paced, wish or paced)


def test_a_listener_of_both(host, paced):
    """Its TCP connections are TCP's."""
    for run, kernels in ((host.run, "reno"), (host.plain, paced)):
        server = host.start(sys.executable, "-c", SCRIPT, "server", "",
                            SCTPSHIM_ACTION="prefer-sctp")
        port = server.stdout.readline().strip()
        run(sys.executable, "-c", SCRIPT, "client", "", port)
        seen = json.loads(server.communicate()[0])
        assert seen == {"listener": look(paced, paced), "connected": look(paced, kernels)}
