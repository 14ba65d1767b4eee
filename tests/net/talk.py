# SPDX-License-Identifier: BSD-3-Clause
"""The unmodified program: a server and its client that know TCP sockets and nothing else.

    talk.py serve HOST PORT                  echoes what clients ask; for senders answers a SHA-256
    talk.py ask HOST PORT SECONDS            50 requests a second, each waits for its reply
    talk.py send HOST PORT MEGABYTES         a transfer of at least so much, 16 MB a second at most

One line of JSON for each thing that happened. HOST may be several with commas between: the first is
connected to, from the second if there is one. Clients go on until they are told to end, by a line on
stdin or its end: then they ask for SECONDS more, or send at least a quarter of MEGABYTES.
"""

import hashlib
import json
import select
import socket
import sys
import threading
import time

PACE = 0.02
REQUEST = 64
MEGABYTE = 1 << 20
MEGABYTE_PACE = 1 / 16
TRANSFER = b"TRANSFER"                                      # and then bytes, up to their end


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


def told():
    """Whether the time has come to end."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def digest(sock):
    """Read all that comes and hash it."""
    checksum = hashlib.sha256()
    while part := sock.recv(MEGABYTE):
        checksum.update(part)
    return checksum.digest()


def attend(sock):
    """One client, until it closes."""
    try:
        say(accepted=sock.getpeername()[0], own=sock.getsockname()[0])
        while head := exactly(sock, 8):
            if head == b"REQUEST!":
                sock.sendall(head + exactly(sock, REQUEST - 8))
            elif head == TRANSFER:
                sock.sendall(digest(sock))
            else:
                raise EOFError(f"{head!r} is the end")
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
    start, end = time.monotonic(), None
    worst, over, count = 0, 0, 0
    while end is None or time.monotonic() < end:
        if end is None and told():
            end = time.monotonic() + seconds
        time.sleep(max(0, start + count * PACE - time.monotonic()))
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
    start, end, number, quarter = time.monotonic(), None, 0, megabytes // 4
    sock.sendall(TRANSFER)
    while end is None or number < end:
        if end is None and told():
            end = max(megabytes, number + quarter)
        block = hashlib.sha256(number.to_bytes(8, "big")).digest() * (MEGABYTE // 32)
        checksum.update(block)
        sock.sendall(block)
        if number == quarter:
            say(quarter=True)
        number += 1
        time.sleep(max(0, start + number * MEGABYTE_PACE - time.monotonic()))
    sock.shutdown(socket.SHUT_WR)
    answer = exactly(sock, 32)
    say(sent=number, same=answer == checksum.digest(), seconds=time.monotonic() - start)


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
