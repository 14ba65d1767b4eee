# SPDX-License-Identifier: BSD-3-Clause
"""TCP is the oracle: each behaviour runs over plain TCP and under the shim, on one kernel, and has
to show the same observations, or exactly the differences that differences.py lists."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import behaviours  # noqa: E402,F401  (registers them all)
import document  # noqa: E402
from differences import ABSENT, DIFFERENCES  # noqa: E402
from harness import BEHAVIOURS  # noqa: E402

LOOKS = 3

pytestmark = pytest.mark.timeout(600)            # the first test of each run waits for all of it


def observe(library, home, *arguments, **settings):
    """The results of the behaviours that ARGUMENTS name; LIBRARY is preloaded unless it is None."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("SCTPSHIM_") and name != "LD_PRELOAD"}
    environment.update(HOME=str(home), XDG_CONFIG_HOME=str(home), **settings)
    if library:
        environment["LD_PRELOAD"] = str(library)
    done = subprocess.run([sys.executable, str(HERE / "run.py"), "--json", *arguments],
                          env=environment, capture_output=True, text=True, timeout=580,
                          check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def over_tcp(tmp_path_factory):
    """What the behaviours show over plain TCP."""
    return observe(None, tmp_path_factory.mktemp("tcp"), "-j4")


@pytest.fixture(scope="session")
def over_shim(tmp_path_factory, library, sctp):
    """What the behaviours show under the shim."""
    return observe(library, tmp_path_factory.mktemp("shim"), "-j4")


def sockets(results, kind):
    """Names of the behaviours that found sockets of KIND."""
    return [name for name, result in results.items() if kind in result["sockets"]]


def test_without_the_shim_it_is_tcp(over_tcp):
    assert len(sockets(over_tcp, "tcp")) > 200
    assert sockets(over_tcp, "sctp") == []


def test_under_the_shim_it_is_sctp(over_shim):
    assert len(sockets(over_shim, "sctp")) > 200
    assert sockets(over_shim, "tcp") == []


def stopped(results):
    """Names of the behaviours that hung, died or tripped."""
    return [name for name, result in results.items()
            if "ended" in result["observations"] or "stopped by" in result["observations"]]


def test_tcp_itself_stops_nowhere(over_tcp, tmp_path):
    """A behaviour that stops over TCP itself says nothing about the shim."""
    if bad := stopped(over_tcp):
        # As in test_behaviour: a second look, alone.
        assert stopped(observe(None, tmp_path, *bad)) == []
        warnings.warn(f"over TCP, beside others: {bad}")


def compare(tcp, shim):
    """{observation: (TCP's, the shim's)} where they are not the same."""
    labels = list(tcp) + [label for label in shim if label not in tcp]
    return {label: (tcp.get(label, ABSENT), shim.get(label, ABSENT)) for label in labels
            if tcp.get(label, ABSENT) != shim.get(label, ABSENT)}


def parameters():
    for name, item in BEHAVIOURS.items():
        marks = [pytest.mark.xfail(reason=item.pending, strict=True)] if item.pending else []
        yield pytest.param(name, marks=marks, id=name)


def unexpected(name, tcp, shim):
    """What is neither TCP's nor listed, or listed and gone; None when all is as expected."""
    different = compare(tcp["observations"], shim["observations"])
    known = DIFFERENCES[name].shim if name in DIFFERENCES else {}
    gone = [label for label in known if label not in different]
    if gone:
        return f"listed in differences.py, but like TCP now: {gone}"
    if all(label in known and known[label] == pair[1] for label, pair in different.items()):
        return None
    lines = [f"{label}: TCP {pair[0]!r}, shim {pair[1]!r}" for label, pair in different.items()]
    return "\n" + "\n".join(lines) + "\n" + shim.get("trouble", "")


@pytest.mark.parametrize("name", parameters())
def test_behaviour(name, over_tcp, over_shim, library, tmp_path):
    tcp, shim = over_tcp[name], over_shim[name]
    for where, result in (("over TCP", tcp), ("under the shim", shim)):
        if "skipped" in result:
            pytest.skip(f"{where}: {result['skipped']}")
    assert tcp["observations"], "nothing was observed"
    first = unexpected(name, tcp, shim)
    if first is None:
        return
    assert not BEHAVIOURS[name].pending, first
    # Four at a time on a busy machine: what depends on the time is looked at again, alone, and more
    # than once: a machine that others share stands still now and then, over TCP as well.
    looks = [first]
    for _ in range(LOOKS):
        again = unexpected(name, *(observe(way, tmp_path, name)[name] for way in (None, library)))
        if again is None:
            break
        looks.append(again)
    assert len(looks) <= LOOKS, "\nand alone: ".join(looks)
    warnings.warn(f"{name}, beside others: {' and alone: '.join(looks)}")


def test_every_listed_difference_is_a_behaviour():
    assert [name for name in DIFFERENCES if name not in BEHAVIOURS] == []
    assert [name for name in DIFFERENCES if BEHAVIOURS[name].pending] == []


def test_the_reasons_are_few():
    assert len({difference.reason for difference in DIFFERENCES.values()}) <= 15


def test_the_semantics_page_is_current():
    page = (HERE.parents[1] / "docs" / "semantics.md").read_text(encoding="utf-8")
    assert document.tables() in page, "docs/semantics.md: run tests/conformance/document.py"
