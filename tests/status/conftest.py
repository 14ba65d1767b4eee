# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the status tests."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)] + [str(HERE.parent / name) for name in ("wire", "options", "net")]

from namespaces import Hosts, connect, exchange, serve                       # noqa: E402


@pytest.fixture
def hosts(shim_env, sctp, library, installed, tmp_path):
    """Two hosts with two links."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    both = Hosts(shim_env, library, installed, tmp_path)
    try:
        yield both
    finally:
        both.remove()


@pytest.fixture
def pair(hosts):
    """A shimmed client on near, connected to a native server on far that has two addresses."""
    near, far = hosts.puppet(hosts.near, LOG="info"), hosts.puppet(hosts.far, shim=False)
    serve(far)
    near.fd, far.fd = connect(near, far)
    exchange(near, far)
    return near, far
