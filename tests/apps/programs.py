# SPDX-License-Identifier: BSD-3-Clause
"""Starting real programs over plain TCP or under the shim, and ending them again."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import evidence

ROOT = Path(__file__).resolve().parents[2]
MB = 1 << 20
LIMIT = 55                                # seconds that any one program may take
CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGSYS}


def install(prefix):
    """Install what was built under PREFIX, where every user may read it; the launcher."""
    for source, target in (("scripts/sctpshim", "bin/sctpshim"),
                           ("build/sctpshimd", "libexec/sctpshim/sctpshimd"),
                           ("build/libsctpshim.so", "lib/sctpshim/libsctpshim.so"),
                           ("build/sctpshim-tool", "libexec/sctpshim/sctpshim-tool")):
        assert (ROOT / source).exists(), f"{source} is missing: run make first"
        subprocess.run(["install", "-D", "-m", "755", ROOT / source, Path(prefix, target)],
                       check=True)
    return Path(prefix, "bin/sctpshim")


def sha256(source):
    """Checksum of a file's or of some bytes' content."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with open(source, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def free_port():
    """A port nobody uses, of either protocol."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if not evidence.sctp_listens(port) and \
                port not in [at for _, at in evidence.tcp_listeners()]:
            return port


def tail(path, lines=25):
    """The last lines of a log, for a failure's message."""
    return "\n".join(Path(path).read_text(errors="replace").splitlines()[-lines:])


class Daemon:
    """A server that was started in the foreground, in a process group of its own."""

    def __init__(self, argv, log, **options):
        self.name = Path(argv[0]).name
        self.log = log
        with open(log, "ab") as sink:
            streams = {"stdin": subprocess.DEVNULL, "stdout": sink, "stderr": sink}
            self.process = subprocess.Popen(argv, start_new_session=True, **(streams | options))

    def wait_listening(self, transport, port, limit=60):
        """Wait until PORT is listened on, without connecting to it."""
        end = time.monotonic() + limit
        while not evidence.listens(transport, port):
            status = self.process.poll()
            assert status is None, f"{self.name} ended ({status}):\n{tail(self.log)}"
            assert time.monotonic() < end, \
                f"{self.name} does not listen on {transport} port {port}:\n{tail(self.log)}"
            time.sleep(0.02)

    def wait(self, limit=LIMIT):
        """Wait for a server that ends by itself; its exit status."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end:\n{tail(self.log)}") from None

    def stop(self, how=signal.SIGTERM):
        """End the server and what it started; fail if it crashed or ignores the signal."""
        status = self.process.poll()
        try:
            if status is None:
                self.process.send_signal(how)
                status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} ignores {how.name}:\n{tail(self.log)}") from None
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
        assert status not in CRASHES, f"{self.name} crashed ({status}):\n{tail(self.log)}"
        return status


def broker_of(launcher):
    """The broker that was installed with the launcher."""
    return launcher.parent.parent / "libexec/sctpshim/sctpshimd"


class Programs:
    """Runs programs over one transport: "tcp" (as they are), or under the launcher "sctp" (the
    kernel's) or "userspace" (the broker's)."""

    def __init__(self, transport, directory, launcher):
        self.transport = transport
        self.directory = Path(directory)
        self.launcher = launcher
        # Nothing of the shim's from outside, the user's own settings included.
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("SCTPSHIM_") and name != "LD_PRELOAD"}
        self.environment["XDG_CONFIG_HOME"] = str(self.directory / "config")
        if transport != "tcp":
            self.environment["SCTPSHIM_STACK"] = {"sctp": "kernel"}.get(transport, transport)
        if transport == "userspace":
            self.runtime = tempfile.TemporaryDirectory(prefix="sctpshim-")    # a short name
            self.environment["XDG_RUNTIME_DIR"] = self.runtime.name
        self.daemons = []

    def command(self, *argv):
        """The command line that runs ARGV over this transport."""
        argv = [str(word) for word in argv]
        assert shutil.which(argv[0]), f"{argv[0]} is not installed: see scripts/setup"
        if self.transport == "tcp":
            return argv
        return [str(self.launcher), "--", *argv]

    def run(self, *argv, limit=LIMIT, status=0, **options):
        """Run a client to its end and return its stdout; fail unless its exit status is STATUS."""
        options.setdefault("stdout", subprocess.PIPE)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        try:
            done = subprocess.run(self.command(*argv), stderr=subprocess.PIPE, timeout=limit,
                                  env=self.environment, check=False, **options)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{argv[0]} took more than {limit} s; stderr: {late.stderr}"
                                 f"\n{self.logs()}") from None
        assert done.returncode == status, (f"{argv} exited {done.returncode}: {done.stderr}"
                                           f"\n{self.logs()}")
        return done.stdout

    def start(self, *argv, port, log=None, plain=(), **options):
        """Start a server and wait until it listens on PORT; PLAIN words go before the launcher."""
        daemon = self.background(*argv, log=log, plain=plain, **options)
        daemon.wait_listening(self.transport, port)
        return daemon

    def background(self, *argv, log=None, plain=(), **options):
        """Start a program that runs beside others, waiting for nothing."""
        log = log or self.directory / f"{Path(argv[0]).name}-{len(self.daemons)}.log"
        daemon = Daemon([*plain, *self.command(*argv)], log, env=self.environment, **options)
        self.daemons.append(daemon)
        return daemon

    def start_broker(self, *options):
        """Start the userspace plane's broker with these options, before a program does without."""
        path = broker_of(self.launcher)
        log = self.directory / "broker.log"
        self.daemons.append(Daemon([path, "--foreground", *options], log, env=self.environment))
        end = time.monotonic() + 60
        while not evidence.brokers():
            assert time.monotonic() < end, f"no broker comes:\n{tail(log)}"
            time.sleep(0.02)

    def logs(self):
        """What the servers said, for a failure's message."""
        return "\n".join(f"--- {d.name}\n{tail(d.log)}" for d in self.daemons)

    def carries(self, payload, **expected):
        """See evidence.carries()."""
        return evidence.carries(self.transport, payload, **expected)

    def stop(self):
        """End the servers that still run, the last one first; the first trouble is raised."""
        trouble = None
        while self.daemons:
            try:
                self.daemons.pop().stop()
            except AssertionError as error:
                trouble = trouble or error
        if self.transport == "userspace":
            evidence.end_brokers()
            self.runtime.cleanup()
        if trouble:
            raise trouble
