# SPDX-License-Identifier: BSD-3-Clause
"""ioctl and fcntl on sockets, and the calls that sockets refuse."""

import ctypes
import os
import socket
import stat
import struct

import libc
from harness import (FIONBIO, FIONREAD, SIOCOUTQ, SIOCOUTQNSD, behaviour, fill, fresh, pair,
                     pollfor, send_each, settle, take, tight)


@behaviour("ioctl.fionbio", "FIONBIO switches blocking off and on, and shows in the flags")
def fionbio(t):
    client, server = pair(t)
    fd = server.fileno()
    t("on", libc.raw("ioctl", fd, FIONBIO, struct.pack("i", 1)))
    t("flags", libc.raw("fcntl", fd, 3, 0))
    t("recv", libc.recv(fd, 10)[0])
    t("off", libc.raw("ioctl", fd, FIONBIO, struct.pack("i", 0)))
    t("flags then", libc.raw("fcntl", fd, 3, 0))
    client.sendall(b"abc")
    t("blocking recv", libc.recv(fd, 10))


@behaviour("ioctl.outq", "SIOCOUTQ: 0 when idle, above 0 when the peer does not read, 0 when it "
           "did")
def outq(t):
    client, server = tight(t)
    t("idle", libc.ioctl_int(client.fileno(), SIOCOUTQ))
    total = fill(client)
    value = libc.ioctl_int(client.fileno(), SIOCOUTQ)
    t("full", isinstance(value, int) and value > 0)
    take(server, total)
    settle(client)
    t("drained", libc.ioctl_int(client.fileno(), SIOCOUTQ))


@behaviour("ioctl.outqnsd", "SIOCOUTQNSD: 0 when idle, above 0 behind a full window")
def outqnsd(t):
    client, server = tight(t)
    t("idle", libc.ioctl_int(client.fileno(), SIOCOUTQNSD))
    fill(client)
    value = libc.ioctl_int(client.fileno(), SIOCOUTQNSD)
    t("full", isinstance(value, int) and value > 0)
    server.close()


@behaviour("ioctl.outq_never_more", "SIOCOUTQ never says more than was sent")
def outq_never_more(t):
    client, _ = tight(t)
    total = fill(client)
    value = libc.ioctl_int(client.fileno(), SIOCOUTQ)
    t("at most", isinstance(value, int) and value <= total)


@behaviour("ioctl.unconnected", "the queue ioctls on fresh sockets")
def unconnected(t):
    fd = fresh()
    t("fionread", libc.ioctl_int(fd, FIONREAD))
    t("outq", libc.ioctl_int(fd, SIOCOUTQ))
    t("outqnsd", libc.ioctl_int(fd, SIOCOUTQNSD))


@behaviour("ioctl.atmark", "SIOCATMARK on a stream without urgent data")
def atmark(t):
    client, server = pair(t)
    t("idle", libc.ioctl_int(server.fileno(), 0x8905))
    send_each(client, [b"abc"])
    t("data", libc.ioctl_int(server.fileno(), 0x8905))


@behaviour("ioctl.bad", "unknown requests and bad pointers")
def bad(t):
    client, _ = pair(t)
    fd = client.fileno()
    t("unknown", libc.raw("ioctl", fd, 0x12345678, None))
    t("terminal", [libc.raw("ioctl", fd, 0x5401, ctypes.create_string_buffer(64)),
                   libc.raw("isatty", fd)])
    t("winsize", libc.raw("ioctl", fd, 0x5413, ctypes.create_string_buffer(64)))
    t("fionread null", libc.raw("ioctl", fd, FIONREAD, None))
    t("outq bad", libc.raw("ioctl", fd, SIOCOUTQ, libc.BAD))
    t("fionbio bad", libc.raw("ioctl", fd, FIONBIO, libc.BAD))


@behaviour("ioctl.interface", "interface ioctls work on any socket")
def interface(t):
    request = ctypes.create_string_buffer(b"lo".ljust(40, b"\0"), 40)
    fd = fresh()
    t("index", libc.raw("ioctl", fd, 0x8933, request))
    t("value", struct.unpack_from("i", request.raw, 16)[0] > 0)
    request = ctypes.create_string_buffer(b"lo".ljust(40, b"\0"), 40)
    t("address", libc.raw("ioctl", fd, 0x8915, request))
    t("127.0.0.1", socket.inet_ntoa(request.raw[20:24]))


@behaviour("ioctl.fioclex", "FIOCLEX and FIONCLEX set and clear close-on-exec")
def fioclex(t):
    fd = fresh()
    t("clear", [libc.raw("ioctl", fd, 0x5450, None), libc.raw("fcntl", fd, 1, 0)])
    t("set", [libc.raw("ioctl", fd, 0x5451, None), libc.raw("fcntl", fd, 1, 0)])


@behaviour("ioctl.fcntl", "F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_GETOWN through fcntl and fcntl64")
def fcntl_calls(t):
    client, server = pair(t)
    fd = server.fileno()
    for name in ("fcntl", "fcntl64"):
        t(name + " set", libc.raw(name, fd, 4, os.O_NONBLOCK))
        t(name + " get", libc.raw(name, fd, 3, 0))
        t(name + " recv", libc.recv(fd, 1)[0])
        t(name + " clear", libc.raw(name, fd, 4, 0))
        t(name + " fd", [libc.raw(name, fd, 2, 1), libc.raw(name, fd, 1, 0),
                         libc.raw(name, fd, 2, 0), libc.raw(name, fd, 1, 0)])
        t(name + " unknown", libc.raw(name, fd, 9999, 0))
    t("closed", libc.raw("fcntl", 888, 3, 0))
    client.close()


@behaviour("ioctl.nonblock_by_any_way", "O_NONBLOCK set by fcntl, FIONBIO or SOCK_NONBLOCK works "
           "alike for reads and writes")
def nonblock_any_way(t):
    for name in ("fcntl", "ioctl"):
        client, server = tight(t)
        for sock in (client, server):
            if name == "fcntl":
                libc.raw("fcntl", sock.fileno(), 4, os.O_NONBLOCK)
            else:
                libc.raw("ioctl", sock.fileno(), FIONBIO, struct.pack("i", 1))
        t(name, [libc.read(server.fileno(), 10)[0], fill(client) > 0])
        while isinstance(result := libc.write(client.fileno(), b"x" * 100000), int):
            pass                         # a window probe can make room once more
        t(name + " write", result)


@behaviour("ioctl.shared_nonblock", "O_NONBLOCK set through a duplicate holds for the original")
def shared_nonblock(t):
    _, server = pair(t)
    copy = os.dup(server.fileno())
    libc.raw("fcntl", copy, 4, os.O_NONBLOCK)
    t("original", libc.recv(server.fileno(), 1)[0])
    libc.raw("fcntl", server.fileno(), 4, 0)
    t("flags", libc.raw("fcntl", copy, 3, 0))


@behaviour("ioctl.not_a_file", "fstat, lseek, fsync, ftruncate, isatty on a connection")
def not_a_file(t):
    client, _ = pair(t)
    fd = client.fileno()
    info = os.fstat(fd)
    t("fstat", [stat.S_ISSOCK(info.st_mode), info.st_size, info.st_nlink])
    t("link", os.readlink(f"/proc/self/fd/{fd}").startswith("socket:["))
    t("lseek", [libc.raw("lseek", fd, 0, whence) for whence in (0, 1, 2)])
    t("fsync", libc.raw("fsync", fd))
    t("ftruncate", libc.raw("ftruncate", fd, 0))
    t("open by link", _open(f"/proc/self/fd/{fd}"))


def _open(path):
    try:
        return os.open(path, os.O_RDWR)
    except OSError as error:
        return error


@behaviour("ioctl.poll_after_fionread", "FIONREAD and poll agree that there is something to read")
def agree(t):
    client, server = pair(t)
    client.sendall(b"x" * 5000)
    t("poll", pollfor(server, 1))
    value = libc.ioctl_int(server.fileno(), FIONREAD)
    t("fionread", isinstance(value, int) and value > 0)
