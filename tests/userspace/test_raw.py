# SPDX-License-Identifier: BSD-3-Clause
"""IP protocol 132 without UDP around it, where it is asked for and may be."""

import subprocess
import sys

import pytest

from hosts import PEER
from test_hosts import port_of, said

RAW = {"SCTPSHIM_UDP_ENCAPS": "raw"}
COUNT = """if True:
    import collections, socket, sys
    line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    line.bind(("wire", 0))
    print("ready", flush=True)
    sys.stdin.readline()
    line.setblocking(False)
    seen = collections.Counter()
    try:
        while frame := line.recv(65536):
            seen[frame[23] if frame[12:14] == b"\\x08\\x00" else frame[20]] += 1
    except BlockingIOError:
        print(seen[132], seen[17])"""


@pytest.fixture
def protocols(two):
    """A function: packets of IP protocol 132 and of UDP that have passed on the first host's line."""
    with subprocess.Popen([*two[0].entry, sys.executable, "-c", COUNT], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as line:
        assert line.stdout.readline() == "ready\n"

        def count():
            return [int(word) for word in line.communicate("\n", timeout=20)[0].split()]
        yield count
        line.kill()


@pytest.mark.parametrize("address", ["10.0.0.2", "fd00::2"])
def test_nothing_but_sctp_is_between_them(two, protocols, address):
    one, other = two
    port = port_of(other.peer("echo", "::" if ":" in address else "0.0.0.0", **RAW))
    sent, received, count, _ = said(one, "bulk", address, port, 4 << 20, **RAW).split()
    assert (int(count), received) == (4 << 20, sent)
    sctp, udp = protocols()
    assert sctp > 100 and udp == 0


def test_refused_where_nobody_listens(two):
    one, other = two
    port_of(other.peer("echo", "0.0.0.0", **RAW))
    assert said(one, "connect", "10.0.0.2", 9, **RAW).startswith("ConnectionRefusedError")


def test_refused_where_no_sctp_is(two):
    """An ICMP error says that the protocol is unreachable."""
    assert said(two[0], "connect", "10.0.0.2", 9, **RAW).startswith("ConnectionRefusedError")


def test_both_kinds_of_peers_are_served(two):
    one, other = two
    port = port_of(other.peer("echo", "0.0.0.0", **RAW))
    assert "got hello" in said(one, "names", "10.0.0.2", port, **RAW)
    assert "got hello" in said(one, "names", "10.0.0.2", port)


def test_without_permission_it_is_udp(two, protocols):
    one, other = two
    port = port_of(other.peer("echo", "0.0.0.0"))
    drop = ["setpriv", "--bounding-set=-net_raw"]
    done = subprocess.run([*one.entry, *drop, *one.command(sys.executable, PEER, "names", "10.0.0.2",
                                                           port)[len(one.entry):]],
                          env={**one.environment, **RAW}, capture_output=True, text=True,
                          timeout=60, check=False)
    assert "got hello" in done.stdout, done.stderr
    assert "UDP_ENCAPS=raw: no raw socket (EPERM, it takes CAP_NET_RAW)" in one.log()
    sctp, udp = protocols()
    assert sctp == 0 and udp > 3
