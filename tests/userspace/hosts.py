# SPDX-License-Identifier: BSD-3-Clause
"""Hosts for the userspace plane: network namespaces, each with a broker of its own.

Nothing here needs SCTP in the kernel, root or a guest; without root the namespaces are a user
namespace's.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEER = HERE / "peer.py"
LIMIT = 60


def until(condition, what, limit=LIMIT):
    """Wait for CONDITION() to be true, and return what it was."""
    end = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < end, f"it took too long until {what}"
        time.sleep(0.02)
    return value


def namespace(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


class Host:
    """A network namespace with a user of its own broker."""

    def __init__(self, directory, top, environment, beside=None):
        self.top, self.home = top, directory
        directory.mkdir(mode=0o700)
        self.environment = {"SCTPSHIM_STACK": "userspace", **environment,
                            "XDG_RUNTIME_DIR": str(directory), "SCTPSHIM_LOG": "info",
                            "SCTPSHIM_LOG_FILE": str(directory / "log")}
        kernel = self.environment["SCTPSHIM_STACK"] == "kernel"
        self.program = str(top / "build" / ("sctpshimd-kernel" if kernel else "sctpshimd"))
        entry = beside.entry if beside else []
        flags = ["-n"] if beside or os.geteuid() == 0 else ["-Urn"]
        self.keeper = subprocess.Popen([*entry, "unshare", *flags, "sleep", "infinity"])
        self.entry = ["nsenter", "-t", str(self.keeper.pid), "-n"]
        if os.geteuid() != 0:
            self.entry[3:3] = ["-U", "--preserve-credentials"]
        others = [namespace("self")] + ([namespace(beside.keeper.pid)] if beside else [])
        until(lambda: namespace(self.keeper.pid) not in others, "it has a namespace")
        self.started, self.brokers = [], []
        self.plain("ip", "link", "set", "lo", "up")

    def plain(self, *command):
        """Run a command of the host that is not under the shim."""
        done = subprocess.run([*self.entry, *command], capture_output=True, text=True,
                              timeout=LIMIT, check=False, env=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, *command):
        return [*self.entry, str(self.top / "scripts/sctpshim"), "--", *map(str, command)]

    def start(self, *command, **settings):
        """Start a command under the shim; its output is read by the caller."""
        process = subprocess.Popen(self.command(*command), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env={**self.environment, **settings})
        self.started.append(process)
        return process

    def start_plain(self, *command):
        """Start a command that is not under the shim."""
        process = subprocess.Popen([*self.entry, *map(str, command)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=self.environment)
        self.started.append(process)
        return process

    def run(self, *command, timeout=LIMIT, **settings):
        return subprocess.run(self.command(*command), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout, check=False,
                              env={**self.environment, **settings})

    def peer(self, *words, **settings):
        """Start peer.py; the caller reads what it says line by line."""
        return self.start(sys.executable, "-S", PEER, *words, **settings)

    def broker(self, *arguments):
        """Start a broker by hand."""
        process = subprocess.Popen([*self.entry, self.program, *arguments],
                                   env=self.environment, stderr=subprocess.DEVNULL)
        self.started.append(process)
        self.brokers.append(process)
        return process

    def status(self, how="--status"):
        """What the running broker says; None when there is none."""
        done = subprocess.run([*self.entry, self.program, how],
                              capture_output=True, text=True, timeout=LIMIT, check=False,
                              env=self.environment)
        return done.stdout if done.returncode == 0 else None

    def broker_pid(self):
        status = self.status()
        return int(re.search(r"pid (\d+)", status)[1]) if status else None

    def forget_closed_after(self, seconds):
        """Sockets that their programs have closed, and whose peers do not answer."""
        self.plain("sh", "-c", f"echo {seconds} > /proc/sys/net/ipv4/tcp_fin_timeout")

    def kill_broker(self):
        """As a crash would end it; until it is gone."""
        pid = self.broker_pid()
        os.kill(pid, signal.SIGKILL)
        until(lambda: not self.status(), "it is gone")

    def log(self):
        path = self.home / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def end(self):
        pid = self.broker_pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
        for process in self.brokers:     # which may have something to say at their end
            process.terminate()
            process.wait(LIMIT)
        for process in self.started:
            process.kill()
            process.wait(LIMIT)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        self.keeper.kill()
        self.keeper.wait(LIMIT)


def link(one, other):
    """A link between two hosts: 10.0.0.1 and 10.0.0.2, fd00::1 and fd00::2."""
    one.plain("ip", "link", "add", "name", "wire", "type", "veth", "peer", "name", "wire",
              "netns", str(other.keeper.pid))
    for at, machine in enumerate((one, other), 1):
        machine.plain("ip", "addr", "add", f"10.0.0.{at}/24", "dev", "wire")
        machine.plain("ip", "addr", "add", f"fd00::{at}/64", "dev", "wire", "nodad")
        machine.plain("ip", "link", "set", "wire", "up")
