# SPDX-License-Identifier: BSD-3-Clause
"""Listeners under prefer-sctp: SCTP and TCP at the same port, behind one fd."""

import socket
import subprocess
import sys
import time

import pytest

from deciding import IPPROTO_SCTP
from test_fallback import PREFER

pytestmark = pytest.mark.usefixtures("runtime")

SERVE = """
def listener(port=0, family=socket.AF_INET, backlog=64, **how):
    sock = tcp(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if how.get("reuseport"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("::" if family == socket.AF_INET6 else LOCAL, port))
    sock.listen(backlog)
    return sock
"""
NATIVE = """
import socket, sys
protocol, host, port, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
socks = []
for i in range(count):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, protocol)
    s.connect((host, port))
    s.sendall(b"%4d" % i)
    socks.append(s)
print("sent", flush=True)
for i, s in enumerate(socks):
    got = b""
    while len(got) < 4:
        piece = s.recv(4 - len(got))
        if not piece:
            break
        got += piece
    print("ok" if got == b"%4d" % i else f"wrong {got}", flush=True)
"""


class Clients:
    """Native clients of one protocol, in a process of their own."""

    def __init__(self, protocol, port, count=1, host="127.0.0.1"):
        self.count = count
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", NATIVE, str(protocol), host, str(port), str(count)],
            stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)

    def connected(self):
        """Wait until all are, and have sent."""
        assert self._process.stdout.readline() == "sent\n"
        return self

    def answered(self):
        """All have got back what they sent."""
        out, _ = self._process.communicate(timeout=100)
        assert out.replace("sent\n", "") == "ok\n" * self.count


WAITS = {
    "accept": """
def wait(sock): return True
""",
    "poll": """
poller = select.poll()
def wait(sock):
    poller.register(sock, select.POLLIN)
    got = poller.poll(20000)
    assert [(fd == sock.fileno(), bits) for fd, bits in got] == [(True, select.POLLIN)], got
""",
    "select": """
never, _ = os.pipe()
def wait(sock):
    reads, writes, errors = select.select([never, sock], [], [sock], 20)
    assert (reads, writes, errors) == ([sock], [], []), reads
""",
    "epoll": """
epoll = select.epoll()
def wait(sock):
    if not getattr(wait, "registered", None):
        epoll.register(sock, select.EPOLLIN)
        wait.registered = True
    got = {(fd == sock.fileno(), bits) for fd, bits in epoll.poll(20)}
    assert got == {(True, select.EPOLLIN)}, got
""",
}


def started(play, text, *args, **settings):
    """The server, and its port."""
    process = play.start(PREFER, text, *args, **settings)
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return process, int(line.split(":")[1].strip(" }\n"))


def ended(process):
    """Its end, which must be a good one; what it has said."""
    # Not communicate(): what readline() has read ahead would be lost.
    with process:
        out, errors = process.stdout.read(), process.stderr.read()
    assert process.returncode == 0, errors
    return out.splitlines(), errors


def served(play, text, count):
    """What a server says that has answered so many clients of each protocol at a time."""
    process, port = started(play, text)
    clients = [Clients(protocol, port, count) for protocol in (socket.IPPROTO_TCP, IPPROTO_SCTP)]
    for one in clients:
        one.answered()
    return ended(process)[0]


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("how", WAITS)
def test_accepts_both(play, how, blocking):
    text = (SERVE + WAITS[how] + f"""
sock = listener()
sock.setblocking({blocking})
see("port", sock.getsockname()[1])
kinds = []
while len(kinds) < 8:
    wait(sock)
    try:
        conn, peer = sock.accept()
    except BlockingIOError:
        continue
    assert peer == conn.getpeername()
    conn.setblocking(True)
    kinds.append(protocol_of(conn.fileno()))
    conn.sendall(conn.recv(4))
see("kinds", [kinds.count("tcp"), kinds.count("sctp")])
""")
    process, port = started(play, text, LOG="info")
    for protocol in (socket.IPPROTO_TCP, IPPROTO_SCTP) * 4:
        Clients(protocol, port).answered()
    out, errors = ended(process)
    assert out == ['{"kinds": [4, 4]}']
    assert errors.count("over TCP: peer: a client came over TCP") == 4


def test_a_connection_waits_as_its_listener(play):
    """What accept() does to wait for both is not what the connection is left with."""
    text = (SERVE + """
sock = listener()
see("port", sock.getsockname()[1])
for name in ("first", "second"):
    conn, _ = sock.accept()
    see(name, [conn.getsockopt(socket.SOL_SOCKET, 20, 16).hex(), conn.recv(4).decode()])
see("listener", sock.getsockopt(socket.SOL_SOCKET, 20, 16).hex())
""")
    process, port = started(play, text)
    none = "00" * 16
    for name, protocol in (("first", IPPROTO_SCTP), ("second", socket.IPPROTO_TCP)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as client:
            client.connect(("127.0.0.1", port))
            time.sleep(0.3)
            client.send(b"late")
            assert process.stdout.readline() == f'{{"{name}": ["{none}", "late"]}}\n'
    assert ended(process)[0] == [f'{{"listener": "{none}"}}']


def test_edge_triggered(play):
    """One event for what came, and the program accepts until there is nothing more."""
    text = (SERVE + """
sock = listener()
sock.setblocking(False)
epoll = select.epoll()
epoll.register(sock, select.EPOLLIN | select.EPOLLET)
see("port", sock.getsockname()[1])
kinds = []
while len(kinds) < 60:
    assert epoll.poll(20)
    while True:
        try:
            conn, _ = sock.accept()
        except BlockingIOError:
            break
        conn.setblocking(True)
        kinds.append(protocol_of(conn.fileno()))
        conn.sendall(conn.recv(4))
see("kinds", [kinds.count("tcp"), kinds.count("sctp")])
""")
    assert served(play, text, 30) == ['{"kinds": [30, 30]}']


def test_registered_before_it_listens(play):
    text = (SERVE + """
sock = tcp()
sock.setblocking(False)
epolls = [select.epoll(), select.epoll()]
for epoll in epolls:
    epoll.register(sock, select.EPOLLIN)
sock.bind((LOCAL, 0))
sock.listen(5)
see("port", sock.getsockname()[1])
for _ in range(2):
    assert all({fd for fd, bits in epoll.poll(20)} == {sock.fileno()} for epoll in epolls)
    conn, _ = sock.accept()
    conn.setblocking(True)
    conn.sendall(conn.recv(4))
    conn.close()
    see("is", True)
epolls[0].unregister(sock)
see("quiet", epolls[0].poll(0.1))
""")
    process, port = started(play, text)
    for protocol in (socket.IPPROTO_TCP, IPPROTO_SCTP):
        Clients(protocol, port).answered()
    assert ended(process)[0] == ['{"is": true}', '{"is": true}', '{"quiet": []}']


def test_it_is_a_listener(play):
    """Every question has the answer that it has over TCP."""
    text = (SERVE + """
import fcntl, stat
sock = listener()
see("port", 0)
def get(*what):
    try:
        return sock.getsockopt(*what).hex()
    except OSError as error:
        return os.strerror(error.errno)
see("names", [sock.getsockname()[0], sock.getsockname()[1] > 0])
for name in ("SO_ACCEPTCONN", "SO_TYPE", "SO_DOMAIN", "SO_PROTOCOL", "SO_ERROR", "SO_REUSEADDR",
             "SO_RCVTIMEO"):
    see(name, get(socket.SOL_SOCKET, getattr(socket, name, 20), 16))
see("stat", stat.S_ISSOCK(os.fstat(sock.fileno()).st_mode))
for name, call in {"recv": lambda: sock.recv(1), "send": lambda: sock.send(b"x"),
                   "peer": sock.getpeername, "connect": lambda: sock.connect((LOCAL, 1)),
                   "bind": lambda: sock.bind((LOCAL, 0))}.items():
    try:
        see(name, call())
    except OSError as error:
        see(name, error)
sock.setsockopt(6, 1, 1)
see("nodelay", get(6, 1, 4))
sock.listen(2)
sock.settimeout(0.05)
try:
    sock.accept()
except OSError as error:
    see("accept", str(error))
sock.setblocking(True)
sock.setsockopt(socket.SOL_SOCKET, 20, struct.pack("ll", 0, 50000))
try:
    sock.accept()
except OSError as error:
    see("RCVTIMEO", error)
sock.shutdown(socket.SHUT_RDWR)
see("after shutdown", get(socket.SOL_SOCKET, socket.SO_ACCEPTCONN, 4))
try:
    sock.accept()
except OSError as error:
    see("accept after shutdown", error)
""")
    over_tcp = play(None, text)
    assert play(PREFER, text).seen == over_tcp.seen


def test_a_shutdown_wakes_accept(play):
    text = (SERVE + """
sock = listener()
see("port", 0)
threading.Timer(0.3, sock.shutdown, [socket.SHUT_RDWR]).start()
try:
    sock.accept()
except OSError as error:
    see("accept", error)
""")
    assert play(PREFER, text).seen == play(None, text).seen


def test_after_close_nobody_listens(play):
    text = (SERVE + """
before = len(os.listdir("/proc/self/fd"))
sock = listener()
port = sock.getsockname()[1]
copy = sock.dup()
sock.close()
def refused(protocol):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as client:
        return client.connect_ex((LOCAL, port))
see("while a copy is there", [refused(0), refused(132)])
copy.close()
see("after", [refused(0), refused(132)])
see("fds", len(os.listdir("/proc/self/fd")) - before)
again = listener(port)
see("again", [refused(0), refused(132)])
""")
    seen = play(PREFER, text)
    assert seen.seen == {"while a copy is there": [0, 0], "after": [111, 111], "fds": 0,
                         "again": [0, 0]}


@pytest.mark.parametrize("blocking", [True, False])
def test_prefork(play, blocking):
    """Workers share the listener; all answer, both kinds are served by whoever comes first."""
    text = (SERVE + f"""
sock = listener()
sock.setblocking({blocking})
done = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.close(done[0])
        while True:
            select.select([sock], [], [])
            try:
                conn, _ = sock.accept()
            except BlockingIOError:
                continue
            conn.setblocking(True)
            kind = protocol_of(conn.fileno())[0].encode()
            conn.sendall(conn.recv(4))
            conn.close()
            os.write(done[1], kind)
see("port", sock.getsockname()[1])
sock.close()
kinds = b""
while len(kinds) < 60:
    kinds += os.read(done[0], 60)
see("kinds", [kinds.count(b"t"), kinds.count(b"s")])
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.killpg(0, signal.SIGTERM)
""".replace("sock = listener()", "os.setpgid(0, 0)\nsock = listener()"))
    assert served(play, text, 30) == ['{"kinds": [30, 30]}']


@pytest.mark.parametrize("way", ["inherited", "dup2"])
def test_exec(play, way):
    """A listener that a new program finds at its number, as after an upgrade or from a parent."""
    text = (SERVE + """
sock = listener()
see("port", sock.getsockname()[1])
if args[0] == "dup2":
    os.dup2(sock.fileno(), 50)
    fd = 50
else:
    sock.set_inheritable(True)
    fd = sock.fileno()
os.execv(sys.executable, [sys.executable, "-c", '''
from stage import *
sock = socket.socket(fileno=args[1])
kinds = []
for _ in range(2):
    conn, _ = sock.accept()
    kinds.append(protocol_of(conn.fileno()))
    conn.sendall(conn.recv(4))
    conn.close()
see("kinds", sorted(kinds))
''', "x", str(fd)])
""")
    process, port = started(play, text, way)
    for protocol in (socket.IPPROTO_TCP, IPPROTO_SCTP):
        Clients(protocol, port).answered()
    assert ended(process)[0] == ['{"kinds": ["sctp", "tcp"]}']


def test_reuseport(play):
    """Two listeners at one port: the kernel chooses between them, of each kind."""
    text = (SERVE + """
socks = [listener(reuseport=True)]
socks.append(listener(socks[0].getsockname()[1], reuseport=True))
see("port", socks[0].getsockname()[1])
kinds = []
while len(kinds) < 40:
    for sock in select.select(socks, [], [], 20)[0]:
        conn, _ = sock.accept()
        kinds.append(protocol_of(conn.fileno()))
        conn.sendall(conn.recv(4))
see("kinds", [kinds.count("tcp"), kinds.count("sctp")])
""")
    assert served(play, text, 20) == ['{"kinds": [20, 20]}']


def test_ipv6_takes_all_four(play):
    text = (SERVE + """
sock = listener(family=socket.AF_INET6)
see("port", sock.getsockname()[1])
for _ in range(4):
    conn, peer = sock.accept()
    see(str(_), [protocol_of(conn.fileno()), peer[0]])
    conn.sendall(conn.recv(4))
""")
    process, port = started(play, text)
    for protocol in (socket.IPPROTO_TCP, IPPROTO_SCTP):
        for host in ("127.0.0.1", "::1"):
            Clients(protocol, port, host=host).answered()
    assert ended(process)[0] == ['{"0": ["tcp", "::ffff:127.0.0.1"]}', '{"1": ["tcp", "::1"]}',
                                 '{"2": ["sctp", "::ffff:127.0.0.1"]}', '{"3": ["sctp", "::1"]}']


def test_a_port_that_is_taken(play, port):
    """By TCP: as over TCP. By another's SCTP: TCP alone, and said why."""
    text = (SERVE + """
try:
    sock = listener(args[0])
    see("is", protocol_of(sock.fileno()))
except OSError as error:
    see("error", error)
""")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert play(PREFER, text, port).seen == play(None, text, port).seen
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP) as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        seen = play(PREFER, text, port, LOG="info")
        assert seen["is"] == "tcp"
        assert "over TCP: port-taken" in seen.stderr


def test_a_thousand_clients(play):
    """500 of each kind at once: nothing is lost, and neither kind waits for the other's end."""
    text = (SERVE + """
import selectors
sock = listener(backlog=4096)
sock.setblocking(False)
see("port", sock.getsockname()[1])
chosen = selectors.DefaultSelector()
chosen.register(sock, selectors.EVENT_READ)
order, open_ = [], 0
while len(order) < 1000 or open_:
    for key, _ in chosen.select(60):
        if key.fileobj is sock:
            try:
                conn, _ = sock.accept()
            except BlockingIOError:
                continue
            conn.setblocking(False)
            order.append(protocol_of(conn.fileno()))
            open_ += 1
            chosen.register(conn, selectors.EVENT_READ)
            continue
        data = key.fileobj.recv(100)
        if data:
            key.fileobj.send(data)
        else:
            chosen.unregister(key.fileobj)
            key.fileobj.close()
            open_ -= 1
see("kinds", [order.count("tcp"), order.count("sctp")])
see("first half", min(order[:500].count(kind) for kind in ("tcp", "sctp")))
""")
    process, port = started(play, text)
    clients = [Clients(protocol, port, 100)
               for protocol in (socket.IPPROTO_TCP, IPPROTO_SCTP) * 5]
    for one in clients:
        one.answered()
    out, _ = ended(process)
    assert out[0] == '{"kinds": [500, 500]}'
    assert int(out[1].split(":")[1].strip(" }")) > 100


def test_takes_from_both_in_turn(play, tmp_path):
    """With both queues full, each other one is of the other kind."""
    text = (SERVE + """
sock = listener()
see("port", sock.getsockname()[1])
while not os.path.exists(args[0]):
    time.sleep(0.02)
kinds = []
for _ in range(40):
    conn, _ = sock.accept()
    kinds.append(protocol_of(conn.fileno()))
    conn.sendall(conn.recv(4))
    conn.close()
see("turns", sum(a != b for a, b in zip(kinds, kinds[1:])))
""")
    process, port = started(play, text, tmp_path / "go")
    clients = [Clients(protocol, port, 20) for protocol in (socket.IPPROTO_TCP, IPPROTO_SCTP)]
    for one in clients:
        one.connected()
    (tmp_path / "go").touch()
    assert ended(process)[0] == ['{"turns": 39}']
    for one in clients:
        one.answered()


def test_a_companion_that_is_closed(play):
    """Its number goes to another of the program's files, which accept() leaves alone."""
    text = (SERVE + """
sock = listener()
sock.settimeout(0.1)
own = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 500]
other = tcp()
os.dup2(other.fileno(), own[0])
for _ in range(3):
    try:
        sock.accept()
    except TimeoutError:
        pass
os.close(own[0])
see("port", sock.getsockname()[1])
sock.settimeout(20)
conn, _ = sock.accept()
see("is", protocol_of(conn.fileno()))
conn.sendall(conn.recv(4))
""")
    process, port = started(play, text)
    Clients(IPPROTO_SCTP, port).answered()
    out, errors = ended(process)
    assert out[-1] == '{"is": "sctp"}'
    assert errors.count("was closed: SCTP clients only") == 1


def test_a_child_that_closes_everything(play):
    """A program is started from a vfork child that closes all numbers: the parent has lost nothing."""
    text = (SERVE + """
import subprocess
sock = listener()
subprocess.run(["true"], close_fds=True, check=True)
if os.fork() == 0:
    os.closerange(3, 2000)
    os._exit(0)
os.wait()
see("port", sock.getsockname()[1])
kinds = []
for _ in range(2):
    conn, _ = sock.accept()
    kinds.append(protocol_of(conn.fileno()))
    conn.sendall(conn.recv(4))
see("kinds", sorted(kinds))
""")
    process, port = started(play, text)
    for protocol in (socket.IPPROTO_TCP, IPPROTO_SCTP):
        Clients(protocol, port).answered()
    assert ended(process)[0] == ['{"kinds": ["sctp", "tcp"]}']
