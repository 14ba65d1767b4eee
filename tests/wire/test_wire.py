# SPDX-License-Identifier: BSD-3-Clause
"""docs/wire.md, point by point, against an SCTP program that plays the other end by hand.

Here sockets speak raw SCTP: this file is the third party that page is written for.
"""

import contextlib
import struct
import subprocess

import pytest

from native import FIN_PPID, SHIM, Native

pytestmark = pytest.mark.usefixtures("sctp")


def to_native(puppet, indication=0, **options):
    """A program under the shim, connected as `s` to a native end that announces INDICATION."""
    listener = Native(indication)
    program = puppet(**options)
    address = listener.listen()
    assert program(f"s = socket.create_connection({address}, 5)") is None
    peer = listener.accept()
    listener.close()
    return program, peer


def from_native(puppet, indication=0):
    """The same, the native end connecting."""
    program = puppet()
    program("l = socket.create_server(('127.0.0.1', 0))")
    peer = Native(indication)
    peer.sock.connect(program("l.getsockname()"))
    program("s = l.accept()[0]")
    program("s.settimeout(30)")
    return program, peer


@pytest.fixture(params=[to_native, from_native], ids=["active", "passive"])
def connect(request):
    """Both ways to be connected."""
    return request.param


def test_announces_itself(puppet, connect):
    """5: the code point in INIT and in INIT ACK."""
    program, peer = connect(puppet, SHIM)
    assert peer.indication() == SHIM
    assert program("s.getpeername()") == peer.sock.getsockname()[:2]


def test_messages_are_the_bytes(puppet, connect):
    """1: the program's bytes and nothing else, both ways; message borders mean nothing."""
    program, peer = connect(puppet)
    program("s.sendall(b'one'); s.sendall(b'two')")
    for part in (b"th", b"ree", b"four"):
        peer.send(part)
    assert program("time.sleep(0.1); got = s.recv(100)") is None
    assert program("got") == b"threefour"
    program("s.close()")
    got = peer.messages()
    assert b"".join(data for data, _, _ in got[:-1]) == b"onetwo" and got[-1] == "end"


def test_stream_and_ppid(puppet):
    """1, 2: the configured stream and payload protocol identifier."""
    program, peer = to_native(puppet, STREAM=3, PPID=46)
    program("s.sendall(b'x'); s.close()")
    assert peer.messages() == [(b"x", 46, 3), "end"]


def test_fin_message_sent(puppet, connect):
    """8: one byte 0 with the FIN message's identifier, on the data's stream, after the data."""
    program, peer = connect(puppet, SHIM)
    program("s.sendall(b'request')")
    assert program("s.shutdown(socket.SHUT_WR)") is None
    peer.indication()
    assert peer.recv() == ("data", b"request", 0, 0)
    assert peer.recv() == ("data", b"\0", FIN_PPID, 0)
    assert program("s.send(b'more')") == "EPIPE"
    peer.send(b"late answer")
    assert program("s.recv(100)") == b"late answer"
    peer.close()
    assert program("s.recv(100)") == b""


def test_fin_message_on_the_configured_stream(puppet):
    """8: also when that is not stream 0."""
    program, peer = to_native(puppet, SHIM, STREAM=2, PPID=7)
    program("s.sendall(b'x'); s.shutdown(socket.SHUT_WR)")
    peer.indication()
    assert [peer.recv(), peer.recv()] == [("data", b"x", 7, 2), ("data", b"\0", FIN_PPID, 2)]


@pytest.mark.parametrize("version", [SHIM, SHIM + 1, SHIM | 0xf0], ids=["1", "2", "capabilities"])
def test_fin_message_received(puppet, connect, version):
    """6, 9: from every version, the data, then the end, then the other direction lives on."""
    program, peer = connect(puppet, version)
    peer.send(b"request")
    peer.send(b"\0", FIN_PPID)
    assert program("s.recv(7)") == b"request"
    assert [program("s.recv(100)"), program("s.recv(100)")] == [b"", b""]
    assert program("s.sendall(b'answer')") is None
    assert program("s.close()") is None
    assert peer.messages() == [(b"answer", 0, 0), "end"]


def test_fin_message_unread(puppet, connect):
    """14: a FIN message that the program does not read does not reset the connection."""
    program, peer = connect(puppet, SHIM)
    peer.send(b"\0", FIN_PPID)
    program("time.sleep(0.05); s.sendall(b'a' * 100000); s.close()")
    got = peer.messages()
    assert sum(len(data) for data, _, _ in got[:-1]) == 100000 and got[-1] == "end"


def test_fin_messages_cross(puppet, connect):
    """11: both ends send one before they have received the other's."""
    program, peer = connect(puppet, SHIM)
    peer.send(b"\0", FIN_PPID)
    assert program("s.shutdown(socket.SHUT_WR)") is None
    assert program("s.recv(10)") == b""
    got = peer.messages()
    assert got in ([(b"\0", FIN_PPID, 0), "end"], ["end"])
    assert program("s.close()") is None


def test_answering_half_close_is_the_end(puppet, connect):
    """11: after a FIN message was received, ending the own direction ends the association."""
    program, peer = connect(puppet, SHIM)
    peer.send(b"\0", FIN_PPID)
    assert program("s.recv(10)") == b""
    program("s.sendall(b'answer'); s.shutdown(socket.SHUT_WR)")
    assert peer.messages() == [(b"answer", 0, 0), "end"]
    assert program("s.shutdown(socket.SHUT_WR)") == "ENOTCONN"


def test_native_peers_fin_identifier_is_data(puppet, connect):
    """10: from a peer that announced nothing it is a byte like any other."""
    program, peer = connect(puppet)
    peer.send(b"\0", FIN_PPID)
    peer.send(b"x")
    assert program("s.recv(2, socket.MSG_WAITALL)") == b"\0x"


@pytest.mark.parametrize("indication", [0, 0x12345678, 0x53435301], ids=hex)
def test_native_peer_gets_sctps_shutdown(puppet, connect, indication):
    """7: no FIN message for who did not ask; all data, the end, and this end sees the end too."""
    program, peer = connect(puppet, indication)
    program("s.sendall(b'request')")
    peer.send(b"on its way")
    assert program("s.shutdown(socket.SHUT_WR)") is None
    assert peer.messages() == [(b"request", 0, 0), "end"]
    assert program("s.recv(100)") == b"on its way"
    assert program("s.recv(100)") == b""
    assert program("s.send(b'x')") == "EPIPE"
    poll = "dict((lambda p: (p.register(s, 0x2005), p.poll(30000))[1])(select.poll()))[s.fileno()]"
    assert program(poll) & 0x10


def test_native_peer_shuts_down(puppet, connect):
    """SCTP's shutdown from a native peer is the end of the stream."""
    program, peer = connect(puppet)
    peer.send(b"data")
    peer.close()
    assert [program("s.recv(100)"), program("s.recv(100)")] == [b"data", b""]


def test_close_with_unread_data_aborts(puppet, connect):
    """13: and the peer sees a reset."""
    program, peer = connect(puppet)
    peer.send(b"never read")
    program("time.sleep(0.05); s.close()")
    assert peer.messages() == ["ConnectionResetError"]


@contextlib.contextmanager
def vanished(peer):
    """PEER is gone as if its machine had lost power; what is done in the block is heard again."""
    lose = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "loss", "100%"]
    subprocess.run(lose, check=True)
    peer.sock.setsockopt(1, 13, struct.pack("ii", 1, 0))     # SO_LINGER: at once
    peer.close()
    subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)
    yield


def test_restart_is_a_reset(own_network, puppet):
    """15: a peer that vanished and connects again from its port does not continue the stream."""
    program = puppet()
    program("l = socket.create_server(('127.0.0.1', 0))")
    address = program("l.getsockname()")
    old = Native()
    old.sock.bind(("127.0.0.1", 0))
    where = old.sock.getsockname()
    old.sock.connect(address)
    program("s = l.accept()[0]; s.settimeout(30)")
    old.send(b"old ")
    assert program("s.recv(10)") == b"old "
    with vanished(old):
        new = Native()
        new.sock.setsockopt(1, 2, 1)                         # SO_REUSEADDR
        new.sock.bind(where)
        new.sock.connect(address)
    new.send(b"new bytes")
    assert program("s.recv(100)") == "ECONNRESET"
    assert program("s.recv(100)") == b""
    assert new.messages() == ["ConnectionResetError"]
