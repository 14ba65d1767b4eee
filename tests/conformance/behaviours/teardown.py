# SPDX-License-Identifier: BSD-3-Clause
"""shutdown, half-close, resets and lingering."""

import os
import select
import signal
import socket
import struct
import subprocess
import time

import libc
from harness import (Background, Signals, behaviour, fill, in_child, listener, pair, pattern,
                     pollfor, pollnow, quiet, reset_by, send_each, share, so_error, take, tcp, tight,
                     unprivileged, waited)

SOL = socket.SOL_SOCKET
RD, WR, RDWR = socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR


@behaviour("teardown.eof_is_prompt", "end of file follows the last data without delay")
def eof_prompt(t):
    for count in (1, 2, 3, 10):
        lengths, times = set(), []
        for _ in range(3):
            client, server = pair(t)
            start = time.monotonic()
            for _ in range(count):
                client.sendall(b"x")
            client.close()
            lengths.add(len(take(server, 100)))
            times.append(time.monotonic() - start)
        t(f"{count} sends", [list(lengths), min(times) < 0.15])     # a delayed SACK: 0.2


@behaviour("teardown.close_unsent", "close with 4 MB unread by the peer still delivers all of it")
def close_unsent(t):
    client, server = pair(t)
    data = pattern(4 << 20)
    client.setblocking(False)
    sent = client.send(data)
    client.close()
    time.sleep(0.05)
    t("data", take(server, len(data)) == data[:sent])
    t("end", libc.recv(server.fileno(), 10))


@behaviour("teardown.both_close", "both ends close at once after an exchange")
def both_close(t):
    client, server = pair(t)
    client.sendall(b"a")
    server.sendall(b"b")
    t("data", [take(client, 1), take(server, 1)])
    t("close", [libc.raw("close", client.detach()), libc.raw("close", server.detach())])


@behaviour("teardown.shutdown_errors", "shutdown of unconnected sockets and bad directions")
def shutdown_errors(t):
    client, server = pair(t)
    t("bad how", [libc.raw("shutdown", client.fileno(), how) for how in (3, -1, 99)])
    t("fresh", [libc.raw("shutdown", tcp().detach(), how) for how in (RD, WR, RDWR)])
    client.sendall(b"x")
    t("data", take(server, 1))


@behaviour("teardown.half_close_answer", "a client that shuts down writing gets the late answer")
def half_close_answer(t):
    client, server = pair(t)
    client.sendall(b"request")
    t("shutdown", libc.raw("shutdown", client.fileno(), WR))
    t("request", take(server, 100))
    t("end", libc.recv(server.fileno(), 10))
    time.sleep(0.05)
    t("answer", libc.send(server.fileno(), b"late answer", socket.MSG_NOSIGNAL))
    server.close()
    t("got", take(client, 100))
    t("end then", libc.recv(client.fileno(), 10))


@behaviour("teardown.half_close_large", "after shutdown of writing 2 MB still come back")
def half_close_large(t):
    client, server = pair(t)
    client.sendall(b"give")
    libc.raw("shutdown", client.fileno(), WR)
    t("request", take(server, 100))
    data = pattern(2 << 20)
    sending = Background(lambda: (server.sendall(data), server.close()))
    t("data", take(client, len(data) + 1) == data)
    sending.result()


@behaviour("teardown.half_close_poll", "poll bits at both ends of a half-closed connection")
def half_close_poll(t):
    client, server = pair(t)
    libc.raw("shutdown", client.fileno(), WR)
    t("server", pollfor(server, 0x2000))
    t("client", pollnow(client))
    t("send", libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL))
    libc.raw("shutdown", server.fileno(), WR)
    t("both", [pollfor(client, 16), pollfor(server, 16)])


@behaviour("teardown.half_close_edge", "edge-triggered epoll shows the peer's half-close once")
def half_close_edge(t):
    client, server = pair(t)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
    poller.poll(0)
    libc.raw("shutdown", client.fileno(), WR)
    t("edge", [event for _, event in poller.poll(2)])
    t("recv", libc.recv(server.fileno(), 10))
    t("still open", libc.send(server.fileno(), b"answer", socket.MSG_NOSIGNAL))
    t("answer", take(client, 6))


@behaviour("teardown.half_close_early_bits", "poll and epoll while unread data lies before the "
           "peer's half-close")
def half_close_early_bits(t):
    client, server = pair(t)
    send_each(client, [b"data"])
    libc.raw("shutdown", client.fileno(), WR)
    pollfor(server, 1)
    time.sleep(0.05)
    poller = select.epoll()
    poller.register(server, 1 | 4 | 0x2000)
    t("poll", pollnow(server))
    t("epoll", [event for _, event in poller.poll(0)])
    t("data", take(server, 10))
    t("then", [pollnow(server), [event for _, event in poller.poll(0)]])


@behaviour("teardown.half_close_filter", "inetd's filter: the program reads to end of file, then "
           "its output comes back")
def half_close_filter(t):
    client, server = pair(t)
    worker = subprocess.Popen(["/usr/bin/sort"], stdin=server, stdout=server)
    server.close()
    client.sendall(b"pear\napple\nfig\n")
    libc.raw("shutdown", client.fileno(), WR)
    t("answer", take(client, 100, 3))
    t("status", worker.wait(5))


@behaviour("teardown.half_close_child", "a child shuts down writing; the parent's copy reads on")
def half_close_child(t):
    client, server = pair(t)
    t("child", in_child(lambda: libc.raw("shutdown", client.fileno(), WR)).result())
    t("end", libc.recv(server.fileno(), 10))
    t("send", libc.send(server.fileno(), b"still", socket.MSG_NOSIGNAL))
    t("data", take(client, 5, 1))


@behaviour("teardown.half_close_full", "shutdown of writing with full buffers returns at once, and "
           "the end comes after all data")
def half_close_full(t):
    client, server = tight(t)
    client.setblocking(False)
    total = fill(client) + fill(client, 1)
    start = time.monotonic()
    t("shutdown", libc.raw("shutdown", client.fileno(), WR))
    t("time", waited(start, 0.5))
    t("send", libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL))
    t("data", len(take(server, total + 1)) == total)
    t("end", libc.recv(server.fileno(), 10))
    server.sendall(b"answer")
    t("answer", take(client, 6))


@behaviour("teardown.half_close_full_unprivileged", "the same by a process that may do less than "
           "the one that made the socket")
def half_close_full_unprivileged(t):
    client, server = pair(t)
    client.setblocking(False)
    total = fill(client) + fill(client, 1)
    client.setblocking(True)

    def finish():
        return [libc.raw("shutdown", client.fileno(), WR), take(client, 6).decode()]

    child = unprivileged(finish)
    t("data", len(take(server, total + 1)) == total)
    t("end", libc.recv(server.fileno(), 10))
    server.sendall(b"answer")
    t("child", child.result())


@behaviour("teardown.half_close_both", "both ends shut down writing, with 1 MB each way before")
def half_close_both(t):
    client, server = pair(t)
    data = {client: pattern(1 << 20, 1), server: pattern(1 << 20, 2)}

    def send(sock):
        sock.sendall(data[sock])
        return libc.raw("shutdown", sock.fileno(), WR)

    sending = [Background(send, sock) for sock in (client, server)]
    reading = Background(take, server, 2 << 20)
    t("client got", take(client, 2 << 20) == data[server])
    t("server got", reading.result() == data[client])
    t("shutdowns", [thread.result() for thread in sending])
    t("poll", [pollfor(client, 16), pollfor(server, 16)])
    t("ends", [libc.recv(sock.fileno(), 10) for sock in (client, server)])
    t("close", [libc.raw("close", sock.detach()) for sock in (client, server)])


@behaviour("teardown.half_close_unread", "an end of stream that the server never reads does not cost "
           "the client its answer")
def half_close_unread(t):
    answers, data = set(), pattern(300000)
    for _ in range(10):
        client, server = pair(t)
        client.sendall(b"request")
        libc.raw("shutdown", client.fileno(), WR)
        request = take(server, 7)
        server.setblocking(False)
        sent = server.send(data)
        server.close()
        answers.add((request, take(client, sent) == data[:sent], libc.recv(client.fileno(), 10)[0]))
        client.close()
    t("answers", list(answers))


@behaviour("teardown.half_close_exit", "a server that exits without reading the end of the stream "
           "delivers its answer")
def half_close_exit(t):
    for name, end in (("exit", "sock.detach()"), ("_exit", "os._exit(0)"),
                      ("quick_exit", "ctypes.CDLL(None).quick_exit(0)")):
        client, server = pair(t)
        child = subprocess.Popen(["/usr/bin/python3", "-c", "import ctypes, os, socket, time\n"
                                  "sock = socket.socket(fileno=0)\n"
                                  "sock.recv(7)\n"
                                  "sock.sendall(b'z' * 100000)\n"
                                  "time.sleep(0.1)\n" + end], stdin=server)
        server.close()
        client.sendall(b"request")
        libc.raw("shutdown", client.fileno(), WR)
        t(f"{name}: answer", len(take(client, 200000)))
        t(f"{name}: end", libc.recv(client.fileno(), 10)[0])
        t(f"{name}: status", child.wait(5))


@behaviour("teardown.half_close_killed", "a server that is killed before it has read the end of the "
           "stream")
def half_close_killed(t):
    client, server = pair(t)
    pid = os.fork()
    if pid == 0:
        time.sleep(10)
        os._exit(0)
    server.close()
    libc.raw("shutdown", client.fileno(), WR)
    time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pollfor(client, 0x10)
    t("end", libc.recv(client.fileno(), 10))


@behaviour("teardown.half_close_dup", "shutdown through a duplicate holds for the original")
def half_close_dup(t):
    client, server = pair(t)
    copy = os.dup(client.fileno())
    t("shutdown", libc.raw("shutdown", copy, WR))
    os.close(copy)
    t("send", libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL))
    t("end", libc.recv(server.fileno(), 10))
    server.sendall(b"answer")
    t("answer", take(client, 6))


@behaviour("teardown.half_close_passed", "a half-closed socket handed to another process: what holds "
           "here holds there")
def half_close_passed(t):
    client, server = pair(t)
    ours, theirs = socket.socketpair(socket.AF_UNIX)

    def other():
        client.close()
        server.close()
        _, fds, _, _ = socket.recv_fds(theirs, 10, 2)
        wrote = libc.send(fds[0], b"x", socket.MSG_NOSIGNAL)
        ended = libc.recv(fds[1], 10)
        sent = libc.send(fds[1], b"answer")
        return [wrote, ended, sent, libc.recv(fds[0], 6, socket.MSG_WAITALL)]

    child = in_child(other)
    libc.raw("shutdown", client.fileno(), WR)
    socket.send_fds(ours, [b"fds"], [client.fileno(), server.fileno()])
    t("there", child.result())
    t("here", [libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL),
               libc.recv(server.fileno(), 10)])


@behaviour("teardown.half_close_exec", "a program that is executed with a half-closed socket")
def half_close_exec(t):
    client, server = pair(t)
    libc.raw("shutdown", client.fileno(), WR)
    done = subprocess.run(["/usr/bin/python3", "-c", "import os\n"
                           "print(os.read(0, 10), os.write(0, b'answer'), os.read(0, 10))\n"
                           "try:\n    os.write(2, b'x')\n"
                           "except OSError as error:\n    print(error.errno)"],
                          stdin=server, stderr=client, stdout=subprocess.PIPE, check=False)
    t("child", done.stdout)
    t("answer", take(client, 6))


@behaviour("teardown.half_close_ways", "each way of reading sees the end of the stream, and no byte "
           "more than was sent")
def half_close_ways(t):
    ways = {
        "recv": lambda fd: libc.recv(fd, 100),
        "waitall": lambda fd: libc.recv(fd, 100, socket.MSG_WAITALL),
        "peek": lambda fd: [libc.recv(fd, 100, socket.MSG_PEEK) for _ in range(2)],
        "read": lambda fd: libc.read(fd, 100),
        "one byte": lambda fd: [libc.recv(fd, 1) for _ in range(4)],
        "readv": lambda fd: os.readv(fd, [bytearray(2), bytearray(9)]),
        "recvmsg": lambda fd: socket.socket(fileno=os.dup(fd)).recvmsg(100, 100)[:3],
        "trunc": lambda fd: libc.recv(fd, 100, socket.MSG_TRUNC)[0],
        "poll then": lambda fd: [pollfor(fd, 1, events=1), libc.recv(fd, 100)],
    }
    for name, way in ways.items():
        for data in (b"", b"abc"):
            client, server = pair(t)
            if data:
                send_each(client, [data])
            libc.raw("shutdown", client.fileno(), WR)
            pollfor(server, 1)
            time.sleep(0.02)
            t(f"{name} {len(data)}", way(server.fileno()))
            t(f"{name} {len(data)} then", libc.recv(server.fileno(), 100))


@behaviour("teardown.half_close_fionread", "FIONREAD when nothing but the end of the stream is there")
def half_close_fionread(t):
    client, server = pair(t)
    libc.raw("shutdown", client.fileno(), WR)
    pollfor(server, 0x2000)
    t("bytes", libc.ioctl_int(server.fileno(), 0x541B))
    t("select", len(select.select([server], [], [], 1)[0]))
    t("recv", libc.recv(server.fileno(), 10))


@behaviour("teardown.half_close_wakes", "a blocked recv wakes with the end of the stream")
def half_close_wakes(t):
    client, server = pair(t)
    reading = Background(libc.recv, server.fileno(), 10)
    t("blocked", reading.running(0.05))
    libc.raw("shutdown", client.fileno(), WR)
    t("recv", reading.result(3))


@behaviour("teardown.half_close_level", "level-triggered epoll: data, the end, the answer, both ends")
def half_close_level(t):
    client, server = pair(t)
    server.setblocking(False)
    poller = select.epoll()
    poller.register(server, select.EPOLLIN)
    client.sendall(b"data")
    libc.raw("shutdown", client.fileno(), WR)
    got = b""
    while poller.poll(2):
        part = server.recv(3)
        if not part:
            break
        got += part
    t("data", got)
    t("still readable", bool(poller.poll(0)))
    server.sendall(b"answer")
    server.close()
    t("answer", take(client, 10))


def late_answer(t, client, server):
    """The server reads all that CLIENT sent before its half-close, then answers."""
    t("request", take(server, 100))
    t("end", libc.recv(server.fileno(), 10))
    server.sendall(b"answer")
    t("answer", take(client, 6))


@behaviour("teardown.half_close_at_once", "a non-blocking client that sends and shuts down writing "
           "before it reads anything")
def half_close_at_once(t):
    lsock, client = listener(), tcp(blocking=False)
    libc.connect(client.fileno(), lsock.getsockname())
    pollfor(client, 4)
    t("send", libc.send(client.fileno(), b"request"))
    t("shutdown", libc.raw("shutdown", client.fileno(), WR))
    server, _ = lsock.accept()
    late_answer(t, client, server)


@behaviour("teardown.half_close_unaccepted", "a client that shuts down writing before it is accepted")
def half_close_unaccepted(t):
    lsock, client = listener(), tcp()
    client.connect(lsock.getsockname())
    client.sendall(b"request")
    libc.raw("shutdown", client.fileno(), WR)
    time.sleep(0.05)
    server, _ = lsock.accept()
    late_answer(t, client, server)


@behaviour("teardown.half_close_reset", "a reset after the end of the stream")
def half_close_reset(t):
    client, server = pair(t)
    libc.raw("shutdown", client.fileno(), WR)
    t("end", libc.recv(server.fileno(), 10))
    reset_by(client)
    pollfor(server, 8)
    t("recv", libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT))
    t("send", libc.send(server.fileno(), b"x", socket.MSG_NOSIGNAL))
    t("recv then", libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT))


@behaviour("teardown.half_close_sending", "after the peer's end of stream sending goes on for long")
def half_close_sending(t):
    client, server = pair(t)
    libc.raw("shutdown", client.fileno(), WR)
    t("end", libc.recv(server.fileno(), 10))
    data, got = pattern(100000), []
    for _ in range(5):
        server.sendall(data)
        got.append(take(client, len(data)) == data)
        time.sleep(0.02)
    t("data", got)
    server.close()
    t("client end", libc.recv(client.fileno(), 10))


@behaviour("teardown.half_close_early_close", "the end that shut down writing closes before the peer "
           "has answered")
def half_close_early_close(t):
    client, server = pair(t)
    client.sendall(b"x")
    libc.raw("shutdown", client.fileno(), WR)
    t("data", take(server, 10))
    client.close()
    time.sleep(0.05)
    t("first", libc.send(server.fileno(), b"x", socket.MSG_NOSIGNAL))
    time.sleep(0.05)
    t("second", libc.send(server.fileno(), b"x", socket.MSG_NOSIGNAL))


@behaviour("teardown.shutdown_orders", "shutdown of reading and writing in each order: poll bits, "
           "recv, send")
def shutdown_orders(t):
    for name, order in (("RD WR", (RD, WR)), ("WR RD", (WR, RD)), ("WR RDWR", (WR, RDWR)),
                        ("WR WR", (WR, WR)), ("RD RD", (RD, RD))):
        client, server = pair(t)
        t(name, [libc.raw("shutdown", client.fileno(), how) for how in order])
        t(name + " poll", pollnow(client))
        t(name + " recv", libc.recv(client.fileno(), 10, socket.MSG_DONTWAIT))
        t(name + " send", libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL))
        if WR in order or RDWR in order:
            t(name + " peer", [pollfor(server, 0x2000), libc.recv(server.fileno(), 10)])


@behaviour("teardown.shutdown_late", "shutdown of a connection that the peer has ended")
def shutdown_late(t):
    client, server = pair(t)
    server.close()
    pollfor(client, 0x2000)
    t("end", libc.recv(client.fileno(), 10))
    t("shutdown", libc.raw("shutdown", client.fileno(), WR))
    time.sleep(0.05)
    t("poll", pollnow(client))
    t("again", libc.raw("shutdown", client.fileno(), WR))
    client, server = pair(t)
    reset_by(server)
    pollfor(client, 8)
    t("after reset", [libc.raw("shutdown", client.fileno(), how) for how in (WR, RD)])
    t("recv", libc.recv(client.fileno(), 10)[0])


@behaviour("teardown.send_after_own_shutdown", "sending after the own shutdown: EPIPE, SIGPIPE")
def send_after_shutdown(t):
    client, server = pair(t)
    pipes = Signals(signal.SIGPIPE)
    libc.raw("shutdown", client.fileno(), WR)
    t("send", [libc.send(client.fileno(), b"x"), pipes.seen()])
    t("write", [libc.write(client.fileno(), b"x"), pipes.seen()])
    t("again", libc.raw("shutdown", client.fileno(), WR))
    t("end", libc.recv(server.fileno(), 10))


@behaviour("teardown.initiator_sees_end", "the end that shut down writing reads end of file when "
           "the peer closes")
def initiator_end(t):
    client, server = pair(t)
    libc.raw("shutdown", client.fileno(), WR)
    t("server", libc.recv(server.fileno(), 10))
    server.close()
    client.settimeout(2)
    t.call("client", client.recv, 10)
    t("poll", pollfor(client, 16, 1000))


@behaviour("teardown.shutdown_read", "shutdown of reading: recv says end of file, what comes later "
           "can be read")
def shutdown_read(t):
    client, server = pair(t)
    send_each(client, [b"before"])
    t("shutdown", libc.raw("shutdown", server.fileno(), RD))
    t("poll", pollnow(server))
    t("queued", libc.recv(server.fileno(), 100))
    t("end", libc.recv(server.fileno(), 100))
    t("peer sends", libc.send(client.fileno(), b"after", socket.MSG_NOSIGNAL))
    t("back", libc.send(server.fileno(), b"back", socket.MSG_NOSIGNAL))
    t("got", take(client, 4))


@behaviour("teardown.shutdown_read_later", "shutdown of reading: what the peer sends later")
def shutdown_read_later(t):
    client, server = pair(t)
    libc.raw("shutdown", server.fileno(), RD)
    send_each(client, [b"later"])
    time.sleep(0.02)
    t("send", libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL))
    time.sleep(0.02)
    t("recv", libc.recv(server.fileno(), 100))
    t("back", libc.send(server.fileno(), b"back", socket.MSG_NOSIGNAL))
    t("got", take(client, 4))


@behaviour("teardown.shutdown_both_later", "shutdown of both directions: what the peer sends later")
def shutdown_both_later(t):
    client, server = pair(t)
    libc.raw("shutdown", server.fileno(), RDWR)
    t("end", libc.recv(client.fileno(), 10))
    t("send", libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL))
    time.sleep(0.05)
    t("server", [so_error(server), libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT)])
    t("again", libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL))
    t("name", libc.raw("getpeername", client.fileno(), None, None))


@behaviour("teardown.shutdown_both_unread", "shutdown of both directions before the peer's data and end "
           "are read: the name when they are")
def shutdown_both_unread(t):
    client, server = pair(t)
    server.sendall(bytes(9000))
    libc.raw("shutdown", server.fileno(), WR)
    time.sleep(0.05)
    libc.raw("shutdown", client.fileno(), RDWR)
    t("data", len(take(client, 9000)))
    t("end", libc.recv(client.fileno(), 10))
    t("name", libc.raw("getpeername", client.fileno(), None, None))


@behaviour("teardown.shutdown_wakes", "shutdown in one thread wakes a recv blocked in another")
def shutdown_wakes(t):
    client, _ = pair(t)
    reading = Background(libc.recv, client.fileno(), 10)
    t("blocked", reading.running(0.05))
    libc.raw("shutdown", client.fileno(), RDWR)
    t("recv", reading.result(3))
    t("then", libc.recv(client.fileno(), 10, socket.MSG_DONTWAIT))


@behaviour("teardown.shutdown_both", "shutdown of both directions at one end")
def shutdown_both(t):
    client, server = pair(t)
    t("shutdown", libc.raw("shutdown", client.fileno(), RDWR))
    t("client", [pollnow(client), libc.recv(client.fileno(), 10, socket.MSG_DONTWAIT)])
    t("server", [pollfor(server, 0x2000), libc.recv(server.fileno(), 10)])


@behaviour("teardown.reset_recv", "after the peer's reset: ECONNRESET once, then end of file")
def reset_recv(t):
    client, server = pair(t)
    reset_by(client)
    t("poll", pollfor(server, 8))
    t("first", libc.recv(server.fileno(), 10)[0])
    t("second", libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT)[0])
    t("poll then", pollnow(server))
    t("send", libc.send(server.fileno(), b"x", socket.MSG_NOSIGNAL))


@behaviour("teardown.reset_so_error", "the peer's reset shows in SO_ERROR")
def reset_so_error(t):
    client, server = pair(t)
    reset_by(client)
    pollfor(server, 8)
    t("so_error", [so_error(server), so_error(server)])
    t("recv", libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT)[0])


@behaviour("teardown.reset_send", "sending into a reset connection")
def reset_send(t):
    client, server = pair(t)
    pipes = Signals(signal.SIGPIPE)
    reset_by(client)
    pollfor(server, 8)
    t("first", [libc.send(server.fileno(), b"x"), pipes.seen()])
    t("second", [libc.send(server.fileno(), b"x"), pipes.seen()])


@behaviour("teardown.reset_with_data", "data queued before a reset")
def reset_with_data(t):
    client, server = pair(t)
    send_each(client, [b"last words"])
    reset_by(client)
    pollfor(server, 8)
    t("first", libc.recv(server.fileno(), 100))
    t("second", libc.recv(server.fileno(), 100, socket.MSG_DONTWAIT)[0])


@behaviour("teardown.close_unread", "closing with unread data resets the peer")
def close_unread(t):
    client, server = pair(t)
    send_each(client, [b"never read"])
    pollfor(server, 1)                   # on a slow machine it may still be on its way
    server.close()
    t("poll", pollfor(client, 8))
    t("recv", [libc.recv(client.fileno(), 10)[0],
               libc.recv(client.fileno(), 10, socket.MSG_DONTWAIT)[0]])


@behaviour("teardown.reset_wakes_recv", "a blocked recv wakes with ECONNRESET")
def reset_wakes_recv(t):
    client, server = pair(t)
    reading = Background(libc.recv, server.fileno(), 10)
    t("blocked", reading.running(0.05))
    reset_by(client)
    t("recv", reading.result(3)[0])


@behaviour("teardown.reset_wakes_send", "a send blocked on a full buffer wakes with ECONNRESET")
def reset_wakes_send(t):
    client, server = tight(t)
    pipes = Signals(signal.SIGPIPE)
    fill(client)
    sending = Background(libc.send, client.fileno(), b"x" * 100000)
    t("blocked", sending.running(0.1))
    reset_by(server)
    result = sending.result(3)       # a window probe can have made room for a part before
    t("send", "part or ECONNRESET" if result == "ECONNRESET"
      or share(result, 100000) == "part" else result)
    t("sigpipe", pipes.seen())


@behaviour("teardown.reset_before_accept", "a client that resets before accept")
def reset_before_accept(t):
    lsock, client = listener(), tcp()
    client.connect(lsock.getsockname())
    reset_by(client)
    server, _ = lsock.accept()
    t("recv", libc.recv(server.fileno(), 10)[0])


@behaviour("teardown.peer_closes_while_sending", "the peer closes while a large send is under way")
def peer_closes_while_sending(t):
    client, server = pair(t)
    pipes = Signals(signal.SIGPIPE)
    sending = Background(libc.send, client.fileno(), b"x" * (12 << 20))
    t("blocked", sending.running(0.1))
    server.close()
    result = sending.result(3)
    t("send", "part or error" if isinstance(result, int) and result < 12 << 20
      or result in ("ECONNRESET", "EPIPE") else result)
    t("next", libc.send(client.fileno(), b"x"))
    t("sigpipe", pipes.seen())


@behaviour("teardown.linger_waits", "SO_LINGER with a time: close waits for the peer to read")
def linger_waits(t):
    client, server = tight(t)
    client.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 1))
    total = fill(client)
    start = time.monotonic()
    client.close()
    t("time", waited(start, 1))
    t("data", len(take(server, total)) == total)


@behaviour("teardown.exit_delivers", "a process that exits without close delivers what it sent")
def exit_delivers(t):
    client, server = pair(t)

    def leave():
        client.sendall(b"z" * 100000)
        os._exit(0)

    child = in_child(leave)
    client.close()
    server_data = take(server, 200000)
    t("data", len(server_data))
    t("child", child.result())
    t("end", libc.recv(server.fileno(), 10))


@behaviour("teardown.peer_name_after_reset", "a reset takes the peer's name, not what it had sent")
def names_after_reset(t):
    client, server = pair(t)
    client.sendall(b"data")
    reset_by(client)
    pollfor(server, select.POLLHUP)
    for when in ("before", "after data", "after reset"):
        t(f"peer {when}", libc.getname("getpeername", server.fileno())[0])
        t(f"own {when}", libc.getname("getsockname", server.fileno())[0])
        t(f"recv {when}", libc.recv(server.fileno(), 10))


@behaviour("teardown.peer_name_after_close", "names are known after the peer closed")
def names_after_close(t):
    client, server = pair(t)
    name = client.getsockname()
    client.close()
    t("end", libc.recv(server.fileno(), 10))
    t("peer", server.getpeername() == name)
    t("quiet", not quiet(server, 0))
