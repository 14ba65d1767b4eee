# SPDX-License-Identifier: BSD-3-Clause
"""A program under the shim and a native SCTP program, both ways around, with checked bytes.

The native ones are not of ours: lksctp-tools, ncat, iperf3; and a few lines of Python on raw
SCTP sockets, as PySCTP would have them.
"""

import hashlib
import json
import os
import re
import sys
import threading

import pytest

from native import Native

PORT, OTHER = 7300, 7301
HERE = "127.0.0.1"
BYTES = os.urandom(1 << 20)

RECEIVE = f"""
import hashlib, socket
listener = socket.create_server(('{HERE}', {PORT}))
connection, peer = listener.accept()
digest, count = hashlib.sha256(), 0
while data := connection.recv(65536):
    digest.update(data)
    count += len(data)
connection.sendall(b'bye') if ANSWER else None
print(count, digest.hexdigest(), peer[0])
"""
SEND = f"""
import socket, sys
connection = socket.create_connection(('{HERE}', {PORT}), 10)
while data := sys.stdin.buffer.read1(65536):
    connection.sendall(data)
connection.close()
"""


def receiver(side):
    """A server under the shim that says how many bytes it read, and their digest."""
    return side.start(sys.executable, "-c", RECEIVE.replace("ANSWER", "False"), shim=True,
                      listens=PORT)


def sender(side):
    """A client under the shim that sends what it is fed."""
    return side.start(sys.executable, "-c", SEND, shim=True)


def received(side, server):
    """Count and digest."""
    count, digest, peer = side.output(server).decode().split()
    assert peer == HERE
    return int(count), digest


def described(data):
    """The same of these bytes."""
    return len(data), hashlib.sha256(data).hexdigest()


# ---- ncat --sctp ----

def ncat_receives(side, file, client, *options, shim):
    """What an ncat wrote to FILE of what that client sends.

    The client ends when they are there: ncat --sctp may stop at the end before it has read all, also
    of a native sender.
    """
    with file.open("wb") as out:
        server = side.start("ncat", *options, "-l", HERE, PORT, "--recv-only", shim=shim,
                            listens=PORT, stdout=out)
        feeding = client()
        feeding.stdin.write(BYTES)
        feeding.stdin.flush()
        side.until(lambda: file.stat().st_size >= len(BYTES))
        side.output(feeding)
        side.output(server)
    return described(file.read_bytes())


def test_ncat_serves(side, tmp_path):
    got = ncat_receives(side, tmp_path / "got", lambda: sender(side), "--sctp", shim=False)
    assert got == described(BYTES)


def test_ncat_connects(side):
    server = receiver(side)
    client = side.start("ncat", "--sctp", HERE, PORT, "--send-only", shim=False)
    side.output(client, BYTES)
    assert received(side, server) == described(BYTES)


@pytest.mark.parametrize("shimmed", ["client", "server"])
def test_ncat_under_the_shim_and_ncat_with_sctp(side, tmp_path, shimmed):
    """The same program, once told to speak SCTP and once made to, in both roles."""
    told = [[], ["--sctp"]] if shimmed == "server" else [["--sctp"], []]
    got = ncat_receives(
        side, tmp_path / "got",
        lambda: side.start("ncat", *told[1], HERE, PORT, "--send-only", shim=shimmed == "client"),
        *told[0], shim=shimmed == "server")
    assert got == described(BYTES)


# ---- lksctp-tools ----

def line_of(one, pattern):
    """The next line that the program says that looks so."""
    for line in one.stdout:
        if found := re.search(pattern, line.decode()):
            return found
    raise AssertionError(f"no {pattern}: {one.stderr.read()}")


def test_sctp_darn_serves(side):
    """It shows each message as it comes, less its last byte: one write is one."""
    server = side.start("stdbuf", "-oL", "sctp_darn", "-H", HERE, "-P", PORT, "-l", shim=False,
                        listens=PORT)
    side.output(sender(side), b"hello, darn")
    assert line_of(server, r"DATA\(11\):\s+hello, dar")


def test_sctp_darn_connects(side):
    """It sends lines with their zero byte."""
    server = receiver(side)
    client = side.start("sctp_darn", "-H", HERE, "-P", OTHER, "-h", HERE, "-p", PORT, "-s",
                        shim=False)
    side.output(client, b"first line\nsecond line\n", status=None)    # its own affair
    assert received(side, server) == described(b"first line\n\0second line\n\0")


def test_sctp_test_serves(side):
    """A message of 5000 bytes in one piece."""
    server = side.start("stdbuf", "-oL", "sctp_test", "-H", HERE, "-P", PORT, "-l", shim=False,
                        listens=PORT)
    side.output(sender(side), b"x" * 5000)
    assert line_of(server, r"Data (\d+) bytes. First 10 bytes: x{9}").group(1) == "5000"


@pytest.mark.parametrize("case, least", [(0, 10), (3, 5000), (6, 50000)])
def test_sctp_test_connects(side, case, least):
    """Messages of any size, some unordered, with random identifiers: they are just bytes."""
    server = receiver(side)
    client = side.start("sctp_test", "-H", HERE, "-P", OTHER, "-h", HERE, "-p", PORT, "-s",
                        "-x", 1, "-c", case, "-T", shim=False)
    said = side.output(client).decode()
    sent = sum(map(int, re.findall(r"sendmsg\(.*\)\s+(\d+) bytes", said)))
    assert sent >= least
    assert received(side, server)[0] == sent


# ---- iperf3, made to speak SCTP by lksctp-tools instead of by us ----

def assert_transferred(result):
    """iperf3 stops to count while the last of it, a full SNDBUF and a bit, is on its way."""
    end = result["end"]
    assert end["sum_sent"]["bytes"] >= 4 << 20
    assert end["sum_received"]["bytes"] > 2 << 20


@pytest.mark.parametrize("shimmed", ["client", "server"])
@pytest.mark.parametrize("reverse", [[], ["--reverse"]], ids=["forward", "reverse"])
def test_iperf3_withsctp(side, shimmed, reverse):
    """withsctp changes socket() and no more: writes of 16 KB are messages, and nothing is tuned."""
    command = {"client": ["iperf3", "-c", HERE, "-p", PORT, "-n", "4M", "-l", "16K", "--json",
                          *reverse], "server": ["iperf3", "-s", "-1", "-p", PORT]}
    server = side.start(*([] if shimmed == "server" else ["withsctp"]), *command["server"],
                        shim=shimmed == "server", listens=PORT)
    client = side.start(*([] if shimmed == "client" else ["withsctp"]), *command["client"],
                        shim=shimmed == "client")
    assert_transferred(json.loads(side.output(client, timeout=60)))
    side.output(server)


def test_iperf3_that_knows_sctp_itself(side):
    """Both ends under the shim: its own SCTP sockets are left alone, its TCP ones are converted."""
    server = side.start("iperf3", "-s", "-1", "-p", PORT, shim=True, listens=PORT)
    client = side.start("iperf3", "--sctp", "-c", HERE, "-p", PORT, "-n", "4M", "-l", "16K",
                        "--json", shim=True)
    result = json.loads(side.output(client, timeout=60))
    assert result["start"]["test_start"]["protocol"] == "SCTP"
    assert_transferred(result)
    side.output(server)


# ---- Raw SCTP sockets in Python ----

def serve_natively(listener, answer):
    """Accepts one peer, reads all that it sends, answers; what was read."""
    peer = listener.accept()
    data = peer.data()
    peer.send(answer, ppid=99, stream=1)
    rest = peer.messages()
    return data, rest


def test_python_serves(side):
    """A request and its answer; then the end."""
    listener = Native()
    host, port = listener.listen()
    found = []
    thread = threading.Thread(target=lambda: found.extend(serve_natively(listener, b"answer")))
    thread.start()
    ask = (f"import socket; s = socket.create_connection(({host!r}, {port}), 10); "
           "s.sendall(b'question'); print(s.recv(100).decode()); s.close()")
    said = side.output(side.start(sys.executable, "-c", ask, shim=True))
    thread.join(10)
    assert said == b"answer\n"
    assert found == [("data", b"question", 0, 0), ["end"]]


def test_python_connects(side):
    """Its messages, on several streams one after the other, are the bytes; so are the answers."""
    serve = RECEIVE.replace("ANSWER", "True").replace("while data := connection.recv(65536):",
                                                      "while count < 600000:\n"
                                                      "    data = connection.recv(65536)")
    server = side.start(sys.executable, "-c", serve, shim=True, listens=PORT)
    peer = Native()
    peer.sock.connect((HERE, PORT))
    sent = b""
    for number in range(60):
        message = os.urandom(10000)
        peer.send(message, ppid=number)
        sent += message
    assert peer.data() == ("data", b"bye", 0, 0)
    peer.close()
    assert received(side, server) == described(sent)
