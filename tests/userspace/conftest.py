# SPDX-License-Identifier: BSD-3-Clause
"""Hosts for the userspace plane, and what is between them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from hosts import Host, link  # noqa: E402


@pytest.fixture
def hosts(tmp_path, top, shim_env):
    """A function that makes hosts; they end with the test."""
    assert (top / "build/sctpshimd").exists(), "sctpshimd is missing: install libusrsctp-dev, make"
    made = []

    def make(name, beside=None):
        made.append(Host(tmp_path / name, top, shim_env, beside))
        return made[-1]
    yield make
    for host in reversed(made):
        host.end()


@pytest.fixture
def host(hosts):
    """One host, alone."""
    return hosts("alone")


@pytest.fixture
def two(hosts):
    """Two hosts with a link between them: 10.0.0.1 and 10.0.0.2, fd00::1 and fd00::2."""
    one = hosts("one")
    other = hosts("other", one)
    link(one, other)
    return one, other
