# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel says of another process's socket: its own words, past every preloaded library.

pidfd_getfd(2) gives this process a descriptor of that very socket; numbers are linux/sctp.h's.
"""

import ctypes
import os
import socket
import struct

IPPROTO_SCTP = 132
SYS_PIDFD_GETFD = 438
LIBC = ctypes.CDLL(None, use_errno=True)

RTOINFO, ASSOCINFO, INITMSG, NODELAY, PEER_ADDR_PARAMS, MAXSEG, STATUS = 0, 1, 2, 3, 9, 13, 14
PEER_ADDR_INFO = 15
DELAYED_SACK, FRAGMENT_INTERLEAVE, PARTIAL_DELIVERY_POINT, MAX_BURST = 16, 18, 19, 20
HMAC_IDENT, AUTH_ACTIVE_KEY, LOCAL_AUTH_CHUNKS, AUTO_ASCONF = 22, 24, 27, 30
PEER_ADDR_THLDS, DEFAULT_SNDINFO = 31, 34
PR_SUPPORTED, DEFAULT_PRINFO, PR_ASSOC_STATUS, STREAM_SCHEDULER = 113, 114, 115, 123
STREAM_SCHEDULER_VALUE, INTERLEAVING_SUPPORTED, ASCONF_SUPPORTED, ECN_SUPPORTED = 124, 125, 128, 130
AUTH_SUPPORTED, REMOTE_UDP_ENCAPS_PORT, PLPMTUD_PROBE_INTERVAL = 129, 132, 133
SPP_PMTUD_DISABLE = 1 << 4


def socket_of(pid, fd):
    """A socket object of this process that is that process's socket."""
    pidfd = os.pidfd_open(pid)
    got = LIBC.syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
    error = ctypes.get_errno()
    os.close(pidfd)
    if got < 0:
        raise OSError(error, os.strerror(error))
    return socket.socket(fileno=got)


def option(sock, name, layout, given=b""):
    """The fields of an SCTP option, as struct LAYOUT; GIVEN is what the kernel reads first."""
    size = struct.calcsize(layout)
    buffer = ctypes.create_string_buffer(given.ljust(size, b"\0"), max(size, len(given)))
    length = ctypes.c_uint32(len(buffer))
    if LIBC.getsockopt(sock.fileno(), IPPROTO_SCTP, name, buffer, ctypes.byref(length)) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return struct.unpack(layout, buffer.raw[:size])


def value(sock, name):
    """The number in a struct sctp_assoc_value."""
    return option(sock, name, "iI")[1]


def number(sock, name):
    """The number in an int."""
    return option(sock, name, "i")[0]


def status(sock):
    """The association's state by name: the head of struct sctp_status."""
    names = "assoc_id state rwnd unackdata penddata instrms outstrms fragmentation_point".split()
    return dict(zip(names, option(sock, STATUS, "iiIHHHHI", bytes(176))))


def path(sock):
    """The path parameters by name: struct sctp_paddrparams."""
    names = ("hbinterval", "pathmaxrxt", "pathmtu", "sackdelay", "flags", "flowlabel", "dscp")
    # The family decides whether the zeros are the address that stands for every path.
    given = struct.pack("=iH126x", 0, sock.family)
    return dict(zip(names, option(sock, PEER_ADDR_PARAMS, "=i128xIHIIIIBx", given)[1:]))


def encapsulation(sock):
    """The UDP port of the peer: struct sctp_udpencaps."""
    given = struct.pack("=i4xH126x", 0, sock.family)
    return socket.ntohs(option(sock, REMOTE_UDP_ENCAPS_PORT, "=i4x128xH6x", given)[1])


def thresholds(sock):
    """Misses after which a path is down, and potentially failed: struct sctp_paddrthlds."""
    given = struct.pack("=i4xH126x", 0, sock.family)
    return option(sock, PEER_ADDR_THLDS, "=i4x128xHH4x", given)[1:]


def probe_interval(sock):
    """Of paths, in ms: struct sctp_probeinterval."""
    given = struct.pack("=i4xH126x", 0, sock.family)
    return option(sock, PLPMTUD_PROBE_INTERVAL, "=i4x128xI4x", given)[1]


def sockaddr(address, port=0):
    """A struct sockaddr_storage."""
    if ":" in address:
        return struct.pack("=HHI16s104x", socket.AF_INET6, socket.htons(port), 0,
                           socket.inet_pton(socket.AF_INET6, address))
    return struct.pack("=HH4s120x", socket.AF_INET, socket.htons(port), socket.inet_aton(address))


def path_info(sock, address, port):
    """state, cwnd, srtt (ticks), rto (ms) and mtu of one path: struct sctp_paddrinfo."""
    given = struct.pack("=i128s20x", 0, sockaddr(address, port))
    return option(sock, PEER_ADDR_INFO, "=132xiIIII", given)
