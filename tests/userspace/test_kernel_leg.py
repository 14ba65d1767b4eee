# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's SCTP behind the broker (STACK=kernel, LEG=tcp): the behaviours, and that it is that."""

import subprocess
import sys
from pathlib import Path

import pytest

from played import DIFFERENCES, SUITE, all_legs, end_broker, judge, play

LISTED = DIFFERENCES.KERNEL_LEG
pytestmark = [pytest.mark.long, pytest.mark.timeout(1500), pytest.mark.usefixtures("sctp")]


@pytest.fixture(scope="session")
def over_tcp(tmp_path_factory):
    return SUITE.observe(None, tmp_path_factory.mktemp("tcp"), "-j4")


@pytest.fixture(scope="session")
def over_leg(tmp_path_factory, library, over_tcp):
    """What the behaviours show, in one or more tries."""
    home = tmp_path_factory.mktemp("leg")
    home.chmod(0o700)
    settings = {"XDG_RUNTIME_DIR": str(home), "SCTPSHIM_STACK": "kernel", "SCTPSHIM_LEG": "tcp"}
    yield play(library, home, settings, over_tcp, LISTED)
    end_broker(library.parent / "sctpshimd-kernel", settings)


def test_it_is_legs(over_leg):
    all_legs(over_leg)


@pytest.mark.parametrize("name", list(SUITE.BEHAVIOURS))
def test_behaviour(name, over_tcp, over_leg):
    judge(name, over_tcp, over_leg, LISTED)


@pytest.mark.parametrize("settings, words", [
    ({}, "auto: SCTP sockets"),
    ({"SCTPSHIM_LEG": "tcp"}, "tcp: TCP sockets, over sctpshimd-kernel"),
    ({"SCTPSHIM_LEG": "direct"}, "direct: SCTP sockets, as configured"),
    ({"SCTPSHIM_STACK": "userspace"}, "tcp: the userspace stack has no other")])
def test_check_explains_the_choice(run, settings, words):
    done = run("check", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert next(line for line in done.stdout.splitlines() if " LEG " in line).endswith(words)


def test_a_few_seconds_of_soak(library):
    """Nothing is lost, hangs or is left here either."""
    del library
    soak = Path(__file__).resolve().parent / "soak.py"
    done = subprocess.run([sys.executable, soak, "6", "--kernel"], text=True, capture_output=True,
                          timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_difference_is_a_behaviours():
    assert [name for name in LISTED if name not in SUITE.BEHAVIOURS] == []
