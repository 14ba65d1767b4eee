# SPDX-License-Identifier: BSD-3-Clause
"""OpenSSH: sshd re-executes itself, separates privileges, and sandboxes what reads the network."""

import os
import subprocess
from pathlib import Path

import pytest

from programs import MB, free_port, sha256

# HOME: what the account's own shell files do (and how long they take) is no part of the test.
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
LogLevel VERBOSE
SetEnv HOME={directory}
"""


@pytest.fixture(scope="session")
def keys(public):
    """A directory with a host key and a user's key, made by ssh-keygen without the shim."""
    directory = public / "ssh"
    directory.mkdir(mode=0o700)
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name],
                       check=True, timeout=30)
    return directory


@pytest.fixture
def ssh(app, keys):
    """Start sshd; the options that ssh and scp need to reach it, and its port."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port, config = free_port(), app.directory / "sshd_config"
    config.write_text(CONFIG.format(port=port, directory=keys))
    app.start("/usr/sbin/sshd", "-D", "-e", "-f", config, port=port)
    options = ["-F", "none", "-i", str(keys / "user_key"), "-o", f"Port={port}"]
    for option in ("IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=no",
                   f"UserKnownHostsFile={app.directory}/known_hosts", "ConnectTimeout=20"):
        options += ["-o", option]
    return options, port


def test_command(app, ssh):
    """A command's input, output and exit status; the association as it is seen from inside."""
    options, port = ssh
    script = "cat; cat /proc/net/sctp/assocs; exit 7"
    with app.carries(1000):
        output = app.run("ssh", *options, "127.0.0.1", script, input=b"to and fro\n", status=7)
    lines = output.decode().splitlines()
    assert lines[0] == "to and fro"
    ports = [row.split()[11:13] for row in lines[2:]]
    assert any(str(port) in pair for pair in ports) == (app.transport == "sctp"), lines


def test_bulk_through_pipe(app, ssh, payload):
    """8 MB each way at the same time through `cat` on the other side."""
    options, port = ssh
    source = payload(8 * MB)
    with app.carries(16 * MB, port=port), open(source, "rb") as stream:
        output = app.run("ssh", *options, "127.0.0.1", "cat", stdin=stream)
    assert sha256(output) == sha256(source)


def test_scp(app, ssh, payload):
    """20 MB there and back again."""
    options, port = ssh
    source = payload(20 * MB)
    there, back = app.directory / "there", app.directory / "back"
    with app.carries(40 * MB, connections=2, port=port):
        app.run("scp", *options, source, f"127.0.0.1:{there}")
        app.run("scp", *options, f"127.0.0.1:{there}", back)
    assert sha256(there) == sha256(back) == sha256(source)
