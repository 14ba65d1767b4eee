# SPDX-License-Identifier: BSD-3-Clause
"""Two hosts with two links between them: network namespaces and veth pairs of the test's own.

    client c1 10.1.0.1 ------ 10.1.0.2 s1 server
           c2 10.2.0.1 ------ 10.2.0.2 s2
"""

import contextlib
import ctypes
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import kernel

TALK = Path(__file__).with_name("talk.py")
LAUNCHER = Path(__file__).resolve().parents[2] / "scripts/sctpshim"
PRELUDE = """
import errno, json, os, select, signal, socket, struct, sys, time
def say(**what):
    print(json.dumps(what), flush=True)
"""
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None)
LOSE = "root netem loss 100%"
INACTIVE, ACTIVE, UNCONFIRMED = 0, 2, 3                     # ST in /proc/net/sctp/remaddr


def run(command, text=""):
    """A command that must succeed."""
    done = subprocess.run(command.split(), input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def proc_net(host, name):
    """The lines of a file below /proc/net of HOST, read by a thread that goes there."""
    lines = []

    def visit():
        with open(f"/run/netns/{host}", "rb") as place:
            if LIBC.setns(place.fileno(), CLONE_NEWNET) == 0:
                with open(f"/proc/thread-self/net/{name}", encoding="ascii") as stream:
                    lines.extend(stream.read().splitlines())

    visitor = threading.Thread(target=visit)
    visitor.start()
    visitor.join()
    assert lines, f"{host}: no {name}"
    return lines


class Program:
    """A program on one of the hosts that says lines of JSON."""

    def __init__(self, command, environment):
        self._errors = tempfile.TemporaryFile("a+")           # always written at its end
        self._process = subprocess.Popen(command, env=environment, text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=self._errors)
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    @property
    def errors(self):
        """The lines on its standard error so far."""
        self._errors.seek(0)
        return self._errors.readlines()

    def finish(self, key, timeout=60):
        """Tell it to come to its end; the next line, which must have KEY."""
        self._process.stdin.close()
        return self.next(key, timeout)

    def next(self, key, timeout=60):
        """The next line, which must have KEY."""
        line = self._lines.get(timeout=timeout)
        assert line and key in line, f"{key} expected, not {line}; {self.errors}"
        return line

    def wait_for(self, key, timeout=60):
        """The next line that has KEY; there must be none of failure before it."""
        while True:
            line = self._lines.get(timeout=timeout)
            assert line and "failed" not in line, f"{key} expected, not {line}; {self.errors}"
            if key in line:
                return line

    @property
    def pid(self):
        """The launcher and `ip netns exec` put the program in their own place."""
        return self._process.pid

    def running(self):
        """Whether it has not ended."""
        return self._process.poll() is None

    def stop(self):
        """End it."""
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._errors.close()


class Network:
    """The two hosts and their links, whose ends have these letters and the links' numbers."""

    def __init__(self, hosts=("client", "server"), letters="cs", six=True):
        self._hosts, self._letters = [f"{host}-{os.getpid()}" for host in hosts], letters
        self._six = six
        self._make()

    def _make(self):
        letters = self._letters
        os.makedirs("/run/netns", exist_ok=True)
        one, other = self._hosts
        run("ip -batch -", "\n".join(
            [f"netns add {host}" for host in self._hosts] +
            [f"link add {letters[0]}{link} netns {one} type veth peer name {letters[1]}{link} "
             f"netns {other}" for link in (1, 2)]))
        for number, host in enumerate(self._hosts, 1):
            run(f"ip -n {host} -batch -", "\n".join(
                ["link set lo up"] +
                [line for link in (1, 2) for line in self._link(link, number)]))

    def _link(self, link, number):
        end = f"{self._letters[number - 1]}{link}"
        addresses = [f"10.{link}.0.{number}/24 dev {end}"]
        if self._six:
            addresses.append(f"fd00:{link}::{number}/64 dev {end} nodad")
        return [f"addr add {address}" for address in addresses] + [f"link set {end} up"]

    def end(self, host, link):
        """HOST's end of the link."""
        return f"{self._letters[self._hosts.index(host)]}{link}"

    def remove(self):
        """What was made."""
        run("ip -batch -", "\n".join(f"netns delete {host}" for host in self._hosts))


class Hosts(Network):
    """Both of them; `link` numbers are 1 and 2."""

    def __init__(self, environment):
        super().__init__()
        self._environment = environment
        self._programs = []
        self.client, self.server = self._hosts

    def add_duplicate(self, host):
        """The address that container bridges have everywhere."""
        run(f"ip -n {host} link add docker0 type dummy")
        run(f"ip -n {host} addr add 172.17.0.1/16 dev docker0")
        run(f"ip -n {host} link set docker0 up")

    def remove(self):
        """What was made, and what runs there."""
        for program in self._programs:
            program.stop()
        super().remove()

    def renew(self):
        """Hosts, links and programs as at the beginning: no programs."""
        self.remove()
        self._programs.clear()
        self._make()

    def command(self, host, *words, **options):
        """A command of any kind on HOST under the shim, as Program; options are the shim's."""
        environment = {**self._environment,
                       **{f"SCTPSHIM_{name}": str(value) for name, value in options.items()}}
        line = ["ip", "netns", "exec", host, str(LAUNCHER), "--", *map(str, words)]
        self._programs.append(Program(line, environment))
        return self._programs[-1]

    def talk(self, host, *words, **options):
        """talk.py on HOST."""
        return self.command(host, sys.executable, "-S", TALK, *words, **options)

    def python(self, host, code, **options):
        """A few lines of Python on HOST, which have `say` and the usual modules."""
        return self.command(host, sys.executable, "-S", "-c", PRELUDE + code, **options)

    def serve(self, address="0.0.0.0", port=7000, **options):
        """The server, once it listens."""
        program = self.talk(self.server, "serve", address, port, **options)
        program.name = program.next("listening")["listening"]
        return program

    # ---- What happens to links ----

    def black_hole(self, link):
        """Nothing comes through any more, and nobody is told."""
        for host in (self.client, self.server):
            run(f"tc -n {host} qdisc add dev {self.end(host, link)} {LOSE}")

    def heal(self, link):
        """The opposite."""
        for host in (self.client, self.server):
            run(f"tc -n {host} qdisc del dev {self.end(host, link)} root")

    def down(self, host, link):
        """The link is taken down at one host."""
        run(f"ip -n {host} link set {self.end(host, link)} down")

    def up(self, host, link):
        """And up again."""
        run(f"ip -n {host} link set {self.end(host, link)} up")

    # ---- What the kernel knows ----

    def _proc(self, host, name):
        return proc_net(host, f"sctp/{name}")[1:]

    def associations(self, host):
        """Of each association on HOST the own addresses and the peer's, the primary one first."""
        found = []
        for row in self._proc(host, "assocs"):
            words = row.split()
            middle = words.index("<->")
            local, rest = words[13:middle], words[middle + 1:]
            remote = [word for word in rest if "." in word or ":" in word]
            remote.sort(key=lambda word: not word.startswith("*"))
            found.append((local, [word.lstrip("*") for word in remote]))
        return found

    def paths(self, host):
        """State of each peer address on HOST (with one association)."""
        return {row.split()[0]: int(row.split()[7]) for row in self._proc(host, "remaddr")}

    def wait_for_paths(self, host, *addresses, state=ACTIVE, seconds=30):
        """Until the kernel of HOST counts these addresses as being so."""
        deadline = time.monotonic() + seconds
        while any(self.paths(host).get(address) != state for address in addresses):
            assert time.monotonic() < deadline, (addresses, state, self.paths(host))
            time.sleep(0.05)

    def retransmissions(self, host):
        """How many in a row end the association on HOST."""
        words = self._proc(host, "assocs")[0].split()
        rest = words[words.index("<->"):]
        return int([word for word in rest if word.isdigit()][3])

    def path_retransmissions(self, host):
        """The same for its paths."""
        return {int(row.split()[4]) for row in self._proc(host, "remaddr")}

    def bound(self, host, port):
        """The addresses that the endpoint on this port of HOST is bound to."""
        rows = [row.split() for row in self._proc(host, "eps")]
        return {word for row in rows if int(row[5]) == port for word in row[8:]}


@contextlib.contextmanager
def socket_of(program):
    """A copy of the connected SCTP socket that PROGRAM has, to ask the kernel."""
    for name in sorted(os.listdir(f"/proc/{program.pid}/fd"), key=int):
        if not os.readlink(f"/proc/{program.pid}/fd/{name}").startswith("socket:"):
            continue
        with kernel.socket_of(program.pid, int(name)) as sock:
            if sock.proto == kernel.IPPROTO_SCTP and connected(sock):
                yield sock
                return
    raise AssertionError("no connected SCTP socket")


def connected(sock):
    """Whether it has a peer."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def rto_min(sock):
    """In ms."""
    return kernel.option(sock, kernel.RTOINFO, "iIII")[3]


def path_mtu(sock, address):
    """Of the path to this address of the peer."""
    return kernel.path_info(sock, address, sock.getpeername()[1])[4]
