# SPDX-License-Identifier: BSD-3-Clause
"""Sending with flags, options and control data that change how the bytes leave."""

import socket
import struct
import time

import libc
from harness import Background, behaviour, listener, pair, pattern, quiet, settle, take, tcp

SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP
MB = 1 << 20


@behaviour("send.fastopen", "sendto with MSG_FASTOPEN connects and sends")
def fastopen(t):
    lsock, client = listener(), tcp()
    where = libc.sockaddr(*lsock.getsockname())
    t("sendto", libc.raw("sendto", client.fileno(), b"quick", 5, 0x20000000, where, 16))
    server, _ = lsock.accept()
    t.prove(client, server)
    t("data", take(server, 5))
    t("peer", client.getpeername() == lsock.getsockname())
    t("again", libc.raw("sendto", client.fileno(), b"quick", 5, 0x20000000, where, 16))


@behaviour("send.ignored_flags", "flags without meaning for a stream are ignored")
def ignored_flags(t):
    client, server = pair(t)
    fd = client.fileno()
    t("counts", [libc.send(fd, b"ab", flag) for flag in
                 (socket.MSG_EOR, 0x800, socket.MSG_DONTROUTE, 0x4, 0x2, 0x8, 0x20, 0x100000,
                  socket.MSG_WAITALL, 0x10000, 0x40000000)])
    t("data", take(server, 22))


@behaviour("send.more", "MSG_MORE holds back for a moment at most; what follows is appended")
def more(t):
    client, server = pair(t)
    fd = client.fileno()
    t("more", libc.send(fd, b"head", socket.MSG_MORE))
    t("last", libc.send(fd, b"tail"))
    t("data", take(server, 8))
    t("alone", libc.send(fd, b"alone", socket.MSG_MORE))
    start = time.monotonic()
    t("arrives", take(server, 5, 2))
    t("soon", time.monotonic() - start < 1)


@behaviour("send.more_then_close", "data held by MSG_MORE is sent on close")
def more_close(t):
    client, server = pair(t)
    t("more", libc.send(client.fileno(), b"last words", socket.MSG_MORE))
    client.close()
    t("data", take(server, 100))


@behaviour("send.cork", "TCP_CORK holds small writes and lets them go when it is taken off")
def cork(t):
    client, server = pair(t)
    fd = client.fileno()
    t("set", libc.setsockopt(fd, TCP, socket.TCP_CORK, 1))
    t("writes", [libc.write(fd, b"one "), libc.write(fd, b"two")])
    t("off", libc.setsockopt(fd, TCP, socket.TCP_CORK, 0))
    t("data", take(server, 7))
    t("set again", libc.setsockopt(fd, TCP, socket.TCP_CORK, 1))
    t("write", libc.write(fd, b"forgotten"))
    start = time.monotonic()
    t("arrives all the same", take(server, 9, 2))
    t("soon", time.monotonic() - start < 1)


@behaviour("send.cork_holds", "while corked nothing arrives at once")
def cork_holds(t):
    client, server = pair(t)
    libc.setsockopt(client.fileno(), TCP, socket.TCP_CORK, 1)
    client.send(b"held")
    t("quiet", quiet(server, 0.05))
    libc.setsockopt(client.fileno(), TCP, socket.TCP_CORK, 0)
    t("data", take(server, 4))


@behaviour("send.cork_close", "corked data is sent on close")
def cork_close(t):
    client, server = pair(t)
    libc.setsockopt(client.fileno(), TCP, socket.TCP_CORK, 1)
    client.send(b"held ")
    client.send(b"until the end")
    client.close()
    t("data", take(server, 100))


@behaviour("send.cork_large", "corked writes larger than any segment all arrive")
def cork_large(t):
    client, server = pair(t)
    libc.setsockopt(client.fileno(), TCP, socket.TCP_CORK, 1)
    data = pattern(MB)
    reading = Background(take, server, MB)
    for start in range(0, MB, 50000):
        client.sendall(data[start:start + 50000])
    libc.setsockopt(client.fileno(), TCP, socket.TCP_CORK, 0)
    t("data", reading.result() == data)


@behaviour("send.zerocopy", "SO_ZEROCOPY can be set; MSG_ZEROCOPY data arrives and is reported")
def zerocopy(t):
    client, server = pair(t)
    t("set", libc.setsockopt(client.fileno(), SOL, 60, 1))
    t("send", libc.send(client.fileno(), b"z" * 1000, 0x4000000))
    t("data", take(server, 1000) == b"z" * 1000)
    settle(client)
    t("completion", libc.recvmsg(client.fileno(), [10], socket.MSG_ERRQUEUE, 0, 128)["ret"])


@behaviour("send.zerocopy_unset", "MSG_ZEROCOPY without SO_ZEROCOPY is an ordinary send")
def zerocopy_unset(t):
    client, server = pair(t)
    t("send", libc.send(client.fileno(), b"z" * 1000, 0x4000000))
    t("data", take(server, 1000) == b"z" * 1000)
    t("errqueue", libc.recvmsg(client.fileno(), [10], socket.MSG_ERRQUEUE, 0, 128)["ret"])


@behaviour("send.control_messages", "ancillary data on send: unknown SOL_SOCKET types fail, other "
           "levels are ignored")
def control_messages(t):
    client, server = pair(t)

    def cmsg(level, kind, data):
        return struct.pack("Qii", 16 + len(data), level, kind) + data.ljust(8, b"\0")

    fd = client.fileno()
    t("rights", libc.sendmsg(fd, [b"a"], 0, b"", cmsg(SOL, 1, struct.pack("i", 0))))
    t("unknown", libc.sendmsg(fd, [b"b"], 0, b"", cmsg(SOL, 99, b"1234")))
    t("ip level", libc.sendmsg(fd, [b"c"], 0, b"", cmsg(0, 1, b"1234")))
    t("sctp level", libc.sendmsg(fd, [b"d"], 0, b"", cmsg(132, 2, b"\0" * 16)))
    t("broken", libc.sendmsg(fd, [b"e"], 0, b"", struct.pack("Qii", 3, SOL, 1) + b"\0" * 8))
    client.close()
    t("data", take(server, 100))
