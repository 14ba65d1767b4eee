# SPDX-License-Identifier: BSD-3-Clause
"""Scatter and gather: writev, readv, sendmsg, recvmsg, sendmmsg, recvmmsg."""

import ctypes
import signal
import socket
import struct
import time

import libc
from harness import (Background, Signals, alarms, behaviour, nodelay, pair, pattern, pollfor, quiet,
                     send_each, settle, share, take, waited)

SOL = socket.SOL_SOCKET


@behaviour("vectors.mixed", "writev and sendmsg with empty parts in between")
def mixed(t):
    client, server = pair(t)
    parts = [b"", b"one", b"", b"", b"two", b""]
    t("writev", libc.writev(client.fileno(), parts))
    t("sendmsg", libc.sendmsg(client.fileno(), parts))
    t("data", take(server, 12))


@behaviour("vectors.count_limits", "1024 parts are taken, 1025 and negative counts refused")
def count_limits(t):
    client, server = pair(t)
    fd = client.fileno()
    parts = [bytes([n % 256]) * 3 for n in range(1024)]
    t("1024", libc.writev(fd, parts))
    t("data", take(server, 3072) == b"".join(parts))
    t("sendmsg 1024", libc.sendmsg(fd, parts))
    t("sendmsg data", take(server, 3072) == b"".join(parts))
    t("1025", libc.writev(fd, parts + [b"x"]))
    t("sendmsg 1025", libc.sendmsg(fd, parts + [b"x"]))
    array, keep = libc.iovec([b"x"])
    t("-1", libc.raw("writev", fd, array, -1))
    t("readv -1", libc.raw("readv", fd, array, -1))
    t("readv 0", libc.raw("readv", fd, array, 0))
    del keep
    over = (libc.Iovec * 1)(libc.Iovec(libc.BAD, ctypes.c_size_t(-1).value))
    t("negative length", libc.raw("writev", fd, over, 1))
    t("quiet", quiet(server, 0.05))


@behaviour("vectors.large", "writev of 3 MB in parts of every size arrives unchanged")
def large(t):
    client, server = pair(t)
    parts = [pattern(size, size)
             for size in (1, 100000, 7, 0, 1000000, 4096, 65536, 33333, 2000000)]
    whole = b"".join(parts)
    reading = Background(take, server, len(whole))
    t("writev", libc.writev(client.fileno(), parts))
    t("data", reading.result() == whole)
    reading = Background(take, server, len(whole))
    t("sendmsg", libc.sendmsg(client.fileno(), parts))
    t("sendmsg data", reading.result() == whole)


@behaviour("vectors.readv", "readv spreads what is queued over its buffers, empty ones included")
def readv(t):
    client, server = pair(t)
    send_each(client, [b"abc", b"defgh", b"ij"])
    t("spread", libc.readv(server.fileno(), [2, 0, 5, 100]))
    send_each(client, [b"klmnop"])
    t("exact", libc.readv(server.fileno(), [3, 3]))
    send_each(client, [b"qrs"])
    t("many", libc.readv(server.fileno(), [1] * 1024)[0])
    server.setblocking(False)
    t("empty", libc.readv(server.fileno(), [5])[0])
    t("nothing wanted", libc.readv(server.fileno(), [0, 0]))


@behaviour("vectors.readv_many", "readv of one long write into a thousand small buffers")
def readv_many(t):
    client, server = pair(t)
    send_each(client, [pattern(9000)])
    got, parts = libc.readv(server.fileno(), [10] * 1000)
    t("got", [got, b"".join(parts) == pattern(9000)])


@behaviour("vectors.preadv2", "preadv2 and pwritev2 at offset -1 stream; pread and pwrite do not "
           "seek")
def preadv2(t):
    client, server = pair(t)
    array, keep = libc.iovec([b"hello", b" world"])
    t("pwritev2", libc.raw("pwritev2", client.fileno(), array, 2, -1, 0))
    settle(client)
    array, keep = libc.iovec([4, 20])
    t("preadv2", libc.raw("preadv2", server.fileno(), array, 2, -1, 0))
    t("data", [keep[0].raw, keep[1].raw.rstrip(b"\0")])
    t("pwrite", libc.raw("pwrite", client.fileno(), b"x", 1, 0))
    t("pread", libc.raw("pread", client.fileno(), b"x", 1, 0))
    t("pwritev2 at 0", libc.raw("pwritev2", client.fileno(), array, 1, 0, 0))
    t("bad flags", libc.raw("preadv2", server.fileno(), array, 1, -1, 0x4000))


@behaviour("vectors.recvmsg_header", "recvmsg: no name, no control data, no flags")
def recvmsg_header(t):
    client, server = pair(t)
    send_each(client, [b"one"])
    t("bare", libc.recvmsg(server.fileno(), [100]))
    send_each(client, [b"two"])
    t("with room", libc.recvmsg(server.fileno(), [100], 0, 128, 512))
    send_each(client, [b"three"])
    t("little room", libc.recvmsg(server.fileno(), [2], 0, 4, 4))
    t("rest", libc.recvmsg(server.fileno(), [10], 0, 16, 16))
    send_each(client, [b"four", b"five"])
    t("spread", libc.recvmsg(server.fileno(), [3, 0, 3, 30]))
    server.setblocking(False)
    t("empty", libc.recvmsg(server.fileno(), [10], 0, 128, 128)["ret"])


@behaviour("vectors.recvmsg_answering", "the answering direction shows no name or flags either")
def recvmsg_client(t):
    client, server = pair(t)
    send_each(server, [b"first", b"second"])
    t("client", libc.recvmsg(client.fileno(), [100], 0, 128, 512))
    server.close()
    t("end", libc.recvmsg(client.fileno(), [100], 0, 128, 512))


@behaviour("vectors.recvfrom_address", "recvfrom leaves the address alone and says length 0")
def recvfrom_address(t):
    client, server = pair(t)
    send_each(client, [b"abc"])
    for name, call in (("recvfrom", "recvfrom"), ("checked", "__recvfrom_chk")):
        room = ctypes.create_string_buffer(b"\xee" * 64, 64)
        length = ctypes.c_uint32(64)
        data = ctypes.create_string_buffer(1)
        extra = (1,) if call == "__recvfrom_chk" else ()
        t(name, libc.raw(call, server.fileno(), data, 1, *extra, 0, room, ctypes.byref(length)))
        t(name + " length", length.value)
        t(name + " untouched", room.raw == b"\xee" * 64)
    t("null", libc.raw("recvfrom", server.fileno(), data, 1, 0, None, None))


@behaviour("vectors.sendmmsg", "sendmmsg sends every message and reports each length")
def sendmmsg(t):
    client, server = pair(t)
    t("three", libc.sendmmsg(client.fileno(), [[b"one"], [b"", b"two", b"!"], [b"three"]]))
    t("with empty", libc.sendmmsg(client.fileno(), [[b"a"], [b""], [], [b"b"]]))
    t("none", libc.sendmmsg(client.fileno(), []))
    t("data", take(server, 14))


@behaviour("vectors.sendmmsg_stops", "sendmmsg stops at a bad message and reports those before")
def sendmmsg_stops(t):
    client, server = pair(t)
    array, keep = libc.mmsghdr([[b"good"], [b"bad"], [b"never"]])
    iov = (libc.Iovec * 1)(libc.Iovec(libc.BAD, 4))
    array[1].hdr.iov = ctypes.addressof(iov)
    t("count", libc.raw("sendmmsg", client.fileno(), array, 3, 0))
    t("first bad", libc.raw("sendmmsg", client.fileno(),
                            ctypes.byref(array, ctypes.sizeof(libc.Mmsghdr)), 1, 0))
    t("data", take(server, 4))
    t("quiet", quiet(server, 0.05))
    del keep


@behaviour("vectors.sendmmsg_large", "sendmmsg of large messages, blocking and not")
def sendmmsg_large(t):
    client, server = pair(t)
    messages = [[pattern(400000, n)] for n in range(4)]
    whole = b"".join(part for parts in messages for part in parts)
    reading = Background(take, server, len(whole))
    t("blocking", libc.sendmmsg(client.fileno(), messages))
    t("data", reading.result() == whole)
    count, lengths = libc.sendmmsg(client.fileno(), messages * 10, socket.MSG_DONTWAIT)
    t("nonblocking", [0 < count < 40, share(sum(lengths), 10 * len(whole))])
    t("prefix", take(server, sum(lengths)) == (whole * 10)[:sum(lengths)])


@behaviour("vectors.recvmmsg_full", "recvmmsg fills several small buffers from what is queued")
def recvmmsg_full(t):
    client, server = pair(t)
    send_each(client, [b"abcdefghij"])
    t("three of four", libc.recvmmsg(server.fileno(), [4, 4, 4, 4], socket.MSG_DONTWAIT))
    send_each(client, [b"0123", b"45", b"6789"])
    t("exact", libc.recvmmsg(server.fileno(), [5, 5]))
    t("empty", libc.recvmmsg(server.fileno(), [5], socket.MSG_DONTWAIT))
    t("none", libc.recvmmsg(server.fileno(), []))


@behaviour("vectors.recvmmsg_coalesces", "recvmmsg's first buffer takes all that is queued")
def recvmmsg_coalesces(t):
    client, server = pair(t)
    send_each(client, [b"one", b"two", b"three"])
    t("dontwait", libc.recvmmsg(server.fileno(), [100, 100, 100], socket.MSG_DONTWAIT))
    send_each(client, [b"four", b"five"])
    t("waitforone", libc.recvmmsg(server.fileno(), [100, 100, 100], 0x10000))


@behaviour("vectors.recvmmsg_timeout", "recvmmsg with SO_RCVTIMEO returns what came")
def recvmmsg_timeout(t):
    client, server = pair(t)
    server.setsockopt(SOL, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200000))
    send_each(client, [b"one"])
    start = time.monotonic()
    t("one", libc.recvmmsg(server.fileno(), [10, 10]))
    t("time", waited(start, 0.2))
    start = time.monotonic()
    t("none", libc.recvmmsg(server.fileno(), [10, 10]))
    t("time then", waited(start, 0.2))


@behaviour("vectors.recvmmsg_eof", "recvmmsg at end of file counts the empty reads")
def recvmmsg_eof(t):
    client, server = pair(t)
    client.sendall(b"last")
    client.close()
    pollfor(server, 0x2000)
    t("dontwait", libc.recvmmsg(server.fileno(), [10, 10, 10], socket.MSG_DONTWAIT)[:2])


@behaviour("vectors.writev_interrupted", "a signal ends a blocked writev with the part taken")
def writev_interrupted(t):
    client, server = pair(t)
    data = pattern(12 << 20)
    Signals(signal.SIGALRM)
    alarms(0.2)
    sent = libc.writev(client.fileno(), [data[:1000], data[1000:]])
    t("writev", share(sent, len(data)))
    t("data", take(server, sent) == data[:sent])


@behaviour("vectors.bad_pointers", "EFAULT of recvmsg, readv and recvmmsg, and the data is kept")
def bad_pointers(t):
    client, server = pair(t)
    nodelay(client)
    send_each(client, [b"precious"])
    fd = server.fileno()
    t("readv array", libc.raw("readv", fd, libc.BAD, 1))
    t("recvmsg header", libc.raw("recvmsg", fd, libc.BAD, 0))
    t("recvmmsg array", libc.raw("recvmmsg", fd, libc.BAD, 1, 0, None))
    t("data", take(server, 8))
