# SPDX-License-Identifier: BSD-3-Clause
"""shutdown, half-close, resets and lingering.

The kernel plane's teardown is a later step: what it does not do yet is marked pending, which the
suite shows as expected failures and which has to be taken off as soon as it works.
"""

import os
import select
import signal
import socket
import struct
import subprocess
import time

import libc
from harness import (Background, Signals, behaviour, fill, in_child, listener, pair, pattern,
                     pollfor, pollnow, quiet, send_each, so_error, take, tcp, waited)

SOL = socket.SOL_SOCKET
RD, WR, RDWR = socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR
HALF_CLOSE = "half-close is not carried yet"
RESETS = "resets are not shown as TCP shows them yet"


def reset_by(sock):
    """Close SOCK so that its peer is reset."""
    sock.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


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


@behaviour("teardown.half_close_answer", "a client that shuts down writing gets the late answer",
           pending=HALF_CLOSE)
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


@behaviour("teardown.half_close_large", "after shutdown of writing 2 MB still come back",
           pending=HALF_CLOSE)
def half_close_large(t):
    client, server = pair(t)
    client.sendall(b"give")
    libc.raw("shutdown", client.fileno(), WR)
    t("request", take(server, 100))
    data = pattern(2 << 20)
    sending = Background(lambda: (server.sendall(data), server.close()))
    t("data", take(client, len(data) + 1) == data)
    sending.result()


@behaviour("teardown.half_close_poll", "poll bits at both ends of a half-closed connection",
           pending=HALF_CLOSE)
def half_close_poll(t):
    client, server = pair(t)
    libc.raw("shutdown", client.fileno(), WR)
    t("server", pollfor(server, 0x2000))
    t("client", pollnow(client))
    t("send", libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL))
    libc.raw("shutdown", server.fileno(), WR)
    t("both", [pollfor(client, 16), pollfor(server, 16)])


@behaviour("teardown.half_close_edge", "edge-triggered epoll shows the peer's half-close once",
           pending=HALF_CLOSE)
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


@behaviour("teardown.half_close_filter", "inetd's filter: the program reads to end of file, then "
           "its output comes back", pending=HALF_CLOSE)
def half_close_filter(t):
    client, server = pair(t)
    worker = subprocess.Popen(["/usr/bin/sort"], stdin=server, stdout=server)
    server.close()
    client.sendall(b"pear\napple\nfig\n")
    libc.raw("shutdown", client.fileno(), WR)
    t("answer", take(client, 100, 3))
    t("status", worker.wait(5))


@behaviour("teardown.half_close_child", "a child shuts down writing; the parent's copy reads on",
           pending=HALF_CLOSE)
def half_close_child(t):
    client, server = pair(t)
    t("child", in_child(lambda: libc.raw("shutdown", client.fileno(), WR)).result())
    t("end", libc.recv(server.fileno(), 10))
    t("send", libc.send(server.fileno(), b"still", socket.MSG_NOSIGNAL))
    t("data", take(client, 5, 1))


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
           "the peer closes", pending=HALF_CLOSE)
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


@behaviour("teardown.reset_recv", "after the peer's reset: ECONNRESET once, then end of file",
           pending=RESETS)
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


@behaviour("teardown.close_unread", "closing with unread data resets the peer", pending=RESETS)
def close_unread(t):
    client, server = pair(t)
    send_each(client, [b"never read"])
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
    client, server = pair(t)
    pipes = Signals(signal.SIGPIPE)
    fill(client)
    sending = Background(libc.send, client.fileno(), b"x" * 100000)
    t("blocked", sending.running(0.1))
    reset_by(server)
    t("send", sending.result(3))
    t("sigpipe", pipes.seen())


@behaviour("teardown.reset_before_accept", "a client that resets before accept", pending=RESETS)
def reset_before_accept(t):
    lsock, client = listener(), tcp()
    client.connect(lsock.getsockname())
    reset_by(client)
    server, _ = lsock.accept()
    t("recv", libc.recv(server.fileno(), 10)[0])


@behaviour("teardown.peer_closes_while_sending", "the peer closes while a large send is under way",
           pending=RESETS)
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
    client, server = pair(t)
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


@behaviour("teardown.peer_name_after_close", "names are known after the peer closed")
def names_after_close(t):
    client, server = pair(t)
    name = client.getsockname()
    client.close()
    t("end", libc.recv(server.fileno(), 10))
    t("peer", server.getpeername() == name)
    t("quiet", not quiet(server, 0))
