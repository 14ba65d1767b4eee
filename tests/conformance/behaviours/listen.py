# SPDX-License-Identifier: BSD-3-Clause
"""bind() and listen(): addresses, conflicts, backlog, and what a listening socket answers."""

import os
import select
import signal
import socket
import time

import libc
from harness import (LOCAL, Background, Signals, address, behaviour, closed_port, fresh, in_child,
                     listener, pair, pollfor, pollnow, port_of, so_error, take, tcp)

SOL = socket.SOL_SOCKET


@behaviour("listen.bind_names", "getsockname of fresh, bound and listening sockets")
def bind_names(t):
    for host in ("0.0.0.0", LOCAL, "::", "::1"):
        sock = tcp(socket.AF_INET6 if ":" in host else socket.AF_INET)
        t(f"{host} fresh", sock.getsockname())
        t(f"{host} bind", libc.bind(sock.fileno(), (host, 0)))
        t(f"{host} bound", address(sock.getsockname()))
        before = port_of(sock)
        t(f"{host} listen", libc.raw("listen", sock.fileno(), 1))
        t(f"{host} listening", [address(sock.getsockname()), port_of(sock) == before])
        t.prove(sock)


@behaviour("listen.unbound", "listen without bind gets a port on the wildcard address")
def unbound(t):
    sock = tcp()
    t("listen", libc.raw("listen", sock.fileno(), 5))
    t("name", address(sock.getsockname()))
    client = tcp()
    t("connect", libc.connect(client.fileno(), (LOCAL, port_of(sock))))
    sock.accept()


@behaviour("listen.bind_errors", "bind: twice, foreign address, short length, wrong family, "
           "bad pointer")
def bind_errors(t):
    sock = tcp()
    t("first", libc.bind(sock.fileno(), (LOCAL, 0)))
    t("twice", libc.bind(sock.fileno(), (LOCAL, 0)))
    t("foreign", libc.bind(fresh(), ("192.0.2.99", 0)))
    t("short", libc.bind(fresh(), libc.sockaddr(LOCAL, 0), 8))
    t("family unix", libc.bind(fresh(), libc.sockaddr(LOCAL, 0, 1)))
    t("family unspec any", libc.bind(fresh(), libc.sockaddr("0.0.0.0", 0, 0)))
    t("family unspec local", libc.bind(fresh(), libc.sockaddr(LOCAL, 0, 0)))
    t("v6 on v4", libc.bind(fresh(), libc.sockaddr("::1", 0)))
    t("v4 on v6", libc.bind(fresh(socket.AF_INET6), libc.sockaddr(LOCAL, 0)))
    t("null", libc.raw("bind", fresh(), None, 16))
    t("bad pointer", libc.raw("bind", fresh(), libc.BAD, 16))
    t("multicast", libc.bind(fresh(), ("224.0.0.1", 0)))
    client, _ = pair(t)
    t("connected", libc.bind(client.fileno(), (LOCAL, 0)))


@behaviour("listen.low_port", "a port below 1024 needs privilege")
def low_port(t):
    def attempt():
        if os.getuid() == 0:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        return libc.bind(fresh(), (LOCAL, 777))
    t("bind", in_child(attempt).result())


@behaviour("listen.in_use", "a second listener on the same address: EADDRINUSE at bind or listen")
def in_use(t):
    lsock = listener()
    t("same", libc.bind(fresh(), lsock.getsockname()))
    t("wildcard", libc.bind(fresh(), ("0.0.0.0", port_of(lsock))))
    other = tcp()
    t("other address", libc.bind(other.fileno(), ("127.0.0.2", port_of(lsock))))
    t("other listens", libc.raw("listen", other.fileno(), 1))
    reuse = tcp()
    reuse.setsockopt(SOL, socket.SO_REUSEADDR, 1)
    t("reuse while listening", libc.bind(reuse.fileno(), lsock.getsockname()))


@behaviour("listen.bound_not_listening", "two sockets bound with SO_REUSEADDR: the second listen "
           "fails")
def bound_not_listening(t):
    socks = []
    for _ in range(2):
        sock = tcp()
        sock.setsockopt(SOL, socket.SO_REUSEADDR, 1)
        t(f"bind {len(socks)}", libc.bind(sock.fileno(),
                                          (LOCAL, port_of(socks[0]) if socks else 0)))
        socks.append(sock)
    t("listens", [libc.raw("listen", sock.fileno(), 1) for sock in socks])


@behaviour("listen.backlog_values", "backlogs 0, 1, -1 and huge, and changed while listening")
def backlog_values(t):
    for backlog in (0, 1, -1, 1 << 30):
        lsock, client = tcp(), tcp()
        lsock.bind((LOCAL, 0))
        t(f"listen {backlog}", libc.raw("listen", lsock.fileno(), backlog))
        t(f"connect {backlog}", libc.connect(client.fileno(), lsock.getsockname()))
        t(f"listen again {backlog}", libc.raw("listen", lsock.fileno(), 3))
        server, _ = lsock.accept()
        client.sendall(b"x")
        t(f"data {backlog}", take(server, 1))


@behaviour("listen.zero_again", "listen(fd, 0) on a listening socket keeps it listening")
def zero_again(t):
    lsock, client = listener(), tcp()
    t("listen", libc.raw("listen", lsock.fileno(), 0))
    t("acceptconn", libc.getint(lsock.fileno(), SOL, socket.SO_ACCEPTCONN))
    t("connect", libc.connect(client.fileno(), lsock.getsockname()))
    server, _ = lsock.accept()
    t.prove(client, server)


@behaviour("listen.overflow", "more clients than the backlog: none is refused, all are served once "
           "accept() runs", limit=15)
def overflow(t):
    lsock = listener(backlog=2)
    clients = [tcp(blocking=False) for _ in range(6)]
    for client in clients:
        libc.connect(client.fileno(), lsock.getsockname())
    time.sleep(0.1)
    t("refused", sum("ERR" in pollnow(client) for client in clients))
    lsock.settimeout(8)
    accepted = []
    for _ in clients:
        accepted.append(lsock.accept()[0])
    t("accepted", len(accepted))
    t("connected", [pollfor(client, 4) for client in clients])


@behaviour("listen.acceptconn", "SO_ACCEPTCONN before and after listen, on both ends")
def acceptconn(t):
    lsock, client = tcp(), tcp()
    t("fresh", libc.getint(lsock.fileno(), SOL, socket.SO_ACCEPTCONN))
    lsock.bind((LOCAL, 0))
    t("bound", libc.getint(lsock.fileno(), SOL, socket.SO_ACCEPTCONN))
    lsock.listen()
    t("listening", libc.getint(lsock.fileno(), SOL, socket.SO_ACCEPTCONN))
    client.connect(lsock.getsockname())
    server, _ = lsock.accept()
    t("ends", [libc.getint(s.fileno(), SOL, socket.SO_ACCEPTCONN) for s in (client, server)])


@behaviour("listen.as_connection", "data calls on a listening socket")
def as_connection(t):
    lsock, pipes = listener(), Signals(signal.SIGPIPE)
    fd = lsock.fileno()
    t("recv", libc.recv(fd, 1)[0])
    t("read", libc.read(fd, 1)[0])
    t("recvmsg", libc.recvmsg(fd, [1])["ret"])
    t("sigpipe before", pipes.seen())
    t("send", libc.send(fd, b"x"))
    t("write", libc.write(fd, b"x"))
    t("sigpipe", pipes.seen())
    t("nosignal", libc.send(fd, b"x", socket.MSG_NOSIGNAL))
    t("sigpipe after", pipes.seen())
    t("connect", libc.connect(fd, (LOCAL, 1)))
    t("peer", libc.getname("getpeername", fd)[0])
    t("so_error", so_error(lsock))
    t("poll", pollnow(lsock))


@behaviour("listen.fionread", "FIONREAD and SIOCOUTQ on a listening socket")
def fionread(t):
    lsock = listener()
    t("fionread", libc.ioctl_int(lsock.fileno(), 0x541B))
    t("outq", libc.ioctl_int(lsock.fileno(), 0x5411))


@behaviour("listen.on_connected", "listen on a connected socket")
def on_connected(t):
    client, server = pair(t)
    t("client", libc.raw("listen", client.fileno(), 1))
    t("server", libc.raw("listen", server.fileno(), 1))
    client.sendall(b"x")
    t("data", take(server, 1))


@behaviour("listen.poll", "poll bits of a listening socket: idle, with a connection, drained")
def poll_listener(t):
    lsock, client = listener(), tcp()
    t("idle", pollnow(lsock))
    client.connect(lsock.getsockname())
    t("waiting", pollfor(lsock, 1))
    t("select", [len(part) for part in select.select([lsock], [lsock], [lsock], 0)])
    lsock.accept()
    t("drained", pollnow(lsock))


@behaviour("listen.edges", "edge-triggered epoll: one edge per connection, accept to EAGAIN")
def edges(t):
    lsock = listener()
    lsock.setblocking(False)
    poller = select.epoll()
    poller.register(lsock, select.EPOLLIN | select.EPOLLET)
    clients = [tcp() for _ in range(3)]
    t("idle", poller.poll(0.05))
    for number, client in enumerate(clients):
        client.connect(lsock.getsockname())
        t(f"edge {number}", [event for _, event in poller.poll(2)])
    t("no more edges", poller.poll(0.05))
    t("accepts", [isinstance(libc.accept(lsock.fileno())[0], int) for _ in range(4)])


@behaviour("listen.shutdown", "shutdown of a listening socket wakes accept, ends listening")
def shutdown_listener(t):
    lsock = listener()
    where = lsock.getsockname()
    waiting = Background(libc.accept, lsock.fileno())
    t("blocked", waiting.running(0.1))
    t("shutdown", libc.raw("shutdown", lsock.fileno(), socket.SHUT_RDWR))
    result = waiting.result(2)
    t("accept", result[0] if isinstance(result, tuple) else result)
    t("connect", libc.connect(fresh(), where))
    t("accept again", libc.accept(lsock.fileno())[0])


@behaviour("listen.shutdown_poll", "shutdown of a listening socket wakes poll")
def shutdown_listener_poll(t):
    lsock = listener()
    waiting = Background(libc.poll, [(lsock.fileno(), 1)], 2000)
    t("blocked", waiting.running(0.1))
    t("shutdown", libc.raw("shutdown", lsock.fileno(), socket.SHUT_RD))
    result = waiting.result(3)
    t("woke", result[0])
    t("acceptconn", libc.getint(lsock.fileno(), SOL, socket.SO_ACCEPTCONN))


@behaviour("listen.close_while_accepting", "close of a listening socket leaves a blocked accept "
           "blocked, which still serves")
def close_while_accepting(t):
    lsock = listener()
    where, fd = lsock.getsockname(), lsock.fileno()
    waiting = Background(libc.accept, fd)
    t("blocked", waiting.running(0.1))
    lsock.detach()
    t("close", libc.raw("close", fd))
    t("still blocked", waiting.running(0.1))
    client = tcp()
    t("connect", libc.connect(client.fileno(), where))
    result = waiting.result(2)
    t("accept", isinstance(result, tuple) and isinstance(result[0], int))
    t("connect then", libc.connect(fresh(), where))


@behaviour("listen.closed_refuses", "after close of the listening socket connects are refused")
def closed_refuses(t):
    lsock = listener()
    where = lsock.getsockname()
    lsock.close()
    t("connect", libc.connect(fresh(), where))
    t("again", libc.bind(fresh(), where))


@behaviour("listen.restart_open", "restart while an accepted connection lives: refused without "
           "SO_REUSEADDR, fine with it")
def restart_open(t):
    lsock, client = listener(reuse=True), tcp()
    where = lsock.getsockname()
    client.connect(where)
    server, _ = lsock.accept()
    lsock.close()
    t("plain", libc.bind(fresh(), where))
    again = tcp()
    again.setsockopt(SOL, socket.SO_REUSEADDR, 1)
    t("reuse", libc.bind(again.fileno(), where))
    t("listen", libc.raw("listen", again.fileno(), 5))
    second = tcp()
    t("connect", libc.connect(second.fileno(), where))
    newer, _ = again.accept()
    client.sendall(b"old")
    second.sendall(b"new")
    t("data", [take(server, 3), take(newer, 3)])


@behaviour("listen.restart_open_no_reuse", "restart while a connection lives whose listener had no "
           "SO_REUSEADDR")
def restart_open_no_reuse(t):
    lsock, client = listener(), tcp()
    where = lsock.getsockname()
    client.connect(where)
    server, _ = lsock.accept()
    lsock.close()
    again = tcp()
    t("plain", libc.bind(fresh(), where))
    again.setsockopt(SOL, socket.SO_REUSEADDR, 1)
    t("reuse", libc.bind(again.fileno(), where))
    t("peer alive", libc.send(server.fileno(), b"x"))


@behaviour("listen.restart_after_close", "restart without SO_REUSEADDR after the server closed "
           "first (TCP: TIME_WAIT)")
def restart_after_close(t):
    lsock, client = listener(), tcp()
    where = lsock.getsockname()
    client.connect(where)
    server, _ = lsock.accept()
    server.close()
    t("eof", client.recv(1))
    client.close()
    lsock.close()
    t("plain", libc.bind(fresh(), where))


@behaviour("listen.restart_after_close_reuse", "restart with SO_REUSEADDR after the server closed "
           "first")
def restart_after_close_reuse(t):
    lsock, client = listener(reuse=True), tcp()
    where = lsock.getsockname()
    client.connect(where)
    server, _ = lsock.accept()
    server.close()
    t("eof", client.recv(1))
    client.close()
    lsock.close()
    again = tcp()
    again.setsockopt(SOL, socket.SO_REUSEADDR, 1)
    t("bind", libc.bind(again.fileno(), where))
    t("listen", libc.raw("listen", again.fileno(), 5))
    client = tcp()
    t("connect", libc.connect(client.fileno(), where))


@behaviour("listen.reuseport", "SO_REUSEPORT: two listeners share a port, both are served")
def reuseport(t):
    socks = []
    for _ in range(2):
        sock = tcp()
        sock.setsockopt(SOL, socket.SO_REUSEPORT, 1)
        t(f"bind {len(socks)}", libc.bind(sock.fileno(),
                                          (LOCAL, port_of(socks[0]) if socks else 0)))
        t(f"listen {len(socks)}", libc.raw("listen", sock.fileno(), 64))
        socks.append(sock)
    t("without", libc.bind(fresh(), socks[0].getsockname()))
    clients = [tcp() for _ in range(30)]
    for client in clients:
        client.connect(socks[0].getsockname())
    counts = [0, 0]
    for number, sock in enumerate(socks):
        sock.setblocking(False)
        while isinstance(libc.accept(sock.fileno())[0], int):
            counts[number] += 1
    t("all", sum(counts))
    t("both", all(counts))


@behaviour("listen.v6_wildcard", "an IPv6 wildcard listener takes IPv4 clients, as mapped "
           "addresses")
def v6_wildcard(t):
    lsock, four, six = listener("::"), tcp(), tcp(socket.AF_INET6)
    t("v4", libc.connect(four.fileno(), (LOCAL, port_of(lsock))))
    first, peer4 = lsock.accept()
    t("v6", libc.connect(six.fileno(), ("::1", port_of(lsock))))
    second, peer6 = lsock.accept()
    t.prove(four, first, six, second)
    t("peers", [peer4[0], peer6[0]])
    t("local", [first.getsockname()[0], second.getsockname()[0]])
    t("client", [four.getpeername()[0], six.getpeername()[0]])
    four.sendall(b"4")
    six.sendall(b"6")
    t("data", [take(first, 1), take(second, 1)])


@behaviour("listen.v6only", "IPV6_V6ONLY keeps IPv4 clients out and lets IPv4 bind the same port")
def v6only(t):
    lsock = tcp(socket.AF_INET6)
    t("default", libc.getint(lsock.fileno(), socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    lsock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    t("set", libc.getint(lsock.fileno(), socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    lsock.bind(("::", 0))
    lsock.listen()
    t("v4 client", libc.connect(fresh(), (LOCAL, port_of(lsock))))
    other = tcp()
    t("v4 bind", libc.bind(other.fileno(), ("0.0.0.0", port_of(lsock))))
    t("v4 listen", libc.raw("listen", other.fileno(), 1))
    t("v4 client then", libc.connect(fresh(), (LOCAL, port_of(lsock))))
    dual = tcp(socket.AF_INET6)
    t("dual stack conflict", libc.bind(dual.fileno(), ("::", port_of(lsock))))


@behaviour("listen.one_address", "a listener on 127.0.0.1 is not found at 127.0.0.2")
def one_address(t):
    lsock = listener()
    t("other", libc.connect(fresh(), ("127.0.0.2", port_of(lsock))))
    t("own", libc.connect(fresh(), (LOCAL, port_of(lsock))))


def beside_inode():
    """Listeners on every address and on one, the port of which is the other's inode, if it can be."""
    for _ in range(50):
        other = listener("0.0.0.0")
        inode = os.fstat(other.fileno()).st_ino
        if 1024 < inode < 65536:
            try:
                return other, listener(port=inode)
            except OSError:
                pass
    return other, listener()


@behaviour("listen.one_address_alone", "the same while another listener, on every address, has that "
           "port's number for an inode")
def one_address_alone(t):
    other, lsock = beside_inode()
    t("other", libc.connect(fresh(), ("127.0.0.2", port_of(lsock))))
    t("own", libc.connect(fresh(), (LOCAL, port_of(lsock))))
    other.close()


@behaviour("listen.freebind", "IP_FREEBIND binds an address that is not local")
def freebind(t):
    sock = tcp()
    t("set", libc.setsockopt(sock.fileno(), socket.IPPROTO_IP, 15, 1))
    t("bind", libc.bind(sock.fileno(), ("192.0.2.99", 0)))
    t("name", sock.getsockname()[0])


@behaviour("listen.udp_same_port", "TCP, UDP and the shim's sockets have separate port spaces")
def udp_same_port(t):
    lsock = listener()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    t("udp bind", libc.bind(udp.fileno(), lsock.getsockname()))


@behaviour("listen.port_after_close", "a port is free again after an unconnected socket is closed")
def port_after_close(t):
    port = closed_port()
    sock = tcp()
    t("bind", libc.bind(sock.fileno(), (LOCAL, port)))
    t("listen", libc.raw("listen", sock.fileno(), 1))
