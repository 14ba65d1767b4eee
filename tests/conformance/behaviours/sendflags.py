# SPDX-License-Identifier: BSD-3-Clause
"""Sending with flags, options and control data that change how the bytes leave."""

import ctypes
import os
import socket
import struct
import time

import libc
import network
from harness import (Background, behaviour, in_child, listener, pair, pattern, quiet, settle, take,
                     tcp)

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


def packets():
    """Packets sent so far in this network namespace, of TCP and SCTP together."""
    total = 0
    with open("/proc/net/snmp", encoding="ascii") as table:
        names, values = [line.split() for line in table if line.startswith("Tcp:")]
        total += int(values[names.index("OutSegs")])
    with open("/proc/net/sctp/snmp", encoding="ascii") as table:
        for name, value in map(str.split, table):
            total += int(value) if name == "SctpOutSCTPPacks" else 0
    return total


def few_packets(t, client, server, write, end):
    """200 small writes, as one stream of few packets."""
    before = packets()
    for number in range(200):
        write(b"%09d " % number)
    start = time.monotonic()
    end()
    t("data", take(server, 2000) == b"".join(b"%09d " % number for number in range(200)))
    t("soon", time.monotonic() - start < 1)
    settle(client)
    t("few packets", packets() - before < 60)


@behaviour("send.cork_packets", "200 small writes between cork and uncork leave in few packets")
def cork_packets(t):
    network.private()
    client, server = pair(t)
    fd = client.fileno()
    libc.setsockopt(fd, TCP, socket.TCP_NODELAY, 1)
    libc.setsockopt(fd, TCP, socket.TCP_CORK, 1)
    few_packets(t, client, server, client.send,
                lambda: libc.setsockopt(fd, TCP, socket.TCP_CORK, 0))
    client.send(b"after")
    t("after", take(server, 5))


@behaviour("send.more_packets", "200 small writes with MSG_MORE leave in few packets")
def more_packets(t):
    network.private()
    client, server = pair(t)
    libc.setsockopt(client.fileno(), TCP, socket.TCP_NODELAY, 1)
    few_packets(t, client, server, lambda part: client.send(part, socket.MSG_MORE),
                lambda: client.send(b"."))
    t("end", take(server, 1))


@behaviour("send.nodelay_uncorks", "setting TCP_NODELAY sends what a cork holds, and the cork "
           "stays")
def nodelay_uncorks(t):
    client, server = pair(t)
    fd = client.fileno()
    libc.setsockopt(fd, TCP, socket.TCP_CORK, 1)
    for _ in range(10):
        client.send(b"held ")
    t("set", libc.setsockopt(fd, TCP, socket.TCP_NODELAY, 1))
    t("data", take(server, 50, 1) == b"held " * 10)
    t("options", [libc.getint(fd, TCP, socket.TCP_CORK), libc.getint(fd, TCP, socket.TCP_NODELAY)])


@behaviour("send.more_silence", "many writes with MSG_MORE and then silence: all of it arrives")
def more_silence(t):
    client, server = pair(t)
    for _ in range(20):
        libc.send(client.fileno(), b"part ", socket.MSG_MORE)
    start = time.monotonic()
    t("data", take(server, 100, 2) == b"part " * 20)
    t("soon", time.monotonic() - start < 1)


@behaviour("send.cork_shared", "a cork set through a duplicate holds for the original; a child "
           "takes it off")
def cork_shared(t):
    client, server = pair(t)
    copy = libc.raw("dup", client.fileno())
    t("set", libc.setsockopt(copy, TCP, socket.TCP_CORK, 1))
    t("shows", libc.getint(client.fileno(), TCP, socket.TCP_CORK))
    for _ in range(10):
        libc.write(copy, b"copy ")
        libc.write(client.fileno(), b"self ")
    t("child", in_child(lambda: libc.setsockopt(copy, TCP, socket.TCP_CORK, 0)).result())
    t("data", take(server, 100, 1) == b"copy self " * 10)
    libc.setsockopt(client.fileno(), TCP, socket.TCP_CORK, 0)
    libc.write(client.fileno(), b"end")
    t("end", take(server, 3))


@behaviour("send.cork_ends", "corked data leaves at shutdown and when the process ends")
def cork_ends(t):
    client, server = pair(t)
    libc.setsockopt(client.fileno(), TCP, socket.TCP_CORK, 1)
    for _ in range(10):
        client.send(b"part ")
    client.shutdown(socket.SHUT_WR)
    t("shutdown", take(server, 1000) == b"part " * 10)
    client, server = pair(t)
    pid = os.fork()
    if pid == 0:
        libc.setsockopt(client.fileno(), TCP, socket.TCP_CORK, 1)
        for _ in range(10):
            client.send(b"last ")
        os._exit(0)
    client.close()
    os.waitpid(pid, 0)
    t("exit", take(server, 1000) == b"last " * 10)


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
    t("many", libc.sendmsg(fd, [b"f"], 0, b"", cmsg(0, 1, b"1234") + cmsg(SOL, 99, b"1234")))
    t("too long", libc.sendmsg(fd, [b"g"], 0, b"", struct.pack("Qii", 300, 0, 1) + b"\0" * 8))
    t("short", libc.sendmsg(fd, [b"h"], 0, b"", b"\0" * 8))
    t("timestamps", [libc.sendmsg(fd, [b"i"], 0, b"", cmsg(SOL, 37, struct.pack("I", flags)))
                     for flags in (0, 1 << 10)])
    t("credentials", libc.sendmsg(fd, [b"j"], 0, b"", cmsg(SOL, 2, b"\0" * 12)))
    header, keep = libc.msghdr([b"k"])
    header.control, header.controllen = libc.BAD, 24
    t("bad pointer", libc.raw("sendmsg", fd, ctypes.byref(header), 0))
    header.controllen = 1 << 32
    t("huge", libc.raw("sendmsg", fd, ctypes.byref(header), 0))
    del keep
    client.close()
    t("data", take(server, 100))


@behaviour("send.control_unconnected", "control data on a socket that is not connected")
def control_unconnected(t):
    fd = tcp().detach()
    bad = struct.pack("Qii", 20, SOL, 99) + b"1234" + b"\0" * 4
    t("unknown", libc.sendmsg(fd, [b"b"], socket.MSG_NOSIGNAL, b"", bad))
