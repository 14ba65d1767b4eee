# SPDX-License-Identifier: BSD-3-Clause
"""What a behaviour is made of: the registry, the trace it writes, and sockets to work with.

A behaviour is a function of one argument, the trace `t`, which performs socket calls and records
what it saw with t(label, value).  The same function runs over plain TCP and under the shim, and
the two traces have to be equal; so a trace holds nothing that depends on the run (times, port
numbers, counts that vary), except classified.
"""

import array
import errno
import json
import os
import select
import signal
import socket
import struct
import threading
import time
import zlib

import libc

BEHAVIOURS = {}
LOCAL = "127.0.0.1"
HOP = 0.02    # seconds in which a broker has passed on what has come
IPPROTO_SCTP = 132
SIOCOUTQ, SIOCOUTQNSD, FIONREAD, FIONBIO = 0x5411, 0x894B, 0x541B, 0x5421
POLL_BITS = [("IN", 1), ("PRI", 2), ("OUT", 4), ("ERR", 8), ("HUP", 16), ("NVAL", 32),
             ("RDHUP", 0x2000)]
POLL_ALL = 1 | 2 | 4 | 0x2000


class Skip(Exception):
    """The machine cannot run this behaviour; the reason is shown."""


class Behaviour:
    """One registered behaviour."""

    def __init__(self, name, about, function, pending, limit):
        self.name, self.about, self.function = name, about, function
        self.pending, self.limit = pending, limit


def behaviour(name, about, pending=None, limit=10):
    """Register a behaviour: its name is `theme.slug`, ABOUT one line for docs/semantics.md."""
    def register(function):
        if name in BEHAVIOURS:
            raise ValueError(f"two behaviours are called {name}")
        BEHAVIOURS[name] = Behaviour(name, about, function, pending, limit)
        return function
    return register


def plain(value):
    """VALUE as something that JSON holds and that two runs can be compared by."""
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value)
        if len(value) <= 64:
            return value.decode("latin-1")
        return f"{len(value)} bytes crc {zlib.crc32(value):08x}"
    if isinstance(value, BaseException):
        return error_name(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return repr(value)


def error_name(error):
    """The errno's name of an OSError, else the exception's class."""
    if isinstance(error, socket.timeout) and error.errno is None:
        return "timed out"
    if isinstance(error, OSError) and error.errno is not None:
        return libc.errno_name(error.errno)
    return type(error).__name__


class Trace:
    """Collects the observations of one behaviour; each is written out as soon as it is made."""

    def __init__(self, emit):
        self._emit = emit
        self._labels = set()

    def __call__(self, label, value):
        if label in self._labels:
            raise ValueError(f"two observations are called {label!r}")
        self._labels.add(label)
        self._emit({"label": label, "value": plain(value)})

    def call(self, label, function, *args):
        """Record FUNCTION's result or its errno; return the result, None after an error."""
        try:
            result = function(*args)
        except OSError as error:
            self(label, error_name(error))
            return None
        self(label, result if result is not None else "ok")
        return result

    def prove(self, *socks):
        """Ask the kernel which protocol the connected or listening SOCKS really speak."""
        for sock in socks:
            self._emit({"proof": protocol_of(sock if isinstance(sock, int) else sock.fileno())})


def is_leg(name):
    """Whether NAME, a sockaddr, is a leg's of a broker (127.83.0.0/16, 127.84.0.0/16)."""
    return (name[20:22] if name[0] == socket.AF_INET6 else name[4:6]) in (b"\x7f\x53", b"\x7f\x54")


def protocol_of(fd):
    """tcp, sctp or leg: what the kernel knows of the socket FD.

    Not where /proc/net lists it: such a list may miss some while others come and go.
    """
    if libc.kernels_protocol(fd) == IPPROTO_SCTP:
        return "sctp"
    return "leg" if is_leg(libc.kernels_name(fd)) else "tcp"


# --- sockets -------------------------------------------------------------------------------------

def tcp(family=socket.AF_INET, blocking=True):
    """A socket as programs make it: SOCK_STREAM, protocol 0."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    if not blocking:
        sock.setblocking(False)
    return sock


def fresh(family=socket.AF_INET):
    """The descriptor of a new socket that nothing closes."""
    return tcp(family).detach()


def listener(host=LOCAL, backlog=16, port=0, reuse=False, family=None):
    """A listening socket on an ephemeral port."""
    sock = tcp(family or (socket.AF_INET6 if ":" in host else socket.AF_INET))
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(backlog)
    return sock


def port_of(sock):
    return sock.getsockname()[1]


def pair(t, host=LOCAL, prepare=None, prepare_listener=None):
    """(client, server), connected over loopback, and proved to be of the protocol under test."""
    lsock = tcp(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if prepare_listener:
        prepare_listener(lsock)
    lsock.bind((host, 0))
    lsock.listen(8)
    client = tcp(lsock.family)
    if prepare:
        prepare(client)
    client.connect((host, port_of(lsock)))
    server, _ = lsock.accept()
    lsock.close()
    t.prove(client, server)
    return client, server


def tight(t, size=65536):
    """A pair whose buffers do not grow, so that full means full."""
    def prepare(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    return pair(t, prepare=prepare, prepare_listener=prepare)


def reset_by(sock):
    """Close SOCK so that its peer is reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def nodelay(*socks):
    for sock in socks:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def closed_port(family=socket.AF_INET):
    """A loopback port on which nothing listens (kept out of use by nothing but its freshness)."""
    sock = tcp(family)
    sock.bind(("::1" if family == socket.AF_INET6 else LOCAL, 0))
    port = port_of(sock)
    sock.close()
    return port


def settle(*socks, limit=1.0):
    """Wait until everything that SOCKS have sent is acknowledged by the peer's kernel.

    A leg's peer is the broker, which passes on what it has: there a moment has to do.
    """
    end = time.monotonic() + limit
    if any(is_leg(libc.kernels_name(sock.fileno())) for sock in socks):
        time.sleep(HOP)
    for sock in socks:
        while time.monotonic() < end:
            queued = libc.ioctl_int(sock.fileno(), SIOCOUTQ)
            if queued == 0:
                break
            time.sleep(0.002)


def send_each(sock, messages):
    """Send MESSAGES one call each, so that SCTP would make one message of each, and wait."""
    nodelay(sock)
    for message in messages:
        sock.sendall(message)
    settle(sock)


def fill(sock, block=65536, most=1 << 30):
    """Send without blocking until nothing more is taken, or MOST; the number of bytes accepted."""
    total, data, refusals = 0, b"x" * block, 0
    # A delayed acknowledgement still makes room, once or twice.
    while refusals < 6 and total < most:
        sent = libc.send(sock.fileno(), data, socket.MSG_DONTWAIT)
        if sent == "EAGAIN":
            refusals += 1
            time.sleep(0.04)
            continue
        if isinstance(sent, str):
            raise OSError(getattr(errno, sent), sent)
        total, refusals = total + sent, 0
    return total


def take(sock, count, wait=5.0):
    """Receive COUNT bytes, less at end of file or when nothing comes for WAIT seconds."""
    parts, left = [], count
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    while left > 0:
        if not poller.poll(wait * 1000):
            break
        data = sock.recv(min(left, 1 << 18))
        if not data:
            break
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def quiet(sock, span=0.1):
    """True when nothing becomes readable on SOCK within SPAN seconds."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return not poller.poll(span * 1000)


def pattern(count, seed=0):
    """COUNT bytes in which every position is recognisable."""
    unit = b"".join((i * 2654435761 + seed & 0xffffffff).to_bytes(4, "big") for i in range(4096))
    return (unit * (count // len(unit) + 1))[:count]


# --- observations --------------------------------------------------------------------------------

def bits(value):
    """Poll bits by name."""
    return "|".join(name for name, bit in POLL_BITS if value & bit) or "none"


def pollnow(sock, events=POLL_ALL, timeout=0):
    """The poll bits of SOCK, waiting TIMEOUT ms for any."""
    fd = sock if isinstance(sock, int) else sock.fileno()
    _, revents = libc.poll([(fd, events)], timeout)
    return bits(revents[0])


def pollfor(sock, bit, limit=5000, events=POLL_ALL):
    """Wait until BIT is set (LIMIT ms); then the poll bits."""
    fd = sock if isinstance(sock, int) else sock.fileno()
    end = time.monotonic() + limit / 1000
    while time.monotonic() < end:
        _, revents = libc.poll([(fd, events)], 0)
        if revents[0] & bit:
            break
        time.sleep(0.005)
    return pollnow(fd, events)


def so_error(sock):
    value = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return libc.errno_name(value) if value else 0


def address(data, **ports):
    """An address without its number: ports that are given by name are shown by that name."""
    if not isinstance(data, tuple):
        return plain(data)
    port = data[1]
    name = next((key for key, value in ports.items() if value == port),
                "0" if port == 0 else "some")
    return f"{data[0]} port {name}"


def share(count, total):
    """How much of TOTAL was done: nothing, part, all."""
    if isinstance(count, str):
        return count
    return "nothing" if count == 0 else "all" if count == total else \
        "part" if 0 < count < total else f"{count} of {total}"


def waited(start, span):
    """Whether the time since START is about SPAN seconds."""
    passed = time.monotonic() - start
    if passed < span * 0.8:
        return "at once"
    return f"about {span} s" if passed < span + 1.5 else "much too late"


class Background:
    """A function in a thread; result() joins it and gives its value or errno name."""

    def __init__(self, function, *args):
        self._value = "still running"
        self._thread = threading.Thread(target=self._run, args=(function, *args), daemon=True)
        self._thread.start()

    def _run(self, function, *args):
        try:
            self._value = function(*args)
        except OSError as error:
            self._value = error_name(error)

    def result(self, limit=6):
        self._thread.join(limit)
        return self._value

    def running(self, wait=0.0):
        """Whether it still runs after WAIT seconds: by then it has begun, however slow all is."""
        self._thread.join(wait)
        if wait:
            self._until_asleep()
        return self._thread.is_alive()

    def _until_asleep(self, limit=2.0):
        """Wait until the thread is in a call that waits: it sleeps, and does not wake to see."""
        end, before, now = time.monotonic() + limit, None, None
        while self._thread.is_alive() and time.monotonic() < end:
            try:
                with open(f"/proc/self/task/{self._thread.native_id}/status", "rb") as file:
                    now = [line for line in file if b"State:" in line or b"ctxt_switches" in line]
            except (FileNotFoundError, ProcessLookupError):
                return               # it has ended
            if now == before and b"sleeping" in now[0]:
                return
            before = now
            self._thread.join(0.02)


class Signals:
    """Counts a signal's arrivals; RESTART sets SA_RESTART."""

    def __init__(self, number, restart=False):
        self.number, self.count = number, 0
        self._old = signal.signal(number, self._caught)
        signal.siginterrupt(number, not restart)

    def _caught(self, *_):
        self.count += 1

    def seen(self):
        """Arrivals since the last call."""
        count, self.count = self.count, 0
        return count

    def some(self):
        """Whether there were arrivals since the last call; ends the alarms."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        return self.seen() > 0


def alarms(delay):
    """SIGALRM after DELAY seconds and again and again, so that a slow start cannot miss it."""
    signal.setitimer(signal.ITIMER_REAL, delay, delay + 0.15)


def receive_descriptor(sock):
    """The descriptor that the next message on the UNIX socket SOCK carries."""
    _, control, _, _ = sock.recvmsg(1, socket.CMSG_SPACE(4))
    return array.array("i", control[0][2][:4])[0]


def pass_descriptor(sock, fd):
    """Send FD over the UNIX socket SOCK."""
    sock.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])


def in_child(function, *args):
    """Run FUNCTION in a forked child; its result comes back as JSON, its end as 'died N'."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(source)
        try:
            try:
                value = function(*args)
            except OSError as error:
                value = error_name(error)
            os.write(sink, json.dumps(plain(value)).encode())
        finally:
            os._exit(0)
    os.close(sink)
    return Child(pid, source)


def unprivileged(function, *args):
    """Run FUNCTION in a child that may not administer the network."""
    def run():
        if os.getuid() == 0:
            os.setgroups([])
            os.setuid(65534)
        return function(*args)
    return in_child(run)


class Child:
    """A child started by in_child."""

    def __init__(self, pid, source):
        self.pid, self._source = pid, source

    def result(self):
        with os.fdopen(self._source, "rb") as stream:
            text = stream.read()
        _, status = os.waitpid(self.pid, 0)
        return json.loads(text) if text else f"died {os.waitstatus_to_exitcode(status)}"
