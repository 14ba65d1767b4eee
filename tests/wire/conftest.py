# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the wire tests: programs under the shim that do as they are told."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "apps")]

import evidence                                                              # noqa: E402
from puppet import Puppet                                                    # noqa: E402


@pytest.fixture
def own_network():
    """A network namespace of the test's own, to do harm in."""
    if os.geteuid() != 0:
        pytest.skip("a network of its own needs root")
    with evidence.own_network():
        yield


@pytest.fixture
def puppet(library, shim_env, sctp):
    """A function that starts a Python under the shim; see puppet.Puppet."""
    started = []

    def start(**options):
        environment = {**shim_env, "LD_PRELOAD": str(library),
                       **{f"SCTPSHIM_{name}": str(value) for name, value in options.items()}}
        started.append(Puppet(environment))
        return started[-1]

    yield start
    for one in started:
        one.stop()
