# SPDX-License-Identifier: BSD-3-Clause
"""Playing the behaviours of tests/conformance in a plane that is nearly TCP, and judging them.

A behaviour that differs is played again, alone: what is asked of the plane is that each observation
can be TCP's, or what differences.py says. Which of two things happens first is not always TCP's
choice here; see LATER there.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modules import load

CONFORMANCE = Path(__file__).resolve().parent.parent / "conformance"
AGAIN = 4


def suite():
    """tests/conformance/test_conformance.py, whose differences.py is not ours."""
    sys.path.insert(0, str(CONFORMANCE))
    ours = sys.modules.pop("differences", None)
    try:
        return load("kernel_conformance", CONFORMANCE / "test_conformance.py")
    finally:
        if ours:
            sys.modules["differences"] = ours
        else:
            sys.modules.pop("differences", None)


SUITE = suite()
DIFFERENCES = load("userspace_differences", Path(__file__).resolve().parent / "differences.py")


def differs(name, tcp, shims, listed):
    """What was neither TCP's nor what is LISTED in any of the tries, as lines."""
    known = listed[name][1] if name in listed else {}
    wrong = None
    for shim in shims:
        lines = {label: f"{label}: TCP {pair[0]!r}, here {pair[1]!r}" for label, pair
                 in SUITE.compare(tcp["observations"], shim["observations"]).items()
                 if label not in known or known[label] not in (None, pair[1])}
        wrong = {label: lines[label] for label in lines if wrong is None or label in wrong}
    return list(wrong.values())


def play(library, home, settings, over_tcp, listed):
    """What the behaviours show with these settings, in one or more tries: {name: [result]}.

    What differs TCP shows again, too: beside others it may have met somebody else's port.
    """
    tries = {name: [result]
             for name, result in SUITE.observe(library, home, "-j4", **settings).items()}
    for again in range(AGAIN):
        bad = [name for name, shims in tries.items()
               if differs(name, over_tcp[name], shims, listed)]
        if not bad:
            break
        if not again:
            over_tcp.update(SUITE.observe(None, home, "-j1", *bad))
        for name, result in SUITE.observe(library, home, "-j1", *bad, **settings).items():
            tries[name].append(result)
    return tries


def all_legs(tries):
    """That the first try of each behaviour was the plane's: its sockets were legs."""
    first = {name: shims[0] for name, shims in tries.items()}
    assert len(SUITE.sockets(first, "leg")) > 200
    assert SUITE.sockets(first, "tcp") + SUITE.sockets(first, "sctp") == []


def judge(name, over_tcp, tries, listed):
    """The one behaviour, which may not have been played."""
    tcp, shims = over_tcp[name], tries[name]
    for result in (tcp, *shims):
        if "skipped" in result:
            pytest.skip(result["skipped"])
    assert tcp["observations"], "nothing was observed"
    different = differs(name, tcp, shims, listed)
    assert not different, "\n" + "\n".join(different) + "\n" + shims[-1].get("trouble", "")


def end_broker(broker, settings):
    status = subprocess.run([broker, "--status"], text=True, timeout=60, capture_output=True,
                            env={**os.environ, **settings}, check=False)
    if found := re.search(r"pid (\d+)", status.stdout):
        os.kill(int(found[1]), signal.SIGTERM)
