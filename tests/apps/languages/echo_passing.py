#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""An echo server that hands each connection to a worker process by SCM_RIGHTS, and a client that
hands its connection to a child the same way when it has sent half.

    echo_passing.py server PORT | echo_passing.py client PORT FILE COPY
"""

import os
import socket
import sys
from pathlib import Path


def receive_socket(channel):
    """The socket that comes over CHANNEL, or None at its end."""
    word, fds, _, _ = socket.recv_fds(channel, 1, 1)
    return socket.socket(fileno=fds[0]) if word else None


def read_all(connection):
    """Everything until the end."""
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def work(channel):
    """A worker's life: answer the connections that are given to it."""
    while connection := receive_socket(channel):
        with connection:
            connection.sendall(read_all(connection))


def fork_with_channel(life):
    """Start a child that runs LIFE with one end of a socket pair; the other end and its number."""
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        here.close()
        life(there)
        os._exit(0)
    there.close()
    return here, child


def serve(port):
    """Two workers take turns; the acceptor keeps no connection."""
    channels = [fork_with_channel(work)[0] for _ in range(2)]
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                socket.send_fds(channels[0], [b"."], [connection.fileno()])
            channels.reverse()


def client(port, source, copy):
    """The first half is sent by this process, the rest, and the end, by the child, which reads."""
    data = Path(source).read_bytes()
    half = len(data) // 2

    def rest(channel):
        with receive_socket(channel) as connection:
            connection.sendall(data[half:])
            connection.shutdown(socket.SHUT_WR)
            Path(copy).write_bytes(read_all(connection))

    channel, child = fork_with_channel(rest)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(data[:half])
        socket.send_fds(channel, [b"."], [connection.fileno()])
    assert os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    role, number, *paths = sys.argv[1:]
    serve(int(number)) if role == "server" else client(int(number), *paths)
