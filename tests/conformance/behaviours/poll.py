# SPDX-License-Identifier: BSD-3-Clause
"""poll, select and epoll: states of a socket, registrations, mixtures with other descriptors."""

import ctypes
import errno
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import time

import libc
from harness import (LOCAL, Background, Signals, alarms, behaviour, bits, fill, in_child, listener,
                     pair, pollfor, pollnow, send_each, take, tcp, tight, waited)

ALL = 1 | 2 | 4 | 0x2000


@behaviour("poll.fresh", "poll bits of fresh and bound sockets")
def fresh_socket(t):
    sock = tcp()
    t("fresh", pollnow(sock))
    sock.bind((LOCAL, 0))
    t("bound", pollnow(sock))


@behaviour("poll.states", "poll bits through the life of a connection")
def states(t):
    client, server = tight(t)
    t("idle", [pollnow(client), pollnow(server)])
    send_each(client, [b"data"])
    t("data", [pollnow(client), pollnow(server)])
    libc.recv(server.fileno(), 100)
    t("read", pollnow(server))
    total = fill(client)
    t("full", pollnow(client))
    take(server, total)
    t("drained", pollfor(client, 4))
    client.close()
    t("peer closed", pollfor(server, 0x2000))
    t("read then", [libc.recv(server.fileno(), 10), pollnow(server)])


@behaviour("poll.select_short_sets", "select with sets that are no longer than the numbers need")
def select_short_sets(t):
    client, server = pair(t)
    pending = tcp(blocking=False)  # a process that has one looks at all
    fd, most = server.fileno(), max(client.fileno(), server.fileno()) + 1
    size = (most + 63) // 64 * 8
    page = mmap.PAGESIZE
    room = mmap.mmap(-1, 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    libc.LIBC.mprotect(ctypes.c_void_p(start + page), ctypes.c_size_t(page), 0)
    short = start + page - size
    ctypes.memset(short, 0, size)
    room[page - size + fd // 8] = 1 << fd % 8
    pause = (ctypes.c_long * 2)(0, 1000)  # struct timeval
    t("nothing", libc.raw("select", most, short, None, None, pause))
    room[page - size + fd // 8] = 1 << fd % 8
    send_each(client, [b"x"])
    t("data", [libc.raw("select", most, short, None, None, None),
               room[page - size:page] == (1 << fd).to_bytes(size, "little")])
    pending.close()


@behaviour("poll.inherited", "poll and select, first thing after exec, on sockets that were never connected, "
           "or whose connect nobody has looked at")
def inherited(t):
    lsock = listener()
    looks = {"select": "seen = select.select([fd], [fd], [], 5)",
             "poll": "p = select.poll(); p.register(fd); seen = p.poll(5000)"}
    for name, look in looks.items():
        idle, begun = tcp(), tcp(blocking=False)
        t(f"connect {name}", libc.connect(begun.fileno(), lsock.getsockname()))
        server = lsock.accept()[0]
        program = (f"import select\nfor fd in {begun.fileno()}, {idle.fileno()}:\n    {look}\n"
                   "    print(str(seen).replace(str(fd), 'fd'))")
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False,
                              pass_fds=[idle.fileno(), begun.fileno()])
        t(name, done.stdout)
        server.close()


@behaviour("poll.ended_elsewhere", "a process has not looked whether its connect() came up, and polls when "
           "another has used the connection, and both ends are over")
def ended_elsewhere(t):
    for mask in ALL, 4, 0:
        lsock, client = listener(), tcp(blocking=False)
        go, wait = os.pipe()[::-1]
        t(f"connect {mask:#x}", libc.connect(client.fileno(), lsock.getsockname()))
        server = lsock.accept()[0]
        child = in_child(lambda: [os.read(wait, 1), pollnow(client, mask)][1])
        time.sleep(0.05)
        t(f"shutdown {mask:#x}", libc.raw("shutdown", client.fileno(), socket.SHUT_WR))
        server.shutdown(socket.SHUT_WR)
        time.sleep(0.05)
        os.write(go, b"x")
        t(f"poll {mask:#x}", child.result())


@behaviour("poll.masks", "only the bits asked for, and those nobody can refuse")
def masks(t):
    client, server = pair(t)
    send_each(client, [b"x"])
    for mask in (0, 1, 2, 4, 5, 0x40, 0x80, 0x100, 0x200, 0x2000):
        t(f"mask {mask:#x}", libc.poll([(server.fileno(), mask)], 0)[1])


@behaviour("poll.select", "select: readable, writable, exceptional sets")
def select_sets(t):
    client, server = tight(t)
    t("idle", [len(s) for s in select.select([client, server], [client, server], [client], 0)])
    send_each(client, [b"x"])
    t("data", [len(s) for s in select.select([client, server], [], [], 1)])
    fill(client)
    t("full", [len(s) for s in select.select([], [client], [], 0)])
    server.recv(10)


@behaviour("poll.select_after_close", "select reports end of file as readable")
def select_after_close(t):
    client, server = pair(t)
    client.close()
    t("readable", [len(s) for s in select.select([server], [], [], 2)])
    t("recv", libc.recv(server.fileno(), 10)[0])


@behaviour("poll.timeouts", "poll, select and epoll wait as long as told and not longer")
def timeouts(t):
    client, _ = pair(t)
    poller = select.epoll()
    poller.register(client, select.EPOLLIN)
    for name, call in (("poll", lambda: libc.poll([(client.fileno(), 1)], 150)[0]),
                       ("select", lambda: len(select.select([client], [], [], 0.15)[0])),
                       ("epoll", lambda: len(poller.poll(0.15)))):
        start = time.monotonic()
        t(name, call())
        t(name + " time", waited(start, 0.15))


@behaviour("poll.waits_for_data", "a waiting poll, select and epoll wake for data")
def waits_for_data(t):
    client, server = pair(t)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN)
    for name, call in (("poll", lambda: libc.poll([(server.fileno(), 1)], 3000)[1]),
                       ("select", lambda: len(select.select([server], [], [], 3)[0])),
                       ("epoll", lambda: [event for _, event in poller.poll(3)])):
        waiting = Background(call)
        t(name + " waits", waiting.running(0.05))
        client.sendall(b"x")
        t(name, waiting.result())
        server.recv(10)


@behaviour("poll.mixture", "sockets, pipes, files, closed and negative descriptors in one poll")
def mixture(t):
    client, server = pair(t)
    one, two = os.pipe()
    os.write(two, b"x")
    send_each(client, [b"x"])
    with open("/proc/version", "rb") as plain_file:
        gone = os.dup(0)
        os.close(gone)
        t("poll", libc.poll([(server.fileno(), ALL), (one, ALL), (two, ALL), (gone, ALL),
                             (-1, ALL), (plain_file.fileno(), 5), (client.fileno(), 4)], 100))


@behaviour("poll.same_twice", "one descriptor twice in a poll array")
def same_twice(t):
    _, server = pair(t)
    t("poll", libc.poll([(server.fileno(), 1), (server.fileno(), 4)], 0))


@behaviour("poll.bad_arguments", "poll with bad pointers, no entries, too many entries")
def bad_arguments(t):
    t("null", libc.raw("poll", None, 1, 0))
    t("bad", libc.raw("poll", libc.BAD, 1, 0))
    t("none", libc.raw("poll", None, 0, 0))
    t("too many", libc.raw("poll", None, 1 << 30, 0))


@behaviour("poll.interrupted", "a signal ends poll and ppoll with EINTR, SA_RESTART or not")
def interrupted(t):
    client, _ = pair(t)
    for restart in (False, True):
        Signals(signal.SIGALRM, restart)
        alarms(0.1)
        t(f"poll {restart}", libc.poll([(client.fileno(), 1)], 2000)[0])
    array = (libc.Pollfd * 1)(libc.Pollfd(client.fileno(), 1, 0))
    alarms(0.1)
    t("ppoll", libc.raw("ppoll", array, 1, None, None))


@behaviour("poll.ppoll", "ppoll with a time-out reports data")
def ppoll(t):
    client, server = pair(t)
    send_each(client, [b"x"])
    import ctypes
    array = (libc.Pollfd * 1)(libc.Pollfd(server.fileno(), 5, 0))
    span = libc.Timespec(0, 100000000)
    t("ppoll", libc.raw("ppoll", array, 1, ctypes.byref(span), None))
    t("bits", bits(array[0].revents))


@behaviour("poll.epoll_registration", "epoll_ctl: add, add again, modify, delete, delete again")
def epoll_registration(t):
    client, server = pair(t)
    poller = select.epoll()
    t.call("add", poller.register, server, select.EPOLLIN)
    t.call("add again", poller.register, server, select.EPOLLIN)
    t.call("modify", poller.modify, server, select.EPOLLIN | select.EPOLLOUT)
    t("events", [event for _, event in poller.poll(0)])
    t.call("delete", poller.unregister, server)
    t.call("delete again", poller.unregister, server)
    t.call("modify gone", poller.modify, server, select.EPOLLIN)
    send_each(client, [b"x"])
    t("quiet", poller.poll(0.05))


@behaviour("poll.epoll_before_bind", "a registration made on a fresh socket is valid after listen")
def epoll_before_bind(t):
    sock, client = tcp(), tcp()
    poller = select.epoll()
    poller.register(sock, select.EPOLLIN)
    sock.bind((LOCAL, 0))
    sock.listen()
    client.connect(sock.getsockname())
    t("events", [event & 1 for _, event in poller.poll(2)])
    t.prove(sock, client)


@behaviour("poll.epoll_unconnected", "what epoll shows of a socket that is not connected: by level, by "
           "edge, once; fresh, bound, shut down, disconnected; after close, and a second epoll")
def epoll_unconnected(t):
    wanted = select.EPOLLOUT | select.EPOLLRDHUP
    for name, how in (("level", 0), ("edge", select.EPOLLET), ("once", select.EPOLLONESHOT)):
        sock, poller, other = tcp(), select.epoll(), select.epoll()

        def show(what, epoll):
            t(f"{name}, {what}", [[event for _, event in epoll.poll(0)] for _ in range(2)])

        poller.register(sock, wanted | how)
        t(f"{name}, waits", len(poller.poll(2)))
        show("fresh", poller)
        sock.bind((LOCAL, 0))
        show("bound", poller)
        poller.modify(sock, select.EPOLLIN | how)
        show("modified", poller)
        t(f"{name}, shutdown", libc.raw("shutdown", sock.fileno(), socket.SHUT_WR))
        show("shut down", poller)
        other.register(sock, wanted | how)
        show("other", other)
        poller.modify(sock, wanted | how)
        show("and the first", poller)
        poller.unregister(sock)
        show("unregistered", poller)
        poller.register(sock, wanted | how)
        sock.close()
        show("closed", poller)
        client, server = pair(t)
        poller.register(client, wanted | how)
        show("connected", poller)
        t(f"{name}, disconnect", libc.connect(client.fileno(), b"\0" * 16))
        show("disconnected", poller)


@behaviour("poll.epoll_before_connect", "a registration made on a fresh socket is valid after "
           "connect, blocking or not")
def epoll_before_connect(t):
    for blocking in (True, False):
        lsock, client = listener(), tcp(blocking=blocking)
        poller = select.epoll()
        poller.register(client, select.EPOLLIN)
        libc.connect(client.fileno(), lsock.getsockname())
        server, _ = lsock.accept()
        server.sendall(b"x")
        time.sleep(0.02)
        t(f"blocking {blocking}", [event & 1 for _, event in poller.poll(2)])
        t(f"data {blocking}", libc.recv(client.fileno(), 10))


@behaviour("poll.epoll_after_close", "a closed descriptor leaves the epoll set")
def epoll_after_close(t):
    client, server = pair(t)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN)
    client.sendall(b"x")
    t("before", len(poller.poll(2)))
    server.close()
    t("after", poller.poll(0.05))


@behaviour("poll.epoll_reused_number", "a number reused after close registers as new")
def epoll_reused_number(t):
    client, server = pair(t)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN)
    number = server.fileno()
    server.close()
    one, two = os.pipe()
    t("reused", one == number)
    t.call("register", poller.register, one, select.EPOLLIN)
    os.write(two, b"x")
    t("events", [fd == one for fd, _ in poller.poll(1)])
    t("read", os.read(one, 10))
    client.close()


@behaviour("poll.oneshot", "EPOLLONESHOT reports once until re-armed")
def oneshot(t):
    client, server = pair(t)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN | select.EPOLLONESHOT)
    send_each(client, [b"x"])
    t("first", [event for _, event in poller.poll(1)])
    t("second", poller.poll(0.05))
    poller.modify(server, select.EPOLLIN | select.EPOLLONESHOT)
    t("re-armed", [event for _, event in poller.poll(1)])


@behaviour("poll.rdhup_edge", "the peer's close is an edge with IN and RDHUP, data before it too")
def rdhup_edge(t):
    client, server = pair(t)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
    client.sendall(b"bye")
    client.close()
    pollfor(server, 0x2000)
    t("edge", [bits(event) for _, event in poller.poll(1)])
    t("data", libc.recv(server.fileno(), 100))
    t("end", libc.recv(server.fileno(), 100))


@behaviour("poll.nested", "an epoll descriptor inside poll and epoll")
def nested(t):
    client, server = pair(t)
    inner, outer = select.epoll(), select.epoll()
    inner.register(server, select.EPOLLIN)
    outer.register(inner, select.EPOLLIN)
    send_each(client, [b"x"])
    t("outer", len(outer.poll(1)))
    t("poll", libc.poll([(inner.fileno(), 1)], 100))


@behaviour("poll.epoll_interrupted", "a signal ends epoll_wait with EINTR")
def epoll_interrupted(t):
    import ctypes
    client, _ = pair(t)
    poller = select.epoll()
    poller.register(client, select.EPOLLIN)
    Signals(signal.SIGALRM, restart=True)
    alarms(0.1)
    room = ctypes.create_string_buffer(120)
    wait = libc.LIBC.epoll_wait
    ctypes.set_errno(0)
    t("epoll_wait", wait(poller.fileno(), room, 10, 2000))
    t("errno", errno.errorcode.get(ctypes.get_errno()))


@behaviour("poll.dup_registration", "epoll keeps reporting through a duplicate when the first "
           "descriptor is closed")
def dup_registration(t):
    client, server = pair(t)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN)
    copy = os.dup(server.fileno())
    server.close()
    client.sendall(b"x")
    t("events", len(poller.poll(1)))
    t("data", os.read(copy, 10))


@behaviour("poll.sigio", "O_ASYNC: SIGIO when data comes")
def sigio(t):
    client, server = pair(t)
    caught = Signals(signal.SIGIO)
    libc.raw("fcntl", server.fileno(), 8, os.getpid())                   # F_SETOWN
    flags = libc.raw("fcntl", server.fileno(), 3, 0)
    t("set", libc.raw("fcntl", server.fileno(), 4, flags | os.O_ASYNC))
    caught.seen()
    client.sendall(b"x")
    pollfor(server, 1)
    time.sleep(0.02)
    t("signal", caught.seen() > 0)
    t("owner", libc.raw("fcntl", server.fileno(), 9, 0) == os.getpid())


@behaviour("poll.server_loop", "an epoll echo server with ten clients, each 100 KB in pieces")
def server_loop(t):
    lsock = listener()
    where = lsock.getsockname()

    def client_run(seed):
        sock = socket.create_connection(where, timeout=8)
        data = bytes([seed]) * 100000
        sending = Background(sock.sendall, data)
        good = take(sock, len(data)) == data
        sending.result()
        sock.close()
        return good

    clients = [Background(client_run, seed) for seed in range(10)]
    poller, queued = select.epoll(), {}
    lsock.setblocking(False)
    poller.register(lsock, select.EPOLLIN)
    socks, ended, end = {}, 0, time.monotonic() + 8
    while ended < 10 and time.monotonic() < end:
        for fd, event in poller.poll(1):
            if fd == lsock.fileno():
                sock, _ = lsock.accept()
                sock.setblocking(False)
                socks[sock.fileno()], queued[sock.fileno()] = sock, b""
                poller.register(sock, select.EPOLLIN)
                continue
            sock = socks[fd]
            if event & select.EPOLLIN:
                data = sock.recv(16384)
                if not data:
                    ended += 1
                    poller.unregister(fd)
                    sock.close()
                    continue
                queued[fd] += data
            try:
                queued[fd] = queued[fd][sock.send(queued[fd]):]
            except BlockingIOError:
                pass
            poller.modify(fd, select.EPOLLIN | (select.EPOLLOUT if queued[fd] else 0))
    t("served to the end", ended)
    t("good", [client.result() for client in clients])
