# SPDX-License-Identifier: BSD-3-Clause
"""A TCP program that knows nothing of SCTP: what one end of a connection does, told line by line."""

import hashlib
import os
import random
import resource
import signal
import socket
import sys
import threading
import time


def say(*words):
    print(*words, flush=True)


def listen(host, port=0):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, int(port)))
    server.listen(64)
    say("listens", server.getsockname()[1])
    return server


def echo_all(connection):
    while data := connection.recv(1 << 16):
        connection.sendall(data)
    connection.close()


def echo(host, port=0):
    """Echo to everybody, each in a thread."""
    server = listen(host, port)
    while True:
        connection, peer = server.accept()
        say("accepted", *peer[:2], "at", *connection.getsockname()[:2])
        threading.Thread(target=echo_all, args=(connection,), daemon=True).start()


def prefork(host, workers):
    """Echo from processes that were made after listening; each connection is also fork()ed for."""
    server = listen(host)
    for _ in range(int(workers)):
        if os.fork() == 0:
            while True:
                connection, _ = server.accept()
                if os.fork() == 0:
                    name = connection.getpeername()
                    connection.sendall(f"{os.getppid()} {name[0]} {name[1]}\n".encode())
                    echo_all(connection)
                    os._exit(0)
                connection.close()
    signal.pause()


def execute(host):
    """Give each connection to a program: cat, on its standard descriptors."""
    server = listen(host)
    while True:
        connection, _ = server.accept()
        if os.fork() == 0:
            os.dup2(connection.fileno(), 0)
            os.dup2(connection.fileno(), 1)
            os.execvp("cat", ["cat"])
        connection.close()


def names(host, port):
    """What both ends of a connection are called."""
    connection = socket.create_connection((host, int(port)))
    say("local", *connection.getsockname()[:2], "peer", *connection.getpeername()[:2])
    connection.sendall(b"hello")
    say("got", connection.recv(10).decode())
    connection.shutdown(socket.SHUT_WR)
    say("end", connection.recv(10))


def bulk(host, port, size):
    """Send SIZE random bytes, half-close, and read until the end at the same time."""
    connection = socket.create_connection((host, int(port)))
    sent, received, block = hashlib.sha256(), hashlib.sha256(), os.urandom(1 << 20)
    count = 0

    def read():
        nonlocal count
        while data := connection.recv(1 << 20):
            received.update(data)
            count += len(data)
    reader = threading.Thread(target=read)
    reader.start()
    begin = time.monotonic()
    for at in range(0, int(size), len(block)):
        part = block[:int(size) - at]
        sent.update(part)
        connection.sendall(part)
    connection.shutdown(socket.SHUT_WR)
    reader.join()
    say(sent.hexdigest(), received.hexdigest(), count, round(time.monotonic() - begin, 3))


def pour(host, port):
    """Send for ever, and say how much went."""
    connection = socket.create_connection((host, int(port)))
    connection.setblocking(False)
    sent, block, last = 0, b"x" * 65536, time.monotonic()
    while time.monotonic() < last + 1:
        try:
            sent += connection.send(block)
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    say("stopped at", sent)
    sys.stdin.readline()


def sink(host, port=0, first=0):
    """Accept one connection, read nothing after the FIRST bytes until told, then count."""
    connection, _ = listen(host, port).accept()
    say("accepted")
    count = 0
    while count < int(first):
        count += len(connection.recv(1 << 20))
    sys.stdin.readline()
    try:
        while data := connection.recv(1 << 20):
            count += len(data)
        say("end after", count)
    except OSError as error:
        say(type(error).__name__, "after", count)


def connect(host, port, *more):
    """Connect: how long it took and what it came to; then wait and say how it ends."""
    begin = time.monotonic()
    connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        connection.connect((host, int(port)))
        result = "connected"
    except OSError as error:
        result = type(error).__name__ if type(error) is not OSError else error.strerror
    say(result, round(time.monotonic() - begin, 3))
    if more:
        connection.sendall(b"x")
        say("got", connection.recv(10).decode())
        try:
            say("end", connection.recv(10))
        except OSError as error:
            say(type(error).__name__)


def abort(host, port):
    """Connect, and close with SO_LINGER 0."""
    connection = socket.create_connection((host, int(port)))
    connection.sendall(b"x")
    say("got", connection.recv(10).decode())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def watch(host):
    """Accept one connection, echo a byte, and say how it ends."""
    connection, _ = listen(host).accept()
    connection.sendall(connection.recv(1))
    try:
        say("end", connection.recv(10))
    except OSError as error:
        say(type(error).__name__)


def more_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)


def crowd(host):
    """Echo one byte to everybody, and keep all connections."""
    more_descriptors()
    server, kept = listen(host), []
    server.listen(1024)
    while True:
        connection, _ = server.accept()
        connection.sendall(connection.recv(1))
        kept.append(connection)


def many(host, port, count):
    """Make COUNT connections, each with a byte there and back; keep them until told to end."""
    more_descriptors()
    kept = []
    begin = time.monotonic()
    for number in range(int(count)):
        connection = socket.create_connection((host, int(port)))
        connection.sendall(bytes([number % 256]))
        assert connection.recv(2) == bytes([number % 256])
        kept.append(connection)
    say("made", len(kept), round(time.monotonic() - begin, 3))
    sys.stdin.readline()
    for connection in kept:
        connection.shutdown(socket.SHUT_WR)
    say("ended")


def peek(host):
    """Accept one connection and look at its first byte without taking it."""
    connection, _ = listen(host).accept()
    say("sees", connection.recv(1, socket.MSG_PEEK).decode())
    sys.stdin.readline()


def wait_for_end(host, port):
    """Send a byte, and say how it ends."""
    connection = socket.create_connection((host, int(port)))
    connection.sendall(b"x")
    try:
        say("end", connection.recv(10))
    except OSError as error:
        say(type(error).__name__)


def pieces(host, port, count):
    """COUNT times: send some bytes and close at once; how many they were, all in all."""
    total = 0
    for number in range(int(count)):
        size = random.randrange(1, 3 << 20)
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"x" * size)
        total += size
    say("sent", total)


def gather(host, count):
    """Accept COUNT connections, read each slowly to its end: how many bytes they had."""
    server, total = listen(host), 0
    for _ in range(int(count)):
        connection, _ = server.accept()
        time.sleep(0.05)
        while data := connection.recv(100000):
            total += len(data)
        connection.close()
    say("got", total)


def give(host, count):
    """Accept COUNT connections, send some bytes to each and close at once: how many."""
    server, total = listen(host), 0
    for _ in range(int(count)):
        size = random.randrange(1, 3 << 20)
        connection, _ = server.accept()
        connection.sendall(b"x" * size)
        connection.close()
        total += size
    say("sent", total)


def take(host, port, count):
    """COUNT times: connect and read slowly to the end; how many bytes there were."""
    total = 0
    for _ in range(int(count)):
        with socket.create_connection((host, int(port))) as connection:
            time.sleep(0.05)
            while data := connection.recv(100000):
                total += len(data)
    say("got", total)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
