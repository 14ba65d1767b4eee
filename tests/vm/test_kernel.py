# SPDX-License-Identifier: BSD-3-Clause
"""tests/vm/kernel finds Debian's kernel, or unpacks it, with a pretended Debian around it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LIMIT = 30
UNPACK = """base=$3/usr/lib/modules/6-amd64/kernel
mkdir -p $3/boot $base/net/sctp $base/net/9p $base/fs/9p
touch $3/boot/vmlinuz-6-amd64 $base/net/sctp/sctp.ko.xz $base/net/9p/9pnet_virtio.ko.xz
touch $base/fs/9p/9p.ko.xz"""


@pytest.fixture
def kernel(tmp_path):
    """A function that runs it in a tree of its own; what apt-get download does is given."""
    program = tmp_path / "tree/tests/vm/kernel"
    program.parent.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("kernel"), program)
    tools = tmp_path / "bin"
    tools.mkdir()

    def run(*words, download="touch linux.deb"):
        for name, text in {"apt-cache": "echo '  Depends: linux-image-6-amd64'",
                           "apt-get": f'echo "$*" >>{tmp_path}/calls\n{download}',
                           "dpkg-deb": UNPACK,
                           "depmod": "touch lib/modules/$3/modules.dep"}.items():
            (tools / name).write_text(f"#!/bin/sh\n{text}\n")
            (tools / name).chmod(0o755)
        return subprocess.run([program, *words], env={"PATH": f"{tools}:{os.environ['PATH']}"},
                              text=True, capture_output=True, timeout=LIMIT, check=False)
    return run


@pytest.fixture
def none_installed(kernel):
    """For tests that need a machine without a kernel of its own that would do."""
    if kernel().returncode == 0:
        pytest.skip("a kernel with SCTP and 9p is installed")


@pytest.mark.usefixtures("none_installed")
def test_kernel_is_unpacked_once(kernel, tmp_path):
    tree = tmp_path / "tree/build/linux"
    assert kernel("fetch").returncode == 0
    assert kernel().stdout == f"6-amd64 {tree}/\n"
    assert (tree / "lib/modules/6-amd64/modules.dep").exists()
    assert kernel("fetch").returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 1 and calls[0].endswith("download linux-image-6-amd64")
    assert [path.name for path in (tmp_path / "tree/build").iterdir()] == ["linux"]


@pytest.mark.usefixtures("none_installed")
def test_failed_download_leaves_nothing(kernel, tmp_path):
    assert kernel("fetch", download="exit 100").returncode != 0
    assert not list((tmp_path / "tree/build").iterdir())
    assert kernel().returncode == 1
