# SPDX-License-Identifier: BSD-3-Clause
"""The ends of a connection that several processes hold, or that come in an unusual order."""

import os
import select
import socket
import subprocess
import sys
import time

import libc
from harness import (HOP, Background, Signals, address, behaviour, closed_port, fill, in_child,
                     listener, pair, pass_descriptor, pollfor, pollnow, receive_descriptor,
                     reset_by, send_each, so_error, take, tcp, tight)

SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP
RD, WR, RDWR = socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR
QUIETLY = socket.MSG_NOSIGNAL


def name_of_peer(sock):
    return libc.raw("getpeername", sock.fileno(), None, None)


def elsewhere(function, *args):
    """FUNCTION's result, found out in another process that has the same sockets."""
    return in_child(function, *args).result()


def shut(sock, how):
    return libc.raw("shutdown", sock.fileno(), how)


@behaviour("ends.shut_elsewhere", "a process shuts down both directions: another that holds the "
           "connection cannot send, not even nothing")
def shut_elsewhere(t):
    client, _ = pair(t)
    t("shutdown", elsewhere(shut, client, RDWR))
    t("nothing", libc.send(client.fileno(), b"", QUIETLY))
    t("something", libc.send(client.fileno(), b"x", QUIETLY))
    t("again", shut(client, WR))


@behaviour("ends.met_elsewhere", "one process shuts down writing, another reads the peer's end: for "
           "both the connection is over")
def met_elsewhere(t):
    client, server = pair(t)
    t("shutdown", elsewhere(shut, client, WR))
    server.close()
    t("end", libc.recv(client.fileno(), 10))
    t("poll", pollnow(client))
    t("there", elsewhere(lambda: [pollnow(client), name_of_peer(client), shut(client, RD)]))
    t("here", [name_of_peer(client), shut(client, RD)])


@behaviour("ends.written_elsewhere", "the one write after the peer's close is one for all processes")
def written_elsewhere(t):
    client, server = pair(t)
    server.close()
    pollfor(client, 0x2000)
    t("first", elsewhere(libc.send, client.fileno(), b"x", QUIETLY))
    time.sleep(0.05)
    t("poll", pollnow(client))
    t("second", libc.send(client.fileno(), b"x", QUIETLY))
    t("third", libc.send(client.fileno(), b"x", QUIETLY))


@behaviour("ends.reset_elsewhere", "a process connects, and the connection is reset: another that "
           "has not connected it is told")
def reset_elsewhere(t):
    for name, call in (("send", lambda fd: libc.send(fd, b"", QUIETLY)),
                       ("write", lambda fd: libc.send(fd, b"x", QUIETLY)),
                       ("recv", lambda fd: libc.recv(fd, 10)[0]),
                       ("recvmmsg", lambda fd: libc.recvmmsg(fd, [10])[0]),
                       ("SO_ERROR", lambda fd: libc.getint(fd, SOL, socket.SO_ERROR)),
                       ("shutdown", lambda fd: libc.raw("shutdown", fd, WR))):
        lsock, client = listener(), tcp()
        t(name + ": connect", elsewhere(libc.connect, client.fileno(), lsock.getsockname()))
        reset_by(lsock.accept()[0])
        pollfor(client, 8)
        t(name, [call(client.fileno()), call(client.fileno())])


@behaviour("ends.refused_write", "the answer to a write that came too late: SO_ERROR, poll, "
           "recvmmsg, connect and recv")
def refused_write(t):
    for name, call in (("so_error", lambda client: [so_error(client), so_error(client)]),
                       ("poll", pollnow),
                       ("recv", lambda client: libc.recv(client.fileno(), 10)),
                       ("recv then", lambda client: [libc.recv(client.fileno(), 10)[0],
                                                     so_error(client)]),
                       ("send", lambda client: [libc.send(client.fileno(), b"x", QUIETLY),
                                                so_error(client)]),
                       ("names", name_of_peer)):
        client, server = pair(t)
        server.close()
        pollfor(client, 0x2000)
        t(f"{name}: write", libc.send(client.fileno(), b"x", QUIETLY))
        time.sleep(0.05)
        t(name, call(client))


def refused_before_told(t):
    """A connect that came up, ended and had a write refused before it said that it succeeded."""
    lsock, client = listener(), tcp(blocking=False)
    t("begin", libc.connect(client.fileno(), lsock.getsockname()))
    server, _ = lsock.accept()
    server.close()
    pollfor(client, 0x2000)
    t("write", libc.send(client.fileno(), b"x", QUIETLY))
    time.sleep(0.05)
    return lsock, client


@behaviour("ends.refused_connect", "connect() that has not said yet that it succeeded, after an end "
           "and a refused write")
def refused_connect(t):
    lsock, client = refused_before_told(t)
    t("connect", libc.connect(client.fileno(), lsock.getsockname()))
    t("then", [pollnow(client), name_of_peer(client), libc.recv(client.fileno(), 10)])
    t("again", libc.connect(client.fileno(), lsock.getsockname()))
    server, _ = lsock.accept()
    send_each(server, [b"data"])
    t("data", take(client, 4))


@behaviour("ends.refused_shut", "shutdown of a connection that was over before connect() said that it "
           "had come up")
def refused_shut(t):
    lsock, client = refused_before_told(t)
    t("shutdown", shut(client, WR))
    t("connect", [libc.connect(client.fileno(), lsock.getsockname()) for _ in range(2)])


def told(sock):
    """Each way to be told how a connection ended, on a copy of what it is asked of."""
    return {
        "send": lambda: libc.send(sock.fileno(), b"x", QUIETLY),
        "nothing": lambda: libc.send(sock.fileno(), b"", QUIETLY),
        "poll": lambda: [pollnow(sock), so_error(sock), pollnow(sock)],
        "SO_ERROR": lambda: [so_error(sock), so_error(sock)],
        "recv": lambda: [libc.recv(sock.fileno(), 10), libc.recv(sock.fileno(), 10)],
        "recvmmsg": lambda: libc.recvmmsg(sock.fileno(), [10]),
        "name": lambda: name_of_peer(sock),
    }


@behaviour("ends.reset_after_end", "the peer ends its direction and then resets: what each call says")
def reset_after_end(t):
    for name in told(None):
        client, server = pair(t)
        shut(server, WR)
        reset_by(server)
        time.sleep(0.05)
        t(name, told(client)[name]())


@behaviour("ends.reset_behind_end", "the peer sends, ends its direction and resets; poll has seen it before "
           "the data are read: what each call says then")
def reset_behind_end(t):
    for name in told(None):
        client, server = pair(t)
        send_each(server, [b"x"])
        shut(server, WR)
        send_each(client, [b"unread"])
        pollfor(server, 1)
        server.close()
        t(name + ", poll", pollfor(client, 8))
        t(name + ", data", libc.recv(client.fileno(), 1))
        t(name, told(client)[name]())


@behaviour("ends.reset_unnoticed", "a non-blocking connect that came up and was reset before anybody "
           "looked: what each call says")
def reset_unnoticed(t):
    for name in told(None):
        lsock, client = listener(), tcp(blocking=False)
        libc.connect(client.fileno(), lsock.getsockname())
        time.sleep(0.05)
        lsock.close()
        time.sleep(0.05)
        t(name, told(client)[name]())
        t(name + " then", [libc.recv(client.fileno(), 10), so_error(client)])
    lsock, client = listener(), tcp(blocking=False)
    libc.connect(client.fileno(), lsock.getsockname())
    server, _ = lsock.accept()
    send_each(server, [b"data"])
    reset_by(server)
    time.sleep(0.05)
    t("behind data", [libc.recv(client.fileno(), 10) for _ in range(3)])


@behaviour("ends.closed_unnoticed", "a non-blocking connect that came up unnoticed, or in another "
           "process, is closed: its peer, which had ended its direction, reads the end")
def closed_unnoticed(t):
    for name, connect in (("here", libc.connect),
                          ("there", lambda *args: elsewhere(libc.connect, *args))):
        lsock, client = listener(), tcp(blocking=False)
        t(name, connect(client.fileno(), lsock.getsockname()))
        server, _ = lsock.accept()
        shut(server, WR)
        time.sleep(0.02)
        client.close()
        t(name + " end", [pollfor(server, 16), libc.recv(server.fileno(), 10), so_error(server)])


@behaviour("ends.reset_untold", "a non-blocking connect that came up, was ended and reset, and shut down "
           "too late, before anybody asked: what each call says")
def reset_untold(t):
    for name in told(None):
        lsock, client = listener(), tcp(blocking=False)
        libc.connect(client.fileno(), lsock.getsockname())
        pollfor(client, 4)
        libc.send(client.fileno(), b"x")
        server, _ = lsock.accept()
        pollfor(server, 1)
        shut(server, WR)
        server.close()
        time.sleep(0.1)
        t(name + " shutdown", libc.raw("shutdown", client.fileno(), WR))
        t(name, told(client)[name]())
        t(name + " connect", libc.connect(client.fileno(), lsock.getsockname()))


@behaviour("ends.reset_after_both", "a reset after both directions have ended tells nobody anything")
def reset_after_both(t):
    for name in told(None):
        client, server = pair(t)
        send_each(client, [b"unread"])
        shut(client, WR)
        time.sleep(HOP)
        shut(server, WR)
        time.sleep(HOP)
        reset_by(server)
        time.sleep(0.05)
        t(name, told(client)[name]())


@behaviour("ends.closed_after_exec", "a program that was started with a connection closes it: its peer, "
           "which had ended its direction, reads the end")
def closed_after_exec(t):
    for name, end in (("close", "os.close(int(sys.argv[1]))"), ("closerange", "os.closerange(3, 99)"),
                      ("exit", "pass")):
        client, server = pair(t)
        shut(client, WR)
        subprocess.run([sys.executable, "-c", f"import os, sys; sys.stdin.read(); {end}",
                        str(server.fileno())], pass_fds=[server.fileno()], input=b"", check=False)
        t(name, [pollnow(client), server.close(), pollfor(client, 0x2000),
                 libc.recv(client.fileno(), 10), so_error(client)])


@behaviour("ends.shut_after_end", "shutdown of both directions after the peer's end, and once more")
def shut_after_end(t):
    client, server = pair(t)
    server.close()
    pollfor(client, 0x2000)
    t("shutdown", [shut(client, RDWR), shut(client, RD), name_of_peer(client)])
    client, server = pair(t)
    shut(server, WR)
    pollfor(client, 0x2000)
    t("half", [shut(client, RDWR), shut(client, RD), name_of_peer(client)])
    client, server = pair(t)
    shut(server, WR)
    pollfor(client, 0x2000)
    t("by parts", [shut(client, RD), name_of_peer(client), shut(client, WR), shut(client, RD)])


@behaviour("ends.gone_unaccepted", "a client that has gone before it is accepted: shutdown and poll")
def gone_unaccepted(t):
    for how in (RD, WR, RDWR):
        lsock, client = listener(), tcp()
        client.connect(lsock.getsockname())
        client.close()
        time.sleep(0.02)
        server, _ = lsock.accept()
        t(f"poll {how}", pollnow(server))
        t(f"shutdown {how}", shut(server, how))
    lsock, client = listener(), tcp()
    client.connect(lsock.getsockname())
    send_each(client, [b"x"])
    client.close()
    time.sleep(0.02)
    server, _ = lsock.accept()
    t("with data", [shut(server, WR), libc.recv(server.fileno(), 1), pollnow(server)])


@behaviour("ends.reset_unread", "a reset after shutdown of reading is told to the reader")
def reset_unread(t):
    lsock, client = listener(), tcp()
    client.connect(lsock.getsockname())
    shut(client, RD)
    lsock.close()
    pollfor(client, 8)
    t("recv", [libc.recv(client.fileno(), 10)[0], libc.recv(client.fileno(), 10)[0]])


@behaviour("ends.reset_looked_at", "looking at a reset connection takes nothing from the next call")
def reset_looked_at(t):
    for name, look in (("fionread", lambda client: libc.ioctl_int(client.fileno(), 0x541B)),
                       ("getpeername", name_of_peer), ("poll", pollnow)):
        client, server = pair(t)
        reset_by(server)
        pollfor(client, 8)
        t(name, look(client))
        t(name + " then", [pollnow(client), elsewhere(so_error, client)])


@behaviour("ends.shut_before", "shutdown before connect holds for the later connection")
def shut_before(t):
    for how in (RD, WR, RDWR):
        lsock, client, pipes = listener(), tcp(), Signals(13)
        t(f"shutdown {how}", [shut(client, how), pollnow(client)])
        t(f"connect {how}", libc.connect(client.fileno(), lsock.getsockname()))
        server, _ = lsock.accept()
        t(f"poll {how}", [pollnow(client), pollnow(server)])
        t(f"send {how}", [libc.send(client.fileno(), data) for data in (b"", b"x")])
        t(f"signals {how}", pipes.seen())
        if how == WR:
            send_each(server, [b"answer"])
            t("answer", take(client, 6))
            t("again", shut(client, WR))
            t("end", libc.recv(server.fileno(), 10))


@behaviour("ends.shut_before_both", "shutdown of writing before connect, then the peer's end: poll")
def shut_before_both(t):
    for events in (5, 1, 4, 0x2000):
        lsock, client = listener(), tcp()
        shut(client, WR)
        client.connect(lsock.getsockname())
        server, _ = lsock.accept()
        shut(server, WR)
        time.sleep(0.05)
        t(f"poll {events}", [pollnow(client, events), elsewhere(pollnow, client, events)])
        t(f"then {events}", [libc.recv(client.fileno(), 10), pollnow(client)])


@behaviour("ends.shut_before_elsewhere", "shutdown before connect, in another process than the one that "
           "connects, holds too")
def shut_before_elsewhere(t):
    for how in (RD, WR, RDWR):
        lsock, client = listener(), tcp()
        t(f"shutdown {how}", [elsewhere(shut, client, how), pollnow(client)])
        t(f"connect {how}", libc.connect(client.fileno(), lsock.getsockname()))
        server, _ = lsock.accept()
        t(f"poll {how}", [pollnow(client), pollnow(server)])
        t(f"send {how}", [libc.send(client.fileno(), data, QUIETLY) for data in (b"", b"x")])


@behaviour("ends.connected_elsewhere", "a connection that another process has begun, or that another "
           "number of the same socket has: who is told what")
def connected_elsewhere(t):
    lsock, client = listener(), tcp(blocking=False)
    copy = socket.socket(fileno=libc.raw("dup", client.fileno()))
    ours, theirs = os.pipe()
    child = in_child(lambda: [os.read(ours, 1) and libc.recv(copy.fileno(), 10)])
    t("begin", libc.connect(copy.fileno(), lsock.getsockname()))
    server, _ = lsock.accept()
    os.write(theirs, b"x")
    t("read there", child.result())
    t("told once", [libc.connect(copy.fileno(), lsock.getsockname()) for _ in range(2)])
    poller = select.epoll()
    sock, other = tcp(), tcp(blocking=False)
    unix = socket.socketpair(socket.AF_UNIX)
    pass_descriptor(unix[0], other.fileno())
    number = socket.socket(fileno=receive_descriptor(unix[1]))
    poller.register(other, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
    poller.poll(0)
    t("other number", libc.connect(number.fileno(), lsock.getsockname()))
    peer, _ = lsock.accept()
    t("edge", [event for _, event in poller.poll(1)])
    t("send", libc.send(other.fileno(), b"data"))
    reset_by(peer)
    time.sleep(0.05)
    t("poll", pollnow(other))
    for one in (server, sock):
        one.close()


@behaviour("ends.gone_passed", "a connection that had ended before it was accepted is passed on: the "
           "peer's name")
def gone_passed(t):
    lsock, client = listener(), tcp()
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    client.connect(lsock.getsockname())
    client.close()
    time.sleep(0.02)
    server, _ = lsock.accept()
    child = in_child(lambda: address(socket.socket(fileno=receive_descriptor(theirs)).getpeername()))
    pass_descriptor(ours, server.fileno())
    t("there", child.result())
    t("here", [address(server.getpeername()), name_of_peer(server)])


@behaviour("ends.rdhup_alone", "poll for RDHUP and nothing else, after the peer's half-close")
def rdhup_alone(t):
    client, server = pair(t)
    shut(client, WR)
    time.sleep(0.05)
    t("rdhup", pollnow(server, 0x2000))
    shut(server, WR)
    pollfor(client, 16)
    t("hup", [pollnow(client, 4), pollnow(client, 0), pollnow(server, 4)])
    lsock, client = listener(), tcp(blocking=False)
    libc.connect(client.fileno(), lsock.getsockname())
    t("while it connects", pollnow(client, 0x2000))
    server, _ = lsock.accept()
    time.sleep(0.05)
    t("before the end", pollnow(client, 0x2000))
    shut(server, WR)
    time.sleep(0.05)
    t("nobody has looked", pollnow(client, 0x2000))


@behaviour("ends.fresh_ways", "poll, ppoll and select on sockets that are not connected")
def fresh_ways(t):
    sock = tcp()
    t("poll", [pollnow(sock, asked) for asked in (1, 4, 0x2000, 0)])
    begin = time.monotonic()
    t("select", [len(ready) for ready in select.select([sock], [sock], [sock], 5)])
    t("at once", time.monotonic() - begin < 2)
    libc.connect(sock.fileno(), ("127.0.0.1", closed_port()))
    t("refused", pollnow(sock))
    client, server = pair(t)
    poller = select.poll()
    for one in (tcp(), client, server):
        poller.register(one)
    t("together", [event for _, event in poller.poll(2000)])


@behaviour("ends.epoll_bits", "epoll shows a reset and a refused write")
def epoll_bits(t):
    def shown(sock):
        poller = select.epoll()
        poller.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP)
        return [event for _, event in poller.poll(0)]

    client, server = pair(t)
    reset_by(server)
    pollfor(client, 8)
    t("reset, looked at", shown(client))
    client, server = pair(t)
    reset_by(server)
    time.sleep(0.05)
    t("reset", shown(client))
    client, server = pair(t)
    poller = select.epoll()
    poller.register(client, select.EPOLLIN | select.EPOLLET)
    reset_by(server)
    t("edge", [event & select.EPOLLIN for _, event in poller.poll(2)])
    t("recv", libc.recv(client.fileno(), 10)[0])
    t("edge again", [event for _, event in poller.poll(0)])
    client, server = pair(t)
    server.close()
    pollfor(client, 0x2000)
    libc.send(client.fileno(), b"x", QUIETLY)
    time.sleep(0.05)
    t("refused", shown(client))
    client, server = pair(t)
    send_each(server, [b"data"])
    pollfor(client, 1)
    poller = select.epoll()
    poller.register(client, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
    t("room", [event for _, event in poller.poll(1)])
    client.send(b"x")
    time.sleep(0.05)
    t("room again", [event & select.EPOLLOUT for _, event in poller.poll(0)])
    poller.modify(client, select.EPOLLIN | select.EPOLLET)
    poller.poll(0)
    shut(client, WR)
    t("shut", [event for _, event in poller.poll(0)])


@behaviour("ends.unaccepted_shared", "a listener that two processes hold goes away with the last "
           "one: what those see that were not accepted")
def unaccepted_shared(t):
    lsock, client = listener(), tcp()
    child = in_child(time.sleep, 0.3)
    t("connect", libc.connect(client.fileno(), lsock.getsockname()))
    lsock.close()
    child.result()
    pollfor(client, 0x2000)
    t("recv", libc.recv(client.fileno(), 10))


def accepted_after_reset():
    """A server's end whose client has sent 4 bytes and reset before it was accepted."""
    lsock, client = listener(), tcp()
    client.connect(lsock.getsockname())
    client.sendall(b"data")
    reset_by(client)
    time.sleep(0.02)
    return lsock.accept()[0]


@behaviour("ends.reset_unaccepted", "a client sends and resets before it is accepted: poll, send, "
           "recv")
def reset_unaccepted(t):
    for name, call in (("send", lambda server: libc.send(server.fileno(), b"x", QUIETLY)),
                       ("poll", pollnow),
                       ("read", lambda server: [libc.recv(server.fileno(), 4), pollnow(server, 5),
                                                libc.recv(server.fileno(), 10)]),
                       ("read, send", lambda server: [
                           libc.recv(server.fileno(), 4),
                           *(libc.send(server.fileno(), b"x", QUIETLY) for _ in range(2))]),
                       ("recv", lambda server: [libc.recv(server.fileno(), 10),
                                                libc.recv(server.fileno(), 10)[0]])):
        t(name, call(accepted_after_reset()))


@behaviour("ends.reset_unaccepted_read", "a client sends and resets before it is accepted, and what it "
           "sent has been read: shutdown, getpeername, here and in another process")
def reset_unaccepted_read(t):
    for name, call in (("shutdown", lambda server: shut(server, WR)),
                       ("name", name_of_peer),
                       ("there", lambda server: elsewhere(shut, server, RDWR))):
        server = accepted_after_reset()
        t(name, [libc.recv(server.fileno(), 4), call(server), pollnow(server)])


@behaviour("ends.answered_unread", "a server answers and closes, with some of the request unread and more "
           "on its way: the answer arrives")
def answered_unread(t):
    def send_on(client):
        while not isinstance(libc.send(client.fileno(), b"m" * 1000, QUIETLY), str):
            pass

    answers = []
    for _ in range(10):
        client, server = pair(t)
        sending = Background(send_on, client)
        pollfor(server, 1)
        server.sendall(b"a" * 3000)
        server.close()
        sending.result()
        answers.append(len(take(client, 3000)))
    t("answers", answers)


@behaviour("ends.name_after_reset", "getsockname and getpeername when the peer has reset the connection, "
           "asked for the first time")
def name_after_reset(t):
    for bound in (False, True):
        lsock, client = listener(), tcp()
        if bound:
            client.bind(("", 0))
        client.connect(lsock.getsockname())
        server, peer = lsock.accept()
        reset_by(server)
        pollfor(client, 8)
        t(f"name, bound {bound}", client.getsockname() == peer)
        t(f"peer, bound {bound}", libc.getname("getpeername", client.fileno())[0])


@behaviour("ends.name_asked_late", "getsockname of a connection that is over in both directions, asked "
           "first by another process that holds it")
def name_asked_late(t):
    lsock, client = listener(), tcp()
    start, started = os.pipe()
    child = in_child(lambda: os.read(start, 1) and client.getsockname())
    client.connect(lsock.getsockname())
    server, peer = lsock.accept()
    shut(server, WR)
    shut(client, WR)
    pollfor(server, 16)
    time.sleep(0.05)
    os.write(started, b"x")
    t("as the peer saw it", tuple(child.result()) == peer)


@behaviour("ends.name_of_copy", "getsockname through a copy, when both directions were shut down and "
           "data that came nevertheless has reset the connection")
def name_of_copy(t):
    client, server = pair(t)
    peer = server.getpeername()
    shut(client, RD)
    shut(client, WR)
    pollfor(server, 1)
    t("sent", server.send(b"x"))
    pollfor(client, 16)
    time.sleep(0.2)
    t("as the peer saw it", client.dup().getsockname() == peer)


@behaviour("ends.shut_with_more_to_send", "shutdown once more, and the peer's name, when both directions "
           "have been shut down, but the peer has not taken all yet")
def shut_with_more_to_send(t):
    client, server = tight(t)
    fill(client)
    shut(client, WR)
    shut(server, WR)
    pollfor(client, 0x2000)
    t("name", name_of_peer(client))
    t("shutdown", shut(client, WR))


@behaviour("ends.reset_listener", "a client resets before it is accepted: the listener knows of no error")
def reset_listener(t):
    lsock, client = listener(), tcp()
    client.connect(lsock.getsockname())
    reset_by(client)
    time.sleep(0.05)
    t("so_error", [so_error(lsock), so_error(lsock)])


@behaviour("ends.taken_back", "connect() takes a connection back, or what is left of one, in one of the "
           "processes that hold it: what another sees")
def taken_back(t):
    client, server = pair(t)
    t("unspec", elsewhere(libc.connect, client.fileno(), b"\0" * 16))
    time.sleep(0.05)
    t("taken back", [libc.recv(client.fileno(), 10, socket.MSG_DONTWAIT), pollnow(server)])
    lsock, client = listener(), tcp(blocking=False)
    libc.connect(client.fileno(), lsock.getsockname())
    server, _ = lsock.accept()
    pollfor(client, 4)
    send_each(client, [b"unread"])
    pollfor(server, 1)
    server.close()
    pollfor(client, 8)
    t("reset", libc.recv(client.fileno(), 10))
    t("connect", elsewhere(libc.connect, client.fileno(), lsock.getsockname()))
    t("what is left", libc.recv(client.fileno(), 10))


@behaviour("ends.options_passed", "TCP's options of a connection that another process has set")
def options_passed(t):
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    values = {4: 60, 5: 10, 6: 3, 7: 4, 8: 30, 18: 30000}

    def other():
        client = socket.socket(fileno=receive_descriptor(theirs))
        return [libc.getint(client.fileno(), TCP, number) for number in sorted(values)]

    child = in_child(other)
    client, _ = pair(t)
    for number, value in values.items():
        client.setsockopt(TCP, number, value)
    pass_descriptor(ours, client.fileno())
    t("there", child.result())
    t("here", [client.getsockopt(TCP, number) for number in sorted(values)])


@behaviour("ends.closed_unread_over", "closed with unread data when both directions have ended: no "
           "reset, and the peer reads what was sent before; with less than that, a reset")
def closed_unread_over(t):
    for name, answers in (("both ended", True), ("one", False)):
        client, server = pair(t)
        client.sendall(b"question")
        shut(client, WR)
        server.sendall(b"answer")
        if answers:
            shut(server, WR)
        pollfor(client, 1)
        time.sleep(0.05)
        client.close()
        time.sleep(0.05)
        t(f"{name}: poll", pollnow(server))
        t(f"{name}: error", so_error(server) != 0)
        t(f"{name}: recvmmsg", libc.recvmmsg(server.fileno(), [20, 20], socket.MSG_DONTWAIT))
        t(f"{name}: end", libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT))


@behaviour("ends.closed_unread_shared", "closed with unread data when both directions have ended, by a "
           "process that has had a child")
def closed_unread_shared(t):
    client, server = pair(t)
    elsewhere(lambda: None)
    client.sendall(b"question")
    shut(client, WR)
    server.sendall(b"answer")
    shut(server, WR)
    pollfor(client, 1)
    time.sleep(0.05)
    server.close()
    time.sleep(0.05)
    t("poll", pollnow(client))
    t("error", so_error(client) != 0)
    t("answer", libc.recv(client.fileno(), 20, socket.MSG_DONTWAIT))
    t("end", libc.recv(client.fileno(), 20, socket.MSG_DONTWAIT))


@behaviour("ends.broken_while_connecting", "what another process's write met, while this one's "
           "connect() has not told of the connection yet")
def broken_while_connecting(t):
    lsock = listener()
    client = tcp(blocking=False)
    t("connect", libc.connect(client.fileno(), lsock.getsockname()))
    server, _ = lsock.accept()
    server.close()
    time.sleep(0.05)
    t("there", elsewhere(lambda: [libc.send(client.fileno(), b"x"), time.sleep(0.05)][0]))
    t("poll", pollnow(client))
    t("error", so_error(client))


@behaviour("ends.reset_over", "both directions have ended, but not all has arrived, when the peer "
           "closes: who sent it is told")
def reset_over(t):
    client, server = tight(t)
    shut(server, WR)
    t("end", libc.recv(client.fileno(), 10))
    t("send", isinstance(libc.send(client.fileno(), bytes(8 << 20), socket.MSG_DONTWAIT), int))
    shut(client, WR)
    server.close()
    time.sleep(0.05)
    t("poll", pollnow(client))
    t("error", so_error(client))
