# SPDX-License-Identifier: BSD-3-Clause
"""CPython's own tests of sockets and of what stands on them: what passes over TCP passes under the
shim, test by test, or is listed in exceptions.py."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "apps"))

import evidence                                                              # noqa: E402
from exceptions import BY_CHANCE, EXCEPTIONS                                 # noqa: E402

PYTHON = "/usr/bin/python3"
STALLED = 100                   # seconds without a test's end after which it hangs
# The modules that open TCP sockets, and how many tests of each pass over TCP, at least.
MODULES = {
    "test_socketserver": 20,
}
LONG = {
    "test_socket": 500, "test_ssl": 120, "test_httplib": 90, "test_ftplib": 70, "test_poplib": 50,
    "test_smtplib": 60, "test_urllib2_localnet": 15, "test_telnetlib": 15, "test_xmlrpc": 70,
    "test_epoll": 8, "test_asyncore": 70,
    "test_asyncio.test_base_events": 90, "test_asyncio.test_buffered_proto": 1,
    "test_asyncio.test_events": 200, "test_asyncio.test_sendfile": 50,
    "test_asyncio.test_server": 2, "test_asyncio.test_sock_lowlevel": 30,
    "test_asyncio.test_ssl": 15, "test_asyncio.test_sslproto": 15,
    "test_asyncio.test_streams": 50,
}


def entries(path, seen):
    """The report's entries after the first SEEN."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines[seen:] if line.endswith(b"\n")]


class Observation:
    """One module's tests, run until each has a result: a test that hangs or kills is one."""

    def __init__(self, module, directory, library):
        self.module, self.directory, self.results = module, directory, {}
        directory.mkdir()
        self.report, self.read, self.running = directory / "report", 0, None
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("SCTPSHIM_") and name != "LD_PRELOAD"}
        self.environment.update(HOME=str(directory), XDG_CONFIG_HOME=str(directory),
                                PYTHONDONTWRITEBYTECODE="1")
        if library:
            self.environment["LD_PRELOAD"] = str(library)

    def take(self):
        """Read what is new in the report; whether there was anything."""
        new = entries(self.report, self.read)
        self.read += len(new)
        for entry in new:
            self.running = entry.get("start")
            if "end" in entry:
                self.results[entry["end"]] = entry["result"], entry["why"]
        return bool(new)

    def run_some(self, words):
        """Run until all is done, or until a test hangs or kills the process; whether all is."""
        with open(self.directory / "output", "ab") as sink:
            process = subprocess.Popen(
                [PYTHON, HERE / "observe.py", self.module, self.report, *words],
                env=self.environment, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=sink,
                stderr=sink, start_new_session=True)
        last, status = time.monotonic(), None
        while status is None and time.monotonic() < last + STALLED:
            time.sleep(0.2)
            status = process.poll()
            if self.take():
                last = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self.running:
            self.results[self.running] = ("hangs", "") if status is None else ("dies", str(status))
            self.running = None
            return False
        assert status == 0, f"{self.module}: {status}\n{self.output()}"
        return True

    def run(self, *names):
        """Run all tests, or those of these names."""
        while not self.run_some([*names, *(f"-{name}" for name in self.results)]):
            pass
        return self.results

    def output(self):
        """The end of what the tests printed."""
        return (self.directory / "output").read_text(errors="replace")[-3000:]


def passed(results):
    """The names of the tests that passed."""
    return {name for name, (result, _) in results.items() if result == "ok"}


def compare(module, directory, library):
    """({test: what happened} for those that pass over TCP only, how many pass over TCP).

    What fails once is run again, by itself and over both, so that a slow machine is no failure.
    """
    tcp = Observation(module, directory / "tcp", None).run()
    with evidence.counted() as seen:
        shim = Observation(module, directory / "shim", library).run()
    assert seen.sctp["ActiveEstabs"] > 0, f"no association was made\nTCP: {tcp}\nshim: {shim}"
    worse = passed(tcp) - passed(shim)
    worse -= set(BY_CHANCE)
    known = worse & set(EXCEPTIONS)
    if again := sorted(worse - known):
        tcp_again = Observation(module, directory / "tcp-again", None).run(*again)
        shim_again = Observation(module, directory / "shim-again", library).run(*again)
        worse = known | (passed(tcp_again) - passed(shim_again))
        shim |= shim_again
    return {name: shim.get(name, ("absent", "")) for name in sorted(worse)}, len(passed(tcp))


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("module, least", [
    *MODULES.items(), *(pytest.param(*item, marks=pytest.mark.long) for item in LONG.items())],
    ids=[*MODULES, *LONG])
def test_module(module, least, tmp_path, library, sctp):
    """What passes over TCP and not under the shim is what exceptions.py lists for the module."""
    with evidence.own_network():
        worse, count = compare(module, tmp_path, library)
    assert count >= least
    listed = {name for name in EXCEPTIONS if name.startswith(f"test.{module}.")}
    unlisted = {name: what for name, what in worse.items() if name not in listed}
    assert not unlisted, "\n\n".join(f"{name}: {result}\n{why}"
                                     for name, (result, why) in unlisted.items())
    assert not listed - set(worse), "listed in exceptions.py, but as over TCP now"


def test_exceptions_are_of_modules_that_run():
    """No exception is for a module that is not run."""
    for name, reason in {**EXCEPTIONS, **BY_CHANCE}.items():
        assert any(name.startswith(f"test.{module}.") for module in {**MODULES, **LONG}) and reason
