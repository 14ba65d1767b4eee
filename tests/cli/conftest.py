# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the launcher's tests: running it, building odd programs, taking SCTP away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def tool(top):
    """The helper executable."""
    product = top / "build/sctpshim-tool"
    assert product.exists(), "build/sctpshim-tool is missing: run make first"
    return product


@pytest.fixture
def no_sctp():
    """What goes before a command for which the kernel shall have no SCTP."""
    return [sys.executable, str(HERE / "nosctp.py")]


@pytest.fixture(scope="session")
def public(public):
    """The same, on a file system that honours set-uid bits."""
    assert not os.statvfs(public).f_flag & os.ST_NOSUID, f"{public} is mounted nosuid"
    return public


@pytest.fixture(scope="session")
def compiled(public):
    """A function: the program (or library) made of this C text with these compiler flags."""
    def compile_text(name, text, *flags):
        source = public / f"{name}.c"
        source.write_text(text)
        subprocess.run(["cc", "-o", public / name, source, *flags], check=True, timeout=60)
        return public / name
    return compile_text


@pytest.fixture
def root():
    """For tests that change owners or users."""
    assert os.geteuid() == 0, "this test changes owners of files: run it as root"
