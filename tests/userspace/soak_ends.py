# SPDX-License-Identifier: BSD-3-Clause
"""The two ends of the soak test's connections: TCP programs that know nothing of SCTP.

A connection begins with what the client wants. Every byte's value follows from its place, so that
one that is lost, doubled or out of order is seen where it happens.
"""

import errno
import os
import random
import signal
import socket
import struct
import sys
import threading
import time

HEAD = struct.Struct("!cQQ")             # what, bytes there, bytes back
PATTERN = bytes(range(251)) * 1100       # longer than any one piece
PIECE = 1 << 18
LIMIT, SHORT = 60, 5                     # seconds that a call may wait; while brokers are killed
RESET = struct.pack("ii", 1, 0)
ENDS = (errno.ECONNRESET, errno.EPIPE)


class Wrong(Exception):
    """Something that TCP does not do."""


def piece(at, size):
    start = at % 251
    return PATTERN[start:start + size]


def check(data, at):
    if data != piece(at, len(data)):
        raise Wrong(f"other bytes than those sent, in the {len(data)} from {at} on")


def send(sock, count, stop=None):
    """Send COUNT bytes, or as many as STOP; how many went."""
    at, end = 0, count if stop is None else min(stop, count)
    while at < end:
        at += sock.send(piece(at, min(PIECE, end - at)))
    return at


def receive(sock, pause=0.0):
    """Read to the end; how many bytes came."""
    at = 0
    while data := sock.recv(PIECE):
        check(data, at)
        at += len(data)
        if pause:
            time.sleep(pause)
    return at


def receive_exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise Wrong(f"an end after {len(data)} of {size} bytes")
        data += more
    return data


def expect(what, wanted, got):
    if wanted != got:
        raise Wrong(f"{what}: {got} bytes of {wanted}")


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


# ---- The server ----

def serve_one(sock, lenient):
    sock.settimeout(SHORT if lenient.is_set() else LIMIT)
    try:
        what, there, back = HEAD.unpack(receive_exactly(sock, HEAD.size))
        if what == b"e":                               # to the end, then back
            expect("echo", there, receive(sock))
            send(sock, back)
        elif what == b"f":                             # fetch
            send(sock, back)
        elif what == b"s":                             # store: the client closes at once
            expect("store", there, receive(sock))
        elif what == b"r":                             # the client will reset
            try:
                receive(sock)
            except ConnectionResetError:
                return
            raise Wrong("an end instead of a reset")
        elif what == b"R":                             # we shall
            send(sock, back)
            reset(sock)
        elif what == b"k":                             # the client will be killed
            receive(sock)
    except Wrong as wrong:
        if not lenient.is_set():
            print("WRONG server", wrong, flush=True)
    except OSError as error:
        if error.errno not in ENDS and not lenient.is_set():
            print("WRONG server", repr(error), what, flush=True)
    finally:
        sock.close()


def serve(host):
    """Serve until killed; SIGUSR1: from now on connections may end early, SIGUSR2: no longer."""
    lenient = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: lenient.set())
    signal.signal(signal.SIGUSR2, lambda *_: lenient.clear())
    listener = socket.socket()
    listener.bind((host, 0))
    listener.listen(128)
    print("listens", listener.getsockname()[1], flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve_one, args=(sock, lenient), daemon=True).start()


# ---- The client ----

def echo(sock, there, back, chance):
    sock.sendall(HEAD.pack(b"e", there, back))
    send(sock, there)
    sock.shutdown(socket.SHUT_WR)
    expect("echo's answer", back, receive(sock, chance.choice((0, 0, 0.001))))


def fetch(sock, _, back, chance):
    sock.sendall(HEAD.pack(b"f", 0, back))
    expect("fetch", back, receive(sock, chance.choice((0, 0, 0.002))))


def store(sock, there, *_):
    sock.sendall(HEAD.pack(b"s", there, 0))
    send(sock, there)


def give_up(sock, there, _, chance):
    sock.sendall(HEAD.pack(b"r", there, 0))
    send(sock, there, chance.randrange(there))
    reset(sock)


def be_reset(sock, _, back, __):
    sock.sendall(HEAD.pack(b"R", 0, back))
    try:
        receive(sock)
    except ConnectionResetError:
        return
    raise Wrong("an end instead of a reset")


def be_killed(sock, there, _, chance):
    sock.sendall(HEAD.pack(b"k", there, 0))
    child = os.fork()
    if child == 0:
        try:
            send(sock, there)
        finally:
            os._exit(0)
    sock.close()
    time.sleep(chance.random() / 100)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def refused(host):
    with socket.socket() as sock:
        sock.settimeout(LIMIT)
        result = sock.connect_ex((host, 9))
        if result != errno.ECONNREFUSED:
            raise Wrong(f"connect where nobody listens: {errno.errorcode.get(result, result)}")


ACTIONS = [echo, echo, fetch, fetch, store, store, give_up, be_reset, be_killed]


def one(host, port, chance, limit):
    if chance.random() < 0.05:
        refused(host)
        return 0
    size = [1 << chance.randrange(6), chance.randrange(1, 1 << 16),
            chance.randrange(1, 1 << 22)][chance.choice((0, 1, 1, 2))]
    there, back = size, chance.randrange(1, size + 1)
    with socket.socket() as sock:
        sock.settimeout(limit)
        sock.connect((host, port))
        chance.choice(ACTIONS)(sock, there, back, chance)
    return there + back


def client(host, port, seconds, seed, lenient="strict"):
    """Connect again and again; what was done, at the end.

    Where the other host's broker was killed, who only waits is told nothing, as when a host fails.
    """
    limit = SHORT if lenient == "lenient" else LIMIT
    chance = random.Random(int(seed))
    end, count, carried = time.monotonic() + float(seconds), 0, 0
    while time.monotonic() < end:
        try:
            carried += one(host, int(port), chance, limit)
        except (Wrong, OSError) as wrong:
            if lenient != "lenient" or "other bytes" in str(wrong):
                print("WRONG client", repr(wrong), "after", count, flush=True)
            time.sleep(0.05)
        count += 1
    print("done", count, carried, flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
