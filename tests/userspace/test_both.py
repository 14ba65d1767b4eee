# SPDX-License-Identifier: BSD-3-Clause
"""Listeners under prefer-sctp in user space: SCTP and TCP at the same port, behind one fd."""

import json
import socket
import subprocess
import sys

import pytest

LISTENER = """
import json, os, select, socket, struct, sys
def listener(host, **how):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if "v6only" in how:
        sock.setsockopt(41, 26, how["v6only"])
    if host != "unbound":
        sock.bind((host, 0))
    sock.listen(1024)
    see(sock.getsockname()[1])
    return sock
def see(what):
    print(json.dumps(what), flush=True)
def serve(sock, count, wait=lambda: None):
    kinds = ""
    while len(kinds) < count:
        wait()
        try:
            conn, peer = sock.accept()
        except BlockingIOError:
            continue
        assert peer == conn.getpeername(), (peer, conn.getpeername())
        assert conn.getsockname()[1] == sock.getsockname()[1]
        conn.setblocking(True)
        word = conn.recv(4, socket.MSG_WAITALL)
        kinds += word[:1].decode()
        conn.sendall(word)
    return [kinds.count("s"), kinds.count("t")]
"""
CLIENTS = """
import socket, sys
host, port, count, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode()
socks = []
for i in range(count):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.settimeout(100)
    s.connect((host, port))
    assert s.getpeername()[:2] == (host, port)
    s.sendall(b"%b%3d" % (kind, i))
    socks.append(s)
for i, s in enumerate(socks):
    got = s.recv(4, socket.MSG_WAITALL)
    assert got == b"%b%3d" % (kind, i), got
print("ok")
"""

def start(host, text, *words, **settings):
    """A server under prefer-sctp, and its port."""
    process = host.start(sys.executable, "-c", LISTENER + text, *words,
                         SCTPSHIM_ACTION="prefer-sctp", **settings)
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return process, json.loads(line)


def clients(host, address, port, count, kind):
    """Clients of one kind, started: "s" come over SCTP and nothing else, "t" over TCP."""
    run = host.start if kind == "s" else host.start_plain
    return run(sys.executable, "-c", CLIENTS, address, port, count, kind)


def both(host, address, port, count):
    """So many of each kind at a time; they all get their answers."""
    for one in [clients(host, address, port, count, kind) for kind in "st"]:
        out, errors = one.communicate(timeout=100)
        assert out == "ok\n", errors


def said(server):
    """The server's last words, at its good end."""
    with server:                         # not communicate(): readline() may have read ahead
        out, errors = server.stdout.read(), server.stderr.read()
    assert server.returncode == 0, errors
    return json.loads(out)


HOSTS = {"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "unbound": "127.0.0.1"}


@pytest.mark.parametrize("where", HOSTS)
def test_blocking(host, where):
    server, port = start(host, f"see(serve(listener({where!r}), 8))")
    both(host, HOSTS[where], port, 4)
    assert said(server) == [4, 4]
    assert host.log().count("over TCP: peer") == 4


@pytest.mark.parametrize("edges", [False, True])
def test_epoll(host, edges):
    server, port = start(host, f"""
sock = listener("127.0.0.1")
sock.setblocking(False)
epoll = select.epoll()
epoll.register(sock, select.EPOLLIN | ({edges} and select.EPOLLET))
left = []
def wait():                              # to the last one, before it waits again
    if not {edges} or not left:
        assert epoll.poll(20), "nobody came"
class Counted:
    def accept(self):
        try:
            left[:] = [True]
            return sock.accept()
        except BlockingIOError:
            left.clear()
            raise
    getsockname = sock.getsockname
see(serve(Counted(), 8, wait))
""")
    both(host, "127.0.0.1", port, 4)
    assert said(server) == [4, 4]


def test_at_an_address_of_the_hosts(two):
    """Both kinds from another host, and the names are the hosts' own."""
    one, other = two
    server, port = start(one, "see(serve(listener('10.0.0.1'), 4))")
    both(other, "10.0.0.1", port, 2)
    assert said(server) == [2, 2]


def test_it_is_a_listener(host):
    server, port = start(host, """
sock = listener("127.0.0.1")
for fd in (sock, sock.dup()):
    assert fd.getsockopt(1, 30) == 1                     # SO_ACCEPTCONN
    assert fd.getsockname() == ("127.0.0.1", sock.getsockname()[1])
second = socket.socket()
try:
    second.bind(sock.getsockname())
    second.listen()
    see("listens twice")
except OSError as error:
    see(error.errno)
""")
    assert said(server) == 98


def test_workers_share_it(host):
    server, port = start(host, """
sock = listener("0.0.0.0")
ends = []
for _ in range(4):
    end, other = os.pipe()
    if os.fork() == 0:
        os.write(other, bytes(serve(sock, 10)))
        os._exit(0)
    ends.append(end)
got = [os.read(end, 2) for end in ends]
see([sum(one[0] for one in got), sum(one[1] for one in got)])
""")
    both(host, "127.0.0.1", port, 20)
    assert said(server) == [20, 20]


def test_exec(host):
    """What another program had bound and listens with is a listener for both there too."""
    server, port = start(host, """
if len(sys.argv) < 2:
    sock = listener("0.0.0.0")
    os.set_inheritable(sock.fileno(), True)
    os.execv(sys.executable, [sys.executable, "-c", sys.orig_argv[2], str(sock.fileno())])
see(serve(socket.socket(fileno=int(sys.argv[1])), 4))
""")
    both(host, "127.0.0.1", port, 2)
    assert said(server) == [2, 2]


@pytest.mark.parametrize("bound_before", [False, True])
def test_passed_on(host, bound_before):
    """By SCM_RIGHTS, as a listener or as a socket that is only bound."""
    server, port = start(host, f"""
there, here = socket.socketpair()
if os.fork() == 0:
    _, fds, _, _ = socket.recv_fds(here, 1, 1)
    sock = socket.socket(fileno=fds[0])
    sock.listen()
    here.send(b".")
    see(serve(sock, 4))
    os._exit(0)
sock = socket.socket()
sock.bind(("127.0.0.1", 0))
{"pass" if bound_before else "sock.listen()"}
socket.send_fds(there, [b"."], [sock.fileno()])
there.recv(1)
see(sock.getsockname()[1])
sock.close()
os.wait()
""")
    both(host, "127.0.0.1", port, 2)
    assert said(server) == [2, 2]


def test_for_ipv6_alone_it_is_tcps(host):
    """The broker's ends are IPv4."""
    server, port = start(host, """
sock = listener("::", v6only=1)
conn, peer = sock.accept()
conn.sendall(conn.recv(4))
see(peer[0])
""")
    out, errors = clients(host, "::1", port, 1, "t").communicate(timeout=60)
    assert out == "ok\n", errors
    assert said(server) == "::1"
    assert "over TCP: ipv6-only" in host.log()


def test_a_broker_that_was_killed(host):
    """The next one finds it, and its TCP clients never notice."""
    server, port = start(host, "see(serve(listener('0.0.0.0'), 6))")
    both(host, "127.0.0.1", port, 2)
    host.kill_broker()
    out, errors = clients(host, "127.0.0.1", port, 1, "t").communicate(timeout=60)
    assert out == "ok\n", errors
    out, errors = clients(host, "127.0.0.1", port, 1, "s").communicate(timeout=60)
    assert out == "ok\n", errors
    assert said(server) == [3, 3]


@pytest.mark.parametrize("sctp", [True, False])
def test_a_bound_client_falls_back(host, sctp):
    """From the port that it has chosen, over either."""
    settings = {"SCTPSHIM_ACTION": "sctp"} if sctp else {}
    run = host.start if sctp else host.start_plain
    server = run(sys.executable, "-c", LISTENER + """
sock = listener("127.0.0.1")
conn, peer = sock.accept()
conn.sendall(conn.recv(4))
see(peer)
""", **settings)
    port = json.loads(server.stdout.readline())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    done = host.run(sys.executable, "-c", f"""
import socket
sock = socket.socket()
sock.bind(("127.0.0.1", {own}))
assert sock.getsockname() == ("127.0.0.1", {own})
sock.connect(("127.0.0.1", {port}))
sock.sendall(b"word")
assert sock.recv(4, socket.MSG_WAITALL) == b"word"
assert sock.getsockname() == ("127.0.0.1", {own}), sock.getsockname()
assert sock.getpeername() == ("127.0.0.1", {port}), sock.getpeername()
""", SCTPSHIM_ACTION="prefer-sctp")
    assert done.returncode == 0, done.stderr
    assert said(server) == ["127.0.0.1", own]
    assert ("over TCP: refused" in host.log()) is not sctp


def test_status_says_why(host):
    """Of the connection that came over TCP, and how many did."""
    server, port = start(host, """
sock = listener("127.0.0.1")
conn, _ = sock.accept()
see("accepted")
sys.stdin.readline()
""")
    with host.start_plain(sys.executable, "-c", f"""
import socket, sys
sock = socket.create_connection(("127.0.0.1", {port}))
sys.stdin.readline()
""") as client:
        assert json.loads(server.stdout.readline()) == "accepted"
        done = subprocess.run([*host.entry, str(host.top / "scripts/sctpshim"), "status", "--json"],
                              env=host.environment, capture_output=True, text=True, timeout=60,
                              check=True)
        seen = json.loads(done.stdout)
        assert [(one["reason"], one["accepted"], one["local_port"], one["holders"][0]["pid"])
                for one in seen["tcp"]] == [("peer", True, port, server.pid)]
        assert seen["reasons"]["peer"] == 1
        client.communicate("\n", timeout=60)
    server.communicate("\n", timeout=60)


def test_many_clients(host):
    """Nothing is lost, and neither kind is starved."""
    server, port = start(host, """
sock = listener("127.0.0.1")
kinds = ""
while len(kinds) < 1000:
    conn, _ = sock.accept()
    word = conn.recv(4, socket.MSG_WAITALL)
    kinds += word[:1].decode()
    conn.sendall(word)
    conn.close()
see([kinds.count("s"), kinds.count("t")])
""")
    both(host, "127.0.0.1", port, 500)
    assert said(server) == [500, 500]
