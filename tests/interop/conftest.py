# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the interoperability tests: programs under the shim, and native SCTP programs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "wire"))


def listening(port):
    """Whether an SCTP endpoint listens there (state 10), by the kernel's table."""
    rows = Path("/proc/net/sctp/eps").read_text("ascii").splitlines()[1:]
    return any(row.split()[3] == "10" and row.split()[5] == str(port) for row in rows)


class Side:
    """Starts commands, under the shim or not, and ends them."""

    def __init__(self, launcher, environment):
        self._launcher = launcher
        self._environment = environment
        self._started = []

    @staticmethod
    def until(question, seconds=30):
        """Asserts that the answer becomes yes."""
        deadline = time.monotonic() + seconds
        while not question():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def start(self, *command, shim, listens=None, stdout=subprocess.PIPE, **settings):
        """A command with pipes; where it LISTENS on a port, once it does."""
        environment = {**self._environment,
                       **{f"SCTPSHIM_{name}": str(value) for name, value in settings.items()}}
        words = [self._launcher, "--", *command] if shim else list(command)
        one = subprocess.Popen(list(map(str, words)), env=environment, stdin=subprocess.PIPE,
                               stdout=stdout, stderr=subprocess.PIPE)
        self._started.append(one)
        self.until(lambda: not listens or one.poll() is not None or listening(listens))
        assert one.poll() is None or not listens, one.stderr.read()
        return one

    def output(self, one, feed=None, timeout=60, status=0):
        """What it says until it ends, with this status, or any. FEED goes to its standard input."""
        out, errors = one.communicate(feed, timeout)
        assert status in (None, one.returncode), (out, errors)
        return out

    def stop(self):
        """End all of them."""
        for one in self._started:
            one.kill()
            one.communicate()


@pytest.fixture
def side(launcher, shim_env, sctp):
    """A Side."""
    one = Side(launcher, shim_env)
    yield one
    one.stop()
