#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A session with tests/apps/inetd_service.c: inetd_client.py PORT FILE; prints the greeting."""

import socket
import sys
from pathlib import Path


def checksum(data):
    """The service's."""
    total = 1
    for byte in data:
        total = total * 31 + byte & 0xffffffff
    return total


def session(connection, data):
    """Everything the service can do; what it says first."""
    replies = connection.makefile("rb")
    greeting = replies.readline()
    for part in (b"", data[:1], data[:200000], data):
        connection.sendall(b"STORE %d\r\n" % len(part) + part)
        assert replies.readline() == b"200 %d %d\r\n" % (len(part), checksum(part))
        connection.sendall(b"SEND\r\n")
        assert replies.read(len(part)) == part
    connection.sendall(b"NONSENSE\r\n")
    assert replies.readline() == b"501 what?\r\n"
    connection.sendall(b"COUNT\r\n" + data)
    connection.shutdown(socket.SHUT_WR)
    assert replies.readline() == b"201 %d\r\n" % len(data)
    assert replies.read() == b"221 bye\r\n"
    return greeting.decode()


with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as client:
    print(session(client, Path(sys.argv[2]).read_bytes()), end="")
