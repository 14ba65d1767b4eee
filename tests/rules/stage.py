# SPDX-License-Identifier: BSD-3-Clause
"""What the programs of the rules' tests begin with: they know nothing of the shim."""

import json
import os
import select
import socket
import struct
import sys
import threading
import time

from harness import protocol_of

LOCAL = "127.0.0.1"
args = [int(word) if word.isdigit() else word for word in sys.argv[1:]]

__all__ = ["LOCAL", "args", "ask", "connected", "json", "os", "protocol_of", "see", "select",
           "shown", "socket", "struct", "sys", "threading", "time", "tcp", "end_of_connect"]


def see(label, value):
    """Show what was seen."""
    if isinstance(value, OSError):
        value = os.strerror(value.errno) if value.errno else str(value)
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    print(json.dumps({label: value}), flush=True)


def shown(sock, level, name):
    """The option's bytes in hexadecimal, or why they cannot be had."""
    try:
        return sock.getsockopt(level, name, 64).hex()
    except OSError as error:
        return error.strerror


def tcp(family=socket.AF_INET):
    """A socket as programs make it."""
    return socket.socket(family, socket.SOCK_STREAM)


def connected(port, host=LOCAL, sock=None):
    """A connection to there."""
    sock = sock or tcp(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.connect((host, port))
    return sock


def ask(sock, data=b"ping"):
    """What an echo server answers."""
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        piece = sock.recv(len(data) - len(got))
        if not piece:
            break
        got += piece
    return got


def end_of_connect(sock, address):
    """A non-blocking connect, up to its result."""
    try:
        sock.connect(address)
    except BlockingIOError:
        pass
    select.select([], [sock], [], 10)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
