# SPDX-License-Identifier: BSD-3-Clause
"""sendfile and copy_file_range: bytes, counts, offsets, file positions."""

import os
import signal
import socket

import libc
from harness import (Background, Signals, alarms, behaviour, fill, fresh, pair, pattern, quiet,
                     share, take, tight)
from services import Service

MB = 1 << 20


def file_of(data):
    """A temporary file with DATA, positioned at its start."""
    stream = os.fdopen(os.open("/tmp", os.O_TMPFILE | os.O_RDWR, 0o600), "r+b", buffering=0)
    stream.write(data)
    stream.seek(0)
    return stream


def position(stream):
    return os.lseek(stream.fileno(), 0, os.SEEK_CUR)


@behaviour("sendfile.whole", "a 1 MB file from its position: count, bytes, position afterwards")
def whole(t):
    client, server = pair(t)
    data = pattern(MB)
    source = file_of(data)
    reading = Background(take, server, MB)
    t("count", libc.sendfile(client.fileno(), source.fileno(), None, MB))
    t("data", reading.result() == data)
    t("position", position(source))
    t("at the end", libc.sendfile(client.fileno(), source.fileno(), None, MB))


@behaviour("sendfile.offset", "with an offset: it moves, the file position does not")
def with_offset(t):
    client, server = pair(t)
    data = pattern(100000)
    source = file_of(data)
    source.seek(7)
    for name in ("sendfile", "sendfile64"):
        t(name, libc.sendfile(client.fileno(), source.fileno(), 1000, 5000, name))
        t(name + " data", take(server, 5000) == data[1000:6000])
        t(name + " position", position(source))


@behaviour("sendfile.beyond_end", "counts beyond the end and offsets beyond the end")
def beyond_end(t):
    client, server = pair(t)
    source = file_of(b"0123456789")
    fds = client.fileno(), source.fileno()
    t("long", libc.sendfile(*fds, 4, 1000))
    t("data", take(server, 6))
    t("at the end", libc.sendfile(*fds, 10, 1000))
    t("beyond", libc.sendfile(*fds, 5000, 1000))
    t("negative", libc.sendfile(*fds, -1, 10))
    t("nothing", libc.sendfile(*fds, 0, 0))
    t("position", position(source))
    t("quiet", quiet(server, 0.05))


@behaviour("sendfile.proc_file", "a /proc file, which has no size")
def proc_file(t):
    client, server = pair(t)
    with open("/proc/version", "rb", buffering=0) as source:
        expected = source.read()
        source.seek(0)
        count, _ = libc.sendfile(client.fileno(), source.fileno(), None, 65536)
    t("count", count == len(expected) or count)
    if isinstance(count, int):
        t("data", take(server, count) == expected)


@behaviour("sendfile.nonblocking", "non-blocking: a part, then EAGAIN; the position tells the "
           "truth")
def nonblocking(t):
    client, server = pair(t)
    client.setblocking(False)
    data = pattern(12 * MB)
    source = file_of(data)
    sent, _ = libc.sendfile(client.fileno(), source.fileno(), None, len(data))
    t("count", share(sent, len(data)))
    t("position", position(source) == sent)
    while (more := libc.sendfile(client.fileno(), source.fileno(), None, len(data))[0]) != "EAGAIN":
        sent += more
    t("then", more)
    t("position then", position(source) == sent)
    t("data", take(server, sent) == data[:sent])
    sent, place = libc.sendfile(client.fileno(), source.fileno(), 100, len(data))
    t("with offset", [share(sent, len(data)), place == 100 + sent])
    t("offset data", take(server, sent) == data[100:100 + sent])


@behaviour("sendfile.full", "EAGAIN from a full buffer moves neither offset nor position")
def full(t):
    client, server = tight(t)
    client.setblocking(False)
    source = file_of(pattern(10000))
    for _ in range(5):                   # a window probe can make room once more
        fill(client, 65536)
        fill(client, 1)
        offset = libc.sendfile(client.fileno(), source.fileno(), 5, 100)
        if offset[0] == "EAGAIN":
            break
    t("offset", offset)
    t("position", [libc.sendfile(client.fileno(), source.fileno(), None, 100)[0],
                   position(source)])
    server.close()


@behaviour("sendfile.blocking_large", "blocking: 8 MB in one call")
def blocking_large(t):
    client, server = pair(t)
    data = pattern(8 * MB)
    source = file_of(data)
    reading = Background(take, server, len(data))
    t("count", libc.sendfile(client.fileno(), source.fileno(), 0, len(data)))
    t("data", reading.result() == data)


@behaviour("sendfile.interrupted", "a signal ends a blocked sendfile with the part that was taken")
def interrupted(t):
    client, server = pair(t)
    data = pattern(12 * MB)
    source = file_of(data)
    Signals(signal.SIGALRM)
    alarms(0.2)
    sent, place = libc.sendfile(client.fileno(), source.fileno(), 0, len(data))
    t("count", share(sent, len(data)))
    t("offset", place == sent)
    t("data", take(server, sent) == data[:sent])


# 4 MB through a window of 64 KB take SCTP seconds, which it spends waiting for timers.
@behaviour("sendfile.cancelled", "sendfile is no cancellation point: it sends all, and then the "
           "thread ends", limit=30)
def cancelled(t):
    client, server = tight(t)
    service = Service("service", "sendfiles", descriptors={0: server, 1: server})
    server.close()
    t("cancel", service.fact())
    t("data", take(client, 4 * MB) == bytes(4 * MB))
    service.observe(t)


@behaviour("sendfile.errors", "descriptors that cannot be used, and their errno")
def errors(t):
    client, server = pair(t)
    source = file_of(b"0123456789")
    with open("/dev/null", "rb", buffering=0) as null:
        t("device", libc.sendfile(client.fileno(), null.fileno(), None, 10)[0])
    t("socket as source", libc.sendfile(client.fileno(), server.fileno(), None, 10)[0])
    t("socket to file", libc.sendfile(source.fileno(), server.fileno(), None, 10)[0])
    t("bad source", libc.sendfile(client.fileno(), -1, None, 10)[0])
    t("bad sink", libc.sendfile(-1, source.fileno(), None, 10)[0])
    one, two = os.pipe()
    t("pipe with offset", libc.sendfile(client.fileno(), one, 0, 10)[0])
    os.close(two)
    t("bad offset", libc.raw("sendfile", client.fileno(), source.fileno(), libc.BAD, 10))
    writer = os.open("/dev/null", os.O_WRONLY)
    t("write-only source", libc.sendfile(client.fileno(), writer, None, 10)[0])
    t("directory", libc.sendfile(client.fileno(), os.open("/", os.O_RDONLY), None, 10)[0])


@behaviour("sendfile.unconnected", "to an unconnected socket: EPIPE and SIGPIPE")
def unconnected(t):
    pipes, source = Signals(signal.SIGPIPE), file_of(b"0123456789")
    t("sendfile", libc.sendfile(fresh(), source.fileno(), 0, 10))
    t("sigpipe", pipes.seen())


@behaviour("sendfile.file_to_file", "between files and pipes it works as before")
def file_to_file(t):
    source, sink = file_of(b"0123456789"), file_of(b"")
    t("file", libc.sendfile(sink.fileno(), source.fileno(), 2, 5))
    sink.seek(0)
    t("data", sink.read())
    one, two = os.pipe()
    t("pipe", libc.sendfile(two, source.fileno(), None, 4))
    t("pipe data", os.read(one, 100))
    left, right = socket.socketpair()
    t("unix", libc.sendfile(left.fileno(), source.fileno(), None, 4))
    t("unix data", right.recv(100))


@behaviour("sendfile.headers", "send with MSG_MORE, then sendfile: head and body in order")
def headers(t):
    client, server = pair(t)
    source = file_of(pattern(50000))
    t("head", libc.send(client.fileno(), b"HTTP/1.1 200 OK\r\n\r\n", socket.MSG_MORE))
    t("body", libc.sendfile(client.fileno(), source.fileno(), 0, 50000))
    t("data", take(server, 50019) == b"HTTP/1.1 200 OK\r\n\r\n" + pattern(50000))


@behaviour("sendfile.corked", "nginx's way: cork, head, sendfile, uncork")
def corked(t):
    client, server = pair(t)
    source = file_of(pattern(50000))
    libc.setsockopt(client.fileno(), socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    client.sendall(b"head")
    t("body", libc.sendfile(client.fileno(), source.fileno(), 0, 50000))
    libc.setsockopt(client.fileno(), socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    t("data", take(server, 50004) == b"head" + pattern(50000))


@behaviour("sendfile.python", "Python's socket.sendfile and os.sendfile")
def python_sendfile(t):
    client, server = pair(t)
    source = file_of(pattern(300000))
    reading = Background(take, server, 300000)
    t("count", client.sendfile(source))
    t("data", reading.result() == pattern(300000))


@behaviour("sendfile.copy_file_range", "copy_file_range refuses sockets")
def copy_file_range(t):
    client, _ = pair(t)
    source = file_of(b"0123456789")
    t("to socket", libc.raw("copy_file_range", source.fileno(), None, client.fileno(), None, 5, 0))
    t("from socket", libc.raw("copy_file_range", client.fileno(), None, source.fileno(), None, 5,
                              0))
