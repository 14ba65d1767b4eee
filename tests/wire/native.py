# SPDX-License-Identifier: BSD-3-Clause
"""SCTP as SCTP programs use it: sockets that know nothing of the shim, or play one by hand."""

import socket
import struct

IPPROTO_SCTP = 132
ADAPTATION_LAYER, EVENTS, RECVRCVINFO = 7, 11, 32            # linux/sctp.h: SCTP_*
CMSG_SNDINFO, CMSG_RCVINFO = 2, 3
MSG_NOTIFICATION, MSG_EOR = 0x8000, 0x80
ASSOC_CHANGE, ADAPTATION_INDICATION = 0x8001, 0x8007
SHIM = 0x53435401                                            # docs/wire.md, 5
FIN_PPID = 0xffffffff                                        # docs/wire.md, 8


class Native:
    """A one-to-one SCTP socket; SHIM announces it as docs/wire.md says."""

    def __init__(self, indication=0, sock=None):
        self.sock = sock or socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP)
        self.sock.settimeout(30)
        self.flags = 0                      # of the last message: SCTP_UNORDERED
        if sock is None:
            self.sock.setsockopt(IPPROTO_SCTP, ADAPTATION_LAYER, struct.pack("I", indication))
            self.sock.setsockopt(IPPROTO_SCTP, EVENTS, bytes([0, 1, 0, 0, 0, 0, 0, 1]))
            self.sock.setsockopt(IPPROTO_SCTP, RECVRCVINFO, struct.pack("i", 1))

    def listen(self):
        """Listen on a port of 127.0.0.1 and return the address."""
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(5)
        return self.sock.getsockname()

    def accept(self):
        """The next connection."""
        return Native(sock=self.sock.accept()[0])

    def send(self, data, ppid=0, stream=0):
        """One message."""
        info = struct.pack("=HHIIi", stream, 0, socket.htonl(ppid), 0, 0)
        return self.sock.sendmsg([data], [(IPPROTO_SCTP, CMSG_SNDINFO, info)])

    def recv(self):
        """("data", bytes, ppid, stream), ("event", type, details) or ("end",)."""
        data, control, flags, _ = self.sock.recvmsg(1 << 20, 256)
        if flags & MSG_NOTIFICATION:
            kind = struct.unpack_from("H", data)[0]
            if kind == ADAPTATION_INDICATION:
                return "event", kind, struct.unpack_from("I", data, 8)[0]
            return "event", kind, struct.unpack_from("H", data, 8)[0]
        if not data:
            return ("end",)
        info = next(value for level, name, value in control
                    if (level, name) == (IPPROTO_SCTP, CMSG_RCVINFO))
        stream, _, self.flags, ppid = struct.unpack_from("=HHHxxI", info)
        return "data", data, socket.ntohl(ppid), stream

    def data(self):
        """The next thing that is not an event."""
        while (got := self.recv())[0] == "event":
            pass
        return got

    def messages(self):
        """Everything that is not an event, up to the end or an error's name."""
        found = []
        while True:
            try:
                got = self.recv()
            except OSError as error:
                return found + [type(error).__name__]
            if got[0] == "end":
                return found + ["end"]
            if got[0] == "data":
                found.append(got[1:])

    def indication(self):
        """The adaptation code point that the peer sent, which comes before its data."""
        while True:
            got = self.recv()
            if got[:2] == ("event", ADAPTATION_INDICATION):
                return got[2]
            assert got[0] == "event", got

    def close(self):
        """Close, gracefully."""
        self.sock.close()
