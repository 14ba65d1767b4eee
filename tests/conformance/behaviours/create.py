# SPDX-License-Identifier: BSD-3-Clause
"""socket(): which requests are TCP requests, and that every other one is left alone."""

import resource
import socket
import struct

import libc
from harness import LOCAL, behaviour, fresh, listener, pair, plain, port_of, take, tcp

SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP
SO_PROTOCOL, SO_DOMAIN = 38, 39


def identity(fd):
    return {"type": libc.getint(fd, SOL, socket.SO_TYPE),
            "domain": libc.getint(fd, SOL, SO_DOMAIN),
            "protocol": libc.getint(fd, SOL, SO_PROTOCOL)}


@behaviour("socket.identity", "SO_TYPE, SO_DOMAIN, SO_PROTOCOL of a new, listening, connected and "
           "accepted socket say stream, family, TCP")
def identity_everywhere(t):
    for family in (socket.AF_INET, socket.AF_INET6):
        for protocol in (0, TCP):
            sock = socket.socket(family, socket.SOCK_STREAM, protocol)
            t(f"{family.name} protocol {protocol}", identity(sock.fileno()))
            sock.listen()
            t(f"{family.name} protocol {protocol} listening", identity(sock.fileno()))
            t.prove(sock)
    client, server = pair(t)
    t("connected", identity(client.fileno()))
    t("accepted", identity(server.fileno()))


@behaviour("socket.type_flags", "SOCK_NONBLOCK and SOCK_CLOEXEC in the type, one by one and both")
def type_flags(t):
    for name, flags in (("none", 0), ("nonblock", socket.SOCK_NONBLOCK),
                        ("cloexec", socket.SOCK_CLOEXEC),
                        ("both", socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)):
        fd = libc.raw("socket", socket.AF_INET, socket.SOCK_STREAM | flags, 0)
        t(name, {"fl": libc.raw("fcntl", fd, 3, 0), "fd": libc.raw("fcntl", fd, 1, 0)})
        t(name + " type", libc.getint(fd, SOL, socket.SO_TYPE))


@behaviour("socket.lowest_number", "a socket gets the lowest free descriptor, and close() frees it")
def lowest_number(t):
    first = libc.raw("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    second = libc.raw("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    t("distance", second - first)
    t("close", libc.raw("close", first))
    t("again", libc.raw("socket", socket.AF_INET, socket.SOCK_STREAM, 0) == first)
    t("close twice", [libc.raw("close", second), libc.raw("close", second)])


@behaviour("socket.bad_requests", "unknown protocols, families, types and flags fail with TCP's "
           "errno")
def bad_requests(t):
    stream = socket.SOCK_STREAM
    for name, args in (("udp as stream", (2, stream, 17)), ("icmp as stream", (2, stream, 1)),
                       ("255 as stream", (2, stream, 255)), ("-1", (2, stream, -1)),
                       ("tcp as dgram", (2, socket.SOCK_DGRAM, 6)),
                       ("family 999", (999, stream, 0)),
                       ("type 0", (2, 0, 0)), ("type 9", (2, 9, 0)),
                       ("flag 0x100", (2, stream | 0x100, 0)), ("seqpacket tcp", (2, 5, 6)),
                       ("rdm", (2, 4, 0)), ("unix protocol 6", (1, stream, 6))):
        fd = libc.raw("socket", *args)
        t(name, fd if isinstance(fd, str) else "a socket")


@behaviour("socket.mptcp_untouched", "an MPTCP request (262) stays what the kernel makes of it")
def mptcp(t):
    fd = libc.raw("socket", socket.AF_INET, socket.SOCK_STREAM, 262)
    t("socket", fd if isinstance(fd, str) else "a socket")
    if isinstance(fd, int):
        t("identity", identity(fd))


@behaviour("socket.udp_untouched", "UDP sockets keep datagrams, empty ones too")
def udp(t):
    one, two = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    one.bind((LOCAL, 0))
    two.connect(one.getsockname())
    one.connect(two.getsockname())
    t("identity", identity(one.fileno()))
    t("empty send", libc.send(two.fileno(), b""))
    t("write of 0", libc.write(two.fileno(), b""))
    two.send(b"abc")
    two.send(b"defgh")
    t("fionread", libc.ioctl_int(one.fileno(), 0x541B))
    t("first", libc.recv(one.fileno(), 100))
    t("second", libc.recv(one.fileno(), 100))
    t("third", libc.recv(one.fileno(), 2, socket.MSG_TRUNC)[0])
    t("fourth", libc.recvmsg(one.fileno(), [2], 0, 128))
    t("fifth", libc.recv(one.fileno(), 100, socket.MSG_DONTWAIT))
    t("nodelay", libc.getint(one.fileno(), TCP, socket.TCP_NODELAY))


@behaviour("socket.unix_untouched", "UNIX sockets of every type keep their own semantics")
def unix(t):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        one, two = socket.socketpair(socket.AF_UNIX, kind)
        t(kind.name, identity(one.fileno()))
        t(kind.name + " sends", [libc.send(one.fileno(), b"ab"), libc.send(one.fileno(), b""),
                                 libc.write(one.fileno(), b"cd")])
        t(kind.name + " reads", [libc.recv(two.fileno(), 100, socket.MSG_DONTWAIT)
                                 for _ in range(4)])
        t(kind.name + " nodelay", libc.setsockopt(one.fileno(), TCP, socket.TCP_NODELAY, 1))
        t(kind.name + " fionread", libc.ioctl_int(one.fileno(), 0x541B))


@behaviour("socket.netlink_untouched", "netlink sockets answer as before")
def netlink(t):
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    sock.bind((0, 0))
    sock.send(struct.pack("=IHHIIBxxxI4x", 24, 18, 0x301, 1, 0, 0, 0))     # RTM_GETLINK, dump
    data = sock.recv(65536)
    t("identity", identity(sock.fileno()))
    t("answer type", struct.unpack_from("=H", data, 4)[0])


@behaviour("socket.socketpair_inet", "socketpair() of an internet family is refused")
def socketpair_inet(t):
    room = struct.pack("ii", -1, -1)
    for family in (socket.AF_INET, socket.AF_INET6):
        t(family.name, libc.raw("socketpair", family, socket.SOCK_STREAM, 0, room))


def sctp_native(kind):
    try:
        return socket.socket(socket.AF_INET, kind, 132)
    except OSError as error:
        return error


@behaviour("socket.native_sctp_stream", "a program's own one-to-one SCTP sockets keep message "
           "boundaries, flags, addresses and options")
def native_stream(t):
    lsock = sctp_native(socket.SOCK_STREAM)
    if isinstance(lsock, OSError):
        t("socket", lsock)
        return
    lsock.bind((LOCAL, 0))
    lsock.listen(1)
    client = sctp_native(socket.SOCK_STREAM)
    client.connect(lsock.getsockname())
    server, _ = lsock.accept()
    t("identity", [identity(s.fileno()) for s in (lsock, client, server)])
    t("empty send", libc.send(client.fileno(), b""))
    client.send(b"one")
    client.send(b"three")
    t("too big", libc.send(client.fileno(), b"x" * (1 << 20)))
    server.settimeout(5)
    t("first", libc.recv(server.fileno(), 100))
    t("second", {key: value for key, value in libc.recvmsg(server.fileno(), [100], 0, 128).items()})
    t("tcp option", libc.getint(client.fileno(), TCP, socket.TCP_NODELAY))
    t("sctp option", libc.getint(client.fileno(), 132, 3))                 # SCTP_NODELAY
    t("outq", libc.ioctl_int(client.fileno(), 0x5411))


@behaviour("socket.native_sctp_seqpacket", "one-to-many SCTP sockets are left alone")
def native_seqpacket(t):
    one = sctp_native(socket.SOCK_SEQPACKET)
    if isinstance(one, OSError):
        t("socket", one)
        return
    two = sctp_native(socket.SOCK_SEQPACKET)
    one.bind((LOCAL, 0))
    one.listen(1)
    t("identity", identity(one.fileno()))
    two.sendto(b"hello", one.getsockname())
    one.settimeout(5)
    data, peer = one.recvfrom(100)
    t("message", data)
    t("from", peer[0])


@behaviour("socket.descriptor_limit", "with no descriptor left socket() and accept() say EMFILE, "
           "and the waiting connection survives")
def descriptor_limit(t):
    lsock = listener()
    client = tcp()
    client.connect(lsock.getsockname())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = libc.raw("dup", 0)
    libc.raw("close", lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    t("socket", libc.raw("socket", socket.AF_INET, socket.SOCK_STREAM, 0))
    t("accept", libc.accept(lsock.fileno())[0])
    t("dup", libc.raw("dup", client.fileno()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    server, _ = lsock.accept()
    client.sendall(b"still here")
    t("data", take(server, 10))


@behaviour("socket.getaddrinfo", "getaddrinfo for a stream still says protocol TCP")
def lookup(t):
    found = socket.getaddrinfo(LOCAL, 80, type=socket.SOCK_STREAM)
    t("entries", [[entry[0], entry[1], entry[2], plain(entry[4][0])] for entry in found])


@behaviour("socket.bad_descriptors", "socket calls on closed, negative and non-socket descriptors")
def bad_descriptors(t):
    with open("/dev/null", "r+b", buffering=0) as null:
        gone = fresh()
        libc.raw("close", gone)
        for name, fd in (("closed", gone), ("-1", -1), ("huge", 1 << 20), ("file", null.fileno())):
            t(name, {
                "connect": libc.connect(fd, (LOCAL, 1)), "bind": libc.bind(fd, (LOCAL, 0)),
                "listen": libc.raw("listen", fd, 1), "accept": libc.accept(fd)[0],
                "accept4": libc.accept(fd, None, 0)[0], "send": libc.send(fd, b"x"),
                "recv": libc.recv(fd, 1)[0], "sendmsg": libc.sendmsg(fd, [b"x"]),
                "recvmsg": libc.recvmsg(fd, [1])["ret"], "sendmmsg": libc.sendmmsg(fd, [[b"x"]])[0],
                "recvmmsg": libc.recvmmsg(fd, [1])[0], "shutdown": libc.raw("shutdown", fd, 2),
                "getsockname": libc.getname("getsockname", fd)[0],
                "getpeername": libc.getname("getpeername", fd)[0],
                "getsockopt": libc.getint(fd, TCP, 1), "setsockopt": libc.setsockopt(fd, TCP, 1, 1),
                "fionread": libc.ioctl_int(fd, 0x541B), "outq": libc.ioctl_int(fd, 0x5411),
                "read": libc.read(fd, 1)[0], "write": libc.write(fd, b"x"),
                "writev": libc.writev(fd, [b"x"]), "readv": libc.readv(fd, [1])[0],
                "sendfile": libc.sendfile(fd, fd, None, 1)[0],
                "poll": libc.poll([(fd, 1)], 0)[0] if fd != -1 else libc.poll([(fd, 1)], 0),
                "dup": libc.raw("dup", fd) if fd == -1 else "",
                "lseek": libc.raw("lseek", fd, 0, 0),
            })
    t("port", port_of(listener()) > 0)
