# SPDX-License-Identifier: BSD-3-Clause
"""Random sequences of socket calls (tests/fuzz) show in the userspace plane what they show over TCP."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from played import DIFFERENCES

FUZZ = Path(__file__).resolve().parent.parent / "fuzz"
sys.path.insert(0, str(FUZZ))

from compare import USERSPACE_RULES, compare  # noqa: E402

# All of these have been played: tests/fuzz/run.py --userspace plays others.
SEEDS = range(5000, 6500)
PREPARED = ("B listen l0 8", "A socket c0", "A shutdown c0 WR", "A connect c0 l0", "B accept l0 s0",
            "B recv s0 read 9")
FULL = ("A send c0 sendmsg 8000000 DONTWAIT", "A shutdown c0 WR", "B shutdown s0 WR",
        "A shutdown c0 WR")
GONE = ("B close s0", "A send c0 sendmmsg 3")
COMPARED = (
    (PREPARED, "ok ok ENOTCONN ok ok EAGAIN", "ok ok ENOTCONN ok ok 0", None),
    (PREPARED, "ok ok ok ok ok EAGAIN", "ok ok ok ok ok 0", 5),
    (FULL, "part ok ok ok", "part ok ok ENOTCONN", None),
    (FULL, "all ok ok ok", "all ok ok ENOTCONN", 3),
    (FULL, "part ok ok ok", "part ok ENOTCONN ok", 2),
    (GONE, "ok 1_messages_part_SIGPIPE", "ok 3_messages_all", None),
    (GONE, "ok 3_messages_all", "ok 1_messages_part_SIGPIPE", 1),
    (GONE[1:], "1_messages_part_SIGPIPE", "3_messages_all", 0),
)


def test_accepted_differences_are_this_planes():
    assert [rule.name for rule in USERSPACE_RULES
            if rule.name not in DIFFERENCES.DIFFERENCES] == []


@pytest.mark.parametrize("lines, tcp, shim, unexplained", COMPARED)
def test_rules_accept_nothing_else(lines, tcp, shim, unexplained):
    tcp, shim = ([word.replace("_", " ") for word in text.split()] for text in (tcp, shim))
    assert compare(lines, tcp, shim, rules=USERSPACE_RULES) == unexplained


def test_random_sequences(library):
    """As many of the same sequences as fit the time, at least a hundred; in a process of its own, as
    it may enter a network namespace of its own."""
    done = subprocess.run(["/usr/bin/python3", FUZZ / "run.py", "--userspace", "--seconds", "15",
                           "--first", str(SEEDS.start), "-n", str(len(SEEDS))], text=True,
                          capture_output=True, check=False, timeout=300)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^seeds .* sequences in ", done.stdout, re.MULTILINE), done.stdout
