# SPDX-License-Identifier: BSD-3-Clause
"""The userspace plane against the kernel plane: SCTP in UDP on both sides (RFC 6951), or IP protocol
132.

Needs SCTP in the kernel too: run it under tests/vm/run.
"""

import socket
import sys

import pytest

from hosts import PEER


def sctp_missing():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()
    except OSError:
        return True
    return False


pytestmark = pytest.mark.skipif(sctp_missing(), reason="this kernel has no SCTP")
SIZE = 4 << 20


def encapsulating(kernel):
    """A kernel that encapsulates has to be kept from sending what only its offloads can take apart."""
    for setting in ("udp_port", "encap_port"):
        kernel.plain("sysctl", "-qw", f"net.sctp.{setting}=9899")
    kernel.plain("ethtool", "-K", "wire", "gso", "off", "tx-sctp-segmentation", "off")


def bare(kernel, userspace):
    """Without UDP the checksums have to be there, which a virtual line leaves out.

    The other host's kernel has SCTP as well, here, and answers what is not for it: what does not
    have the code point of the broker's packets is not let out.
    """
    kernel.plain("ethtool", "-K", "wire", "tx-checksum-sctp", "off", "gso", "off",
                 "tx-sctp-segmentation", "off")
    userspace.environment.update(SCTPSHIM_UDP_ENCAPS="raw", SCTPSHIM_DSCP="46")
    userspace.plain("tc", "qdisc", "add", "dev", "wire", "root", "handle", "1:", "prio")
    for order, words in (("1", "match ip dsfield 0xb8 0xfc flowid 1:1"), ("2", "action drop")):
        userspace.plain("tc", "filter", "add", "dev", "wire", "parent", "1:", "protocol", "ip", "prio",
                        order, "u32", "match", "ip", "protocol", "132", "0xff", *words.split())


@pytest.fixture(params=["userspace", "kernel",
                        pytest.param("userspace raw", marks=pytest.mark.long),
                        pytest.param("kernel raw", marks=pytest.mark.long)])
def ends(two, request):
    """(client, server), the server's plane as the parameter says, the client's the other one."""
    kernel, userspace = two
    kernel.environment["SCTPSHIM_STACK"] = "kernel"
    if "raw" in request.param:
        bare(kernel, userspace)
    else:
        encapsulating(kernel)
    return (kernel, userspace) if "userspace" in request.param else (userspace, kernel)


def address_of(host, two):
    return f"10.0.0.{two.index(host) + 1}"


def test_names_data_and_half_close(ends, two):
    client, server = ends
    process = server.peer("echo", "0.0.0.0")
    port = process.stdout.readline().split()[1]
    done = client.run(sys.executable, PEER, "names", address_of(server, two), port)
    assert done.stdout.splitlines()[1:] == ["got hello", "end b''"], done.stderr


def test_bulk_both_ways(ends, two):
    client, server = ends
    process = server.peer("echo", "0.0.0.0")
    port = process.stdout.readline().split()[1]
    done = client.run(sys.executable, PEER, "bulk", address_of(server, two), port, SIZE)
    sent, received, count, _ = done.stdout.split()
    assert int(count) == SIZE
    assert sent == received


def test_refused(ends, two):
    client, server = ends
    server.peer("echo", "0.0.0.0").stdout.readline()
    done = client.run(sys.executable, PEER, "connect", address_of(server, two), 9)
    assert done.stdout.startswith("ConnectionRefusedError")


def test_reset(ends, two):
    client, server = ends
    process = server.peer("watch", "0.0.0.0")
    port = process.stdout.readline().split()[1]
    done = client.run(sys.executable, PEER, "abort", address_of(server, two), port)
    assert done.stdout == "got x\n"
    assert process.stdout.readline() == "ConnectionResetError\n"
