# SPDX-License-Identifier: BSD-3-Clause
"""The behaviours of tests/conformance that listen, accept and connect, under prefer-sctp at both
ends: each listener has a companion, each connect another way."""

import sys
from pathlib import Path

import pytest

from modules import load

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"
FAMILIES = ("listen.", "accept.", "connect.")
# What differs from action = sctp: like TCP again (None), or docs/fallback.md's.
KNOWN = {
    "connect.refused_poll": None,
    "connect.one_port_two_peers": {"connects": [0, 0, 0]},      # the third one goes over TCP
    "listen.close_while_accepting": {"accept": False},
}
pytestmark = pytest.mark.timeout(300)


def suite():
    """tests/conformance/test_conformance.py."""
    sys.path.insert(0, str(CONFORMANCE))
    return load("conformance", CONFORMANCE / "test_conformance.py")


SUITE = suite()
NAMES = [name for name, item in SUITE.BEHAVIOURS.items()
         if name.startswith(FAMILIES) and not item.pending]


def differences(name, tcp, shim):
    """What is not as it has to be; None when all is."""
    if name not in KNOWN:
        return SUITE.unexpected(name, tcp, shim)
    seen = {label: pair[1] for label, pair
            in SUITE.compare(tcp["observations"], shim["observations"]).items()}
    return None if seen == (KNOWN[name] or {}) else seen


@pytest.fixture(scope="module")
def results(library, sctp, tmp_path_factory):
    """What all show over TCP, and under prefer-sctp."""
    home = tmp_path_factory.mktemp("home")
    return [SUITE.observe(None, home, "-j4", *NAMES),
            SUITE.observe(library, home, "-j4", *NAMES, SCTPSHIM_ACTION="prefer-sctp",
                          XDG_RUNTIME_DIR=str(home))]


@pytest.mark.parametrize("name", NAMES)
def test_behaviour(name, results, library, tmp_path):
    over_tcp, preferred = (result[name] for result in results)
    if "skipped" in over_tcp or "skipped" in preferred:
        pytest.skip("not here")
    first = differences(name, over_tcp, preferred)
    if first:
        # Beside others on a busy machine: once more, alone.
        over_tcp = SUITE.observe(None, tmp_path, name)[name]
        preferred = SUITE.observe(library, tmp_path, name, SCTPSHIM_ACTION="prefer-sctp",
                                  XDG_RUNTIME_DIR=str(tmp_path))[name]
        assert differences(name, over_tcp, preferred) is None, first
