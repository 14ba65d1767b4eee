# SPDX-License-Identifier: BSD-3-Clause
"""Daemons that files and histories are kept in step with: rsync and git."""

import re
import subprocess
from pathlib import Path

import pytest

from programs import MB, free_port, sha256

RSYNCD = """
use chroot = no
reverse lookup = no
uid = {owner}
gid = {group}
lock file = {directory}/lock
[files]
path = {directory}/served
read only = no
"""
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
       "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@localhost",
       "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@localhost"}


def tree(directory):
    """{name: checksum} of all files below."""
    return {path.relative_to(directory): sha256(path) for path in Path(directory).rglob("*")
            if path.is_file()}


def test_rsync(app, payload):
    """A tree with a file of 16 MB goes to an rsync daemon, changes in one place, and comes back."""
    port, config, files = free_port(), app.directory / "rsyncd.conf", app.directory / "files"
    (app.directory / "served").mkdir()
    (files / "small").mkdir(parents=True)
    data = payload(16 * MB).read_bytes()
    (files / "big").write_bytes(data)
    for number in range(200):
        (files / f"small/{number}").write_bytes(data[number:number * 50])
    config.write_text(RSYNCD.format(owner=files.owner(), group=files.group(),
                                    directory=app.directory))
    app.start("rsync", "--daemon", "--no-detach", f"--config={config}", "--address=127.0.0.1",
              f"--port={port}", port=port)
    url = f"rsync://127.0.0.1:{port}/files/"
    with app.carries(32 * MB, connections=3, port=port):
        app.run("rsync", "-a", f"{files}/", url)
        assert tree(app.directory / "served") == tree(files)
        (files / "big").write_bytes(data[:5 * MB] + b"something new" + data[5 * MB:])
        report = app.run("rsync", "-a", "--stats", "--no-whole-file", f"{files}/", url).decode()
        app.run("rsync", "-a", url, f"{app.directory}/back/")
    literal = re.search(r"Literal data: ([\d,.]+)", report).group(1)
    assert int(re.sub(r"\D", "", literal)) < MB
    assert tree(app.directory / "back") == tree(files)


def git(*words):
    """Run git without the shim; what it says."""
    return subprocess.run(["git", *words], check=True, timeout=50, stdout=subprocess.PIPE).stdout


@pytest.fixture
def repository(app, monkeypatch):
    """A bare repository to be served."""
    app.environment.update(GIT)
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    bare = app.directory / "served/project.git"
    git("init", "-q", "--bare", "--initial-branch=main", bare)
    return bare


def commit(work, name, data):
    """Add a file to a work tree and commit it."""
    (work / name).write_bytes(data)
    git("-C", work, "add", name)
    git("-C", work, "-c", "core.compression=0", "commit", "-q", "-m", f"add {name}")


@pytest.mark.long
def test_git(app, payload, repository):
    """push of 3 MB, clone, push of as much again, and pull by the clone, from a git daemon."""
    port = free_port()
    one, two = app.directory / "one", app.directory / "two"
    app.start("git", "daemon", "--listen=127.0.0.1", f"--port={port}", "--export-all",
              "--enable=receive-pack", f"--base-path={repository.parent}", repository.parent,
              port=port)
    url = f"git://127.0.0.1:{port}/{repository.name}"
    git("-C", app.directory, "init", "-q", "--initial-branch=main", one)
    git("-C", one, "remote", "add", "origin", url)
    with app.carries(12 * MB, connections=4, port=port):
        commit(one, "first", payload(3 * MB).read_bytes())
        app.run("git", "-C", one, "push", "-q", "origin", "main")
        app.run("git", "clone", "-q", url, two)
        commit(one, "second", payload(3 * MB, 3 * MB).read_bytes())
        app.run("git", "-C", one, "push", "-q", "origin", "main")
        app.run("git", "-C", two, "pull", "-q", "--ff-only")
    git("-C", repository, "fsck", "--full", "--strict")
    assert git("-C", two, "rev-parse", "HEAD") == git("-C", one, "rev-parse", "HEAD")
    assert sha256(two / "second") == sha256(payload(3 * MB, 3 * MB))
