# SPDX-License-Identifier: BSD-3-Clause
"""connect() that takes its time: non-blocking, in progress, interrupted, timed out, failing."""

import os
import select
import signal
import socket
import struct
import time

import libc
import network
from harness import (LOCAL, Background, Signals, alarms, behaviour, bits, closed_port, in_child,
                     listener, pass_descriptor, pollfor, pollnow, port_of, quiet,
                     receive_descriptor, so_error, take, tcp, waited)

SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP


def held(blocking=False):
    """A socket whose connect will stay in progress, and the address to use."""
    network.private()
    return tcp(blocking=blocking), (network.HOLE, 4444)


def release():
    """Let held connects through; the listener that gets them."""
    lsock = listener("0.0.0.0", port=4444)
    network.open_hole()
    return lsock


@behaviour("connecting.life_cycle", "non-blocking connect: EINPROGRESS, writable, SO_ERROR 0, "
           "connect again says 0 once and then EISCONN")
def life_cycle(t):
    lsock, client = listener(), tcp(blocking=False)
    where = lsock.getsockname()
    t("first", libc.connect(client.fileno(), where))
    t("poll", pollfor(client, 4))
    t("so_error", so_error(client))
    t("second", libc.connect(client.fileno(), where))
    t("third", libc.connect(client.fileno(), where))
    server, _ = lsock.accept()
    t.prove(client, server)
    t("peer", client.getpeername() == where)
    t("still nonblocking", libc.recv(client.fileno(), 1)[0])
    client.send(b"x")
    t("data", take(server, 1))


@behaviour("connecting.connect_as_poll", "programs that poll and then connect again to learn the "
           "outcome get 0")
def connect_as_poll(t):
    lsock, client = listener(), tcp(blocking=False)
    libc.connect(client.fileno(), lsock.getsockname())
    pollfor(client, 4)
    t("again", libc.connect(client.fileno(), lsock.getsockname()))
    t("and again", libc.connect(client.fileno(), lsock.getsockname()))


@behaviour("connecting.eisconn_after_data", "after the connection carried data a second connect "
           "still says 0 once")
def eisconn_after_data(t):
    lsock, client = listener(), tcp(blocking=False)
    libc.connect(client.fileno(), lsock.getsockname())
    pollfor(client, 4)
    server, _ = lsock.accept()
    client.send(b"x")
    take(server, 1)
    t("second", libc.connect(client.fileno(), lsock.getsockname()))
    t("third", libc.connect(client.fileno(), lsock.getsockname()))


@behaviour("connecting.in_progress", "while connecting: connect, poll, names, recv, send, SO_ERROR")
def in_progress(t):
    client, where = held()
    pipes = Signals(signal.SIGPIPE)
    t("first", libc.connect(client.fileno(), where))
    t("second", libc.connect(client.fileno(), where))
    t("third", libc.connect(client.fileno(), ("127.0.0.1", 5)))
    t("poll", pollnow(client))
    t("peer", libc.getname("getpeername", client.fileno())[0])
    t("name", client.getsockname()[0])
    t("recv", libc.recv(client.fileno(), 10)[0])
    t("read", libc.read(client.fileno(), 10)[0])
    t("so_error", so_error(client))
    t("sigpipe", pipes.seen())
    t("fionread", libc.ioctl_int(client.fileno(), 0x541B))
    t("poll at the end", pollnow(client))


@behaviour("connecting.send", "every kind of send while connecting says EAGAIN and raises nothing")
def send_while_connecting(t):
    client, where = held()
    pipes = Signals(signal.SIGPIPE)
    t("connect", libc.connect(client.fileno(), where))
    fd = client.fileno()
    t("send", libc.send(fd, b"x"))
    t("send nosignal", libc.send(fd, b"x", socket.MSG_NOSIGNAL))
    t("write", libc.write(fd, b"x"))
    t("writev", libc.writev(fd, [b"a", b"b"]))
    t("sendmsg", libc.sendmsg(fd, [b"a"]))
    t("sendmmsg", libc.sendmmsg(fd, [[b"a"]])[0])
    with open("/etc/passwd", "rb") as source:
        t("sendfile", libc.sendfile(fd, source.fileno(), 0, 10)[0])
    t("sigpipe", pipes.seen())
    t("poll", pollnow(client))
    t("connect again", libc.connect(fd, where))


@behaviour("connecting.completes_late", "the connection comes up a second later: poll, SO_ERROR, "
           "connect, data")
def completes_late(t):
    client, where = held()
    t("connect", libc.connect(client.fileno(), where))
    t("send", libc.send(client.fileno(), b"early", socket.MSG_NOSIGNAL))
    lsock = release()
    t("poll", pollfor(client, 4))
    t("so_error", so_error(client))
    t("connect again", libc.connect(client.fileno(), where))
    server, _ = lsock.accept()
    t.prove(client, server)
    client.send(b"late")
    t("data", take(server, 4))


@behaviour("connecting.epoll_edge", "edge-triggered epoll, registered before connect: one writable "
           "edge when it is up")
def epoll_edge(t):
    lsock, client = listener(), tcp(blocking=False)
    poller = select.epoll()
    poller.register(client, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET | 0x2000)
    poller.poll(0)                                   # what a fresh socket says is another test
    libc.connect(client.fileno(), lsock.getsockname())
    events = poller.poll(3)
    t("edge", [event & 4 for _, event in events])
    t("errors", [event & 0x2018 for _, event in events])
    server, _ = lsock.accept()
    server.sendall(b"x")
    t("data edge", [event & 1 for _, event in poller.poll(3)])


@behaviour("connecting.epoll_late", "epoll registration made while connecting wakes when it is up")
def epoll_late(t):
    client, where = held()
    libc.connect(client.fileno(), where)
    poller = select.epoll()
    poller.register(client, select.EPOLLOUT | select.EPOLLET)
    t("before", poller.poll(0.05))
    lsock = release()
    t("after", [event for _, event in poller.poll(5)])
    t.prove(client, lsock)


@behaviour("connecting.select", "select() reports a finished connect as writable, not readable")
def select_connect(t):
    lsock, client = listener(), tcp(blocking=False)
    libc.connect(client.fileno(), lsock.getsockname())
    ready = select.select([client], [client], [client], 3)
    t("ready", [len(part) for part in ready])


@behaviour("connecting.refused_wakes", "a refused non-blocking connect wakes poll, select and "
           "epoll; SO_ERROR says why, once")
def refused_wakes(t):
    port = closed_port()
    client = tcp(blocking=False)
    t("connect", libc.connect(client.fileno(), (LOCAL, port)))
    t("poll woke", libc.poll([(client.fileno(), 4)], 3000)[0])
    t("select", [len(part) for part in select.select([client], [client], [], 0)])
    poller = select.epoll()
    poller.register(client, select.EPOLLOUT | select.EPOLLET)
    t("epoll woke", len(poller.poll(1)))
    t("so_error", so_error(client))
    t("so_error again", so_error(client))


@behaviour("connecting.refused_bits", "the poll bits of a refused non-blocking connect, before and "
           "after SO_ERROR is read")
def refused_bits(t):
    client = tcp(blocking=False)
    libc.connect(client.fileno(), (LOCAL, closed_port()))
    t("poll", pollfor(client, 8))
    t("so_error", so_error(client))
    t("poll after", pollnow(client))


@behaviour("connecting.epoll_refused", "what epoll shows of a refused connect, by level, by edge, once, "
           "and when a write has taken the error before; then of the next attempts")
def epoll_refused(t):
    wanted = select.EPOLLIN | select.EPOLLRDHUP

    def shown(poller):
        return [[event for _, event in poller.poll(0)] for _ in range(2)]

    for name, how in (("level", 0), ("edge", select.EPOLLET), ("once", select.EPOLLONESHOT)):
        for taken in (False, True):
            client, poller = tcp(blocking=False), select.epoll()
            fd = client.fileno()
            libc.connect(fd, (LOCAL, closed_port()))
            pollfor(client, 8)
            poller.register(client, wanted | how)
            if taken:
                t(f"{name}, write", libc.send(fd, b"", socket.MSG_NOSIGNAL))
            t(f"{name}, {'taken' if taken else 'not taken'}", shown(poller))
    t("recvmsg", libc.recvmsg(fd, [4], 0, 16, 64))
    poller.modify(client, wanted | select.EPOLLET)
    t("modified", shown(poller))
    for attempt in range(4):
        t(f"attempt {attempt}", libc.connect(fd, (LOCAL, closed_port())))
        time.sleep(0.02)
        t(f"then {attempt}", shown(poller))


@behaviour("connecting.refused_still_wakes", "after SO_ERROR was read a failed socket still wakes "
           "pollers (nobody waits for ever)")
def refused_still_wakes(t):
    client = tcp(blocking=False)
    libc.connect(client.fileno(), (LOCAL, closed_port()))
    pollfor(client, 8)
    t("so_error", so_error(client))
    t("poll", libc.poll([(client.fileno(), 4)], 300)[0])
    t("select", [len(part) for part in select.select([client], [client], [], 0.3)])
    t("recv", libc.recv(client.fileno(), 10)[0])


@behaviour("connecting.refused_then_connect", "what connect, send and recv say after a refused "
           "non-blocking connect")
def refused_then_connect(t):
    lsock, client = listener(), tcp(blocking=False)
    pipes = Signals(signal.SIGPIPE)
    libc.connect(client.fileno(), (LOCAL, closed_port()))
    pollfor(client, 8)
    t("send", libc.send(client.fileno(), b"x"))
    t("sigpipe", pipes.seen())
    t("so_error", so_error(client))
    t("connect elsewhere", libc.connect(client.fileno(), lsock.getsockname()))
    t("and then", libc.connect(client.fileno(), lsock.getsockname()))
    t("poll", pollfor(client, 4))
    t("so_error later", so_error(client))


@behaviour("connecting.refused_connect_tells", "without reading SO_ERROR, the next connect reports "
           "the refusal")
def refused_connect_tells(t):
    client, port = tcp(blocking=False), closed_port()
    t("first", libc.connect(client.fileno(), (LOCAL, port)))
    pollfor(client, 8)
    t("second", libc.connect(client.fileno(), (LOCAL, port)))
    t("so_error", so_error(client))


@behaviour("connecting.refused_read", "reading a refused non-blocking socket reports the refusal")
def refused_read(t):
    client = tcp(blocking=False)
    libc.connect(client.fileno(), (LOCAL, closed_port()))
    pollfor(client, 8)
    t("recv", libc.recv(client.fileno(), 10)[0])
    t("so_error", so_error(client))
    t("recv again", libc.recv(client.fileno(), 10)[0])


@behaviour("connecting.made_blocking", "non-blocking connect, then made blocking: connect waits "
           "for the outcome")
def made_blocking(t):
    client, where = held()
    t("first", libc.connect(client.fileno(), where))
    client.setblocking(True)
    second = Background(libc.connect, client.fileno(), where)
    t("waits", second.running(0.2))
    lsock = release()
    t("second", second.result())
    t("third", libc.connect(client.fileno(), where))
    server, _ = lsock.accept()
    t.prove(client, server)


@behaviour("connecting.made_blocking_send", "non-blocking connect, then made blocking: send waits, "
           "then sends")
def made_blocking_send(t):
    client, where = held()
    libc.connect(client.fileno(), where)
    client.setblocking(True)
    sending = Background(libc.send, client.fileno(), b"hello")
    t("waits", sending.running(0.2))
    lsock = release()
    t("send", sending.result())
    server, _ = lsock.accept()
    t("data", take(server, 5))


@behaviour("connecting.made_blocking_recv", "non-blocking connect, then made blocking: recv waits "
           "for data")
def made_blocking_recv(t):
    client, where = held()
    libc.connect(client.fileno(), where)
    client.setblocking(True)
    reading = Background(libc.recv, client.fileno(), 10)
    t("waits", reading.running(0.2))
    lsock = release()
    server, _ = lsock.accept()
    server.sendall(b"hi")
    t("recv", reading.result())


@behaviour("connecting.made_nonblocking", "a blocking connect that was made on a socket switched "
           "to non-blocking later works on")
def made_nonblocking(t):
    lsock, client = listener(), tcp()
    client.connect(lsock.getsockname())
    client.setblocking(False)
    t("connect", libc.connect(client.fileno(), lsock.getsockname()))
    t("recv", libc.recv(client.fileno(), 1)[0])


@behaviour("connecting.interrupted", "a signal during a blocking connect: EINTR, and the "
           "connection goes on in the background")
def interrupted(t):
    client, where = held(blocking=True)
    caught = Signals(signal.SIGALRM)
    alarms(0.2)
    start = time.monotonic()
    t("connect", libc.connect(client.fileno(), where))
    t("time", waited(start, 0.2))
    t("signals", caught.some())
    lsock = release()
    t("poll", pollfor(client, 4))
    t("so_error", so_error(client))
    server, _ = lsock.accept()
    t.prove(client, server)


@behaviour("connecting.interrupted_connect_again", "after EINTR a second blocking connect waits "
           "for "
           "the first one's outcome")
def interrupted_again(t):
    client, where = held(blocking=True)
    Signals(signal.SIGALRM)
    alarms(0.1)
    t("first", libc.connect(client.fileno(), where))
    signal.setitimer(signal.ITIMER_REAL, 0)
    second = Background(libc.connect, client.fileno(), where)
    t("waits", second.running(0.2))
    lsock = release()
    t("second", second.result())
    t("third", libc.connect(client.fileno(), where))
    t.prove(client, lsock)


@behaviour("connecting.interrupted_restart", "with SA_RESTART a signal does not end connect")
def interrupted_restart(t):
    client, where = held(blocking=True)
    caught = Signals(signal.SIGALRM, restart=True)
    alarms(0.1)
    pid = os.fork()
    if pid == 0:
        time.sleep(0.4)
        lsock = release()
        lsock.accept()
        time.sleep(1)
        os._exit(0)
    t("connect", libc.connect(client.fileno(), where))
    t("signals", caught.some())


@behaviour("connecting.sndtimeo", "SO_SNDTIMEO ends a blocking connect with EINPROGRESS")
def sndtimeo(t):
    client, where = held(blocking=True)
    client.setsockopt(SOL, socket.SO_SNDTIMEO, struct.pack("ll", 0, 200000))
    start = time.monotonic()
    t("connect", libc.connect(client.fileno(), where))
    t("time", waited(start, 0.2))
    start = time.monotonic()
    t("again", libc.connect(client.fileno(), where))
    t("time again", waited(start, 0.2))
    lsock = release()
    t("poll", pollfor(client, 4))
    t("so_error", so_error(client))
    t.prove(client, lsock)


@behaviour("connecting.python_timeout", "a socket with a Python timeout times out while connecting "
           "and connects when it can")
def python_timeout(t):
    client, where = held(blocking=True)
    client.settimeout(0.2)
    t.call("connect", client.connect, where)
    client.close()
    lsock = release()
    again = tcp()
    again.settimeout(3)
    t.call("after release", again.connect, where)
    lsock.accept()


@behaviour("connecting.syncnt", "TCP_SYNCNT bounds the wait for a silent peer: ETIMEDOUT", limit=15)
def syncnt(t):
    client, where = held(blocking=True)
    client.setsockopt(TCP, socket.TCP_SYNCNT, 1)
    start = time.monotonic()
    t("connect", libc.connect(client.fileno(), where))
    t("seconds", 1 < time.monotonic() - start < 12)
    t("so_error", so_error(client))


@behaviour("connecting.closed", "closing a connecting socket frees its number and ends the attempt")
def closed(t):
    client, where = held()
    fd = client.fileno()
    libc.connect(fd, where)
    client.close()
    again = tcp(blocking=False)
    t("number reused", again.fileno() == fd)
    t("fresh connect", libc.connect(again.fileno(), where))
    t("second", libc.connect(again.fileno(), where))
    again.close()
    lsock = release()
    t("nothing arrives", quiet(lsock, 1.3))


@behaviour("connecting.close_reuse", "a number that failed to connect is a good socket after reuse")
def close_reuse(t):
    lsock, client = listener(), tcp(blocking=False)
    fd = client.fileno()
    libc.connect(fd, (LOCAL, closed_port()))
    pollfor(client, 8)
    client.close()
    again = tcp(blocking=False)
    t("number reused", again.fileno() == fd)
    t("connect", libc.connect(fd, lsock.getsockname()))
    t("poll", pollfor(again, 4))
    t("so_error", so_error(again))
    t("second", libc.connect(fd, lsock.getsockname()))
    t("third", libc.connect(fd, lsock.getsockname()))


@behaviour("connecting.server_early_data", "the server writes at once: the client's first wake-up "
           "may be readable and writable, and reads only the data")
def early_data(t):
    lsock, client = listener(), tcp(blocking=False)
    libc.connect(client.fileno(), lsock.getsockname())
    server, _ = lsock.accept()
    server.sendall(b"banner")
    t("poll", pollfor(client, 1))
    t("recv", libc.recv(client.fileno(), 100))
    t("recv again", libc.recv(client.fileno(), 100)[0])
    t("port", port_of(server) == port_of(lsock))


@behaviour("connecting.nothing_readable", "a fresh connection has nothing to read at either end")
def nothing_readable(t):
    lsock, client = listener(), tcp(blocking=False)
    libc.connect(client.fileno(), lsock.getsockname())
    pollfor(client, 4)
    server, _ = lsock.accept()
    for name, sock in (("client", client), ("server", server)):
        t(name, [pollnow(sock), libc.ioctl_int(sock.fileno(), 0x541B), quiet(sock, 0.1),
                 libc.recv(sock.fileno(), 100, socket.MSG_DONTWAIT)[0],
                 libc.recv(sock.fileno(), 100, socket.MSG_DONTWAIT | socket.MSG_PEEK)[0]])


def connected_late():
    """(listener, client): the client's connect was not waited for, and is through by now."""
    lsock, client = listener(), tcp(blocking=False)
    libc.connect(client.fileno(), lsock.getsockname())
    server, _ = lsock.accept()
    return lsock, client, server


@behaviour("connecting.told_once_copy", "connect says 0 once for a socket, whichever of its "
           "duplicates is asked")
def told_once_copy(t):
    lsock, client, _ = connected_late()
    copy = os.dup(client.fileno())
    t("copy", libc.connect(copy, lsock.getsockname()))
    t("first", libc.connect(client.fileno(), lsock.getsockname()))
    late = os.dup(client.fileno())
    t("late copy", libc.connect(late, lsock.getsockname()))


@behaviour("connecting.told_once_fork", "connect says 0 once for a socket that two processes hold")
def told_once_fork(t):
    for label, look, over in (("", False, False), (", after poll", True, False),
                              (", over again", False, True)):
        lsock, client, server = connected_late()
        if look:
            pollnow(client)
        if over:
            server.close()
            time.sleep(0.05)
        child = in_child(libc.connect, client.fileno(), lsock.getsockname())
        t("child" + label, child.result())
        t("parent" + label, libc.connect(client.fileno(), lsock.getsockname()))


@behaviour("connecting.told_shutdown", "after shutdown connect says EISCONN, told before or not")
def told_shutdown(t):
    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        lsock, client, _ = connected_late()
        client.shutdown(how)
        t(f"connect {how}", libc.connect(client.fileno(), lsock.getsockname()))


@behaviour("connecting.passed", "a socket passed on before anybody asked how its connect ended: "
           "poll bits, data, connect")
def passed(t):
    left, right = socket.socketpair()

    def worker():
        fd = receive_descriptor(right)
        seen = [pollnow(fd), libc.recv(fd, 1), libc.connect(fd, where), libc.connect(fd, where)]
        right.send(b"x")
        return seen + [pollfor(fd, 1), libc.recv(fd, 10)]

    lsock, client = listener(), tcp(blocking=False)
    where = lsock.getsockname()
    child = in_child(worker)
    libc.connect(client.fileno(), where)
    server, _ = lsock.accept()
    pass_descriptor(left, client.fileno())
    left.recv(1)
    t("here", libc.connect(client.fileno(), where))
    server.send(b"data")
    t("there", child.result())


@behaviour("connecting.epoll_bits", "what epoll shows of a connect that is through: registered "
           "before or after it, by level, by edge, once")
def epoll_bits(t):
    for when in ("before", "after"):
        for how, flags in (("level", 0), ("edge", select.EPOLLET), ("once", select.EPOLLONESHOT)):
            lsock, client, poller = listener(), tcp(blocking=False), select.epoll()
            wanted = select.EPOLLIN | select.EPOLLOUT | flags
            if when == "before":
                poller.register(client, wanted | 0x2000)
                poller.poll(0)                       # what a fresh socket says is another test
                if how == "once":
                    poller.modify(client, wanted)
            libc.connect(client.fileno(), lsock.getsockname())
            server, _ = lsock.accept()
            if when == "after":
                poller.register(client, wanted)
            t(f"{when}, {how}", [bits(event) for _, event in poller.poll(1)])
            t(f"{when}, {how}, again", [bits(event) for _, event in poller.poll(0)])
            server.close()
            client.close()


@behaviour("connecting.epoll_reader", "an epoll that asks for data alone sleeps through the end of "
           "connect and wakes for the data")
def epoll_reader(t):
    for how, flags in (("level", 0), ("edge", select.EPOLLET), ("once", select.EPOLLONESHOT)):
        client, where = held()
        libc.connect(client.fileno(), where)
        poller = select.epoll()
        poller.register(client, select.EPOLLIN | flags)
        lsock = release()
        server, _ = lsock.accept()
        t(f"{how}, nothing", poller.poll(0.3) == [])
        server.send(b"x")
        t(f"{how}, data", [bits(event) for _, event in poller.poll(3)])
        t(f"{how}, read", libc.recv(client.fileno(), 10))
        client.close()
        server.close()
        lsock.close()


@behaviour("connecting.epoll_late_bits", "registered while connecting: one epoll_wait shows OUT "
           "alone when it is up")
def epoll_late_bits(t):
    client, where = held()
    libc.connect(client.fileno(), where)
    poller = select.epoll()
    poller.register(client, select.EPOLLIN | select.EPOLLOUT)
    waiting = Background(lambda: [bits(event) for _, event in poller.poll(5)])
    t("waits", waiting.running(0.1))
    lsock = release()
    t("events", waiting.result())
    server, _ = lsock.accept()
    server.send(b"x")
    pollfor(client, 1)
    t("with data", [bits(event) for _, event in poller.poll(3)])


@behaviour("connecting.up_and_reset", "a non-blocking connect whose connection is reset before "
           "anybody looks")
def up_and_reset(t):
    lsock, client = listener(), tcp(blocking=False)
    where = lsock.getsockname()
    libc.connect(client.fileno(), where)
    lsock.close()
    t("poll", pollfor(client, 8))
    t("shutdown", libc.raw("shutdown", client.fileno(), 0))
    t("error", so_error(client))
    t("recv", libc.recv(client.fileno(), 10))


@behaviour("connecting.duplicate", "what connects through a duplicate connects for the original: "
           "poll, recv, shutdown")
def duplicate(t):
    lsock, client = listener(), tcp(blocking=False)
    copy = os.dup(client.fileno())
    libc.send(client.fileno(), b"", socket.MSG_NOSIGNAL)      # both numbers are known
    libc.send(copy, b"", socket.MSG_NOSIGNAL)
    libc.connect(copy, lsock.getsockname())
    t("poll", pollfor(client, 4))
    t("in", pollnow(client, 1))
    t("recv", libc.recv(client.fileno(), 10))
    t("shutdown", libc.raw("shutdown", client.fileno(), 1))
    server, _ = lsock.accept()
    t("end", libc.recv(server.fileno(), 10))
    server.sendall(b"answer")
    t("answer", take(client, 6))


@behaviour("connecting.closed_waiting", "the number is closed and used again while another thread "
           "waits in connect: that ends")
def closed_waiting(t):
    client, where = held(blocking=True)
    fd = client.detach()
    waiting = Background(libc.connect, fd, where)
    t("waits", waiting.running(0.2))
    os.close(fd)
    lsock = release()
    t("same number", lsock.fileno() == fd)
    waiting.result()
    t("over", not waiting.running())
    t("the other socket is as it was", libc.getint(fd, SOL, socket.SO_ACCEPTCONN))
