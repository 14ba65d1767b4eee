# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel, and the userspace plane's brokers, say about who carried the bytes: SCTP or TCP.

Everything is read from /proc/net of this process's network namespace, so a private namespace (the
`own_network` fixture) makes every count the test's own.
"""

import contextlib
import ctypes
import os
import re
import signal
import socket
import struct
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000
TCP_LISTEN, SCTP_LISTEN = "0A", 10       # "st" in /proc/net/tcp, "SST" in /proc/net/sctp/eps
LARGEST_PACKET = 65536                   # loopback's MTU: no packet carries more
# That of the build, or one that each broker's user can run.
BROKER = Path(__file__).resolve().parents[2] / "build/sctpshimd"
HOLDS = 16                               # connections that a broker begins with, to itself
LEG, BROKERS = "537F", "FF537F"          # 127.83, 127.83.255: ends of /proc/net/tcp's addresses
_libc = ctypes.CDLL(None, use_errno=True)


def _lines(path):
    with open(path, encoding="ascii") as stream:
        return stream.read().splitlines()


def sctp_counters():
    """SCTP's counters, by name without the "Sctp" (ActiveEstabs, ...); none without kernel SCTP."""
    if not os.path.exists("/proc/net/sctp/snmp"):
        return Counter()
    pairs = (line.split() for line in _lines("/proc/net/sctp/snmp"))
    return Counter({name.removeprefix("Sctp"): int(value) for name, value in pairs})


def tcp_counters():
    """TCP's counters (ActiveOpens, OutSegs, ...)."""
    names, values = (line.split()[1:] for line in _lines("/proc/net/snmp")
                     if line.startswith("Tcp:"))
    return Counter(dict(zip(names, map(int, values))))


def brokers():
    """The control sockets of this network's brokers, and the users whose they are."""
    names = {line.split()[-1] for line in _lines("/proc/net/unix") if "/broker-" in line}
    network = os.stat("/proc/thread-self/ns/net").st_ino
    return [(Path(name), os.stat(name).st_uid) for name in names
            if name.endswith(f"-{network}.sock") and os.path.exists(name)]


def _statuses():
    """What each of this network's brokers says of itself."""
    for path, uid in brokers():
        home = {"XDG_RUNTIME_DIR": str(path.parent.parent)} if path.parent.name == "sctpshim" else {}
        yield subprocess.run([BROKER, "--status"], env=home, user=uid, text=True, timeout=20,
                             capture_output=True, check=False).stdout


def broker_counters():
    """What the brokers count: associations made and come in, packets; listening programs now."""
    total = Counter()
    for status in _statuses():
        total["brokers"] += 1
        for name, pattern in (("made", r"(\d+) made"), ("came", r"(\d+) came"),
                              ("packets", r"packets (\d+) out"), ("listening", r"(\d+) listening")):
            found = re.search(pattern, status)
            total[name] += int(found[1]) if found else 0
    return total


def end_brokers():
    """End the brokers of a private network: idle ones would keep the UDP port for a while."""
    pids = [int(found[1]) for status in _statuses() if (found := re.search(r"pid (\d+)", status))]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while "".join(_statuses()):
        assert time.monotonic() < deadline, f"a broker does not end: {pids}"
        time.sleep(0.02)


def loopback_bytes():
    """Bytes that have gone over lo, of whatever protocol."""
    row = next(line for line in _lines("/proc/net/dev") if line.strip().startswith("lo:"))
    return int(row.split(":")[1].split()[0])


def association_ports():
    """The ports at both ends of every association that the kernel's SCTP has."""
    if not os.path.exists("/proc/net/sctp/assocs"):
        return set()
    rows = [line.split() for line in _lines("/proc/net/sctp/assocs")[1:]]
    return {int(port) for row in rows for port in row[11:13]}


def sctp_listens(port):
    """Whether an endpoint of the kernel's SCTP listens on PORT."""
    if not os.path.exists("/proc/net/sctp/eps"):
        return False
    rows = (line.split() for line in _lines("/proc/net/sctp/eps")[1:])
    return any(int(row[3]) == SCTP_LISTEN and int(row[5]) == port for row in rows)


def tcp_listeners():
    """(is it a leg's?, port) of every TCP socket that listens."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in _lines(f"/proc/net/{name}")[1:]]
    names = [row[1].rpartition(":")[::2] for row in rows if row[3] == TCP_LISTEN]
    return [(host.endswith(LEG), int(port, 16)) for host, port in names
            if not host.endswith(BROKERS)]


def listens(transport, port):
    """Whether PORT is listened on with this transport, and with this transport only; or "both"."""
    found = {"sctp"} if sctp_listens(port) else set()
    listeners = tcp_listeners()
    found |= {"userspace" if leg else "tcp" for leg, at in listeners if at == port}
    if transport == "both":
        return found == {"sctp", "tcp"}
    assert len(found) < 2, f"port {port} is listened on with {found}"
    if found == {"userspace"}:           # and the broker has been told
        legs = len([leg for leg, _ in listeners if leg])
        return transport in found and broker_counters()["listening"] >= legs
    return transport in found


# bpf(4)'s classic instructions (code, where to when true, when false, value): a packet, from its IP
# header on, whose first chunk is INIT (RFC 9260 section 3.3.2) passes with its first 128 bytes.
SO_ATTACH_FILTER, ETH_P_ALL = 26, 3
INITS = [
    (0x30, 0, 0, 0),                     # ldb [0]: version and length of the header
    (0x54, 0, 0, 0xF0),                  # and #0xf0
    (0x15, 5, 0, 0x60),                  # jeq #0x60: IPv6
    (0x30, 0, 0, 9),                     # ldb [9]: protocol
    (0x15, 0, 8, socket.IPPROTO_SCTP),   # jne: drop
    (0xB1, 0, 0, 0),                     # ldx 4*([0]&0xf)
    (0x50, 0, 0, 12),                    # ldb [x + 12]: the chunk's type
    (0x05, 0, 0, 3),                     # ja: is it INIT
    (0x30, 0, 0, 6),                     # ldb [6]: IPv6's next header
    (0x15, 0, 3, socket.IPPROTO_SCTP),   # jne: drop
    (0x30, 0, 0, 52),                    # ldb [52]: the chunk's type
    (0x15, 0, 1, 1),                     # is it INIT
    (0x06, 0, 0, 128),                   # pass
    (0x06, 0, 0, 0)]                     # drop


class Inits:
    """The ports of associations that begin on this namespace's lo (needs CAP_NET_RAW)."""

    def __init__(self):
        self.packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        program = b"".join(struct.pack("HBBI", *instruction) for instruction in INITS)
        code = ctypes.create_string_buffer(program, len(program))
        self.packets.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                                struct.pack("HP", len(INITS), ctypes.addressof(code)))
        self.packets.bind(("lo", ETH_P_ALL))

    def close(self):
        """End the capture; the ports at both ends."""
        ports = set()
        with self.packets, contextlib.suppress(BlockingIOError):
            while True:
                packet = self.packets.recv(128, socket.MSG_DONTWAIT)
                header = 40 if packet[0] >> 4 == 6 else 4 * (packet[0] & 15)
                ports.update(struct.unpack_from("!HH", packet, header))
        return ports


@dataclass
class Carried:
    """What the counters moved by while a block ran, and the ports of all associations there were."""
    sctp: Counter
    tcp: Counter
    broker: Counter
    bytes: int
    ports: set


def _difference(after, before):
    return Counter({name: after[name] - before[name] for name in after})


@contextlib.contextmanager
def counted():
    """Yields a Carried, filled in when the block ends without an exception.

    Without root's rights nobody sees the packets, and `ports` is None.
    """
    carried = Carried(Counter(), Counter(), Counter(), 0, None)
    inits = Inits() if os.geteuid() == 0 else None
    there = association_ports()
    before = sctp_counters(), tcp_counters(), loopback_bytes(), broker_counters()
    try:
        yield carried
    finally:
        if inits:
            carried.ports = there | inits.close()
    carried.sctp = _difference(sctp_counters(), before[0])
    carried.tcp = _difference(tcp_counters(), before[1])
    carried.bytes = loopback_bytes() - before[2]
    carried.broker = _difference(broker_counters(), before[3])


@contextlib.contextmanager
def carries(transport, payload, connections=1, port=None):
    """Assert that TRANSPORT, and not the other one, carried PAYLOAD bytes over CONNECTIONS.

    PORT: also that the kernel had an association with this port at one end. TCP must not have sent a
    single segment under SCTP, nor SCTP a packet under TCP, so that the bytes that went over lo can
    only be the other's. In the userspace plane TCP carries legs, and nothing but them: of a
    connection, only the broker's call to the program that listens is opened passively.
    """
    with counted() as seen:
        yield seen
    assert seen.bytes >= payload, f"{seen.bytes} bytes went over lo, not {payload}: {seen}"
    if transport == "tcp":
        assert seen.tcp["ActiveOpens"] >= connections, seen
        assert seen.sctp["OutSCTPPacks"] == seen.broker["packets"] == 0, seen
        return
    if transport == "userspace":
        assert seen.broker["made"] >= connections, seen
        assert seen.broker["came"] >= connections, seen
        assert seen.broker["packets"] >= payload // LARGEST_PACKET, seen
        legs = seen.broker["came"] + HOLDS * seen.broker["brokers"]
        assert seen.tcp["PassiveOpens"] <= legs, f"TCP was used: {seen}"
        return
    assert seen.tcp["ActiveOpens"] == seen.tcp["PassiveOpens"] == 0, f"TCP was used: {seen.tcp}"
    assert seen.tcp["OutSegs"] == 0, f"TCP was used: {seen.tcp}"
    assert seen.sctp["ActiveEstabs"] >= connections, seen.sctp
    assert seen.sctp["PassiveEstabs"] >= connections, seen.sctp
    assert seen.sctp["OutSCTPPacks"] >= payload // LARGEST_PACKET, seen.sctp
    assert seen.sctp["OutOrderChunks"] >= payload // LARGEST_PACKET, seen.sctp
    if port is not None and seen.ports is not None:
        assert port in seen.ports, f"no association with port {port}, but with: {seen.ports}"


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
