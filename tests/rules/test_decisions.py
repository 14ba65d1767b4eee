# SPDX-License-Identifier: BSD-3-Clause
"""Which sockets become what: each kind of rule, their order, and what is stronger than they."""

import socket
import sys
import time
from pathlib import Path

import pytest

from deciding import IPPROTO_SCTP, free_port

ASSOCIATIONS = Path("/proc/net/sctp/assocs")         # with what waits in their queues
BOTH = """
for name, port in zip(("first", "second"), args):
    try:
        sock = connected(port)
        see(name, ask(sock))
        see(name + " is", protocol_of(sock.fileno()))
    except OSError as error:
        see(name, error)
"""
CHUNKED = """
sock = connected(args[0])
see("answer", len(ask(sock, b"x" * 5000)))
"""


def test_a_port_stays_tcp_while_others_are_sctp(play, tcp_echo, sctp_echo):
    seen = play(f"[rule dns]\nrole = connect\nport = {tcp_echo.port}\naction = tcp\n", BOTH,
                tcp_echo.port, sctp_echo.port)
    assert (seen["first"], seen["first is"]) == ("ping", "tcp")
    assert (seen["second"], seen["second is"]) == ("ping", "sctp")


def test_an_address_stays_tcp_while_others_are_sctp(play, tcp_echo, sctp_echo):
    seen = play("[rule all]\naddress = 192.0.2.0/24, !127.0.0.1\naction = tcp\n", BOTH,
                tcp_echo.port, sctp_echo.port)
    assert (seen["first"], seen["second"]) == ("Connection refused", "ping")
    seen = play("[rule all]\naddress = 127.0.0.0/8\naction = tcp\n", BOTH, tcp_echo.port,
                sctp_echo.port)
    assert (seen["first"], seen["second"]) == ("ping", "Connection refused")


def test_everything_tcp_but_one_port(play, tcp_echo, sctp_echo):
    seen = play(f"action = tcp\n[rule one]\nport = {sctp_echo.port}\naction = sctp\n", BOTH,
                tcp_echo.port, sctp_echo.port)
    assert (seen["first is"], seen["second is"]) == ("tcp", "sctp")


def test_the_first_rule_that_matches_counts(play, tcp_echo):
    seen = play("[rule a]\nport = 1\naction = sctp\n"
                f"[rule b]\nport = {tcp_echo.port}\naction = tcp\n"
                f"[rule c]\nport = {tcp_echo.port}\naction = sctp\n", BOTH, tcp_echo.port)
    assert seen["first is"] == "tcp"


@pytest.mark.parametrize("pattern, matches", [
    ("python3*", True), (f"{sys.executable}*", True), ("curl, !python3*", False), ("nginx", False)])
def test_programs_are_told_apart(play, tcp_echo, sctp_echo, pattern, matches):
    seen = play(f"[rule program]\nprogram = {pattern}\naction = tcp\n", BOTH, tcp_echo.port,
                sctp_echo.port)
    assert ("first is" in seen.seen, "second is" in seen.seen) == (matches, not matches)


def test_a_rule_for_the_program_needs_no_replacement(play, tcp_echo):
    """The number that the socket is born with leads to the same inode afterwards."""
    text = """
sock = tcp()
before = os.fstat(sock.fileno()).st_ino
connected(args[0], sock=sock)
see("same", before == os.fstat(sock.fileno()).st_ino)
"""
    assert play("[rule p]\nprogram = python3*\naction = tcp\n", text, tcp_echo.port)["same"] is True
    assert play(f"[rule p]\nport = {tcp_echo.port}\naction = tcp\n", text,
                tcp_echo.port)["same"] is False


def test_a_variable_is_stronger_than_a_rule(play, sctp_echo):
    rules = f"[rule a]\nport = {sctp_echo.port}\naction = tcp\nchunk = 4k\n"
    seen = play(rules, BOTH, sctp_echo.port)
    assert seen["first"] == "Connection refused"
    seen = play(rules, CHUNKED, sctp_echo.port, ACTION="sctp", CHUNK="1k")
    assert seen["answer"] == 5000
    assert max(sctp_echo.pieces) == 1024


def test_a_rule_with_a_mistake_is_no_rule(play, sctp_echo):
    seen = play(f"[rule a]\nport = {sctp_echo.port}x\naction = tcp\n", BOTH, sctp_echo.port)
    assert seen["first is"] == "sctp"
    assert "rule a is ignored" in seen.stderr


def test_options_follow_the_destination(play, sctp_echo):
    seen = play(f"chunk = 2k\n[rule a]\nport = {sctp_echo.port}\nchunk = 1k\n", CHUNKED,
                sctp_echo.port)
    assert (seen["answer"], max(sctp_echo.pieces)) == (5000, 1024)
    seen = play("chunk = 2k\n[rule a]\nport = 1\nchunk = 1k\n", CHUNKED, sctp_echo.port)
    assert (seen["answer"], max(sctp_echo.pieces)) == (5000, 2048)


def test_parameters_follow_the_destination_and_what_the_program_set_stays(play, sctp_echo):
    """The kernel shows them: INIT_ATTEMPTS as configured, and as set by TCP_SYNCNT."""
    text = """
IPPROTO_SCTP, SCTP_INITMSG = 132, 2
import ctypes
libc = ctypes.CDLL(None)
def attempts(fd):
    # Not by libc's getsockopt(): to the program this is a TCP socket.
    import subprocess
    code = ("import socket, struct; s = socket.socket(fileno=0); "
            "print(struct.unpack('HHHH', s.getsockopt(132, 2, 8))[2])")
    return int(subprocess.run([sys.executable, "-c", code], stdin=fd, capture_output=True,
                              env={**os.environ, "LD_PRELOAD": ""}, check=True).stdout)
new, plain, own = tcp(), tcp(), tcp()
plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
own.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 3)
see("before", [attempts(sock.fileno()) for sock in (plain, own)])
for sock in (new, plain, own):
    connected(args[0], sock=sock)
see("after", [attempts(sock.fileno()) for sock in (new, plain, own)])
"""
    seen = play(f"init_attempts = 7\n[rule a]\nport = {sctp_echo.port}\ninit_attempts = 9\n", text,
                sctp_echo.port)
    assert (seen["before"], seen["after"]) == ([7, 3], [9, 9, 3])


SERVE = """
for port in args:
    listener = tcp()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", port))
    listener.listen(4)
    see(f"{port} listens", protocol_of(listener.fileno()))
    sock, _ = listener.accept()
    see(f"{port} is", protocol_of(sock.fileno()))
    data = sock.recv(100)
    sock.sendall(data * 1000)
    sock.close()
"""


def reach(port, protocol):
    """A connection there, as soon as someone listens."""
    for _ in range(100):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
        sock.settimeout(20)
        try:
            sock.connect(("127.0.0.1", port))
            return sock
        except ConnectionRefusedError:
            sock.close()
            time.sleep(0.1)
    raise AssertionError(f"nobody listens at {port}")


def fetch(port, protocol):
    """The length of what SERVE answers to a plain client, and of its longest piece."""
    with reach(port, protocol) as sock:
        sock.sendall(b"ab")
        pieces = []
        try:
            while piece := sock.recv(100000):
                pieces.append(len(piece))
        except TimeoutError as error:
            raise AssertionError(f"no end after {pieces}; the kernel has\n{ASSOCIATIONS.read_text()}"
                                 ) from error
        return sum(pieces), max(pieces)


def test_listeners_follow_rules_and_accepted_sockets_their_listener(play):
    one, two = free_port(), free_port()
    program = play.start(f"[rule mine]\nrole = listen\nport = {one}\naction = tcp\n"
                         f"[rule other]\nrole = listen\nport = {two}\nchunk = 1k\n",
                         SERVE, one, two)
    assert fetch(one, socket.IPPROTO_TCP)[0] == 2000
    total, longest = fetch(two, IPPROTO_SCTP)
    out, err = program.communicate(timeout=30)
    assert program.returncode == 0, err
    assert (total, longest) == (2000, 1024)
    for line in (f'"{one} listens": "tcp"', f'"{one} is": "tcp"', f'"{two} listens": "sctp"',
                 f'"{two} is": "sctp"'):
        assert line in out


def test_a_wildcard_listener_is_not_in_a_net(play, port):
    text = """
listener = tcp()
listener.bind(("", args[0]))
listener.listen(1)
see("wildcard", protocol_of(listener.fileno()))
listener.close()
listener = tcp()
listener.bind((LOCAL, args[0]))
listener.listen(1)
see("local", protocol_of(listener.fileno()))
"""
    seen = play("[rule net]\nrole = listen\naddress = 127.0.0.0/8\naction = tcp\n", text, port)
    assert (seen["wildcard"], seen["local"]) == ("sctp", "tcp")


def test_a_rule_for_listeners_is_none_for_a_bound_client(play, sctp_echo):
    text = """
sock = tcp()
sock.bind((LOCAL, 0))
own = sock.getsockname()
connected(args[0], sock=sock)
see("is", protocol_of(sock.fileno()))
see("same name", sock.getsockname() == own)
"""
    seen = play("[rule servers]\nrole = listen\naction = tcp\n", text, sctp_echo.port)
    assert (seen["is"], seen["same name"]) == ("sctp", True)


def test_a_port_that_tcp_has_is_taken_for_a_listener_to_be(play, tcp_echo, port):
    text = """
for port in args:
    listener = tcp()
    try:
        listener.bind((LOCAL, port))
        listener.listen(1)
        see(str(port), protocol_of(listener.fileno()))
    except OSError as error:
        see(str(port), error)
"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP) as native:
        native.bind(("127.0.0.1", port))
        native.listen(1)
        seen = play("[rule a]\nrole = listen\naction = tcp\n"
                    f"port = {port}, {tcp_echo.port}\n", text, tcp_echo.port, port)
    assert seen[str(tcp_echo.port)] == "Address already in use"
    assert seen[str(port)] == "tcp"


INHERITED = """
listener = tcp()
listener.bind((LOCAL, args[0]))
listener.listen(4)
os.dup2(listener.fileno(), 0)
os.execv(args[1], [args[1], "-c", '''
import socket
listener = socket.socket(fileno=0)
sock, _ = listener.accept()
sock.sendall(sock.recv(100) * 1000)
sock.close()
'''])
"""


@pytest.mark.parametrize("how", ["listening", "connected"])
def test_sockets_that_come_from_elsewhere_find_their_rule(play, port, how):
    text = INHERITED
    if how == "connected":
        text = text.replace("os.dup2(listener", "sock, _ = listener.accept()\nos.dup2(sock")
        text = text.replace("listener = socket.socket(fileno=0)\nsock, _ = listener.accept()",
                            "sock = socket.socket(fileno=0)")
    program = play.start(f"[rule a]\nrole = listen\nport = {port}\nchunk = 1k\n", text, port,
                         sys.executable)
    total, longest = fetch(port, IPPROTO_SCTP)
    _, err = program.communicate(timeout=30)
    assert program.returncode == 0, err
    assert (total, longest) == (2000, 1024)


def test_decisions_are_logged(play, tcp_echo):
    seen = play(f"[rule dns]\nport = {tcp_echo.port}\naction = tcp\n", BOTH, tcp_echo.port,
                LOG="info")
    assert f"connects to 127.0.0.1:{tcp_echo.port}: rule dns: tcp\n" in seen.stderr
