# SPDX-License-Identifier: BSD-3-Clause
"""Programs on two hosts with two links (tests/net/twohosts.py), and the kernel's word on these."""

import contextlib
import json
import socket
import struct
import subprocess
import time

import kernel
from puppet import Puppet
from twohosts import Network

SCTP = 132
HEARTBEATS = 1                                                               # SPP_HB_ENABLE
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
NAMES = ["INACTIVE", "PF", "ACTIVE", "UNCONFIRMED"]                          # sctp_spinfo_state


def command(*words):
    """A command that must succeed; its output."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False,
                          timeout=60)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def until(condition, seconds=60):
    """The first value of CONDITION() that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it has not come to that in time"
        time.sleep(0.1)
    return value


class Borrowed:
    """The kernel's own word on a socket that process PID has as FD."""

    def __init__(self, pid, fd):
        self.sock = kernel.socket_of(pid, fd)

    def status(self):
        """state, streams in and out, the primary path's address."""
        value = self.sock.getsockopt(SCTP, kernel.STATUS, 176)
        state, _, _, _, incoming, outgoing = struct.unpack_from("=iIHHHH", value, 4)
        return state, incoming, outgoing, socket.inet_ntoa(value[32:36])

    def path(self, address, port):
        """state, cwnd, srtt (ticks), rto (ms) and mtu of one path."""
        return kernel.path_info(self.sock, address, port)

    def heartbeats(self, address, port, interval=200, retransmissions=1):
        """Have that path looked after: ms, and misses after which it is down."""
        self.sock.setsockopt(SCTP, kernel.PEER_ADDR_PARAMS, struct.pack(
            "=i128sIHIIIIBx", 0, kernel.sockaddr(address, port), interval, retransmissions, 0, 0,
            HEARTBEATS, 0, 0))

    def close(self):
        """Give it back."""
        self.sock.close()


@contextlib.contextmanager
def borrowed(pid, fd):
    """Borrowed, for a block."""
    one = Borrowed(pid, fd)
    try:
        yield one
    finally:
        one.close()


class Hosts(Network):
    """near (10.1.0.1, 10.2.0.1) and far (10.1.0.2, 10.2.0.2), and what is run there."""

    def __init__(self, environment, library, launcher, logs):
        super().__init__(("near", "far"), "nf", six=False)
        self._environment, self._library, self.launcher = environment, library, launcher
        self._puppets, self._logs = [], logs
        self.near, self.far = self._hosts

    def remove(self):
        """All of it."""
        for one in self._puppets:
            one.stop()
        super().remove()

    def link(self, number, state):
        """Take the link "down", or "up" again, at the far end."""
        command("ip", "-n", self.far, "link", "set", self.end(self.far, number), state)

    def puppet(self, host, shim=True, **options):
        """A Python on HOST; its log is in the attribute of that name."""
        environment = {**self._environment,
                       **{f"SCTPSHIM_{name}": str(value) for name, value in options.items()}}
        log = self._logs / f"log{len(self._puppets)}"
        if shim:
            environment["SCTPSHIM_LOG_FILE"] = str(log)
        # Not for ip(8) itself, whose namespaces and sockets are its own.
        preload = ["env", f"LD_PRELOAD={self._library}"] if shim else []
        one = Puppet(environment, ["ip", "netns", "exec", host, *preload])
        one.log = lambda: log.read_text() if log.exists() else ""
        assert one("1") == 1
        self._puppets.append(one)
        return one

    def tool(self, host, *words, before=()):
        """sctpshim with these words on HOST."""
        return subprocess.run(["ip", "netns", "exec", host, *before, self.launcher,
                               *map(str, words)], env=self._environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                              check=False)

    def watch(self, host, *words):
        """The same, while it runs: a Popen."""
        return subprocess.Popen(["ip", "netns", "exec", host, self.launcher, *map(str, words)],
                                env=self._environment, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE)

    def status(self, host, *words, **keywords):
        """The document that status --json gives on HOST."""
        done = self.tool(host, "status", "--json", *words, **keywords)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    def association(self, host, **keywords):
        """The only one there is on HOST."""
        found = self.status(host, **keywords)["associations"]
        assert len(found) == 1, found
        return found[0]

    def paths(self, host, key="state"):
        """What is known of each path of the only association on HOST."""
        return {path["address"]: path[key] for path in self.association(host)["paths"]}


SERVE = """
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, {protocol})
s.bind(("0.0.0.0", {port})); s.listen(5)
"""


def serve(puppet, port=7000, protocol=SCTP):
    """Have it listen at every address."""
    for line in SERVE.format(port=port, protocol=protocol).strip().splitlines():
        assert puppet(line) is None


def connect(near, far, address="10.1.0.2", port=7000, protocol=0):
    """Connect NEAR's `c` to FAR's `d`; returns the numbers of both."""
    assert near(f"c = socket.socket(socket.AF_INET, socket.SOCK_STREAM, {protocol})") is None
    assert near(f"c.connect(('{address}', {port}))") is None
    assert far("d = s.accept()[0]") is None
    return near("c.fileno()"), far("d.fileno()")


def exchange(near, far, times=3):
    """A few bytes there and back."""
    for _ in range(times):
        assert near("c.send(b'hello')") == 5
        assert far("d.recv(5)") == b"hello"
        assert far("d.send(b'world')") == 5
        assert near("c.recv(5)") == b"world"
