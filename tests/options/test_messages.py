# SPDX-License-Identifier: BSD-3-Clause
"""docs/messages.md: programs that write messages, over a line that loses and reorders packets.

The end of the stream comes after every message, whatever order the messages themselves come in.
"""

import contextlib
import struct
import subprocess

import pytest

import kernel
from filters import MATCH, SHUTDOWN_ACK, run

COUNT, SIZE = 100, 500
SEND = f"for n in range({COUNT}): s.sendall(n.to_bytes(4, 'big') * {SIZE // 4})"
EDGE_TRIGGERED = """
def edge_triggered():
    s.setblocking(False)
    e = select.epoll()
    e.register(s, select.EPOLLIN | select.EPOLLET)
    while e.poll(20):
        try:
            return s.recv(100)
        except BlockingIOError:
            pass
"""
WAYS = {
    "blocking": "answer = s.recv(100)",
    "poll": "p = select.poll(); p.register(s, select.POLLIN); p.poll(20000); answer = s.recv(100)",
    "poll for the end": ("p = select.poll(); p.register(s, select.POLLIN | 0x2000); "
                         "p.poll(20000); answer = s.recv(100)"),
    "edge-triggered": "answer = edge_triggered()",
}


def line(*netem):
    """What happens to packets on lo from now on."""
    subprocess.run(["tc", "qdisc", "replace", "dev", "lo", "root", "netem", *netem], check=True)


def pair(stage, **options):
    """A client with these options as `s`, and a server's end of its connection, `s` too."""
    server = stage.program()
    server("l = socket.create_server(('127.0.0.1', 0))")
    client = stage.program(MESSAGES="yes", **options)
    assert client(f"s = socket.create_connection({server('l.getsockname()')}, 10)") is None
    assert server("s = l.accept()[0]; s.settimeout(30)") is None
    client("s.settimeout(30)")
    return client, server


READ_AND_ANSWER = "got = b''.join(iter(lambda: s.recv(65536), b'')); s.sendall(b'answer')"
READ_ALL = f"{READ_AND_ANSWER}; s.close()"


def messages_in(program):
    """The numbers of the messages that the program read, each of which is whole."""
    got = program("got")
    assert len(got) % SIZE == 0
    numbers = []
    for at in range(0, len(got), SIZE):
        message = got[at:at + SIZE]
        assert message == message[:4] * (SIZE // 4)
        numbers.append(int.from_bytes(message[:4], "big"))
    return numbers


def written(stage, *wire, **options):
    """A pair whose client has written all over a line with these faults, while the server reads."""
    client, server = pair(stage, **options)
    line(*wire)
    server.send(READ_ALL)
    assert client(SEND) is None
    return client, server


DISORDERLY = [{"SPREAD": "writes"}, {"UNORDERED": "yes"},
              {"SPREAD": "writes", "UNORDERED": "yes", "SCHEDULER": "rr"}]


@pytest.mark.parametrize("options", DISORDERLY, ids=lambda options: "+".join(options))
@pytest.mark.parametrize("way", WAYS)
def test_half_close_comes_after_everything(own_network, stage, options, way):
    """And the answer to it comes back, however the program waits for it."""
    client, server = written(stage, "delay", "20ms", "20ms", "loss", "5%", **options)
    assert client("s.shutdown(socket.SHUT_WR)") is None
    assert client("s.send(b'more')") == "EPIPE"
    assert client(f"exec({EDGE_TRIGGERED!r})") is None
    assert client(WAYS[way]) is None
    assert client("answer") == b"answer"
    assert server.answer() is None
    assert sorted(messages_in(server)) == list(range(COUNT))
    line("delay", "0ms")
    assert client("s.setblocking(True); s.settimeout(10)") is None
    assert client("s.recv(100)") == b""


def test_messages_do_come_in_another_order(own_network, stage):
    """What the page warns of: without it the tests above would show nothing."""
    client, server = written(stage, "delay", "20ms", "20ms", "loss", "5%", UNORDERED="yes")
    client("s.close()")
    server.answer()
    numbers = messages_in(server)
    assert numbers != list(range(COUNT)) and sorted(numbers) == list(range(COUNT))


GIVEN_UP = {"retransmissions": {"MESSAGE_RETRANS": 0}, "lifetime": {"LIFETIME": 50, "RTO_MIN": 50}}


def abandoned(stage, program):
    """How many messages the kernel gave up: struct sctp_prstatus, of all policies."""
    given = struct.pack("=iHH16x", 0, 0, 0x80)
    return sum(kernel.option(stage.seen(program), kernel.PR_ASSOC_STATUS, "=iHHQQ", given)[3:])


@contextlib.contextmanager
def endless():
    """While the block runs no association on lo ends, and all can be asked: SHUTDOWN has no answer."""
    run(f"tc qdisc add dev lo clsact && tc filter add dev lo ingress {MATCH} {SHUTDOWN_ACK} action drop")
    try:
        yield
    finally:
        run("tc qdisc del dev lo clsact")


@pytest.mark.parametrize("options", GIVEN_UP.values(), ids=GIVEN_UP)
@pytest.mark.parametrize(
    "how", [{}, {"UNORDERED": "yes"}, {"UNORDERED": "yes", "SPREAD": "writes"}],
    ids=lambda how: "+".join(how) or "in order")
def test_given_up_messages_are_missing_whole_and_the_end_is_not(own_network, stage, options, how):
    """What was not given up is there, before the end."""
    client, server = pair(stage, **how, **options)
    line("delay", "30ms", "loss", "15%")
    server.send(READ_AND_ANSWER)
    client(SEND)
    client("s.shutdown(socket.SHUT_WR)")
    assert client("s.recv(100)") == b"answer"
    assert server.answer() is None
    lost = abandoned(stage, client)
    assert lost > 0 and COUNT - lost <= len(set(messages_in(server))) < COUNT


@pytest.mark.parametrize("options", GIVEN_UP.values(), ids=GIVEN_UP)
def test_spread_and_given_up_the_end_of_one_direction_ends_both(own_network, stage, options):
    """The documented refusal: everything arrives that was not given up, an answer does not."""
    log = stage.directory / "log"
    client, server = pair(stage, SPREAD="writes", LOG_FILE=log, **options)
    line("delay", "30ms", "loss", "15%")
    with endless():
        server.send("got = b''.join(iter(lambda: s.recv(65536), b''))")
        client(SEND)
        assert client("s.shutdown(socket.SHUT_WR)") is None
        assert "the end of one direction ends both" in log.read_text("utf-8")
        assert server.answer() is None
        lost = abandoned(stage, client)
    line("delay", "0ms")
    assert lost > 0 and COUNT - lost <= len(set(messages_in(server))) < COUNT
    assert client("s.recv(100)") == b""


def test_end_that_waits_is_not_lost_by_close(own_network, stage):
    """Closing with the FIN message still due: all arrives, then the end."""
    client, server = written(stage, "delay", "50ms", UNORDERED="yes")
    client("s.shutdown(socket.SHUT_WR); s.close()")
    server.answer()
    assert sorted(messages_in(server)) == list(range(COUNT))


def test_end_that_waits_is_sent_by_whoever_reads(own_network, stage):
    """The program forks between its end and the reading of the answer: the kernel remembers."""
    client, server = written(stage, "delay", "50ms", SPREAD="writes")
    client("s.shutdown(socket.SHUT_WR)")
    client("r, w = os.pipe()")
    client("os.fork() or (os.write(w, s.recv(100)), os._exit(0))")
    assert client("os.read(r, 100)") == b"answer"
    server.answer()
    assert sorted(messages_in(server)) == list(range(COUNT))


@pytest.mark.parametrize("how", ["s.sendfile(open(name, 'rb'))",
                                 "os.writev(s.fileno(), [open(name, 'rb').read(1)] * 90 + "
                                 "[open(name, 'rb').read()[90:]])"], ids=["sendfile", "writev"])
def test_other_ways_to_write_are_one_message_too(stage, how):
    program, _, peer = stage.connected(MESSAGES="yes", SPREAD="writes")
    file = stage.directory / "file"
    file.write_bytes(b"x" * 90000)
    program(f"name = {str(file)!r}")
    assert program(how) == 90000
    assert [peer.data()[1:], peer.sock.getpeername()[0]] == [(b"x" * 90000, 0, 0), "127.0.0.1"]


def test_what_the_peer_cannot_is_said(stage):
    """A peer without partial reliability: everything is delivered, and the log says so."""
    def offer_nothing(sock):
        sock.setsockopt(kernel.IPPROTO_SCTP, kernel.PR_SUPPORTED, bytes(8))
    file = stage.directory / "log"
    stage.connected(prepare=offer_nothing, MESSAGES="yes", LIFETIME=100, LOG_FILE=file)
    assert "LIFETIME and MESSAGE_RETRANS: the peer does not know it" in file.read_text("utf-8")
