# SPDX-License-Identifier: BSD-3-Clause
"""Packets that somebody else sends into an association: what they may change, and what not."""

import struct
import subprocess
import sys

import pytest

from hosts import until
from test_hosts import port_of
from test_options import Wire

CHUNK_PADDING = b"\x84\x00\x00\x08\x00\x00\x00\x00"        # PAD (RFC 4820): taken, and ignored

HEARTBEAT = b"\x04\x00\x00\x0c\x00\x01\x00\x08mark"


def crc32c(text):
    """RFC 9260, appendix A."""
    crc = 0xffffffff
    for byte in text:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def packet(source, destination, tag, chunks):
    head = struct.pack("!HH", source, destination) + tag
    return head + struct.pack("<I", crc32c(head + bytes(4) + chunks)) + chunks


SERVER = """if True:
    import socket, sys
    server = socket.create_server(("0.0.0.0", 0))
    print("listens", server.getsockname()[1], flush=True)
    connection = server.accept()[0]
    for line in sys.stdin:
        connection.sendall(line.encode())"""
CLIENT = """if True:
    import socket
    connection = socket.create_connection(("10.0.0.2", {}))
    connection.settimeout(10)
    for line in connection.makefile():
        print(line, end="", flush=True)"""


@pytest.fixture
def talking(two):
    """A client that is spoken to and says nothing: what makes the server speak, and its packets."""
    one, other = two
    wire = Wire(one)
    server = other.start(sys.executable, "-c", SERVER)
    client = one.start(sys.executable, "-c", CLIENT.format(port_of(server)))

    def speak(text):
        server.stdin.write(text + "\n")
        server.stdin.flush()
        return client.stdout.readline()
    assert speak("first") == "first\n"
    sent = until(lambda: [seen for seen in list(wire.packets) if seen["from"] == "10.0.0.1" and
                          int(seen["tag"], 16)], "the client sends")[-1]
    yield one, speak, sent["ports"], bytes.fromhex(sent["tag"])
    wire.end()


def answered(host, text, seconds):
    """Sends from another UDP port of the host; whether a packet came back there in that time."""
    done = subprocess.run([*host.entry, sys.executable, "-c", f"""if True:
        import socket, sys
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("10.0.0.1", 5555))
        s.settimeout({seconds})
        s.sendto(bytes.fromhex("{text.hex()}"), ("10.0.0.2", 9899))
        try:
            print(len(s.recv(65536)) > 0)
        except TimeoutError:
            print(False)"""], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout == "True\n"


@pytest.mark.parametrize("chunks", [CHUNK_PADDING, HEARTBEAT, b"\x06\x00\x00\x04",
                                    b"\x0a\x00\x00\x08abcd"],
                         ids=["padding", "heartbeat", "abort", "cookie"])
def test_a_wrong_tag_turns_no_connection_away(talking, chunks):
    one, speak, ports, tag = talking
    wrong = bytes(byte ^ 0x55 for byte in tag)
    assert not answered(one, packet(*ports, wrong, chunks), 1)
    assert speak("second") == "second\n"


def test_the_right_tag_is_followed(talking):
    """As when a NAT has given the client another port (RFC 6951, 5.4)."""
    one, _, ports, tag = talking
    assert answered(one, packet(*ports, tag, HEARTBEAT), 30), "there where it came from"
