# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel says about who carried the bytes: SCTP or TCP.

Everything is read from /proc/net of this process's network namespace, so a private namespace (the
`own_network` fixture) makes every count the test's own.
"""

import contextlib
import ctypes
import os
import subprocess
import threading
from dataclasses import dataclass

CLONE_NEWNET = 0x40000000
TCP_LISTEN, SCTP_LISTEN = "0A", 10       # "st" in /proc/net/tcp, "SST" in /proc/net/sctp/eps
LARGEST_PACKET = 65536                   # loopback's MTU: no packet carries more
_libc = ctypes.CDLL(None, use_errno=True)


def _lines(path):
    with open(path, encoding="ascii") as stream:
        return stream.read().splitlines()


def sctp_counters():
    """SCTP's counters, by name without the "Sctp" (ActiveEstabs, OutSCTPPacks, ...)."""
    pairs = (line.split() for line in _lines("/proc/net/sctp/snmp"))
    return {name.removeprefix("Sctp"): int(value) for name, value in pairs}


def tcp_counters():
    """TCP's counters (ActiveOpens, OutSegs, ...)."""
    names, values = (line.split()[1:] for line in _lines("/proc/net/snmp")
                     if line.startswith("Tcp:"))
    return dict(zip(names, map(int, values)))


def loopback_bytes():
    """Bytes that have gone over lo, of whatever protocol."""
    row = next(line for line in _lines("/proc/net/dev") if line.strip().startswith("lo:"))
    return int(row.split(":")[1].split()[0])


def associations():
    """(local port, remote port) of every SCTP association there is."""
    rows = [line.split() for line in _lines("/proc/net/sctp/assocs")[1:]]
    return [(int(row[11]), int(row[12])) for row in rows]


def sctp_listens(port):
    """Whether an SCTP endpoint listens on PORT."""
    rows = (line.split() for line in _lines("/proc/net/sctp/eps")[1:])
    return any(int(row[3]) == SCTP_LISTEN and int(row[5]) == port for row in rows)


def tcp_listens(port):
    """Whether a TCP socket listens on PORT."""
    rows = (line.split() for name in ("tcp", "tcp6") for line in _lines(f"/proc/net/{name}")[1:])
    return any(row[3] == TCP_LISTEN and int(row[1].rpartition(":")[2], 16) == port for row in rows)


def listens(transport, port):
    """Whether PORT is listened on with this transport, and with this transport only."""
    sctp, tcp = sctp_listens(port), tcp_listens(port)
    assert not (sctp and tcp), f"port {port} is listened on with SCTP and with TCP"
    return sctp if transport == "sctp" else tcp


@dataclass
class Carried:
    """What the counters moved by while a block ran."""
    sctp: dict
    tcp: dict
    bytes: int
    associations: set


def _difference(after, before):
    return {name: after[name] - before[name] for name in after}


@contextlib.contextmanager
def counted():
    """Yields a Carried, filled in when the block ends without an exception."""
    before = sctp_counters(), tcp_counters(), loopback_bytes()
    carried = Carried({}, {}, 0, set())
    stop = threading.Event()

    def watch():
        while not stop.wait(0.1):
            carried.associations.update(associations())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield carried
    finally:
        stop.set()
        watcher.join()
    carried.sctp = _difference(sctp_counters(), before[0])
    carried.tcp = _difference(tcp_counters(), before[1])
    carried.bytes = loopback_bytes() - before[2]


@contextlib.contextmanager
def carries(transport, payload, connections=1, port=None):
    """Assert that TRANSPORT, and not the other one, carried PAYLOAD bytes over CONNECTIONS.

    PORT: also that an association with this port at one end was seen (for transfers that take
    longer than a few tenths of a second). TCP must not have sent a single segment under SCTP, nor
    SCTP a packet under TCP, so that the bytes that went over lo can only be the other's.
    """
    with counted() as seen:
        yield seen
    assert seen.bytes >= payload, f"{seen.bytes} bytes went over lo, not {payload}: {seen}"
    if transport == "tcp":
        assert seen.tcp["ActiveOpens"] >= connections, seen
        assert seen.sctp["OutSCTPPacks"] == 0, seen
        return
    assert seen.tcp["ActiveOpens"] == seen.tcp["PassiveOpens"] == 0, f"TCP was used: {seen.tcp}"
    assert seen.tcp["OutSegs"] == 0, f"TCP was used: {seen.tcp}"
    assert seen.sctp["ActiveEstabs"] >= connections, seen.sctp
    assert seen.sctp["PassiveEstabs"] >= connections, seen.sctp
    assert seen.sctp["OutSCTPPacks"] >= payload // LARGEST_PACKET, seen.sctp
    assert seen.sctp["OutOrderChunks"] >= payload // LARGEST_PACKET, seen.sctp
    if port is not None:
        ports = {number for pair in seen.associations for number in pair}
        assert port in ports, f"no association with port {port} was seen: {seen.associations}"


@contextlib.contextmanager
def own_network():
    """Run the block, and what it starts, in a network namespace with nothing but lo (root only)."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            if _libc.setns(before, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(before)
