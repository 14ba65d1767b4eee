# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the real-program tests: one network, one payload, each test over TCP and SCTP."""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import evidence                                                              # noqa: E402
import programs                                                              # noqa: E402
from programs import MB                                                      # noqa: E402

PAYLOAD = 64 * MB


@pytest.fixture(scope="module", autouse=True)
def own_network():
    """A network namespace of the suite's own, so that its counters are; as root only."""
    with evidence.own_network() if os.geteuid() == 0 else contextlib.nullcontext():
        yield


@pytest.fixture(scope="session")
def public():
    """A directory that every user may enter (pytest's own are the caller's alone)."""
    directory = Path(tempfile.mkdtemp(prefix="sctpshim-apps-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def launcher(public):
    """The launcher, beside a copy of the library that daemons' users can read too."""
    return programs.install(public)


@pytest.fixture(scope="session")
def payload(public):
    """A function: the file with the first SIZE bytes of the random data all tests use."""
    whole = public / "payload"
    whole.write_bytes(os.urandom(PAYLOAD))
    made = {PAYLOAD: whole}

    def sized(size):
        if size not in made:
            made[size] = public / f"payload-{size}"
            with open(whole, "rb") as source:
                made[size].write_bytes(source.read(size))
        return made[size]

    return sized


@pytest.fixture(params=["tcp", "sctp"])
def app(request, tmp_path, launcher):
    """Programs over plain TCP, which shows that the test itself is right, then under the shim."""
    started = programs.Programs(request.param, tmp_path, launcher)
    yield started
    started.stop()
    # What a test leaves lies in memory, in the guest, until the whole run ends.
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size > MB:
            path.unlink()
