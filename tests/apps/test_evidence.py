# SPDX-License-Identifier: BSD-3-Clause
"""The proof that the other tests rely on accepts what it should, and nothing else."""

import socket
import threading

import pytest

import evidence

PROTOCOL = {"tcp": socket.IPPROTO_TCP, "sctp": 132}
SIZE = 300000


def transfer(transport, family=socket.AF_INET):
    """Send SIZE bytes over loopback with plain sockets of this transport; the server's port."""
    protocol = PROTOCOL[transport]
    with socket.socket(family, socket.SOCK_STREAM, protocol) as listener, \
            socket.socket(family, socket.SOCK_STREAM, protocol) as client:
        listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.listen(1)
        assert evidence.listens(transport, port)
        client.connect(listener.getsockname())
        server = listener.accept()[0]

        def send():
            for start in range(0, SIZE, 30000):
                server.sendall(b"x" * min(30000, SIZE - start))
            server.close()

        sender = threading.Thread(target=send)
        sender.start()
        received = 0
        while piece := client.recv(65536):
            received += len(piece)
        sender.join()
    assert received == SIZE
    return port


@pytest.mark.parametrize("transport", ["tcp", "sctp"])
def test_right_transport(transport, sctp):
    """What this transport carried is accepted."""
    with evidence.carries(transport, SIZE):
        transfer(transport)


@pytest.mark.parametrize("claimed, used", [("sctp", "tcp"), ("tcp", "sctp")])
def test_wrong_transport(claimed, used, sctp):
    """What the other one carried is not."""
    with pytest.raises(AssertionError):
        with evidence.carries(claimed, SIZE):
            transfer(used)


@pytest.mark.parametrize("transport", ["tcp", "sctp"])
@pytest.mark.parametrize("claim", [{"payload": 10 * SIZE}, {"payload": SIZE, "connections": 2}])
def test_less_than_claimed(transport, claim, sctp):
    """Nor are fewer bytes or connections than the test speaks of."""
    with pytest.raises(AssertionError):
        with evidence.carries(transport, **claim):
            transfer(transport)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_ports(family, sctp):
    """The ports that associations were asked for with are seen, however short these live."""
    with evidence.counted() as seen:
        ports = {transfer("sctp", family), transfer("sctp", family)}
    assert seen.ports > ports, seen.ports
    with pytest.raises(AssertionError, match="no association with port"):
        with evidence.carries("sctp", SIZE, port=1):
            transfer("sctp", family)
