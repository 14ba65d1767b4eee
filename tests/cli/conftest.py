# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the launcher's tests: running it, building odd programs, taking SCTP away."""

import os
import shutil
import subprocess
import sys
import tempfile
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
def public():
    """A directory that every user may enter, on a file system that honours set-uid bits."""
    directory = Path(tempfile.mkdtemp(prefix="sctpshim-cli-"))
    assert not os.statvfs(directory).f_flag & os.ST_NOSUID, f"{directory} is mounted nosuid"
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def compiled(public):
    """A function: the program (or library) made of this C text with these compiler flags."""
    def compile_text(name, text, *flags):
        source = public / f"{name}.c"
        source.write_text(text)
        subprocess.run(["cc", "-o", public / name, source, *flags], check=True, timeout=60)
        return public / name
    return compile_text


@pytest.fixture(scope="session")
def installed(top, public):
    """The launcher as `make install` puts it, below a DESTDIR that every user may read."""
    subprocess.run(["make", "-s", "install", f"DESTDIR={public}/root", "PREFIX=/usr"], cwd=top,
                   check=True, timeout=150, stdout=subprocess.DEVNULL)
    return public / "root/usr/bin/sctpshim"


@pytest.fixture
def root():
    """For tests that change owners or users."""
    assert os.geteuid() == 0, "this test changes owners of files: run it as root"
