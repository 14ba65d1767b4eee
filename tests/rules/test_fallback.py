# SPDX-License-Identifier: BSD-3-Clause
"""prefer-sctp: connects that SCTP cannot make go on over TCP, and what is remembered of it."""

import itertools
import json
import os
import re
import socket
import sys
import time

import ledgers
import pytest

from deciding import HERE, IPPROTO_SCTP, Echo, free_port
from filters import FILTERS, filtering
from test_replacement import ITEMS, ITEMS6, SET, packed

pytestmark = pytest.mark.usefixtures("runtime")
PREFER = "action = prefer-sctp\n"
KINDS = ["blocking", "select", "poll", "epoll", "epoll edge", "epoll before", "epoll once", "again",
         "error only", "send"]
CONNECT = """
def connect(kind, port, host=LOCAL, family=socket.AF_INET):
    sock = tcp(family)
    if kind == "blocking":
        sock.connect((host, port))
        return sock
    sock.setblocking(False)
    out = select.EPOLLOUT | (select.EPOLLET if kind == "epoll edge" else 0) | (
        select.EPOLLONESHOT if kind == "epoll once" else 0)
    epoll = select.epoll()
    if kind in ("epoll before", "epoll once"):
        epoll.register(sock, out | select.EPOLLIN)
    see(kind + " began", sock.connect_ex((host, port)))
    if kind in ("epoll", "epoll edge"):
        epoll.register(sock, out)
    if kind.startswith("epoll"):
        while not (got := epoll.poll(20)) or not got[0][1] & select.EPOLLOUT:
            assert got
        see(kind + " events", [(fd == sock.fileno(), bits) for fd, bits in got])
    elif kind == "poll":
        poll = select.poll()
        poll.register(sock, select.POLLOUT | select.POLLIN)
        see("poll events", [(fd == sock.fileno(), bits) for fd, bits in poll.poll(20000)])
    elif kind == "again":
        while (error := sock.connect_ex((host, port))) == 114:
            time.sleep(0.01)
        see("again", error in (0, 106))
    elif kind == "error only":
        while not (error := sock.getsockopt(1, 4)):
            try:
                sock.getpeername()
                break
            except OSError:
                time.sleep(0.01)
        see("error only", error)
    elif kind == "send":
        while True:
            try:
                see("send", sock.send(b"ping"))
                break
            except BlockingIOError:
                time.sleep(0.01)
        sock.setblocking(True)
        see("received", sock.recv(4))
        return sock
    else:
        see("select", len(select.select([sock], [sock], [], 20)[1]))
    see(kind + " error", sock.getsockopt(1, 4))
    sock.setblocking(True)
    return sock
"""
ONE = CONNECT + """
sock = connect(args[1], args[0])
see("is", protocol_of(sock.fileno()))
see("answer", ask(sock))
see("peer", sock.getpeername()[1] == args[0])
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_without_sctp(play, tcp_echo, kind):
    """What the program sees of its connect is what it sees over TCP."""
    over_tcp = play(None, ONE, tcp_echo.port, kind)
    fallen = play(PREFER, ONE, tcp_echo.port, kind, LOG="info")
    assert fallen.seen == over_tcp.seen
    assert fallen["is"] == "tcp"
    assert fallen.stderr.count("over TCP: refused: the peer refused SCTP at this port") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_with_sctp(play, sctp_echo, tcp_echo, kind):
    over_tcp = play(None, ONE, tcp_echo.port, kind)
    first = play(PREFER, ONE, sctp_echo.port, kind)
    assert {**first.seen, "is": "tcp"} == over_tcp.seen
    assert first["is"] == "sctp"


@pytest.mark.parametrize("kind", KINDS[:5])
def test_nobody_there(play, port, kind):
    """Neither of both: the error is TCP's."""
    text = CONNECT + """
try:
    connect(args[1], args[0])
except OSError as error:
    see("refused", error)
"""
    over_tcp = play(None, text, port, kind)
    assert play(PREFER, text, port, kind).seen == over_tcp.seen


# ---- What the program did to the socket ----

CACHE = {}


@pytest.mark.parametrize("family, name",
                         [("v4", name) for name in ITEMS] + [("v6", name) for name in ITEMS6])
def test_an_option_survives(play, family, name):
    """SET connects without blocking: the socket is replaced while that connect is under way."""
    if family not in CACHE:
        echo = Echo(socket.IPPROTO_TCP, socket.AF_INET6 if family == "v6" else socket.AF_INET)
        items = packed(ITEMS6 if family == "v6" else ITEMS)
        CACHE[family] = [play(text, SET, echo.port, items, family, FALLBACK_LIFETIME=0)
                         for text in (None, PREFER)]
        echo.close()
    over_tcp, fallen = CACHE[family]
    assert fallen[name] == over_tcp[name]
    before, _, error, protocol = fallen[name]
    assert before != fallen[name + " fresh"]
    assert (error, protocol) == (0, "tcp")


def test_the_file_and_the_name_survive(play, tcp_echo):
    text = """
import fcntl, signal
F_SETSIG, F_GETSIG = 10, 11
sock = tcp()
fd = sock.fileno()
os.set_inheritable(fd, True)
sock.bind(("127.0.0.2", 0))
own = sock.getsockname()
copy = sock.dup()
sock.setblocking(False)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
fcntl.fcntl(fd, F_SETSIG, signal.SIGUSR1)
fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
def state():
    return [fcntl.fcntl(fd, c) for c in (fcntl.F_GETFL, F_GETSIG, fcntl.F_GETFD, fcntl.F_GETOWN)]
before = state()
see("error", end_of_connect(sock, (LOCAL, args[0])))
see("is", [protocol_of(s.fileno()) for s in (sock, copy)])
see("same", [state() == before, sock.getsockname() == own, copy.getsockname() == own,
             os.get_inheritable(copy.fileno())])
copy.setblocking(True)
see("answer", ask(copy))
"""
    seen = play(PREFER, text, tcp_echo.port).seen
    assert seen == {"error": 0, "is": ["tcp", "tcp"], "same": [True, True, True, False],
                    "answer": "ping"}


def test_two_epolls_and_a_second_thread(play, tcp_echo):
    """Both wait while the connect fails; each is told of the true end, and of nothing else."""
    text = """
sock = tcp()
sock.setblocking(False)
epolls = [select.epoll(), select.epoll()]
for epoll in epolls:
    epoll.register(sock, select.EPOLLOUT | select.EPOLLIN | select.EPOLLRDHUP)
got = [None, None]
def wait(i):
    got[i] = [(fd == sock.fileno(), bits) for fd, bits in epolls[i].poll(20)]
threads = [threading.Thread(target=wait, args=(i,)) for i in range(2)]
ready = threading.Barrier(3)
sock.connect_ex((LOCAL, args[0]))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
see("got", got)
see("is", protocol_of(sock.fileno()))
"""
    over_tcp = play(None, text, tcp_echo.port)
    for _ in range(5):
        assert play(PREFER, text, tcp_echo.port, FALLBACK_LIFETIME=0).seen == over_tcp.seen


def test_threads_that_wait_while_another_takes_tcp(play, tcp_echo):
    """Whoever has the failure of the SCTP socket in hand already is not told of it."""
    text = """
THREADS = 4
def once():
    sock = tcp()
    sock.setblocking(False)
    epolls = [select.epoll() for _ in range(THREADS)]
    for epoll in epolls:
        epoll.register(sock, select.EPOLLOUT | select.EPOLLIN | select.EPOLLRDHUP)
    got, ready = [None] * THREADS, threading.Barrier(THREADS + 1)
    def wait(i):
        ready.wait()
        got[i] = epolls[i].poll(20)
    threads = [threading.Thread(target=wait, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    sock.connect_ex((LOCAL, args[0]))
    ready.wait()
    for thread in threads:
        thread.join()
    for epoll in epolls:
        epoll.close()
    with sock:
        return [bits for events in got for _, bits in events]
see("bits", sorted({bits for _ in range(200) for bits in once()}))
"""
    assert play(PREFER, text, tcp_echo.port, FALLBACK_LIFETIME=0).seen == {"bits": [4]}


# ---- Filters ----

@pytest.fixture(params=FILTERS)
def filtered(request, sctp):
    """A filter in loopback's way: the reason that is expected of it."""
    if os.geteuid() != 0:
        pytest.skip("filters need root")
    with filtering(request.param) as reason:
        yield reason


@pytest.fixture
def both_echo(sctp):
    """TCP and SCTP servers at one port."""
    port = free_port()
    echoes = [Echo(protocol, port=port) for protocol in (socket.IPPROTO_TCP, IPPROTO_SCTP)]
    yield echoes[0]
    for echo in echoes:
        echo.close()


@pytest.mark.parametrize("kind", ["blocking", "poll", "epoll before", "select"])
def test_a_filter(play, filtered, both_echo, kind):
    over_tcp = play(None, ONE, both_echo.port, kind)
    fallen = play(PREFER, ONE, both_echo.port, kind, LOG="info", FALLBACK_TIMEOUT=200)
    assert fallen.seen == over_tcp.seen
    assert fallen.stderr.count(f"over TCP: {filtered}:") == 1


def test_a_lost_packet_is_no_reason(play, filtered, both_echo):
    """The second first packet comes through."""
    if filtered != "timeout":
        pytest.skip("the same for all")
    text = CONNECT + """
import subprocess
heal = threading.Timer(0.3, subprocess.run, [["tc", "qdisc", "del", "dev", "lo", "clsact"]])
heal.start()
sock = connect("poll", args[0])
see("is", protocol_of(sock.fileno()))
heal.join()
subprocess.run(["tc", "qdisc", "add", "dev", "lo", "clsact"])
"""
    assert play(PREFER, text, both_echo.port, FALLBACK_TIMEOUT=6000)["is"] == "sctp"


def test_action_sctp_never_takes_tcp(play, filtered, both_echo):
    text = CONNECT + """
try:
    connect(args[1], args[0])
except OSError as error:
    see("error", error)
"""
    for kind in ("blocking", "poll"):
        seen = play("action = sctp\ninit_attempts = 1\nrto_initial = 100\nrto_min = 10\n"
                    "init_timeout = 100\n", text, both_echo.port, kind, LOG="info")
        assert seen.seen["error" if kind == "blocking" else "poll error"] not in (0, None)
        assert f"{filtered}, and action = sctp never takes TCP instead" in seen.stderr
        assert not both_echo.peers


# ---- What is remembered ----

def sent():
    """How many packets this kernel's SCTP has sent in this network namespace."""
    with open("/proc/net/sctp/snmp", encoding="ascii") as file:
        return int(re.search(r"SctpOutSCTPPacks\s+(\d+)", file.read()).group(1))


def test_a_verdict_sends_nothing(play, tcp_echo):
    """The second connect to a peer without SCTP does not ask it again, in whichever process."""
    first = play(PREFER, ONE, tcp_echo.port, "poll", LOG="info")
    before = sent()
    second = play(PREFER, ONE, tcp_echo.port, "poll", LOG="info")
    assert sent() == before
    assert second.seen == first.seen
    assert "over TCP: refused" in first.stderr
    assert "over TCP: cached: an earlier connect to there had to use TCP" in second.stderr


def test_another_port_is_another_destination(play, tcp_echo, sctp_echo):
    play(PREFER, ONE, tcp_echo.port, "blocking")
    assert play(PREFER, ONE, sctp_echo.port, "blocking")["is"] == "sctp"


def test_a_verdict_ends(play, tcp_echo):
    play(PREFER, ONE, tcp_echo.port, "blocking", FALLBACK_LIFETIME=1)
    time.sleep(2)
    assert "over TCP: refused" in play(PREFER, ONE, tcp_echo.port, "blocking", LOG="info").stderr


def test_a_verdict_for_sctp_ends_with_a_refusal(play, port):
    """The server is started anew without the shim: the program notices nothing."""
    listener = Echo(IPPROTO_SCTP, port=port)
    assert play(PREFER, ONE, port, "poll")["is"] == "sctp"
    listener.close()
    listener = Echo(socket.IPPROTO_TCP, port=port)
    assert play(PREFER, ONE, port, "poll")["is"] == "tcp"
    listener.close()


def test_only_what_is_known_decides(play, tcp_echo, sctp_echo):
    """FALLBACK_TIMEOUT=0."""
    unknown = play(PREFER, ONE, tcp_echo.port, "blocking", LOG="info", FALLBACK_TIMEOUT=0)
    assert "over TCP: not-known" in unknown.stderr
    play(PREFER, ONE, sctp_echo.port, "blocking")
    assert play(PREFER, ONE, sctp_echo.port, "blocking", FALLBACK_TIMEOUT=0)["is"] == "sctp"


def write_noise(memory):
    """All but which one it is."""
    memory[ledgers.DIRECTORY.stop:] = os.urandom(len(memory) - ledgers.DIRECTORY.stop)


def write_all(memory):
    """That too."""
    memory[:] = os.urandom(len(memory))


def spoil(how, ledger):
    """What may happen to the segment."""
    if how == "removed":
        ledger.remove()
    elif how == "noise":
        ledger.with_bytes(write_noise)
    elif how == "garbage":
        ledger.with_bytes(write_all)
    elif how == "open to others":
        ledger.change(mode=0o666)
    elif how == "another's":
        ledger.change(uid=12345)
    elif how == "another size":
        ledger.remove()
        ledgers.make(ledger.key, 4096)
    elif how == "another ledger's key":
        ledger.remove()
        ledgers.make(ledger.key, ledger.size).with_bytes(write_all)


@pytest.mark.parametrize("how", ["removed", "noise", "garbage", "open to others", "another's",
                                 "another size", "another ledger's key"])
def test_a_ledger_that_is_not_as_it_should_be(play, tcp_echo, runtime, how):
    """It is as if nothing were known."""
    if how == "another's" and os.geteuid() != 0:
        pytest.skip("needs root")
    play(PREFER, ONE, tcp_echo.port, "blocking")
    ledger, = ledgers.of(runtime)
    assert ledger.mode == 0o600
    spoil(how, ledger)
    seen = play(PREFER, ONE, tcp_echo.port, "blocking", LOG="info")
    assert seen["answer"] == "ping"
    assert "over TCP: refused" in seen.stderr
    seen = play(PREFER, ONE, tcp_echo.port, "blocking", LOG="info")
    assert "over TCP: cached" in seen.stderr


def test_a_ledger_that_comes_and_goes(play, tcp_echo, runtime):
    """While a program connects again and again, it is removed and spoilt."""
    text = """
for _ in range(args[1]):
    with connected(args[0]) as sock:
        assert ask(sock) == b"ping"
see("done", True)
"""
    started = play.start(PREFER, text, tcp_echo.port, 150)
    spoils = itertools.cycle(["noise", "removed", "garbage"])
    while started.poll() is None:
        for ledger in ledgers.of(runtime):
            try:
                spoil(next(spoils), ledger)
            except OSError:
                pass
    out, errors = started.communicate(timeout=60)
    assert (started.returncode, out) == (0, '{"done": true}\n'), errors


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_who_gives_up_the_user_gives_up_the_ledger(play, tcp_echo):
    """Also in a child, which has it from its parent; nobody else's is taken instead."""
    text = """
import ctypes
os.chmod(os.environ["XDG_RUNTIME_DIR"], 0o755)
attached = lambda: open("/proc/self/maps").read().count("/SYSV5c7")
connected(args[0]).close()
see("root's", attached())
ended = []
for give_up in (lambda: os.setuid(12345), lambda: os.seteuid(12345), lambda: os.setreuid(12345, 12345),
                lambda: os.setresuid(12345, 12345, 12345),
                lambda: ctypes.CDLL(None).syscall(117, 12345, 12345, 12345)):
    child = os.fork()
    if not child:
        before = attached()
        give_up()
        left = attached()
        connected(args[0]).close()
        os._exit(0 if (before, left, attached()) == (1, 0, 1) else 1)
    ended.append(os.waitpid(child, 0)[1])
see("children", ended)
see("root's still", attached())
os.seteuid(12345)
see("none", attached())
os.seteuid(0)
connected(args[0]).close()
see("again", attached())
"""
    played = play(PREFER, text, tcp_echo.port, LOG="info")
    for ledger in ledgers.all_of_mine(12345):
        ledger.remove()
    assert played.seen == {"root's": 1, "children": [0] * 5, "root's still": 1, "none": 0, "again": 1}
    # The first ones of both users; then what each of them knows.
    reasons = re.findall("over TCP: (\\S+):", played.stderr)
    assert reasons == ["refused"] * 2 + ["cached"] * 5


def test_no_descriptor_stays(play, tcp_echo):
    text = """
before = os.listdir("/proc/self/fd")
for _ in range(3):
    connected(args[0]).close()
see("same", os.listdir("/proc/self/fd") == before)
"""
    assert play(PREFER, text, tcp_echo.port)["same"] is True


# ---- What is shown ----

def test_status_shows_the_reason(play, run, tcp_echo, port):
    """Per connection, with its program, and in total."""
    text = """
sock = connected(args[0])
listener = tcp()
listener.bind((LOCAL, args[1]))
listener.listen(4)
plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 6)
see("pid", os.getpid())
conn, _ = listener.accept()
sys.stdin.readline()
while not os.path.exists(args[2]):
    time.sleep(0.02)
"""
    go = f"/tmp/go-{os.getpid()}-{port}"
    process = play.start(PREFER, text, tcp_echo.port, port, go)
    pid = json.loads(process.stdout.readline())["pid"]
    try:
        with socket.create_connection(("127.0.0.1", port)) as client:
            deadline = time.monotonic() + 30
            while True:
                shown = json.loads(run("status", "--json", f"--pid={pid}").stdout)
                if len(shown["tcp"]) == 2 or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            text = run("status", f"--pid={pid}").stdout
            client_port = client.getsockname()[1]
    finally:
        with open(go, "w", encoding="ascii"):
            process.communicate(timeout=30)
        os.unlink(go)
    by_reason = {one["reason"]: one for one in shown["tcp"]}
    assert set(by_reason) == {"refused", "peer"}
    refused, peer = by_reason["refused"], by_reason["peer"]
    assert (refused["accepted"], refused["peer_port"], refused["state"]) == (
        False, tcp_echo.port, "ESTABLISHED")
    assert (peer["accepted"], peer["local_port"], peer["peer_port"]) == (True, port, client_port)
    assert [holder["pid"] for holder in peer["holders"]] == [pid]
    assert (shown["reasons"]["refused"], shown["reasons"]["peer"]) == (1, 1)
    assert f"tcp   ESTABLISHED 127.0.0.1:{refused['local_port']}-127.0.0.1:{tcp_echo.port}" in text
    assert "      connected: refused: the peer refused SCTP at this port" in text
    assert "left to TCP so far: 1 refused, 1 peer" in text


def test_a_socket_made_elsewhere(play, tcp_echo):
    text = """
import subprocess
plain = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
out = subprocess.run([sys.executable, "-c", '''
import os, socket, sys
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.set_inheritable(True)
env = {**os.environ, "LD_PRELOAD": sys.argv[2]}
os.execve(sys.executable, [sys.executable, "-c", f"import socket; s = socket.socket(fileno={sock.fileno()});"
          " s.send(b'ping'); print(s.recv(9))"], env)
''', str(args[0]), os.environ["LD_PRELOAD"]], env=plain, capture_output=True, text=True, check=True)
see("said", out.stdout)
see("log", out.stderr)
"""
    seen = play(PREFER, text, tcp_echo.port, LOG="info")
    assert seen["said"] == "b'ping'\n"
    assert seen["log"].count("stays with TCP: born-tcp: the socket was made elsewhere") == 1


@pytest.mark.parametrize("action", ["sctp", "tcp", "prefer-sctp"])
def test_check_a_destination(run, both_echo, tcp_echo, port, action):
    def check(at):
        return run("check", "127.0.0.1", str(at), SCTPSHIM_ACTION=action).stdout.splitlines()
    lines = check(both_echo.port)
    assert re.fullmatch(rf"ok    127\.0\.0\.1:{both_echo.port} over SCTP +an association in "
                        r"[\d.]+ ms, from 127\.0\.0\.1 .*", lines[0])
    assert re.fullmatch(r"ok    .* over TCP +a connection in [\d.]+ ms", lines[-2])
    taken = "TCP" if action == "tcp" else "SCTP"
    assert lines[-1].startswith(f"127.0.0.1:{both_echo.port}: {taken}, for action is {action} "
                                "(no rule)")
    lines = check(tcp_echo.port)
    assert re.fullmatch(r"no    .* over SCTP +ECONNREFUSED after [\d.]+ ms: the peer refused SCTP "
                        "at this port", lines[0])
    taken = "fails" if action == "sctp" else "TCP"
    assert lines[-1].startswith(f"127.0.0.1:{tcp_echo.port}: {taken}, for action is {action}")
    lines = check(port)
    assert lines[-2].startswith("no ") and "ECONNREFUSED" in lines[-2]


def test_check_teaches(play, run, sctp_echo):
    """What it has found decides where FALLBACK_TIMEOUT is 0."""
    run("check", "127.0.0.1", str(sctp_echo.port), SCTPSHIM_ACTION="prefer-sctp")
    assert play(PREFER, ONE, sctp_echo.port, "blocking", FALLBACK_TIMEOUT=0)["is"] == "sctp"


def test_a_machine_without_sctp(run, tcp_echo):
    """Its programs run on; the reason is counted."""
    text = """
import socket, sys
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.send(b"ping")
print(sock.recv(9))
"""
    blind = [sys.executable, HERE.parent / "cli/nosctp.py"]
    done = run("--action=prefer-sctp", "--stack=kernel", "--", sys.executable, "-c", text,
               str(tcp_echo.port), before=blind, SCTPSHIM_LOG="info")
    assert (done.returncode, done.stdout) == (0, "b'ping'\n"), done.stderr
    assert "prefer-sctp means TCP" in done.stderr
    assert json.loads(run("status", "--json").stdout)["reasons"]["no-sctp"] == 1
