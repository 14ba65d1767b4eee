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


class Any:
    """Stands for every value: for what depends on the machine."""

    def __eq__(self, other):
        return True

    def __repr__(self):
        return "anything"


DIFFERENCES = {
    "accept.inherits": Difference(
        "Linux's SCTP does not hand IP_MTU_DISCOVER down to accepted sockets",
        {"mtu_discover": 2}),
    "accept.inherits_v6": Difference(
        "TCP marks an accepted IPv6 socket whose peer is native IPv6 as V6ONLY; nobody asks",
        {"v6only": 0}),
    "connect.refused_poll": Difference(
        "an unconnected SCTP socket polls as nothing, not as OUT|HUP", {"poll": "none",
                                                                        "poll after": "none"}),
    "poll.fresh": Difference(
        "an unconnected SCTP socket polls as nothing, not as OUT|HUP", {"fresh": "none",
                                                                        "bound": "none"}),
    "listen.restart_after_close": Difference(
        "SCTP has no TIME_WAIT: a server restarts at once where TCP would refuse", {"plain": 0}),
    "options.ip_level": Difference(
        "on a connected socket path MTU discovery reads as always on, as SCTP does it",
        {"client mtu_discover": [2, 0, 2]}),
    "options.buffer_defaults": Difference(
        "the buffers are set to the system's maximum from the start: SCTP does not tune them",
        {"sizes": Any()}),
    "options.tcp_repair": Difference(
        "checkpointing of TCP's sequence numbers has no meaning: refused as for the unprivileged",
        {"repair": "EPERM", "queue": "EPERM", "seq": "EPERM", "options": "EPERM",
         "window": "EPERM"}),
    "options.tcp_zerocopy_receive": Difference(
        "receiving by mapping pages does not exist: the option is refused, programs fall back",
        {"short": "ENOPROTOOPT"}),
    "options.tcp_info_bytes": Difference(
        "SCTP counts chunks, not bytes: TCP_INFO's byte counters stay at 0",
        {"acked": False, "received": False}),
    "peek.across": Difference(
        "MSG_PEEK sees the first queued message only; reading gets all of them",
        {"peek": [3, "one"], "peek 5": [3, "one"],
         "recvmsg": {"ret": 3, "data": "one", "flags": 0, "namelen": 0, "name written": False,
                     "controllen": 0}}),
    "peek.waitall": Difference(
        "MSG_PEEK sees the first queued message only, MSG_WAITALL or not",
        {"waits": False, "peek": [5, "12345"]}),
    "recv.bad_pointer_keeps": Difference(
        "data that the kernel could not copy to a bad address is lost with SCTP",
        {"data": ["EAGAIN", ""]}),
    "recv.fionread_exact": Difference(
        "FIONREAD counts the first queued message: a lower bound, above 0 when there is data",
        {"three": 10, "after 15": 5}),
    "recv.lowat": Difference(
        "SO_RCVLOWAT is stored, but poll reports any data", {"five": "IN|OUT"}),
    "recv.oob_sent": Difference(
        "SCTP has no urgent data: MSG_OOB is refused",
        {"send": "EOPNOTSUPP", "poll": "OUT", "urgent": ["EINVAL", ""],
         "normal": ["EAGAIN", ""]}),
    "send.cork_holds": Difference(
        "TCP_CORK is stored and has no effect: small writes leave at once", {"quiet": False}),
    "send.zerocopy": Difference(
        "SO_ZEROCOPY is refused, so that programs copy as they do on old kernels",
        {"set": "EOPNOTSUPP", "completion": "EAGAIN"}),
    "ioctl.outq_never_more": Difference(
        "SIOCOUTQ includes the kernel's bookkeeping: 0 is exact, other values are upper bounds",
        {"at most": False}),
    "connect.ports_exhausted": Difference(
        "an SCTP port serves one association; when the ephemeral range is used up the shim takes "
        "ports that it can share, and goes on", {"how many": 5, "then": 0}),
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
    "send.control_messages": Difference(
        "control data on a send is not looked at: TCP refuses what it does not know",
        {"unknown": 1, "broken": 1, "data": "abcde"}),
    "send.bad_pointer": Difference(
        "a bad pointer to an array of iovec or msghdr is found by the shim, not by the kernel",
        {"writev": ABSENT, "sendmsg": ABSENT, "sendmmsg": ABSENT, "iovec base": ABSENT,
         "data": ABSENT, "ended": "died of SIGSEGV"}),
    "vectors.bad_pointers": Difference(
        "a bad pointer to an array of iovec or msghdr is found by the shim, not by the kernel",
        {"readv array": ABSENT, "recvmsg header": ABSENT, "recvmmsg array": ABSENT,
         "data": ABSENT, "ended": "died of SIGSEGV"}),
}
