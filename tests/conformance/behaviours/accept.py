# SPDX-License-Identifier: BSD-3-Clause
"""accept(): flags, addresses, inheritance, errors, waiting."""

import os
import select
import signal
import socket
import struct
import time

import libc
from harness import (LOCAL, Background, Signals, alarms, behaviour, bits, fill, fresh, in_child,
                     listener, nodelay, pair, plain, pollfor, pollnow, port_of, quiet, settle, take, tcp,
                     waited)

SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP


def connected(lsock, count=1):
    clients = []
    for _ in range(count):
        clients.append(tcp())
        clients[-1].connect(lsock.getsockname())
    return clients


@behaviour("accept.flags", "accept4's SOCK_NONBLOCK and SOCK_CLOEXEC; neither is inherited")
def flags(t):
    lsock = listener()
    lsock.setblocking(False)
    for name, value in (("accept", None), ("none", 0), ("nonblock", socket.SOCK_NONBLOCK),
                        ("cloexec", socket.SOCK_CLOEXEC),
                        ("both", socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)):
        keep = connected(lsock)
        fd = libc.accept(lsock.fileno(), None, value)[0]
        t(name, [libc.raw("fcntl", fd, 3, 0), libc.raw("fcntl", fd, 1, 0)])
        t.prove(fd)
        del keep
    t("empty", libc.accept(lsock.fileno())[0])


@behaviour("accept.crowded", "two connections that wait to be accepted have been sent all that buffers "
           "take, and a third a little: that can be read with its accept(); all of it in the end")
def crowded(t):
    lsock = listener()
    clients = connected(lsock, 3)
    for client in clients[:2]:
        fill(client)
    clients[2].sendall(b"x" * 30000)
    *others, third = [lsock.accept()[0] for _ in clients]
    t("at once", pollnow(third, select.POLLIN, 50))
    t("all", len(take(third, 30000)))
    for other in others:
        other.close()


@behaviour("accept.bad_flags", "accept4 with unknown flags, and on an idle non-blocking listener")
def bad_flags(t):
    lsock = listener()
    lsock.setblocking(False)
    keep = connected(lsock)
    t("unknown", libc.accept(lsock.fileno(), None, 1)[0])
    t("unknown 2", libc.accept(lsock.fileno(), None, 0x10000)[0])
    t("good", isinstance(libc.accept(lsock.fileno(), None, 0)[0], int))
    t("empty", libc.accept(lsock.fileno(), None, 0)[0])
    del keep


@behaviour("accept.wrong_sockets", "accept on sockets that do not listen")
def wrong_sockets(t):
    client, server = pair(t)
    bound = tcp()
    bound.bind((LOCAL, 0))
    for name, fd in (("fresh", fresh()), ("bound", bound.fileno()), ("client", client.fileno()),
                     ("server", server.fileno())):
        t(name, libc.accept(fd)[0])
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    t("udp", libc.accept(udp.fileno())[0])
    one, _ = socket.socketpair()
    t("unix", libc.accept(one.fileno())[0])


@behaviour("accept.address_lengths", "the peer's address, whole and cut to the room given")
def address_lengths(t):
    for host in (LOCAL, "::1"):
        lsock = listener(host)
        for space in (128, 28, 16, 7, 2, 0):
            client = tcp(lsock.family)
            client.connect((host, port_of(lsock)))
            fd, length, left = libc.accept(lsock.fileno(), space)
            t(f"{host} {space}", [isinstance(fd, int), length, len(left) <= space, left[:2]])
            whole = libc.getname("getpeername", fd)
            t(f"{host} {space} right", whole[2].startswith(left[:min(space, 8)]))


@behaviour("accept.address_errors", "bad pointers and negative lengths for the address")
def address_errors(t):
    lsock = listener()
    lsock.settimeout(0)
    keep = connected(lsock, 3)
    t("negative", libc.accept(lsock.fileno(), -1)[0])
    t("null length", libc.raw("accept", lsock.fileno(), libc.BAD, None))
    t("null address", isinstance(libc.raw("accept", lsock.fileno(), None, None), int))
    del keep


@behaviour("accept.order", "connections are accepted in the order they came")
def order(t):
    lsock = listener()
    clients = connected(lsock, 5)
    accepted = [lsock.accept()[0] for _ in clients]
    t("order", [server.getpeername() == client.getsockname()
                for server, client in zip(accepted, clients)])


@behaviour("accept.local_address", "getsockname of an accepted socket is the address the client "
           "used, not the wildcard")
def local_address(t):
    lsock = listener("0.0.0.0")
    for host in (LOCAL, "127.0.0.77"):
        client = tcp()
        client.connect((host, port_of(lsock)))
        server, peer = lsock.accept()
        t(host, [server.getsockname()[0], port_of(server) == port_of(lsock),
                 peer == client.getsockname(), server.getpeername() == peer])


@behaviour("accept.inherits", "options that an accepted socket inherits from its listener")
def inherits(t):
    options = [("keepalive", SOL, socket.SO_KEEPALIVE, 1), ("oobinline", SOL, 10, 1),
               ("priority", SOL, 12, 5), ("reuseaddr", SOL, 2, 1), ("nodelay", TCP, 1, 1),
               ("keepidle", TCP, 4, 77), ("keepintvl", TCP, 5, 33), ("keepcnt", TCP, 6, 4),
               ("syncnt", TCP, 7, 3), ("linger2", TCP, 8, 21), ("user_timeout", TCP, 18, 4321),
               ("notsent_lowat", TCP, 25, 16384), ("cork", TCP, 3, 1),
               ("defer_accept", TCP, 9, 0), ("ttl", 0, 2, 44), ("tos", 0, 1, 16),
               ("rcvlowat", SOL, 18, 1), ("mtu_discover", 0, 10, 0)]

    def prepare(lsock):
        for name, level, option, value in options:
            t(f"{name} set", libc.setsockopt(lsock.fileno(), level, option, value))

    client, server = pair(t, prepare_listener=prepare)
    for name, level, option, _ in options:
        t(name, libc.getint(server.fileno(), level, option))
    nodelay(client)


@behaviour("accept.inherits_structs", "linger, timeouts and buffer sizes are inherited")
def inherits_structs(t):
    span = struct.pack("ll", 3, 250000)

    def prepare(lsock):
        lsock.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 7))
        lsock.setsockopt(SOL, socket.SO_RCVTIMEO, span)
        lsock.setsockopt(SOL, socket.SO_SNDTIMEO, span)
        lsock.setsockopt(SOL, socket.SO_RCVBUF, 100000)
        lsock.setsockopt(SOL, socket.SO_SNDBUF, 90000)

    _, server = pair(t, prepare_listener=prepare)
    t("linger", struct.unpack("ii", server.getsockopt(SOL, socket.SO_LINGER, 8)))
    t("rcvtimeo", struct.unpack("ll", server.getsockopt(SOL, socket.SO_RCVTIMEO, 16)))
    t("sndtimeo", struct.unpack("ll", server.getsockopt(SOL, socket.SO_SNDTIMEO, 16)))
    t("rcvbuf", server.getsockopt(SOL, socket.SO_RCVBUF))
    t("sndbuf", server.getsockopt(SOL, socket.SO_SNDBUF))


@behaviour("accept.inherits_v6", "IPv6 traffic class, hop limit and V6ONLY of accepted sockets")
def inherits_v6(t):
    def prepare(lsock):
        lsock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 32)
        lsock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 9)

    _, server = pair(t, "::1", prepare_listener=prepare)
    t("tclass", server.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) & 0xfc)
    t("hops", server.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS))
    t("v6only", server.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


@behaviour("accept.timeout", "SO_RCVTIMEO on the listener ends accept with EAGAIN")
def timeout(t):
    lsock = listener()
    lsock.setsockopt(SOL, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200000))
    start = time.monotonic()
    t("accept", libc.accept(lsock.fileno())[0])
    t("time", waited(start, 0.2))


@behaviour("accept.interrupted", "a signal without SA_RESTART ends accept with EINTR, with it not")
def interrupted(t):
    lsock = listener()
    caught = Signals(signal.SIGALRM)
    alarms(0.1)
    t("plain", libc.accept(lsock.fileno())[0])
    t("signals", caught.some())
    again = Signals(signal.SIGALRM, restart=True)
    alarms(0.1)
    where = lsock.getsockname()

    def late():
        time.sleep(0.4)
        sock = tcp()
        sock.connect(where)
        time.sleep(0.5)

    child = in_child(late)
    t("restart", isinstance(libc.accept(lsock.fileno())[0], int))
    t("signals with restart", again.some())
    child.result()


@behaviour("accept.blocked_thread", "a blocked accept in a thread wakes for a connection")
def blocked_thread(t):
    lsock = listener()
    waiting = Background(lsock.accept)
    t("blocked", waiting.running(0.1))
    client = connected(lsock)[0]
    server, peer = waiting.result()
    t("peer", peer == client.getsockname())
    t.prove(server, client)


@behaviour("accept.made_nonblocking_wait", "poll says readable, accept takes it, poll says no more")
def poll_accept(t):
    lsock = listener()
    lsock.setblocking(False)
    t("idle", pollnow(lsock))
    keep = connected(lsock, 2)
    t("two", pollfor(lsock, 1))
    lsock.accept()
    t("one", pollnow(lsock))
    lsock.accept()
    t("none", [pollnow(lsock), libc.accept(lsock.fileno())[0]])
    del keep


@behaviour("accept.client_gone_data", "the client sent and closed before accept: data, then end of "
           "file, and the peer's name")
def client_gone(t):
    lsock = listener()
    client = connected(lsock)[0]
    name = client.getsockname()
    client.sendall(b"bye")
    client.close()
    server, peer = lsock.accept()
    t("peer", peer == name)
    t("data", [libc.recv(server.fileno(), 100), libc.recv(server.fileno(), 100)])


@behaviour("accept.client_gone_name", "getpeername after the client closed before accept")
def client_gone_name(t):
    lsock = listener()
    client = connected(lsock)[0]
    name = client.getsockname()
    client.sendall(b"bye")
    client.close()
    server, _ = lsock.accept()
    t("name", libc.getname("getpeername", server.fileno())[0])
    try:
        t("right", server.getpeername() == name)
    except OSError as error:
        t("right", error)


@behaviour("accept.data_waiting", "data sent before accept is there at once after it")
def data_waiting(t):
    lsock = listener()
    client = connected(lsock)[0]
    client.sendall(b"early bird")
    server, _ = lsock.accept()
    t("poll", pollfor(server, 1))
    t("data", libc.recv(server.fileno(), 100))
    t("then", libc.recv(server.fileno(), 100, socket.MSG_DONTWAIT)[0])


@behaviour("accept.prefork", "processes that inherited one listener each get a connection")
def prefork(t):
    lsock = listener()

    def serve():
        server, _ = lsock.accept()
        server.sendall(b"served")
        server.close()
        return "ok"

    workers = [in_child(serve) for _ in range(3)]
    clients = connected(lsock, 3)
    t("data", [take(client, 6) for client in clients])
    t("workers", [worker.result() for worker in workers])


@behaviour("accept.fork_per_client", "the parent closes its copy of the accepted socket at once, "
           "the child serves")
def fork_per_client(t):
    lsock = listener()
    clients = connected(lsock, 2)
    children = []
    for _ in clients:
        server, _ = lsock.accept()

        def serve(sock=server):
            data = sock.recv(100)
            sock.sendall(data.upper())
            return len(data)

        children.append(in_child(serve))
        server.close()
    for client in clients:
        client.sendall(b"hello")
    t("answers", [take(client, 5) for client in clients])
    t("children", [child.result() for child in children])
    t("end of file", [libc.recv(client.fileno(), 10) for client in clients])


@behaviour("accept.exclusive", "EPOLLEXCLUSIVE on a listener reports a connection")
def exclusive(t):
    lsock = listener()
    poller = select.epoll()
    poller.register(lsock, select.EPOLLIN | select.EPOLLEXCLUSIVE)
    keep = connected(lsock)
    t("events", [bits(event) for _, event in poller.poll(2)])
    del keep


@behaviour("accept.dup_listener", "a duplicated listener accepts, the original closed")
def dup_listener(t):
    lsock = listener()
    copy = os.dup(lsock.fileno())
    where = lsock.getsockname()
    lsock.close()
    client = tcp()
    t("connect", libc.connect(client.fileno(), where))
    fd = libc.accept(copy)[0]
    t.prove(fd, client)
    t("send", libc.send(fd, b"dup"))
    t("data", plain(take(client, 3)))


@behaviour("accept.nothing_readable", "accepting leaves nothing to read at either end")
def nothing_readable(t):
    client, server = pair(t)
    t("poll", [pollnow(client), pollnow(server)])
    t("quiet", [quiet(client, 0.05), quiet(server, 0.05)])


@behaviour("accept.many", "two hundred connections, opened and closed one after the other")
def many(t):
    lsock = listener()
    served = 0
    for number in range(200):
        client = tcp()
        client.connect(lsock.getsockname())
        server, _ = lsock.accept()
        client.sendall(b"%d" % number)
        client.close()
        served += take(server, 100) == b"%d" % number
        server.close()
    t("served", served)


@behaviour("accept.late_options", "an option that is set on the listener when the connection is there, "
           "but not accepted")
def late_options(t):
    lsock = listener()
    clients = connected(lsock)
    settle(*clients)
    lsock.setsockopt(SOL, socket.SO_OOBINLINE, 1)
    lsock.setsockopt(TCP, socket.TCP_KEEPIDLE, 60)
    server, _ = lsock.accept()
    t("oobinline", server.getsockopt(SOL, socket.SO_OOBINLINE))
    t("keepidle", server.getsockopt(TCP, socket.TCP_KEEPIDLE))
    clients += connected(lsock)
    other, _ = lsock.accept()
    t("of a later one", [other.getsockopt(SOL, socket.SO_OOBINLINE),
                         other.getsockopt(TCP, socket.TCP_KEEPIDLE)])
