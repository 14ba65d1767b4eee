# SPDX-License-Identifier: BSD-3-Clause
"""The known and accepted differences between TCP and the shim's kernel plane.

Per behaviour: why it differs, and what the shim's observations are where they are not TCP's.  The
suite fails when a behaviour that is not here differs, when one that is here differs otherwise than
said, and when one that is here does not differ any more.
"""


class Difference:
    """One behaviour that is not TCP's: the reason, and {observation: what the shim shows}."""

    def __init__(self, reason, shim):
        self.reason, self.shim = reason, shim


ABSENT = "(absent)"


FIRST_MESSAGE = ("only the first queued message can be seen without reading it: MSG_PEEK shows it, "
                 "FIONREAD counts it, poll tells of it whatever SO_RCVLOWAT says, and a reset before "
                 "accept() is seen after it")
HALF_CLOSE = ("the peer's half-close is a message: the kernel shows it as RDHUP when everything "
              "before it and itself has been read; until then it is IN, and data that resets the "
              "connection when a process is killed, or closes what another may hold")
CLOSED_WINDOW = ("what comes to a closed window is thrown away, and sent again when three packets behind "
                 "it have arrived, or its timer runs out: the last bytes that a reader left waiting, or "
                 "the end, may come that much later, at most RTO_MAX")
AFTER_SHUTDOWN = ("what comes after shutdown of reading is dropped: Linux's TCP lets it be read or, "
                  "after a shutdown of both directions, resets the connection; and a reset that comes "
                  "when both ends have ended is told to nobody, though not all may have arrived")
UNACCEPTED = ("who waits to be accepted has no socket yet: it takes the listener's options as they are "
              "at accept(), shares its receive buffer with the others that wait "
              "(unless net.sctp.rcvbuf_policy is 1), so that what it sends may be thrown away and come by "
              "the timer, and sees the end of the stream, not a reset, when a listener goes that more "
              "than one process held, or whose process did not close it")
INSIDE_LIBC = ("POSIX aio and streams of wide characters work inside libc, on SCTP as it is: one write "
               "is one message, which the send buffer must hold, and the notice of the end is data")
OF_ONE_PROCESS = ("what SCTP has no place for is of the process that did it, and of its children: to "
                  "others that hold the socket TCP's options are at their defaults, and a connection "
                  "that was taken back is there still")

DIFFERENCES = {
    "ends.epoll_bits": Difference(
        "epoll is the kernel's own: it shows not every bit of a connection that is over; of edges, the "
        "end once more when it has been read, room whenever data has arrived, and no shutdown of one's "
        "own; poll and select show all",
        {"reset": [13], "refused": [8213], "edge again": [17], "room again": [4],
         "shut": []}),
    "ends.unaccepted_shared": Difference(UNACCEPTED, {"recv": [0, ""]}),
    "accept.crowded": Difference(UNACCEPTED, {"at once": "none"}),
    "accept.late_options": Difference(UNACCEPTED, {"oobinline": 1, "keepidle": 60}),
    "ends.options_passed": Difference(OF_ONE_PROCESS, {"there": [7200, 75, 9, 6, 60, 0]}),
    "ends.closed_unread_shared": Difference(
        HALF_CLOSE, {"poll": "IN|OUT|ERR|HUP|RDHUP", "error": True}),
    "ends.taken_back": Difference(
        OF_ONE_PROCESS,
        {"taken back": [["EAGAIN", ""], "OUT"], "what is left": [0, ""]}),
    "listen.restart_after_close": Difference(
        "SCTP has no TIME_WAIT: a server restarts at once where TCP would refuse", {"plain": 0}),
    "ends.reset_over": Difference(AFTER_SHUTDOWN, {"poll": "IN|OUT|HUP|RDHUP", "error": 0}),
    "teardown.shutdown_read_later": Difference(AFTER_SHUTDOWN, {"recv": [0, ""]}),
    "teardown.shutdown_both_later": Difference(AFTER_SHUTDOWN, {"server": [0, [0, ""]]}),
    "recv.paused_tail": Difference(CLOSED_WINDOW, {"at once": False}),
    "teardown.half_close_edge": Difference(HALF_CLOSE, {"edge": [1]}),
    "teardown.half_close_early_bits": Difference(HALF_CLOSE, {"poll": "IN|OUT", "epoll": [5]}),
    "teardown.half_close_killed": Difference(HALF_CLOSE, {"end": ["ECONNRESET", ""]}),
    "peek.across": Difference(
        FIRST_MESSAGE,
        {"peek": [3, "one"], "peek 5": [3, "one"],
         "recvmsg": {"ret": 3, "data": "one", "flags": 0, "namelen": 0, "name written": False,
                     "controllen": 0}}),
    "peek.waitall": Difference(
        FIRST_MESSAGE,
        {"waits": False, "peek": [5, "12345"]}),
    "recv.fionread_exact": Difference(
        FIRST_MESSAGE,
        {"three": 10, "after 15": 5}),
    "ends.reset_unaccepted": Difference(
        FIRST_MESSAGE, {"send": 1, "poll": "IN|OUT|RDHUP"}),
    "recv.lowat": Difference(
        FIRST_MESSAGE, {"five": "IN|OUT"}),
    "recv.oob_sent": Difference(
        "SCTP has no urgent data: MSG_OOB is refused",
        {"send": "EOPNOTSUPP", "poll": "OUT", "urgent": ["EINVAL", ""],
         "normal": ["EAGAIN", ""]}),
    "send.cork_holds": Difference(
        "nothing in SCTP ends a cork after 200 ms: what the acknowledgement of earlier data will "
        "release is held, so the first two small writes leave at once", {"quiet": False}),
    "send.zerocopy": Difference(
        "SO_ZEROCOPY is refused, so that programs copy as they do on old kernels",
        {"set": "EOPNOTSUPP", "completion": "EAGAIN"}),
    "connect.ports_exhausted": Difference(
        "an SCTP port serves one association; when the ephemeral range is used up the shim takes "
        "ports that it can share, and goes on", {"how many": 5, "then": 0}),
    "fds.aio": Difference(
        INSIDE_LIBC, {"large": "EMSGSIZE", "large data": 0, "end": 20}),
    "stdio.wide": Difference(
        INSIDE_LIBC, {"end": [False, False]}),
    "accept.local_address": Difference(
        "127.0.0.1 is the one loopback address that SCTP has: others are taken for it, and the "
        "accepting end sees that", {"127.0.0.77": ["127.0.0.1", True, True, True]}),
    "connect.loopback_range": Difference(
        "127.0.0.1 is the one loopback address that SCTP has: others are taken for it, and the "
        "accepting end sees that", {"names": ["127.0.0.9", "127.0.0.1", "127.0.0.1",
                                              "127.0.0.1"]}),
    "listen.bind_errors": Difference(
        "a multicast address cannot be bound; TCP lets one bind it, to no use",
        {"multicast": "EADDRNOTAVAIL"}),
}
