# SPDX-License-Identifier: BSD-3-Clause
"""Threads that share connections."""

import ctypes
import errno
import os
import socket
import threading
import time

import libc
import network
from harness import (Background, behaviour, fill, listener, nodelay, pair, pattern,
                     pollfor, settle, share, take, tcp, tight)

MB = 1 << 20


@behaviour("threads.reader_and_writer", "one thread reads while another writes, 2 MB each way")
def reader_and_writer(t):
    client, server = pair(t)
    up, down = pattern(2 * MB, 3), pattern(2 * MB, 4)
    jobs = [Background(client.sendall, up), Background(server.sendall, down),
            Background(take, client, len(down)), Background(take, server, len(up))]
    t("down", jobs[2].result() == down)
    t("up", jobs[3].result() == up)
    for job in jobs:
        job.result()


@behaviour("threads.two_readers", "two blocked readers: each byte goes to exactly one")
def two_readers(t):
    client, server = pair(t)
    nodelay(client)
    readers = [Background(libc.recv, server.fileno(), 4, socket.MSG_WAITALL) for _ in range(2)]
    t("blocked", [reader.running(0.05) for reader in readers])
    client.sendall(b"aaaabbbb")
    results = [reader.result(2) for reader in readers]
    t("counts", [result[0] if isinstance(result, tuple) else result for result in results])
    t("bytes", sorted(result[1] for result in results if isinstance(result, tuple)))


@behaviour("threads.two_writers", "two threads writing small records: none is torn or lost")
def two_writers(t):
    client, server = pair(t)

    def write(letter):
        for _ in range(200):
            client.sendall(letter * 10)

    writers = [Background(write, letter) for letter in (b"a", b"b")]
    data = take(server, 4000)
    for writer in writers:
        writer.result()
    records = [data[start:start + 10] for start in range(0, len(data), 10)]
    t("bytes", len(data))
    t("whole", all(len(set(record)) == 1 for record in records))


@behaviour("threads.many_connections", "eight threads, each opening, using and closing connections")
def many_connections(t):
    lsock = listener(backlog=64)

    def serve():
        for _ in range(40):
            server, _ = lsock.accept()
            data = take(server, 8)
            server.sendall(data[::-1])
            server.close()

    def use(number):
        good = 0
        for turn in range(5):
            client = tcp()
            client.connect(lsock.getsockname())
            client.sendall(b"%04d%04d" % (number, turn))
            good += take(client, 8) == (b"%04d%04d" % (number, turn))[::-1]
            client.close()
        return good

    serving = Background(serve)
    users = [Background(use, number) for number in range(8)]
    t("good", [user.result(8) for user in users])
    serving.result()


@behaviour("threads.set_nonblocking", "a thread blocked in recv stays blocked when another makes "
           "the socket non-blocking, and gets the data")
def set_nonblocking(t):
    client, server = pair(t)
    reading = Background(libc.recv, server.fileno(), 10)
    t("blocked", reading.running(0.05))
    libc.raw("fcntl", server.fileno(), 4, 0o4000)
    t("still", reading.running(0.1))
    client.sendall(b"late")
    t("recv", reading.result())
    t("then", libc.recv(server.fileno(), 10)[0])


@behaviour("threads.write_while_blocked_read", "a write goes through while another thread is "
           "blocked reading the same socket")
def write_while_read(t):
    client, server = pair(t)
    reading = Background(libc.recv, client.fileno(), 10)
    t("blocked", reading.running(0.05))
    start = time.monotonic()
    t("send", libc.send(client.fileno(), b"question"))
    t("at once", time.monotonic() - start < 0.5)
    t("got", take(server, 8))
    server.sendall(b"answer")
    t("recv", reading.result())
    settle(server)


@behaviour("threads.errno", "errno is each thread's own and kept by calls that succeed")
def errno_kept(t):
    client, server = pair(t)
    location = libc.LIBC.__errno_location
    location.restype = ctypes.POINTER(ctypes.c_int)
    data = ctypes.create_string_buffer(b"hello")
    results = []
    for call in (lambda: libc.LIBC.send(client.fileno(), data, 5, 0),
                 lambda: libc.LIBC.recv(server.fileno(), data, 5, 0),
                 lambda: libc.LIBC.write(client.fileno(), data, 0),
                 lambda: libc.LIBC.setsockopt(client.fileno(), 6, 1, data, 4)):
        ctypes.set_errno(errno.EXDEV)
        result = call()
        results.append([result >= 0, errno.errorcode.get(ctypes.get_errno())])
    t("kept", results)


@behaviour("threads.close_while_reading", "a number closed while another thread is blocked reading "
           "it: the read gets its data")
def close_while_reading(t):
    client, server = pair(t)
    fd = server.fileno()
    reading = Background(libc.recv, fd, 100)
    t("blocked", reading.running(0.3))
    t("close", libc.raw("close", fd))
    t("still", reading.running(0.1))
    client.sendall(b"to the closed number")
    t("recv", reading.result())
    t("then", libc.recv(fd, 1)[0])


@behaviour("threads.number_reused_while_reading", "the number is closed and another connection "
           "takes it while a thread is blocked reading: each gets its own bytes")
def number_reused(t):
    client, server = pair(t)
    fd = server.fileno()
    reading = Background(libc.recv, fd, 100)
    t("blocked", reading.running(0.3))
    other, mine = pair(t)
    other.sendall(b"of the second connection")
    pollfor(mine, 1)
    t("same number", libc.raw("dup2", mine.fileno(), fd) == fd)
    t("still", reading.running(0.1))
    client.sendall(b"of the first")
    t("recv", reading.result())
    t("second", take(mine, 24))


@behaviour("threads.number_reused_while_writing", "the number is closed and another connection "
           "takes it while a thread is blocked writing: no byte goes astray")
def number_reused_writing(t):
    client, server = tight(t)
    fd = client.fileno()
    total = fill(client)
    writing = Background(libc.send, fd, b"w" * 500000)
    t("blocked", writing.running(0.3))
    mine, other = pair(t)
    libc.raw("dup2", mine.fileno(), fd)
    got = take(server, total + 500000, 5)
    sent = writing.result()
    t("sent", share(sent, 500000) in ("part", "all"))
    t("what was sent came", len(got) == total + sent)
    mine.sendall(b"clean")
    t("second", take(other, 5))
    t("no more", libc.recv(other.fileno(), 10, socket.MSG_DONTWAIT)[0])


@behaviour("threads.close_while_writing", "a number closed while another thread is blocked writing "
           "it: the writer ends when there is room")
def close_while_writing(t):
    client, server = tight(t)
    total = fill(client)
    time.sleep(0.5)                  # a window probe makes room: for it the receiver tidies up
    total += fill(client)
    data = bytes(20000)              # one message
    writing = Background(libc.send, client.fileno(), data)
    t("blocked", writing.running(0.3))
    t("close", libc.raw("close", client.fileno()))
    t("still", writing.running(0.1))
    got = take(server, total + len(data), 8)
    t("sent", writing.result())
    t("all came", len(got) == total + len(data))


@behaviour("threads.close_while_accepting", "a listener closed while another thread is blocked in "
           "accept")
def close_while_accepting(t):
    lsock = listener()
    where = lsock.getsockname()
    accepting = Background(lambda: libc.accept(lsock.fileno())[0])
    fd = lsock.fileno()
    t("blocked", accepting.running(0.3))
    libc.raw("close", fd)
    t("still", accepting.running(0.1))
    client = tcp()
    t("connect", libc.connect(client.fileno(), where))
    result = accepting.result()
    t("accepted", isinstance(result, int))
    t("next connect", libc.connect(tcp().fileno(), where))


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


def cancelled(function):
    """Run FUNCTION in a POSIX thread and cancel it there: how the thread ended."""
    def run():
        thread, result = ctypes.c_ulong(), ctypes.c_void_p()
        body = CALLBACK(lambda _: function() and 0)
        libc.LIBC.pthread_create(ctypes.byref(thread), None, body, None)
        time.sleep(0.2)
        asked = libc.LIBC.pthread_cancel(thread)
        libc.LIBC.pthread_join(thread, ctypes.byref(result))
        end = "cancelled" if result.value == ctypes.c_size_t(-1).value else result.value
        os.write(sink, f"{asked} {end}".encode())
        os._exit(0)

    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        run()
    os.close(sink)
    with os.fdopen(source) as stream:
        text = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return text or f"status {status}"


@behaviour("threads.cancel", "blocked reads, writes, accepts and connects are cancellation points")
def cancel(t):
    client, server = tight(t)
    lsock = listener()
    buffer = ctypes.create_string_buffer(100000)
    call, fd = libc.LIBC, server.fileno()
    t("recv", cancelled(lambda: call.recv(fd, buffer, 100, 0)))
    t("read", cancelled(lambda: call.read(fd, buffer, ctypes.c_size_t(100))))
    t("waitall", cancelled(lambda: call.recv(fd, buffer, 100, socket.MSG_WAITALL)))
    t("accept", cancelled(lambda: call.accept(lsock.fileno(), None, None)))
    fill(client)
    t("send", cancelled(lambda: call.send(client.fileno(), buffer, 100000, 0)))
    t("write", cancelled(lambda: call.write(client.fileno(), buffer, ctypes.c_size_t(100000))))


@behaviour("threads.cancel_connect", "a blocked connect is a cancellation point")
def cancel_connect(t):
    network.private()
    sock = tcp()
    where = libc.sockaddr(network.HOLE, 7)
    t("connect", cancelled(lambda: libc.LIBC.connect(sock.fileno(), where, 16)))


@behaviour("threads.large_records", "four threads, each sending records of 16 KB on one connection "
           "that is read: none is torn")
def large_records(t):
    client, server = pair(t)
    size, count = 16384, 40
    held = threading.Semaphore(4)        # so much fits the buffers that no writer has to wait

    def write(letter):
        for _ in range(count):
            held.acquire()
            libc.send(client.fileno(), letter * size)

    writers = [Background(write, letter) for letter in (b"a", b"b", b"c", b"d")]
    whole = 0
    for _ in range(4 * count):
        record = take(server, size)
        whole += len(record) == size and len(set(record)) == 1
        held.release()
    for writer in writers:
        writer.result()
    t("whole", whole)


@behaviour("threads.many_writers", "eight threads sending 100 KB each at once: every byte arrives "
           "once")
def many_writers(t):
    client, server = pair(t)
    writers = [Background(client.sendall, bytes([65 + number]) * 100000) for number in range(8)]
    data = take(server, 800000)
    for writer in writers:
        writer.result()
    t("bytes", [data.count(bytes([65 + number])) for number in range(8)])
