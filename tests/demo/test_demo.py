# SPDX-License-Identifier: BSD-3-Clause
"""The demo succeeds with the shim, and does not without it."""

import shutil
import subprocess

LIMIT = 150


def demo(tree):
    return subprocess.run([tree / "scripts/demo-run", "inside"], capture_output=True, text=True,
                          timeout=LIMIT, check=False, stdin=subprocess.DEVNULL)


def copied(top, directory, launcher):
    """A tree with the demo of TOP and a launcher that does LAUNCHER."""
    (directory / "scripts").mkdir()
    shutil.copy(top / "scripts/demo-run", directory / "scripts")
    (directory / "scripts/sctpshim").write_text(f"#!/bin/sh\n{launcher}\n")
    (directory / "scripts/sctpshim").chmod(0o755)
    return directory


def test_shows_the_association(sctp, top, library):
    done = demo(top)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "addresses *127.0.0.1" in done.stdout
    assert "scripts/sctpshim curl" in done.stdout
    assert "FAILED" not in done.stdout


def test_fails_over_tcp(sctp, top, tmp_path):
    done = demo(copied(top, tmp_path, 'exec "$@"'))
    assert done.returncode == 1
    assert "the kernel showed no association" in done.stderr


def test_fails_when_the_copy_differs(sctp, top, library, tmp_path):
    launcher = f"""export LD_PRELOAD={library}
        "$@" || exit
        for word do
            case $word in */copy-sctp) echo spoilt >>"$word" ;; esac
        done"""
    done = demo(copied(top, tmp_path, launcher))
    assert done.returncode == 1
    assert "FAILED the copies are what was sent" in done.stdout


def test_fails_without_a_server(sctp, top, tmp_path):
    done = demo(copied(top, tmp_path, 'echo no server today >&2; exit 3'))
    assert done.returncode == 1
    assert "no server today" in done.stderr
