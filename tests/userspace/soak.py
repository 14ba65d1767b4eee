#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Random connects, transfers, kills and resets between two hosts of the userspace plane.

Nothing may be lost, hang or leak: each byte is checked, each call has a limit, and at the end the
brokers have no association, leg or descriptor left that they had not at the beginning, and not much
more memory than after the first part. In between brokers are killed; meanwhile connections may
break, but what arrives must be right.
"""

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from hosts import Host, link, until                                          # noqa: E402

TOP = Path(__file__).resolve().parents[2]
ENDS = Path(__file__).resolve().parent / "soak_ends.py"
CLIENTS = 4                              # on each host
GROWTH = 24 << 20                        # bytes that a broker may have more at the end
SANITIZERS = {
    "address": ("__asan_init", {"ASAN_OPTIONS": "detect_leaks=1:log_path={log}",
                                "LSAN_OPTIONS": "print_suppressions=0",
                                "UBSAN_OPTIONS": "print_stacktrace=1:log_path={log}"}),
    "thread": ("__tsan_init", {"TSAN_OPTIONS": "log_path={log}"})}


def tree(directory, broker):
    """The source tree's products in another place, with another broker."""
    for name in ("scripts/sctpshim", "build/libsctpshim.so", "build/sctpshim-tool"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP / name, directory / name)
    shutil.copy2(broker, directory / "build/sctpshimd")
    return directory


def memory(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10


def descriptors(pid, most=None):
    """How many it has, who has just asked it something not counted: he may be leaving still."""
    least = len(os.listdir(f"/proc/{pid}/fd"))
    end = time.monotonic() + (1 if most is None else 20)
    while time.monotonic() < end and (most is None or least > most):
        time.sleep(0.05)
        least = min(least, len(os.listdir(f"/proc/{pid}/fd")))
    return least


class Soak:
    """Two hosts, a server on each, and what went wrong."""

    def __init__(self, directory, top, environment, killing, measuring=True):
        self.trouble, self.count, self.carried = [], 0, 0
        self.killing, self.measuring = killing, measuring
        one = Host(directory / "one", top, environment)
        other = Host(directory / "other", top, environment, one)
        link(one, other)
        self.hosts = {"10.0.0.1": one, "10.0.0.2": other}
        self.servers, self.ports = [], {}
        for host in self.hosts.values():
            host.forget_closed_after(5)
            host.broker("--foreground", "--idle=0")
            until(host.status, "a broker runs")
        for address, host in self.hosts.items():
            server = host.start(sys.executable, ENDS, "serve", "0.0.0.0")
            self.servers.append(server)
            self.ports[address] = server.stdout.readline().split()[1]

    def clients(self, seconds, seed, how):
        """Start clients on both hosts, to both hosts."""
        started = []
        for number in range(CLIENTS):
            for host in self.hosts.values():
                for address, port in list(self.ports.items())[number % 2::2]:
                    started.append(host.start(sys.executable, ENDS, "client", address, port,
                                              seconds, seed + len(started), how))
        return started

    def finish(self, clients, seconds):
        """Wait until all have done what they had to do."""
        end = time.monotonic() + seconds + 90
        for process in clients:
            try:
                out, err = process.communicate(timeout=max(1, end - time.monotonic()))
            except Exception:            # pylint: disable=broad-except
                self.trouble.append(f"a client hangs: pid {process.pid}")
                continue
            lines = out.splitlines()
            self.trouble += [line for line in lines if line.startswith("WRONG")] + err.splitlines()
            done = [line.split() for line in lines if line.startswith("done")]
            if not done:
                self.trouble.append(f"a client ended with {process.returncode}")
            for _, count, carried in done:
                self.count += int(count)
                self.carried += int(carried)

    def strict(self, seconds, seed):
        self.finish(self.clients(seconds, seed, "strict"), seconds)

    def kills(self, seconds, seed):
        """Brokers are killed, in turn."""
        for server in self.servers:
            server.send_signal(signal.SIGUSR1)
        clients = self.clients(seconds, seed, "lenient")
        end, turn = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            time.sleep(max(0.5, seconds / 40))
            host = list(self.hosts.values())[turn % 2]
            turn += 1
            if pid := host.broker_pid():
                os.kill(pid, signal.SIGKILL)
            host.broker("--idle=0")
        self.finish(clients, seconds)
        self.quiet("the brokers were killed")
        for server in self.servers:
            server.send_signal(signal.SIGUSR2)

    def quiet(self, when):
        """Nothing is left of connections."""
        for address, host in self.hosts.items():
            try:
                until(lambda: re.search(r": 0 associations, 0 legs, 1 listening",
                                        host.status() or ""), "it is quiet", 60)
            except AssertionError:
                self.trouble.append(f"{address}: left after {when}: {host.status('--list')}")

    def state(self, before=None):
        """Of each host's broker: the process, its memory, its descriptors."""
        pids = {address: host.broker_pid() for address, host in self.hosts.items()}
        return {address: (pid, memory(pid), descriptors(pid, before and before[address][2]))
                for address, pid in pids.items()}

    def compare(self, before):
        for address, (pid, size, files) in self.state(before).items():
            old_pid, old_size, old_files = before[address]
            print(f"{address}: broker {pid}, memory {old_size >> 10} -> {size >> 10} KB, "
                  f"descriptors {old_files} -> {files}", flush=True)
            if pid != old_pid:
                self.trouble.append(f"{address}: the broker is another one")
            elif size > old_size + GROWTH and self.measuring:
                self.trouble.append(f"{address}: memory has grown by {(size - old_size) >> 10} KB")
            elif files > old_files:
                self.trouble.append(f"{address}: {files - old_files} descriptors are left")

    def run(self, seconds, seed):
        first = seconds * 0.2
        self.strict(first, seed)
        self.quiet("the first part")
        before = self.state()
        self.strict(seconds * 0.5, seed + 1000)
        self.quiet("the second part")
        self.compare(before)
        if self.killing:
            self.kills(seconds * 0.2, seed + 2000)
        self.strict(seconds * 0.1, seed + 3000)
        self.quiet("the last part")
        for server in self.servers:
            if server.poll() is not None:
                self.trouble.append(f"a server ended with {server.returncode}")
            server.kill()
            self.trouble += [line for line in server.communicate()[0].splitlines()
                             if line.startswith("WRONG")]

    def end(self):
        for host in reversed(self.hosts.values()):
            host.end()


def sanitized(broker, kind, directory):
    """The variables for a broker that was built with this sanitizer."""
    symbol, variables = SANITIZERS[kind]
    if symbol.encode() not in broker.read_bytes():
        sys.exit(f"{broker} was not built with the {kind} sanitizer")
    return {name: value.format(log=directory / "report") for name, value in variables.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kernel", action="store_true", help="the kernel's SCTP behind the brokers")
    parser.add_argument("--broker", type=Path, help="another one than build/sctpshimd")
    parser.add_argument("--sanitizer", choices=SANITIZERS, help="what that one was built with")
    parser.add_argument("--no-kills", action="store_true", help="let the brokers live")
    options = parser.parse_args()
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("SCTPSHIM_") and name != "LD_PRELOAD"}
    if options.kernel:
        environment |= {"SCTPSHIM_STACK": "kernel", "SCTPSHIM_LEG": "tcp"}
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        directory = Path(name)
        environment["XDG_CONFIG_HOME"] = str(directory / "config")
        top = tree(directory / "tree", options.broker) if options.broker else TOP
        if options.sanitizer:
            environment |= sanitized(options.broker, options.sanitizer, directory)
        soak = Soak(directory, top, environment, not options.no_kills, not options.sanitizer)
        try:
            soak.run(options.seconds, options.seed)
        finally:
            soak.end()
        soak.trouble += [path.read_text(errors="replace") for path in directory.glob("report*")]
        print(f"{soak.count} connections, {soak.carried >> 20} MB, seed {options.seed}: "
              f"{len(soak.trouble)} troubles")
        for line in soak.trouble[:40]:
            print(line)
    return bool(soak.trouble)


if __name__ == "__main__":
    sys.exit(main())
