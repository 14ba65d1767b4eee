# SPDX-License-Identifier: BSD-3-Clause
"""Filters in SCTP's way over loopback, as hosts and networks without SCTP are: tc(8) drops its
packets, and an answer by ICMP comes from a raw socket. As root, and in the namespace of who asks."""

import contextlib
import socket
import struct
import subprocess
import threading

ETH_P_ALL, IPPROTO_SCTP = 3, 132
MATCH = "protocol ip u32 match ip protocol 132 0xff"
FIRST_CHUNK = "match u8 {} 0xff at 32"   # its type, after 20 and 12 bytes of headers
INIT_ACK, SHUTDOWN_ACK = FIRST_CHUNK.format(2), FIRST_CHUNK.format(8)
# Name: what more to match, the ICMP code of the answer (RFC 792), the reason that comes of it.
FILTERS = {
    "drop": ("", None, "timeout"),
    "drop answers": (INIT_ACK, None, "timeout"),
    "protocol": ("", 2, "protocol-unreachable"),
    "prohibited": ("", 13, "unreachable"),
}


class Rejector:
    """Answers SCTP packets on loopback with ICMP's destination unreachable of this code."""

    def __init__(self, code):
        self._stop, self._code = threading.Event(), code
        self._heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._heard.bind(("lo", ETH_P_ALL))
        self._heard.settimeout(0.1)
        self._icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self):
        while not self._stop.is_set():
            try:
                packet, (_, _, kind, *_) = self._heard.recvfrom(2000)
            except TimeoutError:
                continue
            if kind != socket.PACKET_OUTGOING or packet[9] != IPPROTO_SCTP:
                continue
            # Of less of the packet Linux would not believe that it is this association's.
            body = struct.pack("!BBHI", 3, self._code, 0, 0) + packet[:64]
            total = sum(struct.unpack(f"!{len(body) // 2}H", body))
            total = (total & 0xffff) + (total >> 16)
            checksum = ~(total + (total >> 16)) & 0xffff
            self._icmp.sendto(body[:2] + struct.pack("!H", checksum) + body[4:],
                              (socket.inet_ntoa(packet[12:16]), 0))

    def stop(self):
        """No more."""
        self._stop.set()
        self._thread.join()
        self._heard.close()
        self._icmp.close()


def run(command):
    """A command that must succeed."""
    subprocess.run(command, check=True, shell=True)


@contextlib.contextmanager
def filtering(name):
    """While the block runs: the filter of this name; the reason that a connect then has for TCP."""
    match, code, reason = FILTERS[name]
    run(f"tc qdisc add dev lo clsact && tc filter add dev lo ingress {MATCH} {match} action drop")
    rejector = None if code is None else Rejector(code)
    try:
        yield reason
    finally:
        if rejector:
            rejector.stop()
        run("tc qdisc del dev lo clsact")
