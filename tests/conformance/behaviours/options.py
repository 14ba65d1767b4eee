# SPDX-License-Identifier: BSD-3-Clause
"""Socket options: defaults, values, ranges, lengths, errors, on every kind of socket."""

import os
import select
import socket
import struct
import subprocess
import time

import libc
import network
from harness import (Background, LOCAL, behaviour, fresh, in_child, listener, pair, pollfor,
                     pollnow, quiet, send_each, so_error, take, tcp, unprivileged, waited)

SOL, TCP, IP, IP6 = socket.SOL_SOCKET, socket.IPPROTO_TCP, 0, 41

# name: (number, values to set and read back)
TCP_INTS = {
    "nodelay": (1, [1, 0, 5, -1]),
    "maxseg": (2, [1000, 88, 87, 0, -1, 32767, 32768]),
    "cork": (3, [1, 0, 7]),
    "keepidle": (4, [1, 60, 32767, 0, -1, 32768]),
    "keepintvl": (5, [1, 75, 32767, 0, -1, 32768]),
    "keepcnt": (6, [1, 9, 127, 0, -1, 128]),
    "syncnt": (7, [1, 6, 127, 0, -1, 128]),
    "linger2": (8, [5, 0, -1, 60]),
    "defer_accept": (9, [0, 1, 30]),
    "quickack": (12, [1, 0]),
    "thin_linear": (16, [1, 0, 2, -1]),
    "thin_dupack": (17, [1, 0, 2, -1]),
    "user_timeout": (18, [0, 1000, 600000, -1]),
    "notsent_lowat": (25, [0, 1, 16384, -1]),
    "save_syn": (27, [0, 1, 2, 3, -1]),
    "fastopen_connect": (30, [0, 1, 2, -1]),
    "fastopen_no_cookie": (34, [0, 1, 2, -1]),
    "inq": (36, [0, 1, 2, -1]),
}


def tc(*what):
    """Make loopback delay or lose packets."""
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", "netem", *what], env=environment,
                   check=True)


def probe(t, number, values):
    """Default, set and read back, lengths and pointers, on a fresh socket."""
    fd = fresh()
    t("default", libc.getint(fd, TCP, number))
    for value in values:
        t(f"set {value}", [libc.setsockopt(fd, TCP, number, value), libc.getint(fd, TCP, number)])
    t("set short", libc.setsockopt(fd, TCP, number, b"\1\0\0"))
    t("set nothing", libc.setsockopt(fd, TCP, number, b""))
    t("set negative length", libc.setsockopt(fd, TCP, number, b"\1\0\0\0", 0xffffffff))
    t("set long", libc.setsockopt(fd, TCP, number, struct.pack("ii", values[0], 7)))
    t("set bad pointer", libc.raw("setsockopt", fd, TCP, number, libc.BAD, 4))
    t("get room", [libc.getsockopt(fd, TCP, number, space)[:2] for space in (0, 1, 2, 4, 8, 100)])
    t("get negative", libc.getsockopt(fd, TCP, number, -1)[0])
    t("get bad pointer", libc.raw("getsockopt", fd, TCP, number, libc.BAD, libc.BAD))


def register(name, number, values):
    @behaviour(f"options.tcp_{name}", f"TCP_{name.upper()}: default, values, ranges, lengths")
    def run(t):
        probe(t, number, values)
    return run


for _name, (_number, _values) in TCP_INTS.items():
    register(_name, _number, _values)


@behaviour("options.tcp_everywhere", "every integer option can be set and read on connected, "
           "accepted and listening sockets")
def everywhere(t):
    client, server = pair(t)
    lsock = listener()
    for name, (number, values) in TCP_INTS.items():
        if name in ("maxseg", "quickack", "fastopen_connect", "fastopen_no_cookie", "save_syn"):
            continue
        for place, sock in (("client", client), ("server", server), ("listener", lsock)):
            t(f"{name} {place}", [libc.setsockopt(sock.fileno(), TCP, number, values[0]),
                                  libc.getint(sock.fileno(), TCP, number)])
    client.sendall(b"x")
    t("data", take(server, 1))


@behaviour("options.tcp_states", "options that depend on the state: FASTOPEN_CONNECT, SAVE_SYN, "
           "FASTOPEN_NO_COOKIE on connected and listening sockets")
def states(t):
    client, _ = pair(t)
    lsock = listener()
    for name in ("fastopen_connect", "fastopen_no_cookie", "save_syn"):
        number = TCP_INTS[name][0]
        for place, sock in (("client", client), ("listener", lsock)):
            t(f"{name} {place}", [libc.setsockopt(sock.fileno(), TCP, number, 1),
                                  libc.getint(sock.fileno(), TCP, number)])


@behaviour("options.tcp_maxseg_connected", "TCP_MAXSEG of a connected socket is a sane size, and "
           "data flows after setting it")
def maxseg_connected(t):
    client, server = pair(t, prepare=lambda s: s.setsockopt(TCP, 2, 900))
    value = libc.getint(client.fileno(), TCP, 2)
    t("client", isinstance(value, int) and 80 < value <= 900)
    value = libc.getint(server.fileno(), TCP, 2)
    t("server", isinstance(value, int) and 80 < value <= 65535)
    client.sendall(b"m" * 50000)
    t("data", len(take(server, 50000)))
    plain, _ = pair(t)
    value = libc.getint(plain.fileno(), TCP, 2)
    t("plain", isinstance(value, int) and 500 < value <= 65535)


@behaviour("options.tcp_quickack_connected", "TCP_QUICKACK can be switched on a connection")
def quickack_connected(t):
    client, server = pair(t)
    t("off", [libc.setsockopt(client.fileno(), TCP, 12, 0), libc.getint(client.fileno(), TCP, 12)])
    t("on", [libc.setsockopt(client.fileno(), TCP, 12, 1), libc.getint(client.fileno(), TCP, 12)])
    client.sendall(b"x")
    t("data", take(server, 1))


@behaviour("options.tcp_window_clamp", "TCP_WINDOW_CLAMP: 0, small and large values")
def window_clamp(t):
    fd = fresh()
    value = libc.getint(fd, TCP, 10)
    t("default", isinstance(value, int))
    for value in (0, 1, 4096, 1000000):
        t(f"set {value}", libc.setsockopt(fd, TCP, 10, value))
        got = libc.getint(fd, TCP, 10)
        t(f"get {value}", isinstance(got, int) and got >= min(value, 1000))
    client, _ = pair(t)
    t("zero connected", libc.setsockopt(client.fileno(), TCP, 10, 0))
    t("large connected", libc.setsockopt(client.fileno(), TCP, 10, 100000))


@behaviour("options.tcp_congestion", "TCP_CONGESTION: a name to read, known names to set, unknown "
           "ones refused")
def congestion(t):
    client, server = pair(t)
    for name, fd in (("fresh", fresh()), ("client", client.fileno()), ("server", server.fileno())):
        result, length, data = libc.getsockopt(fd, TCP, 13, 16)
        t(f"{name} get", [result, length, data.split(b"\0")[0] in (b"reno", b"cubic", b"bbr")])
        t(f"{name} reno", [libc.setsockopt(fd, TCP, 13, b"reno"),
                           libc.getsockopt(fd, TCP, 13, 16)[2].split(b"\0")[0]])
        t(f"{name} unknown", libc.setsockopt(fd, TCP, 13, b"nosuchthing"))
        t(f"{name} empty", libc.setsockopt(fd, TCP, 13, b""))
        t(f"{name} little room", libc.getsockopt(fd, TCP, 13, 3)[:2])
        t(f"{name} kept", libc.getsockopt(fd, TCP, 13, 16)[2].split(b"\0")[0])


@behaviour("options.tcp_info", "TCP_INFO: state, lengths, plausible numbers")
def info(t):
    client, server = pair(t)
    client.sendall(b"i" * 10000)
    take(server, 10000)
    lsock = listener()
    for name, fd in (("fresh", fresh()), ("listener", lsock.fileno()), ("client", client.fileno()),
                     ("server", server.fileno())):
        result, length, data = libc.getsockopt(fd, TCP, 11, 104)
        t(f"{name}", [result, length, data[0] if result == 0 else None])
    result, _, data = libc.getsockopt(client.fileno(), TCP, 11, 104)
    words = struct.unpack_from("=24I", data, 8) if result == 0 else [0] * 24
    t("rto", 1000 <= words[0] <= 4000000)
    t("snd_mss", 500 <= words[2] <= 65535)
    t("pmtu", 500 <= words[13] <= 65536)
    t("rtt", 0 < words[15] < 3000000)
    t("snd_cwnd", 0 < words[18] < 1000000)
    t("room", [libc.getsockopt(client.fileno(), TCP, 11, space)[:2] for space in (0, 1, 8, 100)])
    t("set", libc.setsockopt(client.fileno(), TCP, 11, 1))


@behaviour("options.tcp_info_room", "TCP_INFO is as long as this kernel's, whatever the room")
def info_room(t):
    client, _ = pair(t)
    for name, fd in (("fresh", fresh()), ("client", client.fileno())):
        t(name, [libc.getsockopt(fd, TCP, 11, room)[:2] for room in (4, 104, 192, 232, 248, 512)])


@behaviour("options.tcp_info_units", "TCP_INFO's times are microseconds: a path of 100 ms")
def info_units(t):
    network.private()
    tc("delay", "50ms")
    client, server = pair(t)
    for _ in range(4):
        client.sendall(b"ping")
        take(server, 4)
        server.sendall(b"pong")
        take(client, 4)
    rto, _, snd_mss = struct.unpack_from("=3I", libc.getsockopt(client.fileno(), TCP, 11, 104)[2], 8)
    words = struct.unpack_from("=24I", libc.getsockopt(client.fileno(), TCP, 11, 104)[2], 8)
    t("rtt", 80000 <= words[15] <= 250000)
    t("rttvar", 0 < words[16] <= 250000)
    t("rto", 150000 <= rto <= 1500000)
    t("snd_mss", 500 <= snd_mss <= 65535)


@behaviour("options.tcp_info_bytes", "TCP_INFO counts bytes acked and received")
def info_bytes(t):
    client, server = pair(t)
    client.sendall(b"i" * 10000)
    take(server, 10000)
    _, length, data = libc.getsockopt(client.fileno(), TCP, 11, 192)
    t("long enough", length >= 136)
    t("acked", struct.unpack_from("=Q", data, 120)[0] >= 10000)
    data = libc.getsockopt(server.fileno(), TCP, 11, 192)[2]
    t("received", struct.unpack_from("=Q", data, 128)[0] >= 10000)


@behaviour("options.tcp_info_closing", "TCP_INFO's state after the peer closed is CLOSE_WAIT")
def info_closing(t):
    client, server = pair(t)
    client.close()
    t("end", libc.recv(server.fileno(), 10))
    t("state", libc.getsockopt(server.fileno(), TCP, 11, 104)[2][0])


@behaviour("options.tcp_fastopen", "TCP_FASTOPEN's queue length on fresh and listening sockets")
def fastopen(t):
    for name, sock in (("fresh", tcp()), ("listener", listener())):
        fd = sock.fileno()
        t(name, [libc.getint(fd, TCP, 23), libc.setsockopt(fd, TCP, 23, 5),
                 libc.getint(fd, TCP, 23), libc.setsockopt(fd, TCP, 23, -1)])
    client, _ = pair(t)
    t("client", libc.setsockopt(client.fileno(), TCP, 23, 5))


@behaviour("options.fastopen_connect_flow", "TCP_FASTOPEN_CONNECT: connect, then send")
def fastopen_connect_flow(t):
    lsock, client = listener(), tcp()
    t("set", libc.setsockopt(client.fileno(), TCP, 30, 1))
    t("connect", libc.connect(client.fileno(), lsock.getsockname()))
    t("send", libc.send(client.fileno(), b"hello"))
    server, _ = lsock.accept()
    t.prove(client, server)
    t("data", take(server, 5))


@behaviour("options.defer_accept_flow", "TCP_DEFER_ACCEPT: a client that speaks first is accepted")
def defer_accept_flow(t):
    lsock, client = listener(), tcp()
    t("set", libc.setsockopt(lsock.fileno(), TCP, 9, 5))
    t("connect", libc.connect(client.fileno(), lsock.getsockname()))
    client.sendall(b"first words")
    server, _ = lsock.accept()
    t("data", take(server, 11))


@behaviour("options.tcp_ulp", "TCP_ULP: programs that try kernel TLS are told no and go on")
def ulp(t):
    client, server = pair(t)
    t("fresh get", libc.getsockopt(fresh(), TCP, 31, 16)[:2])
    t("unknown", libc.setsockopt(client.fileno(), TCP, 31, b"nosuchulp"))
    client.sendall(b"x")
    t("data", take(server, 1))


@behaviour("options.tcp_repair", "TCP_REPAIR and its relatives, unset")
def repair(t):
    fd = fresh()
    for name, number in (("repair", 19), ("queue", 20), ("seq", 21), ("options", 22),
                         ("window", 29)):
        t(name, libc.getint(fd, TCP, number))
    t("bad value", libc.setsockopt(fd, TCP, 19, 7))


@behaviour("options.tcp_timestamp", "TCP_TIMESTAMP can be read; setting it needs repair mode")
def tcp_timestamp(t):
    fd = fresh()
    t("get", isinstance(libc.getint(fd, TCP, 24), int))
    t("set", libc.setsockopt(fd, TCP, 24, 1))


@behaviour("options.tcp_md5sig", "TCP_MD5SIG with a bad length, and reading it")
def md5sig(t):
    fd = fresh()
    t("short", libc.setsockopt(fd, TCP, 14, b"\0" * 10))
    t("get", libc.getint(fd, TCP, 14))
    t("ext short", libc.setsockopt(fd, TCP, 32, b"\0" * 10))


@behaviour("options.tcp_fastopen_key", "TCP_FASTOPEN_KEY with a bad length")
def fastopen_key(t):
    t("short", libc.setsockopt(fresh(), TCP, 33, b"\0" * 5))


@behaviour("options.tcp_cc_info", "TCP_CC_INFO and TCP_SAVED_SYN of a connection")
def cc_info(t):
    client, server = pair(t)
    t("saved_syn", libc.getsockopt(server.fileno(), TCP, 28, 100)[:2])
    t("cc_info", libc.getsockopt(client.fileno(), TCP, 26, 100)[0])
    t("cc_info set", libc.setsockopt(client.fileno(), TCP, 26, 1))


@behaviour("options.tcp_zerocopy_receive", "TCP_ZEROCOPY_RECEIVE with a bad length")
def zerocopy_receive(t):
    client, _ = pair(t)
    t("short", libc.getsockopt(client.fileno(), TCP, 35, 4)[0])


@behaviour("options.tcp_tx_delay", "TCP_TX_DELAY: 0 and negative")
def tx_delay(t):
    fd = fresh()
    t("get", libc.getint(fd, TCP, 37))
    t("negative", libc.setsockopt(fd, TCP, 37, -1))


@behaviour("options.unknown", "unknown options and levels on TCP sockets")
def unknown(t):
    client, _ = pair(t)
    for place, fd in (("fresh", fresh()), ("client", client.fileno())):
        for name, level, number in (("tcp 0", TCP, 0), ("tcp 999", TCP, 999), ("tcp -1", TCP, -1),
                                    ("tcp 15", TCP, 15), ("socket 9999", SOL, 9999),
                                    ("ip 9999", IP, 9999), ("level 9999", 9999, 1),
                                    ("udp", 17, 1), ("udplite", 136, 10), ("raw", 255, 1)):
            t(f"{place} {name}", [libc.getint(fd, level, number),
                                  libc.setsockopt(fd, level, number, 1)])


@behaviour("options.level_sctp", "SCTP's option level on a TCP socket")
def level_sctp(t):
    client, _ = pair(t)
    for name, fd in (("fresh", fresh()), ("client", client.fileno())):
        t(name, [libc.getint(fd, 132, 3), libc.setsockopt(fd, 132, 3, 1)])


@behaviour("options.ip6_on_v4", "IPv6 options on IPv4 sockets and the reverse")
def ip6_on_v4(t):
    four, six = fresh(), fresh(socket.AF_INET6)
    t("v6only on v4", [libc.getint(four, IP6, 26), libc.setsockopt(four, IP6, 26, 1)])
    t("ttl on v6", [libc.getint(six, IP, 2), libc.setsockopt(six, IP, 2, 33),
                    libc.getint(six, IP, 2)])


@behaviour("options.socket_level", "SOL_SOCKET's integers: defaults and values")
def socket_level(t):
    fd = fresh()
    for name, number, value in (
            ("debug", 1, 0), ("reuseaddr", 2, 1), ("type", 3, 1), ("error", 4, 1),
            ("dontroute", 5, 1), ("broadcast", 6, 1), ("keepalive", 9, 1), ("oobinline", 10, 1),
            ("no_check", 11, 1), ("priority", 12, 3), ("reuseport", 15, 1), ("passcred", 16, 1),
            ("rcvlowat", 18, 5), ("sndlowat", 19, 5), ("acceptconn", 30, 1), ("protocol", 38, 1),
            ("domain", 39, 1), ("rxq_ovfl", 40, 1), ("nofcs", 43, 1), ("lock_filter", 44, 0),
            ("busy_poll", 46, 0), ("max_pacing_rate", 47, 100000), ("incoming_cpu", 49, 0),
            ("mark", 36, 0), ("timestamp", 29, 1), ("timestampns", 35, 1)):
        t(name, [libc.getint(fd, SOL, number), libc.setsockopt(fd, SOL, number, value),
                 libc.getint(fd, SOL, number)])


@behaviour("options.so_protocol", "SO_PROTOCOL's answer and its lengths are TCP's")
def so_protocol(t):
    client, _ = pair(t)
    for name, fd in (("fresh", fresh()), ("client", client.fileno())):
        t(name, [libc.getsockopt(fd, SOL, 38, space) for space in (0, 1, 4, 8)])
        t(name + " negative", libc.getsockopt(fd, SOL, 38, -1)[0])
        t(name + " bad pointer", libc.raw("getsockopt", fd, SOL, 38, libc.BAD, libc.BAD))


@behaviour("options.sndbuf", "SO_SNDBUF: doubled, bounded below, readable; on a connection too")
def sndbuf(t):
    client, _ = pair(t)
    for name, fd in (("fresh", fresh()), ("client", client.fileno())):
        for value in (65536, 100000, 1, 0):
            t(f"{name} {value}", [libc.setsockopt(fd, SOL, 7, value), libc.getint(fd, SOL, 7)])
        t(f"{name} short", libc.setsockopt(fd, SOL, 7, b"\1\0"))


@behaviour("options.rcvbuf", "SO_RCVBUF: doubled, bounded below, readable; on a connection too")
def rcvbuf(t):
    client, _ = pair(t)
    for name, fd in (("fresh", fresh()), ("client", client.fileno())):
        for value in (65536, 100000, 1, 0):
            t(f"{name} {value}", [libc.setsockopt(fd, SOL, 8, value), libc.getint(fd, SOL, 8)])
        t(f"{name} short", libc.setsockopt(fd, SOL, 8, b"\1\0"))


@behaviour("options.buffer_defaults", "the buffers' default sizes are TCP's")
def buffer_defaults(t):
    fd = fresh()
    t("sizes", [libc.getint(fd, SOL, 7), libc.getint(fd, SOL, 8)])


@behaviour("options.buffer_limits", "huge SO_SNDBUF and SO_RCVBUF are cut to the system's maximum")
def buffer_limits(t):
    fd = fresh()
    for name, number in (("sndbuf", 7), ("rcvbuf", 8)):
        t(name, [libc.setsockopt(fd, SOL, number, 1 << 30), libc.getint(fd, SOL, number)])


@behaviour("options.so_error", "SO_ERROR of fresh, connected and refused sockets, and setting it")
def error_option(t):
    client, server = pair(t)
    t("values", [so_error(client), so_error(server), libc.getint(fresh(), SOL, 4)])
    t("set", libc.setsockopt(client.fileno(), SOL, 4, 1))
    t("room", libc.getsockopt(client.fileno(), SOL, 4, 2)[:2])


@behaviour("options.linger_struct", "SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO as structures")
def structures(t):
    fd = fresh()
    t("linger", [libc.getsockopt(fd, SOL, 13, 8)[2], libc.setsockopt(fd, SOL, 13,
                                                                     struct.pack("ii", 1, 5)),
                 libc.getsockopt(fd, SOL, 13, 8)[2]])
    t("linger short", libc.setsockopt(fd, SOL, 13, b"\1\0\0\0"))
    for name, number in (("rcvtimeo", 20), ("sndtimeo", 21)):
        t(name, [libc.getsockopt(fd, SOL, number, 16)[2],
                 libc.setsockopt(fd, SOL, number, struct.pack("ll", 2, 500000)),
                 struct.unpack("ll", libc.getsockopt(fd, SOL, number, 16)[2])])
        t(name + " too large", libc.setsockopt(fd, SOL, number, struct.pack("ll", 0, 2000000)))
        t(name + " negative", libc.setsockopt(fd, SOL, number, struct.pack("ll", -1, 0)))
        t(name + " short", libc.setsockopt(fd, SOL, number, b"\1\0\0\0"))


@behaviour("options.ip_level", "IPPROTO_IP options: TTL, TOS, MTU, options of routing")
def ip_level(t):
    client, _ = pair(t)
    value = libc.getint(client.fileno(), IP, 14)
    t("mtu", isinstance(value, int) and value >= 1280)
    for name, fd in (("fresh", fresh()), ("client", client.fileno())):
        t(f"{name} ttl", [libc.getint(fd, IP, 2), libc.setsockopt(fd, IP, 2, 55),
                          libc.getint(fd, IP, 2), libc.setsockopt(fd, IP, 2, 256)])
        t(f"{name} tos", [libc.getint(fd, IP, 1), libc.setsockopt(fd, IP, 1, 0x10),
                          libc.getint(fd, IP, 1)])
        t(f"{name} mtu_discover", [libc.getint(fd, IP, 10), libc.setsockopt(fd, IP, 10, 2),
                                   libc.getint(fd, IP, 10)])
        t(f"{name} recverr", [libc.getint(fd, IP, 11), libc.setsockopt(fd, IP, 11, 1),
                              libc.getint(fd, IP, 11), libc.setsockopt(fd, IP, 11, 0)])
        t(f"{name} freebind", [libc.getint(fd, IP, 15), libc.setsockopt(fd, IP, 15, 1),
                               libc.getint(fd, IP, 15)])
        t(f"{name} bind_no_port", [libc.getint(fd, IP, 24), libc.setsockopt(fd, IP, 24, 1),
                                   libc.getint(fd, IP, 24)])
        t(f"{name} minttl", [libc.getint(fd, IP, 21), libc.setsockopt(fd, IP, 21, 1)])
    t("mtu fresh", libc.getint(fresh(), IP, 14))


@behaviour("options.ip6_level", "IPPROTO_IPV6 options")
def ip6_level(t):
    client, _ = pair(t, "::1")
    for name, fd in (("fresh", fresh(socket.AF_INET6)), ("client", client.fileno())):
        t(f"{name} hops", [libc.getint(fd, IP6, 16), libc.setsockopt(fd, IP6, 16, 55),
                           libc.getint(fd, IP6, 16)])
        t(f"{name} tclass", [libc.getint(fd, IP6, 67), libc.setsockopt(fd, IP6, 67, 0x20),
                             libc.getint(fd, IP6, 67)])
        t(f"{name} v6only", [libc.getint(fd, IP6, 26), libc.setsockopt(fd, IP6, 26, 1),
                             libc.getint(fd, IP6, 26)])
        t(f"{name} recverr", [libc.getint(fd, IP6, 25), libc.setsockopt(fd, IP6, 25, 1),
                              libc.getint(fd, IP6, 25), libc.setsockopt(fd, IP6, 25, 0)])


@behaviour("options.kept_over_connect", "options set before connect are there after it")
def kept(t):
    options = [("keepalive", SOL, 9, 1), ("nodelay", TCP, 1, 1), ("keepidle", TCP, 4, 77),
               ("keepintvl", TCP, 5, 33), ("keepcnt", TCP, 6, 4), ("syncnt", TCP, 7, 3),
               ("user_timeout", TCP, 18, 4321), ("notsent_lowat", TCP, 25, 16384),
               ("linger2", TCP, 8, 21), ("sndbuf", SOL, 7, 70000), ("rcvbuf", SOL, 8, 80000),
               ("tos", IP, 1, 16), ("ttl", IP, 2, 44), ("priority", SOL, 12, 2)]

    def prepare(sock):
        for _, level, number, value in options:
            sock.setsockopt(level, number, value)

    client, _ = pair(t, prepare=prepare)
    for name, level, number, _ in options:
        t(name, libc.getint(client.fileno(), level, number))


@behaviour("options.per_socket", "an option set on one socket does not show on another, nor after "
           "its number is reused")
def per_socket(t):
    one, two = tcp(), tcp()
    libc.setsockopt(one.fileno(), TCP, 4, 77)
    libc.setsockopt(one.fileno(), TCP, 1, 1)
    t("other", [libc.getint(two.fileno(), TCP, 4), libc.getint(two.fileno(), TCP, 1)])
    number = one.fileno()
    one.close()
    again = tcp()
    t("reused", again.fileno() == number)
    t("fresh", [libc.getint(number, TCP, 4), libc.getint(number, TCP, 1)])


@behaviour("options.shared_by_dup", "an option set through a duplicate shows on the original")
def shared_by_dup(t):
    client, _ = pair(t)
    copy = libc.raw("dup", client.fileno())
    t("set", [libc.setsockopt(copy, TCP, 1, 1), libc.setsockopt(copy, TCP, 4, 77),
              libc.setsockopt(copy, TCP, 3, 1)])
    t("original", [libc.getint(client.fileno(), TCP, number) for number in (1, 4, 3)])
    libc.setsockopt(client.fileno(), TCP, 1, 0)
    t("copy", libc.getint(copy, TCP, 1))


@behaviour("options.shared_by_all_dups", "dup, dup2, dup3, F_DUPFD and a fork share the options; "
           "the next socket under the number has its own")
def shared_by_all_dups(t):
    sock = tcp()
    fd = sock.fileno()
    copies = [os.dup(fd), os.dup2(fd, 200), libc.raw("dup3", fd, 201, os.O_CLOEXEC),
              libc.raw("fcntl", fd, 0, 210), libc.raw("fcntl", fd, 1030, 220)]
    for number, copy in enumerate(copies):
        libc.setsockopt(copy, TCP, 4, 100 + number)
        libc.setsockopt(copy, SOL, 7, 20000 + number)
        t(f"copy {number}", [[libc.getint(other, TCP, 4), libc.getint(other, SOL, 7)]
                             for other in [fd] + copies])
    sock.close()
    again = tcp()
    t("same number", again.fileno() == fd)
    t("its own", libc.getint(fd, TCP, 4))
    libc.setsockopt(fd, TCP, 4, 55)
    t("others keep theirs", [libc.getint(copy, TCP, 4) for copy in copies])
    for copy in copies:
        os.close(copy)
    t("child", in_child(lambda: libc.getint(fd, TCP, 4)).result())
    many = [os.dup(fd) for _ in range(300)]
    libc.setsockopt(many[-1], TCP, 4, 66)
    t("300", [libc.getint(fd, TCP, 4), all(libc.getint(copy, TCP, 4) == 66 for copy in many)])


@behaviour("options.dup_of_connecting", "a duplicate made while connecting shares what becomes of "
           "the connection")
def dup_of_connecting(t):
    lsock, client = listener(), tcp(blocking=False)
    copy = os.dup(client.fileno())
    client.connect_ex(lsock.getsockname())
    server, _ = lsock.accept()
    t.prove(server)
    t("poll", pollfor(copy, 4))
    t("error", libc.getint(copy, SOL, 4))
    t("send", [libc.send(copy, b"copy"), libc.send(client.fileno(), b"self")])
    t("data", take(server, 8))


def every_number(t, fd):
    """What getsockopt and setsockopt say to every number, with room and values of all sizes."""
    for number in range(1, 61):
        gets = []
        for room in (0, 3, 4, 256):
            result, length, data = libc.getsockopt(fd, TCP, number, room)
            gets.append([result, length])
            if room == 4 and result == 0 and number not in (2, 10, 11, 24, 26):
                gets.append(data)
        t(f"get {number}", gets)
        t(f"set {number}", [libc.setsockopt(fd, TCP, number, value)
                            for value in (b"", b"\1", b"\xff" * 4, b"\0" * 256, 1)])


def collect(fd):
    seen = {}
    every_number(seen.__setitem__, fd)
    return seen


@behaviour("options.every_tcp_number", "numbers 1 to 60 at IPPROTO_TCP on a fresh socket: lengths, "
           "defaults, errors, for a user without privileges")
def every_tcp_number(t):
    for label, value in unprivileged(collect, fresh()).result().items():
        t(label, value)


@behaviour("options.every_tcp_number_connected", "numbers 1 to 60 at IPPROTO_TCP on a connection, "
           "for a user without privileges")
def every_tcp_number_connected(t):
    client, _ = pair(t)
    for label, value in unprivileged(collect, client.fileno()).result().items():
        t(label, value)


@behaviour("options.every_tcp_number_listening", "numbers 1 to 60 at IPPROTO_TCP on a listener, "
           "for a user without privileges")
def every_tcp_number_listening(t):
    lsock = listener()
    for label, value in unprivileged(collect, lsock.fileno()).result().items():
        t(label, value)


@behaviour("options.rcvlowat_blocks", "SO_RCVLOWAT: a blocking read waits for so much, not longer "
           "than SO_RCVTIMEO; a non-blocking one takes what there is")
def rcvlowat_blocks(t):
    client, server = pair(t)
    t("set", libc.setsockopt(server.fileno(), SOL, socket.SO_RCVLOWAT, 10))
    reading = Background(libc.recv, server.fileno(), 100)
    t("blocks", reading.running(0.1))    # TCP's would sleep too long if it had taken a part
    client.sendall(b"first ")
    t("waits", reading.running(0.15))
    client.sendall(b"second")
    t("recv", reading.result())
    send_each(client, [b"few"])          # TCP would sleep on if it came while it waits
    t("less wanted", libc.recv(server.fileno(), 2))
    t("nonblocking", libc.recv(server.fileno(), 10, socket.MSG_DONTWAIT))
    send_each(client, [b"part"])
    libc.setsockopt(server.fileno(), SOL, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200000))
    start = time.monotonic()
    t("timeout", libc.recv(server.fileno(), 100))
    t("time", waited(start, 0.2))
    client.sendall(b"end")
    client.close()
    t("end", libc.recv(server.fileno(), 100))


# --- dead peers ----------------------------------------------------------------------------------

def cut():
    """From now on every packet of this network namespace is lost."""
    tc("loss", "100%")


def alive(t, prepare=None):
    """A connection in a network of its own that has measured its path."""
    network.private()
    client, server = pair(t, host=LOCAL, prepare=prepare)
    for _ in range(5):
        client.sendall(b"ping")
        take(server, 4)
        server.sendall(b"pong")
        take(client, 4)
    return client, server


def death(client, limit):
    """[when the connection was found dead, its error, what recv and send say]"""
    start = time.monotonic()
    poller = select.poll()
    poller.register(client, 0)
    poller.poll(limit * 1000)
    passed = time.monotonic() - start
    return passed, [so_error(client), libc.recv(client.fileno(), 10)[0],
                    libc.send(client.fileno(), b"x", socket.MSG_NOSIGNAL)]


def keep(idle, interval, count):
    def prepare(sock):
        sock.setsockopt(SOL, socket.SO_KEEPALIVE, 1)
        for number, value in ((4, idle), (5, interval), (6, count)):
            sock.setsockopt(TCP, number, value)
    return prepare


@behaviour("options.keepalive_finds_death", "SO_KEEPALIVE set before connecting: a dead peer is "
           "noticed in KEEPIDLE + KEEPCNT * KEEPINTVL", limit=20)
def keepalive_finds_death(t):
    client, _ = alive(t, keep(3, 1, 3))
    cut()
    passed, errors = death(client, 14)
    t("about 6 s", "yes" if 3 < passed < 8 else round(passed, 1))
    t("errors", errors)


@behaviour("options.keepalive_set_late", "the same when it is set on the connection", limit=20)
def keepalive_set_late(t):
    client, _ = alive(t)
    keep(3, 1, 3)(client)
    cut()
    passed, errors = death(client, 14)
    t("about 6 s", "yes" if 3 < passed < 8 else round(passed, 1))
    t("errors", errors)


@behaviour("options.keepalive_keeps_alive", "keep-alive leaves a silent but living peer alone",
           limit=20)
def keepalive_keeps_alive(t):
    client, server = alive(t, keep(1, 1, 1))
    t("silence", quiet(client, 6))
    server.sendall(b"still here")
    t("data", take(client, 10))
    t("poll", pollnow(client))


@behaviour("options.no_keepalive", "without keep-alive a cut idle connection stays", limit=20)
def no_keepalive(t):
    client, _ = alive(t)
    keep(1, 1, 1)(client)
    client.setsockopt(SOL, socket.SO_KEEPALIVE, 0)
    cut()
    time.sleep(6)
    t("poll", pollnow(client))
    t("error", so_error(client))


@behaviour("options.user_timeout_finds_death", "TCP_USER_TIMEOUT: sent data that nobody "
           "acknowledges ends the connection then", limit=20)
def user_timeout_finds_death(t):
    client, _ = alive(t)
    client.setsockopt(TCP, 18, 3000)
    cut()
    client.send(b"into the void")
    passed, errors = death(client, 14)
    t("about 3 s", "yes" if 2.5 < passed < 6 else round(passed, 1))
    t("errors", errors)


@behaviour("options.user_timeout_and_keepalive", "TCP_USER_TIMEOUT decides over KEEPCNT for an "
           "idle connection too", limit=20)
def user_timeout_and_keepalive(t):
    client, _ = alive(t, keep(2, 1, 100))
    client.setsockopt(TCP, 18, 5000)
    cut()
    passed, errors = death(client, 14)
    t("about 5 s", "yes" if 3 < passed < 8 else round(passed, 1))
    t("errors", errors)
