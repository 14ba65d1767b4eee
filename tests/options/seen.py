# SPDX-License-Identifier: BSD-3-Clause
"""Per row of options.def: a value that is legal and not the default, one that is not legal, and
where the kernel, the peer or the wire shows the legal one.

Each function is named after its option, gets a Stage (conftest.py), and asserts. A row that has
none fails the suite.
"""

import os
import re
import socket
import struct
import time
from pathlib import Path

import kernel
from native import SHIM
from netstage import packets

ROWS = {}


def row(good, bad, **needs):
    """The function that follows sees the option of its name; NEEDS are options it takes as well."""
    def register(function):
        ROWS[function.__name__.upper()] = (good, bad, needs, function)
        return function
    return register


def settings(name):
    """What a program is started with to see this option."""
    good, _, needs, _ = ROWS[name]
    return {**needs, name: good}


@row("tcp", "udp")
def action(stage):
    """The program's socket is TCP's."""
    assert stage.fresh(**settings("ACTION")).proto == socket.IPPROTO_TCP
    assert stage.fresh().proto == kernel.IPPROTO_SCTP


@row("kernel", "usrsctp")
def stack(stage):
    """The program's socket is the kernel's SCTP."""
    assert stage.fresh(**settings("STACK")).proto == kernel.IPPROTO_SCTP


@row("tcp", "unix")
def leg(stage):
    """The program's socket is TCP's, though the kernel's SCTP carries it."""
    assert stage.fresh(**settings("LEG")).proto == socket.IPPROTO_TCP
    assert stage.fresh(LEG="direct").proto == kernel.IPPROTO_SCTP


@row("yes", "maybe")
def adopt(stage):
    """An SCTP socket without our mark is shown as TCP's."""
    made = "s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132); t = os.dup(s.fileno())"
    asked = "socket.socket(fileno=t).getsockopt(socket.SOL_SOCKET, 38)"     # SO_PROTOCOL
    shown = []
    for options in (settings("ADOPT"), {}):
        program = stage.program(**options)
        assert program(made) is None
        shown.append(program(asked))
        assert stage.seen(program).proto == kernel.IPPROTO_SCTP
    assert shown == [socket.IPPROTO_TCP, kernel.IPPROTO_SCTP]


@row("no", "2")
def nodelay(stage):
    assert kernel.number(stage.connected(**settings("NODELAY"))[1], kernel.NODELAY) == 0
    assert kernel.number(stage.connected()[1], kernel.NODELAY) == 1


@row("40", "501")
def sack_delay(stage):
    sock = stage.connected(**settings("SACK_DELAY"))[1]
    assert kernel.option(sock, kernel.DELAYED_SACK, "iII")[1:] == (40, 2)


@row("7", "0")
def sack_freq(stage):
    sock = stage.connected(**settings("SACK_FREQ"))[1]
    assert kernel.option(sock, kernel.DELAYED_SACK, "iII")[1:] == (10, 7)


@row("64k", "1")
def sndbuf(stage):
    sock = stage.connected(**settings("SNDBUF"))[1]
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 65536


@row("64k", "1")
def rcvbuf(stage):
    _, sock, peer = stage.connected(**settings("RCVBUF"))
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 65536
    assert kernel.status(peer.sock)["rwnd"] == 65536


def to_the_end(peer):
    """The messages that the peer reads, up to an end in order."""
    *messages, end = peer.messages()
    assert end == "end"
    return messages


@row("1k", "512")
def chunk(stage):
    """The messages that the peer reads."""
    program, sock, peer = stage.connected(**settings("CHUNK"))
    sock.close()
    assert program("s.sendall(b'x' * 3000); s.close()") is None
    assert [len(data) for data, _, _ in to_the_end(peer)] == [1024, 1024, 952]


@row("2k", "0")
def partial_delivery(stage):
    sock = stage.connected(**settings("PARTIAL_DELIVERY"))[1]
    assert kernel.number(sock, kernel.PARTIAL_DELIVERY_POINT) == 2048


def initmsg(stage, name):
    """Outgoing and incoming streams, attempts, timeout, of a program's new socket."""
    return kernel.option(stage.fresh(**settings(name)), kernel.INITMSG, "HHHH")


@row("3", "0")
def init_attempts(stage):
    assert initmsg(stage, "INIT_ATTEMPTS")[2] == 3


@row("2500", "1")
def init_timeout(stage):
    assert initmsg(stage, "INIT_TIMEOUT")[3] == 2500


@row("20", "0")
def ostreams(stage):
    assert initmsg(stage, "OSTREAMS")[0] == 20
    sock = stage.connected(**settings("OSTREAMS"))[1]
    assert kernel.status(sock)["outstrms"] == 20


@row("5", "0")
def istreams(stage):
    """The peer, which asks for 10, gets no more."""
    assert initmsg(stage, "ISTREAMS")[1] == 5
    peer = stage.connected(**settings("ISTREAMS"))[2]
    assert kernel.status(peer.sock)["outstrms"] == 5


@row("20000", "1")
def cookie_life(stage):
    sock = stage.connected(**settings("COOKIE_LIFE"))[1]
    assert kernel.option(sock, kernel.ASSOCINFO, "iHHIII")[5] == 20000


def rto(stage, name, indication=0):
    """Initial, longest and shortest."""
    sock = stage.connected(indication, **settings(name))[1]
    return kernel.option(sock, kernel.RTOINFO, "iIII")[1:]


@row("900", "1")
def rto_initial(stage):
    assert rto(stage, "RTO_INITIAL") == (900, 5000, 300)


@row("150", "2000")
def rto_min(stage):
    assert rto(stage, "RTO_MIN", SHIM) == (1000, 5000, 150)
    assert rto(stage, "RTO_MIN") == (1000, 5000, 300)


@row("7000", "86400001")
def rto_max(stage):
    assert rto(stage, "RTO_MAX") == (1000, 7000, 300)


@row("7", "0")
def assoc_max_retrans(stage):
    sock = stage.connected(**settings("ASSOC_MAX_RETRANS"))[1]
    assert kernel.option(sock, kernel.ASSOCINFO, "iHHIII")[1] == 7


@row("120", "1", RTO_MIN=120)
def rto_min_native(stage):
    """The floor that test_rto_min finds is lower."""
    assert rto(stage, "RTO_MIN_NATIVE") == (1000, 5000, 120)


def connected_hosts(hosts, address="10.1.0.2", server=None, client=None):
    """A server, and a client that talks to it."""
    hosts.serve(**(server or {}))
    hosts.talk(hosts.client, "ask", address, 7000, 0, **(client or {})).next("connected")


def until(question, seconds=30):
    """Asserts that the answer becomes yes."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@row("10.1.0.2,10.2.0.2", "10.1.0.300")
def local_addrs(stage):
    """What a listener is bound to."""
    with stage.hosts() as hosts:
        hosts.serve(**settings("LOCAL_ADDRS"))
        bound = hosts.bound(hosts.server, 7000)
        assert {"10.1.0.2", "10.2.0.2"} <= bound and "0.0.0.0" not in bound


@row("10.1.0.99=10.2.0.2", "10.1.0.99=nowhere")
def peer_addrs(stage):
    """An address where nobody is leads to its host's other one."""
    with stage.hosts() as hosts:
        connected_hosts(hosts, "10.1.0.99", client=settings("PEER_ADDRS"))
        assert "10.2.0.2" in hosts.associations(hosts.client)[0][1]


@row("if:c2", "eth0?")
def primary(stage):
    """The association's, though it was set up on the other one."""
    with stage.hosts() as hosts:
        connected_hosts(hosts, client=settings("PRIMARY"))
        until(lambda: hosts.associations(hosts.client)[0][1][0] == "10.2.0.2")


@row("if:c2", "eth0?", ASCONF="yes")
def peer_primary(stage):
    """The peer's primary path leads to the address that was asked for."""
    with stage.hosts() as hosts:
        connected_hosts(hosts, server={"ASCONF": "yes", "HEARTBEAT": 200},
                        client={**settings("PEER_PRIMARY"), "HEARTBEAT": 200})
        until(lambda: hosts.associations(hosts.server)[0][1][0] == "10.2.0.1")


@row("500", "5")
def heartbeat(stage):
    """The interval of paths to come."""
    assert kernel.path(stage.fresh(**settings("HEARTBEAT")))["hbinterval"] == 500


@row("3", "0")
def path_max_retrans(stage):
    assert kernel.thresholds(stage.fresh(**settings("PATH_MAX_RETRANS"))) == (3, 0)


@row("2", "65536")
def pf_retrans(stage):
    assert kernel.thresholds(stage.fresh(**settings("PF_RETRANS"))) == (5, 2)


@row("on", "2")
def cmt(stage):
    """Not by the kernel, which says so; tests/userspace has what the other stack does."""
    file = stage.directory / "log"
    stage.fresh(LOG_FILE=file, **settings("CMT"))
    until(lambda: "CMT has no effect here: the kernel" in file.read_text(encoding="utf-8"))


@row("600000", "-1", RTO_MAX=2000)
def outage(stage):
    """More retransmissions are counted before the connection is given up."""
    sock = stage.connected(**settings("OUTAGE"))[1]
    assert kernel.option(sock, kernel.ASSOCINFO, "iHHIII")[1] > 200


def first_message(stage, name):
    """What the peer is told of the program's first message, and the socket."""
    program, sock, peer = stage.connected(**settings(name))
    assert program("s.sendall(b'x')") is None
    return peer.data(), sock


@row("4", "10")
def stream(stage):
    message, sock = first_message(stage, "STREAM")
    assert message == ("data", b"x", 0, 4)
    assert kernel.option(sock, kernel.DEFAULT_SNDINFO, "HHIIi")[0] == 4


@row("46", "0xffffffff")
def ppid(stage):
    message, sock = first_message(stage, "PPID")
    assert message == ("data", b"x", 46, 0)
    assert socket.ntohl(kernel.option(sock, kernel.DEFAULT_SNDINFO, "HHIIi")[2]) == 46


@row("1400", "100")
def pathmtu(stage):
    """And data is cut to what fits in such a packet."""
    sock = stage.connected(**settings("PATHMTU"))[1]
    assert kernel.path(sock)["pathmtu"] == 1400
    assert kernel.path(sock)["flags"] & kernel.SPP_PMTUD_DISABLE
    assert 1300 < kernel.status(sock)["fragmentation_point"] < 1400


@row("no", "")
def pmtud(stage):
    assert kernel.path(stage.fresh(**settings("PMTUD")))["flags"] & kernel.SPP_PMTUD_DISABLE
    assert not kernel.path(stage.fresh())["flags"] & kernel.SPP_PMTUD_DISABLE


@row("7000", "100")
def probe_interval(stage):
    assert kernel.probe_interval(stage.fresh(**settings("PROBE_INTERVAL"))) == 7000


@row("700", "511")
def maxseg(stage):
    assert kernel.value(stage.connected(**settings("MAXSEG"))[1], kernel.MAXSEG) == 700


@row("32", "0")
def max_burst(stage):
    assert kernel.value(stage.connected(**settings("MAX_BURST"))[1], kernel.MAX_BURST) == 32


def traffic_classes(stage, **options):
    """The field of every packet with data that a program sent, without ECN's bits."""
    with packets() as frames:
        program, sock, _ = stage.connected(**options)
        assert program("s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x20)") is None
        assert program("s.sendall(b'x' * 100)") is None
        port = sock.getsockname()[1]
        return sock, {frame[15] & 0xfc for frame in frames()
                      if frame[23] == kernel.IPPROTO_SCTP and len(frame) > 100
                      and struct.unpack_from("!H", frame, 34)[0] == port
                      and b"x" * 100 in frame}


@row("46", "64")
def dscp(stage):
    """On the wire too, and whatever the program sets."""
    sock, fields = traffic_classes(stage, **settings("DSCP"))
    assert kernel.path(sock)["dscp"] >> 2 == 46
    assert fields == {46 << 2}
    assert traffic_classes(stage)[1] == {0x20}


@row("0x12345", "0x100000")
def flowlabel(stage):
    """Of the socket; and on the wire."""
    assert kernel.path(stage.fresh("AF_INET6", **settings("FLOWLABEL")))["flowlabel"] == 0x12345
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM, kernel.IPPROTO_SCTP) as listener:
        listener.bind(("::1", 0))
        listener.listen()
        program = stage.program(**settings("FLOWLABEL"))
        with packets() as frames:
            program(f"s = socket.create_connection({listener.getsockname()[:2]}, 5)")
            program("s.sendall(b'labelled')")
            labels = {struct.unpack_from("!I", frame, 14)[0] & 0xfffff for frame in frames()
                      if b"labelled" in frame}
    assert labels == {0x12345}


@row("no", "perhaps")
def ecn(stage):
    assert kernel.value(stage.fresh(**settings("ECN")), kernel.ECN_SUPPORTED) == 0
    assert kernel.value(stage.fresh(), kernel.ECN_SUPPORTED) == 1


@row("9899", "0")
def udp_encaps(stage):
    """tests/options/test_encapsulation.py sees it on the wire."""
    assert kernel.encapsulation(stage.fresh(**settings("UDP_ENCAPS"))) == 9899


def auth_chunks(sock):
    """The chunk types that the peer has to authenticate."""
    _, count = kernel.option(sock, kernel.LOCAL_AUTH_CHUNKS, "iI", bytes(64))
    return set(kernel.option(sock, kernel.LOCAL_AUTH_CHUNKS, f"iI{count}B", bytes(64))[2:])


@row("data,cookie", "everything")
def auth(stage):
    assert auth_chunks(stage.fresh(**settings("AUTH"))) == {0, 64, 10, 11}


@row("sha1", "md5", AUTH="data")
def auth_hmac(stage):
    def offered(**options):
        return kernel.option(stage.fresh(**options), kernel.HMAC_IDENT, "I2H", bytes(8))
    assert offered(**settings("AUTH_HMAC"))[:2] == (1, 1)
    assert offered(AUTH="data") == (2, 3, 1)


@row("/nowhere", "key", AUTH="data")
def auth_key(stage):
    """Bytes arrive from who has the key, and from nobody else."""
    file = stage.directory / "key"
    file.write_bytes(b"our secret\n")
    file.chmod(0o600)
    heard = []
    for key in (b"our secret", b"another"):
        def protect(sock, key=key):
            sock.setsockopt(kernel.IPPROTO_SCTP, 129, struct.pack("iI", 0, 1))
            sock.setsockopt(kernel.IPPROTO_SCTP, 23, struct.pack("iHH", 0, 1, len(key)) + key)
            sock.setsockopt(kernel.IPPROTO_SCTP, kernel.AUTH_ACTIVE_KEY, struct.pack("iHxx", 0, 1))
        program, _, peer = stage.connected(prepare=protect, AUTH="data", AUTH_KEY=file,
                                           AUTH_KEY_ID=1)
        peer.send(b"authentic")
        program("s.settimeout(1)")
        heard.append(program("s.recv(100)"))
    assert heard[0] == b"authentic" and heard[1] != b"authentic"


@row("5", "65536", AUTH="data")
def auth_key_id(stage):
    file = stage.directory / "key"
    file.write_bytes(b"secret")
    file.chmod(0o600)
    sock = stage.fresh(**settings("AUTH_KEY_ID"), AUTH_KEY=file)
    assert kernel.option(sock, kernel.AUTH_ACTIVE_KEY, "iHxx")[1] == 5


@row("yes", "2")
def asconf(stage):
    assert kernel.value(stage.fresh(**settings("ASCONF")), kernel.ASCONF_SUPPORTED) == 1
    assert kernel.value(stage.fresh(), kernel.ASCONF_SUPPORTED) == 0


@row("yes", "2", ASCONF="yes")
def auto_asconf(stage):
    """Of a socket that is bound to every address, on either side."""
    sock = stage.connected(**settings("AUTO_ASCONF"))[1]
    assert kernel.number(sock, kernel.AUTO_ASCONF) == 1
    program = stage.program(**settings("AUTO_ASCONF"))
    program("s = socket.socket(); s.listen()")
    assert kernel.number(stage.seen(program), kernel.AUTO_ASCONF) == 1


@row("no", "2")
def pr_sctp(stage):
    assert kernel.value(stage.fresh(**settings("PR_SCTP")), kernel.PR_SUPPORTED) == 0
    assert kernel.value(stage.fresh(), kernel.PR_SUPPORTED) == 1


@row("yes", "2")
def messages(stage):
    """One write, one message, however long."""
    program, _, peer = stage.connected(**settings("MESSAGES"))
    assert program("s.send(b'x' * 90000)") == 90000
    assert len(peer.data()[1]) == 90000
    assert program("s.send(b'x' * 10000000)") == "EMSGSIZE"


def streams_used(stage, lines, **options):
    """The streams of the messages that these lines write."""
    program, sock, peer = stage.connected(**options)
    sock.close()
    for line in lines:
        program(line)
    program("s.close()")
    return [stream for _, _, stream in to_the_end(peer)]


@row("writes", "often", MESSAGES="yes", OSTREAMS=3)
def spread(stage):
    writes = ["s.send(b'x')"] * 7
    assert streams_used(stage, writes, **settings("SPREAD")) == [0, 1, 2, 0, 1, 2, 0]
    thread = ("import threading; t = threading.Thread(target=lambda: [s.send(b'y'), s.send(b'y')]);"
              "t.start(); t.join()")
    used = streams_used(stage, ["s.send(b'x')", thread, "s.send(b'x')"], MESSAGES="yes",
                        SPREAD="threads")
    assert used == [0, 1, 1, 0]


@row("yes", "2", MESSAGES="yes")
def unordered(stage):
    program, sock, peer = stage.connected(**settings("UNORDERED"))
    assert kernel.option(sock, kernel.DEFAULT_SNDINFO, "HHIIi")[1] == 1
    assert program("s.sendall(b'x')") is None
    peer.data()
    assert peer.flags & 1                                                    # SCTP_UNORDERED


def prinfo(sock):
    """Policy and value: struct sctp_default_prinfo."""
    _, number, policy = kernel.option(sock, kernel.DEFAULT_PRINFO, "=iIH2x")
    return policy, number


@row("1500", "0", MESSAGES="yes")
def lifetime(stage):
    assert prinfo(stage.connected(**settings("LIFETIME"))[1]) == (0x10, 1500)


@row("0", "65536", MESSAGES="yes")
def message_retrans(stage):
    assert prinfo(stage.connected(**settings("MESSAGE_RETRANS"))[1]) == (0x20, 0)


@row("prio", "random", MESSAGES="yes")
def scheduler(stage):
    sock = stage.connected(**settings("SCHEDULER"))[1]
    assert kernel.value(sock, kernel.STREAM_SCHEDULER) == 1


@row("0=3,2=9", "0=3;2=9", MESSAGES="yes", SCHEDULER="prio")
def stream_values(stage):
    sock = stage.connected(**settings("STREAM_VALUES"))[1]

    def value_of(number):
        given = struct.pack("iHH", 0, number, 0)
        return kernel.option(sock, kernel.STREAM_SCHEDULER_VALUE, "iHH", given)[2]
    assert [value_of(number) for number in range(3)] == [3, 0, 9]


@row("yes", "2", MESSAGES="yes")
def interleaving(stage):
    """Between two ends that both may."""
    setting = Path("/proc/sys/net/sctp/intl_enable")
    before = setting.read_text(encoding="ascii")
    setting.write_text("1", encoding="ascii")
    try:
        def offer(sock):
            sock.setsockopt(kernel.IPPROTO_SCTP, 18, struct.pack("i", 1))
            sock.setsockopt(kernel.IPPROTO_SCTP, kernel.INTERLEAVING_SUPPORTED,
                            struct.pack("iI", 0, 1))
        sock = stage.connected(prepare=offer, **settings("INTERLEAVING"))[1]
        assert kernel.value(sock, kernel.INTERLEAVING_SUPPORTED) == 1
    finally:
        setting.write_text(before, encoding="ascii")


@row("debug", "loud")
def log(stage):
    """More lines than by default."""
    assert "SCTPSHIM" not in os.environ
    file = stage.directory / "lines"
    lines = []
    for options in (settings("LOG"), {"LOG": "off"}):
        file.write_text("", encoding="ascii")
        stage.fresh(LOG_FILE=file, INTERLEAVING="yes", MESSAGES="yes", **options)
        lines.append(len(file.read_text(encoding="utf-8").splitlines()))
    assert lines[0] > lines[1] == 0


@row("/dev/null", "relative.log")
def log_file(stage):
    file = stage.directory / "log"
    stage.fresh(LOG_FILE=file, INTERLEAVING="yes", MESSAGES="yes")
    time.sleep(0.1)
    assert re.search(r"cannot set INTERLEAVING .*EPERM", file.read_text(encoding="utf-8"))


def refused(stage, name, **options):
    """Where SCTP is not listened at but TCP is: the protocol a connect ends with under prefer-sctp."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        program = stage.program(ACTION="prefer-sctp", **{name: options[name]})
        program("s = socket.socket()")
        assert program(f"s.connect({listener.getsockname()})") is None
        return stage.seen(program).proto


@row("0", "60001")
def fallback_timeout(stage):
    """Nothing is tried that is not known: TCP. tests/rules/test_fallback.py measures the others."""
    assert refused(stage, "FALLBACK_TIMEOUT", **settings("FALLBACK_TIMEOUT")) == socket.IPPROTO_TCP


@row("0", "86401")
def fallback_lifetime(stage):
    """TCP takes over. tests/rules/test_fallback.py has what is remembered, and for how long."""
    assert refused(stage, "FALLBACK_LIFETIME", **settings("FALLBACK_LIFETIME")) == socket.IPPROTO_TCP
