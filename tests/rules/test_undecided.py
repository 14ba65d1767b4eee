# SPDX-License-Identifier: BSD-3-Clause
"""Under prefer-sctp a socket is TCP's until something decides for SCTP: nothing of that is seen."""

import json
import socket

import pytest

from deciding import IPPROTO_SCTP, Echo
from test_replacement import ITEMS, ITEMS6, packed

pytestmark = pytest.mark.usefixtures("runtime")
PREFER = "action = prefer-sctp\n"
SCTP = "action = sctp\n"


# A program without the library, which inherits the sockets: what the kernel has of them. (Not
# SO_NO_CHECK, which means nothing to SCTP: the library's own probes set it.)
NATIVE = """
from stage import json, shown, socket, sys
OPTIONS = ([(1, o) for o in (2, 5, 6, 7, 8, 9, 10, 12, 13, 15, 18, 20, 21, 25, 29, 35, 36, 46, 47, 49)] +
           [(0, o) for o in (1, 2, 4, 8, 10, 11, 12, 13, 15, 19, 21, 24)] +
           [(41, o) for o in (16, 23, 25, 26, 49, 51, 62, 66, 67, 70, 73, 75, 78)] +
           [(132, o) for o in (1, 3, 7, 13, 15, 34)])
def options(fd):
    sock = socket.socket(fileno=fd)
    return {f"{level} {name}": shown(sock, level, name) for level, name in OPTIONS}
print(json.dumps([options(int(fd)) for fd in sys.argv[1:]]))
"""
SET = """
import subprocess
items, native = json.loads(args[1]), args[3]
six = args[2] == "v6"
clean = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
seen = {}
for name, (level, option, form, value) in items.items():
    sock = tcp(socket.AF_INET6 if six else socket.AF_INET)
    value = [v.encode("latin-1") if isinstance(v, str) else v for v in value]
    try:
        sock.setsockopt(level, option, struct.pack(form, *value))
    except OSError as error:
        see(name, error)
        continue
    before = shown(sock, level, option)
    sock.connect(("::1" if six else LOCAL, args[0]))
    seen[sock] = [name, before, shown(sock, level, option), protocol_of(sock.fileno())]
numbers = [sock.fileno() for sock in seen]
done = subprocess.run([sys.executable, "-c", native, *map(str, numbers)], env=clean,
                      pass_fds=numbers, stdout=subprocess.PIPE, check=True)
for (name, *of_the_library), of_the_kernel in zip(seen.values(), json.loads(done.stdout)):
    see(name, [*of_the_library, of_the_kernel])
"""
CACHE = {}


@pytest.mark.parametrize("family, name",
                         [("v4", name) for name in ITEMS] + [("v6", name) for name in ITEMS6])
def test_an_option_set_before_it_is_decided(play, sctp, family, name):
    """As if it had been set on an SCTP socket, in the library's eyes and in the kernel's."""
    if family not in CACHE:
        echo = Echo(IPPROTO_SCTP, socket.AF_INET6 if family == "v6" else socket.AF_INET)
        items = packed(ITEMS6 if family == "v6" else ITEMS)
        CACHE[family] = [play(text, SET, echo.port, items, family, NATIVE, DSCP=10)
                         for text in (SCTP, PREFER)]
        echo.close()
    from_the_start, decided = (run[name] for run in CACHE[family])
    if not isinstance(decided, list):
        assert decided == from_the_start
        return
    kept, has = from_the_start.pop(), decided.pop()
    assert {option: (kept[option], has[option]) for option in kept if has[option] != kept[option]} == {}
    assert decided == from_the_start
    assert decided[2] == "sctp"


KINDS = {
    "fork": """
sock = tcp()
child = os.fork()
if not child:
    sock.connect((LOCAL, args[0]))
    os._exit(0)
os.waitpid(child, 0)
""",
    "exec": """
if args[1:] == ["second"]:
    sock = socket.socket(fileno=int(os.environ["NUMBER"]))
    sock.connect((LOCAL, args[0]))
else:
    sock = tcp()
    sock.set_inheritable(True)
    os.environ["NUMBER"] = str(sock.fileno())
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], "second"])
""",
    "spawn": """
import subprocess
sock = tcp()
code = "import socket, sys; socket.socket(fileno=int(sys.argv[1])).connect((sys.argv[2], int(sys.argv[3])))"
subprocess.run([sys.executable, "-c", code, str(sock.fileno()), LOCAL, str(args[0])],
               pass_fds=[sock.fileno()], check=True)
""",
    "passed": """
sock = tcp()
ends = socket.socketpair()
socket.send_fds(ends[0], [b"x"], [sock.fileno()])
_, fds, _, _ = socket.recv_fds(ends[1], 1, 1)
socket.socket(fileno=fds[0]).connect((LOCAL, args[0]))
""",
    "dup": """
sock = tcp()
copy = sock.dup()
copy.connect((LOCAL, args[0]))
""",
    "dup2": """
sock = tcp()
copy = tcp()
os.dup2(sock.fileno(), copy.fileno())
copy.connect((LOCAL, args[0]))
""",
    "bad messages": """
import ctypes
class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.c_void_p),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p),
                ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]
call = ctypes.CDLL(None, use_errno=True)
sock = tcp()
ends = socket.socketpair()
fd = ends[0].fileno()
for name, result in (("nowhere", call.sendmsg(fd, None, 0)), ("many nowhere", call.sendmmsg(fd, None, 1, 0)),
                     ("control", call.sendmsg(fd, ctypes.byref(Message(control=8, controllen=64)), 0))):
    see(name, [result, ctypes.get_errno()])
sock.connect((LOCAL, args[0]))
""",
    "thread": """
sock = tcp()
thread = threading.Thread(target=sock.connect, args=((LOCAL, args[0]),))
thread.start()
thread.join()
""",
    "poll": """
sock = tcp()
poll = select.poll()
poll.register(sock, select.POLLIN | select.POLLOUT)
see("before", poll.poll(0)[0][1])
sock.connect((LOCAL, args[0]))
""",
    "epolls": """
sock = tcp()
epolls = [select.epoll(), select.epoll()]
for epoll in epolls:
    epoll.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
see("before", [epoll.poll(0)[0][1] for epoll in epolls])
sock.connect((LOCAL, args[0]))
see("after", [epoll.poll(5)[0][1] for epoll in epolls])
""",
    "epoll changed": """
sock = tcp()
epoll = select.epoll()
epoll.register(sock, select.EPOLLIN)
see("before", epoll.poll(0)[0][1])
epoll.modify(sock, select.EPOLLOUT)
sock.setblocking(False)
see("begun", sock.connect_ex((LOCAL, args[0])))
see("after", epoll.poll(5)[0][1])
sock.setblocking(True)
""",
    "epoll left": """
sock = tcp()
epoll = select.epoll()
epoll.register(sock, select.EPOLLIN | select.EPOLLOUT)
epoll.unregister(sock)
sock.connect((LOCAL, args[0]))
see("after", epoll.poll(0.2))
""",
    "unconnected": """
sock = tcp()
for call in (sock.getpeername, lambda: sock.send(b"x", socket.MSG_NOSIGNAL), lambda: sock.recv(1),
             lambda: sock.shutdown(socket.SHUT_WR)):
    try:
        call()
    except OSError as error:
        see("error", error)
sock = tcp()
see("name", sock.getsockname())
sock.connect((LOCAL, args[0]))
""",
    "wrong address": """
sock = tcp()
for call in (lambda: sock.connect_ex(("255.255.255.255", 9)), lambda: sock.bind(("::1", 0))):
    try:
        see("result", call())
    except OSError as error:
        see("error", error)
sock.connect((LOCAL, args[0]))
""",
}
SHOWN = """
see("is", protocol_of(sock.fileno()))
see("answer", ask(sock))
see("peer", sock.getpeername()[1] == args[0])
"""


@pytest.mark.parametrize("kind", KINDS)
def test_what_else_happens_before(play, sctp_echo, tcp_echo, kind):
    over_tcp = play(None, KINDS[kind] + SHOWN, tcp_echo.port)
    preferred = play(PREFER, KINDS[kind] + SHOWN, sctp_echo.port)
    assert {**preferred.seen, "is": "tcp"} == over_tcp.seen
    assert preferred["is"] == "sctp"


def test_a_connection_that_no_hook_saw(play, sctp_echo, tcp_echo):
    """Made by another process: the socket is TCP's, and stays."""
    other = """
import ctypes, os, socket, sys
call = ctypes.CDLL(None).syscall
fd = call(438, os.pidfd_open(int(sys.argv[1])), int(sys.argv[2]), 0)      # pidfd_getfd
socket.socket(fileno=fd).connect(("127.0.0.1", int(sys.argv[3])))
"""
    text = """
import subprocess
sock, pipe, go = None, os.pipe(), os.pipe()
clean = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.readline(); sys.argv = sys.stdin.readline().split(); exec(sys.stdin.read())"],
                         env=clean, stdin=subprocess.PIPE, text=True)
sock = tcp()
child.communicate(f"\\n- {os.getpid()} {sock.fileno()} {args[0]}\\n" + args[1])
see("child", child.returncode)
""" + SHOWN
    seen = play(PREFER, text, tcp_echo.port, other).seen
    assert seen == {"child": 0, "is": "tcp", "answer": "ping", "peer": True}


def test_no_number_is_left_for_the_second_socket(play, port):
    """At the limit of descriptors SCTP cannot begin: TCP does, and that is said."""
    tcp_side, sctp_side = Echo(socket.IPPROTO_TCP, port=port), Echo(IPPROTO_SCTP, port=port)
    text = """
import resource
sock = tcp()
rest = []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
while True:
    try:
        rest.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        break
error = sock.connect_ex((LOCAL, args[0]))
for fd in rest:
    os.close(fd)
see("error", error)
""" + SHOWN
    played = play(PREFER, text, port, LOG="info")
    tcp_side.close()
    sctp_side.close()
    assert played.seen == {"error": 0, "is": "tcp", "answer": "ping", "peer": True}
    assert "over TCP: local: " in played.stderr


def test_forks_while_other_threads_connect(play, sctp_echo):
    """What another thread shares is decided there and then, and no option gets lost."""
    text = """
import subprocess
stop = threading.Event()
def fork():
    while not stop.is_set():
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
def connect(results):
    for _ in range(60):
        with tcp() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.settimeout(20)                       # O_NONBLOCK, by ioctl
            sock.connect((LOCAL, args[0]))
            results.append([ask(sock).decode(), sock.getsockopt(6, 1), sock.getsockopt(1, 9),
                            os.get_blocking(sock.fileno())])
results = [[] for _ in range(3)]
forking = threading.Thread(target=fork)
threads = [threading.Thread(target=connect, args=(mine,)) for mine in results]
for thread in [forking, *threads]:
    thread.start()
for thread in threads:
    thread.join()
stop.set()
forking.join()
see("all", [mine == [["ping", 1, 1, False]] * 60 for mine in results])
"""
    assert play(PREFER, text, sctp_echo.port).seen == {"all": [True, True, True]}


def test_a_peer_known_for_tcp_meets_no_sctp_socket(play, tcp_echo, tmp_path):
    """The second connect makes one socket, TCP's, and asks nothing of SCTP."""
    text = """
connected(args[0]).close()
import subprocess
tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", args[1], "-e", "trace=socket,dup3,setsockopt",
                           "-p", str(os.getpid())])
while "TracerPid:\\t0" in open("/proc/self/status").read():
    time.sleep(0.02)
connected(args[0]).close()
tracer.terminate()
tracer.wait()
"""
    trace = tmp_path / "trace"
    play(PREFER, text, tcp_echo.port, str(trace))
    calls = [line.split(None, 1)[1] for line in trace.read_text().splitlines() if "(" in line]
    assert [call.split("(")[0] for call in calls if "AF_INET" in call or "dup3" in call] == ["socket"]
    assert "SCTP" not in trace.read_text()
