# SPDX-License-Identifier: BSD-3-Clause
"""A short part of `make soak`."""

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).resolve().parent / "soak.py"


def test_a_few_seconds(library):
    assert (library.parent / "sctpshimd").exists(), "sctpshimd is missing: install libusrsctp-dev, make"
    done = subprocess.run([sys.executable, SOAK, "6"], text=True, capture_output=True, timeout=170,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.splitlines()[-1].split()[0]) > 10, done.stdout
