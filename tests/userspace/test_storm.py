# SPDX-License-Identifier: BSD-3-Clause
"""A short part of `make storm`: more connections than the brokers can follow, as many as may be."""

import re
import subprocess
import sys

STORM = "tests/bench/storm.py"


def test_more_than_can_be_followed(top):
    done = subprocess.run([sys.executable, top / STORM, "3", "--rate", "2000", "--bytes", "200000",
                           "--most", "300", "--only", "userspace", "--least", "0.1"], text=True,
                          capture_output=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    begun, left_out = map(int, re.search(r"(\d+) begun, (\d+) had no room", done.stdout).groups())
    assert begun >= 300 and left_out > 0, done.stdout
