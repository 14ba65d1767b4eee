# SPDX-License-Identifier: BSD-3-Clause
"""Random sequences of socket calls (tests/fuzz) show in the userspace plane what they show over TCP."""

import re
import subprocess
import sys
from pathlib import Path

from played import DIFFERENCES

FUZZ = Path(__file__).resolve().parent.parent / "fuzz"
sys.path.insert(0, str(FUZZ))

from compare import USERSPACE_RULES  # noqa: E402

# All of these have been played: tests/fuzz/run.py --userspace plays others.
SEEDS = range(5000, 6500)


def test_accepted_differences_are_this_planes():
    assert [rule.name for rule in USERSPACE_RULES
            if rule.name not in DIFFERENCES.DIFFERENCES] == []


def test_random_sequences(library):
    """As many of the same sequences as fit the time, at least a hundred; in a process of its own, as
    it may enter a network namespace of its own."""
    done = subprocess.run(["/usr/bin/python3", FUZZ / "run.py", "--userspace", "--seconds", "15",
                           "--first", str(SEEDS.start), "-n", str(len(SEEDS))], text=True,
                          capture_output=True, check=False, timeout=300)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^seeds .* sequences in ", done.stdout, re.MULTILINE), done.stdout
