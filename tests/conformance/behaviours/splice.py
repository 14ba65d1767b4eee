# SPDX-License-Identifier: BSD-3-Clause
"""splice between connections and pipes, tee and vmsplice: bytes, counts, waiting, errors."""

import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import time

import libc
from harness import (Background, Signals, alarms, behaviour, fill, fresh, in_child, nodelay, pair,
                     pattern, quiet, send_each, share, take, tight, waited)
from services import Service

MB = 1 << 20
NONBLOCK, MORE, GIFT = 2, 4, 8
F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032


def splice(source, sink, count, flags=0):
    """splice() without offsets; descriptors or sockets."""
    fds = [end if isinstance(end, int) else end.fileno() for end in (source, sink)]
    return libc.raw("splice", fds[0], None, fds[1], None, count, flags)


def in_pipe(fd):
    return libc.ioctl_int(fd, 0x541B)


@behaviour("splice.in", "from a pipe into a connection: what the pipe holds, then EAGAIN")
def splice_in(t):
    client, server = pair(t)
    one, two = os.pipe()
    os.write(two, b"through a pipe")
    t("splice", splice(one, client, 100))
    t("data", take(server, 14))
    t("empty", splice(one, client, 100, NONBLOCK))
    os.write(two, b"0123456789")
    t("part", [splice(one, client, 4), take(server, 4), in_pipe(one)])
    t("rest", [splice(one, client, 100, MORE), take(server, 6), in_pipe(one)])
    os.close(two)
    t("end", splice(one, client, 100))


@behaviour("splice.out", "from a connection into a pipe, small and large")
def splice_out(t):
    client, server = pair(t)
    one, two = os.pipe()
    send_each(client, [b"from a socket"])
    t("splice", splice(server, two, 100))
    t("data", os.read(one, 100))
    server.setblocking(False)
    t("empty", splice(server, two, 100, NONBLOCK))
    server.setblocking(True)
    data = pattern(200000)
    sending = Background(client.sendall, data)
    got = b""
    while len(got) < len(data):
        count = splice(server, two, 65536)
        if not isinstance(count, int) or count <= 0:
            break
        got += os.read(one, count)
    t("large", got == data)
    sending.result()


@behaviour("splice.end", "end of file out of a connection is 0, again and again")
def end(t):
    client, server = pair(t)
    one, two = os.pipe()
    client.sendall(b"last")
    client.close()
    t("data", [splice(server, two, 100), os.read(one, 100)])
    t("end", splice(server, two, 100))
    t("again", splice(server, two, 100, NONBLOCK))
    t("pipe", in_pipe(one))


@behaviour("splice.half_close", "end of file after the peer's shutdown, and the answer goes back")
def half_close(t):
    client, server = pair(t)
    one, two = os.pipe()
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    t("question", [splice(server, two, 100), os.read(one, 100)])
    t("end", [splice(server, two, 100), in_pipe(one)])
    os.write(two, b"answer")
    t("answer", [splice(one, server, 100), take(client, 6)])


def relay(source, sink, total, step=65536, size=None):
    """Move TOTAL bytes between two connections through a pipe, as proxies do: how many went."""
    one, two = os.pipe()
    if size:
        fcntl.fcntl(one, F_SETPIPE_SZ, size)
    moved = 0
    while moved < total:
        count = splice(source, two, step)
        if not isinstance(count, int) or not count:
            return [moved, count]
        while count:
            sent = splice(one, sink, count, MORE)
            if not isinstance(sent, int):
                return [moved, sent]
            count, moved = count - sent, moved + sent
    return moved


@behaviour("splice.relay", "a proxy splices 4 MB from one connection to another, blocking")
def proxied(t):
    client, proxy_in = pair(t)
    proxy_out, server = pair(t)
    data = pattern(4 * MB)
    for name, step, size in (("small pipe", 4096, 4096), ("pipe", 65536, None),
                             ("large pipe", MB, MB), ("odd", 10007, None)):
        part = data[:MB] if step < 65536 else data
        sending = Background(client.sendall, part)
        reading = Background(take, server, len(part))
        t(name, relay(proxy_in, proxy_out, len(part), step, size) == len(part))
        t(name + " data", reading.result() == part)
        sending.result()


@behaviour("splice.relay_nonblocking", "a proxy splices with epoll and a slow reader: no byte is "
           "lost, doubled or moved")
def proxied_nonblocking(t):
    client, source = tight(t)
    sink, server = tight(t)
    source.setblocking(False)
    sink.setblocking(False)
    one, two = os.pipe()
    data, got = pattern(MB), []

    def read():
        while left := len(data) - sum(map(len, got)):
            piece = take(server, min(left, 30000))
            if not piece:
                break
            got.append(piece)
            time.sleep(0.001)

    sending, reading = Background(client.sendall, data), Background(read)
    moved, held, deadline = 0, 0, time.monotonic() + 8
    errors = set()
    while moved < len(data) and time.monotonic() < deadline:
        count = splice(source, two, 65536, NONBLOCK)
        if isinstance(count, int):
            held += count
        else:
            errors.add(count)
        while held:
            count = splice(one, sink, held, NONBLOCK)
            if not isinstance(count, int):
                errors.add(count)
                break
            held, moved = held - count, moved + count
        libc.poll([(sink.fileno(), 4) if held else (source.fileno(), 1)], 50)
    reading.result(8)
    t("moved", moved == len(data))
    t("data", b"".join(got) == data)
    t("errors", sorted(errors))
    sending.result()


@behaviour("splice.full_socket", "into a full non-blocking connection: EAGAIN, and the pipe "
           "keeps all")
def full_socket(t):
    client, server = tight(t)
    client.setblocking(False)
    one, two = os.pipe()
    os.write(two, b"kept in the pipe")
    for _ in range(5):                   # a window probe can make room once more
        sent = fill(client, 65536) + fill(client, 1)
        result = splice(one, client, 100)
        if result == "EAGAIN":
            break
    t("splice", result)
    t("pipe", in_pipe(one))
    t("filled", len(take(server, sent, 2)) == sent)
    t("then", splice(one, client, 100))
    t("data", take(server, 16))


@behaviour("splice.full_pipe", "out of a connection into a full pipe: EAGAIN, and the connection "
           "keeps all; then as much as there is room for")
def full_pipe(t):
    client, server = pair(t)
    one, two = os.pipe()
    size = fcntl.fcntl(one, F_GETPIPE_SZ)
    os.write(two, b"f" * size)
    send_each(client, [b"kept in the socket"])
    t("full", splice(server, two, 100, NONBLOCK))
    waiting = Background(splice, server, two, 100)
    t("waits", waiting.running(0.2))
    t("room", len(os.read(one, size)))
    t("then", [waiting.result(), os.read(one, 100)])
    os.write(two, b"g" * (size - 8192))
    data = pattern(20000)
    client.sendall(data)
    got, count = b"", 0
    while isinstance(count, int) and len(got) < 8192:
        count = splice(server, two, 20000, NONBLOCK)
        got += b"." * count if isinstance(count, int) else b""
    t("page by page", [len(got) in (8192, 8193), count == "EAGAIN" or len(got) == 8192])
    os.read(one, size - 8192)
    rest = os.read(one, 8192)
    while len(rest) < len(data):
        count = splice(server, two, 20000)
        rest += os.read(one, count)
    t("data", rest == data)


@behaviour("splice.slots", "a pipe full of single bytes takes no more, and nothing is lost")
def slots(t):
    client, server = pair(t)
    one, two = os.pipe()
    left, right = os.pipe()
    number = 0
    while True:                          # a byte spliced from a pipe of its own takes a slot
        os.write(right, b"%d" % (number % 10))
        if splice(left, two, 1, NONBLOCK) != 1:
            break
        number += 1
    t("slots", number)
    send_each(client, [b"kept"])
    t("full", splice(server, two, 100, NONBLOCK))
    t("one", os.read(one, 1))
    t("then", splice(server, two, 100, NONBLOCK))
    t("data", os.read(one, 100)[-4:])


@behaviour("splice.waits", "splice waits for data in the connection, in the pipe, and SO_RCVTIMEO")
def waits(t):
    client, server = pair(t)
    one, two = os.pipe()
    waiting = Background(splice, server, two, 100)
    t("connection", waiting.running(0.1))
    client.sendall(b"woken")
    t("count", [waiting.result(), os.read(one, 10)])
    waiting = Background(splice, one, server, 100)
    t("pipe", waiting.running(0.1))
    os.write(two, b"up")
    t("pipe count", [waiting.result(), take(client, 2)])
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200000))
    start = time.monotonic()
    t("timeout", splice(server, two, 100))
    t("time", waited(start, 0.2))


@behaviour("splice.nonblocking", "O_NONBLOCK of the connection and SPLICE_F_NONBLOCK, each alone")
def nonblocking(t):
    client, server = pair(t)
    one, two = os.pipe()
    server.setblocking(False)
    t("socket", splice(server, two, 100))
    waiting = Background(splice, one, server, 100)
    t("pipe waits", waiting.running(0.1))
    os.write(two, b"x")
    t("x", [take(client, 1), waiting.result()])
    os.set_blocking(one, False)
    t("pipe", splice(one, server, 100))
    server.setblocking(True)
    t("flag waits", Background(splice, server, two, 100, NONBLOCK).running(0.1))
    client.sendall(b"y")


@behaviour("splice.interrupted", "a signal ends a waiting splice with EINTR, in both directions")
def interrupted(t):
    client, server = pair(t)
    one, two = os.pipe()
    signals = Signals(signal.SIGALRM)
    alarms(0.15)
    t("out", splice(server, two, 100))
    t("in", splice(one, server, 100))
    os.write(two, b"f" * fcntl.fcntl(one, F_GETPIPE_SZ))
    send_each(client, [b"data"])
    t("full pipe", splice(server, two, 100))
    t("signals", signals.some())
    t("data", libc.recv(server.fileno(), 10))


@behaviour("splice.restarted", "with SA_RESTART a signal ends no splice, in both directions")
def restarted(t):
    client, server = pair(t)
    one, two = os.pipe()
    signals = Signals(signal.SIGALRM, restart=True)

    def later(heard, function, *args):
        """When a signal has come, and more of them have had the time to."""
        os.read(heard, 1)
        time.sleep(0.3)
        return function(*args)

    for name, ends, wake in (("out", (server, two), (client.sendall, b"data")),
                             ("in", (one, server), (os.write, two, b"data")),
                             ("full pipe", (server, two), (os.read, one, 1 << 16))):
        if name == "full pipe":
            os.write(two, b"f" * fcntl.fcntl(one, F_GETPIPE_SZ))
            send_each(client, [b"data"])
        heard, caught = os.pipe()
        os.set_blocking(caught, False)
        signal.set_wakeup_fd(caught)
        child = in_child(later, heard, *wake)    # not a thread, which might get the signal
        alarms(0.1)
        t(name, splice(*ends, 100))
        t(name + " signals", signals.some())
        child.result()
        if name == "out":
            os.read(one, 100)


@behaviour("splice.cancelled", "a thread is cancelled in splice: no descriptor is left")
def cancelled(t):
    client, server = tight(t)
    service = Service("service", "splices", descriptors={0: server, 1: server})
    server.close()
    service.observe(t)
    client.close()


@behaviour("splice.broken", "into a broken connection: EPIPE and SIGPIPE, the pipe keeps the bytes")
def broken(t):
    client, server = pair(t)
    pipes = Signals(signal.SIGPIPE)
    one, two = os.pipe()
    os.write(two, b"firstsecond")
    server.close()
    t("first", splice(one, client, 5))
    libc.poll([(client.fileno(), 8)], 1000)
    t("second", [splice(one, client, 6), pipes.seen(), in_pipe(one)])
    t("unconnected", [splice(one, fresh(), 6), pipes.seen()])
    t("from unconnected", splice(fresh(), two, 6))


@behaviour("splice.no_reader", "into a pipe that nobody reads: EPIPE and SIGPIPE, the connection "
           "keeps the bytes")
def no_reader(t):
    client, server = pair(t)
    pipes = Signals(signal.SIGPIPE)
    one, two = os.pipe()
    os.close(one)
    send_each(client, [b"kept"])
    t("splice", [splice(server, two, 100), pipes.seen()])
    t("data", libc.recv(server.fileno(), 10))


@behaviour("splice.errors", "descriptors, offsets and flags that cannot be; two connections; files")
def errors(t):
    client, server = pair(t)
    one, two = os.pipe()
    os.write(two, b"kept")
    send_each(client, [b"kept too"])
    offset = ctypes.c_int64(0)
    with open("/proc/version", "rb", buffering=0) as file:
        t("socket to socket", splice(server, client, 10))
        t("socket to file", splice(server, os.open("/dev/null", os.O_WRONLY), 10))
        t("file to socket", splice(file.fileno(), client, 10))
    t("wrong ends", [splice(server, one, 10), splice(two, client, 10)])
    t("bad", [splice(-1, client, 10), splice(server, -1, 10), splice(999, client, 10)])
    place = ctypes.byref(offset)
    t("offset in", libc.raw("splice", one, place, client.fileno(), None, 10, 0))
    t("offset out", libc.raw("splice", one, None, client.fileno(), place, 10, 0))
    t("offset of socket", libc.raw("splice", server.fileno(), place, two, None, 10, 0))
    t("offset of pipe", libc.raw("splice", server.fileno(), None, two, place, 10, 0))
    t("flags", [splice(one, client, 10, 16), splice(server, two, 10, 1 << 20)])
    t("nothing", [splice(one, client, 0), splice(server, two, 0), splice(-1, -1, 0)])
    t("listening", splice(socket.create_server(("127.0.0.1", 0)), two, 10))
    t("kept", [os.read(one, 10), libc.recv(server.fileno(), 10)])


@behaviour("splice.syscall", "splice through the libc function syscall()")
def by_syscall(t):
    client, server = pair(t)
    one, two = os.pipe()
    send_each(client, [b"some ", b"bytes"])
    t("out", libc.syscall("splice", server.fileno(), 0, two, 0, 100, 0))
    t("in", libc.syscall("splice", one, 0, server.fileno(), 0, 100, MORE))
    t("data", take(client, 10))


@behaviour("splice.number_reused", "splice with a number that is no connection any more")
def number_reused(t):
    client, server = pair(t)
    fd = server.detach()
    client.sendall(b"x")
    libc.recv(fd, 10)
    one, two = os.pipe()
    left, right = os.pipe()
    libc.LIBC.syscall(ctypes.c_long(33 if os.uname().machine == "x86_64" else 24),
                      ctypes.c_long(right), ctypes.c_long(fd), ctypes.c_long(0))
    os.write(two, b"pipe to pipe")
    t("splice", splice(one, fd, 100))
    t("data", os.read(left, 100))


@behaviour("splice.without_descriptors", "with no descriptor left to be had it works as well")
def without_descriptors(t):
    client, server = pair(t)
    one, two = os.pipe()
    os.write(two, b"through")
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError as error:
        t("full", error)
    t("in", splice(one, client, 100, MORE))
    t("data", take(server, 7))
    send_each(client, [b"back"])
    t("out", [splice(server, two, 100), os.read(one, 10)])
    os.write(two, b"f" * fcntl.fcntl(one, F_GETPIPE_SZ))
    send_each(client, [b"kept"])
    t("full pipe", [splice(server, two, 100, NONBLOCK), libc.recv(server.fileno(), 10)])
    for fd in taken:
        os.close(fd)


@behaviour("splice.vmsplice", "vmsplice and tee do not take connections, and feed them by splice")
def vmsplice(t):
    client, server = pair(t)
    nodelay(client)
    one, two = os.pipe()
    left, right = os.pipe()
    data = pattern(50000)
    array, keep = libc.iovec([data])
    send = lambda fd: libc.raw("vmsplice", fd, array, 1, 0)                # noqa: E731
    t("to a socket", send(client.fileno()))
    t("to a pipe", send(two))
    t("tee", libc.raw("tee", one, right, 50000, 0))
    t("tee socket", [libc.raw("tee", server.fileno(), right, 10, 0),
                     libc.raw("tee", one, client.fileno(), 10, 0)])
    t("splice", [splice(one, client, 50000), splice(left, client, 50000)])
    t("data", take(server, 100000) == data * 2)
    t("quiet", quiet(server, 0.05))
    del keep


@behaviour("splice.other", "between pipes, files and UNIX sockets it is as before")
def other(t):
    one, two = os.pipe()
    left, right = socket.socketpair()
    left.send(b"unix")
    t("unix out", splice(right, two, 10))
    t("unix in", splice(one, right, 10))
    t("data", left.recv(10))
    with open("/proc/sys/kernel/ostype", "rb", buffering=0) as file:
        place = ctypes.c_int64(2)
        t("file", libc.raw("splice", file.fileno(), ctypes.byref(place), two, None, 3, 0))
        t("place", [place.value, os.read(one, 10)])
    t("epoll", splice(select.epoll().fileno(), two, 10))


@behaviour("splice.large", "a blocking splice of 1 MB in one call waits for the slow reader")
def large(t):
    client, server = tight(t)
    one, two = os.pipe()
    fcntl.fcntl(one, F_SETPIPE_SZ, MB)
    data = pattern(MB)
    os.write(two, data)
    sending = Background(splice, one, client, MB)
    t("waits", sending.running(0.2))
    t("data", take(server, MB) == data)
    t("count", share(sending.result(), MB))
