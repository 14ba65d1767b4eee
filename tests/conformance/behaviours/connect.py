# SPDX-License-Identifier: BSD-3-Clause
"""connect(): blocking, to open and closed ports, odd addresses, bad arguments, local names."""

import os
import select
import signal
import socket
import struct
import time

import libc
import network
from harness import (LOCAL, Background, Signals, address, behaviour, bits, closed_port, fresh, listener, pair,
                     pollfor, pollnow, port_of, so_error, take, tcp)

SOL = socket.SOL_SOCKET


@behaviour("connect.blocking", "a blocking connect returns 0; names, poll bits, SO_ERROR after it")
def blocking(t):
    lsock, client = listener(), tcp()
    t("peer before", libc.getname("getpeername", client.fileno())[0])
    t("name before", client.getsockname())
    t("connect", libc.connect(client.fileno(), lsock.getsockname()))
    server, peer = lsock.accept()
    t.prove(lsock, client, server)
    ports = {"listener": port_of(lsock), "client": port_of(client)}
    t("names", [address(client.getsockname(), **ports), address(client.getpeername(), **ports),
                address(server.getsockname(), **ports), address(server.getpeername(), **ports),
                address(peer, **ports)])
    t("poll", [pollnow(client), pollnow(server)])
    t("so_error", so_error(client))
    t("again", libc.connect(client.fileno(), lsock.getsockname()))
    client.sendall(b"ping")
    t("data", take(server, 4))


@behaviour("connect.refused", "a refused connect: errno, SO_ERROR, poll bits, and the socket "
           "connects elsewhere afterwards")
def refused(t):
    lsock, client = listener(), tcp()
    t("connect", libc.connect(client.fileno(), (LOCAL, closed_port())))
    t("so_error", so_error(client))
    t("peer", libc.getname("getpeername", client.fileno())[0])
    t("recv", libc.recv(client.fileno(), 1, socket.MSG_DONTWAIT)[0])
    t("connect to a listener", libc.connect(client.fileno(), lsock.getsockname()))
    server, _ = lsock.accept()
    t.prove(client, server)
    client.sendall(b"x")
    t("data", take(server, 1))


@behaviour("connect.refused_shut", "a refused connect of a socket that was shut down before")
def refused_shut(t):
    for how, word in enumerate(("reading", "writing", "both")):
        client = tcp()
        t(f"{word}: shutdown", libc.raw("shutdown", client.fileno(), how))
        t(f"{word}: connect", libc.connect(client.fileno(), (LOCAL, closed_port())))
        t(f"{word}: so_error", so_error(client))
        waiting = tcp()
        waiting.setblocking(False)
        libc.raw("shutdown", waiting.fileno(), how)
        libc.connect(waiting.fileno(), (LOCAL, closed_port()))
        t(f"{word}: events", bool(select.select([], [waiting], [], 5)[1]))
        t(f"{word}: error", so_error(waiting))


@behaviour("connect.refused_poll", "poll bits after a refused blocking connect")
def refused_poll(t):
    client = tcp()
    t("connect", libc.connect(client.fileno(), (LOCAL, closed_port())))
    t("poll", pollnow(client))
    t("so_error", so_error(client))
    t("poll after", pollnow(client))


@behaviour("connect.refused_send", "send and recv after a refused connect")
def refused_send(t):
    client, pipes = tcp(), Signals(13)
    libc.connect(client.fileno(), (LOCAL, closed_port()))
    t("send", libc.send(client.fileno(), b"x"))
    t("sigpipe", pipes.seen())
    t("send nosignal", libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL))
    t("sigpipe then", pipes.seen())


@behaviour("connect.refused_twice", "two refusals in a row, then success, one socket")
def refused_twice(t):
    lsock, client = listener(), tcp()
    port = closed_port()
    t("connects", [libc.connect(client.fileno(), (LOCAL, port)),
                   libc.connect(client.fileno(), (LOCAL, port)),
                   libc.connect(client.fileno(), lsock.getsockname()),
                   libc.connect(client.fileno(), lsock.getsockname())])


@behaviour("connect.wildcard", "0.0.0.0 and :: mean this host")
def wildcard(t):
    for host in ("0.0.0.0", "::"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        lsock, client = listener(host), tcp(family)
        t(host, libc.connect(client.fileno(), (host, port_of(lsock))))
        server, peer = lsock.accept()
        t.prove(client, server)
        t(host + " names", [address(client.getpeername(), listener=port_of(lsock)),
                            client.getsockname()[0], peer[0], server.getsockname()[0]])
        client.sendall(b"x")
        t(host + " data", take(server, 1))
        t(host + " refused", libc.connect(fresh(family), (host, closed_port(family))))


@behaviour("connect.wildcard_nonblocking", "a non-blocking connect to 0.0.0.0")
def wildcard_nonblocking(t):
    lsock, client = listener(), tcp(blocking=False)
    t("connect", libc.connect(client.fileno(), ("0.0.0.0", port_of(lsock))))
    t("poll", pollnow(client, 4, 3000))
    t("so_error", so_error(client))


@behaviour("connect.unsuitable_addresses", "multicast, broadcast, reserved and unrouted addresses")
def unsuitable(t):
    network.private()
    for name, host in (("multicast", "224.0.0.1"), ("broadcast", "255.255.255.255"),
                       ("class e", "240.0.0.1"), ("no route", network.NO_ROUTE),
                       ("unreachable route", network.UNREACHABLE),
                       ("prohibited route", network.PROHIBITED), ("v6 multicast", "ff02::1"),
                       ("v6 no route", "2001:db8::1"), ("loopback broadcast", "127.255.255.255")):
        sock = tcp(socket.AF_INET6 if ":" in host else socket.AF_INET)
        t(name, libc.connect(sock.fileno(), (host, 9)))
        t(name + " so_error", so_error(sock))


@behaviour("connect.unsuitable_then_good", "after a failed connect to an unsuitable address the "
           "socket is still good")
def unsuitable_then_good(t):
    lsock = listener()
    for host in ("224.0.0.1", "255.255.255.255"):
        client = tcp()
        t(host + " failed", isinstance(libc.connect(client.fileno(), (host, 9)), str))
        t(host + " then", libc.connect(client.fileno(), lsock.getsockname()))
        lsock.accept()


@behaviour("connect.unspec", "connect(AF_UNSPEC) disconnects; the socket can be connected again")
def unspec(t):
    lsock, client = listener(), tcp()
    unspec_address = b"\0" * 16
    t("fresh", libc.connect(client.fileno(), unspec_address))
    client.connect(lsock.getsockname())
    server, _ = lsock.accept()
    fd = client.fileno()
    t("connected", libc.connect(fd, unspec_address))
    t("same descriptor", client.fileno() == fd)
    t("peer", libc.getname("getpeername", fd)[0])
    t("other end", libc.recv(server.fileno(), 10))
    t("connect again", libc.connect(fd, lsock.getsockname()))
    second, _ = lsock.accept()
    t.prove(client, second)
    client.sendall(b"hello")
    t("data", take(second, 5))


@behaviour("connect.name_after", "getsockname when a connect has failed, or a connection was "
           "disconnected or reset; bind, connect and listen after it")
def name_after(t):
    lsock, dead = listener(), (LOCAL, closed_port())
    where, unspec_address = lsock.getsockname(), b"\0" * 16

    def refused(sock):
        return libc.connect(sock.fileno(), dead)

    def refused_late(sock):
        sock.setblocking(False)
        libc.connect(sock.fileno(), dead)
        pollfor(sock, select.POLLOUT)
        return libc.connect(sock.fileno(), dead)

    def disconnected(sock):
        sock.connect(where)
        lsock.accept()
        return libc.connect(sock.fileno(), unspec_address)

    def reset(sock):
        sock.setblocking(False)
        libc.connect(sock.fileno(), where)
        server, _ = lsock.accept()
        pollfor(sock, select.POLLOUT)
        sock.send(b"unread")
        pollfor(server, select.POLLIN)
        server.close()
        pollfor(sock, select.POLLHUP)
        return libc.connect(sock.fileno(), where)

    def name(sock):
        return [sock.getsockname()[0], port_of(sock) > 0]

    for fail in refused, refused_late, disconnected, reset:
        for bound in False, True:
            client = tcp()
            if bound:
                client.bind((LOCAL, 0))
            seen = [fail(client), name(client)]
            client.setblocking(True)
            t(f"{fail.__name__}, bound: {bound}", seen)
            t(f"{fail.__name__}, bound: {bound}, connected",
              [libc.connect(client.fileno(), where), name(client)])
            lsock.accept()
        client = tcp()
        fail(client)
        t(f"{fail.__name__}, then bind", [libc.bind(client.fileno(), (LOCAL, 0)), name(client)])
        client = tcp()
        fail(client)
        t(f"{fail.__name__}, then listen", [libc.raw("listen", client.fileno(), 1), name(client)])


@behaviour("connect.unspec_error", "connect(AF_UNSPEC) that cuts something off leaves ECONNRESET for "
           "the next call, and an error that was there before")
def unspec_error(t):
    lsock, another = listener(), listener()

    def connected(*, shut=False, closed=False, reset=False):
        client = tcp()
        client.connect(lsock.getsockname())
        server, _ = lsock.accept()
        if shut:
            client.shutdown(socket.SHUT_WR)
            pollfor(server, 0x2000)
        if reset:
            server.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if closed or reset:
            server.close()
            pollfor(client, 0x2000)
        else:
            kept.append(server)
        return client

    def refused(take_error):
        client = tcp(blocking=False)
        libc.connect(client.fileno(), (LOCAL, closed_port()))
        pollfor(client, 8)
        if take_error:
            so_error(client)
        return client

    kept, pipes = [], Signals(signal.SIGPIPE)
    states = {"fresh": tcp, "open": connected, "shut": lambda: connected(shut=True),
              "peer gone": lambda: connected(closed=True), "reset": lambda: connected(reset=True),
              "over": lambda: connected(shut=True, closed=True), "listening": listener,
              "refused": lambda: refused(False), "refused, told": lambda: refused(True)}
    calls = {"so_error": so_error,
             "recv": lambda sock: libc.recv(sock.fileno(), 4),
             "send": lambda sock: libc.send(sock.fileno(), b"x"),
             "unspec": lambda sock: libc.connect(sock.fileno(), b"\0" * 16),
             "connect": lambda sock: [libc.connect(sock.fileno(), another.getsockname()),
                                      pollfor(sock, 4)]}
    for state, make in states.items():
        for name, call in calls.items():
            sock = make()
            t(f"{state}, {name}", [libc.connect(sock.fileno(), b"\0" * 16), pollnow(sock),
                                   call(sock), pollnow(sock), so_error(sock), pipes.seen()])


@behaviour("connect.unspec_keeps", "connect(AF_UNSPEC) keeps flags and options of the socket")
def unspec_keeps(t):
    lsock, client = listener(), tcp()
    client.setsockopt(SOL, socket.SO_KEEPALIVE, 1)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.connect(lsock.getsockname())
    client.setblocking(False)
    t("unspec", libc.connect(client.fileno(), b"\0" * 16))
    t("flags", [libc.raw("fcntl", client.fileno(), 3, 0), libc.raw("fcntl", client.fileno(), 1, 0)])
    t("keepalive", libc.getint(client.fileno(), SOL, socket.SO_KEEPALIVE))
    t("nodelay", libc.getint(client.fileno(), socket.IPPROTO_TCP, socket.TCP_NODELAY))


@behaviour("connect.unspec_epoll", "connect(AF_UNSPEC): epoll and duplicates follow the socket to "
           "its next connection")
def unspec_epoll(t):
    lsock, client = listener(), tcp()
    copy, epolls = client.dup(), [select.epoll() for _ in range(2)]
    client.connect(lsock.getsockname())
    lsock.accept()[0].close()
    epolls[0].register(client, select.EPOLLIN)
    epolls[1].register(client, select.EPOLLIN | select.EPOLLET)
    epolls[1].register(copy, select.EPOLLIN)
    t("unspec", libc.connect(copy.fileno(), b"\0" * 16))
    t("peer", libc.getname("getpeername", client.fileno()))
    client.connect(lsock.getsockname())
    server, _ = lsock.accept()
    t.prove(client, copy, server)
    server.sendall(b"again")
    t("poll", pollfor(client, select.POLLIN))
    for number, epoll in enumerate(epolls):
        seen = sorted("client" if fd == client.fileno() else "copy"
                      for fd, bits in epoll.poll(2) if bits & select.EPOLLIN)
        t(f"epoll {number}", seen)
    t("data", [take(copy, 2), take(client, 3)])


@behaviour("connect.bad_arguments", "wrong family, short or null addresses, port 0")
def bad_arguments(t):
    lsock = listener()
    good = libc.sockaddr(*lsock.getsockname())
    for name, data, length in (
            ("short", good, 15), ("very short", good, 1), ("zero", good, 0),
            ("huge length", good, 4096), ("negative length", good, 0xffffffff),
            ("family unix", libc.sockaddr(LOCAL, 1, 1), 16),
            ("family 99", libc.sockaddr(LOCAL, 1, 99), 16),
            ("v6 address", libc.sockaddr("::1", 1), 28),
            ("port 0", libc.sockaddr(LOCAL, 0), 16)):
        t(name, libc.connect(fresh(), data, length))
    t("v4 address on v6", libc.connect(fresh(socket.AF_INET6), good))
    t("short v6", libc.connect(fresh(socket.AF_INET6), libc.sockaddr("::1", 1), 16))
    t("null", libc.raw("connect", fresh(), None, 16))
    t("bad pointer", libc.raw("connect", fresh(), libc.BAD, 16))
    sock = tcp()
    t("longer than needed", libc.connect(sock.fileno(), good + b"\0" * 50))
    lsock.accept()
    t("connected already", libc.connect(sock.fileno(), good))
    t("a listener", libc.connect(lsock.fileno(), good))


@behaviour("connect.ipv6", "IPv6: addresses, data, refusal")
def ipv6(t):
    lsock, client = listener("::1"), tcp(socket.AF_INET6)
    t("connect", libc.connect(client.fileno(), ("::1", port_of(lsock))))
    server, peer = lsock.accept()
    t.prove(client, server)
    t("peer", [peer[0], peer[2:], client.getpeername()[0], client.getpeername()[2:]])
    t("lengths", [libc.getname("getsockname", client.fileno())[1],
                  libc.getname("getpeername", server.fileno())[1]])
    client.sendall(b"six")
    t("data", take(server, 3))
    t("refused", libc.connect(fresh(socket.AF_INET6),
                              ("::1", closed_port(socket.AF_INET6))))


@behaviour("connect.v4_mapped", "an IPv6 socket reaches an IPv4 listener by its mapped address")
def v4_mapped(t):
    lsock, client = listener(), tcp(socket.AF_INET6)
    t("connect", libc.connect(client.fileno(), ("::ffff:127.0.0.1", port_of(lsock))))
    server, peer = lsock.accept()
    t.prove(client, server)
    t("names", [client.getsockname()[0], client.getpeername()[0], peer[0],
                server.getsockname()[0]])
    t("domains", [libc.getint(s.fileno(), SOL, 39) for s in (client, server)])
    only = tcp(socket.AF_INET6)
    only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    t("v6only", libc.connect(only.fileno(), ("::ffff:127.0.0.1", port_of(lsock))))


@behaviour("connect.self", "a socket bound and connected to its own address talks to itself")
def self_connect(t):
    sock = tcp()
    sock.bind((LOCAL, 0))
    t("connect", libc.connect(sock.fileno(), sock.getsockname()))
    t.prove(sock)
    t("same name", sock.getsockname() == sock.getpeername())
    sock.sendall(b"echo")
    t("data", take(sock, 4))


@behaviour("connect.bound", "bind to a port and an address, then connect from there")
def bound(t):
    lsock, client = listener(), tcp()
    client.bind(("127.0.0.5", 0))
    mine = client.getsockname()
    client.connect(lsock.getsockname())
    server, peer = lsock.accept()
    t.prove(client, server)
    t("name kept", [client.getsockname() == mine, peer == mine, mine[0]])


@behaviour("connect.loopback_range", "each address of 127/8 is a name of its own, at both ends")
def loopback_range(t):
    lsock, client = listener("0.0.0.0"), tcp()
    client.connect(("127.0.0.9", port_of(lsock)))
    server, peer = lsock.accept()
    t.prove(client, server)
    t("names", [client.getpeername()[0], client.getsockname()[0], server.getsockname()[0],
                peer[0]])


@behaviour("connect.one_port_two_peers", "two clients share one local port towards two listeners; "
           "the same pair twice is refused")
def one_port(t):
    first, second = listener(), listener()
    socks = []
    for _ in range(3):
        sock = tcp()
        sock.setsockopt(SOL, socket.SO_REUSEADDR, 1)
        sock.bind((LOCAL, socks[0].getsockname()[1] if socks else 0))
        socks.append(sock)
    t("connects", [libc.connect(socks[0].fileno(), first.getsockname()),
                   libc.connect(socks[1].fileno(), second.getsockname()),
                   libc.connect(socks[2].fileno(), first.getsockname())])
    one, _ = first.accept()
    two, _ = second.accept()
    socks[0].sendall(b"first")
    socks[1].sendall(b"second")
    t("data", [take(one, 5), take(two, 6)])


@behaviour("connect.ports_shared", "more connections than ephemeral ports, to different listeners")
def ports_shared(t):
    network.private()
    lsocks = [listener() for _ in range(4)]
    network.sysctl("net.ipv4.ip_local_port_range", "40000 40003")
    results, keep = [], []
    for lsock in lsocks:
        for _ in range(2):
            client = tcp()
            keep.append(client)
            results.append(libc.connect(client.fileno(), lsock.getsockname()))
    t("connects", results)


@behaviour("connect.ports_exhausted", "no ephemeral port left towards one listener: EADDRNOTAVAIL")
def ports_exhausted(t):
    network.private()
    lsock = listener()
    network.sysctl("net.ipv4.ip_local_port_range", "40000 40003")
    keep, results = [], []
    for _ in range(5):
        keep.append(tcp())
        results.append(libc.connect(keep[-1].fileno(), lsock.getsockname()))
    t("how many", results.count(0))
    t("then", results[-1])


@behaviour("connect.names_truncated", "getsockname and getpeername cut to the room given")
def names_truncated(t):
    client, _ = pair(t)
    for which in ("getsockname", "getpeername"):
        for space in (0, 1, 2, 8, 16, 100):
            result, length, left = libc.getname(which, client.fileno(), space)
            t(f"{which} {space}", [result, length, len(left) <= space, left[:2]])
        t(f"{which} negative", libc.getname(which, client.fileno(), -1)[0])
        t(f"{which} null length", libc.raw(which, client.fileno(), libc.BAD, None))


@behaviour("connect.other_thread_data", "data sent by the server before the client reads is there "
           "at once after connect")
def greeting(t):
    lsock, client = listener(), tcp()
    client.connect(lsock.getsockname())
    server, _ = lsock.accept()
    server.sendall(b"220 hello\r\n")
    start = time.monotonic()
    t("greeting", libc.recv(client.fileno(), 100))
    t("soon", time.monotonic() - start < 1)
    t("poll", bits(libc.poll([(client.fileno(), 5)], 0)[1][0]))


@behaviour("connect.syscall", "connect through the libc function syscall()")
def by_syscall(t):
    import ctypes
    lsock, client = listener(), tcp()
    data = libc.sockaddr(*lsock.getsockname())
    t("connect", libc.syscall("connect", client.fileno(),
                              ctypes.cast(data, ctypes.c_void_p).value, 16))
    server, _ = lsock.accept()
    t.prove(client, server)
    client.sendall(b"x")
    t("data", take(server, 1))


@behaviour("connect.beside_reader", "while one thread connects, another selects and reads: the end "
           "that came at once")
def beside_reader(t):
    seen = set()
    for _ in range(20):
        lsock, client = listener(), tcp()
        connecting = Background(libc.connect, client.fileno(), lsock.getsockname())
        lsock.accept()[0].close()
        readable = bool(select.select([client], [], [], 3)[0])
        seen.add(f"readable {readable}, read {libc.recv(client.fileno(), 1)}, "
                 f"connect {connecting.result()}")
        client.close()
        lsock.close()
    t("seen", sorted(seen))


@behaviour("connect.keeps_timeout", "SO_SNDTIMEO and O_NONBLOCK are after connect what they were")
def keeps_timeout(t):
    for label, wanted in (("none", (0, 0)), ("some", (3, 250000))):
        lsock, client = listener(), tcp()
        client.setsockopt(SOL, socket.SO_SNDTIMEO, struct.pack("ll", *wanted))
        t(f"connect, {label}", libc.connect(client.fileno(), lsock.getsockname()))
        t(label, struct.unpack("ll", client.getsockopt(SOL, socket.SO_SNDTIMEO, 16)))
        t(f"blocking, {label}", os.get_blocking(client.fileno()))
        client.close()
    refused = tcp()
    refused.setsockopt(SOL, socket.SO_SNDTIMEO, struct.pack("ll", 2, 0))
    t("refused", libc.connect(refused.fileno(), (LOCAL, closed_port())))
    t("after it", struct.unpack("ll", refused.getsockopt(SOL, socket.SO_SNDTIMEO, 16)))
