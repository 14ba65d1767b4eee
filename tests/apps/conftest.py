# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the real-program tests: one network, one payload, each test over TCP and SCTP."""

import contextlib
import os
import subprocess
import sys
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
def keys(public):
    """OpenSSH's: a directory with a host key and a user's key, made by ssh-keygen without the shim."""
    directory = public / "openssh"
    directory.mkdir(mode=0o700)
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name],
                       check=True, timeout=60)
    return directory


@pytest.fixture(scope="session")
def launcher(public):
    """The launcher, beside a copy of the library that daemons' users can read too."""
    installed = programs.install(public)
    evidence.BROKER = programs.broker_of(installed)
    return installed


@pytest.fixture(scope="session")
def payload(public):
    """A function: the file with SIZE bytes, from START on, of the random data all tests use."""
    whole = public / "payload"
    whole.write_bytes(os.urandom(PAYLOAD))
    made = {(PAYLOAD, 0): whole}

    def sized(size, start=0):
        if (size, start) not in made:
            made[size, start] = public / f"payload-{size}-{start}"
            with open(whole, "rb") as source:
                source.seek(start)
                made[size, start].write_bytes(source.read(size))
        return made[size, start]

    return sized


@pytest.fixture(params=[pytest.param("tcp", marks=pytest.mark.here), "sctp",
                        pytest.param("userspace", marks=pytest.mark.here)])
def app(request, tmp_path, launcher):
    """Programs over plain TCP, which shows that the test itself is right, then under the shim."""
    if request.param == "userspace" and os.geteuid() != 0:
        pytest.skip("needs a network of its own, and so root")
    started = programs.Programs(request.param, tmp_path, launcher)
    yield started
    started.stop()
    # What a test leaves lies in memory, in the guest, until the whole run ends.
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size > MB:
            path.unlink()
