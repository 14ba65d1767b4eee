# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the option tests: programs under the shim, native peers, and the kernel's view."""

import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / name) for name in ("options", "wire", "apps", "net")]

import evidence                                                              # noqa: E402
from netstage import Stage                                                    # noqa: E402


@pytest.fixture
def stage(library, shim_env, sctp, tmp_path):
    """A Stage."""
    assert os.geteuid() == 0, "looking at another process's sockets needs root"
    one = Stage(library, shim_env, tmp_path)
    yield one
    one.stop()


@pytest.fixture
def own_network():
    """A network namespace of the test's own, to change its settings."""
    with evidence.own_network():
        yield
