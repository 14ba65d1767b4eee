# SPDX-License-Identifier: BSD-3-Clause
"""The userspace plane against the kernel plane: SCTP in UDP on both sides (RFC 6951), or IP protocol
132.

Needs SCTP in the kernel too: run it under tests/vm/run.
"""

import socket
import sys

import pytest

from hosts import PEER, Host, link


def sctp_missing():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()
    except OSError:
        return True
    return False


pytestmark = pytest.mark.skipif(sctp_missing(), reason="this kernel has no SCTP")
SIZE = 4 << 20
RAW = int(socket.SOCK_RAW)


def encapsulating(kernel):
    """A kernel that encapsulates has to be kept from sending what only its offloads can take apart."""
    for setting in ("udp_port", "encap_port"):
        kernel.plain("sysctl", "-qw", f"net.sctp.{setting}=9899")
    kernel.plain("ethtool", "-K", "wire", "gso", "off", "tx-sctp-segmentation", "off")


def bare(kernel, userspace):
    """Without UDP the checksums have to be there, which a virtual line leaves out.

    The other host's kernel has SCTP as well, here, and answers what is not for it: only what comes
    from raw sockets, as the broker's are, is let out.
    """
    kernel.plain("ethtool", "-K", "wire", "tx-checksum-sctp", "off", "gso", "off",
                 "tx-sctp-segmentation", "off")
    userspace.environment["SCTPSHIM_UDP_ENCAPS"] = "raw"
    userspace.plain("tc", "qdisc", "add", "dev", "wire", "root", "handle", "1:", "prio")
    userspace.plain("tc", "filter", "add", "dev", "wire", "parent", "1:", "protocol", "ip", "basic",
                    "match", f"cmp(u8 at 9 layer network eq 132) and not meta(sk_type eq {RAW})",
                    "action", "drop")


@pytest.fixture(scope="module", params=["userspace", "kernel", "userspace raw", "kernel raw"])
def ends(request, top, env_in, tmp_path_factory):
    """(client, server, its address), the server's plane as the parameter says, the client's the
    other one."""
    home = tmp_path_factory.mktemp("ends")
    environment = env_in(home)
    kernel = Host(home / "kernel", top, environment)
    kernel.environment["SCTPSHIM_STACK"] = "kernel"
    userspace = Host(home / "userspace", top, environment, kernel)
    link(kernel, userspace)
    if "raw" in request.param:
        bare(kernel, userspace)
    else:
        encapsulating(kernel)
    if "userspace" in request.param:
        yield kernel, userspace, "10.0.0.2"
    else:
        yield userspace, kernel, "10.0.0.1"
    userspace.end()
    kernel.end()


def test_names_data_and_half_close(ends):
    client, server, address = ends
    process = server.peer("echo", "0.0.0.0")
    port = process.stdout.readline().split()[1]
    done = client.run(sys.executable, PEER, "names", address, port)
    assert done.stdout.splitlines()[1:] == ["got hello", "end b''"], done.stderr


def test_bulk_both_ways(ends):
    client, server, address = ends
    process = server.peer("echo", "0.0.0.0")
    port = process.stdout.readline().split()[1]
    done = client.run(sys.executable, PEER, "bulk", address, port, SIZE)
    sent, received, count, _ = done.stdout.split()
    assert int(count) == SIZE
    assert sent == received


def test_refused(ends):
    client, server, address = ends
    server.peer("echo", "0.0.0.0").stdout.readline()
    done = client.run(sys.executable, PEER, "connect", address, 9)
    assert done.stdout.startswith("ConnectionRefusedError")


def test_reset(ends):
    client, server, address = ends
    process = server.peer("watch", "0.0.0.0")
    port = process.stdout.readline().split()[1]
    done = client.run(sys.executable, PEER, "abort", address, port)
    assert done.stdout == "got x\n"
    assert process.stdout.readline() == "ConnectionResetError\n"


MESSAGES = """
import hashlib, random, socket, sys, time
how, what, host, port = sys.argv[1:]
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP if what == "give" else 0)
sock.setsockopt(socket.SOL_SOCKET, 32, 2 << 20)              # SO_SNDBUFFORCE
if how == "serve":
    sock.bind(("0.0.0.0", 0))
    sock.listen()
    print("at", sock.getsockname()[1], flush=True)
    sock, _ = sock.accept()
else:
    sock.connect((host, int(port)))
digest, count = hashlib.sha256(), 0
if what == "give":
    for size in (1, 900_000, 3, 400_000, 70_000):
        data = random.randbytes(size)
        assert sock.send(data) == size
        digest.update(data)
        count += size
    sock.close()
else:
    time.sleep(0.5)
    while data := sock.recv(50_000):
        digest.update(data)
        count += len(data)
print(digest.hexdigest(), count, flush=True)
"""


def test_large_messages_of_a_native_peer(ends):
    """As large as its buffer allows, in more packets than the broker hands on at once; read late."""
    client, server, address = ends
    native_serves = server.environment["SCTPSHIM_STACK"] == "kernel"
    start, run = (server.start_plain, client.start) if native_serves else (server.start,
                                                                          client.start_plain)
    give, take = ("give", "take") if native_serves else ("take", "give")
    serving = start(sys.executable, "-c", MESSAGES, "serve", give, "-", "0")
    port = serving.stdout.readline().split()[1]
    calling = run(sys.executable, "-c", MESSAGES, "call", take, address, port)
    said = [process.communicate(timeout=60) for process in (serving, calling)]
    assert said[0][0] == said[1][0] != "", said
    assert said[0][0].split()[1] == "1370004"
