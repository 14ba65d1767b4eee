# SPDX-License-Identifier: BSD-3-Clause
"""MSG_PEEK and MSG_WAITALL, alone and together."""

import signal
import socket
import struct
import time

import libc
from harness import (FIONREAD, Background, Signals, alarms, behaviour, pair, pattern, pollfor,
                     pollnow, send_each, settle, take, waited)

SOL = socket.SOL_SOCKET
PEEK, WAITALL, DONTWAIT = socket.MSG_PEEK, socket.MSG_WAITALL, socket.MSG_DONTWAIT


@behaviour("peek.one", "MSG_PEEK shows the data again and again and takes nothing")
def one(t):
    client, server = pair(t)
    send_each(client, [b"hello"])
    t("peeks", [libc.recv(server.fileno(), 100, PEEK) for _ in range(3)])
    t("short peek", libc.recv(server.fileno(), 2, PEEK))
    t("fionread", libc.ioctl_int(server.fileno(), FIONREAD))
    t("poll", pollnow(server))
    t("recv", libc.recv(server.fileno(), 100))
    t("then", libc.recv(server.fileno(), 100, PEEK | DONTWAIT)[0])


@behaviour("peek.part_read", "MSG_PEEK after a part was read shows the rest")
def part_read(t):
    client, server = pair(t)
    send_each(client, [b"0123456789"])
    t("recv", libc.recv(server.fileno(), 4))
    t("peek", libc.recv(server.fileno(), 100, PEEK))
    t("rest", libc.recv(server.fileno(), 100))


@behaviour("peek.head", "MSG_PEEK of a header shorter than the first message, several queued")
def head(t):
    client, server = pair(t)
    send_each(client, [b"GET / HTTP/1.0\r\n", b"Host: x\r\n", b"\r\n"])
    t("peek 4", libc.recv(server.fileno(), 4, PEEK))
    t("peek again", libc.recv(server.fileno(), 4, PEEK))
    t("all", libc.recv(server.fileno(), 1000))


@behaviour("peek.across", "MSG_PEEK shows the bytes of several sends")
def across(t):
    client, server = pair(t)
    send_each(client, [b"one", b"two", b"three"])
    t("peek", libc.recv(server.fileno(), 100, PEEK))
    t("peek 5", libc.recv(server.fileno(), 5, PEEK))
    t("recvmsg", libc.recvmsg(server.fileno(), [4, 100], PEEK, 128, 128))
    t("recv", libc.recv(server.fileno(), 100))


@behaviour("peek.recvmsg", "recvmsg with MSG_PEEK shows no flags, name or control data")
def peek_recvmsg(t):
    client, server = pair(t)
    send_each(client, [b"peeked"])
    t("peek", libc.recvmsg(server.fileno(), [100], PEEK, 128, 128))
    t("recv", libc.recvmsg(server.fileno(), [100], 0, 128, 128))


@behaviour("peek.blocks", "a blocking peek waits for data")
def blocks(t):
    client, server = pair(t)
    waiting = Background(libc.recv, server.fileno(), 10, PEEK)
    t("waits", waiting.running(0.1))
    client.sendall(b"abc")
    t("peek", waiting.result())
    t("recv", libc.recv(server.fileno(), 10))


@behaviour("peek.eof", "MSG_PEEK at end of file: 0; with data before it: the data")
def eof(t):
    client, server = pair(t)
    client.sendall(b"last")
    client.close()
    pollfor(server, 0x2000)
    t("peek", libc.recv(server.fileno(), 10, PEEK))
    t("recv", libc.recv(server.fileno(), 10))
    t("peek then", libc.recv(server.fileno(), 10, PEEK))


@behaviour("peek.alive_check", "connection pools' test for life: MSG_PEEK|MSG_DONTWAIT of 1 byte")
def alive_check(t):
    client, server = pair(t)
    t("alive", libc.recv(client.fileno(), 1, PEEK | DONTWAIT)[0])
    server.close()
    pollfor(client, 0x2000)
    t("gone", libc.recv(client.fileno(), 1, PEEK | DONTWAIT)[0])


@behaviour("peek.waitall", "MSG_PEEK|MSG_WAITALL waits until so much can be peeked")
def peek_waitall(t):
    client, server = pair(t)
    client.sendall(b"12345")
    waiting = Background(libc.recv, server.fileno(), 10, PEEK | WAITALL)
    t("waits", waiting.running(0.15))
    client.sendall(b"67890")
    t("peek", waiting.result(2))
    t("data", take(server, 10))


@behaviour("peek.offset", "SO_PEEK_OFF on a stream socket")
def offset(t):
    client, server = pair(t)
    t("get", libc.getint(server.fileno(), SOL, 42))
    send_each(client, [b"abcdef"])
    t("data", libc.recv(server.fileno(), 3))


@behaviour("waitall.across", "MSG_WAITALL fills the buffer across sends")
def waitall_across(t):
    client, server = pair(t)
    waiting = Background(libc.recv, server.fileno(), 12, WAITALL)
    for part in (b"one ", b"two ", b"three"):
        client.sendall(part)
        time.sleep(0.02)
    t("recv", waiting.result())
    t("rest", take(server, 1))


@behaviour("waitall.queued", "MSG_WAITALL takes no more than asked from what is queued")
def waitall_queued(t):
    client, server = pair(t)
    send_each(client, [b"abc", b"def", b"ghi"])
    t("recv", libc.recv(server.fileno(), 7, WAITALL))
    t("rest", libc.recv(server.fileno(), 7, DONTWAIT))


@behaviour("waitall.large", "MSG_WAITALL of 3 MB returns 3 MB")
def waitall_large(t):
    client, server = pair(t)
    data = pattern(3 << 20)
    sending = Background(client.sendall, data)
    count, got = libc.recv(server.fileno(), len(data), WAITALL)
    t("recv", count)
    t("data", got == data)
    sending.result()


@behaviour("waitall.eof", "MSG_WAITALL ends short at end of file")
def waitall_eof(t):
    client, server = pair(t)
    waiting = Background(libc.recv, server.fileno(), 100, WAITALL)
    client.sendall(b"only ")
    client.sendall(b"this")
    t("waits", waiting.running(0.1))
    client.close()
    t("recv", waiting.result())
    t("then", libc.recv(server.fileno(), 100, WAITALL))


@behaviour("waitall.timeout", "MSG_WAITALL with SO_RCVTIMEO returns the part, then EAGAIN")
def waitall_timeout(t):
    client, server = pair(t)
    server.setsockopt(SOL, socket.SO_RCVTIMEO, struct.pack("ll", 0, 250000))
    client.sendall(b"part")
    start = time.monotonic()
    t("recv", libc.recv(server.fileno(), 100, WAITALL))
    t("time", waited(start, 0.25))
    t("then", libc.recv(server.fileno(), 100, WAITALL)[0])


@behaviour("waitall.signal", "a signal ends MSG_WAITALL with the part, EINTR when there is none")
def waitall_signal(t):
    client, server = pair(t)
    caught = Signals(signal.SIGALRM)
    send_each(client, [b"part"])
    alarms(0.15)
    t("recv", libc.recv(server.fileno(), 100, WAITALL))
    t("signals", caught.some())
    alarms(0.1)
    t("then", libc.recv(server.fileno(), 100, WAITALL)[0])
    Signals(signal.SIGALRM, restart=True)
    send_each(client, [b"rest"])
    alarms(0.15)
    t("restart", libc.recv(server.fileno(), 100, WAITALL))


@behaviour("waitall.nonblocking", "MSG_WAITALL on a non-blocking socket returns what is there")
def waitall_nonblocking(t):
    client, server = pair(t)
    server.setblocking(False)
    t("empty", libc.recv(server.fileno(), 10, WAITALL)[0])
    send_each(client, [b"abc", b"de"])
    t("recv", libc.recv(server.fileno(), 10, WAITALL))
    settle(client)
    t("dontwait", libc.recv(server.fileno(), 10, WAITALL | DONTWAIT)[0])


@behaviour("waitall.recvmsg", "MSG_WAITALL with recvmsg fills all its parts")
def waitall_recvmsg(t):
    client, server = pair(t)
    waiting = Background(libc.recvmsg, server.fileno(), [3, 0, 5], WAITALL, 128, 128)
    client.sendall(b"abc")
    t("waits", waiting.running(0.1))
    client.sendall(b"defghi")
    t("recvmsg", waiting.result())
    t("rest", take(server, 1))
