# SPDX-License-Identifier: BSD-3-Clause
"""SIGPIPE: when it is raised and when not; and signals' effect is otherwise in each theme."""

import ctypes
import fcntl
import os
import select
import signal
import socket
import time

import libc
from harness import (Signals, alarms, behaviour, in_child, listener, pair, pollfor,
                     pollnow, settle, take, tcp)
from behaviours.sendfile import file_of

CALLS = {
    "send": lambda fd: libc.send(fd, b"x"),
    "write": lambda fd: libc.write(fd, b"x"),
    "writev": lambda fd: libc.writev(fd, [b"x", b"y"]),
    "sendmsg": lambda fd: libc.sendmsg(fd, [b"x"]),
    "sendmmsg": lambda fd: libc.sendmmsg(fd, [[b"x"]])[0],
    "sendto": lambda fd: libc.raw("sendto", fd, b"x", 1, 0, None, 0),
    "sendfile": lambda fd: sendfile(fd),
    "large write": lambda fd: libc.write(fd, b"x" * 1000000),
}


def sendfile(fd):
    source = file_of(b"0123")
    return libc.sendfile(fd, source.fileno(), 0, 4)[0]


def broken(t):
    """A connection whose peer is gone and that has already been told so."""
    client, server = pair(t)
    server.close()
    pollfor(client, 0x2000)
    for _ in range(50):
        if libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL) == "EPIPE":
            break
        pollfor(client, 0x10, 50)
    return client


def register(name, call):
    @behaviour(f"signals.sigpipe_{name.replace(' ', '_')}",
               f"{name} on a broken connection: EPIPE and one SIGPIPE")
    def sigpipe(t):
        client, pipes = broken(t), Signals(signal.SIGPIPE)
        t("first", [call(client.fileno()), pipes.seen()])
        t("second", [call(client.fileno()), pipes.seen()])


for _name, _call in CALLS.items():
    register(_name, _call)


@behaviour("signals.nosignal", "MSG_NOSIGNAL on a broken connection: EPIPE, no SIGPIPE")
def nosignal(t):
    client, pipes = broken(t), Signals(signal.SIGPIPE)
    fd = client.fileno()
    t("calls", [libc.send(fd, b"x", socket.MSG_NOSIGNAL),
                libc.sendmsg(fd, [b"x"], socket.MSG_NOSIGNAL),
                libc.sendmmsg(fd, [[b"x"]], socket.MSG_NOSIGNAL)[0]])
    t("sigpipe", pipes.seen())


@behaviour("signals.zero_on_broken", "sends of nothing on a broken connection")
def zero_on_broken(t):
    client, pipes = broken(t), Signals(signal.SIGPIPE)
    t("send", [libc.send(client.fileno(), b""), pipes.seen()])
    t("write", [libc.write(client.fileno(), b""), pipes.seen()])


@behaviour("signals.first_send", "the first send after the peer closed is taken, a later one is "
           "EPIPE and SIGPIPE")
def first_send(t):
    client, server = pair(t)
    pipes = Signals(signal.SIGPIPE)
    server.close()
    pollfor(client, 0x2000)
    t("first", [libc.send(client.fileno(), b"x"), pipes.seen()])
    t("poll", pollfor(client, 0x10, 1000) != "")
    t("second", [libc.send(client.fileno(), b"x"), pipes.seen()])
    t("third", [libc.send(client.fileno(), b"x"), pipes.seen()])


@behaviour("signals.peer_closes_in_loop", "a program that writes until it fails ends with EPIPE or "
           "ECONNRESET and at most one SIGPIPE")
def peer_closes_in_loop(t):
    client, server = pair(t)
    pipes = Signals(signal.SIGPIPE)
    server.close()
    result = 1
    for _ in range(100):
        result = libc.send(client.fileno(), b"x" * 100)
        if isinstance(result, str):
            break
        pollfor(client, 0x10, 20)
    t("error", "broken" if result in ("EPIPE", "ECONNRESET") else result)
    t("sigpipe", pipes.seen() <= 1)


@behaviour("signals.default_action", "SIGPIPE's default action ends the writer, and not without "
           "reason")
def default_action(t):
    client = broken(t)

    def write(flags):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        libc.send(client.fileno(), b"x", flags)
        return "alive"

    t("with", in_child(write, 0).result())
    t("nosignal", in_child(write, socket.MSG_NOSIGNAL).result())


@behaviour("signals.ignored", "with SIGPIPE ignored writes on a broken connection only say EPIPE")
def ignored(t):
    client = broken(t)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    t("writes", [libc.write(client.fileno(), b"x") for _ in range(3)])
    t("still ignored", signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN)


@behaviour("signals.blocked", "with SIGPIPE blocked one is pending after a write on a broken "
           "connection, none after MSG_NOSIGNAL")
def blocked(t):
    client = broken(t)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPIPE])
    libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL)
    t("nosignal", signal.SIGPIPE in signal.sigpending())
    libc.send(client.fileno(), b"x")
    t("plain", signal.SIGPIPE in signal.sigpending())


@behaviour("signals.no_sigpipe_while_healthy", "a healthy connection never raises SIGPIPE")
def healthy(t):
    client, server = pair(t)
    pipes = Signals(signal.SIGPIPE)
    for _ in range(50):
        client.sendall(b"x" * 1000)
        take(server, 1000)
    settle(client)
    t("sigpipe", pipes.seen())
    t("poll", pollnow(client))


@behaviour("signals.pipe_sigpipe", "a broken pipe raises SIGPIPE as before")
def pipe_sigpipe(t):
    pipes = Signals(signal.SIGPIPE)
    one, two = os.pipe()
    os.close(one)
    t("write", [libc.write(two, b"x"), pipes.seen()])
    left, right = socket.socketpair()
    right.close()
    t("unix", [libc.write(left.fileno(), b"x"), pipes.seen()])
    t("unix nosignal", [libc.send(left.fileno(), b"x", socket.MSG_NOSIGNAL), pipes.seen()])


@behaviour("signals.timer_storm", "a transfer under a storm of signals loses and repeats nothing")
def timer_storm(t):
    client, server = pair(t)
    Signals(signal.SIGALRM)
    data = os.urandom(1 << 20) * 4
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        client.close()
        got = b""
        while part := server.recv(1 << 20):
            got += part
        os._exit(0 if got == data else 1)
    server.close()
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    sent = 0
    view = memoryview(data)
    while sent < len(data):
        count = libc.send(client.fileno(), bytes(view[sent:sent + 1000000]))
        if count == "EINTR":
            continue
        if isinstance(count, str):
            t("error", count)
            break
        sent += count
    signal.setitimer(signal.ITIMER_REAL, 0)
    client.close()
    t("sent", sent)
    t("reader", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def asynchronous(fd, number=0):
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    if number:
        fcntl.fcntl(fd, 10, number)                     # F_SETSIG
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)


def wait_for(signals, limit=2.0):
    """Whether the signal comes within LIMIT seconds."""
    end = time.monotonic() + limit
    while not signals.count and time.monotonic() < end:
        time.sleep(0.005)
    return signals.seen() > 0


@behaviour("signals.sigio", "O_ASYNC: SIGIO when data, a connection, the peer's end comes, and the "
           "settings can be read")
def sigio(t):
    client, server = pair(t)
    caught = Signals(signal.SIGIO)
    asynchronous(server.fileno())
    t("owner", fcntl.fcntl(server.fileno(), fcntl.F_GETOWN) == os.getpid())
    t("flag", fcntl.fcntl(server.fileno(), fcntl.F_GETFL) & os.O_ASYNC != 0)
    caught.seen()
    client.sendall(b"data")
    t("data", wait_for(caught))
    t("recv", libc.recv(server.fileno(), 10))
    client.close()
    t("end", wait_for(caught))
    lsock = listener()
    asynchronous(lsock.fileno())
    caught.seen()
    client = tcp()
    client.connect(lsock.getsockname())
    t("connection", wait_for(caught))


@behaviour("signals.sigio_connect", "O_ASYNC set before a non-blocking connect tells of its end")
def sigio_connect(t):
    lsock, caught = listener(), Signals(signal.SIGUSR1)
    client = tcp(blocking=False)
    asynchronous(client.fileno(), signal.SIGUSR1)
    t("connect", client.connect_ex(lsock.getsockname()) != 0)
    t("told", wait_for(caught))
    t("poll", pollfor(client, 4))


@behaviour("signals.handler_uses_sockets", "a handler that sends, receives and polls on the very "
           "connection whose read it interrupted, and on another")
def handler_uses_sockets(t):
    client, server = pair(t)
    other, mine = pair(t)
    other.sendall(b"for the handler")
    pollfor(mine, 1)
    seen = []
    pid = os.fork()
    if pid == 0:
        asked = server.recv(100)
        server.sendall(b"answer to " + asked)
        os._exit(0)

    def handler(_):
        seen.append(libc.recv(mine.fileno(), 100))
        seen.append(libc.poll([(client.fileno(), 4)], 0))
        seen.append(libc.recv(client.fileno(), 10, socket.MSG_DONTWAIT)[0])
        seen.append(libc.send(client.fileno(), b"the handler"))

    function = ctypes.CFUNCTYPE(None, ctypes.c_int)(handler)
    libc.LIBC.signal(signal.SIGALRM, function)          # runs at once, inside the interrupted call
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    t("recv", libc.recv(client.fileno(), 100))
    t("handler", seen)
    os.waitpid(pid, 0)


def interrupted_calls(t, restart):
    """Every blocking call, interrupted while there is nothing to do."""
    client, server = pair(t)
    lsock, fd = listener(), server.fileno()
    Signals(signal.SIGALRM, restart)
    calls = {
        "recv": lambda: libc.recv(fd, 10)[0],
        "read": lambda: libc.read(fd, 10)[0],
        "readv": lambda: libc.readv(fd, [10])[0],
        "recvmsg": lambda: libc.recvmsg(fd, [10])["ret"],
        "recvmmsg": lambda: libc.recvmmsg(fd, [10])[0],
        "peek": lambda: libc.recv(fd, 10, socket.MSG_PEEK)[0],
        "waitall": lambda: libc.recv(fd, 10, socket.MSG_WAITALL)[0],
        "accept": lambda: libc.accept(lsock.fileno())[0],
        "poll": lambda: libc.poll([(fd, 1)], 2000)[0],
    }
    for name, call in calls.items():
        later = None
        if restart and name not in ("accept", "poll"):
            pid = os.fork()
            if pid == 0:
                time.sleep(0.35)
                client.sendall(b"0123456789")
                os._exit(0)
            later = pid
        elif restart and name == "accept":
            continue
        alarms(0.1)
        t(name, call())
        signal.setitimer(signal.ITIMER_REAL, 0)
        if later:
            os.waitpid(later, 0)
            libc.recv(fd, 10, socket.MSG_DONTWAIT)


@behaviour("signals.eintr_everywhere", "every blocking call ends with EINTR")
def eintr_everywhere(t):
    interrupted_calls(t, False)


@behaviour("signals.restart_everywhere", "with SA_RESTART every read goes on until there is data; "
           "poll ends")
def restart_everywhere(t):
    interrupted_calls(t, True)


@behaviour("signals.epoll_eintr", "epoll_wait on a connection ends with EINTR")
def epoll_eintr(t):
    _, server = pair(t)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN)
    Signals(signal.SIGALRM)
    events = (ctypes.c_char * 48)()
    alarms(0.1)
    ctypes.set_errno(0)
    result = libc.LIBC.epoll_wait(poller.fileno(), events, 4, 2000)
    number = ctypes.get_errno()
    signal.setitimer(signal.ITIMER_REAL, 0)
    t("epoll_wait", [result, libc.errno_name(number) if number else 0])
