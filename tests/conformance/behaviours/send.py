# SPDX-License-Identifier: BSD-3-Clause
"""Sending: lengths, short counts, waiting, interruption, flags, errors."""

import ctypes
import mmap
import select
import signal
import socket
import struct
import time

import libc
from harness import (LOCAL, Background, Signals, alarms, behaviour, closed_port, fill, fresh,
                     listener, nodelay, pair, pattern, pollfor, pollnow, quiet, share, take, tcp,
                     tight, waited)

SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP
MB = 1 << 20


@behaviour("send.zero_length", "sends of nothing return 0 and the peer sees nothing")
def zero_length(t):
    client, server = pair(t)
    fd = client.fileno()
    t("send", libc.send(fd, b""))
    t("write", libc.write(fd, b""))
    t("writev", libc.writev(fd, [b"", b""]))
    t("writev none", libc.raw("writev", fd, None, 0))
    t("sendmsg", libc.sendmsg(fd, [b""]))
    t("sendmsg none", libc.sendmsg(fd, []))
    t("sendto", libc.raw("sendto", fd, b"", 0, 0, None, 0))
    t("sendmmsg", libc.sendmmsg(fd, [[b""], []]))
    t("null pointer", libc.raw("send", fd, None, 0, 0))
    t("peer", [pollnow(server), quiet(server, 0.05)])
    client.sendall(b"x")
    t("then", take(server, 1))


@behaviour("send.one_byte", "single bytes by every call arrive in order")
def one_byte(t):
    client, server = pair(t)
    fd = client.fileno()
    t("counts", [libc.send(fd, b"a"), libc.write(fd, b"b"), libc.writev(fd, [b"c"]),
                 libc.sendmsg(fd, [b"d"]), libc.sendmmsg(fd, [[b"e"]])[0],
                 libc.raw("sendto", fd, b"f", 1, 0, None, 0),
                 libc.raw("pwritev2", fd, libc.iovec([b"g"])[0], 1, -1, 0)])
    t("data", take(server, 7))


@behaviour("send.megabyte", "one blocking send of 1 MB is taken whole")
def megabyte(t):
    client, server = pair(t)
    data = pattern(MB)
    reading = Background(take, server, MB)
    t("count", libc.send(client.fileno(), data))
    t("data", reading.result() == data)


@behaviour("send.eight_megabytes", "one blocking write of 8 MB is taken whole and arrives "
           "unchanged")
def eight_megabytes(t):
    client, server = pair(t)
    data = pattern(8 * MB)
    reading = Background(take, server, 8 * MB)
    t("count", libc.write(client.fileno(), data))
    t("data", reading.result() == data)


@behaviour("send.waits_for_reader", "a blocking send longer than the buffers waits until it is "
           "read")
def waits_for_reader(t):
    client, server = pair(t)
    client.setsockopt(SOL, socket.SO_SNDBUF, 65536)
    data = pattern(12 * MB)
    sending = Background(libc.send, client.fileno(), data)
    t("waits", sending.running(0.2))
    t("data", take(server, len(data)) == data)
    t("count", sending.result())


@behaviour("send.nonblocking_short", "a non-blocking send of 8 MB takes a part and says how much")
def nonblocking_short(t):
    client, server = pair(t)
    client.setblocking(False)
    data = pattern(8 * MB)
    for name, call in (("send", libc.send), ("write", libc.write)):
        sent = call(client.fileno(), data)
        t(name, share(sent, len(data)))
        t(name + " data", take(server, sent) == data[:sent])
    t("quiet", quiet(server, 0.05))


@behaviour("send.nonblocking_writev", "a non-blocking writev and sendmsg of 8 MB take a part")
def nonblocking_writev(t):
    client, server = pair(t)
    client.setblocking(False)
    data = pattern(8 * MB)
    parts = [data[:100], data[100:MB], b"", data[MB:]]
    for name, call in (("writev", libc.writev), ("sendmsg", libc.sendmsg)):
        sent = call(client.fileno(), parts)
        t(name, share(sent, len(data)))
        t(name + " data", take(server, sent) == data[:sent])


@behaviour("send.eagain", "full buffers: EAGAIN, not writable; drained: writable, sends again")
def eagain(t):
    client, server = tight(t)
    total = fill(client)
    while (sent := libc.send(client.fileno(), b"x", socket.MSG_DONTWAIT)) == 1:
        total += sent                # a window probe can make room once more
    t("send", sent)
    t("write of 0", libc.send(client.fileno(), b"", socket.MSG_DONTWAIT))
    t("poll", pollnow(client))
    t("drained", len(take(server, total)) == total)
    t("poll then", pollfor(client, 4))
    t("send then", libc.send(client.fileno(), b"y", socket.MSG_DONTWAIT))
    t("data", take(server, 1))


@behaviour("send.one_byte_fill", "a buffer filled byte by byte loses nothing")
def one_byte_fill(t):
    client, server = pair(t)
    client.setsockopt(SOL, socket.SO_SNDBUF, 8192)
    nodelay(client)
    total, left = 0, 3000
    client.setblocking(False)
    while left:
        sent = libc.send(client.fileno(), b"%d" % (total % 10))
        if sent == "EAGAIN":
            break
        total, left = total + sent, left - 1
    data = take(server, total)
    t("data", data == b"".join(b"%d" % (n % 10) for n in range(total)))


@behaviour("send.small_buffers", "with buffers of 4 KB a writer whom nobody reads is held up soon")
def small_buffers(t):
    client, _server = tight(t, 4096)
    t("held up", fill(client, most=256 * 1024) < 256 * 1024)


@behaviour("send.dontwait", "MSG_DONTWAIT on a blocking socket takes a part or says EAGAIN")
def dontwait(t):
    client, server = tight(t)
    data = pattern(8 * MB)
    sent = libc.send(client.fileno(), data, socket.MSG_DONTWAIT)
    t("first", share(sent, len(data)))
    fill(client)
    while isinstance(second := libc.send(client.fileno(), data, socket.MSG_DONTWAIT), int):
        pass                         # a window probe can make room once more
    t("second", second)
    t("still blocking", client.getblocking())
    t("data", take(server, sent) == data[:sent])


@behaviour("send.timeout", "SO_SNDTIMEO: a long send takes a part, then EAGAIN, each after the "
           "time")
def timeout(t):
    client, server = tight(t)
    client.setsockopt(SOL, socket.SO_SNDTIMEO, struct.pack("ll", 0, 200000))
    data = pattern(12 * MB)
    start = time.monotonic()
    sent = libc.send(client.fileno(), data)
    t("first", share(sent, len(data)))
    t("time", waited(start, 0.2))
    fill(client)
    start = time.monotonic()
    t("second", libc.send(client.fileno(), b"x" * 100000))
    t("time then", waited(start, 0.2))
    t("data", take(server, sent) == data[:sent])


@behaviour("send.timeout_whole", "SO_SNDTIMEO is the whole time that a send waits, also when room "
           "comes in between")
def timeout_whole(t):
    client, server = pair(t)
    fill(client)
    client.setsockopt(SOL, socket.SO_SNDTIMEO, struct.pack("ll", 2, 0))
    data = bytes(24 * MB)

    def timed():
        start = time.monotonic()
        return libc.send(client.fileno(), data), time.monotonic() - start

    sending = Background(timed)
    time.sleep(1.4)                         # anew from here it would be 3.4 s
    take(server, 8 * MB, 0.1)
    sent, span = sending.result()
    t("in time", 1.9 < span < 3.3)
    t("a part", isinstance(sent, int) and share(sent, len(data)))


def interrupted(t, restart):
    client, server = tight(t)
    data = pattern(12 * MB)
    caught = Signals(signal.SIGALRM, restart)
    alarms(0.2)
    sent = libc.send(client.fileno(), data)
    t("long send", share(sent, len(data)))
    t("signals", caught.some())
    t("data", take(server, sent) == data[:sent])


@behaviour("send.interrupted", "a signal ends a blocked long send with the part that was taken")
def interrupted_send(t):
    interrupted(t, False)


@behaviour("send.interrupted_restart", "so it does with SA_RESTART")
def interrupted_restart(t):
    interrupted(t, True)


@behaviour("send.interrupted_nothing", "a signal while nothing could be taken: EINTR")
def interrupted_nothing(t):
    client, server = tight(t)
    Signals(signal.SIGALRM)
    for _ in range(5):                   # a window probe can make room once more
        fill(client, 65536)
        fill(client, 1)
        alarms(0.15)
        start = time.monotonic()
        result = libc.send(client.fileno(), b"x" * 1000)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if isinstance(result, str):
            break
    t("send", result)
    t("time", waited(start, 0.15))
    server.close()


@behaviour("send.interrupted_nothing_restart", "with SA_RESTART the blocked send goes on")
def interrupted_nothing_restart(t):
    client, server = tight(t)
    total = fill(client, 65536) + fill(client, 1)
    caught = Signals(signal.SIGALRM, restart=True)
    alarms(0.15)
    reading = Background(lambda: (time.sleep(0.5), len(take(server, total + 1000)))[1])
    t("send", libc.send(client.fileno(), b"x" * 1000))
    t("signals", caught.some())
    t("read", reading.result() == total + 1000)


@behaviour("send.unconnected", "sending on a socket that never connected: EPIPE and SIGPIPE")
def unconnected(t):
    fd, pipes = fresh(), Signals(signal.SIGPIPE)
    for name, call in (("send", lambda: libc.send(fd, b"x")),
                       ("write", lambda: libc.write(fd, b"x")),
                       ("writev", lambda: libc.writev(fd, [b"x"])),
                       ("sendmsg", lambda: libc.sendmsg(fd, [b"x"])),
                       ("nosignal", lambda: libc.send(fd, b"x", socket.MSG_NOSIGNAL)),
                       ("zero", lambda: libc.send(fd, b"")),
                       ("write zero", lambda: libc.write(fd, b""))):
        t(name, call())
        t(name + " sigpipe", pipes.seen())


@behaviour("send.sendto_connected", "sendto on a connected socket ignores the address")
def sendto_connected(t):
    client, server = pair(t)
    peer = libc.sockaddr(*server.getsockname())
    other = libc.sockaddr("127.0.0.8", closed_port())
    fd = client.fileno()
    t("peer", libc.raw("sendto", fd, b"one", 3, 0, peer, 16))
    t("other", libc.raw("sendto", fd, b"two", 3, 0, other, 16))
    t("sendmsg", libc.sendmsg(fd, [b"six"], 0, other))
    t("short", libc.raw("sendto", fd, b"x", 1, 0, peer, 3))
    t("bad length", libc.raw("sendto", fd, b"x", 1, 0, peer, 1000))
    t("data", take(server, 9))


@behaviour("send.sendto_unconnected", "sendto on an unconnected socket: EPIPE, no connection")
def sendto_unconnected(t):
    lsock, pipes, fd = listener(), Signals(signal.SIGPIPE), fresh()
    where = libc.sockaddr(*lsock.getsockname())
    t("sendto", libc.raw("sendto", fd, b"x", 1, 0, where, 16))
    t("sigpipe", pipes.seen())
    t("sendmsg", libc.sendmsg(fd, [b"x"], socket.MSG_NOSIGNAL, where))
    t("listener", quiet(lsock, 0.1))
    t("peer", libc.getname("getpeername", fd)[0])


@behaviour("send.bad_pointer", "EFAULT for bad buffers, and the connection goes on")
def bad_pointer(t):
    client, server = pair(t)
    fd = client.fileno()
    t("send", libc.raw("send", fd, libc.BAD, 10, 0))
    t("write", libc.raw("write", fd, libc.BAD, 10))
    t("writev", libc.raw("writev", fd, libc.BAD, 1))
    t("sendmsg", libc.raw("sendmsg", fd, libc.BAD, 0))
    t("sendmmsg", libc.raw("sendmmsg", fd, libc.BAD, 1, 0))
    array = (libc.Iovec * 1)(libc.Iovec(libc.BAD, 10))
    t("iovec base", libc.raw("writev", fd, array, 1))
    client.sendall(b"good")
    t("data", take(server, 4))


@behaviour("send.bad_pointer_later", "a buffer that ends in an unmapped page: what was taken is a "
           "true prefix")
def bad_pointer_later(t):
    client, server = pair(t)
    area = mmap.mmap(-1, 64 * 4096)
    area.write(pattern(64 * 4096))
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc.LIBC.mprotect(ctypes.c_void_p(start + 60 * 4096), ctypes.c_size_t(4 * 4096), 0)
    sent = libc.raw("send", client.fileno(), start, 64 * 4096, 0)
    t("count", isinstance(sent, int) and 0 < sent <= 60 * 4096 or sent == "EFAULT")
    if isinstance(sent, int):
        t("data", take(server, sent) == pattern(64 * 4096)[:sent])
    else:
        t("data", True)
    client.sendall(b"end")
    t("then", take(server, 3))


@behaviour("send.huge_length", "lengths beyond any buffer: negative sizes as a size_t")
def huge_length(t):
    client, _ = pair(t)
    client.setblocking(False)
    t("send of -1", libc.raw("send", client.fileno(), libc.BAD, ctypes.c_size_t(-1).value, 0))
    t("write of -1", libc.raw("write", client.fileno(), libc.BAD, ctypes.c_size_t(-1).value))


@behaviour("send.blocked_writable", "a writer blocked on a full buffer wakes as the reader drains")
def blocked_writable(t):
    client, server = tight(t)
    total = fill(client)
    sending = Background(libc.send, client.fileno(), b"z" * 100000)
    t("waits", sending.running(0.1))
    t("drained", len(take(server, total)) == total)
    t("count", sending.result())
    t("rest", take(server, 100000) == b"z" * 100000)


@behaviour("send.epoll_out", "edge-triggered: filled until EAGAIN, drained, an edge tells of room")
def epoll_out(t):
    client, server = tight(t)
    client.setblocking(False)
    poller = select.epoll()
    poller.register(client, select.EPOLLOUT | select.EPOLLET)
    t("first", [event for _, event in poller.poll(1)])
    total = fill(client)
    poller.poll(0)
    t("full", poller.poll(0.05))
    t("drained", len(take(server, total)) == total)
    t("edge", [event for _, event in poller.poll(2)])
    t("send", libc.send(client.fileno(), b"more"))


@behaviour("send.small_buffer", "writes larger than a small SO_SNDBUF still go through")
def small_buffer(t):
    client, server = pair(t, prepare=lambda s: s.setsockopt(SOL, socket.SO_SNDBUF, 4096))
    data = pattern(300000)
    reading = Background(take, server, len(data))
    t("count", libc.send(client.fileno(), data))
    t("data", reading.result() == data)


@behaviour("send.small_receive_buffer", "a small SO_RCVBUF at the reader slows, but loses nothing")
def small_receive_buffer(t):
    client, server = pair(t, prepare_listener=lambda s: s.setsockopt(SOL, socket.SO_RCVBUF, 4096))
    data = pattern(200000)
    reading = Background(take, server, len(data))
    t("count", libc.send(client.fileno(), data))
    t("data", reading.result() == data)


@behaviour("send.buffer_shrunk", "SO_SNDBUF made small after a lot was written: nothing is lost, "
           "never EMSGSIZE")
def buffer_shrunk(t):
    client, server = pair(t)
    client.setblocking(False)
    first = libc.send(client.fileno(), b"a" * 100000)
    client.setsockopt(SOL, socket.SO_SNDBUF, 2048)
    second = libc.send(client.fileno(), b"b" * 100000)
    t("second", "EAGAIN or a part" if second == "EAGAIN" or share(second, 10 ** 9) == "part"
      else second)
    second = 0 if isinstance(second, str) else second
    t("data", take(server, first + second) == b"a" * first + b"b" * second)
    client.setblocking(True)
    reading = Background(take, server, 100000)
    t("blocking", libc.send(client.fileno(), b"c" * 100000))
    t("rest", reading.result() == b"c" * 100000)


@behaviour("send.refused_port_reuse", "sending after a failed and then a good connect")
def after_refusal(t):
    lsock, client = listener(), tcp()
    libc.connect(client.fileno(), (LOCAL, closed_port()))
    client.connect(lsock.getsockname())
    server, _ = lsock.accept()
    t("send", libc.send(client.fileno(), b"hello"))
    t("data", take(server, 5))


@behaviour("send.syscall", "zero-length and long sends through the libc function syscall()")
def by_syscall(t):
    client, server = pair(t)
    data = pattern(MB)
    buffer = ctypes.create_string_buffer(data, len(data))
    place = ctypes.addressof(buffer)
    reading = Background(take, server, MB)
    t("write of 0", libc.syscall("write", client.fileno(), place, 0))
    t("sendto of 0", libc.syscall("sendto", client.fileno(), place, 0, 0, 0, 0))
    t("write", libc.syscall("write", client.fileno(), place, len(data)))
    t("data", reading.result() == data)


@behaviour("send.request_answer", "a thousand small requests and answers in turn")
def request_answer(t):
    client, server = pair(t)

    def answer():
        count = 0
        while data := server.recv(100):
            server.sendall(data[::-1])
            count += 1
        return count

    answering = Background(answer)
    good = 0
    for number in range(1000):
        question = b"question %04d" % number
        client.sendall(question)
        good += take(client, len(question)) == question[::-1]
    client.close()
    t("good", good)
    t("answered", answering.result())


@behaviour("send.write_write_read", "two small writes and a read do not wait for a delayed "
           "acknowledgement")
def write_write_read(t):
    client, server = pair(t)
    nodelay(client, server)

    def answer():
        for _ in range(20):
            take(server, 20)
            server.sendall(b"ok")

    answering = Background(answer)
    start = time.monotonic()
    for _ in range(20):
        client.sendall(b"0123456789")
        client.sendall(b"0123456789")
        take(client, 2)
    t("fast", time.monotonic() - start < 1)
    answering.result()
