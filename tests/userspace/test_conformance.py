# SPDX-License-Identifier: BSD-3-Clause
"""The behaviours of tests/conformance on this kernel, over TCP and in the userspace plane: with the
broker, and with the one that takes over where libusrsctp's insides are others."""

import os
import socket
import subprocess

import pytest

from played import DIFFERENCES, SUITE, all_legs, end_broker, judge, play

LISTED = DIFFERENCES.DIFFERENCES
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="session")
def over_tcp(tmp_path_factory):
    return SUITE.observe(None, tmp_path_factory.mktemp("tcp"), "-j4")


@pytest.fixture(scope="session", params=["sctpshimd", "sctpshimd-conn"])
def over_userspace(request, tmp_path_factory, library, over_tcp):
    """What the behaviours show in the userspace plane, in one or more tries."""
    broker = library.parent / request.param
    assert broker.exists(), "sctpshimd is missing: install libusrsctp-dev, make"
    home = tmp_path_factory.mktemp("userspace")
    home.chmod(0o700)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    settings = {"XDG_RUNTIME_DIR": str(home), "SCTPSHIM_STACK": "userspace",
                "SCTPSHIM_UDP_ENCAPS": str(port)}
    subprocess.run([broker, "--idle=0"], env={**os.environ, **settings}, check=True)
    yield play(library, home, settings, over_tcp, LISTED)
    end_broker(broker, settings)


def test_it_is_the_userspace_plane(over_userspace):
    all_legs(over_userspace)


@pytest.mark.parametrize("name", list(SUITE.BEHAVIOURS))
def test_behaviour(name, over_tcp, over_userspace):
    judge(name, over_tcp, over_userspace, LISTED)


def test_every_difference_is_a_behaviours():
    assert [name for name in LISTED if name not in SUITE.BEHAVIOURS] == []
