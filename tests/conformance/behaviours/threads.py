# SPDX-License-Identifier: BSD-3-Clause
"""Threads that share connections."""

import socket
import time

import libc
from harness import Background, behaviour, listener, nodelay, pair, pattern, settle, take, tcp

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


@behaviour("threads.two_readers", "two blocked readers: each byte goes to exactly one",
           pending="the rest of a message wakes no second reader yet")
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
    import ctypes
    import errno
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
