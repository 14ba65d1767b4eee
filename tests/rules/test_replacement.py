# SPDX-License-Identifier: BSD-3-Clause
"""What a program did to a socket before a rule made it TCP's: all of it is there afterwards."""

import json
import socket

import pytest

from deciding import Echo

SOL_SOCKET, IP, TCP, IPV6 = 1, 0, 6, 41
# name: (level, option, struct format, value); what the program sets, as it is in <sys/socket.h>...
ITEMS = {
    "SO_REUSEADDR": (SOL_SOCKET, 2, "i", (1,)),
    "SO_REUSEPORT": (SOL_SOCKET, 15, "i", (1,)),
    "SO_KEEPALIVE": (SOL_SOCKET, 9, "i", (1,)),
    "SO_BROADCAST": (SOL_SOCKET, 6, "i", (1,)),
    "SO_OOBINLINE": (SOL_SOCKET, 10, "i", (1,)),
    "SO_PRIORITY": (SOL_SOCKET, 12, "i", (5,)),
    "SO_LINGER": (SOL_SOCKET, 13, "ii", (1, 7)),
    "SO_RCVTIMEO": (SOL_SOCKET, 20, "ll", (3, 0)),
    "SO_SNDTIMEO": (SOL_SOCKET, 21, "ll", (4, 0)),
    "SO_RCVLOWAT": (SOL_SOCKET, 18, "i", (2,)),
    "SO_TIMESTAMP": (SOL_SOCKET, 29, "i", (1,)),
    "SO_TIMESTAMPNS": (SOL_SOCKET, 35, "i", (1,)),
    "SO_MARK": (SOL_SOCKET, 36, "i", (7,)),
    "SO_BINDTODEVICE": (SOL_SOCKET, 25, "16s", (b"lo",)),
    "SO_INCOMING_CPU": (SOL_SOCKET, 49, "i", (0,)),
    "SO_MAX_PACING_RATE": (SOL_SOCKET, 47, "Q", (10**9,)),
    "SO_BUSY_POLL": (SOL_SOCKET, 46, "i", (20,)),
    "SO_NO_CHECK": (SOL_SOCKET, 11, "i", (1,)),
    "SO_SNDBUF": (SOL_SOCKET, 7, "i", (50000,)),
    "SO_RCVBUF": (SOL_SOCKET, 8, "i", (60000,)),
    "IP_TOS": (IP, 1, "i", (0x10,)),
    "IP_TTL": (IP, 2, "i", (33,)),
    "IP_MINTTL": (IP, 21, "i", (5,)),
    "IP_RECVERR": (IP, 11, "i", (1,)),
    "IP_RECVTOS": (IP, 13, "i", (1,)),
    "IP_RECVTTL": (IP, 12, "i", (1,)),
    "IP_PKTINFO": (IP, 8, "i", (1,)),
    "IP_FREEBIND": (IP, 15, "i", (1,)),
    "IP_TRANSPARENT": (IP, 19, "i", (1,)),
    "IP_MTU_DISCOVER": (IP, 10, "i", (3,)),
    "IP_BIND_ADDRESS_NO_PORT": (IP, 24, "i", (1,)),
    "IP_OPTIONS": (IP, 4, "4s", (b"\x01\x01\x01\x00",)),
    "TCP_NODELAY": (TCP, 1, "i", (1,)),
    "TCP_MAXSEG": (TCP, 2, "i", (700,)),
    "TCP_CORK": (TCP, 3, "i", (1,)),
    "TCP_KEEPIDLE": (TCP, 4, "i", (11,)),
    "TCP_KEEPINTVL": (TCP, 5, "i", (12,)),
    "TCP_KEEPCNT": (TCP, 6, "i", (3,)),
    "TCP_SYNCNT": (TCP, 7, "i", (4,)),
    "TCP_LINGER2": (TCP, 8, "i", (9,)),
    "TCP_DEFER_ACCEPT": (TCP, 9, "i", (3,)),
    "TCP_QUICKACK": (TCP, 12, "i", (0,)),
    "TCP_CONGESTION": (TCP, 13, "16s", (b"reno",)),
    "TCP_USER_TIMEOUT": (TCP, 18, "i", (12345,)),
    "TCP_NOTSENT_LOWAT": (TCP, 25, "i", (4096,)),
}
ITEMS6 = {
    "IPV6_V6ONLY": (IPV6, 26, "i", (1,)),
    "IPV6_TCLASS": (IPV6, 67, "i", (0x20,)),
    "IPV6_UNICAST_HOPS": (IPV6, 16, "i", (33,)),
    "IPV6_MINHOPCOUNT": (IPV6, 73, "i", (5,)),
    "IPV6_RECVERR": (IPV6, 25, "i", (1,)),
    "IPV6_RECVTCLASS": (IPV6, 66, "i", (1,)),
    "IPV6_RECVHOPLIMIT": (IPV6, 51, "i", (1,)),
    "IPV6_RECVPKTINFO": (IPV6, 49, "i", (1,)),
    "IPV6_DONTFRAG": (IPV6, 62, "i", (1,)),
    "IPV6_FREEBIND": (IPV6, 78, "i", (1,)),
    "IPV6_TRANSPARENT": (IPV6, 75, "i", (1,)),
    "IPV6_AUTOFLOWLABEL": (IPV6, 70, "i", (0,)),
    "IPV6_MTU_DISCOVER": (IPV6, 23, "i", (2,)),
}
SET = """
items = json.loads(args[1])
family = socket.AF_INET6 if args[2] == "v6" else socket.AF_INET
for name, (level, option, form, value) in items.items():
    with tcp(family) as sock:
        fresh = shown(sock, level, option)
        value = [v.encode("latin-1") if isinstance(v, str) else v for v in value]
        try:
            sock.setsockopt(level, option, struct.pack(form, *value))
        except OSError as error:
            see(name, ["setsockopt", error.strerror])
            continue
        before = shown(sock, level, option)
        sock.setblocking(False)
        error = end_of_connect(sock, ("::1" if args[2] == "v6" else LOCAL, args[0]))
        see(name, [before, shown(sock, level, option), error, protocol_of(sock.fileno())])
        see(name + " fresh", fresh)
"""


def packed(items):
    return json.dumps({name: (level, option, form, [v.decode("latin-1") if isinstance(v, bytes)
                                                    else v for v in value])
                       for name, (level, option, form, value) in items.items()})


def rule(port):
    return f"[rule a]\nrole = connect\nport = {port}\naction = tcp\n"


CACHE = {}


@pytest.fixture
def traces(play):
    """What all items show over plain TCP and by a rule: one run each for a family."""
    def run(family):
        if family not in CACHE:
            six = family == "v6"
            items = packed(ITEMS6 if six else ITEMS)
            echo = Echo(socket.IPPROTO_TCP, socket.AF_INET6 if six else socket.AF_INET)
            CACHE[family] = [play(text, SET, echo.port, items, family)
                             for text in (None, rule(echo.port))]
            echo.close()
        return CACHE[family]
    return run


@pytest.mark.parametrize("family, name",
                         [("v4", name) for name in ITEMS] + [("v6", name) for name in ITEMS6])
def test_an_option_survives(traces, family, name):
    """It is after the connect what it is over plain TCP, and not what a fresh socket has."""
    over_tcp, ruled = traces(family)
    assert ruled[name] == over_tcp[name]
    before, _, error, protocol = ruled[name]
    assert before != ruled[name + " fresh"]
    assert (error, protocol) == (0, "tcp")


def test_a_replaced_socket_is_like_any_tcp_socket(play, tcp_echo):
    """Each option that answers at all answers as on a socket that was TCP's from the start."""
    text = """
sock = connected(args[0])
for level in (socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IPPROTO_TCP):
    for name in range(90):
        # Of these each run has its own: memory in use, NAPI's number, the cookie, what 52 leaves
        # in memory, TCP_INFO and TCP's clock.
        if (level, name) in ((1, 55), (1, 56), (1, 57), (0, 52), (6, 11), (6, 24)):
            continue
        try:
            see(f"{level} {name}", sock.getsockopt(level, name, 64).hex())
        except OSError as error:
            see(f"{level} {name}", error)
"""
    over_tcp = play(None, text, tcp_echo.port)
    ruled = play(rule(tcp_echo.port), text, tcp_echo.port)
    assert {label: (value, ruled[label]) for label, value in over_tcp.seen.items()
            if value != ruled[label]} == {}


def test_the_state_of_the_file_survives(play, tcp_echo):
    text = """
import fcntl, signal
F_SETSIG, F_GETSIG = 10, 11
sock = tcp()
fd = sock.fileno()
os.set_inheritable(fd, True)
sock.setblocking(False)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
fcntl.fcntl(fd, F_SETSIG, signal.SIGUSR1)
fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
before = [fcntl.fcntl(fd, command) for command in (fcntl.F_GETFL, F_GETSIG, fcntl.F_GETFD)]
see("owner before", fcntl.fcntl(fd, fcntl.F_GETOWN) == os.getpid())
see("error", end_of_connect(sock, (LOCAL, args[0])))
see("protocol", protocol_of(fd))
see("flags", before == [fcntl.fcntl(fd, c) for c in (fcntl.F_GETFL, F_GETSIG, fcntl.F_GETFD)])
see("async", bool(before[0] & os.O_ASYNC) and before[1] == signal.SIGUSR1 and before[2] == 0)
see("owner", fcntl.fcntl(fd, fcntl.F_GETOWN) == os.getpid())
"""
    seen = play(rule(tcp_echo.port), text, tcp_echo.port).seen
    assert seen == {"owner before": True, "error": 0, "protocol": "tcp", "flags": True,
                    "async": True, "owner": True}


@pytest.mark.parametrize("inheritable", [False, True])
def test_close_on_exec_survives(play, tcp_echo, inheritable):
    text = f"""
sock = tcp()
os.set_inheritable(sock.fileno(), {inheritable})
connected(args[0], sock=sock)
see("inheritable", os.get_inheritable(sock.fileno()))
"""
    assert play(rule(tcp_echo.port), text, tcp_echo.port)["inheritable"] is inheritable


def test_a_bound_name_survives(play, tcp_echo):
    text = """
sock = tcp()
sock.bind(("127.0.0.2", 0))
own = sock.getsockname()
ask(connected(args[0], sock=sock))          # then it was accepted
see("is", protocol_of(sock.fileno()))
see("own", own)
see("name", sock.getsockname())
"""
    seen = play(rule(tcp_echo.port), text, tcp_echo.port)
    assert seen["is"] == "tcp"
    assert seen["name"] == seen["own"] == list(tcp_echo.peers[0])


def test_a_listeners_port_is_the_one_that_bind_found(play):
    text = """
listener = tcp()
listener.bind((LOCAL, 0))
own = listener.getsockname()
listener.listen(4)
see("is", protocol_of(listener.fileno()))
see("same", own == listener.getsockname())
"""
    seen = play("[rule a]\nrole = listen\naddress = 127.0.0.0/8\naction = tcp\n", text)
    assert (seen["is"], seen["same"]) == ("tcp", True)


def test_duplicates_follow(play, tcp_echo):
    text = """
sock = tcp()
copies = [sock.dup(), socket.socket(fileno=os.dup2(sock.fileno(), 200)), sock.dup()]
os.set_inheritable(copies[0].fileno(), True)
copies[2].close()
connected(args[0], sock=copies[0])
see("answers", [ask(s).decode() for s in (sock, *copies[:2])])
see("protocols", [protocol_of(s.fileno()) for s in (sock, *copies[:2])])
see("inodes", len({os.fstat(s.fileno()).st_ino for s in (sock, *copies[:2])}))
see("inheritable", [os.get_inheritable(s.fileno()) for s in (sock, *copies[:2])])
"""
    seen = play(rule(tcp_echo.port), text, tcp_echo.port)
    assert seen["answers"] == ["ping"] * 3
    assert seen["protocols"] == ["tcp"] * 3
    assert seen["inodes"] == 1
    assert seen["inheritable"] == [False, True, True]


def test_another_process_keeps_the_old_one(play, tcp_echo):
    text = """
sock = tcp()
ready, go = os.pipe()
if os.fork() == 0:
    os.read(ready, 1)
    try:
        sock.getpeername()
    except OSError as error:
        see("child", error)
    os._exit(0)
connected(args[0], sock=sock)
os.write(go, b"x")
os.wait()
see("parent", ask(sock).decode())
"""
    seen = play(rule(tcp_echo.port), text, tcp_echo.port, LOG="info")
    assert (seen["parent"], seen["child"]) == ("ping", "Transport endpoint is not connected")
    assert "another process that has it keeps the old one" in seen.stderr


def test_a_packet_filter_is_said_to_be_lost(play, tcp_echo):
    text = """
import ctypes
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x40000))
sock = tcp()
sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxP", 1, ctypes.addressof(code)))
see("answer", ask(connected(args[0], sock=sock)))
"""
    seen = play(rule(tcp_echo.port), text, tcp_echo.port)
    assert seen["answer"] == "ping"
    assert seen.stderr.count("its packet filter is not taken along") == 1


# ---- epoll ----

@pytest.mark.parametrize("flags", [
    "select.EPOLLOUT", "select.EPOLLOUT | select.EPOLLIN", "select.EPOLLOUT | select.EPOLLET",
    "select.EPOLLOUT | select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET"])
def test_registered_before_connect(play, tcp_echo, flags):
    text = f"""
sock = tcp()
sock.setblocking(False)
epoll = select.epoll()
epoll.register(sock, {flags})
def until(bit):
    for _ in range(50):
        got = [(fd == sock.fileno(), bits) for fd, bits in epoll.poll(30)]
        if any(bits & bit for _, bits in got):
            return got
try:
    sock.connect((LOCAL, args[0]))
except OSError as error:
    see("connect", error)
see("up", until(select.EPOLLOUT))
see("error", sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
epoll.modify(sock, select.EPOLLIN)
sock.send(b"ping")
see("readable", until(select.EPOLLIN))
see("data", sock.recv(10))
epoll.unregister(sock)
see("is", protocol_of(sock.fileno()))
"""
    over_tcp = play(None, text, tcp_echo.port)
    ruled = play(rule(tcp_echo.port), text, tcp_echo.port)
    assert ruled.seen == over_tcp.seen
    assert (ruled["is"], ruled["data"]) == ("tcp", "ping")


def test_several_epolls_and_duplicates(play, tcp_echo):
    text = """
sock = tcp()
copy = sock.dup()
sock.setblocking(False)
epolls = [select.epoll() for _ in range(3)]
epolls[0].register(sock, select.EPOLLOUT)
epolls[1].register(sock, select.EPOLLOUT)
epolls[1].register(copy, select.EPOLLOUT | select.EPOLLIN)
epolls[2].register(sock, select.EPOLLOUT)
epolls[2].unregister(sock)
see("error", end_of_connect(sock, (LOCAL, args[0])))
names = {sock.fileno(): "sock", copy.fileno(): "copy"}
for i, epoll in enumerate(epolls):
    see(str(i), sorted((names[fd], bits) for fd, bits in epoll.poll(0.5)))
see("is", protocol_of(copy.fileno()))
"""
    over_tcp = play(None, text, tcp_echo.port)
    ruled = play(rule(tcp_echo.port), text, tcp_echo.port)
    assert ruled.seen == over_tcp.seen
    assert ruled["1"] == [["copy", 4], ["sock", 4]]


def test_an_event_that_comes_but_once(play, tcp_echo):
    text = """
sock = tcp()
sock.setblocking(False)
epoll = select.epoll()
epoll.register(sock, select.EPOLLOUT | select.EPOLLONESHOT)
see("error", end_of_connect(sock, (LOCAL, args[0])))
see("once", [len(epoll.poll(30)), len(epoll.poll(0.3))])
epoll.modify(sock, select.EPOLLOUT | select.EPOLLONESHOT)
see("again", len(epoll.poll(30)))
"""
    over_tcp = play(None, text, tcp_echo.port)
    ruled = play(rule(tcp_echo.port), text, tcp_echo.port)
    assert ruled.seen == over_tcp.seen


def test_an_epoll_of_a_process_before_exec(play, tcp_echo):
    """The new program has not seen the registration; the kernel tells."""
    text = """
sock = tcp()
sock.setblocking(False)
epoll = select.epoll()
epoll.register(sock, select.EPOLLOUT)
os.set_inheritable(sock.fileno(), True)
os.set_inheritable(epoll.fileno(), True)
os.execv(sys.executable, [sys.executable, "-c", '''
from stage import *
sock, epoll = socket.socket(fileno=args[1]), select.epoll.fromfd(args[2])
see("error", end_of_connect(sock, (LOCAL, args[0])))
see("up", [(fd == sock.fileno(), bits) for fd, bits in epoll.poll(30)])
see("is", protocol_of(sock.fileno()))
''', str(args[0]), str(sock.fileno()), str(epoll.fileno())])
"""
    seen = play(rule(tcp_echo.port), text, tcp_echo.port)
    assert seen.seen == {"error": 0, "up": [[True, 4]], "is": "tcp"}


def test_a_listener_registered_early(play, port):
    text = """
listener = tcp()
listener.setblocking(False)
epoll = select.epoll()
epoll.register(listener, select.EPOLLIN)
listener.bind((LOCAL, args[0]))
listener.listen(4)
see("is", protocol_of(listener.fileno()))
client = connected(args[0])
see("ready", [(fd == listener.fileno(), bits) for fd, bits in epoll.poll(30)])
sock, _ = listener.accept()
see("accepted", protocol_of(sock.fileno()))
"""
    seen = play(f"[rule a]\nport = {port}\naction = tcp\n", text, port)
    assert seen.seen == {"is": "tcp", "ready": [[True, 1]], "accepted": "tcp"}


def test_fast_open_sends_over_tcp(play, tcp_echo):
    text = """
MSG_FASTOPEN = 0x20000000
sock = tcp()
see("sent", sock.sendto(b"ping", MSG_FASTOPEN, (LOCAL, args[0])))
see("is", protocol_of(sock.fileno()))
see("data", sock.recv(10))
other = tcp()
see("sent message", other.sendmsg([b"pi", b"ng"], [], MSG_FASTOPEN, (LOCAL, args[0])))
see("data of message", other.recv(10))
"""
    seen = play(rule(tcp_echo.port), text, tcp_echo.port)
    assert seen.seen == {"sent": 4, "is": "tcp", "data": "ping", "sent message": 4,
                         "data of message": "ping"}
