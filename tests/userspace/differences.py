# SPDX-License-Identifier: BSD-3-Clause
"""What differs from TCP in the userspace plane, which is nearly TCP itself: a hop is between.

LATER is what needs a moment that it does not need over plain loopback, where what one end sends is
at the other before send() returns. Over a real network TCP behaves like this. The value is what
the plane may show where it is not TCP's; None is anything.
"""

LATER = "what one end does reaches the other a moment later, as over a network"
RESET_ONLY = ("a failed connect is told by SO_ERROR and by the next connect(); who reads or writes "
              "instead sees a reset")
PORTS = "an SCTP port of the stack's own is used: TCP's ephemeral range does not limit it"

ROOM = "more is on its way than between two TCP sockets: the leg's buffers at both ends, the stack's"

EARLY_END = ("a simultaneous open, which a leg's connect is, ends in newer kernels the direction that was "
             "shut down before it: the peer is told, TCP's other connects tell nobody")

FORGOTTEN = ("of a connection that is over the broker knows nothing more: a process that has not asked "
             "for its name before is told the leg's port, and no address")

DIFFERENCES = {
    "connect.ports_exhausted": (PORTS, {"how many": 5, "then": 0}),
    "connect.unspec_error": (RESET_ONLY, {
        f"refused, {call}": [0, "OUT|ERR|HUP", told, "OUT|HUP", 0, 0]
        for call, told in (("recv", ["ECONNRESET", ""]), ("send", "ECONNRESET"))}),
    "connecting.epoll_refused": (RESET_ONLY, {f"{how}, write": "ECONNRESET"
                                              for how in ("level", "edge", "once")}),
    "connecting.refused_then_connect": (RESET_ONLY, {"send": "ECONNRESET"}),
    "connecting.refused_read": (RESET_ONLY, {"recv": "ECONNRESET"}),
    "connecting.up_and_reset": (LATER, {"error": "ECONNREFUSED"}),
    "ends.name_asked_late": (FORGOTTEN, {"as the peer saw it": False}),
    "ends.shut_before": (EARLY_END, {"poll 1": None, "poll 2": None}),
    "ends.shut_before_elsewhere": (EARLY_END, {"poll 1": None, "poll 2": None}),
    "ends.shut_with_more_to_send": (ROOM, {"shutdown": "ENOTCONN", "name": "ENOTCONN"}),
    "ends.reset_over": (ROOM, {"poll": "IN|OUT|HUP|RDHUP", "error": 0}),
    "listen.in_use": ("that a wildcard and an address share a port is found by listen(), not bind()",
                      {"wildcard": 0}),
    "listen.freebind": ("an address that this host has not cannot be listened at",
                        {"bind": "EADDRNOTAVAIL", "name": "0.0.0.0"}),
    "recv.oob_sent": ("SCTP has no urgent data: the byte arrives in its place in the stream",
                      {"poll": None, "urgent": ["EINVAL", ""], "normal": None}),
    "sendfile.cancelled": (ROOM, {"facts": None}),
    "send.small_buffers": (ROOM, {"held up": False}),
    "send.timeout": (ROOM, {"second": None, "time then": None}),
    "signals.first_send": (LATER, {"second": None, "third": None}),
    "splice.broken": (LATER, {"second": None, "unconnected": None, "from unconnected": None,
                              "ended": None}),
    "splice.cancelled": (ROOM, {"facts": None}),
    "splice.large": (ROOM, {"waits": None}),
    "stdio.broken": (LATER, {"second": None, "fclose": None, "stopped by": None}),
    "vectors.writev_interrupted": (ROOM, {"writev": None}),
    "waitall.nonblocking": (LATER, {"recv": None, "dontwait": None}),
    "vectors.recvmmsg_coalesces": (LATER, {"dontwait": None, "waitforone": None}),
}

# With the kernel's SCTP behind the broker, as the kernel plane has some of them too.
ONE_LOOPBACK = ("127.0.0.1 is the one loopback address that the kernel's SCTP has: others are taken "
                "for it, and both ends see that")
ONE_PORT = "an SCTP port serves one association that has not been bound by its number"
CLOSED = ("that a program listens no more is noticed when the kernel has let somebody in, or after a "
          "second: who comes in between is reset")
OWN_LIFE = "SO_KEEPALIVE and TCP_USER_TIMEOUT are the leg's, which never fails"

KERNEL_LEG = {
    **DIFFERENCES,
    "accept.local_address": (ONE_LOOPBACK, {"127.0.0.77": ["127.0.0.1", True, True, True]}),
    "connect.bound": (ONE_LOOPBACK, {"name kept": [False, False, "127.0.0.5"]}),
    "connect.loopback_range": (ONE_LOOPBACK, {"names": ["127.0.0.9"] + ["127.0.0.1"] * 3}),
    "connect.ports_shared": (ONE_PORT, {"connects": [0] * 4 + ["EADDRNOTAVAIL"] * 4}),
    "listen.close_while_accepting": (CLOSED, {"connect then": None}),
    "listen.closed_refuses": (CLOSED, {"connect": None}),
    "listen.in_use": (ONE_LOOPBACK, {"wildcard": 0, "other listens": "EADDRINUSE"}),
    "listen.one_address": (ONE_LOOPBACK, {"other": 0}),
    "listen.one_address_alone": (ONE_LOOPBACK, {"other": 0}),
    "listen.shutdown": (CLOSED, {"connect": None}),
    "options.keepalive_finds_death": (OWN_LIFE, {"about 6 s": None, "errors": None, "ended": None}),
    "options.user_timeout_and_keepalive": (OWN_LIFE, {"about 5 s": None, "errors": None,
                                                      "ended": None}),
    "sendfile.interrupted": (ROOM, {"count": None}),
    "teardown.peer_closes_while_sending": (ROOM, {"blocked": None, "send": None, "next": None}),
}
