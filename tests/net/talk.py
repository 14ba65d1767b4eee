# SPDX-License-Identifier: BSD-3-Clause
"""The unmodified program: a server and its client that know TCP sockets and nothing else.

    talk.py serve HOST PORT                  echoes what clients ask; for senders answers a SHA-256
    talk.py ask HOST PORT SECONDS            50 requests a second, each waits for its reply
    talk.py send HOST PORT MEGABYTES         a transfer of at least 4 seconds

One line of JSON for each thing that happened. HOST may be several with commas between: the first is
connected to, from the second if there is one.
"""

import hashlib
import json
import socket
import sys
import threading
import time

PACE = 0.02
REQUEST = 64
MEGABYTE = 1 << 20
LEAST_SECONDS = 4


def say(**what):
    """One line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def family(host):
    """Of an address in text."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def exactly(sock, count):
    """COUNT bytes, fewer at the end of the stream."""
    parts = []
    while count and (part := sock.recv(min(count, MEGABYTE))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def digest(sock, count):
    """Read COUNT bytes and hash them."""
    checksum = hashlib.sha256()
    while count:
        part = sock.recv(min(count, MEGABYTE))
        if not part:
            raise EOFError(f"{count} bytes are missing")
        checksum.update(part)
        count -= len(part)
    return checksum.digest()


def attend(sock):
    """One client, until it closes."""
    try:
        say(accepted=sock.getpeername()[0], own=sock.getsockname()[0])
        while head := exactly(sock, 8):
            if head == b"REQUEST!":
                sock.sendall(head + exactly(sock, REQUEST - 8))
            else:
                sock.sendall(digest(sock, int.from_bytes(head, "big")))
        say(closed=True, peer=sock.getpeername()[0])
    except (OSError, EOFError) as error:
        say(failed=repr(error))
    finally:
        sock.close()


def serve(host, port):
    """For ever."""
    listener = socket.create_server((host, port), family=family(host), backlog=16,
                                    dualstack_ipv6=host == "::")
    say(listening=listener.getsockname()[0])
    while True:
        threading.Thread(target=attend, args=(listener.accept()[0],), daemon=True).start()


def connect(hosts, port):
    """A connection; says how long it took and who the ends are."""
    host, *own = hosts.split(",")
    began = time.monotonic()
    sock = socket.socket(family(host), socket.SOCK_STREAM)
    if own:
        sock.bind((own[0], 0))
    sock.connect((host, port))
    say(connected=time.monotonic() - began, peer=sock.getpeername()[0],
        own=sock.getsockname()[0])
    return sock


def ask(sock, seconds):
    """Requests at a steady pace; how long the slowest reply took, and when it came."""
    start = time.monotonic()
    worst, over, count = 0, 0, 0
    while (due := start + count * PACE) < start + seconds:
        time.sleep(max(0, due - time.monotonic()))
        request = b"REQUEST!" + count.to_bytes(8, "big") + bytes(REQUEST - 16)
        began = time.monotonic()
        sock.sendall(request)
        reply = exactly(sock, REQUEST)
        assert reply == request, f"request {count}: {reply!r}"
        if time.monotonic() - began > worst:
            worst, over = time.monotonic() - began, time.monotonic()
        count += 1
    say(asked=count, worst=worst, over=over, peer=sock.getpeername()[0],
        own=sock.getsockname()[0])


def send(sock, megabytes):
    """Announces the first quarter; the answer must be the hash of what was sent."""
    checksum = hashlib.sha256()
    start = time.monotonic()
    sock.sendall((megabytes * MEGABYTE).to_bytes(8, "big"))
    for number in range(megabytes):
        block = hashlib.sha256(number.to_bytes(8, "big")).digest() * (MEGABYTE // 32)
        checksum.update(block)
        sock.sendall(block)
        if number == megabytes // 4:
            say(quarter=True)
        time.sleep(max(0, start + number * LEAST_SECONDS / megabytes - time.monotonic()))
    answer = exactly(sock, 32)
    say(sent=megabytes, same=answer == checksum.digest(), seconds=time.monotonic() - start)


def main(what, host, port, *arguments):
    """The command line."""
    if what == "serve":
        serve(host, int(port))
        return
    try:
        with connect(host, int(port)) as sock:
            {"ask": ask, "send": send}[what](sock, *map(int, arguments))
    except (OSError, AssertionError) as error:
        say(failed=repr(error))
        sys.exit(1)


main(*sys.argv[1:])
