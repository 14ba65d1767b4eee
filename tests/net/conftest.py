# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the tests with two hosts."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "options")]

from twohosts import Hosts                                                   # noqa: E402


@pytest.fixture
def hosts(shim_env, sctp, library):
    """Two hosts with two links, see twohosts.py."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    pair = Hosts(shim_env)
    try:
        yield pair
    finally:
        pair.remove()


@pytest.fixture
def fast(top):
    """The profile for fast failover, as options."""
    return {"CONFIG": top / "config/failover-fast.conf"}
