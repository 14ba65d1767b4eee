# SPDX-License-Identifier: BSD-3-Clause
"""Receiving: a byte stream without boundaries, waiting, time-outs, signals, errors."""

import ctypes
import select
import signal
import socket
import struct
import time

import libc
from harness import (FIONREAD, Background, Signals, alarms, behaviour, fresh, listener, nodelay,
                     pair, pattern, pollfor, pollnow, quiet, reset_by, send_each, settle, take, tcp, tight,
                     waited)

SOL = socket.SOL_SOCKET
MB = 1 << 20


@behaviour("recv.coalesces", "one recv returns all that many small sends left, up to its buffer")
def coalesces(t):
    client, server = pair(t)
    messages = [b"%03d," % number for number in range(50)]
    send_each(client, messages)
    t("big buffer", libc.recv(server.fileno(), 1000)[0])
    send_each(client, messages)
    t("small buffer", libc.recv(server.fileno(), 10))
    t("rest", libc.recv(server.fileno(), 1000)[0])
    t("empty", libc.recv(server.fileno(), 1000, socket.MSG_DONTWAIT)[0])


@behaviour("recv.coalesces_every_call", "every receiving call returns what several sends left")
def coalesces_every_call(t):
    client, server = pair(t)
    fd, messages = server.fileno(), [b"one", b"two", b"three"]
    for name, call in (
            ("recv", lambda: libc.recv(fd, 100)), ("read", lambda: libc.read(fd, 100)),
            ("recvfrom", lambda: server.recvfrom(100)[0]),
            ("recvmsg", lambda: libc.recvmsg(fd, [100])["data"]),
            ("readv", lambda: libc.readv(fd, [4, 100])),
            ("dontwait", lambda: libc.recv(fd, 100, socket.MSG_DONTWAIT)),
            ("python recv_into", lambda: server.recv_into(bytearray(100)))):
        send_each(client, messages)
        t(name, call())


@behaviour("recv.checked_calls", "the fortified entry points read the stream the same way")
def checked_calls(t):
    client, server = pair(t)
    fd = server.fileno()
    room = ctypes.create_string_buffer(100)
    for name, args in (("__read_chk", (100, 100)), ("__recv_chk", (100, 100, 0)),
                       ("__recvfrom_chk", (100, 100, 0, None, None))):
        send_each(client, [b"ab", b"cde"])
        t(name, libc.raw(name, fd, room, *args))
        t(name + " data", room.raw[:5])
    send_each(client, [b"x"])
    t("__poll_chk", libc.poll([(fd, 1)], 100, "__poll_chk"))


@behaviour("recv.remainder", "a short read leaves the rest of a long message for later reads")
def remainder(t):
    client, server = pair(t)
    send_each(client, [pattern(1000)])
    parts = [libc.recv(server.fileno(), size)[1] for size in (1, 10, 100, 500, 1000)]
    t("lengths", [len(part) for part in parts])
    t("data", b"".join(parts) == pattern(1000))


@behaviour("recv.byte_by_byte", "reads of one byte over message borders")
def byte_by_byte(t):
    client, server = pair(t)
    send_each(client, [b"ab", b"c", b"def"])
    t("bytes", [libc.read(server.fileno(), 1)[1] for _ in range(6)])
    t("then", libc.recv(server.fileno(), 1, socket.MSG_DONTWAIT)[0])


@behaviour("recv.edge_read_once", "an edge-triggered program that takes a short read as drained "
           "gets everything")
def edge_read_once(t):
    client, server = pair(t)
    server.setblocking(False)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN | select.EPOLLET)
    send_each(client, [b"m%02d" % number for number in range(20)])
    total, edges = 0, 0
    while poller.poll(0.2) and edges < 50:
        edges += 1
        while True:
            count, _ = libc.recv(server.fileno(), 4096)
            if isinstance(count, str):
                break
            total += count
            if count < 4096:
                break
    t("received", total)
    t("left", libc.recv(server.fileno(), 4096)[0])


@behaviour("recv.edge_small_buffer", "edge-triggered: full reads until a short one")
def edge_small_buffer(t):
    client, server = pair(t)
    server.setblocking(False)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN | select.EPOLLET)
    send_each(client, [b"0123456789"] * 10)
    counts = []
    if poller.poll(1):
        while True:
            count, _ = libc.recv(server.fileno(), 64)
            counts.append(count)
            if count != 64:
                break
    t("counts", counts)


@behaviour("recv.edge_again", "edge-triggered: data after the drain makes a new edge; "
           "EPOLL_CTL_MOD "
           "re-arms")
def edge_again(t):
    client, server = pair(t)
    server.setblocking(False)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN | select.EPOLLET)
    for number in range(3):
        client.sendall(b"%d" % number)
        t(f"edge {number}", [event for _, event in poller.poll(2)])
        t(f"data {number}", libc.recv(server.fileno(), 100))
    client.sendall(b"kept")
    t("edge", [event for _, event in poller.poll(2)])
    t("no second", poller.poll(0.05))
    poller.modify(server, select.EPOLLIN | select.EPOLLET)
    t("after mod", [event for _, event in poller.poll(0.5)])


@behaviour("recv.level", "level-triggered epoll and poll report until all is read")
def level(t):
    client, server = pair(t)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN)
    send_each(client, [b"ab", b"cd"])
    t("first", [event for _, event in poller.poll(1)])
    t("read", libc.recv(server.fileno(), 1))
    t("second", [event for _, event in poller.poll(0)])
    t("rest", libc.recv(server.fileno(), 10))
    t("third", poller.poll(0))


@behaviour("recv.large", "recv with a large buffer returns a part at least, and all in the end")
def large(t):
    client, server = pair(t)
    data = pattern(4 * MB)
    sending = Background(client.sendall, data)
    parts, largest = [], 0
    while sum(map(len, parts)) < len(data):
        count, part = libc.recv(server.fileno(), MB)
        if not isinstance(count, int) or count == 0:
            break
        parts.append(part)
        largest = max(largest, count)
    t("data", b"".join(parts) == data)
    t("more than a page", largest > 4096)
    sending.result()


@behaviour("recv.zero_length", "reads of nothing: what they return with and without data")
def zero_length(t):
    client, server = pair(t)
    fd = server.fileno()
    t("read", libc.read(fd, 0)[0])
    t("readv", libc.readv(fd, [0])[0])
    t("dontwait", libc.recv(fd, 0, socket.MSG_DONTWAIT)[0])
    send_each(client, [b"data"])
    t("recv with data", libc.recv(fd, 0)[0])
    t("read with data", libc.read(fd, 0)[0])
    t("recvmsg with data", libc.recvmsg(fd, [])["ret"])
    t("peek with data", libc.recv(fd, 0, socket.MSG_PEEK)[0])
    t("data", libc.recv(fd, 10))


@behaviour("recv.zero_length_waits", "a blocking recv of nothing waits for data, read does not")
def zero_length_waits(t):
    client, server = pair(t)
    waiting = Background(libc.recv, server.fileno(), 0)
    t("waits", waiting.running(0.1))
    client.sendall(b"x")
    t("recv", waiting.result())
    t("data", libc.recv(server.fileno(), 5))


@behaviour("recv.dontwait", "MSG_DONTWAIT: EAGAIN, data, EAGAIN; the socket stays blocking")
def dontwait(t):
    client, server = pair(t)
    t("before", libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT)[0])
    send_each(client, [b"abc"])
    t("data", libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT))
    t("after", libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT)[0])
    t("flags", libc.raw("fcntl", server.fileno(), 3, 0))


@behaviour("recv.blocks", "a blocking recv waits for data and returns what came first")
def blocks(t):
    client, server = pair(t)
    waiting = Background(libc.recv, server.fileno(), 100)
    t("waits", waiting.running(0.1))
    client.sendall(b"wake")
    t("recv", waiting.result())


@behaviour("recv.timeout", "SO_RCVTIMEO: EAGAIN after the time, data at once, and a part is no "
           "reason to wait")
def timeout(t):
    client, server = pair(t)
    server.setsockopt(SOL, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200000))
    start = time.monotonic()
    t("empty", libc.recv(server.fileno(), 10)[0])
    t("time", waited(start, 0.2))
    send_each(client, [b"abc"])
    start = time.monotonic()
    t("data", libc.recv(server.fileno(), 10))
    t("time then", waited(start, 0.2))
    start = time.monotonic()
    t("read", libc.read(server.fileno(), 10)[0])
    t("time of read", waited(start, 0.2))


@behaviour("recv.timeout_python", "a Python time-out on recv and sendall, then normal use")
def timeout_python(t):
    client, server = pair(t)
    server.settimeout(0.1)
    t.call("recv", server.recv, 10)
    client.sendall(b"x")
    t.call("recv then", server.recv, 10)
    client.settimeout(0.2)
    t.call("sendall", client.sendall, b"y" * (16 * MB))


@behaviour("recv.interrupted", "a signal ends a waiting recv with EINTR; with SA_RESTART it "
           "waits on")
def interrupted(t):
    client, server = pair(t)
    caught = Signals(signal.SIGALRM)
    for name, call in (("recv", libc.recv), ("read", libc.read)):
        alarms(0.1)
        t(name, call(server.fileno(), 10)[0])
        t(name + " signals", caught.some())
    again = Signals(signal.SIGALRM, restart=True)
    alarms(0.1)
    sending = Background(lambda: (time.sleep(0.3), client.sendall(b"later")))
    t("restart", libc.recv(server.fileno(), 10))
    t("restart signals", again.some())
    sending.result()


@behaviour("recv.interrupted_timeout", "with SO_RCVTIMEO even SA_RESTART gives EINTR")
def interrupted_timeout(t):
    _, server = pair(t)
    server.setsockopt(SOL, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
    caught = Signals(signal.SIGALRM, restart=True)
    alarms(0.1)
    t("recv", libc.recv(server.fileno(), 10)[0])
    t("signals", caught.some())


@behaviour("recv.unconnected", "receiving on sockets that are not connected: ENOTCONN")
def unconnected(t):
    fd = fresh()
    t("calls", [libc.recv(fd, 10)[0], libc.read(fd, 10)[0], libc.recvmsg(fd, [10])["ret"],
                libc.readv(fd, [10])[0], libc.recvmmsg(fd, [10])[0],
                libc.recv(fd, 10, socket.MSG_PEEK)[0], libc.recv(fd, 10, socket.MSG_DONTWAIT)[0],
                libc.read(fd, 0)[0]])
    t("fionread", libc.ioctl_int(fd, FIONREAD))


@behaviour("recv.bad_pointer", "EFAULT for a bad buffer")
def bad_pointer(t):
    client, server = pair(t)
    for name, call in (("recv", lambda: libc.raw("recv", server.fileno(), libc.BAD, 8, 0)),
                       ("read", lambda: libc.raw("read", server.fileno(), libc.BAD, 8))):
        send_each(client, [b"precious"])
        t(name, call())
        libc.recv(server.fileno(), 100, socket.MSG_DONTWAIT)
    send_each(client, [b"goes on"])
    t("data", libc.recv(server.fileno(), 100))


@behaviour("recv.bad_pointer_keeps", "after an EFAULT the data can still be read")
def bad_pointer_keeps(t):
    client, server = pair(t)
    send_each(client, [b"precious"])
    libc.raw("recv", server.fileno(), libc.BAD, 8, 0)
    t("data", libc.recv(server.fileno(), 100, socket.MSG_DONTWAIT))


@behaviour("recv.errqueue", "MSG_ERRQUEUE on an empty error queue: EAGAIN, data untouched")
def errqueue(t):
    client, server = pair(t)
    t("empty", libc.recvmsg(server.fileno(), [10], socket.MSG_ERRQUEUE, 0, 100)["ret"])
    send_each(client, [b"abc"])
    t("with data", libc.recvmsg(server.fileno(), [10], socket.MSG_ERRQUEUE, 0, 100)["ret"])
    t("recv", libc.recv(server.fileno(), 10, socket.MSG_ERRQUEUE)[0])
    t("data", libc.recv(server.fileno(), 10))


@behaviour("recv.trunc", "recv with MSG_TRUNC discards, with or without a buffer")
def trunc(t):
    client, server = pair(t)
    send_each(client, [b"0123456789", b"abcdefghij"])
    t("discard 5", libc.raw("recv", server.fileno(), None, 5, socket.MSG_TRUNC))
    t("recv", libc.recv(server.fileno(), 3))
    buffer = ctypes.create_string_buffer(b"\xee" * 8, 8)
    t("with buffer", libc.raw("recv", server.fileno(), buffer, 8, socket.MSG_TRUNC))
    t("untouched", buffer.raw == b"\xee" * 8)
    t("rest", libc.recv(server.fileno(), 100))
    t("empty", libc.raw("recv", server.fileno(), None, 5, socket.MSG_TRUNC | socket.MSG_DONTWAIT))
    send_each(client, [bytes(4207)])
    t("long", libc.raw("recv", server.fileno(), None, 3832, socket.MSG_TRUNC))
    t("rest of long", libc.recv(server.fileno(), 1000)[0])


@behaviour("recv.trunc_reset", "a reset behind what MSG_TRUNC discards is told to the next read")
def trunc_reset(t):
    client, server = pair(t)
    send_each(client, [b"x"])
    send_each(server, [b"unread"])
    client.close()
    pollfor(server, 8)
    t("discard", libc.raw("recv", server.fileno(), None, 1281, socket.MSG_TRUNC))
    t("then", libc.recv(server.fileno(), 0)[0])
    t("at last", libc.recv(server.fileno(), 10))


@behaviour("recv.trunc_waitall", "MSG_TRUNC with MSG_WAITALL discards as many as were asked for")
def trunc_waitall(t):
    client, server = pair(t)
    send_each(client, [b"0123456789"])
    reading = Background(libc.raw, "recv", server.fileno(), None, 4000,
                         socket.MSG_TRUNC | socket.MSG_WAITALL)
    t("waits", reading.running(0.05))
    client.sendall(bytes(3990) + b"rest")
    t("discard", reading.result())
    t("rest", libc.recv(server.fileno(), 100))


@behaviour("recv.waitall_timeout", "SO_RCVTIMEO is the whole time that MSG_WAITALL waits, also "
           "where what comes is discarded")
def waitall_timeout(t):
    readings = []
    for flags in (0, socket.MSG_TRUNC):
        client, server = pair(t)
        server.setsockopt(SOL, socket.SO_RCVTIMEO, struct.pack("ll", 0, 800_000))
        readings.append((client, server, Background(libc.recv, server.fileno(), 8000,
                                                    socket.MSG_WAITALL | flags)))
    for _ in range(3):
        time.sleep(0.5)
        for client, _, _ in readings:
            client.sendall(bytes(1024))
    for name, (_, _, reading) in zip(("read", "discard"), readings):
        t(name, reading.result()[0])


@behaviour("recv.oob", "MSG_OOB when nothing urgent was sent")
def oob(t):
    client, server = pair(t)
    t("empty", libc.recv(server.fileno(), 1, socket.MSG_OOB)[0])
    send_each(client, [b"abc"])
    t("with data", libc.recv(server.fileno(), 1, socket.MSG_OOB | socket.MSG_DONTWAIT)[0])
    t("data", libc.recv(server.fileno(), 10))


@behaviour("recv.oob_sent", "urgent data: MSG_OOB, POLLPRI, SIOCATMARK")
def oob_sent(t):
    client, server = pair(t)
    t("send", libc.send(client.fileno(), b"abcU", socket.MSG_OOB))
    settle(client)
    t("poll", pollnow(server))
    t("mark", libc.ioctl_int(server.fileno(), 0x8905))
    t("urgent", libc.recv(server.fileno(), 10, socket.MSG_OOB | socket.MSG_DONTWAIT))
    t("normal", libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT))


@behaviour("recv.flags_ignored", "flags without meaning for a stream do not disturb a recv")
def flags_ignored(t):
    client, server = pair(t)
    send_each(client, [b"0123456789"])
    t("counts", [libc.recv(server.fileno(), 1, flag) for flag in
                 (socket.MSG_NOSIGNAL, 0x40000000, socket.MSG_DONTROUTE, socket.MSG_EOR,
                  socket.MSG_MORE, 0x800, 0x10)])


@behaviour("recv.eof", "after the peer closed: all data, then end of file for ever")
def eof(t):
    client, server = pair(t)
    for message in (b"one ", b"two ", b"three"):
        client.sendall(message)
    client.close()
    t("data", take(server, 100))
    t("ends", [libc.recv(server.fileno(), 10) for _ in range(3)])
    t("read", libc.read(server.fileno(), 10))
    t("dontwait", libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT)[0])
    t("peek", libc.recv(server.fileno(), 10, socket.MSG_PEEK)[0])
    t("waitall", libc.recv(server.fileno(), 10, socket.MSG_WAITALL)[0])
    t("fionread", libc.ioctl_int(server.fileno(), FIONREAD))


@behaviour("recv.data_and_eof_at_once", "one recv with data and end of file pending gives the data")
def data_and_eof(t):
    client, server = pair(t)
    send_each(client, [b"the ", b"end"])
    client.close()
    pollfor(server, 0x2000)
    t("first", libc.recv(server.fileno(), 100))
    t("second", libc.recv(server.fileno(), 100))


@behaviour("recv.fionread", "FIONREAD: above 0 as long as there is data, never more than there is")
def fionread(t):
    client, server = pair(t)
    t("empty", libc.ioctl_int(server.fileno(), FIONREAD))
    send_each(client, [b"0123456789"] * 3)
    value = libc.ioctl_int(server.fileno(), FIONREAD)
    t("some", isinstance(value, int) and 0 < value <= 30)
    t("read", libc.recv(server.fileno(), 25)[0])
    value = libc.ioctl_int(server.fileno(), FIONREAD)
    t("some left", isinstance(value, int) and 0 < value <= 5)
    t("rest", libc.recv(server.fileno(), 25)[0])
    t("empty again", libc.ioctl_int(server.fileno(), FIONREAD))


@behaviour("recv.fionread_exact", "FIONREAD counts all bytes of several sends")
def fionread_exact(t):
    client, server = pair(t)
    send_each(client, [b"0123456789"] * 3)
    t("three", libc.ioctl_int(server.fileno(), FIONREAD))
    libc.recv(server.fileno(), 15)
    t("after 15", libc.ioctl_int(server.fileno(), FIONREAD))


@behaviour("recv.fionread_loop", "a program that reads what FIONREAD says gets everything")
def fionread_loop(t):
    client, server = pair(t)
    send_each(client, [b"x" * 100] * 10)
    got = b""
    while pollnow(server) != "OUT" and len(got) < 1000:
        size = libc.ioctl_int(server.fileno(), FIONREAD)
        if not isinstance(size, int) or size <= 0:
            break
        got += libc.recv(server.fileno(), size)[1]
    t("all", len(got))


@behaviour("recv.lowat", "SO_RCVLOWAT holds poll back until so much has come")
def lowat(t):
    client, server = pair(t)
    server.setsockopt(SOL, socket.SO_RCVLOWAT, 10)
    t("value", libc.getint(server.fileno(), SOL, socket.SO_RCVLOWAT))
    send_each(client, [b"12345"])
    t("five", pollnow(server))
    send_each(client, [b"67890"])
    t("ten", pollnow(server))
    t("data", libc.recv(server.fileno(), 100)[0])


@behaviour("recv.timestamp", "SO_TIMESTAMP can be set on a stream; data is unchanged")
def timestamp(t):
    client, server = pair(t)
    t("set", libc.setsockopt(server.fileno(), SOL, 29, 1))
    send_each(client, [b"stamped"])
    t("data", libc.recv(server.fileno(), 100))


ENDS = (("close", socket.socket.close), ("reset", reset_by),
        ("half-close", lambda sock: sock.shutdown(socket.SHUT_WR)))


@behaviour("recv.beneath", "bytes of the buffer behind those that are returned stay as they were")
def beneath(t):
    dashes = b"-" * 100
    for name, end in ENDS:
        client, server = pair(t)
        room = ctypes.create_string_buffer(dashes, 100)
        client.sendall(b"abc")
        end(client)
        settle(server)
        for read in ("data", "end", "again"):
            t(f"{name}: {read}", libc.raw("recv", server.fileno(), room, 100, 0))
            t(f"{name}: {read}: buffer", room.raw)


@behaviour("recv.beneath_waiting", "a read that an end or a reset wakes leaves its buffer alone")
def beneath_waiting(t):
    dashes = b"-" * 100
    for name, end in ENDS:
        client, server = pair(t)
        room = ctypes.create_string_buffer(dashes, 100)
        parts = (libc.Iovec * 3)(*((ctypes.addressof(room) + at, size)
                                   for at, size in ((50, 3), (10, 0), (20, 30))))
        reading = Background(libc.raw, "readv", server.fileno(), parts, 3)
        t(f"{name}: waits", reading.running(0.05))
        end(client)
        t(f"{name}: ret", reading.result())
        t(f"{name}: buffer", room.raw)


def write_behind(t, count, size=0):
    """A pair, with buffers of SIZE, whose client writes COUNT bytes that nobody reads yet."""
    client, server = tight(t, size) if size else pair(t)
    return client, server, Background(client.sendall, bytes(count))


def longest_wait(server, count):
    """Seconds, of the waits between two reads."""
    got, worst, last = 0, 0.0, time.monotonic()
    while got < count:
        got += len(server.recv(65536))
        now = time.monotonic()
        worst, last = max(worst, now - last), now
    return worst


@behaviour("recv.paused", "a reader that let the writer wait finds no gap afterwards, whatever the "
           "buffers")
def paused(t):
    sizes = (0, 4096, 65536, 212992)
    ends = [write_behind(t, 4 * MB, size) for size in sizes]
    time.sleep(1.7)
    for size, (_, server, writing) in zip(sizes, ends):
        t(f"buffers of {size}", longest_wait(server, 4 * MB) < 0.5)
        t(f"buffers of {size}: written", writing.result())


@behaviour("recv.paused_tail", "the last bytes, which had no room while the reader paused, come at once")
def paused_tail(t):
    _client, server, _writing = write_behind(t, 1_640_000)
    time.sleep(1.7)
    t("at once", longest_wait(server, 1_640_000) < 0.5)


@behaviour("recv.syscall", "reads through the libc function syscall() coalesce too")
def by_syscall(t):
    client, server = pair(t)
    room = ctypes.create_string_buffer(100)
    for name, args in (("read", (100,)), ("recvfrom", (100, 0, 0, 0))):
        send_each(client, [b"one", b"two"])
        t(name, libc.syscall(name, server.fileno(), ctypes.addressof(room), *args))
        t(name + " data", room.raw[:6])


@behaviour("recv.duplex", "both ends send 2 MB at the same time and receive it")
def duplex(t):
    client, server = pair(t)
    there, back = pattern(2 * MB, 1), pattern(2 * MB, 2)
    sends = [Background(client.sendall, there), Background(server.sendall, back)]
    other = Background(take, server, len(there))
    t("back", take(client, len(back)) == back)
    t("there", other.result() == there)
    for sending in sends:
        sending.result()


@behaviour("recv.many_connections", "twenty connections at once, each with its own bytes")
def many_connections(t):
    lsock = listener()
    ends = []
    for _ in range(20):
        client = tcp()
        client.connect(lsock.getsockname())
        server, _ = lsock.accept()
        nodelay(client)
        ends.append((client, server))
    for number, (client, _) in enumerate(ends):
        client.sendall(pattern(5000, number))
    t("data", all(take(server, 5000) == pattern(5000, number)
                  for number, (_, server) in enumerate(ends)))
    t("quiet", all(quiet(server, 0) for _, server in ends))
